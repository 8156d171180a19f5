"""Gates that are nearly closed or nearly open: scratch keeps the digits that torch keeps."""

import numpy as np
import pytest
import torch

import scratch
import torch_impl
from scratch.activations import sigmoid

A = np.linspace(-80, 80, 641)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_logistic_function_is_torchs_to_a_few_eps_of_each_value(dtype):
    got, expected = sigmoid(A.astype(dtype)), torch.sigmoid(torch.tensor(A.astype(dtype))).numpy()
    assert got.dtype == expected.dtype and (got > 0).all()
    np.testing.assert_allclose(got, expected, rtol=8 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_logistic_function_saturates_without_a_warning(dtype):
    with np.errstate(all="raise", under="ignore"):
        assert sigmoid(np.array([-1e30, 1e30], dtype)).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_the_logistic_function_of_complex_numbers_is_finite_and_has_the_real_slope(dtype):
    a = np.array([-1e30, -1000, -100, -3, 0, 3, 100, 1e30])
    with np.errstate(all="raise", under="ignore"):
        got = sigmoid((a + 1e-20j).astype(dtype))
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got.real, sigmoid(a), rtol=8 * eps, atol=2 * np.finfo(dtype).tiny)
    np.testing.assert_allclose(got.imag / 1e-20, sigmoid(a) * sigmoid(-a), rtol=64 * eps, atol=1e-15)


@pytest.mark.parametrize(("dtype", "of_out"), [("float32", "float32"), ("float64", "complex128")])
def test_the_logistic_function_is_the_same_written_into_an_array(dtype, of_out):
    """Also real numbers into a complex array, as at the first step of an LSTM of which only c_0 is complex."""
    values = [-1e30, -1000, -3, 0, 3, 1e30]
    a, out = np.array(values, dtype), np.full(6, 7, of_out)
    assert sigmoid(a, out=out) is out
    np.testing.assert_array_equal(out, sigmoid(a.astype(of_out)))
    np.testing.assert_array_equal(a, np.array(values, dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "not_a_gate"), [("lstm", "g"), ("gru", "n"), ("mingru", "n")])
def test_the_gradient_of_a_nearly_closed_gate_is_torchs_to_a_few_eps_of_each_entry(cell, not_a_gate, dtype):
    """Weights of 0, so the biases are the pre-activations; one unit per value. There s (1 - s) is s to rounding."""
    values = A[A <= -20].astype(dtype)
    H, rng = len(values), np.random.default_rng(0)
    layer = scratch.CELLS[cell][0](1, H, dtype=dtype)
    blocks = len(layer.cell.GATES)
    for key, p in layer.params.items():
        p[...] = np.tile(values, blocks) if key == "bias_ih_l0" else 0
    other = layer.cell.GATES.index(not_a_gate)
    layer.params["bias_ih_l0"][other * H : (other + 1) * H] = 0.3
    theirs = torch_impl.model.CELLS[cell][0](1, H, dtype=getattr(torch, dtype))
    theirs.load_state_dict({key: torch.tensor(p) for key, p in layer.params.items()})

    # above 1, so that n - h, whose terms torch subtracts later than scratch, loses no digits
    states = [1 + np.abs(rng.standard_normal((1, 1, H))).astype(dtype) for _ in range(layer.states)]
    upstream = [rng.standard_normal((1, 1, H)).astype(dtype) for _ in range(layer.states)]
    x = np.zeros((1, 1, 1), dtype)
    layer.forward(x, tuple(states) if cell == "lstm" else states[0])
    layer.backward(None, tuple(upstream) if cell == "lstm" else upstream[0])
    inputs = [torch.tensor(s) for s in states]
    _, last = theirs(torch.tensor(x), tuple(inputs) if cell == "lstm" else inputs[0])
    last = last if cell == "lstm" else (last,)
    sum((s * torch.tensor(u)).sum() for s, u in zip(last, upstream, strict=True)).backward()

    got, expected = layer.grads["bias_ih_l0"], theirs.bias_ih_l0.grad.numpy()
    closed = np.arange(blocks) != other
    got, expected = (array.reshape(blocks, H)[closed] for array in (got, expected))
    normal = np.abs(expected) > np.finfo(dtype).tiny / np.finfo(dtype).eps  # a smaller product has lost digits in both
    assert normal.mean() > 0.3
    np.testing.assert_allclose(got[normal], expected[normal], rtol=64 * np.finfo(dtype).eps, atol=0)
