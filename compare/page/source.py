"""What the page reads from the files of scratch/ and torch_impl/: their lines, equations and blocks."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import scratch
from compare.gradients.tape_view import Group, groups_of


def file_of(module: ModuleType) -> str:
    return module.__name__.replace(".", "/") + ".py"


def source_of(cell: str) -> str:
    """The text of the file of a cell in scratch."""
    return Path(scratch.module_of(cell).__file__).read_text(encoding="utf-8")


def docstring_of(module: ModuleType) -> str:
    """A module's docstring, also where Python drops docstrings (-OO)."""
    return ast.get_docstring(ast.parse(inspect.getsource(module)), clean=False)


def equations_of(module: ModuleType) -> dict[str, list[str]]:
    """A docstring's equations: {"L1": [part, ...]}, where a part is an equation or a remark."""
    found = re.findall(r"^ +\(([A-Z]\d)\)  (.*)$", docstring_of(module), re.M)
    return {equation: re.split(r" {3,}", text) for equation, text in found}


def blocks_of(cell: str) -> dict[str, tuple[str, ...]]:
    """The sums of several gates: name -> the names of their blocks, as the docstring lists them."""
    found = {}
    for name, listed in re.findall(r"\) +(\w)_t = .*blocks of H: (.*)", docstring_of(scratch.module_of(cell))):
        found[name] = tuple(listed.split(", "))
    return found


def body(function: Callable) -> list[Group]:
    """A function's Groups, with the line numbers of its file."""
    found, first = inspect.getsourcelines(function)
    return groups_of(textwrap.dedent("".join(found)), first)


def torch_groups(in_steps: Callable) -> list[Group]:
    """The lines of a torch function as Groups that end at the lines tagged with an equation; the rest comes last."""
    groups, waiting = [], []
    for line in (line for group in body(in_steps) for line in group.lines):
        waiting.append(line)
        tag = re.search(r"# \(([A-Z]\d)\)$", line[1])
        if tag or line[1].startswith("for "):
            groups.append(Group("", [tag[1]] if tag else [], waiting))
            waiting = []
    return [*groups, Group("", [], waiting)]


def targets_of(group: Group) -> list[str]:
    """What the lines of a Group assign, or write into: ["dh[t]"]."""
    code = [line.strip().split("  #")[0] for _, line in group.lines]
    written = [re.search(r"^(.*?) = |, out=(.*)\)$", line) for line in code]
    return [found[1] or found[2] for found in written if found]
