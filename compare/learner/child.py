"""Run a learner's file in a child process: whatever its code does is confined to that, and ends in time."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from compare.learner.verdict.report import COULD_NOT_RUN, RUNS, WRONG, Finding, Report, from_json

SECONDS = 20  # the time limit
PRINTED = 4000  # characters kept of what the learner's code prints
ROOT = Path(__file__).parents[2]


def examined(path: Path, exercise: str | None, seconds: int = SECONDS, tell=None) -> list[Report]:
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
