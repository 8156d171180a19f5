"""The console script `byhand` works in any folder, even one with files named like the packages of this project."""

import subprocess
import sys
from pathlib import Path

import pytest

from compare.learner.ladder import BY_NAME, solution

BYHAND = Path(sys.executable).with_name("byhand")
SAME_NAMES = ("data.py", "scratch.py", "compare.py", "data/__init__.py", "torch_impl/__init__.py")
SMALL = ["--steps", "3", "--hidden", "3", "--batch-size", "2"]


@pytest.fixture
def folder(tmp_path):
    """A folder in which every name of a package of this project is taken, by files that must not be imported."""
    for name in SAME_NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"raise RuntimeError('{name} of the current folder was imported')\n", encoding="utf-8")
    (tmp_path / "right").mkdir()
    (tmp_path / "right" / "softmax.py").write_text(solution(BY_NAME["softmax"]), encoding="utf-8")
    (tmp_path / "clipping.py").write_text("def clip_grad_norm(grads, max_norm):\n    return 0.0\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "arguments, status",
    [
        (["--help"], 0),
        (["exercise", "softmax"], 0),
        (["check", "right/softmax.py"], 0),
        (["check", "clipping.py"], 1),
        pytest.param(["gradients", "--cell", "rnn", *SMALL], 0, marks=pytest.mark.slow),
        pytest.param(["curves", "memory", *SMALL], 0, marks=pytest.mark.slow),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_command_works_in_any_folder(folder, arguments, status):
    if not BYHAND.exists():
        pytest.fail(f"there is no {BYHAND}: install the project first, with `pip install -e .`")
    done = subprocess.run([BYHAND, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "of the current folder was imported" not in done.stdout + done.stderr
