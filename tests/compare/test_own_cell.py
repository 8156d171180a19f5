"""`pytest --cell=FILE` as tests/README.md shows it: a right cell passes, a wrong one fails at its first wrong array."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
(CELL,) = re.findall(r"```python\n(.*?)```", (ROOT / "tests" / "README.md").read_text(encoding="utf-8"), re.S)


def run(path):
    """pytest on a cell: its exit status, and what it printed."""
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", f"--cell={path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_a_right_cell_passes(tmp_path):
    (tmp_path / "mgu.py").write_text(CELL, encoding="utf-8")
    status, output = run(tmp_path / "mgu.py")
    assert status == 0, output
    assert re.search(r"1\d passed", output), output


@pytest.mark.slow
def test_a_cell_without_a_matrix_for_its_state_passes(tmp_path):
    source = (ROOT / "scratch/mingru.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(f'{source}\nWEIGHTS = ("weight_ih", "bias_ih")\n', encoding="utf-8")
    status, output = run(tmp_path / "mine.py")
    assert status == 0, output


@pytest.mark.parametrize(
    ("right", "wrong", "first"),
    [
        pytest.param("dh * f * (1 - n**2)", "dh * f * (1 - n) ** 2", "the gradient dx", marks=pytest.mark.slow),
        pytest.param("dh * (1 - f) + da[0] @ W_hh", "da[0] @ W_hh", "the gradient dx", marks=pytest.mark.slow),
        ("dW_hh = dW_hh + da[0].T @ h", "dW_hh = da[0].T @ h", "the gradient weight_hh_l0"),
    ],
)
def test_a_wrong_cell_fails_with_its_first_wrong_gradient(right, wrong, first, tmp_path):
    assert CELL.count(right) == 1
    (tmp_path / "wrong.py").write_text(CELL.replace(right, wrong), encoding="utf-8")
    status, output = run(tmp_path / "wrong.py")
    assert status == 1, output
    assert output.partition("FAILURES")[2].splitlines()[2].startswith(f"wrong.py: {first}"), output
    assert re.search(r"^\d failed, (\d passed, )?\d\d skipped", output, re.M), "properties presume right gradients"


def test_a_file_without_a_cell_is_refused(tmp_path):
    (tmp_path / "empty.py").write_text("", encoding="utf-8")
    status, output = run(tmp_path / "empty.py")
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "empty.py has no forward; tests/README.md shows what a cell needs" in output
