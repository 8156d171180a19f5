"""Run a learner's code on a problem, forward once and backward twice, and record what it did."""

import sys
import types
import warnings
from dataclasses import dataclass, field

import numpy as np

from compare.agreement import difference, in_eps, least_size
from compare.learner import attempt, instrument

KINDS = {
    "softmax": (attempt.Single, "cross_entropy"),
    "linear": (attempt.Pair, "Linear"),
    "embedding": (attempt.Pair, "Embedding"),
    "clipping": (attempt.Clip, "clip_grad_norm"),
    "adam": (attempt.Optimizer, "Adam"),
}


def attempt_at(exercise, module, problem, frozen=False):
    """The learner's code with a problem to solve. frozen: writing into an input raises ValueError."""
    kind, title = KINDS.get(exercise.name, (attempt.Pair, None))
    return kind(module, problem, title, frozen)


class TooLong(BaseException):
    """The time is up. Not an Exception: a learner's `except Exception` must not catch it."""


def load(code, sites, file):
    """The learner's module and the Watch of its sites. Raises whatever importing the module raises."""
    watch = instrument.Watch(sites)
    module = types.ModuleType("learner")
    module.__file__, module.__see__ = str(file), watch.see
    sys.modules["learner"] = module  # dataclasses look up their module
    exec(code, vars(module))
    return module, watch


@dataclass
class Observation:
    """What a module did with a problem: its outputs by name, or the error that stopped it."""

    outputs: dict = field(default_factory=dict)
    results: tuple = ()  # the names of those that forward returned
    changed: list = field(default_factory=list)
    shared: list = field(default_factory=list)  # pairs of gradients that share memory
    again: list = field(default_factory=list)  # the gradients that differ in a second backward
    error: BaseException | None = None


def observe(exercise, module, problem, frozen=False):
    """Run forward once and backward twice. Returns an Observation, or None for a problem with options not supported."""
    seen = Observation()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            one = attempt_at(exercise, module, problem, frozen)
            if not one.accepts_options():
                return None
            results = one.forward()
            seen.outputs = {name: copied(value) for name, value in results.items()}
            seen.results = tuple(results)
            gradients = one.backward()
            seen.outputs |= {name: copied(value) for name, value in gradients.items()}
            seen.shared = shared(gradients)
            seen.changed = one.changed()
            if not seen.changed:
                again = one.backward()
                seen.again = [name for name in gradients if not alike(again[name], seen.outputs[name])]
    except (TooLong, KeyboardInterrupt):
        raise
    except BaseException as error:  # sys.exit() too
        seen.error = error
    not_tried = "torch" in sys.modules and not getattr(module, "__arrays__", False)
    if not_tried and isinstance(seen.error, TypeError | AttributeError | RuntimeError):
        module.__arrays__ = True  # it imports torch, but may need arrays nevertheless
        again = observe(exercise, module, problem, frozen)
        if again is None or again.error is None:
            return again
        module.__arrays__ = False
    return seen


def alike(a, b):
    """The same numbers, bit for bit; a nan equals a nan."""
    if a is None or b is None:
        return a is b
    return np.array_equal(a, b, equal_nan=b.dtype.kind == "f")


def copied(value):
    return None if value is None else np.array(value)


def shared(gradients):
    names = [name for name, value in gradients.items() if isinstance(value, np.ndarray) and value.ndim]
    return [(a, b) for k, a in enumerate(names) for b in names[k + 1 :] if np.shares_memory(gradients[a], gradients[b])]


def expected_of(problem):
    return {**problem.results, **problem.gradients}


def compared(problem, observation, name):
    """An output's name, shape, error in eps of its largest entry, and verdict."""
    expected = expected_of(problem)
    got, want = observation.outputs[name], expected[name]
    got = got.astype(want.dtype)
    least = least_size(
        value for key, value in expected.items() if (key in problem.results) == (name in problem.results)
    )
    wrong = difference(np.atleast_1d(got), np.atleast_1d(want), name, least=least)
    return {
        "name": name,
        "shape": list(got.shape),
        "eps": in_eps(got, want),
        "verdict": "wrong" if wrong else "right",
    }
