"""Call a forward and a backward pass in the form in which somebody wrote them.

    forward(*args) -> (*outputs, cache)         backward(*upstream, cache) -> gradients
    forward(*args) -> outputs                   backward(*upstream, *args) -> gradients
    forward(*args) -> (*outputs, pullback)      pullback(*upstream) -> gradients
    loss(*args)    -> (number, *gradients)
    loss(*args)    -> number                    backward(*some_of_args) -> gradients
    an object with forward(*inputs) and backward(*upstream), which keeps the gradients of its parameters
    an object with forward(*inputs) -> (*outputs, cache) and backward(*upstream, cache)

The cache comes last in backward, or first if only the first parameter is called cache. An object's forward returns one
if the last parameter of its backward is not named like a gradient.

Gradients are a tuple, in the order of the arguments and then of an object's parameters, or a dict with their names. An
argument that is a dict, a list or a tuple of arrays has one for each of them; a number has one if it is returned. An
argument may be an object, too: its arrays are parameters, whose gradients are kept in it or returned in another object.
"""

import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from compare.learner.program.arrays import (
    arrays_in,
    but_statistics,
    changed,
    copied,
    flat,
    is_float_array,
    is_number,
    leaves,
    random_like,
    reachable,
    replaced,
    to_numpy,
)
from compare.learner.program.gradient_names import (
    UPSTREAM,
    CannotRun,
    as_dicts,
    bare,
    by_name,
    closeness,
    constants_of,
    entries,
    first_names,
    kept_by,
    kept_elsewhere,
    parameters_of,
    places_of_gradients,
    values_in,
)


@dataclass
class Case:
    """One set of inputs, and what a right program makes of it.

    words: what it is, for the report; inputs: forward's arguments by name, in order ("self": the object); upstream: the
    gradients of the outputs, in order; expected: the right results and gradients by name; results: the names of those
    that forward returns; slack: the error that each entry of the expected gradients may have; kinks: the entries for
    which any number counts; unchecked: the gradients that the program neither returns nor keeps; partly: whether some
    of these are of parameters, or whether there are kinks; known_to: the largest error that is allowed for, relative to
    the array's largest entry; elsewhere: the places of second gradients that differ from those that are compared.
    """

    words: str
    inputs: dict[str, Any]
    upstream: list = field(default_factory=list)
    expected: dict[str, np.ndarray] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    slack: dict[str, np.ndarray] = field(default_factory=dict)
    kinks: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    partly: bool = False
    known_to: float = 0.0
    elsewhere: set[str] = field(default_factory=set)

    @property
    def gradients(self):
        return [name for name in self.expected if name not in self.results]


@dataclass
class Outcome:
    """What a program did with a case.

    outputs: by name; results: the names of those that forward returns; written: the inputs that it wrote into; shared:
    the pairs of gradients that share memory; inputs: the arrays of the inputs as the program left them; elsewhere: see
    kept_elsewhere.
    """

    outputs: dict[str, np.ndarray | None]
    results: tuple[str, ...] = ()
    written: list[str] = field(default_factory=list)
    shared: list[tuple[str, str]] = field(default_factory=list)
    inputs: dict[tuple, np.ndarray] = field(default_factory=dict)
    elsewhere: dict[str, tuple] = field(default_factory=dict)


class OutcomeOfRun(Outcome):
    """What a Program did; what only few runs of a search need is found out when it is asked for.

    inputs_left, obj, upstream_left: what the program got, as it left them; gradients: what it returned or kept.
    """

    def __init__(self, program: "Program", case: Case, results: dict, gradients: dict, inputs: dict, obj, upstream):
        self.program, self.case, self.results, self.gradients = program, case, tuple(results), gradients
        self.inputs_left, self.obj, self.upstream_left = inputs, obj, upstream
        self.outputs = results | {n: None if value is None else np.array(value) for n, value in gradients.items()}

    @cached_property
    def written(self):
        given, upstream = self.case.inputs, self.case.upstream
        found = [n for n, one in self.inputs_left.items() if changed(but_statistics(given[n]), but_statistics(one))]
        names = self.program.upstream_names or [f"the gradient of output {k + 1}" for k in range(len(upstream))]
        pairs = zip(names, upstream, self.upstream_left, strict=False)
        return found + [name for name, before, after in pairs if changed(before, after)]

    @cached_property
    def shared(self):
        return shared(self.gradients)

    @cached_property
    def inputs(self):
        return arrays_in(self.inputs_left, self.upstream_left)

    @cached_property
    def elsewhere(self):
        parameters, constants = self.program.parameters, self.program.constants
        return kept_elsewhere(self.inputs_left, self.obj, parameters, constants, self.gradients) if parameters else {}


# ---- functions ----


SIGNATURES = {}  # by code: a search makes and calls the same methods and closures some thousand times


def signature_of(function: Callable) -> inspect.Signature:
    key = getattr(inspect.unwrap(function), "__code__", None), inspect.ismethod(function)
    if key[0] is None:
        return inspect.signature(function)
    if len(SIGNATURES) > 256:
        SIGNATURES.clear()
    if key not in SIGNATURES:
        SIGNATURES[key] = inspect.signature(function)
    return SIGNATURES[key]


def accepts(function: Callable, count: int) -> bool:
    """Whether a function can be called with `count` arguments by position."""
    try:
        signature_of(function).bind(*range(count))
    except TypeError:
        return False
    return True


def name_of(function) -> str:
    return getattr(function, "__qualname__", str(function)).replace("<locals>.", "")


def call(function: Callable, known: dict, order: list[str]):
    """Call a function by the names of its parameters if all are known, otherwise by position. Raises CannotRun."""
    parameters = signature_of(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = [p.name for p in named if p.default is p.empty]
    if len(named) == len(parameters) and all(name in known for name in needed):
        return function(**{p.name: known[p.name] for p in named if p.name in known})
    if accepts(function, len(order)):
        return function(*(known[name] for name in order))
    takes = ", ".join(p.name for p in parameters)
    if not order:
        raise CannotRun(f"example() must also return the arguments of {name_of(function)}({takes})")
    raise CannotRun(f"{name_of(function)}({takes}) has other arguments than the expected ones ({', '.join(order)})")


class Program:
    """A forward and a backward pass that can be run on a Case.

    forward, backward: functions, or the names of methods of the object; backward is None when forward returns a
    pullback or the gradients themselves; forward is None when one function does it all. obj: the object, or build: how
    to make it from the inputs. to_array: what the program's arrays are made with. wrt: the arguments that need a
    gradient. result_names, upstream_names: what they are called, in an exercise.
    """

    def __init__(
        self, forward, backward, *, obj=None, build=None, to_array=None, wrt=None, result_names=(), upstream_names=()
    ):
        self.forward, self.backward, self.obj, self.build = forward, backward, obj, build
        self.to_array, self.wrt = to_array, wrt
        self.result_names, self.upstream_names = list(result_names), list(upstream_names)
        self.returns_pullback = False
        self.parameters = None  # the names of the arrays that the object has before forward, see first_names
        self.constants = set()  # what it holds that is no gradient, see constants_of
        self.places = None  # where it keeps gradients, if that is known, see places_of_gradients
        self.used = None  # the gradients' names of the parameters that forward reads, where that is known

    @property
    def keeps_state(self) -> bool:
        """Whether what backward needs is kept in an object or a pullback, which may be used up or added to."""
        return self.obj is not None or self.build is not None or self.backward is None

    def prepared(self, case: Case):
        """Fresh inputs for one run, and the object whose methods are called, or None."""
        inputs = {name: copied(value) for name, value in case.inputs.items()}  # one array given twice becomes two
        if self.to_array:
            inputs = replaced(inputs, self.to_array)
        inputs, obj = self.build(inputs) if self.build else (inputs, copied(self.obj))
        if self.parameters is None:
            self.parameters = first_names(parameters_of(inputs, obj))
        return inputs, obj

    def returned(self, inputs, obj) -> list:
        """What forward returns."""
        if self.forward is None:
            return []
        function = self.forward if obj is None else getattr(obj, self.forward)
        value = call(function, inputs, list(inputs))
        if value is None:
            raise CannotRun(f"{name_of(function)} returned None; is the return statement missing?")
        return list(value) if isinstance(value, tuple | list) else [value]

    def split(self, returned, inputs, obj):
        """Take apart what forward returned: (outputs, backward as a function of the upstream gradients, their number).

        No upstream gradient at all means that the first output is a loss.
        """
        if self.backward is None and callable(returned[-1]):
            pullback, self.returns_pullback = returned[-1], True
            return returned[:-1], pullback, most(pullback, len(returned) - 1)
        if self.backward is None:
            return returned[:1], lambda: returned[1] if len(returned) == 2 else tuple(returned[1:]), 0
        function = self.backward if obj is None else getattr(obj, self.backward)
        if self.upstream_names:
            return self.split_by_name(returned, function, inputs, obj)
        count = len(returned)
        names = list(signature_of(function).parameters)
        taken = most(function, count)
        is_loss = is_number(returned[0]) or (is_float_array(returned[0]) and not returned[0].ndim)
        more = dict(zip(self.result_names[1:], returned[1:], strict=False))
        if is_loss and len(more) == count - 1 and (of_loss := of_a_loss(function, inputs, more, obj)):
            return returned[:1], of_loss, 0
        own = sum(name not in inputs for name in names)
        if obj is None and 0 < own < count == len(names) and all(name in inputs for name in names[own:]):
            return returned[:own], lambda *upstream: function(*upstream, *returned[own:]), own  # forward's arguments
        takes_cache = obj is None or (taken > 0 and takes_no_gradient(function, taken, returned[-1], inputs))
        if takes_cache and count > 1 and (taken > 1 or (taken == 1 and is_loss)):
            return returned[:-1], with_cache(function, returned[-1]), taken - 1
        if obj is not None and (taken > 0 or (taken == 0 and is_loss)):
            return returned, function, taken
        if accepts(function, count + len(inputs)):
            return returned, lambda *upstream: function(*upstream, *inputs.values()), count
        raise CannotRun(
            f"{name_of(function)}{inspect.signature(function)} does not fit the {count} value{'s' * (count != 1)} that "
            f"forward returns: it should take {'self, ' * (taken < 1 and obj is not None)}the gradients of forward's "
            "outputs, then the cache, forward's last value"
        )

    def split_by_name(self, returned, function, inputs, obj):
        """The same for an exercise, where the arguments have names."""
        outputs, known, order = returned, dict(inputs), list(self.upstream_names)
        if self.forward is None:
            order = [*inputs, *order]
        elif obj is None or (accepts(function, len(order) + 1) and len(returned) > len(order)):
            if len(returned) < 2:
                raise CannotRun("forward returned one value; it must return its results and then what backward needs")
            *outputs, known["cache"] = returned
            order.append("cache")

        def backward(*upstream):
            return call(function, known | dict(zip(self.upstream_names, upstream, strict=True)), order)

        return outputs, backward, len(self.upstream_names)

    def once(self, case: Case):
        """Forward: the fresh inputs, the object, the outputs, backward, the number of upstream gradients it takes."""
        inputs, obj = self.prepared(case)
        return inputs, obj, *self.split(self.returned(inputs, obj), inputs, obj)

    def run(self, case: Case, *, frozen: bool = False) -> Outcome:
        """Forward and backward, once. Raises CannotRun, or whatever the program raises.

        frozen: whether the caller's arrays are read-only, so that writing into one raises a ValueError.
        """
        inputs, obj = self.prepared(case)
        upstream = self.fresh_upstream(case)
        for array in arrays_in(inputs, upstream).values() if frozen else ():
            array.flags.writeable = False
        outputs, backward, _ = self.split(self.returned(inputs, obj), inputs, obj)
        results = {name: np.array(to_numpy(value)) for name, value in self.named_results(outputs).items()}
        gradients = self.named_gradients(backward(*upstream), inputs, obj, case)
        arrays = {name: None if value is None else to_numpy(value) for name, value in gradients.items()}
        return OutcomeOfRun(self, case, results, arrays, inputs, obj, upstream)

    def run_twice(self, case: Case, *, both: bool):
        """The gradients of two calls of backward, after one forward; both: after one forward each."""
        found = []
        inputs, obj, _, backward, _ = self.once(case)
        for call_number in range(2):
            if both and call_number:
                returned = self.returned(inputs, obj)
                _, backward, _ = self.split(returned, inputs, obj)
            gradients = self.named_gradients(backward(*self.fresh_upstream(case)), inputs, obj, case)
            found.append({n: None if v is None else np.array(to_numpy(v)) for n, v in gradients.items()})
        return found

    def run_after(self, case: Case, other_inputs: dict) -> dict:
        """The results and gradients of an object that has been called with other inputs before."""
        _, obj = self.prepared(case)
        for given in (other_inputs, case.inputs):
            inputs = {name: copied(value) for name, value in given.items()}
            outputs, backward, _ = self.split(self.returned(inputs, obj), inputs, obj)
            results = {name: np.array(to_numpy(value)) for name, value in self.named_results(outputs).items()}
            found = results | self.named_gradients(backward(*self.fresh_upstream(case)), inputs, obj, case)
        return found

    def forward_keeps_state(self, case: Case) -> bool:
        """Whether a second forward pass of an object gives other outputs."""
        inputs, obj = self.prepared(case)
        found = []
        for _ in range(2):
            outputs, *_ = self.split(self.returned(inputs, obj), inputs, obj)
            found.append([np.array(to_numpy(value)) for value in self.named_results(outputs).values()])
        return obj is not None and changed(*found)

    def function_to_zero_gradients(self) -> str:
        """The name of a function in the module, or of a method if objects hold the gradients; "" if there is none."""
        kind = type(self.obj)
        function = (self.backward or self.forward) if self.obj is None else getattr(kind, "backward", None)
        around = getattr(function, "__globals__", {})
        classes = [kind, *(one for one in around.values() if inspect.isclass(one))] if self.parameters else []
        known = [*around.items(), *(pair for one in classes for pair in inspect.getmembers(one))]
        pattern = re.compile(r"(^|_)zero(_?grads?|_?gradients?)?$", re.IGNORECASE)  # zero_pad does something else
        return next((name for name, one in known if inspect.isfunction(one) and pattern.search(name)), "")

    def fresh_upstream(self, case):
        upstream = [copied(one) for one in case.upstream]
        return replaced(upstream, self.to_array) if self.to_array else upstream

    def named_results(self, outputs):
        values = [value for value in flat(tuple(outputs)) if is_float_array(value) or is_number(value)]
        more = [f"output {k + 1}" for k in range(len(self.result_names), len(values))]
        return dict(zip([*self.result_names, *more], values, strict=False))

    def named_gradients(self, returned, inputs, obj, case):
        returned = as_dicts(returned)
        if not case.expected:
            self.constants = constants_of(reachable(case.inputs, self.obj), reachable(inputs, obj))
        places = self.places or places_of_gradients(inputs, obj, self.parameters, self.constants)
        kept = {f"d{name}": one for name, one in kept_by(inputs, obj, places).items()}
        names = all_names = case.gradients
        if not case.expected:
            with_numbers = {name: replaced(copied(value), to_numpy) for name, value in case.inputs.items()}
            names, all_names = (self.gradient_names(returned, given, kept) for given in (case.inputs, with_numbers))
        arrays = {f"d{leaf}": one for name, value in inputs.items() for leaf, one in leaves(value, name).items()}
        one_function = self.backward is None and not self.returns_pullback
        is_loss = one_function and not self.upstream_names and arrays.keys() >= set(names)
        shapes = {name: np.shape(to_numpy(one)) for name, one in arrays.items()} if not self.upstream_names else {}
        try:
            return by_name(
                returned, names, kept, name_of(self.backward or self.forward), all_names, shapes, is_loss=is_loss
            )
        except CannotRun as error:
            integers = [f"{name} = {value}" for name, value in inputs.items() if type(value) is int]
            raise CannotRun(
                f"{error}; an integer has no gradient, {integers[0]}.0 has one" if integers else error
            ) from None

    def gradient_names(self, returned, inputs, kept) -> list[str]:
        """Of the arguments, and of the parameters of objects that have a gradient."""
        skip = set() if self.wrt is None else set(inputs) - set(self.wrt)
        names = [f"d{leaf}" for name, value in inputs.items() if name not in skip for leaf in leaves(value, name)]
        more = [f"d{name}" for name in dict.fromkeys(self.parameters.values()) if f"d{name}" not in names]
        paths = [path for path, _ in entries(returned)]
        found = [name for name in more if name in kept or any(closeness(path, name) for path in paths)]
        if len(values_in(returned)) > len(names + found):  # all of its parameters, but not what momentum keeps
            return names + [name for name in more if self.used is None or name in self.used]
        return names + found


def most(function, count) -> int:
    """The largest number of arguments, up to `count`, that a function takes; -1 for none."""
    return next((n for n in range(count, -1, -1) if accepts(function, n)), -1)


def of_a_loss(function, inputs, more: dict, obj) -> Callable | None:
    """The backward pass of a loss, if it takes arguments of forward and all of its other outputs; None if it does not.

    more: the other outputs by name. A method with one argument gets the upstream gradient instead.
    """
    parameters, known = signature_of(function).parameters.values(), inputs | more
    if any(p.kind in (p.VAR_POSITIONAL, p.KEYWORD_ONLY) for p in parameters):
        return None
    if obj is not None and len(parameters) < 2:
        return None
    needed = [p.name for p in parameters if p.default is p.empty]
    if not needed or not set(needed) <= known.keys() or not more.keys() - inputs.keys() <= set(needed):
        return None
    options = {p.name: known[p.name] for p in parameters if p.name in known and p.name not in needed}
    return lambda: function(*(known[name] for name in needed), **options)


def takes_no_gradient(function, taken: int, value, inputs) -> bool:
    """Whether an argument of a backward method is no upstream gradient but the cache, by its name and value."""
    names = list(signature_of(function).parameters)
    first, name = names[0], names[min(taken, len(names)) - 1]
    if is_upstream(name):
        parts = [] if is_float_array(value) else leaves(value).values()
        holds_inputs = any(one is given for one in parts for given in leaves(inputs).values())  # which no output does
        return holds_inputs or first.startswith("cache") or (cache_is_first(function) and not is_float_array(value))
    return "cache" in name or not is_float_array(value) or is_upstream(first)


def cache_is_first(function) -> bool:
    """Whether the first parameter of backward is the cache, by the names; otherwise the last one is."""
    first, *_, last = [*signature_of(function).parameters] * 2  # there may be only one
    if "cache" in first or "cache" in last:
        return "cache" not in last
    return is_upstream(last) and not is_upstream(first)


def is_upstream(name) -> bool:
    """Whether a parameter has the name of a gradient."""
    return name in UPSTREAM or bare(name) != ""


def with_cache(function, cache) -> Callable:
    """Backward as a function of the upstream gradients.

    Where the names do not say whether the cache comes first or last, the other order is tried if one raises.
    """
    first, *_, last = [*signature_of(function).parameters] * 2
    is_first, is_known = cache_is_first(function), "cache" in first + last or is_upstream(first)

    def backward(*upstream):
        orders = [(cache, *upstream), (*upstream, cache)][:: 1 if is_first else -1]
        try:
            return function(*orders[0])
        except Exception:
            if is_known:
                raise
            with suppress(Exception):
                return function(*orders[1])
            raise

    return backward


def shared(arrays) -> list:
    """The pairs of gradients that share memory."""
    named = [(name, value) for name, value in arrays.items() if value is not None and value.ndim]
    return [(a, b) for k, (a, u) in enumerate(named) for b, v in named[k + 1 :] if np.shares_memory(u, v)]


def changed_in_the_module(program, case) -> list[str]:
    """The arrays of floats in global variables that backward changes."""
    function = program.forward if program.obj is None else getattr(type(program.obj), program.forward, None)
    module = getattr(function, "__globals__", {})

    def arrays():
        known = [(name, value) for name, value in module.items() if not name.startswith("__")]
        return {path: one for name, value in known for path, one in leaves(value, name).items()}

    *_, backward, _ = program.once(case)
    before, rng = copied(arrays()), np.random.default_rng(3)
    backward(*(random_like(one, rng) for one in case.upstream))
    return [path for path, one in arrays().items() if path not in before or changed(before[path], one)]
