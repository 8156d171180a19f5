"""A nan or inf is traced to where it began, and a run states what its numbers depend on."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from cases import CELLS
from threadpoolctl import threadpool_info

from compare import model_pair
from compare.__main__ import main
from compare.curves import first_nonfinite, sample_text
from compare.options import Settings
from data import Batch
from scratch import rnn

T, B, H, V = 7, 5, 6, 9


def problem(cell, dtype, bidirectional=False, layers=1, predict="each", numbers=False):
    """Both models and a batch of ids, or of numbers; with different lengths when predict is "last"."""
    rng = np.random.default_rng(3)
    arguments = dict(cell=cell, output_size=V, hidden_size=H, num_layers=layers, bidirectional=bidirectional)
    arguments |= dict(predict=predict) | (dict(input_size=2) if numbers else dict(vocab_size=V))
    inputs = rng.standard_normal((T, B, 2)).astype(dtype) if numbers else rng.integers(V, size=(T, B))
    targets = rng.integers(V, size=(T, B) if predict == "each" else B)
    lengths = rng.integers(2, T, size=B, endpoint=True) if predict == "last" else None
    return model_pair.build(arguments, dtype), Batch(inputs, targets, lengths)


class OneBatch:
    """A dataset of one batch, for training and test."""

    carry_state, steps_per_epoch, metric = False, 1, "a loss"

    def __init__(self, batch):
        self.batch = batch

    def train_batches(self, epoch):
        return iter([self.batch])

    test_batches = property(lambda self: lambda: iter([self.batch]))


def give(both, name, change):
    """Change a parameter of both models in the same way."""
    p = both.scratch.params[name]
    p[...] = change(p)
    both.torch.load_state_dict({name: torch.tensor(p) for name, p in both.scratch.params.items()})


# ---- not finite: where it began -------------------------------------------------------------------------------------

FIRST = {  # what each side computes first from the input of a step
    "scratch": {"rnn": "h", "rnn_relu": "h", "gru": "r, z", "lstm": "i, f, g, o", "mingru": "z"},
    "torch": {"rnn": "a", "rnn_relu": "a", "gru": "u", "lstm": "a", "mingru": "a"},
}
NORM = "the gradient norm itself (all gradients are finite)"


def origin(both, batch, sides, step=8, entered=True):
    states = {"scratch": None, "torch": None} if entered else None
    diverged = model_pair.Diverged("", sides, step, states)
    return first_nonfinite.origin(diverged, both, OneBatch(batch))


@pytest.mark.parametrize("predict", ["each", "last"])
@pytest.mark.parametrize("cell", CELLS)
def test_an_input_is_traced_to_its_step(cell, predict):
    both, batch = problem(cell, "float32", bidirectional=True, predict=predict, numbers=True)
    row = 0 if predict == "each" else int(np.argmax(batch.lengths))
    batch.inputs[1, row] = np.nan
    for side in ("scratch", "torch"):
        assert origin(both, batch, [side]) == f"it began with {FIRST[side][cell]} of layer 0 at time step 1"
    if cell == "rnn":
        said = "it began in scratch with h of layer 0 at time step 1 and in torch with a of layer 0 at time step 1"
        assert origin(both, batch, ["scratch", "torch"]) == said


@pytest.mark.filterwarnings("ignore")
def test_the_reverse_direction_and_what_is_only_padding():
    """An input that overflows in the reverse direction only: in the padding of a row that ends early, and before it."""
    both, batch = problem("rnn_relu", "float32", bidirectional=True, predict="last", numbers=True)
    row = int(np.argmin(batch.lengths))
    assert batch.lengths[row] < T - 1
    give(both, "recurrent.weight_ih_l0_reverse", lambda p: np.full_like(p, 3e38))
    batch.inputs[...] = 0
    batch.inputs[batch.lengths[row] :, row] = 10
    assert origin(both, batch, ["scratch", "torch"]) == f"it began in both models with {NORM}"
    batch.inputs[:2, row] = 10  # step 1 is computed first
    for side, name in (("scratch", "h"), ("torch", "a")):
        assert origin(both, batch, [side]) == f"it began with {name} of layer 0, reverse, at time step 1"


def test_weights_name_the_update_that_made_them_nonfinite():
    both, batch = problem("gru", "float64")
    give(both, "recurrent.weight_hh_l0", lambda p: np.where(p == p.max(), np.inf, p))
    said = "it began in both models with recurrent.weight_hh_l0 after the update of step "
    assert origin(both, batch, ["scratch", "torch"], step=8) == f"{said}7"
    assert origin(both, batch, ["scratch", "torch"], step=8, entered=False) == f"{said}8"


@pytest.mark.filterwarnings("ignore:overflow")
def test_a_prediction_and_a_loss():
    both, batch = problem("rnn", "float32")
    give(both, "linear.weight", lambda p: np.full_like(p, 3e38))
    give(both, "recurrent.bias_ih_l0", lambda p: p + 9)  # every h_t near 1, so that six of them are too many
    assert origin(both, batch, ["scratch", "torch"]) == "it began in both models with the prediction"
    assert origin(both, batch, ["torch"], entered=False) == "it began with the prediction for test batch 0"
    both, batch = problem("rnn", "float32", numbers=True)
    batch = Batch(batch.inputs, np.full((T, B, V), 1e30, np.float32))
    assert origin(both, batch, ["scratch", "torch"]) == "it began in both models with the loss"


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_gradient_is_traced_to_its_step_too(bidirectional, monkeypatch):
    both, batch = problem("rnn", "float32", bidirectional=bidirectional, layers=2)
    right = rnn.backward

    def wrong(dy, dh_n, cache, trace=None):
        dh_n = dh_n + np.nan * (cache[0].ndim == 3)  # of the upper layer: the lower one reads ids
        return right(dy, dh_n, cache, trace)

    monkeypatch.setattr(rnn, "backward", wrong)
    where = "layer 1, reverse, at time step 0" if bidirectional else f"layer 1 at time step {T - 1}"
    assert origin(both, batch, ["scratch"]) == f"it began with dh of {where}"

    def late(*arguments):
        found = list(right(*arguments))
        found[3] = found[3] * np.nan  # dW_hh
        return found

    monkeypatch.setattr(rnn, "backward", late)
    assert (
        origin(both, batch, ["scratch"])
        == "it began with the gradient of recurrent.weight_hh_l1" + "_reverse" * bidirectional
    )


@pytest.mark.filterwarnings("ignore")
def test_a_gradient_can_be_too_large_where_the_loss_is_not():
    both = model_pair.build(dict(cell="rnn", output_size=1, hidden_size=2, input_size=1), "float32")
    ones = np.ones((1, 1, 1), np.float32)
    dataset = OneBatch(Batch(ones, ones * 1.8e19))
    settings = Settings("mine", "rnn", hidden=2, steps=3, clip=None)
    with pytest.raises(model_pair.Diverged) as diverged:
        list(model_pair.train(settings, dataset, both, model_pair.optimizers(settings, both)))
    norms = "the scratch gradient norm became inf and the torch gradient norm became inf"
    assert str(diverged.value) == f"mine: {norms} at step 1"
    assert first_nonfinite.origin(diverged.value, both, dataset) == f"it began in both models with {NORM}"


def test_a_message_about_one_model_quotes_the_other():
    with pytest.raises(
        model_pair.Diverged, match=r"^mine: the torch loss became nan at step 4 \(scratch: 0.3333\)$"
    ) as found:
        model_pair.must_be_finite(SimpleNamespace(task="mine"), 4, "loss", 1 / 3, float("nan"))
    assert found.value.sides == ["torch"]


def test_a_text_ends_where_the_logits_do():
    """The embedding of a character that no batch has may be too large without any loss that shows it."""
    text = SimpleNamespace(characters="ab", encode=lambda _: [0], decode=lambda ids: "".join("ab"[i] for i in ids))
    both = model_pair.build(dict(cell="rnn", output_size=2, hidden_size=2, vocab_size=2), "float64")
    give(both, "embedding.weight", lambda p: np.array([[0.0, 0.0], [np.nan, 0.0]]))
    for uniform, expected in ((0.0, "aaaa"), (1 - 1e-12, "b")):
        assert sample_text.write(both.scratch, text, np.full(4, uniform)) == expected
    assert sample_text.first_difference("aaaa", "aa") == 2


def test_the_weights_are_looked_at_as_the_step_found_them(folder, undrawn, capsys):
    """Not as its update would have left them, nan: the step before made them huge, and a relu's states overflow."""
    rate = ["--optimizer", "sgd", "--lr", "1e20", "--clip", "0"]
    assert main(["series", "--cell", "rnn_relu", *rate, "--steps", "9"]) == 2
    at = r"of layer 0 at time step \d+"
    assert re.search(f"; it began in scratch with h {at} and in torch with a {at}; ", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("task", "cell", "dtype"),
    [
        ("text", "gru", "float32"),
        ("names", "lstm", "float64"),
        ("series", "rnn_relu", "float32"),
        ("memory", "rnn", "float64"),
    ],
)
def test_a_rate_that_is_much_too_high(task, cell, dtype, folder, undrawn, capsys):
    """Whatever happens, it is one line that says which array it began with and how far all was well."""
    rate = ["--optimizer", "sgd", "--lr", "1e30", "--clip", "0", "--weight-decay", "1e6"]
    sizes = ["--hidden", "8", "--batch-size", "8", "--steps", "40"]
    assert main([task, "--cell", cell, "--dtype", dtype, *rate, *sizes]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"error: {task}: the ")
    assert " became " in said and " at step " in said and "; it began " in said
    assert "; the last finite losses, at step " in said
    rows = Path("results", task, "history.csv").read_text().splitlines()
    *_, (step, _, _, ours, theirs) = (row.split(",") for row in rows if ",train,loss," in row)
    assert f"at step {step}: scratch {float(ours):.4g}, torch {float(theirs):.4g};" in said
    assert not Path("results", task, "resume.safetensors").exists(), "it would come to the same end"


# ---- what the numbers depend on --------------------------------------------------------------------------------------


def test_the_summary_states_threads_versions_dtype_and_seed(folder, undrawn):
    assert main(["memory", "--hidden", "4", "--steps", "2", "--seed", "5", "--dtype", "float64"]) == 0
    (entry,) = json.loads(Path("results/summary.json").read_text())["tasks"]
    (blas, *_) = (pool for pool in threadpool_info() if pool["user_api"] == "blas")
    assert entry["environment"]["numpy_threads"] == blas["num_threads"]
    assert entry["environment"]["torch_threads"] == 1
    assert entry["environment"]["numpy"] == np.__version__
    assert entry["environment"]["torch"] == torch.__version__
    assert (entry["settings"]["seed"], entry["settings"]["dtype"]) == (5, "float64")


def test_a_gpu_computes_float32_in_full(recwarn):
    """TF32 would make curves differ by 1e-4; torch switches it on for cuDNN's RNNs."""
    torch.backends.cudnn.rnn.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "tf32"
    model_pair.build(dict(cell="gru", output_size=1, hidden_size=2, input_size=1), "float32")
    assert torch.backends.cudnn.rnn.fp32_precision == torch.backends.cuda.matmul.fp32_precision == "ieee"
    assert not recwarn.list
