"""`byhand traps --match`: the curve alone tells which run it is, and an unusable file is refused in one line."""

import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trap_runs import REAL, SMALL, STEPS, trained

from compare import model_pair
from compare.__main__ import main
from compare.agreement import AGREEMENT
from compare.mistakes.catalogue import BY_NAME, MISTAKES
from compare.mistakes.plant import planted
from compare.traps import match, own_curve, training, verdict_text
from compare.traps.catalogue import TRAPS
from data import UserError


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    monkeypatch.setattr(training, "DEFAULTS", SMALL)


@pytest.fixture
def no_mistakes(monkeypatch):
    monkeypatch.setattr(match, "MISTAKES", ())


def curve_of(losses):
    losses = np.asarray(losses, float)
    return own_curve.OwnCurve("mine", np.arange(1, len(losses) + 1), losses, own_curve.digit_of(losses))


def fitting(verdict):
    """The names of the traps that fit, nearest first; None for the reference run."""
    return [candidate.trap.name if candidate.trap else None for candidate in verdict.fitting]


def printed(verdict, capsys):
    verdict_text.show(verdict)
    return capsys.readouterr().out


# ---- the verdict ----------------------------------------------------------------------------------------------------

WRITTEN = {
    "in full": lambda losses: losses,
    "rounded to float32": lambda losses: losses.astype(np.float32),
    "with other rounding": lambda losses: losses * (1 + 1e-7 * np.random.default_rng(0).standard_normal(STEPS)),
    "to seven decimals": lambda losses: losses.round(7),
}


@pytest.mark.parametrize("written", WRITTEN)
@pytest.mark.parametrize("task", REAL)
def test_the_curve_alone_tells_which_run_it_is(task, written, capsys):
    runs = trained(task)
    for trap in (trap for trap in TRAPS if trap.name in runs.trapped):
        losses = WRITTEN[written](runs.trapped[trap.name])
        if written != "in full" and np.abs(runs.trapped[trap.name] - runs.reference).max() < 5e-6:
            continue  # within twelve steps this one is hardly above such rounding
        verdict = match.judge(curve_of(losses), runs)
        # on text no single number and no single array exceeds the limit, so both clipping traps are the same run
        same = [t for t in TRAPS if np.array_equal(runs.trapped.get(t.name), runs.trapped[trap.name])]
        assert fitting(verdict) == [t.name for t in same]
        assert not verdict.is_reference
        said = printed(verdict, capsys)
        assert f"mine: fits {same[0].title!r}" in said
        assert same[0].fix in said
        assert ("Equally near: " + ", ".join(t.title for t in same[1:]) + "." in said) == (len(same) > 1)
    for losses in (WRITTEN[written](runs.reference), runs.float32, runs.torch):
        verdict = match.judge(curve_of(losses), runs)
        assert verdict.is_reference
        words = "may be" if verdict.fitting[1:] else "is"
        assert f"mine: this {words} the reference run" in printed(verdict, capsys)
    assert fitting(match.judge(curve_of(runs.torch), runs)) == [None]


def test_few_digits_leave_several_curves(capsys):
    """Four decimals distinguish one bias from two; with one decimal several curves are equally near."""
    runs = trained("names")
    assert fitting(match.judge(curve_of(runs.trapped["one_bias"].round(4)), runs)) == ["one_bias"]
    verdict = match.judge(curve_of(runs.trapped["one_bias"].round(1)), runs)
    assert verdict.is_reference and "one_bias" in fitting(verdict)
    said = printed(verdict, capsys)
    assert "this may be the reference run" in said
    assert "one bias instead of two" in said.split("Equally near:")[1]
    assert "few decimals: gaps up to 5.1e-02 count as rounding\n" in said
    assert "few decimals" not in printed(match.judge(curve_of(runs.reference), runs), capsys)


@pytest.mark.parametrize(("task", "factor"), [("text", 8 * 16), ("text", 8), ("names", 1 / np.log(2)), ("series", 0.5)])
def test_losses_in_another_unit_are_recognized(task, factor, capsys):
    """Sums over all targets or over the steps, bits, half squares."""
    runs = trained(task)
    verdict = match.judge(curve_of(runs.trapped["epsilon_inside"] * factor), runs)
    assert fitting(verdict) == ["epsilon_inside"]
    assert verdict.factor == pytest.approx(factor, rel=1e-6)
    assert f"divided by {factor:.6g}" in printed(verdict, capsys)


def test_few_digits_are_no_other_unit():
    """A loss that hardly moves fits the reference run after division, if it is written with few digits."""
    runs = trained("text")
    flat = replace(runs, reference=np.linspace(4.17, 4.16, STEPS), trapped={})
    assert match.in_the_references_unit(curve_of(np.full(STEPS, 2.5)), flat) is None
    assert match.in_the_references_unit(curve_of(np.full(STEPS, -1 / 3)), flat) is None
    assert match.in_the_references_unit(curve_of(np.full(STEPS, 0.0)), flat) is None


def test_how_much_rounding_explains():
    """Rounding may be ten times as large elsewhere; the written digits explain no more than themselves."""
    in_full, four_decimals = curve_of([1 / 3, 0.5]), curve_of([0.3333, 0.5])
    assert match.rounding_of(in_full, 1e-7, 1) == (pytest.approx(1e-6, rel=1e-3), True)
    assert match.rounding_of(in_full, 0, 1) == (AGREEMENT["float64"], True)
    assert match.rounding_of(four_decimals, 4e-5, 1) == (pytest.approx(5.1e-5), True)
    assert match.rounding_of(in_full, 1e-3, 1) == (1e-5, False)
    assert match.rounding_of(in_full, 1e-3, 0) == (AGREEMENT["float64"], False)


def test_a_trap_without_a_difference_is_not_compared(capsys):
    runs = trained("series")
    trapped = runs.trapped | {"one_bias": runs.reference, "different_initial_weights": np.full(STEPS, np.nan)}
    verdict = match.judge(curve_of(runs.reference), replace(runs, trapped=trapped))
    assert [trap.name for trap in verdict.hidden] == ["one_bias"]
    assert fitting(verdict) == [None]
    assert verdict.candidates[-1].gap == np.inf, "a run that diverged is far away"
    assert "no difference within these steps: one bias instead of two" in printed(verdict, capsys)


def test_a_mistake_of_the_catalogue_is_found(capsys, monkeypatch):
    runs = trained("names")
    mistake = BY_NAME["slope_from_c"]
    # among them one that trains just as well, one of another cell, and one that does not train at all
    names = ("slope_from_c", "dc_carried_whole", "dc_n_overwritten", "dh_not_carried", "bias_as_a_row")
    monkeypatch.setattr(match, "MISTAKES", [m for m in MISTAKES if m.name in names])
    losses = list(training.prepared(runs.settings, runs.dataset, STEPS, planted(mistake)))
    verdict = match.judge(curve_of(losses), runs)
    assert not verdict.fitting
    assert verdict.mistakes == (mistake,)
    assert "slope_from_c in lstm.py" in printed(verdict, capsys)


@pytest.mark.parametrize(
    ("step", "first", "said"),
    [
        (1, 1, "before any update"),
        (2, 1, "the first update is not"),
        (5, 1, "up to step 4"),
        (3, 3, "the first one logged"),
    ],
)
@pytest.mark.usefixtures("no_mistakes")
def test_if_nothing_fits_the_step_says_where_to_look(step, first, said, capsys):
    runs = trained("names")
    losses = runs.reference.copy()
    losses[step - 1 :] += 1e-3 if step == first else 1e-6  # float32 could explain it, but the first loss was float64's
    losses[-1] += 0.01
    curve = replace(curve_of(losses[first - 1 :]), steps=np.arange(first, STEPS + 1))
    verdict = match.judge(curve, runs)
    assert not verdict.fitting and verdict.diverges_at == step
    shown = printed(verdict, capsys)
    assert "no trap fits" in shown
    assert said in shown
    assert f"at step {first}, " in shown.split("Gap to the reference run:")[1]


# ---- the file -------------------------------------------------------------------------------------------------------


def write(path, losses, steps=None):
    header, rows = ("loss", ((repr(float(x)),) for x in losses))
    if steps is not None:
        header, rows = "step,loss", ((str(k), repr(float(x))) for k, x in zip(steps, losses, strict=True))
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("values", "digit"),
    [([0.25, 1.5], 0.0051), ([2.0, 3.0], 0.51), ([1 / 3, 0.5], 0.0), ([4.123456, 1e-6], 5.1e-7)],
)
def test_the_last_written_digit(values, digit):
    assert own_curve.digit_of(np.array(values)) == pytest.approx(digit)


@pytest.mark.parametrize("first", [0, 1])
def test_steps_count_from_0_or_1_and_some_may_be_missing(tmp_path, first):
    path = write(tmp_path / "mine.csv", range(10, 60, 10), steps=range(first, first + 10, 2))
    (curve,) = own_curve.read(path, most=8)
    assert curve.steps.tolist() == [1, 3, 5, 7]
    assert curve.losses.tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, [], "no such file"),
        ("", [], "the file is empty"),
        ("loss\n", [], "no values"),
        ("error\n1\n2\n3\n", [], "no column 'loss'"),
        ("error\n1\n2\n3\n", ["--column", "fault"], "no column 'fault'"),
        ("loss,loss\n1,1\n2,2\n3,3\n", [], "2 columns named 'loss'"),
        ("step,step,loss\n1,1,1\n2,2,2\n3,3,3\n", [], "2 columns named 'step'"),
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
def test_a_file_that_cannot_be_used_is_refused_in_one_line(folder, content, arguments, said, refused):
    if content is not None:
        (folder / "mine.csv").write_text(content, encoding="utf-8")
    assert said in refused(["traps", "names", "--match", "mine.csv", *arguments])


@pytest.mark.slow
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
        curves = own_curve.read(path)
    except UserError as error:
        assert str(error) and "\n" not in str(error)
    else:
        assert all(len(curve.losses) == len(curve.steps) >= own_curve.FEWEST for curve in curves)


# ---- the command ----------------------------------------------------------------------------------------------------


def test_the_command_recognizes_its_own_curves(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["traps", "text", "--steps", "6"]) == 0
    for column, status, words in (
        ("reference", 0, "this is the reference run"),
        ("torch", 0, "this is the reference run"),
        ("state_not_detached", 1, "fits 'state carried but not detached'"),
    ):
        capsys.readouterr()
        assert main(["traps", "text", "--match", "results/traps/text.csv", "--column", column]) == status
        said = capsys.readouterr().out
        assert words in said
        assert max(len(line) for line in said.split("\n") if line[:1] in "┏┃┡│└") <= 80


def test_a_run_of_curves_is_identified_by_its_checkpoint(folder, undrawn, capsys, refused):
    """With all its options; and a file that is put next to it is compared with it."""
    options = ["--cell", "gru", "--hidden", "5", "--layers", "2", "--batch-size", "9", "--optimizer", "sgd"]
    momentum = ["--momentum", "0.9", "--nesterov", "--weight-decay", "0.1", "--clip", "0", "--seed", "3"]
    assert main(["curves", "memory", *options, *momentum, "--steps", "5"]) == 0
    assert main(["traps", "--match", "results/memory/history.csv"]) == 0
    said = capsys.readouterr().out
    for model in ("scratch", "torch"):
        assert f"history.csv, {model}: this is the reference run" in said
    mine = write(folder / "results/memory/mine.csv", [0.5, 0.4, 0.3])
    assert main(["traps", "memory", "--match", mine]) == 1
    assert "drop names" in refused(["traps", "names", "--match", mine])


def the_settings(**changed):
    return lambda model, settings: (model, settings | changed)


ALTERED = {
    "no settings": lambda model, settings: (model, None),
    "settings in a list": lambda model, settings: (model, [settings]),
    "no task": lambda model, settings: (model, {name: value for name, value in settings.items() if name != "task"}),
    "another model": lambda model, settings: (model | {"hidden_size": 4}, settings),
    "no model": lambda model, settings: (None, settings),
    "no such task": the_settings(task="poetry"),
    "no such cell": the_settings(cell="transformer"),
    "another cell": the_settings(cell="rnn"),
    "other layers": the_settings(layers=2),
    "no such optimizer": the_settings(optimizer="newton"),
    "an optimizer in a list": the_settings(optimizer=["adam"]),
    "hidden in words": the_settings(hidden="3"),
    "hidden true": the_settings(hidden=True),
    "half a row": the_settings(batch_size=2.5),
    "no rows": the_settings(batch_size=0),
    "a negative seed": the_settings(seed=-1),
    "a rate in words": the_settings(lr="fast"),
    "no rate": the_settings(lr=None),
    "a rate of nan": the_settings(lr=float("nan")),
    "an endless rate": the_settings(lr=10**400),
    "a huge window": the_settings(window=10**8),
    "a clip in words": the_settings(clip="1"),
    "no such data": the_settings(data="nowhere.txt"),
    "data of 1": the_settings(data=1),
    "no such tokens": the_settings(tokens="syllables"),
    "no such way": the_settings(missing="guess"),
    "a difference of 1": the_settings(difference=1),
    "nothing but dropout": the_settings(dropout=1.0),
    "an unknown setting": the_settings(more=1),
}


@pytest.mark.parametrize("altered", ALTERED.values(), ids=ALTERED)
def test_an_altered_checkpoint_is_refused(altered, folder, capsys):
    small = training.reference("memory")
    pair = model_pair.build(model_pair.model_of(small, model_pair.load(small)), "float32")
    model, settings = altered(pair.model, asdict(small))
    metadata = {"model": json.dumps(model), "settings": json.dumps(settings)}
    safetensors.numpy.save_file(pair.scratch.params, folder / "checkpoint.safetensors", metadata)
    for command in (["traps", "--match", write(folder / "mine.csv", [0.5, 0.4, 0.3])], ["predict", "."]):
        assert main(command) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1


def test_a_pipe_for_a_checkpoint_is_refused(folder, refused):
    os.mkfifo(folder / "checkpoint.safetensors")
    assert "not a regular file" in refused(["traps", "--match", write(folder / "mine.csv", [0.5, 0.4, 0.3])])


def test_options_that_do_not_go_together(folder, refused):
    mine = write(folder / "mine.csv", [1, 2, 3])
    assert "--match" in refused(["traps", "--column", "loss"])
    assert "name the task" in refused(["traps", "--match", mine])
    assert "'poetry' (choose from" in refused(["traps", "poetry"])
    (folder / "checkpoint.safetensors").write_bytes(b"nothing of the kind")
    assert "not a checkpoint" in refused(["traps", "--match", mine])


def test_without_a_reference_run_there_is_nothing_to_compare_with(tmp_path, monkeypatch):
    runs = trained("series")
    monkeypatch.setattr(match, "train", lambda *_: replace(runs, torch=runs.trapped["one_bias"]))
    with pytest.raises(UserError, match="diverge at step 2"):
        match.main(write(tmp_path / "mine.csv", runs.reference), "series")
