"""Two ways to check a gradient that need nothing but the function itself, and no step size to choose.

Both take a function that maps a dict of arrays to one number, so they work for functions of your own:

    def loss(p):
        return np.sum(np.tanh(p["x"] @ p["W"].T) * upstream)

    complex_step(loss, {"x": x, "W": W}, direction)        # exact to rounding
    taylor(loss, {"x": x, "W": W}, gradient, direction)    # slope 2: right, slope 1: wrong

A random direction tests every entry at once: an error is visible unless it is orthogonal to the direction, which has
probability zero.
"""

import numpy as np

STEPS = 2.0 ** -np.arange(10, 17)


def random_direction(arrays, rng):
    """A dict like `arrays`, of standard normal numbers."""
    return {name: rng.standard_normal(array.shape) for name, array in arrays.items()}


def along(gradient, direction):
    """<gradient, direction>: the slope in that direction according to the gradient."""
    return sum(np.sum(gradient[name] * direction[name]) for name in direction)


def complex_step(function, arrays, direction, h=1e-30):
    """The slope of `function` at `arrays` in `direction`, as Im f(x + i h v) / h.

    A difference quotient subtracts two nearly equal numbers and loses half the digits. Here nothing is subtracted, so h
    can be so small that the error of order h^2 vanishes. The function must pass complex numbers through: no abs, no
    comparison of complex values, no conversion to float (np.var, np.std and np.linalg.norm take abs).

    Squire and Trapp, "Using complex variables to estimate derivatives of real functions", SIAM Review 40 (1998).
    """
    moved = {name: array + 1j * h * direction.get(name, 0) for name, array in arrays.items()}
    return function(moved).imag / h


def complex_gradient(function, arrays, h=1e-30):
    """The whole gradient by complex steps: one call of `function` per entry, so only for small arrays."""
    gradient = {name: np.zeros(array.shape) for name, array in arrays.items()}
    moved = {name: array.astype(complex) for name, array in arrays.items()}
    for name, array in moved.items():
        for index in np.ndindex(array.shape):
            array[index] += 1j * h
            gradient[name][index] = function(moved).imag / h
            array[index] -= 1j * h
    return gradient


def taylor(function, arrays, gradient, direction, steps=STEPS):
    """The remainders |f(x + s v) - f(x) - s <gradient, v>| for each s of `steps`, and the slope of their logarithms.

    If the gradient is right, the first-order term cancels and the rest shrinks as s^2: slope 2. If it is wrong, a
    multiple of s remains: slope 1. There is no tolerance to choose; the gap between 1 and 2 is wide.
    """
    start, slope = function(arrays), along(gradient, direction)
    remainders = np.array(
        [
            abs(function({name: array + s * direction[name] for name, array in arrays.items()}) - start - s * slope)
            for s in steps
        ]
    )
    return remainders, np.polyfit(np.log(steps), np.log(np.maximum(remainders, np.finfo(float).tiny)), 1)[0]
