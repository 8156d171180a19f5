"""What the right gradients inside a program are: measured on its own forward pass.

Each value that forward stores is changed a little, in two random directions, and the loss watched. A value in backward
that has the same products with these directions is the gradient of that value, whatever it is called, and right.
"""

import ast
from dataclasses import dataclass, field

import numpy as np

from compare.learner import syntax
from compare.learner.arrays import flat, to_numpy
from compare.learner.suspects import SMALL, Investigation, Suspect

SAME = 1e-5  # relative: what differences of the loss resolve
DIRECTIONS = 2


@dataclass
class Truth:
    """The right gradient of a value.

    name: in words; line, slot: where forward stores it, or None; shape: its shape; value: the gradient, if it is known
    entry by entry; directions, slopes: arrays of that shape, and the gradient's products with them; entries: where
    among the entries of all that is stored there, and how many these are.
    """

    name: str
    line: int | None
    slot: int | None
    shape: tuple
    value: np.ndarray | None = None
    entries: tuple = (slice(0), 0)
    directions: list = field(default_factory=list)
    slopes: list = field(default_factory=list)

    def is_same(self, other: np.ndarray) -> bool:
        """Whether another value is this one, perhaps in another layout; nothing can be told from zeros."""
        layouts = [one for one in (other, other.T) if one.shape == self.shape]
        if other.shape != self.shape and squeezed(self.shape) == squeezed(other.shape):
            layouts.append(other.reshape(self.shape))
        return any(map(self.agrees, layouts))

    def agrees(self, other: np.ndarray) -> bool:
        if self.value is not None:
            scale = np.abs(self.value).max(initial=0)
            return bool(scale > 0 and (np.abs(self.value - other) <= SAME * scale).all())
        pairs = [(slope, other * one) for slope, one in zip(self.slopes, self.directions, strict=True)]
        near = (abs(slope - terms.sum()) <= SAME * np.abs(terms).sum() for slope, terms in pairs)
        return any(self.slopes) and all(near)


def squeezed(shape):
    return tuple(n for n in shape if n != 1)


def settled(investigation: Investigation, known: list[Truth], runs: int) -> dict[int, Suspect]:
    """Slot -> the suspect with the gradients of one value for its own, where other values would do as well."""
    found, groups, last = {}, {}, investigation.workshop.runs + runs
    for one in known:
        groups.setdefault((one.name, one.line), []).append(one)
    for suspect in investigation.suspects:
        held = [suspect.chosen(time) for time in suspect.found] if suspect.possible else []
        if {len(leaves) for leaves in held} != {1} or suspect.rank == sum(leaves[0].size for leaves in held):
            continue
        shapes = [leaves[0].shape for leaves in held]
        for truths in (order for group in groups.values() for order in (group, group[::-1])):
            if [one.shape for one in truths] == shapes and suspect.slot not in found:
                values = entry_by_entry(investigation, truths, last)
                if values and (right := investigation.with_values(suspect, values)) is not None:
                    found[suspect.slot] = right
    return found


def entry_by_entry(investigation: Investigation, truths: list[Truth], last: int) -> list | None:
    """The values of gradients, measured if they are not known; None if that takes more than `last` runs."""
    for one in (one for one in truths if one.value is None):
        which, size = one.entries
        entries = range(which.start, which.stop)
        if investigation.workshop.runs + 2 * len(entries) <= last:
            units = (np.arange(size) == entry for entry in entries)
            one.value = np.reshape([slope(investigation, one.slot, unit.astype(float)) for unit in units], one.shape)
    return [one.value for one in truths] if all(one.value is not None for one in truths) else None


def loss_weights(case) -> np.ndarray:
    """What the loss gives each entry of the results: the upstream gradients, in one vector."""
    sizes = [case.expected[name].size for name in case.results]
    parts = [np.ravel(to_numpy(one)) for one in leaves_in_order(case.upstream)]
    weights = np.concatenate(parts) if parts else np.ones(sizes[0] if sizes else 0)
    return np.concatenate([weights, np.zeros(max(0, sum(sizes) - weights.size))])


def leaves_in_order(value) -> list:
    found = []
    for one in flat(list(value)):
        if isinstance(one, dict):
            found += leaves_in_order(one.values())
        elif one is not None:
            found.append(one)
    return found


def measured(investigation: Investigation, runs: int) -> list[Truth]:
    """The gradient of the loss with respect to the values that forward stores, and the expected gradients."""
    workshop = investigation.workshop
    case = workshop.judge.case
    if not case.results:  # a program without a loss
        return []
    found = [Truth(name, None, None, case.expected[name].shape, case.expected[name]) for name in case.gradients]
    count, last = sum(case.expected[name].size for name in case.results), workshop.runs + runs
    if not count or loss_weights(case).size != count:
        return found
    for suspect in investigation.suspects:
        slot = workshop.slots.all[suspect.slot - 1]
        if suspect.moved[:count].any() and slot.at == "in":
            investigation.run(suspect.slot)
            values = investigation.probe.values
            if workshop.runs + 2 * DIRECTIONS * sum(map(len, values)) <= last:
                found += along_directions(investigation, slot, values)
    return found


def along_directions(investigation: Investigation, slot, values) -> list[Truth]:
    """The gradients of all that a statement stores, along random directions, one array after the other."""
    targets, rng = targets_of(slot.node), np.random.default_rng(0)
    found, used, size = [], 0, sum(leaf.size for time in values for leaf in time)
    for leaves in values:
        names = targets if len(targets) == len(leaves) else targets[:1]
        for name, leaf in zip(names if len(names) == len(leaves) else [None] * len(leaves), leaves, strict=True):
            which, used = slice(used, used + leaf.size), used + leaf.size
            if name is None:
                continue
            truth = Truth(f"the gradient of {name}", slot.node.lineno, slot.number, leaf.shape, entries=(which, size))
            for _ in range(DIRECTIONS):
                truth.directions.append(rng.standard_normal(leaf.shape))
                change = np.zeros(size)
                change[which] = truth.directions[-1].ravel()
                truth.slopes.append(slope(investigation, slot.number, change))
            if np.isfinite(truth.slopes).all():
                found.append(truth)
    return found


def slope(investigation: Investigation, slot: int, direction) -> float:
    """The derivative of the loss, a sum of results times weights, if what a slot stores moves along a direction."""
    weights = loss_weights(investigation.workshop.judge.case)

    def loss(change):
        vector = investigation.run(slot, change)
        return np.nan if vector is None else float(weights @ vector[: weights.size])

    return (loss(SMALL * direction) - loss(-SMALL * direction)) / (2 * SMALL)


def targets_of(statement) -> list[str]:
    """What a statement stores into, in words."""
    if isinstance(statement, ast.Return):
        return ["the value returned" for _ in getattr(statement.value, "elts", [statement.value])]
    target = getattr(statement, "targets", [getattr(statement, "target", None)])[0]
    if target is None:
        return []
    return [syntax.unparse(one) for one in getattr(target, "elts", [target])]
