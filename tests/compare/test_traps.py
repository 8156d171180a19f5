"""`byhand traps`: each trap is the convention that it names, and first makes a difference where it says."""

import copy
import csv
import re
from dataclasses import replace
from functools import cache
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from cases import Case
from helpers import ROOT, overlapping, texts_of
from trap_runs import REAL, SMALL, STEPS, trained

import scratch
import torch_impl
from compare import files, model_pair
from compare.__main__ import main
from compare.agreement import AGREEMENT, assert_all_same, assert_same
from compare.traps import catalogue, plot, training
from compare.traps.catalogue import TRAPS
from data import Batch
from scratch.numerical import complex_gradient

BY_NAME = {trap.name: trap for trap in TRAPS}


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    monkeypatch.setattr(training, "DEFAULTS", SMALL)


# ---- where they show ------------------------------------------------------------------------------------------------

FIRST = {
    1: ("reset_before", "z_swapped", "gates_in_another_order", "different_initial_weights", "other_batch_order"),
    2: ("one_bias", "epsilon_inside", "sum_for_mean", "state_not_carried", "another_epsilon", "no_bias_correction"),
    3: ("state_not_detached", "other_betas"),
}
FIRST[1] += ("hard_sigmoid", "forget_bias")
FIRST[2] += ("another_rate", "warm_up", "adamw_decay", "decay_in_the_gradient")
CLIPPED = ("clipped_element_by_element", "one_norm_for_each_array", "no_clipping")
ON = {
    "text": {"reset_before", "z_swapped", "sum_for_mean", "state_not_carried", "state_not_detached", "hard_sigmoid"},
    "names": {"one_bias", "other_batch_order", "last_padded_step", "sum_for_mean", "hard_sigmoid", "forget_bias"},
    "series": {"one_bias", "other_batch_order"},
}
ANYWHERE = {"different_initial_weights", "epsilon_inside", "another_epsilon", "no_bias_correction", "other_betas"}
ANYWHERE |= {"another_rate", "warm_up", "adamw_decay", "decay_in_the_gradient", "another_limit", *CLIPPED}


@pytest.mark.parametrize("task", REAL)
def test_each_trap_first_makes_a_difference_at_its_step(task):
    runs = trained(task)
    gates = {"gates_in_another_order"} if task != "series" else set()
    assert runs.trapped.keys() == ON[task] | ANYWHERE | gates
    at = {name: step for step, names in FIRST.items() for name in names} | {"last_padded_step": 1}
    s = runs.settings
    model = model_pair.build(model_pair.model_of(s, runs.dataset), s.dtype, s.seed).scratch
    norms = [r.grad_norm for r in scratch.fit(model, runs.dataset, scratch.Adam(model.params, s.lr), STEPS, s.clip)]
    clipped, sooner = (next(k for k, norm in enumerate(norms, start=1) if norm > limit) for limit in (s.clip, 0.25))
    assert 1 < clipped < STEPS
    at |= dict.fromkeys(CLIPPED, clipped + 1) | {"another_limit": sooner + 1}
    for name, losses in runs.trapped.items():
        gap = np.abs(losses - runs.reference)
        assert not gap[: at[name] - 1].any(), f"{name} differs before step {at[name]}"
        least = 1 if name == "decay_in_the_gradient" else 100  # Adam's first step depends on little but the signs
        assert gap[at[name] - 1] > least * AGREEMENT["float64"], name
        assert runs.diverges_at(losses) == at[name]


@pytest.mark.parametrize(
    "options",
    [
        dict(optimizer="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        dict(optimizer="rmsprop", momentum=0.5),
        dict(optimizer="adamw", weight_decay=0.5),
        dict(optimizer="adagrad", clip=None, seed=7),
    ],
)
def test_without_a_change_it_is_the_reference_run(options):
    """With any options: the same losses to the last bit, so that the whole gap is due to the trap."""
    runs = trained("series")
    s, dataset = replace(runs.settings, **options), runs.dataset
    pair = model_pair.build(model_pair.model_of(s, dataset), s.dtype, s.seed)
    records = model_pair.train(replace(s, steps=STEPS), dataset, pair, model_pair.optimizers(s, pair))
    reference = [ours.loss for ours, _ in records]
    assert list(training.prepared(s, dataset, STEPS)) == reference


@pytest.mark.parametrize("task", REAL)
def test_without_a_trap_there_is_only_rounding(task):
    runs = trained(task)
    assert runs.diverges_at(runs.torch) is None
    gap = np.abs(runs.float32 - runs.reference)
    assert gap.any(), "float32 rounds differently"
    assert (gap <= AGREEMENT["float32"] * np.maximum(1, runs.reference)).all()
    assert runs.diverges_at(runs.float32) == 1
    assert runs.diverges_at(np.full(STEPS, np.nan)) == 1, "a loss that is not a number counts as different"


# ---- each is the convention that it names (more: test_traps_in_torch.py) --------------------------------------------


def steps_of_gru(x, h, params, reset_after, z_keeps):
    """The equations, one row and one step at a time. x (T, B, I)."""
    W_ih, W_hh, b_ih, b_hh = (params[f"{kind}_l0"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    H = h.shape[1]
    r_, z_, n_ = slice(0, H), slice(H, 2 * H), slice(2 * H, 3 * H)
    y = np.empty((*x.shape[:2], H))
    for t in range(len(x)):
        for b in range(x.shape[1]):
            u, before = W_ih @ x[t, b] + b_ih, h[b]
            v = W_hh @ before + b_hh
            r, z = 1 / (1 + np.exp(-u[r_] - v[r_])), 1 / (1 + np.exp(-u[z_] - v[z_]))
            n = np.tanh(u[n_] + (r * v[n_] if reset_after else W_hh[n_] @ (r * before) + b_hh[n_]))
            y[t, b] = (1 - z) * n + z * before if z_keeps else z * n + (1 - z) * before
        h = y[t]
    return y


def run_of(layer):
    return SimpleNamespace(model=SimpleNamespace(recurrent=layer), dataset=SimpleNamespace(seed=0))


@pytest.mark.parametrize(
    ("name", "reset_after", "z_keeps"),
    [(None, True, True), ("reset_before", False, True), ("z_swapped", True, False)],
)
def test_each_gru_is_its_equations(name, reset_after, z_keeps):
    rng = np.random.default_rng(0)
    layer = scratch.GRU(3, 4, dtype=np.float64, rng=rng)
    x, h_0 = rng.standard_normal((5, 2, 3)), rng.standard_normal((2, 4))
    expected = steps_of_gru(x, h_0, {n: p.copy() for n, p in layer.params.items()}, reset_after, z_keeps)
    if name:
        BY_NAME[name].change(run_of(layer))
    assert_same(layer.forward(x, h_0[None])[0].copy(), expected, "y")


@pytest.mark.parametrize("slope", [1 / 6, 0.2])
@pytest.mark.parametrize("cell", ["gru", "mingru"])
def test_a_hard_sigmoid_has_the_right_gradient(cell, slope, monkeypatch):
    """With weights so large that many gates are exactly 0 or 1. (LSTM: test_traps_in_torch.py.)"""
    model = dict(cell=cell, output_size=2, hidden_size=4, input_size=3)
    start = model_pair.build(model, "float64")
    pair = model_pair.build(model, "float64", weights={name: 4 * p for name, p in start.scratch.params.items()})
    rng = np.random.default_rng(0)
    batch = Batch(rng.standard_normal((5, 6, 3)), rng.standard_normal((5, 6, 2)))
    catalogue.hard_sigmoid(SimpleNamespace(model=pair.scratch), slope)
    monkeypatch.setattr(torch, "sigmoid", lambda a: (slope * a + 0.5).clamp(0, 1))
    loss = pair.torch.loss(batch, kept=[])
    loss.backward()
    assert pair.scratch.loss(batch) == pytest.approx(loss.item(), rel=1e-13)
    expected = {name: p.grad.numpy() for name, p in pair.torch.named_parameters()}
    assert_all_same(pair.scratch.backward(), expected, cell=cell)


papers_cell = cache(catalogue.gru_reset_before)


def papers_gru(case):
    """The layers of a Case, with the cell of Cho et al. (2014)."""
    layer = case.layer()
    layer.cell = papers_cell()
    return layer


@pytest.mark.parametrize(
    ("layers", "padded", "ids"), [(1, False, True), (2, False, False), (2, True, False)], ids=["ids", "plain", "padded"]
)
def test_the_papers_gru_has_the_right_gradient(layers, padded, ids):
    """By complex steps, entry by entry; and a second backward gives the same, from arrays that cannot be written."""
    case = Case("gru", layers, bidirectional=layers > 1, bias=True, T=4, B=3, I=2, H=3, padded=padded, seed=0)
    x, (h_0,), dy, (dh_n,), lengths = case.problem()
    layer, places = papers_gru(case), np.random.default_rng(0).integers(5, size=(4, 3))
    arrays = {"table" if ids else "x": np.random.default_rng(1).standard_normal((5, 2)) if ids else x, "h_0": h_0}

    def forward(layer, arrays):
        x, table = (places, arrays["table"]) if ids else (arrays["x"], None)
        return layer.forward(x, arrays["h_0"], lengths, table)

    def loss(arrays):
        moved = papers_gru(case)
        moved.params = {name: arrays[name] for name in moved.params}
        y, h_n = forward(moved, arrays)
        return np.sum(y * dy) + np.sum(h_n * dh_n)

    right = complex_gradient(loss, arrays | layer.params)
    forward(layer, arrays)
    for _ in range(2):
        dx, dh_0 = layer.backward(dy, dh_n)
        assert_all_same({"table" if ids else "x": dx, "h_0": dh_0, **layer.grads}, right, cell="gru")


def test_the_papers_gru_has_the_trace_of_the_other_gru():
    case = Case("gru", 1, bidirectional=False, bias=True, T=5, B=2, I=3, H=4, padded=False, seed=0)
    layer, trace = papers_gru(case), []
    y, _ = layer.forward(case.problem()[0])
    layer.backward(y, trace=trace)
    assert_same(trace[0]["du"].sum(axis=(0, 1)), layer.grads["bias_ih_l0"], "bias_ih")
    assert_same(trace[0]["dv"].sum(axis=(0, 1)), layer.grads["bias_hh_l0"], "bias_hh")


@pytest.mark.parametrize(("cell", "order"), [("lstm", [0, 1, 3, 2]), ("gru", [1, 0, 2])])
def test_gates_in_another_order_are_torchs_blocks_swapped(cell, order):
    layer = scratch.SequenceModel(cell, 2, hidden_size=3, input_size=2).recurrent
    before = {name: p.copy() for name, p in layer.params.items()}
    catalogue.swap_gates(run_of(layer))
    for name, p in layer.params.items():
        blocks = np.split(before[name], len(order))
        np.testing.assert_array_equal(p, np.concatenate([blocks[k] for k in order]))


def test_not_detached_is_torch_without_detach():
    """With retain_graph, and weights updated where autograd does not see it; otherwise torch refuses."""
    runs = trained("text")
    s = replace(runs.settings, optimizer="sgd", lr=0.5, clip=None)
    batches = list(islice(runs.dataset.train_batches(0), 6))
    model, state, losses = model_pair.build(model_pair.model_of(s, runs.dataset), s.dtype, s.seed).torch, None, []
    for batch in batches:
        loss = model.loss(batch, state)
        model.zero_grad()
        loss.backward(retain_graph=True)
        for p in model.parameters():
            p.data -= s.lr * p.grad
        losses.append(loss.item())
        state = model.state_n
    (variant,) = BY_NAME["state_not_detached"].variants(s)
    got = list(training.prepared(s, runs.dataset, len(batches), variant.package(), variant.change))
    np.testing.assert_allclose(got, losses, rtol=1e-12)
    model.loss(batches[0], None).backward()
    with pytest.raises(RuntimeError, match="a second time"):
        model.loss(batches[1], model.state_n).backward()


def test_an_epoch_begins_without_earlier_windows():
    rng = np.random.default_rng(0)
    layer = scratch.GRU(3, 4, dtype=np.float64, rng=rng)
    undetached = copy.copy(layer)
    catalogue.never_detach(run_of(undetached))
    ids, table = rng.integers(5, size=(2, 6, 2)), rng.standard_normal((5, 3))
    _, state = undetached.forward(ids[0], None, None, table)
    y, _ = undetached.forward(ids[1], state, None, table)
    through, _ = undetached.backward(y)
    layer.forward(ids[1], state, None, table)
    detached, _ = layer.backward(y)
    assert np.abs(through - detached).max() > 1e-3
    y, _ = undetached.forward(ids[1], None, None, table)  # the next epoch's first window
    first, _ = undetached.backward(y)
    layer.forward(ids[1], None, None, table)
    assert_same(first, layer.backward(y)[0], "dembedding")


def test_the_different_initial_weights_are_within_xaviers_bounds():
    layer = scratch.LSTM(5, 40)
    BY_NAME["different_initial_weights"].change(run_of(layer))
    for name, p in layer.params.items():
        bound = np.sqrt(6 / sum(p.shape)) if "weight" in name else 0
        assert 0.95 * bound <= np.abs(p).max() <= bound, name


def names_of(batches):
    """Every sequence of an epoch, in order, as a tuple of ids without padding."""
    return [tuple(b.inputs[:n, k]) for b in batches for k, n in enumerate(b.lengths)]


def test_another_batch_order_has_the_same_names():
    dataset = trained("names").dataset
    other = copy.copy(dataset)
    catalogue.shuffle_differently(SimpleNamespace(dataset=other))
    right, shuffled = names_of(dataset.train_batches(0)), names_of(other.train_batches(0))
    assert shuffled != right
    assert sorted(shuffled) == sorted(right)


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_leaves_table_picture_and_files(folder, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["traps", "--steps", "6"]) == 0
    said = capsys.readouterr().out
    assert said.count("no trap:") == 2 * len(REAL), "as in the picture and in --match"
    assert max(map(len, said.split("\n"))) <= 80
    for trap in TRAPS:
        assert " ".join(trap.title.split()[:2]) in said
    assert (folder / "results/traps.png").read_bytes().startswith(b"\x89PNG")
    for task in REAL:
        start = safetensors.torch.load_file(f"results/traps/{task}.safetensors")
        opened = files.open_checkpoint(f"results/traps/{task}.safetensors")
        torch_impl.SequenceModel(**opened.model, dtype=torch.float64).load_state_dict(start)
    with open("results/traps/text.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert set(rows[0]) == {"step", "reference", "torch", "float32", *(t.name for t in TRAPS if t.task == "text")}


@pytest.mark.parametrize("tasks", [REAL, ("text",), ("names",)], ids=" ".join)
def test_the_picture_is_legible(tasks, tmp_path, monkeypatch):
    """Shown 830 pixels wide no text is below 9 points, and no text lies on another."""
    drawn = []
    monkeypatch.setattr(plot, "save", lambda figure, path: drawn.append(figure))
    runs = {task: trained(task) for task in tasks}
    shown = [(v, of) for task, of in runs.items() for v in of.shown if len(tasks) == 1 or v.trap.task == task]
    plot.draw(tmp_path / "traps.png", runs, shown)
    (figure,) = drawn
    assert figure.get_figwidth() == 8.5
    texts = [text for text in texts_of(figure) if text.get_window_extent().width > 0]
    for text in texts:
        assert text.get_fontsize() >= 9, text
        box = text.get_window_extent()
        assert box.xmax <= figure.bbox.xmax and box.ymin >= 0, f"{text} is cut off"
    assert not overlapping(texts)


# ---- the catalogue --------------------------------------------------------------------------------------------------


def test_every_trap_is_one_change_with_a_name_of_its_own():
    assert len(BY_NAME) == len(TRAPS) == len({trap.title for trap in TRAPS})
    for trap in TRAPS:
        assert trap.mistake or trap.change, trap.name
        assert not trap.values or trap.change, trap.name
        labels = [variant.label for variant in trap.variants(training.reference(trap.task))]
        assert len(labels) == len(set(labels)), trap.name


def test_every_trap_names_files_that_exist():
    for trap in TRAPS:
        named = re.findall(r"(?:scratch|torch_impl|data)/(?:\w+\.py)?", trap.why)
        assert named, trap.name
        assert all((ROOT / path).exists() for path in named), trap.name
