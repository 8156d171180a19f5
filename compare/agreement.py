"""Do two arrays hold the same numbers up to rounding? If not: where and by how much do they differ?

This is the one place for the tolerances of every verdict. Those of gradients follow from the dtype; the reason for each
of the others is next to it.
"""

from collections.abc import Iterable

import numpy as np

import scratch

# The largest error that counts as rounding, in eps of the array's largest entry: 1e-12 in float64, 5e-4 in float32. An
# entry of a gradient is a sum over all steps and rows and passes through every layer; each operation rounds once.
ALLOWED_EPS = 4500

# A gradient is a sum whose terms may cancel: dW_hh can be ten thousand times smaller than its terms and still carry
# their rounding errors. The terms are about as large as the other gradients of the same backward pass, so an array
# whose largest entry is below a thousandth of theirs is measured by that thousandth.
CANCELLED = 1e-3

# Gradients measured by differences of a loss, in float64: what differences resolve, relative to the array's largest
# entry, and by what factor the error may exceed the estimate of it.
RESOLUTION = 1e-9
ESTIMATE = 10

# Where differences of a loss say little.
UNCERTAIN = 1e-3  # a gradient that is known no better than this, relative to its largest entry: no verdict
NOTABLE = 1e-6  # known no better than this: the report says so
NOTHING = 1e-12  # no gradient is larger: the example shows nothing

# The largest gap between the training losses of both models, by dtype; relative where the loss is above 1. Both compute
# the same numbers in another order, and each step passes its rounding on to the next; measured over 1,000 steps.
AGREEMENT = {"float32": 1e-5, "float64": 1e-12}

# The gap between a user's curve and a known run that rounding explains, relative to losses above 1: so many times the
# rounding that was measured in the known run, and at most so much.
GROWN, MOST_GROWN = 10, 1e-3

# What the axes of an array mean, by its name without d, layer and direction. A "gate" axis has gates x units entries.
AXES = {
    "x": ("step", "row", "input"),
    **dict.fromkeys(("y", "h", "c"), ("step", "row", "unit")),
    **dict.fromkeys(("a", "u", "v"), ("step", "row", "gate")),
    **dict.fromkeys(("h_0", "c_0", "h_n", "c_n"), ("layer", "row", "unit")),
    **dict.fromkeys(("weight_ih", "W_ih"), ("gate", "from input")),
    **dict.fromkeys(("weight_hh", "W_hh"), ("gate", "from unit")),
    **dict.fromkeys(("bias_ih", "bias_hh", "b_ih", "b_hh"), ("gate",)),
}


def tolerance(dtype) -> float:
    """The largest error that counts as rounding, relative to the largest entry of the array."""
    return ALLOWED_EPS * np.finfo(dtype).eps


def allowed_gap(losses: np.ndarray, dtype: str) -> np.ndarray:
    """The largest gap to another model's training losses that rounding explains, see AGREEMENT."""
    return AGREEMENT[dtype] * np.maximum(1, np.abs(losses))


def diverges_at(losses: np.ndarray, reference: np.ndarray, dtype: str = "float64") -> int | None:
    """The first step, from 1, whose loss differs from the reference by more than rounding explains; or None.

    A loss that is not a number counts as different.
    """
    off = ~(np.abs(losses - reference) <= allowed_gap(reference, dtype))
    return int(off.argmax()) + 1 if off.any() else None


def in_eps(got: np.ndarray, expected: np.ndarray, *, step_by_step: bool = False) -> float:
    """The largest error in eps of the largest expected entry; step_by_step: of the largest entry of the same step."""
    scale = step_sizes(expected) if step_by_step else np.abs(expected).max(initial=0)
    error = np.abs(got - expected)
    with np.errstate(divide="ignore"):
        # `!= 0`, not `> 0`: a nan must stay in the result
        relative = np.divide(error, np.finfo(expected.dtype).eps * scale, where=error != 0, out=np.zeros_like(error))
    return float(relative.max(initial=0))


def least_size(arrays: Iterable) -> float:
    """The smallest scale that the arrays of one backward pass are measured by, see CANCELLED."""
    arrays = [np.asarray(array) for array in arrays]
    return CANCELLED * max((np.abs(a[np.isfinite(a)]).max(initial=0) for a in arrays), default=0)


def assert_same(got, expected, name: str, cell: str | None = None, reproduce: str | None = None, least: float = 0.0):
    """Same shape, same dtype, and every error within rounding.

    name: what the array is called, for the message and to interpret its axes; cell: a name of scratch.CELLS, to name
    its gates; reproduce: lines of Python that repeat the case; least: the smallest scale to measure errors by.
    Raises AssertionError with an explanation.
    """
    __tracebackhide__ = True
    got, expected = np.asarray(got), np.asarray(expected)
    problem = difference(got, expected, name, cell, least)
    if problem:
        if reproduce:
            problem += "\n  to see it again:\n" + "\n".join("    " + line for line in reproduce.strip().split("\n"))
        raise AssertionError(problem)


def assert_all_same(got: dict, expected: dict, what: str = "", cell: str | None = None, reproduce: str | None = None):
    """Two dicts of arrays with the same names and, for each name, the same numbers up to rounding.

    The arrays are compared in the order of `expected`. Raises AssertionError with an explanation of the first that
    differs.
    """
    __tracebackhide__ = True
    missing, extra = [n for n in expected if n not in got], [n for n in got if n not in expected]
    if missing or extra:
        raise AssertionError(f"{what}: missing {missing}, not expected {extra}")
    least = least_size(expected.values())
    for name in expected:
        assert_same(got[name], expected[name], f"{what} {name}".strip(), cell, reproduce, least)


def difference(
    got: np.ndarray,
    expected: np.ndarray,
    name: str,
    cell: str | None = None,
    least: float = 0.0,
    *,
    step_by_step: bool = False,
) -> str | None:
    """How two arrays differ, in a few lines, or None when they are the same up to rounding.

    step_by_step: measure each step by its own largest entry, so that a gradient that vanishes on its way back through
    time must be right where it is small, too. The other arguments as for `assert_same`.
    """
    if got.shape != expected.shape:  # before any number: (64,) would broadcast against (1, 64) and seem equal
        return f"{name}: the shape is {got.shape}, it should be {expected.shape}"
    if got.dtype != expected.dtype:
        return f"{name}: the dtype is {got.dtype}, it should be {expected.dtype}"
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected)
    finite = np.isfinite(expected)
    same_inf = ~finite & (got == expected)
    scale = step_sizes(expected) if step_by_step else np.abs(expected[finite]).max(initial=least)
    # `not <=` rather than `>`: a nan is neither, and must fail
    wrong = ~((error <= tolerance(expected.dtype) * scale) | same_inf)
    return explanation(got, expected, error, scale, wrong, name, cell) if wrong.any() else None


def explanation(got, expected, error, scale, wrong, name, cell) -> str:
    """The worst entry in words and, for an array of all steps, the first wrong step. wrong: booleans, one per entry."""
    by_scale = np.where(np.isnan(error), np.inf, error) / np.where(scale, scale, 1)
    worst = np.unravel_index(np.argmax(np.where(wrong, by_scale, -1)), error.shape)
    worst = tuple(int(i) for i in worst)
    largest = float(np.broadcast_to(scale, error.shape)[worst])
    axes = axes_of(name, error.ndim)
    lines = [
        f"{name} {got.shape} differs in {wrong.sum()} of {wrong.size} entries",
        f"  worst at {list(worst)}: {read_index(worst, axes, expected.shape, cell)}",
        f"  got {got[worst]!s}, expected {expected[worst]!s}",
        f"  the error is {error[worst]:.3g}{percentage(error[worst], expected[worst])}",
        f"  up to {tolerance(expected.dtype) * largest:.3g} counts as rounding:"
        f" {ALLOWED_EPS} eps of the largest entry, {largest:.3g}",
    ]
    if axes and axes[0] == "step":
        steps = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
        lines.append(
            f"  first wrong step going backwards: {steps[-1]} (the last step is {len(wrong) - 1});"
            f" {len(steps)} of {len(wrong)} steps are wrong"
        )
    return "\n".join(lines)


def step_sizes(expected):
    """Each step's largest entry (T, 1, ...), but at least the smallest number with full precision (tiny / eps)."""
    sizes = np.abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True, initial=0)
    info = np.finfo(expected.dtype)
    return np.where(sizes > 0, np.maximum(sizes, info.tiny / info.eps), 0)


def percentage(error, expected) -> str:
    """An error as a percentage of the expected value; nothing when that is 0."""
    return f", {100 * error / abs(expected):.3g} % of the expected value" if expected and np.isfinite(error) else ""


def axes_of(name: str, ndim: int) -> tuple | None:
    """The meaning of each axis of the array called `name`, or None if the name is not known."""
    word = name.split(" ")[-1].split(".")[-1]
    axes = AXES.get(word.split("_l")[0].removeprefix("d"))
    if axes and axes[0] == "layer" and ndim == 2:  # a single cell's state has no axis for the layer
        axes = axes[1:]
    return axes if axes and len(axes) == ndim else None


def read_index(index: tuple, axes: tuple | None, shape: tuple, cell: str | None) -> str:
    """An index in words: (3, 0, 7) of an LSTM's da (T, B, 20) is "step 3, row 0, gate f, unit 2"."""
    if axes is None:
        return "entry " + ", ".join(map(str, index)) if index else "the number itself"
    words = []
    for axis, i, size in zip(axes, index, shape, strict=True):
        gates = scratch.module_of(cell).GATES if cell else ()
        if axis == "gate" and len(gates) > 1 and size % len(gates) == 0:
            gate, unit = divmod(i, size // len(gates))
            words.append(f"gate {gates[gate]}, unit {unit}")
        else:
            words.append(f"{'unit' if axis == 'gate' else axis} {i}")
    return ", ".join(words)
