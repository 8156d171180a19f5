"""Every gradient of one batch, by hand and by autograd: a table of the errors, and gradients.png."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import rich
import torch
from rich import box
from rich.markup import escape
from rich.table import Table

import scratch
from compare import files, model_pair
from compare.agreement import ALLOWED_EPS, difference, in_eps, least_size
from compare.gradients import plot
from compare.gradients.collect import by_hand, by_torch
from compare.gradients.through_time import GradientFlow, flow, variants
from compare.options import Settings
from data import Batch

CAPTION = f"""\
error in eps: the largest error in units of machine epsilon times the largest
entry (for dh, dc, da, du, dv: the largest of the same step). Up to {ALLOWED_EPS} counts
as rounding."""


@dataclass(frozen=True)
class Row:
    """One gradient: autograd's largest entry, and how far the one by hand is from it (None when the shapes differ)."""

    name: str
    shape: tuple
    largest: float
    error: float | None  # the largest absolute error
    error_in_eps: float | None  # see CAPTION
    verdict: str  # "identical" (bit for bit), "within rounding" or "differs"
    problem: str | None  # where and by how much it differs, in a few lines


def main(settings: Settings, cells: Iterable[str], out: str) -> int:
    """Compare the gradients of one batch for each of `cells`; draw the picture. Returns 0, or 1 when one differs."""
    torch.set_num_threads(1)
    dataset = model_pair.load(settings)
    batch = next(iter(dataset.train_batches(0)))
    models = {cell: model_pair.model_of(replace(settings, cell=cell), dataset) for cell in cells}
    path = files.folder(out) / "gradients.png"
    rows, flows = {}, []
    for cell, model in models.items():
        rows[cell], more = examine(cell, model, settings, batch)
        flows += more
    steps, B = batch.inputs.shape[:2]
    reads = "only the last step" if dataset.predict == "last" else "every step"
    about = f"{steps} steps, {B} rows, {settings.dtype}"
    plot.draw(path, flows, f"task {settings.task}, {about}, untrained; the loss reads {reads}")
    for cell, model in models.items():
        show(rows[cell], f"{cell} {model['num_layers']} x {model['hidden_size']} on {settings.task}: {about}")
    conclude(rows, path)
    return 1 if wrong_cells(rows) else 0


def examine(cell: str, model: dict, settings: Settings, batch: Batch) -> tuple[list[Row], list[GradientFlow]]:
    """The rows of the table, for the initial weights, and what the picture shows, for these and a variant of them."""
    rows, flows = None, []
    both = model_pair.build(model, settings.dtype, settings.seed)
    for name, weights in variants(cell, both.scratch):
        both = model_pair.build(model, settings.dtype, weights=weights)
        scratch_grads, torch_grads = by_hand(both.scratch, batch, cell), by_torch(both.torch, batch, cell)
        rows = rows or compare(scratch_grads, torch_grads, cell)
        flows.append(flow(name, cell, both.scratch, batch, scratch_grads, torch_grads))
    return rows, flows


def compare(got: dict, expected: dict, cell: str) -> list[Row]:
    """A Row per array of `expected`, in its order. got and expected: name -> array, from by_hand and by_torch."""
    least = least_size(expected.values())
    return [row(name, got[name], array, cell, least) for name, array in expected.items()]


def row(name: str, got: np.ndarray, expected: np.ndarray, cell: str, least: float) -> Row:
    traced = name.split("_")[0] in scratch.module_of(cell).TRACED  # an array of all steps
    problem = difference(got, expected, name, cell, least, step_by_step=traced)
    fits = got.shape == expected.shape
    identical = fits and np.array_equal(got, expected)
    return Row(
        name=name,
        shape=expected.shape,
        largest=float(np.abs(expected).max()),
        error=float(np.abs(got - expected).max()) if fits else None,
        error_in_eps=in_eps(got, expected, step_by_step=traced) if fits else None,
        verdict="differs" if problem else "identical" if identical else "within rounding",
        problem=problem,
    )


def wrong_cells(rows: dict[str, list[Row]]) -> list[str]:
    return [cell for cell, of_cell in rows.items() if any(row.problem for row in of_cell)]


def show(rows: list[Row], title: str) -> None:
    """Print the table of one cell, and below it where a gradient differs."""
    rich.print(table(rows, title))
    for row in rows:
        if row.problem:
            print(row.problem)
    print()


def table(rows: list[Row], title: str) -> Table:
    """The rows for a terminal, at most 80 columns wide."""
    style = dict(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title_justify="left")
    result = Table(title=title, **style)
    result.add_column("gradient", no_wrap=True)
    result.add_column("shape", no_wrap=True)
    for name in ("largest\nentry", "largest\nerror", "error\nin eps"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("verdict", no_wrap=True)
    for row in rows:
        few_digits = ".1f" if row.error is not None and row.error_in_eps < 1e5 else ".1e"
        errors = ("-", "-") if row.error is None else (f"{row.error:.1e}", f"{row.error_in_eps:{few_digits}}")
        colour = {"differs": "bold red", "identical": "green"}.get(row.verdict)
        shape = "x".join(map(str, row.shape))
        result.add_row(escape(row.name), shape, f"{row.largest:.1e}", *errors, row.verdict, style=colour)
    return result


def conclude(rows: dict[str, list[Row]], path: Path) -> None:
    """Print what the columns mean, where the picture is, the verdict on all cells and what to do next."""
    print(CAPTION)
    print(f"the gradients on their way back through time: {path}")
    wrong = wrong_cells(rows)
    print("gradients differ" if wrong else "every gradient agrees")
    for file in dict.fromkeys(scratch.module_of(cell).__file__ for cell in wrong):
        file = Path(file)
        here = file.is_relative_to(Path.cwd())
        print(f"run: byhand check {file.relative_to(Path.cwd()) if here else file}")
