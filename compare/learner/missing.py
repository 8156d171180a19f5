"""A statement may be missing in a loop that adds something to a gradient at each turn: what would it have to add?

If only one gradient is wrong, what it lacks is known: at each turn an entry of it, or, of all turns together, the sum.
"""

import ast
from collections.abc import Iterator

import numpy as np

from compare.learner import edits, syntax
from compare.learner.ingredients import TABLE
from compare.learner.screening import Place, Screen
from compare.learner.suspects import Investigation, Suspect


class AddedScreen(Screen):
    """The end of a loop, where something may have to be added to `target`.

    expected: what, at each turn; jacobian: of what the gradient lacks with respect to these values.
    """

    def __init__(self, gap: edits.Slot, target, places: list[Place], expected: list[np.ndarray], jacobian: np.ndarray):
        self.gap, self.target, nothing = gap, target, syntax.name("__nothing__")
        for place, value in zip(places, expected, strict=True):
            place.nodes.append(nothing)
            place.known[id(nothing)] = True, np.zeros_like(value)
        all_moved = np.ones(len(jacobian), bool)
        leaves = [[one] for one in expected]
        suspect = Suspect(gap.number, all_moved, all_moved, True, [], leaves, len(jacobian), jacobian)
        super().__init__(suspect, places, nothing)

    def gap_after(self) -> None:
        """There is no statement of which another one could take the place."""

    def edit(self, cost, path, node, new) -> edits.Edit:
        operator = ast.Add()
        if isinstance(new, ast.BinOp) and new.left is self.original:
            operator, new = new.op, new.right
        added = ast.AugAssign(syntax.stored(self.target), operator, new)
        return edits.insertion(cost + 0.6, self.gap.number, added, self.gap.block, self.gap.index)


def added_screens(investigation: Investigation) -> Iterator[AddedScreen]:
    """Where adding something in a loop of backward may make the only gradient right that is wrong."""
    if (found := lacking(investigation)) is None:
        return
    part, lacks = found
    for function in syntax.functions(investigation.workshop.subject.tree):
        for loop in (one for _, block in syntax.blocks(function) for one in block if isinstance(one, ast.For)):
            if not investigation.in_forward(loop.lineno) and loop.lineno in investigation.workshop.lines:
                gap, places = at_end(loop, investigation)
                for target in targets(function, gap, places, part, lacks, investigation.workshop):
                    yield from screens_for(target, loop, gap, places, lacks)


def lacking(investigation: Investigation) -> tuple[slice, np.ndarray] | None:
    """(where it is among the results, what it lacks) for the only wrong gradient; None if more is wrong."""
    workshop = investigation.workshop
    case, start, found = workshop.judge.case, 0, []
    wrong = ~workshop.right & investigation.only
    for name, value in case.expected.items():
        part = slice(start, start + value.size)
        start = part.stop
        if wrong[part].any():
            found.append((part, value - workshop.base[part].reshape(value.shape), name))
    if len(found) != 1 or found[0][2] in case.results or wrong[start:].any():
        return None
    return found[0][:2]


def at_end(loop, investigation: Investigation) -> tuple[edits.Slot, list[Place]]:
    """The gap at the end of a loop, and the variables there at each turn."""
    workshop, probe = investigation.workshop, investigation.probe
    slot = workshop.slots.of(loop.body, len(loop.body), "gap for what is added")
    chosen = {slot: [[investigation.here[id(loop.body)]]]}
    program, switches = workshop.with_switches(chosen, __here__=probe.here)
    probe.begin(None)
    probe.reached = noted = []
    switches[slot] = 1
    workshop.vector(program)
    return workshop.slots.all[slot - 1], [Place(*one, workshop) for one in noted]


def targets(function, gap: edits.Slot, places: list[Place], part: slice, lacks: np.ndarray, workshop) -> list:
    """The variables, attributes and entries of a function to which adding something adds the same to the gradient."""
    nodes = (node for node in ast.walk(function) if isinstance(node, syntax.NAMES))
    known = {syntax.unparse(node): syntax.load(node) for node in nodes}
    own = syntax.stores(function.body)  # to store into another variable would make it one of the function
    known = [node for node in known.values() if not isinstance(node, ast.Name) or node.id in own]
    alike = [node for node in known if places and shape_at(places[-1], node) == lacks.shape]
    noise = np.random.default_rng(0).standard_normal(lacks.shape)
    chosen = [[ast.AugAssign(syntax.stored(one), ast.Add(), syntax.name("__noise__"))] for one in alike]
    program, switches = workshop.with_switches({gap.number: chosen}, __noise__=noise) if alike else (None, [])
    found = []
    for number, node in enumerate(alike, start=1):
        switches[gap.number] = number
        vector = workshop.vector(program)
        added = np.zeros_like(workshop.base) if vector is None else vector - workshop.base
        if np.allclose(added[part], len(places) * noise.ravel()):
            found.append(node)
    return found


def shape_at(place: Place, node) -> tuple | None:
    try:
        value = place.value(node)
    except ValueError:
        return None
    return value.shape if isinstance(value, np.ndarray) else None


def screens_for(target, loop, gap, places: list[Place], lacks: np.ndarray) -> Iterator[AddedScreen]:
    """Something may be missing in all of the target at each turn, or in another entry of it at each."""
    count = len(places)
    if lacks.size**2 * count > TABLE:
        return
    if lacks.ndim:
        zero = np.zeros_like(lacks)
        yield AddedScreen(gap, target, places, [lacks, *[zero] * (count - 1)], np.tile(np.eye(lacks.size), count))
    if not isinstance(loop.target, ast.Name):
        return
    turns = [place.variables.get(loop.target.id) for place in places]
    if not all(isinstance(turn, int | np.integer) for turn in turns):
        return
    for axis in range(min(2, lacks.ndim)):
        if sorted(turns) == list(range(lacks.shape[axis])):
            index = syntax.parsed(f"X[{':, ' * axis}{loop.target.id}]").slice
            expected = [np.take(lacks, turn, axis) for turn in turns]
            yield AddedScreen(gap, syntax.entry(target, index), places, expected, np.eye(lacks.size))
