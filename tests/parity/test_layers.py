"""Embedding, Linear and the losses against torch."""

import numpy as np
import pytest
from cases import seeds
from hypothesis import given
from hypothesis import strategies as st

import scratch
from compare.agreement import assert_all_same, assert_same
from scratch import inputs

sizes = st.integers(1, 5)
leading = st.lists(sizes, min_size=1, max_size=3).map(tuple)
dtypes = st.sampled_from(["float64", "float32"])


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.torch
@given(leading, sizes, sizes, seeds, dtypes)
def test_linear(shape, inputs, outputs, seed, dtype):
    import torch

    rng = np.random.default_rng(seed)
    layer = scratch.Linear(inputs, outputs, dtype=dtype, rng=rng)
    x = frozen(rng.standard_normal((*shape, inputs)).astype(dtype))
    dy = frozen(rng.standard_normal((*shape, outputs)).astype(dtype))
    twin = torch.nn.Linear(inputs, outputs, dtype=getattr(torch, dtype))
    twin.load_state_dict({name: torch.tensor(p) for name, p in layer.params.items()})
    x_twin = torch.tensor(x, requires_grad=True)
    y_twin = twin(x_twin)
    y_twin.backward(torch.tensor(dy))
    for _ in range(2):
        assert_same(layer.forward(x), y_twin.detach(), "y")
        assert_same(layer.backward(dy), x_twin.grad, "dx")
        assert_all_same(layer.grads, {name: p.grad for name, p in twin.named_parameters()}, "")


@pytest.mark.torch
@given(leading, sizes, sizes, seeds, dtypes)
def test_embedding(shape, words, width, seed, dtype):
    import torch

    rng = np.random.default_rng(seed)
    layer = scratch.Embedding(words, width, dtype=dtype, rng=rng)
    ids = frozen(rng.integers(words, size=shape))
    dy = frozen(rng.standard_normal((*shape, width)).astype(dtype))
    twin = torch.nn.Embedding(words, width, dtype=getattr(torch, dtype))
    twin.load_state_dict({"weight": torch.tensor(layer.params["weight"])})
    y_twin = twin(torch.tensor(ids))
    y_twin.backward(torch.tensor(dy))
    for _ in range(2):
        np.testing.assert_array_equal(layer.forward(ids), y_twin.detach())
        layer.backward(dy)
        assert_same(layer.grads["weight"], twin.weight.grad, "dweight")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("V", [inputs.ONE_HOT, inputs.ONE_HOT + 1], ids=["one-hot product", "sorting"])
def test_the_gradients_of_an_id_add_up(V, dtype):
    """For few ids and for many; ids that do not occur, and one that occurs often, among them."""
    rng = np.random.default_rng(0)
    ids, rows = frozen(rng.integers(0, V, size=40) // 7 * 7), frozen(rng.standard_normal((40, 3)).astype(dtype))
    expected = np.zeros((V, 3), dtype)
    np.add.at(expected, ids, rows)
    assert_same(inputs.sum_by_id(rows, ids, V), expected, "sum")


def test_an_upstream_of_another_shape_is_refused():
    linear, embedding = scratch.Linear(2, 2), scratch.Embedding(3, 2)
    linear.forward(np.ones((4, 3, 2)))
    embedding.forward(np.ones((4, 3), int))
    for layer in (linear, embedding):
        with pytest.raises(ValueError, match=r"dy has shape \(3, 4, 2\)"):
            layer.backward(np.ones((3, 4, 2), np.float32))


def test_before_the_first_backward_there_are_no_gradients():
    for layer in (scratch.Embedding(3, 2), scratch.Linear(3, 2), scratch.RNN(3, 2), scratch.GRU(3, 2)):
        assert layer.grads == {}


@pytest.mark.parametrize(
    ("ids", "message"), [([0, 3], "id 3 is outside"), ([-1, 2], "id -1"), ([0.5], "whole numbers")]
)
def test_embedding_rejects_what_is_not_an_id(ids, message):
    with pytest.raises(ValueError, match=message):
        scratch.Embedding(3, 2).forward(np.array(ids))


def masks(rng, shape, masked):
    if not masked:
        return None
    valid = rng.random(shape) < 0.6
    valid[(0,) * len(shape)] = True
    return frozen(valid)


@pytest.mark.torch
@given(leading, sizes, seeds, dtypes, st.booleans(), st.sampled_from([1, 30]))
def test_cross_entropy(shape, classes, seed, dtype, masked, spread):
    import torch

    rng = np.random.default_rng(seed)
    logits = frozen((spread * rng.standard_normal((*shape, classes))).astype(dtype))
    targets = frozen(rng.integers(classes, size=shape))
    valid = masks(rng, shape, masked)
    twin = torch.tensor(logits, requires_grad=True)
    chosen = torch.tensor(np.ones(shape, bool) if valid is None else valid)
    expected = torch.nn.functional.cross_entropy(twin[chosen], torch.tensor(targets)[chosen])
    expected.backward()
    for _ in range(2):
        loss, dlogits = scratch.cross_entropy(logits, targets, valid)
        # where the right class has nearly all the probability, the loss is the difference of two near numbers
        assert abs(loss - expected.item()) <= 16 * np.finfo(dtype).eps * max(1, abs(logits).max())
        assert_same(dlogits, twin.grad, "dlogits") if classes > 1 else np.testing.assert_array_equal(dlogits, 0)


@pytest.mark.torch
@given(leading, sizes, seeds, dtypes, st.booleans())
def test_mse(shape, width, seed, dtype, masked):
    import torch

    rng = np.random.default_rng(seed)
    prediction = frozen(rng.standard_normal((*shape, width)).astype(dtype))
    target = frozen(rng.standard_normal((*shape, width)).astype(dtype))
    valid = masks(rng, shape, masked)
    twin = torch.tensor(prediction, requires_grad=True)
    chosen = torch.tensor(np.ones(shape, bool) if valid is None else valid)
    expected = torch.nn.functional.mse_loss(twin[chosen], torch.tensor(target)[chosen])
    expected.backward()
    for _ in range(2):
        loss, dprediction = scratch.mse(prediction, target, valid)
        assert_same(loss, expected.detach(), "loss")
        assert_same(dprediction, twin.grad, "dprediction")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_stays_finite_for_huge_logits(dtype):
    logits = np.array([[1e4, -1e4, 0], [-1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [1, 1, 1]], dtype)
    loss, dlogits = scratch.cross_entropy(logits, np.array([1, 2, 0, 0]))
    assert loss == pytest.approx((2e4 + np.log(2) + 2 * np.log(3)) / 4, rel=1e-6)
    third = [-2 / 12, 1 / 12, 1 / 12]
    expected = np.array([[0.25, -0.25, 0], [0, 0.125, -0.125], third, third], dtype)
    assert_same(dlogits, expected, "dlogits")


def test_what_is_not_valid_does_not_count_whatever_it_is():
    valid = np.array([True, False])
    loss, dlogits = scratch.cross_entropy(np.array([[1.0, 2.0], [np.nan, 0]]), np.array([0, 99]), valid)
    assert np.isfinite(loss)
    assert np.isfinite(dlogits).all()
    loss, dprediction = scratch.mse(np.array([[1.0], [np.nan]]), np.zeros((2, 1)), valid)
    assert loss == 1
    np.testing.assert_array_equal(dprediction, [[2], [0]])


@pytest.mark.torch
def test_first_values_are_spread_as_torchs():
    import torch

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pairs = [
        (scratch.Embedding(200, 50, rng=rng), torch.nn.Embedding(200, 50)),
        (scratch.Linear(64, 200, rng=rng), torch.nn.Linear(64, 200)),
    ]
    for ours, theirs in pairs:
        for name, p in theirs.named_parameters():
            got, expected = np.sort(ours.params[name], axis=None), np.sort(p.detach().numpy(), axis=None)
            # the same distribution: quantile for quantile, as near as so many draws can be
            assert np.abs(got - expected).mean() < 0.15 * expected.std(), name


def test_backward_needs_forward():
    for layer in (scratch.Linear(2, 3), scratch.Embedding(2, 3)):
        with pytest.raises(RuntimeError, match="call forward first"):
            layer.backward(np.ones((1, 3)))


def test_losses_reject_what_does_not_fit():
    logits, targets = np.zeros((2, 3)), np.array([0, 2])
    with pytest.raises(ValueError, match="target 3 is outside the 3 classes"):
        scratch.cross_entropy(logits, np.array([0, 3]))
    with pytest.raises(ValueError, match="target -1"):
        scratch.cross_entropy(logits, np.array([-1, 0]))
    with pytest.raises(ValueError, match="shape"):
        scratch.cross_entropy(logits, targets[:, None])
    with pytest.raises(ValueError, match="must be whole numbers"):
        scratch.cross_entropy(logits, targets.astype(float))
    with pytest.raises(ValueError, match="must hold booleans"):
        scratch.cross_entropy(logits, targets, np.array([2, 0]))
    with pytest.raises(ValueError, match="no target is valid"):
        scratch.cross_entropy(logits, targets, np.zeros(2, bool))
    with pytest.raises(ValueError, match="must be the same"):
        scratch.mse(np.zeros((4, 1)), np.zeros(4))  # would broadcast to (4, 4)
