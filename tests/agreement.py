"""One place that decides when two arrays are the same numbers."""

import numpy as np

# Roundings allowed, relative to the largest entry of the array: 1e-12 in float64. The longest sums of the tests have
# some hundred terms, each with a rounding of its own, and pass through some ten steps.
ROUNDINGS = 4500


def tolerance(dtype):
    return ROUNDINGS * np.finfo(dtype).eps


def assert_same(got, expected, what):
    """Same shape, same dtype, and no entry further off than rounding explains."""
    __tracebackhide__ = True
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    assert got.dtype == expected.dtype, f"{what}: dtype {got.dtype}, expected {expected.dtype}"
    largest = np.abs(expected).max(initial=0)
    error = np.abs(got - expected)
    # `not <=` rather than `>`: a nan must fail
    if not error.max(initial=0) <= tolerance(expected.dtype) * largest:
        worst = np.unravel_index(np.nanargmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        raise AssertionError(
            f"{what}: at {tuple(map(int, worst))} got {got[worst]}, expected {expected[worst]}; off by "
            f"{error[worst]:.3g}, allowed {tolerance(expected.dtype) * largest:.3g}"
        )


def assert_all_same(got, expected, what):
    """Two dicts of arrays: the same names, the same numbers under each."""
    __tracebackhide__ = True
    assert sorted(got) == sorted(expected), f"{what}: names {sorted(got)}, expected {sorted(expected)}"
    for name in expected:
        assert_same(got[name], expected[name], f"{what} {name}")
