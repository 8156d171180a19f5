"""Every optimizer and the clipping against torch.optim, over many steps."""

import numpy as np
import pytest
import torch
from cases import OPTIMIZERS, seeds
from hypothesis import given
from hypothesis import strategies as st

import scratch
from compare.agreement import assert_all_same, assert_same


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.parametrize("scale", [1.0, 1e-8], ids=["gradients near 1", "gradients near Adam's epsilon"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_thirty_steps_are_torchs(name, options, scale, dtype):
    if scale < 1:
        options = options | {"weight_decay": 0}  # it would add p itself to the gradient, and that is near 1
    rng = np.random.default_rng(1)
    params = {"a": rng.standard_normal((3, 4)).astype(dtype), "b": rng.standard_normal(5).astype(dtype)}
    arrays = dict(params)
    torch_params = [torch.nn.Parameter(torch.tensor(p)) for p in params.values()]
    ours = getattr(scratch, name)(params, lr=0.05, **options)
    theirs = getattr(torch.optim, name)(torch_params, lr=0.05, **options)
    path = {key: np.abs(p).max() for key, p in params.items()}  # how far each array has moved in all
    reused = None
    for _ in range(30):
        before = {key: p.copy() for key, p in params.items()}
        grads = {key: (scale * rng.standard_normal(p.shape)).astype(dtype) for key, p in params.items()}
        for torch_param, g in zip(torch_params, grads.values(), strict=True):
            torch_param.grad = torch.tensor(g)
            g.flags.writeable = False
        if reused is None:
            reused = {key: g.copy() for key, g in grads.items()}  # the same arrays for every step, as a caller may
        for key, g in grads.items():
            reused[key][...] = g
        ours.step(reused)
        for key, g in grads.items():
            np.testing.assert_array_equal(reused[key], g, err_msg=f"the gradient {key} was overwritten")
        theirs.step()
        for key, p in params.items():
            path[key] += np.abs(p - before[key]).max()
    for (key, p), t in zip(params.items(), torch_params, strict=True):
        # a step is some ten operations, so it is off by some ten roundings of its own length, wherever it leads
        np.testing.assert_allclose(p, t.detach(), rtol=0, atol=16 * np.finfo(p.dtype).eps * path[key], err_msg=key)
    assert all(params[key] is arrays[key] for key in params), "the arrays that were given must be the ones updated"


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_default_numbers_are_torchs(name):
    ours = getattr(scratch, name)({"a": np.ones(1)})
    theirs = getattr(torch.optim, name)([torch.nn.Parameter(torch.ones(1))]).defaults
    for option in ("lr", "momentum", "nesterov", "betas", "eps", "alpha", "lr_decay", "weight_decay"):
        if hasattr(ours, option):
            assert getattr(ours, option) == theirs[option], option


@given(seeds, st.floats(0.01, 10), st.sampled_from(["float64", "float32"]))
def test_clipping(seed, max_norm, dtype):
    rng = np.random.default_rng(seed)
    grads = {key: rng.standard_normal(shape).astype(dtype) for key, shape in {"a": (2, 3), "b": (4,)}.items()}
    torch_params = [torch.nn.Parameter(torch.zeros(g.shape, dtype=getattr(torch, dtype))) for g in grads.values()]
    for torch_param, g in zip(torch_params, grads.values(), strict=True):
        torch_param.grad = torch.tensor(g)
    expected = torch.nn.utils.clip_grad_norm_(torch_params, max_norm)
    assert_same(scratch.clip_grad_norm(grads, max_norm), expected, "norm")
    assert_all_same(grads, {key: t.grad for key, t in zip(grads, torch_params, strict=True)}, "clipped")
