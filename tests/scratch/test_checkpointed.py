"""BPTT in little memory gives what plain BPTT gives."""

import tracemalloc

import numpy as np
import pytest
from cases import for_each_cell
from hypothesis import strategies as st

import scratch
from compare.agreement import assert_all_same
from scratch import checkpointed


def by_name(case, total, dx, dstate, grads):
    return {
        "loss": np.asarray(total, case.dtype),
        "dx": dx,
        **{f"d{n}_0": s for n, s in zip("hc", case.unpack(dstate), strict=False)},
        **grads,
    }


@for_each_cell(
    st.one_of(st.none(), st.integers(1, 7)),
    st.booleans(),
    bidirectional=False,
    padded=False,
    dtypes=("float64", "float32"),
)
def test_the_gradients_are_the_plain_ones(case, steps, ids):
    x, state, dy, _, _ = case.problem()
    rng = np.random.default_rng([case.seed, 4])
    embedding = rng.standard_normal((3, case.I)).astype(case.dtype) if ids else None
    x = rng.integers(3, size=(case.T, case.B)) if ids else x
    seen = []

    def loss(y, start):
        seen.append(start)
        share = dy[start : start + len(y)]
        return float(np.sum(y * share)), share

    layer, plain = case.layer(), case.layer()
    total, dx, dstate = checkpointed.gradients(layer, x, loss, case.pack(state), embedding, steps)
    y, _ = plain.forward(x, case.pack(state), embedding=embedding)
    expected = by_name(case, np.sum(y * dy), *plain.backward(dy), plain.grads)
    assert_all_same(by_name(case, total, dx, dstate, layer.grads), expected, "checkpointed")
    assert seen == sorted(seen, reverse=True), "last segment first"
    assert sorted(seen) == list(range(0, case.T, steps or int(np.ceil(np.sqrt(case.T)))))


def test_memory_grows_as_the_root_of_the_length():
    """Four times the steps: twice the states and twice the segment. Plain BPTT takes four times the memory."""
    rng = np.random.default_rng(0)
    layer = scratch.LSTM(8, 32, rng=rng)
    embedding = rng.standard_normal((5, 8)).astype(np.float32)

    def peak(run, T):
        x = rng.integers(5, size=(T, 16))
        tracemalloc.start()
        run(x)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    def plain(x):
        y, _ = layer.forward(x, embedding=embedding)
        layer.backward(y)

    def checkpoint(x):
        checkpointed.gradients(layer, x, lambda y, _: (0.0, y), embedding=embedding)

    plain_400, plain_1600 = peak(plain, 400), peak(plain, 1600)
    assert plain_1600 > 3 * plain_400
    few_400, few_1600 = peak(checkpoint, 400), peak(checkpoint, 1600)
    assert few_1600 < min(2.2 * few_400, plain_1600 / 10)


def test_a_bidirectional_layer_is_refused():
    layer = scratch.GRU(2, 3, bidirectional=True)
    with pytest.raises(ValueError, match="both ends"):
        checkpointed.gradients(layer, np.zeros((4, 1, 2)), lambda y, _: (0.0, y))


@pytest.mark.parametrize("steps", [0, -1])
def test_a_segment_without_steps_is_refused(steps):
    with pytest.raises(ValueError, match=f"steps is {steps}"):
        checkpointed.gradients(scratch.GRU(2, 3), np.zeros((4, 1, 2)), lambda y, _: (0.0, y), steps=steps)
