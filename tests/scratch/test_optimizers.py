"""Optimizers and clipping by themselves."""

import numpy as np
import pytest
from cases import OPTIMIZERS

import scratch


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_no_step_is_computed_in_another_dtype(name, options):
    """A NumPy float64 scalar in a formula makes float32 arrays float64 on the way, and the step slow."""

    class Watched(np.ndarray):
        def __array_ufunc__(self, ufunc, method, *inputs, out=None, **options):
            plain = [np.asarray(a) if isinstance(a, Watched) else a for a in inputs]
            out_plain = None if out is None else tuple(np.asarray(a) for a in out)
            result = getattr(ufunc, method)(*plain, **({} if out is None else {"out": out_plain}), **options)
            assert result.dtype == np.float32, f"{ufunc.__name__} gives {result.dtype}"
            return out[0] if out is not None else result.view(Watched)

    params = {"a": np.ones(3, np.float32).view(Watched)}
    optimizer = getattr(scratch, name)(params, lr=0.05, **options)
    for _ in range(2):
        optimizer.step({"a": np.ones(3, np.float32).view(Watched)})
    kept = [array for part in vars(optimizer).values() if isinstance(part, dict) for array in part.values()]
    assert {array.dtype for array in kept} == {np.dtype(np.float32)}


def test_nesterov_asks_for_momentum():
    with pytest.raises(ValueError, match="momentum above 0"):
        scratch.SGD({}, lr=1, nesterov=True)


def test_clipping_passes_a_nan_on():
    grads = {"a": np.array([1.0, np.nan]), "b": np.array([2.0])}
    assert np.isnan(scratch.clip_grad_norm(grads, 1.0))
    assert np.isnan(grads["b"]).all()
