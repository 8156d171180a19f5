"""The user's own curve: losses read from a CSV file, and the settings of the run that it is to be compared with."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compare import files
from compare.options import Settings
from compare.traps.training import STEPS, reference
from data import TASKS, UserError, table
from data.errors import printable

FEWEST = 3  # steps: before the third, a state that is not detached makes no difference


@dataclass(frozen=True)
class OwnCurve:
    """Losses (N,) of a user's run, and the steps (N,), from 1, at which they were logged.

    digit: how much rounding to the decimals in the file may have changed a loss.
    """

    name: str
    steps: np.ndarray
    losses: np.ndarray
    digit: float


def settings_of(path: str, task: str | None) -> Settings:
    """The settings of the run: from the checkpoint next to the file if there is one, else the defaults of `task`.

    Raises UserError if neither says how the run was made.
    """
    checkpoint = Path(path).parent / "checkpoint.safetensors"
    if not checkpoint.exists():
        if task is None:
            raise UserError(
                f"{path}: which run should it follow? name the task whose defaults you used ({', '.join(TASKS)}), "
                "or put the file into the folder of a run"
            )
        return reference(task)
    settings = files.open_settings(checkpoint)
    if task not in (None, settings.task):
        raise UserError(f"{path} is in the folder of a run of {settings.task}; drop {task}, or move the file elsewhere")
    return replace(settings, dtype="float64", device="cpu")


def read(path: str, column: str | None = None, most: int = STEPS) -> list[OwnCurve]:
    """The curves of a CSV file up to step `most`: one, or both models' of a history.csv.

    column: the one with the losses, None for `loss`. A column `step` counts from 0 or from 1; without it the rows are
    steps 1, 2, 3. Of a history.csv only the training losses count. Raises UserError for a file that cannot be used.
    """
    header, rows, delimiter = table.read_table(path)
    rows = list(rows)
    for name, wanted in (("split", "train"), ("metric", "loss")):
        if "split" in header and name in header:
            rows = [(line, row) for line, row in rows if table.cell(row, header.index(name)) == wanted]

    def values(name):
        index = table.index_of(path, header, name)
        lines, cells = [line for line, _ in rows], [table.cell(row, index) for _, row in rows]
        table.refuse_missing(path, name, lines, cells)
        return table.numbers(path, name, lines, cells, delimiter)

    columns = {name: values(name) for name in loss_columns(path, header, column)}
    steps = values("step") if "step" in map(str.casefold, header) else np.arange(1.0, len(rows) + 1)
    if (steps != steps.round()).any() or (steps < 0).any() or (np.diff(steps) <= 0).any():
        raise UserError(f"{path}: the column 'step' must count upwards in whole numbers; log each step once")
    steps = steps + (len(steps) > 0 and steps[0] == 0)
    within = steps <= most
    if within.sum() < FEWEST:
        raise UserError(f"{path}: has {within.sum()} losses in the first {most} steps; log at least {FEWEST}")
    steps = steps[within].astype(int)
    names = [printable(f"{path}, {name}") for name in columns]
    return [OwnCurve(n, steps, c[within], digit_of(c)) for n, c in zip(names, columns.values(), strict=True)]


def loss_columns(path, header, column):
    """The names of the columns with losses."""
    if column is not None:
        return [column]
    if "loss" in map(str.casefold, header):
        return ["loss"]
    if {"scratch", "torch"} <= set(header):
        return ["scratch", "torch"]
    raise UserError(f"{path}: has no column 'loss'; name yours with --column, one of: {table.listed(header)}")


def digit_of(losses):
    """How much rounding to the written decimals may have changed a loss: 5e-5 for four, 0 for twelve or more."""
    for decimals in range(12):
        if all(float(f"{loss:.{decimals}f}") == loss for loss in losses):
            return 0.51 * 10.0**-decimals
    return 0.0
