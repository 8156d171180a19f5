"""Arrays and tensors, and the dicts, lists and objects that hold them."""

import copy
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np


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
        pairs = [(str(key), one) for key, one in but_statistics(value).items()]
    elif isinstance(value, tuple | list):
        pairs = [(f"{name}[{k}]", one) for k, one in enumerate(value)]
    for key, one in pairs:
        prefix = f"{key}." if isinstance(one, dict) else ""
        found |= {f"{prefix}{path}": leaf for path, leaf in leaves(one, key).items()}
    return found


def but_statistics(value):
    """A dict without running means and the like, which a batch norm reads and writes, as in CS231n; else the value."""
    if type(value) is not dict:
        return value
    return {key: one for key, one in value.items() if not str(key).startswith(("running", "moving"))}


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
    if value is None:
        return None
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
