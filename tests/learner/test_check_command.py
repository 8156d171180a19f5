"""`byhand check` as typed: its answers and exit statuses, and a reason for whatever the learner's code does."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from test_any_pair import COURSE
from test_check import RNN

from compare.__main__ import main
from compare.learner import check, child
from compare.learner.exercises.ladder import BY_NAME, solution
from compare.learner.verdict import report


def printed_by(capsys, *arguments):
    """The exit status and the standard output, in one line."""
    status = main(["check", *map(str, arguments)])
    return status, " ".join(capsys.readouterr().out.split())


def test_the_exit_status_and_the_answer(tmp_path, capsys):
    path = tmp_path / "lstm.py"
    path.write_text(solution(BY_NAME["lstm"]), encoding="utf-8")
    status, printed = printed_by(capsys, path)
    assert status == 0 and "right: the largest error, in " in printed and "exercise gru_step" in printed
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("dc[t] = dh[t] * dh_dc[t] + dc_carried", "dc[t] = dh[t] * dh_dc[t]"), encoding="utf-8")
    status, printed = printed_by(capsys, path)
    assert status == 1
    for words in ("dc[t] = dh[t] * dh_dc[t]", "(dc_replaced): ", "to see a change"):
        assert words in printed
    status, printed = printed_by(capsys, path, "--json")
    report = json.loads(printed)
    assert status == 1 and report["mistake"] == "dc_replaced" and report["line"]


def test_the_head_of_a_report_is_printed_once(tmp_path, capsys, monkeypatch):
    def examined(path, exercise, seconds, tell):
        known = report.Report("f.py", "f", verdict=report.WRONG)
        tell(known)
        tell(known)
        return [known]

    monkeypatch.setattr(check, "examined", examined)
    (tmp_path / "f.py").write_text("def f_forward():\n    pass\n", encoding="utf-8")
    assert printed_by(capsys, tmp_path / "f.py")[1].count("f.py: f") == 1


def test_of_several_programs_in_a_file_each_line_has_a_name(tmp_path, capsys, monkeypatch):
    def examined(path, exercise, seconds, tell):
        known = [report.Report("f.py", name, verdict=report.WRONG) for name in ("a", "b")]
        for one in known:
            tell(one)
        return known

    monkeypatch.setattr(check, "examined", examined)
    (tmp_path / "f.py").write_text("def f_forward():\n    pass\n", encoding="utf-8")
    printed = printed_by(capsys, tmp_path / "f.py")[1]
    assert "f.py: a f.py: b f.py: a No change" in printed and "is right. f.py: b No change" in printed


def test_a_file_that_is_no_exercise(tmp_path, capsys):
    path = tmp_path / "lstm_layers.py"  # its name alone would make it an exercise
    path.write_text(textwrap.dedent(COURSE).replace("prev_h.T @ da", "next_h.T @ da"), encoding="utf-8")
    status, printed = printed_by(capsys, path, "--fix")
    assert status == 1 and "next_h.T @ da" in printed and "dWh " in printed and "rnn_step" in printed
    assert " + return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)" in printed


@pytest.mark.parametrize(
    "body, sentence",
    [
        ("while True: print('x' * 10000)", "still running after 1 s"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("import os; os._exit(0)", "the Python process exited with status 0"),
        ("import sys; sys.exit()", "SystemExit"),
        ("return forward(x, *rest)", "RecursionError"),
        ("input()", "EOFError"),
        ("return bytearray(10**13)", "MemoryError"),
        ("import os, sys; open(sys.argv[3], 'w').write('[1]\\nnull\\n'); os._exit(0)", "to which the check writes"),
    ],
)
def test_whatever_the_code_does_has_a_reason(tmp_path, body, sentence):
    path = tmp_path / "rnn.py"
    path.write_text(f"def forward(x, *rest):\n    {body}\n\ndef backward(*a):\n    pass\n", encoding="utf-8")
    (report,) = child.examined(path, "rnn", 1)
    assert report.verdict == "could not run" and sentence in report.sentence, report
    if not any(word in sentence for word in ("process", "SIGSEGV", "check writes")):
        assert report.line == 2


def test_check_does_not_import_torch(tmp_path):
    path = tmp_path / "rnn.py"
    path.write_text("import sys\nprint('torch' in sys.modules)\n" + textwrap.dedent(RNN), encoding="utf-8")
    (report,) = child.examined(path, "rnn", 10)
    assert report.verdict == "right" and report.printed == "False\n"


def test_a_folder_becomes_a_table(tmp_path, capsys):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "rnn.py").write_text(textwrap.dedent(RNN), encoding="utf-8")
    (tmp_path / "rnn_of_bob.py").write_text(
        textwrap.dedent(RNN).replace("dh = da @ W_hh", "dh = da @ W_hh.T"), encoding="utf-8"
    )
    (tmp_path / "notes.py").write_text("", encoding="utf-8")
    assert main(["check", str(tmp_path)]) == 1
    printed = " ".join(capsys.readouterr().out.split())  # a long path breaks the title
    assert "1 of 2 right, 1 file not checked (which exercise?)" in printed
    assert "dx, dh_0, dW_ih" in printed and "no exercise" in printed
    assert main(["check", str(tmp_path), "--json"]) == 1
    reports = json.loads(capsys.readouterr().out)
    assert [report["verdict"] for report in reports] == ["right", "wrong"]
    assert main(["check", str(tmp_path / "ann")]) == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["check", str(empty)]) == 2
    (empty / "mygru.py").write_text("def backward(dy, cache):\n    return dy\n", encoding="utf-8")
    capsys.readouterr()
    for path in (empty, empty / "mygru.py"):
        assert main(["check", str(path)]) == 2
        assert "add --exercise" in capsys.readouterr().err


def test_a_measured_gradient_is_right_up_to_what_differences_resolve():
    found = report.Report("f.py", "f", rows=[report.Row("dx", (2,), "within rounding", 2.9e4)])
    assert "2.9e+04 eps" in report.tail(found) and "only as exact as finite differences" in report.tail(found)
    found.exercise = "gru"
    assert "only as exact as finite differences" not in report.tail(found)


def test_a_module_of_the_learners_next_to_the_file_can_be_imported(tmp_path):
    (tmp_path / "helpers.py").write_text("import numpy as np\n\ndef slope(h):\n    return 1 - h**2\n", encoding="utf-8")
    path = tmp_path / "rnn.py"
    text = "from helpers import slope\n" + textwrap.dedent(RNN).replace("(1 - h[t + 1] ** 2)", "slope(h[t + 1])")
    path.write_text(text, encoding="utf-8")
    assert child.examined(path, "rnn", 10)[0].verdict == "right"


def test_watch_checks_again_when_the_file_is_saved(tmp_path):
    path = tmp_path / "rnn.py"
    path.write_text(textwrap.dedent(RNN).replace("dh = da @ W_hh", "dh = da @ W_hh.T"), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "compare", "check", str(path), "--watch"],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & would have it ignored
    )
    try:
        for line in process.stdout:
            if "waiting for" in line:
                break
        path.write_text(textwrap.dedent(RNN), encoding="utf-8")
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "waiting for" in line:
                break
        assert any(line.startswith("right") for line in lines)
    finally:
        process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


@pytest.mark.parametrize(
    "options",
    [["x.py", "--exercise", "nothing"], ["nothing.py"], ["notes.py"], ["binary.py"], ["large.py"], [".", "--watch"]],
)
def test_mistakes_of_the_user_are_one_line(options, refused):
    Path("notes.py").write_text("x = 1\n", encoding="utf-8")
    Path("binary.py").write_bytes(b"\xff\xfe\x00")
    Path("large.py").write_text("#" * 1_000_001, encoding="utf-8")
    assert refused(["check", *options])


@pytest.mark.parametrize(
    "findings, what", [([], "the line"), ([report.Finding(3, "dh = dh_n", False)], "a second mistake")]
)
def test_what_is_known_counts_when_the_time_is_up(tmp_path, findings, what):
    known = {"rnn": report.Report("rnn.py", "rnn", "rnn", report.WRONG, findings=findings)}
    child.unfinished(known, tmp_path / "rnn.py", "rnn", None, 20, trace=0)
    (said,) = known["rnn"].remarks if findings else [known["rnn"].not_searched]
    assert f"the search for {what} was stopped after 20 s" in said.lower()
    assert known["rnn"].verdict == report.WRONG and known["rnn"].findings == findings
