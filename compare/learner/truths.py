"""What the right gradients inside a program are: measured on its own forward pass.

Each value that forward stores is changed a little, entry by entry, and the loss watched: this gives dLoss/d(value), in
the author's names and layout. A value in backward that equals one of them is right, whatever it is called.
"""

from dataclasses import dataclass

import numpy as np

from compare.learner import syntax
from compare.learner.arrays import flat, to_numpy
from compare.learner.suspects import SMALL, Investigation

SAME = 1e-5  # relative: what differences of the loss resolve


@dataclass
class Truth:
    """A right value. name: in words; line: where forward stores it, or None; time: which of the times it does."""

    name: str
    line: int | None
    time: int
    value: np.ndarray

    def is_same(self, other: np.ndarray) -> bool:
        """Whether another value is this one, perhaps in another layout; nothing can be told from zeros."""
        return any(same(one, other) for one in (self.value, self.value.T) if one.shape == other.shape) or (
            self.value.shape != other.shape
            and squeezed(self.value) == squeezed(other)
            and same(self.value.reshape(other.shape), other)
        )


def squeezed(array):
    return tuple(n for n in array.shape if n > 1)


def same(a, b) -> bool:
    scale = np.abs(a).max(initial=0)
    return bool(scale > 0 and (np.abs(a - b) <= SAME * scale).all())


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
    weights = loss_weights(case)
    found = [Truth(f"{name}", None, 0, case.expected[name]) for name in case.gradients]
    count = sum(case.expected[name].size for name in case.results)
    if not count or weights.size != count:
        return found
    last = workshop.runs + runs
    for suspect in investigation.suspects:
        slot = workshop.slots.all[suspect.slot - 1]
        if suspect.moved[:count].any() and slot.at == "in":
            investigation.run(suspect.slot)
            values = investigation.probe.values
            size = sum(leaf.size for time in values for leaf in time)
            if size and workshop.runs + 2 * size <= last:
                found += named(slot.node, values, gradient_at(investigation, suspect.slot, size, weights))
    return found


def gradient_at(investigation, slot, size, weights) -> np.ndarray:
    """Central differences of the loss, a sum of results times weights, with respect to all that a slot stores."""

    def loss(change):
        vector = investigation.run(slot, change)
        return np.nan if vector is None else float(weights @ vector[: weights.size])

    gradient = np.zeros(size)
    for k, change in enumerate(SMALL * np.eye(size)):
        gradient[k] = (loss(change) - loss(-change)) / (2 * SMALL)
    return gradient


def named(statement, values, gradient) -> list[Truth]:
    """The measured gradient cut into the values that it belongs to."""
    targets = targets_of(statement)
    found, used = [], 0
    for time, leaves in enumerate(values):
        for k, leaf in enumerate(leaves):
            value = gradient[used : used + leaf.size].reshape(leaf.shape)
            used += leaf.size
            name = targets[k] if len(targets) == len(leaves) else targets[0] if len(leaves) == 1 and targets else None
            if name is not None and np.isfinite(value).all():
                found.append(Truth(f"the gradient of {name}", statement.lineno, time, value))
    return found


def targets_of(statement) -> list[str]:
    """What a statement stores into."""
    target = getattr(statement, "targets", [getattr(statement, "target", None)])[0]
    if target is None:
        return []
    return [syntax.unparse(one) for one in getattr(target, "elts", [target])]
