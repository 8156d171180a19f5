"""Small edits of a program: what people change when they fix a backward pass.

Every edit changes one statement, moves it, removes it, or adds one that resembles another.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from compare.learner.search.expressions import ITERATORS, Scope, is_shape, other_indices, variants_of
from compare.learner.search.syntax import (
    HEADERS,
    NAMES,
    blocks,
    changed_in_place,
    clone,
    expressions,
    filled,
    functions,
    is_copy,
    is_load,
    load,
    name,
    parsed,
    replaced,
    rewrites,
    rewritten,
    stored,
    unparse,
)


@dataclass(frozen=True)
class Edit:
    """One edit. changes: slot -> the statements (or the header's expression) that replace what is there.

    line: where; kind: "change", "remove", "move" or "insert"; node: the expression or statement that is changed; after:
    what it becomes, or, for a move, where it goes; inside: whether it is part of a larger expression; judged_by: the
    slot whose cost counts, if it is not one of those that change; everywhere: whether the node is changed wherever it
    occurs in the statement; follows: whether it is inserted after its line, not before.
    """

    cost: float
    line: int
    changes: tuple
    kind: str
    node: ast.AST | None
    after: ast.AST | str
    inside: bool = False
    judged_by: int | None = None
    everywhere: bool = False
    follows: bool = False


@dataclass
class Slot:
    """A place for variants: a statement (at "in"), the gap before one ("before"), a header ("header"), or such a gap
    with a variable that may have to change there ("gap NAME").
    """

    number: int
    node: ast.stmt
    block: list
    index: int
    at: str

    def replaced(self) -> ast.AST:
        """What a variant takes the place of: the header, or the statement."""
        return getattr(self.node, HEADERS[type(self.node)]) if self.at == "header" else self.node


class Slots:
    """The slots of a program, by their numbers, which begin with 1."""

    def __init__(self):
        self.all, self.by_place = [], {}

    def of(self, block, index, at):
        key = (id(block), index, at)
        if key not in self.by_place:
            node = block[min(index, len(block) - 1)]
            self.by_place[key] = Slot(len(self.all) + 1, node, block, index, at)
            self.all.append(self.by_place[key])
        return self.by_place[key].number

    def __getitem__(self, number: int) -> Slot:
        return self.all[number - 1]


def gap_before_reading(slot, leaf: int | None) -> tuple:
    """(index, target): the gap in the block of a statement before what it stores is read; (None, None) if none.

    leaf: of several things that it stores the one that counts, or None.
    """
    targets = getattr(slot.node, "targets", [getattr(slot.node, "target", None)])
    if leaf is not None and leaf < len(getattr(targets[0], "elts", ())):
        targets = [targets[0].elts[leaf]]
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
    if at_end or (gap == slot.index + 1 and leaf is None):  # there the statement itself may be changed instead
        return None, None
    return gap, targets[0]


def puts_into_itself(edit: Edit) -> bool:
    """Whether an edit makes a list hold itself, as in hs[t] = hs: NumPy would look for its end for a long time."""
    for new in (one for _, change in edit.changes if isinstance(change, list) for one in change):
        match new:
            case (
                ast.Assign(targets=[ast.Subscript(value=whole)], value=part)
                | ast.Expr(value=ast.Call(func=ast.Attribute(value=whole), args=[*_, part]))
            ) if unparse(whole) == unparse(part):
                return True
    return False


INSERTED = 0.3  # is added for a statement more
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
                if is_docstring(statement):
                    continue
                movable = worth(slots.of(block, index, "move"))
                if isinstance(statement, SIMPLE) and (movable or worth(slots.of(block, index, "in"))):
                    yield from edits_of(statement, block, index, scope, slots)
                if isinstance(statement, SIMPLE | ast.For) and movable:
                    yield from moves_of(statement, owner, block, index, lists, slots)
                if type(statement) in HEADERS and worth(slots.of(block, index, "header")):
                    yield from edits_of_header(statement, block, index, scope, slots)
            yield from insertions(block, scope, slots, worth)


def is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def edits_of(statement, block, index, scope, slots):
    """The edits that leave a statement in its place."""
    slot = slots.of(block, index, "in")

    place = slots.of(block, index, "move")  # where something is stored is judged like where the statement is

    def edit(cost, new, node, after, kind="change", **more):
        line = getattr(node, "lineno", statement.lineno)
        return Edit(cost, line, ((slot, [ast.copy_location(new, statement)]),), kind, node, after, **more)

    for path, node, parent in expressions(statement):
        if not is_load(node) and not isinstance(node, ast.Subscript | ast.Tuple):
            continue
        for cost, new in variants_of(node, parent, scope):
            if not is_load(node):
                if not can_be_stored(new, scope):
                    continue
                new = stored(new)
            inside = isinstance(parent, ast.BinOp | ast.UnaryOp)
            judged_by = place if path[0][0] in ("target", "targets") else None
            yield edit(cost, replaced(statement, path, new), node, new, inside=inside, judged_by=judged_by)
    yield from names_throughout(statement, scope, edit)
    if isinstance(statement, ast.Assign):
        zero = ast.Constant(0)
        yield edit(1.6, replaced(statement, (("value", None),), zero), statement.value, zero)
    for cost, new in other_statements(statement, scope):
        yield edit(cost, new, statement, new, judged_by=place)
    if not isinstance(statement, ast.Return):
        yield edit(1.5, ast.Pass(), statement, "", kind="remove", judged_by=place)


def can_be_stored(node, scope) -> bool:
    """Whether an expression may become a target: `np.inf = ...` would outlive the run, and a name of the module that is
    stored into once is, in all variants that are compiled together, a variable of the function.
    """
    if isinstance(node, ast.Tuple):
        return all(can_be_stored(one, scope) for one in node.elts)
    return isinstance(node, ast.Subscript) or (isinstance(node, ast.Name) and node.id in scope.locals)


def edits_of_header(statement, block, index, scope, slots):
    field = HEADERS[type(statement)]
    header = getattr(statement, field)
    slot = slots.of(block, index, "header")
    found = (
        [(1.1, header, ast.UnaryOp(ast.Not(), header)), (1.4, header, ast.Constant(True))] if field == "test" else []
    )
    if isinstance(statement, ast.For):
        others = [one for text, one in scope.iterables.items() if text != unparse(header)]
        found += [(1.3, header, new) for one in others for new in (one, filled("reversed(X)", X=one))]
    shell = ast.Expr(header)
    for path, node, parent in expressions(shell):
        found += [(cost, node, replaced(header, path[1:], new)) for cost, new in variants_of(node, parent, scope)]
    for cost, _, new in found:
        yield Edit(cost, statement.lineno, ((slot, new),), "change", header, new)


def names_throughout(statement, scope, edit):
    """One name, attribute or entry for another, wherever it occurs in a statement."""
    places = {}
    for path, node, parent in expressions(statement):
        called = isinstance(parent, ast.Call) and node is parent.func
        if isinstance(node, NAMES) and not called and (is_load(node) or isinstance(node, ast.Subscript)):
            places.setdefault(unparse(node), []).append((path, node))
    for found in places.values():
        first = found[0][1]
        others = [(1.1 if type(i) is type(first) else 1.5, i) for _, i, _ in scope.like(first) if isinstance(i, NAMES)]
        if isinstance(first, ast.Subscript):
            others += [(cost, one) for cost, one in other_indices(first, scope) if isinstance(one, ast.Subscript)]
        if not all(is_load(node) for _, node in found):
            others = [(cost, one) for cost, one in others if can_be_stored(one, scope)]
        for cost, other in others if len(found) > 1 else ():
            new = statement
            for path, node in found:
                new = replaced(new, path, load(other) if is_load(node) else stored(other))
            yield edit(cost, new, first, load(other), everywhere=True)


STATEMENTS = rewrites("""
    0.8  A %= B -> A = B
    0.8  A %= B -> A = A % B
    1.1  A %= B -> A += B | A -= B | A *= B | A /= B
    1.1  A[I] += B -> np.add.at(A, I, B)
    1.1  A[I] -= B -> np.subtract.at(A, I, B)
    1.0  A = B -> A += B
    1.1  A = B -> A = A + B
    1.4  A = B -> A *= B
    1.6  A = B -> A[:] = B
    1.2  A[I] = B[J] -> A[J] = B[I]
    1.2  A[I] += B[J] -> A[J] += B[I]
    1.2  A[I] = B[J, K] -> A[J] = B[I, K]
    1.2  A[I] += B[J, K] -> A[J] += B[I, K]
    1.0  A = A % B -> A %= B
    1.6  A.append(B) -> A.insert(0, B)
    1.2  A.setdefault(B, C) -> A[B] = C
""")
RESETS = {
    "array": "X[...] = 0",
    "list": "for one in X: one[...] = 0",
    "dict": "for one in X.values(): one[...] = 0",
}


def other_statements(statement, scope) -> Iterator[tuple[float, ast.stmt]]:
    """+= for =, another operator, another target; one for a value that is not used."""
    match statement:
        case ast.AugAssign() | ast.Expr() | ast.Assign(targets=[ast.Name() | ast.Attribute() | ast.Subscript()]):
            node = statement.value if isinstance(statement, ast.Expr) else statement
            for cost, new in rewritten(node, STATEMENTS):
                yield cost, ast.Expr(new) if isinstance(new, ast.expr) else new
    match statement:
        case ast.Expr(value=ast.Call() as call) if scope.kind(call) not in (None, "NoneType"):
            for target in sorted(scope.locals):
                forms = ("T = list(V)",) if scope.kind(call) in ITERATORS else ("T = T + V", "T = V")
                yield from ((0.7, filled(one, T=name(target), V=call)) for one in forms)
        case ast.Assign(targets=[ast.Name(id=own)], value=value):
            for other in sorted(scope.locals - {own}):
                yield 1.4, ast.Assign([ast.Name(other, ast.Store())], value)
            if "self" in scope.locals:
                yield 1.2, ast.Assign([ast.Attribute(name("self"), own, ast.Store())], value)
        case ast.Assign(targets=[ast.Tuple(elts=elts)], value=value):
            for k, one in enumerate(elts):
                for other in sorted(scope.locals - set(map(unparse, elts))) if isinstance(one, ast.Name) else ():
                    new = ast.Tuple([*elts[:k], ast.Name(other, ast.Store()), *elts[k + 1 :]], ast.Store())
                    yield 1.0 if one.id.startswith("_") else 1.3, ast.Assign([new], value)


def moves_of(statement, owner, block, index, lists, slots):
    """The statement at another place: of its block, at an end of a block next to it, or outside its loop."""
    if isinstance(statement, ast.Return):
        return
    gone = (slots.of(block, index, "in"), [ast.copy_location(ast.Pass(), statement)])
    own = slots.of(block, index, "move")
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
        gap, there = slots.of(target, k, "before"), where(target, k)
        yield Edit(cost, statement.lineno, (gone, (gap, [statement])), "move", statement, there, judged_by=own)


def where(block, index) -> str:
    return f"before line {block[index].lineno}" if index < len(block) else f"after line {block[-1].end_lineno}"


def insertions(block, scope, slots, worth):
    """A new statement in a gap; one that stores a value that is known is found by screening.GapScreen."""
    for k in range(len(block) + 1):
        if k > 0 and isinstance(block[k - 1], ast.Return):
            continue
        slot = slots.of(block, k, "before")
        if worth(slot):
            yield from (insertion(cost, slot, new, block, k) for cost, new in new_statements(k, block, scope))


def insertion(cost, slot, new, block, k) -> Edit:
    """A new statement at a gap of a block, after the line above.

    It is before the line below if a loop ends above it, or if it is a copy of what that line changes.
    """
    is_simple = k > 0 and isinstance(block[k - 1], SIMPLE) and not is_docstring(block[k - 1])
    follows = k == len(block) or (is_simple and not is_copy(getattr(new, "value", None)))
    near = block[k - 1] if follows else block[k]
    line = near.end_lineno if follows else near.lineno
    new = ast.copy_location(clone(new), near)
    return Edit(cost + INSERTED, line, ((slot, [new]),), "insert", None, new, follows=follows)


def new_statements(k, block, scope) -> Iterator[tuple[float, ast.stmt]]:
    """A copy of what the next statement changes in place; what sets to zero what an object keeps."""
    if k < len(block) and (own := changed_in_place(block[k])) in scope.locals:
        yield 1.0, filled("X = X.copy()", X=name(own))
    if block is scope.function.body and k == place_of_resets(block):
        yield from resets(scope)


def place_of_resets(body) -> int:
    """Where a function sets to zero what an object keeps: after the statements that do so, or at its beginning."""
    kept = ast.Attribute | ast.Subscript
    zeros = ("0", "0.0", "np.zeros")
    found = [
        k
        for k, one in enumerate(body)
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], kept) and unparse(one.value).startswith(zeros)
    ]
    return max(found, default=is_docstring(body[0]) - 1) + 1


def resets(scope):
    """What sets to zero what an object keeps from one call to the next."""
    kept = {text: (node, {scope.kind(node)} - {None}) for text, node in scope.kept.items()} | scope.ingredients
    for node, kinds in kept.values():
        if isinstance(node, ast.Attribute):
            found = {"array" if is_shape(kind) else kind for kind in kinds or RESETS} & RESETS.keys()
            statements = (filled(RESETS[kind], X=node) for kind in sorted(found))
            yield from ((1.0, ast.fix_missing_locations(statement)) for statement in statements)
    yield from ((1.0, ast.Expr(parsed(f"self.{method}()"))) for method in sorted(scope.methods))
