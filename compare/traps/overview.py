"""`byhand traps` without --match: train every trap, print the table, leave the picture and the files."""

from dataclasses import asdict
from pathlib import Path

import rich
from rich.table import Table

from compare import files, model_pair
from compare.options import REAL_TASKS
from compare.traps import plot
from compare.traps.catalogue import TRAPS, Variant
from compare.traps.training import STEPS, TrapRuns, display, reference, train


def main(task: str | None, out: str, steps: int = STEPS) -> int:
    """Train the traps that apply to one task, or each trap on its own task (None). Returns the exit status, 0.

    out: the folder for traps.png and for traps/TASK.safetensors and traps/TASK.csv, see `write_files`.
    """
    model_pair.use_one_core_each()
    out = files.folder(out)
    runs = {}
    with display() as progress:
        for name in [task] if task else REAL_TASKS:
            runs[name] = train(reference(name), steps, progress, only=None if task else name)
            write_files(runs[name], out / "traps")
    path = out / "traps.png"
    shown = [(variant, of) for trap in TRAPS for of in runs.values() for variant in of.shown if variant.trap is trap]
    plot.draw(path, runs, shown)
    rich.print(table(runs, shown))
    print(f"the gap of every trap: {path}")
    print(f"initial weights, and the losses of all runs: {out / 'traps'}")
    return 0


def write_files(runs: TrapRuns, folder: Path) -> None:
    """TASK.safetensors, the weights that all runs started from; TASK.csv, the losses of all runs."""
    settings = runs.settings
    start = model_pair.build(model_pair.model_of(settings, runs.dataset), settings.dtype, settings.seed)
    files.write_checkpoint(folder / f"{settings.task}.safetensors", start, settings=asdict(settings))
    columns = {"reference": runs.reference, "torch": runs.torch, "float32": runs.float32, **runs.trapped}
    losses = enumerate(zip(*(of.tolist() for of in columns.values()), strict=True), start=1)
    files.write_csv(folder / f"{settings.task}.csv", ("step", *columns), ((step, *row) for step, row in losses))


def table(runs: dict[str, TrapRuns], shown: list[tuple[Variant, TrapRuns]]) -> Table:
    """One row per trap. runs: by task; shown: each trap's variant with the runs it belongs to."""
    steps = len(next(iter(runs.values())).reference)
    result = Table(title="One convention changed at a time", title_justify="left", caption_justify="left")
    result.caption = "gap: to the loss of the reference run, scratch in float64; 0: identical"
    result.add_column("trap")
    result.add_column("task")
    result.add_column("diverges\nat step", justify="right")
    result.add_column(f"gap at\nstep {steps}", justify="right")
    result.add_column("reference run")

    def row(title, of, losses, first="", convention="", **options):
        gap = abs(losses[-1] - of.reference[-1])
        result.add_row(title, of.settings.task, first, f"{gap:.1e}" if gap else "0", convention, **options)

    for k, of in enumerate(runs.values(), start=1):
        row("no trap: torch.nn", of, of.torch)
        row("no trap: float32", of, of.float32, end_section=k == len(runs))
    for variant, of in shown:
        losses = of.trapped[variant.trap.name]
        row(variant.title, of, losses, str(of.diverges_at(losses) or "never"), variant.trap.torch)
    return result
