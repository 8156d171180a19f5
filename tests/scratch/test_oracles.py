"""The derivations that share no code with the hand-written backward, each against it."""

import re

import numpy as np
import pytest
from cases import CELLS, Case, for_each_cell, loss_of, run, run_by_tape, seeds

import scratch
from compare.agreement import assert_all_same, assert_same
from scratch import numerical, rtrl, tape

single = dict(layers=1, bidirectional=False, bias=True, padded=False)


@for_each_cell(**single)
def test_the_tape_gives_the_same_gradients(case):
    got = {name: array for name, array in run(case).items() if name != "y"}
    assert_all_same(got, run_by_tape(case), "against the tape:", case.cell)


@pytest.mark.parametrize("cell", CELLS)
def test_what_the_tape_says_is_what_it_does(cell):
    """Every line of the tape, read as Python, gives the value and the shares that were computed."""
    (layer, options), H, rng = scratch.CELLS[cell], 4, np.random.default_rng(0)
    shapes = {"x": (2, 3), **dict.fromkeys(["h", "c"][: layer.states], (2, H))}
    G, columns = len(layer.cell.GATES), {"weight_ih": (3,), "weight_hh": (H,), "bias_ih": (), "bias_hh": ()}
    shapes |= {kind: (G * H, *columns[kind]) for kind in layer.weights}
    t = tape.Tape()
    leaves = [t.variable(rng.standard_normal(shape), name) for name, shape in shapes.items()]
    step = getattr(tape, f"{scratch.file_of(cell)}_step")
    results = step(*leaves, **options) if cell == "rnn_relu" else step(*leaves)  # tanh where nothing is named
    results = results if isinstance(results, tuple) else (results,)
    t.backward({result: rng.standard_normal((2, H)) for result in results})

    def block(a, k):
        return a[:, k * H : (k + 1) * H]

    def in_block(d, k):
        whole = np.zeros((2, G * H))
        whole[:, k * H : (k + 1) * H] = d
        return whole

    names = {"tanh": np.tanh, "sigmoid": tape.logistic, "relu": lambda a: np.maximum(a, 0)}
    names |= {"block": block, "in_block": in_block} | {str(v): v.value for v in t}
    assert [str(leaf) for leaf in leaves] == list(shapes)
    of = {"rnn": "tanh", "rnn_relu": "relu", "gru": "tanh", "lstm": "tanh", "mingru": "sigmoid"}[cell]
    assert any(v.text.startswith(of) for v in t)
    seen = [v.equation for v in t if v.operands]
    assert list(dict.fromkeys(seen)) == re.findall(r"^ +\(([A-Z]\d)\)  ", layer.cell.__doc__, re.M)
    for v in t:
        if not v.operands:
            continue
        text = re.sub(r"(\w+)\[block (\d)\]", r"block(\1, \2)", v.text)
        np.testing.assert_array_equal(eval(text, names), v.value, v.text)
        for operand, share, how in v.operands:
            text = re.sub(r"d in block (\d)", r"in_block(d, \1)", how).replace("sum over rows of d", "d.sum(axis=0)")
            np.testing.assert_array_equal(
                eval(text, names | {"d": v.grad}), share(v.grad), f"{v.text}: {operand}: {how}"
            )


def test_at_the_kink_of_a_relu_the_slope_is_0_as_in_torch():
    """A sum of exactly 0, by hand, by the tape and in torch."""
    t = tape.Tape()
    a = t.variable(np.array([[-1.0, 0.0, 1.0]]), "a")
    t.backward({tape.relu(a): np.ones((1, 3))})
    np.testing.assert_array_equal(a.grad, [[0, 0, 1]])
    layer = scratch.RNN(1, 1, nonlinearity="relu", bias=False, dtype=np.float64)
    layer.forward(np.zeros((1, 1, 1)))
    dx, _ = layer.backward(np.ones((1, 1, 1)))
    np.testing.assert_array_equal(dx, 0)


@for_each_cell(**single, cell=["rnn"])
def test_forward_mode_gives_the_same_gradients(case):
    x, (h_0,), dy, (dh_n,), _ = case.problem()
    params = case.layer().params
    dh_0, *grads = rtrl.gradients(x, h_0[0], *params.values(), dy, dh_n[0])
    got = {"dh_0": dh_0[None], **dict(zip(params, grads, strict=True))}
    expected = run(case)
    assert_all_same(got, {name: expected[name] for name in got}, "forward mode")


@for_each_cell(seeds)
def test_the_complex_step_in_a_random_direction(case, seed):
    loss, arrays, gradient = loss_of(case)
    direction = numerical.random_direction(arrays, np.random.default_rng(seed))
    # the terms of the sum may cancel: what rounding can do is measured by their sizes
    size = sum(np.sum(np.abs(gradient[name] * direction[name])) for name in arrays)
    got = numerical.complex_step(loss, arrays, direction)
    assert abs(got - numerical.along(gradient, direction)) <= 1e-12 * size


@pytest.mark.parametrize("cell", CELLS)
def test_a_complex_step_may_move_one_array_alone(cell):
    """All others are real then, and no imaginary part may be lost on the way."""
    case = Case(cell, 2, True, True, T=4, B=3, I=2, H=3, padded=True, seed=0)
    loss, arrays, gradient = loss_of(case)
    for name, direction in numerical.random_direction(arrays, np.random.default_rng(1)).items():
        got = numerical.complex_step(loss, arrays, {name: direction})
        assert_same(got, np.sum(gradient[name] * direction), name)


@for_each_cell(seeds, layers=1, cell=[cell for cell in CELLS if cell != "rnn_relu"])  # which has kinks
def test_the_taylor_remainder_shrinks_as_the_square(case, seed):
    loss, arrays, gradient = loss_of(case)
    direction = numerical.random_direction(arrays, np.random.default_rng(seed))
    assert numerical.taylor(loss, arrays, gradient, direction).slope > 1.7
    wrong = {name: gradient[name] + direction[name] for name in arrays}  # an error that the direction cannot miss
    assert numerical.taylor(loss, arrays, wrong, direction).slope < 1.3


def test_a_random_direction_asks_about_every_entry():
    arrays = {"a": np.zeros((2, 3)), "b": np.zeros(())}
    direction = numerical.random_direction(arrays, np.random.default_rng(0))
    assert {name: np.shape(v) for name, v in direction.items()} == {"a": (2, 3), "b": ()}
    assert len(np.unique(direction["a"])) == 6


def test_the_numerical_oracles_take_any_function():
    arrays = {"a": np.array([1.0, 2.0]), "b": np.array(3.0)}

    def function(p):
        return np.sum(p["a"] ** 2) * p["b"]

    right = {"a": np.array([6.0, 12.0]), "b": np.array(5.0)}
    assert_all_same(numerical.complex_gradient(function, arrays), right, "")
    direction = {"a": np.array([1.0, -1.0]), "b": np.array(2.0)}
    assert numerical.complex_step(function, arrays, direction) == pytest.approx(4.0, rel=1e-14)
    assert numerical.taylor(function, arrays, right, direction)[1] == pytest.approx(2, abs=0.1)


def test_what_takes_abs_is_refused_by_the_complex_step():
    """np.var, norm and float() would give a slope that is silently wrong."""
    rng = np.random.default_rng(0)
    arrays = {"x": rng.standard_normal(5)}
    direction = numerical.random_direction(arrays, rng)
    for function in (
        lambda p: np.sum(p["x"] / np.sqrt(np.var(p["x"]) + 1)),
        lambda p: np.linalg.norm(p["x"]) + 0j,
        lambda p: np.sum(np.abs(p["x"])) + 0j,
    ):
        with pytest.raises(ValueError, match="imaginary part"):
            numerical.complex_step(function, arrays, direction)
        with pytest.raises(ValueError, match="imaginary part"):
            numerical.complex_gradient(function, arrays)


def relu(x):
    return np.where(x.real > 0, x, 0)


@pytest.mark.parametrize(
    ("function", "x", "slope"),
    [
        (relu, [3e-6, -3e-6, 1.0], 2),
        (relu, [5e-7, -3e-6, 1.0], 2),
        (lambda x: np.sin(1e6 * x), [0.3, 0.7], pytest.approx(np.sum(1e6 * np.cos([3e5, 7e5])), rel=1e-9)),
        (lambda x: x + 1e12, [0.0, 0.0], 2),  # a step of 1e-5 changes nothing
    ],
    ids=["near a kink", "nearer", "where it curves fast", "where a difference is all rounding"],
)
def test_the_complex_step_is_believed_where_a_central_difference_is_wrong(function, x, slope):
    arrays, direction = {"x": np.array(x)}, {"x": np.ones(len(x))}
    assert numerical.complex_step(lambda p: np.sum(function(p["x"])), arrays, direction) == slope


def test_what_is_not_finite_gets_no_verdict():
    arrays, direction = {"a": np.array([1.0, 2.0])}, {"a": np.ones(2)}
    for gradient, function in (
        (np.array([np.nan, 1]), lambda p: np.sum(p["a"] ** 2)),
        (np.array([2.0, 4]), lambda p: np.sum(p["a"]) * np.inf),
    ):
        with pytest.raises(ValueError, match="not finite"):
            numerical.taylor(function, arrays, {"a": gradient}, direction)


@pytest.mark.parametrize("check", ["along", "complex_step", "taylor"])
def test_a_direction_may_leave_out_arrays_but_names_none_that_is_not_there(check):
    arrays = {"a": np.array([1.0, 2.0]), "b": np.array(3.0)}
    gradient = {"a": np.array([6.0, 12.0]), "b": np.array(5.0)}

    def function(p):
        return np.sum(p["a"] ** 2) * p["b"]

    def run(direction):
        if check == "along":
            return numerical.along(gradient, direction)
        if check == "complex_step":
            return numerical.complex_step(function, arrays, direction)
        return 18 if numerical.taylor(function, arrays, gradient, direction).verdict == "right: slope 2" else 0

    assert run({"a": np.ones(2)}) == pytest.approx(18)
    with pytest.raises(ValueError, match="no array is called A; the names are a, b"):
        run({"A": np.ones(2)})


def test_taylor_says_when_the_remainder_is_rounding():
    arrays = {"a": np.array([1.0, 2.0])}
    direction = {"a": np.array([0.3, -0.7])}

    def linear(p):
        return np.sum(p["a"] * np.array([3, 5], p["a"].dtype))

    right = {"a": np.array([3.0, 5.0])}
    found = numerical.taylor(linear, arrays, right, direction)
    said = re.fullmatch(r"right: the remainder is rounding \(errors below (.*) would not show\)", found.verdict)
    shows = {"a": right["a"] + np.array([4 * float(said[1]) / 0.3, 0])}
    assert numerical.taylor(linear, arrays, shows, direction).verdict == "wrong: slope 1"
    single = {"a": arrays["a"].astype(np.float32)}
    direction = {"a": direction["a"].astype(np.float32)}
    in_single = numerical.taylor(linear, single, right, direction)
    assert in_single.verdict == "cannot tell: use float64"
    for each in (found, in_single):
        assert np.isnan(each.slope) and len(each.remainders) == len(numerical.STEPS)


def test_three_steps_are_enough_for_a_slope():
    """Of which the remainders are those of the square."""
    steps, arrays, direction = np.array([0.5, 0.25, 0.125]), {"a": np.array([1.0])}, {"a": np.ones(1)}
    found = numerical.taylor(lambda p: np.sum(p["a"] ** 2), arrays, {"a": np.array([2.0])}, direction, steps)
    np.testing.assert_array_equal(found.remainders, steps**2)
    assert found.verdict == "right: slope 2"
