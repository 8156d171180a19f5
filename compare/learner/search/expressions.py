"""What an expression may become: the small edits within a statement.

Each has a cost, a guess at how likely it is, from mistakes seen in public threads: an index off by one comes before a
new factor.
"""

import ast
import builtins
import itertools
import math
from collections.abc import Iterator

from compare.learner.search.syntax import (
    MODULES,
    NAMES,
    calls,
    entry,
    expressions,
    filled,
    functions,
    is_load,
    load,
    name,
    number,
    position,
    reads,
    rewrites,
    rewritten,
    shifted,
    stores,
    unparse,
    variables_around,
)

# Costs, and what an expression becomes; syntax.matched says what the letters and operators match.
EXPRESSIONS = rewrites("""
    1.0   A + B -> A - B | A * B
    1.0   A - B -> A + B | B - A
    1.0   A * B -> A / B | A + B
    1.0   A / B -> A * B | B / A
    1.0   A ** B -> A * B
    1.0   A // B -> A * B
    1.0   A @ B -> A * B | B @ A
    1.0   A.T @ B -> B.T @ A
    1.0   A @ B.T -> B @ A.T
    1.05  A @ B -> B.T @ A.T
    1.3   A % B -> A | B
    1.3   F(A) % B -> F(A % B)
    1.3   (A % B) << C -> A % (B << C)
    1.3   A % (B << C) -> (A % B) << C
    1.2   -A -> A
    1.2   ~A -> A
    1.2   not A -> A
    1.0   A and B -> A or B | A | B
    1.0   A or B -> A and B | A | B
    1.1   A if C else B -> B if C else A | A | B
    1.0   A.T -> A
    1.0   A[B][C] -> A[C][B]
    1.2   F(A) -> A
    1.2   F(A[::-1])[::-1] <-> F(A)
    1.3   F(A % B) -> F(A) % B | A % F(B)
    1.3   A.METHOD(*R, **K) -> A
    1.0   A.pop() -> A.pop(0)
    1.0   A.pop(B) -> A.pop()
    1.2   range(*R) -> reversed(range(*R))
    1.1   enumerate(A) -> enumerate(A, 1)
""")
FUNCTIONS = rewrites("""
    1.2  A.sum -> A.mean | A.max | A.prod | A.linalg.norm
    1.2  A.mean -> A.sum | A.max
    1.2  A.max -> A.min | A.sum | A.mean
    1.2  A.min -> A.max
    1.2  A.prod -> A.sum
    1.2  A.linalg.norm -> A.sum
    1.2  A.maximum <-> A.minimum
    1.2  A.insert <-> A.append
    1.2  A.cos <-> A.sin
    1.2  A.exp <-> A.log
    1.2  A.exp <-> A.expm1
    1.2  A.log <-> A.log1p
    1.2  A.vstack <-> A.hstack
    1.3  A.zeros_like <-> A.ones_like
    1.0  max <-> min
""")
SLICES = rewrites("""
    1.0   X[-A:] -> X[:A]
    1.0   X[A:] -> X[:-A]
    1.1   X[A:] -> X[:A]
    1.0   X[:-A] -> X[A:]
    1.05  X[:A] -> X[-A:]
    1.1   X[:A] -> X[A:]
    1.2   X[::A] -> X[:]
    1.3   X[:] -> X[::-1] | X[1:] | X[:-1]
""")
INDICES = rewrites("""
    1.0  A + B -> A | B | A - B
    1.0  A - B -> A | B | A + B
""")
# By what an expression holds.
MORE = {
    "array": ("X[::-1]", "X[..., None]"),
    "matrix": ("X.T", "X[::-1]"),
    "bool": ("not X",),
    "list": ("reversed(X)", "X[::-1]", "X[1:]", "X[:-1]"),
}
RESHAPING = ("transpose", "reshape", "swapaxes", "squeeze", "unsqueeze", "t", "permute")  # methods of arrays
HOLE = "__hole__"
SEQUENCES = ("list", "tuple", "range")
ITERATORS = ("zip", "reversed", "list_reverseiterator", "range_iterator", "generator", "enumerate", "dict_items")


class Scope:
    """The expressions of one function, by what they hold: what an edit may put in place of another.

    facts: the kind of the value that each expression had when the program ran: the shape of an array, or a word.
    """

    def __init__(self, function, facts, statements):
        self.facts, self.ingredients, self.slices, self.strings, self.helpers = facts, {}, {}, set(), set()
        self.function, self.methods = function, set()
        self.kept = {}  # what an object keeps: text -> expression
        self.indexed = []  # (expression, text of its index)
        self.factors = {}  # of the other functions, where they use names that are known here
        self.iterables = {}  # what their loops go through, too
        self.turned = {}  # the indices that turn an axis round
        self.wrappers = {}  # see wrapper_of
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        self.locals = {a.arg for a in arguments} | {
            n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name) and not is_load(n)
        }
        for statement in statements:
            for _, node, parent in expressions(statement):
                self.add(node, parent)
        for argument in arguments:
            self.ingredients.setdefault(argument.arg, (name(argument.arg), set()))
        self.unread = unread_in(statements)

    def borrow(self, tree):
        """Take from the other functions what uses only names that are known here, also from a function around this one;
        and from the class what an object keeps, and the names of the methods that take no arguments.
        """
        around = variables_around(tree, self.function)
        known = self.locals | around | stores(one for one in tree.body if isinstance(one, ast.Assign))
        own = {id(node) for statement in self.function.body for node in ast.walk(statement)}
        for node in ast.walk(tree) if around else ():
            if isinstance(node, ast.Name) and node.id in around:
                self.add(node, None)
        changing = {f.name for f in functions(tree) if any(map(stores_in_something, ast.walk(f)))}
        helpers = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
        for node in ast.walk(tree):
            wrapper = wrapper_of(node, known, helpers)
            if wrapper is not None and calls(wrapper)[0] not in changing:
                self.wrappers.setdefault(unparse(wrapper), wrapper)
            if isinstance(node, ast.Subscript):
                names = {n.id for n in ast.walk(node.slice) if isinstance(n, ast.Name)}
                if names and names <= known:
                    self.slices.setdefault(unparse(node.slice), node.slice)
                if "::-1" in unparse(node.slice):
                    self.turned.setdefault(unparse(node.slice), node.slice)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
                if id(node) not in own and reads(node.right) <= known | {*MODULES, "len"}:
                    self.factors.setdefault(unparse(node.right), node.right)
            elif isinstance(node, ast.For) and reads(node.iter) <= known | {"range", "len", "reversed", "list"}:
                self.iterables.setdefault(unparse(node.iter), node.iter)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                self.strings.add(node.value)
            elif isinstance(node, ast.ClassDef) and self.function in node.body:
                others = (f for f in node.body if isinstance(f, ast.FunctionDef) and f is not self.function)
                self.methods |= {f.name for f in others if len(f.args.args) == 1}
                attributes = (one for one in ast.walk(node) if isinstance(one, ast.Attribute))
                self.kept |= {unparse(one): load(one) for one in attributes if unparse(one.value) == "self"}
        for text, one in self.kept.items():
            self.ingredients.setdefault(text, (one, set()))

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
        if isinstance(node, ast.Name) and node.id not in self.locals and is_no_value(node.id):
            return
        if isinstance(parent, ast.Subscript) and node is parent.value and is_of_a_module(node):
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

    def shapes_for(self, node) -> Iterator[ast.expr]:
        """The shapes that an array could have lost: those of other variables, as far as they hold as many entries."""
        own = self.kind(node)
        for text in sorted(self.locals & self.ingredients.keys()):
            _, kinds = self.ingredients[text]
            if kinds <= {"tuple"}:
                yield name(text)
            if not kinds or any(is_shape(k) and k != own and math.prod(k) == math.prod(own) for k in kinds):
                yield ast.Attribute(name(text), "shape", ast.Load())


def unread_in(statements) -> set[str]:
    """The variables that loops set, but do not read."""
    found = set()
    for loop in (one for one in statements if isinstance(one, ast.For | ast.While)):
        targets = [target for one in ast.walk(loop) if isinstance(one, ast.Assign) for target in one.targets]
        parts = [one for target in targets for one in getattr(target, "elts", [target])]
        found |= {one.id for one in parts if isinstance(one, ast.Name)} - reads(loop)
    return found


def wrapper_of(node, known, helpers) -> ast.expr | None:
    """A call such as A.transpose(0, 2, 1), np.exp(A) or split(A, heads) with a hole for A; None for another one.

    known: the variables that it may have; helpers: the functions of the file.
    """
    match node:
        case ast.Call(func=ast.Name(id=helper), args=[_, *others], keywords=[]) if helper in helpers:
            if frozenset().union(*map(reads, others)) <= known:
                return ast.Call(node.func, [name(HOLE), *others], [])
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner)) as function, args=[_], keywords=[]):
            if owner in (*MODULES, "self"):
                return ast.Call(function, [name(HOLE)], [])
        case ast.Call(func=ast.Attribute(attr=method), args=args, keywords=[]) if method in RESHAPING:
            if not any(reads(one) for one in args):
                return ast.Call(ast.Attribute(name(HOLE), method, ast.Load()), args, [])
    return None


def stores_in_something(node) -> bool:
    """Whether it is the target of x[t] = ..., or self.x = ..., or a call that may change a list."""
    is_target = isinstance(node, ast.Attribute | ast.Subscript) and not is_load(node)
    return is_target or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call))


def is_no_value(text) -> bool:
    """Whether it is the name of a module or of a function of Python, such as np or len."""
    return text in MODULES or hasattr(builtins, text)


def is_of_a_module(node) -> bool:
    """Whether it is something like np.r_, which is no value: NumPy would take it for a list without end."""
    return isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in MODULES


# ---- one expression ----


def variants_of(node, parent, scope: Scope) -> Iterator[tuple[float, ast.expr]]:
    """(cost, expression) for everything that may be put in place of an expression, whatever it holds."""
    if isinstance(node, ast.Name) and node.id in MODULES:
        return
    if isinstance(parent, ast.Call) and node is parent.func:
        yield from other_functions(node, scope)
        return
    yield from rewritten(node, EXPRESSIONS)
    if isinstance(node, NAMES | ast.BinOp | ast.Call | ast.UnaryOp):
        yield from other_ingredients(node, scope)
    match node:
        case ast.Subscript():
            yield from other_indices(node, scope)
        case ast.Constant():
            yield from other_constants(node, parent, scope)
        case ast.Attribute(attr="shape"):
            held = {text: kinds for text, (_, kinds) in scope.ingredients.items() if text in scope.locals}
            arrays = [text for text, kinds in held.items() if any(map(is_shape, kinds))]
            yield from ((1.2, ast.Attribute(name(text), "shape", ast.Load())) for text in arrays)
        case ast.Call():
            yield from other_calls(node)
        case ast.Tuple() | ast.List() if not isinstance(parent, ast.Subscript) and len(node.elts) <= 12:
            yield from ((1.05 + 0.05 * far, type(node)(elts, node.ctx)) for far, elts in swapped(node.elts))
            words = {getattr(one, "value", None) for one in node.elts}
            yield from same_factor(node, scope)
            yield from other_axes(node, parent)
            missing = sorted(scope.strings - words) if words and words <= scope.strings else ()
            yield from ((1.3, type(node)([*node.elts, ast.Constant(word)], node.ctx)) for word in missing)
        case ast.Compare(ops=[op]):
            others = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
            others = (other for other in others if type(op) is not other)
            yield from ((1.0, ast.Compare(node.left, [other()], node.comparators)) for other in others)
    if isinstance(node, NAMES | ast.BinOp | ast.Call) and is_load(node):
        yield from wrapped(node, parent, scope)


def same_factor(node, scope: Scope) -> Iterator:
    """Each number of a tuple times the same variable, as in r, s = i * stride, j * stride."""
    if isinstance(node.ctx, ast.Load) and node.elts and all(scope.kind(one) == "number" for one in node.elts):
        factors = (one for _, one, _ in scope.like(node.elts[0]) if isinstance(one, ast.Name))
        yield from ((1.6, ast.Tuple([filled("P * X", P=one, X=x) for one in node.elts], ast.Load())) for x in factors)


def other_axes(node, parent) -> Iterator:
    """Of the axes in axis=(0, 1), one more or one less."""
    axes = [getattr(one, "value", None) for one in node.elts]
    if isinstance(parent, ast.Call | ast.keyword) and axes and all(type(one) is int for one in axes):
        found = [axes[:k] + axes[k + 1 :] for k in range(len(axes))] if len(axes) > 1 else []
        found += [[axes[0] - 1, *axes]] * (axes[0] != 0) + [[*axes, axes[-1] + 1]] * (axes[-1] != -1)
        yield from ((1.1, ast.Tuple([number(k) for k in some], ast.Load())) for some in found)


def other_functions(node, scope: Scope) -> Iterator:
    """Another function in the place of one that is called."""
    yield from rewritten(node, FUNCTIONS)
    if isinstance(node, ast.Attribute) and node.attr.endswith("_"):  # what changes a tensor in place
        yield 1.0, ast.Attribute(node.value, node.attr[:-1], ast.Load())
    if isinstance(node, ast.Name):
        yield from ((1.3, name(helper)) for helper in sorted(scope.helpers - {node.id}))


def swapped(elements: list) -> Iterator[tuple[int, list]]:
    """(how far apart, the list) with two elements in each other's place."""
    for a, b in itertools.combinations(range(len(elements)), 2):
        new = list(elements)
        new[a], new[b] = new[b], new[a]
        yield b - a, new


def other_ingredients(node, scope: Scope) -> Iterator:
    """Another expression of the function, first one of the same form that differs in one name."""
    size = len(list(ast.walk(node)))
    if size > 26:
        return
    for _, ingredient, _ in scope.like(node):
        same, number = type(ingredient) is type(node), scope.kind(node) == "number"
        if same or number or isinstance(ingredient, NAMES):
            near = (same and is_near(node, ingredient)) or getattr(ingredient, "id", "") in scope.unread
            cost = 1.0 if near else 1.4 if number else 1.6 if same else 2.0
            yield cost + 0.02 * abs(size - len(list(ast.walk(ingredient)))), ingredient


def is_near(a, b) -> bool:
    """Whether two expressions of one form are names, or entries or fields that have one of two parts in common."""
    match a, b:
        case ast.Subscript(), ast.Subscript():
            return unparse(a.value) == unparse(b.value) or unparse(a.slice) == unparse(b.slice)
        case ast.Attribute(), ast.Attribute():
            return unparse(a.value) == unparse(b.value) or a.attr == b.attr
    return isinstance(a, ast.Name)


# ---- indices ----


def other_indices(node, scope: Scope) -> Iterator:
    index = node.slice

    def with_index(new):
        return ast.Subscript(node.value, new, node.ctx)

    if isinstance(index, ast.Tuple):
        for k, one in enumerate(index.elts):
            for cost, new in other_index(one):
                yield cost, with_index(ast.Tuple([*index.elts[:k], new, *index.elts[k + 1 :]], ast.Load()))
        yield from ((1.0, with_index(ast.Tuple(new, ast.Load()))) for _, new in swapped(index.elts))
    else:
        yield from ((cost, with_index(new)) for cost, new in other_index(index))
    yield from ((1.1, with_index(one)) for text, one in scope.slices.items() if text != unparse(index))
    if is_load(node):
        if not is_of_a_module(node.value):
            yield 1.8, node.value
        if isinstance(index, ast.Name):  # the value before: h[t - 1], and at the first step another one
            names = (i for _, i, _ in scope.like(node) if isinstance(i, ast.Name) and is_shape(scope.kind(node)))
            parts = {"X": node.value, "T": index, "B": shifted(index, -1)}
            yield from ((1.7, filled("X[B] if T > 0 else F", F=first, **parts)) for first in names)
        if not isinstance(index, ast.Tuple | ast.Slice) and (not scope.kind(index) or is_shape(scope.kind(index))):
            yield 1.4, filled("X[~A]", X=node.value, A=index)


def other_index(index) -> Iterator:
    """(cost, index): another entry, or another slice."""
    if isinstance(index, ast.Slice):
        yield from ((cost, new.slice) for cost, new in rewritten(entry(name("X"), index), SLICES))
        for field in ("lower", "upper"):
            bound, other = getattr(index, field), {f: getattr(index, f) for f in index._fields}
            yield from ((1.2, ast.Slice(**other | {field: new})) for _, new in (other_index(bound) if bound else ()))
    elif isinstance(index, ast.Constant):
        if type(index.value) is int:
            yield from ((1.0, number(k)) for k in (0, 1, 2, 3, -1) if k != index.value)
    else:
        yield from ((1.0, shifted(index, by)) for by in (-1, 1))
        yield from rewritten(index, INDICES)


# ---- constants ----


def other_constants(node, parent, scope: Scope) -> Iterator:
    value = node.value
    if isinstance(value, str):
        yield from ((1.2, ast.Constant(other)) for other in sorted(scope.strings - {value}) if len(other) < 40)
        yield from ((1.1, ast.Constant(other)) for other in other_letters(value))
    elif isinstance(value, bool):
        yield 1.0, ast.Constant(not value)
    elif isinstance(value, int | float):
        near = dict.fromkeys((0, 1, 2, -1, value + 1, value - 1, -value, 0.5, 3, -2))
        useless = {ast.Pow: 0, ast.Mult: 1}.get(type(getattr(parent, "op", None)))  # 1 * x is x
        yield from ((1.1, number(k)) for k in near if k not in (value, useless))
        if not isinstance(parent, ast.Subscript | ast.Slice):
            yield 1.8, ast.Constant(None)
        for _, one, kinds in scope.like(node):
            if isinstance(one, NAMES) and ("number" in kinds or value in (0, 1)):
                yield 1.7, one


def other_letters(text: str) -> Iterator[str]:
    """An einsum with two letters of one operand swapped, or another letter; a short word in another order."""
    if "->" in text and "," in text:
        operands = text.replace("->", ",").split(",")
        letters = sorted(set("".join(operands)) - {" "})
        for k, operand in enumerate(operands):
            new = ["".join(letters) for _, letters in swapped(list(operand))]
            new += [operand[:a] + one + operand[a + 1 :] for a in range(len(operand)) for one in letters]
            for one in new:
                if one != operand:
                    *inputs, result = [*operands[:k], one, *operands[k + 1 :]]
                    yield f"{','.join(inputs)}->{result}"
    elif 2 <= len(text) <= 5 and text.isalpha():
        yield from ("".join(p) for p in itertools.permutations(text) if "".join(p) != text)


# ---- calls ----

KEYWORDS = {"axis": (0, 1, 2, None, -1), "dim": (0, 1, 2, -1), "keepdims": (True, False), "keepdim": (True, False)}
REDUCING = ("sum", "mean", "max", "concatenate", "stack")


def other_calls(node) -> Iterator:
    """Other arguments: two swapped, another axis, another range."""
    args = node.args
    yield from ((1.2, ast.Call(node.func, new, node.keywords)) for far, new in swapped(args) if far <= 2)
    for k, keyword in enumerate(node.keywords):
        before, after = node.keywords[:k], node.keywords[k + 1 :]
        values = KEYWORDS.get(keyword.arg, ())
        for value in values:
            new = ast.Constant(value) if isinstance(value, bool) else number(value)
            yield 1.0, ast.Call(node.func, args, [*before, ast.keyword(keyword.arg, new), *after])
        if values or keyword.arg == "out":
            yield 1.2, ast.Call(node.func, args, [*before, *after])
    function = unparse(node.func)
    words = {keyword.arg for keyword in node.keywords}
    if function.split(".")[-1] in ("sum", "mean", "max") and not words & {"keepdims", "keepdim"}:
        word = "keepdim" if "dim" in words else "keepdims"
        yield 1.1, ast.Call(node.func, args, [*node.keywords, ast.keyword(word, ast.Constant(True))])
    if function.split(".")[-1] in REDUCING and not words & {"axis", "dim"}:
        for axis in (ast.keyword("axis", number(k)) for k in (0, 1, -1)):
            yield 1.1, ast.Call(node.func, args, [*node.keywords, axis])
            yield 1.3, ast.Call(node.func, args, [axis, ast.keyword("keepdims", ast.Constant(True))])
    if function in ("range", "np.arange") and args:
        low, high, *step = args if len(args) > 1 else (ast.Constant(0), *args)
        yield from ((1.1, ast.Call(node.func, [shifted(low, by), shifted(high, by), *step], [])) for by in (-1, 1))


def wrapped(node, parent, scope: Scope) -> Iterator:
    """The same value transposed, copied, in reverse order, one more or less, ..."""
    kind = scope.kind(node)
    if kind == "number":
        yield from ((1.3, shifted(node, by)) for by in (-1, 1))
        yield from (
            (1.7, filled("P * X", P=node, X=one)) for _, one, _ in scope.like(node) if isinstance(one, ast.Name)
        )
    if is_shape(kind):
        carried = [one for _, one, kinds in scope.like(node) if kinds and getattr(one, "id", "") in scope.unread]
        yield from ((1.6, filled("P + X", P=node, X=one)) for one in carried)
        yield from ((1.4, filled("P.reshape(X)", P=node, X=one)) for one in scope.shapes_for(node))
    if kind in SEQUENCES + ITERATORS:
        node, kind = node if kind in SEQUENCES else filled("list(X)", X=node), "list"
    elif is_shape(kind):
        kind = "matrix" if len(kind) == 2 else "array"
    if kind in ("array", "matrix"):  # most likely where an array gets another name
        is_alias = isinstance(node, NAMES) and isinstance(parent, ast.Assign | ast.ListComp)
        yield 0.7 if is_alias else 1.3, filled("X.copy()", X=node)
    yield from ((1.3, filled(template, X=node)) for template in MORE.get(kind, ()))
    unknown = kind not in (None, "number", *MORE)
    if unknown and isinstance(node, ast.Name) and not isinstance(parent, ast.Attribute | ast.Subscript):
        yield 1.7, ast.Constant(None)


def is_shape(kind) -> bool:
    return isinstance(kind, tuple)


def broadcasts(small, large) -> bool:
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small[::-1], large[::-1], strict=False))
