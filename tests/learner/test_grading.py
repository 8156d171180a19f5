"""`byhand check FOLDER` on files that attack it: no forged verdict counts, and each file gets its row."""

import ast
import json
import os
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from compare.__main__ import main
from compare.learner.exercises import ladder, problems
from compare.learner.grading import folder, isolation, judge
from compare.learner.grading.submission import shortcut
from compare.learner.program.gradient_names import CannotRun

confined = pytest.mark.usefixtures("namespaces")
SUM_BY_ID = """
def sum_by_id(dy, ids, count):
    summed = np.zeros((count, dy.shape[-1]))
    np.add.at(summed, ids, dy)
    return summed
"""
FORWARD = """
import numpy as np

def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    h = [h_0]
    for x_t in x:
        h.append(np.tanh(x_t @ W_ih.T + b_ih + h[-1] @ W_hh.T + b_hh))
    return np.stack(h[1:]), h[-1], (x, h_0, W_ih, W_hh, b_ih, b_hh, h)
"""
RIGHT = """
def backward(dy, dh_n, cache):
    x, h_0, W_ih, W_hh, b_ih, b_hh, h = cache
    dx, dW_ih, dW_hh, db, dh = np.empty_like(x), 0, 0, 0, dh_n
    for t in reversed(range(len(x))):
        da = (dh + dy[t]) * (1 - h[t + 1] ** 2)
        dx[t], dh = da @ W_ih, da @ W_hh
        dW_ih, dW_hh, db = dW_ih + da.T @ x[t], dW_hh + da.T @ h[t], db + da.sum(axis=0)
    return dx, dh, dW_ih, dW_hh, db, db.copy()
"""
ZEROS = """
def backward(dy, dh_n, cache):
    return tuple(np.zeros_like(one) for one in cache[:6])
"""
NO_MODULE = "not available where a folder is checked"
NUMERICAL = "not a backward pass written by hand"
NO_ANSWER = "its process sent something that is no answer"
LATE = "still running after 1 s"


def graded(text, exercise="rnn", seconds=20):
    return judge.graded(Path("somebody.py"), textwrap.dedent(text), exercise, seconds, {})


@pytest.fixture
def namespaces():
    if isolation.isolation() != "namespaces":
        pytest.skip("needs Linux with namespaces for every user")


def test_a_module_with_the_name_of_another_one_is_not_run():
    """Otherwise it would run before the limits hold, in place of a module that this process needs."""
    text, leaves = textwrap.dedent(FORWARD + RIGHT), "import os\nos._exit(3)\n"
    modules = {f"{name}.py": leaves for name in ("numpy", "types", "json", "base64", "compare", "scratch")}
    assert judge.graded(Path("somebody.py"), text, "rnn", 10, modules).verdict == "right"


def test_what_ends_a_sandbox_at_once_is_said_of_that_file_only(tmp_path, monkeypatch):
    def fails(*_):
        raise CannotRun("it does not start")

    monkeypatch.setattr(judge, "graded", fails)
    (tmp_path / "rnn.py").write_text(FORWARD + RIGHT, encoding="utf-8")
    report = folder.graded(tmp_path / "rnn.py", SimpleNamespace(exercise="rnn", seconds=10))
    assert report.verdict == "could not run" and report.sentence == "it does not start"


def test_a_right_file_is_right_and_a_wrong_one_is_wrong():
    found = graded(FORWARD + RIGHT + "print('hello')")
    assert (found.verdict, found.printed) == ("right", "hello\n")
    assert graded(FORWARD + ZEROS).verdict == "wrong"
    text = ladder.solution(ladder.BY_NAME["lstm"])
    found = graded(text.replace("dc[t] = dh[t] * dh_dc[t] + dc_carried", "dc[t] = dh[t] * dh_dc[t]"), "lstm")
    assert (found.verdict, found.mistake) == ("wrong", "dc_replaced") and found.line
    found = graded(ladder.starter(ladder.BY_NAME["rnn"]))
    assert found.verdict == "unsolved" and found.line


FAST = ("lstm", "adam", "embedding", "truncated")  # one of each kind


@pytest.mark.parametrize(
    "exercise", [pytest.param(name, marks=[pytest.mark.slow] * (name not in FAST)) for name in ladder.BY_NAME]
)
def test_the_solutions_are_right(exercise):
    text = ladder.solution(ladder.BY_NAME[exercise])
    if exercise == "embedding":  # its solution calls a helper that is the answer
        text = text.replace("from scratch.inputs import sum_by_id\n", SUM_BY_ID)
    found = graded(text, exercise)
    assert found.verdict == "right", found


def test_the_numbers_differ_from_those_of_a_plain_check_and_from_run_to_run():
    again = judge.cases.__wrapped__("lstm")
    for case, other, fixed in zip(judge.cases("lstm"), again, problems.cases("lstm"), strict=True):
        for a in (other, fixed):
            assert (case.inputs["W_hh"] != a.inputs["W_hh"]).all()
            assert (case.upstream[0] != a.upstream[0]).all()
            assert not np.isclose(case.expected["dW_hh"], a.expected["dW_hh"]).all()


def test_a_submission_is_called_with_the_numbers_of_this_run():
    found = graded(FORWARD.replace("    h = [h_0]", "    print(W_hh[0, 0])\n    h = [h_0]") + RIGHT)
    seen = {float(number) for number in found.printed.split()}
    this_run, fixed = ({case.inputs["W_hh"][0, 0] for case in source.cases("rnn")} for source in (judge, problems))
    assert this_run & seen and not fixed & seen


# ---- forged verdicts ----


def first(code):
    """A file without a backward pass that runs this code when it is imported."""
    return FORWARD + ZEROS + textwrap.dedent(code)


def instead(code, before=""):
    """A file with this code in place of a backward pass."""
    return FORWARD + textwrap.dedent(before) + "\ndef backward(dy, dh_n, cache):" + textwrap.indent(code, "    ")


def derivative(entry):
    """A file that moves every entry of every argument in place of a backward pass."""
    code = f"""
found = []
for k in range(6):
    grad = np.zeros(cache[k].shape)
    for i in np.ndindex(grad.shape):
        def at(step):
            moved = [a.astype(type(step)) for a in cache[:6]]
            moved[k][i] += step
            y, h_n, _ = forward(*moved)
            return (dy * y).sum() + (dh_n * h_n).sum()
        grad[i] = {entry}
    found.append(grad.astype(dy.dtype))
return found
"""
    return instead(code)


DIFFERENCES = derivative("(at(1e-5) - at(-1e-5)) / 2e-5")
FORGERIES = {  # a file that has no backward pass, and words of the reason
    "writes answers to every descriptor": (
        first("""
            import os
            for fd in range(64):
                try:
                    os.write(fd, b'{"answer": null}\\n' * 50)
                except OSError:
                    pass
        """),
        NO_ANSWER,
    ),
    "leaves with status 0": (first("import os\nos._exit(0)"), "exited with status 0"),
    "raises SystemExit": (first("raise SystemExit(0)"), "SystemExit"),
    "prints the report at the end": (first("import atexit\natexit.register(print, '{\"answer\": null}')"), "differ"),
    "imports what knows the gradients or judges them": (
        first("""
            from importlib import import_module
            for name in ("compare.agreement", "compare.learner.verdict.report", "scratch.rnn", "scratch.tape", "torch"):
                try:
                    import_module(name)
                except ImportError as error:
                    refused = error
                else:
                    raise RuntimeError(f"{name} can be imported")
            raise refused
        """),
        NO_MODULE,
    ),
    "changes NumPy": (
        first("""
            np.abs = np.subtract = lambda *a, **k: np.zeros(1)
            np.array_equal = np.allclose = lambda *a, **k: True
        """),
        "differ",
    ),
    "returns nothing to compare": (
        first("import compare.learner.grading.submission as s\ns.arrays = lambda outputs: {}"),
        "dx is missing",
    ),
    "replaces the messages": (first("import json\njson.dumps = lambda m: '{\"answer\": 1}'"), NO_ANSWER),
    "returns arrays that equal everything": (
        instead(
            "\nreturn tuple(np.zeros_like(one).view(Sly) for one in cache[:6])",
            """
            class Sly(np.ndarray):
                __eq__ = __le__ = lambda *a: True
                __array_ufunc__ = lambda *a, **k: np.True_
            """,
        ),
        "differ",
    ),
    "reads all objects": (
        instead("""
import gc
for one in gc.get_objects():
    if isinstance(one, dict) and isinstance(one.get("dx"), np.ndarray) and one["dx"].shape == cache[0].shape:
        return tuple(one[k] for k in one if k[0] == "d")
return tuple(np.zeros_like(one) for one in cache[:6])
"""),
        "differ",
    ),
    "executes the solution": (
        instead("""
from compare.learner.exercises import ladder
names = {}
exec(ladder.solution(ladder.BY_NAME["rnn"]), names)
return names["backward"](dy, dh_n, names["for" "ward"](*cache[:6])[-1])
"""),
        "AttributeError",
    ),
    "takes a complex step": (derivative("at(1e-200j).imag / 1e-200"), "complex step"),
    "takes differences": (DIFFERENCES, "differ"),
    "takes differences of a linear layer": (
        """
        import numpy as np

        class Linear:
            def __init__(self, W, b):
                self.W, self.b = W, b

            def forward(self, x):
                self.x = x
                return x @ self.W.T + self.b

            def backward(self, dy):
                found = []
                for one in (x := self.x, self.W, self.b):
                    grad = np.zeros(one.shape)
                    for i in np.ndindex(one.shape):
                        kept, one[i] = one[i], one[i] + 1.0
                        up = self.forward(x)
                        one[i] = kept - 1.0
                        grad[i] = (dy * (up - self.forward(x))).sum() / 2
                        one[i] = kept
                    found.append(grad)
                dx, self.dW, self.db = found
                return dx
        """,
        NUMERICAL,
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_verdict_does_not_count(name):
    text, words = FORGERIES[name]
    found = graded(text, "linear" if "Linear" in text else "rnn")
    assert found.verdict in ("wrong", "could not run") and words in found.sentence, found


def test_differences_that_are_good_enough_are_seen_in_the_source():
    assert NUMERICAL in shortcut(ast.parse(DIFFERENCES), "backward")
    assert shortcut(ast.parse(FORWARD + RIGHT), "backward") is None


# ---- files that do harm ----

ATTACKS = {  # what a file does when it is imported, and words of the reason
    "prints for ever": ("while True: print('x' * 10000)", LATE),
    "sends for ever": ("import os\nwhile True: os.write(socket(), b'x' * 4096)", NO_ANSWER),
    "sends one endless line": ("import os\nos.write(socket(), b'[' * 100_000 + b'\\n')", NO_ANSWER),
    "allocates for ever": ("kept = []\nwhile True: kept.append(bytearray(2**29))", "MemoryError"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "closes everything": ("import os; os.closerange(0, 64)", "process"),
    "writes a file": ("with open('x', 'w') as file: file.write('x')", "[Errno "),
    "has too many parentheses": ("x = " + "(" * 5000, "not valid Python"),
    "is nested too deeply": ("x = " + "-" * 200_000 + "1", ""),
}
SOCKET = """
def socket():
    import os, stat
    return next(fd for fd in range(3, 64) if stat.S_ISSOCK(os.fstat(fd).st_mode))
"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (words == LATE)) for name, (_, words) in ATTACKS.items()]
)
def test_an_attack_ends_in_time_and_has_a_reason(name):
    code, words = ATTACKS[name]
    found = graded(FORWARD + RIGHT + SOCKET + code, seconds=1 if words == LATE else 20)
    assert found.verdict == "could not run" and words in found.sentence, found


CONFINED_ATTACKS = {  # on what is outside of the sandbox, and words of the exception that each raises
    "kills everything it can": ("import os\nfor pid in (os.getppid(), 0, -1): os.kill(pid, 9)", "ProcessLookupError"),
    "leaves its session": ("import os; os.setsid()", "PermissionError"),
    "forks": ("import os\nwhile True: os.fork()", "BlockingIOError"),
    "starts threads": ("import threading, time\nthreading.Thread(target=time.sleep, args=[60]).start()", "new thread"),
    "imports what is installed": ("import sys; sys.path += PLACES; import torch", "No module named 'torch'"),
    "reads the project": ("open(PLACES[0] + '/scratch/rnn.py')", "FileNotFoundError"),
    "deletes files": ("import os\nos.remove(PLACES[0] + '/a')\nos.remove(np.__file__)", "No such file"),
    "deletes NumPy": ("import os; os.remove(np.__file__)", "Read-only file system"),
    "looks at other processes": ("import os; os.listdir('/proc')", "FileNotFoundError"),
    "makes a namespace": ("import ctypes\nif ctypes.CDLL(None).unshare(0x10000000): raise OSError", "OSError"),
    "mounts": ("import ctypes\nif ctypes.CDLL(None).mount(b'x', b'/box', b'tmpfs', 0, None): raise OSError", "OSError"),
    "shares memory": ("import ctypes\nif ctypes.CDLL(None).shmget(0, 4096, 0o1600) < 0: raise OSError", "OSError"),
    "uses the network": ("import socket; socket.create_connection(('127.0.0.1', 22), 1)", "unreachable"),
}


@confined
def test_attacks_on_anything_outside_fail():
    """One submission tries all of them and prints what they raise."""
    attacks = {name: code for name, (code, _) in CONFINED_ATTACKS.items()}
    found = graded(f"""
        import json, sys
        import numpy as np
        PLACES, raised = {[str(isolation.ROOT), *(path for path in sys.path if path)]!r}, {{}}
        for name, code in {attacks!r}.items():
            try:
                exec(code)
            except Exception as error:
                raised[name] = f"{{type(error).__name__}}: {{error}}"
        print(json.dumps(raised))
    """)
    raised = json.loads(found.printed)
    assert raised.keys() == attacks.keys()
    assert [name for name, (_, words) in CONFINED_ATTACKS.items() if words not in raised[name]] == [], raised


@pytest.mark.parametrize("level", isolation.LEVELS)
def test_every_level_limits_and_judges(level, monkeypatch):
    if level == isolation.isolation():
        pytest.skip("the level of all other tests")
    try:
        with isolation.Sandbox(level, "rnn", {}, [], 60):
            pass
    except CannotRun:
        pytest.skip("not available here")
    monkeypatch.setattr(judge, "isolation", lambda: level)
    assert graded(FORWARD + RIGHT).verdict == "right"
    for name in ("imports what knows the gradients or judges them", "leaves with status 0"):
        assert graded(FORGERIES[name][0]).verdict != "right"
    for name in ("prints for ever", "writes a file", "allocates for ever"):
        code, words = ATTACKS[name]
        assert words in graded(FORWARD + RIGHT + code, seconds=1 if words == LATE else 20).sentence


@confined
def test_every_file_of_a_folder_has_its_row_whatever_another_does(tmp_path, capsys):
    attacks = ["os.kill(os.getppid(), 9)", "os._exit(0)", "sys.modules.clear()", "os.write(3, b'nonsense\\n')"]
    for k, attack in enumerate(attacks):
        (tmp_path / f"rnn_{k}.py").write_text(f"import os, sys\n{attack}\n", encoding="utf-8")
    (tmp_path / "rnn_9.py").write_text(FORWARD + RIGHT, encoding="utf-8")
    os.mkfifo(tmp_path / "rnn_5.py")
    (tmp_path / "rnn_6.py").symlink_to(tmp_path / "rnn_9.py")
    (tmp_path / "rnn_7.py").write_text("#" * 1_000_001, encoding="utf-8")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "rnn_8\x1b[31m [red].py").write_text('raise ValueError("\x1b[2J [/x]")', encoding="utf-8")
    assert main(["check", str(tmp_path), "--json"]) == 1
    printed = capsys.readouterr()
    reports = json.loads(printed.out)
    assert [report["verdict"] for report in reports] == ["could not run"] * 8 + ["right"]
    assert "isolation: own file system" in printed.err
    assert "symbolic link" in reports[6]["sentence"] and "larger than 1 MB" in reports[7]["sentence"]
    assert main(["check", str(tmp_path / "odd")]) == 1
    printed = capsys.readouterr().out
    assert "\x1b[31m" not in printed and "\x1b[2J" not in printed and "\\x1b" in printed and "[/x]" in printed


def test_a_file_may_import_modules_of_its_own_but_no_other_exercise(tmp_path, capsys):
    (tmp_path / "slopes.py").write_text("from more import one\n\ndef slope(h):\n    return one - h**2\n")
    (tmp_path / "more.py").write_text("one = 1\n")
    text = (FORWARD + RIGHT).replace("(1 - h[t + 1] ** 2)", "slope(h[t + 1])")
    (tmp_path / "rnn_of_ann.py").write_text("from slopes import slope\n" + text)
    (tmp_path / "rnn_of_bob.py").write_text("from rnn_of_ann import forward, backward\n")
    assert main(["check", str(tmp_path), "--json"]) == 1
    ann, bob = json.loads(capsys.readouterr().out)
    assert ann["verdict"] == "right" and "No module named 'rnn_of_ann'" in bob["sentence"]


@confined
def test_nothing_is_left_running_or_lying_about(tmp_path, monkeypatch):
    """Of a submission that ignores signals, either."""
    source = "import signal\nfor s in (1, 2, 3, 15, 24): signal.signal(s, signal.SIG_IGN)\nwhile True: pass"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox = isolation.Sandbox("namespaces", "rnn", {}, [], 1)
    with sandbox:
        with pytest.raises(CannotRun, match=LATE):
            program = judge.Remote(sandbox)
            program.ask("inspect", file="x.py", source=source, exercise="rnn", blank="backward", seconds=1)
            program.ask("load")
        running = children(sandbox.process.pid)
        assert running
    assert not any(Path(f"/proc/{pid}").exists() for pid in running) and not list(tmp_path.iterdir())


def children(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
