"""The programs in a file, each with the cases on which it is tried and the right answers."""

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from itertools import islice

import numpy as np

from compare.learner.exercises import ladder, problems
from compare.learner.grading.submission import takes
from compare.learner.program import pairs
from compare.learner.program.arrays import arrays_in, copied, is_number, replaced
from compare.learner.program.calling import Case, Program
from compare.learner.program.gradient_names import CannotRun, places_of_gradients
from compare.learner.search.switches import Judge, Subject, differing, why_usual
from compare.learner.verdict import measure
from compare.learner.verdict.rows import row_of


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

    def wrong_without_constants(self) -> tuple[list[str], list[str]]:
        """(the arrays that hold one number only, the gradients that are wrong if they hold others)."""
        names, found = self.case_without_constants()
        wrong = [n for n in self.cases[0].gradients if found and not found.agree(found.outcome.outputs, [n])]
        return names, wrong

    def general_cases(self) -> list[tuple[measure.InOneDirection, Callable]]:
        """Other cases, each with what makes of a program the one that it is for: at most two with other sizes, and one
        without constants. Left out are those in which something is wrong that is right here.
        """
        case, outcome = self.cases[0], self.program.run(self.cases[0])
        right = [n for n in case.gradients if row_of(case, outcome.outputs[n], n).is_right]

        def keeps(found):
            return found is not None and found.agree(found.outcome.outputs, right)

        # with one other size only, 0.5 may still be 1 / sqrt(size)
        sizes = [(found, with_other_numbers) for found in islice(filter(keeps, self.cases_with_other_sizes()), 2)]
        _, found = self.case_without_constants()
        return sizes + [(found, self.without_constants)] * keeps(found)

    def cases_with_other_sizes(self) -> Iterator[measure.InOneDirection]:
        """The same case with other sizes and numbers; an object keeps its integers and the sizes of its parameters."""
        of_object = measure.arrays_by_name({}, self.program.obj).values()
        fixed = {size for one in of_object for size in one.shape}
        has_integers = any(type(one) is int for one in self.inputs.values())
        for grow, by in (one for one in OTHER_SIZES if has_integers or not one[1]):
            with suppress(Exception):
                inputs = pairs.resized(self.inputs, np.random.default_rng(1), fixed, grow, by)
                yield measure.InOneDirection(with_other_numbers(self.program), inputs)

    def case_without_constants(self) -> tuple[list[str], measure.InOneDirection | None]:
        """(the arrays that hold one number only, a case in which they hold others); None if that cannot be measured."""
        with suppress(Exception):
            program, inputs, names = without_constants(self.program, self.inputs, self.cases[0].gradients)
            return names, measure.InOneDirection(program, inputs) if names else None
        return [], None

    def without_constants(self, program: Program) -> Program:
        return without_constants(program, {}, self.cases[0].gradients)[0]


def right_places(program: Program, case: Case) -> dict[str, str]:
    """Where an object keeps gradients; of two places with different values the one that is right, if one is."""
    outcome = program.run(case)
    found = places_of_gradients(outcome.inputs_left, outcome.obj, program.parameters, program.constants)
    for path, (name, value) in outcome.elsewhere.items():
        given = outcome.outputs[name], value
        right = [row_of(case, one, name).is_right for one in given if one.shape == value.shape]
        if right == [False, True]:
            found[name[1:]] = path
    return found


def without_constants(program: Program, inputs: dict, gradients) -> tuple[Program, dict, list[str]]:
    """The same with random numbers in the arrays that hold one number only, such as a bias of zeros; and their names.

    With these, a wrong gradient may look right. gradients: those that are checked; an array without one, such as a
    mask or a target, may have to hold certain numbers, and so may probabilities.
    """
    new, rng, names = copy.copy(program), np.random.default_rng(3), []
    new.obj, inputs = copied(program.obj), {name: copied(value) for name, value in inputs.items()}
    for name, array in measure.arrays_by_name(inputs, new.obj).items():
        is_constant = array.size > 1 and (array == array.flat[0]).all()
        if is_constant and name in gradients and not pairs.adds_up_to_one(array):
            array += rng.uniform(-0.5, 0.5, array.shape)
            names.append(name.removeprefix("d"))
    return new, inputs, names


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


class Confirmation:
    """Whether a changed module is right on every case, and in general where there is one case.

    That means with other numbers, in arrays that hold one number only, too, and for other sizes.
    """

    def __init__(self, subject: Subject):
        self.subject, self.is_exercise = subject, not isinstance(subject.bind, Bound)

    @cached_property
    def other_numbers(self) -> measure.InOneDirection | None:
        with suppress(Exception):
            return None if self.is_exercise else self.subject.bind.other_numbers()

    @cached_property
    def general_cases(self) -> list[tuple[measure.InOneDirection, Callable]]:
        with suppress(Exception):
            return [] if self.is_exercise else self.subject.bind.general_cases()
        return []

    def __call__(self, module) -> bool:
        program, cases = self.subject.bind(module)
        right = all(passes_all(program, case, is_exercise=self.is_exercise) for case in cases)
        return right and (self.other_numbers is None or self.other_numbers.agrees_with(program, cases[0].gradients))

    def in_general(self, module) -> bool:
        """The same for other sizes and without constants; True if nothing is known."""
        program, cases = self.subject.bind(module)
        return all(one.agrees_with(change(program), cases[0].gradients) for one, change in self.general_cases)


def passes_all(program, case, *, is_exercise: bool) -> bool:
    outcome = program.run(case)
    right = Judge(case).check(program)
    if right is None or not right.all() or outcome.written or (is_exercise and outcome.shared):
        return False
    if not outcome.elsewhere.keys() <= case.elsewhere:
        return False
    again = differing(program, case)
    return not again or (not is_exercise and why_usual(program, case, again) != "")
