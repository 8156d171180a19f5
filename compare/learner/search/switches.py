"""A program with switches: many variants of its statements compiled into one, so that trying one costs only a run."""

import ast
import copy
import sys
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from compare.agreement import ESTIMATE, least_size, tolerance
from compare.learner.program.arrays import arrays_in, is_tensor
from compare.learner.program.calling import Case
from compare.learner.search import edits, syntax

# The estimated cost of a run in microseconds: its start, and each operation by the kind of its result.
START, ON_ARRAY, ON_TENSOR, ON_NUMBER = 300.0, 1.2, 4.0, 0.15
TICKS = 20_000  # turns of loops in one run: a variant may have made a loop endless


class Endless(BaseException):
    """A loop turned too often. Not an Exception: a learner's `except Exception` must not catch it."""


@dataclass
class Subject:
    """A program. bind: how to call a module of it: module -> (program, cases with the expected values).

    tree: its syntax tree, with an edit perhaps; program: how the file itself is called, once that is known.
    """

    source: str
    file: str
    bind: Callable
    tree: ast.Module | None = None
    program: object = None

    def __post_init__(self):
        self.tree = self.tree or ast.parse(self.source, self.file)

    def module(self, tree=None, **names):
        """The program, or another tree, run as a module that has these names. Raises what running it raises."""
        return executed(compile(tree or self.tree, self.file, "exec"), self.file, **names)


def executed(code, file, **names):
    """The code run as a module that has these names. Raises what running it raises."""
    module = types.ModuleType("learner")
    module.__file__ = file
    vars(module).update(names)
    sys.modules["learner"] = module  # dataclasses look up their module
    exec(code, vars(module))
    return module


class Judge:
    """Which entries of a program's outputs are right on one case, as a vector of booleans.

    strict: the gradients of a second call and the inputs as the program leaves them are part of the vector, too.
    """

    def __init__(self, case: Case, *, strict: bool = False):
        self.case, self.strict = case, strict
        expected = list(case.expected.values())
        allowed = [allowed_error(case, name).ravel() for name in case.expected]
        self.inputs = arrays_in(case.inputs, case.upstream) if strict else {}
        if strict:
            expected += [*(case.expected[name] for name in case.gradients), *self.inputs.values()]
            allowed += [allowed_error(case, name).ravel() for name in case.gradients]
            allowed += [np.zeros(value.size) for value in self.inputs.values()]
        self.expected = np.concatenate([np.ravel(value).astype(float) for value in expected])
        self.allowed = np.concatenate(allowed)

    def vector(self, program) -> np.ndarray | None:
        """What a program gives, in one vector; None when a shape is wrong. Raises what the program raises."""
        outcome, parts = program.run(self.case), []
        for name, expected in self.case.expected.items():
            value = outcome.outputs.get(name)
            if name not in outcome.outputs and name in self.case.results:
                value = expected  # a program with only a backward pass
            if not is_like(value, expected):
                return None
            parts.append(value.ravel())
        if self.strict:
            _, second = two_calls(program, self.case)
            for name in self.case.gradients:
                expected, value = self.case.expected[name], second.get(name)
                parts.append((value if is_like(value, expected) else np.full(expected.shape, np.nan)).ravel())
            parts += [np.ravel(outcome.inputs.get(place, value)) for place, value in self.inputs.items()]
        return np.concatenate(parts).astype(float)

    def check(self, program) -> np.ndarray | None:
        """Which entries are right when a program runs; None when a shape is wrong. Raises what the program raises."""
        return self.right(self.vector(program))

    def right(self, vector) -> np.ndarray | None:
        if vector is None:
            return None
        with np.errstate(all="ignore"):
            near = np.isfinite(vector) & (np.abs(vector - self.expected) <= self.allowed)
        return near | (vector == self.expected) | (np.isnan(vector) & np.isnan(self.expected))


def is_like(value, expected) -> bool:
    """Whether a value is an array of numbers with the expected shape."""
    return value is not None and value.shape == expected.shape and value.dtype.kind in "fiu"


def two_calls(program, case: Case) -> list[dict]:
    """The gradients of two calls of backward or, where the first empties its cache, of both passes."""
    both = program.keeps_state
    try:
        return program.run_twice(case, both=both)
    except Exception:
        if both:
            raise
        return program.run_twice(case, both=True)


def differing(program, case: Case) -> list[str]:
    """The gradients that differ in a second call."""
    first, second = two_calls(program, case)
    return [n for n in first if not equal(first[n], second.get(n))]


def differing_in_a_pullback(program, case: Case) -> list[str]:
    """The gradients that differ when the backward function that forward returned is called a second time."""
    if program.backward is not None:
        return []
    with suppress(Exception):  # it may be used up
        first, second = program.run_twice(case, both=False)
        return [n for n in first if not equal(first[n], second.get(n))]
    return []


def why_usual(program, case: Case, names) -> str:
    """Why these gradients may differ in a second call, in an object or a module that is no exercise; "" if not."""
    if program.forward_keeps_state(case):
        return "forward keeps a state: a second call gives other outputs, and its gradients were not compared"
    first, second = two_calls(program, case)
    are_kept = {f"d{name}" for name in program.parameters.values()}.issuperset(names)
    if program.obj is None and are_kept:
        until = "set to zero by the caller"
    elif (program.obj is None or are_kept) and program.function_to_zero_gradients():
        until = f"{program.function_to_zero_gradients()} is called"
    else:
        return ""
    for name in names:
        expected, allowed = case.expected[name], 3 * allowed_error(case, name)
        if not is_like(second[name], expected) or np.any(np.abs(second[name] - first[name] - expected) > allowed):
            return ""
    return f"{', '.join(names)} {'adds' if len(names) == 1 else 'add'} up from call to call until {until}"


def equal(a, b) -> bool:
    """The same numbers, bit for bit; a nan equals a nan."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f" and b.dtype.kind == "f")


def allowed_error(case: Case, name: str) -> np.ndarray:
    """The largest error that counts as rounding, for each entry of an output."""
    expected = case.expected[name]
    group = [value for n, value in case.expected.items() if (n in case.results) == (name in case.results)]
    scale = max(np.abs(expected[np.isfinite(expected)]).max(initial=0), least_size(group))
    dtype = expected.dtype if expected.dtype.kind == "f" else np.float64
    return np.maximum(np.full(expected.shape, tolerance(dtype) * scale), ESTIMATE * case.slack.get(name, 0.0))


class Workshop:
    """A program on one of its cases, with switches for variants of its statements.

    strict: see Judge; patience: the share of its time that a search gets; facts: what every expression held, in the
    order in which they ran; base, right: what the program gives, and which entries of that are right; work: how long
    one run takes, in microseconds, from what it does.
    """

    def __init__(self, subject: Subject, case_index: int = 0, *, strict: bool = False, patience: float = 1.0):
        self.patience = patience
        self.subject, self.index, self.runs, self.ticks, self.work = subject, case_index, 0, 0, START
        self.slots = edits.Slots()
        program, cases = subject.bind(self.module(subject.tree))
        self.judge = Judge(cases[case_index], strict=strict)
        self.base = self.vector(program)
        self.right = self.judge.right(self.base)
        self.facts = self.observed()
        self.lines = dict.fromkeys(line for line, *_ in self.facts)  # in the order in which they ran

    def module(self, tree, **names):
        return self.subject.module(tree, __tick__=self.tick, __at__=at_checked, **names)

    def tick(self):
        self.ticks += 1
        if self.ticks > TICKS:
            raise Endless

    def vector(self, program) -> np.ndarray | None:
        """What the program gives, or None when it does not run."""
        self.ticks = 0
        self.runs += 1
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                return self.judge.vector(program)
        except KeyboardInterrupt:
            raise
        except BaseException:
            return None

    def observed(self) -> dict:
        """What every expression held when the program ran: position -> kind."""
        notes = {}

        def see(k, value, is_operation):
            notes.setdefault(k, kind_of(value))
            on = ON_TENSOR if is_tensor(value) else ON_ARRAY if isinstance(value, np.ndarray) else ON_NUMBER
            self.work += is_operation * on
            return value

        tree = copy.deepcopy(self.subject.tree)
        program, _ = self.subject.bind(self.module(ast.fix_missing_locations(Observer().visit(tree)), __see__=see))
        notes.clear()
        self.work = START
        self.vector(program)
        return notes

    def runs_for(self, microseconds: int) -> int:
        """How many runs take so long, by their work: what a search may cost is counted and not timed."""
        return max(100, int(self.patience * microseconds / self.work))

    def with_switches(self, chosen, **names):
        """(program, switches): slot k does what switches[k] says, 0 for what it did, m for its m-th variant.

        chosen: slot -> list of variants, each a list of statements or, for a header, an expression.
        """
        switches = [0] * (len(self.slots.all) + 1)
        tree = switched(self.subject.tree, self.slots, chosen)
        program, _ = self.subject.bind(self.module(tree, __on__=switches, **names))
        return program, switches


def kind_of(value):
    """What an expression holds, as far as an edit has to know: the shape of an array, "number", or its type."""
    if isinstance(value, np.ndarray):
        return value.shape
    if isinstance(value, bool | np.bool_):
        return "bool"
    if isinstance(value, int | float | np.number):
        return "number"
    return tuple(value.shape) if is_tensor(value) else type(value).__name__


def at_checked(at: Callable, array, index, value):
    """What np.add.at or the like does. Raises ValueError if the shapes do not fit: NumPy 2.4 may crash then."""
    np.broadcast_to(value, array[index].shape)
    at(array, index, value)


class Observer(ast.NodeTransformer):
    """Every expression of a function passes through __see__, under its position."""

    inside = 0

    def visit_FunctionDef(self, node):
        self.inside += 1
        node.body = [self.visit(one) for one in node.body]
        self.inside -= 1
        return node

    def visit_Call(self, node):
        if isinstance(node.func, ast.Attribute):
            node.func.value = self.visit(node.func.value)
        node.args = [self.visit(one) for one in node.args]
        node.keywords = [self.visit(one) for one in node.keywords]
        return self.seen(node)

    def generic_visit(self, node):
        super().generic_visit(node)
        return self.seen(node) if isinstance(node, syntax.NAMES | ast.BinOp | ast.UnaryOp) else node

    def seen(self, node):
        if not self.inside or not syntax.is_load(node):
            return node
        is_operation = not isinstance(node, ast.Name | ast.Attribute)
        arguments = [ast.Constant(syntax.position(node)), node, ast.Constant(is_operation)]
        call = ast.Call(ast.Name("__see__", ast.Load()), arguments, [])
        return ast.copy_location(call, node)


def switched(tree, slots, chosen, *, edited=False):
    """The tree with an `if __on__[k]` at each chosen slot; edited: with the first variant in its place instead."""
    places = {}
    for slot in slots.all:
        if slot.number in chosen:
            places.setdefault(id(slot.block), {})[slot.index, slot.at] = (slot.number, chosen[slot.number])
    return ast.fix_missing_locations(Switches(places, edited).with_blocks(tree))


class Switches:
    """Puts variants into a tree. places: id of a block -> (index, at) -> (number, variants); edited: see `switched`."""

    def __init__(self, places: dict, edited: bool):
        self.places, self.edited = places, edited

    def block(self, block) -> list:
        own, new = self.places.get(id(block), {}), []
        for index, statement in enumerate(block):
            new += self.gap(own, index)
            statement = self.with_blocks(statement)
            if (index, "header") in own:
                statement = self.with_header(statement, *own[index, "header"])
            new += self.variants(own, (index, "in"), [statement])
        return new + self.gap(own, len(block))

    def gap(self, own, index) -> list:
        places = [place for place in own if place[0] == index and place[1].startswith(("before", "gap"))]
        return [one for place in places for one in self.variants(own, place, [])]

    def variants(self, own, place, otherwise) -> list:
        if place not in own:
            return otherwise
        number, variants = own[place]
        if self.edited:
            return variants[0]
        return choice(number, [[with_checked_at(one) for one in variant] for variant in variants], otherwise)

    def with_header(self, statement, number, variants):
        field = syntax.HEADERS[type(statement)]
        new = variants[0] if self.edited else pick(number, variants, getattr(statement, field))
        return syntax.replaced(statement, ((field, None),), new)

    def with_blocks(self, node):
        new = ast.copy_location(syntax.clone(node if self.edited else with_checked_at(node)), node)
        for name in syntax.BLOCKS:
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                setattr(new, name, self.block(block))
        if isinstance(node, ast.For | ast.While) and not self.edited:
            new.body.insert(0, TICK)
        if getattr(node, "handlers", None):
            new.handlers = [self.with_blocks(one) for one in node.handlers]
        return new


TICK = ast.parse("__tick__()").body[0]


def with_checked_at(statement):
    """A statement, or, for np.add.at(...) and the like, one that calls at_checked instead."""
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="at") as at, args=[_, _, _] as args, keywords=[])):
            return ast.copy_location(ast.Expr(ast.Call(ast.Name("__at__", ast.Load()), [at, *args], [])), statement)
    return statement


def choice(number, variants, otherwise):
    """if __on__[number] < 1: otherwise, else: the variants."""
    return halved(number, [otherwise or [ast.Pass()], *variants], lambda test, a, b: [ast.If(test, a, b)])


def pick(number, variants, otherwise):
    """The same for the expression in a header."""
    return halved(number, [otherwise, *variants], ast.IfExp)


def halved(number, variants, either: Callable, first: int = 0):
    """The variant with the number __on__[number], found by few comparisons; first: the number of variants[0]."""
    if len(variants) == 1:
        return variants[0]
    middle = max(1, len(variants) // 2) if first else 1  # what the program did is asked for most often
    switch = ast.Subscript(ast.Name("__on__", ast.Load()), ast.Constant(number), ast.Load())
    test = ast.Compare(switch, [ast.Lt()], [ast.Constant(first + middle)])
    low, high = variants[:middle], variants[middle:]
    return either(test, halved(number, low, either, first), halved(number, high, either, first + middle))
