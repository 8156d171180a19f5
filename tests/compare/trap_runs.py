"""The default runs made small, and every trap trained on them once, for test_traps.py and test_match.py."""

from dataclasses import replace
from functools import cache

import pytest

from compare.options import DEFAULTS
from compare.traps import training

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
