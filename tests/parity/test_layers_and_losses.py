"""Embedding, Linear and the losses against torch."""

import numpy as np
import torch
from cases import seeds
from hypothesis import given
from hypothesis import strategies as st

import scratch
from compare.agreement import assert_all_same, assert_same

sizes = st.integers(1, 5)
leading = st.lists(sizes, min_size=1, max_size=3).map(tuple)
dtypes = st.sampled_from(["float64", "float32"])


def frozen(array):
    array.flags.writeable = False
    return array


@given(leading, sizes, sizes, seeds, dtypes)
def test_linear(shape, inputs, outputs, seed, dtype):
    rng = np.random.default_rng(seed)
    layer = scratch.Linear(inputs, outputs, dtype=dtype, rng=rng)
    x = frozen(rng.standard_normal((*shape, inputs)).astype(dtype))
    dy = frozen(rng.standard_normal((*shape, outputs)).astype(dtype))
    theirs = torch.nn.Linear(inputs, outputs, dtype=getattr(torch, dtype))
    theirs.load_state_dict({name: torch.tensor(p) for name, p in layer.params.items()})
    x_torch = torch.tensor(x, requires_grad=True)
    y_torch = theirs(x_torch)
    y_torch.backward(torch.tensor(dy))
    for _ in range(2):
        assert_same(layer.forward(x), y_torch.detach(), "y")
        assert_same(layer.backward(dy), x_torch.grad, "dx")
        assert_all_same(layer.grads, {name: p.grad for name, p in theirs.named_parameters()}, "")


@given(leading, sizes, sizes, seeds, dtypes)
def test_embedding(shape, words, width, seed, dtype):
    rng = np.random.default_rng(seed)
    layer = scratch.Embedding(words, width, dtype=dtype, rng=rng)
    ids = frozen(rng.integers(words, size=shape))
    dy = frozen(rng.standard_normal((*shape, width)).astype(dtype))
    theirs = torch.nn.Embedding(words, width, dtype=getattr(torch, dtype))
    theirs.load_state_dict({"weight": torch.tensor(layer.params["weight"])})
    y_torch = theirs(torch.tensor(ids))
    y_torch.backward(torch.tensor(dy))
    for _ in range(2):
        np.testing.assert_array_equal(layer.forward(ids), y_torch.detach())
        layer.backward(dy)
        assert_same(layer.grads["weight"], theirs.weight.grad, "dweight")


def masks(rng, shape, masked):
    if not masked:
        return None
    valid = rng.random(shape) < 0.6
    valid[(0,) * len(shape)] = True
    return frozen(valid)


@given(leading, sizes, seeds, dtypes, st.booleans(), st.sampled_from([1, 30]))
def test_cross_entropy(shape, classes, seed, dtype, masked, spread):
    rng = np.random.default_rng(seed)
    logits = frozen((spread * rng.standard_normal((*shape, classes))).astype(dtype))
    targets = frozen(rng.integers(classes, size=shape))
    valid = masks(rng, shape, masked)
    theirs = torch.tensor(logits, requires_grad=True)
    chosen = torch.tensor(np.ones(shape, bool) if valid is None else valid)
    expected = torch.nn.functional.cross_entropy(theirs[chosen], torch.tensor(targets)[chosen])
    expected.backward()
    for _ in range(2):
        loss, dlogits = scratch.cross_entropy(logits, targets, valid)
        # where the right class has nearly all the probability, the loss is the difference of two near numbers
        assert abs(loss - expected.item()) <= 16 * np.finfo(dtype).eps * max(1, abs(logits).max())
        assert_same(dlogits, theirs.grad, "dlogits") if classes > 1 else np.testing.assert_array_equal(dlogits, 0)


@given(leading, sizes, seeds, dtypes, st.booleans())
def test_mse(shape, width, seed, dtype, masked):
    rng = np.random.default_rng(seed)
    prediction = frozen(rng.standard_normal((*shape, width)).astype(dtype))
    target = frozen(rng.standard_normal((*shape, width)).astype(dtype))
    valid = masks(rng, shape, masked)
    theirs = torch.tensor(prediction, requires_grad=True)
    chosen = torch.tensor(np.ones(shape, bool) if valid is None else valid)
    expected = torch.nn.functional.mse_loss(theirs[chosen], torch.tensor(target)[chosen])
    expected.backward()
    for _ in range(2):
        loss, dprediction = scratch.mse(prediction, target, valid)
        assert_same(loss, expected.detach(), "loss")
        assert_same(dprediction, theirs.grad, "dprediction")


def test_first_values_are_spread_as_torchs():
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
