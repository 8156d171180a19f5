"""The layers around the cells: second calls, dtypes, complex numbers, and the arguments that they refuse."""

import numpy as np
import pytest
from cases import BOTH, CELLS, Case, for_each_cell, gradients, outputs, run

import scratch
from compare.agreement import assert_all_same, assert_same


@for_each_cell()
def test_a_second_backward_and_a_second_run_give_the_same(case):
    x, state, dy, dstate_n, lengths = case.problem()
    layer = case.layer()
    first = layer.forward(x, case.pack(state), lengths)
    dx, dstate = layer.backward(dy, case.pack(dstate_n))
    once = {k: v.copy() for k, v in (outputs(case, *first) | gradients(case, layer, dx, dstate)).items()}
    for run_forward in (False, True):
        out = layer.forward(x, case.pack(state), lengths) if run_forward else first
        dx, dstate = layer.backward(dy, case.pack(dstate_n))
        again = outputs(case, *out) | gradients(case, layer, dx, dstate)
        for name, array in once.items():
            np.testing.assert_array_equal(again[name], array, name)


@for_each_cell(dtypes=BOTH)
def test_everything_is_computed_in_the_parameters_dtype(case):
    """Inputs, states and upstreams of other kinds of numbers give what the same numbers give in the right dtype."""
    x, state, dy, dstate_n, lengths = case.problem()
    whole = [np.round(3 * a).astype(int) for a in (x, *state, dy, *dstate_n)]
    found = {}
    for dtype in ("int64", *BOTH):
        x, *rest = (a.astype(dtype) for a in whole)
        state, dy, dstate_n = rest[: case.states], rest[case.states], rest[case.states + 1 :]
        found[dtype] = run(case, (x, state, dy, dstate_n, lengths))
    for other in found.values():
        assert_all_same(other, found[case.dtype], "")


@pytest.mark.parametrize("layer", [scratch.RNN, scratch.GRU, scratch.LSTM, scratch.MinGRU])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_cell_by_itself_keeps_the_dtype_and_loses_no_imaginary_part(layer, dtype):
    """Called without a layer: real numbers stay as they are, and one complex argument makes the rest complex."""
    cell = layer.cell
    G = len(cell.GATES)
    rng = np.random.default_rng(0)
    columns = {"weight_ih": (2,), "weight_hh": (4,), "bias_ih": (), "bias_hh": ()}
    shapes = [(3, 2, 2), *layer.states * [(2, 4)], *((G * 4, *columns[kind]) for kind in layer.weights)]
    arguments = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    y, *state_n, cache = cell.forward(*arguments)
    found = cell.backward(y, *state_n, cache)
    assert {array.dtype for array in (y, *state_n, *found)} == {np.dtype(dtype)}
    for k, argument in enumerate(arguments):
        moved = [*arguments[:k], argument + 1e-3j, *arguments[k + 1 :]]
        y, *state_n, _ = cell.forward(*moved)
        assert all(np.abs(array.imag).max() > 0 for array in (y, *state_n)), shapes[k]


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell != "rnn_relu"])
def test_a_cell_by_itself_is_the_layers(cell):
    """The nonlinearity of a plain RNN is tanh where none is named."""
    case = Case(cell, 1, False, True, T=4, B=3, I=2, H=3, padded=False, seed=0)
    x, state, *_ = case.problem()
    y, *_ = case.module.forward(x, *(s[0] for s in state), *case.layer().params.values())
    assert_same(y, run(case)["y"], "y")


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
