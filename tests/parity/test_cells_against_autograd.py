"""The layers by hand against their torch counterparts and autograd: outputs, and the gradients of everything.

The first test here runs before all others: it says which gradient of which cell is wrong, and where.
"""

import numpy as np
import pytest
import torch
from cases import BOTH, CELLS, Case, diagnose, for_each_cell, gradients, outputs, run
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import scratch
import torch_impl
from compare.agreement import assert_all_same
from torch_impl import unrolled


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [(4, 3, 2, 3), (1, 1, 1, 1)], ids=["4 steps", "1 step"])
@pytest.mark.parametrize("upstream", [1, 1000], ids=["", "large upstream"])
@pytest.mark.parametrize("dtype", BOTH)
def test_every_gradient_of_a_cell_is_autograds(cell, sizes, upstream, dtype):
    case = Case(cell, 1, False, True, *sizes, padded=False, seed=0, dtype=dtype, upstream=upstream)
    problem = diagnose(case, lambda case: run_by_torch(case) | intermediates_by_torch(case))
    if problem:
        pytest.fail(problem, pytrace=False)


def run_by_torch(case, with_dy=True, with_dstate=True):
    """What cases.run returns, by torch.nn and autograd."""
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
    loss = 0 * y.sum()
    if with_dy:
        loss = loss + (y * torch.tensor(dy)).sum()
    if with_dstate:
        loss = loss + sum((s * torch.tensor(ds)).sum() for s, ds in zip(case.unpack(state_n), dstate_n, strict=True))
    wanted = [x, *state, *layer.parameters()]
    dx, *found = torch.autograd.grad(loss, wanted, materialize_grads=True)
    layer.grads = dict(zip(dict(layer.named_parameters()), found[len(state) :], strict=True))
    everything = outputs(case, y, state_n) | gradients(case, layer, dx, case.pack(found[: len(state)]))
    return {name: tensor.detach().numpy() for name, tensor in everything.items()}


def intermediates_by_torch(case):
    """The total derivatives that the cell's backward traces, by autograd, for one layer with one direction."""
    x, state, dy, dstate_n, lengths = case.problem()
    module = getattr(unrolled, case.file)
    weights = [torch.tensor(p, requires_grad=True) for p in case.layer().params.values()]
    lengths = np.full(case.B, case.T) if lengths is None else lengths
    found = {}
    for row in range(case.B):  # row by row, since each may end at another step
        stop = int(lengths[row])
        s = [torch.tensor(a[0, row : row + 1], requires_grad=True) for a in state]
        y, *last, kept = module(torch.tensor(x[:stop, row : row + 1]), *s, *weights, **case.kind[1])
        loss = (y * torch.tensor(dy[:stop, row : row + 1])).sum()
        loss = loss + sum((a * torch.tensor(d[0, row : row + 1])).sum() for a, d in zip(last, dstate_n, strict=True))
        for name in case.module.TRACED:
            steps = torch.cat(torch.autograd.grad(loss, kept[name[1:]], retain_graph=True)).numpy()
            found.setdefault(name, np.zeros((case.T, case.B, steps.shape[1]), steps.dtype))[:stop, row] = steps
    return found


@for_each_cell(dtypes=BOTH)
def test_outputs_and_all_gradients_of_a_layer_are_torchs(case):
    assert_all_same(run(case), run_by_torch(case), cell=case.cell)


@for_each_cell(layers=1, bidirectional=False, bias=True)
def test_every_intermediate_has_autograds_gradient(case):
    trace = []
    run(case, trace=trace)
    assert_all_same(trace[0], intermediates_by_torch(case), cell=case.cell)


@for_each_cell(st.sampled_from([(True, False), (False, True), (False, False)]))
def test_an_omitted_upstream_counts_as_zero(case, given_upstreams):
    x, state, dy, dstate_n, lengths = case.problem()
    with_dy, with_dstate = given_upstreams
    layer = case.layer()
    out = layer.forward(x, case.pack(state), lengths)
    found = layer.backward(dy if with_dy else None, case.pack(dstate_n) if with_dstate else None)
    assert_all_same(outputs(case, *out) | gradients(case, layer, *found), run_by_torch(case, *given_upstreams))


@for_each_cell()
def test_overwritten_outputs_do_not_change_the_backward(case):
    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    y, state_n = layer.forward(x, case.pack(state), lengths)
    for array in (y, *case.unpack(state_n)):
        if array.flags.writeable:
            array[...] = np.nan
    layer.backward(dy, case.pack(dstate_n))
    assert_all_same(layer.grads, {k: v for k, v in run_by_torch(case).items() if k in layer.grads})


@pytest.mark.parametrize("cell", CELLS)
def test_parameter_names_shapes_and_dtype_are_torchs(cell):
    ours, theirs = scratch.CELLS[cell][0](2, 3), torch_impl.model.CELLS[cell][0](2, 3)
    assert {k: p.shape for k, p in ours.params.items()} == {k: tuple(p.shape) for k, p in theirs.named_parameters()}
    assert {p.dtype for p in ours.params.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights_have_torchs_distribution(cell):
    case = Case(cell, 2, True, True, 1, 1, 30, 64, False, 0)
    bound = 1 / 8
    for name, p in case.layer().params.items():
        assert np.abs(p).max() <= bound, name
        assert p.std() == pytest.approx(bound / np.sqrt(3), rel=0.1), name
    for name, p in torch_impl.model.CELLS[cell][0](case.I, case.H, **case.arguments).named_parameters():
        assert 0.8 * bound < p.abs().max() <= bound, name
