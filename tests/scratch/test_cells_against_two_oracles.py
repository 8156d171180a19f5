"""The cells by hand against two oracles that need no torch. With NumPy alone, these tests run before all others."""

import pytest
from cases import BOTH, CELLS, Case, diagnose, run_by_complex_step, run_by_tape


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [(4, 3, 2, 3), (1, 1, 1, 1)], ids=["4 steps", "1 step"])
@pytest.mark.parametrize("upstream", [1, 1000], ids=["", "large upstream"])
@pytest.mark.parametrize("dtype", BOTH)
def test_every_gradient_of_a_cell_is_the_tapes(cell, sizes, upstream, dtype):
    case = Case(cell, 1, False, True, *sizes, padded=False, seed=0, dtype=dtype, upstream=upstream)
    problem = diagnose(case, run_by_tape)
    if problem:
        pytest.fail(problem, pytrace=False)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [(4, 3, 2, 3), (1, 1, 1, 1)], ids=["4 steps", "1 step"])
@pytest.mark.parametrize("upstream", [1, 1000], ids=["", "large upstream"])
def test_every_gradient_of_a_cell_is_that_of_its_own_forward(cell, sizes, upstream):
    """By complex steps, entry by entry."""
    case = Case(cell, 1, False, True, *sizes, padded=False, seed=0, upstream=upstream)
    problem = diagnose(case, run_by_complex_step)
    if problem:
        pytest.fail(problem, pytrace=False)
