"""Check a file that somebody else wrote: `byhand check FOLDER`.

The submission runs in a sandbox and only computes (submission.py). This process draws the inputs, sends them, gets
arrays back, compares them with those of the solution, and decides; it never imports or runs a submission. What the
sandbox keeps a submission from depends on the operating system (`LEVELS`).
"""

import ast
import contextlib
import functools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import scratch
from compare.learner import examine
from compare.learner.check import ROOT, Tail, ended, kill, still_running
from compare.learner.exercises import ladder, problems
from compare.learner.grading.submission import packed, unpacked
from compare.learner.program import calling
from compare.learner.program.calling import Case, Outcome
from compare.learner.program.gradient_names import CannotRun
from compare.learner.report import COULD_NOT_RUN, RIGHT, RUNS, WRONG, Finding, Report
from compare.learner.search.switches import Subject, executed
from data import UserError
from data.errors import printable

LEVELS = {  # the best first; what is open is in README.md
    "namespaces": "own file system (only Python and NumPy), no network, resource limits",
    "user": "unprivileged user, resource limits; open: readable files, the network",
    "none": "only resource limits: do not check files that you do not trust here",
}
WRITTEN = "written by hand"
LONGEST = 1_000_000  # bytes of an answer
NONSENSE = "its process sent something that is no answer"
START = "import sys; sys.path[:0] = sys.argv[1:]; from compare.learner.grading.submission import main; main()"
# How an exercise is called; no answers.
SHIPPED = (
    "program/arrays.py",
    "program/calling.py",
    "program/gradient_names.py",
    "exercises/problems.py",
    "exercises/training_loop.py",
    "grading/submission.py",
)
PYTHON = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
HERE = Path(__file__).parent


def graded(path: Path, source: str, exercise: str, seconds: int, modules: dict[str, str]) -> Report:
    """The report on a file. modules: the learner's own modules that it imports, by file name."""
    report = Report(str(path), f"exercise {exercise}, {ladder.BY_NAME[exercise].title}", exercise)
    with Sandbox(isolation(), exercise, modules, [path.parent], seconds) as sandbox:
        program = Remote(sandbox)
        judge(program, source, report)
        lines = source.split("\n")
        if not report.findings and isinstance(program.line, int) and 0 < program.line <= len(lines):
            report.findings = [Finding(program.line, lines[program.line - 1].strip(), True)]
    report.printed = sandbox.printed.text()
    return report


def judge(program: "Remote", source: str, report: Report):
    """Fill in the report on a submission."""
    exercise, doing = ladder.BY_NAME[report.exercise], "not valid Python: "
    about = {"file": printable(Path(report.file).name), "exercise": exercise.name, "blank": exercise.blank}
    try:
        warning = program.ask("inspect", **about, source=source, seconds=program.sandbox.seconds)
        doing = "importing the file raised "
        program.ask("load")
        doing = ""
        bound = program.ask("bind")
        with understood():
            program.keeps_state, relu = bool(bound["keeps_state"]), bool(bound["nonlinearity"])
    except Exception as error:
        words = str(error) if isinstance(error, CannotRun) else doing + examine.in_words(error)
        report.failed(RUNS, words, COULD_NOT_RUN)
        return
    tried = [case for case in cases(exercise.name) if relu or "nonlinearity" not in case.inputs]
    subject = Subject(source, report.file, lambda module: (program, tried), ast.Module([], []))
    examine.judged(subject, None, report, sys.stdout)
    if report.verdict == RIGHT and warning:
        report.failed(WRITTEN, warning)
    elif report.verdict == WRONG:
        examine.name_the_mistake(report, subject)


@functools.cache
def cases(exercise: str) -> list[Case]:
    """The cases of an exercise with random numbers of this run, and the solution's answers."""
    rng = np.random.default_rng()
    solution = ladder.solution(ladder.BY_NAME[exercise])
    program = problems.program_for(exercise, executed(compile(solution, "<solution>", "exec"), "<solution>"))
    given = problems.inputs_of(exercise)
    if exercise == "truncated":
        for case, scale in problems.inputs_of(exercise):
            counts = {"steps": int(rng.integers(2, 10)), "batches": int(rng.integers(1, 5))}
            given.append((Case("other counts", case.inputs | counts), scale))
    for case, scale in given:
        case.inputs = varied(case.inputs, rng)
        problems.answered(program, case, scale, problems.GRADIENTS.get(exercise))
        case.upstream = [calling.random_like(one, rng, scale) for one in case.upstream]
        case.expected = program.run(case).outputs
    return [case for case, _ in given]


def varied(value, rng):
    """The value with every number multiplied by its own factor from 0.5 to 1; whole numbers stay."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value * rng.uniform(0.5, 1, value.shape).astype(value.dtype)
    if isinstance(value, dict):
        return {key: varied(one, rng) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(varied(one, rng) for one in value)
    return value * rng.uniform(0.5, 1) if isinstance(value, float) else value


class Remote:
    """A submission as a program that can be run on a Case, like calling.Program. line: where it last raised."""

    keeps_state, line = True, None

    def __init__(self, sandbox):
        self.sandbox = sandbox

    def ask(self, do: str, case: Case | None = None, **message):
        """What the submission's process answers. Raises CannotRun, or what the submission raised."""
        if case is not None:
            message |= {"inputs": packed(case.inputs), "names": list(case.expected), "results": list(case.results)}
        reply = self.sandbox.exchange({"do": do} | message)
        while case is not None and reply == "upstream":
            reply = self.sandbox.exchange(packed(case.upstream))
        with understood():
            if "answer" in reply:
                return reply["answer"]
            self.line, name, words = reply["line"], str(reply["error"])[:50], str(reply["words"])[:300]
        known = {"CannotRun": CannotRun, "NotImplementedError": NotImplementedError}
        raise known.get(name, type(name if name.isidentifier() else "Exception", (Exception,), {}))(words)

    def run(self, case: Case) -> Outcome:
        with understood():
            answer = self.ask("run", case)
            outputs = arrays(answer["outputs"], case)
            written, shared = (
                [str(name)[:50] for name in answer["written"]],
                [(str(a), str(b)) for a, b in answer["shared"]],
            )
        return Outcome(outputs, tuple(name for name in case.results if name in outputs), written, shared)

    def run_twice(self, case: Case, *, both: bool) -> list[dict]:
        with understood():
            first, second = self.ask("run_twice", case, both=both)
            return [arrays(first, case), arrays(second, case)]


def arrays(answer, case) -> dict:
    """The arrays with the names of the case's results and gradients; all others are left out."""
    found = {name: unpacked(answer[name]) for name in case.expected if name in answer}
    if not all(one is None or isinstance(one, np.ndarray | np.generic) for one in found.values()):
        raise ValueError("no array")
    return {name: None if one is None else np.asarray(one) for name, one in found.items()}


# ---- the process ----


class Sandbox:
    """The process of a submission, as a context manager. Whatever it does, `exchange` ends in time.

    level: one of LEVELS; modules: files next to the submission; hidden: folders that it must not see.
    """

    def __init__(self, level: str, exercise: str, modules: dict, hidden: list, seconds: float):
        self.level, self.seconds, self.received = level, seconds, b""
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        box, root = (Path(self.folder.name) / name for name in ("box", "root"))
        fill(box, exercise, modules)
        root.mkdir()
        os.chmod(self.folder.name, 0o755)
        self.socket, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [PYTHON, "-I", "-S", "-B", HERE / "sandbox.py", json.dumps(plan(level, box, root, hidden))],
            env={f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
            | {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ},
            cwd=box,
            stdin=subprocess.PIPE,  # closed when this process ends, however it ends
            stdout=theirs,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        theirs.close()
        self.printed = Tail(self.process.stderr)

    def __enter__(self):
        try:
            self.end = time.monotonic() + 60
            self.receive()  # it has found Python and NumPy
        except CannotRun:
            self.close()
            raise
        self.end = time.monotonic() + self.seconds
        return self

    def exchange(self, message):
        """Send a message; the answer. Raises CannotRun when there is none."""
        try:
            self.socket.settimeout(max(self.end - time.monotonic(), 0.001))
            self.socket.sendall(json.dumps(message).encode() + b"\n")
        except TimeoutError:
            raise CannotRun(still_running(self.seconds)) from None
        except OSError:
            raise CannotRun(self.ended()) from None
        return self.receive()

    def receive(self):
        while b"\n" not in self.received:
            try:
                self.socket.settimeout(max(self.end - time.monotonic(), 0.001))
                data = self.socket.recv(65536)
            except TimeoutError:
                raise CannotRun(still_running(self.seconds)) from None
            except OSError:
                data = b""
            if not data:
                raise CannotRun(self.ended())
            self.received += data
            if len(self.received) > LONGEST:
                raise CannotRun(NONSENSE)
        line, _, self.received = self.received.partition(b"\n")
        with understood():
            return json.loads(line)

    def ended(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        self.close()
        return ended(self.process.returncode)

    def close(self):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self.process.stdin.close()  # tells the guard of a namespace to kill all that is in it
            if self.level == "namespaces":
                self.process.wait(10)
        if self.level != "namespaces" or self.process.poll() is None:
            kill(self.process)
        self.socket.close()
        self.folder.cleanup()

    def __exit__(self, *_):
        self.close()


@contextlib.contextmanager
def understood():
    """Turns what a nonsensical answer leads to into a CannotRun."""
    try:
        yield
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError, MemoryError) as error:
        raise CannotRun(NONSENSE) from error


@functools.cache
def isolation() -> str:
    """The best of LEVELS that works here. Raises UserError."""
    if os.name != "posix":
        raise UserError("a folder can only be checked on Linux and macOS; check the files one by one")
    for level in LEVELS:
        if level != "user" or os.getuid() == 0:
            with contextlib.suppress(CannotRun), Sandbox(level, "clipping", {}, [], 60):
                return level
    raise UserError(f"{PYTHON} does not start with NumPy; check the files one by one")


def plan(level, box, root, hidden) -> dict:
    """What sandbox.py needs to know."""
    packages = Path(np.__file__).parent.parent
    binds, paths = [], [str(box), str(packages)]
    if level == "namespaces":
        shipped = [packages / name for name in ("numpy", "numpy.libs") if (packages / name).exists()]
        binds = [(path, path) for path in system_folders()] + [(str(box), "/box")]
        binds += [(str(path), f"/packages/{path.name}") for path in shipped]
        paths = ["/box", "/packages"]
        hidden = [ROOT, *hidden, *(path for bound, _ in binds for path in package_folders(Path(bound)))]
    command = [PYTHON, "-u", "-I", "-S", "-B", "-c", START, *paths]
    hidden = [os.path.realpath(path) for path in hidden]
    return {"level": level, "root": str(root), "binds": binds, "hidden": hidden, "command": command}


def system_folders() -> list[str]:
    """Where Python and the libraries that it loads are installed."""
    prefix = os.path.realpath(sys.base_prefix)  # not all of it: conda keeps other environments there
    wanted = ["/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"]
    wanted += [f"{prefix}/lib", f"{prefix}/lib64", os.path.dirname(PYTHON)]
    outer = [path for path in wanted if not any(path.startswith(f"{other}/") for other in wanted)]
    return [path for path in dict.fromkeys(outer) if os.path.exists(path)]


def package_folders(folder: Path) -> list[Path]:
    """Where packages are installed in a system folder."""
    return [found for part in ("", "lib*/", "local/lib*/") for found in folder.glob(f"{part}python*/*-packages")]


def fill(box: Path, exercise: str, modules: dict[str, str]):
    """Write what a submission may import into an empty folder."""
    shipped = {name: (HERE.parent / name).read_text(encoding="utf-8") for name in SHIPPED}
    files = dict(modules) | {f"compare/learner/{name}": text for name, text in shipped.items()}
    empty = ("compare", "compare/learner", *(f"compare/learner/{Path(name).parent}" for name in SHIPPED))
    files |= {f"{package}/__init__.py": "" for package in empty} | {"compare/learner/exercises/ladder.py": ""}
    files |= {"scratch/__init__.py": "", "scratch/model.py": "CELLS = module_of = None\n"}
    needed = imported(ladder.starter(ladder.BY_NAME[exercise]))
    if exercise == "lengths":  # the cell that is called there
        needed.append("lstm")
        files["scratch/__init__.py"] = "from scratch import lstm\n"
    for name in needed:  # grows
        text = Path(scratch.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        files[f"scratch/{name}.py"] = text
        needed += [one for one in imported(text) if one not in needed]
    for name, text in files.items():
        (box / name).parent.mkdir(parents=True, exist_ok=True)
        (box / name).write_text(text, encoding="utf-8")


def imported(source: str) -> list[str]:
    """The modules of scratch/ that a module imports."""
    found = re.findall(r"^from scratch(?:\.(\w+))? import (.+)$", source, re.M)
    return [name.strip() for module, names in found for name in ([module] if module else names.split(","))]
