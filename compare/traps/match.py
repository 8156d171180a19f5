"""`byhand traps --match FILE`: whose curve does the loss of somebody's own run follow?"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rich
import safetensors
import torch
from rich.markup import escape
from rich.table import Table

from compare.curves.training import AGREEMENT
from compare.mistakes.catalogue import MISTAKES
from compare.mistakes.plant import planted
from compare.options import Settings
from compare.traps.catalogue import STEPS, TRAPS, display, prepared, reference, train
from data import TASKS, UserError, table

FEWEST = 3  # steps: before the third, a state that is not cut cannot show
TRUE = "no trap: the true curve"


@dataclass(frozen=True)
class Curve:
    """Somebody's losses (N,), the steps (N,), from 1, at which they were taken, and the last digit that is written."""

    name: str
    steps: np.ndarray
    losses: np.ndarray
    digit: float


def main(path, task=None, column=None, steps=STEPS):
    """Say of each column of losses in a file whether it follows the true curve, a trap's, or neither.

    task: whose defaults the run was made with, None to read that from the checkpoint beside the file; column: None for
    `loss`, or for both sides of a history.csv; steps: how many to compare.
    Returns the exit status: 0 when all of them are true. Raises UserError for a file that cannot be used.
    """
    curves = read(path, column, steps)
    settings = settings_of(path, task)
    torch.set_num_threads(1)
    with display() as progress:
        twins = train(settings, max(int(curve.steps[-1]) for curve in curves), progress)
    apart = twins.shows(twins.torch)
    if apart:
        raise UserError(
            f"scratch and torch themselves part at step {apart} here, so there is no true curve; "
            "take back what was changed in them, or use a smaller learning rate"
        )
    return max([judge(curve, twins) for curve in curves])


def judge(curve, twins):
    """Print which curves are how near, and the verdict. Returns 0 for the true curve, 1 for any other."""
    curve = in_torchs_unit(curve, twins)
    titles = {trap.title: trap for trap in TRAPS if trap.name in twins.trapped}
    known = {TRUE: twins.true} | {title: twins.trapped[trap.name] for title, trap in titles.items()}
    unseen = [title for title in titles if twins.shows(known[title]) is None]
    off = {title: relative(curve, losses).max() for title, losses in known.items() if title not in unseen}
    best = min(off, key=off.get)
    allowed = max(AGREEMENT["float32"], curve.digit)
    rounding = rounding_of(curve, off[best], allowed, relative(curve, twins.true)[0])
    fits = [title for title in sorted(off, key=off.get) if off[title] <= min(rounding, allowed)]
    parts = {title: first(relative(curve, known[title]) > rounding, curve.steps) for title in off}
    rich.print(ranking(curve, off, parts, fits))
    if unseen:
        print(f"does not show within {len(twins.true)} steps of this run: {', '.join(unseen)}")

    if TRUE in fits:
        told = " as far as can be told" if len(fits) > 1 else ""
        print(f"{curve.name}: this is the true curve{told}, off by at most {off[TRUE]:.1e}")
        as_near = [title for title in fits if title != TRUE]
    elif fits:
        trap = titles[best]
        print(f"{curve.name}: fits {best!r}, off by at most {off[best]:.1e}")
        print(f"{trap.why} To mend it, {trap.mend}.")
        as_near = fits[1:]
    else:
        print(
            f"{curve.name}: none of the traps fits; the nearest is {best!r}, off by {off[best]:.1e}. "
            "(Two traps at once are not tried.)"
        )
        as_near = []
        wrong = mistakes_that_fit(curve, twins, allowed)
        for mistake in wrong:
            print(f"But a mistake of the catalogue fits: {mistake.name} in {mistake.file}.py. {mistake.why}")
        if not wrong:
            print(hint(parts[TRUE]))
    if as_near:
        print(f"Within rounding, too: {', '.join(as_near)}. More digits, more steps or float64 may tell them apart.")
    return 0 if TRUE in fits else 1


def rounding_of(curve, best, allowed, at_first):
    """How far two curves may be apart from this one and count as equally near.

    best: how far the nearest curve is off; at_first: how far the true one is off at the first step. What the written
    digits do not explain of `best` is rounding of the arithmetic, float32's or float64's, and may be ten times as much
    elsewhere. When no curve is near, it is float64's where the first loss agrees so well, else what is `allowed`.
    """
    if best <= allowed:
        return curve.digit + 10 * max(0, best - curve.digit) + AGREEMENT["float64"]
    return AGREEMENT["float64"] if max(at_first, curve.digit) <= AGREEMENT["float64"] else allowed


def hint(step):
    """Where to look, from the step at which a curve leaves the true one."""
    if step == 1:
        return (
            "It differs at step 1, before any update: other first weights, another first batch, or another forward "
            "pass or loss. Numbers drawn from another seed look like this, and no trap can foresee them."
        )
    if step == 2:
        return (
            "It is true at step 1 and differs from step 2 on: the forward pass is right, the first update is not. "
            "Compare the gradients of the first batch, then the clipping, then the optimizer's step."
        )
    return (
        f"It is true up to step {step - 1}: so are the forward pass and the first update. What differs comes with "
        "later steps: what an optimizer keeps, a gradient that is clipped, a batch that is shorter."
    )


def relative(curve, losses):
    """How far the curve is off these losses (steps,) at each of its steps, as a share of a loss above 1. (N,)"""
    losses = losses[curve.steps - 1]
    off = np.abs(curve.losses - losses) / np.maximum(1, np.abs(losses))
    return np.where(np.isnan(off), np.inf, off)


def first(wrong, steps):
    return int(steps[wrong.argmax()]) if wrong.any() else None


def in_torchs_unit(curve, twins):
    """The curve as torch's default losses would be: means over all targets, in nats, of whole squares.

    When its first loss is the true one times a factor that people use, divide by that, and say so.
    """
    batches = [batch for batch, _ in zip(train_batches(twins.dataset), twins.true, strict=False)]
    targets = np.array([batch.targets.size for batch in batches])[curve.steps - 1]
    rows = np.array([batch.inputs.shape[1] for batch in batches])[curve.steps - 1]
    units = {"sums over the targets": targets, "sums over the rows": rows, "sums over the steps": targets / rows}
    if batches[0].targets.dtype.kind in "iu":
        units["in bits"] = np.full(len(rows), 1 / np.log(2))
    else:
        units["half squares"] = np.full(len(rows), 0.5)
    true = twins.true[curve.steps[0] - 1]
    for name, factors in units.items():
        if factors[0] != 1 and abs(curve.losses[0] / factors[0] - true) <= max(1e-5 * true, curve.digit / factors[0]):
            print(f"{curve.name}: these losses are {name}; divided by {factors[0]:.6g} at the first step")
            return replace(curve, losses=curve.losses / factors, digit=curve.digit / factors.min())
    return curve


def train_batches(dataset):
    epoch = 0
    while True:
        yield from dataset.train_batches(epoch)
        epoch += 1


def mistakes_that_fit(curve, twins, allowed):
    """The mistakes of compare/mistakes/ whose curve this one follows; each is trained until the two part."""
    last = int(curve.steps[-1])
    losses = dict(zip(curve.steps.tolist(), curve.losses.tolist(), strict=True))
    known = {trap.mistake for trap in TRAPS}
    cells = {"rnn", "gru", "lstm"} - {twins.settings.cell.removesuffix("_relu")}
    tried = [mistake for mistake in MISTAKES if mistake not in known and mistake.file not in cells]
    fitting = []
    with display() as progress:
        bar = progress.add_task("wrong backward passes, compare/mistakes/catalogue.py", total=len(tried), status="")
        for mistake in tried:
            progress.update(bar, advance=1, status=mistake.name)
            run = prepared(twins.settings, twins.dataset, last, planted(mistake))
            try:
                if all(near(loss, losses.get(step), allowed) for step, loss in enumerate(run, start=1)):
                    fitting.append(mistake)
            except ValueError:  # a gradient of the wrong shape does not train
                continue
    return fitting


def near(loss, theirs, allowed):
    return theirs is None or abs(loss - theirs) <= allowed * max(1, abs(loss))


def ranking(curve, off, parts, fits):
    """A rich Table of the curves by their distance from this one."""
    result = Table(title=f"{escape(curve.name)}: {len(curve.losses)} losses, and whose they are", title_justify="left")
    result.add_column("curve", no_wrap=True)
    result.add_column("off by at most", justify="right")
    result.add_column("parts at step", justify="right")
    result.add_column("verdict")
    for title in sorted(off, key=off.get):
        parts_at = "" if parts[title] is None else str(parts[title])
        result.add_row(title, f"{off[title]:.1e}", parts_at, "fits" if title in fits else "")
    return result


# ---- the file -------------------------------------------------------------------------------------------------------


def settings_of(path, task):
    """The Settings of the run: from the checkpoint beside the file if there is one, else the defaults of `task`."""
    checkpoint = Path(path).parent / "checkpoint.safetensors"
    if not checkpoint.exists():
        if task is None:
            raise UserError(
                f"{path}: which run should it equal? name the task whose defaults it was made with "
                f"({', '.join(TASKS)}), or put it into the folder of a run"
            )
        return reference(task)
    try:
        with safetensors.safe_open(checkpoint, framework="numpy") as file:
            settings = Settings(**json.loads(file.metadata()["settings"]))
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(f"{checkpoint} is not a checkpoint of this project ({error}); run `curves` again") from error
    if task not in (None, settings.task):
        raise UserError(f"{path} lies beside a run of {settings.task}; drop {task}, or move the file elsewhere")
    return replace(settings, dtype="float64", device="cpu")


def read(path, column=None, most=STEPS):
    """The Curves of a CSV file, up to step `most`. Raises UserError for a file that has none.

    The column `step`, if there is one, is counted from 0 or from 1; else the rows are steps 1, 2, 3. Of a history.csv
    the rows of the training count.
    """
    header, rows = table.read_table(path)
    rows = list(rows)
    if "split" in header:
        rows = [(line, row) for line, row in rows if table.cell(row, header.index("split")) == "train"]
    if column is None:
        columns = ["loss"] if "loss" in header else ["scratch", "torch"]
        if not set(columns) <= set(header):
            raise UserError(f"{path}: has no column 'loss'; name yours with --column, one of: {table.listed(header)}")
    else:
        columns = [column]
    for name in {*columns, "step"} & {name for name in header if header.count(name) > 1}:
        raise UserError(f"{path}: has {header.count(name)} columns named {name!r}; rename all but one")
    if not set(columns) <= set(header):
        raise UserError(f"{path}: has no column {column!r}; its columns are: {table.listed(header)}")

    def values(name):
        index = header.index(name)
        return np.array([table.finite(path, line, name, table.cell(row, index)) for line, row in rows])

    steps = values("step") if "step" in header else np.arange(1.0, len(rows) + 1)
    if (steps != steps.round()).any() or (steps < 0).any() or (np.diff(steps) <= 0).any():
        raise UserError(f"{path}: the column 'step' must count upwards in whole numbers; log a step once")
    steps = steps + (len(steps) > 0 and steps[0] == 0)
    within = steps <= most
    if within.sum() < FEWEST:
        raise UserError(
            f"{path}: has {within.sum()} losses of the first {most} steps; {FEWEST} are the fewest, log each"
        )
    curves = []
    for name in columns:
        losses = values(name)
        curves.append(Curve(f"{path}, {name}", steps[within].astype(int), losses[within], last_digit(losses)))
    return curves


def last_digit(values):
    """By how much rounding to the written decimals may have moved a value: 5e-5 for four, 0 for twelve or more."""
    for decimals in range(12):
        if all(float(f"{value:.{decimals}f}") == value for value in values):
            return 0.51 * 10.0**-decimals
    return 0.0
