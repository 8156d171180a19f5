"""What the search finds that no list of small edits contains: missing terms, whole expressions, missing statements."""

import ast
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from compare.learner import examine
from compare.learner.search.ingredients import contractions, cuts, function_of
from compare.learner.search.probes import copied
from compare.learner.search.screening import GapScreen, Place, Screen, leaves_of
from compare.learner.search.suspects import Suspect
from compare.learner.search.synthesis import Part

RIGHT = """\
import numpy as np


def cell_forward(x, h_0, lengths, W, U, V, s):
    h, states = h_0, [h_0]
    for t in range(len(x)):
        new = np.tanh(x[t] @ W + h @ U)
        real = (t < lengths)[:, None]
        h = np.where(real, new, h @ V)
        states.append(h)
    return np.stack(states[1:]) * s, (x, states, lengths, W, U, V, s)


def outputs_backward(dy, states, s):
    dh_of = dy * s
    ds = (dy * np.stack(states[1:])).sum(axis=(0, 1))
    return dh_of, ds


def cell_backward(dy, cache):
    x, states, lengths, W, U, V, s = cache
    dh_of, ds = outputs_backward(dy, states, s)
    dx, dW, dU, dV = np.zeros_like(x), np.zeros_like(W), np.zeros_like(U), np.zeros_like(V)
    dh = np.zeros_like(states[0])
    for t in reversed(range(len(x))):
        dh = dh_of[t] + dh
        mask = (t < lengths).astype(float)[:, None]
        dnew = dh * mask
        da = dnew * (1 - states[t + 1] ** 2)
        dx[t] = da @ W.T
        dW += x[t].T @ da
        dU += states[t].T @ da
        dpast = da @ U.T
        kept = np.where(mask > 0, 0.0, dh)
        dV += states[t].T @ kept
        dpast += kept @ V.T
        dh = dpast
    return dx, dh, dW, dU, dV, ds


def example():
    rng = np.random.default_rng(3)
    shapes = (4, 3, 2), (3, 5), (2, 5), (5, 5), (5, 5), (5,)
    x, h_0, W, U, V, s = (rng.standard_normal(shape) for shape in shapes)
    return x, h_0, np.array([4, 2, 3]), W, U, V, s
"""

MISTAKES = [  # what is written, and instead of what
    pytest.param("dnew = dh * mask", "dnew = dh", id="a factor is missing", marks=pytest.mark.slow),
    pytest.param("        dpast += kept @ V.T\n", "", id="a statement is missing", marks=pytest.mark.slow),
]


def checked(tmp_path, source):
    path = tmp_path / "cell.py"
    path.write_text(source, encoding="utf-8")
    (report,) = examine.examine(str(path), None, lambda report: None)
    return report


def test_the_program_without_a_mistake_is_right(tmp_path):
    assert checked(tmp_path, RIGHT).verdict == "right"


@pytest.mark.parametrize(("right", "wrong"), MISTAKES)
def test_a_fix_is_found_at_the_line_and_makes_everything_right(tmp_path, right, wrong):
    assert RIGHT.count(right) == 1
    source = RIGHT.replace(right, wrong)
    line = RIGHT[: RIGHT.index(right)].count("\n") + 1
    report = checked(tmp_path, source)
    assert report.verdict == "wrong"
    assert abs(report.line - line) <= 1 and report.findings[0].after  # a factor may be put in one line before, too


SHAPES = ((3,), (4, 3), (3, 4), (4, 1), (3, 3), (2, 4, 3), (2, 3, 4), (2, 4, 4))


@pytest.mark.parametrize("a", SHAPES)
@pytest.mark.parametrize("b", SHAPES)
def test_every_contraction_has_the_shape_that_is_asked_for(a, b):
    """And np.einsum makes the same of each of many arrays with each of others."""
    rng = np.random.default_rng(0)
    many, others = rng.standard_normal((2, *a)), rng.standard_normal((3, *b))
    found = [(shape, *pair) for shape in SHAPES for pair in contractions(a, b, shape).items()]
    for shape, template, subscripts in found:
        value = function_of(template)(A=many[1], B=others[2])
        assert value.shape == shape, template
        if subscripts is not None:
            together = np.einsum(subscripts, many, others)[1, 2].reshape(shape)
            np.testing.assert_allclose(together, value, rtol=1e-12, atol=1e-12, err_msg=template)


@pytest.mark.parametrize(
    "a, b, shape, template",
    [
        ((4, 3), (3, 5), (4, 5), "A @ B"),
        ((3, 4), (3, 5), (4, 5), "A.T @ B"),
        ((4, 3), (5, 3), (4, 5), "A @ B.T"),
        ((2, 4, 3), (3, 5), (2, 4, 5), "A @ B"),
        ((2, 4, 3), (2, 5, 3), (2, 4, 5), "A @ B.transpose(0, 2, 1)"),
        ((4,), (5,), (4, 5), "np.outer(A, B)"),
        ((4, 5), (4, 5), (5,), "(A * B).sum(axis=0)"),
        ((4, 5), (4, 5), (4, 1), "(A * B).sum(axis=1, keepdims=True)"),
        ((4, 5), (4, 3), (4, 5, 3), "np.einsum('ab,ac->abc', A, B)"),
        ((2, 4, 3), (2, 4, 5), (3, 5), "np.einsum('cda,cdb->ab', A, B)"),
    ],
)
def test_a_contraction_is_written_as_people_write_it(a, b, shape, template):
    assert template in contractions(a, b, shape)


def test_slices_of_a_given_length():
    assert cuts((5, 12), (5, 4), [1]) == ["X[:, :N]", "X[:, N:2 * N]", "X[:, 2 * N:3 * N]", "X[:, P:P + N]"]
    assert cuts((7,), (4,), [0]) == ["X[:N]", "X[-N:]"]
    assert cuts((6, 5, 9), (4, 5, 5), [0, 2]) == ["X[:N, :, :M]", "X[-N:, :, -M:]", "X[P:P + N, :, Q:Q + M]"]


class Clock:
    ticks = 0


def screen(expression, needed, **variables):
    """A statement at one place that has to be `needed`."""
    rank = needed.size
    suspect = Suspect(1, np.ones(rank, bool), True, expected=[[needed]], rank=rank, jacobian=np.eye(rank))
    return Screen(suspect, [Place(variables, {"np": np}, Clock())], ast.parse(expression, mode="eval").body)


def test_a_part_in_which_an_expression_is_linear():
    a, b = np.array([1.0, 2.0]), np.array([5.0, 7.0])
    whole = screen("2 * a + b", 2 * np.array([3.0, -1.0]) + b, a=a, b=b)
    product = whole.original.left
    part = Part.of(whole, product.right, [product, whole.original])
    assert part.possible and part.right(np.array([[3.0, 3.0], [-1.0, 0.0]])).tolist() == [True, False]


def test_a_part_of_which_no_value_will_do():
    whole = screen("a.sum() + b", np.array([5.0, 8.0]), a=np.array([1.0, 2.0]), b=np.array([5.0, 7.0]))
    total = whole.original.left
    assert not Part.of(whole, total.func.value, [total.func, total, whole.original]).possible
    assert Part.of(whole, whole.original.right, [whole.original]).possible


def test_a_part_in_which_an_expression_is_not_linear():
    whole = screen("np.tanh(a)", np.array([0.1, 0.2]), a=np.array([1.0, 2.0]))
    assert Part.of(whole, whole.original.args[0], [whole.original]) is None


def test_an_integer_of_numpy_is_a_number_too():
    assert [leaf.tolist() for leaf in leaves_of(np.int64(3), ast.parse("n").body[0].value)] == [3.0]


def test_an_integer_among_arrays_is_an_index():
    values, arguments = (np.ones(2), 3, np.zeros(1)), ast.parse("a, t, b").body[0].value
    assert [leaf.tolist() for leaf in leaves_of(values, arguments)] == [[1.0, 1.0], [0.0]]


@pytest.mark.parametrize("number", ["3", "-1", "2/3", "0"])
def test_the_number_that_a_part_has_to_be_multiplied_by(number):
    a, b = np.array([1.0, 2.0]), np.array([5.0, 7.0])
    whole = screen("a + b", float(Fraction(number)) * a + b, a=a, b=b)
    part = Part.of(whole, whole.original.left, [whole.original])
    assert part.factor() == (Fraction(number) or None)  # without the term is another edit


def test_there_may_be_no_such_number():
    a = np.array([1.0, 2.0])
    whole = screen("a * 1.0", np.array([1.0, 2.5]), a=a)
    assert Part.of(whole, whole.original.left, [whole.original]).factor() is None


def test_a_gap_is_judged_by_what_the_variable_held_before_it_was_corrected():
    """Six values of which four can be told from the results, and the second three follow from the first."""
    jacobian = np.zeros((4, 6))
    jacobian[:3, :3], jacobian[3, 3:] = np.eye(3), 1.0
    before, missing = np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0, 9.0])
    needed = before + missing
    expected = [[needed], [needed]]
    suspect = Suspect(1, np.ones(4, bool), True, expected=expected, rank=4, jacobian=jacobian, recurrent=True)
    noted = [({"d": needed, "e": missing}, {})] * 2
    fake = SimpleNamespace(workshop=Clock(), reached=lambda suspect, gap: (noted, [[before], [before]]))
    gap = GapScreen(fake, suspect, SimpleNamespace(number=2, block=[]), ast.parse("d = 0").body[0].targets[0])
    right, wrong = (gap.values(gap.original) + sign * np.tile(missing, 2) for sign in (1, -1))
    assert gap.decides and gap.right(np.stack([right, wrong], axis=1)).tolist() == [True, False]


def test_evaluating_an_expression_changes_nothing():
    a = np.array([1.0, 2.0])
    whole = screen("np.add(a, a, a)", 2 * a, a=copied(a))
    assert whole.values(whole.original) is None  # it writes into a
