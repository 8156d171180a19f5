"""Call a forward and a backward pass in the form in which somebody wrote them.

    forward(*args) -> (*outputs, cache)         backward(*upstream, cache) -> gradients
    forward(*args) -> outputs                   backward(*upstream, *args) -> gradients
    forward(*args) -> (*outputs, pullback)      pullback(*upstream) -> gradients
    loss(*args)    -> (number, *gradients)
    an object with forward(*inputs) and backward(*upstream), which keeps the gradients of its parameters
    an object with forward(*inputs) -> (*outputs, cache) and backward(*upstream, cache)

The cache comes last in backward, or first if only the first parameter is called cache. An object's forward returns one
if the last parameter of its backward is not named like a gradient.

Gradients are a tuple, in the order of the arguments and then of an object's parameters, or a dict with their names. An
argument that is a dict, a list or a tuple of arrays has one for each of them; a number has one if it is returned. An
argument may be an object, too: its arrays are parameters, whose gradients are kept in it or returned in another object.
"""

import copy
import inspect
import itertools
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import ModuleType
from typing import Any

import numpy as np


class CannotRun(Exception):
    """The program cannot be called; the message says what is expected."""


@dataclass
class Case:
    """One set of inputs, and what a right program makes of it.

    words: what it is, for the report; inputs: forward's arguments by name, in order ("self": the object); upstream: the
    gradients of the outputs, in order; expected: the right results and gradients by name; results: the names of those
    that forward returns; slack: the error that each entry of the expected gradients may have; kinks: the entries for
    which there is no one right value, and any counts; unchecked: the gradients that the program neither returns nor
    keeps; partly: whether some of these are of parameters, or whether there are kinks; known_to: the largest error that
    is allowed for, relative to the array's largest entry.
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

    @property
    def gradients(self):
        return [name for name in self.expected if name not in self.results]


@dataclass
class Outcome:
    """What a program did with a case.

    outputs: by name; results: the names of those that forward returns; written: the inputs that it wrote into; shared:
    the pairs of outputs that share memory; inputs: the arrays of the inputs as the program left them.
    """

    outputs: dict[str, np.ndarray | None]
    results: tuple[str, ...] = ()
    written: list[str] = field(default_factory=list)
    shared: list[tuple[str, str]] = field(default_factory=list)
    inputs: dict[tuple, np.ndarray] = field(default_factory=dict)


# ---- arrays, tensors and what holds them ----


def is_tensor(value) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_numpy(value) -> np.ndarray:
    """An array, a tensor or a number as an array; it shares the memory of the first two."""
    return value.detach().numpy() if is_tensor(value) else np.asarray(value)


def is_float_array(value) -> bool:
    return value.is_floating_point() if is_tensor(value) else isinstance(value, np.ndarray) and value.dtype.kind == "f"


def is_number(value) -> bool:
    return isinstance(value, float | np.floating)


def leaves(value, name: str = "") -> dict[str, Any]:
    """Every array of floats in an argument, by name: W in a dict, s[0] in a tuple, layers[0].W in a list of dicts."""
    if is_float_array(value):
        return {name: value}
    pairs, found = [], {}
    if isinstance(value, dict):
        pairs = [(str(key), one) for key, one in value.items()]
    elif isinstance(value, tuple | list):
        pairs = [(f"{name}[{k}]", one) for k, one in enumerate(value)]
    for key, one in pairs:
        prefix = f"{key}." if isinstance(one, dict) else ""
        found |= {f"{prefix}{path}": leaf for path, leaf in leaves(one, key).items()}
    return found


def arrays_in(inputs: dict, upstream=()) -> dict[tuple, np.ndarray]:
    """Every array of floats in the inputs and the upstream gradients: (argument, path in it) -> array."""
    arguments = inputs | {f"upstream {k}": one for k, one in enumerate(upstream)}
    return {(name, path): to_numpy(leaf) for name, one in arguments.items() for path, leaf in leaves(one).items()}


def as_float64(value):
    """An array or a tensor of floats in float64; anything else as it is."""
    if not is_float_array(value):
        return value
    return value.detach().double() if is_tensor(value) else value.astype(np.float64, copy=False)


def flat(value) -> list:
    """The values in nested tuples and lists, in order; a list of numbers, nested perhaps, is an array."""
    if holds_only_numbers(value):
        return [np.array(value)]
    return [leaf for one in value for leaf in flat(one)] if isinstance(value, tuple | list) else [value]


def holds_only_numbers(value) -> bool:
    return isinstance(value, list) and value != [] and all(is_number(v) or holds_only_numbers(v) for v in value)


def copied(value):
    """A deep copy with writeable arrays; what cannot be copied, such as a module, stays itself."""
    if type(value) is np.ndarray:
        return value.copy(order="K")
    try:
        return copy.deepcopy(value, views_of(value))
    except TypeError:
        if type(value) is dict:
            return {key: copied(one) for key, one in value.items()}
        return type(value)(copied(one) for one in value) if type(value) in (tuple, list) else value


def views_of(value) -> dict:
    """The memo for a deep copy in which arrays that share memory, such as W and W.T, do so again."""
    arrays = [one for _, one in reachable({"": value}, None) if isinstance(one, np.ndarray) and one.ndim]
    bases = Counter(id(base_of(one)) for one in arrays)
    memo, new = {}, {}
    for one in arrays:
        base = base_of(one)
        if bases[id(base)] > 1 and base.flags.forc:
            buffer = new.setdefault(id(base), base.copy(order="K"))
            start = one.__array_interface__["data"][0] - base.__array_interface__["data"][0]
            memo[id(one)] = np.ndarray(one.shape, one.dtype, buffer.ravel(order="K").data, start, one.strides)
    return memo


def base_of(array) -> np.ndarray:
    """The array whose memory an array uses."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def replaced(value, change: Callable, known: dict | None = None):
    """The value with change(array) for every array, tensor, number and list of numbers in it; the rest stays the same.

    known: id -> (array, change(array)) for those seen so far, because one array in two places stays one array.
    """
    known = {} if known is None else known
    if is_number(value) or holds_only_numbers(value):
        return change(value)
    if id(value) not in known:
        known[id(value)] = value, value  # what holds itself is not gone through again
        if isinstance(value, np.ndarray) or is_tensor(value):
            known[id(value)] = value, change(value)
        elif isinstance(value, tuple):
            parts = [replaced(one, change, known) for one in value]
            known[id(value)] = value, type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
        else:
            table = held_by(value)
            for key in list(range(len(table)) if isinstance(table, list) else table):
                table[key] = replaced(table[key], change, known)
    return known[id(value)][1]


def held_by(value) -> dict | list | tuple:
    """What a dict, a list, a tuple or an object holds; nothing for arrays, modules, classes and what has no parts."""
    if isinstance(value, dict | list | tuple):
        return value
    if is_tensor(value) or isinstance(value, np.ndarray | type | ModuleType):
        return {}
    slots = getattr(type(value), "__slots__", ())
    return getattr(value, "__dict__", None) or {name: getattr(value, name) for name in slots if hasattr(value, name)}


def random_like(value, rng, scale: float = 1.0):
    """Random numbers with the structure of an output: an array, a number, or a tuple, list or dict of these."""
    if isinstance(value, tuple | list):
        parts = [random_like(one, rng, scale) for one in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if isinstance(value, dict):
        return {key: random_like(one, rng, scale) for key, one in value.items()}
    array = to_numpy(value)
    if array.dtype.kind != "f":
        return None
    made = np.asarray(scale * rng.standard_normal(array.shape)).astype(array.dtype)
    if is_tensor(value):
        return sys.modules["torch"].from_numpy(made)
    return made if isinstance(value, np.ndarray) else made[()]


def products(upstream, value) -> Iterator[np.ndarray]:
    """Upstream gradient times output, for each output: their sum is the loss whose gradients backward computes."""
    if isinstance(upstream, tuple | list):
        for one, its_value in zip(upstream, value, strict=False):
            yield from products(one, its_value)
    elif isinstance(upstream, dict):
        for key, one in upstream.items():
            yield from products(one, value[key])
    elif upstream is not None:
        yield np.asarray(to_numpy(upstream) * to_numpy(value))


def changed(before, after) -> bool:
    """Whether an array of an input is no longer the same, bit for bit, or no longer there."""
    old, new = leaves(before), leaves(after)
    return old.keys() != new.keys() or any(
        not np.array_equal(to_numpy(old[name]), to_numpy(new[name]), equal_nan=True) for name in old
    )


# ---- names of gradients ----

UPSTREAM = {"g", "grad", "gradient", "upstream"}
MARKS = ("gradients_", "gradient_", "grads_", "grad_", "dldd", "dld", "dl_d", "dloss_d", "d_", "d")


@cache
def plain(name) -> str:
    """A name as people vary it: W_hh, weight_hh, Whh and weight_hh_l0 all become whh."""
    name = str(name).rsplit(".", 1)[-1].lower().removesuffix("_l0").replace("weight", "w").replace("bias", "b")
    return name.replace("_", "").replace("0", "").replace("prev", "") or name


@cache
def bare(key) -> str:
    """The name of what a gradient is the gradient of: whh for dW_hh, grad_W_hh and W_hh_grad; "" if it is none."""
    key = str(key).rsplit(".", 1)[-1]
    if key.lower().endswith("_grad"):
        return plain(key[:-5])
    mark = next((mark for mark in MARKS if key.lower().startswith(mark) and len(key) > len(mark)), None)
    return plain(key[len(mark) :]) if mark else ""


@cache
def closeness(path, name) -> tuple:
    """How well a path in the returned gradients fits the gradient called `name`, such as dW_hh or dlayers[0].W.

    The more of their parts agree, from the last one on, the better. () if not even the last one does.
    """
    pairs = zip(parts_of(path)[::-1], parts_of(name[1:])[::-1], strict=False)
    same = [likeness(a, b) for a, b in pairs]
    agree = same.index(0) if 0 in same else len(same)
    if not agree or (agree < len(same) and name.endswith("]")):
        return ()
    return (path == name, agree == len(same), agree, *same[:agree])


def parts_of(path) -> list[str]:
    return [part for part in re.split(r"\.|(?=\[)", str(path)) if part]


def likeness(key, name) -> int:
    """2 for the same part of a path, with or without a d; 1 for the same as people vary it; 0 for another one."""
    if key in (name, f"d{name}"):
        return 2
    return 0 if name.startswith("[") else int(plain(name) in (bare(key), plain(key)))


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
        self.parameters = None  # the names of the arrays that the object has before forward, see first_names
        self.constants = set()  # what it holds that is no gradient, see constants_of

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
            pullback = returned[-1]
            return returned[:-1], pullback, most(pullback, len(returned) - 1)
        if self.backward is None:
            return returned[:1], lambda: returned[1] if len(returned) == 2 else tuple(returned[1:]), 0
        function = self.backward if obj is None else getattr(obj, self.backward)
        if self.upstream_names:
            return self.split_by_name(returned, function, inputs, obj)
        count = len(returned)
        names = list(signature_of(function).parameters)
        own = sum(name not in inputs for name in names)
        if obj is None and 0 < own < count == len(names) and all(name in inputs for name in names[own:]):
            return returned[:own], lambda *upstream: function(*upstream, *returned[own:]), own  # forward's arguments
        taken = most(function, count)
        is_loss = is_number(returned[0]) or (is_float_array(returned[0]) and not returned[0].ndim)
        takes_cache = obj is None or (taken > 0 and takes_no_gradient(function, taken, returned[-1]))
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
        written = [name for name, value in inputs.items() if changed(case.inputs[name], value)]
        names = self.upstream_names or [f"the gradient of output {k + 1}" for k in range(len(upstream))]
        written += [name for name, a, b in zip(names, case.upstream, upstream, strict=False) if changed(a, b)]
        arrays = {name: None if value is None else to_numpy(value) for name, value in gradients.items()}
        kept = {name: None if value is None else np.array(value) for name, value in arrays.items()}
        return Outcome(results | kept, tuple(results), written, shared(arrays), arrays_in(inputs, upstream))

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
        function = (self.backward or self.forward) if self.obj is None else kind.backward
        around = getattr(function, "__globals__", {})
        classes = [kind, *(one for one in around.values() if inspect.isclass(one))] if self.parameters else []
        known = [*around.items(), *(pair for one in classes for pair in inspect.getmembers(one))]
        return next((name for name, one in known if inspect.isfunction(one) and re.search("zero(?!s)", name)), "")

    def fresh_upstream(self, case):
        upstream = copied(case.upstream)
        return replaced(upstream, self.to_array) if self.to_array else upstream

    def named_results(self, outputs):
        values = [value for value in flat(tuple(outputs)) if is_float_array(value) or is_number(value)]
        more = [f"output {k + 1}" for k in range(len(self.result_names), len(values))]
        return dict(zip([*self.result_names, *more], values, strict=False))

    def named_gradients(self, returned, inputs, obj, case):
        returned = as_dicts(returned)
        if not case.expected:
            self.constants = constants_of(reachable(case.inputs, self.obj), reachable(inputs, obj))
        kept = {f"d{name}": one for name, one in kept_by(inputs, obj, self.parameters, self.constants).items()}
        names = all_names = case.gradients
        if not case.expected:
            with_numbers = {name: replaced(copied(value), to_numpy) for name, value in case.inputs.items()}
            names, all_names = (self.gradient_names(returned, given, kept) for given in (case.inputs, with_numbers))
        arrays = {f"d{leaf}": one for name, value in inputs.items() for leaf, one in leaves(value, name).items()}
        is_loss = self.backward is None and arrays.keys() >= set(names)
        shapes = {name: np.shape(to_numpy(one)) for name, one in arrays.items()} if is_loss else {}
        try:
            return by_name(returned, names, kept, name_of(self.backward or self.forward), all_names, shapes)
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
        return names + (more if len(values_in(returned)) > len(names + found) else found)


def most(function, count) -> int:
    """The largest number of arguments, up to `count`, that a function takes; -1 for none."""
    return next((n for n in range(count, -1, -1) if accepts(function, n)), -1)


def takes_no_gradient(function, taken: int, value) -> bool:
    """Whether an argument of a backward method is no upstream gradient but the cache, by its name and value."""
    names = list(signature_of(function).parameters)
    first, name = names[0], names[min(taken, len(names)) - 1]
    if bare(name) or name in UPSTREAM:
        return cache_is_first(function)
    return "cache" in name or not is_float_array(value) or bare(first) != "" or first in UPSTREAM


def cache_is_first(function) -> bool:
    """Whether only the first parameter is called cache; otherwise it is expected last."""
    names = list(signature_of(function).parameters)
    return names[0].startswith("cache") and not names[-1].startswith("cache")


def with_cache(function, cache) -> Callable:
    """Backward as a function of the upstream gradients."""
    if cache_is_first(function):
        return lambda *upstream: function(cache, *upstream)
    return lambda *upstream: function(*upstream, cache)


def shared(arrays) -> list:
    """The pairs of gradients that share memory."""
    named = [(name, value) for name, value in arrays.items() if value is not None and value.ndim]
    return [(a, b) for k, (a, u) in enumerate(named) for b, v in named[k + 1 :] if np.shares_memory(u, v)]


def by_name(returned, names, kept, what, with_numbers, shapes) -> dict:
    """What backward returned and objects keep, by name. Raises CannotRun when the number of values is wrong.

    with_numbers: the names with those of numbers, which may have a gradient; shapes: name -> shape, where gradients may
    be left out.
    """
    values = values_in(returned)
    tables = any(isinstance(value, dict) for value in flat(returned))
    if returned is None and not kept:
        raise CannotRun(
            f"{what} returned None, and no gradient is kept that the check knows by its name, such as self.dW for "
            "self.W; is the return statement missing?"
        )
    if returned is not None and not with_numbers:
        raise CannotRun(f"no argument of {what} is an array of floats, so none has a gradient; write 1.0 for 1")
    pairs, found = [*entries(returned), *kept.items()], {}
    fits = [(closeness(path, name), -n, -k) for n, name in enumerate(names) for k, (path, _) in enumerate(pairs)]
    used = set()
    for best, n, k in sorted(fits, reverse=True):  # the best fit first: dW is of W, although it could be of weight
        if best and names[-n] not in found and k not in used:
            found[names[-n]] = pairs[-k][1]
            used.add(k)
    if len(values) == len(names) and not (tables and len(found) == len(names)):  # returned, whatever is kept, too
        return dict(zip(names, values, strict=True))
    left = [name for name in names if name not in found]
    if shapes:  # those of fewer arguments, in order
        own = [np.shape(to_numpy(value)) for value in values]
        several = [some for some in itertools.combinations(left, len(values)) if [shapes[one] for one in some] == own]
        if len(several) > 1:
            raise CannotRun(f"{what}: which arguments are the gradients of? Return None for the others, or a dict")
        left = list(several[0]) if several else left
        values = values if several or not tables else []  # other results
    if len(values) > len(left):
        values = [value for value in values if value is not None]
    if (values and len(values) != len(left)) or (left and not values and not tables and returned is not None):
        count = len(flat(returned))
        expected = f"{len(names)} {'is' if len(names) == 1 else 'are'} expected, in this order: {', '.join(names)}"
        more = f"; with the numbers: {', '.join(with_numbers)}" if len(with_numbers) > len(names) else ""
        more += " (None where there is none), or a dict with these names"
        raise CannotRun(f"{what} returned {count} gradient{'s' * (count != 1)}; {expected}{more}")
    found |= dict(zip(left, values, strict=False))
    return {name: found.get(name) for name in names}


def as_dicts(value):
    """What is returned, with dicts in place of objects; a float in an object, such as its eps, is no gradient."""
    if type(value) in (tuple, list):
        return type(value)(map(as_dicts, value))
    held = None if isinstance(value, dict | tuple | list) else held_by(value)
    return {key: one for key, one in held.items() if type(one) is not float} if held else value


def values_in(returned) -> list:
    """What is returned outside of dicts."""
    return [] if returned is None else [value for value in flat(returned) if not isinstance(value, dict)]


def entries(returned) -> list[tuple[str, Any]]:
    """(path, value) of everything in the dicts that are returned, also of what is in dicts and lists in them."""
    return [pair for one in (returned if isinstance(returned, tuple) else (returned,)) for pair in entries_of(one)]


def entries_of(value, path="", *, inside=False) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield from entries_of(one, f"{path}.{key}" if path else str(key), inside=True)
        return
    if inside:
        yield path, value
    for k, one in enumerate(value) if isinstance(value, list | tuple) else ():
        yield from entries_of(one, f"{path}[{k}]", inside=inside)


# ---- objects ----

PARAMS, GRADS = {"params", "parameters", "value", "data"}, {"grads", "gradients", "grad"}
TABLES = {"p", "weights", "theta", "_params"}  # what a dict of parameters may be called, too


def parameters_of(inputs, obj) -> dict[str, Any]:
    """The arrays of floats that objects hold, by all their names: W for self.W and for self.params["W"]."""
    given = {id(leaf) for value in inputs.values() for leaf in leaves(value).values()}
    arrays = {path: one for path, one in reachable(inputs, obj) if is_float_array(one) and id(one) not in given}
    found = {re.sub(r"\b(params|parameters)\.", "", path): array for path, array in arrays.items()}
    return {name: one for name, one in found.items() if not any(is_gradient_of(name, other) for other in found)}


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


def constants_of(before, after) -> set[str]:
    """The paths of what is neither zero nor changed by a run, such as the step dx of a grid x. See `reachable`."""
    after = dict(after)
    return {path for path, one in before if np.any(to_numpy(one)) and not changed(one, after.get(path))}


def first_names(arrays) -> dict[str, str]:
    """Name -> the first name of the same array."""
    first = {}
    return {name: first.setdefault(id(array), name) for name, array in arrays.items()}


def kept_by(inputs, obj, parameters, constants) -> dict[str, Any]:
    """The gradients that objects keep, by the first names of their parameters; parameters: see first_names.

    constants: the paths of what is no gradient, see constants_of.
    """
    paths, found = dict(reachable(inputs, obj)) if parameters else {}, {}
    paths = {path: value for path, value in paths.items() if path not in constants}
    for name, best in gradient_paths(tuple(parameters), tuple(paths)):
        found.setdefault(parameters[name], paths[best])
    return found


@lru_cache(maxsize=256)
def gradient_paths(names, paths) -> list[tuple[str, str]]:
    """(parameter, path): where the gradient of each parameter is, if it has one."""
    fits = [(is_gradient_of(path, name), -n, -k) for n, name in enumerate(names) for k, path in enumerate(paths)]
    found = {}
    for fit, n, k in sorted(fits, reverse=True):  # the best first: dW is of W, not of W0
        if fit and names[-n] not in found and paths[-k] not in found.values():
            found[names[-n]] = paths[-k]
    return list(found.items())


@cache
def is_gradient_of(path, name) -> int:
    """How surely what is kept at a path is, by its name, the gradient of a parameter: grads.W of W, dWs[0] of Ws[0]."""
    keys = [key for key in parts_of(path) if key not in GRADS and bare(key) not in PARAMS]
    *tables, last = parts_of(name)
    parts = [part for part in tables if part not in PARAMS | TABLES] + [last] * (last not in PARAMS)
    if len(keys) != len(parts):
        return 0
    pairs = list(zip(keys, parts, strict=True))
    marked = len(keys) < len(parts_of(path)) or any(bare(key) == plain(part) for key, part in pairs)
    same = [likeness(key, part) for key, part in pairs]
    return sum(same) if marked and all(same) else 0


def reachable(inputs, obj) -> Iterator[tuple[str, Any]]:
    """(path, value) of every array and number of floats in arguments and an object, wherever; short paths first."""
    todo, seen = [*inputs.items(), ("", obj)], set()
    for path, value in todo:  # grows
        if is_float_array(value) or is_number(value):
            yield path, value
            if is_tensor(value) and value.grad is not None:
                yield f"{path}.grad", value.grad
        elif id(value) not in seen:
            seen.add(id(value))
            table = held_by(value)
            if isinstance(table, dict):
                around = "" if path in ("", "_parameters") else f"{path}."  # torch.nn.Module has W in _parameters
                todo += [(f"{around}{key}", one) for key, one in table.items()]
            else:
                todo += [(f"{path}[{k}]", one) for k, one in enumerate(table)]
