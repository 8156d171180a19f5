"""What the learner probably did: the mistake of the catalogue whose results are the same as theirs."""

import re
from functools import cache

import numpy as np

from compare.learner.exercises import ladder, problems
from compare.learner.search.switches import differing, executed
from compare.mistakes.catalogue import MISTAKES
from compare.mistakes.plant import planted_source


def fitting(exercise: ladder.Exercise) -> list:
    """The mistakes of the catalogue that can be made in this exercise, and change a result there."""
    text, right = ladder.solution(exercise), outcomes(exercise.name, None)
    found = [m for m in MISTAKES if m.file == exercise.file and m.right in text]
    return [m for m in found if not all(map(alike, outcomes(exercise.name, m), right))]


@cache
def outcomes(exercise: str, mistake) -> tuple:
    """What the solution does with every case, with a mistake in it or, for None, without."""
    chosen = ladder.BY_NAME[exercise]
    source = ladder.solution(chosen, planted_source(mistake) if mistake else None)
    program = problems.program_for(exercise, executed(compile(source, "<solution>", "exec"), "<solution>"))
    return tuple(signature(program, case) for case in problems.cases(exercise))


def signature(program, case):
    """Everything by which two programs are told apart on a case; None when it does not run."""
    try:
        with np.errstate(all="ignore"):
            outcome = program.run(case)
            return outcome.outputs, sorted(outcome.written), sorted(outcome.shared), sorted(differing(program, case))
    except Exception:
        return None


def alike(a, b) -> bool:
    if a is None or b is None:
        return a is b
    return a[1:] == b[1:] and all(equal(a[0][name], b[0][name]) for name in a[0] if name in b[0])


def equal(a, b) -> bool:
    if a is None or b is None or a.shape != b.shape:
        return a is b
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-6 * np.abs(np.nan_to_num(b)).max(initial=0), equal_nan=True))


def match(exercise: str, program) -> object | None:
    """The mistake that gives the same results as the learner's program on all cases, or None."""
    theirs = [signature(program, case) for case in problems.cases(exercise)]
    found = [m for m in fitting(ladder.BY_NAME[exercise]) if all(map(alike, outcomes(exercise, m), theirs))]
    return found[0] if found else None


def typed_at(mistake, source: str) -> int | None:
    """The line of a file that has the wrong text of the catalogue, if it is there exactly once."""
    found = list(re.finditer(re.escape(mistake.wrong) + r"(?![\w\[])", source))  # dh = dy is not in dh = dy[t]
    if not mistake.wrong.strip() or len(found) != 1:
        return None
    right, wrong = mistake.right.split("\n"), mistake.wrong.split("\n")
    first = next((k for k, line in enumerate(wrong) if line not in right), 0)
    return source[: found[0].start()].count("\n") + 1 + first
