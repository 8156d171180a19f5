"""The process of a submission, and what it is kept from; that depends on the operating system (`LEVELS`)."""

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
from compare.learner.child import ROOT, Tail, ended, kill, still_running
from compare.learner.exercises import ladder
from compare.learner.grading.submission import OWN
from compare.learner.program.gradient_names import CannotRun
from data import UserError

LEVELS = {  # the best first; what is open is in README.md
    "namespaces": "own file system (only Python and NumPy), no network, resource limits",
    "user": "unprivileged user, resource limits; open: readable files, the network",
    "none": "only resource limits: do not check files that you do not trust here",
}
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
    files = {f"{OWN}/{name}": text for name, text in modules.items()}
    files |= {f"compare/learner/{name}": text for name, text in shipped.items()}
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
