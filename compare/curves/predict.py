"""`byhand predict`: ask both models of a finished run."""

from argparse import REMAINDER, ArgumentTypeError
from pathlib import Path

import numpy as np
import rich
import torch
from rich import box
from rich.markup import escape
from rich.table import Table

from compare import files, model_pair
from compare.curves import ahead, sample_text, stopped_run
from compare.curves.plot_predictions import agree
from compare.options import STATUS, whole
from data import UserError
from data.labelled import pad

DESCRIPTION = """\
Ask both models of a finished run: the class of a name or of a sequence of
values, how a text goes on, the next N values of a series.

  byhand predict results/names Kowalczyk
  byhand predict results/text "The value of"
  byhand predict results/series 24"""

MOST_CLASSES = 5  # in the table
LENGTH = 300  # tokens of a continuation
STEPS = 12  # of a series, unless the user says how many


def add_arguments(parser):
    parser.epilog = STATUS
    parser.add_argument("folder", metavar="DIR", help="the folder of a task's run, such as results/names")
    # REMAINDER, because a sequence of values may begin with a minus sign
    parser.add_argument("input", nargs=REMAINDER, metavar="INPUT", help="a name, values, the start of a text, or N")


def run(options):
    path = Path(options.folder) / "checkpoint.safetensors"
    pair, settings = files.open_checkpoint(path), files.open_settings(path)
    dataset = model_pair.load(settings)
    if stopped_run.fingerprint(dataset) != files.fingerprint_of(path):
        raise UserError(f"{path} was trained on other data (they have changed since); train again")
    if model_pair.model_of(settings, dataset) != pair.model:
        raise UserError(f"{path} holds another model than its settings describe; train again")
    ask = {"names": classes, "digits": classes, "text": continuation, "series": next_values}.get(settings.task)
    if ask is None:
        raise UserError(f"the sequences of {settings.task} are generated, so there is nothing to ask")
    with torch.no_grad():
        words, same = ask(pair, dataset, " ".join(options.input), settings)
    print(f"scratch and torch: {words}")
    return 0 if same else 1


# Each prints what both models answer; it returns in words whether they agree, and if they do.


def classes(pair, dataset, text, settings):
    """The most probable classes of a sequence."""
    sequence = dataset.encode(text)
    if not len(sequence):
        raise UserError(f"give the {dataset.entry} to classify: byhand predict DIR {dataset.entry.upper()}")
    batch = pad([sequence], np.zeros(1, np.int64))
    logits = [np.asarray(model.logits(batch.inputs, batch.lengths)[0]) for model in (pair.scratch, pair.torch)]
    exp = [np.exp(side[0].astype(np.float64) - side.max()) for side in logits]
    ours, theirs = (side / side.sum() for side in exp)
    rows = [(dataset.classes[k], f"{ours[k]:.4f}", f"{theirs[k]:.4f}") for k in np.argsort(-ours)[:MOST_CLASSES]]
    show("class", rows)
    return agree(logits[:1], logits[1:])


def continuation(pair, dataset, text, settings):
    """How a text goes on."""
    ours, theirs = sample_text.both(pair, dataset, settings.seed, LENGTH, dataset.encode(text) if text else None)
    place = sample_text.first_difference(ours, theirs)
    print(text + ours)
    if place is None:
        return "the same text", True
    print(f"--- torch:\n{text + theirs}")
    return f"the same text up to character {place}", False


def next_values(pair, dataset, text, settings):
    """The values after the last one of a series."""
    try:
        steps = whole(text, most=10_000) if text else STEPS
    except ArgumentTypeError as error:
        raise UserError(f"after DIR give the number of steps: {error}") from None
    if settings.inputs and steps > 1:
        raise UserError("after the next step --inputs are not known; ask for 1 step, or train without them")
    last = np.array([len(dataset.values) - 1])
    outputs = ahead.both(pair, dataset, last, steps)
    ours, theirs = (dataset.ahead(side, last)[:, 0] for side in outputs)
    names = dataset.columns[: dataset.output_size]
    for k, name in enumerate(names):
        rows = [(str(step + 1), f"{ours[step, k]:.6g}", f"{theirs[step, k]:.6g}") for step in range(steps)]
        show(f"steps after {dataset.labels[-1]}: {name}", rows)
    return agree([outputs[0]], [outputs[1]])


def show(what, rows):
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(escape(what), max_width=50)
    for side in ("scratch", "torch"):
        table.add_column(side, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    rich.print(table)
