"""Run one function of a cell and record what each of its lines assigns, in the order of execution.

The function is compiled once more from its source, with a call after every assignment. So the numbers of the page are
those that the lines computed, also where the source has a mistake in it.
"""

import ast
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Assignment:
    """One line as it was executed.

    line: its number in the file; target: what it assigns, as in the source; t: the step, None outside the loop over t;
    value: what the target held afterwards, a tuple of arrays for several targets; terms: the operands of a sum (or the
    only one), by their source.
    """

    line: int
    target: str
    t: int | None
    value: Any
    terms: dict[str, Any]


@dataclass
class Execution:
    """A call of a function: what it returned, its assignments in order, and its local names at one place.

    That place is after the last line that writes into an array of the module's TRACED: what follows are the gradients
    of the weights.
    """

    source: str
    function: str
    assignments: list[Assignment] = field(default_factory=list)
    known: dict = field(default_factory=dict)
    result: Any = None


def execute(module: ModuleType, source: str, function: str, *args) -> Execution:
    """Call a function of `module` and record its assignments. source: the text of the module's file."""
    tree = definition(source, function)
    execution = Execution(source, function)
    here = call("__known", ast.Call(ast.Name("locals", ast.Load()), [], []))
    tree.body.insert(end_of_traced(tree, module.TRACED), here)
    tree = Recording(source).visit(tree)
    waiting = []

    def terms(*values):
        waiting[:] = copied(values)

    def assigned(line, target, t, value, sources):
        execution.assignments.append(
            Assignment(line, target, t, copied(value), dict(zip(sources, waiting, strict=False)))
        )

    hooks = {"__terms": terms, "__assigned": assigned, "__known": execution.known.update}
    namespace = {**vars(module), **hooks}
    recorded = ast.fix_missing_locations(ast.Module([tree], []))
    exec(compile(recorded, f"<{module.__name__}, recorded>", "exec"), namespace)
    execution.result = namespace[function](*args)
    return execution


def copied(value):
    """A copy of an array, or of every array in a tuple: a later line may write into it."""
    if isinstance(value, tuple):
        return tuple(map(copied, value))
    return value.copy() if isinstance(value, np.ndarray) else value


def definition(source: str, function: str) -> ast.FunctionDef:
    (found,) = (n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function)
    return found


class Recording(ast.NodeTransformer):
    """Adds the calls: before an assignment __terms with the operands of its sum, after it __assigned.

    Afterwards it would be too late: the line may have written into an operand.
    """

    def __init__(self, source):
        self.lines, self.in_loop = source.splitlines(), False

    def visit_For(self, node):
        self.in_loop = True
        self.generic_visit(node)
        self.in_loop = False
        return node

    def visit_Assign(self, node):
        return self.recorded(node, node.targets[0], operands(node.value))

    def visit_AugAssign(self, node):
        return self.recorded(node, node.target, [])

    def visit_Expr(self, node):
        out = [k.value for k in getattr(node.value, "keywords", ()) if k.arg == "out"]  # np.multiply(a, b, out=c)
        return self.recorded(node, out[0], []) if out else node

    def recorded(self, node, target, terms):
        text = [text_of(part, self.lines) for part in (target, *terms)]
        now = ast.parse(text[0], mode="eval").body
        step = ast.Name("t", ast.Load()) if self.in_loop else ast.Constant(None)
        sources = ast.Tuple([ast.Constant(part) for part in text[1:]], ast.Load())
        before = call("__terms", *terms)
        after = call("__assigned", ast.Constant(node.lineno), ast.Constant(text[0]), step, now, sources)
        return [before, node, after]


def call(name, *args):
    """The statement name(*args)."""
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), list(args), []))


def operands(value):
    """[a, b, c] of a + b + c; [value] of anything else."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        return [*operands(value.left), *operands(value.right)]
    return [value]


def operands_of(source: str, function: str, target: str) -> list[str]:
    """The operands, by their source, of the sum that the only assignment to `target` computes."""
    lines = source.splitlines()
    nodes = [node for node in ast.walk(definition(source, function)) if isinstance(node, ast.Assign)]
    (found,) = (node for node in nodes if text_of(node.targets[0], lines) == target)
    return [text_of(operand, lines) for operand in operands(found.value)]


def text_of(node, lines):
    """The source of a node. (ast.get_source_segment splits the whole file at every call.)"""
    found = lines[node.lineno - 1 : node.end_lineno]
    found[-1] = found[-1].encode()[: node.end_col_offset].decode()
    found[0] = found[0].encode()[node.col_offset :].decode()
    return "\n".join(found)


def shares_of_steps(execution: Execution, module: ModuleType) -> list[dict]:
    """For each step: what the lines after the traced arrays assign, by name, if these are zero at all other steps.

    The shares of a weight's gradient add up to it.
    """
    tree = definition(execution.source, execution.function)
    rest = [node for node in tree.body[end_of_traced(tree, module.TRACED) :] if isinstance(node, ast.Assign)]
    code = compile(ast.Module(rest, []), "<gradients of the weights>", "exec")
    traced = {name: execution.known[name] for name in module.TRACED}
    shares = []
    for t in range(len(next(iter(traced.values())))):
        alone = {name: np.zeros_like(array) for name, array in traced.items()}
        for name, array in traced.items():
            alone[name][t] = array[t]
        known = {**vars(module), **execution.known, **alone}
        exec(code, known)
        shares.append(known)
    return shares


def end_of_traced(tree, traced):
    """The place in a function's body after the last statement that writes into one of the arrays."""

    def writes(statement):
        stored = [n for n in ast.walk(statement) if isinstance(getattr(n, "ctx", None), ast.Store)]
        return any(ast.unparse(n).split("[")[0] in traced for n in stored)

    return 1 + max((k for k, statement in enumerate(tree.body) if writes(statement)), default=-1)
