"""What the learner probably did: the mistake of the catalogue whose results are the same as theirs."""

import types
from functools import cache

import numpy as np

from compare.learner import ladder
from compare.mistakes.catalogue import MISTAKES
from compare.mistakes.plant import planted_source

INPUTS_TOO = ("rnn", "gru", "lstm")  # files whose backward calls scratch/inputs.py


def fitting(exercise):
    """The mistakes of the catalogue that can be made in this exercise."""
    text = ladder.solution(exercise)
    found = [m for m in MISTAKES if m.file == exercise.file and m.right in text]
    if exercise.file in INPUTS_TOO:
        found += [m for m in MISTAKES if m.file == "inputs" and m.name != "rows_left_unsorted"]
    if exercise.file == "layers" and "Embedding" in exercise.keep:
        found += [m for m in MISTAKES if m.name == "rows_left_unsorted"]
    return found


@cache
def planted(exercise_name, mistake):
    """The model solution of an exercise as a module, with a mistake in it, or none."""
    exercise = ladder.BY_NAME[exercise_name]
    if mistake is None:
        return module_of(ladder.solution(exercise))
    if mistake.file == exercise.file:
        return module_of(ladder.solution(exercise, planted_source(mistake)))
    module = module_of(ladder.solution(exercise))
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
    """The first line of its wrong text that is changed, counted from 0."""
    right, wrong = mistake.right.split("\n"), mistake.wrong.split("\n")
    return next((k for k, line in enumerate(wrong) if line not in right), 0)


def match(exercise, observe, seen):
    """The mistake that gives the same results as the learner's code on all problems, or None.

    observe: a function (module, problem) -> Observation; seen: list of (problem, Observation) of the learner's code.
    """
    right = [observe(planted(exercise.name, None), problem) for problem, _ in seen]
    for mistake in fitting(exercise):
        theirs = [observe(planted(exercise.name, mistake), problem) for problem, _ in seen]
        if all(alike(a, b) for a, b in zip(theirs, right, strict=True)):
            continue  # it has no effect in this exercise, such as one about later steps where there is only one
        if all(alike(their, observation) for their, (_, observation) in zip(theirs, seen, strict=True)):
            return mistake
    return None


def alike(a, b):
    """Whether two observations agree in results, changed inputs, shared memory and the second call."""
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
