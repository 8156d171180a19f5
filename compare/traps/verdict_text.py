"""What `byhand traps --match` prints."""

import rich
from rich.markup import escape
from rich.table import Table

from compare.agreement import AGREEMENT

REFERENCE = "no trap: the reference run"
SHOWN = 6  # gaps to the reference run


def show(verdict) -> None:
    """Print a compare.traps.match.Verdict: the table of known curves, then what they mean."""
    name = verdict.curve.name
    if verdict.factor != 1:
        print(f"{name}: divided by {verdict.factor:.6g}, the ratio of its first loss to the reference's")
    rich.print(ranking(verdict))
    if verdict.hidden:
        print(f"no difference within these steps: {', '.join(trap.title for trap in verdict.hidden)}")
    if verdict.curve.digit > AGREEMENT["float32"]:
        print(f"few decimals: gaps up to {verdict.curve.digit:.1e} count as rounding")
    for line in explained(verdict):
        print(line)


def ranking(verdict) -> Table:
    """The known curves, nearest first."""
    losses = len(verdict.curve.losses)
    result = Table(title=f"{escape(verdict.curve.name)}: {losses} losses, which curve do they follow?")
    result.title_justify = "left"
    result.add_column("curve")
    result.add_column("largest\ngap", justify="right")
    result.add_column("diverges\nat step", justify="right")
    result.add_column("verdict")
    for candidate in verdict.candidates:
        step = "" if candidate.diverges_at is None else str(candidate.diverges_at)
        result.add_row(title(candidate), f"{candidate.gap:.1e}", step, "fits" if candidate.fits else "")
    return result


def title(candidate):
    return candidate.trap.title if candidate.trap else REFERENCE


def explained(verdict):
    """Yield the sentences under the table."""
    name, best, others = verdict.curve.name, verdict.candidates[0], verdict.fitting[1:]
    if verdict.is_reference:
        best = next(candidate for candidate in verdict.fitting if candidate.trap is None)
        others = [candidate for candidate in verdict.fitting if candidate is not best]
        yield f"{name}: this {'may be' if others else 'is'} the reference run, gap at most {best.gap:.1e}"
    elif best.fits:
        yield f"{name}: fits {title(best)!r}, gap at most {best.gap:.1e}"
        yield f"{best.trap.why} To fix it, {best.trap.fix}."
    else:
        yield f"{name}: no trap fits; the nearest is {title(best)!r}, gap {best.gap:.1e}. (Two at once are not tried.)"
        for mistake in verdict.mistakes:
            yield f"But a mistake of the catalogue fits: {mistake.name} in {mistake.file}.py. {mistake.why}"
        if not verdict.mistakes:
            yield from where_to_look(verdict)
    if others:
        yield f"Equally near: {', '.join(map(title, others))}. More digits, more steps or float64 may tell them apart."


def where_to_look(verdict):
    """Yield what the first step that differs says about the cause."""
    steps, step = verdict.curve.steps, verdict.diverges_at
    gaps = (f"{gap:.1e} at step {k}" for k, gap in zip(steps[:SHOWN], verdict.gaps[:SHOWN], strict=True))
    yield f"Gap to the reference run: {', '.join(gaps)}."
    if step == 1:
        yield (
            "It differs at step 1, before any update: other initial weights, another first batch, or a different "
            "forward pass or loss. (Weights or batches drawn from another seed look like this; no trap covers them.)"
        )
    elif step == steps[0]:
        yield f"It differs at step {step}, the first one logged. Log the steps from 1 on to see where that begins."
    elif step == 2:
        yield (
            "It agrees at step 1 and diverges at step 2: the forward pass is right, the first update is not. "
            "Compare the gradients of the first batch, then the clipping, then the optimizer's step."
        )
    else:
        yield (
            f"It agrees within rounding up to step {steps[steps < step][-1]}. Look for what builds up over several "
            "steps: a small difference in the update (weight decay, betas, epsilon), clipping, a shorter batch."
        )
