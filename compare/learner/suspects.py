"""Which statements could be wrong: those of which another value would make every result right.

Each statement's value is changed a little, entry by entry, and the results watched. That gives its footprint (which
entries of the results depend on it) and its Jacobian. A backward pass is linear in nearly all its values, so whether
*some* value here makes all results right is a linear system, which has a solution or not. What it solves for is the
right value. No equation, name or convention is needed.
"""

import ast
import copy
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from compare.learner import syntax
from compare.learner.arrays import changed, is_float_array, is_tensor, to_numpy
from compare.learner.switches import Workshop

MOST = 800  # entries of a statement's values, over all times it runs, that are changed one by one
SMALL = 1e-4  # the change of an entry
SINGULAR = 1e-10  # of the largest singular value: below, values do not depend on a change
NEWTON = 16  # rounds, for the few values in which a backward pass is not linear
SHARES = (1.0, 0.5, 0.25)  # of a step, the first that helps


@dataclass
class Suspect:
    """A statement and what is known about it.

    reach: the entries of the results that depend on its value; moved: the same, or those that depend on its leaf;
    possible: whether some value makes all results right, None if that is not known; found, expected: its values, each
    time it runs, as they are and as they should be; rank: how many numbers of the results it can set; jacobian: of the
    results with respect to its values; change: what has to be added to these; leaf: which of several arrays that it
    stores has to change, None for all; leaves: the others that move all that is wrong, each with what it moves;
    recurrent: whether its value at one time depends on those before; linear: whether the results are linear in its
    values; order: when it first had a value; named: whether what it should be is one of the measured gradients
    (truths.py); close: whether this is the first such statement, or before it, in backward; innocent: whether what it
    holds, or what comes after it, is right already.
    """

    slot: int
    reach: np.ndarray
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
    close: bool = False
    innocent: bool = False
    last_right: bool = False

    def chosen(self, leaves: list) -> list:
        """Of the arrays that it stores those that have to change."""
        return leaves if self.leaf is None else [leaves[self.leaf]]

    def may_stay_the_first_time(self) -> bool:
        """Whether values that are right at all later times are enough."""
        first = sum(leaf.size for leaf in self.chosen(self.expected[0]))
        effect = self.jacobian @ self.change[columns_of(self.found, self.leaf)]
        later = self.jacobian[:, first:]
        left = effect - later @ np.linalg.lstsq(later, effect, rcond=SINGULAR)[0]
        return later.size > 0 and bool(np.abs(left).max() <= 1e-6 * np.abs(effect).max())


class Probe:
    """What __probe__ does with the values of the statement under test: note them, or add a change to them."""

    def __init__(self):
        self.begin(None)

    def begin(self, change, size=0.0, *, wide=False, given=None, leaf=None):
        """change: a vector for all entries of all values, or None; size: of random noise to add instead; given: arrays
        that take the place of the values, or of those with the number `leaf`; wide: whether a sum over an axis gets an
        entry for each of its terms, as if the axis were kept, or were another one.
        """
        self.change, self.size, self.used, self.values, self.reached = change, size, 0, [], None
        self.wide, self.given, self.leaf = wide, given and iter(given), leaf
        self.rng = np.random.default_rng(0) if size else None

    def __call__(self, value, *, integers=False, like=None, terms=None, shape=None, arguments=False):
        """integers: whether those count, because they are stored in an array, or are in the text instead of floats;
        like: an array to which it is added, say, so that it gets an entry for each of its entries; terms: what it is a
        sum of; shape: that of what it is used as; arguments: whether it is a tuple of arguments of a function, which
        may write into those that are not changed here, and into what holds arrays.
        """
        if shape is not None and not is_tensor(value):
            with suppress(ValueError):
                value = np.broadcast_to(value, shape).astype(float)
        self.integers, self.arguments = integers, arguments
        self.values.append([])
        if arguments:
            return tuple(one if isinstance(one, list | tuple | dict) else self.visited(one) for one in value)
        like = terms if self.wide else like
        if is_tensor(like) and is_tensor(value) and self.wide:
            with suppress(RuntimeError):
                value = value.expand(like.shape).clone()
        elif is_float_array(like) and not is_tensor(like) and isinstance(value, np.ndarray | float | int | np.number):
            with suppress(ValueError):
                value = np.broadcast_to(value, like.shape).astype(like.dtype)
        return self.visited(value)

    def here(self, _):
        """Note the variables of the function that calls this, if somebody wants to know."""
        if self.reached is not None:
            frame = sys._getframe(1)
            self.reached.append((copied(frame.f_locals), frame.f_globals))

    def visited(self, value):
        if is_tensor(value):
            array = to_numpy(value)
            new = self.visited(array)
            return value if new is array else sys.modules["torch"].from_numpy(np.asarray(new))
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            return self.with_its_part(value)
        if isinstance(value, float | np.floating) or (
            self.integers and isinstance(value, int | np.integer) and not isinstance(value, bool)
        ):
            return float(self.with_its_part(np.array(float(value))))
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self.visited(one) for one in value))
        if isinstance(value, tuple | list):
            return type(value)(self.visited(one) for one in value)
        return {key: self.visited(one) for key, one in value.items()} if type(value) is dict else value

    def with_its_part(self, array):
        """The array with its part of the change."""
        self.values[-1].append(np.array(array))  # not a masked array, nor a matrix
        if self.size:
            return array + self.size * (self.rng.random(array.shape) + 0.5) * (1 + np.abs(array))
        if self.given is not None and self.leaf in (None, len(self.values[-1]) - 1):
            return next(self.given).copy()  # the program may write into it
        if self.change is None:
            return array
        part = self.change[self.used : self.used + array.size]
        self.used += array.size
        if part.size != array.size or (self.arguments and not part.any()):
            return array
        return array + part.reshape(array.shape)


def copied(value, depth=4):
    """A copy of what a variable holds, so that later statements do not change it; its arrays are read-only."""
    if isinstance(value, np.ndarray):
        value = value.copy()
        value.flags.writeable = False
        return value
    if is_tensor(value):
        return value.clone()
    if depth and isinstance(value, list | tuple) and len(value) < 200:
        parts = [copied(one, depth - 1) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if depth and isinstance(value, dict) and len(value) < 200:
        return {key: copied(one, depth - 1) for key, one in value.items()}
    return value


def seen(value, **options):
    keywords = [ast.keyword(name, option) for name, option in options.items()]
    return ast.copy_location(ast.Call(ast.Name("__probe__", ast.Load()), [value], keywords), value)


def here(variables) -> ast.stmt:
    """A statement that calls __here__; it mentions some variables of functions around this one, so as to have them."""
    return ast.parse(f"__here__(lambda: [{', '.join(sorted(variables))}])").body[0]


class Arguments(ast.Tuple):
    """The arguments of a call that is a statement of its own, as a tuple."""


def value_of(statement):
    """(path, expression) of what a statement stores, passes on or returns; None if there is none."""
    match statement:
        case ast.Assign() | ast.AugAssign() | ast.AnnAssign() | ast.Return() if statement.value is not None:
            return (("value", None),), statement.value
        case ast.Expr(value=ast.Call(args=[only])) if not isinstance(only, ast.Starred):
            return (("value", None), ("args", 0)), only
        case ast.Expr(value=ast.Call(args=[_, *_] as args)) if not any(isinstance(one, ast.Starred) for one in args):
            return (("value", None), ("args", None)), Arguments(args, ast.Load())
        case ast.Expr(value=ast.Yield(value=value)) if value is not None:
            return (("value", None), ("value", None)), value
    return None


def probed(statement) -> list | None:
    """The statement with what it stores passed through __probe__, as a list of statements; None if it stores nothing.

    What goes into an array is probed there, after the statement: `dx[mask] = 0` stores as many numbers as the mask has.
    """
    found = value_of(statement)
    if found is None:
        return None
    path, value = found
    match statement:
        case ast.Assign(targets=[ast.Subscript() as target]) if can_be_read_again(target):
            again = ast.Assign([target], seen(syntax.load(target), integers=ast.Constant(True)))
            return [statement, ast.copy_location(again, statement)]
        case ast.AugAssign(target=target) if can_be_read_again(target):
            return [syntax.replaced(statement, path, seen(value, like=syntax.load(target)))]
    options = {"terms": terms_of(value)} if terms_of(value) else {}
    if is_literal(value):
        options["integers"] = ast.Constant(True)
    if isinstance(value, Arguments):
        options["arguments"] = ast.Constant(True)
    return [syntax.replaced(statement, path, seen(value, **options))]


def is_literal(value) -> bool:
    """Whether it is a constant, or a tuple of constants."""
    return all(isinstance(one, ast.Constant) for one in getattr(value, "elts", [value]))


def terms_of(value):
    """What a value is a sum or a mean of, over an axis, as in np.mean(terms, axis=1); None if it is none."""
    for node in ast.walk(value):
        method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if method and node.keywords and node.func.attr in ("sum", "mean", "max"):
            module = isinstance(node.func.value, ast.Name) and node.func.value.id in syntax.MODULES
            terms = [*node.args, None][0] if module else node.func.value
            return terms if terms is not None and can_be_read_again(terms) else None
    return None


def can_be_read_again(node) -> bool:
    """Whether evaluating an expression twice is harmless: its only calls are those of NumPy, and len."""
    functions = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    owners = [getattr(getattr(one, "value", one), "id", "") for one in functions]  # np of np.sqrt, and len
    return all(owner in (*syntax.MODULES, "len") for owner in owners)


def not_carried(function, loop, facts) -> Iterator[tuple[str, tuple]]:
    """(name, shape): the variables that have a value before a loop, are read in it, and never change in it."""
    inside = [node for statement in loop.body for node in ast.walk(statement)]
    changed = set()
    for node in inside:  # x in x = ..., x[t] = ... and x.append(...)
        if not syntax.is_load(node) or getattr(node, "attr", "") in ("append", "insert"):
            changed |= {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    for name in sorted(set(assigned_before(function, loop)) - changed):
        uses = [node for node in inside if isinstance(node, ast.Name | ast.BinOp) and name in operands(node)]
        shapes = [kind for kind in (facts.get(syntax.position(node)) for node in uses) if isinstance(kind, tuple)]
        if shapes:
            yield name, max(shapes, key=len)


def assigned_before(function, loop) -> Iterator[str]:
    """The variables that get a value of their own before a loop: not h in h, W = cache."""
    statements = [s for _, block in syntax.blocks(function) for s in block if s.lineno < loop.lineno]
    for statement in (one for one in statements if isinstance(one, ast.Assign)):
        for target in statement.targets:
            each = target.elts if hasattr(target, "elts") and hasattr(statement.value, "elts") else [target]
            yield from (one.id for one in each if isinstance(one, ast.Name))


def complete(block, index, function, facts) -> list[str]:
    """The arrays that the statements of a block before an index have filled entry by entry, or in a loop."""
    before = block[index - 1]
    changed = set(map(syntax.changed_in_place, ast.walk(before)))
    if isinstance(before, ast.For):
        changed |= syntax.stores(before.body)
    changed &= frozenset().union(*map(syntax.reads, block[index:]))
    nodes = (node for node in ast.walk(function) if isinstance(node, ast.Name) and syntax.is_load(node))
    arrays = {node.id for node in nodes if isinstance(facts.get(syntax.position(node)), tuple)}
    return sorted((changed & arrays) - {syntax.changed_in_place(block[index])})


def operands(node) -> set[str]:
    """The variable that a node is, or those that it adds, multiplies, ..."""
    parts = [node.left, node.right] if isinstance(node, ast.BinOp) else [node]
    return {part.id for part in parts if isinstance(part, ast.Name)}


class Investigation:
    """Every statement of a program under suspicion.

    suspects: the statements; between: the gaps between them in which a variable may have to change; names: the slot of
    such a gap -> the variable; here: id of a block -> the statement that notes the variables there; only: the entries
    of the results that count, all at first; wrong: which of these are; outputs: which of these forward returns;
    functions: see lines_of_forward.
    """

    def __init__(self, workshop: Workshop):
        self.workshop, self.probe, self.columns, self.names, self.here = workshop, Probe(), {}, {}, {}
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
                    new = probed(statement) if ran or not syntax.reads(statement) else None
                    if new is not None:
                        chosen[workshop.slots.of(block, index, "in")] = [[note, *new]]
        names = {"__probe__": self.probe, "__here__": self.probe.here}
        self.program, self.switches = workshop.with_switches(chosen, **names)
        self.slots = list(chosen)
        self.look_at(np.ones(workshop.right.size, bool))

    def gaps_of(self, block, function) -> dict:
        """Slot -> variant, for each variable that may have to change between statements of a block."""
        found, facts = {}, self.workshop.facts
        gaps = [(block, k, name, None) for k in range(1, len(block)) for name in complete(block, k, function, facts)]
        for loop in (one for one in block if isinstance(one, ast.For)):
            gaps += [(loop.body, len(loop.body), *one) for one in not_carried(function, loop, facts)]
        for inside, index, name, shape in gaps:
            slot = self.workshop.slots.of(inside, index, f"gap {name}")
            value = seen(syntax.name(name), shape=ast.Constant(shape))
            new = ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), inside[index - 1])
            found[slot], self.names[slot] = [[self.here[id(block)], new]], name
        return found

    def limited_to(self, only: np.ndarray) -> "Investigation":
        """The same statements, if only some entries of the results count."""
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

    def run(self, slot, change=None, size=0.0):
        """All results with a change of what a statement stores; the values are in self.probe."""
        self.probe.begin(change, size, wide=slot in self.wide)
        self.switches[slot] = 1
        vector = self.workshop.vector(self.program)
        self.switches[slot] = 0
        return vector

    def reached(self, suspect, gap: int | None = None) -> tuple[list, list]:
        """What a run sees in which a statement has the expected values: (variables, computed).

        variables: those of the function each time the statement is reached, or the gap with this number, as
        (variables, module); computed: what the statement stores without being corrected.
        """
        program, switches = self.program, self.switches
        if gap is not None:
            names = {"__probe__": self.probe, "__here__": self.probe.here}
            slot = self.workshop.slots.all[suspect.slot - 1]
            chosen = {suspect.slot: [probed(slot.node)], gap: [[self.here[id(slot.block)]]]}
            program, switches = self.workshop.with_switches(chosen, **names)
            switches[gap] = 1
        self.probe.begin(suspect.change, wide=suspect.slot in self.wide)
        self.probe.reached = noted = []
        switches[suspect.slot] = 1
        self.workshop.vector(program)
        switches[suspect.slot] = 0
        return noted, self.probe.values

    def varying(self, suspect, noted) -> set[str]:
        """The variables that depend, when a statement is reached again, on which of its right values it got before.

        noted: see `reached`.
        """
        self.probe.begin(None)
        self.probe.reached = as_it_is = []
        self.switches[suspect.slot] = 1
        self.workshop.vector(self.program)
        self.switches[suspect.slot] = 0
        pairs = zip(noted, as_it_is, strict=False)
        return {name for (one, _), (other, _) in pairs for name in one if changed(one[name], other.get(name))}

    def suspect(self, slot) -> Suspect | None:
        """What a statement moves; of several arrays that it stores the one that alone moves all that is wrong."""
        moved = self.moved(slot, size=1e-4)
        if moved is None or not any(self.probe.values):
            return None
        suspect, found = Suspect(slot, moved, moved), self.probe.values
        counts = {len(time) for time in found}
        if counts != {1} and len(counts) == 1 and not (self.wrong & ~moved).any():
            noise = 1e-4 * (0.5 + np.random.default_rng(0).random(columns_of(found, None).size))
            fits = []
            for leaf in range(*counts):
                moved = self.moved(slot, change=noise * columns_of(found, leaf))
                if moved is not None and not (self.wrong & ~moved).any():
                    fits.append((moved.sum(), leaf, moved))
            if fits:
                suspect.leaves = [fit[1:] for fit in sorted(fits, key=lambda fit: fit[:2])]
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

    def solve_all(self, runs: int):
        """Solve for the right value of each suspect, until so many runs are used up.

        Those first that fit best, and of these the ones in backward.
        """
        last = self.workshop.runs + runs

        def fit(one):
            return (one.moved != self.wrong).sum(), self.in_forward(self.line(one))

        for one in sorted([*self.between, *self.suspects], key=fit):
            if not self.could_be(one):
                one.possible = False
            elif self.workshop.runs < last:
                self.solve(one)
                if one.possible is False and self.sums_over_an_axis(one.slot):
                    self.wide.add(one.slot)
                    self.solve(one)
        for one in self.suspects:
            while not one.possible and one.leaves and self.workshop.runs < last:
                one.leaf, one.moved = one.leaves.pop(0)
                if self.could_be(one):
                    self.solve(one)

    def could_be(self, suspect: Suspect) -> bool:
        """Whether all wrong results depend on a suspect, and no right output of forward, which would be wrong, too."""
        return not (self.wrong & ~suspect.moved).any() and not (self.outputs & ~self.wrong & suspect.moved).any()

    def lines_of_forward(self) -> dict[range, bool]:
        """The lines of each function, and whether it makes outputs, while these are right."""
        makes = [self.line(one) for one in self.suspects if one.reach[self.outputs].any()]
        functions = (range(one.lineno, one.end_lineno + 1) for one in syntax.functions(self.workshop.subject.tree))
        right = not (self.wrong & self.outputs).any()
        return {lines: right and any(line in lines for line in makes) for lines in functions}

    def in_forward(self, line: int) -> bool:
        """Whether a line is in a function that makes outputs, while these are right."""
        inside = [makes for lines, makes in self.functions.items() if line in lines]
        return bool(inside) and inside[-1]

    def line(self, suspect: Suspect) -> int:
        return self.workshop.slots.all[suspect.slot - 1].node.lineno

    def with_values(self, suspect: Suspect, given: list) -> Suspect | None:
        """The suspect that holds these arrays, one each time it runs, if every result is right then; None if not."""
        self.probe.begin(None, wide=suspect.slot in self.wide, given=given, leaf=suspect.leaf)
        self.switches[suspect.slot] = 1
        vector = self.workshop.vector(self.program)
        self.switches[suspect.slot] = 0
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

    def sums_over_an_axis(self, slot) -> bool:
        if slot in self.names:
            return False
        found = value_of(self.workshop.slots.all[slot - 1].node)
        return found is not None and terms_of(found[1]) is not None

    def solve(self, suspect: Suspect):
        """Fill in whether some value of the statement makes all results right, and which."""
        base, found = self.run(suspect.slot), self.probe.values
        if base is None or not found or not np.isfinite(self.expected - base[self.only]).all():
            return
        columns = np.flatnonzero(columns_of(found, suspect.leaf))
        if not 0 < columns.size <= MOST:
            return
        change, vector = np.zeros(sum(leaf.size for time in found for leaf in time)), base
        for step_number in range(NEWTON):
            error, jacobian = self.expected - vector[self.only], self.jacobian(suspect.slot, change, vector, columns)
            if jacobian is None:
                return
            jacobian, step = jacobian[self.only], np.zeros_like(change)
            try:
                step[columns] = np.linalg.lstsq(jacobian, error, rcond=SINGULAR)[0]
            except np.linalg.LinAlgError:  # it does not converge: numbers near the largest there are
                return
            for share in SHARES:
                vector = self.run(suspect.slot, change + share * step)
                if vector is None:
                    return
                left = self.expected - vector[self.only]
                if self.is_solved(left, error):
                    self.note_solution(suspect, found, change + share * step, jacobian)
                    suspect.linear = step_number == 0
                    return
                predicted = error - share * jacobian @ step[columns]
                if np.allclose(left, predicted, rtol=1e-5, atol=1e-7 * np.abs(left).max()):
                    suspect.possible = False  # the results are linear in the value, and no value will do
                    return
                if np.isfinite(left).all() and np.abs(left).sum() < 0.9 * np.abs(error).sum():
                    break
            else:
                return
            change = change + share * step

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
        """The derivatives of all results with respect to the entries `which` of a statement's values; None if infinite.

        base: the results with the change; without one the derivatives are kept.
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
