"""The ladder proves itself: each starter is unsolved, each solution right; and nothing of a learner's is ever lost."""

import ast
import json

import pytest

from compare.__main__ import main
from compare.learner import examine, exercise, ladder
from compare.learner.ladder import RUNGS, solution, source_of, starter

NAMES = [rung.name for rung in RUNGS]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder, text):
    path = folder / "submission.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("rung", RUNGS, ids=NAMES)
def test_a_starter_is_unsolved_and_the_solution_is_right(rung, tmp_path):
    report = examine.examine(written(tmp_path, starter(rung)), rung)
    assert report["verdict"] == "wrong" and report["unsolved"], report
    report = examine.examine(written(tmp_path, solution(rung)), rung)
    assert report["verdict"] == "right", report


@pytest.mark.parametrize("rung", RUNGS, ids=NAMES)
def test_a_starter_is_scratch_with_one_function_taken_out(rung):
    """Everything but the blank is the text of scratch/, so that the two cannot drift apart."""
    text, source = starter(rung), source_of(rung)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name != rung.blank:
            assert ast.get_source_segment(text, node) in source
        if isinstance(node, ast.FunctionDef) and node.name == rung.blank and ast.get_docstring(node):
            assert ast.get_docstring(node, clean=False) in source
    assert text.count("raise NotImplementedError") == 1
    blanks = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == rung.blank]
    assert any(ast.get_source_segment(source, blank) in solution(rung) for blank in blanks)
    assert all(name not in text for name in rung.drop)


@pytest.mark.parametrize("rung", RUNGS, ids=NAMES)
def test_a_starter_says_which_exercise_it_is(rung):
    assert ladder.named_in(starter(rung), "whatever.py") is rung
    assert ladder.named_in("", f"some/folder/{rung.name}.py") is rung
    assert ladder.named_in("", f"my_{rung.name}_2.py") is rung
    assert ladder.named_in("", "notes.py") is None


def test_a_file_that_is_there_stays_as_it_is(here, capsys):
    assert main(["exercise", "lstm"]) == 0
    path = here / "lstm.py"
    path.write_text("mine", encoding="utf-8")
    assert main(["exercise", "lstm"]) == 2
    assert path.read_text(encoding="utf-8") == "mine"
    assert capsys.readouterr().err.count("\n") == 1


def test_the_list_names_every_rung(here, capsys):
    assert main(["exercise"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)


def test_hints_come_one_after_the_other(here, capsys):
    rung = ladder.BY_NAME["gru"]
    for hint in (*rung.hints, rung.hints[-1]):
        assert main(["exercise", "gru", "--hint"]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert " ".join(hint.split()) in printed
    assert main(["exercise", "rnn", "--hint"]) == 0
    assert "hint 1 of" in capsys.readouterr().out


@pytest.mark.parametrize("spoilt", ["", "no json", "[]", '{"gru": "x"}', '{"gru": -3}'])
def test_spoilt_notes_about_hints_begin_anew(here, spoilt, capsys):
    (here / exercise.TAKEN).write_text(spoilt, encoding="utf-8")
    assert main(["exercise", "gru", "--hint"]) == 0
    assert "hint 1 of" in capsys.readouterr().out
    assert json.loads((here / exercise.TAKEN).read_text(encoding="utf-8")) == {"gru": 1}


def test_the_solution_is_printed_whole(here, capsys):
    assert main(["exercise", "adam", "--solution"]) == 0
    assert capsys.readouterr().out == solution(ladder.BY_NAME["adam"])


def test_progress_is_what_is_right_now(here, capsys):
    (here / "softmax.py").write_text(solution(ladder.BY_NAME["softmax"]), encoding="utf-8")
    (here / "linear.py").write_text(starter(ladder.BY_NAME["linear"]), encoding="utf-8")
    assert main(["exercise", "--progress"]) == 0
    printed = capsys.readouterr().out
    assert "1 of 13 solved" in printed and "unsolved" in printed and "check linear.py" in printed
    assert "not begun" in printed


@pytest.mark.parametrize("options", [["nothing"], ["--hint"], ["--solution"], ["lstm", "--hint", "--solution"]])
def test_mistakes_of_the_user_are_one_line(here, options, capsys):
    try:
        status = main(["exercise", *options])
    except SystemExit as exit:  # argparse
        status = exit.code
    assert status == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not list(here.iterdir())
