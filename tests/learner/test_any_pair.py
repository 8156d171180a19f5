"""check_backward and `byhand check` on programs that are no exercise."""

import ast
import functools
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch

from compare import check_backward
from compare.learner import examine
from compare.learner.program.gradient_names import CannotRun
from compare.learner.search.words import expression_in_words
from compare.learner.verdict.measure import Slopes, best_estimate

RNG = np.random.default_rng(0)
X, GAMMA, BETA = RNG.standard_normal((3, 5)), RNG.standard_normal(5), RNG.standard_normal(5)


def norm_forward(x, gamma, beta):
    centred = x - x.mean(axis=1, keepdims=True)
    inverse = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    xhat = centred * inverse
    return gamma * xhat + beta, (xhat, gamma, inverse)


def norm_backward(dout, cache):
    xhat, gamma, inverse = cache
    dxhat = dout * gamma
    mean = dxhat.mean(axis=1, keepdims=True)
    dx = inverse * (dxhat - mean - xhat * (dxhat * xhat).mean(axis=1, keepdims=True))
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


def norm_backward_wrong(dout, cache):
    xhat, gamma, inverse = cache
    dxhat = dout * gamma
    mean = dxhat.mean(axis=1, keepdims=True)
    dx = inverse * (dxhat - mean - xhat * (dxhat * xhat).mean(axis=0, keepdims=True))
    return dx, (dout * xhat).sum(axis=0), dout.sum(axis=0)


def test_a_pair_of_functions():
    result = check_backward(norm_forward, norm_backward, (X, GAMMA, BETA))
    result.assert_right()
    assert result.right and {row.name for row in result.arrays} >= {"dx", "dgamma", "dbeta"}


def test_the_line_of_a_wrong_pair():
    result = check_backward(norm_forward, norm_backward_wrong, (X, GAMMA, BETA))
    assert not result.right
    assert "dx = inverse *" in Path(__file__).read_text(encoding="utf-8").split("\n")[result.line - 1]
    assert [row.name for row in result.arrays if row.verdict == "differs"] == ["dx"]
    with pytest.raises(AssertionError, match=r"dx  *differs, most at"):
        result.assert_right()


def squash_forward(x):
    return x / (1 + np.abs(x)), x


def squash_backward(dy, x):
    slope = np.cos(x)
    return dy * slope


def test_a_line_of_which_only_another_value_is_known():
    """Nothing that the line could read makes 1 / (1 + |x|)**2; that some value would do follows from solving for it."""
    result = check_backward(squash_forward, squash_backward, (X,))
    (finding,) = result.report.findings
    assert finding.text.strip() in ("slope = np.cos(x)", "return dy * slope")
    assert not finding.certain and not finding.after
    assert any("every result becomes right" in sentence for sentence in finding.evidence)


class Layer:
    """Keeps W and, after backward, its gradient, times a factor; the subclasses do this in other ways."""

    def __init__(self, factor=1.0):
        self.factor, self.W = factor, W

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.factor * self.x.T @ dy
        return dy @ self.W.T


class ReturnsCache(Layer):
    def forward(self, x):
        return x @ self.W, (x,)

    def backward(self, dy, cache):
        (self.x,) = cache
        return super().backward(dy)


class ReturnsItsArrayAsCache(ReturnsCache):
    def forward(self, x):
        return x @ self.W, x

    def backward(self, dy, cache):
        return super().backward(dy, (cache,))


class CallsItsCacheByItsName(ReturnsItsArrayAsCache):
    def backward(self, grad, x):
        return super().backward(grad, x)


class ReturnsAll(Layer):
    def backward(self, dy):
        return super().backward(dy), self.__dict__.pop("dW")


class ReturnsDict(Layer):
    def backward(self, dy):
        return super().backward(dy), {"W": self.__dict__.pop("dW")}


class InLists(Layer):
    def __init__(self, factor):
        self.factor, self.Ws = factor, [W]

    def forward(self, x):
        self.x = x
        return x @ self.Ws[0]

    def backward(self, dy):
        self.dWs = [self.factor * self.x.T @ dy]
        return dy @ self.Ws[0].T


class UnderTwoNames(Layer):
    def __init__(self, factor):
        super().__init__(factor)
        self.params = [self.W]

    def backward(self, dy):
        dx = super().backward(dy)
        self.dparams = [self.__dict__.pop("dW")]
        return dx


class InDicts(Layer):
    def __init__(self, factor):
        self.factor, self.params, self.grads = factor, [{"W": W}], []

    def forward(self, x):
        self.x = x
        return x @ self.params[0]["W"]

    def backward(self, dy):
        self.grads = [{"W": self.factor * self.x.T @ dy}]
        return dy @ self.params[0]["W"].T


class Parameter:
    def __init__(self, value):
        self.value, self.grad = value, np.zeros_like(value)


class WithParameters(Layer):
    def __init__(self, factor=1.0):
        self.factor, self.weight = factor, Parameter(W)

    def forward(self, x):
        self.x = x
        return x @ self.weight.value

    def backward(self, dy):
        self.weight.grad = self.factor * self.x.T @ dy
        return dy @ self.weight.value.T


class AddsUp(WithParameters):
    def zero_grad(self):
        self.weight.grad[...] = 0

    def backward(self, dy):
        before = self.weight.grad
        dx = super().backward(dy)
        self.weight.grad = before + self.weight.grad
        return dx


class KeepsState(Layer):
    def __init__(self, factor=1.0):
        super().__init__(factor)
        self.y = np.zeros((3, 4))

    def forward(self, x):
        self.before, self.x = self.y, x
        self.y = x @ self.W * (1 + self.before)
        return self.y

    def backward(self, dy):
        return super().backward(dy * (1 + self.before))


class ReturnsNothing(Layer):
    def backward(self, dy):
        super().backward(dy)


class WithSlots:
    __slots__ = ("W", "dW", "factor", "x")
    __init__, forward, backward = Layer.__init__, Layer.forward, Layer.backward


def without_cache(factor):
    return lambda x, W: x @ W, lambda dy, x, W: (dy @ W.T, factor * x.T @ dy)


def cache_first(factor):
    return product_forward, lambda cache, dy: (dy @ cache[1].T, factor * cache[0].T @ dy)


def closure(factor):
    return (lambda x, W: (x @ W, lambda dy: (dy @ W.T, factor * x.T @ dy))), None


def loss(factor):
    def forward(x, W, targets):
        error = x @ W - targets
        return 0.5 * (error**2).sum(), {"W": factor * x.T @ error, "x": error @ W.T, "targets": -error}

    return forward, None


def a_loss_class(factor):
    class Loss(Layer):
        def forward(self, x):
            return (super().forward(x) ** 2).sum()

        def backward(self):
            return super().backward(2 * self.x @ self.W)

    return Loss(factor), None


def with_dicts(factor):
    def backward(dy, cache):
        gradients = its_gradients(dy, cache)
        return gradients | {"dW": factor * gradients["dW"]}

    return affine, backward


def kept_in_an_argument(factor):
    def backward(dy, cache):
        x, weight = cache
        weight.grad = factor * x.T @ dy
        return dy @ weight.value.T

    return lambda x, weight: (x @ weight.value, (x, weight)), backward


def returned_in_an_object(factor):
    def backward(dy, cache):
        x, layer = cache
        gradients = Layer()
        gradients.W = factor * x.T @ dy
        return dy @ layer.W.T, gradients

    return lambda x, layer: (x @ layer.W, (x, layer)), backward


def lists_of_numbers(factor):
    def backward(dy, cache):
        return (dy @ cache[1].T).tolist(), (factor * cache[0].T @ dy).tolist()

    return lambda x, W: (x @ W, (x, W)), backward


def a_number(factor):
    return lambda x, W: (x * W, (x, W)), lambda dy, cache: (dy * cache[1], factor * np.sum(dy * cache[0]))


def numbers_in_a_list(factor):
    def backward(dy, cache):
        x, w = cache
        return dy * w[0], [np.sum(dy * x), factor * np.sum(dy)]

    return lambda x, w: (w[0] * x + w[1], (x, w)), backward


def in_float32(factor):
    """Computes in float32 whatever it is given."""
    return (
        lambda x, W: ((x @ W).astype(np.float32), (x, W)),
        lambda dy, cache: (dy @ cache[1].T, factor * cache[0].T @ dy),
    )


def tensors_in_float32(factor):
    """Refuses tensors in float64."""
    return (
        lambda x, W: (x @ torch.eye(5) @ W, (x, W)),
        lambda dy, cache: (dy @ cache[1].T, factor * cache[0].T @ dy),
    )


def affine(x, parameters):
    return x @ parameters["W"] + parameters["b"], (x, parameters)


def its_gradients(dy, cache):
    x, parameters = cache
    return {"dx": dy @ parameters["W"].T, "dW": x.T @ dy, "db": dy.sum(axis=0)}


W, B = RNG.standard_normal((5, 4)), RNG.standard_normal(4)
FORMS = {  # from the factor of the gradient of W to what is checked; the arguments; what the gradient is called
    "closure": (closure, (X, W), "dW"),
    "loss": (loss, (X, W, RNG.standard_normal((3, 4))), "dW"),
    "cache first": (cache_first, (X, W), "dW"),
    "no cache": (without_cache, (X, W), "dW"),
    "dicts": (with_dicts, (X, {"W": W, "b": B}), "dW"),
    "gradient kept in an argument": (kept_in_an_argument, (X, Parameter(W)), "dweight.value"),
    "gradients in an object": (returned_in_an_object, (X, Layer()), "dlayer.W"),
    "lists of numbers": (lists_of_numbers, (X, W), "dW"),
    "a number": (a_number, (X, 0.7), "dW"),
    "numbers in a list": (numbers_in_a_list, (X, [0.7, 0.2]), "dw"),
    "computed in float32": (in_float32, (X, W), "dW"),
    "tensors in float32": (tensors_in_float32, (torch.tensor(X).float(), torch.tensor(W).float()), "dW"),
    **{
        f"object of class {made.__name__}": (lambda factor, made=made: (made(factor), None), (X,), name)
        for made, name in {
            Layer: "dW",
            ReturnsCache: "dW",
            ReturnsItsArrayAsCache: "dW",
            CallsItsCacheByItsName: "dW",
            ReturnsAll: "dW",
            ReturnsDict: "dW",
            InLists: "dWs[0]",
            InDicts: "dparams[0].W",
            UnderTwoNames: "dW",
            WithParameters: "dweight.value",
            WithSlots: "dW",
            AddsUp: "dweight.value",
            KeepsState: "dW",
            ReturnsNothing: "dW",
        }.items()
    },
    "object that is a loss": (a_loss_class, (X,), "dW"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_called_and_a_wrong_gradient_seen(form):
    made, args, name = FORMS[form]
    check_backward(*made(1.0), args, locate=False).assert_right()
    found = check_backward(*made(1.01), args, locate=False)
    assert [row.name for row in found.arrays if row.verdict == "differs"] == [name] and "most at :" not in str(found)


def two_layers(x, layers):
    hidden = np.tanh(x @ layers["h"]["W"])
    return hidden @ layers["h0"]["W"], (x, hidden, layers)


def gradients_of_two_layers(dy, cache):
    x, hidden, layers = cache
    dhidden = (dy @ layers["h0"]["W"].T) * (1 - hidden**2)
    return dhidden @ layers["h"]["W"].T, {"h0": {"W": hidden.T @ dy}, "h": {"W": x.T @ dhidden}}


LAYERS = {"h": {"W": RNG.standard_normal((5, 5))}, "h0": {"W": RNG.standard_normal((5, 5))}}
UNUSUAL = {
    "another order of the keys, and names that differ in a digit": (X, LAYERS),
    **{
        dtype: (X.astype(dtype), {k: {"W": one["W"].astype(dtype)} for k, one in LAYERS.items()})
        for dtype in ("float16", "float32", "longdouble")
    },
    "transposed arrays": (X.T.copy().T, {k: {"W": one["W"].T} for k, one in LAYERS.items()}),
    "one array for two arguments": (LAYERS["h"]["W"], LAYERS),
}


@pytest.mark.parametrize("form", UNUSUAL)
def test_unusual_arguments_are_right_and_gradients_swapped_between_them_are_not(form):
    check_backward(two_layers, gradients_of_two_layers, UNUSUAL[form], locate=False).assert_right()

    def swapped(dy, cache):
        dx, gradients = gradients_of_two_layers(dy, cache)
        return dx, {"h": gradients["h0"], "h0": gradients["h"]}

    assert not check_backward(two_layers, swapped, UNUSUAL[form], locate=False).right


def test_upstream_gradients_are_not_the_numbers_that_an_example_draws():
    x = np.random.default_rng(0).standard_normal((3, 4))
    result = check_backward(lambda x: (x**2, x), lambda dy, x: 2 * dy * dy, (x,), locate=False)
    assert not result.right


class Keeps(Layer):
    """Keeps what is no parameter next to its gradient, and a parameter without one."""

    def __init__(self):
        super().__init__()
        self.scale = [np.array([2.0])]

    def forward(self, x):
        return self.scale[0] * super().forward(x)

    def backward(self, dy):
        self.dx = super().backward(self.scale[0] * dy)
        return self.dx


def test_what_an_object_keeps_is_a_parameter_if_it_was_there_before():
    result = check_backward(Keeps(), None, (X,), locate=False)
    assert result.right and {row.name for row in result.arrays} == {"output 1", "dx", "dW"}
    assert "right as far as checked: " in str(result) and "not checked: dscale[0]" in str(result)


def adding_to_an_argument():
    def backward(dy, cache):
        x, weight = cache
        weight.grad += x.T @ dy
        return dy @ weight.value.T

    return lambda x, weight: (x @ weight.value, (x, weight)), backward


class AddsUpWhatItReturns(AddsUp):
    dx = 0.0

    def backward(self, dy):
        self.dx = self.dx + super().backward(dy)
        return self.dx


@pytest.mark.parametrize(
    "program, verdict, words",
    [
        ((lambda x, b: (x + b, None), lambda dy, cache: (dy, dy), (X, X)), "note", "are the same array"),
        ((AddsUp(), None, (X,)), "note", "dweight.value adds up from call to call until zero_grad is called"),
        ((*adding_to_an_argument(), (X, Parameter(W))), "note", "dweight.value adds up from call to call until set"),
        ((AddsUpWhatItReturns(), None, (X,)), "wrong", "a second call gives a different dx, dweight.value"),
        ((KeepsState(), None, (X,)), "note", "forward keeps a state: a second call gives other outputs"),
    ],
)
def test_what_is_usual_is_worth_a_note(program, verdict, words):
    result = check_backward(*program, locate=False)
    assert result.right == (verdict == "note") and words in result.report.sentence
    assert f"\n  {verdict}" in str(result)


def test_functions_that_do_not_fit_are_refused():
    with pytest.raises(CannotRun, match="should take the gradients of forward"):
        check_backward(norm_forward, lambda: None, (X, GAMMA, BETA))
    with pytest.raises(CannotRun, match="returned 1 gradient; 3 are expected, in this order: dx, dgamma, dbeta"):
        check_backward(norm_forward, lambda dout, cache: dout, (X, GAMMA, BETA))
    with pytest.raises(CannotRun, match="2 gradients; 1 is expected, in this order: dx; with the numbers: dx, dk, db"):
        check_backward(lambda x, k, b: (k * x + b, k), lambda dy, k: (k * dy, dy.sum()), (X, 1.5, 0.7))
    with pytest.raises(CannotRun, match="no gradient has a name that is expected: dx, dW"):
        check_backward(product_forward, lambda dy, cache: {"a": dy @ cache[1].T, "b": dy}, (X, W))
    with pytest.raises(CannotRun, match="returned 1 gradient; 2 are expected, in this order: dx, dW"):
        check_backward(lambda x, W: (np.sum(x @ W), x.sum(axis=0)), None, (X, W))


def test_a_single_argument_that_is_no_tuple_is_refused():
    with pytest.raises(CannotRun, match=r"write \(x,\) for a single one"):
        check_backward(squash_forward, squash_backward, X)


def test_a_line_that_cannot_be_looked_for_has_a_reason():
    def forward(x):
        return 2 * x, x

    for one in (forward, lambda x: forward(x), functools.partial(lambda a, x: forward(x), 1)):
        result = check_backward(one, squash_backward, (X,))
        assert not result.right and "is not defined by name at the top level of a file" in " ".join(str(result).split())


ACCUMULATED = np.zeros((5, 4))


def accumulating_backward(dy, cache):
    x, W = cache
    global ACCUMULATED
    ACCUMULATED += x.T @ dy
    return dy @ W.T, ACCUMULATED


def product_forward(x, W):
    return x @ W, (x, W)


def test_gradients_that_add_up_from_call_to_call_are_right_at_the_first():
    result = check_backward(product_forward, accumulating_backward, (X, W))
    assert "a second call gives a different dW" in result.report.sentence


def adding_up(x, W):
    dW = np.zeros_like(W)

    def backward(dy):
        dW[...] += x.T @ dy
        return dy @ W.T, dW

    return x @ W, backward


def test_a_pullback_that_adds_to_its_first_gradients_may_be_called_once():
    result = check_backward(adding_up, None, (X, W))
    assert result.right and "a second call gives a different dW" in " ".join(str(result).split())
    pure = check_backward(*closure(1), (X, W))
    assert pure.right and "second call" not in str(pure)


def test_a_list_that_backward_empties_belongs_to_the_caller():
    def backward(dy, weights):
        weights.pop()
        return [X.T @ dy]

    result = check_backward(lambda weights: (X @ weights[0], weights), backward, ([W],), locate=False)
    assert result.report.sentence == "it writes into weights, which belongs to the caller"


def longdouble_backward(dy, cache):
    x, W = (one.astype(np.longdouble) for one in cache)
    return dy @ W.T, x.T @ (dy + dy)


def test_a_line_that_computes_in_longdouble():
    (finding,) = check_backward(product_forward, longdouble_backward, (X, W)).report.findings
    assert "x.T @ (dy + dy)" in finding.text and finding.certain


def two_mistakes_backward(dy, cache):
    x, W = cache
    return dy @ W.T * 2, x.T @ dy * x.sum()


@pytest.mark.slow
def test_two_mistakes_in_one_statement_are_one_change():
    result = check_backward(product_forward, two_mistakes_backward, (X, W))
    first, second = result.report.findings
    assert (first.after, second.after) == ("", "return (dy @ W.T, x.T @ dy)")


def scaled_forward(x, W, a, b):
    return x * a, W * b, (a, b)


def by_a_number_forward(x, s):
    return s * x, s


def by_a_number_backward(dy, s):
    return 1.0 * dy + 0 * s


def test_a_change_is_tried_with_other_numbers_too():
    (finding,) = check_backward(by_a_number_forward, by_a_number_backward, (X, 2.0)).report.findings
    assert "2" not in finding.after and "* s" in finding.after


def not_scaled_backward(dx, dW, cache):
    a, b = cache  # noqa: RUF059
    return dx, dW


@pytest.mark.slow
def test_two_missing_factors_in_one_statement_are_one_change():
    result = check_backward(scaled_forward, not_scaled_backward, (X, W, X + 3, W + 3), wrt=("x", "W"))
    assert [one.after for one in result.report.findings] == ["", "return (dx * a, dW * b)"]


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("1 + z", "(1 + z) ** 2", "A power is missing at `1 + z`."),
        ("a / b", "0.5 * (a / b)", "A factor is missing at `a / b`."),
        ("a / b", "a * b", "The operator in `a / b` is wrong."),
        ("(1 - h) ** 2", "1 - h ** 2", "`(1 - h) ** 2` is wrong."),
    ],
)
def test_a_mistake_in_words(old, new, words):
    assert expression_in_words(*(ast.parse(text, mode="eval").body for text in (old, new))) == words


def test_wrt_names_the_arguments_with_a_gradient():
    def backward(dout, cache):
        return norm_backward(dout, cache)[0]

    check_backward(norm_forward, backward, (X, GAMMA, BETA), wrt=["x"], locate=False).assert_right()


def test_a_gradient_that_is_not_returned_is_named():
    def backward(dy, cache):
        gradients = its_gradients(dy, cache)
        del gradients["db"]
        return gradients

    result = check_backward(affine, backward, (X, {"W": W, "b": B}), locate=False)
    assert result.right and "not checked: db" in str(result)


def slopes_of(loss):
    """The function of h that `best_estimate` takes."""
    return lambda h: Slopes((loss(0.0) - loss(-h)) / h, (loss(h) - loss(0.0)) / h, 1e-16)


def test_differences_near_a_kink():
    """At 1e-5 from its kink, relu's slope is found with a smaller step."""
    value, _, kink = best_estimate(slopes_of(lambda change: max(0.0, 1e-5 + change)))
    assert abs(value - 1) < 1e-6 and not kink


@pytest.mark.parametrize("right", [0.0, 3.0])
def test_differences_at_a_kink(right):
    """Nothing is known: the middle of both slopes is returned, with an error without bound."""
    found = best_estimate(slopes_of(lambda change: max(right * change, -change)))
    assert found == ((right - 1) / 2, np.inf, True)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("p", [1e-4, 1e-9])
def test_differences_of_what_has_no_value_a_step_away(p):
    value, error, kink = best_estimate(slopes_of(lambda change: np.log(p + change)), p)
    assert abs(value - 1 / p) <= 10 * error < 1e-5 / p and not kink


@pytest.mark.parametrize("distance", [0.1, 4e-3, 3e-4, 2e-5])
def test_differences_near_a_jump_of_the_second_derivative(distance):
    """An ELU has one at 0: differences across it look exact, and are not."""
    loss = slopes_of(lambda change: np.expm1(min(0.0, change - distance)) + max(0.0, change - distance))
    value, error, _ = best_estimate(loss)
    assert abs(value - np.exp(-distance)) <= 10 * max(error, 1e-9)


def test_steps_that_are_too_large_to_see_that_a_function_jumps():
    """Changed by 2 ** -6 or 2 ** -8, each entry of a floor follows; changed in a random direction, none does."""
    x = np.random.default_rng(0).standard_normal(5)
    with pytest.raises(CannotRun, match="every gradient is 0"):
        check_backward(lambda x: (np.floor(x * 1024) / 1024, x), lambda dy, x: (dy,), (x,))


def test_a_derivative_that_ignores_a_small_number():
    def forward(x):
        size = np.sqrt((x**2).sum()) + 1e-8
        return x / size, (x, size)

    def backward(dy, cache):
        x, size = cache
        return (dy / size - x * (dy @ x) / size**3,)  # for size**2 * (size - 1e-8)

    result = check_backward(forward, backward, (np.array([0.02, -0.03, 0.05]),), locate=False)
    assert not result.right and "ignores a small number" in str(result)


def test_how_often_forward_runs_for_a_gradient():
    """Six times for each entry of a smooth function."""
    runs = []

    def forward(x):
        runs.append(1)
        return np.sin(x), x

    x = np.random.default_rng(0).standard_normal((10, 20))
    assert check_backward(forward, lambda dy, x: (dy * np.cos(x),), (x,)).right
    assert 6 * x.size < len(runs) < 6.5 * x.size


COURSE = """
    import numpy as np

    def rnn_step_forward(x, prev_h, Wx, Wh, b):
        next_h = np.tanh(x @ Wx + prev_h @ Wh + b)
        return next_h, (x, prev_h, Wx, Wh, next_h)

    def rnn_step_backward(dnext_h, cache):
        x, prev_h, Wx, Wh, next_h = cache
        da = dnext_h * (1 - next_h ** 2)
        return da @ Wx.T, da @ Wh.T, x.T @ da, prev_h.T @ da, da.sum(axis=0)

    def other_forward(x):
        return x, None

    def other_backward(dx, cache):
        return dx
"""


def test_a_course_file_needs_no_example_and_others_are_asked_for_one(tmp_path):
    path = tmp_path / "layers.py"
    path.write_text(textwrap.dedent(COURSE), encoding="utf-8")
    (found,) = examine.examine(str(path))
    assert found.verdict == "right" and found.title == "rnn_step"
    path.write_text(textwrap.dedent(COURSE).replace("prev_h.T @ da", "next_h.T @ da"), encoding="utf-8")
    (found,) = examine.examine(str(path))
    assert "next_h.T @ da" in found.findings[0].text and "prev_h" in found.findings[0].after
    path.write_text("def f_forward(x):\n    return x, 1\n\ndef f_backward(d, c):\n    return d\n", encoding="utf-8")
    (found,) = examine.examine(str(path))
    assert found.verdict == "could not run" and "add a function that returns the arguments of forward" in found.sentence


def test_an_example_without_a_seed_is_refused(tmp_path):
    path = tmp_path / "f.py"
    path.write_text(
        "import numpy as np\ndef forward(x):\n    return x, 1\ndef backward(d, c):\n    return d\n"
        "def example():\n    return (np.random.default_rng().standard_normal(3),)\n",
        encoding="utf-8",
    )
    (found,) = examine.examine(str(path))
    assert "make its generator in it" in found.sentence


class Identity:
    def forward(self, x):
        return x

    def backward(self, dy):
        return dy


@pytest.mark.parametrize(
    "forward, args, options, words",
    [
        (Identity, (X,), {}, "give an object, Identity(...), not the class"),
        (Identity(), (X, X), {}, "args do not fit Identity.forward(x): too many"),
        (affine, {"x": X, "p": {}}, {}, "args do not fit affine(x, parameters): missing a required argument"),
        (affine, (X, {}), {"wrt": ["q"]}, "affine(x, parameters) has no q"),
    ],
)
def test_arguments_that_do_not_fit(forward, args, options, words):
    with pytest.raises(CannotRun) as error:
        check_backward(forward, its_gradients, args, **options)
    assert words in str(error.value)


def test_an_error_in_backward_is_named_with_its_line():
    def backward(dy, cache):
        return dy @ dy, dy, dy

    with pytest.raises(CannotRun, match=r"ValueError: .*\(line \d+ of .*test_any_pair.py\)"):
        check_backward(affine, backward, (X, {"W": W, "b": B}), locate=False)
