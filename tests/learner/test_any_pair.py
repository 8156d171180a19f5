"""check_backward and `byhand check` on programs that are no exercise."""

import textwrap
from pathlib import Path

import numpy as np
import pytest

from compare import check_backward
from compare.learner import examine
from compare.learner.calling import CannotRun
from compare.learner.measure import best_estimate

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


def closure(x, W):
    return x @ W, lambda dy: (dy @ W.T, x.T @ dy)


def loss(x, W, targets):
    error = x @ W - targets
    return 0.5 * (error**2).sum(), {"W": x.T @ error, "x": error @ W.T, "targets": -error}


def without_cache(x, W):
    return x @ W


def its_backward(dy, x, W):
    return dy @ W.T, x.T @ dy


def with_dicts(x, parameters):
    return x @ parameters["W"] + parameters["b"], (x, parameters)


def its_gradients(dy, cache):
    x, parameters = cache
    return {"dx": dy @ parameters["W"].T, "dW": x.T @ dy, "db": dy.sum(axis=0)}


class Layer:
    def __init__(self):
        self.W = np.arange(20.0).reshape(5, 4) / 10

    def forward(self, x):
        self.x = x
        return x @ self.W

    def backward(self, dy):
        self.dW = self.x.T @ dy
        return dy @ self.W.T


W, B = RNG.standard_normal((5, 4)), RNG.standard_normal(4)
FORMS = {
    "closure": (closure, None, (X, W)),
    "loss": (loss, None, (X, W, RNG.standard_normal((3, 4)))),
    "no cache": (without_cache, its_backward, (X, W)),
    "dicts": (with_dicts, its_gradients, (X, {"W": W, "b": B})),
    "object": (Layer(), None, (X,)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_called_and_a_wrong_gradient_seen(form, monkeypatch):
    forward, backward, args = FORMS[form]
    result = check_backward(forward, backward, args, locate=False)
    result.assert_right()
    assert any(row.name == "dW" for row in result.arrays)
    wrong = {
        "closure": (lambda x, W: (x @ W, lambda dy: (dy @ W.T, 2 * x.T @ dy)), None),
        "loss": (lambda x, W, targets: (loss(x, W, targets)[0], loss(x, W, targets)[1] | {"W": W}), None),
        "no cache": (without_cache, lambda dy, x, W: (dy @ W.T, -(x.T @ dy))),
        "dicts": (with_dicts, lambda dy, c: its_gradients(dy, c) | {"dW": 0 * c[1]["W"]}),
    }.get(form)
    if wrong is None:
        layer = Layer()
        monkeypatch.setattr(Layer, "backward", lambda self, dy: (setattr(self, "dW", self.W), dy @ self.W.T)[1])
        wrong = (layer, None)
    found = check_backward(*wrong, args, locate=False)
    assert [row.name for row in found.arrays if row.verdict == "differs"] == ["dW"]


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
    "float32": (X.astype(np.float32), {k: {"W": one["W"].astype(np.float32)} for k, one in LAYERS.items()}),
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
    assert "not checked: dscale[0]" in str(result)


def test_functions_that_do_not_fit_are_refused():
    with pytest.raises(CannotRun, match="should take the gradients of forward"):
        check_backward(norm_forward, lambda: None, (X, GAMMA, BETA))
    with pytest.raises(CannotRun, match="returned 1 value; 3 are expected, in this order: dx, dgamma, dbeta"):
        check_backward(norm_forward, lambda dout, cache: dout, (X, GAMMA, BETA))


def test_wrt_names_the_arguments_with_a_gradient():
    def backward(dout, cache):
        return norm_backward(dout, cache)[0]

    check_backward(norm_forward, backward, (X, GAMMA, BETA), wrt=["x"], locate=False).assert_right()


def test_a_gradient_that_is_not_returned_is_named():
    def backward(dy, cache):
        gradients = its_gradients(dy, cache)
        del gradients["db"]
        return gradients

    result = check_backward(with_dicts, backward, (X, {"W": W, "b": B}), locate=False)
    assert result.right and "not checked: db" in str(result)


def test_differences_near_a_kink():
    """At 1e-5 from its kink, relu's slope is found with a smaller step."""
    value, _ = best_estimate(lambda change: max(0.0, 1e-5 + change))
    assert abs(value - 1) < 1e-6


@pytest.mark.parametrize("distance", [0.1, 4e-3, 3e-4, 2e-5])
def test_differences_near_a_jump_of_the_second_derivative(distance):
    """An ELU has one at 0: differences across it look exact, and are not."""
    value, error = best_estimate(lambda change: np.expm1(min(0.0, change - distance)) + max(0.0, change - distance))
    assert abs(value - np.exp(-distance)) <= 10 * max(error, 1e-9)


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
    assert found.verdict == "could not run" and "add a function `example`" in found.sentence


def test_an_example_without_a_seed_is_refused(tmp_path):
    path = tmp_path / "f.py"
    path.write_text(
        "import numpy as np\ndef forward(x):\n    return x, 1\ndef backward(d, c):\n    return d\n"
        "def example():\n    return (np.random.default_rng().standard_normal(3),)\n",
        encoding="utf-8",
    )
    (found,) = examine.examine(str(path))
    assert "give its generator a seed" in found.sentence
