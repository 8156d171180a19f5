"""What `byhand traps --match` prints."""

import textwrap

import rich
from rich.markup import escape
from rich.table import Table

REFERENCE = "no trap: the reference run"
ROWS = 6  # of the table, or as many as fit, and the reference run
SHOWN = 6  # gaps to the reference run
WIDTH = 80
FEW = 1e-7  # a larger uncertainty of the written losses is worth a line


def show(verdict) -> None:
    """Print a compare.traps.match.Verdict: the table of known curves, then what they mean."""
    name = verdict.curve.name
    if verdict.factor != 1:
        print(f"{name}: divided by {verdict.factor:.6g}, the ratio of its first loss to the reference's")
    rich.print(ranking(verdict))
    if verdict.hidden:
        print(f"no difference within these steps: {titles(verdict.hidden)}")
    if verdict.curve.digit > FEW:
        print(f"few decimals: gaps up to {verdict.curve.digit:.1e} count as rounding")
    for line in explained(verdict):
        print(textwrap.fill(line, WIDTH, break_long_words=False))


def ranking(verdict) -> Table:
    """The known curves, nearest first; of a trap's values that do not fit, the nearest."""
    losses = len(verdict.curve.losses)
    result = Table(title=f"{escape(verdict.curve.name)}: {losses} losses, which curve do they follow?")
    result.title_justify = result.caption_justify = "left"
    result.add_column("curve")
    result.add_column("diverges\nat step", justify="right")
    result.add_column("gap there,\nor largest", justify="right")
    result.add_column("verdict")
    nearest = {}
    for candidate in verdict.candidates:
        trap = candidate.variant and candidate.variant.trap
        nearest.setdefault(candidate.variant if candidate.fits else trap, candidate)
    most = max(ROWS, len(verdict.fitting))
    rows = [c for k, c in enumerate(nearest.values()) if k < most or c is verdict.reference]
    for candidate in rows:
        step = "" if candidate.fits else str(candidate.diverges_at)
        result.add_row(title(candidate), step, f"{candidate.gap:.1e}", "fits" if candidate.fits else "")
    left_out = [c for c in nearest.values() if c not in rows]
    if left_out:
        result.caption = f"and {len(left_out)} more traps that diverge at step {left_out[0].diverges_at} or before"
    return result


def title(candidate):
    return candidate.variant.title if candidate.variant else REFERENCE


def titles(variants):
    """The titles of variants, those of the same trap together."""
    labels = {}
    for variant in variants:
        labels.setdefault(variant.trap.title, []).append(variant.label)
    return ", ".join(f"{trap} ({'; '.join(of)})" if of[0] else trap for trap, of in labels.items())


def explained(verdict):
    """Yield the sentences under the table."""
    name, fitting, others = verdict.curve.name, verdict.fitting, verdict.fitting[1:]
    if verdict.reference.fits:
        others = [candidate for candidate in fitting if candidate.variant]
        yield f"{name}: this {'may be' if others else 'is'} the reference run, gap at most {verdict.reference.gap:.1e}"
    elif fitting:
        yield f"{name}: fits {title(fitting[0])!r}, gap at most {fitting[0].gap:.1e}"
        for trap in dict.fromkeys(candidate.variant.trap for candidate in fitting):
            yield f"{trap.why} To fix it, {trap.fix}."
    else:
        yield f"{name}: no trap fits{longest(verdict)}. (Only single traps with their usual values are tried.)"
        for mistake in verdict.mistakes:
            yield f"But a mistake of the catalogue fits: {mistake.name} in {mistake.file}.py. {mistake.why}"
        if not verdict.mistakes:
            yield from where_to_look(verdict)
    if others:
        names = titles(candidate.variant for candidate in others)
        yield f"Within rounding it cannot be told apart from: {names}. More digits, more steps or float64 may help."


def longest(verdict):
    """Which trap is followed longest, if one is followed for longer than the reference run."""
    best, steps = verdict.candidates[0], verdict.curve.steps
    if best.diverges_at == verdict.reference.diverges_at:
        return ""
    return f"; up to step {steps[steps < best.diverges_at][-1]} it follows {title(best)!r}"


def where_to_look(verdict):
    """Yield what the first step that differs says about the cause."""
    steps, step = verdict.curve.steps, verdict.reference.diverges_at
    sure = "is probably" if verdict.curve.digit > FEW else "is"
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
            f"It agrees at step 1 and diverges at step 2: the forward pass {sure} right, the first update {sure} not. "
            "Compare the gradients of the first batch, then the clipping, then the optimizer's step."
        )
    else:
        yield (
            f"It agrees within rounding up to step {steps[steps < step][-1]}. Look for what builds up over several "
            "steps: a small difference in the update (weight decay, betas, epsilon), clipping, a shorter batch."
        )
