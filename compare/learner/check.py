"""`byhand check`: is a backward pass right, and if not, which line is wrong?"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.learner.exercises import ladder
from compare.learner.report import COULD_NOT_RUN, RIGHT, RUNS, UNSOLVED, WRONG, Finding, Report, from_json, head, tail
from compare.options import OWN_CELLS, whole
from data import UserError
from data.errors import printable

SECONDS = 20  # the time limit
STATUS = {RIGHT: 0, WRONG: 1, UNSOLVED: 1, COULD_NOT_RUN: 2}
LARGEST = 1_000_000  # bytes of a learner's file
PRINTED = 4000  # characters kept of what the learner's code prints
ROOT = Path(__file__).parents[2]

DESCRIPTION = """\
Run the forward and backward passes of FILE on small inputs, and say whether
the gradients are right; if not, which line is wrong. FILE is an exercise, or
any Python file with a pair X_forward and X_backward (or forward and backward),
a class with both, or a function that returns a loss and gradients. For any
file, `example()` in it returns the arguments of forward. NumPy, or torch
tensors without autograd. For a folder, check the exercises in it in sandboxes
and print a table with one row per file."""


def add_arguments(parser):
    parser.epilog = "exit status: 0 right, 1 wrong or not written yet, 2 could not run"
    parser.add_argument("file", metavar="FILE", help="a Python file, or a folder of them")
    parser.add_argument("--exercise", metavar="NAME", help="which exercise (default: from the heading or file name)")
    parser.add_argument("--fix", action="store_true", help="also show the change after which everything is right")
    parser.add_argument("--watch", action="store_true", help="check again whenever the file is saved")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--seconds", type=whole, default=SECONDS, metavar="N", help=f"time limit (default {SECONDS})")


def run(options) -> int:
    path = Path(options.file)
    if path.is_dir():
        if options.watch:
            raise UserError("--watch needs a file, not a folder")
        return grade(path, options)
    exercise = exercise_of(path, source_of(path), options.exercise)
    return follow(path, exercise, options) if options.watch else answer(path, exercise, options)


def answer(path: Path, exercise: str | None, options) -> int:
    """Check a file and print what is known, as soon as it is. Returns the exit status."""
    told = []
    status = Console(stderr=True).status("running your code, and measuring the right gradients")

    def tell(report):
        if report.title not in told:
            told.append(report.title)
            status.stop()  # while it is shown, rich would print this to stderr, too
            print(head(report), flush=True)
            status.update("looking for the line")
            status.start()

    with status:
        reports = examined(path, exercise, options.seconds, None if options.json else tell)
    if exercise is None and all(r.verdict == COULD_NOT_RUN and not r.findings for r in reports):
        raise UserError(f"{path}: {reports[0].sentence}")
    if options.json:
        found = [report.as_json() for report in reports]
        print(json.dumps(found[0] if exercise else found, indent=2))
    for report in [] if options.json else reports:
        if report.title not in told:
            print(head(report))
        print(tail(report, fix=options.fix))
    if not options.json:
        print_what_next(path, exercise, reports, fix=options.fix)
    return max(STATUS[report.verdict] for report in reports)


def print_what_next(path, exercise, reports, *, fix):
    if exercise and reports[0].verdict == RIGHT:
        names = list(ladder.BY_NAME)
        after = names[names.index(exercise) + 1 :][:1]
        print(f"next: byhand exercise {after[0]}" if after else "that was the last exercise")
        if exercise in OWN_CELLS:
            recognized = exercise_of(path, source_of(path)) == exercise
            print(f"see it learn: byhand curves names --cell {quoted(path if recognized else f'{exercise}={path}')}")
    elif not fix and any(finding.after for report in reports for finding in report.findings):
        print(f"\nto see a change after which everything is right: byhand check {quoted(path)} --fix")


def quoted(word) -> str:
    """A word of a command, as the shell has to get it."""
    return subprocess.list2cmdline([str(word)]) if os.name == "nt" else shlex.quote(str(word))


def source_of(path: Path) -> str:
    """The text of a learner's file. Raises UserError when it cannot be read."""
    if not path.is_file():
        what = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise UserError(f"{path}: {what}; `byhand exercise NAME` writes a file to complete")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise UserError(f"{path}: larger than {LARGEST // 10**6} MB; give the file with your code only")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8 text; give a Python file") from None


def exercise_of(path: Path, source: str, name: str | None = None) -> str | None:
    """The exercise that a file is about; None for any other file. Raises UserError when there is none of that name."""
    if name is not None:
        ladder.by_name(name)
    exercise = name or getattr(ladder.named_in(source, path), "name", None)
    heading = re.search(rf"{ladder.MARK} `", source)
    return exercise if name or heading or not is_any_pair(source) else None


def is_any_pair(source: str) -> bool:
    """Whether a file without a heading says by its names that it is no exercise: X_forward, or an example."""
    return re.search(r"^\s*def (example\w*|\w+_forward)\b", source, re.M) is not None


def examined(path: Path, exercise: str | None, seconds: int, tell=None) -> list[Report]:
    """The reports on a file, made in a child process, so that whatever its code does is confined to that.

    tell: called with a report as soon as its verdict is known.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "reports.jsonl"
        process = subprocess.Popen(
            # -P: a data.py or compare.py in the current folder must not be imported in place of ours
            [sys.executable, "-P", "-m", "compare.learner.examine", str(path), exercise or "", str(out), str(seconds)],
            env=os.environ
            | {
                "PYTHONIOENCODING": "utf-8",
                "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
        printed = Tail(process.stdout)
        try:
            lines = followed(process, out, seconds + 5, tell)
        finally:
            kill(process)
        trace = line_at_timeout(Path(f"{out}.trace"), path)
    complete = bool(lines) and lines[-1] == "null"
    reports = [parsed(line) for line in lines if line != "null"]
    known = {report.title: report for report in reports if report}  # the last one on each pair counts
    if None in reports:
        report = Report(str(path), f"exercise {exercise}" if exercise else "forward and backward", exercise)
        report.failed(RUNS, "your code wrote into the file to which the check writes", COULD_NOT_RUN)
        known = {report.title: report}
    elif not complete:
        unfinished(known, path, exercise, process.returncode, seconds, trace)
    for report in known.values():
        report.printed = printed.text()
    return list(known.values())


def followed(process, out: Path, seconds: int, tell) -> list[str]:
    """The lines that a process has written when it ends or the time is up; tell gets each report as it comes."""
    end, told = time.monotonic() + seconds, 0
    while True:
        running = process.poll() is None
        text = out.read_text(encoding="utf-8") if out.exists() else ""
        lines = text.split("\n")[:-1]
        for line in lines[told:] if tell and running else ():
            report = parsed(line)
            if report and report.verdict == WRONG and not report.findings:
                tell(report)
        told = len(lines)
        if not running or time.monotonic() > end:
            return lines
        time.sleep(0.02)


def parsed(line: str) -> Report | None:
    """The report in a line; None if it holds something else."""
    try:
        return from_json(json.loads(line))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def unfinished(known, path, exercise, status, seconds, trace):
    """Say in the reports that the process ended before it was done."""
    late = trace is not None or status == -signal.SIGKILL
    sentence = still_running(seconds) if late else ended(status)
    wrong = [report for report in known.values() if report.verdict == WRONG]
    if wrong:
        stopped = f"was stopped after {seconds} s: a smaller example is faster, and --seconds N gives it more time"
        why = stopped if late else f"did not end: {sentence}"
        if wrong[-1].findings:
            wrong[-1].remarks.append(f"the search for a second mistake {why}")
        else:
            wrong[-1].not_searched = f"The search for the line {why}."
        return
    report = Report(str(path), f"exercise {exercise}" if exercise else "forward and backward", exercise)
    report.failed(RUNS, sentence, COULD_NOT_RUN)
    if trace:
        text = path.read_text(encoding="utf-8-sig").split("\n")
        report.findings = [Finding(trace, text[trace - 1].strip(), True)] if trace <= len(text) else []
    known[report.title] = report


def line_at_timeout(trace: Path, path: Path) -> int | None:
    """The line of the file that ran when the time was up, 0 if none did; None if the time was not up."""
    text = trace.read_text(encoding="utf-8", errors="replace") if trace.exists() else ""
    lines = re.findall(rf'File "{re.escape(str(path))}", line (\d+)', text)
    return int(lines[0]) if lines else 0 if text else None


def still_running(seconds: int) -> str:
    return f"still running after {seconds} s: an endless loop, or is the example too large? --seconds N gives more time"


def ended(status: int | None) -> str:
    if status is None or status >= 0:
        return f"the Python process exited with status {status}"
    names = {s.value: s.name for s in signal.Signals}
    return f"the Python process was killed by {names.get(-status, f'signal {-status}')}"


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


def grade(folder: Path, options) -> int:
    """Check every Python file in a folder and its subfolders, in sandboxes; print a table. Returns the exit status."""
    from compare.learner.grading.grading import LEVELS, isolation

    files = sorted(path for path in folder.rglob("*.py") if not path.is_dir() and not hidden(path.relative_to(folder)))
    if not files:
        raise UserError(f"{folder}: no Python file in it")
    level, reports = isolation(), []
    with Console(stderr=True).status("") as status:
        for path in files:
            status.update(Text(f"checking {printable(path.name)}"))
            reports.append(graded(path, options))
    if not any(reports):
        which = (
            f"none of its {len(files)} Python files names" if len(files) > 1 else "its only Python file does not name"
        )
        raise UserError(f"{folder}: {which} an exercise; name a file after one (gru.py), or add --exercise gru")
    if options.json:
        print(json.dumps([report.as_json() for report in reports if report], indent=2))
    else:
        print_table(folder, files, reports)
    print(f"isolation: {LEVELS[level]}", file=sys.stderr if options.json else sys.stdout)
    return 0 if all(report.verdict == RIGHT for report in reports if report) else 1


def graded(path: Path, options) -> Report | None:
    """The report on somebody else's file; None if it is no exercise."""
    from compare.learner.grading import grading

    try:
        if path.is_symlink():
            raise UserError("a symbolic link, which is not followed here")
        source = source_of(path)
        exercise = exercise_of(path, source, options.exercise)
        if ladder.is_the_solution(path, exercise):
            raise UserError("it is the solution of its own exercise; check this file by itself")
        return grading.graded(path, source, exercise, options.seconds, own_modules(path, source)) if exercise else None
    except (UserError, OSError) as error:
        report = Report(str(path), "", "?")
        report.failed(RUNS, str(error), COULD_NOT_RUN)
        return report


def own_modules(path: Path, source: str) -> dict[str, str]:
    """The modules next to a file that it imports, and those that they import, by file name; exercises are left out."""
    found, todo = {}, [source]
    for text in todo:  # grows
        for name in re.findall(r"^\s*(?:from|import)\s+(\w+)", text, re.M):
            module = path.with_name(f"{name}.py")
            if module.name not in found and module != path and module.is_file() and not module.is_symlink():
                more = source_of(module)
                if exercise_of(module, more) is None:
                    found[module.name] = more
                    todo.append(more)
    return found


def hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def print_table(folder, files, reports):
    right = sum(report.verdict == RIGHT for report in reports if report)
    title, unchecked = f"{printable(str(folder))}: {right} of {sum(map(bool, reports))} right", reports.count(None)
    if unchecked:
        title += f", {unchecked} file{'s' * (unchecked > 1)} not checked (which exercise?)"
    table = Table(title=Text(title), title_justify="left")
    for heading in ("file", "exercise", "verdict", "line", "what is wrong"):
        table.add_column(heading, overflow="fold")
    for path, report in zip(files, reports, strict=True):
        cells = (
            [report.exercise, report.verdict, str(report.line or ""), report.sentence]
            if report
            else ["", "no exercise", "", ""]
        )
        table.add_row(*(printable(cell) for cell in (os.path.relpath(path, folder), *cells)))
    Console(markup=False, emoji=False, highlight=False).print(table)


def follow(path: Path, exercise: str | None, options) -> int:
    """Check again whenever the file is saved, until Ctrl-C. Returns the last status."""
    status, last = STATUS[COULD_NOT_RUN], None
    try:
        while True:
            stamp = path.stat().st_mtime_ns if path.exists() else last  # an editor may be replacing it
            if stamp != last:
                if last is not None:
                    print("-" * 60)
                last = stamp
                status = answer(path, exercise, options)
                print(f"(waiting for {path} to be saved; stop with Ctrl-C)", flush=True)
            time.sleep(0.2)
    except KeyboardInterrupt:
        print()
        return status
