"""What the property tests draw: a configuration and a seed. The arrays follow from the seed, so that a failure shrinks
to few steps, rows and units rather than to round numbers."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scratch


@dataclass(frozen=True)
class Case:
    """A recurrent layer with random weights, input, first state and upstream gradients on all its outputs."""

    cell: str  # rnn, rnn_relu, gru, lstm
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

    @property
    def arguments(self):
        nonlinearity = {"rnn": {"nonlinearity": "tanh"}, "rnn_relu": {"nonlinearity": "relu"}}.get(self.cell, {})
        return dict(num_layers=self.layers, bias=self.bias, bidirectional=self.bidirectional, **nonlinearity)

    @property
    def name(self):
        return {"gru": "GRU", "lstm": "LSTM"}.get(self.cell, "RNN")

    @property
    def states(self):
        return 2 if self.cell == "lstm" else 1

    def layer(self, dtype=None):
        rng = np.random.default_rng([self.seed, 1])
        return getattr(scratch, self.name)(self.I, self.H, **self.arguments, dtype=dtype or self.dtype, rng=rng)

    def torch_layer(self):
        import torch  # here, so that the tests of scratch/ alone run without it

        layer = getattr(torch.nn, self.name)(self.I, self.H, **self.arguments, dtype=getattr(torch, self.dtype))
        layer.load_state_dict({name: torch.tensor(p) for name, p in self.layer().params.items()})
        return layer

    def problem(self):
        """x (T, B, I), state, dy (T, B, D*H), dstate_n, lengths: random, frozen, states as lists of arrays."""
        rng = np.random.default_rng([self.seed, 2])
        D = 1 + self.bidirectional

        def draw(*shape):
            array = rng.standard_normal(shape).astype(self.dtype)
            array.flags.writeable = False
            return array

        x = draw(self.T, self.B, self.I)
        state = [draw(self.layers * D, self.B, self.H) for _ in range(self.states)]
        dy = draw(self.T, self.B, D * self.H)
        dstate_n = [draw(self.layers * D, self.B, self.H) for _ in range(self.states)]
        lengths = rng.integers(1, self.T, size=self.B, endpoint=True) if self.padded else None
        return x, state, dy, dstate_n, lengths

    def pack(self, state):
        """A list of states in the form that the layers take: an array, for an LSTM a pair."""
        return state[0] if self.states == 1 else tuple(state)

    def unpack(self, state):
        return [state] if self.states == 1 else list(state)


CELLS = ("rnn", "rnn_relu", "gru", "lstm")
seeds = st.integers(0, 2**32 - 1)


def cases(dtypes=("float64",), **fixed):
    """Configurations; a keyword fixes a field."""
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
    """Run a test with a case of every cell, so that none is left to chance, and what the strategies `more` draw.

    A failure ends with a snippet that sees it again, without pytest and hypothesis.
    """

    def decorate(test):
        @pytest.mark.parametrize("cell", fixed.pop("cell", CELLS))
        @given(data=st.data())
        def run(cell, data):
            __tracebackhide__ = True
            case, others = data.draw(cases(cell=cell, **fixed)), [data.draw(strategy) for strategy in more]
            try:
                test(case, *others)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{snippet(test, case, *others)}") from error

        run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
        run.plain = test
        return run

    return decorate


def snippet(test, *arguments):
    """Lines of Python to paste, in the folder of the project, that run a test with just these arguments."""
    return "\n".join(
        [
            "  to see it again:",
            "    import sys; sys.path.insert(0, 'tests')",
            "    from cases import Case",
            f"    from {test.__module__} import {test.__name__}",
            f"    {test.__name__}.plain({', '.join(map(repr, arguments))})",
        ]
    )
