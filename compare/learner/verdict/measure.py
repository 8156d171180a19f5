"""The right gradients of any forward pass: central differences of the loss, extrapolated (Richardson 1911).

The loss is the sum of the outputs times fixed random upstream gradients. With steps h, h/2 and h/4 the errors of order
h^2 and h^4 cancel. Much smaller steps have to give the same: along one random direction of each array, or else for each
entry; then their difference is the error that is allowed for. All is done in float64, whatever the example's
dtype, because differences of float32 resolve little. Where forward has a kink, such as relu at 0, the slopes on its two
sides differ; there nothing is expected.
"""

import copy
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from compare.agreement import CANCELLED, ESTIMATE, NOTHING, RESOLUTION, UNCERTAIN, least_size
from compare.learner.program.arrays import (
    as_float64,
    changed,
    copied,
    flat,
    holds_only_numbers,
    is_float_array,
    is_number,
    is_tensor,
    leaves,
    products,
    random_like,
    replaced,
    to_numpy,
)
from compare.learner.program.calling import Case, Outcome, Program, changed_in_the_module
from compare.learner.program.gradient_names import CannotRun, first_names, parameters_of

# The first two for smooth functions; next to a kink, smaller ones.
STEPS = (2.0**-6, 2.0**-12, 2.0**-17, 2.0**-19)
LARGE_STEPS = (2.0**-3, 2.0**-5)  # where a program computes in float32 whatever it is given
FLAT = 2.0**-2  # the step with which a loss that does not change at all with smaller ones is tried


class Slopes(NamedTuple):
    """(loss(0) - loss(-h)) / h and (loss(h) - loss(0)) / h, and the rounding error of the loss."""

    left: float
    right: float
    noise: float

    @property
    def is_zero(self) -> bool:
        return self.left == self.right == 0

    @property
    def is_steady(self) -> bool:
        """Whether the slopes on the two sides are about the same, and not zero."""
        return self.left * self.right > 0 and 1 / 2 < self.left / self.right < 2


class Estimate(NamedTuple):
    """A derivative, and the error that it may have; at a kink the middle of its values on the two sides."""

    value: float
    error: float
    kink: bool = False


class Measured:
    """The loss of a program at inputs of which single entries are changed."""

    def __init__(self, program: Program, case: Case):
        self.program, self.case = program, case
        self.base = self.terms()

    def terms(self, move: Callable = lambda inputs, obj: None) -> list[np.ndarray]:
        """What the loss is the sum of, at fresh inputs after move(inputs, object), which may change them."""
        inputs, obj = self.program.prepared(self.case)
        move(inputs, obj)
        outputs, _, taken = self.program.split(self.program.returned(inputs, obj), inputs, obj)
        return list(products(self.case.upstream[:taken], outputs[:taken])) if taken else [to_numpy(outputs[0])]

    def must_be_measurable(self) -> None:
        """Raise CannotRun if forward gives other outputs at each call, or some that are no numbers."""
        for k, (one, again) in enumerate(zip(self.base, self.terms(), strict=True), start=1):
            for entry in np.argwhere(np.isnan(one))[:1]:
                raise CannotRun(f"forward gives nan for {entry_in_words(f'output {k}', entry)}; choose other inputs")
            if one.shape != again.shape or not np.allclose(one, again, RESOLUTION, 0):
                raise CannotRun(
                    f"output {k} differs from call to call of forward: pass the random numbers, such as a mask, as an "
                    "argument, or use np.random.default_rng(0) in forward for this check"
                )

    def change(self, move: Callable, moving: list | None = None) -> tuple[float, float]:
        """How much a move changes the loss, and the rounding error of that; nan if it changes the outputs' shapes.

        Term by term: what does not depend on the move cancels exactly, however large it is. moving: which terms moved
        in earlier calls, with larger steps; it is updated.
        """
        total, noise, moving = 0.0, 0.0, [] if moving is None else moving
        moving += [False] * (len(self.base) - len(moving))
        for k, (new, old) in enumerate(zip(self.terms(move), self.base, strict=True)):
            if new.shape != old.shape:
                return np.nan, 0.0
            moves = new != old
            moving[k] = moving[k] | moves
            total += float((new[moves] - old[moves]).sum(dtype=float))
            noise += float(np.finfo(old.dtype).eps * np.abs(old[moving[k]]).sum(dtype=float))
        return total, noise

    def gradient(self, name, array) -> np.ndarray:
        """The Estimates of the derivatives with respect to the entries of an array, one in each row.

        Where one size of steps seems to give them exactly, the other sizes are tried for all these entries together, in
        a random direction.
        """
        first = [extrapolated(self.slopes_at(name, entry), STEPS[0]) for entry in np.ndindex(array.shape)]
        rows = np.array([estimate for estimate, _ in first]).reshape(array.size, 3)
        units = np.array([unit_of(one) for one in array.ravel()])
        sure = rows[:, 1] <= enough(rows[:, 0], units)
        sure &= np.array([not is_kink(large, small, STEPS[0] / 4) for _, (large, _, small) in first], bool)
        direction = sure * np.random.default_rng(5).standard_normal(array.size)
        terms = direction * rows[:, 0]
        along = self.along(name, direction.reshape(array.shape))
        if not abs(along.value - terms.sum()) <= ESTIMATE * RESOLUTION * np.abs(terms).sum():
            sure[:] = False
        for k, entry in enumerate(np.ndindex(array.shape)):
            if not sure[k]:
                rows[k] = best_estimate(self.slopes_at(name, entry), units[k])
        return rows

    def slopes_at(self, name, entry: tuple) -> Callable:
        """The slopes with respect to one entry of an array, see slopes_of."""

        def by(change):
            def move(inputs, obj):
                arrays_by_name(inputs, obj)[name][entry] += change

            return move

        return self.slopes_of(by)

    def along(self, name, direction: np.ndarray) -> Estimate:
        """The derivative of the loss in a direction of one array."""

        def by(change):
            def move(inputs, obj):
                array = arrays_by_name(inputs, obj)[name]
                array += change * direction

            return move

        return best_estimate(self.slopes_of(by))

    def slopes_of(self, by: Callable) -> Callable:
        """The function of h that `best_estimate` takes. by: change -> the function that moves the inputs by so much."""
        moving = []

        def slopes(h):
            (left, _), (right, noise) = self.change(by(-h), moving), self.change(by(h), moving)
            return Slopes(-left / h, right / h, noise)

        return slopes

    def unchecked(self, gradients) -> list[str]:
        """The arrays of objects and of the module on which the loss depends, without one of these gradients."""
        arrays = arrays_by_name(*self.program.prepared(self.case))
        measured = [arrays[name] for name in gradients if name in arrays]
        parameters = {f"d{name}": arrays[f"d{name}"] for name in self.program.parameters.values()}
        of_module = changed_in_the_module(self.program, self.case)
        return [
            *(
                name
                for name, array in parameters.items()
                if array.ndim and not any(np.shares_memory(array, one) for one in measured) and self.depends_on(name)
            ),
            *self.made_by_forward(),
            *(f"what backward stores in {path} of the module" for path in of_module),
        ]

    def made_by_forward(self) -> list[str]:
        """The parameters that forward makes at its first call: what it reads at the second."""

        def first_call():
            inputs, obj = self.program.prepared(self.case)
            self.program.returned(inputs, obj)
            return obj

        def second_call(obj):
            inputs, _ = self.program.prepared(self.case)
            outputs, *_ = self.program.split(self.program.returned(inputs, obj), inputs, obj)
            return list(products(self.case.upstream, outputs))

        obj, found = first_call(), []
        parameters = arrays_by_name({}, self.program.obj).keys()
        for name, value in getattr(obj, "__dict__", {}).items():
            if is_float_array(value) and getattr(self.program.obj, name, None) is None:
                moved = first_call()
                array, known = to_numpy(getattr(moved, name)), arrays_by_name({}, moved)
                if any(np.shares_memory(array, known[one]) for one in parameters & known.keys()):
                    continue
                array += 1e-3
                if changed(second_call(first_call()), second_call(moved)):
                    found.append(f"d{name}")
        return found

    def depends_on(self, name) -> bool:
        def move(inputs, obj):
            array = arrays_by_name(inputs, obj)[name]
            array += 1e-3

        return self.change(move)[0] != 0


def best_estimate(slopes: Callable, unit: float = 1.0) -> Estimate:
    """The derivative of a loss at 0 by differences. slopes: h -> Slopes; unit: how large the changed entry is.

    Estimates with two sizes of steps have to agree. One alone may look exact and be wrong, where a slope (or, as in an
    ELU, only its derivative) has a jump that is nearer than the steps are large. If small steps change nothing, but
    larger ones change the loss alike on both sides, forward rounds the changes away, and nothing is known.
    """
    found, before, steps, larger = [], None, [*STEPS, *(h * unit for h in STEPS if unit != 1)], []
    for h in steps:  # may grow
        estimate, tried = extrapolated(slopes, h)
        if all(one.is_zero for one in tried) and any(one.is_steady for one in (*larger, slopes(FLAT))):
            return Estimate(estimate.value, np.inf)
        larger += tried
        sides = tried[-1]
        if before is None and sides.noise > RESOLUTION:
            steps += LARGE_STEPS
        if before is not None and not is_kink(before[1], sides, h / 4):
            last, _ = before
            error = np.max([estimate.error, last.error, abs(estimate.value - last.value)])  # nan if one is nan
            found.append(Estimate(last.value, error if np.isfinite(error) else np.inf))
            if error <= enough(estimate.value, unit):
                break
        before = estimate, sides
    at_kink = Estimate((sides.left + sides.right) / 2, np.inf, kink=True)
    return min(found, key=lambda one: one.error, default=at_kink)


def enough(value, unit):
    """The error that is small enough. unit: how large the changed entry is."""
    return RESOLUTION * np.maximum(np.minimum(1, 1 / unit), np.abs(value))


def extrapolated(slopes: Callable, h: float) -> tuple[Estimate, list[Slopes]]:
    """The derivative from steps h, h/2 and h/4, the error, by which the last two estimates differ; and the Slopes."""
    sides = [slopes(s) for s in (h, h / 2, h / 4)]
    d = [(one.left + one.right) / 2 for one in sides]
    first = [(4 * d[1] - d[0]) / 3, (4 * d[2] - d[1]) / 3]
    value = (16 * first[1] - first[0]) / 15
    smallest_difference = 4 * sides[-1].noise / h
    return Estimate(value, float(np.maximum(abs(value - first[1]), smallest_difference))), sides


def is_kink(large: Slopes, small: Slopes, h: float) -> bool:
    """Whether the two sides have different slopes, with large steps as with steps h. Where the loss is smooth, they
    differ h times less; where it jumps, 1 / h times more.
    """
    jumps = abs(large.right - large.left), abs(small.right - small.left)
    rounding = 100 * small.noise / h + 1e-6 * max(abs(small.left), abs(small.right))
    return max(0.5 * jumps[0], rounding) < jumps[1] < 2 * jumps[0]


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
            new.used = used_by_forward(new, given)
            case, outcome = first_run(new, given)
            arrays = arrays_by_name(*new.prepared(case))
        except Exception:
            continue
        found = [name for name, value in outcome.outputs.items() if value is not None and name in arrays]
        if change is as_float64 or any(name not in known for name in found):
            return new, given, change
    return program, inputs, None


def used_by_forward(program, inputs) -> set[str] | None:
    """The gradients' names of an object's parameters on which the outputs depend; None for functions."""
    if program.obj is None:
        return None

    def outputs(name=None):
        fresh, obj = program.prepared(Case("", inputs))
        if name is not None:
            array = arrays_by_name(fresh, obj)[name]
            array += 1e-3
        return [to_numpy(one) for one in flat(program.returned(fresh, obj)) if is_float_array(one) or is_number(one)]

    base = outputs()
    return {f"d{name}" for name in program.parameters.values() if changed(base, outputs(f"d{name}"))}


def first_run(program, inputs, words="", seed=0) -> tuple[Case, Outcome]:
    """A Case with random upstream gradients, and what the program makes of it."""
    case = Case(words, inputs)
    *_, outputs, _, taken = program.once(case)
    rng = np.random.default_rng([seed, 27182818])  # an example often draws its arrays from default_rng(0)
    case.upstream = [random_like(one, rng) for one in outputs[:taken]]
    if taken and all(one is None for one in case.upstream):
        raise CannotRun("forward returns no array of floats; write 1.0 for 1 in the example")
    return case, program.run(case)


def measured(program: Program, inputs: dict, words: str, seed: int = 0) -> Case:
    """A Case with random upstream gradients and with the measured gradients as the right ones.

    Raises CannotRun, or whatever the program raises.
    """
    for name, value in inputs.items():
        if any(not to_numpy(one).size for one in leaves(value).values()):
            raise CannotRun(f"{name} is empty: choose sizes of at least 2, all different")
    case, outcome = first_run(program, inputs, words, seed)
    case.results = outcome.results
    loss = Measured(program, case)
    loss.must_be_measurable()
    case.expected = {name: outcome.outputs[name] for name in outcome.results}
    arrays = arrays_by_name(*program.prepared(case))
    estimates = {}
    for name in [name for name in outcome.outputs if name not in outcome.results]:
        estimates[name] = loss.gradient(name, arrays[name])
        values = estimates[name][:, 0].reshape(arrays[name].shape)
        is_narrow = getattr(outcome.outputs[name], "dtype", None) == np.float32
        case.expected[name] = values.astype(np.float32) if is_narrow else values
    set_errors(case, {name: one for name, one in estimates.items() if outcome.outputs[name] is not None})
    case.unchecked = loss.unchecked(case.expected)
    case.partly = bool(case.unchecked or case.kinks)
    return without_unused(case, outcome)


def set_errors(case: Case, estimates: dict[str, np.ndarray]) -> None:
    """What may be wrong with the expected gradients of a case. estimates: name -> an Estimate per entry, in rows.

    Raises CannotRun where nothing is known.
    """
    least = least_size(case.expected[name] for name in estimates)
    if estimates and least < CANCELLED * NOTHING:
        raise CannotRun("every gradient is 0 for this example, which shows nothing: choose other inputs")
    for name, rows in estimates.items():
        shape, own = case.expected[name].shape, np.abs(case.expected[name]).max(initial=0)
        error, is_kink = rows[:, 1].reshape(shape), rows[:, 2].reshape(shape).astype(bool)
        size = max(least, own)
        must_be_known(name, ~(ESTIMATE * error <= UNCERTAIN * size) & ~is_kink)
        case.slack[name] = error + RESOLUTION * own
        case.kinks += [entry_in_words(name.removeprefix("d"), entry) for entry in np.argwhere(is_kink)]
        case.known_to = max(case.known_to, float(ESTIMATE * error[~is_kink].max(initial=0) / size))
    if case.kinks and all(np.isinf(slack).all() for slack in case.slack.values()):
        raise CannotRun(f"forward has a kink at every entry, such as {case.kinks[0]}: choose other inputs")


class InOneDirection:
    """A case, and for each gradient the derivative of the loss in one random direction: that needs few runs.

    case, outcome: see `first_run`. Raises CannotRun, or whatever the program raises.
    """

    def __init__(self, program: Program, inputs: dict):
        self.case, self.outcome = first_run(program, inputs)
        loss, rng = Measured(program, self.case), np.random.default_rng(2)
        loss.must_be_measurable()
        names = [name for name in self.outcome.outputs if name not in self.outcome.results]
        arrays = arrays_by_name(*program.prepared(self.case))
        self.directions = {name: rng.standard_normal(arrays[name].shape) for name in names}
        self.slopes = {name: loss.along(name, direction) for name, direction in self.directions.items()}
        for name in [name for name, slope in self.slopes.items() if not np.isfinite(slope.error)]:
            self.directions[name] *= arrays[name] != 0  # where a relu has its kink
            self.slopes[name] = loss.along(name, self.directions[name])

    def agrees_with(self, program: Program, names) -> bool:
        """Whether the gradients of a program agree with the measured derivatives; not if it raises an exception."""
        try:
            return self.agree(program.run(self.case).outputs, names)
        except Exception:
            return False

    def agree(self, outputs: dict, names) -> bool:
        """Whether gradients agree with the measured derivatives, as far as these are known."""
        return all(self.agrees(name, outputs.get(name)) for name in names)

    def agrees(self, name, value) -> bool:
        slope, direction = self.slopes[name], self.directions[name]
        if value is None or value.shape != direction.shape:
            return False
        terms = value * direction
        return slope.kink or abs(terms.sum() - slope.value) <= ESTIMATE * (
            slope.error + RESOLUTION * np.abs(terms).sum()
        )


def must_be_known(name: str, unknown: np.ndarray) -> None:
    """Raise CannotRun if the differences for an entry do not agree."""
    for entry in np.argwhere(unknown)[:1]:
        raise CannotRun(
            f"differences of forward do not give {entry_in_words(name, entry)}: forward changes too abruptly there, or "
            "rounds small changes away, as with very large numbers; choose other inputs"
        )


def entry_in_words(name: str, entry) -> str:
    return f"{name} {[int(i) for i in entry]}" if len(entry) else name


def unit_of(entry) -> float:
    """How large an entry of an array is: a power of 2; 1 if it is about as large as 1, or 0."""
    size = abs(entry)
    return 1.0 if size == 0 or 1 / 8 <= size <= 8 else 2.0 ** np.round(np.log2(size))


def without_unused(case: Case, outcome) -> Case:
    """Without the gradients that backward does not return; those that are not zero are kept in mind for a remark.

    Raises CannotRun if none is left.
    """
    for name in [name for name in case.gradients if outcome.outputs[name] is None]:
        value = case.expected.pop(name)
        if value.ndim and np.any(np.abs(value) > RESOLUTION):
            case.unchecked.append(name)
        case.slack.pop(name, None)
    if case.unchecked and not case.gradients:
        raise CannotRun(f"no gradient has a name that is expected: {', '.join(case.unchecked)}")
    return case
