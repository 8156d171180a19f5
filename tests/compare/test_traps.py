"""`byhand traps`: every trap is what it says, shows where it says, and is found by its curve alone."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scratch
import torch_impl
from compare import files, model_pair
from compare.__main__ import main
from compare.agreement import assert_same
from compare.curves.training import AGREEMENT
from compare.mistakes import detectors
from compare.mistakes.catalogue import MISTAKES
from compare.mistakes.plant import planted
from compare.options import DEFAULTS
from compare.traps import catalogue, gru_reset_before, match, plot
from compare.traps.catalogue import TRAPS
from data import UserError

BY_NAME = {trap.name: trap for trap in TRAPS}
STEPS = 12
# The default runs, made small, each with a limit that the norm of the gradient exceeds before long.
CLIP = {"text": 0.33, "names": 0.5, "series": 2.6, "memory": 1.0}
SMALL = {
    task: replace(s, hidden=8, batch_size=16, window=8 if s.window else None, clip=CLIP[task])
    for task, s in DEFAULTS.items()
}
REAL = ("text", "names", "series")


class Silent:
    """A progress display that shows nothing."""

    def add_task(self, *_, **__):
        return 0

    def update(self, *_, **__):
        pass


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    monkeypatch.setattr(catalogue, "DEFAULTS", SMALL)


@pytest.fixture(scope="module")
def twins():
    """Each real task's runs with every trap that applies to it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "DEFAULTS", SMALL)
        return {task: catalogue.train(catalogue.reference(task), STEPS, Silent()) for task in REAL}


# ---- where they show ------------------------------------------------------------------------------------------------

FIRST = {
    1: ("reset_before", "z_exchanged", "gates_in_another_order", "other_first_weights", "other_batch_order"),
    2: ("one_bias", "epsilon_inside", "sum_for_mean", "state_not_carried"),
    3: ("state_not_cut",),
}
ON = {
    "text": {"reset_before", "z_exchanged", "sum_for_mean", "state_not_carried", "state_not_cut"},
    "names": {"one_bias", "other_batch_order", "last_padded_step", "sum_for_mean"},
    "series": {"one_bias", "other_batch_order"},
}
ANYWHERE = {"other_first_weights", "epsilon_inside", "clipped_element_by_element", "one_norm_for_each_array"}


@pytest.mark.parametrize("task", REAL)
def test_each_trap_shows_first_at_its_step_and_not_at_all_before(twins, task):
    twin = twins[task]
    gates = {"gates_in_another_order"} if task != "series" else set()
    assert twin.trapped.keys() == ON[task] | ANYWHERE | gates
    at = {name: step for step, names in FIRST.items() for name in names} | {"last_padded_step": 1}
    s = twin.settings
    model = model_pair.build(model_pair.model_of(s, twin.dataset), s.dtype, s.seed).scratch
    norms = [r.grad_norm for r in scratch.fit(model, twin.dataset, scratch.Adam(model.params, s.lr), STEPS, s.clip)]
    clipped = next(step for step, norm in enumerate(norms, start=1) if norm > s.clip)
    assert 1 < clipped < STEPS
    at |= {"clipped_element_by_element": clipped + 1, "one_norm_for_each_array": clipped + 1}
    for name, losses in twin.trapped.items():
        gap = np.abs(losses - twin.true)
        assert not gap[: at[name] - 1].any(), f"{name} shows before step {at[name]}"
        assert gap[at[name] - 1] > 100 * AGREEMENT["float64"], name
        assert twin.shows(losses) == at[name]


@pytest.mark.parametrize(
    "options",
    [
        dict(optimizer="sgd", lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        dict(optimizer="rmsprop", momentum=0.5),
        dict(optimizer="adamw", weight_decay=0.5),
        dict(optimizer="adagrad", clip=None, seed=7),
    ],
)
def test_without_a_change_it_is_the_true_run(twins, options):
    """Whatever the run's options: the same losses to the last bit, so that all of a gap is the trap's."""
    s, dataset = replace(twins["series"].settings, **options), twins["series"].dataset
    both = model_pair.build(model_pair.model_of(s, dataset), s.dtype, s.seed)
    true = [
        ours.loss
        for ours, _ in model_pair.train(replace(s, steps=STEPS), dataset, both, model_pair.optimizers(s, both))
    ]
    assert list(catalogue.prepared(s, dataset, STEPS)) == true


@pytest.mark.parametrize("task", REAL)
def test_without_a_trap_there_is_rounding_and_no_more(twins, task):
    twin = twins[task]
    assert twin.shows(twin.torch) is None
    gap = np.abs(twin.single - twin.true)
    assert gap.any(), "float32 has its own rounding"
    assert (gap <= AGREEMENT["float32"] * np.maximum(1, twin.true)).all()
    assert twin.shows(twin.single) == 1
    assert twin.shows(np.full(STEPS, np.nan)) == 1, "a loss that is no number is off"


# ---- each is what it says -------------------------------------------------------------------------------------------


def steps_of_gru(x, h, params, reset_after, z_keeps):
    """The equations, a row and a step at a time. x (T, B, I)."""
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


@pytest.mark.parametrize(
    ("name", "reset_after", "z_keeps"),
    [(None, True, True), ("reset_before", False, True), ("z_exchanged", True, False)],
)
def test_the_other_grus_are_their_equations(name, reset_after, z_keeps):
    rng = np.random.default_rng(0)
    layer = scratch.GRU(3, 4, dtype=np.float64, rng=rng)
    x, h_0 = rng.standard_normal((5, 2, 3)), rng.standard_normal((2, 4))
    expected = steps_of_gru(x, h_0, {n: p.copy() for n, p in layer.params.items()}, reset_after, z_keeps)
    if name:
        BY_NAME[name].change(SimpleNamespace(recurrent=layer), None)
    assert_same(layer.forward(x, h_0[None])[0].copy(), expected, "y")


@pytest.mark.parametrize(
    "setting", [detectors.Setting("gru", V=4), *detectors.STACKED[1:2], *detectors.STACKED_PADDED[:1]]
)
def test_the_papers_gru_has_the_right_gradient(setting):
    def gru(*sizes, **options):
        layer = scratch.GRU(*sizes, **options)
        layer.cell = gru_reset_before
        return layer

    detectors.layer_is_right(SimpleNamespace(GRU=gru, RNN=scratch.RNN, LSTM=scratch.LSTM), setting)


def test_the_papers_gru_traces_what_the_other_does():
    rng = np.random.default_rng(0)
    layer, trace = scratch.GRU(3, 4, dtype=np.float64, rng=rng), []
    layer.cell = gru_reset_before
    y, _ = layer.forward(rng.standard_normal((5, 2, 3)))
    layer.backward(y, trace=trace)
    assert_same(trace[0]["du"].sum(axis=(0, 1)), layer.grads["bias_ih_l0"], "bias_ih")
    assert_same(trace[0]["dv"].sum(axis=(0, 1)), layer.grads["bias_hh_l0"], "bias_hh")


@pytest.mark.parametrize(("cell", "order"), [("lstm", [0, 1, 3, 2]), ("gru", [1, 0, 2])])
def test_gates_in_another_order_are_torchs_blocks_read_otherwise(cell, order):
    layer = scratch.SequenceModel(cell, 2, hidden_size=3, input_size=2).recurrent
    before = {name: p.copy() for name, p in layer.params.items()}
    catalogue.swap_gates(SimpleNamespace(recurrent=layer), None)
    for name, p in layer.params.items():
        blocks = np.split(before[name], len(order))
        np.testing.assert_array_equal(p, np.concatenate([blocks[k] for k in order]))


def by_torch(twin, train_step, steps=8):
    """Losses of torch's model from the same start; train_step(model, batch, state) does all that a step does."""
    s = twin.settings
    model = model_pair.build(model_pair.model_of(s, twin.dataset), s.dtype, s.seed).torch
    losses, state = [], None
    for batch, _ in zip(twin.dataset.train_batches(0), range(steps), strict=False):
        loss, state = train_step(model, batch, state)
        losses.append(loss)
    return np.array(losses)


def by_trap(twin, name, steps=8, **settings):
    trap, s = BY_NAME[name], replace(twin.settings, **settings)
    package = planted(trap.mistake) if trap.mistake else scratch
    return np.array(list(catalogue.prepared(s, twin.dataset, steps, package, trap.change)))


def test_one_bias_is_torch_with_one_bias(twins):
    """The sum of both as the one that is trained, and the other one zero for good."""
    twin = twins["names"]
    optimizer = None

    def step(model, batch, _):
        nonlocal optimizer
        if optimizer is None:
            with torch.no_grad():
                model.recurrent.bias_ih_l0 += model.recurrent.bias_hh_l0
                model.recurrent.bias_hh_l0.zero_()
            model.recurrent.bias_hh_l0.requires_grad_(False)
            trained = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.Adam(trained, twin.settings.lr)
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), twin.settings.clip)
        optimizer.step()
        return loss.item(), None

    np.testing.assert_allclose(by_trap(twin, "one_bias"), by_torch(twin, step), rtol=1e-12)


def test_not_cut_is_torch_without_detach(twins):
    """With the graph kept, and the weights changed where autograd does not look: else torch refuses."""
    twin = twins["text"]

    def step(model, batch, state):
        loss = model.loss(batch, state)
        model.zero_grad()
        loss.backward(retain_graph=True)
        for p in model.parameters():
            p.data -= 0.5 * p.grad
        return loss.item(), model.state_n

    got = by_trap(twin, "state_not_cut", steps=6, optimizer="sgd", lr=0.5, clip=None)
    np.testing.assert_allclose(got, by_torch(twin, step, steps=6), rtol=1e-12)
    with pytest.raises(RuntimeError, match="a second time"):
        by_torch(twin, lambda model, batch, state: (model.loss(batch, state).backward(), model.state_n))


def test_an_epoch_begins_with_no_windows_before_it():
    rng = np.random.default_rng(0)
    layer = scratch.GRU(3, 4, dtype=np.float64, rng=rng)
    uncut = catalogue.Uncut(layer)
    ids, table = rng.integers(5, size=(2, 6, 2)), rng.standard_normal((5, 3))
    _, state = uncut.forward(ids[0], None, None, table)
    y, _ = uncut.forward(ids[1], state, None, table)
    through, _ = uncut.backward(y)
    layer.forward(ids[1], state, None, table)
    cut, _ = layer.backward(y)
    assert np.abs(through - cut).max() > 1e-3
    y, _ = uncut.forward(ids[1], None, None, table)  # the next epoch's first window
    first, _ = uncut.backward(y)
    layer.forward(ids[1], None, None, table)
    assert_same(first, layer.backward(y)[0], "dembedding")


def test_last_padded_step_is_torch_without_packing(twins):
    twin = twins["names"]
    batch = next(iter(twin.dataset.train_batches(0)))
    assert len(set(batch.lengths)) > 1
    loss = by_torch(twin, lambda model, batch, _: (model.loss(replace(batch, lengths=None)).item(), None), steps=1)
    np.testing.assert_allclose(by_trap(twin, "last_padded_step", steps=1), loss, rtol=1e-13)


def test_the_other_first_weights_are_within_xaviers_bounds():
    layer = planted(BY_NAME["other_first_weights"].mistake).LSTM(5, 40)
    for name, p in layer.params.items():
        bound = np.sqrt(6 / sum(p.shape)) if "weight" in name else 0
        assert 0.95 * bound <= np.abs(p).max() <= bound, name


def test_another_batch_order_has_the_same_names(twins):
    dataset = twins["names"].dataset
    other = SimpleNamespace(**vars(dataset))
    catalogue.shuffle_otherwise(None, other)
    assert other.seed != dataset.seed
    assert other.train_sequences is dataset.train_sequences


# ---- --match --------------------------------------------------------------------------------------------------------


def curve_of(losses, name="mine"):
    losses = np.asarray(losses, float)
    return match.Curve(name, np.arange(1, len(losses) + 1), losses, match.last_digit(losses))


WRITTEN = {
    "in full": lambda losses: losses,
    "with rounding of float32": lambda losses: losses.astype(np.float32),
    "with other rounding": lambda losses: losses * (1 + 1e-7 * np.random.default_rng(0).standard_normal(STEPS)),
    "to seven decimals": lambda losses: losses.round(7),
}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("task", REAL)
def test_the_curve_alone_tells_which_it_is(twins, task, written, capsys):
    twin = twins[task]
    for trap in (trap for trap in TRAPS if trap.name in twin.trapped):
        losses = WRITTEN[written](twin.trapped[trap.name])
        if written != "in full" and np.abs(twin.trapped[trap.name] - twin.true).max() < 5e-6:
            continue  # this one is hardly above such rounding within twelve steps
        assert match.judge(curve_of(losses), twin) == 1
        said = capsys.readouterr().out
        # on text neither a number nor an array alone is above the limit: two traps are then one, and both are named
        same = [t for t in TRAPS if np.array_equal(twin.trapped.get(t.name), twin.trapped[trap.name])]
        assert f"mine: fits {same[0].title!r}" in said
        assert same[0].mend in said
        assert ("too: " + ", ".join(t.title for t in same[1:]) + "." in said) == (len(same) > 1)
        rows = [line.split("│")[1].strip() for line in said.splitlines() if line.startswith("│")]
        assert rows[: len(same)] == [t.title for t in same]
    for losses in (WRITTEN[written](twin.true), twin.single, twin.torch):
        assert match.judge(curve_of(losses), twin) == 0
        assert "mine: this is the true curve" in capsys.readouterr().out


def test_few_digits_tell_what_they_can(twins, capsys):
    """Four decimals tell one bias from two; with one, several curves are as near, and that is said."""
    twin = twins["names"]
    assert match.judge(curve_of(twin.trapped["one_bias"].round(4)), twin) == 1
    said = capsys.readouterr().out
    assert "fits 'one bias instead of two'" in said
    assert "too:" not in said
    assert match.judge(curve_of(twin.trapped["one_bias"].round(1)), twin) == 0
    said = capsys.readouterr().out
    assert "as far as can be told" in said
    assert "one bias instead of two" in said.split("too:")[1]


@pytest.mark.parametrize(
    ("values", "digit"),
    [([0.25, 1.5], 0.0051), ([2.0, 3.0], 0.51), ([1 / 3, 0.5], 0.0), ([4.123456, 1e-6], 5.1e-7)],
)
def test_last_digit(values, digit):
    assert match.last_digit(np.array(values)) == pytest.approx(digit)


@pytest.mark.parametrize(
    ("task", "name", "factor"),
    [
        ("text", "sums over the targets", 8 * 16),
        ("text", "sums over the rows", 16),
        ("text", "sums over the steps", 8),
        ("names", "in bits", 1 / np.log(2)),
        ("series", "half squares", 0.5),
    ],
)
def test_another_unit_is_seen(twins, task, name, factor, capsys):
    trapped = twins[task].trapped["epsilon_inside"] * factor
    assert match.judge(curve_of(trapped), twins[task]) == 1
    said = capsys.readouterr().out
    assert f"these losses are {name}" in said
    assert 'fits "Adam\'s epsilon inside the correction"' in said


def test_what_counts_as_equally_near():
    """Rounding may be ten times as much elsewhere; what the digits explain is no more than they explain."""
    in_full, four_decimals = curve_of([1 / 3, 0.5]), curve_of([0.3333, 0.5])
    assert match.rounding_of(in_full, 1e-7, 1e-5, 1) == pytest.approx(1e-6, rel=1e-3)
    assert match.rounding_of(in_full, 0, 1e-5, 1) == AGREEMENT["float64"]
    assert match.rounding_of(four_decimals, 4e-5, 5.1e-5, 1) == pytest.approx(5.1e-5)
    assert match.rounding_of(in_full, 1e-3, 1e-5, 1) == 1e-5


def test_a_trap_that_does_not_show_or_diverges_is_no_candidate(twins, capsys):
    twin = twins["series"]
    trapped = twin.trapped | {"one_bias": twin.true, "other_first_weights": np.full(STEPS, np.nan)}
    assert match.judge(curve_of(twin.true), replace(twin, trapped=trapped)) == 0
    said = capsys.readouterr().out
    assert f"does not show within {STEPS} steps of this run: one bias instead of two" in said
    assert "too:" not in said
    assert " inf " in said


def test_digits_are_those_of_the_unit(twins):
    mine = curve_of((twins["text"].true * 128).round(4))
    assert match.in_torchs_unit(mine, twins["text"]).digit == pytest.approx(5.1e-5 / 128)


def test_a_sum_over_a_shorter_batch_is_divided_by_its_own_size(twins):
    twin = twins["names"]
    shorter = SimpleNamespace(**vars(twin.dataset), train_batches=lambda epoch: iter(batches), predict="last")
    batches = [replace(b, targets=b.targets[:n]) for b, n in zip(twin.dataset.train_batches(0), (16, 5), strict=False)]
    mine = match.Curve("mine", np.array([1, 2]), twin.true[:2] * (16, 5), 0.0)
    assert np.array_equal(match.in_torchs_unit(mine, replace(twin, dataset=shorter)).losses, twin.true[:2])


def test_a_mistake_of_the_catalogue_is_found(twins, capsys, monkeypatch):
    twin = twins["names"]
    (mistake,) = (m for m in MISTAKES if m.name == "slope_from_c")
    # among them one that trains just as well, one of another cell, and one that does not train at all
    names = ("slope_from_c", "dc_carried_whole", "dc_n_overwritten", "dh_not_carried", "bias_as_a_row")
    monkeypatch.setattr(match, "MISTAKES", [m for m in MISTAKES if m.name in names])
    losses = list(catalogue.prepared(twin.settings, twin.dataset, STEPS, planted(mistake)))
    assert match.judge(curve_of(losses), twin) == 1
    said = capsys.readouterr().out
    assert "none of the traps fits" in said
    assert "slope_from_c in lstm.py" in said
    assert said.count("But a mistake") == 1


@pytest.mark.parametrize(
    ("step", "said"), [(1, "before any update"), (2, "the first update is not"), (5, "up to step 4")]
)
def test_when_nothing_fits_the_step_tells_where_to_look(twins, step, said, capsys, monkeypatch):
    monkeypatch.setattr(match, "MISTAKES", MISTAKES[:0])
    losses = twins["names"].true.copy()
    losses[step - 1 :] += 1e-3 if step == 1 else 1e-6  # which float32 might explain, but float64 has shown itself
    losses[-1] += 0.01
    assert match.judge(curve_of(losses), twins["names"]) == 1
    shown = capsys.readouterr().out
    assert "none of the traps fits" in shown
    assert said in shown


def write(path, losses, steps=None):
    header, rows = ("loss", ((repr(float(x)),) for x in losses))
    if steps is not None:
        header, rows = "step,loss", ((str(k), repr(float(x))) for k, x in zip(steps, losses, strict=True))
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("first", [0, 1])
def test_steps_are_counted_from_0_or_1_and_some_may_be_missing(tmp_path, first):
    path = write(tmp_path / "mine.csv", range(10, 60, 10), steps=range(first, first + 10, 2))
    (curve,) = match.read(path, most=8)
    assert curve.steps.tolist() == [1, 3, 5, 7]
    assert curve.losses.tolist() == [10, 20, 30, 40]


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_draws_and_finds_its_own_curves(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["traps", "--steps", "6"]) == 0
    said = capsys.readouterr().out
    for trap in TRAPS:
        assert " ".join(trap.title.split()[:2]) in said
    assert (tmp_path / "results/traps.png").read_bytes().startswith(b"\x89PNG")
    for task in REAL:
        start = safetensors.torch.load_file(f"results/traps/{task}.safetensors")
        opened = files.open_checkpoint(f"results/traps/{task}.safetensors")
        torch_impl.SequenceModel(**opened.model, dtype=torch.float64).load_state_dict(start)
    with open("results/traps/text.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5", "6"]
    assert set(rows[0]) == {"step", "true", "torch", "float32", *(t.name for t in TRAPS if t.task == "text")}

    for column, status, words in (
        ("true", 0, "this is the true curve"),
        ("torch", 0, "this is the true curve"),
        ("state_not_cut", 1, "fits 'state carried, but not cut'"),
    ):
        assert main(["traps", "text", "--match", "results/traps/text.csv", "--column", column]) == status
        assert words in capsys.readouterr().out


def test_a_run_of_curves_is_known_by_its_checkpoint(tmp_path, monkeypatch, capsys):
    """Whatever options it was made with; and a file that is put beside it is compared with it."""
    monkeypatch.chdir(tmp_path)
    options = ["--cell", "gru", "--hidden", "5", "--layers", "2", "--batch-size", "9", "--optimizer", "sgd"]
    momentum = ["--momentum", "0.9", "--nesterov", "--weight-decay", "0.1", "--clip", "0", "--seed", "3"]
    assert main(["curves", "memory", *options, *momentum, "--steps", "5"]) == 0
    assert main(["traps", "--match", "results/memory/history.csv"]) == 0
    said = capsys.readouterr().out
    for side in ("scratch", "torch"):
        assert f"history.csv, {side}: this is the true curve" in said
    mine = write(tmp_path / "results/memory/mine.csv", [0.5, 0.4, 0.3])
    assert main(["traps", "memory", "--match", mine]) == 1
    assert main(["traps", "names", "--match", mine]) == 2
    assert "drop names" in capsys.readouterr().err


def test_a_picture_of_one_task_leaves_room_for_the_words(tmp_path, twins):
    shown = [(trap, twins["text"]) for trap in TRAPS if trap.name in twins["text"].trapped]
    assert len(shown) % 4 == 2, "the panels leave one place, which is too small"
    plot.draw(tmp_path / "traps.png", {"text": twins["text"]}, shown)
    assert (tmp_path / "traps.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, [], "no such file"),
        ("", [], "the file is empty"),
        ("loss\n", [], "no values"),
        ("error\n1\n2\n3\n", [], "no column 'loss'"),
        ("error\n1\n2\n3\n", ["--column", "fault"], "no column 'fault'"),
        ("loss,loss\n1,1\n2,2\n3,3\n", [], "2 columns named 'loss'"),
        ("loss\n1\ntwo\n3\n", [], "line 3: loss is 'two'"),
        ("loss\n1\nnan\n3\n", [], "line 3: loss is 'nan'"),
        ("1\n2\n3\n", [], "its first line is numbers"),
        ("loss\n1\n2\n", [], "has 2 losses"),
        ("step,loss\n70,1\n80,2\n90,3\n", [], "has 0 losses"),
        ("step,loss\n1,1\n1,2\n2,3\n", [], "count upwards"),
        ("step,loss\n1,1\n1.5,2\n2,3\n", [], "count upwards"),
        ("step,loss\n-1,1\n0,2\n2,3\n", [], "count upwards"),
        ("step,split,loss\n1,test,1\n2,test,2\n3,test,3\n", [], "has 0 losses"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path, content, arguments, said, capsys):
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    assert main(["traps", "names", "--match", str(path), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert not captured.out, "nothing was trained"


def test_options_that_do_not_go_together(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mine = write(tmp_path / "mine.csv", [1, 2, 3])
    for arguments, said in (
        (["poetry"], "no task 'poetry'"),
        (["--column", "loss"], "--match"),
        (["--match", mine], "name the task"),
    ):
        assert main(["traps", *arguments]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "checkpoint.safetensors").write_bytes(b"nothing of the kind")
    assert main(["traps", "--match", mine]) == 2
    assert "not a checkpoint" in capsys.readouterr().err


def test_two_sides_that_part_leave_nothing_to_compare_with(twins, tmp_path, monkeypatch):
    twin = twins["series"]
    monkeypatch.setattr(match, "train", lambda *_: replace(twin, torch=twin.trapped["one_bias"]))
    with pytest.raises(UserError, match="part at step 2"):
        match.main(write(tmp_path / "mine.csv", twin.true), "series")


# ---- the catalogue --------------------------------------------------------------------------------------------------


def test_the_catalogue():
    assert len(BY_NAME) == len(TRAPS) == len({trap.title for trap in TRAPS})
    for trap in TRAPS:
        assert (trap.mistake is None) != (trap.change is None), trap.name
        assert trap.why.endswith("."), trap.name
        assert not trap.mend.endswith("."), trap.name
        assert "scratch/" in trap.why or "data/" in trap.why or "training.py" in trap.why, f"{trap.name}: says no place"
        assert len(trap.title) <= 38, "the panels are no wider"


@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(st.sampled_from("step,loss;\n\"'0123456789.-+einfa \t\r\x00é"), max_size=200).map(str.encode),
        st.lists(st.sampled_from([b"step,loss\n", b"1,2.5\n", b"0,nan\n", b"2,1e999\n", b",\n", b"3,2.1", b"4;2"])).map(
            b"".join
        ),
    )
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused_in_one_line(content, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    try:
        curves = match.read(path)
    except UserError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert all(len(curve.losses) == len(curve.steps) >= match.FEWEST for curve in curves)
