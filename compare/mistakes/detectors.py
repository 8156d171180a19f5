"""Five weak ways of checking a backward pass, as people use them. The strong way is the test suite.

Each is a function of the package: `scratch` itself, or `scratch` with a mistake planted (plant.py). It raises
AssertionError when it sees something wrong. They run many layers, padding and two directions included; what makes
them weak is which gradients they look at, at what sizes, with which upstream gradient.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations
from types import ModuleType

import numpy as np

import scratch
from compare.agreement import CANCELLED, assert_all_same, tolerance
from data import Batch
from scratch import numerical


@dataclass(frozen=True)
class Setting:
    """A recurrent layer and the sizes of its batch. lengths: one per row, None when all rows have T steps."""

    cell: str
    layers: int = 1
    bidirectional: bool = False
    lengths: tuple | None = None
    T: int = 3
    B: int = 3
    I: int = 3
    H: int = 2


CELLS = tuple(scratch.CELLS)
# Sorting these rows by length is more than swapping two, and the last step is padding for all of them.
PADDED = dict(lengths=(2, 4, 3), T=5)
ONE_LAYER = tuple(Setting(cell) for cell in CELLS)
STACKED = tuple(Setting(cell, layers=2, bidirectional=True) for cell in CELLS if cell != "rnn_relu")
FOR_THE_WEAK = (*ONE_LAYER, replace(STACKED[0], **PADDED))


class Trial:
    """A recurrent layer with its input, initial state and upstream gradients, from a fixed seed.

    weights: a factor for the parameters; upstream: "all" for random gradients on y, h_n and c_n, "outputs" for y alone,
    "ones" for ones on y, from a state of zeros.
    `arrays` holds what has a gradient: "h_0", for an LSTM "c_0", "x" and the parameters. `given` also holds the
    upstream gradients: all that the layer gets and must leave unchanged.
    """

    def __init__(self, package: ModuleType, setting: Setting, *, weights: float = 1.0, upstream: str = "all"):
        s, rng = setting, np.random.default_rng(3)
        D = 1 + s.bidirectional
        kind, options = package.CELLS[s.cell]
        sizes = dict(num_layers=s.layers, bidirectional=s.bidirectional)
        self.layer = kind(s.I, s.H, **sizes, **options, dtype=np.float64, rng=rng)
        self.lengths = None if s.lengths is None else np.array(s.lengths)
        self.states, self.ends = ("h_0", "c_0")[: kind.states], ("h_n", "c_n")[: kind.states]
        shape = (s.layers * D, s.B, s.H)
        # ten times as large as usual, so that a gradient that is clipped on its way shows it
        dy = 10 * rng.standard_normal((s.T, s.B, D * s.H)) if upstream != "ones" else np.ones((s.T, s.B, D * s.H))
        dends = {f"d{name}": 10 * rng.standard_normal(shape) * (upstream == "all") for name in self.ends}

        self.arrays = {name: rng.standard_normal(shape) * (upstream != "ones") for name in self.states}
        self.arrays["x"] = rng.standard_normal((s.T, s.B, s.I))
        self.arrays |= {name: weights * p for name, p in self.layer.params.items()}
        self.given = self.arrays | {"dy": dy} | dends

    def forward(self, arrays: dict) -> dict:
        """Run the layer on these arrays in place of `arrays`. Returns y and the last states, by name."""
        self.layer.params = {name: arrays[name] for name in self.layer.params}
        state = self.pack([arrays[name] for name in self.states])
        y, state_n = self.layer.forward(arrays["x"], state, self.lengths)
        return {"y": y} | dict(zip(self.ends, self.unpack(state_n), strict=True))

    def backward(self, given: dict) -> dict:
        """The gradients of `arrays`, by name, for the upstream gradients in `given`."""
        dx, dstate = self.layer.backward(given["dy"], self.pack([given[f"d{name}"] for name in self.ends]))
        return dict(zip(self.states, self.unpack(dstate), strict=True)) | {"x": dx} | self.layer.grads

    def gradients(self) -> dict:
        """Forward and backward. The layer gets copies: no way of checking sees by accident what it overwrites."""
        given = copies(self.given)
        self.forward(given)
        return self.backward(given)

    def loss(self, arrays: dict) -> complex:
        """The number whose gradient `backward` computes: the sum of every output times its upstream gradient."""
        dtype = np.result_type(*arrays.values())  # all complex where one is: a mistake may write one into another
        out = self.forward({name: array.astype(dtype) for name, array in arrays.items()})
        return sum(np.sum(out[name] * self.given[f"d{name}"]) for name in out)

    def pack(self, state: list):
        return state[0] if len(self.states) == 1 else tuple(state)

    def unpack(self, state) -> list:
        return [state] if len(self.states) == 1 else list(state)


# ---- the weak ways --------------------------------------------------------------------------------------------------


def small_weights_to_two_percent(package: ModuleType) -> None:
    """The parameters of a model with small weights, state from zero: finite differences, relative error below 2 %."""
    rng = np.random.default_rng(1)
    each, last = rng.integers(2, size=(3, 2)), rng.integers(2, size=2)
    numbers, ids = rng.standard_normal((3, 2, 3)), rng.integers(4, size=(3, 2))
    tried = [(dict(cell=cell, input_size=3), Batch(numbers, each)) for cell in CELLS]
    tried.append((dict(cell="rnn", vocab_size=4), Batch(ids, each)))
    stacked = dict(cell="rnn", vocab_size=9, num_layers=2, bidirectional=True, predict="last")
    tried.append((stacked, Batch(ids, last, np.array([2, 3]))))
    for arguments, batch in tried:
        model = package.SequenceModel(
            **arguments, output_size=2, hidden_size=2, dtype=np.float64, rng=np.random.default_rng(2)
        )
        for p in model.params.values():
            p *= 0.1
        model.loss(batch)
        gradient = copies(model.backward())
        near(gradient, finite_differences(lambda m=model, b=batch: m.loss(b), model.params), 2e-2)


def one_step(package: ModuleType) -> None:
    """Every gradient with its shape, frozen arguments and a second call, but on sequences of one step."""
    for setting in (*ONE_LAYER, *STACKED):
        trial = Trial(package, replace(setting, T=1))
        given = copies(trial.given)
        trial.forward(given)
        gradient = trial.backward(given)
        for name, array in trial.given.items():
            ensure(np.array_equal(given[name], array), f"{name} was overwritten")
        for one, other in combinations(gradient, 2):  # otherwise clipping one in place would also scale the other
            ensure(not np.shares_memory(gradient[one], gradient[other]), f"d{one} and d{other} share memory")
        once = copies(gradient)
        for name, array in trial.arrays.items():
            shape = np.shape(once[name])
            ensure(shape == array.shape, f"the gradient of {name} has shape {shape}, it should be {array.shape}")
        slopes_agree(trial, once, trial.arrays)
        assert_all_same(trial.gradients(), once, "forward and backward once more: gradient of", setting.cell)
        assert_all_same(trial.backward(copies(trial.given)), once, "backward once more: gradient of", setting.cell)


def one_row_with_tiny_weights(package: ModuleType) -> None:
    """The parameters alone, one row, weights near zero: finite differences, relative error below 0.1 %."""
    for setting in FOR_THE_WEAK:
        setting = replace(setting, B=1, lengths=None if setting.lengths is None else (4,))
        trial = Trial(package, setting, weights=0.01, upstream="outputs")
        gradient = trial.gradients()
        parameters = {name: trial.arrays[name] for name in trial.layer.params}
        near(gradient, finite_differences(lambda t=trial: t.loss(t.arrays), parameters), 1e-3)


def ones_from_a_zero_state(package: ModuleType) -> None:
    """The loss is `y.sum()` and the initial state zero, as by default; but every slope is exact."""
    for setting in FOR_THE_WEAK:
        trial = Trial(package, setting, upstream="ones")
        slopes_agree(trial, trial.gradients(), [name for name in trial.arrays if name not in trial.states])


def random_on_the_outputs(package: ModuleType) -> None:
    """Every gradient from a random state, random upstream gradients on y, every slope exact; nothing on h_n and c_n."""
    for setting in FOR_THE_WEAK:
        trial = Trial(package, setting, upstream="outputs")
        slopes_agree(trial, trial.gradients(), trial.arrays)


def finite_differences(function: Callable[[], float], arrays: dict, step: float = 1e-6) -> dict:
    """(f(x + step) - f(x)) / step for every entry of `arrays`, which `function` reads and this changes in place."""
    gradient, before = {}, function()
    for name, array in arrays.items():
        gradient[name] = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            x = array[index]
            array[index] = x + step
            gradient[name][index] = (function() - before) / step
            array[index] = x
    return gradient


def near(got: dict, expected: dict, tolerance: float) -> None:
    """As many checkers compare: the error relative to the norm. Shapes need only broadcast, and a nan passes."""
    for name in expected:
        error = np.linalg.norm(got[name] - expected[name])
        allowed = tolerance * (np.linalg.norm(got[name]) + np.linalg.norm(expected[name]))
        ensure(not error > allowed, f"{name}: the error is {error:.2g}, allowed is {allowed:.2g}")


def slopes_agree(trial: Trial, gradient: dict, names: Iterable[str]) -> None:
    """Each array's gradient gives the slope of the loss in a random direction: one number that depends on all entries.

    The slope comes from a complex step through the package's own forward: does the backward belong to it?
    """
    for name in names:
        direction = {name: np.random.default_rng(4).standard_normal(trial.arrays[name].shape)}
        slope = numerical.complex_step(trial.loss, trial.arrays, direction)
        promised = numerical.along(gradient, direction)
        terms = np.sum(np.abs(gradient[name] * direction[name]))  # they may cancel: rounding is measured by their sizes
        said = f"{name}: in a random direction the slope is {slope:.6g}, by the gradient it is {promised:.6g}"
        ensure(abs(slope - promised) <= tolerance(float) * max(terms, CANCELLED), said)


def copies(arrays: dict) -> dict:
    return {name: array.copy() for name, array in arrays.items()}


def ensure(holds: bool, otherwise: str) -> None:
    """An `assert` that python -O keeps."""
    if not holds:
        raise AssertionError(otherwise)


WEAK = {
    "parameters only, small weights, finite differences to 2 %": small_weights_to_two_percent,
    "everything, at T = 1": one_step,
    "parameters only, B = 1, weights x 0.01, finite differences to 0.1 %": one_row_with_tiny_weights,
    "upstream gradient of ones, zero initial state": ones_from_a_zero_state,
    "random upstream gradient on the outputs only": random_on_the_outputs,
}


def sees(way: Callable[[ModuleType], None], package: ModuleType) -> bool:
    """True when this way of checking raises AssertionError. Another error is a bug of ours and is not caught."""
    with np.errstate(all="ignore"):  # a wrong gradient may overflow
        try:
            way(package)
        except AssertionError:
            return True
    return False
