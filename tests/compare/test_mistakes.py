"""The checks are checked: every planted mistake is seen by the strong ones, and each weak one misses some."""

import io
import linecache
import sys
from pathlib import Path

import pytest

import scratch
from compare.mistakes import detectors
from compare.mistakes.catalogue import MISTAKES, Mistake
from compare.mistakes.detectors import CHECKS, WEAK, all_strong, sees
from compare.mistakes.plant import planted

BY_NAME = {mistake.name: mistake for mistake in MISTAKES}


BESIDE_TORCHS = ("losses", "optimizers", "clipping", "all of the strong ones")


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=name, marks=pytest.mark.torch if name in BESIDE_TORCHS else ())
        for name, check in CHECKS.items()
    ],
)
def test_every_check_passes_on_the_real_scratch(check):
    check(scratch)


@pytest.mark.torch
@pytest.mark.parametrize("mistake", MISTAKES, ids=BY_NAME)
def test_the_strong_checks_reject(mistake):
    assert sees(all_strong, planted(mistake))


# What each of the weak checks cannot see: (the check, mistakes in a cell or a layer that pass it).
BLIND = (
    # with small weights tanh is nearly straight, and W_hh nearly nothing
    (detectors.parameters_to_two_percent, ("slope_from_c", "tanh_taken_twice", "gate_dropped_from_dh_before")),
    # with one step nothing is carried, and the last one is all there is
    (detectors.one_step, ("dh_not_carried", "bias_of_the_last_step_only", "dy_not_turned_round")),
    # with one row a mean is a sum
    (detectors.one_row_with_tiny_weights, ("mean_over_the_batch", "input_weights_averaged", "tanh_taken_twice")),
    # with nobody asking for dh_0 it may be anything, and so may a shape that broadcasts
    (detectors.ones_from_a_zero_state, ("first_state_gets_zero", "clipped_inside_backward", "bias_as_a_row")),
    # one call, its numbers: not what it leaves, not what it overwrites, not the rows that end early
    (detectors.random_on_the_outputs, ("upstream_overwritten", "gradients_pile_up", "ended_rows_lose_dh_n")),
)


@pytest.mark.parametrize(("check", "names"), BLIND, ids=WEAK)
def test_a_weak_check_misses_what_the_strong_ones_see(check, names):
    assert not [name for name in names if sees(check, planted(BY_NAME[name]))]
    assert sees(check, planted(BY_NAME["matrix_for_its_transpose"])), "it should at least see a plain mistake"


def test_every_weak_check_is_among_the_blind():
    assert [check for check, _ in BLIND] == list(WEAK.values())


def test_the_catalogue():
    assert len(MISTAKES) >= 40
    assert len(BY_NAME) == len(MISTAKES), "a name is there twice"
    for mistake in MISTAKES:
        source = (Path(scratch.__file__).parent / f"{mistake.file}.py").read_text(encoding="utf-8")
        assert source.count(mistake.right) == 1, mistake.name
        assert mistake.right != mistake.wrong, mistake.name
        assert mistake.why.endswith(".") and ". " not in mistake.why, f"{mistake.name}: one sentence"


def test_planting_leaves_the_real_scratch_alone():
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "scratch"}
    source = Path(scratch.lstm.__file__).read_bytes()
    finders = list(sys.meta_path)
    package = planted(BY_NAME["dc_replaced"])
    assert package is not scratch
    assert package.LSTM is not scratch.LSTM
    assert package.recurrent.lstm is package.lstm, "its modules must import each other"
    assert {name: module for name, module in sys.modules.items() if name.split(".")[0] == "scratch"} == before
    assert sys.meta_path == finders
    assert Path(scratch.lstm.__file__).read_bytes() == source
    detectors.each_cell(scratch)
    assert sees(detectors.each_cell, package)


def test_a_traceback_shows_the_planted_lines():
    code = planted(BY_NAME["slope_from_c"]).lstm.backward.__code__
    assert "slope_from_c" in code.co_filename
    lines = [linecache.getline(code.co_filename, number) for _, _, number in code.co_lines() if number]
    assert any("1 - c**2" in line for line in lines)


@pytest.mark.parametrize(("right", "times"), [("no such line", 0), ("import", 2)])
def test_a_source_that_has_moved_on(right, times):
    moved = Mistake("moved", "rnn", "The source changes.", right, "")
    with pytest.raises(ValueError, match=f"moved: its right lines are {times} times in .*rnn.py"):
        planted(moved)


def test_an_error_of_another_kind_is_not_taken_for_a_finding():
    def broken(package):
        raise ValueError

    with pytest.raises(ValueError):
        sees(broken, scratch)


@pytest.mark.torch
def test_the_table_is_readable_at_120_columns():
    from rich.console import Console

    out = io.StringIO()
    seen = {mistake.name: [k > 0 for k in range(len(detectors.COLUMNS))] for mistake in MISTAKES}
    Console(file=out, width=120).print(detectors.table(seen))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 120
    assert "…" not in out.getvalue()
    for mistake in MISTAKES:
        assert any(f"{mistake.file}.py" in line and f" {mistake.name} " in line for line in lines), mistake.name
    (counts,) = (line for line in lines if f"seen in all, of {len(MISTAKES)}" in line)
    assert counts.split()[-12:-1:2] == ["0"] + 5 * [str(len(MISTAKES))]


@pytest.mark.torch
def test_the_command(monkeypatch, capsys):
    monkeypatch.setattr(detectors, "MISTAKES", (BY_NAME["bias_as_a_row"], BY_NAME["no_look_ahead"]))
    assert detectors.main() == 0
    assert "seen in all, of 2" in capsys.readouterr().out
    monkeypatch.setattr(detectors, "COLUMNS", WEAK)
    assert detectors.main() == 1
