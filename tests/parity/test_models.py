"""SequenceModel and fit against their torch counterparts, on every task's batches."""

from copy import copy
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cases import CELLS, seeds
from hypothesis import given
from hypothesis import strategies as st

import data
import scratch
import torch_impl
from compare import model_pair
from compare.agreement import AGREEMENT, assert_all_same, assert_same
from compare.options import Settings


@st.composite
def models(draw):
    """Arguments of SequenceModel."""
    ids = draw(st.booleans())
    cell = draw(st.sampled_from(CELLS))
    return dict(
        cell=cell,
        output_size=draw(st.integers(1, 4)),
        hidden_size=draw(st.integers(1, 4)),
        num_layers=draw(st.integers(1, 2)),
        bidirectional=draw(st.booleans()),
        vocab_size=draw(st.integers(1, 5)) if ids else None,
        embedding_size=draw(st.sampled_from([None, 3])) if ids else None,
        input_size=None if ids else draw(st.integers(1, 3)),
        predict=draw(st.sampled_from(["each", "last"])),
        dropout=draw(st.sampled_from([0.0, 0.3, 0.8])),
        forget_bias=draw(st.sampled_from([0.0, 1.0, -0.5])) if cell == "lstm" else 0.0,
    )


def random_batch(model, rng, dtype, classes, padded):
    T, B = rng.integers(1, 6), rng.integers(1, 5)
    ids = model["vocab_size"] is not None
    inputs = (
        rng.integers(model["vocab_size"], size=(T, B))
        if ids
        else rng.standard_normal((T, B, model["input_size"])).astype(dtype)
    )
    shape = (T, B) if model["predict"] == "each" else (B,)
    O = model["output_size"]
    targets = rng.integers(O, size=shape) if classes else rng.standard_normal((*shape, O)).astype(dtype)
    lengths = rng.integers(1, T, size=B, endpoint=True) if padded else None
    masks = None
    if model["dropout"]:
        width = (1 + model["bidirectional"]) * model["hidden_size"]
        embedded = rng.random((T, B, model["embedding_size"] or model["hidden_size"])) >= model["dropout"]
        masks = embedded if ids else None, rng.random((*shape, width)) >= model["dropout"]
    return data.Batch(inputs, targets, lengths, masks)


@given(models(), seeds, st.booleans(), st.booleans(), st.sampled_from(["float64", "float32"]))
def test_loss_and_gradients_are_torchs(model, seed, classes, padded, dtype):
    rng = np.random.default_rng(seed)
    both = model_pair.build(model, dtype, seed)
    batch = random_batch(model, rng, dtype, classes, padded)
    state = None
    torch_state = None
    for _ in range(2):  # the second time with the state of the first
        loss = both.scratch.loss(batch, state)
        both.torch.zero_grad()
        torch_loss = both.torch.loss(batch, torch_state)
        torch_loss.backward()
        assert abs(loss - torch_loss.item()) <= 64 * np.finfo(dtype).eps * max(1, abs(loss))
        expected = {name: p.grad.numpy() for name, p in both.torch.named_parameters()}
        if classes and model["output_size"] == 1:  # one class: the loss is 0 whatever the weights
            assert all(not g.any() for g in both.scratch.backward().values())
        else:
            assert_all_same(both.scratch.backward(), expected, "gradient of")
        state = both.scratch.state_n
        torch_state = both.torch.state_n
        torch_state = tuple(s.detach() for s in torch_state) if isinstance(torch_state, tuple) else torch_state.detach()
        for s, t in zip(np.atleast_1d(state), np.atleast_1d(torch_state), strict=False):
            assert_same(s, t, "state")


@pytest.mark.parametrize(("V", "looks_up"), [(5, True), (6, False), (7, False)])
def test_ids_are_looked_up_in_the_projected_table_when_they_are_fewer_than_places(V, looks_up):
    """A batch of 2 x 3 places. Either way it is the same model."""
    model = scratch.SequenceModel("gru", 4, hidden_size=3, vocab_size=V, dtype=np.float64)
    batch = data.Batch(np.arange(6).reshape(2, 3) % V, np.zeros((2, 3), int))
    loss, grads = model.loss(batch), model.backward()
    assert model.recurrent.kept.embedding is (model.embedding.params["weight"] if looks_up else None)
    assert type(loss) is float
    both = model_pair.build(
        dict(cell="gru", output_size=4, hidden_size=3, vocab_size=V), "float64", weights=model.params
    )
    theirs = both.torch.loss(batch)
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-14)
    assert_all_same(grads, {name: p.grad.numpy() for name, p in both.torch.named_parameters()}, "")


@given(models())
def test_state_dict_and_params_fit_each_other(model):
    both = model_pair.build(model, "float32")
    expected = {name: t.numpy() for name, t in both.torch.state_dict().items()}
    assert list(both.scratch.params) == list(expected)
    for name, p in both.scratch.params.items():
        np.testing.assert_array_equal(p, expected[name])
        assert p.dtype == expected[name].dtype


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": "transformer"}, "cell is"),
        ({"predict": "first"}, "predict is"),
        ({"vocab_size": None}, "vocab_size for ids or input_size"),
        ({"input_size": 3}, "not both"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"forget_bias": 1.0}, "for an lstm"),
    ],
)
def test_arguments_that_do_not_fit(change, message):
    arguments = dict(cell="gru", output_size=2, hidden_size=3, vocab_size=4) | change
    for model in (scratch.SequenceModel, torch_impl.SequenceModel):
        with pytest.raises(ValueError, match=message):
            model(**arguments)


SMALL = {
    "text": dict(batch_size=4, window=16),
    "names": dict(batch_size=8),
    "series": dict(batch_size=8, window=24),
    "digits": dict(batch_size=8),
    "memory": dict(batch_size=8, window=10),
}


def test_forget_bias_is_added_to_the_forget_gates_alone():
    model = dict(cell="lstm", output_size=1, hidden_size=3, input_size=2, num_layers=2, bidirectional=True)
    plain, open_gates = (model_pair.build(model | {"forget_bias": x}, "float64") for x in (0.0, 2.5))
    for name, p in open_gates.scratch.params.items():
        added = p - plain.scratch.params[name]
        expected = np.zeros_like(p)
        if "bias_ih" in name:
            expected[3:6] = 2.5
        np.testing.assert_allclose(added, expected, atol=1e-15, err_msg=name)
    torch.manual_seed(0)
    theirs = torch_impl.SequenceModel(**model)
    torch.manual_seed(0)
    open_gates = torch_impl.SequenceModel(**model, forget_bias=2.5)
    added = {name: p - theirs.state_dict()[name] for name, p in open_gates.state_dict().items()}
    assert {name for name, difference in added.items() if difference.any()} == {n for n in added if "bias_ih" in n}
    assert added["recurrent.bias_ih_l1_reverse"].tolist() == pytest.approx([0] * 3 + [2.5] * 3 + [0] * 6)


@pytest.mark.parametrize("side", ["scratch", "torch"])
def test_fit_begins_with_the_state_it_is_given(side):
    """The first batch from that state, the first batch of the next epoch from zero."""
    ours = side == "scratch"
    package, optimizers, kind = (scratch, scratch, np.float64) if ours else (torch_impl, torch.optim, torch.float64)
    dataset = data.load("text", dtype=np.float64, **SMALL["text"])
    first, second = list(dataset.train_batches(0))[:2]
    one = SimpleNamespace(carry_state=True, steps_per_epoch=1, train_batches=lambda epoch: iter([second]))
    model = package.SequenceModel("lstm", 94, hidden_size=5, vocab_size=94, dtype=kind)
    frozen = optimizers.SGD(model.params if ours else model.parameters(), lr=0.0)
    loss = model.loss(first)
    if not ours:
        loss.backward()  # torch would refuse a second time, if fit did not cut the state's graph
    state = model.state_n
    losses = [record.loss for record in package.fit(model, one, frozen, 2, state=state)]
    expected = [model.loss(second, state), model.loss(second, None)]
    assert losses == (expected if ours else [loss.item() for loss in expected])
    assert losses[0] != losses[1]


@pytest.mark.parametrize("carry", [True, False])
def test_training_can_begin_at_any_step(carry):
    """Three batches per epoch. The state is carried on, but not into a new epoch, nor between unrelated batches."""

    three = list(data.load("text", dtype=np.float64, **SMALL["text"]).train_batches(0))[:3]
    dataset = SimpleNamespace(
        carry_state=carry, steps_per_epoch=3, metric="a loss", train_batches=lambda epoch: iter(three)
    )
    both = model_pair.build(dict(cell="lstm", output_size=94, hidden_size=5, vocab_size=94), "float64")
    frozen = scratch.SGD(both.scratch.params, lr=0.0), torch.optim.SGD(both.torch.parameters(), lr=0.0)

    def train(stop, start=0):
        settings = SimpleNamespace(task="text", steps=stop, clip=None)
        return list(model_pair.train(settings, dataset, both, frozen, start))

    whole = train(8)
    assert [(ours.step, ours.epoch) for ours, _ in whole] == [(k + 1, k // 3) for k in range(8)]
    for start in range(9):
        train(start)
        assert train(8, start) == whole[start:]


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize(
    ("rows", "target", "what"), [(1, 1e30, "loss"), (1, 1.8e19, "gradient norm"), (8, 7e18, "loss")]
)
def test_a_step_that_is_not_finite_leaves_the_weights_alone(rows, target, what, clip):
    """In float32, which ends at 3.4e38: the squared gradients overflow, or the squared errors, or both."""
    inputs = np.zeros((1, rows, 1), np.float32)
    batch = data.Batch(inputs, np.full_like(inputs, target))
    dataset = SimpleNamespace(
        carry_state=False, steps_per_epoch=1, metric="a loss", train_batches=lambda epoch: iter([batch])
    )
    both = model_pair.build(dict(cell="rnn", output_size=1, hidden_size=4, input_size=1), "float32")
    before = {name: p.copy() for name, p in both.scratch.params.items()}
    settings = Settings("mine", "rnn", hidden=4, steps=1, optimizer="sgd", lr=0.1, clip=clip)
    with pytest.raises(model_pair.Diverged, match=f"the scratch {what} became inf and the torch {what} became inf"):
        list(model_pair.train(settings, dataset, both, model_pair.optimizers(settings, both)))
    for name, p in both.torch.state_dict().items():
        np.testing.assert_array_equal(both.scratch.params[name], before[name])
        np.testing.assert_array_equal(p.numpy(), before[name])


@cache
def loaded(task):
    return data.load(task, dtype=np.float64, **SMALL[task])


PAIRS = [  # every second of them is fast: each task, and each cell, at least twice
    pytest.param(task, cell, marks=[pytest.mark.slow] * ((k + n) % 2))
    for k, task in enumerate(data.TASKS)
    for n, cell in enumerate(CELLS)
]


@pytest.mark.parametrize(("task", "cell"), PAIRS)
def test_training_stays_together(task, cell):
    """Thirty steps of both fits in float64, each loss and gradient norm to rounding; then the held-out metric."""
    dataset = copy(loaded(task))
    settings = Settings(task, cell, hidden=12, layers=2)
    both = model_pair.build(model_pair.model_of(settings, dataset), "float64")
    ours = scratch.fit(both.scratch, dataset, scratch.Adam(both.scratch.params), 30, clip=0.5)
    theirs = torch_impl.fit(both.torch, dataset, torch.optim.Adam(both.torch.parameters()), 30, clip=0.5)
    records = list(zip(ours, theirs, strict=True))
    assert [(a.step, a.epoch) for a, _ in records] == [(b.step, b.epoch) for _, b in records]
    for name in ("loss", "grad_norm"):
        a, b = (np.array([getattr(record, name) for record in side]) for side in zip(*records, strict=True))
        np.testing.assert_allclose(a, b, rtol=AGREEMENT["float64"])
    assert min(a.loss for a, _ in records[15:]) < records[0][0].loss

    few = list(dataset.test_batches())[:3]  # the rest is only time
    dataset.test_batches = lambda: iter(few)
    (value, predictions), (twin_value, twin_predictions) = model_pair.evaluate(settings, dataset, both, step=30)
    assert value == pytest.approx(twin_value, rel=AGREEMENT["float64"])
    for p, t in zip(predictions, twin_predictions, strict=True):
        assert_same(p, t, "predictions")


@pytest.mark.parametrize(("task", "cell"), [("text", "lstm"), ("names", "gru"), ("series", "rnn")])
def test_training_stays_together_with_dropout(task, cell):
    """Both read the same masks; both leave the held-out sequences whole, so that two evaluations are the same."""
    settings = Settings(task, cell, hidden=12, dropout=0.3, dtype="float64", **({"window": 24} | SMALL[task]))
    if task == "names":
        settings = replace(settings, window=None)
    dataset = model_pair.load(settings)
    both = model_pair.build(model_pair.model_of(settings, dataset), "float64")
    ours = scratch.fit(both.scratch, dataset, scratch.Adam(both.scratch.params), 12, clip=0.5)
    theirs = torch_impl.fit(both.torch, dataset, torch.optim.Adam(both.torch.parameters()), 12, clip=0.5)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.loss, a.grad_norm) == pytest.approx((b.loss, b.grad_norm), rel=AGREEMENT["float64"])
    few = list(dataset.test_batches())[:2]
    dataset.test_batches = lambda: iter(few)
    value, predictions = scratch.evaluate(both.scratch, dataset)
    torch_value, torch_predictions = torch_impl.evaluate(both.torch, dataset)
    assert value == pytest.approx(torch_value, rel=AGREEMENT["float64"])
    for p, t, again in zip(predictions, torch_predictions, scratch.evaluate(both.scratch, dataset)[1], strict=True):
        assert_same(p, t, "predictions")
        np.testing.assert_array_equal(p, again)
