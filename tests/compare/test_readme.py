"""What the documentation says is true: its Python runs, its links lead somewhere, its map shows every command."""

import re
from pathlib import Path

import pytest

from compare.__main__ import COMMANDS
from compare.mistakes.detectors import WEAK
from compare.traps.catalogue import TRAPS

ROOT = Path(__file__).parents[2]
FOLDERS = ("scratch", "torch_impl", "data", "compare", "tests")
PAGES = [*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in sorted((ROOT / folder).rglob("*.md")))]


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


PROGRAMS = [code for page in PAGES for code in re.findall(r"^```python\n(import .*?)```", text_of(page), re.S | re.M)]


@pytest.mark.parametrize("code", PROGRAMS)
def test_its_python_runs(code, capsys):
    exec(code, {})
    printed = [float(line) for line in capsys.readouterr().out.split()]
    if "taylor" in code:  # says what the two numbers must be
        rounding, slope = printed
        assert abs(rounding) < 1e-12
        assert slope == pytest.approx(2, abs=0.1)


def test_the_pages_show_three_programs():
    assert len(PROGRAMS) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_its_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)]+)\)", text_of(page))
    for target in targets:
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def anchors(page):
    """The names that a heading can be linked by: lower case, without marks, blanks as hyphens."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_map_shows_the_commands_of_help():
    """compare/README.md: command, folder and purpose of each command, in the order of COMMANDS."""
    rows = re.findall(r"^\| \[`(\w+)`\]\(.*\) \| \[(\w+)/\]\(\2\) \| (.*) \|$", text_of("compare/README.md"), re.M)
    assert rows == [(name, module.split(".")[1], purpose) for name, module, purpose in COMMANDS]


def test_the_tables_name_every_trap_and_every_weak_way():
    rows = re.findall(r"^\| (.*) \| (.*) \| \d+ \((\w+).*\) \|$", text_of("compare/README.md"), re.M)
    assert sorted(rows) == sorted((trap.title, trap.torch, trap.task) for trap in TRAPS)
    assert re.findall(r"^\| (.*) \| \d+ \| \d+ \|$", text_of("tests/README.md"), re.M)[:-1] == list(WEAK)


def test_the_front_page_quotes_the_line_that_adds_the_two_gradients():
    (line,) = re.findall(r"`(dh\[t\] = .*?)`", text_of("README.md"))
    assert text_of("scratch/rnn.py").count(line) == 1
