"""Try an expression without running the program: evaluate it where its statement runs, and compare with what is needed.

suspects.py knows which value of a statement makes every result right. An edit of the statement is right if its value is
that one. So one run notes the variables each time the statement is reached, and any number of edits are then evaluated
in them.
"""

import ast
import builtins
import operator
from dataclasses import replace

import numpy as np

from compare.learner.search import edits, syntax
from compare.learner.search.probes import Arguments, Probe, is_literal, value_of
from compare.learner.search.suspects import SINGULAR, Investigation, Suspect
from compare.learner.search.switches import Endless, Workshop

CLOSE = 1e-5  # relative accuracy of the solved values; candidates that pass are confirmed by a run
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: lambda a, b: a ** float(b) if type(b) is int and b > 1000 else a**b,  # 3 ** 10**9 would not end
    ast.MatMult: operator.matmul,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}


class Place:
    """The variables at one time that a statement is reached, and the values of expressions there."""

    def __init__(self, variables: dict, module: dict, workshop: Workshop):
        self.variables, self.module, self.workshop, self.known, self.nodes = variables, module, workshop, {}, []

    def value(self, node):
        """The value of an expression. Raises ValueError with the words of what evaluating it raises."""
        key = id(node)
        if key not in self.known:
            self.nodes.append(node)  # keeps it alive, and its id with it
            try:
                self.known[key] = True, self.computed(node)
            except Exception as error:
                self.known[key] = False, str(error)
        good, value = self.known[key]
        if not good:
            raise ValueError(value)
        return value

    def with_part(self, node, value, chain):
        """Evaluate chain[-1] with `value` in place of its part `node`. chain: what encloses that, innermost first."""
        if not chain:
            return value
        kept = {id(one): self.known.pop(id(one), None) for one in (node, *chain)}
        self.known[id(node)] = True, value
        try:
            for one in chain:
                self.known[id(one)] = True, self.computed(one)
            return self.known[id(chain[-1])][1]
        finally:
            for key, old in kept.items():
                if old is None:
                    self.known.pop(key, None)
                else:
                    self.known[key] = old

    def computed(self, node):
        match node:
            case ast.Name(id=name):
                for names in (self.variables, self.module, vars(builtins)):
                    if name in names:
                        return names[name]
                raise NameError(name)
            case ast.Constant(value=value):
                return value
            case ast.BinOp(left=left, op=op, right=right):
                return OPERATORS[type(op)](self.value(left), self.value(right))
            case ast.UnaryOp(op=op, operand=operand):
                return OPERATORS[type(op)](self.value(operand))
            case ast.Attribute(value=value, attr=attr):
                return getattr(self.value(value), attr)
            case ast.Subscript(value=value, slice=index):
                return self.value(value)[self.value(index)]
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(None if one is None else self.value(one) for one in (lower, upper, step)))
            case ast.Tuple(elts=elts):
                return tuple(self.value(one) for one in elts)
            case ast.List(elts=elts):
                return [self.value(one) for one in elts]
            case ast.Dict(keys=keys, values=values) if None not in keys:
                return {self.value(key): self.value(one) for key, one in zip(keys, values, strict=True)}
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self.value(body if self.value(test) else orelse)
            case ast.Call(func=func, args=args, keywords=keywords):
                called, args = self.value(func), [self.value(one) for one in args]
                self.workshop.ticks = 0
                try:
                    return called(*args, **{keyword.arg: self.value(keyword.value) for keyword in keywords})
                except Endless:
                    raise ValueError("a loop without end") from None
        code = compile(ast.Expression(ast.fix_missing_locations(node)), "", "eval")
        return eval(code, self.module | self.variables)


class Screen:
    """What a statement needs, and where it runs.

    places: a Place per time it runs, in a run in which it has the right values; expected: these, each time a list of
    arrays; original: its expression; unique: whether these are the only right values; decides: whether the test is
    conclusive.
    """

    def __init__(self, suspect: Suspect, places: list[Place], original):
        self.suspect, self.slot, self.places, self.original = suspect, suspect.slot, places, original
        self.expected, self.jacobian = [suspect.chosen(time) for time in suspect.expected], suspect.jacobian
        self.needed = np.concatenate([leaf.ravel() for time in self.expected for leaf in time])
        self.unique = suspect.rank == self.needed.size
        held = [leaf.ravel() for time in suspect.found for leaf in suspect.chosen(time)]
        largest = np.abs(np.concatenate([self.needed, *held])).max(initial=0)  # what it needs may be zeros
        self.near = CLOSE * (largest or 1.0)
        self.matrix, self.decides = self.test()
        sizes = np.abs(self.matrix).sum(axis=1)[:, None]
        self.allowed = self.near * np.maximum(sizes, 1e-6 * sizes.max(initial=0))

    def test(self) -> tuple[np.ndarray, bool]:
        """(matrix, decides): values v are right if matrix @ (v - needed) is 0, or, if not `decides`, may be.

        That matrix is the Jacobian, if the results are linear in the values. But where more than one choice of values
        is right, the variables at later places depend on the choice that was made, so that only what is at the first
        place can be compared: as far as no later value can make up for it.
        """
        if self.unique:
            return np.eye(self.needed.size), True
        if not self.suspect.recurrent:
            return self.jacobian, self.suspect.linear
        size = sum(leaf.size for leaf in self.expected[0])
        jacobian = np.linalg.qr(self.jacobian, mode="r")  # there may be many more results than values
        directions, singular, _ = np.linalg.svd(jacobian[:, size:], full_matrices=True)
        rank = int((singular > SINGULAR * singular.max(initial=0)).sum())
        first = np.zeros((len(jacobian) - rank, self.needed.size))
        first[:, :size] = directions[:, rank:].T @ jacobian[:, :size]
        own = self.values(self.original) if self.usable() else self.needed
        wrong_there = not np.allclose(first @ (own - self.needed), 0, atol=self.near)
        return first, wrong_there and np.linalg.matrix_rank(first, tol=1e-8 * np.abs(self.jacobian).max(initial=0)) >= 3

    def usable(self) -> bool:
        """Whether the places are complete, and the statement's expression can be evaluated in them."""
        return len(self.places) == len(self.expected) and self.values(self.original) is not None

    def values(self, node) -> np.ndarray | None:
        """The expression's values at all places, in one vector; None if it fails or has other shapes."""
        return self.collected(lambda place, k: place.value(node), stop=False)

    def passes(self, value_at) -> bool:
        """Whether values are those that are needed. value_at: (place, its number) -> the value."""
        values = self.collected(value_at, stop=self.unique)
        return values is not None and bool(self.right(values[:, None])[0])

    def collected(self, value_at, *, stop) -> np.ndarray | None:
        """All values in one vector. stop: give up at the first that is not what is needed."""
        parts = []
        for k, (place, expected) in enumerate(zip(self.places, self.expected, strict=True)):
            try:
                leaves = self.suspect.chosen(leaves_of(value_at(place, k), self.original))
                if len(leaves) != len(expected):
                    return None
                for a, b in zip(leaves, expected, strict=True):
                    a = a if a.shape == b.shape else np.broadcast_to(a, b.shape)
                    if stop and not np.abs(a - b).max(initial=0) <= self.near:
                        return None
                    parts.append(a.ravel())
            except Exception:
                return None
        return np.concatenate(parts)

    def right(self, columns: np.ndarray) -> np.ndarray:
        """Which of many values, one per column, give the right results."""
        return (np.abs(self.matrix @ (columns - self.needed[:, None])) <= self.allowed).all(axis=0)


class StatementScreen(Screen):
    """A statement whose value has to change.

    varying: the variables that would have other values if other ones of its right values were chosen.
    """

    def __init__(self, investigation: Investigation, suspect: Suspect):
        slot = investigation.workshop.slots[suspect.slot]
        self.block, self.index = slot.block, slot.index
        self.statement, (self.path, original) = slot.node, value_of(slot.node)
        noted, _ = investigation.reached(suspect)
        super().__init__(suspect, [Place(*one, investigation.workshop) for one in noted], original)
        self.varying = set() if self.unique else investigation.varying(suspect, noted)

    def edit(self, cost, path, node, new) -> edits.Edit:
        statement = syntax.replaced(self.statement, (*self.path, *path), new)
        longer = isinstance(new, ast.BinOp) and new.left is node
        line = node.end_lineno if longer else node.lineno
        return edits.Edit(cost, line, ((self.slot, [statement]),), "change", node, new, bool(path))

    def judges(self, statement) -> bool | None:
        """Whether another statement has the values that are needed; None if it differs in more than its value."""
        found = value_of(statement)
        if found is None or not only_value_differs(self.statement, statement, self.path):
            return None
        new = found[1]
        if self.varying & (syntax.reads(new) - syntax.reads(self.original)):
            return None
        return self.passes(lambda place, k: place.value(new))


class GapScreen(Screen):
    """A gap after a statement, where one is missing that changes the stored value before it is read."""

    def __init__(self, investigation: Investigation, suspect: Suspect, gap: edits.Slot, target):
        noted, computed = investigation.reached(suspect, gap.number if gap.number != suspect.slot else None)
        self.gap, self.block, self.target, original = gap, gap.block, target, syntax.load(target)
        places = [Place(*one, investigation.workshop) for one in noted]
        for place, leaves in zip(places, map(suspect.chosen, computed), strict=False):
            if len(leaves) == 1:  # the variable holds the corrected value; the expression must see the one before
                place.nodes.append(original)
                place.known[id(original)] = True, leaves[0]
        expected = [suspect.chosen(time) for time in suspect.expected]
        super().__init__(replace(suspect, expected=expected, leaf=None), places, original)

    def edit(self, cost, path, node, new) -> edits.Edit:
        after = ast.Assign([self.target], syntax.replaced(self.original, path, new))
        return edits.insertion(cost + 0.6, self.gap.number, after, self.gap.block, self.gap.index)


def leaves_of(value, original) -> list[np.ndarray]:
    """The arrays and numbers in a value, in the order in which a Probe visits them; original: the expression."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return [np.asarray(value, dtype=None if value.dtype.kind == "f" else float)]
    probe = Probe()
    is_arguments = isinstance(original, Arguments)
    probe(value, integers=is_literal(original) or not isinstance(original, ast.Tuple), arguments=is_arguments)
    return probe.values[0]


def only_value_differs(old, new, path) -> bool:
    """Whether two statements are the same but for what `path` leads to (their other parts are the same objects)."""
    if type(old) is not type(new):
        return False
    (field, index), *rest = path
    for name in old._fields:
        a, b = getattr(old, name), getattr(new, name, None)
        if name == field and index is not None:
            if len(a) != len(b) or any(x is not y for k, (x, y) in enumerate(zip(a, b, strict=True)) if k != index):
                return False
        elif name != field and a is not b:
            return False
    if not rest:
        return True
    a, b = getattr(old, field), getattr(new, field)
    return only_value_differs(a if index is None else a[index], b if index is None else b[index], rest)
