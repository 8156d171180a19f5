"""SequenceModel and fit by themselves."""

import numpy as np
import pytest

import data
import scratch


@pytest.mark.parametrize("predict", ["each", "last"])
def test_backward_traces_every_layer(predict):
    model = scratch.SequenceModel(
        "lstm", 2, hidden_size=3, num_layers=2, bidirectional=True, input_size=2, predict=predict
    )
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


SMALL = {
    "text": dict(batch_size=4, window=16),
    "names": dict(batch_size=8),
    "series": dict(batch_size=8, window=24),
    "memory": dict(batch_size=8, window=10),
}


def test_fit_takes_each_epochs_batches_carries_the_state_and_cuts_the_gradient():
    """Text: the second batch starts from the first one's last state, an epoch from zero; no gradient goes back."""
    dataset = data.load("text", dtype=np.float64, **SMALL["text"])
    V = dataset.vocab_size
    model = scratch.SequenceModel("lstm", V, hidden_size=5, vocab_size=V, dtype=np.float64)
    frozen = scratch.SGD(model.params, lr=0.0)
    losses = [record.loss for record in scratch.fit(model, dataset, frozen, 3)]
    batches = dataset.train_batches(0)
    state = None
    for loss in losses:
        assert loss == model.loss(next(batches), state)
        state = model.state_n

    two = list(dataset.train_batches(0))[:2]
    dataset.train_batches = lambda epoch: iter(two)
    losses = [record.loss for record in scratch.fit(model, dataset, frozen, 4)]
    assert losses[:2] == losses[2:]

    names = data.load("names", batch_size=2000)  # five batches an epoch
    model = scratch.SequenceModel("rnn", 12, hidden_size=2, vocab_size=names.vocab_size, predict="last")
    assert list(scratch.fit(model, names, scratch.SGD(model.params, lr=0.0), 0)) == []
    records = list(scratch.fit(model, names, scratch.SGD(model.params, lr=0.0), 3 * names.steps_per_epoch))
    assert [record.epoch for record in records] == [e for e in (0, 1, 2) for _ in range(names.steps_per_epoch)]
    expected = [model.loss(batch) for epoch in (0, 1, 2) for batch in names.train_batches(epoch)]
    assert [record.loss for record in records] == expected, "an epoch must have its own batches"
