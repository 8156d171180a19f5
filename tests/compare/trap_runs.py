"""The default runs made small, and every trap trained on them once, for the tests of the traps."""

from dataclasses import replace
from functools import cache

import pytest

from compare.options import DEFAULTS
from compare.traps import match, training
from compare.traps.catalogue import TRAPS

STEPS = 12
REAL = ("text", "names", "series")
CLIP = {"text": 0.33, "names": 0.5, "series": 2.6, "memory": 1.0}  # the gradient's norm soon exceeds each of these
SMALL = {
    task: replace(s, hidden=8, batch_size=16, window=8 if s.window else None, clip=CLIP[task])
    for task, s in DEFAULTS.items()
    if task in CLIP
}


class Silent:
    """A progress display that shows nothing."""

    def add_task(self, *_, **__):
        return 0

    def update(self, *_, **__):
        pass


@cache
def trained(task):
    """The TrapRuns of a real task."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "DEFAULTS", SMALL)
        return training.train(training.reference(task), STEPS, Silent())


@cache
def known(task):
    """Every known run of a real task, trained to its end whatever a curve may be: a list of match.Known."""
    runs = trained(task)
    starts = match.in_both_dtypes(replace(runs.settings, steps=STEPS))
    settings, dataset = starts[0]
    result = [match.Known(None, *match.trained(runs.reference, runs.float32))]
    for variant in (v for trap in TRAPS if trap.applies(settings, dataset) for v in trap.variants(settings)):
        in_both = match.prepared_in_both(starts, variant.package(), variant.change)
        result.append(match.Known(variant, *match.trained(*in_both)))
    return result
