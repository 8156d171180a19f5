"""Which statements could be wrong: those of which another value would make every result right.

Each statement's value is changed a little, entry by entry, and the results watched. That gives its footprint (which
entries of the results depend on it) and its Jacobian. A backward pass is linear in nearly all its values, so whether
*some* value here makes all results right is a linear system, which has a solution or not. What it solves for is the
right value. No equation, name or convention is needed.
"""

import ast
import sys
from dataclasses import dataclass, field

import numpy as np

from compare.learner import edits
from compare.learner.calling import is_tensor, to_numpy
from compare.learner.switches import Workshop

MOST = 400  # entries of a statement's values, over all times it runs, that are changed one by one
SMALL = 1e-4  # the change of an entry
NEWTON = 4  # rounds, for the few values in which a backward pass is not linear


@dataclass
class Suspect:
    """A statement and what is known about it.

    moved: the entries of the results that depend on its value; possible: whether some value makes all results right,
    None if that is not known; found, expected: its values, each time it runs, as they are and as they should be; rank:
    how many numbers of the results it can set; order: when it first ran; named: whether what it should be is one of the
    measured gradients (truths.py); innocent: whether what it holds, or what comes after it, is right already.
    """

    slot: int
    moved: np.ndarray
    possible: bool | None = None
    found: list = field(default_factory=list)
    expected: list = field(default_factory=list)
    rank: int = 0
    order: int = 0
    named: bool = False
    innocent: bool = False


class Probe:
    """What __probe__ does with the values of the statement under test: note them, or add a change to them."""

    def __init__(self):
        self.begin(None)

    def begin(self, change, size=0.0):
        """change: a vector for all entries of all values, or None; size: of random noise to add instead."""
        self.change, self.size, self.used, self.values = change, size, 0, []
        self.rng = np.random.default_rng(0)

    def __call__(self, value, stored=False):
        """stored: the value is in its array already, so the change is written into it."""
        self.values.append([])
        return self.visited(value, stored)

    def visited(self, value, stored):
        if is_tensor(value):
            array = to_numpy(value)
            changed = self.visited(array, stored)
            return value if changed is array else sys.modules["torch"].from_numpy(np.asarray(changed))
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return self.changed(value, stored)
        if isinstance(value, float | np.floating) or (
            stored and isinstance(value, int) and not isinstance(value, bool)
        ):
            return float(self.changed(np.array(float(value)), False))
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self.visited(one, False) for one in value))
        if isinstance(value, tuple | list):
            return type(value)(self.visited(one, False) for one in value)
        return {key: self.visited(one, False) for key, one in value.items()} if type(value) is dict else value

    def changed(self, array, stored):
        """The array with its part of the change."""
        self.values[-1].append(array.copy())
        if self.size:
            new = array + self.size * (self.rng.random(array.shape) + 0.5) * (1 + np.abs(array))
        elif self.change is not None:
            part = self.change[self.used : self.used + array.size]
            self.used += array.size
            new = array + part.reshape(array.shape) if part.size == array.size else array
        else:
            return array
        if not stored:
            return new
        array[...] = new
        return array


def seen(value, *more):
    return ast.copy_location(ast.Call(ast.Name("__probe__", ast.Load()), [value, *more], []), value)


def probed(statement) -> list | None:
    """The statement with what it stores passed through __probe__, as a list of statements; None if it stores nothing.

    What goes into an array is probed there, after the statement: `dx[mask] = 0` stores as many numbers as the mask has.
    """

    match statement:
        case ast.AugAssign(target=target) | ast.Assign(targets=[ast.Subscript() as target]) if can_be_read_again(
            target
        ):
            again = ast.Assign([target], seen(edits.load(target), ast.Constant(True)))
            return [statement, ast.copy_location(again, statement)]
        case ast.Assign() | ast.AugAssign() | ast.AnnAssign() | ast.Return() if statement.value is not None:
            return [edits.replaced(statement, (("value", None),), seen(statement.value))]
        case ast.Expr(value=ast.Call(args=[*_, last])) if not isinstance(last, ast.Starred):
            return [edits.replaced(statement, (("value", None), ("args", len(statement.value.args) - 1)), seen(last))]
        case ast.Expr(value=ast.Yield(value=value)) if value is not None:
            return [edits.replaced(statement, (("value", None), ("value", None)), seen(value))]
    return None


def can_be_read_again(target) -> bool:
    """Whether evaluating a target twice is harmless: its only calls are those of NumPy."""
    calls = [node.func for node in ast.walk(target) if isinstance(node, ast.Call)]
    return all(
        isinstance(f, ast.Attribute) and isinstance(f.value, ast.Name) and f.value.id in edits.MODULES for f in calls
    )


class Investigation:
    """Every statement of a program under suspicion."""

    def __init__(self, workshop: Workshop):
        self.workshop, self.probe = workshop, Probe()
        chosen = {}
        for function in edits.functions(workshop.subject.tree):
            for _, block in edits.blocks(function):
                for index, statement in enumerate(block):
                    if isinstance(statement, ast.For):
                        chosen[workshop.slots.of(block, index, "header")] = [seen(statement.iter)]
                    new = probed(statement) if statement.lineno in workshop.lines else None
                    if new is not None:
                        chosen[workshop.slots.of(block, index, "in")] = [new]
        self.program, self.switches = workshop.with_switches(chosen, __probe__=self.probe)
        self.wrong = ~workshop.right
        self.suspects = [one for one in map(self.suspect, chosen) if one is not None]

    def run(self, slot, change=None, size=0.0):
        """The results with a change of what a statement stores; the values are in self.probe."""
        self.probe.begin(change, size)
        self.switches[slot] = 1
        vector = self.workshop.vector(self.program)
        self.switches[slot] = 0
        return vector

    def suspect(self, slot) -> Suspect | None:
        base = self.workshop.base
        vector = self.run(slot, size=1e-4)
        if vector is None or not any(self.probe.values):
            return None
        with np.errstate(all="ignore"):
            still = np.abs(vector - base) <= 1e-13 * np.maximum(1, np.abs(base))
        return Suspect(slot, ~(still | (np.isnan(vector) & np.isnan(base))))

    def solve_all(self, runs: int):
        """Solve for the right value of each suspect, those first that fit best, until so many runs are used up."""
        last = self.workshop.runs + runs
        for one in sorted(self.suspects, key=lambda one: (one.moved != self.wrong).sum()):
            if (self.wrong & ~one.moved).any():
                one.possible = False
            elif self.workshop.runs < last:
                self.solve(one)

    def solve(self, suspect: Suspect):
        """Fill in whether some value of the statement makes all results right, and which."""
        judge, base = self.workshop.judge, self.run(suspect.slot)
        found = self.probe.values
        size = sum(leaf.size for time in found for leaf in time)
        if base is None or not 0 < size <= MOST or not np.isfinite(judge.expected - base).all():
            return
        change, vector = np.zeros(size), base
        for _ in range(NEWTON):
            error = judge.expected - vector
            jacobian = self.jacobian(suspect.slot, change, vector)
            if jacobian is None:
                return
            step = np.linalg.lstsq(jacobian, error, rcond=1e-10)[0]
            predicted, change = error - jacobian @ step, change + step
            vector = self.run(suspect.slot, change)
            if vector is None:
                return
            left = judge.expected - vector
            if (np.abs(left) <= judge.allowed + 1e-7 * np.maximum(np.abs(error).max(), np.abs(judge.expected))).all():
                suspect.possible, suspect.found, suspect.expected = True, found, with_changes(found, change)
                suspect.rank = int(np.linalg.matrix_rank(jacobian, tol=1e-8 * max(1e-30, np.abs(jacobian).max())))
                return
            if np.allclose(left, predicted, rtol=1e-5, atol=1e-7 * np.abs(left).max()):
                break  # linear, and no value will do
        suspect.possible = False

    def jacobian(self, slot, change, base):
        columns = []
        for k in range(change.size):
            moved = change.copy()
            moved[k] += SMALL
            vector = self.run(slot, moved)
            if vector is None or not np.isfinite(vector).all():
                return None
            columns.append((vector - base) / SMALL)
        return np.stack(columns, axis=1)


def with_changes(values, change) -> list:
    """The values, each time, plus their part of the change."""
    new, used = [], 0
    for time in values:
        new.append([])
        for leaf in time:
            new[-1].append(leaf + change[used : used + leaf.size].reshape(leaf.shape))
            used += leaf.size
    return new
