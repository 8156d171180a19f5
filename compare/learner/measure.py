"""The right gradients of any forward pass: central differences of the loss, extrapolated (Richardson 1911).

The loss is the sum of the outputs times fixed random upstream gradients. With steps h, h/2 and h/4 the errors of order
h^2 and h^4 cancel. A much smaller h has to give the same; what the two differ by is the error that is allowed for.
All is done in float64, whatever the example's dtype, because differences of float32 resolve little.
"""

import copy
import sys
from collections.abc import Callable

import numpy as np

from compare.agreement import RESOLUTION, least_size
from compare.learner.calling import (
    CannotRun,
    Case,
    Outcome,
    Program,
    as_float64,
    copied,
    first_names,
    holds_only_numbers,
    is_number,
    is_tensor,
    leaves,
    parameters_of,
    products,
    random_like,
    replaced,
    to_numpy,
)

STEPS = (2.0**-6, 2.0**-12, 2.0**-17, 2.0**-19)  # the first two for smooth functions; next to a kink, smaller ones
LARGE_STEPS = (2.0**-3, 2.0**-5)  # where a program computes in float32 whatever it is given


class Measured:
    """The loss of a program at inputs of which single entries are changed. noise: what rounding does to it."""

    def __init__(self, program: Program, case: Case):
        self.program, self.case = program, case
        self.noise = sum(np.finfo(one.dtype).eps * np.abs(one).sum(dtype=float) for one in self.terms())

    def loss(self, move: Callable) -> float:
        """The loss at fresh inputs after move(inputs, object), which may change them."""
        return sum(float(one.sum(dtype=float)) for one in self.terms(move))

    def terms(self, move: Callable = lambda inputs, obj: None) -> list[np.ndarray]:
        """What the loss is the sum of."""
        inputs, obj = self.program.prepared(self.case)
        move(inputs, obj)
        outputs, _, taken = self.program.split(self.program.returned(inputs, obj), inputs, obj)
        return list(products(self.case.upstream[:taken], outputs[:taken])) if taken else [to_numpy(outputs[0])]

    def derivative(self, name, entry) -> tuple[float, float]:
        """The derivative of the loss with respect to one entry, and the error that it may have."""

        def loss(change):
            def move(inputs, obj):
                array = arrays_by_name(inputs, obj)[name]
                array[np.unravel_index(entry, array.shape)] += change  # reshape would copy a transposed array

            return self.loss(move)

        return best_estimate(loss, self.noise)

    def unchecked(self, gradients) -> list[str]:
        """The arrays of objects on which the loss depends, and which have none of these gradients."""
        arrays = arrays_by_name(*self.program.prepared(self.case))
        measured = [arrays[name] for name in gradients if name in arrays]
        parameters = {f"d{name}": arrays[f"d{name}"] for name in self.program.parameters.values()}
        return [
            name
            for name, array in parameters.items()
            if array.ndim and not any(np.shares_memory(array, one) for one in measured) and self.depends_on(name)
        ]

    def depends_on(self, name) -> bool:
        def move(inputs, obj):
            array = arrays_by_name(inputs, obj)[name]
            array += 1e-3

        return self.loss(move) != self.loss(lambda inputs, obj: None)


def best_estimate(loss, noise: float = 0.0) -> tuple[float, float]:
    """The derivative of loss(change) at 0 by differences, and the error that it may have.

    noise: the rounding error of the loss. Estimates with two sizes of steps have to agree. One alone may look exact
    and be wrong, where a slope (or, as in an ELU, only its derivative) has a jump that is nearer than the steps are
    large.
    """
    found, before = [], None
    for h in STEPS + LARGE_STEPS if noise > RESOLUTION else STEPS:
        value, error = extrapolated(loss, h)
        error = max(error, 4 * noise / h)  # of the smallest difference, h / 2 apart
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
    arrays = parameters_of(inputs, obj)
    found = {f"d{name}": arrays[name] for name in first_names(arrays).values()}
    found |= {f"d{leaf}": array for name, value in inputs.items() for leaf, array in leaves(value, name).items()}
    return {name: to_numpy(array) for name, array in found.items()}


def suited(program: Program, inputs: dict) -> tuple[Program, dict, Callable | None]:
    """The program and its inputs in float64, and the change that was made to each array and number of them.

    Numbers and lists of them become arrays if the program returns a gradient for one. A program that does not run like
    this, because it mixes in tensors in float32, remains as it is.
    """
    has_tensors = any(is_tensor(one) for value in inputs.values() for one in leaves(value).values())

    def with_numbers(value):
        number = is_number(value) or holds_only_numbers(value)
        return as_float64((sys.modules["torch"].tensor if has_tensors else np.array)(value) if number else value)

    known = arrays_by_name(inputs, program.obj)
    for change in (with_numbers, as_float64):
        new = copy.copy(program)
        new.obj, new.parameters = replaced(copied(program.obj), change), None
        given = {name: replaced(copied(value), change) for name, value in inputs.items()}
        try:
            case, outcome = first_run(new, given)
            arrays = arrays_by_name(*new.prepared(case))
        except Exception:
            continue
        found = [name for name, value in outcome.outputs.items() if value is not None and name in arrays]
        if change is as_float64 or any(name not in known for name in found):
            return new, given, change
    return program, inputs, None


def first_run(program, inputs, words="", seed=0) -> tuple[Case, Outcome]:
    """A Case with random upstream gradients, and what the program makes of it."""
    case = Case(words, inputs)
    *_, outputs, _, taken = program.once(case)
    rng = np.random.default_rng([seed, 27182818])  # an example often draws its arrays from default_rng(0)
    case.upstream = [random_like(one, rng) for one in outputs[:taken]]
    return case, program.run(case)


def measured(program: Program, inputs: dict, words: str, seed: int = 0) -> Case:
    """A Case with random upstream gradients and with the measured gradients as the right ones.

    Raises CannotRun, or whatever the program raises.
    """
    case, outcome = first_run(program, inputs, words, seed)
    loss = Measured(program, case)
    case.results = outcome.results
    case.expected = {name: outcome.outputs[name] for name in outcome.results}
    arrays = arrays_by_name(*program.prepared(case))
    for name in [name for name in outcome.outputs if name not in outcome.results]:
        pairs = [loss.derivative(name, entry) for entry in range(arrays[name].size)]
        values, errors = (np.array(column).reshape(arrays[name].shape) for column in zip(*pairs, strict=True))
        is_narrow = getattr(outcome.outputs[name], "dtype", None) == np.float32
        case.expected[name] = values.astype(np.float32) if is_narrow else values
        case.slack[name] = float(np.max(errors, initial=0))
    least = least_size(case.expected.values())
    for name, error in case.slack.items():
        case.slack[name] = max(error, RESOLUTION * max(least, np.abs(case.expected[name]).max(initial=0)))
    case.unchecked = loss.unchecked(case.expected)
    case.partly = case.unchecked != []
    return without_unused(case, outcome)


def without_unused(case: Case, outcome) -> Case:
    """Without the gradients that backward does not return; those that are not zero are kept in mind for a remark.

    Raises CannotRun if none is left.
    """
    for name in [name for name in case.gradients if outcome.outputs[name] is None]:
        value = case.expected.pop(name)
        if value.ndim and np.any(np.abs(value) > RESOLUTION):
            case.unchecked.append(name)
        del case.slack[name]
    if case.unchecked and not case.gradients:
        raise CannotRun(f"no gradient has a name that is expected: {', '.join(case.unchecked)}")
    return case
