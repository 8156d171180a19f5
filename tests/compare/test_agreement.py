"""The helper that all other tests rely on: it must see what is wrong, and explain it."""

import numpy as np
import pytest
from cases import for_each_cell

from compare.agreement import assert_all_same, assert_same, in_eps, tolerance

RIGHT = np.arange(1.0, 25.0).reshape(2, 3, 4)


def message(got, expected=RIGHT, name="da", **more):
    with pytest.raises(AssertionError) as failed:
        assert_same(got, expected, name, **more)
    return str(failed.value)


def test_equal_arrays_pass():
    assert_same(RIGHT.copy(), RIGHT, "da")
    assert_same(RIGHT * (1 + 0.9 * tolerance(np.float64)), RIGHT, "da")
    assert_same(np.array([np.inf, 1.0]), np.array([np.inf, 1.0]), "loss")
    assert_same(np.zeros((0, 3)), np.zeros((0, 3)), "empty")


def test_a_difference_fails():
    """Beyond rounding, in the sign, in the dtype; and where 0 is expected only 0 will do."""
    assert "differs in 24 of 24" in message(RIGHT + 24 * 1.1 * tolerance(np.float64))
    assert "differs in 24 of 24" in message(-RIGHT)
    assert "the dtype is float32, it should be float64" in message(RIGHT.astype(np.float32))
    text = message(np.full(3, 1e-30), np.zeros(3))
    assert "differs" in text and "%" not in text


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_fails(bad):
    got = RIGHT.copy()
    got[1, 2, 3] = bad
    assert f"got {bad}" in message(got)
    assert "differs in 1 of 24" in message(got)
    assert "differs" in message(RIGHT, got)
    assert "differs" in message(np.array([np.inf]), np.array([-np.inf]))


@pytest.mark.parametrize("shape", [(24,), (1, 24), (24, 1), (2, 3, 4, 1), ()])
def test_a_shape_that_would_broadcast_fails(shape):
    got, expected = np.ones(shape), np.ones((1, 2, 3, 4))
    assert f"the shape is {shape}, it should be (1, 2, 3, 4)" in message(got, expected)


def test_a_missing_and_an_extra_name_fail():
    with pytest.raises(AssertionError, match=r"missing \['b'\], not expected \[\]"):
        assert_all_same({"a": RIGHT}, {"a": RIGHT, "b": RIGHT})
    with pytest.raises(AssertionError, match=r"missing \[\], not expected \['b'\]"):
        assert_all_same({"a": RIGHT, "b": RIGHT}, {"a": RIGHT})


def test_a_sum_that_cancelled_is_measured_by_the_other_arrays():
    expected = {"a": np.ones(2), "b": np.full(2, 1e-6)}
    assert_all_same({"a": np.ones(2), "b": np.full(2, 1e-6 + 1e-16)}, expected)
    with pytest.raises(AssertionError, match=r"b .* differs"):
        assert_all_same({"a": np.ones(2), "b": np.full(2, 1e-6 + 1e-14)}, expected)
    with pytest.raises(AssertionError, match=r"b .* differs"):
        assert_same(np.full(2, 1e-6 + 1e-16), np.full(2, 1e-6), "b")


def test_the_message_reads_the_index():
    da = np.ones((5, 2, 12))
    wrong = da.copy()
    wrong[1, 0, 2] += 0.5
    wrong[3, 1, 7] += 2.0
    text = message(wrong, da, "da", cell="lstm")
    assert "worst at [3, 1, 7]: step 3, row 1, gate g, unit 1" in text
    assert "got 3.0, expected 1.0\n  the error is 2, 200 % of the expected value" in text
    assert "up to 9.99e-13 counts as rounding: 4500 eps of the largest entry, 1" in text
    assert "first wrong step going backwards: 3 (the last step is 4); 2 of 5 steps are wrong" in text
    weight, wrong = np.ones((6, 2)), np.ones((6, 2))
    wrong[3, 1] = 0
    text = message(wrong, weight, "gradient of recurrent.weight_ih_l1_reverse", cell="gru")
    assert "worst at [3, 1]: gate z, unit 1, from input 1" in text
    assert "step" not in text
    assert "worst at [3, 1]: unit 3, from unit 1" in message(wrong, weight, "dW_hh", cell="rnn")
    assert "worst at [3, 1]: row 3, unit 1" in message(wrong, weight, "dh_0", cell="lstm")
    assert "worst at [3, 1]: entry 3, 1" in message(wrong, weight, "something")


def test_the_message_ends_with_lines_that_reproduce_it():
    text = message(RIGHT + 1, reproduce="case = 1\nrun(case)")
    assert text.endswith("to see it again:\n    case = 1\n    run(case)")


def test_errors_in_eps():
    one = np.ones(2)
    assert in_eps(one, one) == 0
    assert in_eps(one + np.array([0, 3 * np.finfo(float).eps]), one) == 3
    assert in_eps(one, np.zeros(2)) == np.inf
    assert np.isnan(in_eps(np.array([1, np.nan]), one)), "a nan must show"
    by_step = in_eps(np.array([[1.0], [2e-9]]), np.array([[1.0], [1e-9]]), step_by_step=True)
    assert by_step == 1 / np.finfo(float).eps


def test_the_worst_entry_is_a_wrong_one():
    """Not the infinity in the same array, which is right."""
    text = message(np.array([np.inf, 1.0, 3.0]), np.array([np.inf, 1.0, 2.0]), "loss")
    assert "worst at [2]" in text


def test_a_failed_property_ends_with_a_snippet_that_reproduces_it():
    @for_each_cell(cell=["gru"], T=2, seed=7)
    def test_of_mine(case, *_):
        assert case.T == 3, "two steps"

    with pytest.raises(AssertionError, match="two steps") as failed:
        test_of_mine("gru")
    *_, lines = str(failed.value).partition("to reproduce:\n")
    assert "from test_agreement import test_of_mine" in lines
    scope = {"test_of_mine": test_of_mine}
    code = "\n".join(line.strip() for line in lines.splitlines() if "test_agreement" not in line)
    with pytest.raises(AssertionError, match="two steps"):
        exec(code, scope)
