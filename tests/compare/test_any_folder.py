"""The console script `byhand` works in any folder, even one with files named like the packages of this project."""

import subprocess
import sys
from pathlib import Path

import pytest

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
    (tmp_path / "clipping.py").write_text("def clip_grad_norm(grads, max_norm):\n    return 0.0\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["check", "clipping.py"], 1), pytest.param(["curves", "memory", *SMALL], 0, marks=pytest.mark.slow)],
    ids=["check", "curves"],
)
def test_a_command_works_in_any_folder(folder, arguments, status):
    """`check` runs the user's file in a process of its own; `curves` imports all packages of the project."""
    if not BYHAND.exists():
        pytest.fail(f"there is no {BYHAND}: install the project first, with `pip install -e .`")
    done = subprocess.run([BYHAND, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "of the current folder was imported" not in done.stdout + done.stderr
