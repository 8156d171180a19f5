"""The command line: `python -m compare`, see --help."""

import argparse
import os
import shlex
import sys
import traceback
import warnings

from compare.options import CELLS, DEFAULTS, LARGEST_BATCH, OPTIMIZERS, REAL_TASKS, TEXT_LSTM, configure
from data import TASKS, UserError
from data.errors import one_line

STATUS = "exit status: 0 they agree, 1 they differ, 2 it could not run and one line says why, 3 a fault of this program"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one line."""

    def error(self, message):
        complain(f"{message}; {self.prog} --help shows what there is")
        self.exit(2)


def parser():
    top = Parser(
        prog="python -m compare",
        description="Train the same network twice, by hand in NumPy and with autograd in torch, and compare. "
        "Without a command: `curves` on the three real tasks.",
        epilog=STATUS,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    add_curves(commands)
    add_gradients(commands)
    add_bench(commands)
    add_exercise(commands)
    add_check(commands)
    add_traps(commands)
    add_page(commands)
    return top


def defaults():
    """Each task's own numbers, a line a task."""
    lines = ["defaults of each task:"]
    for task, s in DEFAULTS.items():
        lines.append(
            f"  {task:7} --cell {s.cell} --hidden {s.hidden} --steps {s.steps} --optimizer {s.optimizer} --lr {s.lr:g}"
            f" --clip {s.clip:g} --batch-size {s.batch_size}" + (f" --window {s.window}" if s.window else "")
        )
    lines.append(f"  (text with --cell lstm: --optimizer {TEXT_LSTM['optimizer']} --lr {TEXT_LSTM['lr']:g})")
    return "\n".join(lines)


def add_curves(commands):
    curves = commands.add_parser(
        "curves",
        help="train both models and draw both training curves and their gap",
        description="Train both models on each TASK and draw both training curves and their gap. "
        "An option that is not given has each task's own default.",
        epilog=f"{defaults()}\n\n{STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    curves.add_argument(
        "tasks",
        nargs="*",
        metavar="TASK",
        help=f"{', '.join(TASKS)} (default: {', '.join(REAL_TASKS)}; memory is the generated adding problem)",
    )
    add_model(curves)
    training = curves.add_argument_group("the training")
    training.add_argument("--optimizer", choices=OPTIMIZERS, help="as in torch.optim")
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
    files.add_argument(
        "--checkpoint-every",
        type=whole,
        metavar="N",
        help="save the run after every N steps (default: as often as takes half a percent of the time)",
    )
    stopped = files.add_mutually_exclusive_group()
    stopped.add_argument(
        "--resume", action="store_true", help="go on with the run that was stopped, where there is one"
    )
    stopped.add_argument("--restart", action="store_true", help="begin again, and lose the run that was stopped")
    curves.set_defaults(run=run_curves)


def add_model(command):
    model = command.add_argument_group("the model")
    model.add_argument("--cell", choices=CELLS, help="the recurrent cell")
    model.add_argument("--layers", type=layers, metavar="N", help="recurrent layers (default 1)")
    model.add_argument("--hidden", type=whole, metavar="N", help="hidden units of a layer and direction")
    model.add_argument(
        "--bidirectional",
        action="store_true",
        default=None,
        help="read from both ends (names and memory only)",
    )


def add_gradients(commands):
    gradients = commands.add_parser(
        "gradients",
        help="compare every gradient of one batch, and draw how they travel through time",
        description="Compare every gradient of one batch of TASK, by hand and by autograd, of the parameters and of "
        "every intermediate. Exits with 1 when one differs. Without --cell: rnn, gru and lstm (with --tape: lstm).",
        epilog=STATUS,
    )
    gradients.add_argument(
        "task", nargs="?", default="memory", metavar="TASK", help=f"{', '.join(TASKS)} (default memory)"
    )
    add_model(gradients)
    batch = gradients.add_argument_group("the batch")
    batch.add_argument("--steps", type=whole, metavar="N", help="steps of the sequences; not for names (default 60)")
    batch.add_argument("--batch-size", type=whole, metavar="N", help="rows; like --hidden, each task's own default")
    batch.add_argument("--dtype", choices=("float32", "float64"), default="float64", help="(default float64)")
    batch.add_argument("--seed", type=seed, metavar="N", help="of weights and batch (default 0)")
    batch.add_argument("--data", metavar="PATH", help="your own, as for curves")
    batch.add_argument("--column", metavar="NAME", help="the CSV's column to predict")
    shown = gradients.add_argument_group("what is shown")
    shown.add_argument("--out", metavar="DIR", default="results", help="where gradients.png goes (default results)")
    other = shown.add_mutually_exclusive_group()
    other.add_argument("--json", action="store_true", help="the table for machines")
    other.add_argument("--tape", action="store_true", help="instead: one step's tape beside the hand-written lines")
    other.add_argument(
        "--mistakes", action="store_true", help="instead: wrong backward passes, and which way of checking sees which"
    )
    gradients.set_defaults(run=run_gradients)


def run_gradients(options):
    if options.tape:
        from compare.gradients import tape_view

        tape_view.main(options.cell or "lstm", options.seed or 0)
        return 0
    if options.mistakes:
        from compare.mistakes import detectors

        return detectors.main()
    if options.steps and options.task == "names":
        raise UserError("names are as long as they are; drop --steps")
    names = ("cell", "layers", "hidden", "bidirectional", "batch_size", "dtype", "seed", "data", "column")
    given = {name: getattr(options, name) for name in names}
    window = options.steps or (60 if options.task != "names" else None)
    if (options.batch_size or 1) * (window or 1) > LARGEST_BATCH:
        raise UserError(f"a batch of more than {LARGEST_BATCH} steps; use a smaller --batch-size or --steps")
    (settings,) = configure([options.task], window=window, **given)
    from compare.gradients import table

    cells = [options.cell] if options.cell else ["rnn", "gru", "lstm"]
    return table.main(settings, cells, options.out, options.json)


def add_bench(commands):
    bench = commands.add_parser(
        "bench",
        help="time a training step, by hand and in torch, and measure its memory",
        description="Time a training step of every cell at five sizes, scratch and torch in turn, and measure the "
        "memory of long sequences. Takes three to four minutes; leave the machine alone meanwhile.",
        epilog="exit status: 0, or 2 when it could not run and one line says why",
    )
    bench.add_argument("--quick", action="store_true", help="two sizes and short sequences: half a minute")
    bench.add_argument("--tricks", action="store_true", help="instead: a step without each of the tricks, one by one")
    bench.add_argument("--json", action="store_true", help="print the figures for machines")
    bench.add_argument("--out", metavar="DIR", default="results", help="where bench.png goes (default results)")
    bench.set_defaults(run=run_bench)


def run_bench(options):
    from compare.bench import timing

    return timing.main(options.out, options.quick, options.json, options.tricks)


def add_exercise(commands):
    exercise = commands.add_parser(
        "exercise",
        help="thirteen backward passes to write yourself, easy to hard",
        description="Without NAME: list the exercises. With NAME: write NAME.py, with one piece to be written by you, "
        "into this folder (never over a file that is there).",
        epilog="exit status: 0, or 2 when it could not run and one line says why",
    )
    exercise.add_argument("name", nargs="?", metavar="NAME", help="one of the list")
    what = exercise.add_mutually_exclusive_group()
    what.add_argument("--hint", action="store_true", help="a hint instead of the file; again for the next one")
    what.add_argument(
        "--solution", action="store_true", help="print the model solution, which is the project's own code"
    )
    what.add_argument("--progress", action="store_true", help="check what is here: what is solved, and what is next")
    exercise.set_defaults(run=run_exercise)


def run_exercise(options):
    from compare.learner import exercise

    return exercise.main(options.name, options.hint, options.solution, options.progress)


def add_check(commands):
    check = commands.add_parser(
        "check",
        help="check a backward pass of your own: which line is wrong, and why",
        description="Run the functions of FILE on small random problems and say whether what they return is right; "
        "if not, which line is wrong, at which step, what belongs there and what you probably did. Any style will do: "
        "functions or a class, NumPy or torch tensors without autograd, your own names. A folder is graded file by "
        "file.",
        epilog="exit status: 0 it is right, 1 it is wrong, 2 it could not run",
    )
    check.add_argument("file", metavar="FILE", help="a Python file, or a folder of them")
    check.add_argument(
        "--exercise", metavar="NAME", help="which exercise it is, if neither its first lines nor its name say so"
    )
    check.add_argument("--watch", action="store_true", help="check again whenever the file is saved")
    check.add_argument("--json", action="store_true", help="everything, for a program")
    check.add_argument("--seconds", type=whole, default=10, metavar="N", help="what it may take (default 10)")
    check.set_defaults(run=run_check)


def run_check(options):
    from compare.learner import check

    return check.main(options.file, options.exercise, options.json, options.watch, options.seconds)


MATCH = """\
Your own run must start from the same weights and read the same batches as one of these:
- a run of `curves`: give its history.csv, or put your file beside it; its checkpoint says how it was made;
- a task's defaults: name the TASK. The weights are in results/traps/TASK.safetensors, and the batches in
  compare.model_pair.load(compare.traps.catalogue.reference(TASK)).train_batches(epoch)"""


def add_traps(commands):
    traps = commands.add_parser(
        "traps",
        help="change one convention at a time and see how the curve differs; find the one that yours follows",
        description="Train the hand-written model with one convention changed at a time, beside the true one, and "
        "draw the gaps: half a minute.\nWith TASK: that task's run, and all that apply to it. With --match: say which "
        "of them your own run follows.",
        epilog=f"{MATCH}\n\n{defaults()}\n\n"
        "exit status: 0, with --match 1 when yours is not the true curve; 2 it could not run and one line says why",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    traps.add_argument("task", nargs="?", metavar="TASK", help=f"{', '.join(TASKS)} (default: the three real ones)")
    traps.add_argument(
        "--match", metavar="FILE.csv", help="losses of your own run, and a column step if not of all steps"
    )
    traps.add_argument("--column", metavar="NAME", help="the column of the losses (default loss)")
    traps.add_argument("--steps", type=whole, metavar="N", help="to train and compare (default 60)")
    traps.add_argument("--out", metavar="DIR", default="results", help="where traps.png goes (default results)")
    traps.set_defaults(run=run_traps)


def run_traps(options):
    if options.task not in (None, *TASKS):
        raise UserError(f"there is no task {options.task!r}; choose from {', '.join(TASKS)}")
    if options.column and not options.match:
        raise UserError("--column names a column of the file of --match; add that, or drop it")
    steps = {"steps": options.steps} if options.steps else {}
    if options.match:
        from compare.traps import match

        return match.main(options.match, options.task, options.column, **steps)
    from compare.traps import catalogue

    return catalogue.main(options.task, options.out, **steps)


def add_page(commands):
    page = commands.add_parser(
        "page",
        help="write a page to read: each cell beside its torch twin, with the numbers of every step",
        description="Write one HTML file that lays each cell by hand beside its torch twin, line against line, with "
        "the equations between them and the numbers of every step. Open it in any browser; it needs no network.",
        epilog="exit status: 0, or 2 when it could not run and one line says why",
    )
    page.add_argument("--out", metavar="DIR", default="results", help="where page.html goes (default results)")
    page.set_defaults(run=run_page)


def run_page(options):
    from compare.page import build

    return build.main(options.out)


def run_curves(options):
    configurations = configure(**vars(options))
    from compare.curves import training  # imports torch: only once the options are known to be good

    given = [word for word in options.arguments if not word.startswith("--res")]  # neither --resume nor --restart
    again = shlex.join(["python", "-m", "compare", *given, "--resume"])
    return training.main(configurations, options.out, options.checkpoint_every, options.resume, options.restart, again)


LARGEST = 10**9  # of whole numbers: enough for anything that ends, and nothing overflows
MOST_LAYERS = 1000  # a million of one unit each would be few weights, and take minutes to set up
HIGHEST = 1e30  # of others: float32 ends at 3e38


def whole(text, least=1, most=LARGEST):
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} to {most}")
    return int(text)


def layers(text):
    return whole(text, most=MOST_LAYERS)


def seed(text):
    return whole(text, least=0)


def number(text, what, fits):
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (abs(value) <= HIGHEST and fits(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a number {what}")
    return value


def rate(text):
    return number(text, f"above 0, at most {HIGHEST:g}", lambda value: value > 0)


def not_negative(text):
    return number(text, f"from 0 to {HIGHEST:g}", lambda value: value >= 0)


def share(text):
    return number(text, "from 0 to below 1", lambda value: 0 <= value < 1)


def main(arguments):
    """Run a command; returns the exit status. 3, a fault of this program, is the only one with a traceback."""
    if not arguments or arguments[0] in TASKS or (arguments[0][:1] == "-" and arguments[0] not in ("-h", "--help")):
        arguments = ["curves", *arguments]
    if sys.stdout is None:  # closed, as `>&-` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character must not stop a run
    options = parser().parse_args(arguments)
    options.arguments = arguments
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # what overflows ends the run with a sentence of our own,
            warnings.simplefilter("ignore", UserWarning)  # and so does a device that torch only warns of
            status = options.run(options)
        sys.stdout.flush()
        return status
    except UserError as error:
        complain(error)
    except MemoryError:
        complain("not enough memory; use a smaller --hidden, --layers, --batch-size or --window")
    except BrokenPipeError:  # whoever read our output has gone, as `| head` does; nothing is wrong
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        complain(f"{error.filename or 'the terminal'}: {error.strerror}")
    except KeyboardInterrupt:
        complain("stopped")
    except Exception:
        traceback.print_exc()
        return 3
    return 2


def complain(message):
    print("error:", one_line(message), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
