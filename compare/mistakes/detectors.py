"""Ways of checking a backward pass, the weak ones as people use them and the strong ones, and what each of them sees.

A check is a function of the package: `scratch` itself, or `scratch` with a mistake planted (plant.py). It
raises AssertionError when it sees something wrong. The weak checks run the same layers as the strong ones, padding and
two directions among them; what they leave out is in how they look: at which gradients, at what sizes, with what on top.
"""

import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np

from compare.agreement import assert_all_same, assert_same
from compare.mistakes.catalogue import MISTAKES
from compare.mistakes.plant import planted
from data import Batch
from scratch import numerical


@dataclass(frozen=True)
class Setting:
    """A recurrent layer and its batch.

    lengths: one for each row, None when all have T steps; V: read ids below V through an embedding, None for numbers.
    """

    cell: str
    layers: int = 1
    bidirectional: bool = False
    lengths: tuple | None = None
    V: int | None = None
    T: int = 3
    B: int = 3
    I: int = 3
    H: int = 2


CELLS = ("rnn", "rnn_relu", "gru", "lstm")
# Sorting these rows by length is no mere swap, and the last step is padding for all of them.
PADDED = dict(lengths=(2, 4, 3), T=5)
ONE_LAYER = tuple(Setting(cell) for cell in CELLS)
STACKED = tuple(Setting(cell, layers=2, bidirectional=True) for cell in ("rnn", "gru", "lstm"))
STACKED_PADDED = tuple(Setting(cell, layers=2, bidirectional=True, **PADDED) for cell in ("gru", "lstm"))
WITH_IDS = (Setting("gru", V=4), Setting("lstm", bidirectional=True, V=150, **PADDED))
FOR_THE_WEAK = (*ONE_LAYER, Setting("rnn", layers=2, bidirectional=True, **PADDED))


class Trial:
    """A recurrent layer with its input, first state and upstream gradients, from a fixed seed.

    weights: a factor for the parameters; upstream: "all" for random numbers on y, h_n and c_n, "outputs" for y alone,
    "ones" on y; zero_state: start from zeros.
    `arrays` holds what has a gradient: "h_0", for an LSTM "c_0", "x" or the table "embedding", and the parameters.
    """

    def __init__(self, package, setting, weights=1.0, upstream="all", zero_state=False):
        s, rng = setting, np.random.default_rng(3)
        D = 1 + s.bidirectional
        kind = {"gru": package.GRU, "lstm": package.LSTM}.get(s.cell, package.RNN)
        sizes = dict(num_layers=s.layers, bidirectional=s.bidirectional)
        options = {"nonlinearity": "relu"} if s.cell == "rnn_relu" else {}
        self.package, self.setting = package, setting
        self.layer = kind(s.I, s.H, **sizes, **options, dtype=np.float64, rng=rng)
        self.lengths = None if s.lengths is None else np.array(s.lengths)

        self.states = ("h_0", "c_0") if s.cell == "lstm" else ("h_0",)
        shape = (s.layers * D, s.B, s.H)
        # ten times as large as usual: a gradient that is clipped on its way must show it
        self.dy = 10 * rng.standard_normal((s.T, s.B, D * s.H)) if upstream != "ones" else np.ones((s.T, s.B, D * s.H))
        self.dstate_n = [10 * rng.standard_normal(shape) * (upstream == "all") for _ in self.states]

        self.arrays = {name: rng.standard_normal(shape) * (not zero_state) for name in self.states}
        self.ids = None
        if s.V is None:
            self.arrays["x"] = rng.standard_normal((s.T, s.B, s.I))
        else:
            self.ids = rng.integers(s.V, size=(s.T, s.B))
            self.ids[1] = self.ids[0]  # some ids must occur twice
            self.arrays["embedding"] = rng.standard_normal((s.V, s.I))
        self.arrays |= {name: weights * p for name, p in self.layer.params.items()}

    def given(self):
        """Everything that the layer is given and must leave as it is, by name."""
        dstate_n = {f"d{name[0]}_n": d for name, d in zip(self.states, self.dstate_n, strict=True)}
        return {**self.arrays, "dy": self.dy, **dstate_n}

    def forward(self, arrays):
        """Run the layer with these arrays in place of `arrays`. Returns y and the last states, by name."""
        self.layer.params = {name: arrays[name] for name in self.layer.params}
        state = self.pack([arrays[name] for name in self.states])
        if self.ids is None:
            y, state_n = self.layer.forward(arrays["x"], state, self.lengths)
        else:
            y, state_n = self.layer.forward(self.ids, state, self.lengths, arrays["embedding"])
        return {"y": y, **{f"{name[0]}_n": s for name, s in zip(self.states, self.unpack(state_n), strict=True)}}

    def loss(self, arrays):
        """The number whose gradient the layer should find: every output times what is on top of it."""
        out = self.forward(copies(arrays))
        return sum(np.sum(out[name] * self.given()[f"d{name}"]) for name in out)

    def run(self):
        """A forward and a backward. Returns the outputs and the gradients of `arrays`, two dicts.

        The layer gets copies, so that no check sees by accident what it writes into; `handed` keeps them, to be looked
        at on purpose.
        """
        self.handed = copies(self.given())
        return self.forward(self.handed), self.backward()

    def backward(self):
        dstate_n = [self.handed[f"d{name[0]}_n"] for name in self.states]
        dx, dstate = self.layer.backward(self.handed["dy"], self.pack(dstate_n))
        dstate = dict(zip(self.states, self.unpack(dstate), strict=True))
        return {**dstate, "x" if self.ids is None else "embedding": dx, **self.layer.grads}

    def row(self, b):
        """The trial of row b alone, without its padding."""
        alone, stop, one = Trial(self.package, self.setting), self.lengths[b], slice(b, b + 1)
        alone.lengths = None
        alone.dy = self.dy[:stop, one]
        alone.dstate_n = [d[:, one] for d in self.dstate_n]
        alone.arrays = self.arrays | {name: self.arrays[name][:, one] for name in self.states}
        if self.ids is None:
            alone.arrays["x"] = self.arrays["x"][:stop, one]
        else:
            alone.ids = self.ids[:stop, one]
        return alone

    def pack(self, state):
        return state[0] if len(self.states) == 1 else tuple(state)

    def unpack(self, state):
        return [state] if len(self.states) == 1 else list(state)


# ---- the weak checks ------------------------------------------------------------------------------------------------


def parameters_to_two_percent(package):
    """A model's parameters alone, small weights, state from zero; finite differences, two per cent allowed."""
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


def one_step(package):
    """All that the strong checks ask of a layer, in sequences of one step."""
    for setting in (*ONE_LAYER, *STACKED):
        layer_is_right(Trial(package, replace(setting, T=1)))


def one_row_with_tiny_weights(package):
    """Parameters alone, one row, weights near zero; finite differences, one in a thousand allowed."""
    for setting in FOR_THE_WEAK:
        setting = replace(setting, B=1, lengths=None if setting.lengths is None else (4,))
        trial = Trial(package, setting, weights=0.01, upstream="outputs")
        _, gradient = trial.run()
        parameters = {name: trial.arrays[name] for name in trial.layer.params}
        near(gradient, finite_differences(lambda t=trial: t.loss(t.arrays), parameters), 1e-3)


def ones_from_a_zero_state(package):
    """`y.sum()` as the loss and no first state, as the defaults have it; but every slope exact."""
    for setting in FOR_THE_WEAK:
        trial = Trial(package, setting, upstream="ones", zero_state=True)
        _, gradient = trial.run()
        for name in [name for name in trial.arrays if name not in trial.states]:
            slope_agrees(trial.loss, trial.arrays, gradient, name)


def random_on_the_outputs(package):
    """Every gradient, from a random state, random numbers on the outputs, every slope exact; nothing on h_n and c_n."""
    for setting in FOR_THE_WEAK:
        trial = Trial(package, setting, upstream="outputs")
        _, gradient = trial.run()
        for name in trial.arrays:
            slope_agrees(trial.loss, trial.arrays, gradient, name)


def finite_differences(function, arrays, step=1e-6):
    """(f(x + step) - f(x)) / step for every entry of `arrays`, which `function` reads where they stand."""
    gradient, before = {}, function()
    for name, array in arrays.items():
        gradient[name] = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            x = array[index]
            array[index] = x + step
            gradient[name][index] = (function() - before) / step
            array[index] = x
    return gradient


def near(got, expected, tolerance):
    """As many checkers compare: an array's error relative to its norm. Shapes need only broadcast, and a nan passes."""
    for name in expected:
        error = np.linalg.norm(got[name] - expected[name])
        allowed = tolerance * (np.linalg.norm(got[name]) + np.linalg.norm(expected[name]))
        ensure(not error > allowed, f"{name}: off by {error:.2g}, allowed are {allowed:.2g}")


# ---- the strong checks: layers --------------------------------------------------------------------------------------


def each_cell(package):
    """Every cell in one layer and one direction."""
    for setting in ONE_LAYER:
        layer_is_right(Trial(package, setting))


def layers_and_directions(package):
    """Two layers of two directions, and what is omitted on top of them counts as zero."""
    for setting in STACKED:
        trial = Trial(package, setting)
        layer_is_right(trial)
        omitted_counts_as_zero(trial)


def rows_of_different_lengths(package):
    """Padded rows: their gradients, and every row gets what it gets alone."""
    for setting in STACKED_PADDED:
        trial = Trial(package, setting)
        layer_is_right(trial)
        rows_are_alone(trial)


def ids_for_numbers(package):
    """Ids, few and many: the table that they are looked up in is one more array with a gradient."""
    for setting in WITH_IDS:
        layer_is_right(Trial(package, setting))


def layer_is_right(trial):
    """Gradients by the complex step, their shapes, nothing overwritten, and the same once more."""
    _, gradient = trial.run()
    untouched(trial.handed, trial.given())
    arrays_of_their_own(gradient)
    once = copies(gradient)
    against_complex_step(trial.loss, trial.arrays, once, trial.setting.cell)
    _, gradient = trial.run()
    cell = trial.setting.cell
    assert_all_same(gradient, once, f"{cell}, forward and backward once more: the gradient of", cell)
    assert_all_same(trial.backward(), once, f"{cell}, backward once more: the gradient of", cell)


def against_complex_step(function, arrays, gradient, cell=None):
    """Every array's gradient has its shape, and the right slope; if not, a search says which entries are wrong.

    `function` is the forward as it is: this asks whether the backward belongs to it.
    """
    for name, array in arrays.items():
        ensure(name in gradient, f"there is no gradient of {name}")
        shape = np.shape(gradient[name])
        ensure(shape == array.shape, f"the gradient of {name} has shape {shape}, it should be {array.shape}")
        try:
            slope_agrees(function, arrays, gradient, name)
        except AssertionError:
            rest = {other: a.astype(complex) for other, a in arrays.items()}
            right = numerical.complex_gradient(lambda part, rest=rest: function(rest | part), {name: array})
            assert_same(gradient[name], right[name], f"{cell or ''} d{name}".strip(), cell)
            raise


def slope_agrees(function, arrays, gradient, name):
    """One array's gradient promises the slope of `function` in a random direction: all entries at one look."""
    direction = {name: np.random.default_rng(4).standard_normal(arrays[name].shape)}
    slope, promised = numerical.complex_step(function, arrays, direction), numerical.along(gradient, direction)
    terms = np.sum(np.abs(gradient[name] * direction[name]))  # they may cancel: rounding is measured by their sizes
    ensure(
        abs(slope - promised) <= 1e-11 * max(terms, 1e-3),
        f"{name}: in a random direction the slope is {slope:.6g}, the gradient promises {promised:.6g}",
    )


def rows_are_alone(trial):
    """A padded batch is its rows, each run without padding: outputs, last states and gradients."""
    out, gradient = trial.run()
    total = {}
    for b, length in enumerate(trial.lengths):
        out_alone, gradient_alone = trial.row(b).run()
        ours = {"y": out["y"][:length], **{name: s for name, s in out.items() if name != "y"}}
        ours |= {f"d{name}": gradient[name] for name in trial.states} | {"dx": gradient["x"][:length]}
        ours = {name: array[:, b : b + 1] for name, array in ours.items()}
        alone = out_alone | {f"d{name}": gradient_alone.pop(name) for name in (*trial.states, "x")}
        assert_all_same(ours, alone, f"row {b}, beside the same row alone,")
        ensure(not out["y"][length:, b].any(), f"row {b}: outputs past its end are not 0")
        ensure(not gradient["x"][length:, b].any(), f"row {b}: padding has a gradient")
        total = {name: g + total.get(name, 0) for name, g in gradient_alone.items()}
    assert_all_same({name: gradient[name] for name in total}, total, "beside the sum over rows alone, the gradient of")


def omitted_counts_as_zero(trial):
    """backward(dy) and backward(dstate_n=...) give what zeros for the other one give."""
    trial.forward(trial.arrays)
    dy, dstate_n = trial.dy, trial.pack(trial.dstate_n)
    no_dy, no_dstate_n = np.zeros_like(dy), trial.pack([np.zeros_like(d) for d in trial.dstate_n])
    for some, whole in (((dy,), (dy, no_dstate_n)), ((None, dstate_n), (no_dy, dstate_n))):
        dx, dstate = trial.layer.backward(*whole)
        expected = {"x": dx, "state": np.array(dstate), **trial.layer.grads}
        dx, dstate = trial.layer.backward(*some)
        got = {"x": dx, "state": np.array(dstate), **trial.layer.grads}
        assert_all_same(got, expected, "with dy or dstate_n omitted, the gradient of")


def embedding_and_linear(package):
    """The layers before and after, each by itself."""
    rng = np.random.default_rng(5)
    linear, embedding = (kind(5, 2, dtype=np.float64, rng=rng) for kind in (package.Linear, package.Embedding))
    x, ids, dy = rng.standard_normal((2, 3, 5)), np.array([[1, 1, 0], [4, 1, 0]]), rng.standard_normal((2, 3, 2))

    def of_linear(arrays):
        linear.params = {name: arrays[name] for name in ("weight", "bias")}
        return np.sum(linear.forward(arrays["x"]) * dy)

    def of_embedding(arrays):
        embedding.params = {"weight": arrays["weight"]}
        return np.sum(embedding.forward(ids) * dy)

    for layer, function, arrays in (
        (linear, of_linear, {"x": x, **linear.params}),
        (embedding, of_embedding, dict(embedding.params)),
    ):
        for _ in range(2):  # the second time, what the first has left must not be added to
            handed = copies({**arrays, "dy": dy})
            function(handed)
            dx = layer.backward(handed["dy"])
            untouched(handed, {**arrays, "dy": dy})
            against_complex_step(function, arrays, {"x": dx, **layer.grads})


# ---- the strong checks: losses and steps ----------------------------------------------------------------------------


def both_losses(package):
    """Values and gradients beside torch's: some targets not valid, their predictions nan, large logits."""
    import torch
    from torch.nn import functional

    rng = np.random.default_rng(6)
    classes, values = rng.integers(4, size=(3, 2)), rng.standard_normal((3, 2, 4))
    some = np.array([[True, True], [True, False], [False, True]])
    for by_hand, by_torch, targets in (
        (package.cross_entropy, functional.cross_entropy, classes),
        (package.mse, functional.mse_loss, values),
    ):
        for valid, spread in ((None, 1), (None, 1000), (some, 1), (some, 1000)):
            prediction = spread * rng.standard_normal((3, 2, 4))
            if valid is not None:
                prediction[~valid] = np.nan
            chosen = np.ones((3, 2), bool) if valid is None else valid
            twin = torch.tensor(prediction, requires_grad=True)
            expected = by_torch(twin[chosen], torch.tensor(targets)[chosen])
            expected.backward()
            handed = copies({"prediction": prediction, "targets": targets})
            loss, gradient = by_hand(*handed.values(), valid)
            untouched(handed, {"prediction": prediction, "targets": targets})
            assert_same(loss, expected.detach(), "loss")
            assert_same(gradient, twin.grad, "dprediction")


OPTIMIZERS = (
    ("SGD", dict(weight_decay=0.1)),
    ("SGD", dict(momentum=0.9, weight_decay=0.1)),
    ("SGD", dict(momentum=0.9, nesterov=True)),
    ("Adam", dict(weight_decay=0.1)),
    ("AdamW", dict(weight_decay=0.1)),
    ("RMSprop", dict(momentum=0.9, weight_decay=0.1)),
    ("Adagrad", dict(lr_decay=0.1, weight_decay=0.1)),
)


def every_optimizer(package):
    """Some steps beside torch.optim's, the gradients in the same arrays at every step."""
    import torch

    rng = np.random.default_rng(7)
    for kind, options in OPTIMIZERS:
        params = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal(2)}
        twins = {name: torch.nn.Parameter(torch.tensor(p)) for name, p in params.items()}
        ours = getattr(package, kind)(params, lr=0.05, **options)
        theirs = getattr(torch.optim, kind)(twins.values(), lr=0.05, **options)
        grads = {name: np.empty_like(p) for name, p in params.items()}
        for step in range(4):
            for name, g in grads.items():
                # some so small that an epsilon counts
                g[...] = rng.standard_normal(g.shape) * 10.0 ** -rng.integers(0, 9, size=g.shape)
                twins[name].grad = torch.tensor(g)
            kept = copies(grads)
            ours.step(grads)
            theirs.step()
            untouched(grads, kept)
            expected = {name: twin.detach() for name, twin in twins.items()}
            assert_all_same(params, expected, f"{kind} {options}, after step {step + 1},")


def clipping(package):
    """clip_grad_norm beside torch's, of a gradient that is too long and of one that is not."""
    import torch

    rng = np.random.default_rng(8)
    for max_norm in (0.5, 50.0):
        grads = {"a": rng.standard_normal((2, 3)), "b": rng.standard_normal(2)}
        twins = {name: torch.nn.Parameter(torch.tensor(g)) for name, g in grads.items()}
        for name, twin in twins.items():
            twin.grad = torch.tensor(grads[name])
        expected = torch.nn.utils.clip_grad_norm_(twins.values(), max_norm)
        assert_same(package.clip_grad_norm(grads, max_norm), expected, "norm")
        assert_all_same(grads, {name: twin.grad for name, twin in twins.items()}, "clipped")


# ---- the strong checks: model and training --------------------------------------------------------------------------

MODELS = (
    dict(cell="lstm", num_layers=2, vocab_size=30),  # more ids than places: the embedding looks them up
    dict(cell="gru", bidirectional=True, vocab_size=5),  # fewer: the recurrent layer does
    dict(cell="rnn", num_layers=2, bidirectional=True, input_size=2, predict="last"),
    dict(cell="lstm", bidirectional=True, input_size=2, predict="last"),
)


def whole_model(package):
    """Gradients from a given state, padded batches, and windows that continue each other."""
    for arguments in MODELS:
        for lengths in (None, np.array(PADDED["lengths"])):
            model_is_right(package, arguments, lengths)
    for vocab_size in (30, 5):
        windows_continue(package, dict(cell="gru", vocab_size=vocab_size))


def build(package, arguments, dtype=np.float64):
    rng = np.random.default_rng(9)
    return package.SequenceModel(**arguments, output_size=3, hidden_size=2, dtype=dtype, rng=rng)


def model_is_right(package, arguments, lengths):
    """The gradients by the complex step; padded, the loss is the mean over what the rows have alone."""
    rng, T, B = np.random.default_rng(10), 5, 3
    model, twin = build(package, arguments), build(package, arguments, np.complex128)
    layer, each = model.recurrent, model.predict == "each"
    ids = "vocab_size" in arguments
    inputs = rng.integers(arguments["vocab_size"], size=(T, B)) if ids else rng.standard_normal((T, B, 2))
    batch = Batch(inputs, rng.integers(3, size=(T, B) if each else B), lengths)
    state = rng.standard_normal((layer.states, layer.num_layers * layer.directions, B, 2))

    def pack(state):
        return state[0] if layer.states == 1 else tuple(state)

    def loss(arrays):
        for name, p in twin.params.items():
            p[...] = arrays[name]
        return twin.loss(batch, pack(state))

    padded = model.loss(batch, pack(state))
    against_complex_step(loss, model.params, model.backward(), arguments["cell"])
    if lengths is not None:
        total = 0.0
        for b, length in enumerate(lengths):
            one = slice(b, b + 1)
            targets = batch.targets[:length, one] if each else batch.targets[one]
            total += targets.size * model.loss(Batch(inputs[:length, one], targets), pack(state[:, :, one]))
        assert_same(padded, total / (lengths.sum() if each else B), "loss of the padded batch")


def windows_continue(package, arguments):
    """Two windows, the state handed from one to the other, have the loss of the whole."""
    rng, model = np.random.default_rng(11), build(package, arguments)
    inputs, targets = rng.integers(arguments["vocab_size"], size=(6, 2)), rng.integers(3, size=(6, 2))
    whole = model.loss(Batch(inputs, targets))
    first = model.loss(Batch(inputs[:3], targets[:3]))
    second = model.loss(Batch(inputs[3:], targets[3:]), model.state_n)
    assert_same((first + second) / 2, whole, "loss of two windows")


def training_loop(package):
    """fit beside its steps one by one: what is carried, where it starts from zero, and clipping before the step."""
    rng = np.random.default_rng(12)
    batches = [Batch(rng.integers(4, size=(3, 2)), rng.integers(3, size=(3, 2))) for _ in range(4)]
    clip = 0.05
    for carry_state in (True, False):
        dataset = SimpleNamespace(
            carry_state=carry_state, steps_per_epoch=2, train_batches=lambda k: iter(batches[2 * k : 2 * k + 2])
        )
        arguments = dict(cell="gru", vocab_size=4)
        model, beside = build(package, arguments), build(package, arguments)
        state = None
        records = package.fit(model, dataset, package.SGD(model.params, lr=1.0), len(batches), clip)
        for record, batch in zip(records, batches, strict=True):
            first_of_epoch = record.step in (1, 3)
            loss = beside.loss(batch, state if carry_state and not first_of_epoch else None)
            grads, state = beside.backward(), beside.state_n
            norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
            for name, p in beside.params.items():
                p -= min(1, clip / (norm + 1e-6)) * grads[name]
            assert_same(record.loss, loss, f"step {record.step}, loss")
            assert_same(record.grad_norm, norm, f"step {record.step}, gradient norm")
            assert_all_same(model.params, beside.params, f"after step {record.step},")


# ---- what they share ------------------------------------------------------------------------------------------------


def copies(arrays):
    return {name: array.copy() for name, array in arrays.items()}


def ensure(holds, otherwise):
    """An `assert` that python -O does not leave out."""
    if not holds:
        raise AssertionError(otherwise)


def untouched(handed, given):
    """Nobody has written into the arrays that were handed over."""
    for name, array in given.items():
        ensure(np.array_equal(handed[name], array, equal_nan=array.dtype.kind == "f"), f"{name} was overwritten")


def arrays_of_their_own(gradient):
    """No two gradients are one array: who scales one must not scale the other."""
    names = list(gradient)
    for k, name in enumerate(names):
        for other in names[:k]:
            ensure(not np.shares_memory(gradient[name], gradient[other]), f"d{other} and d{name} are one array")


# ---- all of them, and what they see ---------------------------------------------------------------------------------

WEAK = {
    "parameters only, small weights, finite differences to 2e-2": parameters_to_two_percent,
    "everything, at T = 1": one_step,
    "parameters only, B = 1, weights x 0.01": one_row_with_tiny_weights,
    "upstream of ones, zero initial state": ones_from_a_zero_state,
    "random upstream on the outputs only": random_on_the_outputs,
}
# Random upstream on y, h_n and c_n, random initial state, T and B >= 2, shapes, nothing overwritten, called twice,
# complex step. Quick ones first: whoever asks them all stops at the first that sees something.
STRONG = {
    "each cell, random upstream on all its outputs": each_cell,
    "Embedding and Linear": embedding_and_linear,
    "losses": both_losses,
    "optimizers": every_optimizer,
    "clipping": clipping,
    "the training loop": training_loop,
    "ids for numbers": ids_for_numbers,
    "two layers, both directions": layers_and_directions,
    "rows of different lengths": rows_of_different_lengths,
    "the whole model": whole_model,
}


def all_strong(package):
    """Every one of STRONG."""
    for check in STRONG.values():
        check(package)


CHECKS = WEAK | STRONG | {"all of the strong ones": all_strong}
COLUMNS = {**WEAK, "all of the strong ones": all_strong}


def sees(check, package):
    """True when the check raises AssertionError. Another error is a fault of ours, and goes on."""
    with np.errstate(all="ignore"):  # a wrong gradient may well overflow
        try:
            check(package)
        except AssertionError:
            return True
    return False


def seen_by(mistake):
    """Which of COLUMNS see the mistake: a list of booleans."""
    package = planted(mistake)
    return [sees(check, package) for check in COLUMNS.values()]


def table(seen=None):
    """A rich Table: a row for every mistake, a mark for every way of checking that sees it, and how many each sees.

    seen: dict of a mistake's name -> what `seen_by` gives; None: find out, which takes half a minute.
    """
    from rich.table import Table  # here and below, so that the checks alone need no rich
    from rich.text import Text

    seen = {mistake.name: seen_by(mistake) for mistake in MISTAKES} if seen is None else seen
    legend = "\n".join(f"  {k}  {name}" for k, name in enumerate(COLUMNS, start=1))
    result = Table(title_justify="left", caption=legend, caption_justify="left")
    result.title = f"mistakes, and which way of checking sees them:\n{legend}"
    result.add_column("scratch/", no_wrap=True)
    result.add_column("the mistake, and why people make it")
    for k in range(len(COLUMNS)):
        result.add_column(str(k + 1), justify="right", no_wrap=True)
    for k, mistake in enumerate(MISTAKES):
        last_of_file = mistake is MISTAKES[-1] or MISTAKES[k + 1].file != mistake.file
        marks = ["●" if mark else "" for mark in seen[mistake.name]]
        text = Text.assemble((mistake.name, "bold"), "\n", mistake.why)
        result.add_row(f"{mistake.file}.py", text, *marks, end_section=last_of_file)
    in_cells = [seen[mistake.name] for mistake in MISTAKES if mistake.file in ("rnn", "gru", "lstm")]
    for what, rows in (("in the three cells", in_cells), ("in all", list(seen.values()))):
        counts = [sum(row[k] for row in rows) for k in range(len(COLUMNS))]
        result.add_row("", f"seen {what}, of {len(rows)}", *map(str, counts))
    return result


def main():
    """Print the table. Returns the exit status: 1 when the strong checks miss a mistake."""
    from rich.console import Console
    from rich.progress import track

    console = Console(width=None if sys.stdout.isatty() else 120)
    planting = track(MISTAKES, "planting mistakes", console=console, transient=True, disable=not console.is_terminal)
    seen = {mistake.name: seen_by(mistake) for mistake in planting}
    console.print(table(seen))
    return 0 if all(marks[-1] for marks in seen.values()) else 1
