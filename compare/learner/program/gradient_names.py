"""Which gradient is whose? By the names of arguments, of parameters and of what a program returns or keeps."""

import itertools
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import numpy as np

from compare.learner.program.arrays import changed, flat, held_by, is_float_array, leaves, reachable, to_numpy


class CannotRun(Exception):
    """The program cannot be called; the message says what is expected."""


# ---- names ----

UPSTREAM = {"g", "grad", "gradient", "upstream", "up", "gy", "gh", "gc", "gx", "gz", "gout"}
TARGETS = re.compile(r"d(t|y|ys|target|label|truth|gold|mask|one_?hot|y_?true|y_?hot)s?$", re.IGNORECASE)
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


# ---- what is returned ----


def by_name(returned, names, kept, what, with_numbers, shapes, *, is_loss) -> dict:
    """What backward returned and objects keep, by name. Raises CannotRun when the number of values is wrong.

    with_numbers: the names with those of numbers, which may have a gradient; shapes: name -> shape of the arguments;
    is_loss: whether all was returned by forward, so that gradients may be left out, and other results be among them.
    """
    if returned is None and not kept:
        raise CannotRun(
            f"{what} returned None, and no gradient is kept that the check knows by its name, such as self.dW for "
            "self.W; is the return statement missing?"
        )
    if returned is not None and not with_numbers:
        raise CannotRun(f"no argument of {what} is an array of floats, so none has a gradient; write 1.0 for 1")
    values = values_in(returned)
    tables = any(isinstance(value, dict) for value in flat(returned))
    found = best_fits([*entries(returned), *kept.items()], names)
    if not is_loss and len(values) > len(names):  # None for an argument that has no gradient
        values = [value for value in values if value is not None]
    fit = not is_loss or [shapes.get(name) for name in names] == [np.shape(to_numpy(value)) for value in values]
    fit = fit and not any(value is None and name in kept for name, value in zip(names, values, strict=False))
    if len(values) == len(names) and fit and not (tables and len(found) == len(names)):  # these, even if some are kept
        return dict(zip(names, values, strict=True))
    left = [name for name in names if name not in found]
    if shapes:
        chosen, given = of_these_shapes(values, left, shapes, what, is_loss=is_loss)
        if is_loss and chosen:
            chosen, given = with_wrong_shapes(chosen, given, values, left, shapes, what)
        left, values = chosen or left, given if chosen or (is_loss and tables) else values
    if len(values) > len(left):
        values = [value for value in values if value is not None]
    if (values and len(values) != len(left)) or (left and not values and not tables and returned is not None):
        raise CannotRun(wrong_number(what, len(flat(returned)), names, with_numbers))
    found |= dict(zip(left, values, strict=False))
    return {name: found.get(name) for name in names}


def best_fits(pairs: list, names) -> dict:
    """For each name the best value of pairs (path, value): dW is of W, although it could be of weight."""
    fits = [(closeness(path, name), -n, -k) for n, name in enumerate(names) for k, (path, _) in enumerate(pairs)]
    found, used = {}, set()
    for best, n, k in sorted(fits, reverse=True):
        if best and names[-n] not in found and k not in used:
            found[names[-n]] = pairs[-k][1]
            used.add(k)
    return found


def of_these_shapes(values, names, shapes, what, *, is_loss) -> tuple[list[str], list]:
    """As many of the names, in order, as there are values, with the shapes of these; and the values. [], [] if none.

    What is left out may be targets and masks. Of a loss, it may be any gradients, and the last values may be other
    results. Raises CannotRun if several choices are possible.
    """
    for count in range(len(values), 0 if is_loss else max(0, len(values) - 1), -1):
        own = [np.shape(to_numpy(value)) for value in values[:count]]
        found = [some for some in itertools.combinations(names, count) if [shapes.get(one) for one in some] == own]
        usual = [some for some in found if all(TARGETS.match(one) for one in names if one not in some)]
        if len(usual) == 1 or (is_loss and len(found) == 1):
            return list((usual or found)[0]), values[:count]
        if is_loss and found:
            raise CannotRun(f"{what}: which arguments are the gradients of? Return None for the others, or a dict")
    return [], []


def with_wrong_shapes(chosen, given, values, names, shapes, what) -> tuple[list[str], list]:
    """What `of_these_shapes` chose of a loss, and the gradients after them if the first has only its sides swapped.

    Raises CannotRun if the value after them may be a gradient of a wrong shape or another result.
    """
    rest, after = values[len(given) :], names[names.index(chosen[-1]) + 1 :]
    if not rest or not after or not is_float_array(rest[0]):
        return chosen, given
    shape, expected = np.shape(to_numpy(rest[0])), shapes[after[0]]
    if sorted(shape) == sorted(expected):
        return chosen + after[: len(rest)], values[: len(given) + len(after)]
    if len(shape) == len(expected):
        raise CannotRun(
            f"{what} returned an array of shape {shape} after {chosen[-1]}, but the shape of {after[0]} is {expected}; "
            f"if it is another result, return None for {after[0]} before it"
        )
    return chosen, given


def wrong_number(what, count, names, with_numbers) -> str:
    expected = f"{len(names)} {'is' if len(names) == 1 else 'are'} expected, in this order: {', '.join(names)}"
    more = f"; with the numbers: {', '.join(with_numbers)}" if len(with_numbers) > len(names) else ""
    more += " (None where there is none), or a dict with these names"
    return f"{what} returned {count} gradient{'s' * (count != 1)}; {expected}{more}"


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


def constants_of(before, after) -> set[str]:
    """The paths of what is neither zero nor changed by a run, such as the step dx of a grid x. See `reachable`."""
    after = dict(after)
    return {path for path, one in before if np.any(to_numpy(one)) and not changed(one, after.get(path))}


def first_names(arrays) -> dict[str, str]:
    """Name -> the first name of the same array."""
    first = {}
    return {name: first.setdefault(id(array), name) for name, array in arrays.items()}


def places_of_gradients(inputs, obj, parameters, constants) -> dict[str, str]:
    """Where objects keep gradients: the first name of each parameter -> a path; parameters: see first_names.

    constants: the paths of what is no gradient, see constants_of.
    """
    paths = [path for path, _ in reachable(inputs, obj) if path not in constants] if parameters else []
    found = {}
    for name, best in gradient_paths(tuple(parameters), tuple(paths)):
        found.setdefault(parameters[name], best)
    return found


def kept_by(inputs, obj, places) -> dict[str, Any]:
    """The gradients that objects keep at some places, by the first names of their parameters."""
    paths = dict(reachable(inputs, obj)) if places else {}
    return {name: paths[path] for name, path in places.items() if path in paths}


def kept_elsewhere(inputs, obj, parameters, constants, gradients) -> dict[str, tuple]:
    """Where objects keep a second, different gradient of a parameter: its path -> (name of the one compared, value).

    gradients: those that are compared, by name.
    """
    found = {}
    for path, one in reachable(inputs, obj):
        names = [f"d{first}" for name, first in parameters.items() if is_gradient_of(path, name)]
        known = {name: to_numpy(gradients[name]) for name in names if gradients.get(name) is not None}
        alike = {name: value for name, value in known.items() if np.size(to_numpy(one)) == value.size}
        if path not in constants and alike and not any(same(to_numpy(one), value) for value in alike.values()):
            found[path] = next(iter(alike)), to_numpy(one)
    return found


def same(a, b) -> bool:
    """Whether two arrays of one size hold the same, up to rounding."""
    from compare.agreement import RESOLUTION  # the sandbox, which asks for no places, has this file but not that one

    return bool(np.abs(np.ravel(a) - np.ravel(b)).max(initial=0) <= RESOLUTION * np.abs(b).max(initial=0))


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
    if "prev" in path.lower() and "prev" not in name.lower():  # what momentum keeps
        return 0
    keys = [key for key in parts_of(path) if key not in GRADS and bare(key) not in PARAMS]
    *tables, last = parts_of(name)
    parts = [part for part in tables if part not in PARAMS] + [last] * (last not in PARAMS)
    if len(parts) != len(keys):  # grads["W"] is of p["W"]; but p.dW is of p.W
        parts = [part for part in parts[:-1] if part not in TABLES] + parts[-1:]
    if len(keys) != len(parts):
        return 0
    pairs = list(zip(keys, parts, strict=True))
    marked = len(keys) < len(parts_of(path)) or any(bare(key) == plain(part) for key, part in pairs)
    same = [likeness(key, part) for key, part in pairs]
    return sum(same) if marked and all(same) else 0
