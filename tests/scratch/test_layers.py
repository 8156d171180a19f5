"""Embedding, Linear and the losses by themselves."""

import numpy as np
import pytest

import scratch
from compare.agreement import assert_same
from scratch import inputs


def frozen(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("V", [inputs.ONE_HOT, inputs.ONE_HOT + 1], ids=["one-hot product", "sorting"])
def test_the_gradients_of_an_id_add_up(V, dtype):
    """For few ids and for many; ids that do not occur, and one that occurs often, among them."""
    rng = np.random.default_rng(0)
    ids, rows = frozen(rng.integers(0, V, size=40) // 7 * 7), frozen(rng.standard_normal((40, 3)).astype(dtype))
    expected = np.zeros((V, 3), dtype)
    np.add.at(expected, ids, rows)
    assert_same(inputs.sum_by_id(rows, ids, V), expected, "sum")


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_dropout_keeps_the_mean_and_uses_one_mask_in_both_directions(dtype):
    rng = np.random.default_rng(0)
    layer, kept = scratch.Dropout(0.2), frozen(rng.random((50, 40)) >= 0.2)
    x, dy = frozen(rng.standard_normal((50, 40)).astype(dtype)), frozen(rng.standard_normal((50, 40)).astype(dtype))
    for _ in range(2):
        y, dx = layer.forward(x, kept), layer.backward(dy)
        assert_same(y, np.where(kept, x / x.dtype.type(0.8), 0), "y")
        assert_same(dx, np.where(kept, dy / x.dtype.type(0.8), 0), "dx")
    assert layer.forward(np.ones((50, 40)), kept).mean() == pytest.approx(1, abs=0.02)
    np.testing.assert_array_equal(layer.forward(x), x)  # in evaluation
    np.testing.assert_array_equal(layer.backward(dy), dy)


def test_an_upstream_of_another_shape_is_refused():
    linear, embedding = scratch.Linear(2, 2), scratch.Embedding(3, 2)
    linear.forward(np.ones((4, 3, 2)))
    embedding.forward(np.ones((4, 3), int))
    for layer in (linear, embedding):
        with pytest.raises(ValueError, match=r"dy has shape \(3, 4, 2\)"):
            layer.backward(np.ones((3, 4, 2), np.float32))


@pytest.mark.parametrize(
    ("ids", "message"), [([0, 3], "id 3 is outside"), ([-1, 2], "id -1"), ([0.5], "whole numbers")]
)
def test_embedding_rejects_what_is_not_an_id(ids, message):
    with pytest.raises(ValueError, match=message):
        scratch.Embedding(3, 2).forward(np.array(ids))


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


def test_backward_needs_forward():
    for layer in (scratch.Linear(2, 3), scratch.Embedding(2, 3)):
        assert layer.grads == {}
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
