"""What the gradients by hand must be, whatever the weights: properties that need no second implementation to compare.

Where the two sides of a property add up in another order, in float64: at relu's kink a rounding decides whether a unit
lets its gradient through, and in float32 that happens now and then.
"""

from dataclasses import replace
from itertools import combinations
from unittest import mock

import numpy as np
import pytest
from cases import BOTH, for_each_cell, gradients, outputs, run, seeds
from hypothesis import assume
from hypothesis import strategies as st

import data
import scratch
from compare.agreement import assert_all_same, assert_same, least_size
from scratch import inputs, numerical, stretches


def of_weights(name):
    return name.startswith(("weight", "bias"))


def with_rows(problem, rows):
    """The problem of these rows alone, in this order."""
    x, state, dy, dstate_n, lengths = problem
    state, dstate_n = [s[:, rows] for s in state], [ds[:, rows] for ds in dstate_n]
    return x[:, rows], state, dy[:, rows], dstate_n, None if lengths is None else lengths[rows]


def whole_lengths(case, lengths):
    """The lengths, also where None says that every row runs for T steps."""
    return np.full(case.B, case.T) if lengths is None else lengths


def put_together(parts):
    """Results of single rows as those of a batch: rows side by side, the weights' gradients added up."""
    return {
        name: sum(part[name] for part in parts)
        if of_weights(name)
        else np.concatenate([part[name] for part in parts], axis=1)
        for name in parts[0]
    }


@for_each_cell(seeds, dtypes=BOTH)
def test_backward_is_linear_in_the_upstream(case, seed):
    """backward(a u + b v) = a backward(u) + b backward(v): every slope is one of the forward pass, none of u or v."""
    x, state, dy, dstate_n, lengths = case.problem()
    rng = np.random.default_rng(seed)
    layer = case.layer()
    layer.forward(x, case.pack(state), lengths)

    def backward(dy, *dstate_n):
        trace = []
        found = gradients(case, layer, *layer.backward(dy, case.pack(dstate_n), trace))
        return found | {f"{k} {name}": array for k, steps in enumerate(trace) for name, array in steps.items()}

    u = [dy, *dstate_n]
    v = [rng.standard_normal(array.shape).astype(case.dtype) for array in u]
    a, b = (100 * rng.standard_normal(2)).astype(case.dtype)
    of_u, of_v = backward(*u), backward(*v)
    expected = {name: a * of_u[name] + b * of_v[name] for name in of_u}
    assert_all_same(backward(*[a * p + b * q for p, q in zip(u, v, strict=True)]), expected)


@for_each_cell()
def test_a_batch_is_its_rows_each_alone_at_its_own_length(case):
    """The weights' gradients add up; all else belongs to its row. The padding is nan in x and dy, 0 in y and dx."""
    x, state, dy, dstate_n, lengths = case.problem()
    stops = whole_lengths(case, lengths)
    past = (np.arange(case.T)[:, None] >= stops)[:, :, None]
    problem = np.where(past, np.nan, x), state, np.where(past, np.nan, dy), dstate_n, lengths
    alone = []
    for row, stop in enumerate(stops):
        x, state, dy, dstate_n, _ = with_rows(problem, [row])
        found = run(case, (x[:stop], state, dy[:stop], dstate_n, None))
        padding = ((0, case.T - stop), (0, 0), (0, 0))
        alone.append(found | {name: np.pad(found[name], padding) for name in ("y", "dx")})
    assert_all_same(run(case, problem), put_together(alone))


@for_each_cell(seeds, bidirectional=False, padded=False)
def test_a_sequence_cut_in_two_is_the_whole(case, seed):
    """The state goes over the cut, its gradient comes back over it, and the weights' gradients add up."""
    assume(case.T > 1)
    x, state, dy, dstate_n, _ = problem = case.problem()
    cut = 1 + seed % (case.T - 1)
    first, second = case.layer(), case.layer()
    y_1, state_cut = first.forward(x[:cut], case.pack(state))
    y_2, state_n = second.forward(x[cut:], state_cut)
    dx_2, dstate_cut = second.backward(dy[cut:], case.pack(dstate_n))
    dx_1, dstate = first.backward(dy[:cut], dstate_cut)
    got = outputs(case, np.concatenate([y_1, y_2]), state_n)
    got |= gradients(case, first, np.concatenate([dx_1, dx_2]), dstate)
    got |= {name: first.grads[name] + second.grads[name] for name in first.grads}
    assert_all_same(got, run(case, problem))


class Windows:
    """A dataset for fit: one batch in windows of k steps, each going on with the state that the one before left."""

    carry_state = True

    def __init__(self, batch, k):
        starts = range(0, len(batch.inputs), k)
        self.windows = [data.Batch(batch.inputs[t : t + k], batch.targets[t : t + k]) for t in starts]
        self.steps_per_epoch = len(self.windows)

    def train_batches(self, epoch):
        return iter(self.windows)


class Collector:
    """An optimizer for fit that changes nothing and keeps every step's gradients."""

    def __init__(self):
        self.steps = []

    def step(self, grads):
        self.steps.append(grads)


@for_each_cell(st.integers(1, 7), seeds, bidirectional=False, bias=True, padded=False)
def test_truncation_takes_the_state_that_enters_a_window_for_a_constant(case, k, seed):
    """The gradients of fit on windows of k steps add up to that of the whole loss, each window's first state held
    fixed; one window of all T steps gives the full gradient, through all the states. Complex steps show both."""
    rng = np.random.default_rng(seed)
    batch = data.Batch(case.problem()[0], rng.standard_normal((case.T, case.B, 2)))

    def model(dtype=np.float64):
        sizes = dict(input_size=case.I, hidden_size=case.H, num_layers=case.layers)
        return scratch.SequenceModel(case.cell, 2, **sizes, dtype=dtype, rng=np.random.default_rng(case.seed))

    def by_fit(k):
        dataset, optimizer = Windows(batch, k), Collector()
        list(scratch.fit(model(), dataset, optimizer, len(dataset.windows)))
        steps = zip(optimizer.steps, dataset.windows, strict=True)
        # a window's loss is a mean over its own steps, the whole loss one over all T
        parts = [{name: len(w.inputs) / case.T * g for name, g in grads.items()} for grads, w in steps]
        return {name: sum(part[name] for part in parts) for name in parts[0]}

    def loss(params, held):
        complex_model = model(np.complex128)
        for name, p in complex_model.params.items():
            p[...] = params[name]
        total, state = 0, None
        for window in Windows(batch, k).windows:
            total = total + len(window.inputs) / case.T * complex_model.loss(window, state)
            state = case.pack([s.real if held else s for s in case.unpack(complex_model.state_n)])
        return total

    params = model().params
    direction = numerical.random_direction(params, rng)
    for gradient, held in ((by_fit(k), True), (by_fit(case.T), False)):
        sizes = {name: np.abs(gradient[name] * v).sum() for name, v in direction.items()}  # the terms may cancel
        for name, v in direction.items():
            # not numerical.complex_step, which would refuse a function that drops imaginary parts on purpose
            slope = loss(params | {name: params[name] + 1e-30j * v}, held).imag / 1e-30
            what = f"{'windows' if held else 'one window'}, along {name}"
            least = max(sizes[name], least_size(sizes.values()))
            assert_same(numerical.along(gradient, {name: v}), slope, what, least=least)


@for_each_cell(bidirectional=False)
def test_no_output_hears_of_later_inputs_or_sends_them_a_gradient(case):
    """dh_t/dx_s = 0 for s > t, to the last bit."""
    x, state, dy, _, lengths = case.problem()
    lengths = whole_lengths(case, lengths)
    layer = case.layer()
    y, _ = layer.forward(x, case.pack(state), lengths)
    for t in range(case.T):
        changed = x.copy()
        changed[t + 1 :] = np.nan
        y_changed, _ = layer.forward(changed, case.pack(state), lengths)
        np.testing.assert_array_equal(y_changed[: t + 1], y[: t + 1])

    layer.forward(x, case.pack(state), lengths)
    for t in range(case.T):
        dx, _ = layer.backward(np.where(np.arange(case.T)[:, None, None] == t, dy, 0))
        assert not dx[t + 1 :].any()
        if case.cell != "rnn_relu":  # which may let nothing through
            assert dx[: t + 1, lengths > t].any(axis=2).all()


@for_each_cell(layers=1, bidirectional=True)
def test_in_the_reverse_direction_the_past_is_what_comes_later(case):
    """The mirror image: of the outputs' second half, dh_t/dx_s = 0 for s < t; the first half as with one direction."""
    x, state, dy, _, lengths = case.problem()
    lengths = whole_lengths(case, lengths)
    layer = case.layer()
    layer.forward(x, case.pack(state), lengths)
    for t in range(case.T):
        at_t = np.where(np.arange(case.T)[:, None, None] == t, dy, 0)
        forward, reverse = at_t.copy(), at_t.copy()
        forward[:, :, case.H :], reverse[:, :, : case.H] = 0, 0
        assert not layer.backward(forward)[0][t + 1 :].any()
        dx, _ = layer.backward(reverse)
        assert not dx[:t].any()
        if case.cell != "rnn_relu":
            reached = (np.arange(case.T)[:, None] >= t) & (np.arange(case.T)[:, None] < lengths) & (lengths > t)
            np.testing.assert_array_equal(dx.any(axis=2), reached)


@for_each_cell(layers=1, bidirectional=True)
def test_the_reverse_direction_is_a_forward_one_on_time_turned_round(case):
    """Each row within its own length. The upstream reads the reverse half alone, so that dx is its share alone."""
    x, state, dy, dstate_n, lengths = case.problem()
    dy, dstate_n = dy.copy(), [ds.copy() for ds in dstate_n]
    dy[:, :, : case.H] = 0
    for ds in dstate_n:
        ds[0] = 0
    got = run(case, (x, state, dy, dstate_n, lengths))

    def turned(array):
        array = array.copy()
        for row, length in enumerate(whole_lengths(case, lengths)):
            array[:length, row] = array[:length, row][::-1]
        return array

    one = replace(case, bidirectional=False)
    layer = one.layer()
    for name, p in layer.params.items():
        p[...] = case.layer().params[f"{name}_reverse"]
    half = (turned(x), [s[1:] for s in state], turned(dy[:, :, case.H :]), [ds[1:] for ds in dstate_n], lengths)
    expected = run(one, half, layer)
    expected |= {name: turned(expected[name]) for name in ("y", "dx")}
    expected = {f"{name}_reverse" if of_weights(name) else name: array for name, array in expected.items()}

    got["y"] = got["y"][:, :, case.H :]
    for name in list(got):
        if name in layer.grads or name in ("dh_0", "dc_0"):  # the forward direction: nothing read it
            assert not (got.pop(name) if name in layer.grads else got[name][0]).any(), name
    got |= {name: got[name][1:] for name in ("h_n", "c_n", "dh_0", "dc_0") if name in got}
    assert_all_same(got, expected)


@for_each_cell()
def test_a_stack_is_its_layers_one_upon_the_other(case):
    x, state, dy, dstate_n, lengths = case.problem()
    D = 1 + case.bidirectional
    whole = case.layer()
    got = run(case, (x, state, dy, dstate_n, lengths), whole)

    def of_layer(k, states):
        return case.pack([s[k * D : (k + 1) * D] for s in states])

    def stacked(states):
        return case.pack([np.concatenate(s) for s in zip(*map(case.unpack, states), strict=True)])

    layers, y, states_n = [], x, []
    for k in range(case.layers):
        layer = replace(case, layers=1, I=y.shape[2]).layer()
        for name, p in layer.params.items():
            p[...] = whole.params[name.replace("_l0", f"_l{k}")]
        y, state_n = layer.forward(y, of_layer(k, state), lengths)
        layers.append(layer)
        states_n.append(state_n)
    expected = outputs(case, y, stacked(states_n))

    dstates, grads = [], {}
    for k in reversed(range(case.layers)):
        dy, dstate = layers[k].backward(dy, of_layer(k, dstate_n))  # its dx is the dy of the layer below
        dstates.insert(0, dstate)
        grads |= {name.replace("_l0", f"_l{k}"): g for name, g in layers[k].grads.items()}
    expected |= gradients(case, layers[0], dy, stacked(dstates)) | grads
    assert_all_same(got, expected)


EQUATIONS = ("rnn", "rnn_relu", "gru", "lstm", "mingru")  # the cells that one_step knows


def one_step(cell, x, h, c, weights):
    """The equations of the cells' files for a single step: x (B, I), h and c (B, H).

    Returns a list of the new states.
    """

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    if cell == "mingru":
        W_ih, b_ih = weights if len(weights) == 2 else [*weights, 0]
        a_z, n = np.split(x @ W_ih.T + b_ih, 2, axis=1)
        return [(1 - sigmoid(a_z)) * h + sigmoid(a_z) * n]
    W_ih, W_hh, b_ih, b_hh = weights if len(weights) == 4 else [*weights, 0, 0]
    u, v = x @ W_ih.T + b_ih, h @ W_hh.T + b_hh
    if cell == "rnn":
        return [np.tanh(u + v)]
    if cell == "rnn_relu":
        return [np.where((u + v).real > 0, u + v, 0)]
    if cell == "gru":
        (u_r, u_z, u_n), (v_r, v_z, v_n) = np.split(u, 3, axis=1), np.split(v, 3, axis=1)
        r, z = sigmoid(u_r + v_r), sigmoid(u_z + v_z)
        n = np.tanh(u_n + r * v_n)
        return [(1 - z) * n + z * h]
    a_i, a_f, a_g, a_o = np.split(u + v, 4, axis=1)
    c = sigmoid(a_f) * c + sigmoid(a_i) * np.tanh(a_g)
    return [sigmoid(a_o) * np.tanh(c), c]


@for_each_cell(T=1, layers=1, bidirectional=False)
def test_one_step_is_the_equations(case):
    """Outputs, and the gradients by complex steps through the equations. With the sequence that is cut in two and the
    stack that is taken apart, it follows for every number of steps and layers."""
    if case.cell not in EQUATIONS:
        pytest.skip("a cell of your own: its equations are its own forward")
    x, state, dy, dstate_n, _ = problem = case.problem()
    params = case.layer().params

    def step(arrays):
        h, c = arrays["h_0"][0], arrays["c_0"][0] if case.cell == "lstm" else None
        return one_step(case.cell, arrays["x"][0], h, c, [arrays[name] for name in params])

    def loss(arrays):
        states = step(arrays)
        return np.sum(states[0] * dy[0]) + sum(np.sum(s * ds) for s, ds in zip(states, dstate_n, strict=True))

    first = dict(zip(("h_0", "c_0"), state, strict=False))
    arrays = {"x": x, **first, **params}
    expected = outputs(case, step(arrays)[0][None], case.pack([s[None] for s in step(arrays)]))
    found = numerical.complex_gradient(loss, arrays)
    expected |= {f"d{name}" if name in ("x", *first) else name: g for name, g in found.items()}
    assert_all_same(run(case, problem), expected)


@for_each_cell()
def test_the_steps_shares_add_up_to_the_weights_gradients(case):
    """In both directions of the last layer, whose states are y: da_t times the state before step t, over all t.
    In those of layer 0, which reads x itself: da_t times x_t."""
    if not hasattr(case.module, "TRACED"):
        pytest.skip("this cell traces no intermediates")
    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    y, _ = layer.forward(x, case.pack(state), lengths)
    trace = []
    layer.backward(dy, case.pack(dstate_n), trace)
    du, dv = ("du", "dv") if "dv" in case.module.TRACED else ("da", "da")
    got, directions = {}, 1 + case.bidirectional
    assert len(trace) == case.layers * directions
    for direction in range(directions):
        got[f"weight_ih_l0{'_reverse' * direction}"] = np.einsum("tbg,tbi->gi", trace[direction][du], x)
    for direction, h in enumerate(np.split(y, directions, axis=2)):
        k = (case.layers - 1) * directions + direction
        h_before = np.zeros_like(h)
        for row, length in enumerate(whole_lengths(case, lengths)):
            h_0 = state[0][k, row : row + 1]
            if direction:  # the state before step t is the one of step t + 1
                h_before[:length, row] = np.concatenate([h[1:length, row], h_0])
            else:
                h_before[:length, row] = np.concatenate([h_0, h[: length - 1, row]])
        shares = [trace[k][dv][t].T @ h_before[t] for t in range(case.T)]
        end = f"_l{case.layers - 1}{'_reverse' * direction}"
        got[f"weight_hh{end}"] = sum(shares)
        got[f"bias_ih{end}"] = sum(trace[k][du][t].sum(axis=0) for t in range(case.T))
        got[f"bias_hh{end}"] = sum(trace[k][dv][t].sum(axis=0) for t in range(case.T))
    got = {name: total for name, total in got.items() if name in layer.grads}  # without biases, or without W_hh
    assert_all_same(got, {name: layer.grads[name] for name in got})


@for_each_cell(st.integers(1, 12), st.integers(1, 3))
def test_where_a_long_batch_is_cut_does_not_matter(case, rows, steps):
    problem = case.problem()

    def traced(rows, steps):
        with mock.patch.multiple(stretches, ROWS=rows, STEPS=steps):
            layer, trace = case.layer(), []
            found = run(case, problem, layer)
            layer.backward(problem[2], case.pack(problem[3]), trace)
            pieces = len(stretches.stretches(None, case.T, case.B))
        return found | {f"{k} {name}": a for k, parts in enumerate(trace) for name, a in parts.items()}, pieces

    uncut, pieces = traced(10**6, 10**6)
    assert pieces == 1
    assert_all_same(traced(rows, steps)[0], uncut)
    in_single_steps, pieces = traced(1, 1)
    assert pieces == case.T
    assert_all_same(in_single_steps, uncut)


@for_each_cell(st.integers(1, 6), st.booleans())
def test_ids_with_a_table_are_the_tables_rows_as_numbers(case, V, sorts):
    """And the table's gradient is the sum by id of the rows' dx: with one-hot rows for few ids, by sorting for many."""
    _, state, dy, dstate_n, lengths = case.problem()
    rng = np.random.default_rng([case.seed, 3])
    ids, table = rng.integers(V, size=(case.T, case.B)), rng.standard_normal((V, case.I)).astype(case.dtype)
    with mock.patch.object(inputs, "ONE_HOT", 0 if sorts else V):
        got = run(case, (ids, state, dy, dstate_n, lengths), embedding=table)
    expected = run(case, (table[ids], state, dy, dstate_n, lengths))
    dtable = np.zeros_like(table)
    np.add.at(dtable, ids, expected["dx"])
    assert_all_same(got, expected | {"dx": dtable})


@for_each_cell(st.booleans(), dtypes=BOTH)
def test_arguments_are_unmodified_and_results_share_no_memory(case, with_ids):
    """Compared with copies, which names what changed; then frozen, which detects a write that changes nothing."""
    x, state, dy, dstate_n, lengths = case.problem()
    layer, table = case.layer(), None
    if with_ids:
        rng = np.random.default_rng([case.seed, 3])
        x, table = rng.integers(4, size=(case.T, case.B)), rng.standard_normal((4, case.I)).astype(case.dtype)
    h_and_c = range(case.states)
    given = {"x": x, "dy": dy, "lengths": lengths, "table": table, **layer.params}
    given |= {f"state {k}": state[k] for k in h_and_c} | {f"dstate_n {k}": dstate_n[k] for k in h_and_c}
    for frozen in (False, True):
        arrays = {name: None if array is None else array.copy() for name, array in given.items()}
        went_in = {name: array for name, array in arrays.items() if array is not None}
        for array in went_in.values():
            array.flags.writeable = not frozen
        layer.params = {name: arrays[name] for name in layer.params}
        states = [[arrays[f"{what} {k}"] for k in h_and_c] for what in ("state", "dstate_n")]
        problem = arrays["x"], states[0], arrays["dy"], states[1], arrays["lengths"]
        came_out = run(case, problem, layer, arrays["table"])
        for name, array in went_in.items():
            np.testing.assert_array_equal(array, given[name], f"{name} has changed")
            for other, result in came_out.items():
                assert not np.shares_memory(array, result), f"{other} is a view of {name}"
        came_out.pop("y")  # it may share memory with the layer's cache, and is read-only for that reason
        for (name, array), (other, result) in combinations(came_out.items(), 2):
            assert not np.shares_memory(array, result), f"{name} and {other} share memory"


def saturate(params, x, cell, prefix=""):
    """Scale weights until the first layer's W_ih x_t reaches 1e4, and what the other layers and steps add as well.

    Not what relu takes from the step or the layer before: nothing bounds its states, so that every further factor of
    1e4 multiplies them, and the right answer is soon larger than any float32.
    """
    for name, p in params.items():
        if name.startswith(f"{prefix}weight_ih_l0"):
            p *= (1e4 / np.abs(x @ p.T).max()).astype(p.dtype)
        elif name.startswith(prefix) and cell != "rnn_relu":
            p *= p.dtype.type(1e4)


@for_each_cell(padded=False, dtypes=BOTH)
def test_saturated_gates_give_finite_outputs_and_gradients(case):
    x, *_ = problem = case.problem()
    layer = case.layer()
    saturate(layer.params, x, case.cell)
    for name, array in run(case, problem, layer).items():
        assert np.isfinite(array).all(), name


@for_each_cell(st.booleans(), bias=True, padded=False, dtypes=BOTH)
def test_saturated_gates_and_huge_logits_give_a_finite_loss_and_gradient(case, classes):
    rng = np.random.default_rng([case.seed, 3])
    x = case.problem()[0]
    targets = rng.integers(3, size=(case.T, case.B)) if classes else np.zeros((case.T, case.B, 3), case.dtype)
    sizes = dict(input_size=case.I, hidden_size=case.H, num_layers=case.layers, bidirectional=case.bidirectional)
    model = scratch.SequenceModel(case.cell, 3, **sizes, dtype=case.dtype, rng=rng)
    saturate(model.params, x, case.cell, "recurrent.")
    largest = np.abs(model.logits(x)[0]).max()
    for name in ("linear.weight", "linear.bias"):
        model.params[name] *= 1e4 / largest
    assert np.isfinite(model.loss(data.Batch(x, targets)))
    for name, gradient in model.backward().items():
        assert np.isfinite(gradient).all(), name


@for_each_cell(seeds, st.booleans(), dtypes=BOTH)
def test_a_nan_stays_in_its_row(case, seed, in_x):
    """In x or in dy: what belongs to the other rows is the same to the last bit. The weights' gradients have no row."""
    x, state, dy, dstate_n, lengths = problem = case.problem()
    rng = np.random.default_rng(seed)
    row = rng.integers(case.B)
    t = rng.integers(whole_lengths(case, lengths)[row])
    spoilt = x.copy() if in_x else dy.copy()
    spoilt[t, row, 0] = np.nan
    clean = run(case, problem)
    got = run(case, (spoilt, state, dy, dstate_n, lengths) if in_x else (x, state, spoilt, dstate_n, lengths))
    others = np.arange(case.B) != row
    for name, array in got.items():
        if not of_weights(name):
            np.testing.assert_array_equal(array[:, others], clean[name][:, others], name)
    assert np.isnan(got["y"][t, row]).all() == in_x
    assert np.isnan(got["dx"][t, row]).all() or case.cell == "rnn_relu"  # whose slope at nan is 0
