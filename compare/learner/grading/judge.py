"""The verdict on a file that somebody else wrote.

The submission runs in a sandbox and only computes (submission.py). This process draws the inputs, sends them, gets
arrays back, compares them with those of the solution, and decides; it never imports or runs a submission.
"""

import ast
import functools
import sys
from pathlib import Path

import numpy as np

from compare.learner import examine
from compare.learner.exercises import ladder, problems
from compare.learner.grading.isolation import Sandbox, isolation, understood
from compare.learner.grading.submission import packed, unpacked
from compare.learner.program import calling
from compare.learner.program.calling import Case, Outcome
from compare.learner.program.gradient_names import CannotRun
from compare.learner.search.switches import Subject, executed
from compare.learner.verdict.errors import in_words
from compare.learner.verdict.report import COULD_NOT_RUN, RIGHT, RUNS, WRONG, Finding, Report
from compare.learner.verdict.stages import judged
from data.errors import printable

WRITTEN = "written by hand"


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
        words = str(error) if isinstance(error, CannotRun) else doing + in_words(error)
        report.failed(RUNS, words, COULD_NOT_RUN)
        return
    tried = [case for case in cases(exercise.name) if relu or "nonlinearity" not in case.inputs]
    subject = Subject(source, report.file, lambda module: (program, tried), ast.Module([], []))
    judged(subject, None, report, sys.stdout)
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
