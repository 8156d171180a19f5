"""The verdict on one program: does it run, and are its shapes, its values and its second call right?"""

import re
import sys
from contextlib import redirect_stdout, suppress

import numpy as np

from compare.agreement import NOTABLE
from compare.learner.exercises import problems
from compare.learner.exercises.training_loop import first_difference
from compare.learner.program import pairs
from compare.learner.program.calling import Case, Outcome
from compare.learner.program.gradient_names import CannotRun
from compare.learner.search.switches import Subject, differing, differing_in_a_pullback, why_usual
from compare.learner.verdict.errors import in_words, shapes_in_words, where_raised
from compare.learner.verdict.report import CLEAN, COULD_NOT_RUN, RUNS, SEPARATE, SHAPES, UNSOLVED, VALUES, Report
from compare.learner.verdict.rows import difference_in_kind, row_of
from compare.learner.verdict.subjects import Bound


def judged(subject: Subject, module, report: Report, stdout) -> tuple[int, str] | None:
    """Fill in the verdict. Returns the case and the stage at which the program is wrong, None when it is not.

    stdout: where the program's output goes.
    """
    seen = run_all(subject, module, report, stdout)
    if seen is None:
        return None
    note_what_is_not_checked(seen, report)
    for stage, problem in STAGES:
        index, sentence = problem(subject, seen, report) or (None, "ok")
        if index is not None:
            report.failed(stage, sentence)
            before = "; what was tried before is right" if index and stage == VALUES else ""
            report.problem = seen[index][0].words + before
            return index, stage
        report.stages.append((stage, sentence))
    report.remarks += remarks_on_dtypes(seen)
    if isinstance(subject.bind, Bound):
        constants, wrong = subject.bind.wrong_without_constants()
        if wrong:
            report.partly = True
            report.remarks.append(constants_in_words(constants, wrong))
    return None


def note_what_is_not_checked(seen, report):
    """Remarks on the gradients that are not checked, or only roughly."""
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


def run_all(subject, module, report, stdout) -> list[tuple[Case, Outcome]] | None:
    """What the program does with every case; None, with the reason in the report, when it does not run."""
    case = None
    try:
        program, cases = subject.bind(module)
        seen = []
        for case in cases:
            with redirect_stdout(sys.stdout if seen else stdout):
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
    return subject.bind(subject.module())[0].run(case)


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


def wrong_shape(subject, seen, report):
    for index, (case, outcome) in enumerate(seen):
        for name, expected in case.expected.items():
            if name in outcome.outputs or name not in outcome.results:
                sentence = difference_in_kind(name, outcome.outputs.get(name), expected, name in outcome.outputs)
                if sentence and not (name in case.results and name not in outcome.outputs):
                    return index, sentence
    return None


def wrong_values(subject, seen, report):
    best = {}
    for index, (case, outcome) in enumerate(seen):
        rows = [row_of(case, outcome.outputs[name], name) for name in case.expected if name in outcome.outputs]
        wrong = [row for row in rows if not row.is_right]
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


def side_effects(subject, seen, report):
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
    wrong = [n for n, value in found.items() if value is not None and not row_of(case, value, n).is_right]
    return [] if set(wrong) & set(case.results) else wrong


def aliased_outputs(subject, seen, report):
    for index, (_, outcome) in enumerate(seen):
        for a, b in outcome.shared:
            return (None if isinstance(subject.bind, Bound) else index), (
                f"{a} and {b} are the same array in memory: scaling one in place, as clipping does, would also scale "
                "the other; return a copy"
            )
    return None


# Each gives what is wrong: the case and a sentence, or no case where that is only worth a note; None if nothing is.
STAGES = ((SHAPES, wrong_shape), (VALUES, wrong_values), (CLEAN, side_effects), (SEPARATE, aliased_outputs))


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


def constants_in_words(constants: list[str], wrong: list[str]) -> str:
    return (
        f"the entries of {', '.join(constants)} are all equal in this example; where they are not, {', '.join(wrong)} "
        f"{'is' if len(wrong) == 1 else 'are'} wrong: choose random numbers for the example"
    )


def kinks_in_words(kinks: list[str]) -> str:
    more = f" and {len(kinks) - 3} more" if len(kinks) > 3 else ""
    return f"not checked: the gradient at {', '.join(kinks[:3])}{more}, where forward has a kink"
