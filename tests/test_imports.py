"""Imports run one way: torch_impl imports data, compare imports all three, and nothing imports compare.

data and scratch import neither each other nor anything above. Inside compare, a room (a folder) imports the shared
modules (the files next to it) and its own files; a shared module imports shared modules only.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {"data": set(), "scratch": set(), "torch_impl": {"data"}, "compare": {"data", "scratch", "torch_impl"}}
OUTSIDE = {"data": {"numpy"}, "scratch": {"numpy"}, "torch_impl": {"numpy", "torch"}}

# (importing room, imported room): why. "shared" is the files directly in compare/.
ROOM_EXCEPTIONS = {
    ("bench", "mistakes"): "an ablation is planted into scratch as a mistake is",
    ("curves", "learner"): "`curves --cell FILE` calls the user's cell as `check` does",
    ("gradients", "mistakes"): "`gradients --mistakes` prints which check sees which mistake",
    ("learner", "mistakes"): "`check` names the mistake that gives the same wrong numbers",
    ("shared", "learner"): "`from compare import check_backward` is what people type",
    ("page", "gradients"): "the page shows the names and the tape that `gradients` prints",
    ("page", "mistakes"): "the page shows what each mistake in a cell makes wrong",
    ("traps", "mistakes"): "some traps are planted as mistakes are, and --match tries the whole catalogue",
}


def imported(path):
    """The full names of the modules, or of the things in them, that a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the full name in place of a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_each_package_imports_only_what_it_may(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in (full.split(".")[0] for full in imported(path)):
            if name in MAY_IMPORT:
                assert name == package or name in MAY_IMPORT[package], f"{path} imports {name}"
            elif package in OUTSIDE and name not in sys.stdlib_module_names and path.name != "rebuild.py":
                assert name in OUTSIDE[package], f"{path} imports {name}"


def test_a_room_of_compare_imports_shared_modules_and_its_own_files():
    rooms = {path.parent.name for path in (ROOT / "compare").glob("*/__init__.py")}
    assert len(rooms) >= 7
    crossing = {}
    for path in (ROOT / "compare").rglob("*.py"):
        room = path.relative_to(ROOT / "compare").parts[0]
        room = room if room in rooms else "shared"
        for full in imported(path):
            package, _, name = full.partition(".")
            other = name.split(".")[0]
            if package == "compare" and other in rooms - {room}:
                crossing[room, other] = f"{path.relative_to(ROOT)} imports {full}"
    assert crossing.keys() <= ROOM_EXCEPTIONS.keys(), crossing
    assert ROOM_EXCEPTIONS.keys() <= crossing.keys(), "no longer needed: delete it from ROOM_EXCEPTIONS"


def test_scratch_and_data_leave_torch_alone():
    code = "import sys, scratch, data; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_where_only_numpy_is_installed_pytest_runs_what_needs_no_more():
    code = (
        "import sys, pytest; sys.modules.update(dict.fromkeys(sys.argv[1:]));"
        "sys.exit(pytest.main(['-v', '-n0', '--collect-only', '-p', 'no:cacheprovider']))"
    )
    absent = ["torch", "matplotlib", "rich", "safetensors", "threadpoolctl", "nbformat", "nbclient", "PIL"]
    done = subprocess.run([sys.executable, "-c", code, *absent], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    left_out = "left out: tests/parity (needs torch), tests/compare (needs torch), tests/learner (needs rich)"
    assert left_out in done.stdout
    assert "test_properties.py" in done.stdout
