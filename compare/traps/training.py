"""The runs that show the traps: a reference run, and one run per trap from the same weights on the same batches.

The reference run is the unmodified scratch model in float64; torch.nn is trained next to it and agrees within rounding.
The traps are trained in float64 too, so the gap is exactly 0 up to the step at which a trap first makes a difference.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

import scratch
from compare import model_pair
from compare.agreement import diverges_at
from compare.options import DEFAULTS, OPTIMIZERS, Settings
from compare.traps.catalogue import TRAPS, Run, Variant
from data import Dataset

STEPS = 60  # of each run


@dataclass
class TrapRuns:
    """The training losses of one configuration's runs: arrays (steps,), all runs from the same start.

    reference: scratch in float64; torch: torch.nn in float64; float32: scratch in float32; trapped: by the trap's name,
    each with its most usual value; shown: those values.
    """

    settings: Settings
    dataset: Dataset
    reference: np.ndarray
    torch: np.ndarray
    float32: np.ndarray
    trapped: dict[str, np.ndarray] = field(default_factory=dict)
    shown: list[Variant] = field(default_factory=list)

    def diverges_at(self, losses: np.ndarray) -> int | None:
        return diverges_at(losses, self.reference)


def reference(task: str) -> Settings:
    """The settings of a task's reference run: the defaults of `byhand curves`, but in float64."""
    return replace(DEFAULTS[task], dtype="float64")


def train(settings: Settings, steps: int, progress, only: str | None = None) -> TrapRuns:
    """Train the reference run, then one run for each trap that applies.

    progress: a rich.progress.Progress, see `display`; only: leave out the traps of other tasks than this.
    Raises model_pair.Diverged if the reference run diverges.
    """
    dataset = model_pair.load(settings)
    by_hand, by_torch = reference_losses(settings, dataset, steps, progress)
    single = replace(settings, dtype="float32")
    in_float32 = follow(prepared(single, model_pair.load(single), steps), "float32", by_hand, settings.task, progress)
    runs = TrapRuns(settings, dataset, by_hand, by_torch, in_float32)
    for trap in TRAPS:
        if trap.applies(settings, dataset) and only in (None, trap.task):
            variant = next(trap.variants(settings))
            run = prepared(settings, dataset, steps, variant.package(), variant.change)
            runs.trapped[trap.name] = follow(run, variant.title, by_hand, settings.task, progress)
            runs.shown.append(variant)
    return runs


def reference_losses(settings, dataset, steps, progress):
    """The losses of scratch and of torch in float64, two arrays (steps,)."""
    pair = model_pair.build(model_pair.model_of(settings, dataset), settings.dtype, settings.seed)
    optimizers = model_pair.optimizers(settings, pair)
    bar = progress.add_task(f"{settings.task}: reference run, scratch and torch", total=steps, status="")
    losses = []
    for ours, theirs in model_pair.train(replace(settings, steps=steps), dataset, pair, optimizers):
        losses.append((ours.loss, theirs.loss))
        progress.update(bar, advance=1, status=f"gap {abs(ours.loss - theirs.loss):.1e}")
    return np.array(losses).T


def prepared(settings, dataset, steps, package=scratch, change=None) -> Iterator[float]:
    """A run of the scratch model that yields one training loss per step.

    package: scratch, or a copy of it with changed lines; change: alters the Run.
    """
    rng = np.random.default_rng(settings.seed)
    model = package.SequenceModel(**model_pair.model_of(settings, dataset), dtype=np.dtype(settings.dtype), rng=rng)
    optimizer_class = getattr(package, OPTIMIZERS[settings.optimizer])
    optimizer = optimizer_class(model.params, **model_pair.optimizer_numbers(settings))
    run = Run(model, copy.copy(dataset), optimizer, settings.clip)
    if change:
        change(run)
    return (record.loss for record in package.fit(run.model, run.dataset, run.optimizer, steps, run.clip))


def follow(run, title, reference, task, progress):
    """Train a run to its end, showing the gap to the reference losses. Returns its losses (steps,)."""
    bar = progress.add_task(f"{task}: {title}", total=len(reference), status="")
    losses = []
    for loss in run:
        losses.append(loss)
        progress.update(bar, advance=1, status=f"gap {abs(loss - reference[len(losses) - 1]):.1e}")
    return np.array(losses)


def display() -> Progress:
    """The progress display that `train` reports to."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(10), MofNCompleteColumn(), TextColumn("{task.fields[status]}")
    )
