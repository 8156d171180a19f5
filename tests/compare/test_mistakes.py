"""The suite sees every mistake of the catalogue, and says where; each weak way of checking misses some."""

import io
import json
import linecache
import re
import subprocess
import sys
from pathlib import Path

import pytest

import scratch
from compare.mistakes import detectors
from compare.mistakes.catalogue import BY_NAME, MISTAKES, Mistake
from compare.mistakes.detectors import WEAK, sees
from compare.mistakes.plant import planted

SUITE = Path(__file__).parents[1] / "suite_on_mistakes.py"


@pytest.mark.slow
def test_the_suite_sees_every_mistake_and_names_the_gradient_of_a_wrong_cell():
    done = subprocess.run([sys.executable, str(SUITE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert {result["name"] for result in results} == set(BY_NAME)
    for result in results:
        assert result["status"] == pytest.ExitCode.TESTS_FAILED, f"{result['name']}: {result['text']}"
        if result["file"] in map(scratch.file_of, scratch.CELLS):
            assert result["lines"] < 40, result["text"]
            said = f"scratch/{result['file']}.py differs from autograd; {result['name']} is planted in memory"
            assert said in result["text"]
            first = result["text"].partition("FAILURES")[2].splitlines()[2]
            assert re.match(f"scratch/{result['file']}.py: the gradients? \\w+", first), result["text"]


@pytest.mark.parametrize("way", WEAK.values(), ids=WEAK)
def test_every_weak_way_accepts_the_real_scratch(way):
    way(scratch)


# What each of the weak ways cannot see: (the way, mistakes that it misses).
BLIND = (
    # with small weights tanh is nearly linear, and W_hh nearly zero
    (detectors.small_weights_to_two_percent, ("slope_from_c", "tanh_taken_twice", "gate_dropped_from_dh_before")),
    # with one step nothing is carried, and the last step is the only one
    (detectors.one_step, ("dh_not_carried", "bias_of_the_last_step_only", "dy_not_turned_round")),
    # with one row a mean is a sum
    (detectors.one_row_with_tiny_weights, ("mean_over_the_batch", "input_weights_averaged", "tanh_taken_twice")),
    # with nobody asking for dh_0 it may be anything, and so may a shape that broadcasts
    (detectors.ones_from_a_zero_state, ("first_state_gets_zero", "clipped_inside_backward", "bias_as_a_row")),
    # one call and its numbers: not what it leaves behind or overwrites, and not the rows that end early
    (detectors.random_on_the_outputs, ("upstream_overwritten", "gradients_pile_up", "ended_rows_lose_dh_n")),
)


@pytest.mark.parametrize(("way", "names"), BLIND, ids=WEAK)
def test_a_weak_way_misses_some(way, names):
    assert not [name for name in names if sees(way, planted(BY_NAME[name]))]
    assert sees(way, planted(BY_NAME["matrix_for_its_transpose"])), "it should at least see a plain mistake"
    assert [way for way, _ in BLIND] == list(WEAK.values()), "all of them"


def test_a_complex_step_survives_a_mistake_that_adds_complex_numbers_to_a_real_array():
    package = planted(BY_NAME["parameter_changed_in_forward"])
    assert [sees(way, package) for way in WEAK.values()] == [True, True, False, False, False]


def test_the_catalogue():
    assert len(BY_NAME) == len(MISTAKES), "a name occurs twice"
    for mistake in MISTAKES:
        source = (Path(scratch.__file__).parent / f"{mistake.file}.py").read_text(encoding="utf-8")
        assert source.count(mistake.right) == 1, mistake.name
        assert mistake.right != mistake.wrong, mistake.name


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
    detectors.random_on_the_outputs(scratch)
    assert sees(detectors.random_on_the_outputs, package)


def test_a_traceback_shows_the_planted_lines():
    code = planted(BY_NAME["slope_from_c"]).lstm.backward.__code__
    assert "slope_from_c" in code.co_filename
    lines = [linecache.getline(code.co_filename, number) for _, _, number in code.co_lines() if number]
    assert any("1 - c**2" in line for line in lines)


@pytest.mark.parametrize(("right", "times"), [("no such line", 0), ("def ", 2)])
def test_a_source_that_has_changed_is_refused(right, times):
    changed = Mistake("changed", "rnn", "The source changes.", right, "")
    with pytest.raises(ValueError, match=f"changed: its right lines are found {times} times in .*rnn.py, not once"):
        planted(changed)


def test_an_error_of_another_kind_is_not_taken_for_a_finding():
    def broken(package):
        raise ValueError

    with pytest.raises(ValueError):
        sees(broken, scratch)


class TestTheTable:
    def test_it_is_readable_at_80_columns(self):
        from rich.console import Console

        from compare.mistakes import table

        out = io.StringIO()
        seen = {mistake: [k > 0 for k in range(len(WEAK))] for mistake in MISTAKES}
        Console(file=out, width=80).print(table.table(seen))
        lines = out.getvalue().splitlines()
        assert max(map(len, lines)) <= 80
        assert "…" not in out.getvalue()
        for mistake in MISTAKES:
            assert any(line.startswith(f"{mistake.file}.py: {mistake.name} ") for line in lines), mistake.name
        (counts,) = (line for line in lines if f"seen in all, of {len(MISTAKES)}" in line)
        assert counts.split()[-5:] == ["0"] + 4 * [str(len(MISTAKES))]

    def test_it_shows_what_changes(self):
        from compare.mistakes.table import changed_lines

        assert changed_lines(BY_NAME["dc_replaced"]) == [
            "- dc[t] = dh[t] * dh_dc[t] + dc_carried",
            "+ dc[t] = dh[t] * dh_dc[t]",
        ]
        for mistake in MISTAKES:
            assert changed_lines(mistake), mistake.name

    @pytest.mark.parametrize("cell", scratch.CELLS)
    def test_a_cell_shows_its_own_mistakes_alone(self, cell, monkeypatch, capsys):
        from compare.__main__ import main
        from compare.mistakes import table

        monkeypatch.setattr(table, "seen_by", lambda mistake: [True] * len(WEAK))
        assert main(["gradients", "--mistakes", "--cell", cell]) == 0
        said = capsys.readouterr().out
        for mistake in MISTAKES:
            assert (f"{mistake.file}.py: {mistake.name} " in said) == (mistake.file == cell.removesuffix("_relu"))
