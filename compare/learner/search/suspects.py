"""Find the statements that could be wrong: those for which some other value would make every result right.

Each statement's value is perturbed one entry at a time, and the effect on the results is recorded. That gives its
footprint (which entries of the results depend on it) and its Jacobian. A backward pass is linear in nearly all its
values, so whether *some* value here makes all results right is a linear system, which has a solution or not. The
solution is the right value. No equation, name or convention is needed.
"""

import ast
import copy
import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from compare.learner.program.arrays import changed
from compare.learner.search import syntax
from compare.learner.search.probes import Probe, complete, given, here, not_carried, probed, seen, value_of, widths
from compare.learner.search.switches import Workshop

MOST = 800  # entries of a statement's values, over all times it runs, that are changed one by one
SMALL = 1e-4  # the change of an entry
SINGULAR = 1e-10  # relative to the largest singular value; smaller ones count as zero
STEPS = 16  # of Broyden's method, for the few values in which a backward pass is nonlinear
SHARES = (1.0, 0.5, 0.25)  # of a step, the first that helps


@dataclass
class Suspect:
    """A statement and what is known about it.

    slot: its number, see edits.Slots; moved: the entries of the results that depend on its value, or on its leaf;
    possible: whether some value makes all results right, None if that is not known; found, expected: its values, each
    time it runs, as they are and as they should be; rank: of its Jacobian, that is, how many entries of the results it
    can set independently; jacobian: of the results with respect to its values; change: what has to be added to these;
    leaf: which of several arrays that it stores has to change, None for all; leaves: the others that move all that is
    wrong, each with what it moves; recurrent: whether its value at one time depends on those before; linear: whether
    the results are linear in its values; order: when it first had a value; named: whether what it should be is one of
    the measured gradients (truths.py); innocent: whether what it holds, or what comes after it, is right already;
    last_right: whether it is the last statement that holds such a right value.
    """

    slot: int
    moved: np.ndarray
    possible: bool | None = None
    found: list = field(default_factory=list)
    expected: list = field(default_factory=list)
    rank: int = 0
    jacobian: np.ndarray | None = None
    change: np.ndarray | None = None
    leaf: int | None = None
    leaves: list = field(default_factory=list)
    recurrent: bool = False
    linear: bool = True
    order: int = 0
    named: bool = False
    innocent: bool = False
    last_right: bool = False

    def chosen(self, leaves: list) -> list:
        """Of the arrays that it stores those that have to change."""
        return leaves if self.leaf is None else [leaves[self.leaf]]

    def may_stay_the_first_time(self) -> bool:
        """Whether it is enough to correct the value from the second time on."""
        first = sum(leaf.size for leaf in self.chosen(self.expected[0]))
        effect = self.jacobian @ self.change[columns_of(self.found, self.leaf)]
        later = self.jacobian[:, first:]
        left = effect - later @ np.linalg.lstsq(later, effect, rcond=SINGULAR)[0]
        return later.size > 0 and bool(np.abs(left).max() <= 1e-6 * np.abs(effect).max())


class Investigation:
    """Every statement of a program under suspicion.

    suspects: the statements; between: the gaps between them in which a variable may have to change; names: the slot of
    such a gap -> the variable; widths: slot -> see there; here: id of a block -> the statement that notes the variables
    there; only: the entries of the results that count, all at first; wrong: which of these are; outputs: which of these
    forward returns; functions: see lines_of_forward.
    """

    def __init__(self, workshop: Workshop):
        self.workshop, self.probe, self.columns = workshop, Probe(), {}
        self.names, self.here, self.widths = {}, {}, {}
        chosen = {}
        for function in syntax.functions(workshop.subject.tree):
            note = here(syntax.variables_around(workshop.subject.tree, function))
            for _, block in syntax.blocks(function):
                self.here[id(block)] = note
                chosen |= self.gaps_of(block, function)
                for index, statement in enumerate(block):
                    if isinstance(statement, ast.For):
                        chosen[workshop.slots.of(block, index, "header")] = [seen(statement.iter)]
                    ran = any(k in workshop.lines for k in range(statement.lineno, statement.end_lineno + 1))
                    found = value_of(statement) if ran or not syntax.reads(statement) else None
                    if found is not None:
                        slot = workshop.slots.of(block, index, "in")
                        self.widths[slot] = widths(statement, found[1], function, workshop.facts)
                        chosen[slot] = [[note, *probed(statement, **self.widths[slot])]]
        names = {"__probe__": self.probe, "__here__": self.probe.here}
        self.program, self.switches = workshop.with_switches(chosen, **names)
        self.slots = list(chosen)
        self.look_at(np.ones(workshop.right.size, bool))

    def gaps_of(self, block, function) -> dict:
        """Slot -> variant, for each variable that may have to change between statements of a block."""
        found, facts = {}, self.workshop.facts
        gaps = [(block, k, name, None) for k in range(1, len(block)) for name in complete(block, k, function, facts)]
        if block is function.body:
            gaps += [(block, k, name, None) for name, k in given(function, facts)]
        for loop in (one for one in block if isinstance(one, ast.For)):
            gaps += [(loop.body, len(loop.body), *one) for one in not_carried(function, loop, facts)]
        for inside, index, name, shape in gaps:
            slot = self.workshop.slots.of(inside, index, f"gap {name}")
            value = seen(syntax.name(name), shape=ast.Constant(shape))
            new = ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), inside[max(0, index - 1)])
            found[slot], self.names[slot] = [[self.here[id(block)], new]], name
        return found

    def limited_to(self, only: np.ndarray) -> "Investigation":
        """The same investigation, restricted to some entries of the results."""
        other = copy.copy(self)
        other.look_at(only)
        return other

    def look_at(self, only):
        self.only, self.wrong, self.wide = only, ~self.workshop.right[only], set()
        judge = self.workshop.judge
        self.expected, self.allowed = judge.expected[only], judge.allowed[only]
        count = sum(judge.case.expected[name].size for name in judge.case.results)
        self.outputs = (np.arange(only.size) < count)[only]
        found = [one for one in map(self.suspect, self.slots) if one is not None]
        self.suspects = [one for one in found if one.slot not in self.names]
        self.between = [one for one in found if one.slot in self.names]
        self.functions = self.lines_of_forward()

    def run(self, slot, change=None, program=None, switches=None, **options):
        """All results with a change of what a statement stores; the values are in self.probe.

        program, switches: another program in which the same statements are probed; options: see Probe.begin.
        """
        self.probe.begin(change, wide=slot in self.wide, **options)
        switches = self.switches if switches is None else switches
        switches[slot] = 1
        vector = self.workshop.vector(program or self.program)
        switches[slot] = 0
        return vector

    def reached(self, suspect, gap: int | None = None) -> tuple[list, list]:
        """Run with the expected values of a statement. Returns what was seen: (variables, computed).

        variables: those of the function each time the statement is reached, or the gap with this number, as
        (variables, module); computed: what the statement stores before it is corrected.
        """
        program = switches = None
        if gap is not None:
            names = {"__probe__": self.probe, "__here__": self.probe.here}
            slot = self.workshop.slots[suspect.slot]
            variant = probed(slot.node, **self.widths[suspect.slot])
            chosen = {suspect.slot: [variant], gap: [[self.here[id(slot.block)]]]}
            program, switches = self.workshop.with_switches(chosen, **names)
            switches[gap] = 1
        noted = []
        self.run(suspect.slot, suspect.change, program, switches, note=noted)
        return noted, self.probe.values

    def varying(self, suspect, noted) -> set[str]:
        """The variables whose value, when a statement is reached again, depends on which right value it got before.

        noted: see `reached`.
        """
        as_it_is = []
        self.run(suspect.slot, note=as_it_is)
        pairs = zip(noted, as_it_is, strict=False)
        return {name for (one, _), (other, _) in pairs for name in one if changed(one[name], other.get(name))}

    def suspect(self, slot) -> Suspect | None:
        """What a statement moves; if it stores several arrays, one is chosen that alone moves all that is wrong."""
        moved = self.moved(slot, size=SMALL)
        if moved is None or not any(self.probe.values):
            return None
        suspect, found = Suspect(slot, moved), self.probe.values
        counts = {len(time) for time in found}
        if counts != {1} and len(counts) == 1 and not (self.wrong & ~moved).any():
            noise = SMALL * (0.5 + np.random.default_rng(0).random(columns_of(found, None).size))
            fits = []
            for leaf in range(*counts):
                moved = self.moved(slot, change=noise * columns_of(found, leaf))
                if moved is not None and not (self.wrong & ~moved).any():
                    fits.append((moved.sum(), leaf, moved))
            if fits:
                # of the arguments of a call, such as np.add.at, the first may be where it stores
                is_call = isinstance(self.workshop.slots[slot].node, ast.Expr)
                fits.sort(key=lambda fit: (fit[0], -fit[1] if is_call else fit[1]))
                suspect.leaves = [fit[1:] for fit in fits]
                suspect.leaf, suspect.moved = suspect.leaves.pop(0)
        return suspect

    def moved(self, slot, **changed) -> np.ndarray | None:
        """Which entries of the results another value of the statement changes; None if it does not run."""
        base, vector = self.workshop.base[self.only], self.run(slot, **changed)
        if vector is None:
            return None
        vector = vector[self.only]
        with np.errstate(all="ignore"):
            still = np.abs(vector - base) <= 1e-13 * np.maximum(1, np.abs(base))
        return ~(still | (np.isnan(vector) & np.isnan(base)))

    def solve_all(self, runs: int) -> Iterator[None]:
        """Solve for the right value of each suspect, until so many runs are used up.

        Those that fit best come first, and of these the ones in backward. This yields once one of them is evident,
        before those that fit less well, and at the end. Only its own runs count.
        """
        last = self.workshop.runs + runs

        def fit(one):
            return (one.moved != self.wrong).sum()

        found = sorted([*self.between, *self.suspects], key=lambda one: (fit(one), self.in_forward(self.line(one))))
        for _, alike in itertools.groupby(found, fit):
            alike = list(alike)
            for one in alike:
                self.try_to_solve(one, last)
            if any(map(self.is_evident, alike)):
                before = self.workshop.runs
                yield
                last += self.workshop.runs - before
        for one in self.suspects:
            while not one.possible and one.leaves and self.workshop.runs < last:
                one.leaf, one.moved = one.leaves.pop(0)
                if self.could_be(one):
                    self.solve(one)
        yield

    def try_to_solve(self, suspect: Suspect, last: int):
        """last: the number of the last run."""
        if not self.could_be(suspect):
            suspect.possible = False
        elif self.workshop.runs < last:
            self.solve(suspect)
            if suspect.possible is False and self.widths.get(suspect.slot):
                self.wide.add(suspect.slot)
                self.solve(suspect)

    def is_evident(self, suspect: Suspect) -> bool:
        """Whether a statement in backward moves exactly the wrong entries, or more than it can set independently.

        What is returned can always be set to what is right.
        """
        statement = self.workshop.slots[suspect.slot].node
        if not suspect.possible or isinstance(statement, ast.Return) or self.in_forward(statement.lineno):
            return False
        return not (suspect.moved != self.wrong).any() or suspect.rank < 0.9 * suspect.moved.sum()

    def could_be(self, suspect: Suspect) -> bool:
        """Whether all wrong results depend on a suspect, and no right output of forward, which would be wrong, too."""
        return not (self.wrong & ~suspect.moved).any() and not (self.outputs & ~self.wrong & suspect.moved).any()

    def lines_of_forward(self) -> dict[range, bool]:
        """The lines of each function, and whether it makes outputs, while these are right."""
        makes = [self.line(one) for one in self.suspects if one.moved[self.outputs].any()]
        functions = (range(one.lineno, one.end_lineno + 1) for one in syntax.functions(self.workshop.subject.tree))
        right = not (self.wrong & self.outputs).any()
        return {lines: right and any(line in lines for line in makes) for lines in functions}

    def in_forward(self, line: int) -> bool:
        """Whether a line is in a function that makes outputs, while these are right."""
        inside = [makes for lines, makes in self.functions.items() if line in lines]
        return bool(inside) and inside[-1]

    def line(self, suspect: Suspect) -> int:
        return self.workshop.slots[suspect.slot].node.lineno

    def with_values(self, suspect: Suspect, given: list) -> Suspect | None:
        """The suspect that holds these arrays, one each time it runs, if every result is right then; None if not."""
        vector = self.run(suspect.slot, given=given, leaf=suspect.leaf)
        error = self.expected - self.workshop.base[self.only]
        if vector is None or not self.is_solved(self.expected - vector[self.only], error):
            return None
        computed = [leaf for time in self.probe.values for leaf in suspect.chosen(time)]
        if [one.shape for one in computed] != [one.shape for one in given]:
            return None
        change = np.zeros(columns_of(self.probe.values, None).size)
        change[columns_of(self.probe.values, suspect.leaf)] = np.concatenate(
            [(a - b).ravel() for a, b in zip(given, computed, strict=True)]
        )
        expected = with_changes(self.probe.values, change)
        return replace(suspect, expected=expected, change=change, rank=sum(one.size for one in given))

    def solve(self, suspect: Suspect):
        """Fill in whether some value of the statement makes all results right, and which."""
        base, found = self.run(suspect.slot), self.probe.values
        which = np.flatnonzero(columns_of(found, suspect.leaf))
        if base is None or not np.isfinite(self.expected - base[self.only]).all() or not 0 < which.size <= MOST:
            return
        change, error = np.zeros(columns_of(found, None).size), self.expected - base[self.only]
        jacobian = self.jacobian(suspect.slot, change, base, which)
        if jacobian is None:
            return
        jacobian = jacobian[self.only]
        with suppress(np.linalg.LinAlgError):  # it does not converge: numbers near the largest there are
            change[which] = np.linalg.lstsq(jacobian, error, rcond=SINGULAR)[0]
            left = self.error_with(suspect.slot, change)
            predicted = error - jacobian @ change[which]
            if left is None:
                return
            if self.is_solved(left, error):
                self.note_solution(suspect, found, change, jacobian)
            elif np.isfinite(left).all() and np.allclose(left, predicted, 1e-5, 1e-7 * np.abs(left).max()):
                suspect.possible = False  # the results are linear in the value, and no value will do
            else:
                self.solve_step_by_step(suspect, found, which, jacobian, error)

    def solve_step_by_step(self, suspect: Suspect, found, which, jacobian, error):
        """The same where the results are not linear in the value, by Broyden's method (1965)."""
        change, slopes = np.zeros(columns_of(found, None).size), jacobian
        for _ in range(STEPS):
            step = np.linalg.lstsq(slopes, error, rcond=SINGULAR)[0]
            for share in SHARES:
                after, moved = change.copy(), share * step
                after[which] += moved
                left = self.error_with(suspect.slot, after)
                if left is None:
                    return
                if self.is_solved(left, error):
                    self.note_solution(suspect, found, after, jacobian)
                    suspect.linear = False
                    return
                if np.abs(left).sum() < 0.9 * np.abs(error).sum():
                    break
            else:
                return
            slopes = slopes + np.outer(error - slopes @ moved - left, moved / (moved @ moved))
            change, error = after, left

    def error_with(self, slot, change) -> np.ndarray | None:
        """By how much the results are wrong with a change of a statement's values; None if it does not run."""
        vector = self.run(slot, change)
        return None if vector is None else self.expected - vector[self.only]

    def is_solved(self, left, error) -> bool:
        allowed = self.allowed + 1e-7 * np.maximum(np.abs(error).max(), np.abs(self.expected))
        return bool((np.abs(left) <= allowed).all())

    def note_solution(self, suspect: Suspect, found, change, jacobian):
        """Fill in the right values, after a run with them."""
        computed = self.probe.values  # before the change of this time, but after those of earlier times
        suspect.possible, suspect.found, suspect.expected = True, found, with_changes(computed, change)
        suspect.jacobian, suspect.change = jacobian, change
        pairs = [pair for a, b in zip(found, computed, strict=False) for pair in zip(a, b, strict=False)]
        suspect.recurrent = any(a.shape != b.shape or not np.allclose(a, b, 1e-9, 1e-9) for a, b in pairs)
        suspect.rank = int(np.linalg.matrix_rank(jacobian, tol=1e-8 * max(1e-30, np.abs(jacobian).max())))

    def jacobian(self, slot, change, base, which) -> np.ndarray | None:
        """The derivatives of all results with respect to the entries `which` of a statement's values.

        base: the results with the change. None if a result is not finite. Columns without a change are kept.
        """
        kept = self.columns.setdefault((slot, slot in self.wide), {}) if not change.any() else {}
        for k in which:
            if k not in kept:
                moved = change.copy()
                moved[k] += SMALL
                vector = self.run(slot, moved)
                if vector is None or not np.isfinite(vector[self.only]).all():
                    return None
                kept[k] = (vector - base) / SMALL
        return np.stack([kept[k] for k in which], axis=1)


def columns_of(values, leaf: int | None) -> np.ndarray:
    """Which entries of all values in one vector belong to the array with this number, each time; all, if it is None."""
    parts = [np.full(one.size, leaf in (None, k)) for time in values for k, one in enumerate(time)]
    return np.concatenate(parts) if parts else np.zeros(0, bool)


def with_changes(values, change) -> list:
    """The values, each time, plus their part of the change."""
    new, used = [], 0
    for time in values:
        new.append([])
        for leaf in time:
            new[-1].append(leaf + change[used : used + leaf.size].reshape(leaf.shape))
            used += leaf.size
    return new
