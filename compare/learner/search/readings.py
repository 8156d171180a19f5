"""Where forward uses values: at the start of a step, as arguments of a function, as entries of an array.

The gradient that is carried from step to step is the gradient of exactly such a use: the upstream gradient of the
state h, say, belongs to the gradient of h as a whole, but not to that of the h with which the next step begins.
"""

import ast
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from compare.learner.search import syntax
from compare.learner.search.probes import Probe, assigned_before, seen
from compare.learner.search.suspects import Investigation
from compare.learner.search.switches import Workshop


class Site(NamedTuple):
    """Where values pass through a probe.

    names: of the arrays, in words; run: change -> the results with it; is_use: whether it is where they are used.
    """

    names: list[str]
    line: int
    probe: Probe
    run: Callable
    is_use: bool = True


def readings(investigation: Investigation) -> list[Site]:
    """A site for each such value of the functions that make the outputs, if these are right."""
    workshop, probe, chosen, found = investigation.workshop, Probe(), {}, []
    for function in syntax.functions(workshop.subject.tree):
        if investigation.in_forward(function.lineno):
            for slot, variant, name, line in variants(function, workshop):
                chosen.setdefault(slot, []).append(variant)
                found.append((slot, len(chosen[slot]), name, line))
    program, switches = workshop.with_switches(chosen, __probe__=probe)

    def run(slot, number, change=None):
        probe.begin(change)
        switches[slot] = number
        vector = workshop.vector(program)
        switches[slot] = 0
        return vector

    return [Site([name], line, probe, partial(run, slot, number)) for slot, number, name, line in found]


def variants(function, workshop: Workshop) -> Iterator[tuple]:
    """(slot, variant, name in words, line) for the values that a function uses."""
    arguments = {one.arg for one in function.args.args}
    arrays = {node.id for node in ast.walk(function) if isinstance(node, ast.Name) and holds_array(node, workshop)}
    for name in sorted(arguments & arrays):
        yield at_start(function.body, name, workshop), gap(name), f"{name}, an argument", function.lineno
    for loop in (one for _, block in syntax.blocks(function) for one in block if isinstance(one, ast.For)):
        before = arguments.union(assigned_before(function, loop))
        for name in sorted(before & arrays & syntax.stores(loop.body)):
            yield at_start(loop.body, name, workshop), gap(name), f"{name} at the start of a step", loop.lineno
        for _, block in syntax.blocks(loop):
            yield from entries_read(block, filled_in(loop), workshop)
    for _, block in syntax.blocks(function):
        yield from computed_for_a_call(block, workshop)


def computed_for_a_call(block, workshop: Workshop) -> Iterator[tuple]:
    """A variant for each argument of a function that is computed in the call, as in np.tanh(x @ W + h @ U)."""
    for index, statement in enumerate(block):
        for path, node, parent in syntax.expressions(statement):
            is_argument = isinstance(parent, ast.Call) and node in parent.args
            if is_argument and isinstance(node, ast.BinOp | ast.UnaryOp) and holds_array(node, workshop):
                name = f"what {syntax.unparse(parent.func)} is applied to"
                yield variant(block, index, path, node, name, workshop)


def variant(block, index, path, node, name, workshop: Workshop) -> tuple:
    """A statement of a block with a part of it passed through __probe__."""
    new = syntax.replaced(block[index], path, seen(node))
    return workshop.slots.of(block, index, "in"), [new], name, node.lineno


def at_start(block, name, workshop: Workshop) -> int:
    return workshop.slots.of(block, 0, f"gap {name}")


def gap(name) -> list[ast.stmt]:
    """The statement name = __probe__(name)."""
    return [ast.Assign([ast.Name(name, ast.Store())], seen(syntax.name(name)))]


def holds_array(node, workshop: Workshop) -> bool:
    return syntax.is_load(node) and isinstance(workshop.facts.get(syntax.position(node)), tuple)


def filled_in(loop) -> set[str]:
    """The arrays, lists and dictionaries that a loop fills, as in h[t] = ... and self.h.append(...)."""
    nodes = list(ast.walk(loop))
    stored = (one.value for one in nodes if isinstance(one, ast.Subscript) and not syntax.is_load(one))
    appended = (one.value for one in nodes if getattr(one, "attr", "") in ("append", "insert"))
    return {syntax.unparse(one) for one in (*stored, *appended)}


def entries_read(block, filled: set[str], workshop: Workshop) -> Iterator[tuple]:
    """A variant for each entry of what a loop fills that a statement of the loop reads."""
    for index, statement in enumerate(block):
        for path, node, _ in syntax.expressions(statement):
            is_entry = isinstance(node, ast.Subscript) and syntax.unparse(node.value) in filled
            if is_entry and holds_array(node, workshop):
                yield variant(block, index, path, node, f"{syntax.unparse(node)} as it is read", workshop)
