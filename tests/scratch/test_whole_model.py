"""SequenceModel and fit without torch: gradients by complex steps, padding, windows, single steps, calls in order."""

from types import SimpleNamespace

import numpy as np
import pytest

import data
import scratch
from compare.agreement import assert_all_same, assert_same
from scratch import numerical

MODELS = (
    dict(cell="lstm", num_layers=2, vocab_size=30),  # more ids than places: the embedding looks them up
    dict(cell="gru", bidirectional=True, vocab_size=5),  # fewer: the recurrent layer does
    dict(cell="rnn", num_layers=2, bidirectional=True, input_size=2, predict="last"),
    dict(cell="lstm", bidirectional=True, input_size=2, predict="last"),
)
LENGTHS = np.array([2, 4, 3])


def build(arguments, dtype=np.float64):
    rng = np.random.default_rng(9)
    return scratch.SequenceModel(**arguments, output_size=3, hidden_size=2, dtype=dtype, rng=rng)


def problem(arguments, lengths):
    """A model, a batch of five steps and three rows, and a random initial state, a list of arrays."""
    rng, (T, B) = np.random.default_rng(10), (5, 3)
    model = build(arguments)
    ids = arguments.get("vocab_size")
    inputs = rng.integers(ids, size=(T, B)) if ids else rng.standard_normal((T, B, 2))
    targets = rng.integers(3, size=(T, B) if model.predict == "each" else B)
    layer = model.recurrent
    state = rng.standard_normal((layer.states, layer.num_layers * layer.directions, B, 2))
    return model, data.Batch(inputs, targets, lengths), list(state)


def pack(state):
    return state[0] if len(state) == 1 else tuple(state)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["all steps", "padded"])
@pytest.mark.parametrize("arguments", MODELS, ids=str)
def test_the_gradients_are_those_of_the_loss(arguments, lengths):
    model, batch, state = problem(arguments, lengths)
    model.loss(batch, pack(state))
    gradient = model.backward()
    complex_model = build(arguments, np.complex128)

    def loss(arrays):
        for name, p in complex_model.params.items():
            p[...] = arrays[name]
        return complex_model.loss(batch, pack(state))

    assert_all_same(gradient, numerical.complex_gradient(loss, model.params), "gradient of", arguments["cell"])


@pytest.mark.parametrize("arguments", MODELS, ids=str)
def test_the_loss_of_a_padded_batch_is_the_mean_over_its_rows_each_alone(arguments):
    """Over all targets that are not padding."""
    model, batch, state = problem(arguments, LENGTHS)
    loss, total, count = model.loss(batch, pack(state)), 0.0, 0
    for b, length in enumerate(LENGTHS):
        row = slice(b, b + 1)
        targets = batch.targets[:length, row] if model.predict == "each" else batch.targets[row]
        alone = model.loss(data.Batch(batch.inputs[:length, row], targets), pack([s[:, row] for s in state]))
        total, count = total + targets.size * alone, count + targets.size
    assert_same(loss, total / count, "loss of the padded batch")


@pytest.mark.parametrize("carry_state", [True, False])
def test_fit_is_its_steps_one_by_one(carry_state):
    """Each epoch has its own batches, a step begins with the state that the one before left, an epoch from zero,
    clipping comes before the update, and the last epoch may stop half-way."""
    rng, clip = np.random.default_rng(12), 0.05
    batches = [data.Batch(rng.integers(4, size=(3, 2)), rng.integers(3, size=(3, 2))) for _ in range(6)]
    dataset = SimpleNamespace(
        carry_state=carry_state, steps_per_epoch=2, train_batches=lambda k: iter(batches[2 * k : 2 * k + 2])
    )
    arguments = dict(cell="gru", vocab_size=4)
    model, stepped, state = build(arguments), build(arguments), None
    records = scratch.fit(model, dataset, scratch.SGD(model.params, lr=1.0), 5, clip)
    for k, (record, batch) in enumerate(zip(records, batches[:5], strict=True)):
        assert (record.step, record.epoch) == (k + 1, k // 2)
        first_of_epoch = k % 2 == 0
        loss = stepped.loss(batch, state if carry_state and not first_of_epoch else None)
        grads, state = stepped.backward(), stepped.state_n
        norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
        for name, p in stepped.params.items():
            p -= min(1, clip / (norm + 1e-6)) * grads[name]
        assert_same(record.loss, loss, f"step {record.step}, loss")
        assert_same(record.grad_norm, norm, f"step {record.step}, gradient norm")
        assert_all_same(model.params, stepped.params, f"after step {record.step},")
    assert list(scratch.fit(model, dataset, None, 0)) == []


@pytest.mark.parametrize("predict", ["each", "last"])
def test_backward_traces_every_layer(predict):
    sizes = dict(hidden_size=3, num_layers=2, bidirectional=True, input_size=2)
    model = scratch.SequenceModel("lstm", 2, **sizes, predict=predict)
    targets = np.zeros((5, 4) if predict == "each" else 4, int)
    model.loss(data.Batch(np.ones((5, 4, 2), np.float32), targets))
    trace = []
    model.backward(trace)
    assert [set(found) for found in trace] == 4 * [{"dh", "dc", "da"}]
    assert all(found["da"].shape == (5, 4, 12) and found["da"].any() for found in trace)


def test_params_are_the_layers_own_arrays():
    model = scratch.SequenceModel("gru", 2, hidden_size=3, vocab_size=4)
    model.params["recurrent.bias_hh_l0"][:] = 7
    assert (model.recurrent.params["bias_hh_l0"] == 7).all()


def test_backward_belongs_to_the_loss_before_it():
    model = scratch.SequenceModel("gru", 2, hidden_size=3, input_size=1)
    batch = data.Batch(np.ones((4, 2, 1), np.float32), np.zeros((4, 2), int))
    with pytest.raises(RuntimeError, match="call loss first"):
        model.backward()
    model.loss(batch)
    model.backward()
    model.logits(batch.inputs)  # overwrites what the layers keep
    with pytest.raises(RuntimeError, match="no call of logits in between"):
        model.backward()
