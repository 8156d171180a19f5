"""Each starter is unsolved and each solution right; and a learner's file is never overwritten."""

import ast
import errno
import json
from pathlib import Path

import pytest

from compare.__main__ import main
from compare.learner import examine
from compare.learner.exercise import HINTS_SHOWN
from compare.learner.exercises import ladder
from compare.learner.exercises.ladder import EXERCISES, solution, source_of, starter

NAMES = [exercise.name for exercise in EXERCISES]


def written(folder, text):
    path = folder / "submission.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_a_starter_is_unsolved_and_the_solution_is_right(exercise, tmp_path):
    (report,) = examine.examine(str(written(tmp_path, starter(exercise))), exercise.name)
    assert report.verdict == "unsolved", report
    (report,) = examine.examine(str(written(tmp_path, solution(exercise))), exercise.name)
    assert report.verdict == "right", report


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_a_starter_is_scratch_without_one_function_body(exercise):
    """Everything but the gap is the text of scratch/, so that the two cannot drift apart."""
    text, source = starter(exercise), source_of(exercise)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and node.name != exercise.blank:
            assert ast.get_source_segment(text, node) in source
        if isinstance(node, ast.FunctionDef) and node.name == exercise.blank and ast.get_docstring(node):
            assert ast.get_docstring(node, clean=False) in source
    assert text.count("raise NotImplementedError") == 1
    blanks = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef) and n.name == exercise.blank]
    assert any(ast.get_source_segment(source, blank) in solution(exercise) for blank in blanks)
    assert all(name not in text for name in exercise.drop)


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_a_starter_says_which_exercise_it_is(exercise):
    assert ladder.named_in(starter(exercise), "whatever.py") is exercise
    assert ladder.named_in("", f"some/folder/{exercise.name}.py") is exercise
    assert ladder.named_in("", f"my_{exercise.name}_2.py") is exercise
    assert ladder.named_in("", "notes.py") is None


def test_an_existing_file_is_not_overwritten(folder, capsys):
    assert main(["exercise", "lstm"]) == 0
    path = folder / "lstm.py"
    path.write_text("mine", encoding="utf-8")
    assert main(["exercise", "lstm"]) == 2
    assert path.read_text(encoding="utf-8") == "mine"
    assert capsys.readouterr().err.count("\n") == 1


def test_the_list_names_every_exercise(folder, capsys):
    assert main(["exercise"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)


def test_hints_come_one_by_one(folder, capsys):
    exercise = ladder.BY_NAME["gru"]
    for hint in (*exercise.hints, exercise.hints[-1]):
        assert main(["exercise", "gru", "--hint"]) == 0
        printed = " ".join(capsys.readouterr().out.split())
        assert " ".join(hint.split()) in printed
    assert main(["exercise", "rnn", "--hint"]) == 0
    assert "hint 1 of" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_to_gets_the_first_hint(folder, monkeypatch, capsys):
    def refused(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refused)
    monkeypatch.setattr(Path, "unlink", refused)  # on a read-only file system, even where there is no file
    assert main(["exercise", "gru", "--hint"]) == 0
    printed = capsys.readouterr().out
    assert "hint 1 of" in printed and "this folder cannot be written to" in printed


@pytest.mark.parametrize("spoilt", ["", "no json", "[]", '{"gru": "x"}', '{"gru": -3}'])
def test_an_unreadable_record_of_hints_starts_again(folder, spoilt, capsys):
    (folder / HINTS_SHOWN).write_text(spoilt, encoding="utf-8")
    assert main(["exercise", "gru", "--hint"]) == 0
    assert "hint 1 of" in capsys.readouterr().out
    assert json.loads((folder / HINTS_SHOWN).read_text(encoding="utf-8")) == {"gru": 1}


def test_the_solution_is_printed_whole(folder, capsys):
    assert main(["exercise", "adam", "--solution"]) == 0
    assert capsys.readouterr().out == solution(ladder.BY_NAME["adam"])


def test_a_broken_solution_is_wrong_in_one_place(folder, capsys):
    assert main(["exercise", "lstm", "--broken", "--seed", "1"]) == 0
    (found,) = examine.examine("lstm.py", "lstm")
    assert found.verdict == "wrong" and found.mistake
    text = (folder / "lstm.py").read_text(encoding="utf-8")
    assert main(["exercise", "lstm", "--broken"]) == 2  # an existing file is not overwritten
    assert (folder / "lstm.py").read_text(encoding="utf-8") == text
    assert "the solution with one mistake in it" in capsys.readouterr().out


def test_progress_counts_the_files_that_are_right(folder, capsys):
    (folder / "softmax.py").write_text(solution(ladder.BY_NAME["softmax"]), encoding="utf-8")
    (folder / "linear.py").write_text(starter(ladder.BY_NAME["linear"]), encoding="utf-8")
    assert main(["exercise", "--progress"]) == 0
    printed = capsys.readouterr().out
    assert f"1 of {len(NAMES)} solved" in printed and "unsolved" in printed and "check linear.py" in printed
    assert "not started" in printed


@pytest.mark.parametrize(
    "options",
    [
        ["nothing"],
        ["--hint"],
        ["--solution"],
        ["lstm", "--hint", "--solution"],
        ["truncated", "--broken", "--seed", "x"],
        ["lstm", "--seed", "3"],
        ["--broken"],
    ],
)
def test_mistakes_of_the_user_are_one_line(options, refused):
    assert refused(["exercise", *options])
