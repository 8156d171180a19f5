"""Examine a file: find its programs, judge each, and look for the wrong line."""

import faulthandler
import json
import linecache
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from compare.learner.exercises import ladder, likely_mistake
from compare.learner.program import pairs
from compare.learner.program.calling import Program
from compare.learner.program.gradient_names import CannotRun
from compare.learner.search import locate
from compare.learner.search.switches import Subject, executed
from compare.learner.verdict.errors import at_line, in_words, where_raised
from compare.learner.verdict.report import CLEAN, COULD_NOT_RUN, RUNS, Finding, Report
from compare.learner.verdict.stages import judged
from compare.learner.verdict.subjects import Confirmation, subjects_of


def examine(file: str, exercise: str | None = None, tell: Callable = lambda report: None) -> list[Report]:
    """A Report for each forward and backward pass of a file.

    exercise: the name of the exercise that it is; None for any other file; tell: called with a report as soon as its
    verdict is known.
    """
    source = Path(file).read_text(encoding="utf-8-sig")
    linecache.checkcache(file)
    title = f"exercise {exercise}, {ladder.BY_NAME[exercise].title}" if exercise else ""
    own = ladder.is_the_solution(file, exercise)
    first = Report(str(file), title or "forward and backward", exercise)
    loaded = load(source, str(file), exercise, first)
    if loaded is None:
        return [first]
    module, subjects = loaded
    found, names = [], []
    for name, subject in subjects:
        names.append(name)
        which = f" ({names.count(name)})" if names.count(name) > 1 else ""
        report = Report(str(file), title or name + which, None if own else exercise)
        examine_one(subject, module, report, tell)
        report.remarks += [OWN] * own
        found.append(report)
    if exercise is None:
        found[-1].remarks += pairs.not_checked(module, [subject.bind.program for _, subject in subjects])
    return found


OWN = (
    "this file is the solution of its own exercise, so its gradients were compared with finite differences of its own "
    "forward pass, and the forward pass itself was not checked: pytest compares it with torch"
)


def load(source, file, exercise, report):
    """The module, and each forward and backward pass in it; None, with the reason in the report, if that fails."""
    try:
        code = compile(source, file, "exec")
    except (SyntaxError, ValueError) as error:
        report.failed(RUNS, f"not valid Python: {getattr(error, 'msg', error)}", COULD_NOT_RUN)
        report.findings = at_line(file, getattr(error, "lineno", None))
        return None
    what = "importing the file"
    try:
        module = executed(code, file)
        what = "example()"
        return module, subjects_of(source, file, module, exercise)
    except CannotRun as error:
        report.failed(RUNS, str(error), COULD_NOT_RUN)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        report.failed(RUNS, f"{what} raised {in_words(error)}", COULD_NOT_RUN)
        report.findings = where_raised(error, file)
    return None


def examine_one(subject: Subject, module, report: Report, tell: Callable):
    """Fill in the report on one program."""
    stdout = sys.stdout  # what a program prints the first time that it runs
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        open(os.devnull, "w", encoding="utf-8") as devnull,
        redirect_stdout(devnull),
    ):
        warnings.simplefilter("ignore")
        failed = judged(subject, module, report, stdout)
        if failed is None:
            return
        tell(report)
        if report.exercise:
            name_the_mistake(report, subject)
        if not report.findings and not report.not_searched:
            report.findings = writes = where_it_writes(subject, module, *failed)

            def know(findings):
                if not writes or (findings and findings[0].certain):
                    report.findings = findings
                tell(report)

            if writes:
                tell(report)
            know(locate.located(subject, *failed, Confirmation(subject), know))


def where_it_writes(subject: Subject, module, index: int, stage: str) -> list[Finding]:
    """The first line that writes into an array of the caller; [] if there is none, or if it is not known."""
    program, cases = subject.bind(module)
    if stage != CLEAN or not isinstance(program, Program):
        return []
    try:
        program.run(cases[index], frozen=True)
    except ValueError as error:
        found = where_raised(error, subject.file)
        for one in found:
            one.certain, one.kind = False, "This line writes into an array that belongs to the caller."
        return found
    except Exception:  # the program made something else of the ValueError
        return []
    return []


def name_the_mistake(report, subject):
    """If the results are exactly those of a mistake of the catalogue, say so; its text, if it is there, is the line."""
    mistake = likely_mistake.match(report.exercise, subject.program)
    if mistake is None:
        return
    report.mistake = mistake.name
    report.remarks.append(f"likely mistake ({mistake.name}): {mistake.why}")
    line = likely_mistake.typed_at(mistake, subject.source)
    if line is not None:
        report.findings = at_line(subject.file, line)
        report.findings[0].before, report.findings[0].after = mistake.wrong, mistake.right


def main(file: str, exercise: str, out: str, seconds: str):
    """Examine `file` and write each report to `out`, one JSON object per line; see child.py."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(float(seconds), exit=True, file=open(f"{out}.trace", "w"))  # noqa: SIM115
    sys.path.append(str(Path(file).resolve().parent))  # the learner's own modules next to the file

    with open(out, "a", encoding="utf-8") as stream:

        def write(report):
            stream.write(json.dumps(report.as_json()) + "\n")
            stream.flush()

        for report in examine(file, exercise or None, write):
            write(report)
        stream.write("null\n")  # the last line says that the program did not end by itself
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # not stopped by threads that the learner's code has left
