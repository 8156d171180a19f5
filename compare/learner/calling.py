"""Call a forward and a backward pass in the form in which somebody wrote them.

    forward(*args) -> (*outputs, cache)         backward(*upstream, cache) -> gradients
    forward(*args) -> outputs                   backward(*upstream, *args) -> gradients
    forward(*args) -> (*outputs, pullback)      pullback(*upstream) -> gradients
    loss(*args)    -> (number, *gradients)
    an object with forward(*inputs) and backward(*upstream), which keeps the gradients of its parameters

Gradients are a tuple, in the order of the arguments, or a dict with their names. An argument that is no array of floats
has no gradient; one that is a dict, a list or a tuple of arrays has one for each of them.
"""

import copy
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np


class CannotRun(Exception):
    """The program cannot be called; the message says what is expected."""


@dataclass
class Case:
    """One set of inputs, and what a right program makes of it.

    words: what it is, for the report; inputs: forward's arguments by name, in order ("self": the object); upstream: the
    gradients of the outputs, in order; expected: the right results and gradients by name; results: the names of those
    that forward returns; slack: the error that the expected gradients may have; unchecked: the gradients that the
    program does not return.
    """

    words: str
    inputs: dict[str, Any]
    upstream: list = field(default_factory=list)
    expected: dict[str, np.ndarray] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    slack: dict[str, float] = field(default_factory=dict)
    unchecked: list[str] = field(default_factory=list)

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


def flat(value) -> list:
    """The values in nested tuples and lists, in order; anything else is one value."""
    return [leaf for one in value for leaf in flat(one)] if isinstance(value, tuple | list) else [value]


def copied(value):
    """A deep copy with writeable arrays; what cannot be copied, such as a module, stays itself."""
    try:
        return copy.deepcopy(value)
    except TypeError:
        if type(value) is dict:
            return {key: copied(one) for key, one in value.items()}
        return type(value)(copied(one) for one in value) if type(value) in (tuple, list) else value


def converted(value, to_array: Callable):
    """The value with every array in it replaced by to_array(array)."""
    if isinstance(value, np.ndarray):
        return to_array(value)
    if type(value) in (tuple, list):
        return type(value)(converted(one, to_array) for one in value)
    return {key: converted(one, to_array) for key, one in value.items()} if type(value) is dict else value


def random_like(value, rng, scale: float = 1.0):
    """Random numbers with the structure of an output: an array, a number, or a tuple, list or dict of these."""
    if isinstance(value, tuple | list):
        return tuple(random_like(one, rng, scale) for one in value)
    if isinstance(value, dict):
        return {key: random_like(one, rng, scale) for key, one in value.items()}
    array = to_numpy(value)
    if array.dtype.kind != "f":
        return None
    made = np.asarray(scale * rng.standard_normal(array.shape)).astype(array.dtype)
    if is_tensor(value):
        return sys.modules["torch"].from_numpy(made)
    return made if isinstance(value, np.ndarray) else made[()]


def dot(upstream, value) -> float:
    """The sum of upstream gradient times output: the loss whose gradients backward computes."""
    if isinstance(upstream, tuple | list):
        return sum(dot(u, v) for u, v in zip(upstream, value, strict=False))
    if isinstance(upstream, dict):
        return sum(dot(u, value[key]) for key, u in upstream.items())
    return 0.0 if upstream is None else float(np.sum(to_numpy(upstream) * to_numpy(value)))


def changed(before, after) -> bool:
    """Whether an array of an input is no longer the same, bit for bit."""
    pairs = zip(leaves(before).values(), leaves(after).values(), strict=False)
    return any(not np.array_equal(to_numpy(a), to_numpy(b), equal_nan=True) for a, b in pairs)


# ---- names of gradients ----

MARKS = ("gradients_", "gradient_", "grads_", "grad_", "dldd", "dld", "dl_d", "dloss_d", "d_", "d")


@cache
def plain(name) -> str:
    """A name as people vary it: W_hh, weight_hh, Whh and weight_hh_l0 all become whh."""
    name = str(name).rsplit(".", 1)[-1].lower().removesuffix("_l0").replace("weight", "w").replace("bias", "b")
    return name.replace("_", "").replace("0", "").replace("prev", "")


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


def accepts(function: Callable, count: int) -> bool:
    """Whether a function can be called with `count` arguments by position."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def name_of(function) -> str:
    return getattr(function, "__qualname__", str(function)).replace("<locals>.", "")


def call(function: Callable, known: dict, order: list[str]):
    """Call a function by the names of its parameters if all are known, otherwise by position. Raises CannotRun."""
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needed = [p.name for p in named if p.default is p.empty]
    if len(named) == len(parameters) and all(name in known for name in needed):
        return function(**{p.name: known[p.name] for p in named if p.name in known})
    if accepts(function, len(order)):
        return function(*(known[name] for name in order))
    takes = ", ".join(p.name for p in parameters)
    raise CannotRun(f"{name_of(function)}({takes}) has other arguments than the expected ones ({', '.join(order)})")


class Program:
    """A forward and a backward pass that can be run on a Case.

    forward, backward: functions, or the names of methods of the object; backward is None when forward returns a
    pullback or the gradients themselves; forward is None when one function does it all. build: how to make the object
    from the inputs. to_array: what the program's arrays are made with. wrt: the arguments that need a gradient.
    result_names, upstream_names: what they are called, in an exercise.
    """

    def __init__(self, forward, backward, *, build=None, to_array=None, wrt=None, result_names=(), upstream_names=()):
        self.forward, self.backward, self.build, self.to_array, self.wrt = forward, backward, build, to_array, wrt
        self.result_names, self.upstream_names = list(result_names), list(upstream_names)
        self.parameters = None  # the paths of the arrays that the object has before forward

    @property
    def keeps_state(self) -> bool:
        """Whether what backward needs is kept in an object or a pullback, which may be used up or added to."""
        return self.build is not None or self.backward is None

    def prepared(self, case: Case):
        """Fresh inputs for one run, and the object whose methods are called, or None."""
        inputs = {name: copied(value) for name, value in case.inputs.items()}  # one array given twice becomes two
        if self.to_array:
            inputs = converted(inputs, self.to_array)
        if not self.build:
            return inputs, None
        inputs, obj = self.build(inputs)
        if self.parameters is None:
            self.parameters = {path for path, _, _ in arrays_of(obj)}
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
        if obj is not None and most(function, count) > 0:
            return returned, function, most(function, count)
        cached = most(function, count) - 1  # the last argument is the cache
        if count > 1 and (cached > 0 or (cached == 0 and np.ndim(returned[0]) == 0)):
            return returned[:-1], lambda *upstream: function(*upstream, returned[-1]), cached
        if accepts(function, count + len(inputs)):
            return returned, lambda *upstream: function(*upstream, *inputs.values()), count
        raise CannotRun(
            f"{name_of(function)}{inspect.signature(function)} does not fit the {count} value{'s' * (count != 1)} that "
            f"forward returns: it should take the gradients of forward's outputs, then the cache, forward's last value"
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

    def run(self, case: Case) -> Outcome:
        """Forward and backward, once. Raises CannotRun, or whatever the program raises."""
        inputs, obj, outputs, backward, _ = self.once(case)
        upstream = self.fresh_upstream(case)
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

    def fresh_upstream(self, case):
        upstream = copied(case.upstream)
        return converted(upstream, self.to_array) if self.to_array else upstream

    def named_results(self, outputs):
        values = [value for value in flat(outputs) if is_float_array(value) or isinstance(value, float | np.floating)]
        more = [f"output {k + 1}" for k in range(len(self.result_names), len(values))]
        return dict(zip([*self.result_names, *more], values, strict=False))

    def named_gradients(self, returned, inputs, obj, case):
        kept = {f"d{path}": grad for path, (_, grad) in kept_by(obj).items() if path in self.parameters}
        names = case.gradients if case.expected else None
        if names is None:
            skip = set() if self.wrt is None else set(inputs) - set(self.wrt)
            names = [f"d{leaf}" for name, value in inputs.items() if name not in skip for leaf in leaves(value, name)]
            names += [name for name in kept if name not in names]
        return by_name(returned, names, kept, name_of(self.backward or self.forward))


def most(function, count) -> int:
    """The largest number of arguments, up to `count`, that a function takes; -1 for none."""
    return next((n for n in range(count, -1, -1) if accepts(function, n)), -1)


def shared(arrays) -> list:
    """The pairs of gradients that share memory."""
    named = [(name, value) for name, value in arrays.items() if value is not None and value.ndim]
    return [(a, b) for k, (a, u) in enumerate(named) for b, v in named[k + 1 :] if np.shares_memory(u, v)]


def by_name(returned, names, kept, what) -> dict:
    """What backward returned and the object keeps, by name. Raises CannotRun when the number of values is wrong."""
    values = [value for value in flat(returned) if not isinstance(value, dict)] if returned is not None else []
    tables = any(isinstance(value, dict) for value in flat(returned))
    if returned is None and not kept:
        raise CannotRun(f"{what} returned None; is the return statement missing?")
    outer = returned if isinstance(returned, tuple) else (returned,)
    pairs, found = [pair for one in outer for pair in entries(one)] + list(kept.items()), {}
    for name in names:
        fits = [(closeness(path, name), -k) for k, (path, _) in enumerate(pairs)]
        best, k = max(fits, default=((), 0))
        if best:
            found[name] = pairs.pop(-k)[1]
    if len(values) == len(names) and not (tables and len(found) == len(names)):  # returned, whatever is kept, too
        return dict(zip(names, values, strict=True))
    left = [name for name in names if name not in found]
    if len(values) > len(left):
        values = [value for value in values if value is not None]
    if (values and len(values) != len(left)) or (left and not values and not tables):
        count = len(flat(returned))
        expected = f"{len(names)} {'is' if len(names) == 1 else 'are'} expected, in this order: {', '.join(names)}"
        raise CannotRun(f"{what} returned {count} value{'s' * (count != 1)}; {expected}")
    found |= dict(zip(left, values, strict=False))
    return {name: found.get(name) for name in names}


def entries(value, path="", *, inside=False) -> Iterator[tuple[str, Any]]:
    """(path, value) of everything in the dicts that are returned, also of what is in dicts and lists in them."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from entries(one, f"{path}.{key}" if path else str(key), inside=True)
        return
    if inside:
        yield path, value
    for k, one in enumerate(value) if isinstance(value, list | tuple) else ():
        yield from entries(one, f"{path}[{k}]", inside=inside)


def kept_by(obj) -> dict[str, tuple]:
    """The parameters of an object that have a gradient next to them: path -> (array, gradient).

    In self.params and self.grads, two dicts or two lists; as self.W and self.dW; and in the objects it consists of.
    """
    found = {}
    for path, array, partner in arrays_of(obj):
        if partner is not None and not any(array is other for other, _ in found.values()):
            found[path] = (array, partner)
    return found


def reachable(value, path="", seen=()) -> Iterator[tuple[str, Any]]:
    """(path, array) of every array of floats that an object holds, wherever."""
    if is_float_array(value):
        yield path, value
    if is_tensor(value) or isinstance(value, type | np.ndarray) or id(value) in seen:
        return
    names = [*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())]
    inner = [(f".{name}", getattr(value, name, None)) for name in names]
    if isinstance(value, dict):
        inner = [(f".{key}", one) for key, one in value.items()]
    elif isinstance(value, list | tuple):
        inner = [(f"[{k}]", one) for k, one in enumerate(value)]
    for key, one in inner:
        yield from reachable(one, f"{path}{key}" if path else key.removeprefix("."), (*seen, id(value)))


PARAMS, GRADS = ("params", "parameters"), ("grads", "gradients", "grad")


def arrays_of(obj):
    """Every array of floats of an object and of those it consists of: (path, array, its gradient or None)."""
    todo, seen = [("", obj)], set()
    while todo:
        path, owner = todo.pop(0)
        if not hasattr(owner, "__dict__") or isinstance(owner, type) or is_tensor(owner) or id(owner) in seen:
            continue
        seen.add(id(owner))
        table = vars(owner)
        params, grads = (next((table[n] for n in names if n in table), None) for names in (PARAMS, GRADS))
        if isinstance(params, list | tuple):
            partners = grads if isinstance(grads, list | tuple) and len(grads) == len(params) else [None] * len(params)
            yield from ((f"{path}params[{k}]", p, g) for k, (p, g) in enumerate(zip(params, partners, strict=True)))
        grads = grads if isinstance(grads, dict) else {}
        for name, value in (table | (params if isinstance(params, dict) else {})).items():
            if is_float_array(value):
                near = [grads[name]] if name in grads else []
                near += [g for key, g in (table | grads).items() if key != name and bare(key) == plain(name)]
                yield f"{path}{name}", value, (near or [None])[0]
            inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
            todo += [(f"{path}{name}.", value), *((f"{path}{name}[{k}].", one) for k, one in inner)]
