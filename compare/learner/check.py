"""`byhand check`: is a learner's backward right, and if not, which line is wrong?"""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from compare.learner import ladder
from compare.learner.show import COULD_NOT_RUN, RIGHT, WRONG, Screen, show
from compare.options import whole
from data import UserError

SECONDS = 10  # the time limit for a learner's code
STATUS = {RIGHT: 0, WRONG: 1, COULD_NOT_RUN: 2}
PRINTED = 4000  # characters kept of what the learner's code prints
ROOT = Path(__file__).parents[2]

DESCRIPTION = """\
Run the functions of FILE on small random problems and say whether the results
are right; if not, which line is wrong, at which step, what was expected there
and, if it is a known mistake, which one. Any style will do: functions or a
class, NumPy or torch tensors without autograd, any names. For a folder, print
a table with one row per file."""


def add_arguments(parser):
    parser.epilog = "exit status: 0 right, 1 wrong or unfinished, 2 could not run"
    parser.add_argument("file", metavar="FILE", help="a Python file, or a folder of them")
    parser.add_argument("--exercise", metavar="NAME", help="which exercise (default: from the heading or file name)")
    parser.add_argument("--watch", action="store_true", help="check again whenever the file is saved")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--seconds", type=whole, default=SECONDS, metavar="N", help="time limit (default 10)")


def run(options):
    return main(
        Path(options.file), options.exercise, as_json=options.json, watch=options.watch, seconds=options.seconds
    )


def main(path: Path, exercise_name: str | None, *, as_json: bool, watch: bool, seconds: int) -> int:
    """Check a file, or every file of a folder, and print the answer. Returns the exit status; raises UserError."""
    if path.is_dir():
        if watch:
            raise UserError("--watch needs a file, not a folder")
        return grade(path, exercise_name, as_json=as_json, seconds=seconds)
    exercise = exercise_of(path, exercise_name)
    if watch:
        return follow(path, exercise, as_json=as_json, seconds=seconds)
    return answer(path, exercise, as_json=as_json, seconds=seconds)


def answer(path, exercise, *, as_json, seconds):
    report = examined(path, exercise, seconds)
    if as_json:
        print(json.dumps(plain(report), indent=2))
    else:
        show(report, exercise)
    return STATUS[report["verdict"]]


def exercise_of(path, exercise_name):
    """The exercise that a file is about. Raises UserError when the file cannot be read or does not name one."""
    named = ladder.by_name(exercise_name) if exercise_name is not None else None
    try:
        source = path.read_bytes().decode("utf-8-sig") if path.is_file() else None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; give a Python file") from None
    if source is None:
        what = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise UserError(f"{path}: {what}; `byhand exercise NAME` writes a file to complete")
    exercise = named or ladder.named_in(source, path)
    if exercise is None:
        raise UserError(
            f"{path}: which exercise is it? Rename it to {path.parent / 'NAME.py'} or add --exercise NAME, with NAME "
            f"one of {', '.join(ladder.BY_NAME)}"
        )
    return exercise


def examined(path, exercise, seconds):
    """The report on one file, made in a child process, so that whatever the learner's code does is confined to it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        # -P: a data.py or compare.py in the current folder must not be imported in place of ours
        paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", "compare.learner.examine"]
        process = subprocess.Popen(
            [*command, str(path), exercise.name, str(out), str(seconds)],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
        printed = Tail(process.stdout)
        try:
            process.wait(seconds + 5)
            sentence = ended(process.returncode)
        except subprocess.TimeoutExpired:
            sentence = f"still running after {seconds} s, in a library call that cannot be interrupted"
        finally:
            kill(process)
        printed = printed.text()
        if out.exists():
            report = json.loads(out.read_text(encoding="utf-8"))
            if "fault" in report:
                raise RuntimeError(f"while checking {path}\n{report['fault']}")
            return report | ({"printed": printed} if printed else {})
    report = {"file": str(path), "exercise": exercise.name, "verdict": COULD_NOT_RUN, "stages": [["runs", sentence]]}
    return report | {"sentence": sentence, "arrays": [], "remarks": [], "printed": printed}


def verdict_of(report):
    return "unsolved" if report.get("unsolved") else report["verdict"]


def ended(status):
    if status < 0:
        names = {s.value: s.name for s in signal.Signals}
        return f"the Python process was killed by {names.get(-status, f'signal {-status}')}"
    return f"the Python process exited with status {status}"


def kill(process):
    """Kill the process and all that it started."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass
    process.wait()


class Tail:
    """The last characters of a stream, read as they come, so that endless output does not fill the memory."""

    def __init__(self, stream):
        self.stream, self.kept = stream, b""
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while chunk := self.stream.read1(65536):
            self.kept = (self.kept + chunk)[-PRINTED:]

    def text(self):
        self.thread.join(1)
        return self.kept.decode("utf-8", "replace")


def plain(value):
    """JSON has no nan and inf: they become strings."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def grade(folder, exercise_name, *, as_json, seconds):
    """Check every Python file in a folder and its subfolders; print a table. Returns the exit status."""
    if exercise_name is not None:
        ladder.by_name(exercise_name)
    files = sorted(path for path in folder.rglob("*.py") if path.is_file() and not hidden(path.relative_to(folder)))
    if not files:
        raise UserError(f"{folder}: no Python file in it")
    reports = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(files))
        for path in files:
            progress.update(bar, advance=1, description=f"checking {escape(path.name)}")
            try:
                reports.append(examined(path, exercise_of(path, exercise_name), seconds))
            except (UserError, OSError) as error:
                no = {"file": str(path), "exercise": None, "verdict": COULD_NOT_RUN, "sentence": str(error)}
                reports.append(no | {"stages": [], "arrays": []})
    if not any(report["exercise"] for report in reports):
        raise UserError(
            f"{folder}: none of its {len(files)} Python files is an exercise; name them NAME.py, like the starters"
        )
    if as_json:
        print(json.dumps([plain(report) for report in reports], indent=2))
    else:
        Screen(emoji=False).print(graded(folder, reports))
    return 0 if all(report["verdict"] == RIGHT for report in reports if report["exercise"]) else 1


def hidden(path):
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def graded(folder, reports):
    right = sum(report["verdict"] == RIGHT for report in reports)
    exercises = sum(report["exercise"] is not None for report in reports)
    table = Table(title=f"{folder}: {right} of {exercises} right", title_justify="left")
    for heading in ("file", "exercise", "verdict", "line", "likely mistake, or what is wrong"):
        table.add_column(heading, overflow="fold")
    for report in reports:
        verdict = verdict_of(report)
        words = report.get("mistake") or report.get("sentence") or ""
        if report["exercise"] is None:
            verdict, words = "no exercise", ""
        table.add_row(
            escape(os.path.relpath(report["file"], folder)),
            report["exercise"] or "?",
            verdict,
            str(report.get("line", "")),
            escape(words),
        )
    return table


def follow(path, exercise, *, as_json, seconds):
    """Check again whenever the file is saved, until Ctrl-C. Returns the last status."""
    status, last = None, None
    try:
        while True:
            try:
                stamp = path.stat().st_mtime_ns
            except FileNotFoundError:  # an editor is replacing it
                stamp = last
            if stamp != last:
                last = stamp
                if status is not None and not as_json:
                    print("-" * 60)
                exercise_of(path, exercise.name)  # it may no longer be readable
                status = answer(path, exercise, as_json=as_json, seconds=seconds)
                if not as_json:
                    print(f"(waiting for {path} to be saved; stop with Ctrl-C)", flush=True)
            time.sleep(0.2)
    except KeyboardInterrupt:
        print()
        return STATUS[COULD_NOT_RUN] if status is None else status
