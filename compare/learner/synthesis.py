"""Which expression has the value that a statement needs? It is built from what the statement could read.

Ingredients are the variables where the statement runs, their fields, entries and slices, and simple functions of these.
Each part of the statement's expression is replaced by one of them, or gets one more term or factor; the whole, or one
of its terms, becomes a product of two. Their values are compared with those that screening.py asks for.
"""

import ast
import itertools
import math
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np

from compare.learner import edits, expressions, syntax
from compare.learner.arrays import is_float_array, is_tensor
from compare.learner.screening import Screen, leaves_of
from compare.learner.suspects import SINGULAR, can_be_read_again

MOST, AT_PLACES = 200, 3000  # ingredients; times places
LARGEST = 400  # entries of a part at one place
TABLE = 4_000_000  # numbers that are compared at once

# What is made of an ingredient X, and at what cost: what the derivatives of the usual functions consist of; the same
# numbers in another layout, or sums of them.
AXES = (0, 1, -1)
FUNCTIONS = {"1 - X": 0.4, "X ** 2": 0.4, "1 - X ** 2": 0.5, "X * (1 - X)": 0.5, "X > 0": 0.5}
FUNCTIONS |= {"np.diag(X) - np.outer(X, X)": 0.6}
KEPT = {f"X.{f}(axis={k}, keepdims=True)": 0.5 for f in ("sum", "mean") for k in AXES}
LAYOUTS = {"X.T": 0.2, "X[::-1]": 0.4, "X[..., None]": 0.3, "X[:, None]": 0.3, "-X": 0.4, **KEPT}
LAYOUTS |= {f"X.sum(axis={k})": 0.5 for k in AXES} | {f"np.{f}(X)": 0.5 for f in ("tanh", "exp", "sqrt", "abs")}
# What a part P becomes: alone, and together with X; the same as a function of arrays.
ALONE = {"0.5 * P": 1.5, "2.0 * P": 1.5, "min(1.0, P)": 1.6, "max(0.0, P)": 1.6, "min(0.0, P)": 1.8, "max(1.0, P)": 1.8}
JOINED = {"P * X": (1.5, np.multiply), "P + X": (1.5, np.add), "P - X": (1.8, np.subtract), "P / X": (1.8, np.divide)}
JOINED["P ** X"] = 1.5, np.power
BORROWED = 0.4  # less for a factor that another function has
NUMBERS = (0, 1, 2, -1, 0.5)
LARGEST_NUMBER = 12  # in a factor such as 3 or 2 / 3
FAR = 1.9  # what an edit with a function of an ingredient, or with a product of two, costs at least
PRODUCTS = {"A @ B": np.matmul, "np.outer(A, B)": np.outer}
# The backward pass of a softmax, or its second term; one of a normalization.
ROWS = {
    "A * (B - (A * B).sum(axis=-1, keepdims=True))": lambda a, b: a * (b - (a * b).sum(axis=-1, keepdims=True)),
    "A * (A * B).sum(axis=-1, keepdims=True)": lambda a, b: a * (a * b).sum(axis=-1, keepdims=True),
    "A * (A * B).mean(axis=-1, keepdims=True)": lambda a, b: a * (a * b).mean(axis=-1, keepdims=True),
}
PRODUCTS |= ROWS  # and A * B


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


class Site(NamedTuple):
    """A part of an expression: where it is, what is around it, and, if the value is linear in it, what it needs."""

    path: tuple
    node: ast.expr
    chain: list
    part: "Part | None"


class Choice(NamedTuple):
    """An ingredient for a part, and whether it has exactly the part's shapes."""

    cost: float
    node: ast.expr
    exact: bool


def instead(node, cost, new) -> float:
    """The cost of another expression in the place of a part."""
    return (1.0 if type(new) is type(node) else 1.3) + abs(cost - 0.05 * syntax.size(node))


class Part:
    """A part of an expression on which its value depends linearly: which values of the part give the needed ones?

    shapes, values: of the part at all places; possible: whether any values do.
    """

    def __init__(self, screen: Screen, shapes, values, matrix, whole):
        self.shapes, self.values, self.allowed = shapes, values, screen.allowed
        self.matrix, self.missing = screen.matrix @ matrix, screen.matrix @ whole
        best = np.linalg.lstsq(self.matrix, self.missing, rcond=SINGULAR)[0]
        self.possible = bool((np.abs(self.matrix @ best - self.missing)[:, None] <= self.allowed).all())

    @classmethod
    def of(cls, screen: Screen, node, chain) -> "Part | None":
        """The part `node` of the expression chain[-1]; None if it holds no numbers, too many, or is not linear."""
        rng, blocks, values = np.random.default_rng(0), [], []
        for place, expected in zip(screen.places, screen.expected, strict=True):
            try:
                block, value = derivative(place, node, chain, screen, expected, rng)
            except Exception:
                return None
            blocks.append(block)
            values.append(value)
        sizes = [value.size for value in values]
        matrix = np.zeros((screen.needed.size, sum(sizes)))
        row = column = 0
        for block in blocks:
            matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
            row, column = row + block.shape[0], column + block.shape[1]
        missing = (screen.needed - screen.values(screen.original)).astype(float)  # lstsq takes no longdouble
        shapes = tuple(value.shape for value in values)
        try:
            return cls(screen, shapes, np.concatenate([value.ravel() for value in values]), matrix, missing)
        except np.linalg.LinAlgError:
            return None

    def factor(self) -> Fraction | None:
        """The simple number by which the part has to be multiplied; None if there is none."""
        along = self.matrix @ self.values
        size = float(along @ along)
        if not size:
            return None
        number = Fraction(1 + float(along @ self.missing) / size).limit_denominator(LARGEST_NUMBER)
        simple = number and abs(number) <= LARGEST_NUMBER
        return number if simple and self.right(float(number) * self.values[:, None])[0] else None

    def right(self, columns: np.ndarray) -> np.ndarray:
        """Which of many values of the part, one per column, give what is needed."""
        off = np.abs(self.matrix @ (columns - self.values[:, None]) - self.missing[:, None])
        return (off <= self.allowed).all(axis=0)


def derivative(place, node, chain, screen: Screen, expected, rng) -> tuple[np.ndarray, np.ndarray]:
    """The derivative of an expression with respect to a part of it at one place, and the part's value.

    Raises ValueError if the part holds no floats, or if the expression is not linear in it.
    """

    def whole(array):
        value = sys.modules["torch"].from_numpy(array) if is_tensor(original) else array
        leaves = screen.suspect.chosen(leaves_of(place.with_part(node, value, chain), screen.original))
        return np.concatenate([np.broadcast_to(a, b.shape).ravel() for a, b in zip(leaves, expected, strict=True)])

    original = place.value(node)
    value = np.asarray(original)
    if value.dtype.kind != "f" or not 0 < value.size <= LARGEST:
        raise ValueError("no floats, or too many")
    base, columns = whole(value), []
    for k in range(value.size):
        moved = value.copy()
        moved.reshape(-1)[k] += 1.0
        columns.append(whole(moved) - base)
    block, change = np.stack(columns, axis=1), 1 + rng.random(value.shape)
    if not np.allclose(whole(value + change) - base, block @ change.ravel(), 1e-7, 1e-9):
        raise ValueError("not linear")
    return block, value


class Synthesis:
    """All that can be built for one statement.

    plain, functions, layouts: the ingredients, as (cost, expression, kind); sites: the parts of the expression; tables:
    see `table`.
    """

    def __init__(self, screen: Screen, scope: expressions.Scope):
        self.screen, self.places, self.scope = screen, screen.places, scope
        self.module = "torch" if is_tensor(self.first(screen.original)) else "np"
        self.kinds_of_indices = {text: set() for text in scope.slices}
        for base, text in scope.indexed:
            self.kinds_of_indices[text].add(indexed(self.first(base)))
        found, most = {}, min(MOST, max(50, AT_PLACES // len(self.places)))
        for node in self.candidates():
            key = self.key(node)
            if key and (key not in found or syntax.size(node) < syntax.size(found[key])):
                found[key] = node
            if len(found) >= most:
                break
        self.plain = [(0.05 * syntax.size(node), node, kind(self.first(node))) for node in found.values()]
        self.tables = {}

    @cached_property
    def functions(self) -> list:
        return list(self.made_of(self.plain, FUNCTIONS))

    @cached_property
    def layouts(self) -> list:
        return list(self.made_of(self.plain, LAYOUTS))

    @cached_property
    def sites(self) -> list[Site]:
        found = []
        for path, node, parents in with_parents(ast.Expr(self.screen.original)):
            is_called = isinstance(parents[0], ast.Call) and node is parents[0].func
            if not is_called and kind(self.first(node)) is not None:
                chain = parents[:-1]  # without the Expr
                found.append(Site(path[1:], node, chain, Part.of(self.screen, node, chain)))
        return found

    def first(self, node):
        """What an expression holds at the first place, None if it cannot be evaluated there."""
        try:
            return self.places[0].value(node)
        except Exception:
            return None

    def key(self, node):
        """What two expressions with the same values have in common; None for what is no number."""
        try:
            values = [place.value(node) for place in self.places]
            kinds = [kind(one) for one in values]
            return None if kinds[0] is None else (*kinds, *(np.asarray(one).tobytes() for one in values))
        except Exception:
            return None

    # ---- ingredients ----

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
        """The sizes of an array."""
        value = self.first(node)
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

    def filled(self, template, **parts) -> ast.expr:
        """The expression of a template, with the functions of torch where the statement holds tensors."""
        return syntax.filled(template.replace("np.", f"{self.module}."), **parts)

    def made_of(self, ingredients, templates) -> Iterator:
        for cost, node, _ in ingredients:
            for template, more in templates.items():
                new = self.filled(template, X=node)
                if (own := kind(self.first(new))) is not None:
                    yield cost + more, new, own

    # ---- edits ----

    def near(self) -> Iterator[edits.Edit]:
        """What passes the screen with the ingredients as they are."""
        for site in self.sites:
            if site.node is self.screen.original:
                yield from self.passing(site, self.longer(site.node, self.larger_than(site.node)))
            if site.part is None:
                yield from self.passing(site, self.made_of_it(site.node))
                yield from self.passing(site, self.of_the_same_kind(site.node))
                yield from self.passing(site, self.longer(site.node, self.plain))
            elif site.part.possible:
                yield from self.passing(site, self.made_of_it(site.node))
                yield from self.passing(site, self.fitting(site, made=False))
                if (number := site.part.factor()) is not None:
                    is_size = number.denominator > 2  # perhaps: then a variable that holds it is likelier
                    yield from self.passing(site, [(1.6 + 0.5 * is_size, times(site.node, number))])
        yield from self.in_comprehensions()

    def undecided(self) -> Iterator[edits.Edit]:
        """What may pass where the screen cannot decide: one more term or factor, and functions of the parts."""
        whole = self.screen.original
        for cost, new in (*self.longer(whole, self.plain + self.functions), *self.carried(whole)):
            yield self.screen.edit(cost, (), whole, new)
        for path, node, _ in with_parents(ast.Expr(whole)):
            if isinstance(kind(self.first(node)), tuple):
                for template, cost in FUNCTIONS.items():
                    yield self.screen.edit(0.9 + cost, path[1:], node, self.filled(template, X=node))

    def carried(self, whole) -> Iterator:
        """(cost, expression): what the statement replaces, times something, as one more term, as in (1 - z) * dh."""
        for target in getattr(self.screen.statement, "targets", ()):
            held, own = syntax.load(target), kind(self.first(syntax.load(target)))
            for cost, other, its in (*self.plain, *self.made_of(self.plain, {"1 - X": 0.4})):
                if isinstance(own, tuple) and isinstance(its, tuple) and expressions.broadcasts(its, own):
                    yield 1.2 + cost, syntax.filled("P + X * H", P=whole, X=other, H=held)

    def far(self) -> Iterator[edits.Edit]:
        """What passes the screen with functions of ingredients, and products of two."""
        for site in self.sites:
            if site.part is None:
                yield from self.passing(site, self.longer(site.node, self.functions))
            elif site.part.possible:
                yield from self.passing(site, self.fitting(site, made=True))
        yield from self.products()

    def passing(self, site: Site, found) -> Iterator[edits.Edit]:
        """Of the (cost, expression) for a part those with which the statement has the values that it needs."""
        for cost, new in found:
            if self.screen.passes(lambda place, k, new=new: place.with_part(site.node, place.value(new), site.chain)):
                yield self.screen.edit(cost, site.path, site.node, new)

    def in_comprehensions(self) -> Iterator[edits.Edit]:
        """What may become of the variables of comprehensions, which have values only there: the whole is evaluated."""
        for path, node, parents in with_parents(ast.Expr(self.screen.original)):
            around = next((one for one in parents if hasattr(one, "generators")), None)
            if around is None or not isinstance(node, ast.Name) or kind(self.first(node)) is not None:
                continue
            names = {one.id for part in around.generators for one in ast.walk(part.target) if isinstance(one, ast.Name)}
            others = map(syntax.name, sorted(names))
            joined = [(JOINED[t][0], syntax.filled(t, P=node, X=other)) for other in others for t in JOINED]
            for cost, new in (*self.made_of_it(node), *joined):
                whole = syntax.replaced(self.screen.original, path[1:], new)
                if self.screen.passes(lambda place, k, whole=whole: place.value(whole)):
                    yield self.screen.edit(cost, path[1:], node, new)

    def made_of_it(self, node) -> Iterator:
        """(cost, expression): what a part may become without anything else."""
        own = kind(self.first(node))
        if own != "bool":
            for template, cost in (FUNCTIONS | LAYOUTS).items():
                yield 0.9 + cost, self.filled(template, X=node)
            for template, cost in ALONE.items():
                yield cost, syntax.filled(template, P=node)
            inner = getattr(node.func, "value", None) if isinstance(node, ast.Call) else None
            for template in self.scope.wrappers.values():
                yield 1.4, syntax.with_parts(template, {expressions.HOLE: node})
                if inner is not None and kind(self.first(inner)) is not None:  # another call instead of this one
                    yield 1.3, syntax.with_parts(template, {expressions.HOLE: inner})
            yield from ((1.4, syntax.entry(node, index)) for index in self.scope.turned.values())
        if isinstance(node, ast.Constant) and own == "number":
            yield from ((1.1, syntax.number(k)) for k in NUMBERS)

    def of_the_same_kind(self, node) -> Iterator:
        """(cost, expression): every ingredient that holds what the part holds."""
        own = kind(self.first(node))
        yield from ((instead(node, cost, new), new) for cost, new, other in self.plain if other == own)

    def fitting(self, site: Site, *, made) -> Iterator:
        """(cost, expression): of all ingredients, and of all that is joined with one, what a linear part needs.

        made: whether the ingredients are the functions of others.
        """
        choices, columns = self.table(site.part.shapes, made)
        same = np.array([one.exact for one in choices], bool)
        for k in np.flatnonzero(same & site.part.right(columns)):
            yield instead(site.node, choices[k].cost, choices[k].node) + 1.1 * made, choices[k].node
        for template, (_, function) in JOINED.items():
            for k in np.flatnonzero(site.part.right(function(site.part.values[:, None], columns))):
                yield self.joined(template, site.node, choices[k].cost, choices[k].node)

    def table(self, shapes: tuple, made: bool) -> tuple[list[Choice], np.ndarray]:
        """The ingredients that fit a part with these shapes, one per place, and their values, one column each."""
        if (shapes, made) not in self.tables:
            choices, columns = [], []
            entries = sum(math.prod(shape) for shape in shapes)
            ingredients = self.functions + self.layouts if made else self.plain
            for cost, node, _ in ingredients[: TABLE // entries]:
                try:
                    values = [np.asarray(place.value(node)) for place in self.places]
                    parts = [np.broadcast_to(v, shape).ravel() for v, shape in zip(values, shapes, strict=True)]
                    columns.append(np.concatenate(parts).astype(float))
                except Exception:
                    continue
                choices.append(Choice(cost, node, [v.shape for v in values] == list(shapes)))
            self.tables[shapes, made] = choices, np.stack(columns, axis=1) if columns else np.zeros((entries, 0))
        return self.tables[shapes, made]

    def longer(self, node, ingredients) -> Iterator:
        """(cost, expression): one more term or factor."""
        own = kind(self.first(node))
        for cost, other, its in ingredients:
            arrays = isinstance(its, tuple) and isinstance(own, tuple)
            if its == "number" or (arrays and (expressions.broadcasts(its, own) or expressions.broadcasts(own, its))):
                yield from (self.joined(template, node, cost, other) for template in JOINED)

    def larger_than(self, node) -> list:
        """The arrays with which an expression gets a larger shape."""
        own = kind(self.first(node))
        arrays = [one for one in self.plain if isinstance(own, tuple) and isinstance(one[2], tuple) and one[2] != own]
        return [one for one in arrays if expressions.broadcasts(own, one[2])]

    def joined(self, template, node, cost, other) -> tuple[float, ast.expr]:
        """(cost, expression): one more term or factor, which is likelier if another function has it."""
        less = BORROWED * (syntax.unparse(other) in self.scope.factors)
        return JOINED[template][0] + cost - less, syntax.filled(template, P=node, X=other)

    # ---- products of two ingredients ----

    def products(self) -> Iterator[edits.Edit]:
        """The whole expression, or one of its terms, as a product; or a product as one more term."""
        screen, (path, whole) = self.screen, self.single_value()
        if whole is None:
            return
        found, columns = self.all_products()
        if not found:
            return
        original = screen.values(screen.original)
        for start, term, sign in terms_of(whole, path):
            if kind(self.first(term)) is None:  # a + of lists
                continue
            kept = 0 * original if term is whole else original - sign * self.vector(term)
            for k in np.flatnonzero(screen.right(kept[:, None] + sign * columns)):
                node = self.filled(found[k][0], A=found[k][1], B=found[k][2])
                yield screen.edit(2.4 + 0.05 * syntax.size(node), start, term, node)
        for sign, template in ((1, "P + X"), (-1, "P - X")):
            for k in np.flatnonzero(screen.right(original[:, None] + sign * columns)):
                node = self.filled(found[k][0], A=found[k][1], B=found[k][2])
                longer = syntax.filled(template, P=whole, X=node)
                yield screen.edit(2.2 + 0.05 * syntax.size(node), path, whole, longer)

    def single_value(self) -> tuple:
        """(path, expression) of the one array that has to change; (None, None) if there are several."""
        whole, leaf = self.screen.original, self.screen.suspect.leaf
        if isinstance(whole, ast.Tuple):
            if leaf is None or len(whole.elts) != len(self.screen.suspect.expected[0]):
                return None, None
            return (("elts", leaf),), whole.elts[leaf]
        return ((), whole) if all(len(time) == 1 for time in self.screen.expected) else (None, None)

    def vector(self, node) -> np.ndarray:
        """The values of a term at all places."""
        pairs = zip(self.places, self.screen.expected, strict=True)
        return np.concatenate([np.broadcast_to(place.value(node), own.shape).ravel() for place, (own,) in pairs])

    def all_products(self) -> tuple[list, np.ndarray]:
        """Products of two ingredients with the shapes of the statement: (template, A, B), and values in columns."""
        most = TABLE // self.screen.needed.size
        found, columns = [], []
        for template, a, b in itertools.islice(self.fitting_pairs(), most // 2):
            if (values := self.combined(PRODUCTS[template], a, b)) is not None:
                found.append((template, a, b))
                columns.append(values[:, None])
        more, blocks = self.elementwise_products(most - len(found))
        return found + more, np.concatenate([*columns, *blocks], axis=1) if columns or blocks else np.zeros((0, 0))

    def fitting_pairs(self) -> Iterator[tuple]:
        """(template, A, B) for all products but A * B that have the statement's shape at the first place."""
        shape = self.screen.expected[0][0].shape
        arrays = [(node, own) for _, node, own in self.plain if isinstance(own, tuple)]
        turned = arrays + [(node, own) for _, node, own in self.layouts if isinstance(node, ast.Attribute)]
        for template in PRODUCTS:
            ingredients, by_shape = turned if template == "A @ B" else arrays, {}
            for b, own in ingredients:
                by_shape.setdefault(own, []).append(b)
            for a, own in ingredients:
                fitting = [some for other, some in by_shape.items() if product_shape(template, own, other) == shape]
                yield from ((template, a, b) for some in fitting for b in some)

    def elementwise_products(self, room: int) -> tuple[list, list]:
        """The products A * B of ingredients, at most about `room`, at least one of them with the statement's shapes."""
        shapes = tuple(own.shape for (own,) in self.screen.expected)
        (plain, first), (made, second) = (self.table(shapes, which) for which in (False, True))
        choices, columns = plain + made, np.concatenate([first, second], axis=1)
        exact, found, blocks = np.array([one.exact for one in choices], bool), [], []
        for k, a in enumerate(plain):
            others = k + np.flatnonzero(exact[k] | exact[k:])
            if len(found) + len(others) > room:
                break
            found += [("A * B", a.node, choices[m].node) for m in others]
            blocks.append(first[:, [k]] * columns[:, others])
        return found, blocks

    def combined(self, function, a, b) -> np.ndarray | None:
        """f(a, b) at all places in one vector, or None if it has other shapes than the statement."""
        parts = []
        for place, (own,) in zip(self.places, self.screen.expected, strict=True):
            try:
                value = function(np.asarray(place.value(a)), np.asarray(place.value(b))).astype(float)
            except Exception:
                return None
            if value.shape != own.shape:
                return None
            parts.append(value.ravel())
        return np.concatenate(parts)


def times(node, number: Fraction) -> ast.expr:
    """An expression times a number."""
    new = node if number.numerator == 1 else syntax.filled("N * P", P=node, N=syntax.number(number.numerator))
    return new if number.denominator == 1 else syntax.filled("P / N", P=new, N=syntax.number(number.denominator))


def product_shape(template, a, b) -> tuple | None:
    """The shape of a product of arrays with these shapes; None if there is none."""
    if template == "A @ B":
        return a[:-1] + b[1:] if a and b and len(b) <= 2 and a[-1] == b[0] else None
    if template in ROWS:
        return a if a == b else None
    return (*a, *b) if len(a) == len(b) == 1 else None


def terms_of(node, path=(), sign=1) -> Iterator:
    """(path, term, its sign) for the terms of a sum; the sum itself first."""
    yield path, node, sign
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield from terms_of(node.left, (*path, ("left", None)), sign)
        yield from terms_of(node.right, (*path, ("right", None)), sign if isinstance(node.op, ast.Add) else -sign)


def with_parents(shell) -> Iterator:
    """(path, expression, its parents, the nearest first) for all expressions in a statement."""
    parents = {}
    for path, node, parent in syntax.expressions(shell):
        parents[id(node)] = parent
        chain = [parent]
        while id(chain[-1]) in parents:
            chain.append(parents[id(chain[-1])])
        yield path, node, chain
