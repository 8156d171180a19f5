"""Both ways of a linear recurrence give the same states, for every number of steps."""

import numpy as np
import pytest
from cases import seeds
from hypothesis import given
from hypothesis import strategies as st

import scratch
from scratch import scan

lengths = st.integers(1, 70)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple)
dtypes = st.sampled_from(["float32", "float64", "complex128"])


def problem(T, shape, seed, dtype):
    """a (T, ...) from -1 to 1, b (T, ...) and h_0 (...), frozen."""
    rng = np.random.default_rng(seed)
    a, b, h_0 = rng.uniform(-1, 1, (T, *shape)), rng.standard_normal((T, *shape)), rng.standard_normal(shape)
    arrays = [np.asarray(array).astype(dtype) for array in (a, b, h_0)]
    if dtype.startswith("complex"):
        arrays = [array + 1j * rng.uniform(-0.1, 0.1, array.shape) for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    return arrays


def by_definition(a, b, h_0):
    """h_t as a sum over the steps before it: of each b_s, and of h_0, times all factors after it."""

    def state(t):
        return a[: t + 1].prod(axis=0) * h_0 + sum(a[s + 1 : t + 1].prod(axis=0) * b[s] for s in range(t + 1))

    return np.stack([state(t) for t in range(len(a))])


def assert_same_states(got, expected, a, b, h_0):
    """Up to rounding of the terms that a state is the sum of: they may cancel."""
    sizes = by_definition(np.abs(a), np.abs(b), np.abs(h_0))
    assert got.dtype == expected.dtype
    assert (np.abs(got - expected) <= 100 * np.finfo(sizes.dtype).eps * sizes).all()


@pytest.mark.parametrize("way", [scan.loop, scan.doubling, scan.scan])
@given(lengths, shapes, seeds, dtypes)
def test_the_states_are_those_of_the_recurrence(way, T, shape, seed, dtype):
    a, b, h_0 = problem(T, shape, seed, dtype)
    assert_same_states(way(a, b, h_0), by_definition(a, b, h_0), a, b, h_0)


@given(lengths, shapes, seeds)
def test_the_doubling_scan_is_the_loop_where_a_factor_is_0_and_where_factors_grow(T, shape, seed):
    """A division by the product of all factors, as some texts have it, would fail."""
    a, b, h_0 = problem(T, shape, seed, "float64")
    for factors in (np.where(a > 0, a, 0), 2 * a, np.zeros_like(a)):
        assert_same_states(scan.doubling(factors, b, h_0), scan.loop(factors, b, h_0), factors, b, h_0)


@pytest.mark.parametrize("way", [scan.loop, scan.doubling])
def test_the_states_are_written_into_the_array_that_is_given(way):
    a, b, h_0 = problem(9, (3, 2), 0, "float32")
    wide = np.zeros((9, 5, 2), np.float32)
    h = way(a, b, h_0, wide[:, :3])
    assert np.shares_memory(h, wide)
    np.testing.assert_array_equal(h, way(a, b, h_0))
    assert not wide[:, 3:].any()


@pytest.mark.parametrize("way", [scan.loop, scan.doubling])
@pytest.mark.parametrize("which", range(3))
def test_one_complex_argument_makes_the_states_complex(way, which):
    arguments = problem(5, (2,), 0, "float64")
    arguments[which] = arguments[which] + 1e-3j
    assert np.abs(way(*arguments).imag).max() > 0


def test_a_nan_reaches_no_earlier_step():
    a, b, h_0 = (array.copy() for array in problem(20, (2,), 0, "float64"))
    a[7, 0] = b[7, 0] = np.nan
    for way in (scan.loop, scan.doubling):
        np.testing.assert_array_equal(np.isnan(way(a, b, h_0)), [[t >= 7, False] for t in range(20)])


@pytest.mark.parametrize(("width", "faster"), [(scan.NARROW, "doubling"), (scan.NARROW + 1, "loop")])
def test_a_narrow_step_takes_the_doubling_scan(width, faster, monkeypatch):
    for name in ("doubling", "loop"):
        monkeypatch.setattr(scan, name, lambda *arguments, name=name: (name, arguments))
    arguments = [np.ones(shape) for shape in ((4, width), (4, width), (width,), (4, width))]
    way, passed = scan.scan(*arguments)
    assert way == faster
    assert all(got is given for got, given in zip(passed, arguments, strict=True))


@given(st.integers(1, 9), seeds)
def test_the_backward_of_an_rnn_is_a_linear_recurrence_whose_factors_are_jacobians(T, seed):
    """Steps combined in pairs, pairs in fours and so on, before any dh is known: (P2) with matrices."""
    H, rng = 3, np.random.default_rng(seed)
    layer = scratch.RNN(2, H, dtype=np.float64, rng=rng)
    x, h_0, dy, dh_n = (rng.standard_normal(shape) for shape in ((T, 1, 2), (1, 1, H), (T, 1, H), (1, 1, H)))
    y, _ = layer.forward(x, h_0)
    _, dh_0 = layer.backward(dy, dh_n)

    jacobians = [(1 - h[0, :, None] ** 2) * layer.params["weight_hh_l0"] for h in y]  # dh_t / dh_{t-1}
    before = [np.zeros(H), *dy[:-1, 0]]  # what the loss sends to h_{t-1}
    spans = [(J.T, d) for J, d in zip(jacobians, before, strict=True)][::-1]  # last step first
    while len(spans) > 1:
        pairs = zip(spans[::2], spans[1::2], strict=False)
        spans = [(A @ a, A @ b + B) for (a, b), (A, B) in pairs] + spans[len(spans) // 2 * 2 :]
    ((a, b),) = spans
    np.testing.assert_allclose(a @ (dy[-1, 0] + dh_n[0, 0]) + b, dh_0[0, 0], rtol=0, atol=1e-13)
