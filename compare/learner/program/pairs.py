"""Find the forward and backward passes in a file, and inputs to try them on.

Inputs come from `example()` (for the pair X, `example_X()`): the arguments of forward as a tuple or a dict; for a
class, the object first. The layouts of two courses need no example: the sizes follow from the parameters' names.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compare.learner.program.arrays import changed, copied, is_tensor, leaves, replaced, to_numpy
from compare.learner.program.calling import Program
from compare.learner.program.gradient_names import CannotRun

HOW = (
    "add a function that returns the arguments of forward, example() or, for X_forward, example_X(): `def example(): "
    "r = np.random.default_rng(0); return r.random((3, 4)), r.random((4, 2))`; for an exercise, add --exercise NAME"
)


@dataclass
class Pair:
    """A program of a file with the inputs to try it on. name: "" or what stands before _forward."""

    name: str
    program: Program
    inputs: dict


def pairs_in(module) -> list[Pair]:
    """Every forward and backward pass of a module that has inputs. Raises CannotRun."""
    functions, classes = functions_in(module), classes_in(module)
    found = [pair_for(name, example, module) for name, example in examples_in(module).items()]
    for forward_name, backward_name in named_pairs(functions):
        forward = functions[forward_name]
        if not any(pair.program.forward is forward for pair in found):
            inputs = course_inputs(forward, base(forward_name))
            if inputs is not None and runs(forward, inputs):
                found.append(Pair(base(forward_name), program_of(forward, functions[backward_name]), inputs))
    if not found:
        if any("backward" in name for name in functions) or any(hasattr(c, "backward") for c in classes):
            raise CannotRun(HOW)
        raise CannotRun("there is no backward pass in it: no pair X_forward and X_backward, no class with both")
    return found


def not_checked(module, programs) -> list[str]:
    """A remark on each pair of functions that is none of the programs, unless other functions call it."""
    functions = functions_in(module)
    left = [pair for pair in named_pairs(functions) if functions[pair[0]] not in [one.forward for one in programs]]
    for kind in classes_in(module):
        functions |= {f"{kind.__name__}.{n}": f for n, f in vars(kind).items() if inspect.isfunction(f)}
    return [
        f"{backward}, also in this file, was not checked: add a function example_{base(forward)} that returns the "
        f"arguments of {forward}"
        for forward, backward in left
        if base(forward) and not called_by_others(forward, functions) and not called_by_others(backward, functions)
    ]


def functions_in(module) -> dict:
    return {n: f for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__}


def classes_in(module) -> list[type]:
    return [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]


def examples_in(module) -> dict:
    """What each example returns: {"": ...} for `example`, {"X": ...} for `example_X`."""
    found = {}
    for name, thing in list(vars(module).items()):  # it may define more
        word = name.lower()
        if not (word == "example" or word.startswith("example_")):
            continue
        if isinstance(thing, tuple | list | dict) or (callable(thing) and not needs_arguments(thing)):
            value = thing() if callable(thing) else copied(thing)
            again = thing() if callable(thing) else value
            if changed(value, again):
                raise CannotRun(
                    f"{name}() returns other numbers at each call: make its generator in it, np.random.default_rng(0)"
                )
            if value is None:
                raise CannotRun(f"{name}() returned None; it must return the arguments of forward")
            found[name[8:]] = (
                value if isinstance(value, tuple | dict) else tuple(value) if isinstance(value, list) else (value,)
            )
    return found


def needs_arguments(function) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters)


def base(name: str) -> str:
    """What is left of a function's name without forward or backward: lstm_step for lstm_step_forward."""
    for word in ("forward", "backward"):
        name = name.replace(f"_{word}", "").replace(f"{word}_", "").replace(word, "")
    return name


def named_pairs(functions) -> list[tuple[str, str]]:
    forward = [name for name in functions if "forward" in name]
    pairs = [(name, name.replace("forward", "backward")) for name in forward]
    return [pair for pair in pairs if pair[1] in functions]


def pair_for(name, example, module) -> Pair:
    """The Pair that an example belongs to. Raises CannotRun."""
    first = example[0] if isinstance(example, tuple) and example else None
    if (hasattr(first, "forward") or hasattr(first, "backward")) and not is_tensor(first):
        return of_object(name, first, example)
    functions = functions_in(module)
    pairs = [pair for pair in named_pairs(functions) if not name or base(pair[0]) == name]
    own = [f for n, f in functions.items() if name and name in (n, base(n)) and "backward" not in n]
    if own and not pairs:
        return alone(own[-1], example, name)
    fitting = [pair for pair in pairs if fits(functions[pair[0]], example)]
    outer = [pair for pair in fitting if not called_by_others(pair[0], functions)] or fitting
    if outer:
        forward, backward = outer[-1]
        program = program_of(functions[forward], functions[backward])
        return Pair(base(forward), program, as_inputs(functions[forward], example))
    if name:
        raise CannotRun(no_pair(name, example, functions))
    return alone(likely_loss(example, functions, module), example)


def of_object(name, first, example) -> Pair:
    """The Pair of an object, the first value of an example. Raises CannotRun."""
    if isinstance(first, type):
        raise CannotRun(f"example{name and '_'}{name}() must return an object, {first.__name__}(...), not the class")
    for method in ("forward", "backward"):
        if not hasattr(first, method):
            raise CannotRun(f"{type(first).__name__} has no method {method}")
    program = Program("forward", "backward", obj=first)
    return Pair(name or type(first).__name__, program, as_inputs(first.forward, example[1:]))


def alone(function, example, name="") -> Pair:
    """The Pair of a function without one for its backward pass: a loss, or a closure."""
    return Pair(name or base(function.__name__), Program(function, None), as_inputs(function, example))


def likely_loss(example, functions, module) -> Callable:
    """The function that takes the example and has no function for its backward pass. Raises CannotRun."""
    found = [f for n, f in functions.items() if not n.lower().startswith("example") and fits(f, example)]
    found = [f for f in found if not called_by_others(f.__name__, functions)]
    found = [f for f in found if "backward" not in f.__name__] or found
    if not found:
        raise CannotRun(no_pair("", example, functions, classes_in(module)))
    named = [f for f in found if "forward" in f.__name__ or "loss" in f.__name__]
    function = (named or found)[-1]
    own, others = function.__name__.replace("forward", "backward"), [n for n in functions if "backward" in n]
    others = [n for n in others if not called_by_others(n, functions)]
    if own != function.__name__ and others:
        raise CannotRun(f"{function.__name__} has no {own}; there is {' and '.join(others)}")
    return function


def no_pair(name, example, functions, classes=()) -> str:
    """Why an example belongs to no pair."""
    pairs, own = named_pairs(functions), f"example{name and '_'}{name}()"
    pairs = [pair for pair in pairs if base(pair[0]) == name] or pairs
    what = (
        f"the arguments {', '.join(example)}"
        if isinstance(example, dict)
        else f"{len(example)} value{'s' * (len(example) != 1)}"
    )
    if name and not any(base(pair[0]) == name for pair in pairs):
        there = f"; there is {', '.join(pair[0] for pair in pairs)}" if pairs else ""
        return f"{own} belongs to no pair: there are no {name}_forward and {name}_backward{there}"
    if pairs:
        forward = pairs[-1][0]
        return f"{own} returns {what}, but forward is {forward}{inspect.signature(functions[forward])}"
    if classes:
        return f"{own} must return an object first, such as `{classes[-1].__name__}(...), x`"
    return f"{own} returns {what}, which no function takes"


def program_of(forward, backward) -> Program:
    return Program(forward, backward, result_names=result_names(forward))


def fits(function, example) -> bool:
    try:
        bind(function, example)
    except TypeError:
        return False
    return True


def bind(function, example) -> None:
    """Raise TypeError if a function does not take an example."""
    by_position, by_name = ((), example) if isinstance(example, dict) else (example, {})
    inspect.signature(function).bind(*by_position, **by_name)


def called_by_others(name, functions) -> bool:
    others = (f for other, f in functions.items() if other != name and not other.startswith("example"))
    return any(name in names_in(f.__code__) for f in others)


def names_in(code) -> set[str]:
    """The global names that a function uses, also in comprehensions and functions within it."""
    return set(code.co_names).union(*(names_in(one) for one in code.co_consts if inspect.iscode(one)))


def result_names(function) -> list[str]:
    """What a forward pass calls its outputs: the names in its last return, without the cache; [] if they have none."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return []
    returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    values = getattr(returned[-1], "elts", [returned[-1]]) if returned else []
    names = [value.id for value in values if isinstance(value, ast.Name)]
    return names if len(names) == len(values) else []


def as_inputs(function, example) -> dict:
    """The example as forward's arguments by name."""
    if isinstance(example, dict):
        return example
    values = list(example)
    parameters = list(inspect.signature(function).parameters.values())
    names = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL and p.kind is not p.VAR_KEYWORD]
    names += [f"argument {k + 1}" for k in range(len(names), len(values))]
    return dict(zip(names, values, strict=False))


def varied(inputs, rng) -> dict:
    """The same inputs with every number of an array a little larger or smaller, and floats a little smaller.

    Signs and zeros stay, and a probability stays one.
    """
    inputs = {
        name: one * (1 - 0.2 * rng.random()) if type(one) is float else copied(one) for name, one in inputs.items()
    }
    for value in inputs.values():
        for array in leaves(value).values():
            array = to_numpy(array)
            array *= 1 + 0.2 * (rng.random(array.shape) - 0.5)
    return inputs


def resized(inputs, rng, fixed: set[int], grow: Callable, by: int) -> dict:
    """The same inputs with larger arrays and other numbers.

    fixed: sizes that stay; grow: (a size, which it is) -> a larger one, so that equal sizes stay equal; by: what is
    added to integers. Masks stay masks, and rows of probabilities stay that.
    """
    arrays = [to_numpy(array) for value in inputs.values() for array in leaves(value).values()]
    arrays = [one for one in arrays if one.ndim]
    fixed = fixed | {one.shape[-1] for one in arrays if adds_up_to_one(one)}
    sizes = sorted({size for one in arrays for size in one.shape} - fixed)

    def larger(value):
        if not (isinstance(value, np.ndarray) or is_tensor(value)):
            return value
        array = to_numpy(value)
        shape = [grow(size, sizes.index(size)) if size in sizes else size for size in array.shape]
        may_vary = array.dtype.kind == "f" and not np.isin(array, (0, 1)).all() and not adds_up_to_one(array)
        new = np.resize(array, shape)
        if may_vary:
            new = new * (1 + rng.random(shape))
        return sys.modules["torch"].from_numpy(new) if is_tensor(value) else new

    found = {name: replaced(copied(value), larger) for name, value in inputs.items()}
    return {name: one + by if type(one) is int else one for name, one in found.items()}


def adds_up_to_one(array) -> bool:
    """Whether each row is one of probabilities, such as a one-hot vector."""
    return array.ndim > 0 and array.shape[-1] > 1 and np.allclose(array.sum(axis=-1), 1)


# ---- course layouts ----


def runs(forward, inputs) -> bool:
    """Whether a forward pass takes these inputs: its parameters may only be called as in a course."""
    try:
        forward(**copied(inputs))
    except Exception:
        return False
    return True


# N sequences, T steps, D inputs, H units, V words, M outputs
SIZES = {"N": 2, "T": 3, "D": 4, "H": 3, "V": 5, "M": 2}


def course_inputs(function, name: str) -> dict | None:
    """Inputs for a function of a known course, from the names of its parameters; None if it is not one."""
    parameters = inspect.signature(function).parameters
    names = [p.name for p in parameters.values() if p.default is p.empty]
    rng = np.random.default_rng(len(name))

    def normal(*shape):
        return 0.5 * rng.standard_normal(shape)

    N, T, D, H, V, M = SIZES.values()
    blocks = 4 if "prev_c" in names or "lstm" in name else 1
    steps = () if "step" in name else (T,)
    shapes = {
        "prev_h": (N, H),
        "prev_c": (N, H),
        "h0": (N, H),
        "Wx": (D, blocks * H),
        "Wh": (H, blocks * H),
        "b": (blocks * H,),
    }
    if {"Wx", "Wh", "b"} <= set(names) and set(names) <= {"x", *shapes}:
        return {n: normal(N, *steps, D) if n == "x" else normal(*shapes[n]) for n in names}
    if names == ["x", "W"] and "embed" in name:
        return {"x": rng.integers(0, V, (N, T)), "W": normal(V, D)}
    if [n.lower() for n in names] == ["x", "w", "b"]:
        return dict(
            zip(names, (normal(N, *((T,) if "temporal" in name else ()), D), normal(D, M), normal(M)), strict=True)
        )
    if "parameters" in names:
        return with_parameters(names, normal)
    return None


def with_parameters(names, normal) -> dict | None:
    """deeplearning.ai's cells: columns are examples, all weights in one dict."""
    D, N, T, H, V = 3, 2, 4, 5, 2
    shapes = {"xt": (D, N), "x": (D, N, T), "a_prev": (H, N), "a0": (H, N), "c_prev": (H, N)}
    if not set(names) <= {*shapes, "parameters"}:
        return None
    plain = {"Wax": (H, D), "Waa": (H, H), "Wya": (V, H), "ba": (H, 1), "by": (V, 1)}
    gates = {f"W{g}": (H, H + D) for g in "fico"} | {f"b{g}": (H, 1) for g in "fico"} | {"Wy": (V, H), "by": (V, 1)}
    weights = {key: normal(*shape) for key, shape in (plain | gates).items()}
    return {n: weights if n == "parameters" else normal(*shapes[n]) for n in names}
