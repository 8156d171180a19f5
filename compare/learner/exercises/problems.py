"""The exercises' problems: small random inputs, and how each exercise is called.

The right answers are those of the solution, which is the project's own code; tests/parity and
tests/learner/test_check.py hold it to autograd.

Sizes: T steps, B rows, I inputs, H hidden units, V words of E numbers each, C classes.
"""

import functools
import inspect
import sys
import types

import numpy as np

import scratch
from compare.learner.exercises import ladder, training_loop
from compare.learner.program.arrays import arrays_in, changed, copied, random_like
from compare.learner.program.calling import Case, Outcome, Program, call
from compare.learner.program.gradient_names import CannotRun, plain
from scratch.model import CELLS, module_of

STATES = {"rnn": ["h_n"], "gru": ["h_n"], "mingru": ["h_n"], "lstm": ["h_n", "c_n"], "lengths": ["h_n", "c_n"]}


def cell(name, T, B, I, H, *, upstream=1.0, dtype="float64", **options):
    """A recurrent cell over T steps. upstream: the size of the gradients from the loss."""
    rng = np.random.default_rng([T, B, I, H])
    G = len(module_of(name).GATES)
    weights = {"W_ih": (G * H, I), "W_hh": (G * H, H), "b_ih": (G * H,), "b_hh": (G * H,)}
    taken = [kind.replace("weight", "W").replace("bias", "b") for kind in CELLS[name][0].weights]
    states = {state.replace("_n", "_0"): (B, H) for state in STATES[name]}
    shapes = {"x": (T, B, I), **states, **{key: weights[key] for key in taken}}
    inputs = {key: (0.6 * rng.standard_normal(shape)).astype(dtype) for key, shape in shapes.items()}
    words = f"{counted(T, 'step')}, {counted(B, 'row')}, {counted(I, 'input')}, {counted(H, 'hidden unit')}"
    words += f", gradients about {upstream:g}" * (upstream != 1) + f", {dtype}" * (dtype != "float64")
    return Case(words + "".join(f", {value}" for value in options.values()), inputs | options), upstream


def counted(n, what):
    return f"{n} {what}{'s' * (n != 1)}"


def softmax(T, B, C, *, masked=False, large=1.0, padding=0.0):
    """Cross-entropy at every step. large: the logits; padding: added to the logits of targets that are not valid."""
    rng = np.random.default_rng([T, B, C])
    logits, targets = large * rng.standard_normal((T, B, C)), rng.integers(0, C, (T, B))
    valid = rng.random((T, B)) < 0.6 if masked else np.ones((T, B), bool)
    valid[0, 0] = True
    logits[~valid] += padding
    words = f"{T} steps, {B} rows, {C} classes" + ", some targets not valid" * masked
    words += f", logits about {large:g}" * (large != 1) + f", {padding:g} in the logits not valid" * (padding != 0)
    return Case(words, {"logits": logits, "targets": targets, "valid": valid if masked else None}), 1.0


def linear(*shape, O):
    rng = np.random.default_rng([*shape, O])
    x, W, b = (rng.standard_normal(s) for s in (shape, (O, shape[-1]), (O,)))
    return Case(f"x of shape {shape}, {O} outputs", {"x": x, "W": W, "b": b}), 1.0


def embedding(T, B, V, E):
    rng = np.random.default_rng([T, B, V, E])
    ids = rng.integers(0, V, (T, B))
    ids[-1, -1] = ids[0, 0]  # at least one id twice
    return Case(
        f"{T} steps, {B} rows, {V} words, {E} numbers each", {"ids": ids, "W": rng.standard_normal((V, E))}
    ), 1.0


def lengths(lengths, I, H):
    """A padded batch for an LSTM."""
    T, B = max(lengths), len(lengths)
    given = cell("lstm", T, B, I, H)[0].inputs
    weights = [given[name] for name in ("W_ih", "W_hh", "b_ih", "b_hh")]
    inputs = {"x": given["x"], "state": (given["h_0"], given["c_0"]), "weights": weights, "lengths": np.array(lengths)}
    return Case(f"lengths {' '.join(map(str, lengths))} of {T} steps, {I} inputs, {H} hidden units", inputs), 1.0


def clipping(max_norm):
    rng = np.random.default_rng(7)
    grads = {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(3)}
    norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
    return Case(f"a norm of {norm:.3g}, at most {max_norm:g}", {"grads": grads, "max_norm": max_norm}), 1.0


def adam(steps, large=1.0, weight_decay=0.0):
    """Two parameters of one shape. large: the gradients; small ones show where eps is added."""
    rng = np.random.default_rng([8, steps])
    params = {"W": rng.standard_normal((3, 2)), "U": rng.standard_normal((3, 2))}
    grads = [{name: large * rng.standard_normal(p.shape) for name, p in params.items()} for _ in range(steps)]
    options = {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-8, "weight_decay": weight_decay}
    words = counted(steps, "step") + f", gradients about {large:g}" * (large != 1)
    return Case(
        words + f", weight decay {weight_decay}" * bool(weight_decay), {"params": params, **options, "grads": grads}
    ), 1.0


def inputs_of(exercise: str) -> list:
    """The cases of an exercise, without answers; the first ones are small, because wrong lines are searched there."""
    name = exercise.removesuffix("_step")
    relu = [cell("rnn", 1 if exercise.endswith("step") else 3, 4, 2, 5, nonlinearity="relu")] if name == "rnn" else []
    match exercise:
        case "rnn" | "gru" | "lstm" | "mingru":
            return [
                cell(name, 3, 2, 4, 3),
                cell(name, 2, 1, 1, 1),
                cell(name, 1, 1, 1, 1),
                cell(name, 4, 3, 2, 5, upstream=100.0),
                cell(name, 4, 3, 2, 5, dtype="float32"),
                *relu,
            ]
        case "rnn_step" | "gru_step" | "lstm_step":
            return [cell(name, 1, 4, 2, 5), cell(name, 1, 1, 1, 1), cell(name, 1, 3, 2, 2, upstream=100.0), *relu]
        case "softmax":
            padded = softmax(2, 3, 4, masked=True, padding=100.0)
            large = softmax(2, 3, 4, large=1e4)
            return [softmax(3, 4, 5), softmax(3, 4, 5, masked=True), softmax(1, 1, 2), padded, large]
        case "linear":
            return [linear(4, 3, O=5), linear(3, 4, 2, O=5), linear(1, 1, O=1), linear(3, O=2)]
        case "embedding":
            return [embedding(3, 4, 5, 2), embedding(2, 1, 1, 1), embedding(5, 6, 200, 3)]
        case "lengths":
            return [lengths((5, 3, 3, 1), 2, 4), lengths((3, 3), 2, 2), lengths((1,), 1, 1)]
        case "clipping":
            return [clipping(1.0), clipping(100.0), clipping(0.0)]
        case "adam":
            return [adam(3), adam(1), adam(3, large=1e-8), adam(3, weight_decay=0.1)]
        case "truncated":
            return [(Case(words, inputs), 1.0) for words, inputs in training_loop.runs()]


@functools.cache
def cases(exercise: str) -> list[Case]:
    """The cases of an exercise with the right answers, those of the solution."""
    module = types.ModuleType("solution")
    exec(compile(ladder.solution(ladder.BY_NAME[exercise]), "<the solution>", "exec"), vars(module))
    program = program_for(exercise, module)
    return [answered(program, case, scale, GRADIENTS.get(exercise)) for case, scale in inputs_of(exercise)]


def answered(program, case, scale=1.0, names=None) -> Case:
    """The case with upstream gradients, and with what the program makes of it as the right answer."""
    if isinstance(program, Program):
        *_, outputs, _, taken = program.once(case)
        rng = np.random.default_rng(len(case.words))
        case.upstream = [random_like(one, rng, scale) for one in outputs[:taken]]
    case.expected = dict.fromkeys(names or ())
    outcome = program.run(case)
    case.expected, case.results = outcome.outputs, outcome.results
    return case


TITLES = {
    "softmax": "cross_entropy",
    "linear": "Linear",
    "embedding": "Embedding",
    "clipping": "clip_grad_norm",
    "adam": "Adam",
}
GRADIENTS = {
    "lengths": ["dx", "dh_0", "dc_0", "dW_ih", "dW_hh", "db_ih", "db_hh"],
    "linear": ["dx", "dW", "db"],
    "embedding": ["dW"],
}


def program_for(exercise: str, module):
    """How to run a learner's module on the cases of an exercise. Raises CannotRun."""
    title = TITLES.get(exercise)
    if exercise == "truncated":
        return training_loop.Loop(the_function(module, "fit"))
    if exercise in ("clipping", "adam"):
        return {"clipping": Clipping, "adam": Optimizer}[exercise](module, title)
    to_array = tensor_maker(module)
    if exercise == "softmax":
        return Program(the_function(module, title), None, to_array=to_array, wrt=["logits"], result_names=["loss"])
    states = STATES.get(exercise.removesuffix("_step"), [])
    named = {"result_names": ["y", *states], "upstream_names": ["dy", *(f"d{name}" for name in states)]}
    backward, forward = own_function(module, "backward"), own_function(module, "forward")
    if backward is None:
        return Program("forward", "backward", build=builder(module, title), to_array=to_array, **named)
    if exercise == "lengths":
        named["upstream_names"] = ["dy", "dstate_n"]
        forward, backward = (functools.partial(one, scratch.lstm) for one in (forward, backward))
    return Program(forward, backward, to_array=to_array, **named)


def own_function(module, name):
    function = getattr(module, name, None)
    return function if inspect.isfunction(function) and function.__module__ == module.__name__ else None


def the_function(module, title):
    """The function called `title`, or the only one that the module defines."""
    functions = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    named = [f for f in functions if f.__name__ == title]
    if not named and len(functions) != 1:
        raise CannotRun(f"there is no function `{title}`; keep the name of the starter")
    return (named or functions)[0]


WANT_ARRAYS = set()  # files that import torch but were found to want arrays


def tensor_maker(module):
    """torch.from_numpy for a module that imports torch, unless it was found to want arrays; otherwise None."""
    torch = sys.modules.get("torch")
    if torch is None or module.__dict__.get("__file__") in WANT_ARRAYS:
        return None
    named = [value for value in vars(module).values() if callable(value) and hasattr(value, "__name__")]
    uses = any(value is torch for value in vars(module).values()) or any(
        getattr(torch, value.__name__, None) is value for value in named
    )
    return (lambda leaf: torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf) if uses else None


def class_with_backward(module, title):
    """The class called `title`, else the last with a backward that is no base of another. Raises CannotRun."""
    classes = [one for one in vars(module).values() if inspect.isclass(one) and one.__module__ == module.__name__]
    classes = [one for one in classes if hasattr(one, "backward")]
    classes = [one for one in classes if not any(other is not one and issubclass(other, one) for other in classes)]
    if not classes:
        raise CannotRun(
            "there is no function `backward` and no class with a method `backward`; keep the starter's names"
        )
    kind = next((one for one in classes if one.__name__ == title), classes[-1])
    if not hasattr(kind, "forward"):
        raise CannotRun(f"class {kind.__name__} has a backward but no forward; the check calls both")
    return kind


def builder(module, title):
    """How to make the learner's object from the inputs: a function inputs -> (what forward takes, object)."""
    kind = class_with_backward(module, title)

    def build(inputs):
        weights = {name: value for name, value in inputs.items() if name[0] in "Wb"}
        known = dict(inputs)
        if "W" in weights:
            O, I = weights["W"].shape
            known |= dict(
                in_features=I, out_features=O, num_embeddings=O, embedding_dim=I, rng=np.random.default_rng(0)
            )
            known |= dict(weight=weights["W"], bias=weights.get("b"), dtype=np.float64)
            order = ["in_features", "out_features"] if "b" in weights else ["num_embeddings", "embedding_dim"]
        else:
            order = list(weights)
        made = kind() if not inspect.signature(kind).parameters else call(kind, known, order)
        set_params(getattr(made, "params", None), weights)
        takes = inspect.signature(made.forward).parameters
        return {name: value for name, value in inputs.items() if name not in weights or name in takes}, made

    return build


def set_params(params, weights):
    """Write the weights into the parameters that a constructor has made."""
    if isinstance(params, list):
        params = dict(zip(weights, params, strict=False))
    for name, value in params.items() if isinstance(params, dict) else ():
        same = [weight for key, weight in weights.items() if plain(key) == plain(name)]
        if same:
            value[...] = same[0]


class Direct:
    """An exercise without upstream gradients: it is called once, and what it returns or changes is compared."""

    keeps_state = True

    def run_twice(self, case, *, both):
        return [self.run(case).outputs, self.run(case).outputs]


class Clipping(Direct):
    def __init__(self, module, title):
        self.function = the_function(module, title)

    def run(self, case):
        inputs = copied(case.inputs)
        grads = inputs["grads"]
        norm = call(self.function, inputs | {"grads": dict(grads)}, list(inputs))
        if norm is None:
            raise CannotRun(f"{self.function.__name__} returned None; it must return the norm before clipping")
        return Outcome({"the norm before": np.asarray(norm)} | {f"{n} after": g for n, g in grads.items()})


class Optimizer(Direct):
    """A class with `step(grads)`, which updates its parameters in place."""

    def __init__(self, module, title):
        self.kind = getattr(module, title, None)
        if not inspect.isclass(self.kind):
            raise CannotRun(f"there is no class {title}; keep the name of the starter")

    def run(self, case):
        inputs = copied(case.inputs)
        params, all_grads = inputs["params"], inputs.pop("grads")
        known = inputs | {"params": dict(params)} | dict(zip(("beta1", "beta2"), inputs["betas"], strict=True))
        made, outputs = call(self.kind, known, list(inputs)), {}
        for t, grads in enumerate(all_grads, start=1):
            made.step(grads)
            outputs |= {f"{name} after step {t}": p.copy() for name, p in params.items()}
        written = ["grads"] if changed(case.inputs["grads"], all_grads) else []
        return Outcome(outputs, written=written, inputs=arrays_in({"grads": all_grads}))
