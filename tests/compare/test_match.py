"""`byhand traps --match`: the curve alone tells which run it is, and an unusable file is refused in one line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trap_runs import REAL, SMALL, STEPS, known, trained

from compare.__main__ import main
from compare.mistakes.catalogue import BY_NAME, MISTAKES
from compare.mistakes.plant import planted
from compare.traps import match, own_curve, training, verdict_text
from data import UserError


@pytest.fixture(autouse=True)
def small_runs(monkeypatch):
    monkeypatch.setattr(training, "DEFAULTS", SMALL)


def curve_of(losses):
    losses = np.asarray(losses, float)
    return own_curve.OwnCurve("mine", np.arange(1, len(losses) + 1), losses, own_curve.digit_of(losses))


def named(run):
    """The trap and label of a known run or a candidate; None for the reference run."""
    return (run.variant.trap.name, run.variant.label) if run.variant else None


def fitting(verdict):
    """What fits, nearest first."""
    return [named(candidate) for candidate in verdict.fitting]


def hidden(verdict):
    return {(variant.trap.name, variant.label) for variant in verdict.hidden}


def printed(verdict, capsys):
    verdict_text.show(verdict)
    return " ".join(capsys.readouterr().out.split())


# ---- the verdict ----------------------------------------------------------------------------------------------------

WRITTEN = {
    "in full": lambda losses: losses,
    "rounded to float32": lambda losses: losses.astype(np.float32),
    "with other rounding": lambda losses: losses * (1 + 1e-7 * np.random.default_rng(0).standard_normal(STEPS)),
    "to seven decimals": lambda losses: losses.round(7),
}


WAYS = [
    pytest.param(task, written, marks=[pytest.mark.slow] * (task != "names" and written != "in full"))
    for task in REAL
    for written in WRITTEN
]


@pytest.mark.parametrize(("task", "written"), WAYS)
def test_the_curve_alone_tells_which_run_it_is(task, written, capsys):
    runs = trained(task)
    for one in known(task)[1:]:
        if training.diverges_at(one.losses, runs.reference) is None:
            continue  # hidden: within twelve steps it is the reference run
        distance = {named(k): np.abs(k.losses - one.losses).max() for k in known(task)}
        verdict = match.judge(curve_of(WRITTEN[written](one.losses)), known(task))
        # a few are the same run: without effect, any two clipping limits are
        assert {name for name, gap in distance.items() if gap < 1e-14} - hidden(verdict) <= set(fitting(verdict))
        # "in full" tells apart whatever differs, the others what exceeds such rounding
        assert not [n for n in fitting(verdict) if distance[n] > (1e-12 if written == "in full" else 5e-6)]
        said = " ".join(verdict_text.explained(verdict))
        if verdict.reference.fits:
            assert distance[None] < 5e-6, "hardly above such rounding"
        else:
            assert f"mine: fits {verdict.fitting[0].variant.title!r}" in said
            assert verdict.fitting[0].variant.trap.fix in said
        others = [c.variant for c in verdict.fitting if c.variant][not verdict.reference.fits :]
        assert (f"cannot be told apart from: {verdict_text.titles(others)}. " in said) == bool(others)
        assert ("cannot be told apart" in said) == bool(others)
    assert verdict_text.REFERENCE in printed(verdict, capsys)
    for losses in (WRITTEN[written](runs.reference), runs.float32, runs.torch):
        verdict = match.judge(curve_of(losses), known(task))
        assert verdict.reference.fits
        words = "may be" if verdict.fitting[1:] else "is"
        assert f"mine: this {words} the reference run" in printed(verdict, capsys)
    assert fitting(match.judge(curve_of(runs.torch), known(task))) == [None]


def test_few_digits_leave_several_curves(capsys):
    """Four decimals distinguish one bias from two; with one decimal several curves are equally near."""
    runs = trained("names")
    verdict = match.judge(curve_of(runs.trapped["one_bias"].round(4)), known("names"))
    assert fitting(verdict) == [("one_bias", "")]
    verdict = match.judge(curve_of(runs.trapped["one_bias"].round(1)), known("names"))
    assert verdict.reference.fits and ("one_bias", "") in fitting(verdict)
    said = printed(verdict, capsys)
    assert "this may be the reference run" in said
    assert "one bias instead of two" in said.split("cannot be told apart from:")[1]
    assert "few decimals: gaps up to 5.1e-02 count as rounding" in said
    assert "few decimals" not in printed(match.judge(curve_of(runs.reference), known("names")), capsys)


@pytest.mark.parametrize(("task", "factor"), [("text", 8 * 16), ("text", 8), ("names", 1 / np.log(2)), ("series", 0.5)])
def test_losses_in_another_unit_are_recognized(task, factor, capsys):
    """Sums over all targets or over the steps, bits, half squares."""
    verdict = match.judge(curve_of(trained(task).trapped["epsilon_inside"] * factor), known(task))
    assert fitting(verdict) == [("epsilon_inside", "1e-8")]
    assert verdict.factor == pytest.approx(factor, rel=1e-6)
    assert f"divided by {factor:.6g}" in printed(verdict, capsys)


def test_few_digits_are_no_other_unit():
    """A loss that hardly moves fits the reference run after division, if it is written with few digits."""
    flat = replace(known("text")[0], losses=np.linspace(4.17, 4.16, STEPS))
    assert match.in_the_references_unit(curve_of(np.full(STEPS, 2.5)), flat) is None
    assert match.in_the_references_unit(curve_of(np.full(STEPS, -1 / 3)), flat) is None
    assert match.in_the_references_unit(curve_of(np.full(STEPS, 0.0)), flat) is None


def test_how_much_rounding_explains():
    """Ten times what float32 changes in the same run up to there, and the written digits."""
    losses, in_single = [1.0, 2.0, 4.0, np.nan], [1.0, 2.0 * (1 + 2e-7), 4.0 * (1 + 1e-7), 1.0]
    _, rounding = match.trained(iter(losses), iter(in_single))
    assert rounding == pytest.approx([1, 2e-7 / 2**-23, 2e-7 / 2**-23, 2e-7 / 2**-23])
    in_full, four_decimals = curve_of([1 / 3, 0.5]), curve_of([0.3333, 0.5])
    assert match.allowed(in_full, rounding, "float32")[:2] == pytest.approx([1.19e-6, 2e-6], rel=1e-2)
    assert match.allowed(in_full, rounding, "float64")[0] == pytest.approx(2.22e-15, rel=1e-2)
    assert match.allowed(four_decimals, 1, "float64") == pytest.approx(5.1e-5)
    assert match.allowed(in_full, 1e9, "float32") == 1e-3, "not more, however fast rounding grows"


def test_a_run_ends_when_no_curve_agrees_with_it_any_more():
    """Its verdict is that of the whole run: the gap is what rounding cannot explain, and the run is not the curve's."""
    whole = next(k for k in known("names") if named(k) == ("another_rate", "x 2"))
    for own in (trained("names").reference, trained("names").float32, whole.losses):
        curves = [curve_of(own), replace(curve_of(own[2::3]), steps=np.arange(3, STEPS + 1, 3))]
        single = (loss * (1 + 1e-7) for loss in whole.losses)
        losses, rounding = match.trained(iter(whole.losses), single, curves)
        assert len(losses) == (STEPS if own is whole.losses else 3), "the second curve is logged every third step"
        cut = replace(whole, losses=losses, rounding=rounding)
        uncut = replace(whole, rounding=np.append(rounding, np.full(STEPS - len(losses), rounding[-1])))
        for curve in curves:
            for dtype in match.EPS:
                assert match.candidate(curve, cut, dtype) == match.candidate(curve, uncut, dtype)
            assert match.candidate(curve, cut, "float64").fits == (own is whole.losses)


def test_a_trap_without_a_difference_is_not_compared(capsys):
    reference = known("series")[0]
    altered = {"one_bias": reference.losses, "different_initial_weights": np.full(STEPS, np.nan)}
    runs = [replace(k, losses=altered[named(k)[0]]) for k in known("series")[1:] if named(k)[0] in altered]
    verdict = match.judge(curve_of(reference.losses), [reference, *runs])
    assert hidden(verdict) == {("one_bias", "")}
    assert fitting(verdict) == [None]
    assert verdict.candidates[-1].gap == np.inf, "a run that diverged is far away"
    assert "no difference within these steps: one bias instead of two" in printed(verdict, capsys)


def test_a_mistake_of_the_catalogue_is_found(capsys, monkeypatch, tmp_path):
    runs = trained("names")
    mistake = BY_NAME["slope_from_c"]
    # among them one that trains just as well, one of another cell, and one that does not train at all
    names = ("slope_from_c", "dc_carried_whole", "dc_n_overwritten", "dh_not_carried", "bias_as_a_row")
    monkeypatch.setattr(match, "MISTAKES", [m for m in MISTAKES if m.name in names])
    monkeypatch.setattr(match, "known_runs", lambda *_: known("names"))
    losses = list(training.prepared(runs.settings, runs.dataset, STEPS, planted(mistake)))
    assert not match.judge(curve_of(losses), known("names")).fitting
    assert match.main(write(tmp_path / "mine.csv", losses), "names") == 1
    said = capsys.readouterr().out
    assert said.count("a mistake of the catalogue fits") == 1
    assert "slope_from_c in lstm.py" in said


@pytest.mark.parametrize(
    ("step", "first", "said"),
    [
        (1, 1, "before any update"),
        (2, 1, "the first update is not"),
        (5, 1, "up to step 4"),
        (3, 3, "the first one logged"),
    ],
)
def test_if_nothing_fits_the_step_says_where_to_look(step, first, said, capsys):
    losses = trained("names").reference.copy()
    losses[step - 1 :] += 1e-3 if step == first else 1e-6  # float32 could explain it, but the first loss was float64's
    losses[-1] += 0.01
    curve = replace(curve_of(losses[first - 1 :]), steps=np.arange(first, STEPS + 1))
    verdict = match.judge(curve, known("names"))
    assert not verdict.fitting and verdict.reference.diverges_at == step
    shown = printed(verdict, capsys)
    assert "no trap fits" in shown
    assert said in shown
    assert f"at step {first}, " in shown.split("Gap to the reference run:")[1]
    shown = printed(replace(verdict, curve=replace(curve, digit=5.1e-5)), capsys)
    assert ("the forward pass is probably right" in shown) == (step == 2), "with four decimals"


def test_up_to_which_step_it_agrees_is_judged_by_how_the_gap_grows(capsys):
    """In float32, a gap of 4e-6 at step 4 is none of rounding's, though rounding may explain more in other runs."""
    losses = trained("names").float32.astype(float)
    losses[3:] += [4e-6 * 2**k for k in range(STEPS - 3)]
    verdict = match.judge(curve_of(losses), known("names"))
    assert verdict.reference.diverges_at == 4
    assert "It agrees within rounding up to step 3." in printed(verdict, capsys)


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
    Path(path).write_text(Path(path).read_text().replace("step,loss", "Step,LOSS"))
    assert own_curve.read(path, most=8)[0].steps.tolist() == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (None, [], "no such file"),
        ("error\n1\n2\n3\n", [], "no column 'loss'"),
        ("error\n1\n2\n3\n", ["--column", "fault"], "no column 'fault'"),
        ("step,step,loss\n1,1,1\n2,2,2\n3,3,3\n", [], "2 columns named 'step'"),
        ("loss\n1\ntwo\n3\n", [], "line 3: loss is 'two'"),
        ("loss\n1\n2\n", [], "has 2 losses"),
        ("step,loss\n70,1\n80,2\n90,3\n", [], "has 0 losses"),
        ("step,loss\n1,1\n1,2\n2,3\n", [], "count upwards"),
        ("step,loss\n1,1\n1.5,2\n2,3\n", [], "count upwards"),
        ("step,loss\n-1,1\n0,2\n2,3\n", [], "count upwards"),
        ("step,split,loss\n1,test,1\n2,test,2\n3,test,3\n", [], "has 0 losses"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(folder, content, arguments, said, refused):
    """(What no table may be: tests/data/test_data.py, test_series_that_cannot_be_used.)"""
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


def test_the_command_recognizes_its_own_curves(folder, undrawn, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["traps", "text", "--steps", "6"]) == 0
    for column, status, words in (
        ("reference", 0, "this is the reference run"),
        ("state_not_detached", 1, "fits 'state carried but not detached'"),
    ):
        capsys.readouterr()
        assert main(["traps", "text", "--match", "results/traps/text.csv", "--column", column]) == status
        said = capsys.readouterr().out
        assert words in " ".join(said.split())
        assert max(len(line) for line in said.split("\n") if line[:1] in "┏┃┡│└") <= 80


def test_a_run_of_curves_is_identified_by_its_checkpoint(folder, undrawn, monkeypatch, capsys, refused):
    """With all its options; and a file that is put next to it is compared with it."""
    monkeypatch.setattr(match, "MISTAKES", ())
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


def test_options_that_do_not_go_together(folder, refused):
    mine = write(folder / "mine.csv", [1, 2, 3])
    assert "--match" in refused(["traps", "--column", "loss"])
    assert "name the task" in refused(["traps", "--match", mine])
    assert "'poetry' (choose from" in refused(["traps", "poetry"])
    (folder / "checkpoint.safetensors").write_bytes(b"nothing of the kind")
    assert "not a checkpoint" in refused(["traps", "--match", mine])


def test_without_a_reference_run_there_is_nothing_to_compare_with(tmp_path, monkeypatch):
    runs = trained("series")
    monkeypatch.setattr(match, "reference_losses", lambda *_: (runs.reference, runs.trapped["one_bias"]))
    with pytest.raises(UserError, match="diverge at step 2"):
        match.main(write(tmp_path / "mine.csv", runs.reference), "series")
