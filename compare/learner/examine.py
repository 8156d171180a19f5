"""Examine one file: does it run, are shapes, inputs and values right; and if not, which line is wrong.

Runs in a process of its own (see check.py), so that an endless loop or a crash of the learner's code ends that process
and nothing else. Prints nothing; writes a report as JSON.
"""

import ast
import json
import linecache
import re
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from compare.learner import attempt, instrument, ladder, likely_mistake, problems, truncated_exercise
from compare.learner.adapt import Unfit
from compare.learner.observe import TooLong, compared, expected_of, load, observe
from compare.learner.point_at import (
    differs_the_second_time,
    located,
    operands,
    place,
    stored_as,
    where_raised,
    written_at,
)

RUNS, SHAPES, CLEAN, VALUES, SEPARATE = (
    "runs",
    "shapes and dtypes",
    "inputs unmodified, repeatable",
    "values",
    "no aliased outputs",
)


class Report(dict):
    """The answer, as JSON can hold it. `stages`: (what was checked, "ok" or what is wrong)."""

    def __init__(self, exercise, file):
        super().__init__(file=str(file), exercise=exercise.name, verdict="right", stages=[], arrays=[], remarks=[])

    def passed(self, stage):
        self["stages"].append([stage, "ok"])

    def failed(self, stage, sentence, verdict="wrong", **more):
        self["stages"].append([stage, sentence])
        self.update(verdict=verdict, sentence=sentence, **more)


@dataclass
class Case:
    """A learner's module and what it did. seen: (problem, Observation) of every problem that was tried."""

    exercise: ladder.Exercise
    file: Path
    module: ModuleType
    watch: instrument.Watch
    seen: list


def examine(file, exercise, report=None):
    """The Report on one file. A given report is filled in, so that it says what is known when the time is up."""
    report = Report(exercise, file) if report is None else report
    source = Path(file).read_text(encoding="utf-8-sig")
    linecache.checkcache(str(file))
    loaded = imported(report, source, file)
    if loaded is None:
        return report
    if exercise.name == "truncated":
        return examine_loop(report, exercise, *loaded, file)
    case = Case(exercise, file, *loaded, [])
    for stage, passes in STAGES:
        if not passes(case, report):
            return report
        report.passed(stage)
    report["remarks"] += wider_than_the_inputs(case.seen)
    if exercise.name in ("rnn", "gru", "lstm"):
        report["remarks"] += compared_with_the_solution(exercise, case.module, source)
    return report


def imported(report, source, file):
    """The learner's module and its Watch; None, with the reason in the report, when it cannot be imported."""
    try:
        code, sites = instrument.instrumented(source, str(file))
    except (SyntaxError, ValueError, RecursionError) as error:
        sentence = f"not valid Python: {getattr(error, 'msg', error)}"
        report.failed(RUNS, sentence, "could not run", **place(file, getattr(error, "lineno", None)))
        return None
    try:
        return load(code, sites, file)
    except (TooLong, MemoryError):
        raise
    except BaseException as error:  # sys.exit() too
        sentence = f"importing the file raised {in_words(error)}"
        report.failed(RUNS, sentence, "could not run", **where_raised(error, file))
        return None


def runs(case, report):
    for problem in problems.of(case.exercise.name):
        observation = observe(case.exercise, case.module, problem)
        if observation is None:
            continue
        if observation.error is not None:
            did_not_run(report, observation.error, case, problem)
            return False
        case.seen.append((problem, observation))
        if observation.changed or observation.again:  # what the code keeps from one call may disturb the next
            break
    return True


def did_not_run(report, error, case, problem):
    where = where_raised(error, case.file)
    if isinstance(error, NotImplementedError):
        report.failed(RUNS, "it still raises NotImplementedError", "wrong", unsolved=True, **where)
        return
    sentence = str(error) if isinstance(error, Unfit) else in_words(error)
    if sentence.startswith("ValueError: matmul"):  # NumPy's message does not name the shapes
        product = operands(case.exercise, case.module, case.watch, problem, error)
        sentence = f"ValueError: the shapes do not match in {product}" if product else sentence
    report.failed(RUNS, sentence, "could not run", **where, problem=problem.words)


def in_words(error):
    try:
        words = str(error)
    except Exception:  # an exception class of the learner's
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def shapes_are_right(case, report):
    wrong = wrong_shape(case.seen)
    if wrong:
        problem, name, sentence = wrong
        where = stored_as(case.exercise, case.module, case.watch, problem, name)
        report.failed(SHAPES, sentence, **together(where, known_mistake(case)), problem=problem.words)
        return False
    return True


def wrong_shape(seen):
    """(problem, name, sentence) for the first output of a wrong shape or kind, or None."""
    for problem, observation in seen:
        for name, value in observation.outputs.items():
            sentence = difference_in_kind(name, value, expected_of(problem)[name])
            if sentence:
                return problem, name, sentence
    return None


def difference_in_kind(name, value, expected):
    """What is wrong with the shape or dtype of an output, or None."""
    if value is None:
        return f"{name} is None; it must be an array of shape {expected.shape}"
    if value.dtype.kind not in "fiu":
        return f"{name} has dtype {value.dtype}; it must be {expected.dtype}"
    if value.shape != expected.shape:
        silent = "; NumPy would silently broadcast it" if broadcasts(value.shape, expected.shape) else ""
        return f"{name} has shape {value.shape}; it must be {expected.shape}{silent}"
    if value.dtype.kind != "f" and expected.dtype.kind == "f":
        return f"{name} has dtype {value.dtype}; a gradient needs a floating-point dtype"
    if value.dtype.itemsize < expected.dtype.itemsize:
        return f"{name} has dtype {value.dtype}; with {expected.dtype} inputs it must be {expected.dtype}"
    return None


def broadcasts(a, b):
    try:
        return np.broadcast_shapes(a, b) != () and a != b
    except ValueError:
        return False


def is_clean(case, report):
    """Whether the code leaves its inputs alone and does the same when it is called again."""
    for problem, observation in case.seen:
        if observation.changed:
            belong = "belongs" if len(observation.changed) == 1 else "belong"
            sentence = f"it writes into {', '.join(observation.changed)}, which {belong} to the caller"
            where = written_at(case.exercise, case.module, case.watch, problem, case.file)
        elif observation.again:
            sentence = (
                f"a second call of backward returns a different {', '.join(observation.again)}: something is kept from "
                "the first call, or an array from np.empty is not filled"
            )
            where = differs_the_second_time(case.exercise, case.module, case.watch, problem)
        else:
            continue
        report.failed(CLEAN, sentence, **together(where, known_mistake(case)))
        return False
    return True


def values_are_right(case, report):
    rows = {}
    for problem, observation in case.seen:
        table = [compared(problem, observation, name) for name in observation.outputs]
        wrong = [row["name"] for row in table if row["verdict"] == "wrong"]
        if wrong:
            report.update(arrays=table, problem=problem.words)
            report.failed(VALUES, f"{wrong[0]} is wrong")  # in the report already if the search takes too long
            report["remarks"] += [aliased(pair) for pair in observation.shared[:1]]
            where = located(case.exercise, case.module, case.watch, problem, observation)
            report.update(together(where, known_mistake(case)))
            return False
        for row in table:
            rows[row["name"]] = max(rows.get(row["name"], row), row, key=lambda row: row["eps"])
    report["arrays"] = list(rows.values())  # each with its largest error over all problems
    return True


def aliased(pair):
    return (
        f"{pair[0]} and {pair[1]} are the same array in memory: scaling one in place (as clipping does) would also "
        "scale the other; return a copy"
    )


def outputs_are_separate(case, report):
    for problem, observation in case.seen:
        for pair in observation.shared:
            where = stored_as(case.exercise, case.module, case.watch, problem, pair[1])
            report.failed(SEPARATE, aliased(pair), **together(where, known_mistake(case)))
            return False
    return True


STAGES = (
    (RUNS, runs),
    (SHAPES, shapes_are_right),
    (CLEAN, is_clean),
    (VALUES, values_are_right),
    (SEPARATE, outputs_are_separate),
)


def known_mistake(case):
    """The catalogue's mistake that gives exactly these results: {"mistake": name, "why": ...}, or {}.

    If the learner's file contains the wrong line of the catalogue, that line is the answer.
    """
    mistake = likely_mistake.match(
        case.exercise, lambda module, problem: observe(case.exercise, module, problem), case.seen
    )
    if mistake is None:
        return {}
    return {"mistake": mistake.name, "why": mistake.why, **typed_at(mistake, case.file)}


def together(where, known):
    """What was found and what is known of the mistake; with two lines when the mistake shows first in another line."""
    merged = where | known
    if "line" in where and merged["line"] != where["line"]:
        merged |= {"shows_in_line": where["line"], "shows_in_text": where["text"]}
    return merged


def typed_at(mistake, file):
    """The line of the file that has the wrong text of the catalogue, if there is exactly one."""
    source = Path(file).read_text(encoding="utf-8-sig")
    typed = list(re.finditer(re.escape(mistake.wrong) + r"(?![\w\[])", source))  # dh = dy is not in dh = dy[t]
    if not mistake.wrong.strip() or len(typed) != 1:
        return {}
    line = source[: typed[0].start()].count("\n") + 1
    return place(file, line + likely_mistake.first_changed(mistake))


def examine_loop(report, exercise, module, watch, file):
    """The exercise `truncated`: calls instead of values."""
    stage = "the calls and their order"
    for loop in truncated_exercise.PROBLEMS:
        watch.note(everything=True)
        try:
            calls, records = truncated_exercise.run(module, loop, str(file), watch)
        except TooLong:
            raise
        except BaseException as error:  # sys.exit() too
            did_not_run(report, error, Case(exercise, file, module, watch, []), loop)
            return report
        wrong = truncated_exercise.first_difference(loop, calls, records)
        if wrong:
            call, got, expected, where = wrong
            line = call and (truncated_exercise.state_set_at(call, expected, watch) or call.line)
            known = known_loop_mistake(exercise, calls, records, loop, file)
            report.passed(RUNS)
            sentence = f"{where}: {got}; expected: {expected}"
            report.failed(stage, sentence, **together(place(file, line), known), problem=loop.words)
            return report
    report.passed(RUNS)
    report.passed(stage)
    return report


def known_loop_mistake(exercise, calls, records, loop, file):
    for mistake in likely_mistake.fitting(exercise):
        module = likely_mistake.planted(exercise.name, mistake)
        theirs, their_records = truncated_exercise.run(module, loop, "")
        if [c.words for c in theirs] == [c.words for c in calls] and their_records == records:
            return {"mistake": mistake.name, "why": mistake.why, **typed_at(mistake, file)}
    return {}


def wider_than_the_inputs(seen):
    """Outputs in float64 for inputs in float32, as remarks."""
    remarks = []
    for problem, observation in seen:
        too_wide = [n for n, v in observation.outputs.items() if v.dtype != expected_of(problem)[n].dtype]
        if problem.words.endswith("float32") and too_wide:
            remarks.append(
                f"float32 inputs gave {observation.outputs[too_wide[0]].dtype} for {', '.join(too_wide)}: np.zeros and "
                "np.empty make float64 by default (np.zeros_like keeps the dtype)"
            )
    return remarks


def compared_with_the_solution(exercise, module, source):
    """A right solution's time and length next to those of the model solution: remarks."""
    problem = problems.cell(exercise.name, 20, 8, 16, 16)
    solution = ladder.solution(exercise)
    # instrumented like the learner's module, for a fair ratio
    code, sites = instrument.instrumented(solution, "<the model solution>")
    try:
        theirs, ours = (best_time(one, problem) for one in (module, load(code, sites, "<the model solution>")[0]))
    except Exception:  # it may be made for small problems only
        return []
    lines, our_lines = code_lines(source), code_lines(solution)
    return [
        f"forward and backward take {theirs / ours:.2g} times as long as in the model solution "
        "(20 steps, 8 rows, 16 hidden units)",
        f"{lines} lines of code; the model solution has {our_lines}",
    ]


def best_time(module, problem):
    best = None
    for _ in range(4):
        one = attempt.Pair(module, problem, None)
        start = time.perf_counter()
        one.forward()
        one.backward()
        seconds = time.perf_counter() - start
        best = seconds if best is None else min(best, seconds)
        if seconds > 0.1:
            break
    return best


def code_lines(source):
    """The number of lines with code: no comments, docstrings or empty lines."""
    tree = ast.parse(source)
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def main(file, exercise_name, out, seconds):
    """Examine `file`; write the report to `out`."""
    exercise = ladder.BY_NAME[exercise_name]

    def over(*_):
        raise TooLong

    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
    sys.path.append(str(Path(file).resolve().parent))  # the learner's own modules next to the file
    report = Report(exercise, file)
    try:
        examine(file, exercise, report)
    except TooLong as error:
        if report["verdict"] == "right" and [SEPARATE, "ok"] not in report["stages"]:
            report.failed(RUNS, f"still running after {seconds} s", "could not run", **where_raised(error, file))
    except MemoryError as error:
        report.failed(RUNS, "out of memory", "could not run", **where_raised(error, file))
    except Exception:  # a bug of this program: exceptions of the learner's code are in the report
        report = {"fault": traceback.format_exc()}
    Path(out).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
