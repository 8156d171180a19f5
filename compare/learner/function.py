"""check_backward: the same check as `byhand check`, for a script, a notebook or a test."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

from compare.learner import examine
from compare.learner.program import pairs
from compare.learner.program.arrays import copied
from compare.learner.program.calling import Program, name_of
from compare.learner.program.gradient_names import CannotRun
from compare.learner.search.switches import Subject
from compare.learner.verdict.errors import in_words
from compare.learner.verdict.report import RIGHT, WRONG, Report, head, tail
from compare.learner.verdict.subjects import Bound


@dataclass
class Result:
    """The answer of check_backward. str() is the report.

    right: whether every gradient is right to rounding; arrays: a report.Row per output; line: the line of the file to
    look at, or None.
    """

    report: Report

    @property
    def right(self) -> bool:
        return self.report.verdict == RIGHT

    @property
    def arrays(self) -> list:
        return self.report.rows

    @property
    def line(self) -> int | None:
        return self.report.line

    def __str__(self):
        return f"{head(self.report)}\n{tail(self.report)}"

    def assert_right(self):
        """Raise AssertionError with the report if anything is wrong."""
        __tracebackhide__ = True
        if not self.right:
            raise AssertionError(f"the backward pass is not right\n{self}")


def check_backward(forward, backward=None, args=(), *, wrt: list[str] | None = None, locate: bool = True) -> Result:
    """Compare the gradients of a backward pass with central differences of its forward pass.

    forward(*args) returns outputs and, last, a cache; backward(*upstream, cache) returns the gradients of the
    differentiable arguments, in their order, or as a dict. Other forms, see program/calling.py: outputs without a cache
    (backward then gets forward's arguments), a last output that is the backward function, and a forward that
    returns a number and then its gradients (backward=None). For an object with forward and backward, give it as
    `forward`. args: a tuple, or a dict by name; arrays of floats are differentiable, and so are those in dicts, lists
    and tuples, and numbers whose gradient backward returns. All is computed in float64. wrt: the names of the arguments
    that have a gradient, where not all do.

    locate: if a gradient is wrong, look for the line; this needs both functions at the top level of one file.
    Returns a Result; never raises for a wrong gradient. Raises CannotRun if the functions do not fit together.
    """
    if not isinstance(args, tuple | list | dict):
        raise CannotRun("args must be a tuple of forward's arguments: write (x,) for a single one")
    example = tuple(args) if not isinstance(args, dict) else args
    must_fit(forward, example, wrt)
    if hasattr(forward, "forward") and hasattr(forward, "backward"):
        program = Program("forward", "backward", obj=forward, wrt=wrt)
        inputs, code = pairs.as_inputs(forward.forward, example), type(forward)
    else:
        program, inputs, code = Program(forward, backward, wrt=wrt), pairs.as_inputs(forward, example), forward
    file = inspect.getsourcefile(code) if inspect.isroutine(code) or inspect.isclass(code) else None
    report = Report(file or "?", getattr(code, "__name__", "forward"))
    subject = Subject("", report.file, Bound(program, inputs, lambda module: program))
    try:
        if not locate:
            raise CannotRun("locate=False")
        subject = with_source(subject, code, forward, backward, wrt)
    except CannotRun as reason:
        report.not_searched = f"The line was not looked for: {reason}."
    examine.examine_one(subject, None, report, lambda report: None)
    if report.verdict not in (RIGHT, WRONG):
        where = f" (line {report.line} of {report.file})" if report.line else ""
        raise CannotRun(f"{report.sentence}{where}")
    return Result(report)


def must_fit(forward, example, wrt) -> None:
    """Raise CannotRun if forward does not take the arguments, or does not have those that need a gradient."""
    if inspect.isclass(forward):
        raise CannotRun(f"give an object, {forward.__name__}(...), not the class")
    function = getattr(forward, "forward", forward)
    signature = inspect.signature(function)
    try:
        pairs.bind(function, example)
    except TypeError as error:
        raise CannotRun(f"args do not fit {name_of(function)}{signature}: {error}") from None
    unknown = set(wrt or ()) - set(pairs.as_inputs(function, example))
    if unknown:
        raise CannotRun(f"wrt: {name_of(function)}{signature} has no {', '.join(sorted(unknown))}")


def rehoused(obj, module):
    """A copy of an object that is of the module's class of the same name."""
    new = copied(obj)
    new.__class__ = getattr(module, type(obj).__name__)
    return new


def with_source(subject: Subject, code, forward: Callable, backward, wrt) -> Subject:
    """The Subject with the source of the file. Raises CannotRun if the functions cannot be found in it again."""
    for one in (code, backward or code):
        if not getattr(one, "__qualname__", "").isidentifier():
            raise CannotRun(f"{name_of(one)} is not defined by name at the top level of a file")
    try:
        file, source = inspect.getsourcefile(code), inspect.getsource(inspect.getmodule(code))
    except (TypeError, OSError):
        raise CannotRun(f"the file in which {name_of(code)} is defined was not found") from None
    names = [getattr(one, "__name__", None) for one in (forward, backward)]

    def again(module):
        if code is not forward:  # an object
            return Program("forward", "backward", obj=rehoused(forward, module), wrt=wrt)
        return Program(*(getattr(module, name) if name else None for name in names), wrt=wrt)

    found = Subject(definitions_of(source), file, Bound(subject.bind.program, subject.bind.inputs, again))
    try:
        found.bind(found.module())
    except Exception as error:
        raise CannotRun(f"running the definitions in {file} again raised {in_words(error)}") from None
    return found


def definitions_of(source: str) -> str:
    """A file's text with everything but imports, functions, classes and constants blanked out; lines stay in place."""
    tree, lines = ast.parse(textwrap.dedent(source)), source.split("\n")
    kept = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
    for node in tree.body:
        if not isinstance(node, kept):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines)
