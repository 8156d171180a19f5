"""Shared by all tests: what can run here, in which order, and what a red run says at its end."""

import gc
import importlib.util
import os
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

import compare  # noqa: F401  one thread for NumPy, set before NumPy is loaded

TESTS = Path(__file__).parent
# The folders in the order in which they run, and the package without which a folder is left out.
ROOMS = {"parity": "torch", "scratch": None, "data": None, "compare": "torch", "learner": "rich"}
# Before all else: which gradient of which cell is wrong. Everything else builds on the cells.
FIRST = ("test_cells_against_autograd.py", "test_cells_against_two_oracles.py")
CELLS_FIRST = (0, 0)  # their position
# What else a model is made of, and whole models.
PARTS = ("test_layers_and_losses.py", "test_layers.py", "test_optim.py", "test_optimizers.py")
MODELS = ("test_whole_model.py", "test_models.py")

# Files of tests/compare that make a page or train models for all their tests, each with the name of its group.
ALONE = ("command", "curves_plot", "notebook", "overlay", "page", "predict", "resume", "traps")
GROUPS = {name: name for name in ALONE}
GROUPS |= {"page_browser": "page", "match": "traps", "traps_in_torch": "traps"}  # need the same page and the same runs
LONG_SET_UP = {f"tests/compare/test_{name}.py": group for name, group in GROUPS.items()}

# Slow tests that take a minute: they begin first, so that none of them is left alone at the end.
LONGEST = ("test_the_suite_sees_every_mistake_and_names_the_gradient_of_a_wrong_cell",)
LONGEST += ("test_mistakes_in_other_styles", "test_the_mistakes_of_the_catalogue_are_named_with_their_lines")

# default: the same examples in every run, for users; detect: the same, but a failing one is not simplified; quick: a
# third of these; thorough: many more, at random, with a blob that replays a failure
common = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("default", max_examples=30, derandomize=True, **common)
settings.register_profile("detect", settings.get_profile("default"), phases=[Phase.explicit, Phase.generate])
settings.register_profile("quick", settings.get_profile("detect"), max_examples=10)
settings.register_profile("thorough", max_examples=10_000, print_blob=True, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@cache
def missing(package):
    """Is a package absent? (It is not imported: the process that only distributes the tests has no use for torch.)"""
    return package is not None and importlib.util.find_spec(package) is None


def room(path):
    """The folder below tests/ that a path is in, or None."""
    parts = path.relative_to(TESTS).parts if path.is_relative_to(TESTS) else ()
    return parts[0] if parts and parts[0] in ROOMS else None


def pytest_addoption(parser):
    group = parser.getgroup("rnn by hand")
    group.addoption("--plant", metavar="NAME", help="test scratch with a mistake of the catalogue in it")
    group.addoption("--cell", metavar="FILE.py", help="run the properties of tests/scratch on a cell of your own")


def pytest_configure(config):
    if config.getoption("plant") is not None:
        from compare.mistakes.catalogue import BY_NAME
        from compare.mistakes.plant import plant

        if config.getoption("plant") not in BY_NAME:
            raise pytest.UsageError(f"--plant: no mistake is called {config.getoption('plant')!r}")
        plant(BY_NAME[config.getoption("plant")])  # before any test imports scratch
    if config.getoption("cell") is not None:
        add_cell(Path(config.getoption("cell")))


def add_cell(path):
    """Make the file's cell the only one that is tested. It has forward, backward and GATES, see tests/README.md."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or not path.is_file():
        raise pytest.UsageError(f"--cell: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise pytest.UsageError(f"--cell: {path} does not run: {error!r}") from error
    for name in ("forward", "backward", "GATES"):
        if not hasattr(module, name):
            raise pytest.UsageError(f"--cell: {path} has no {name}; tests/README.md shows what a cell needs")
    import cases

    import scratch

    if path.stem in scratch.CELLS:
        raise pytest.UsageError(f"--cell: there is a cell {path.stem} already; give your file another name")
    facts = {name.lower(): getattr(module, name) for name in ("STATES", "WEIGHTS") if hasattr(module, name)}
    layer = type(path.stem, (scratch.recurrent.Recurrent,), {"cell": module, **facts})
    scratch.CELLS[path.stem] = (layer, {})
    cases.CELLS[:] = [path.stem]


def pytest_ignore_collect(collection_path, config):
    folder = room(collection_path)
    if missing(ROOMS.get(folder)) or (config.getoption("cell") and folder not in (None, "scratch")):
        return True


def pytest_report_header(config):
    absent = [f"tests/{name} (needs {package})" for name, package in ROOMS.items() if missing(package)]
    return f"left out: {', '.join(absent)}" if absent else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """A file with a long set-up runs in one process, which makes it once."""
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return LONG_SET_UP.get(nodeid.split("::")[0], nodeid)

    return Grouped(config, log)


@pytest.hookimpl(trylast=True)  # after hypothesis has put its mark on its tests
def pytest_collection_modifyitems(items, config):
    if config.getoption("cell"):
        items[:] = [item for item in items if item.path.name == "test_properties.py" or "own_forward" in item.name]
    items.sort(key=lambda item: (item.name not in LONGEST, position(item)))
    if sys.modules.get("torch"):
        sys.modules["torch"].set_num_threads(1)  # NumPy's threads and torch's would wait for each other


def pytest_collection_finish():
    gc.freeze()  # torch and all else that is loaded by now: to look for garbage in it takes a tenth of the tests' time


def position(item):
    """Which tests come first: cells, what else a model is made of, models, the rest, then properties, then commands."""
    name, folder, is_property = item.path.name, room(item.path), "hypothesis" in item.keywords
    if name in FIRST:
        return (2, 0) if is_property else CELLS_FIRST
    if name in PARTS:
        return 1, 0
    if folder in ("parity", "scratch") and is_property:
        return 5, 0
    if name in MODELS:
        return 3, MODELS.index(name)
    if folder in ("parity", "scratch"):
        return 4, 0
    return 6, [*ROOMS, None].index(folder)


@cache
def wrong_cells():
    """The files whose cell differs from the tape's gradients, or from complex steps where it is a cell of one's own."""
    from cases import CELLS, Case, diagnose, run_by_complex_step, run_by_tape

    import scratch

    wrong = set()
    for cell in CELLS:
        oracle = run_by_tape if scratch.module_of(cell).__package__ == "scratch" else run_by_complex_step
        for upstream in (1, 1000):
            case = Case(cell, 1, False, True, 4, 3, 2, 3, padded=False, seed=0, upstream=upstream)
            if diagnose(case, oracle):
                wrong.add(case.path)
    return sorted(wrong)


def pytest_runtest_setup(item):
    """Everything but the tests of the cells presumes that the cells are right: one line instead of a riddle."""
    if position(item) > CELLS_FIRST and wrong_cells():
        pytest.skip(f"presumes that {', '.join(wrong_cells())} is right")


def pytest_terminal_summary(terminalreporter, config):
    if terminalreporter.stats.get("failed") and not config.getoption("cell"):
        import scratch

        plant = config.getoption("plant")
        for file in wrong_cells():
            what = f"{plant} is planted in memory, the file is right" if plant else f"run: byhand check {file}"
            terminalreporter.write_line(f"{file} differs from autograd; {what}")
        if wrong_cells() == sorted({f"scratch/{scratch.file_of(cell)}.py" for cell in scratch.CELLS}):
            terminalreporter.write_line(
                "All cells differ: look first at what they share, scratch/inputs.py and others."
            )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The test's own folder, empty at first, as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(folder, capsys):
    """A function: run a command that must end with status 2, one line and no file changed; return the line."""
    from compare.__main__ import main

    def files():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def run(command):
        before = files()
        capsys.readouterr()
        try:
            status = main(command)
        except SystemExit as stopped:  # what argparse refuses
            status = stopped.code
        said = capsys.readouterr()
        assert status == 2
        assert said.err.startswith("error: ") and said.err.endswith("\n") and said.err.count("\n") == 1, said.err
        assert not said.out, "it is refused before anything is done"
        assert files() == before
        return said.err

    return run
