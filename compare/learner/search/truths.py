"""What the right gradients inside a program are: measured on its own forward pass.

Each value that forward stores, or uses later (readings.py), is changed a little, in two random directions, and the loss
watched. A value in backward that has the same products with these directions is the gradient of that value, whatever
it is called, and right.
"""

import ast
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from compare.learner.program.arrays import flat, to_numpy
from compare.learner.search import syntax
from compare.learner.search.readings import Site, readings
from compare.learner.search.suspects import SMALL, Investigation, Suspect, columns_of, with_changes

SAME = 1e-5  # relative: what differences of the loss resolve
DIRECTIONS = 2


@dataclass
class Truth:
    """The right gradient of a value.

    name: in words; line, site: where forward has the value, or None; shape: its shape; value: the gradient,
    if it is known entry by entry; entries: where among the entries of all that is stored there, and how many these are;
    is_share: whether it may be a part of a gradient only, what goes through one use; directions, slopes: arrays of that
    shape, and the gradient's products with them.
    """

    name: str
    line: int | None
    shape: tuple
    value: np.ndarray | None = None
    site: Site | None = None
    entries: tuple = (slice(0), 0)
    is_share: bool = False
    directions: list = field(default_factory=list)
    slopes: list = field(default_factory=list)

    def is_same(self, other: np.ndarray) -> bool:
        """Whether another value is this one, perhaps in another layout; zeros match nothing."""
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
    """Slot -> the suspect with measured gradients for its values, where several values would be right."""
    groups, last = {}, investigation.workshop.runs + runs
    for one in known:
        groups.setdefault((one.name, one.line, id(one.site)), []).append(one)
    orders = [order for group in groups.values() for order in (group, group[::-1])[: len(group)]]  # one has no order
    pairs = ((one.slot, settled_with(investigation, one, orders, last)) for one in investigation.suspects)
    return {slot: right for slot, right in pairs if right is not None}


def settled_with(investigation: Investigation, suspect: Suspect, orders: list, last: int) -> Suspect | None:
    """The suspect with the first of the gradients that are right values of it; None if none are, or if only one is.

    orders: lists of the Truths of one value, in the order of forward or from the last to the first; last: the number of
    the last run.
    """
    held = [suspect.chosen(time) for time in suspect.expected] if suspect.possible and suspect.linear else []
    free = sum(leaf.size for leaves in held for leaf in leaves) - suspect.rank
    if {len(leaves) for leaves in held} != {1} or not free:
        return None
    shapes, choice = [leaves[0].shape for leaves in held], None
    for truths in (one for one in orders if [truth.shape for truth in one] == shapes):
        if investigation.workshop.runs + 3 * free > last:
            return None
        with suppress(np.linalg.LinAlgError, ValueError, IndexError):  # a run may have ended early
            choice = choice or Choice(investigation, suspect)
            values = choice.gradients(truths)
            if values is not None and (right := investigation.with_values(suspect, values)) is not None:
                return right
    return None


class Choice:
    """The values of a suspect that make every result right, where there are many.

    right: some of them, as a vector; free: an orthonormal basis, as columns, of what may be added.
    """

    def __init__(self, investigation: Investigation, suspect: Suspect):
        self.investigation, self.shapes = investigation, [suspect.chosen(time)[0].shape for time in suspect.expected]
        self.right = in_one(suspect, suspect.expected)
        self.free = np.linalg.svd(np.linalg.qr(suspect.jacobian, mode="r"))[2][suspect.rank :].T
        if suspect.recurrent:  # what is added at one time also changes the values at later times
            self.free = np.linalg.qr(np.stack([self.effect(suspect, one) for one in self.free.T], axis=1))[0]

    def effect(self, suspect: Suspect, added) -> np.ndarray:
        """How the values change if a little is added to what the statement computes."""
        change = suspect.change.copy()
        change[columns_of(suspect.found, suspect.leaf)] += SMALL * added
        self.investigation.run(suspect.slot, change)
        return (in_one(suspect, with_changes(self.investigation.probe.values, change)) - self.right) / SMALL

    def gradients(self, truths: list[Truth]) -> list | None:
        """Of these values those that are gradients; None if there are none.

        The product with a direction in which all right values are the same has to be the one that they have. Those with
        the free directions are measured.
        """
        if all(one.value is not None for one in truths):
            return [one.value for one in truths]
        if not all(one.site is truths[0].site is not None for one in truths):
            return None
        known = np.random.default_rng(0).standard_normal(len(self.right))
        known -= self.free @ (self.free.T @ known)
        terms, measured = known * self.right, self.slope(truths, known)
        if not (measured and abs(terms.sum() - measured) <= SAME * np.abs(terms).sum()):
            return None
        added = np.array([self.slope(truths, one) for one in self.free.T]) - self.free.T @ self.right
        return self.parts(self.right + self.free @ added)

    def slope(self, truths: list[Truth], direction) -> float:
        """The product of the gradients with a direction of all values."""
        change = np.zeros(truths[0].entries[1])  # of what forward has
        for one, part in zip(truths, self.parts(direction), strict=True):
            change[one.entries[0]] = part.ravel()
        return slope(self.investigation, truths[0].site, change)

    def parts(self, values) -> list[np.ndarray]:
        """The value at each time."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self.shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), self.shapes, strict=True)]


def in_one(suspect: Suspect, values) -> np.ndarray:
    """The values of a suspect at all times, in one vector."""
    return np.concatenate([leaf.ravel() for time in values for leaf in suspect.chosen(time)])


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
    """The gradient of the loss with respect to the values that forward stores or uses, and the expected gradients."""
    workshop = investigation.workshop
    case = workshop.judge.case
    if not case.results:  # a program without a loss
        return []
    found = [Truth(name, None, case.expected[name].shape, case.expected[name]) for name in case.gradients]
    count, last = sum(case.expected[name].size for name in case.results), workshop.runs + runs
    if not count or loss_weights(case).size != count:
        return found
    for site in (*readings(investigation), *stores(investigation, count)):
        site.run()
        values = site.probe.values
        if workshop.runs + 2 * DIRECTIONS * sum(map(len, values)) <= last:
            found += along_directions(investigation, site, values)
    return found


def stores(investigation: Investigation, count: int) -> Iterator[Site]:
    """The statements of forward that store something. count: how many entries of the results are outputs."""
    for suspect in investigation.suspects:
        slot = investigation.workshop.slots[suspect.slot]
        if suspect.moved[:count].any() and slot.at == "in":
            run = partial(investigation.run, suspect.slot)
            yield Site(targets_of(slot.node), slot.node.lineno, investigation.probe, run, is_use=False)


def along_directions(investigation: Investigation, site: Site, values) -> list[Truth]:
    """The gradients of all that there is at a site, along random directions, one array after the other."""
    rng, found, used, size = np.random.default_rng(0), [], 0, sum(leaf.size for time in values for leaf in time)
    for leaves in values:
        names = site.names if len(site.names) == len(leaves) else site.names[:1]
        for name, leaf in zip(names if len(names) == len(leaves) else [None] * len(leaves), leaves, strict=True):
            which, used = slice(used, used + leaf.size), used + leaf.size
            if name is None:
                continue
            truth = Truth(f"the gradient of {name}", site.line, leaf.shape, None, site, (which, size), site.is_use)
            for _ in range(DIRECTIONS):
                truth.directions.append(rng.standard_normal(leaf.shape))
                change = np.zeros(size)
                change[which] = truth.directions[-1].ravel()
                truth.slopes.append(slope(investigation, site, change))
            if np.isfinite(truth.slopes).all():
                found.append(truth)
    return found


def slope(investigation: Investigation, site: Site, direction) -> float:
    """The derivative of the loss, a sum of results times weights, if what a site holds moves along a direction."""
    weights = loss_weights(investigation.workshop.judge.case)

    def loss(change):
        vector = site.run(change)
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
