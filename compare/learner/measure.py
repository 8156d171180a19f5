"""The right gradients of any forward pass: central differences of the loss, extrapolated (Richardson 1911).

The loss is the sum of the outputs times fixed random upstream gradients. With steps h, h/2 and h/4 the errors of order
h^2 and h^4 cancel. A much smaller h has to give the same; what the two differ by is the error that is allowed for.
"""

from collections.abc import Callable

import numpy as np

from compare.agreement import RESOLUTION, least_size
from compare.learner.calling import Case, Program, arrays_of, dot, leaves, random_like, reachable, to_numpy

STEPS = (2.0**-6, 2.0**-12, 2.0**-17, 2.0**-19)  # the first two for smooth functions; next to a kink, smaller ones


class Measured:
    """The loss of a program at inputs of which single entries are changed."""

    def __init__(self, program: Program, case: Case):
        self.program, self.case = program, case

    def loss(self, move: Callable = lambda inputs, obj: None) -> float:
        """The loss at fresh inputs after move(inputs, object), which may change them."""
        inputs, obj = self.program.prepared(self.case)
        move(inputs, obj)
        outputs, _, taken = self.program.split(self.program.returned(inputs, obj), inputs, obj)
        return dot(self.case.upstream[:taken], outputs[:taken]) if taken else float(to_numpy(outputs[0]).sum())

    def derivative(self, name, entry) -> tuple[float, float]:
        """The derivative of the loss with respect to one entry, and the error that it may have."""

        def loss(change):
            def move(inputs, obj):
                array = arrays_by_name(inputs, obj)[name]
                array[np.unravel_index(entry, array.shape)] += change  # reshape would copy a transposed array

            return self.loss(move)

        return best_estimate(loss)

    def unchecked(self, gradients) -> list[str]:
        """The arrays of the object on which the loss depends, and which have none of these gradients."""
        inputs, obj = self.program.prepared(self.case)
        measured = [array for name, array in arrays_by_name(inputs, obj).items() if name in gradients]
        others = [p for p, a in reachable(obj) if not any(np.shares_memory(to_numpy(a), one) for one in measured)]
        return [f"d{path}" for path in others if self.depends_on(path)]

    def depends_on(self, path) -> bool:
        def move(inputs, obj):
            array = dict(reachable(obj))[path]
            array += 1e-3

        return self.loss(move) != self.loss()


def best_estimate(loss) -> tuple[float, float]:
    """The derivative of loss(change) at 0 by differences, and the error that it may have.

    Estimates with two sizes of steps have to agree. One alone may look exact and be wrong, where a slope (or, as in
    an ELU, only its derivative) has a jump that is nearer than the steps are large.
    """
    found, before = [], None
    for h in STEPS:
        value, error = extrapolated(loss, h)
        if before is not None:
            found.append((max(error, before[1], abs(value - before[0])), before[0]))
            if found[-1][0] <= RESOLUTION * max(1.0, abs(value)):
                break
        before = value, error
    error, value = min(found, key=lambda pair: pair[0] if np.isfinite(pair[0]) else np.inf)
    return value, error


def extrapolated(loss, h) -> tuple[float, float]:
    """The derivative of loss(change) at 0 from steps h, h/2 and h/4, and by how much the last two estimates differ."""
    d = [(loss(s) - loss(-s)) / (2 * s) for s in (h, h / 2, h / 4)]
    first = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    value = (16 * first[1] - first[0]) / 15
    return value, abs(value - first[1])


def arrays_by_name(inputs, obj) -> dict:
    """The arrays that may have a gradient, by its name, as numpy arrays that share their memory."""
    found = {f"d{path}": array for path, array, _ in arrays_of(obj)}
    found |= {f"d{leaf}": array for name, value in inputs.items() for leaf, array in leaves(value, name).items()}
    return {name: to_numpy(array) for name, array in found.items()}


def measured(program: Program, inputs: dict, words: str, seed: int = 0) -> Case:
    """A Case with random upstream gradients and with the measured gradients as the right ones.

    Raises CannotRun, or whatever the program raises.
    """
    case = Case(words, inputs)
    _fresh, _obj, outputs, _, taken = program.once(case)
    rng = np.random.default_rng([seed, 27182818])  # an example often draws its arrays from default_rng(0)
    case.upstream = [random_like(one, rng) for one in outputs[:taken]]
    outcome = program.run(case)
    loss = Measured(program, case)
    case.results = outcome.results
    case.expected = {name: outcome.outputs[name] for name in outcome.results}
    arrays = arrays_by_name(*program.prepared(case))
    for name in [name for name in outcome.outputs if name not in outcome.results]:
        pairs = [loss.derivative(name, entry) for entry in range(arrays[name].size)]
        values, errors = (np.array(column).reshape(arrays[name].shape) for column in zip(*pairs, strict=True))
        case.expected[name], case.slack[name] = values, float(np.max(errors, initial=0))
    least = least_size(case.expected.values())
    for name, error in case.slack.items():
        case.slack[name] = max(error, RESOLUTION * max(least, np.abs(case.expected[name]).max(initial=0)))
    if program.build:
        case.unchecked += loss.unchecked(case.expected)
    return without_unused(case, outcome)


def without_unused(case: Case, outcome) -> Case:
    """Without the gradients that backward does not return; those that are not zero are kept in mind for a remark."""
    for name in [name for name in case.gradients if outcome.outputs[name] is None]:
        if np.any(np.abs(case.expected.pop(name)) > RESOLUTION):
            case.unchecked.append(name)
        del case.slack[name]
    return case
