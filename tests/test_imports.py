"""Imports run one way: data <- scratch, torch_impl <- compare. scratch never loads torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"data": set(), "scratch": {"data"}, "torch_impl": {"data"}, "compare": {"data", "scratch", "torch_impl"}}
OUTSIDE = {"data": {"numpy"}, "scratch": {"numpy"}, "torch_impl": {"numpy", "torch"}}


def imported(path):
    """The top-level names that a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_each_package_imports_only_what_it_may(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            if name in MAY_IMPORT:
                assert name == package or name in MAY_IMPORT[package], f"{path} imports {name}"
            elif package in OUTSIDE and name not in sys.stdlib_module_names and path.name != "rebuild.py":
                assert name in OUTSIDE[package], f"{path} imports {name}"


def test_scratch_and_data_leave_torch_alone():
    code = "import sys, scratch, data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_the_tests_that_need_no_torch_load_where_only_numpy_is():
    code = (
        "import sys, pytest; sys.modules.update(dict.fromkeys(sys.argv[1:]));"
        "sys.exit(pytest.main(['-m', 'not torch', '--collect-only', '-p', 'no:cacheprovider']))"
    )
    absent = ["torch", "matplotlib", "rich", "safetensors", "threadpoolctl", "nbformat", "nbclient"]
    done = subprocess.run([sys.executable, "-c", code, *absent], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
