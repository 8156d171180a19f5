"""Small edits of a program: what people change when they fix a backward pass.

Every edit changes one statement, moves it, removes it, or adds one that resembles another. Its cost is a guess at how
likely it is, from mistakes seen in public threads: an index off by one comes before a new factor.
"""

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

NAMES = ast.Name | ast.Attribute | ast.Subscript
BLOCKS = ("body", "orelse", "finalbody")
MODULES = ("np", "numpy", "torch", "math")


@dataclass(frozen=True)
class Edit:
    """One edit. changes: slot -> the statements (or the header's expression) that replace what is there.

    line: where; kind: "change", "remove", "move" or "insert"; node: the expression or statement that is changed; after:
    what it becomes, or, for a move, where it goes; inside: whether it is part of a larger expression; judged_by: the
    slot whose cost counts, if it is not one of those that change.
    """

    cost: float
    line: int
    changes: tuple
    kind: str
    node: ast.AST | None
    after: ast.AST | str
    inside: bool = False
    judged_by: int | None = None


def unparse(node) -> str:
    """The source text of a node, kept with it."""
    if not hasattr(node, "_text"):
        node._text = ast.unparse(node)
    return node._text


def replaced(node, path, new):
    """A copy of a node in which what `path` leads to is `new`; the rest is shared."""
    if not path:
        return new
    (field, index), *rest = path
    copy = ast.copy_location(clone(node), node)
    child = getattr(node, field)
    if index is None:
        setattr(copy, field, replaced(child, rest, new))
    else:
        setattr(copy, field, [replaced(one, rest, new) if k == index else one for k, one in enumerate(child)])
    return copy


def clone(node):
    """The same node once more, so that its place can be another one; what it contains is shared."""
    return type(node)(**{name: getattr(node, name, None) for name in node._fields})


def expressions(node, path=()) -> Iterator:
    """(path, expression, parent) for every expression in a statement, without those of the statements in it."""
    for field, value in ast.iter_fields(node):
        if isinstance(node, ast.stmt) and field in (*BLOCKS, "handlers", "decorator_list", "args", "returns"):
            continue
        children = (
            [(None, value)] if isinstance(value, ast.AST) else enumerate(value) if isinstance(value, list) else ()
        )
        for index, child in children:
            here = (*path, (field, index))
            if isinstance(child, ast.expr):
                yield here, child, node
            if isinstance(child, ast.expr | ast.keyword | ast.comprehension | ast.withitem):
                yield from expressions(child, here)


def is_load(node) -> bool:
    return not hasattr(node, "ctx") or isinstance(node.ctx, ast.Load)


def load(node):
    """The expression that reads what `node` stores into."""
    if isinstance(node, NAMES) and not is_load(node):
        return ast.copy_location(
            type(node)(**{n: getattr(node, n) for n in node._fields if n != "ctx"}, ctx=ast.Load()), node
        )
    return node


def stored(node):
    """The target that stores into what `node` reads."""
    return ast.copy_location(
        type(node)(**{n: getattr(node, n) for n in node._fields if n != "ctx"}, ctx=ast.Store()), node
    )


def size(node) -> int:
    """How many expressions an expression consists of."""
    if not hasattr(node, "_size"):
        node._size = sum(isinstance(one, ast.expr) for one in ast.walk(node))
    return node._size


@cache
def parsed(template: str) -> ast.expr:
    return ast.parse(template, mode="eval").body


def filled(template: str, **parts) -> ast.expr:
    """The expression in which the names of the template are replaced by other expressions."""

    def fill(node):
        if isinstance(node, ast.Name) and node.id in parts:
            return parts[node.id]
        if isinstance(node, list):
            return [fill(one) for one in node]
        if not isinstance(node, ast.AST):
            return node
        return type(node)(**{field: fill(value) for field, value in ast.iter_fields(node)})

    return fill(parsed(template))


def name(text):
    return ast.Name(text, ast.Load())


def number(value):
    return ast.Constant(value) if value is None or value >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-value))


def entry(node, index):
    return ast.Subscript(node, index, ast.Load())


def shifted(node, by):
    """An index one (or more) later or earlier, without `t + 1 - 1`."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return number(node.value + by)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub) and isinstance(node.right, ast.Constant):
        sign = 1 if isinstance(node.op, ast.Add) else -1
        if type(node.right.value) is int:
            node, by = node.left, sign * node.right.value + by
    if by == 0:
        return node
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


REVERSED = ast.Slice(None, None, ast.UnaryOp(ast.USub(), ast.Constant(1)))


class Scope:
    """The expressions of one function, by what they hold: what an edit may put in place of another.

    facts: the kind of the value that each expression had when the program ran: the shape of an array, or a word.
    """

    def __init__(self, function, facts, statements):
        self.facts, self.ingredients, self.slices, self.strings, self.helpers = facts, {}, {}, set(), set()
        self.indexed = []  # (expression, text of its index)
        for statement in statements:
            for _, node, parent in expressions(statement):
                self.add(node, parent)
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        for argument in arguments:
            self.ingredients.setdefault(argument.arg, (name(argument.arg), set()))
        self.locals = {a.arg for a in arguments} | {
            n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name) and not is_load(n)
        }

    def borrow(self, tree):
        """Take the indices and words of the other functions, too, where they use names that are known here."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript):
                names = {n.id for n in ast.walk(node.slice) if isinstance(n, ast.Name)}
                if names and names <= self.locals:
                    self.slices.setdefault(unparse(node.slice), node.slice)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                self.strings.add(node.value)

    def add(self, node, parent):
        if isinstance(parent, ast.Call) and node is parent.func:
            if isinstance(node, ast.Name):
                self.helpers.add(node.id)
            return
        if isinstance(node, ast.Subscript):
            self.slices.setdefault(unparse(node.slice), node.slice)
            self.indexed.append((load(node.value), unparse(node.slice)))
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.strings.add(node.value)
        if isinstance(node, ast.Name) and (node.id in MODULES or node.id in BUILTINS):
            return
        if isinstance(node, NAMES | ast.BinOp | ast.Call) and len(list(ast.walk(node))) <= 14:
            _, kinds = self.ingredients.setdefault(unparse(node), (load(node), set()))
            if is_load(node) and self.kind(node) is not None:
                kinds.add(self.kind(node))

    def kind(self, node):
        """What an expression held when the program ran, or None if that was not seen."""
        return self.facts.get(position(node))

    def like(self, node):
        """Every ingredient that may hold what `node` holds, with its text."""
        kind, text = self.kind(node), unparse(node)
        for other, (ingredient, kinds) in self.ingredients.items():
            if other != text and (kind is None or not kinds or kind in kinds):
                yield other, ingredient, kinds


BUILTINS = (
    "range",
    "len",
    "zip",
    "enumerate",
    "reversed",
    "sum",
    "list",
    "tuple",
    "dict",
    "float",
    "int",
    "sorted",
    "map",
    "slice",
)


def position(node):
    return (
        (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)
        if hasattr(node, "end_col_offset")
        else None
    )


def is_shape(kind) -> bool:
    return isinstance(kind, tuple)


# ---- one expression ----


def variants_of(node, parent, scope) -> Iterator:
    """(cost, expression) for everything that may be put in place of an expression, whatever it holds."""
    if isinstance(parent, ast.Call) and node is parent.func:
        yield from other_functions(node, scope)
        return
    if isinstance(node, ast.Name) and node.id in MODULES:
        return
    if isinstance(node, NAMES | ast.BinOp | ast.Call | ast.UnaryOp):
        yield from other_ingredients(node, scope)
    match node:
        case ast.Subscript():
            yield from other_indices(node, scope)
        case ast.BinOp():
            yield from other_operations(node)
        case ast.UnaryOp():
            yield 1.2, node.operand
        case ast.Constant():
            yield from other_constants(node, parent, scope)
        case ast.Call():
            yield from other_calls(node)
            if isinstance(node.func, ast.Name | ast.Attribute):
                names = (i for _, (i, _) in scope.ingredients.items() if isinstance(i, ast.Name | ast.Attribute))
                yield from ((1.9, ast.Call(node.func, [*node.args, one], node.keywords)) for one in names)
        case ast.IfExp():
            yield 1.1, ast.IfExp(node.test, node.orelse, node.body)
            yield from ((1.2, one) for one in (node.body, node.orelse))
        case ast.Tuple() | ast.List() if not isinstance(parent, ast.Subscript):
            yield from swapped(node)
        case ast.Compare() if len(node.ops) == 1:
            others = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
            yield from (
                (1.0, ast.Compare(node.left, [op()], node.comparators)) for op in others if type(node.ops[0]) is not op
            )
        case ast.BoolOp():
            yield 1.0, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
            yield from ((1.1, one) for one in node.values)
    if isinstance(node, NAMES | ast.BinOp | ast.Call) and is_load(node):
        yield from wrapped(node, parent, scope)


REDUCTIONS = ("np.sum", "np.mean", "np.max", "np.prod", "np.linalg.norm")


def other_functions(node, scope):
    """Another function in the place of the called one: sum for mean, one helper for another."""
    if isinstance(node, ast.Attribute):
        if unparse(node) in REDUCTIONS:
            yield from ((1.2, ast.parse(one, mode="eval").body) for one in REDUCTIONS if one != unparse(node))
        for pair in (
            ("mean", "sum"),
            ("maximum", "minimum"),
            ("max", "min"),
            ("insert", "append"),
            ("cos", "sin"),
            ("exp", "log"),
            ("vstack", "hstack"),
        ):
            if node.attr in pair:
                other = pair[1 - pair.index(node.attr)]
                yield 1.2, ast.Attribute(node.value, other, ast.Load())
        if node.attr.endswith("_like"):
            yield 1.3, ast.Attribute(node.value, "ones_like" if node.attr == "zeros_like" else "zeros_like", ast.Load())
    elif isinstance(node, ast.Name):
        yield from ((1.3, name(helper)) for helper in sorted(scope.helpers - {node.id}))
        if node.id in ("max", "min"):
            yield 1.0, name("min" if node.id == "max" else "max")


def other_ingredients(node, scope):
    size = len(list(ast.walk(node)))
    if size > 26:
        return
    for _, ingredient, _ in scope.like(node):
        same = type(ingredient) is type(node)
        if not same and not isinstance(ingredient, NAMES):
            continue
        near = isinstance(node, ast.Name) or (
            same
            and isinstance(node, ast.Subscript | ast.Attribute)
            and (unparse(node.value) == unparse(ingredient.value) or last_part(node) == last_part(ingredient))
        )
        cost = 1.0 if same and near else 1.6 if same else 2.0
        yield cost + 0.02 * abs(size - len(list(ast.walk(ingredient)))), ingredient


def last_part(node):
    return unparse(node.slice) if isinstance(node, ast.Subscript) else node.attr


def other_indices(node, scope):
    index = node.slice

    def with_index(new):
        return ast.Subscript(node.value, new, node.ctx)

    entries = list(enumerate(index.elts)) if isinstance(index, ast.Tuple) else [(None, index)]
    for k, entry in entries:
        for cost, new in other_index(entry):
            if k is None:
                yield cost, with_index(new)
            else:
                elts = [new if m == k else one for m, one in enumerate(index.elts)]
                yield cost, with_index(ast.Tuple(elts, ast.Load()))
    if isinstance(index, ast.Tuple) and len(index.elts) == 2:
        yield 1.0, with_index(ast.Tuple(index.elts[::-1], ast.Load()))
    yield from ((1.1, with_index(one)) for text, one in scope.slices.items() if text != unparse(index))
    if is_load(node):
        yield 1.8, node.value
        if isinstance(index, ast.Name):  # the value before: h[t - 1], and at the first step another one
            before = with_index(shifted(index, -1))
            later = ast.Compare(index, [ast.Gt()], [ast.Constant(0)])
            names = (i for _, i, _ in scope.like(node) if isinstance(i, ast.Name) and is_shape(scope.kind(node)))
            yield from ((1.7, ast.IfExp(later, before, first)) for first in names)
        if scope.kind(index) and not is_shape(scope.kind(index)):
            return
        yield (
            1.4,
            with_index(ast.UnaryOp(ast.Invert(), index))
            if not isinstance(index, ast.Tuple | ast.Slice)
            else node.value,
        )


def other_index(entry):
    """Another entry, or another slice."""
    one = ast.Constant(1)
    if isinstance(entry, ast.Slice):
        lower, upper = entry.lower, entry.upper
        if lower and not upper and not entry.step:
            yield from (
                (1.0, ast.Slice(None, ast.UnaryOp(ast.USub(), lower), None)),
                (1.1, ast.Slice(None, lower, None)),
            )
        if upper and not lower and not entry.step:
            minus = upper.operand if isinstance(upper, ast.UnaryOp) else ast.UnaryOp(ast.USub(), upper)
            yield from ((1.0, ast.Slice(minus, None, None)), (1.1, ast.Slice(upper, None, None)))
        if entry.step:
            yield 1.2, ast.Slice(lower, upper, None)
        if not lower and not upper and not entry.step:
            yield from ((1.3, REVERSED), (1.3, ast.Slice(one, None, None)), (1.3, ast.Slice(None, number(-1), None)))
        for bound, put in ((lower, 0), (upper, 1)):
            if bound is not None:
                for _, new in other_index(bound):
                    yield 1.2, ast.Slice(*((new, upper) if put == 0 else (lower, new)), entry.step)
    elif isinstance(entry, ast.Constant):
        if isinstance(entry.value, int) and not isinstance(entry.value, bool):
            yield from ((1.0, number(k)) for k in (0, 1, 2, 3, -1) if k != entry.value)
    else:
        yield from ((1.0, shifted(entry, by)) for by in (-1, 1))
        if isinstance(entry, ast.BinOp) and isinstance(entry.op, ast.Add | ast.Sub):
            yield 1.0, entry.left
            yield 1.1, entry.right
            yield 1.1, ast.BinOp(entry.left, ast.Sub() if isinstance(entry.op, ast.Add) else ast.Add(), entry.right)


OTHER_OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
}


def other_operations(node):
    left, right, op = node.left, node.right, node.op
    yield from ((1.0, ast.BinOp(left, other(), right)) for other in OTHER_OPERATORS.get(type(op), ()))
    yield from ((1.3, left), (1.3, right))
    if isinstance(op, ast.Sub | ast.MatMult | ast.Div):
        yield 1.0, ast.BinOp(right, op, left)
    if isinstance(op, ast.MatMult):
        yield 1.0, ast.BinOp(transposed(right), op, transposed(left))
    if isinstance(left, ast.Call) and len(left.args) == 1:  # f(a) + b -> f(a + b)
        yield 1.3, ast.Call(left.func, [ast.BinOp(left.args[0], op, right)], left.keywords)
    if isinstance(left, ast.BinOp):  # (a b) c -> a (b c)
        yield 1.3, ast.BinOp(left.left, left.op, ast.BinOp(left.right, op, right))
    if isinstance(right, ast.BinOp):
        yield 1.3, ast.BinOp(ast.BinOp(left, op, right.left), right.op, right.right)
    if isinstance(op, ast.Pow) and isinstance(right, ast.Constant):
        yield from ((1.1, ast.BinOp(left, op, number(k))) for k in (1, 2, 3, -1, -2, 0.5) if k != right.value)


def transposed(node):
    return node.value if isinstance(node, ast.Attribute) and node.attr == "T" else ast.Attribute(node, "T", ast.Load())


def other_constants(node, parent, scope):
    value = node.value
    if isinstance(value, str):
        yield from ((1.2, ast.Constant(other)) for other in sorted(scope.strings - {value}) if len(other) < 40)
        yield from ((1.1, ast.Constant(other)) for other in other_einsums(value))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (
            (1.1, number(k)) for k in dict.fromkeys((0, 1, 2, -1, value + 1, value - 1, -value, 0.5)) if k != value
        )
        if not isinstance(parent, ast.Subscript | ast.Slice):
            yield 1.8, ast.Constant(None)
        yield from (
            (1.7, i)
            for _, i, kinds in scope.like(node)
            if isinstance(i, NAMES) and ("number" in kinds or value in (0, 1))
        )
    elif isinstance(value, bool):
        yield 1.0, ast.Constant(not value)


def other_einsums(text):
    """The same letters, two of one operand swapped: einsum("tbh,th->..."); for a short word, in another order."""
    if "->" in text and "," in text:
        operands, result = text.split("->")
        groups = [*operands.split(","), result]
        for k, group in enumerate(groups):
            for a, b in itertools.combinations(range(len(group)), 2):
                letters = list(group)
                letters[a], letters[b] = letters[b], letters[a]
                new = [*groups[:k], "".join(letters), *groups[k + 1 :]]
                yield ",".join(new[:-1]) + "->" + new[-1]
        letters = sorted(set("".join(groups)) - {" "})
        for k, group in enumerate(groups):
            for a in range(len(group)):
                for letter in letters:
                    if letter != group[a]:
                        new = [*groups[:k], group[:a] + letter + group[a + 1 :], *groups[k + 1 :]]
                        yield ",".join(new[:-1]) + "->" + new[-1]
    elif 2 <= len(text) <= 5 and text.isalpha():
        yield from ("".join(p) for p in itertools.permutations(text) if "".join(p) != text)


def other_calls(node):
    args = node.args
    if len(args) == 1 and not node.keywords:
        yield 1.2, args[0]
        if isinstance(args[0], ast.BinOp):  # f(a + b) -> f(a) + b
            inner = args[0]
            yield 1.3, ast.BinOp(ast.Call(node.func, [inner.left], []), inner.op, inner.right)
            yield 1.3, ast.BinOp(inner.left, inner.op, ast.Call(node.func, [inner.right], []))
    if isinstance(node.func, ast.Attribute) and node.func.attr in (
        "copy",
        "transpose",
        "swapaxes",
        "reshape",
        "sum",
        "mean",
        "clip",
    ):
        yield 1.3, node.func.value
    if isinstance(node.func, ast.Attribute) and node.func.attr == "pop":
        yield 1.0, ast.Call(node.func, [] if args else [ast.Constant(0)], [])
    for a, b in itertools.combinations(range(len(args)), 2):
        if b - a <= 2:
            order = list(args)
            order[a], order[b] = order[b], order[a]
            yield 1.2, ast.Call(node.func, order, node.keywords)
    yield from other_keywords(node)
    if isinstance(node.func, ast.Name) and node.func.id == "range":
        yield 1.2, ast.Call(name("reversed"), [node], [])
    if unparse(node.func) in ("range", "np.arange") and args:
        low, high, *step = args if len(args) > 1 else (ast.Constant(0), *args)
        yield from ((1.1, ast.Call(node.func, [shifted(low, by), shifted(high, by), *step], [])) for by in (-1, 1))
    if isinstance(node.func, ast.Name) and node.func.id == "enumerate" and not node.keywords:
        yield 1.1, ast.Call(node.func, [*args, ast.Constant(1)], [])


def other_keywords(node):
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    others = {"axis": (0, 1, 2, None, -1), "dim": (0, 1, 2, -1), "keepdims": (True, False), "keepdim": (True, False)}
    for k, keyword in enumerate(node.keywords):
        rest = node.keywords[:k] + node.keywords[k + 1 :]
        if keyword.arg in others:
            yield from (
                (
                    1.0,
                    ast.Call(
                        node.func,
                        node.args,
                        [*rest, ast.keyword(keyword.arg, number(v) if not isinstance(v, bool) else ast.Constant(v))],
                    ),
                )
                for v in others[keyword.arg]
            )
            yield 1.2, ast.Call(node.func, node.args, rest)
    if function in ("sum", "mean", "max", "concatenate", "stack") and not any(
        k.arg in ("axis", "dim") for k in node.keywords
    ):
        yield from (
            (1.1, ast.Call(node.func, node.args, [*node.keywords, ast.keyword("axis", number(v))])) for v in (0, 1, -1)
        )
        yield from (
            (
                1.3,
                ast.Call(
                    node.func, node.args, [ast.keyword("axis", number(v)), ast.keyword("keepdims", ast.Constant(True))]
                ),
            )
            for v in (0, 1, -1)
        )


def swapped(node):
    """Two elements of a tuple or list in each other's place."""
    if len(node.elts) <= 12:
        for a, b in itertools.combinations(range(len(node.elts)), 2):
            elts = list(node.elts)
            elts[a], elts[b] = elts[b], elts[a]
            yield 1.1 + 0.05 * (b - a - 1), type(node)(elts, node.ctx)


def wrapped(node, parent, scope):
    """The same value transposed, negated, copied, in reverse order, as one minus it, ..."""
    kind = scope.kind(node)
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield 1.0, node.value
    if is_shape(kind):
        templates = ("X.copy()", "X.T") if len(kind) == 2 else ("X.copy()",)
        yield from ((1.3, filled(template, X=node)) for template in (*templates, "X[::-1]"))
    elif kind == "number":
        yield from ((1.3, shifted(node, by)) for by in (-1, 1))
    elif kind == "bool":
        yield 1.2, ast.UnaryOp(ast.Not(), node)
    elif kind is not None and isinstance(node, ast.Name) and not isinstance(parent, ast.Attribute | ast.Subscript):
        yield 1.7, ast.Constant(None)
    if kind in ("list", "tuple", "zip", "reversed", "generator", "range", "enumerate", "dict_items"):
        sequence = node if kind in ("list", "tuple", "range") else ast.Call(name("list"), [node], [])
        yield 1.3, ast.Call(name("reversed"), [sequence], [])
        yield from (
            (1.3, ast.Subscript(sequence, one, ast.Load()))
            for one in (REVERSED, ast.Slice(ast.Constant(1), None, None), ast.Slice(None, number(-1), None))
        )


def broadcasts(small, large) -> bool:
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small[::-1], large[::-1], strict=False))


# ---- whole statements ----


@dataclass
class Slot:
    """A place for variants: a statement (at "in"), the gap before one ("before"), or a header ("header")."""

    number: int
    node: ast.stmt
    block: list
    index: int
    at: str


class Slots:
    """The slots of a program: number -> Slot."""

    def __init__(self):
        self.all, self.by_place = [], {}

    def of(self, block, index, at):
        key = (id(block), index, at)
        if key not in self.by_place:
            node = block[min(index, len(block) - 1)]
            self.by_place[key] = Slot(len(self.all) + 1, node, block, index, at)
            self.all.append(self.by_place[key])
        return self.by_place[key].number


def gap_before_reading(slot) -> tuple:
    """(index, target): the gap in the block of a statement before what it stores is read; (None, None) if none."""
    targets = getattr(slot.node, "targets", [getattr(slot.node, "target", None)])
    base = targets[0]
    while isinstance(base, ast.Subscript | ast.Attribute):
        base = base.value
    if len(targets) > 1 or not isinstance(base, ast.Name):
        return None, None
    reads = [
        any(isinstance(n, ast.Name) and n.id == base.id and is_load(n) for n in ast.walk(one))
        for one in slot.block[slot.index + 1 :]
    ]
    gap = slot.index + 1 + (reads.index(True) if True in reads else len(reads))
    last = slot.block[-1]
    at_end = gap == len(slot.block) and isinstance(last, ast.Return | ast.Continue | ast.Break)
    if gap == slot.index + 1 or at_end:
        return None, None
    return gap, targets[0]


def functions(tree) -> Iterator:
    """Every function of a program but the example."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.lower().startswith("example"):
            yield node


def blocks(node) -> Iterator:
    """Every list of statements in a function, without those of functions and classes in it: (owner, list)."""
    todo = [node]
    while todo:
        owner = todo.pop(0)
        for field in BLOCKS:
            block = getattr(owner, field, None)
            if isinstance(block, list) and block:
                yield owner, block
                todo += [s for s in block if not isinstance(s, ast.FunctionDef | ast.ClassDef)]
        todo += getattr(owner, "handlers", [])


HEADERS = {ast.For: "iter", ast.If: "test", ast.While: "test"}
SIMPLE = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Expr | ast.Return | ast.Assert | ast.Delete


def all_edits(tree, facts, seen_lines, slots, worth) -> Iterator[Edit]:
    """The edits at the slots that are `worth` it (a function of the slot), in statements that ran.

    facts: see Scope; seen_lines: the lines that ran.
    """
    for function in functions(tree):
        lists = list(blocks(function))
        statements = [s for _, block in lists for s in block]
        if not any(s.lineno in seen_lines for s in statements):
            continue
        scope = Scope(function, facts, statements)
        scope.borrow(tree)
        for owner, block in lists:
            for index, statement in enumerate(block):
                if isinstance(statement, SIMPLE) and not is_docstring(statement):
                    if worth(slots.of(block, index, "in")) or worth(slots.of(block, index, "move")):
                        yield from edits_of(statement, block, index, scope, slots)
                    if worth(slots.of(block, index, "move")):
                        yield from moves_of(statement, owner, block, index, lists, slots)
                elif type(statement) in HEADERS and worth(slots.of(block, index, "header")):
                    yield from edits_of_header(statement, block, index, scope, slots)
            yield from insertions(owner, block, lists, scope, slots, worth)


def is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def edits_of(statement, block, index, scope, slots):
    """The edits that leave a statement in its place."""
    slot = slots.of(block, index, "in")

    place = slots.of(block, index, "move")  # where something is stored is judged like where the statement is

    def edit(cost, new, node, after, *, inside=False, kind="change", judged_by=None):
        line = getattr(node, "lineno", statement.lineno)
        return Edit(cost, line, ((slot, [ast.copy_location(new, statement)]),), kind, node, after, inside, judged_by)

    for path, node, parent in expressions(statement):
        if not is_load(node) and not isinstance(node, ast.Subscript | ast.Tuple):
            continue
        for cost, new in variants_of(node, parent, scope):
            if not is_load(node):
                if not isinstance(new, ast.Name | ast.Subscript | ast.Tuple):  # np.inf = ... would outlive the run
                    continue
                new = stored(new)
            inside = isinstance(parent, ast.BinOp | ast.UnaryOp)
            judged_by = place if path[0][0] in ("target", "targets") else None
            yield edit(cost, replaced(statement, path, new), node, new, inside=inside, judged_by=judged_by)
    yield from names_throughout(statement, scope, edit)
    for cost, new in other_statements(statement, scope):
        yield edit(cost, new, statement, new, judged_by=place)
    if not isinstance(statement, ast.Return):
        yield edit(1.5, ast.Pass(), statement, "", kind="remove", judged_by=place)


def edits_of_header(statement, block, index, scope, slots):
    field = HEADERS[type(statement)]
    header = getattr(statement, field)
    slot = slots.of(block, index, "header")
    found = (
        [(1.1, header, ast.UnaryOp(ast.Not(), header)), (1.4, header, ast.Constant(True))] if field == "test" else []
    )
    shell = ast.Expr(header)
    for path, node, parent in expressions(shell):
        found += [(cost, node, replaced(header, path[1:], new)) for cost, new in variants_of(node, parent, scope)]
    for cost, _, new in found:
        yield Edit(cost, statement.lineno, ((slot, new),), "change", header, new)


def names_throughout(statement, scope, edit):
    """One name, attribute or entry for another, wherever it occurs in a statement."""
    places, indices = {}, {}
    for path, node, parent in expressions(statement):
        called = isinstance(parent, ast.Call) and node is parent.func
        if isinstance(node, NAMES) and not called and (is_load(node) or isinstance(node, ast.Subscript)):
            places.setdefault(unparse(node), []).append((path, node))
        if isinstance(node, ast.Subscript):
            indices.setdefault(unparse(node.slice), []).append((path, node))
    for text, found in indices.items():
        for other, index in scope.slices.items() if len(found) > 1 else ():
            if other != text:
                new = statement
                for path, _ in found:
                    new = replaced(new, (*path, ("slice", None)), index)
                yield edit(1.2, new, found[0][1], ast.Subscript(found[0][1].value, index, ast.Load()))
    for found in places.values():
        if len(found) < 2:
            continue
        first = found[0][1]
        others = [(1.1 if type(i) is type(first) else 1.5, i) for _, i, _ in scope.like(first) if isinstance(i, NAMES)]
        if isinstance(first, ast.Subscript):
            others += [(cost, load(one)) for cost, one in other_indices(first, scope) if isinstance(one, ast.Subscript)]
        for cost, ingredient in others:
            new = statement
            for path, node in found:
                new = replaced(new, path, ingredient if is_load(node) else stored(ingredient))
            yield edit(cost, new, first, ingredient)


def other_statements(statement, scope):
    """+= for =, another operator, another target."""
    match statement:
        case ast.AugAssign(target=target, op=op, value=value):
            yield 1.0, ast.Assign([target], value)
            others = (other for other in (ast.Add, ast.Sub, ast.Mult, ast.Div) if type(op) is not other)
            yield from ((1.1, ast.AugAssign(target, other(), value)) for other in others)
            yield 1.1, ast.Assign([target], ast.BinOp(load(target), op, value))
            if isinstance(op, ast.Add) and isinstance(target, ast.Subscript) and not has_slices(target.slice):
                yield 1.1, ast.Expr(filled("np.add.at(A, I, V)", A=target.value, I=target.slice, V=value))
        case ast.Assign(targets=[target], value=value) if isinstance(target, NAMES):
            yield from other_assignments(target, value, scope)
        case ast.Assign(targets=[ast.Tuple(elts=elts)], value=value):
            for k, one in enumerate(elts):
                for other in sorted(scope.locals - {name_in(n) for n in elts}) if isinstance(one, ast.Name) else ():
                    new = ast.Tuple([*elts[:k], ast.Name(other, ast.Store()), *elts[k + 1 :]], ast.Store())
                    yield 1.0 if one.id.startswith("_") else 1.3, ast.Assign([new], value)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append", value=called), args=[one])):
            yield 1.6, ast.Expr(filled("L.insert(0, X)", L=called, X=one))


def other_assignments(target, value, scope):
    """The same for an assignment to one name, attribute or entry."""
    yield 1.0, ast.AugAssign(target, ast.Add(), value)
    yield 1.4, ast.AugAssign(target, ast.Mult(), value)
    yield 1.1, ast.Assign([target], ast.BinOp(load(target), ast.Add(), value))
    if isinstance(value, ast.BinOp) and unparse(value.left) == unparse(load(target)):  # p = p - x -> p -= x
        yield 1.0, ast.AugAssign(target, value.op, value.right)
    if isinstance(target, ast.Name):
        for other in sorted(scope.locals - {target.id}):
            yield 1.4, ast.Assign([ast.Name(other, ast.Store())], value)
        yield 1.6, ast.Assign([ast.Subscript(load(target), ast.Slice(), ast.Store())], value)


def has_slices(index) -> bool:
    return any(isinstance(node, ast.Slice) for node in ast.walk(index))


def name_in(node) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def moves_of(statement, owner, block, index, lists, slots):
    """The statement at another place: of its block, at an end of a block next to it, or outside its loop."""
    if isinstance(statement, ast.Return):
        return
    gone = (slots.of(block, index, "in"), [ast.copy_location(ast.Pass(), statement)])
    here = [(block, k, 1.5 + 0.02 * abs(k - index)) for k in range(len(block) + 1) if k not in (index, index + 1)]
    for inner_owner, inner in lists:
        if inner is not block and inner_owner in block:
            here += [(inner, 0, 1.6), (inner, len(inner), 1.6)]
    for _, outer in lists:
        if owner in outer:
            k = next(k for k, one in enumerate(outer) if one is owner)
            here += [(outer, k, 1.6), (outer, k + 1, 1.6)]
    for target, k, cost in here:
        if k > 0 and isinstance(target[k - 1], ast.Return):
            continue
        before = target[k] if k < len(target) else None
        where = f"before line {before.lineno}" if before is not None else f"after line {target[-1].end_lineno}"
        yield Edit(
            cost, statement.lineno, (gone, (slots.of(target, k, "before"), [statement])), "move", statement, where
        )


def insertions(owner, block, lists, scope, slots, worth):
    """A new statement in a gap: a copy of another one of the function, a name reset, or one more term or factor."""
    loop = isinstance(owner, ast.For | ast.While)
    others = [
        s
        for _, one in lists
        for s in one
        if isinstance(s, ast.Assign | ast.AugAssign | ast.Expr) and not is_docstring(s)
    ]
    targets = {}
    for one in others:
        for target in getattr(one, "targets", [getattr(one, "target", None)]):
            for leaf in getattr(target, "elts", [target]):
                if isinstance(leaf, NAMES):
                    targets.setdefault(unparse(leaf), leaf)
    for k in range(len(block) + 1):
        if k > 0 and isinstance(block[k - 1], ast.Return):
            continue
        near = block[k] if k < len(block) else block[-1]
        line = near.lineno if k < len(block) else near.end_lineno
        slot = slots.of(block, k, "before")
        if not worth(slot):
            continue
        for cost, new in new_statements(k, block, loop, others, targets, scope):
            new = ast.copy_location(clone(new), near)
            yield Edit(cost, line, ((slot, [new]),), "insert", None, new)


def new_statements(k, block, loop, others, targets, scope):
    for text, target in targets.items():
        yield 2.0, ast.Assign([target], ast.Constant(0))
        if not (loop or k >= len(block) - 2):
            continue
        kind = scope.ingredients.get(text, (None, set()))[1]
        for other, (ingredient, kinds) in scope.ingredients.items():
            if (
                other == text
                or not isinstance(ingredient, NAMES)
                or (kinds and kind and not kinds & kind and "number" not in kinds)
            ):
                continue
            yield 2.2, ast.Assign([target], ingredient)
            yield 2.3, ast.AugAssign(target, ast.Mult(), ingredient)
            yield 2.3, ast.AugAssign(target, ast.Add(), ingredient)
    for one in others:
        yield 2.2, one
        position_in = next((m for m, s in enumerate(block) if s is one), None)
        if position_in is not None and k in (position_in + 1, len(block)):
            names = {n.id for n in ast.walk(one) if isinstance(n, ast.Name)} & scope.locals
            for old in sorted(names):
                for new in sorted(scope.locals - {old}):
                    yield 2.5, renamed(one, old, new)


def renamed(statement, old, new):
    for path, node, _ in list(expressions(statement)):
        if isinstance(node, ast.Name) and node.id == old:
            statement = replaced(statement, path, ast.Name(new, node.ctx))
    return statement
