"""The command line: `torchrun --nproc-per-node N -m torch_impl TASK`, see --help."""

import argparse
import os
import sys
import time
from math import isfinite

import numpy as np
import torch
import torch.distributed as dist

import data
from data import TASKS, UserError
from torch_impl import distributed, evaluate
from torch_impl.model import SequenceModel

# The numbers of compare/options.py, which this package does not import; a test holds them equal.
DEFAULTS = {
    "text": dict(cell="gru", hidden=128, steps=1500, lr=0.001, batch_size=64, window=16),
    "names": dict(cell="lstm", hidden=128, steps=1000, lr=0.0015, batch_size=64),
    "series": dict(cell="rnn", hidden=32, steps=1000, lr=0.001, batch_size=32, window=96),
    "memory": dict(cell="gru", hidden=64, steps=1500, lr=0.001, batch_size=32, window=30),
}
OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
MOST_PARAMETERS = 10**8  # half a gigabyte for the weights alone, in float32; the gradients and Adam keep as much again
LARGEST_BATCH = 10**7  # steps x rows
LINES = 20  # how many lines of progress a run prints


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that complains as everything else does."""

    def error(self, message):
        raise UserError(f"{message}; {self.prog} --help shows what there is")


def parser():
    described = "\n".join(
        f"  {task:7}" + "".join(f" --{name.replace('_', '-')} {value}" for name, value in defaults.items())
        for task, defaults in DEFAULTS.items()
    )
    top = Parser(
        prog="python -m torch_impl",
        usage="torchrun --nproc-per-node N -m torch_impl TASK [options]",
        description="Train the torch model in N processes, each on its share of every batch;\n"
        "`python -m torch_impl TASK [options]` does it in one.\n"
        "An option that is not given has each task's own default.",
        epilog=f"defaults of each task:\n{described}\n\n"
        "The processes compute on a GPU each where there are enough of them, or else all on the CPU, with one thread\n"
        "unless OMP_NUM_THREADS says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("task", choices=TASKS, metavar="TASK", help=", ".join(TASKS))
    top.add_argument("--cell", choices=("rnn", "rnn_relu", "gru", "lstm"), help="the recurrent cell")
    top.add_argument("--hidden", type=hidden, metavar="N", help="hidden units of a layer and direction")
    top.add_argument("--layers", type=layers, metavar="N", default=1, help="recurrent layers (default 1)")
    top.add_argument("--bidirectional", action="store_true", help="read from both ends (names and memory only)")
    top.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="adam", help="(default adam)")
    top.add_argument("--lr", type=rate, metavar="X", help="learning rate")
    top.add_argument("--clip", type=limit, metavar="X", default=1.0, help="largest gradient norm, 0: none (default 1)")
    top.add_argument("--steps", type=whole, metavar="N", help="batches to train on")
    top.add_argument("--batch-size", type=whole, metavar="N", help="rows of a batch, of all processes together")
    top.add_argument("--window", type=whole, metavar="N", help="steps of a batch; not for names")
    top.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="(default float32)")
    top.add_argument("--seed", type=seed, metavar="N", default=0, help="of weights, batches and split (default 0)")
    top.add_argument("--data", metavar="PATH", help="your own: a text file, a folder of .txt files, or a CSV file")
    top.add_argument("--column", metavar="NAME", help="the CSV's column to predict")
    top.add_argument("--history", metavar="FILE.csv", help="write step,loss there")
    return top


def whole(text, least=1, most=10**9):
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} to {most}")
    return int(text)


def seed(text):
    return whole(text, least=0)


def hidden(text):
    return whole(text, most=10**6)  # beyond it torch's own sizes overflow


def layers(text):
    return whole(text, most=1000)  # a million of one unit each would be few weights, and take minutes to set up


def limit(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e30:  # float32 ends at 3e38
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1e30")
    return value


def rate(text):
    if limit(text) == 0:
        raise argparse.ArgumentTypeError("a rate of 0 learns nothing")
    return limit(text)


def prepare(arguments, device):
    """Options, dataset and model. Raises UserError, or OSError of the history's file, for what cannot be used."""
    options = parser().parse_args(arguments)
    for name, value in DEFAULTS[options.task].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    if options.bidirectional and options.task in ("text", "series"):
        raise UserError(
            f"--bidirectional reads the next step before {options.task} must predict it; use it with names or memory"
        )
    if options.batch_size * (options.window or 1) > LARGEST_BATCH:
        raise UserError(f"a batch of more than {LARGEST_BATCH} steps; use a smaller --batch-size or --window")
    dataset = data.load(
        options.task,
        options.data,
        column=options.column,
        seed=options.seed,
        batch_size=options.batch_size,
        window=options.window,
        dtype=np.dtype(options.dtype),
    )
    arguments = dict(
        cell=options.cell,
        output_size=dataset.output_size,
        hidden_size=options.hidden,
        num_layers=options.layers,
        bidirectional=options.bidirectional,
        vocab_size=dataset.vocab_size,
        input_size=dataset.input_size,
        predict=dataset.predict,
        dtype=getattr(torch, options.dtype),
    )
    parameters = sum(p.numel() for p in SequenceModel(**arguments, device="meta").parameters())  # takes no memory
    if parameters > MOST_PARAMETERS:
        raise UserError(f"{parameters:.1g} parameters are too many to train here; use a smaller --hidden or --layers")
    torch.manual_seed(options.seed)
    model = SequenceModel(**arguments, device=device)
    if options.history is None or dist.get_rank() > 0:
        options.history = os.devnull
    with open(options.history, "w", encoding="utf-8") as file:
        file.write("step,loss\n")
    return options, dataset, model


def train(options, dataset, model):
    """Train and report. All processes take every step and agree on going on whenever there is something to report."""
    optimizer = OPTIMIZERS[options.optimizer](model.parameters(), lr=options.lr)
    every = max(1, options.steps // LINES)
    size, place = dist.get_world_size(), next(model.parameters()).device.type
    title = f"{options.task}, {options.cell} {options.layers} x {options.hidden}, processes: {size} on {place}"
    distributed.all_or_none(report, options, title)
    start, rows = time.perf_counter(), []
    for record in distributed.fit(model, dataset, optimizer, options.steps, options.clip or None):
        rows.append(f"{record.step},{record.loss}")
        if record.step % every == 0 or record.step == options.steps or not isfinite(record.loss):
            line = f"step {record.step:>{len(str(options.steps))}}  loss {record.loss:.4f}"
            distributed.all_or_none(report, options, line, rows)
            rows.clear()
        must_be_finite(options, record.step, "loss", record.loss)
        must_be_finite(options, record.step, "gradient norm", record.grad_norm)
    seconds = time.perf_counter() - start
    distributed.all_or_none(conclude, options, dataset, model, seconds)


def report(options, line, rows=()):
    """A line on the terminal, and what the history has not got yet."""
    print(line, flush=True)
    with open(options.history, "a", encoding="utf-8") as file:
        file.writelines(f"{row}\n" for row in rows)


def conclude(options, dataset, model, seconds):
    """The held-out metric beside the baselines', which process 0 takes alone."""
    if dist.get_rank() > 0:
        return
    value, _ = evaluate(model, dataset)
    must_be_finite(options, options.steps, dataset.metric, value)
    print(f"{options.steps} steps in {seconds:.1f} s; held out: {dataset.metric}, {dataset.better} is better")
    for label, figure in {"this model": value, **dataset.baselines}.items():
        print(f"  {figure:<9.5g} {label}", flush=True)


def must_be_finite(options, step, what, value):
    if not isfinite(value):
        raise UserError(f"the {what} became {value} at step {step}; try a smaller --lr (now {options.lr}) or --clip 1")


def main(arguments):
    """Train as the arguments say; returns the exit status."""
    if sys.stdout is None:  # closed, as `>&-` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    device = distributed.join()
    if dist.get_rank() > 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # process 0 speaks for all
    sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a character must not stop a run
    try:
        train(*distributed.all_or_none(prepare, arguments, device))
        return 0
    except UserError as error:
        return fail(error)
    except KeyboardInterrupt:
        return fail("stopped")
    except (MemoryError, RuntimeError) as error:  # torch has no exception of its own for a full memory on the CPU
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):
            raise
        return fail("not enough memory; use a smaller --hidden, --layers, --batch-size or --window")
    finally:
        dist.destroy_process_group()


def fail(message):
    """Process 0 says what is wrong, and its exit status is the run's.

    The others end as if all were well: were one of them to report a failure first, torchrun would stop process 0
    before it has said anything.
    """
    if dist.get_rank() > 0:
        return 0
    print("error:", " ".join(str(message).split()), file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
