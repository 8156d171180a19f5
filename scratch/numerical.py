"""Two ways to check a gradient that need nothing but the function itself, and no step size to choose.

Both take a function that maps a dict of arrays to one number, so they work for functions of your own:

    def loss(p):
        return np.sum(np.tanh(p["x"] @ p["W"].T) * upstream)

    complex_step(loss, {"x": x, "W": W}, direction)        # exact to rounding
    taylor(loss, {"x": x, "W": W}, gradient, direction)    # slope 2: right, slope 1: wrong

A random direction tests every entry at once: an error is visible unless it is orthogonal to the direction, which has
probability zero. A direction may leave out arrays, which then stay fixed; a name that is not in `arrays` is refused.
"""

from typing import NamedTuple

import numpy as np

STEPS = 2.0 ** -np.arange(10, 17)


def random_direction(arrays, rng):
    """A dict like `arrays`, of standard normal numbers."""
    return {name: rng.standard_normal(array.shape) for name, array in arrays.items()}


def along(gradient, direction):
    """<gradient, direction>: the slope in that direction according to the gradient."""
    return sum(np.sum(gradient[name] * direction[name]) for name in _known(direction, gradient))


def complex_step(function, arrays, direction, h=1e-30):
    """The slope of `function` at `arrays` in `direction`, as Im f(x + i h v) / h.

    A difference quotient subtracts two nearly equal numbers and loses half the digits. Here nothing is subtracted, so h
    can be so small that the error of order h^2 vanishes.

    The function must pass complex numbers through. abs, a conversion to float, np.var, np.std and np.linalg.norm do
    not, and the slope would be wrong without notice. So it is compared with a central difference, and ValueError is
    raised where the two disagree.

    Squire and Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40 (1998).
    """
    slope = _imaginary(function(_moved(arrays, direction, 1j * h))) / h
    _believe(slope, function, arrays, direction)
    return slope


def complex_gradient(function, arrays, h=1e-30):
    """The whole gradient by complex steps: one call of `function` per entry, so only for small arrays."""
    gradient = {name: np.zeros(array.shape) for name, array in arrays.items()}
    moved = {name: array.astype(complex) for name, array in arrays.items()}
    for name, array in moved.items():
        for index in np.ndindex(array.shape):
            array[index] += 1j * h
            gradient[name][index] = _imaginary(function(moved)) / h
            array[index] -= 1j * h
    direction = random_direction(arrays, np.random.default_rng(0))
    _believe(along(gradient, direction), function, arrays, direction)
    return gradient


class Taylor(NamedTuple):
    """remainders: one per step; slope: of their logarithms, nan where they are rounding; verdict: in words."""

    remainders: np.ndarray
    slope: float
    verdict: str


def taylor(function, arrays, gradient, direction, steps=STEPS):
    """The remainders |f(x + s v) - f(x) - s <gradient, v>| for each s of `steps`, and the slope of their logarithms.

    If the gradient is right, the first-order term cancels and the rest shrinks as s^2: slope 2. If it is wrong, a
    multiple of s remains: slope 1. The gap between 1 and 2 is wide; but an error below about 1e-4 of the curvature can
    hide behind the second-order term. Where the function is linear in the direction, nothing remains but rounding, and
    the verdict says how large an error would not show. In float32 rounding hides too much: use float64.
    Raises ValueError when a value of the function or the gradient is not finite.
    """
    values = np.array([function(_moved(arrays, direction, float(s))) for s in (0, *steps)])
    slope = along(gradient, direction)
    if not (np.isfinite(values).all() and np.isfinite(slope)):
        raise ValueError("a value of the function, or its gradient, is not finite")
    remainders = np.abs(values[1:] - values[0] - steps * slope)
    rounding = 16 * np.finfo(values.dtype).eps * np.abs(values).max()
    above = remainders > rounding
    if above.sum() < 3:
        if values.dtype != np.float64:
            return Taylor(remainders, np.nan, "cannot tell: use float64")
        hidden = rounding / max(steps)
        return Taylor(
            remainders, np.nan, f"right: the remainder is rounding (errors below {hidden:.1g} would not show)"
        )
    slope = float(np.polyfit(np.log(steps[above]), np.log(remainders[above]), 1)[0])
    return Taylor(remainders, slope, "right: slope 2" if slope > 1.5 else "wrong: slope 1")


def _known(direction, arrays):
    unknown = direction.keys() - arrays.keys()
    if unknown:
        raise ValueError(f"no array is called {', '.join(sorted(unknown))}; the names are {', '.join(arrays)}")
    return direction


def _moved(arrays, direction, s):
    """arrays + s * direction."""
    _known(direction, arrays)
    return {name: array + s * direction[name] if name in direction else array for name, array in arrays.items()}


def _imaginary(value):
    if not np.iscomplexobj(value):
        raise ValueError(
            "given complex numbers, the function returns a real one: something in it drops the imaginary part (abs, "
            "float(), np.var, np.std, np.linalg.norm)"
        )
    return value.imag


def _believe(slope, function, arrays, direction):
    """Raise ValueError where central differences agree with each other, and not with the complex step.

    Two of them, with steps s and 2 s: where these disagree, the function has a kink or is ill-conditioned nearby, and
    the complex step is the one to believe. A small s comes closer to the point, a larger one has less rounding.
    """
    for s in (1e-5, 1e-7):
        values = [function(_moved(arrays, direction, k * s)) for k in (-2, -1, 1, 2)]
        near, far = (values[2] - values[1]) / (2 * s), (values[3] - values[0]) / (4 * s)
        uncertain = abs(near - far) + 64 * np.finfo(np.float64).eps * np.abs(values).max() / s
        if abs(slope - near) <= 8 * uncertain:
            return
    raise ValueError(
        f"the complex step gives the slope {slope:.6g}, a central difference {near:.6g}. Believe the latter: something "
        "in the function drops an imaginary part (abs, float(), np.var, np.std, np.linalg.norm), or it has a kink here"
    )
