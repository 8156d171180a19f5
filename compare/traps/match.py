"""`byhand traps --match FILE`: does a user's curve follow the reference run, a trap, or neither?

Every known run is trained in float64 and, next to it, in float32: the difference between the two shows how rounding
grows in that run. A run is trained only as long as a user's curve agrees with it within rounding of float32: after that
it cannot be the run that the curve is from.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

import scratch
from compare import model_pair
from compare.agreement import AGREEMENT, GROWN, MOST_GROWN, diverges_at
from compare.mistakes.catalogue import MISTAKES, Mistake
from compare.mistakes.plant import planted
from compare.options import Settings
from compare.traps import verdict_text
from compare.traps.catalogue import TRAPS, Variant
from compare.traps.own_curve import OwnCurve, read, settings_of
from compare.traps.training import STEPS, display, prepared, reference_losses
from data import Dataset, UserError

EPS = {dtype: float(np.finfo(dtype).eps) for dtype in ("float64", "float32")}


@dataclass(frozen=True)
class Known:
    """A known run, as far as it was trained, n steps.

    variant: None for the reference run; losses (n,): in float64; rounding (n,): by how much the loss of the same run in
    float32 has differed up to each step, at most, in eps, relative to losses above 1.
    """

    variant: Variant | None
    losses: np.ndarray
    rounding: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """A known run and how far the user's curve is from it.

    diverges_at: the first step whose difference rounding does not explain, or None if this curve is, within rounding,
    the user's; gap: the difference at that step, or the largest, relative to losses above 1.
    """

    variant: Variant | None
    gap: float
    diverges_at: int | None

    @property
    def fits(self) -> bool:
        return self.diverges_at is None


@dataclass(frozen=True)
class Verdict:
    """The known runs, nearest first, and what else is known of a user's curve.

    factor: its losses were divided by this (1: as they are); hidden: traps that make no difference within these steps;
    gaps: to the reference run, (N,), as in Candidate; mistakes: entries of compare/mistakes/ that fit when no candidate
    does.
    """

    curve: OwnCurve
    candidates: tuple[Candidate, ...]
    hidden: tuple[Variant, ...]
    gaps: np.ndarray
    factor: float = 1.0
    mistakes: tuple[Mistake, ...] = ()

    @property
    def fitting(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.fits]

    @property
    def reference(self) -> Candidate:
        (reference,) = (candidate for candidate in self.candidates if candidate.variant is None)
        return reference


def main(path: str, task: str | None = None, column: str | None = None, steps: int = STEPS) -> int:
    """Print for each curve of a file which known curve it follows. Returns 0 if all follow the reference run, else 1.

    task, column: see own_curve; steps: how many to compare. Raises UserError for a file that cannot be used.
    """
    curves = read(path, column, steps)
    settings = replace(settings_of(path, task), steps=max(int(curve.steps[-1]) for curve in curves))
    model_pair.use_one_core_each()
    starts = in_both_dtypes(settings)
    with display() as progress:
        known = known_runs(starts, curves, progress)
    verdicts = []
    for curve in curves:
        verdict = judge(curve, known)
        if not verdict.fitting:
            verdict = replace(verdict, mistakes=tuple(mistakes_that_fit(curve, starts)))
        verdict_text.show(verdict)
        verdicts.append(verdict)
    return 0 if all(verdict.reference.fits for verdict in verdicts) else 1


# ---- the known runs -------------------------------------------------------------------------------------------------


def in_both_dtypes(settings: Settings) -> list[tuple[Settings, Dataset]]:
    """The settings and the dataset in float64 and in float32."""
    return [(s, model_pair.load(s)) for s in (replace(settings, dtype=dtype) for dtype in EPS)]


def known_runs(starts: list[tuple[Settings, Dataset]], curves: list[OwnCurve], progress) -> list[Known]:
    """The reference run, and one run for every variant of a trap that applies, as long as a curve agrees with it.

    Raises UserError if scratch and torch themselves disagree.
    """
    settings, dataset = starts[0]
    by_hand, by_torch = reference_losses(settings, dataset, settings.steps, progress)
    step = diverges_at(by_torch, by_hand)
    if step:
        raise UserError(
            f"scratch and torch themselves diverge at step {step} here, so there is no reference run; "
            "undo your changes to them, or use a smaller learning rate"
        )
    variants = [v for trap in TRAPS if trap.applies(settings, dataset) for v in trap.variants(settings)]
    bar = progress.add_task(f"{settings.task}: known curves", total=1 + len(variants), status="")
    known = [Known(None, *trained(by_hand, prepared_in_both(starts)[1]))]
    scaled = (in_the_references_unit(curve, known[0]) for curve in curves)
    curves = curves + [curve for curve in scaled if curve is not None]
    for variant in variants:
        progress.update(bar, advance=1, status=variant.title)
        runs = prepared_in_both(starts, variant.package(), variant.change)
        known.append(Known(variant, *trained(*runs, curves)))
    progress.update(bar, advance=1, status="")
    return known


def prepared_in_both(starts, package=scratch, change=None):
    return [prepared(settings, dataset, settings.steps, package, change) for settings, dataset in starts]


def trained(double: Iterator[float], single: Iterator[float], curves: list[OwnCurve] | None = None) -> tuple:
    """The losses and the rounding of a run, as in Known, up to the first step at which none of `curves` follows it.

    double, single: its losses in float64 and in float32; curves: None trains to the end.
    """
    losses, rounding = [], [1.0]
    with np.errstate(all="ignore"):  # a run may diverge
        for step, (loss, rounded) in enumerate(zip(double, single, strict=True), start=1):
            losses.append(loss)
            error = abs(loss - rounded) / max(1, abs(loss)) / EPS["float32"]
            rounding.append(max(rounding[-1], error))  # nan: as before
            if curves is not None:
                curves = [c for c in curves if follows(c, step, loss, rounding[-1])]
                if not curves:
                    break
    return np.array(losses), np.array(rounding[1:])


# ---- the comparison -------------------------------------------------------------------------------------------------


def judge(curve: OwnCurve, known: list[Known]) -> Verdict:
    """Compare a curve with every known run, the first of which is the reference run."""
    verdict = compared(curve, known)
    scaled = None if verdict.fitting else in_the_references_unit(curve, known[0])
    if scaled is not None:
        found = compared(scaled, known)
        if found.fitting:
            return replace(found, factor=curve.losses[0] / scaled.losses[0])
    return verdict


def compared(curve, known):
    """The Verdict on a curve as it is. Its arithmetic is float64 if a run fits with that rounding.

    If none fits, it is float64 if it begins like the reference run with that rounding.
    """
    reference, steps = known[0].losses, curve.steps
    same = [k for k in known[1:] if len(k.losses) == len(reference) and diverges_at(k.losses, reference) is None]
    others = [k for k in known if k not in same]
    in_double, in_single = ([candidate(curve, k, dtype) for k in others] for dtype in EPS)
    fits = any(c.fits for c in in_double)
    begins = in_double[0].diverges_at != steps[0] and not any(c.fits for c in in_single)
    candidates = in_double if fits or begins else in_single
    candidates = sorted(candidates, key=lambda c: (-(c.diverges_at or np.inf), c.gap))
    hidden = tuple(k.variant for k in same)
    return Verdict(curve, tuple(candidates), hidden, gap(curve.losses, reference[steps - 1]))


def candidate(curve, known, dtype):
    """The Candidate for a curve and a known run, both rounded to dtype."""
    logged = curve.steps <= len(known.losses)
    steps = curve.steps[logged]
    gaps = gap(curve.losses[logged], known.losses[steps - 1])
    off = gaps > allowed(curve, known.rounding[steps - 1], dtype)
    if off.any():
        return Candidate(known.variant, float(gaps[off.argmax()]), int(steps[off.argmax()]))
    return Candidate(known.variant, float(gaps.max()), None)


def allowed(curve, rounding, dtype):
    """The gap that rounding explains: of the digits in the file, and of an arithmetic in which it grows as in ours."""
    return curve.digit + np.minimum(MOST_GROWN, GROWN * rounding * EPS[dtype])


def follows(curve, step, loss, rounding):
    """Does rounding of float32 explain the gap between a curve and the loss at a step? If it was not logged, yes."""
    gaps = gap(curve.losses[curve.steps == step], loss)
    return not (gaps > allowed(curve, rounding, "float32")).any()


def gap(own, losses):
    """The gap between losses of a curve and known ones, relative to losses above 1."""
    result = np.abs(own - losses) / np.maximum(1, np.abs(losses))
    return np.where(np.isnan(result), np.inf, result)


def in_the_references_unit(curve, reference):
    """The curve divided by the factor that makes its first loss the reference's, or None.

    A loss may be summed where torch takes the mean, halved, or in bits. With few digits any factor would do, so then
    there is None.
    """
    factor = curve.losses[0] / reference.losses[curve.steps[0] - 1]
    if not factor > 0 or curve.digit > AGREEMENT["float32"] * curve.losses[0]:
        return None
    return replace(curve, losses=curve.losses / factor, digit=2 * curve.digit / factor)  # the factor is rounded, too


def mistakes_that_fit(curve, starts) -> Iterator[Mistake]:
    """The mistakes of compare/mistakes/ whose training follows the curve; each is trained until it diverges from it."""
    other_cells = set(map(scratch.file_of, scratch.CELLS)) - {scratch.file_of(starts[0][0].cell)}
    known = {trap.mistake for trap in TRAPS}
    tried = [mistake for mistake in MISTAKES if mistake not in known and mistake.file not in other_cells]
    with display() as progress:
        bar = progress.add_task("wrong backward passes, compare/mistakes/catalogue.py", total=len(tried), status="")
        for mistake in tried:
            progress.update(bar, advance=1, status=mistake.name)
            try:
                run = Known(None, *trained(*prepared_in_both(starts, planted(mistake)), [curve]))
            except ValueError:  # a gradient of the wrong shape does not train
                continue
            if candidate(curve, run, "float32").fits:
                yield mistake
