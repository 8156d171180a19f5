"""One attempt at a problem: the learner's code gets copies of all inputs, and its results are read by name."""

import inspect

import numpy as np

from compare.learner import adapt
from compare.learner.adapt import Unfit, by_name, call, find

OPTIONS = ("nonlinearity",)


class Pair:
    """A forward and a backward: two functions, one function that does both, or a class with two methods.

    title: the name of the class in the starter, None for a starter with functions.
    """

    def __init__(self, module, problem, title, frozen=False):
        self.problem = problem
        give = adapt.giver(module)
        self.given = {name: fresh(value, frozen) for name, value in problem.given.items()}
        self.upstream = {name: fresh(value, frozen) for name, value in problem.upstream.items()}
        self.known = {name: given_to(give, value) for name, value in {**self.given, **self.upstream}.items()}
        self.order = [name for name in problem.given if name not in OPTIONS]
        self.back = list(problem.upstream)
        self.forward_function = find(module, "forward")
        self.backward_function = find(module, "backward", "gradients")
        self.object = None
        if self.backward_function is None:
            self.object = self._build(module, title)
            self.forward_function, self.backward_function = self.object.forward, self.object.backward

    def _build(self, module, title):
        kind = adapt.class_with_backward(module, title)
        if kind is None:
            raise Unfit(
                "there is no function `backward` and no class with a method `backward`; keep the names of the starter"
            )
        if not hasattr(kind, "forward"):
            raise Unfit(f"class {kind.__name__} has a backward but no forward; the check calls both")
        weights = {name: value for name, value in self.known.items() if name.startswith(("W", "b"))}
        sizes = {}
        if "W" in weights:
            O, I = self.given["W"].shape
            sizes = dict(in_features=I, out_features=O, num_embeddings=O, embedding_dim=I)
            sizes |= dict(weight=weights["W"], bias=weights.get("b"), dtype=self.given["W"].dtype)
            sizes |= dict(rng=np.random.default_rng(0))
        order = ["in_features", "out_features"] if len(weights) == 2 else ["num_embeddings", "embedding_dim"]
        elsewhere = inspect.signature(kind.__init__).parameters.keys() == {"self"}
        made = kind() if elsewhere else call(kind, self.known | sizes, order if sizes else list(weights))
        params = getattr(made, "params", None)
        if isinstance(params, list):  # [W, b]
            params = dict(zip(weights, params, strict=False))
        for name, value in params.items() if isinstance(params, dict) else []:
            plain = adapt.known_name(name, {f"d{w}" for w in weights}).removeprefix("d")
            if plain in weights:
                value[...] = weights[plain]
        return made

    def accepts_options(self):
        """Whether the learner's forward takes the options of this problem; otherwise the problem is left out."""
        function = self.forward_function or self.backward_function
        return all(name in inspect.signature(function).parameters for name in self.given if name in OPTIONS)

    def forward(self):
        """The results by name; {} when there is no separate forward."""
        if self.forward_function is None:
            return {}
        names = list(self.problem.results)
        order = self.order
        if self.object is not None:
            takes = inspect.signature(self.forward_function).parameters
            order = [name for name in order if not name.startswith(("W", "b")) or name in takes]
        returned = adapt.flat_top(call(self.forward_function, self.known, order))
        if self.object is None:
            if len(returned) < 2:
                if returned == [None]:
                    raise Unfit("forward returned None; is the return statement missing?")
                raise Unfit("forward returned one value; it must return its results and then what backward needs")
            *returned, self.known["cache"] = returned
        results = adapt.flat(returned)[: len(names)]
        return {name: adapt.to_numpy(value) for name, value in zip(names, results, strict=False)}

    def backward(self):
        """The gradients by name."""
        names = list(self.problem.gradients)
        order = self.back
        if self.forward_function is None:
            order = [*self.order, *self.back]
        elif self.object is None:
            order = [*self.back, "cache"]
        returned = call(self.backward_function, self.known, order)
        if self.object is not None:
            returned = (returned, self._kept_gradients(names, returned))
        expected = returned_order(names)
        gradients = by_name(returned, expected, adapt.name_of(self.backward_function))
        return {name: adapt.to_numpy(gradients[name]) for name in names}

    def _kept_gradients(self, names, returned):
        """The gradients that an object keeps: in self.grads, a dict or a list, or as self.dW and self.db."""
        grads = getattr(self.object, "grads", None)
        weights = [name for name in returned_order(names) if name.startswith(("dW", "db"))]
        if isinstance(grads, list):
            return dict(zip(weights, grads, strict=False))
        if isinstance(grads, dict) and grads:
            return grads
        if len(adapt.flat(returned)) >= len(names):
            return {}
        return {name: getattr(self.object, name) for name in weights if hasattr(self.object, name)}

    def changed(self):
        """The names of the inputs that the learner's code has written into."""
        return changed({**self.problem.given, **self.problem.upstream}, {**self.given, **self.upstream})


class Single:
    """One function that returns everything: cross_entropy."""

    def __init__(self, module, problem, title, frozen=False):
        give = adapt.giver(module)
        self.problem, self.given = problem, {name: fresh(value, frozen) for name, value in problem.given.items()}
        self.known = {name: given_to(give, value) for name, value in self.given.items()}
        self.function = the_function(module, title)

    def accepts_options(self):
        return True

    def forward(self):
        return {}

    def backward(self):
        returned = call(self.function, self.known, list(self.given))
        gradients = by_name(returned, list(self.problem.gradients), adapt.name_of(self.function))
        return {name: adapt.to_numpy(value) for name, value in gradients.items()}

    def changed(self):
        return changed(self.problem.given, self.given)


class Clip(Single):
    """clip_grad_norm, which writes into its inputs: every call gets new arrays."""

    def backward(self):
        grads = {name: g.copy() for name, g in self.problem.given["grads"].items()}
        self.arrays = grads
        known = {"grads": dict(grads), "max_norm": self.problem.given["max_norm"]}
        norm = call(self.function, known, list(known))
        if norm is None:
            raise Unfit(f"{adapt.name_of(self.function)} returned None; it must return the norm before clipping")
        return {"the norm before": np.asarray(norm), **{f"{name} after": grads[name] for name in grads}}


class Optimizer(Single):
    """A class with `step(grads)`, which updates its parameters in place."""

    def __init__(self, module, problem, title, frozen=False):
        self.problem, self.frozen = problem, frozen
        self.kind = getattr(module, title, None)
        if not inspect.isclass(self.kind):
            raise Unfit(f"there is no class {title}; keep the name of the starter")

    def backward(self):
        given = self.problem.given
        params = {name: p.copy() for name, p in given["params"].items()}  # the arrays that it must update
        self.given = {"grads": [{name: fresh(g, self.frozen) for name, g in one.items()} for one in given["grads"]]}
        self.arrays = params
        known = {name: given[name] for name in ("lr", "betas", "eps", "weight_decay")} | {"params": dict(params)}
        known |= dict(zip(("beta1", "beta2"), given["betas"], strict=True))
        self.made = made = call(self.kind, known, ["params", "lr", "betas", "eps", "weight_decay"])
        found = {}
        for t, grads in enumerate(self.given["grads"], start=1):
            made.step(grads)
            for name, p in params.items():
                found[f"{name} after step {t}"] = p.copy()
        return {name: found[name] for name in self.problem.gradients}

    def changed(self):
        return ["grads"] if changed_one(self.problem.given["grads"], self.given["grads"]) else []


def the_function(module, title):
    """The function called `title`, or the only one that the module defines."""
    functions = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    named = [f for f in functions if f.__name__ == title]
    if not named and len(functions) != 1:
        raise Unfit(f"there is no function `{title}`; keep the name of the starter")
    return (named or functions)[0]


def returned_order(names):
    """The order in which scratch's backward returns gradients, dx first; `names` are in the order of computing them."""
    first = [name for name in ("dx", "dh_0", "dc_0", "dW_ih", "dW_hh", "db_ih", "db_hh") if name in names]
    return [*first, *(name for name in names if name not in first)]


def fresh(value, frozen):
    """A copy of an array, or of a tuple, list or dict of arrays; any other value itself."""
    if isinstance(value, tuple | list):
        return type(value)(fresh(one, frozen) for one in value)
    if isinstance(value, dict):
        return {name: fresh(one, frozen) for name, one in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    value = value.copy()
    value.flags.writeable = not frozen
    return value


def given_to(give, value):
    return give(value) if isinstance(value, np.ndarray) else value


def changed(before, after):
    return [name for name, value in after.items() if changed_one(before[name], value)]


def changed_one(before, after):
    if isinstance(after, tuple | list):
        return any(changed_one(b, a) for b, a in zip(before, after, strict=True))
    if isinstance(after, dict):
        return any(changed_one(before[name], value) for name, value in after.items())
    if not isinstance(after, np.ndarray):
        return False
    return not np.array_equal(after, before, equal_nan=after.dtype.kind == "f")
