"""`byhand traps --match FILE`: does a user's curve follow the reference run, a trap, or neither?"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

import scratch
from compare import model_pair
from compare.agreement import AGREEMENT
from compare.mistakes.catalogue import MISTAKES, Mistake
from compare.mistakes.plant import planted
from compare.traps import verdict_text
from compare.traps.catalogue import TRAPS, Trap
from compare.traps.own_curve import OwnCurve, read, settings_of
from compare.traps.training import STEPS, TrapRuns, display, prepared, train
from data import UserError


@dataclass(frozen=True)
class Candidate:
    """A known curve, and how far the user's curve is from it.

    trap: None for the reference run; gap: the largest difference, relative to losses above 1; diverges_at: the first
    step whose difference rounding does not explain, or None; fits: is this curve, within rounding, the user's?
    """

    trap: Trap | None
    gap: float
    diverges_at: int | None
    fits: bool


@dataclass(frozen=True)
class Verdict:
    """The known curves, nearest first, and what else is known of a user's curve.

    factor: its losses were divided by this (1: as they are); hidden: traps that make no difference within these steps;
    gaps: to the reference run, (N,), as in Candidate; mistakes: entries of compare/mistakes/ that fit when no candidate
    does.
    """

    curve: OwnCurve
    candidates: tuple[Candidate, ...]
    hidden: tuple[Trap, ...]
    gaps: np.ndarray
    factor: float = 1.0
    mistakes: tuple[Mistake, ...] = ()

    @property
    def fitting(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.fits]

    @property
    def is_reference(self) -> bool:
        """Is the reference run among the curves that fit?"""
        return any(candidate.trap is None for candidate in self.fitting)

    @property
    def diverges_at(self) -> int | None:
        """The step at which the user's curve leaves the reference run."""
        (step,) = (candidate.diverges_at for candidate in self.candidates if candidate.trap is None)
        return step


def main(path: str, task: str | None = None, column: str | None = None, steps: int = STEPS) -> int:
    """Print for each curve of a file which known curve it follows. Returns 0 if all follow the reference run, else 1.

    task, column: see own_curve; steps: how many to compare. Raises UserError for a file that cannot be used.
    """
    curves = read(path, column, steps)
    settings = settings_of(path, task)
    model_pair.use_one_core_each()
    with display() as progress:
        runs = train(settings, max(int(curve.steps[-1]) for curve in curves), progress)
    step = runs.diverges_at(runs.torch)
    if step:
        raise UserError(
            f"scratch and torch themselves diverge at step {step} here, so there is no reference run; "
            "undo your changes to them, or use a smaller learning rate"
        )
    verdicts = []
    for curve in curves:
        verdicts.append(judge(curve, runs))
        verdict_text.show(verdicts[-1])
    return 0 if all(verdict.is_reference for verdict in verdicts) else 1


def judge(curve: OwnCurve, runs: TrapRuns) -> Verdict:
    """Compare a curve with the reference run and every trap; if none fits, with the catalogue of mistakes."""
    verdict = compared(curve, runs)
    if verdict.fitting:
        return verdict
    scaled = in_the_references_unit(curve, runs)
    if scaled is not None:
        found = compared(scaled, runs)
        if found.fitting:
            return replace(found, factor=curve.losses[0] / scaled.losses[0])
    return replace(verdict, mistakes=tuple(mistakes_that_fit(curve, runs)))


def compared(curve, runs):
    """The Verdict on a curve, without the search through the mistakes."""
    traps = {trap.name: trap for trap in TRAPS if trap.name in runs.trapped}
    hidden = [name for name in traps if runs.diverges_at(runs.trapped[name]) is None]
    known = {None: runs.reference} | {name: runs.trapped[name] for name in traps if name not in hidden}
    gaps = {name: relative(curve, losses) for name, losses in known.items()}
    nearest = min(gap.max() for gap in gaps.values())
    rounding, some_fit = rounding_of(curve, nearest, gaps[None][0])
    candidates = []
    for name, gap in sorted(gaps.items(), key=lambda item: item[1].max()):
        off = gap > rounding
        step = int(curve.steps[off.argmax()]) if off.any() else None
        candidates.append(Candidate(traps.get(name), float(gap.max()), step, some_fit and step is None))
    return Verdict(curve, tuple(candidates), tuple(traps[name] for name in hidden), gaps[None])


def rounding_of(curve, nearest, at_first):
    """How much of a gap rounding explains, and whether it explains that of the nearest curve.

    nearest: the gap of that curve; at_first: the reference's at the first logged step. If a curve is near, the rounding
    of the arithmetic shows in its gap, less what the written digits explain, and may be ten times as large elsewhere.
    If none is, and the first loss agrees to float64's precision, the arithmetic was float64, else it may be float32.
    """
    allowed = max(AGREEMENT["float32"], curve.digit)
    if nearest <= allowed:
        return min(allowed, curve.digit + 10 * max(0, nearest - curve.digit) + AGREEMENT["float64"]), True
    return AGREEMENT["float64"] if max(at_first, curve.digit) <= AGREEMENT["float64"] else allowed, False


def relative(curve, losses):
    """The gap between a curve and losses (steps,) at each logged step, (N,), relative to losses above 1."""
    losses = losses[curve.steps - 1]
    gap = np.abs(curve.losses - losses) / np.maximum(1, np.abs(losses))
    return np.where(np.isnan(gap), np.inf, gap)


def in_the_references_unit(curve, runs):
    """The curve divided by the factor that makes its first loss the reference's, or None.

    A loss may be summed where torch takes the mean, halved, or in bits. With few digits any factor would do, so then
    there is None.
    """
    factor = curve.losses[0] / runs.reference[curve.steps[0] - 1]
    if not factor > 0 or curve.digit > AGREEMENT["float32"] * curve.losses[0]:
        return None
    return replace(curve, losses=curve.losses / factor, digit=2 * curve.digit / factor)  # the factor is rounded, too


def mistakes_that_fit(curve, runs) -> Iterator[Mistake]:
    """The mistakes of compare/mistakes/ whose training follows the curve; each is trained until it diverges from it."""
    losses = dict(zip(curve.steps.tolist(), curve.losses.tolist(), strict=True))
    allowed = max(AGREEMENT["float32"], curve.digit)
    other_cells = set(map(scratch.file_of, scratch.CELLS)) - {scratch.file_of(runs.settings.cell)}
    known = {trap.mistake for trap in TRAPS}
    tried = [mistake for mistake in MISTAKES if mistake not in known and mistake.file not in other_cells]
    with display() as progress:
        bar = progress.add_task("wrong backward passes, compare/mistakes/catalogue.py", total=len(tried), status="")
        for mistake in tried:
            progress.update(bar, advance=1, status=mistake.name)
            run = enumerate(prepared(runs.settings, runs.dataset, int(curve.steps[-1]), planted(mistake)), start=1)
            try:
                if all(abs(loss - losses.get(step, loss)) <= allowed * max(1, abs(loss)) for step, loss in run):
                    yield mistake
            except ValueError:  # a gradient of the wrong shape does not train
                continue
