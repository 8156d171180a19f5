"""Call what a learner wrote, in any form: two functions, one function or a class; any names; NumPy or torch.

Arguments are passed by name where the names are known, and otherwise by position, in the starter's order.
"""

import inspect
import sys

import numpy as np


class Unfit(Exception):
    """The learner's code cannot be called as the exercise needs; the message says what is expected."""


def find(module, *names):
    """The first function of `names` that the module itself defines, or None."""
    for name in names:
        thing = getattr(module, name, None)
        if inspect.isfunction(thing) and thing.__module__ == module.__name__:
            return thing
    return None


def class_with_backward(module, name):
    """The class called `name`, else the module's last class with a backward that is no base of another, else None."""
    classes = [
        thing
        for thing in vars(module).values()
        if inspect.isclass(thing) and thing.__module__ == module.__name__ and hasattr(thing, "backward")
    ]
    classes = [one for one in classes if not any(other is not one and issubclass(other, one) for other in classes)]
    named = [thing for thing in classes if thing.__name__ == name]
    return (named or classes or [None])[-1]


def call(function, known, order):
    """Call a function with the arguments that it takes.

    known: dict of values by name; order: the names in the order of the starter's arguments. Raises Unfit.
    """
    parameters = inspect.signature(function).parameters.values()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    required = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if len(named) == len(parameters) and all(name in known for name in required):
        return function(**{p.name: known[p.name] for p in named if p.name in known})
    room = float("inf") if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(parameters)
    if len(required) <= len(order) <= room:
        return function(*(known[name] for name in order))
    takes = ", ".join(p.name for p in parameters)
    raise Unfit(f"{name_of(function)}({takes}) has other arguments than the starter's ({', '.join(order)})")


def name_of(function):
    return getattr(function, "__qualname__", str(function)).replace("<locals>.", "")


def flat(values):
    """The values in nested tuples and lists, in order; anything else is one value."""
    if isinstance(values, tuple | list):
        return [one for value in values for one in flat(value)]
    return [values]


SYNONYMS = {
    "weight_ih": "W_ih",
    "weight_hh": "W_hh",
    "bias_ih": "b_ih",
    "bias_hh": "b_hh",
    "Wih": "W_ih",
    "Whh": "W_hh",
    "bih": "b_ih",
    "bhh": "b_hh",
    "h0": "h_0",
    "c0": "c_0",
    "weight": "W",
    "bias": "b",
}


def by_name(returned, names, what):
    """What a function returned, as a dict: the entries of a dict by their names, of a tuple by the order of `names`.

    A dict within a tuple is read by its names, too. Raises Unfit when the number of values is wrong.
    """
    found, rest = {}, []
    for value in flat(returned):
        if isinstance(value, dict):
            for key, entry in value.items():
                found[known_name(key, names)] = entry
        else:
            rest.append(value)
    left = [name for name in names if name not in found]
    if len(rest) != len(left) and not (found and len(rest) > len(left)):
        values = flat(returned)
        if not found and all(value is None for value in rest):
            raise Unfit(f"{what} returned None; is the return statement missing?")
        raise Unfit(
            f"{what} returned {len(values)} value{'s' * (len(values) != 1)}; "
            f"{len(names)} are expected, in this order: {', '.join(names)}"
        )
    found |= zip(left, rest, strict=False)
    missing = [name for name in names if name not in found]
    if missing:
        raise Unfit(f"{what} did not return {', '.join(missing)}; these are expected: {', '.join(names)}")
    return {name: found[name] for name in names}


def known_name(key, names):
    """A learner's key as one of `names`: dW_hh, W_hh, weight_hh_l0 and dweight_hh all mean dW_hh."""
    key = str(key)
    for candidate in (key, f"d{key}"):
        if candidate in names:
            return candidate
    bare = key.removesuffix("_l0").removeprefix("d")
    return f"d{SYNONYMS.get(bare, bare)}"


def to_numpy(value):
    """A tensor or an array as an array that shares its memory; None stays None."""
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    return None if value is None else np.asarray(value)


def giver(module):
    """How to pass arrays: a function array -> what the learner's code gets.

    A file that imports torch gets tensors, unless it failed with them before (`module.__arrays__`).
    """
    torch = sys.modules.get("torch")
    if torch is None or getattr(module, "__arrays__", False):
        return lambda array: array
    if any(value is torch or is_of(torch, value) for value in vars(module).values()):
        return lambda array: torch.from_numpy(array)
    return lambda array: array


def is_of(torch, value):
    """Whether a value is a function of torch, as after `from torch import tanh`."""
    name = getattr(value, "__name__", None)
    return isinstance(name, str) and callable(value) and getattr(torch, name, None) is value


def flat_top(returned):
    """What a function returned, as a list of values."""
    return list(returned) if isinstance(returned, tuple | list) else [returned]
