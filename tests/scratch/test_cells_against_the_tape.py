"""The cells by hand against the tape, which needs no torch: with NumPy alone, this test runs before all others."""

import pytest
from cases import BOTH, CELLS, Case, run, run_by_tape

from compare.agreement import assert_all_same


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [(4, 3, 2, 3), (1, 1, 1, 1)], ids=["4 steps", "1 step"])
@pytest.mark.parametrize("dtype", BOTH)
def test_every_gradient_of_a_cell_is_the_tapes(cell, sizes, dtype):
    case = Case(cell, 1, False, True, *sizes, padded=False, seed=0, dtype=dtype)
    got = {name: array for name, array in run(case).items() if name != "y"}
    assert_all_same(got, run_by_tape(case), cell=cell)
