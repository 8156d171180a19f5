"""What the property tests draw: a configuration and a seed. The arrays follow from the seed, so a failure shrinks to
few steps, rows and units rather than to round numbers."""

import traceback
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratch
from compare.agreement import difference, least_size
from scratch import numerical, tape


@dataclass(frozen=True)
class Case:
    """A recurrent layer with random weights, input, first state and upstream gradients on all its outputs."""

    cell: str  # a name of scratch.CELLS
    layers: int
    bidirectional: bool
    bias: bool
    T: int
    B: int
    I: int
    H: int
    padded: bool
    seed: int
    dtype: str = "float64"
    upstream: float = 1.0  # the size of the upstream gradients

    @property
    def kind(self):
        """The layer's class, and the options that make it this cell."""
        return scratch.CELLS[self.cell]

    @property
    def module(self):
        """The module with the cell's forward and backward."""
        return self.kind[0].cell

    @property
    def file(self):
        """The name of that module's file in scratch/, without .py."""
        return scratch.file_of(self.cell)

    @property
    def path(self):
        return self.module.__name__.replace(".", "/") + ".py"

    @property
    def states(self):
        return self.kind[0].states

    @property
    def arguments(self):
        return dict(num_layers=self.layers, bias=self.bias, bidirectional=self.bidirectional, **self.kind[1])

    def layer(self, dtype=None):
        rng = np.random.default_rng([self.seed, 1])
        return self.kind[0](self.I, self.H, **self.arguments, dtype=dtype or self.dtype, rng=rng)

    def torch_layer(self):
        import torch  # here, so that the tests of scratch/ run without it

        from torch_impl.model import CELLS

        layer = CELLS[self.cell][0](self.I, self.H, **self.arguments, dtype=getattr(torch, self.dtype))
        layer.load_state_dict({name: torch.tensor(p) for name, p in self.layer().params.items()})
        return layer

    def problem(self):
        """x (T, B, I), state, dy (T, B, D*H), dstate_n, lengths: random, frozen, states as lists of arrays."""
        rng = np.random.default_rng([self.seed, 2])
        D = 1 + self.bidirectional

        def draw(*shape, size=1.0):
            array = (size * rng.standard_normal(shape)).astype(self.dtype)
            array.flags.writeable = False
            return array

        x = draw(self.T, self.B, self.I)
        state = [draw(self.layers * D, self.B, self.H) for _ in range(self.states)]
        dy = draw(self.T, self.B, D * self.H, size=self.upstream)
        dstate_n = [draw(self.layers * D, self.B, self.H, size=self.upstream) for _ in range(self.states)]
        lengths = rng.integers(1, self.T, size=self.B, endpoint=True) if self.padded else None
        return x, state, dy, dstate_n, lengths

    def pack(self, state):
        """A list of states in the form that the layers take: an array, for an LSTM a pair."""
        return state[0] if self.states == 1 else tuple(state)

    def unpack(self, state):
        return [state] if self.states == 1 else list(state)


def run(case, problem=None, layer=None, embedding=None, trace=None):
    """Everything that forward and backward return, by name. problem: as from Case.problem, which is the default."""
    x, state, dy, dstate_n, lengths = case.problem() if problem is None else problem
    layer = case.layer() if layer is None else layer
    y, state_n = layer.forward(x, case.pack(state), lengths, embedding)
    dx, dstate = layer.backward(dy, case.pack(dstate_n), trace)
    return outputs(case, y, state_n) | gradients(case, layer, dx, dstate)


def outputs(case, y, state_n):
    return {"y": y, **{f"{name}_n": s for name, s in zip("hc", case.unpack(state_n), strict=False)}}


def gradients(case, layer, dx, dstate):
    return {"dx": dx, **{f"d{name}_0": s for name, s in zip("hc", case.unpack(dstate), strict=False)}, **layer.grads}


def run_by_tape(case):
    """What `run` returns, but for y, by the tape: for one layer with one direction and biases, without padding."""
    x, state, dy, dstate_n, _ = case.problem()
    t = tape.Tape()
    weights = [t.variable(p, name) for name, p in case.layer().params.items()]
    inputs = [t.variable(x_t, f"x_{k}") for k, x_t in enumerate(x)]
    first = [t.variable(s[0], name) for s, name in zip(state, ["h_0", "c_0"], strict=False)]
    step = getattr(tape, f"{case.file}_step")
    upstream, last = {}, first
    for x_t, dy_t in zip(inputs, dy, strict=True):
        last = step(x_t, *last, *weights, **case.kind[1])
        last = last if isinstance(last, tuple) else (last,)
        upstream[last[0]] = dy_t
    for variable, gradient in zip(last, dstate_n, strict=True):
        upstream[variable] = upstream.get(variable, 0) + gradient[0]
    for _ in range(2):  # the second time with what the first one left
        t.backward(upstream)
    found = {f"{name}_n": s.value[None] for name, s in zip("hc", last, strict=False)}
    found |= {"dx": np.stack([v.grad for v in inputs])}
    found |= {f"d{name}_0": s.grad[None] for name, s in zip("hc", first, strict=False)}
    return found | {w.text: w.grad for w in weights}


def loss_of(case):
    """The loss as a function of a dict of arrays, those arrays, and the gradient by hand, for the numerical oracles."""
    x, state, dy, dstate_n, lengths = case.problem()

    def loss(arrays):
        layer = case.layer()
        layer.params = {name: arrays[name] for name in layer.params}
        h_and_c = [arrays[name] for name in ("h_0", "c_0")[: case.states]]
        y, state_n = layer.forward(arrays["x"], case.pack(h_and_c), lengths)
        return np.sum(y * dy) + sum(np.sum(s * d) for s, d in zip(case.unpack(state_n), dstate_n, strict=True))

    layer = case.layer()
    by_hand = run(case, layer=layer)
    arrays = {"x": x, **dict(zip(("h_0", "c_0"), state, strict=False)), **layer.params}
    return loss, arrays, {name: by_hand[name if name in layer.params else f"d{name}"] for name in arrays}


def run_by_complex_step(case):
    """The gradients that `run` returns, by complex steps through the forward pass: for small float64 cases."""
    loss, arrays, _ = loss_of(case)
    found = numerical.complex_gradient(loss, arrays)
    return {f"d{name}" if name in ("x", "h_0", "c_0") else name: g for name, g in found.items()}


def diagnose(case, oracle):
    """What is wrong with the cell of a case, with one layer and one direction; None if nothing is.

    oracle: a function of the case that returns the expected arrays by name.
    """
    path = case.path
    layer, trace = case.layer(), []
    for p in layer.params.values():
        p.flags.writeable = False
    try:
        got = run(case, layer=layer, trace=trace)
    except Exception as error:
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if path in frame.filename][-1:]
        lines = "".join(f"{path}, line {f.lineno}: {f.line}\n" for f in where) + f"{type(error).__name__}: {error}"
        return "".join(f"{path}: {sentence}\n" for sentence in overwritten(case)) + lines
    for (name, array), (other, result) in combinations(got.items(), 2):
        if name != "y" and np.shares_memory(array, result):
            return f"{path}: the gradients {name} and {other} share memory: scaling one in place also scales the other"
    problem = explain(got | trace[0], oracle(case), case)
    return problem and f"{path}: {problem}"


def overwritten(case):
    """A sentence for each array that a cell is given and writes into, where such arrays may be written to."""
    layer, (x, state, dy, dstate_n, lengths) = case.layer(), case.problem()
    x, dy, state, dstate_n = x.copy(), dy.copy(), [s.copy() for s in state], [d.copy() for d in dstate_n]
    given = {"x": x, "dy": dy, **layer.params}
    given |= {f"{name}_0": s for name, s in zip("hc", state, strict=False)}
    given |= {f"d{name}_n": d for name, d in zip("hc", dstate_n, strict=False)}
    before = {name: array.copy() for name, array in given.items()}
    try:
        run(case, (x, state, dy, dstate_n, lengths), layer)
    except Exception:  # what stopped the cell was something else
        return []
    changed = [name for name in given if not np.array_equal(given[name], before[name])]
    upstream = [f"the gradient {name}, which backward is given, is overwritten" for name in changed if name[0] == "d"]
    arguments = [name for name in changed if name[0] != "d"]
    return upstream + [
        f"the gradient {name if name in layer.params else f'd{name}'} is taken at other values than {name} then has: "
        "the cell overwrites it"
        for name in arguments
    ]


def explain(got, expected, case):
    """Why the arrays of a cell are not the expected ones: the first wrong one in detail, then a list. None if right.

    First is what backward computes first: of the traced arrays the one that is wrong at the latest step.
    """
    least = least_size(expected.values())
    problems = {name: difference(np.asarray(got[name]), expected[name], name, case.cell, least) for name in expected}
    wrong = [name for name, problem in problems.items() if problem]
    if not wrong:
        return None

    def order(name):
        if name in ("y", "h_n", "c_n"):
            return 0, wrong.index(name)
        if name not in getattr(case.module, "TRACED", ()) or got[name].shape != expected[name].shape:
            return 2, wrong.index(name)
        steps = np.flatnonzero(~np.isclose(got[name], expected[name], rtol=1e-4, atol=least).all(axis=(1, 2)))
        return 1, -steps.max(initial=0), wrong.index(name)

    first = min(wrong, key=order)
    right = [name for name in problems if name not in wrong]
    kind = "output" if order(first)[0] == 0 else "gradient"
    return f"the {kind} {problems[first]}\nwrong: {', '.join(wrong)}\nright: {', '.join(right) or 'none'}"


CELLS = list(scratch.CELLS)
BOTH = ("float64", "float32")
seeds = st.integers(0, 2**32 - 1)
OPTIMIZERS = [  # the class, and its options
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"weight_decay": 0.1}),
    ("Adam", {}),
    ("Adam", {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("AdamW", {}),
    ("AdamW", {"betas": (0.8, 0.95), "weight_decay": 0.2}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "momentum": 0.8, "weight_decay": 0.1, "eps": 1e-4}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "eps": 1e-3}),
]


def cases(dtypes=("float64",), **fixed):
    """Strategy for a Case; a keyword fixes a field."""
    drawn = dict(
        cell=st.sampled_from(CELLS),
        layers=st.integers(1, 3),
        bidirectional=st.booleans(),
        bias=st.booleans(),
        T=st.integers(1, 6),
        B=st.integers(1, 4),
        I=st.integers(1, 4),
        H=st.integers(1, 5),
        padded=st.booleans(),
        seed=seeds,
        dtype=st.sampled_from(dtypes),
    )
    return st.builds(Case, **(drawn | {name: st.just(value) for name, value in fixed.items()}))


def for_each_cell(*more, **fixed):
    """Run a test once per cell, with drawn cases and whatever the strategies `more` draw.

    A failure ends with a snippet that reproduces it without pytest and hypothesis.
    """

    cells = fixed.pop("cell", CELLS)

    def decorate(test):
        drawn = {cell: st.tuples(cases(cell=cell, **fixed), *more) for cell in cells}

        @pytest.mark.parametrize("cell", cells)
        @given(data=st.data())
        def run(cell, data):
            __tracebackhide__ = True
            arguments = data.draw(drawn[cell])
            try:
                test(*arguments)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{snippet(test, *arguments)}") from error

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        run.plain = test
        return run

    return decorate


def snippet(test, *arguments):
    """Lines of Python, to be pasted in the project's folder, that run a test with these arguments."""
    folder = Path(test.__code__.co_filename).parent.name
    return "\n".join(
        [
            "  to reproduce:",
            f"    import sys; sys.path[:0] = ['tests', 'tests/{folder}']",
            "    from cases import Case",
            f"    from {test.__module__} import {test.__name__}",
            f"    {test.__name__}.plain({', '.join(map(repr, arguments))})",
        ]
    )
