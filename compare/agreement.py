"""When two arrays are the same numbers, and if not, a sentence that says where and how they differ.

The one place for tolerances: they follow from the dtype, not from what happens to pass.
"""

import numpy as np

# Roundings allowed, relative to the largest entry of the array: 1e-12 in float64, 5e-4 in float32. An entry of a
# gradient is a sum over all steps and rows, and passes through every layer; each operation on the way rounds once.
ROUNDINGS = 4500

# A gradient is a sum, and its terms may cancel: with one unit and one class more than it needs, dW_hh can come out a
# ten-thousandth of the terms it was made of, with their rounding. The terms are about as large as the other gradients
# of the same backward pass, so an array that is smaller than a thousandth of those is measured by that thousandth.
CANCELLED = 1e-3

# The largest gap between the training losses of both models, by dtype; relative where the loss is above 1. Both compute
# the same numbers in another order, and each step passes its rounding on to the next; measured over 1,000 steps.
AGREEMENT = {"float32": 1e-5, "float64": 1e-12}

GATES = {"rnn": ("a",), "rnn_relu": ("a",), "gru": ("r", "z", "n"), "lstm": ("i", "f", "g", "o")}

# What the axes of an array mean, by its name without d, layer and direction. "gate" counts gates times units.
AXES = {
    "x": ("step", "row", "input"),
    "y": ("step", "row", "unit"),
    "h": ("step", "row", "unit"),
    "c": ("step", "row", "unit"),
    "a": ("step", "row", "gate"),
    "u": ("step", "row", "gate"),
    "v": ("step", "row", "gate"),
    "h_0": ("layer", "row", "unit"),
    "c_0": ("layer", "row", "unit"),
    "h_n": ("layer", "row", "unit"),
    "c_n": ("layer", "row", "unit"),
    "weight_ih": ("gate", "from input"),
    "weight_hh": ("gate", "from unit"),
    "bias_ih": ("gate",),
    "bias_hh": ("gate",),
}


def tolerance(dtype):
    """The largest difference that rounding explains, relative to the largest entry of the array."""
    return ROUNDINGS * np.finfo(dtype).eps


def in_roundings(got, expected, step_by_step=False):
    """The largest difference in units of rounding of the largest entry, or of each step's own."""
    scale = step_sizes(expected) if step_by_step else np.abs(expected).max(initial=0)
    error = np.abs(got - expected)
    with np.errstate(divide="ignore"):
        # where not 0, rather than above 0: a nan is neither, and must show
        roundings = np.divide(error, np.finfo(expected.dtype).eps * scale, where=error != 0, out=np.zeros_like(error))
    return float(roundings.max(initial=0))


def least_size(arrays):
    """What the arrays of one backward pass are measured by where their largest entry is smaller, see CANCELLED."""
    arrays = [np.asarray(array) for array in arrays]
    return CANCELLED * max((np.abs(a[np.isfinite(a)]).max(initial=0) for a in arrays), default=0)


def assert_same(got, expected, name, cell=None, reproduce=None, least=0.0):
    """Same shape, same dtype, and no entry further off than rounding explains.

    name: what the array is called, for the message and for reading its axes; cell: "rnn", "rnn_relu", "gru" or "lstm",
    to name its gates; reproduce: lines of Python that make the case again; least: what to measure by where the largest
    entry is smaller.
    Raises AssertionError with the explanation.
    """
    __tracebackhide__ = True
    got, expected = np.asarray(got), np.asarray(expected)
    problem = difference(got, expected, name, cell, least)
    if problem:
        if reproduce:
            problem += "\n  to see it again:\n" + "\n".join("    " + line for line in reproduce.strip().split("\n"))
        raise AssertionError(problem)


def assert_all_same(got, expected, what="", cell=None, reproduce=None):
    """Two dicts of arrays: the same names, none missing on either side, and the same numbers under each.

    The arrays are compared in the order of `expected`.
    """
    __tracebackhide__ = True
    missing, extra = [n for n in expected if n not in got], [n for n in got if n not in expected]
    if missing or extra:
        raise AssertionError(f"{what}: missing {missing}, not expected {extra}")
    least = least_size(expected.values())
    for name in expected:
        assert_same(got[name], expected[name], f"{what} {name}".strip(), cell, reproduce, least)


def difference(got, expected, name, cell=None, least=0.0, step_by_step=False):
    """What is wrong, in a few lines, or None when the arrays are the same numbers.

    step_by_step: measure each step by its own largest entry: a gradient that vanishes on its way back through time must
    be right where it is small, too.
    """
    if got.shape != expected.shape:  # before any number: (64,) would broadcast against (1, 64) and seem equal
        return f"{name}: the shape is {got.shape}, it should be {expected.shape}"
    if got.dtype != expected.dtype:
        return f"{name}: the dtype is {got.dtype}, it should be {expected.dtype}"
    with np.errstate(invalid="ignore"):
        error = np.abs(got - expected)
    finite = np.isfinite(expected)
    same_inf = ~finite & (got == expected)
    largest = np.abs(expected[finite]).max(initial=least)
    scale = step_sizes(expected) if step_by_step else largest
    # `not <=` rather than `>`: a nan is neither, and must fail
    wrong = ~((error <= tolerance(expected.dtype) * scale) | same_inf)
    if not wrong.any():
        return None

    by_scale = np.where(np.isnan(error), np.inf, error) / np.where(scale, scale, 1)
    worst = np.unravel_index(np.argmax(np.where(wrong, by_scale, -1)), error.shape)
    worst = tuple(int(i) for i in worst)
    largest = float(np.broadcast_to(scale, error.shape)[worst])
    axes = axes_of(name, error.ndim)
    lines = [
        f"{name} {got.shape} differs in {wrong.sum()} of {wrong.size} entries",
        f"  worst at {list(worst)}: {read_index(worst, axes, expected.shape, cell)}",
        f"  got {got[worst]!s}, expected {expected[worst]!s}",
        f"  off by {error[worst]:.3g}, {relative(error[worst], expected[worst])} of what is expected there; the largest"
        f" entry is {largest:.3g}, and rounding explains {tolerance(expected.dtype) * largest:.3g}",
    ]
    if axes and axes[0] == "step":
        steps = np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))
        lines.append(
            f"  first wrong step in backward order: {steps[-1]} (the last step is {len(wrong) - 1});"
            f" {len(steps)} of {len(wrong)} steps are wrong"
        )
    return "\n".join(lines)


def step_sizes(expected):
    """Each step's largest entry (T, 1, ...), but not less than the smallest number that has all its digits."""
    sizes = np.abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True, initial=0)
    info = np.finfo(expected.dtype)
    return np.where(sizes > 0, np.maximum(sizes, info.tiny / info.eps), 0)


def relative(error, expected):
    """An error as a share of the value: there is none of 0."""
    return f"{100 * error / abs(expected):.3g} %" if expected and np.isfinite(error) else "no multiple"


def axes_of(name, ndim):
    """The meaning of each axis of the array called `name`, or None if the name says nothing."""
    word = name.split(" ")[-1].split(".")[-1]
    word = word.split("_l")[0].removeprefix("d")
    word = {"W_ih": "weight_ih", "W_hh": "weight_hh", "b_ih": "bias_ih", "b_hh": "bias_hh"}.get(word, word)
    axes = AXES.get(word)
    if axes and axes[0] == "layer" and ndim == 2:  # a single cell's state has no axis for the layer
        axes = axes[1:]
    return axes if axes and len(axes) == ndim else None


def read_index(index, axes, shape, cell):
    """An index in words: (3, 0, 7) of an LSTM's da (.., .., 20) is "step 3, row 0, gate f, unit 2"."""
    if axes is None:
        return "entry " + ", ".join(map(str, index)) if index else "the number itself"
    words = []
    for axis, i, size in zip(axes, index, shape, strict=True):
        gates = GATES.get(cell, ())
        if axis == "gate" and len(gates) > 1 and size % len(gates) == 0:
            gate, unit = divmod(i, size // len(gates))
            words.append(f"gate {gates[gate]}, unit {unit}")
        else:
            words.append(f"{'unit' if axis == 'gate' else axis} {i}")
    return ", ".join(words)
