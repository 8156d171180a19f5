"""How one output compares with what is expected."""

from contextlib import suppress

import numpy as np

from compare.agreement import in_eps
from compare.learner.search.switches import allowed_error
from compare.learner.verdict.report import Row


def row_of(case, value, name) -> Row:
    """How a result or a gradient compares with what is expected."""
    got, expected = np.asarray(value), case.expected[name]
    allowed = allowed_error(case, name)
    got = np.where(np.isinf(allowed) & np.isfinite(got), expected, got)  # at a kink any number counts
    with np.errstate(all="ignore"):
        off = np.abs(got.astype(float) - expected)
        right = (off <= allowed) | (got == expected) | (np.isnan(got.astype(float)) & np.isnan(expected.astype(float)))
    worst = int(np.argmax(np.where(right, -1, np.nan_to_num(off, nan=np.inf)))) if off.size else 0
    entry = tuple(int(k) for k in np.unravel_index(worst, off.shape)) if off.ndim and off.size else ()
    eps = in_eps(got.astype(expected.dtype), expected) if expected.dtype.kind == "f" else 0.0
    values = (float(got[entry]), float(expected[entry])) if off.size else (0.0, 0.0)
    return Row(name, got.shape, "within rounding" if right.all() else "differs", eps, entry, *values)


def difference_in_kind(name, value, expected, present):
    """What is wrong with the shape or dtype of an output, or None."""
    if value is None:
        return f"{name} is {'None' if present else 'missing'}; it must be an array of shape {expected.shape}"
    if value.dtype.kind not in "fiu":
        return f"{name} has dtype {value.dtype}; it must be {expected.dtype}"
    if value.shape != expected.shape:
        silent = ""
        with suppress(ValueError):
            silent = "; NumPy would silently broadcast it" * (np.broadcast_shapes(value.shape, expected.shape) != ())
        return f"{name} has shape {value.shape}; it must be {expected.shape}{silent}"
    if value.dtype.kind != "f" and expected.dtype.kind == "f":
        return f"{name} has dtype {value.dtype}; a gradient needs a floating-point dtype"
    if value.dtype.itemsize < expected.dtype.itemsize and expected.dtype != np.float64:
        return f"{name} has dtype {value.dtype}; with {expected.dtype} inputs it must be {expected.dtype}"
    return None
