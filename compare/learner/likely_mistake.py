"""What the learner probably did: their results against those of every mistake of the catalogue."""

import types
from functools import cache

import numpy as np

from compare.learner import ladder
from compare.mistakes.catalogue import MISTAKES
from compare.mistakes.plant import planted_source

INPUTS_TOO = ("rnn", "gru", "lstm")  # files whose backward calls scratch/inputs.py


def fitting(rung):
    """The mistakes of the catalogue that can be made in this exercise."""
    text = ladder.solution(rung)
    found = [m for m in MISTAKES if m.file == rung.file and m.right in text]
    if rung.file in INPUTS_TOO:
        found += [m for m in MISTAKES if m.file == "inputs" and m.name != "rows_left_unsorted"]
    if rung.file == "layers" and "Embedding" in rung.keep:
        found += [m for m in MISTAKES if m.name == "rows_left_unsorted"]
    return found


@cache
def planted(rung_name, mistake):
    """The model solution of a rung as a module, with a mistake in it, or none."""
    rung = ladder.BY_NAME[rung_name]
    if mistake is None:
        return module_of(ladder.solution(rung))
    if mistake.file == rung.file:
        return module_of(ladder.solution(rung, planted_source(mistake)))
    module = module_of(ladder.solution(rung))
    helper = module_of(planted_source(mistake))
    if hasattr(module, mistake.file):
        setattr(module, mistake.file, helper)
    else:
        module.sum_by_id = helper.sum_by_id
    return module


def module_of(source):
    module = types.ModuleType("with_a_mistake")
    exec(compile(source, "<scratch with a mistake>", "exec"), vars(module))
    return module


def first_changed(mistake):
    """In which line of its wrong text the change is, from 0."""
    right, wrong = mistake.right.split("\n"), mistake.wrong.split("\n")
    return next((k for k, line in enumerate(wrong) if line not in right), 0)


def match(rung, observe, seen):
    """The mistake that gives what the learner's code gave on all problems, or None.

    observe: a function (module, problem) -> Observation; seen: list of (problem, Observation) of the learner's code.
    """
    right = [observe(planted(rung.name, None), problem) for problem, _ in seen]
    for mistake in fitting(rung):
        theirs = [observe(planted(rung.name, mistake), problem) for problem, _ in seen]
        if all(alike(a, b) for a, b in zip(theirs, right, strict=True)):
            continue  # it changes nothing here, as what concerns later steps in an exercise of one
        if all(alike(their, observation) for their, (_, observation) in zip(theirs, seen, strict=True)):
            return mistake
    return None


def alike(a, b):
    """Two observations that cannot be told apart: results, what was changed, what shares memory, the second call."""
    if (a.error is None) != (b.error is None):
        return False
    if a.error is not None:
        return True
    if (sorted(a.changed), a.shared, a.again) != (sorted(b.changed), b.shared, b.again):
        return False
    return all(equal(a.outputs[name], b.outputs[name]) for name in a.outputs if name in b.outputs)


def equal(a, b):
    if a is None or b is None or a.shape != b.shape or a.dtype.kind not in "fiu" or b.dtype.kind not in "fiu":
        return a is b is None
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(a - b) <= 1e-6 * np.abs(np.where(np.isfinite(b), b, 0)).max(initial=1e-300)
    return bool((off | (np.isnan(a) & np.isnan(b)) | (a == b)).all())
