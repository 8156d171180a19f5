"""Syntax trees: take one apart, make a new one, rewrite it by patterns.

Trees are never changed: a new one shares what is the same.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache

NAMES = ast.Name | ast.Attribute | ast.Subscript
BLOCKS = ("body", "orelse", "finalbody")
HEADERS = {ast.For: "iter", ast.If: "test", ast.While: "test"}
MODULES = ("np", "numpy", "torch", "math")


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
    if isinstance(child, list) and index is None:  # the arguments of a call, as a tuple
        child = replaced(ast.Tuple(child, ast.Load()), rest, new)
        setattr(copy, field, child.elts if isinstance(child, ast.Tuple) else [ast.Starred(child, ast.Load())])
    elif index is None:
        setattr(copy, field, replaced(child, rest, new))
    else:
        setattr(copy, field, [replaced(one, rest, new) if k == index else one for k, one in enumerate(child)])
    return copy


def is_copy(node) -> bool:
    """Whether it is a call X.copy()."""
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return is_method and node.func.attr == "copy" and not node.args


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
    return in_context(node, ast.Load) if isinstance(node, NAMES) else node


def stored(node):
    """The target that stores into what `node` reads."""
    return in_context(node, ast.Store)


def in_context(node, context):
    if isinstance(node.ctx, context):
        return node
    parts = {field: getattr(node, field) for field in node._fields if field != "ctx"}
    return ast.copy_location(type(node)(**parts, ctx=context()), node)


def size(node) -> int:
    """How many expressions an expression consists of."""
    if not hasattr(node, "_size"):
        node._size = sum(isinstance(one, ast.expr) for one in ast.walk(node))
    return node._size


def reads(node) -> frozenset[str]:
    """The names that a node reads, kept with it."""
    if not hasattr(node, "_reads"):
        own = {node.id} if isinstance(node, ast.Name) and is_load(node) else set()
        node._reads = frozenset(own.union(*map(reads, ast.iter_child_nodes(node))))
    return node._reads


def stores(statements) -> set[str]:
    """The variables that statements store."""
    nodes = (node for statement in statements for node in ast.walk(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and not is_load(node)}


def every_read(node) -> list[str]:
    """The same, each name as often as it is read."""
    return [one.id for one in ast.walk(node) if isinstance(one, ast.Name) and is_load(one)]


def calls(node) -> list[str]:
    """The names of the functions and methods that a node calls."""
    functions = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    return [getattr(one, "attr", getattr(one, "id", "")) for one in functions]


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


def position(node):
    """Where a node is in the text; None for a new one."""
    if not hasattr(node, "end_col_offset"):
        return None
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


# ---- patterns ----


@cache
def parsed(template: str) -> ast.expr | ast.stmt:
    """The tree of an expression or a statement."""
    (node,) = ast.parse(template).body
    return node.value if isinstance(node, ast.Expr) else node


def filled(template: str, **parts) -> ast.expr:
    """The expression in which the names of the template are replaced by other expressions."""
    return with_parts(parsed(template), parts)


def with_parts(node, parts: dict):
    """The template `node`, with other expressions, lists of arguments, or operators in the place of its names."""
    if isinstance(node, ast.Name) and node.id in parts:
        part = parts[node.id]
        return stored(part) if isinstance(node.ctx, ast.Store) else load(part)
    if isinstance(node, list):
        if len(node) == 1 and is_rest(node[0]):
            return parts[node[0].value.id]
        return [with_parts(one, parts) for one in node]
    if isinstance(node, ast.operator):
        return parts.get(type(node), node)
    if not isinstance(node, ast.expr | ast.stmt | ast.keyword) or isinstance(node, ast.Constant):
        return node
    return type(node)(**{field: with_parts(getattr(node, field), parts) for field in node._fields})


def is_rest(node) -> bool:
    """Whether it is the *R or **K of a template, which matches a list."""
    return isinstance(node, ast.Starred) or (isinstance(node, ast.keyword) and node.arg is None)


ANY_OPERATOR = ast.Mod | ast.LShift  # % and << in a pattern match any two operators
ANY_METHOD = "METHOD"


def matched(pattern, node, found: dict) -> bool:
    """Whether a node has the form of a pattern; `found` gets what its names match.

    A capital letter matches any expression, *R and **K any arguments, % and << any operator.
    """
    if isinstance(pattern, ast.Name) and len(pattern.id) == 1 and pattern.id.isupper():
        return isinstance(node, ast.expr) and unparse(found.setdefault(pattern.id, node)) == unparse(node)
    if isinstance(pattern, ANY_OPERATOR) and isinstance(node, ast.operator):
        return type(found.setdefault(type(pattern), node)) is type(node)
    if isinstance(pattern, list) and isinstance(node, list):
        if len(pattern) == 1 and is_rest(pattern[0]):
            found[pattern[0].value.id] = node
            return True
        return len(pattern) == len(node) and all(matched(a, b, found) for a, b in zip(pattern, node, strict=True))
    if type(pattern) is not type(node):
        return False
    if not isinstance(pattern, ast.AST):
        return pattern in (node, ANY_METHOD)
    return all(matched(getattr(pattern, f), getattr(node, f), found) for f in pattern._fields if f != "ctx")


def rewrites(table: str) -> list[tuple[float, ast.AST, list[ast.AST]]]:
    """The lines `cost pattern -> new | another` of a table as trees; <-> for both directions."""
    found = []
    for line in table.strip().split("\n"):
        cost, rule = line.strip().split(maxsplit=1)
        pattern, *new = (parsed(text.strip()) for text in re.split(r"<?->|\|", rule))
        found.append((float(cost), pattern, new))
        if "<->" in rule:
            found.append((float(cost), new[0], [pattern]))
    return found


def rewritten(node, table) -> Iterator[tuple[float, ast.AST]]:
    """(cost, what it becomes) for every line of a table of rewrites whose pattern a node has."""
    for cost, pattern, new in table:
        found = {}
        if matched(pattern, node, found):
            yield from ((cost, with_parts(one, found)) for one in new)


# ---- statements ----


def functions(tree) -> Iterator:
    """Every function of a program but the example."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and not node.name.lower().startswith("example"):
            yield node


def variables_around(tree, function) -> set[str]:
    """The variables of the functions that a function is defined in."""
    found = set()
    for outer in functions(tree):
        inside = list(ast.walk(outer))
        if outer is not function and function in inside:
            found |= stores([outer]) | {node.arg for node in inside if isinstance(node, ast.arg)}
    return found


def runs_backwards(tree, statement) -> bool:
    """Whether a statement is in a loop from the last step to the first."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For) and statement in ast.walk(node)]
    return any("reversed" in unparse(one.iter) or "-1" in unparse(one.iter) for one in loops)


def takes_apart(statement) -> bool:
    """Whether a statement gives parts of something their own names, as in x, W = cache and W = params["W"]."""
    match statement:
        case ast.Assign(targets=[ast.Tuple()], value=ast.Name()):
            return True
        case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
            return len(targets) == len(values) and all(map(is_called_like, targets, values))
        case ast.Assign(targets=[target], value=value):
            return is_called_like(target, value)
    return False


def changed_in_place(statement) -> str | None:
    """The variable whose array a statement writes into."""
    match statement:
        case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=own))]):
            return own
        case ast.AugAssign(target=ast.Name(id=own) | ast.Subscript(value=ast.Name(id=own))):
            return own
    return None


def is_called_like(target, value) -> bool:
    """Whether a variable has the name of the part that it gets."""
    part = value.attr if isinstance(value, ast.Attribute) else getattr(getattr(value, "slice", None), "value", None)
    return isinstance(target, ast.Name) and target.id == part


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
