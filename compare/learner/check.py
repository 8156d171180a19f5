"""`byhand check`: is a backward pass right, and if not, which line is wrong?"""

import json
import os
import shlex
import subprocess
import time
from pathlib import Path

from rich.console import Console

from compare.learner.child import SECONDS, examined
from compare.learner.exercises import ladder
from compare.learner.files import exercise_of, source_of
from compare.learner.verdict.report import COULD_NOT_RUN, RIGHT, UNSOLVED, WRONG, head, tail
from compare.options import OWN_CELLS, whole
from data import UserError

STATUS = {RIGHT: 0, WRONG: 1, UNSOLVED: 1, COULD_NOT_RUN: 2}
DESCRIPTION = """\
Run the forward and backward passes of FILE on small inputs, and say whether
the gradients are right; if not, which line is wrong. FILE is an exercise, or
any Python file with a pair X_forward and X_backward (or forward and backward),
a class with both, or a function that returns a loss and gradients. A file that
is no exercise needs a function `example()` that returns the arguments of
forward. NumPy, or torch tensors without autograd. For a folder, check the
exercises in it in sandboxes and print a table with one row per file."""


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
        from compare.learner.grading.folder import grade

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
        elif len(reports) > 1:
            print(f"\n{report.file}: {report.title}")
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
