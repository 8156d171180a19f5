"""Probes: a program in which what statements store passes through an object that notes it, or changes it a little."""

import ast
import sys
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from compare.learner.program.arrays import is_float_array, is_tensor, to_numpy
from compare.learner.search import syntax
from compare.learner.search.expressions import broadcasts


class Probe:
    """What __probe__ does with the values of the statement under test: note them, or add a change to them."""

    def __init__(self):
        self.begin(None)

    def begin(self, change, size=0.0, *, wide=False, given=None, leaf=None, note=None):
        """change: a vector for all entries of all values, or None; size: of random noise to add instead; given: arrays
        that take the place of the values, or of those with the number `leaf`; wide: whether a sum over an axis gets an
        entry for each of its terms, as if the axis were kept, or were another one; note: a list for the variables of
        the function each time `here` is called.
        """
        self.change, self.size, self.used, self.values = change, size, 0, []
        self.wide, self.given, self.leaf, self.noted = wide, given and iter(given), leaf, note
        self.rng = np.random.default_rng(0) if size else None

    def __call__(self, value, *, integers=False, like=None, terms=None, wider=None, shape=None, arguments=False):
        """integers: whether those count, because they are stored in an array, or are in the text instead of floats;
        like: an array to which it is added, say, so that it gets an entry for each of its entries; terms: what it is a
        sum of; wider: the shape to which it is broadcast later; shape: that of what it is used as; arguments: whether
        it is a tuple of arguments of a function, which may write into those that are not changed here, and into what
        holds arrays.
        """
        if shape is not None and not is_tensor(value):
            with suppress(ValueError):
                value = np.broadcast_to(value, shape).astype(float)
        self.integers, self.arguments = integers, arguments
        self.values.append([])
        if arguments:
            return tuple(one if isinstance(one, list | tuple | dict) else self.visited(one) for one in value)
        if self.wide:
            like = terms if wider is None else np.empty(wider)
        if is_tensor(like) and is_tensor(value) and self.wide:
            with suppress(RuntimeError):
                value = value.expand(like.shape).clone()
        elif is_float_array(like) and not is_tensor(like) and isinstance(value, np.ndarray | float | int | np.number):
            with suppress(ValueError):
                value = np.broadcast_to(value, like.shape).astype(like.dtype)
        return self.visited(value)

    def here(self, _):
        """Note the variables of the function that calls this, if there is a list for them."""
        if self.noted is not None:
            frame = sys._getframe(1)
            self.noted.append((copied(frame.f_locals), frame.f_globals))

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
            new = self.with_its_part(np.array(float(value)))
            return value if new == value else float(new)
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


def probed(statement, **options) -> list | None:
    """The statement with what it stores passed through __probe__, as a list of statements; None if it stores nothing.

    options: see `widths`. What goes into an array is probed there, after the statement: `dx[mask] = 0` stores as many
    numbers as the mask has.
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
    if is_literal(value) or isinstance(getattr(statement, "targets", [None])[0], ast.Name):
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


def widths(statement, value, function, facts) -> dict:
    """What a Probe needs to make the value of a statement wider, as keywords: its `terms`, or a `wider` shape."""
    terms = terms_of(value)
    if terms is not None:
        return {"terms": terms}
    shape = used_as(statement, function, facts)
    return {} if shape is None else {"wider": ast.Constant(shape)}


def used_as(statement, function, facts) -> tuple | None:
    """The shape to which an array that a statement stores in a variable is broadcast where that is used, along axes
    that it has; None if it is not.
    """
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            own = facts.get(syntax.position(value))
            uses = (node for node in ast.walk(function) if isinstance(node, ast.BinOp) and name in operands(node))
            shapes = (facts.get(syntax.position(node)) for node in uses if not isinstance(node.op, ast.MatMult))
            both = ((own, one) for one in shapes if isinstance(own, tuple) and isinstance(one, tuple))
            return next((b for a, b in both if len(a) == len(b) and a != b and broadcasts(a, b)), None)
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


def given(function, facts) -> Iterator[tuple[str, int]]:
    """(name, index): the arrays among the arguments of a function that several of its statements read and none stores;
    and the first of these statements.
    """
    names = {one.arg for one in function.args.args} - syntax.stores(function.body)
    nodes = (node for node in ast.walk(function) if isinstance(node, ast.Name) and syntax.is_load(node))
    arrays = {node.id for node in nodes if isinstance(facts.get(syntax.position(node)), tuple)}
    for name in sorted(names & arrays):
        reads = [k for k, one in enumerate(function.body) if name in syntax.reads(one)]
        if len(reads) > 1:
            yield name, reads[0]


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
