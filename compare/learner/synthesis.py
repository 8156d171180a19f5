"""Which expression has the value that a statement needs? Built from what the statement could read.

Ingredients are the variables where the statement runs, their fields, entries and slices. Each part of the statement's
expression is replaced by an ingredient or a simple function of one, or gets one more term or factor; and the whole, or
one of its terms, by a product of two. Their values are compared with those that screening.py asks for.
"""

import ast
from collections.abc import Callable, Iterator

import numpy as np

from compare.learner import edits
from compare.learner.screening import Screen

MOST = 250  # ingredients
NUMBERS = (0.5, 2.0, 1.0)


class Ingredient:
    """An expression and what it holds. at: number of a place -> value; size: how many nodes it has.

    kind: what it holds at the first place (see kind below); None if it cannot be evaluated there.
    """

    def __init__(self, node, at: Callable, size: int):
        self.node, self.at, self.size = node, at, size
        try:
            self.kind = kind(at(0))
        except Exception:
            self.kind = None

    def then(self, node, function) -> "Ingredient":
        """A function of it."""
        return Ingredient(node, lambda k: function(self.at(k)), self.size + 1)


def kind(value):
    """What may stand in for what: the shape of an array, or a word."""
    if isinstance(value, np.ndarray):
        return (value.dtype.kind, *value.shape)
    if isinstance(value, bool | np.bool_):
        return "bool"
    return "number" if isinstance(value, int | float | np.number) else None


def indexed(value):
    """What has the same indices: a list, or an array with so many dimensions."""
    return value.ndim if isinstance(value, np.ndarray) else "list" if isinstance(value, list | tuple) else "other"


def size(node) -> int:
    return sum(isinstance(one, ast.expr) for one in ast.walk(node))


class Synthesis:
    """All that can be built for one statement."""

    def __init__(self, screen: Screen, scope: edits.Scope):
        self.screen, self.places = screen, screen.places
        self.found = {}
        for node in self.candidates(scope):
            self.add(node)
            if len(self.found) >= MOST:
                break
        self.ingredients = list(self.found.values())
        self.numeric = [one for one in self.ingredients if one.kind != "bool"]

    # ---- ingredients ----

    def candidates(self, scope) -> Iterator[ast.expr]:
        """Expressions: the variables, those in the text, and the parts of variables."""
        todo = [edits.name(text) for text in self.places[0].variables]
        yield from todo
        yield from (node for node, _ in scope.ingredients.values() if pure(node))
        for _ in range(2):
            todo = [part for node in todo for part in self.parts(node, scope)]
            yield from todo

    def parts(self, node, scope) -> Iterator[ast.expr]:
        """The fields of an object, the entries of a dictionary, a list or an array."""
        try:
            value = self.places[0].value(node)
        except Exception:
            return
        if isinstance(value, dict):
            yield from (edits.entry(node, ast.Constant(key)) for key in value if isinstance(key, str))
        elif hasattr(value, "_fields") or hasattr(value, "__dict__") and not callable(value):
            names = getattr(value, "_fields", None) or vars(value)
            yield from (ast.Attribute(node, name, ast.Load()) for name in names)
        elif isinstance(value, list | tuple | np.ndarray):
            ends = [ast.Constant(0), ast.Constant(-1)][: 2 if isinstance(value, list | tuple) else 1]
            kinds = self.kinds_of_indices(scope)
            same = [index for index in scope.slices.values() if indexed(value) in kinds[edits.unparse(index)]]
            yield from (edits.entry(node, index) for index in (*same, *ends))

    def kinds_of_indices(self, scope) -> dict:
        """What each index in the text is an index of: text -> kinds."""
        if not hasattr(self, "_kinds"):
            self._kinds = {text: set() for text in scope.slices}
            for base, text in scope.indexed:
                try:
                    self._kinds[text].add(indexed(self.places[0].value(base)))
                except Exception:
                    self._kinds[text] |= {"list", 1, 2, 3, 4}
        return self._kinds

    def add(self, node):
        try:
            values = [place.value(node) for place in self.places]
        except Exception:
            return
        if kind(values[0]) is None:
            return
        key = tuple((kind(one), np.asarray(one).tobytes()) for one in values)
        if key not in self.found or size(node) < self.found[key].size:
            self.found[key] = Ingredient(node, values.__getitem__, size(node))

    def functions_of(self, one) -> Iterator[tuple[float, Ingredient]]:
        """(cost, f(x)): what the derivatives of the usual functions are made of."""
        node = one.node
        yield 0.4, one.then(edits.one_minus(node), lambda x: 1 - x)
        yield 0.4, one.then(edits.squared(node), lambda x: x * x)
        yield 0.5, one.then(edits.one_minus(edits.squared(node)), lambda x: 1 - x * x)
        yield 0.5, one.then(ast.BinOp(node, ast.Mult(), edits.one_minus(node)), lambda x: x * (1 - x))
        yield 0.4, one.then(ast.UnaryOp(ast.USub(), node), lambda x: -x)

    def layouts_of(self, one) -> Iterator[tuple[float, Ingredient]]:
        """(cost, f(x)): the same numbers, or sums of them, in another shape."""
        node, shape = one.node, one.kind[1:]
        if len(shape) == 2:
            yield 0.2, one.then(ast.Attribute(node, "T", ast.Load()), lambda x: x.T)
        if len(shape):
            yield 0.4, one.then(edits.entry(node, edits.REVERSED), lambda x: x[::-1])
            last = ast.Tuple([ast.Constant(Ellipsis), ast.Constant(None)], ast.Load())
            yield 0.4, one.then(edits.entry(node, last), lambda x: x[..., None])
            for f in ("tanh", "exp", "sqrt", "abs"):
                yield 0.5, one.then(edits.method(edits.name("np"), f, node), getattr(np, f))
        for axis in range(len(shape)):
            for keep in (False, True):
                options = [ast.keyword("axis", ast.Constant(axis))]
                options += [ast.keyword("keepdims", ast.Constant(True))] if keep else []
                new = ast.Call(ast.Attribute(node, "sum", ast.Load()), [], options)
                yield 0.5, one.then(new, lambda x, axis=axis, keep=keep: x.sum(axis=axis, keepdims=keep))

    # ---- candidates ----

    def edits(self) -> Iterator[edits.Edit]:
        """All that pass the screen; where it cannot decide, the expression with one more term or factor."""
        screen = self.screen
        if not screen.decides:
            whole = screen.original
            here = Ingredient(whole, [place.value(whole) for place in self.places].__getitem__, size(whole))
            if here.kind is not None:
                yield from (screen.edit(cost, (), whole, new) for cost, new, _ in self.extended(here, here.kind))
            return
        for path, node, parents in with_parents(ast.Expr(screen.original)):
            if isinstance(parents[0], ast.Call) and node is parents[0].func:
                continue
            try:
                values = [place.value(node) for place in self.places]
            except Exception:
                continue
            chain = parents[:-1]  # without the Expr
            with np.errstate(all="ignore"):
                for cost, new, values_there in self.at(node, values):
                    if screen.passes(lambda place, k: place.with_part(node, values_there(k), chain)):
                        yield screen.edit(cost, path[1:], node, new)
        for cost, path, node, new in self.products():
            yield screen.edit(cost, path, node, new)

    def at(self, node, values) -> Iterator:
        """(cost, expression, its value at place k as a function of k) for one part of the expression."""
        own = kind(values[0])
        if own is None:
            return
        numeric = own != "bool"
        here = Ingredient(node, values.__getitem__, size(node))
        for one in self.ingredients:
            if one.kind == own and one.node is not node:
                near = type(one.node) is type(node)
                yield (1.0 if near else 1.3) + 0.05 * abs(one.size - here.size), one.node, one.at
        if not numeric:
            return
        for one in [here, *self.numeric]:
            other = 0.0 if one is here else 1.2 + 0.05 * abs(one.size - here.size)
            forms = [*self.functions_of(one), *(self.layouts_of(one) if one.kind != "number" else ())]
            for cost, form in forms:
                if form.kind == own or one is here:
                    yield 0.9 + cost + other, form.node, form.at
        if own == "number" and isinstance(node, ast.Constant):
            for k in (0, 1, 2, -1, 0.5):
                yield 1.1, edits.number(k), (lambda _, k=k: k)
        yield from self.extended(here, own)

    def extended(self, here, own) -> Iterator:
        """One more term or factor."""
        for k in NUMBERS[:2]:
            yield 1.5, ast.BinOp(ast.Constant(k), ast.Mult(), here.node), (lambda m, k=k: k * here.at(m))
        if own == "number":
            for name, function in (("min", min), ("max", max)):
                for k in (0.0, 1.0):
                    new = ast.Call(edits.name(name), [ast.Constant(k), here.node], [])
                    yield 1.6, new, (lambda m, f=function, k=k: f(k, here.at(m)))
        for one in self.numeric:
            if one.kind != "number" and own != "number" and not edits.broadcasts(one.kind[1:], own[1:]):
                continue
            forms = [(0.0, one)]
            if one.kind != "number":
                forms += [(c, f) for c, f in self.functions_of(one) if not isinstance(f.node, ast.UnaryOp)]
            for extra, form in forms:
                cost = 1.5 + extra + 0.05 * one.size
                a, b = here, form
                yield cost, join(a, ast.Mult, b), (lambda m, b=b: a.at(m) * b.at(m))
                yield cost, join(a, ast.Add, b), (lambda m, b=b: a.at(m) + b.at(m))
                yield cost + 0.3, join(a, ast.Sub, b), (lambda m, b=b: a.at(m) - b.at(m))
                yield cost + 0.3, join(a, ast.Div, b), (lambda m, b=b: a.at(m) / b.at(m))

    # ---- products of two ingredients ----

    def products(self) -> Iterator:
        """The whole expression, or one of its terms, as a product; or a product as one more term."""
        if any(len(time) != 1 for time in self.screen.suspect.expected):
            return
        shapes = [time[0].shape for time in self.screen.suspect.expected]
        table = [(node, values) for node, values in self.all_products(shapes) if values is not None]
        if not table:
            return
        columns = np.stack([values for _, values in table], axis=1)
        original = self.screen.values(self.screen.original)
        whole = self.screen.original
        for path, term, rest, sign in terms_of(whole):
            kept = original - sign * self.screen.values(term) if rest else np.zeros_like(original)
            for k in np.flatnonzero(self.screen.right(kept[:, None] + sign * columns)):
                yield 2.4 + 0.05 * size(table[k][0]), path, term, table[k][0]
        for sign, op in ((1, ast.Add()), (-1, ast.Sub())):
            for k in np.flatnonzero(self.screen.right(original[:, None] + sign * columns)):
                yield 2.2 + 0.05 * size(table[k][0]), (), whole, ast.BinOp(whole, op, table[k][0])

    def combined(self, function, a, b) -> np.ndarray | None:
        """f(a, b) at all places in one vector, or None if it has other shapes than needed."""
        parts = []
        for k, expected in enumerate(self.screen.expected):
            try:
                value = function(a.at(k), b.at(k))
            except Exception:
                return None
            if value.shape != expected[0].shape:
                return None
            parts.append(value.ravel())
        return np.concatenate(parts).astype(float)

    def all_products(self, shapes) -> Iterator:
        """(expression, values) for every product of two ingredients that has the statement's shapes."""
        arrays = [one for one in self.numeric if one.kind != "number"]
        if len(shapes[0]) <= 2:
            turned = [*arrays]
            turned += [f for one in arrays if len(one.kind) == 3 for _, f in list(self.layouts_of(one))[:1]]
            for a in turned:
                for b in turned:
                    if matmul_shape(a.kind[1:], b.kind[1:]) == shapes[0] != ():
                        yield join(a, ast.MatMult, b), self.combined(np.matmul, a, b)
                    if len(a.kind) == len(b.kind) == 2 and (a.kind[1], b.kind[1]) == shapes[0]:
                        node = edits.method(edits.name("np"), "outer", a.node, b.node)
                        yield node, self.combined(np.outer, a, b)
        fitting = [one for one in arrays if edits.broadcasts(one.kind[1:], shapes[0])]
        functions = [f for one in fitting for _, f in self.functions_of(one)]
        for k, a in enumerate(fitting):
            for b in [*fitting[k:], *functions]:
                if np.broadcast_shapes(a.kind[1:], b.kind[1:]) == shapes[0]:
                    yield join(a, ast.Mult, b), self.combined(np.multiply, a, b)


def join(a, op, b) -> ast.expr:
    return ast.BinOp(a.node, op(), b.node)


def matmul_shape(a, b):
    if len(a) == 2 and len(b) == 2 and a[1] == b[0]:
        return a[0], b[1]
    if len(a) == 2 and len(b) == 1 and a[1] == b[0]:
        return (a[0],)
    if len(a) == 1 and len(b) == 2 and a[0] == b[0]:
        return (b[1],)
    return None


def terms_of(node, sign=1, path=(), rest=False) -> Iterator:
    """(path, term, whether there are others, sign) for the terms of a sum; the sum itself first."""
    yield path, node, rest, sign
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield from terms_of(node.left, sign, (*path, ("left", None)), True)
        second = sign if isinstance(node.op, ast.Add) else -sign
        yield from terms_of(node.right, second, (*path, ("right", None)), True)


def with_parents(shell) -> Iterator:
    """(path, expression, its parents, the nearest first)."""
    parents = {}
    for path, node, parent in edits.expressions(shell):
        parents[id(node)] = parent
        chain = [parent]
        while id(chain[-1]) in parents:
            chain.append(parents[id(chain[-1])])
        yield path, node, chain


def pure(node) -> bool:
    """Whether evaluating an expression surely changes nothing."""
    return not any(isinstance(one, ast.Call) for one in ast.walk(node))
