"""Examine one file: does it run, are the shapes right, are its inputs left alone, are the numbers right; where not.

Runs in a process of its own (see compare/check.py), so that an endless loop or a crash of the learner's code ends that
process and nothing else. Prints nothing; leaves a report as JSON.
"""

import ast
import json
import linecache
import re
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from compare.learner import attempt, instrument, ladder, likely_mistake, problems, truncated_exercise
from compare.learner.adapt import Unfit
from compare.learner.observe import TooLong, compared, expected_of, load, observe
from compare.learner.point_at import differs_the_second_time, located, place, stored_as, where_raised, written_at


class Report(dict):
    """The answer, as JSON can hold it. `steps`: (what was asked, "ok" or what is wrong)."""

    def __init__(self, rung, file):
        super().__init__(file=str(file), exercise=rung.name, verdict="right", steps=[], arrays=[], remarks=[])

    def passed(self, what):
        self["steps"].append([what, "ok"])

    def failed(self, what, sentence, verdict="wrong", **more):
        self["steps"].append([what, sentence])
        self.update(verdict=verdict, sentence=sentence, **more)
        return self


RUNS, SHAPES, CLEAN, VALUES = (
    "it runs",
    "shapes and dtypes",
    "it leaves its inputs alone, repeats itself, returns arrays of its own",
    "the numbers",
)


def examine(file, rung, report=None):
    """The Report on one file; one that is given is filled in, so that it says what is known when time runs out."""
    report = Report(rung, file) if report is None else report
    source = Path(file).read_text(encoding="utf-8-sig")
    linecache.checkcache(str(file))
    try:
        code, sites = instrument.instrumented(source, str(file))
    except (SyntaxError, ValueError, RecursionError) as error:
        sentence = f"it is not Python: {getattr(error, 'msg', error)}"
        return report.failed(RUNS, sentence, "could not run", **place(file, getattr(error, "lineno", None)))
    try:
        module, watch = load(code, sites, file)
    except (TooLong, MemoryError):
        raise
    except BaseException as error:  # sys.exit() too
        return report.failed(RUNS, f"reading it ended in {said(error)}", "could not run", **where_raised(error, file))
    if rung.name == "truncated":
        return examine_loop(report, rung, module, watch, file)

    seen = []
    for problem in problems.of(rung.name):
        observation = observe(rung, module, problem)
        if observation is None:
            continue
        seen.append((problem, observation))
        if observation.error is not None:
            return did_not_run(report, observation.error, file, problem)
        if observation.changed or observation.again:  # what is kept from one call may stop the next
            break
    report.passed(RUNS)

    wrong = wrong_shape(seen)
    if wrong:
        problem, name, sentence = wrong
        where = stored_as(rung, module, watch, problem, name)
        return report.failed(SHAPES, sentence, **together(where, slip(rung, seen, file)), problem=problem.words)
    report.passed(SHAPES)
    for problem, observation in seen:
        too_wide = [n for n, v in observation.outputs.items() if v.dtype != expected_of(problem)[n].dtype]
        if problem.words.endswith("float32") and too_wide:
            report["remarks"].append(
                f"for float32 inputs {', '.join(too_wide)} came back as {observation.outputs[too_wide[0]].dtype}: "
                "np.zeros and np.empty make float64 unless told otherwise (np.zeros_like keeps the dtype)"
            )

    unclean = not_clean(rung, module, watch, seen, file)
    if unclean:
        return report.failed(CLEAN, **together(unclean, slip(rung, seen, file)))
    report.passed(CLEAN)

    for problem, observation in seen:
        table = [compared(problem, observation, name) for name in observation.outputs]
        if not report["arrays"] or any(row["verdict"] == "wrong" for row in table):
            report["arrays"], report["problem"] = table, problem.words
        if any(row["verdict"] == "wrong" for row in table):
            first = next(row for row in table if row["verdict"] == "wrong")
            report.failed(VALUES, f"{first['name']} is wrong")  # known now, should the search take too long
            where = located(rung, module, watch, problem, observation)
            report.update(together(where, slip(rung, seen, file)))
            return report
    report.passed(VALUES)
    if rung.name in ("rnn", "gru", "lstm"):
        report["remarks"] += beside_the_solution(rung, module, source)
    return report


def did_not_run(report, error, file, problem):
    where = where_raised(error, file)
    if isinstance(error, NotImplementedError):
        return report.failed(RUNS, "not solved yet: it raises NotImplementedError", "wrong", unsolved=True, **where)
    sentence = str(error) if isinstance(error, Unfit) else f"it ended in {said(error)}"
    return report.failed(RUNS, sentence, "could not run", **where, problem=problem.words)


def said(error):
    try:
        words = str(error)
    except Exception:  # an exception of the learner's own making
        words = ""
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def wrong_shape(seen):
    """(problem, name, sentence) for the first output of a wrong shape or kind, or None."""
    for problem, observation in seen:
        for name, value in observation.outputs.items():
            expected = expected_of(problem)[name]
            if value is None:
                return problem, name, f"{name} is None; it must be an array of shape {expected.shape}"
            if value.dtype.kind not in "fiu":
                return problem, name, f"{name} has the dtype {value.dtype}; it must be {expected.dtype}"
            if value.shape != expected.shape:
                words = f"{name} has the shape {value.shape}; it must be {expected.shape}"
                if broadcasts(value.shape, expected.shape):
                    words += ", against which it would broadcast without a word"
                return problem, name, words
            if value.dtype.kind != "f" and expected.dtype.kind == "f":
                return problem, name, f"{name} has the dtype {value.dtype}; whole numbers cannot hold a gradient"
            if value.dtype.itemsize < expected.dtype.itemsize:
                return (
                    problem,
                    name,
                    f"{name} has the dtype {value.dtype}; for inputs in {expected.dtype} it must be that",
                )
    return None


def broadcasts(a, b):
    try:
        return np.broadcast_shapes(a, b) != () and a != b
    except ValueError:
        return False


def not_clean(rung, module, watch, seen, file):
    """What the code did to its inputs, to a second call, or to its own outputs: a dict with a sentence, or None."""
    for problem, observation in seen:
        if observation.changed:
            names = ", ".join(observation.changed)
            return {
                "sentence": f"it wrote into {names}, which belong{'s' * (len(observation.changed) == 1)} to the caller",
                **written_at(rung, module, watch, problem, file),
            }
        if observation.again:
            return {
                "sentence": f"a second call of backward gives another {', '.join(observation.again)}: something is "
                "kept from the first one, or an array of np.empty is not filled",
                **differs_the_second_time(rung, module, watch, problem),
            }
        if observation.shared:
            a, b = observation.shared[0]
            return {
                "sentence": f"{a} and {b} are one array in memory: whoever scales the one in place, as clipping does, "
                "scales the other; return a copy",
                **stored_as(rung, module, watch, problem, b),
            }
    return None


def slip(rung, seen, file):
    """The catalogue's mistake that gives just these results: {"slip": name, "why": ...}, or {}.

    Where the learner's file has the catalogue's very line, that line is the answer.
    """
    mistake = likely_mistake.match(rung, lambda module, problem: observe(rung, module, problem), seen)
    if mistake is None:
        return {}
    return {"slip": mistake.name, "why": mistake.why, **typed_at(mistake, file)}


def together(where, known):
    """What was found and what is known of the slip; two lines, where the slip's own is another one than it shows in."""
    merged = where | known
    if "line" in where and merged["line"] != where["line"]:
        merged |= {"shows_in_line": where["line"], "shows_in_text": where["text"]}
    return merged


def typed_at(mistake, file):
    source = Path(file).read_text(encoding="utf-8-sig")
    typed = list(re.finditer(re.escape(mistake.wrong) + r"(?![\w\[])", source))  # dh = dy is not in dh = dy[t]
    if not mistake.wrong.strip() or len(typed) != 1:
        return {}
    line = source[: typed[0].start()].count("\n") + 1
    return place(file, line + likely_mistake.first_changed(mistake))


def examine_loop(report, rung, module, watch, file):
    """The exercise `truncated`: calls instead of numbers."""
    for loop in truncated_exercise.PROBLEMS:
        watch.note(everything=True)
        try:
            calls, records = truncated_exercise.run(module, loop, str(file), watch)
        except TooLong:
            raise
        except BaseException as error:  # sys.exit() too
            return did_not_run(report, error, file, loop)
        wrong = truncated_exercise.first_difference(loop, calls, records)
        if wrong:
            call, got, expected, where = wrong
            line = call and (truncated_exercise.state_set_at(call, expected, watch) or call.line)
            known = loop_slip(rung, calls, records, loop, file)
            report.passed(RUNS)
            return report.failed(
                "the calls in their order",
                f"{where}: {got}, where {expected} belongs",
                **together(place(file, line), known),
                problem=loop.words,
            )
    report.passed(RUNS)
    report.passed("the calls in their order")
    return report


def loop_slip(rung, calls, records, loop, file):
    for mistake in likely_mistake.fitting(rung):
        module = likely_mistake.planted(rung.name, mistake)
        theirs, their_records = truncated_exercise.run(module, loop, "")
        if [c.words for c in theirs] == [c.words for c in calls] and their_records == records:
            return {"slip": mistake.name, "why": mistake.why, **typed_at(mistake, file)}
    return {}


def beside_the_solution(rung, module, source):
    """What a right solution did better or worse than the project's own: time and lines."""
    problem = problems.cell(rung.name, 20, 8, 16, 16)
    solution = ladder.solution(rung)
    # watched as the learner's is, for a fair ratio
    code, sites = instrument.instrumented(solution, "<the model solution>")
    try:
        theirs, ours = (best_time(one, problem) for one in (module, load(code, sites, "<the model solution>")[0]))
    except Exception:  # it is made for small problems, say
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
    """Lines with code on them: no comments, docstrings or empty lines."""
    tree = ast.parse(source)
    lines = {node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt | ast.expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def main(file, rung_name, out, seconds):
    """Examine `file`; write the report to `out`."""
    rung = ladder.BY_NAME[rung_name]

    def over(*_):
        raise TooLong

    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
    sys.path.append(str(Path(file).resolve().parent))  # modules that the learner wrote beside it
    report = Report(rung, file)
    try:
        examine(file, rung, report)
    except TooLong as error:
        if report["verdict"] == "right":
            report.failed(RUNS, f"it is still running after {seconds} s", "could not run", **where_raised(error, file))
    except MemoryError as error:
        report.failed(RUNS, "it asks for more memory than there is", "could not run", **where_raised(error, file))
    except Exception:  # this program's own: what the learner's code raises is in the report
        report = {"fault": traceback.format_exc()}
    Path(out).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
