"""`check`: is a learner's backward right, and if not, which line is wrong."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from compare.learner import ladder
from compare.options import whole
from data import UserError

SECONDS = 10  # what a learner's code may take
RIGHT, WRONG, COULD_NOT_RUN = "right", "wrong", "could not run"
STATUS = {RIGHT: 0, WRONG: 1, COULD_NOT_RUN: 2}
PRINTED = 4000  # characters of what the learner's code printed that are shown


DESCRIPTION = """\
Run the functions of FILE on small random problems and say whether their
results are right; if not, which line is wrong, at which step, what was
expected there and what you probably did. Any style will do: functions or a
class, NumPy or torch tensors without autograd, your own names. A folder is
graded file by file."""


def add_arguments(parser):
    parser.epilog = "exit status: 0 right, 1 wrong, 2 could not run (reason on stderr)"
    parser.add_argument("file", metavar="FILE", help="a Python file, or a folder of them")
    parser.add_argument("--exercise", metavar="NAME", help="which exercise (default: from the heading or file name)")
    parser.add_argument("--watch", action="store_true", help="check again whenever the file is saved")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--seconds", type=whole, default=SECONDS, metavar="N", help="time limit (default 10)")


def run(options):
    return main(options.file, options.exercise, options.json, options.watch, options.seconds)


def main(path, rung_name, as_json, watch, seconds):
    """Check a file, or every file of a folder; print the answer. Returns the exit status."""
    path = Path(path)
    if path.is_dir():
        if watch:
            raise UserError("--watch follows one file; name the file instead of the folder")
        return grade(path, rung_name, as_json, seconds)
    rung = exercise_of(path, rung_name)
    if watch:
        return follow(path, rung, as_json, seconds)
    return answer(path, rung, as_json, seconds)


def answer(path, rung, as_json, seconds):
    report = examined(path, rung, seconds)
    if as_json:
        print(json.dumps(plain(report), indent=2))
    else:
        show(report, rung)
    return STATUS[report["verdict"]]


def exercise_of(path, rung_name):
    """The rung that a file is about. Raises UserError when the file cannot be read, or does not say."""
    if rung_name is not None and rung_name not in ladder.BY_NAME:
        raise UserError(f"there is no exercise {rung_name!r}; choose one of: {', '.join(ladder.BY_NAME)}")
    try:
        source = path.read_bytes().decode("utf-8-sig") if path.is_file() else None
    except UnicodeDecodeError:
        raise UserError(f"{path}: is not UTF-8 text; give a Python file") from None
    if source is None:
        what = "is neither a file nor a folder" if path.exists() else "does not exist"
        raise UserError(f"{path}: {what}; `byhand exercise` lists what there is to write")
    rung = ladder.BY_NAME[rung_name] if rung_name else ladder.named_in(source, path)
    if rung is None:
        raise UserError(
            f"{path}: does not say which exercise it is; call it {path.parent / 'NAME.py'} or add --exercise NAME, "
            f"NAME one of {', '.join(ladder.BY_NAME)}"
        )
    return rung


def examined(path, rung, seconds):
    """The report on one file, made in a process of its own: whatever the learner's code does, it ends there."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        command = [sys.executable, "-X", "faulthandler", "-m", "compare.learner.examine"]
        process = subprocess.Popen(
            [*command, str(path), rung.name, str(out), str(seconds)],
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
            sentence = f"it is still running after {seconds} s, within a library that cannot be interrupted"
        finally:
            kill(process)
        printed = printed.text()
        if out.exists():
            report = json.loads(out.read_text(encoding="utf-8"))
            if "fault" in report:
                raise RuntimeError(f"while checking {path}\n{report['fault']}")
            return report | ({"printed": printed} if printed else {})
    report = {"file": str(path), "exercise": rung.name, "verdict": COULD_NOT_RUN, "steps": [["it runs", sentence]]}
    return report | {"sentence": sentence, "arrays": [], "remarks": [], "printed": printed}


def ended(status):
    if status < 0:
        names = {s.value: s.name for s in signal.Signals}
        return f"Python itself was ended by {names.get(-status, f'signal {-status}')}"
    return f"it ended Python itself, with status {status}"


def kill(process):
    """The process and whatever it started."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except ProcessLookupError:
        pass
    process.wait()


class Screen(Console):
    """A Console that does not end the program when whoever read it has gone."""

    def on_broken_pipe(self):
        raise BrokenPipeError


class Tail:
    """The last characters of a stream, read as they come: a program that prints for ever fills no memory."""

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
    """JSON has no nan and no inf: they become words."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def show(report, rung):
    """Print a report."""
    console = Screen(highlight=False, emoji=False)
    console.print(f"[bold]{escape(report['file'])}[/bold]: exercise {rung.name}, {rung.title}")
    for what, outcome in report["steps"]:
        if outcome == "ok":
            console.print(f"  [green]ok[/green]     {what}")
        else:
            word = "unsolved" if report.get("unsolved") else "wrong " if report["verdict"] == WRONG else "no    "
            console.print(f"  [red]{word}[/red] {what}: {escape(outcome)}")
    if report.get("printed"):
        console.print("\nit printed:")
        console.print("\n".join(f"  {line}" for line in escape(report["printed"]).rstrip().split("\n")[-12:]))
    if report["verdict"] == RIGHT:
        show_right(console, report, rung)
    elif not report.get("unsolved"):
        show_wrong(console, report, rung)
    else:
        console.print(f"\n{escape(rung.task)}\nStuck? byhand exercise {rung.name} --hint")


def show_right(console, report, rung):
    if report["arrays"]:
        worst = max(report["arrays"], key=lambda row: row["roundings"])
        error = f"the largest error, in {worst['name']}, is {worst['roundings']:.1f} roundings of its largest entry"
        console.print(f"\n[bold green]right[/bold green]: {error}")
    else:
        console.print("\n[bold green]right[/bold green]")
    for remark in report["remarks"]:
        console.print(escape(textwrap.fill(remark, 78, initial_indent="  - ", subsequent_indent="    ")))
    after = ladder.RUNGS.index(rung) + 1
    if after < len(ladder.RUNGS):
        console.print(f"next: byhand exercise {ladder.RUNGS[after].name}")
    else:
        console.print("that was the last rung")


def show_wrong(console, report, rung):
    console.print()
    if "line" in report:
        console.print(f"[bold]line {report['line']}[/bold]{step_of(report)}")
        console.print(f"  {escape(report['text'])}", markup=True)
        marks = marked(report)
        if marks:
            console.print(f"  [red]{marks}[/red]")
    for sentence in sentences(report):
        console.print(escape(sentence))
    if report["arrays"]:
        for verdict in ("wrong", "right"):
            names = [row["name"] for row in report["arrays"] if row["verdict"] == verdict]
            if names:
                console.print(f"{verdict}: {', '.join(names)}")
    if report.get("problem"):
        console.print(f"(tried with {report['problem']})")


def step_of(report):
    if report.get("last_step", 0) == 0:
        return ""
    step, last = report["step"], report["last_step"]
    words = "the last one" if step == last else f"coming from the last, {last}"
    return f", wrong first at step {step}, {words}"


def marked(report):
    """Carets under the part of the line that is wrong."""
    columns, text = report.get("columns"), report["text"]
    if "shows_in_line" in report or not columns:
        return ""
    start, stop = (len(text.encode()[:column].decode(errors="ignore")) for column in columns)  # ast counts bytes
    return " " * start + "^" * (stop - start)


def sentences(report):
    """What is known, from the surest to the likeliest."""
    if "shows_in_line" in report:
        yield f"It shows first in line {report['shows_in_line']}: {report['shows_in_text'].strip()}"
    if "only_stored" in report and "line" in report:
        yield f"No single line mends everything; this one was the last to store the wrong {report['only_stored']}."
    for words in report.get("sentences", []):
        yield f"{words[0].upper()}{words[1:]}."
    if "belongs" in report:
        equation = f" ({report['equation']})" if report["equation"] else ""
        yield f"Here belongs: {report['belongs']}{equation}."
        for words in report["evidence"]:
            yield f"{words[0].upper()}{words[1:]}."
        entry = f"At entry {report['entry']} it " if report["entry"] else "It "
        yield f"{entry}is {' and should be '.join(told_apart(report['got'], report['expected']))}."
        if report["all_of_it"]:
            yield "With the right values in that place everything comes out right."
        else:
            yield (
                "With the right values in that place some results come out right and others do not: there is more to "
                "mend, or the cause lies elsewhere."
            )
    if "slip" in report:
        yield f"Likely slip: {report['why']} ({report['slip']})"
    elif report["arrays"]:
        yield "No slip of the catalogue gives these numbers."
    if report.get("equation"):
        yield f"Read on: scratch/README.md, equation ({report['equation']})"


def told_apart(a, b):
    """Two numbers, with as many digits as it takes."""
    for digits in range(6, 18):
        if f"{a:.{digits}g}" != f"{b:.{digits}g}":
            break
    return f"{a:.{digits}g}", f"{b:.{digits}g}"


def grade(folder, rung_name, as_json, seconds):
    """Check every Python file in a folder and its subfolders; a table of all. Returns the exit status."""
    if rung_name is not None and rung_name not in ladder.BY_NAME:
        raise UserError(f"there is no exercise {rung_name!r}; choose one of: {', '.join(ladder.BY_NAME)}")
    files = sorted(path for path in folder.rglob("*.py") if path.is_file() and not hidden(path.relative_to(folder)))
    if not files:
        raise UserError(f"{folder}: there is no Python file in it")
    reports = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=len(files))
        for path in files:
            progress.update(bar, advance=1, description=f"checking {escape(path.name)}")
            try:
                reports.append(examined(path, exercise_of(path, rung_name), seconds))
            except (UserError, OSError) as error:
                no = {"file": str(path), "exercise": None, "verdict": COULD_NOT_RUN, "sentence": str(error)}
                reports.append(no | {"steps": [], "arrays": []})
    if not any(report["exercise"] for report in reports):
        raise UserError(
            f"{folder}: none of its {len(files)} Python files is an exercise; name them NAME.py, as starters are"
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
    for heading in ("file", "exercise", "verdict", "line", "likely slip, or what is wrong"):
        table.add_column(heading)
    for report in reports:
        verdict = "unsolved" if report.get("unsolved") else report["verdict"]
        words = report.get("slip") or report.get("sentence") or ""
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


def follow(path, rung, as_json, seconds):
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
                exercise_of(path, rung.name)  # it may have become something that cannot be read
                status = answer(path, rung, as_json, seconds)
                if not as_json:
                    print(f"(waiting for {path} to be saved; Ctrl-C ends)", flush=True)
            time.sleep(0.2)
    except KeyboardInterrupt:
        print()
        return STATUS[COULD_NOT_RUN] if status is None else status
