"""The command line: `python -m compare`, see --help."""

import argparse
import sys

from compare.settings import CELLS, OPTIMIZERS, REAL_TASKS, configure
from data import TASKS, UserError


def parser():
    top = argparse.ArgumentParser(
        prog="python -m compare",
        description="Train the same network twice, by hand in NumPy and with autograd in torch, and compare. "
        "Without a command: `curves` on the three real tasks.",
        epilog="exit status: 0 they agree, 1 they differ, 2 it could not run",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    add_curves(commands)
    return top


def add_curves(commands):
    curves = commands.add_parser(
        "curves",
        help="train both models and draw both training curves and their gap",
        description="Train both models on each TASK and draw both training curves and their gap. "
        "An option that is not given has each task's own default.",
        epilog="exit status: 0 they agree, 1 they differ, 2 it could not run",
    )
    curves.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK",
        help=f"{', '.join(TASKS)} (default: {', '.join(REAL_TASKS)}; memory is the generated adding problem)",
    )
    model = curves.add_argument_group("the model")
    model.add_argument("--cell", choices=CELLS, help="the recurrent cell")
    model.add_argument("--layers", type=whole, metavar="N", help="recurrent layers (default 1)")
    model.add_argument("--hidden", type=whole, metavar="N", help="hidden units of a layer and direction")
    model.add_argument(
        "--bidirectional",
        action="store_true",
        default=None,
        help="read from both ends (names and memory only)",
    )
    training = curves.add_argument_group("the training")
    training.add_argument("--optimizer", choices=OPTIMIZERS, help="(default adam)")
    training.add_argument("--lr", type=rate, metavar="X", help="learning rate")
    training.add_argument("--momentum", type=share, metavar="X", help="of sgd and rmsprop, from 0 to below 1")
    training.add_argument("--nesterov", action="store_true", default=None, help="Nesterov's momentum, with sgd")
    training.add_argument("--weight-decay", type=not_negative, metavar="X")
    training.add_argument("--clip", type=not_negative, metavar="X", help="largest gradient norm; 0 for no clipping")
    length = training.add_mutually_exclusive_group()
    length.add_argument("--steps", type=whole, metavar="N", help="batches to train on")
    length.add_argument("--epochs", type=whole, metavar="N", help="or: passes over the training data")
    training.add_argument("--batch-size", type=whole, metavar="N")
    training.add_argument("--window", type=whole, metavar="N", help="steps of a batch; not for names")
    training.add_argument("--dtype", choices=("float32", "float64"), help="(default float32)")
    training.add_argument("--seed", type=seed, metavar="N", help="of weights, batches and split (default 0)")
    training.add_argument("--device", metavar="NAME", help="where the torch side computes (default cpu)")
    files = curves.add_argument_group("data and results")
    files.add_argument(
        "--data",
        metavar="PATH",
        help="your own: a text file, a folder with a .txt file for each class, or a CSV file",
    )
    files.add_argument("--column", metavar="NAME", help="the CSV's column to predict")
    files.add_argument("--out", metavar="DIR", default="results", help="where the results go (default results)")


def whole(text, least=1):
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of at least {least}")
    return int(text)


def seed(text):
    return whole(text, least=0)


def number(text):
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return value


def rate(text):
    if number(text) <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number(text)


def not_negative(text):
    if number(text) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number(text)


def share(text):
    if not 0 <= number(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to below 1")
    return number(text)


def main(arguments):
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = ["curves", *arguments]
    options = parser().parse_args(arguments)
    try:
        configurations = configure(**vars(options))
        from compare import curves  # imports torch: only once the options are known to be good

        return curves.main(configurations, options.out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
