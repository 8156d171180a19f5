"""Which expression has the value that a statement needs? It is built from what the statement could read.

Each part of the statement's expression is replaced by an ingredient (ingredients.py), or gets one more term or factor,
or becomes a product of two. Their values are compared with those that screening.py asks for.
"""

import ast
import itertools
import sys
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np

from compare.learner.program.arrays import is_tensor
from compare.learner.search import edits, expressions, syntax
from compare.learner.search.ingredients import FUNCTIONS, LAYOUTS, TABLE, Ingredient, Ingredients, function_of, kind
from compare.learner.search.screening import Screen, leaves_of
from compare.learner.search.suspects import SINGULAR

LARGEST = 400  # entries of a part at one place
# What a part P becomes: alone, and together with X.
ALONE = {"0.5 * P": 1.5, "2.0 * P": 1.5, "min(1.0, P)": 1.6, "max(0.0, P)": 1.6, "min(0.0, P)": 1.8, "max(1.0, P)": 1.8}
JOINED = {"P * X": 1.5, "P + X": 1.5, "P - X": 1.8, "P / X": 1.8, "P ** X": 1.5}
BORROWED = 0.4  # less for a factor that another function has
NUMBERS = (0, 1, 2, -1, 0.5)
LARGEST_NUMBER = 12  # in a factor such as 3 or 2 / 3
FAR = 1.9  # the smallest cost of an edit with a function of an ingredient, or with a product
# What a part P becomes together with a product X; what is subtracted costs more.
WITH_PRODUCT = {"X": 2.4, "-X": 2.7, "P + X": 2.2, "P - X": 2.2}
EXACT = 0.01  # of what is allowed for a part, for the sums of products
MOST_ALIKE = 1_000  # products with the right sum; more say nothing


class Site(NamedTuple):
    """A part of an expression: where it is, what is around it, and, if the value is linear in it, what it needs."""

    path: tuple
    node: ast.expr
    chain: list
    part: "Part | None"


def instead(node, cost, new) -> float:
    """The cost of another expression in the place of a part."""
    return (1.0 if type(new) is type(node) else 1.3) + abs(cost - 0.05 * syntax.size(node))


class Part:
    """A part of an expression on which its value depends linearly: which values of the part give the needed ones?

    shapes, values: of the part at all places; possible: whether any values do. The entries of right values, multiplied
    by `weights`, have the sum `goal`, up to `loose`; that of the values that are there is smaller by `lacks`.
    """

    def __init__(self, screen: Screen, shapes, values, matrix, whole):
        self.shapes, self.values, self.allowed = shapes, values, screen.allowed
        self.matrix, self.missing = matrix, whole
        if not screen.unique:  # or else that is the identity
            self.matrix, self.missing = screen.matrix @ matrix, screen.matrix @ whole
        best = np.linalg.lstsq(self.matrix, self.missing, rcond=SINGULAR)[0]
        self.possible = bool((np.abs(self.matrix @ best - self.missing)[:, None] <= self.allowed).all())
        mix = np.random.default_rng(1).standard_normal(len(self.missing))
        self.weights, self.lacks = mix @ self.matrix, float(mix @ self.missing)
        self.goal = self.lacks + float(self.weights @ values)
        self.loose = float(np.abs(mix) @ np.broadcast_to(self.allowed, (len(mix), 1))[:, 0])

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
            if screen.needed.size * value.size * len(screen.places) > TABLE:
                return None
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
        with np.errstate(all="ignore"):
            near = np.abs(self.weights @ columns - self.goal) <= self.loose
            off = self.matrix @ (columns[:, near] - self.values[:, None]) - self.missing[:, None]
            near[near] = (np.abs(off) <= self.allowed).all(axis=0)
        return near


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
    """All that can be built for one statement. pantry: the ingredients; sites: the parts of its expression."""

    def __init__(self, screen: Screen, scope: expressions.Scope):
        self.screen, self.scope = screen, scope
        self.module = "torch" if is_tensor(screen.places[0].value(screen.original)) else "np"
        self.pantry = Ingredients(screen.places, scope, self.module)

    @cached_property
    def sites(self) -> list[Site]:
        found = []
        for path, node, parents in with_parents(ast.Expr(self.screen.original)):
            is_called = isinstance(parents[0], ast.Call) and node is parents[0].func
            if not is_called and self.kind(node) is not None:
                chain = parents[:-1]  # without the Expr
                found.append(Site(path[1:], node, chain, Part.of(self.screen, node, chain)))
        return found

    def kind(self, node):
        return kind(self.pantry.first(node))

    def filled(self, template, **parts) -> ast.expr:
        """The expression of a template, with the functions of torch where the statement holds tensors."""
        return syntax.filled(template.replace("np.", f"{self.module}."), **parts)

    # ---- edits ----

    def near(self) -> Iterator[edits.Edit]:
        """What passes the screen with the ingredients as they are."""
        for site in self.sites:
            yield from self.passing(site, self.longer(site.node, self.larger_than(site.node)))
            if site.part is None:
                yield from self.passing(site, self.made_of_it(site))
                yield from self.passing(site, self.of_the_same_kind(site.node))
                yield from self.passing(site, self.longer(site.node, self.pantry.plain))
            elif site.part.possible:
                yield from self.passing(site, self.made_of_it(site))
                yield from self.passing(site, self.fitting(site, "plain"))
                if (number := site.part.factor()) is not None:
                    is_size = number.denominator > 2  # perhaps: then a variable that holds it is likelier
                    yield from self.passing(site, [(1.6 + 0.5 * is_size, times(site.node, number))])

    def far(self) -> Iterator[edits.Edit]:
        """What passes the screen with functions of ingredients, and products of them."""
        for site in self.sites:
            if site.part is not None and site.part.possible:
                yield from self.passing(site, self.fitting(site, "made"))
                yield from self.passing(site, self.contractions(site))
                yield from self.passing(site, self.products(site))

    def passing(self, site: Site, found) -> Iterator[edits.Edit]:
        """An edit for each (cost, expression) for a part that gives the statement the value that it needs."""
        for cost, new in found:
            if self.screen.passes(lambda place, k, new=new: place.with_part(site.node, place.value(new), site.chain)):
                yield self.screen.edit(cost, site.path, site.node, new)

    def made_of_it(self, site: Site) -> Iterator:
        """(cost, expression): what a part may become without anything else."""
        node, own = site.node, self.kind(site.node)
        if own != "bool":
            for template, cost in (FUNCTIONS | LAYOUTS).items():
                yield 0.9 + cost, self.filled(template, X=node)
            for template, cost in ALONE.items():
                yield cost, syntax.filled(template, P=node)
            for order in itertools.permutations(range(len(own))) if isinstance(own, tuple) and len(own) > 2 else ():
                yield 1.4, syntax.filled(f"X.transpose{order}", X=node)
            called = [getattr(node.func, "value", None), *node.args[:1]] if isinstance(node, ast.Call) else []
            for template in self.scope.wrappers.values():
                yield 1.4, syntax.with_parts(template, {expressions.HOLE: node})
                for inner in called:
                    if inner is not None and self.kind(inner) is not None:  # another call instead of this one
                        yield 1.3, syntax.with_parts(template, {expressions.HOLE: inner})
            yield from ((1.4, syntax.entry(node, index)) for index in self.scope.turned.values())
        if isinstance(node, ast.Constant) and own == "number":
            is_factor = bool(site.chain) and isinstance(getattr(site.chain[0], "op", None), ast.Mult)  # 1 * x is x
            yield from ((1.1, syntax.number(k)) for k in NUMBERS if k != 1 or not is_factor)

    def of_the_same_kind(self, node) -> Iterator:
        """(cost, expression): every ingredient that holds what the part holds."""
        own = self.kind(node)
        yield from ((instead(node, one.cost, one.node), one.node) for one in self.pantry.plain if one.kind == own)

    def longer(self, node, ingredients) -> Iterator:
        """(cost, expression): one more term or factor."""
        own = self.kind(node)
        for one in ingredients:
            is_array = isinstance(one.kind, tuple) and isinstance(own, tuple)
            if one.kind == "number" or (
                is_array and (expressions.broadcasts(one.kind, own) or expressions.broadcasts(own, one.kind))
            ):
                yield from (self.joined(template, node, one) for template in JOINED)

    def larger_than(self, node) -> list[Ingredient]:
        """The arrays with which an expression gets a larger shape."""
        own = self.kind(node)
        arrays = self.pantry.arrays if isinstance(own, tuple) else ()
        return [one for one in arrays if one.kind != own and expressions.broadcasts(own, one.kind)]

    def joined(self, template, node, one: Ingredient) -> tuple[float, ast.expr]:
        """(cost, expression): one more term or factor, which is likelier if another function has it."""
        less = BORROWED * (syntax.unparse(one.node) in self.scope.factors)
        return JOINED[template] + one.cost - less, syntax.filled(template, P=node, X=one.node)

    # ---- all ingredients at once, for a part on which the value depends linearly ----

    def fitting(self, site: Site, which: str) -> Iterator:
        """(cost, expression): of all ingredients, and of all that is joined with one, what a part needs."""
        choices, columns = self.pantry.table(site.part.shapes, which)
        for k in np.flatnonzero(site.part.right(columns)):
            if tuple(map(np.shape, choices[k].values)) == site.part.shapes:
                far = 1.1 * (which != "plain")
                yield instead(site.node, choices[k].cost, choices[k].node) + far, choices[k].node
        for template in JOINED:
            for k in np.flatnonzero(site.part.right(joined_values(template, site.part, columns))):
                yield self.joined(template, site.node, choices[k])

    def contractions(self, site: Site) -> Iterator:
        """(cost, expression): a product that is a sum over an axis, or an outer product."""
        choices, columns = self.pantry.table(site.part.shapes, "contracted")
        for template, cost in WITH_PRODUCT.items():
            for k in np.flatnonzero(site.part.right(joined_values(template, site.part, columns))):
                yield self.with_product(template, cost, site, choices[k].node)

    def products(self, site: Site) -> Iterator:
        """(cost, expression): a product entry by entry of two ingredients.

        The sum of the entries of A * B, times the weights of the part, is one entry of a matrix product. So only few of
        the products have to be computed.
        """
        part = site.part
        (plain, first), (made, second) = (self.pantry.table(part.shapes, which) for which in ("plain", "made"))
        choices, columns = plain + made, np.concatenate([first, second], axis=1)
        sums = (first * part.weights[:, None]).T @ columns
        for template, cost in WITH_PRODUCT.items():
            goal = (-1) ** ("-" in template) * (part.lacks if "P" in template else part.goal)
            for a, b in np.argwhere(np.abs(sums - goal) <= EXACT * part.loose)[:MOST_ALIKE]:
                if part.right(joined_values(template, part, columns[:, [a]] * columns[:, [b]]))[0]:
                    node = syntax.filled("A * B", A=choices[a].node, B=choices[b].node)
                    yield self.with_product(template, cost, site, node)

    def with_product(self, template, cost, site, node) -> tuple[float, ast.expr]:
        return cost + 0.05 * syntax.size(node), syntax.filled(template, P=site.node, X=node)


def joined_values(template, part: Part, columns) -> np.ndarray:
    with np.errstate(all="ignore"):
        return function_of(template)(P=part.values[:, None], X=columns)


def times(node, number: Fraction) -> ast.expr:
    """An expression times a number."""
    new = node if number.numerator == 1 else syntax.filled("N * P", P=node, N=syntax.number(number.numerator))
    return new if number.denominator == 1 else syntax.filled("P / N", P=new, N=syntax.number(number.denominator))


def with_parents(shell) -> Iterator:
    """(path, expression, its parents, the nearest first) for all expressions in a statement."""
    parents = {}
    for path, node, parent in syntax.expressions(shell):
        parents[id(node)] = parent
        chain = [parent]
        while id(chain[-1]) in parents:
            chain.append(parents[id(chain[-1])])
        yield path, node, chain
