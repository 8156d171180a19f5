"""The exercise `lengths`: compare the learner's calls of cell.backward with those of the solution, one by one."""

import sys
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from compare.learner import attempt, ladder, likely_mistake
from compare.learner.substitute import same


class Noted:
    """A cell that records each call of its backward: the calling line and the arguments."""

    def __init__(self, cell, file):
        self.cell, self.file, self.calls, self.caches = cell, file, [], []

    def forward(self, *arguments, **options):
        *results, cache = self.cell.forward(*arguments, **options)
        self.caches.append(cache)
        return (*results, cache)

    def backward(self, dy, dh_n, dc_n, cache, trace=None):
        frame = sys._getframe(1)
        number = next((k for k, kept in enumerate(self.caches) if kept is cache), None)
        line = frame.f_lineno if frame.f_code.co_filename == self.file else None
        self.calls.append((line, number, {"dy": np.array(dy), "dh_n": np.array(dh_n), "dc_n": np.array(dc_n)}))
        return self.cell.backward(dy, dh_n, dc_n, cache, trace)


def calls(module, problem, file):
    cell = Noted(problem.given["cell"], file)
    noted = replace(problem, given=problem.given | {"cell": cell}, upstream=problem.upstream | {"cell": cell})
    one = attempt.Pair(module, noted, None)
    one.forward()
    one.backward()
    return cell.calls


def first_wrong_call(module, problem):
    """(line, sentence) for the first wrong call of cell.backward, or None."""
    got = calls(module, problem, module.__file__)
    wanted = calls(likely_mistake.module_of(ladder.solution(ladder.BY_NAME["lengths"])), problem, "")
    for k, (mine, right) in enumerate(zip_longest(got, wanted), start=1):
        if mine is None:
            return None, f"cell.backward is called {k - 1} times; there are {len(wanted)} stretches"
        if right is None:
            return mine[0], f"cell.backward is called a {k}th time; there are {len(wanted)} stretches"
        line, number, given = mine
        if number != right[1]:
            return line, f"call {k} of cell.backward gets the cache of stretch {number} instead of stretch {right[1]}"
        for name, value in given.items():
            if not same(value, right[2][name]):
                words = f"call {k} of cell.backward (stretch {number} of 0 to {len(wanted) - 1}) gets a wrong {name}"
                if value.shape != right[2][name].shape:
                    words += f", of shape {value.shape} instead of {right[2][name].shape}"
                return line, words
    return None
