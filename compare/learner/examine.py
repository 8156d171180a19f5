"""Examine a program: does it run, are shapes, values and inputs right; and if not, which line is wrong?"""

import ast
import copy
import faulthandler
import json
import linecache
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from compare.agreement import NOTABLE, in_eps
from compare.learner import measure
from compare.learner.exercises import ladder, likely_mistake, problems
from compare.learner.exercises.training_loop import first_difference
from compare.learner.grading.submission import takes
from compare.learner.program import pairs
from compare.learner.program.arrays import arrays_in, copied, is_number, replaced
from compare.learner.program.calling import Case, Outcome, Program
from compare.learner.program.gradient_names import CannotRun, places_of_gradients
from compare.learner.report import CLEAN, COULD_NOT_RUN, RUNS, SEPARATE, SHAPES, UNSOLVED, VALUES, Finding, Report, Row
from compare.learner.search import locate
from compare.learner.search.switches import (
    Judge,
    Subject,
    allowed_error,
    differing,
    differing_in_a_pullback,
    executed,
    why_usual,
)


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


def subjects_of(source, file, module, exercise) -> list[tuple[str, Subject]]:
    """Each forward and backward pass of a module, with what it is called."""
    if exercise:
        problems.program_for(exercise, module)  # raises CannotRun when the names are not those of the exercise
        if ladder.is_the_solution(file, exercise):
            cases = measured_cases(exercise, module)
        else:
            cases = [case for case in problems.cases(exercise) if takes_options(module, case)]
        return [("", Subject(source, file, lambda m: (problems.program_for(exercise, m), cases)))]
    return [
        (
            pair.name or "forward and backward",
            Subject(source, file, Bound(pair.program, pair.inputs, lambda m, k=k: pairs.pairs_in(m)[k].program)),
        )
        for k, pair in enumerate(pairs.pairs_in(module))
    ]


def measured_cases(exercise: str, module) -> list[Case]:
    """The cases of an exercise with answers that are measured on a module's own forward pass.

    Raises CannotRun if that is not a function, as of a layer or an optimizer.
    """
    program = problems.program_for(exercise, module)
    if not isinstance(program, Program) or program.build:
        raise CannotRun(
            "this file is the solution of its own exercise, which cannot judge it; pytest compares it with torch"
        )
    found = [case for case, _ in problems.inputs_of(exercise)]
    found = [one for one in found if all(a.dtype == np.float64 for a in arrays_in(one.inputs).values())]
    return [measure.measured(program, case.inputs, case.words) for case in found]


def takes_options(module, case) -> bool:
    """Whether a learner's forward takes the options of a case; otherwise the case is left out."""
    return "nonlinearity" not in case.inputs or takes(module, "nonlinearity")


class Bound:
    """How to call a program, and its case, whose right answers are measured once. again: module -> its program."""

    def __init__(self, program, inputs, again: Callable):
        self.program, self.inputs, self.again, self.cases = program, inputs, again, []

    def __call__(self, module):
        if not self.cases:
            self.program, self.inputs, self.change = measure.suited(self.program, self.inputs)
            self.cases = [measure.measured(self.program, self.inputs, described(self.inputs))]
            self.program.places = right_places(self.program, self.cases[0])
            self.cases[0].elsewhere = set(self.program.run(self.cases[0]).elsewhere)
        if module is None:
            return self.program, self.cases
        program = self.again(module)
        program.constants, program.used = self.program.constants, self.program.used
        program.places = self.program.places
        if self.change:
            program.obj = replaced(copied(program.obj), self.change)
        return program, self.cases

    def other_numbers(self) -> measure.InOneDirection:
        """The same case with other numbers."""
        return measure.InOneDirection(self.program, pairs.varied(self.inputs, np.random.default_rng(1)))

    def other_sizes(self) -> measure.InOneDirection | None:
        """A case with other sizes and numbers; None if what is right here is not right in any that was tried.

        The sizes of an object's parameters stay, and so do its integers.
        """
        case, outcome = self.cases[0], self.program.run(self.cases[0])
        right = [n for n in case.gradients if row_of(case, outcome.outputs[n], n).verdict == "within rounding"]
        of_object = measure.arrays_by_name({}, self.program.obj).values()
        fixed = {size for one in of_object for size in one.shape}
        program = with_other_numbers(self.program)
        has_integers = any(type(one) is int for one in self.inputs.values())
        for grow, by in OTHER_SIZES:
            if by and not has_integers:
                continue
            with suppress(Exception):
                inputs = pairs.resized(self.inputs, np.random.default_rng(1), fixed, grow, by)
                found = measure.InOneDirection(program, inputs)
                if found.agree(found.outcome.outputs, right):
                    return found
        return None


def right_places(program: Program, case: Case) -> dict[str, str]:
    """Where an object keeps gradients; of two places with different values the one that is right, if one is."""
    outcome = program.run(case)
    found = places_of_gradients(outcome.inputs_left, outcome.obj, program.parameters, program.constants)
    for path, (name, value) in outcome.elsewhere.items():
        given = outcome.outputs[name], value
        right = [row_of(case, one, name).verdict == "within rounding" for one in given if one.shape == value.shape]
        if right == [False, True]:
            found[name[1:]] = path
    return found


def with_other_numbers(program: Program) -> Program:
    """The program of an object in which floats, such as the p of a dropout, are a little smaller."""
    new = copy.copy(program)
    new.obj = replaced(copied(program.obj), lambda value: 0.9 * value if is_number(value) else value)
    return new


# How sizes grow, and what is added to integers, such as a number of heads that divides a size: first what changes them.
OTHER_SIZES = (
    (lambda size, k: size + 2 * k + 2, 1),
    (lambda size, k: size * 6, 1),
    (lambda size, k: size + 2 * k + 2, 0),
    (lambda size, k: size * (2 + k % 2), 0),
    (lambda size, k: size * 2, 0),
)


def described(inputs) -> str:
    return ", ".join(
        f"{name} {'x'.join(map(str, v.shape)) or 'a number'}" for name, v in inputs.items() if hasattr(v, "shape")
    )


# ---- one program ----


def examine_one(subject: Subject, module, report: Report, tell: Callable):
    """Fill in the report on one program."""
    heard = sys.stdout  # what a program prints the first time that it runs
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        open(os.devnull, "w", encoding="utf-8") as no,
        redirect_stdout(no),
    ):
        warnings.simplefilter("ignore")
        failed = judged(subject, module, report, heard)
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


def judged(subject: Subject, module, report: Report, heard) -> tuple[int, str] | None:
    """Fill in the verdict. Returns the case and the stage at which the program is wrong, None when it is not.

    heard: where the program prints what it prints.
    """
    seen = run_all(subject, module, report, heard)
    if seen is None:
        return None
    left_out = [name for case, _ in seen for name in case.unchecked]
    if left_out:
        report.remarks.append(f"not checked: {', '.join(left_out)} (neither returned nor found in an object)")
    report.remarks += [kinks_in_words(case.kinks) for case, _ in seen if case.kinks]
    elsewhere = [words for case, outcome in seen for words in elsewhere_in_words(case, outcome)]
    report.remarks += elsewhere
    report.partly = any(case.partly for case, _ in seen) or bool(elsewhere)
    known_to = max((case.known_to for case, _ in seen), default=0)
    if known_to > NOTABLE:
        report.remarks.append(f"differences give the gradients to {known_to:.0e} of the largest entry only")
    for stage, passes in STAGES:
        index, sentence = passes(subject, seen, report) or (None, "ok")
        if index is not None:
            report.failed(stage, sentence)
            before = "; what was tried before is right" if index and stage == VALUES else ""
            report.problem = seen[index][0].words + before
            return index, stage
        report.stages.append((stage, sentence))
    report.remarks += remarks_on_dtypes(seen)
    return None


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


class Confirmation:
    """Whether a changed module is right on every case, and on other numbers and other sizes where there is one case."""

    def __init__(self, subject: Subject):
        self.subject, self.is_exercise = subject, not isinstance(subject.bind, Bound)

    @cached_property
    def other_numbers(self) -> measure.InOneDirection | None:
        with suppress(Exception):
            return None if self.is_exercise else self.subject.bind.other_numbers()

    @cached_property
    def other_sizes(self) -> measure.InOneDirection | None:
        with suppress(Exception):
            return None if self.is_exercise else self.subject.bind.other_sizes()

    def __call__(self, module) -> bool:
        program, cases = self.subject.bind(module)
        right = all(passes_all(program, case, is_exercise=self.is_exercise) for case in cases)
        return right and (self.other_numbers is None or self.other_numbers.agrees_with(program, cases[0].gradients))

    def at_other_sizes(self, module) -> bool:
        """The same for other sizes; True if none are known."""
        program, cases = self.subject.bind(module)
        other = self.other_sizes
        return other is None or other.agrees_with(with_other_numbers(program), cases[0].gradients)


def passes_all(program, case, *, is_exercise: bool) -> bool:
    outcome = program.run(case)
    judge = Judge(case)
    right = judge.right(judge.vector(program))
    if right is None or not right.all() or outcome.written or (is_exercise and outcome.shared):
        return False
    if not outcome.elsewhere.keys() <= case.elsewhere:
        return False
    again = differing(program, case)
    return not again or (not is_exercise and why_usual(program, case, again) != "")


def run_all(subject, module, report, heard) -> list[tuple[Case, Outcome]] | None:
    """What the program does with every case; None, with the reason in the report, when it does not run."""
    case = None
    try:
        program, cases = subject.bind(module)
        seen = []
        for case in cases:
            with redirect_stdout(sys.stdout if seen else heard):
                outcome = with_arrays_if_needed(subject, module, program, case)
            disturbed = not outcome.written and differing(program, case)  # by what is kept from the first call
            if disturbed:
                seen.append((case, first_outcome(subject, case) or outcome))
                break
            seen.append((case, outcome))
        subject.program = subject.bind(module)[0]
    except KeyboardInterrupt:
        raise
    except NotImplementedError as error:
        report.failed(RUNS, "not written yet (NotImplementedError)", UNSOLVED)
        report.findings = where_raised(error, subject.file)
    except CannotRun as error:
        report.failed(RUNS, str(error), COULD_NOT_RUN)
    except BaseException as error:
        report.failed(RUNS, in_words(error) + shapes_in_words(subject, module, case, error), COULD_NOT_RUN)
        report.findings = where_raised(error, subject.file)
        report.problem = case.words if case else ""
    else:
        report.stages.append((RUNS, "ok"))
        return seen
    return None


def first_outcome(subject, case) -> Outcome | None:
    """What a program does at its very first call; None if it has no file that could be run again."""
    if not subject.source:
        return None
    return subject.bind(executed(compile(subject.tree, subject.file, "exec"), subject.file))[0].run(case)


def with_arrays_if_needed(subject, module, program, case):
    """Run a case; a file that imports torch but wants arrays gets arrays."""
    try:
        return program.run(case)
    except (TypeError, AttributeError, RuntimeError):
        if getattr(program, "to_array", None) is None:
            raise
        problems.WANT_ARRAYS.add(subject.file)
        program.to_array = None
        return program.run(case)


def shapes_are_right(subject, seen, report):
    for index, (case, outcome) in enumerate(seen):
        for name, expected in case.expected.items():
            if name in outcome.outputs or name not in outcome.results:
                sentence = difference_in_kind(name, outcome.outputs.get(name), expected, name in outcome.outputs)
                if sentence and not (name in case.results and name not in outcome.outputs):
                    return index, sentence
    return None


def difference_in_kind(name, value, expected, present):
    """What is wrong with the shape or dtype of an output, or None."""
    if value is None:
        return f"{name} is {'None' if present else 'missing'}; it must be an array of shape {expected.shape}"
    if value.dtype.kind not in "fiu":
        return f"{name} has dtype {value.dtype}; it must be {expected.dtype}"
    if value.shape != expected.shape:
        silent = "; NumPy would silently broadcast it" if broadcasts(value.shape, expected.shape) else ""
        return f"{name} has shape {value.shape}; it must be {expected.shape}{silent}"
    if value.dtype.kind != "f" and expected.dtype.kind == "f":
        return f"{name} has dtype {value.dtype}; a gradient needs a floating-point dtype"
    if value.dtype.itemsize < expected.dtype.itemsize and expected.dtype != np.float64:
        return f"{name} has dtype {value.dtype}; with {expected.dtype} inputs it must be {expected.dtype}"
    return None


def broadcasts(a, b):
    try:
        return np.broadcast_shapes(a, b) != () and a != b
    except ValueError:
        return False


def values_are_right(subject, seen, report):
    best = {}
    for index, (case, outcome) in enumerate(seen):
        rows = [row_of(case, outcome.outputs[name], name) for name in case.expected if name in outcome.outputs]
        wrong = [row for row in rows if row.verdict != "within rounding"]
        if wrong:
            report.rows = rows
            largest = max(row.eps for row in wrong) * np.finfo(float).eps
            if isinstance(subject.bind, Bound) and largest < NOTABLE:
                report.remarks.append(
                    f"the errors are small, up to {largest:.0e} of the largest entry: perhaps a derivative ignores "
                    "a small number, such as an epsilon that is added to a norm"
                )
            return index, in_short(case, outcome, wrong)
        for row in rows:
            best[row.name] = max(best.get(row.name, row), row, key=lambda r: r.eps)
    report.rows = list(best.values())
    return None


def in_short(case, outcome, wrong) -> str:
    if "the calls" in case.expected:
        return first_difference(outcome.outputs["the calls"], case.expected["the calls"])
    names = [row.name for row in wrong]
    return f"{', '.join(names)} {'differs' if len(names) == 1 else 'differ'}"


def row_of(case, value, name) -> Row:
    """How a result or a gradient compares with what is expected."""
    got, expected = np.asarray(value), case.expected[name]
    allowed = allowed_error(case, name)
    got = np.where(np.isinf(allowed) & np.isfinite(got), expected, got)  # at a kink any number counts
    with np.errstate(all="ignore"):
        off = np.abs(got.astype(float) - expected)
        right = (off <= allowed) | (got == expected) | (np.isnan(got.astype(float)) & np.isnan(expected.astype(float)))
    worst = int(np.argmax(np.where(right, -1, np.nan_to_num(off, nan=np.inf)))) if off.size else 0
    entry = tuple(int(k) for k in np.unravel_index(worst, off.shape)) if off.ndim and off.size else ()
    eps = in_eps(got.astype(expected.dtype), expected) if expected.dtype.kind == "f" else 0.0
    values = (float(got[entry]), float(expected[entry])) if off.size else (0.0, 0.0)
    return Row(name, got.shape, "within rounding" if right.all() else "differs", eps, entry, *values)


def is_clean(subject, seen, report):
    program = subject.program
    for index, (case, outcome) in enumerate(seen):
        if outcome.written:
            belong = "belongs" if len(outcome.written) == 1 else "belong"
            return index, f"it writes into {', '.join(outcome.written)}, which {belong} to the caller"
        again = differing(program, case)
        usual = why_usual(program, case, again) if again and isinstance(subject.bind, Bound) else ""
        if usual:
            return None, usual
        if again:
            return index, (
                f"a second call gives a different {', '.join(again)}: gradients are not set to zero again, something "
                "else is kept from the first call, or an array from np.empty is not filled"
            )
        if isinstance(subject.bind, Bound) and (stale := from_other_inputs(program, case)):
            report.not_searched = "The line was not looked for: see what is not set again at each call."
            differ = "is different" if len(stale) == 1 else "are different"
            return index, f"{', '.join(stale)} {differ} after a call with other inputs"
        if isinstance(subject.bind, Bound) and (again := differing_in_a_pullback(program, case)):
            return None, f"call backward once after each forward: a second call gives a different {', '.join(again)}"
    return None


def from_other_inputs(program, case) -> list[str]:
    """The gradients that differ if an object was called with other inputs before, although its outputs do not."""
    found = {}
    with suppress(Exception):
        if program.obj is not None:
            found = program.run_after(case, pairs.varied(case.inputs, np.random.default_rng(4)))
    wrong = [n for n, value in found.items() if value is not None and row_of(case, value, n).verdict == "differs"]
    return [] if set(wrong) & set(case.results) else wrong


def outputs_are_separate(subject, seen, report):
    for index, (_, outcome) in enumerate(seen):
        for a, b in outcome.shared:
            return (None if isinstance(subject.bind, Bound) else index), (
                f"{a} and {b} are the same array in memory: scaling one in place, as clipping does, would also scale "
                "the other; return a copy"
            )
    return None


# Each gives None, or the case and what is wrong; no case where that is only worth a note.
STAGES = ((SHAPES, shapes_are_right), (VALUES, values_are_right), (CLEAN, is_clean), (SEPARATE, outputs_are_separate))


def remarks_on_dtypes(seen) -> list[str]:
    """Outputs in float64 for inputs in float32."""
    for case, outcome in seen:
        wide = [
            n
            for n, v in outcome.outputs.items()
            if n in case.expected and v is not None and v.dtype.itemsize > case.expected[n].dtype.itemsize
        ]
        if wide and "float32" in case.words:
            return [
                f"float32 inputs gave float64 for {', '.join(wide)}: np.zeros and np.empty make float64 by default "
                "(np.zeros_like keeps the dtype)"
            ]
    return []


def elsewhere_in_words(case, outcome) -> list[str]:
    places = {path: name for path, (name, _) in outcome.elsewhere.items()}
    own = {path: path if re.split(r"[.\[]", path)[0] in case.inputs else f"self.{path}" for path in places}
    return [f"{own[path]} was not checked; it differs from the {name} that was" for path, name in places.items()]


def kinks_in_words(kinks: list[str]) -> str:
    more = f" and {len(kinks) - 3} more" if len(kinks) > 3 else ""
    return f"not checked: the gradient at {', '.join(kinks[:3])}{more}, where forward has a kink"


# ---- errors ----


def in_words(error) -> str:
    try:
        words = str(error)[:300]
    except Exception:  # an exception class of the learner's
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def at_line(file, line) -> list[Finding]:
    return [Finding(line, linecache.getline(str(file), line).strip(), True)] if line else []


def where_raised(error, file) -> list[Finding]:
    """The program's line in a traceback."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return at_line(file, lines[-1] if lines else None)


def shapes_in_words(subject, module, case, error) -> str:
    """The shapes of the two sides of the product that failed: NumPy's message does not name them."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == subject.file]
    if not frames or case is None or "matmul" not in str(error):
        return ""
    last = frames[-1]
    frame = error.__traceback__
    while frame.tb_next is not None and not (
        frame.tb_frame.f_code.co_filename == subject.file
        and frame.tb_lineno == last.lineno
        and frame.tb_next.tb_frame.f_code.co_filename != subject.file
    ):
        frame = frame.tb_next
    names = frame.tb_frame.f_globals | frame.tb_frame.f_locals
    for node in ast.walk(subject.tree):
        place = (last.lineno, last.colno, last.end_lineno, last.end_colno)
        if (
            isinstance(node, ast.BinOp)
            and (node.lineno, node.col_offset, node.end_lineno, node.end_col_offset) == place
        ):
            try:
                sides = [
                    (ast.unparse(side), np.shape(eval(ast.unparse(side), names))) for side in (node.left, node.right)
                ]
            except Exception:
                return ""
            return f" in {' @ '.join(f'{text} {shape}' for text, shape in sides)}"
    return ""


def main(file: str, exercise: str, out: str, seconds: str):
    """Examine `file` and write each report to `out`, one JSON object per line; see check.py."""
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
