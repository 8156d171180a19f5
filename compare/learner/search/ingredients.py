"""What an expression could be built from where a statement runs, and the values of all that.

Ingredients are the variables, their fields, entries and slices, and simple functions of these. Their values are known
at every place where the statement runs, so that thousands of expressions can be compared with what is needed at once.
"""

import ast
import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np

from compare.learner.program.arrays import is_float_array, is_tensor, to_numpy
from compare.learner.search import expressions, syntax
from compare.learner.search.probes import can_be_read_again

MOST, AT_PLACES = 200, 3000  # ingredients; times places
LARGEST = 20_000  # numbers in what is made of an ingredient, at all places
TABLE = 4_000_000  # numbers that are compared at once

# What is made of an ingredient X, and at what cost: what the derivatives of the usual functions consist of; the same
# numbers in another layout, or sums of them.
AXES = (0, 1, -1)
FUNCTIONS = {"1 - X": 0.4, "X ** 2": 0.4, "1 - X ** 2": 0.5, "X * (1 - X)": 0.5, "X > 0": 0.5, "1 / X": 0.5}
FUNCTIONS |= {"np.diag(X) - np.outer(X, X)": 0.6}
KEPT = {f"X.{f}(axis={k}, keepdims=True)": 0.5 for f in ("sum", "mean") for k in AXES}
LAYOUTS = {"X.T": 0.2, "X[::-1]": 0.4, "X[..., None]": 0.3, "X[:, None]": 0.3, "-X": 0.4, **KEPT}
LAYOUTS |= {f"X.sum(axis={k})": 0.5 for k in AXES} | {f"np.{f}(X)": 0.5 for f in ("tanh", "exp", "sqrt", "abs")}
LAYOUTS |= {"np.maximum(X, 0)": 0.5, "np.minimum(X, 0)": 0.5}
SIZES, MARGINS = "NML", "PQR"  # letters of templates for slices
# The backward pass of a softmax, or its second term; one of a normalization.
ROWS = (
    "A * (B - (A * B).sum(axis=-1, keepdims=True))",
    "A * (A * B).sum(axis=-1, keepdims=True)",
    "A * (A * B).mean(axis=-1, keepdims=True)",
)
# How people write what np.einsum does.
SHORT = {
    **dict.fromkeys(("ac,cb->ab", "ab,b->a", "abd,dc->abc", "abd,adc->abc"), "A @ B"),
    **dict.fromkeys(("ca,cb->ab", "ba,b->a"), "A.T @ B"),
    **dict.fromkeys(("ac,bc->ab", "abd,cd->abc"), "A @ B.T"),
    "abd,acd->abc": "A @ B.transpose(0, 2, 1)",
    "a,b->ab": "np.outer(A, B)",
}


def kind(value):
    """What may replace what: the shape of an array, or a word; None for what is no number."""
    if is_tensor(value):
        return tuple(value.shape)
    if isinstance(value, np.ndarray):
        return value.shape if value.dtype.kind in "fiub" else None
    if isinstance(value, bool | np.bool_):
        return "bool"
    return "number" if isinstance(value, int | float | np.number) else None


def is_array(value) -> bool:
    return isinstance(value, np.ndarray) or is_tensor(value)


def indexed(value):
    """What has the same indices: a list, or an array with so many dimensions."""
    return value.ndim if is_array(value) else "list" if isinstance(value, list | tuple) else "other"


@cache
def function_of(template: str) -> Callable:
    """The function of its capital letters that a template is; they are keywords, and others are ignored."""
    letters = sorted({one.id for one in ast.walk(syntax.parsed(template)) if isinstance(one, ast.Name)} - {"np"})
    return eval(f"lambda {', '.join(letters)}, **_: {template}", {"np": np})


class Ingredient(NamedTuple):
    """A template filled with expressions or other ingredients, its cost, and its value at each place."""

    cost: float
    template: str
    parts: dict
    values: list

    @property
    def node(self) -> ast.expr:
        parts = {x: one.node if isinstance(one, Ingredient) else one for x, one in self.parts.items()}
        return syntax.filled(self.template, **parts)

    @property
    def kind(self):
        return kind(self.values[0])


class Ingredients:
    """All that a statement could read. places: where it runs; plain, functions, layouts: lists of ingredients.

    tables: see `table`.
    """

    def __init__(self, places: list, scope: expressions.Scope, module: str):
        self.places, self.scope, self.module, self.tables = places, scope, module, {}
        self.kinds_of_indices = {text: set() for text in scope.slices}
        for base, text in scope.indexed:
            self.kinds_of_indices[text].add(indexed(self.first(base)))
        found, most = {}, min(MOST, max(50, AT_PLACES // len(places)))
        for node in self.candidates():
            values = self.values(node)
            key = values and key_of(values)
            if key and isinstance(node, ast.Name) and kind(values[0]) == "number":
                key = (node.id, *key)  # of two numbers that are the same by chance, one is right for other sizes
            if key and (key not in found or syntax.size(node) < syntax.size(found[key].parts["X"])):
                found[key] = Ingredient(0.05 * syntax.size(node), "X", {"X": node}, values)
            if len(found) >= most:
                break
        self.plain, self.seen = list(found.values()), set(found)

    @cached_property
    def functions(self) -> list[Ingredient]:
        return list(self.made_of(self.plain, FUNCTIONS))

    @cached_property
    def layouts(self) -> list[Ingredient]:
        return list(self.made_of(self.plain, LAYOUTS))

    @property
    def arrays(self) -> list[Ingredient]:
        return [one for one in self.plain if isinstance(one.kind, tuple)]

    def first(self, node):
        """What an expression holds at the first place, None if it cannot be evaluated there."""
        try:
            return self.places[0].value(node)
        except Exception:
            return None

    def values(self, node) -> list | None:
        """The values of an expression at all places; None if it cannot be evaluated, or holds no numbers."""
        try:
            values = [place.value(node) for place in self.places]
        except Exception:
            return None
        return None if None in map(kind, values) else [to_numpy(one) if is_tensor(one) else one for one in values]

    def candidates(self) -> Iterator[ast.expr]:
        """The variables, the expressions in the text, and the parts of variables."""
        todo = [syntax.name(text) for text in self.places[0].variables]
        yield from todo
        for node, _ in self.scope.ingredients.values():
            if can_be_read_again(node):
                yield node
        yield from (node for node in self.scope.factors.values() if can_be_read_again(node))
        yield from (size for node in todo for size in self.sizes(node))
        for _ in range(2):  # first what the text has indices for
            new = [[part for node in todo for part in parts(node)] for parts in (self.parts, self.ends)]
            todo = [*new[0], *new[1]]
            yield from todo

    def sizes(self, node) -> Iterator[ast.expr]:
        """The sizes of an array, the length of a list."""
        value = self.first(node)
        if isinstance(value, list):
            yield ast.Call(syntax.name("len"), [node], [])
        if is_array(value):
            for k in range(value.ndim):
                yield syntax.entry(ast.Attribute(node, "shape", ast.Load()), ast.Constant(k))
            if isinstance(value, np.ndarray):
                yield ast.Attribute(node, "size", ast.Load())

    def parts(self, node) -> Iterator[ast.expr]:
        """The fields of an object, the entries of a dictionary, a list or an array."""
        value = self.first(node)
        if isinstance(value, dict):
            yield from (syntax.entry(node, ast.Constant(key)) for key in value if isinstance(key, str))
        elif isinstance(value, list) or is_array(value) or type(value) is tuple:
            same = [one for text, one in self.scope.slices.items() if indexed(value) in self.kinds_of_indices[text]]
            near = [syntax.shifted(one, by) for one in same if isinstance(one, ast.Name) for by in (-1, 1)]
            yield from (syntax.entry(node, index) for index in (*same, *near))
        elif hasattr(value, "_fields") or (hasattr(value, "__dict__") and not callable(value)):
            names = getattr(value, "_fields", None) or vars(value)
            yield from (ast.Attribute(node, name, ast.Load()) for name in names)

    def ends(self, node) -> Iterator[ast.expr]:
        """The first and the last entry of a list or an array; single entries of an index mean nothing."""
        value = self.first(node)
        if isinstance(value, list) or type(value) is tuple or (is_array(value) and is_float_array(value)):
            yield from (syntax.entry(node, ast.Constant(k)) for k in (0, -1))

    # ---- what is made of them ----

    def made_of(self, ingredients, templates: dict) -> Iterator[Ingredient]:
        """Each template with each ingredient for its X, if the values are new."""
        for one in ingredients:
            size = max(map(np.size, one.values))
            for template, more in templates.items():
                if size ** (1 + ("outer" in template)) > LARGEST:  # then it should not even be computed
                    continue
                if (made := self.made(one.cost + more, template, X=one)) and key_of(made.values) not in self.seen:
                    self.seen.add(key_of(made.values))
                    yield made

    def made(self, cost, template, **parts: Ingredient) -> Ingredient | None:
        """A template filled with ingredients; None where it has no value."""
        function, count = function_of(template), range(len(self.places))
        try:
            values = [function(**{letter: one.values[k] for letter, one in parts.items()}) for k in count]
        except Exception:
            return None
        if sum(map(np.size, values)) > LARGEST:
            return None
        text = template.replace("np.", f"{self.module}.")
        return Ingredient(cost, text, parts, values)

    def fitted(self, shape: tuple) -> Iterator[Ingredient]:
        """Parts of the arrays that are too long along an axis or more, and arrays with their axes in another order."""
        for one in self.arrays:
            if len(one.kind) != len(shape):
                continue
            axes = [axis for axis, (own, wanted) in enumerate(zip(one.kind, shape, strict=True)) if own != wanted]
            if 0 < len(axes) <= len(SIZES) and all(one.kind[axis] > shape[axis] > 1 for axis in axes):
                sizes = {n: self.numbers(shape[axis])[0] for n, axis in zip(SIZES, axes, strict=False)}
                rests = [self.numbers((one.kind[axis] - shape[axis]) // 2) for axis in axes]
                for count, which in enumerate(zip(*rests, strict=False)):
                    margins = dict(zip(MARGINS, which, strict=False))
                    for template in cuts(one.kind, shape, axes):
                        if count == 0 or MARGINS[0] in template:
                            yield self.made(one.cost + 0.4, template, X=one, **sizes, **margins)
            if len(shape) > 2 and sorted(one.kind) == sorted(shape):
                for order in itertools.permutations(range(len(shape))):
                    if tuple(one.kind[axis] for axis in order) == shape:
                        yield self.made(one.cost + 0.3, f"X.transpose{order}", X=one)

    def numbers(self, value: int) -> list[Ingredient]:
        """The variables and sizes of arrays that hold a number; the number itself if there are none."""
        held = [one for one in self.plain if all(kind(own) == "number" and own == value for own in one.values)]
        return held or [Ingredient(0.0, "X", {"X": ast.Constant(value)}, [value] * len(self.places))]

    def table(self, shapes: tuple, which: str) -> tuple[list[Ingredient], np.ndarray]:
        """The ingredients that fit a part with these shapes, one per place, and their values, one column each.

        which: "plain", "made" or "contracted".
        """
        if (shapes, which) not in self.tables:
            most = TABLE // max(1, sum(map(math.prod, shapes)))
            made = self.contracted(shapes, most) if which == "contracted" else self.fitting(shapes, most, which)
            self.tables[shapes, which] = made
        return self.tables[shapes, which]

    def fitting(self, shapes: tuple, most: int, which: str) -> tuple[list[Ingredient], np.ndarray]:
        """The plain ingredients, or what is made of them, see `table`."""
        found = iter(self.plain)
        if which == "made":
            found = itertools.chain(self.functions, self.layouts, filter(None, self.fitted(shapes[0])))
        choices, columns = [], []
        for one in itertools.islice(found, most):
            with_shapes = zip(one.values, shapes, strict=True)
            try:
                columns.append(np.concatenate([np.broadcast_to(v, s).ravel() for v, s in with_shapes], dtype=float))
            except (ValueError, TypeError):  # they do not fit
                continue
            choices.append(one)
        return choices, np.stack(columns, axis=1) if columns else np.zeros((sum(map(math.prod, shapes)), 0))

    def contracted(self, shapes: tuple, most: int) -> tuple[list[Ingredient], np.ndarray]:
        """Products of two arrays that are summed over an axis, or have the axes of both, see `table`."""
        alike, choices, columns = {}, [], [np.zeros((sum(map(math.prod, shapes)), 0))]
        for one in self.arrays:
            alike.setdefault(tuple(map(np.shape, one.values)), []).append(one)
        for (own, lefts), (other, rights) in itertools.product(alike.items(), repeat=2):
            for template, subscripts in contractions(own[0], other[0], shapes[0]).items():
                if len(choices) + len(lefts) * len(rights) > most:
                    continue
                with suppress(ValueError):  # other shapes at another place
                    columns.append(self.products(template, subscripts, lefts, rights, shapes))
                    pairs = itertools.product(lefts, rights)
                    choices += [Ingredient(a.cost + b.cost, template, {"A": a, "B": b}, []) for a, b in pairs]
        return choices, np.concatenate(columns, axis=1)

    def products(self, template, subscripts, lefts, rights, shapes) -> np.ndarray:
        """The values of a template with each pair of ingredients, one column each. subscripts: see contractions."""
        parts, count = [], len(lefts) * len(rights)
        for place, shape in enumerate(shapes):
            left, right = (np.array([one.values[place] for one in side], dtype=float) for side in (lefts, rights))
            if subscripts is None:
                made = function_of(template)(A=left[:, None], B=right[None])
            else:
                made = np.einsum(subscripts, left, right)
            parts.append(made.reshape(count, math.prod(shape)).T)
        return np.concatenate(parts)


def key_of(values) -> tuple:
    """What values at all places that are the same have in common."""
    return tuple((kind(one), hash(np.asarray(one).tobytes())) for one in values)


def cuts(own: tuple, wanted: tuple, axes: list[int]) -> list[str]:
    """The slices of X that have other lengths along some axes: there, the first, the last, the middle, or one after
    the other if they divide the array.
    """
    found = []
    for axis, n, margin in zip(axes, SIZES, MARGINS, strict=False):
        count, rest = divmod(own[axis], wanted[axis])
        parts = [f":{n}", f"{n}:2 * {n}", *(f"{k} * {n}:{k + 1} * {n}" for k in range(2, count))]
        slices = [f":{n}", f"-{n}:"] if rest else parts
        if (own[axis] - wanted[axis]) % 2 == 0:
            slices.append(f"{margin}:{margin} + {n}")
        found.append(slices)
    indices = [dict(zip(axes, together, strict=True)) for together in zip(*found, strict=False)]
    return [f"X[{', '.join(one.get(axis, ':') for axis in range(axes[-1] + 1))}]" for one in indices]


@cache
def contractions(a: tuple, b: tuple, shape: tuple) -> dict[str, str | None]:
    """The products of arrays A and B with these shapes that have another shape, and ROWS if all are one: templates.

    The values: the subscripts with which np.einsum makes the products of each of many A, y, with each B, z.
    """
    if not shape:
        return {}
    letters = "abcdefgh"[: len(shape)]
    summed = [axis for axis, (n, own) in enumerate(zip(shape, a, strict=False)) if n == 1 < own]
    if a == b and len(summed) == 1 and tuple(1 if k in summed else n for k, n in enumerate(a)) == shape:
        left = letters.replace(letters[summed[0]], "")
        return {f"(A * B).sum(axis={summed[0]}, keepdims=True)": f"y{letters},z{letters}->yz{left}"}
    pairs = itertools.product(labels(a, shape, letters), labels(b, shape, letters))
    found = [(left, right) for left, right in pairs if is_product(left, right, letters)]
    rows = dict.fromkeys(ROWS) if a == b == shape else {}
    return rows | {einsum(left, right, letters): f"y{left},z{right}->yz{letters}" for left, right in found}


def is_product(left: str, right: str, letters: str) -> bool:
    """Whether two arrays with these axes have a product with the axes `letters` that is no product entry by entry."""
    summed, also = (sorted(one for one in side if one.isupper()) for side in (left, right))
    if summed != also or not set(left + right) >= set(letters) or letters[0] not in left:
        return False
    is_new = bool(summed) or letters not in (left, right)
    return is_new and (left <= right or letters[0] not in right)


@cache
def labels(own: tuple, shape: tuple, letters: str) -> list[str]:
    """The ways to name the axes of an array: after an axis of the result with the same length, or, with a capital
    letter that depends on the length only, as one to be summed over.
    """
    if len(own) > 4:
        return []
    names = [[x for x, n in zip(letters, shape, strict=True) if n == size] for size in own]
    names = [[*some, chr(ord("A") + size % 26)] for some, size in zip(names, own, strict=True)]
    found = map("".join, itertools.product(*names))
    return [one for one in found if len(set(one)) == len(one)]


def einsum(left: str, right: str, result: str) -> str:
    """A product as a template, in the shortest form."""
    summed = [one for one in left if one.isupper()]
    for old, new in zip(summed, "abcdefghijkl"[len(result) :], strict=False):
        left, right = left.replace(old, new), right.replace(old, new)
    text = f"{left},{right}->{result}"
    if left == right and len(summed) == 1 and left.replace(axis := left.strip(result), "") == result:
        return f"(A * B).sum(axis={left.index(axis)})"
    return SHORT.get(text, f"np.einsum('{text}', A, B)")
