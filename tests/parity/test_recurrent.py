"""RNN, GRU and LSTM by hand against torch.nn: outputs, and the gradients of everything."""

import numpy as np
import pytest
from cases import CELLS, Case, for_each_cell
from hypothesis import strategies as st

import scratch
from compare.agreement import assert_all_same, assert_same
from scratch import gru, lstm, rnn


def run_by_hand(case, with_dy=True, with_dstate=True):
    """Everything that comes out of forward and backward, by name."""
    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    y, state_n = layer.forward(x, case.pack(state), lengths)
    dx, dstate = layer.backward(dy if with_dy else None, case.pack(dstate_n) if with_dstate else None)
    return results(y, case.unpack(state_n), dx, case.unpack(dstate), layer.grads)


def results(y, state_n, dx, dstate, grads):
    states = {f"{name}_n": s for name, s in zip("hc", state_n, strict=False)}
    dstates = {f"d{name}_0": s for name, s in zip("hc", dstate, strict=False)}
    return {"y": y, **states, "dx": dx, **dstates, **grads}


def run_by_torch(case, with_dy=True, with_dstate=True):
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.torch_layer()
    x = torch.tensor(x, requires_grad=True)
    state = [torch.tensor(s, requires_grad=True) for s in state]
    if lengths is None:
        y, state_n = layer(x, case.pack(state))
    else:
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        packed, state_n = layer(packed, case.pack(state))
        y, _ = pad_packed_sequence(packed, total_length=case.T)
    state_n = case.unpack(state_n)
    loss = 0 * y.sum()
    if with_dy:
        loss = loss + (y * torch.tensor(dy)).sum()
    if with_dstate:
        loss = loss + sum((s * torch.tensor(ds)).sum() for s, ds in zip(state_n, dstate_n, strict=True))
    wanted = [x, *state, *layer.parameters()]
    found = torch.autograd.grad(loss, wanted, materialize_grads=True)
    dx, dstate, grads = found[0], found[1 : 1 + len(state)], found[1 + len(state) :]
    names = [name for name, _ in layer.named_parameters()]
    out = results(y, state_n, dx, dstate, dict(zip(names, grads, strict=True)))
    return {name: tensor.detach().numpy() for name, tensor in out.items()}


@pytest.mark.torch
@for_each_cell(dtypes=("float64", "float32"))
def test_outputs_and_all_gradients_are_torchs(case):
    assert_all_same(run_by_hand(case), run_by_torch(case), "")


@pytest.mark.torch
@for_each_cell(st.sampled_from([(True, False), (False, True), (False, False)]))
def test_an_omitted_upstream_counts_as_zero(case, given_upstreams):
    assert_all_same(run_by_hand(case, *given_upstreams), run_by_torch(case, *given_upstreams), "")


@for_each_cell()
def test_a_second_backward_and_a_second_run_give_the_same(case):
    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    first = layer.forward(x, case.pack(state), lengths)
    dx, dstate = layer.backward(dy, case.pack(dstate_n))
    once = {
        k: v.copy() for k, v in results(first[0], case.unpack(first[1]), dx, case.unpack(dstate), layer.grads).items()
    }
    for run_forward in (False, True):
        out = layer.forward(x, case.pack(state), lengths) if run_forward else first
        dx, dstate = layer.backward(dy, case.pack(dstate_n))
        again = results(out[0], case.unpack(out[1]), dx, case.unpack(dstate), layer.grads)
        for name, array in once.items():
            np.testing.assert_array_equal(again[name], array, name)


@for_each_cell()
def test_gradients_are_arrays_of_their_own(case):
    arrays = run_by_hand(case)
    arrays.pop("y")  # y may share with the layer's cache, and is read-only for that reason
    names = list(arrays)
    for k, name in enumerate(names):
        for other in names[k + 1 :]:
            assert not np.shares_memory(arrays[name], arrays[other]), f"{name} and {other} are one array"


@pytest.mark.torch
@for_each_cell()
def test_outputs_cannot_spoil_the_backward(case):
    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    y, state_n = layer.forward(x, case.pack(state), lengths)
    for array in (y, *case.unpack(state_n)):
        if array.flags.writeable:
            array[...] = np.nan
    layer.backward(dy, case.pack(dstate_n))
    assert_all_same(layer.grads, {k: v for k, v in run_by_torch(case).items() if k in layer.grads}, "")


@for_each_cell(padded=True)
def test_padding_changes_nothing_and_gets_no_gradient(case):
    x, state, dy, dstate_n, lengths = case.problem()
    past = np.arange(case.T)[:, None] >= lengths  # (T, B)
    clean, dirty = case.layer(), case.layer()
    x_dirty, dy_dirty = x.copy(), dy.copy()
    x_dirty[past], dy_dirty[past] = np.nan, np.nan
    y, state_n = clean.forward(x, case.pack(state), lengths)
    y_dirty, state_n_dirty = dirty.forward(x_dirty, case.pack(state), lengths)
    dx, dstate = clean.backward(dy, case.pack(dstate_n))
    dx_dirty, dstate_dirty = dirty.backward(dy_dirty, case.pack(dstate_n))
    assert_all_same(
        results(y_dirty, case.unpack(state_n_dirty), dx_dirty, case.unpack(dstate_dirty), dirty.grads),
        results(y, case.unpack(state_n), dx, case.unpack(dstate), clean.grads),
        "",
    )
    assert not y[past].any()
    assert not dx[past].any()


@pytest.mark.torch
@for_each_cell(layers=1, bidirectional=False, bias=True)
def test_every_intermediate_has_autograds_gradient(case):
    import torch

    from compare.gradients.table import TRACED
    from torch_impl import unrolled

    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    layer.forward(x, case.pack(state), lengths)
    trace = []
    layer.backward(dy, case.pack(dstate_n), trace)
    (got,) = trace
    assert tuple(got) == TRACED[case.cell]

    weights = [torch.tensor(p, requires_grad=True) for p in layer.params.values()]
    lengths = np.full(case.B, case.T) if lengths is None else lengths
    expected = {name: np.zeros_like(array) for name, array in got.items()}
    for row in range(case.B):  # row by row: each ends at a step of its own
        stop = int(lengths[row])
        s = [torch.tensor(a[0, row : row + 1], requires_grad=True) for a in state]
        options = {"nonlinearity": case.arguments["nonlinearity"]} if "rnn" in case.cell else {}
        twin = getattr(unrolled, case.cell.removesuffix("_relu"))
        y, *last, kept = twin(torch.tensor(x[:stop, row : row + 1]), *s, *weights, **options)
        loss = (y * torch.tensor(dy[:stop, row : row + 1])).sum()
        loss = loss + sum((a * torch.tensor(d[0, row : row + 1])).sum() for a, d in zip(last, dstate_n, strict=True))
        for name in expected:
            found = torch.autograd.grad(loss, kept[name[1:]], retain_graph=True)
            expected[name][:stop, row] = torch.cat(found).numpy()
    assert_all_same(got, expected, "trace")


@for_each_cell(bias=True)
def test_intermediates_are_in_the_order_of_time_and_rows(case):
    """Layer 0 read x itself: the intermediates of both its directions, step by step with x, make its dW_ih."""
    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    layer.forward(x, case.pack(state), lengths)
    trace = []
    layer.backward(dy, case.pack(dstate_n), trace)
    assert len(trace) == case.layers * (1 + case.bidirectional)
    for direction, suffix in enumerate(["", "_reverse"][: 1 + case.bidirectional]):
        da = trace[direction]["du" if case.cell == "gru" else "da"]
        assert_same(np.einsum("tbg,tbi->gi", da, x), layer.grads[f"weight_ih_l0{suffix}"], f"weight_ih_l0{suffix}")


@for_each_cell()
def test_everything_is_computed_in_the_parameters_dtype(case):
    """Inputs, states and upstreams of other kinds of numbers give what the same numbers give in the right dtype."""
    x, state, dy, dstate_n, lengths = case.problem()
    whole = [np.round(3 * a).astype(int) for a in (x, *state, dy, *dstate_n)]
    found = []
    for dtype in ("int64", "float32", "float64"):
        x, *rest = (a.astype(dtype) for a in whole)
        state, dy, dstate_n = rest[: case.states], rest[case.states], rest[case.states + 1 :]
        layer = case.layer()
        y, state_n = layer.forward(x, case.pack(state), lengths)
        dx, dstate = layer.backward(dy, case.pack(dstate_n))
        found.append(results(y, case.unpack(state_n), dx, case.unpack(dstate), layer.grads))
    for other in found[:2]:
        assert_all_same(other, found[2], "")


@for_each_cell()
def test_a_complex_step_through_the_forward_gives_the_same_gradient(case):
    """Im f(p + i h v) / h = <gradient, v>: an oracle with no step error, and without torch."""
    x, state, dy, dstate_n, lengths = case.problem()
    by_hand = run_by_hand(case)
    h = 1e-30
    rng = np.random.default_rng([case.seed, 3])
    layer = case.layer(dtype=np.complex128)
    slope = 0.0

    def moved(array, gradient):
        nonlocal slope
        v = rng.standard_normal(array.shape)
        slope += np.sum(v * gradient)
        return array + 1j * h * v

    for name, p in layer.params.items():
        layer.params[name] = moved(p, by_hand[name])
    state = [moved(s, by_hand[f"d{name}_0"]) for s, name in zip(state, "hc", strict=False)]
    y, state_n = layer.forward(moved(x, by_hand["dx"]), case.pack(state), lengths)
    value = np.sum(y * dy) + sum(np.sum(s * d) for s, d in zip(case.unpack(state_n), dstate_n, strict=True))
    # the terms of `slope` may cancel: measure against their sizes
    size = sum(np.abs(by_hand[k]).sum() for k in by_hand if k not in ("y", "h_n", "c_n"))
    assert abs(value.imag / h - slope) <= 1e-12 * size


@pytest.mark.torch
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
def test_defaults_are_torchs(name):
    import torch

    ours, theirs = getattr(scratch, name)(2, 3), getattr(torch.nn, name)(2, 3)
    assert {k: p.shape for k, p in ours.params.items()} == {k: tuple(p.shape) for k, p in theirs.named_parameters()}
    assert {p.dtype for p in ours.params.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize(("cell", "states"), [(rnn, 1), (gru, 1), (lstm, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cell_by_itself_keeps_the_dtype_and_loses_no_imaginary_part(cell, states, dtype):
    """Called without a layer: real numbers stay as they are, and one complex argument makes the rest complex."""
    G = {rnn: 1, gru: 3, lstm: 4}[cell]
    rng = np.random.default_rng(0)
    shapes = [(3, 2, 2), *states * [(2, 4)], (G * 4, 2), (G * 4, 4), (G * 4,), (G * 4,)]
    arguments = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    y, *state_n, cache = cell.forward(*arguments)
    found = cell.backward(y, *state_n, cache)
    assert {array.dtype for array in (y, *state_n, *found)} == {np.dtype(dtype)}
    for k, argument in enumerate(arguments):
        moved = [*arguments[:k], argument + 1e-3j, *arguments[k + 1 :]]
        y, *state_n, _ = cell.forward(*moved)
        assert all(np.abs(array.imag).max() > 0 for array in (y, *state_n)), shapes[k]


@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("moved", ["x", "state", "params"])
def test_a_layer_loses_no_imaginary_part(name, moved):
    layer = getattr(scratch, name)(2, 3, dtype=np.float64, rng=np.random.default_rng(0))
    x, h = np.ones((4, 2, 2)), np.ones((1, 2, 3))
    if moved == "x":
        x = x + 1e-3j
    if moved == "state":
        h = h + 1e-3j
    if moved == "params":
        layer.params = {k: p + 1e-3j for k, p in layer.params.items()}
    y, _ = layer.forward(x, (h, h) if name == "LSTM" else h)
    assert np.abs(y.imag).max() > 0


@pytest.mark.torch
@pytest.mark.parametrize("cell", CELLS)
def test_first_values_are_spread_as_torchs(cell):
    case = Case(cell, 2, True, True, 1, 1, 30, 64, False, 0)
    bound = 1 / 8
    for name, p in case.layer().params.items():
        assert np.abs(p).max() <= bound, name
        assert p.std() == pytest.approx(bound / np.sqrt(3), rel=0.1), name
    assert {k: v.shape for k, v in case.layer().params.items()} == {
        k: tuple(v.shape) for k, v in case.torch_layer().named_parameters()
    }


class TestMistakesOfTheCaller:
    layer = scratch.LSTM(3, 4, dtype=np.float64, rng=np.random.default_rng(0))
    x = np.ones((5, 2, 3))

    def test_shape_of_x(self):
        for wrong in (np.ones((5, 2, 4)), np.ones((5, 3)), np.ones((0, 2, 3)), np.ones((5, 0, 3))):
            with pytest.raises(ValueError, match="must be \\(steps, batch, 3\\)"):
                self.layer.forward(wrong)

    def test_shape_of_the_state(self):
        good, wrong = np.zeros((1, 2, 4)), np.zeros((2, 4))
        with pytest.raises(ValueError, match=r"state has shape \(2, 4\); it must be \(1, 2, 4\)"):
            self.layer.forward(self.x, (good, wrong))
        with pytest.raises(ValueError, match="pair"):
            self.layer.forward(self.x, good)

    @pytest.mark.parametrize("lengths", [[0, 5], [1, 6], [1], [1.0, 2.0], [[1, 2]]])
    def test_lengths(self, lengths):
        with pytest.raises(ValueError, match="2 whole numbers from 1 to 5"):
            self.layer.forward(self.x, lengths=np.array(lengths))

    def test_shape_of_dy(self):
        self.layer.forward(self.x)
        with pytest.raises(ValueError, match="dy has shape"):
            self.layer.backward(np.ones((2, 4)))  # would broadcast
        with pytest.raises(ValueError, match="dstate_n has shape"):
            self.layer.backward(dstate_n=(np.ones(4), np.ones(4)))

    def test_a_state_that_the_caller_uses_again(self):
        h, c = np.ones((1, 2, 4)), np.ones((1, 2, 4))
        found = []
        for spoil in (False, True):
            self.layer.forward(self.x, (h, c))
            if spoil:
                h[...], c[...] = 7, 7
            self.layer.backward(np.ones((5, 2, 4)))
            found.append(self.layer.grads["weight_hh_l0"])
        np.testing.assert_array_equal(*found)

    def test_the_table(self):
        ids = np.zeros((5, 2), int)
        for wrong in (np.ones((6, 4)), np.ones(3), np.ones((0, 3))):
            with pytest.raises(ValueError, match=r"it must be \(vocabulary, 3\)"):
                self.layer.forward(ids, embedding=wrong)
        y, _ = self.layer.forward(ids, embedding=np.ones((6, 3), np.float32))
        assert y.dtype == np.float64
        for wrong in (np.zeros(5, int), np.zeros((5, 2, 1), int), np.zeros((0, 2), int)):
            with pytest.raises(ValueError, match="ids have shape"):
                self.layer.forward(wrong, embedding=np.ones((6, 3)))

    def test_backward_first(self):
        with pytest.raises(RuntimeError, match="call forward first"):
            scratch.GRU(1, 1).backward()

    def test_sizes(self):
        for name, sizes in (("input_size", (0, 1)), ("hidden_size", (1, 0)), ("num_layers", (1, 1, 0))):
            with pytest.raises(ValueError, match=f"{name} is 0"):
                scratch.GRU(*sizes)
        assert scratch.GRU(1, 1).grads == {}
        with pytest.raises(ValueError, match="nonlinearity"):
            scratch.RNN(1, 1, nonlinearity="sigmoid")
