"""What README.md shows is true: its Python runs, its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "scratch/README.md", "compare/learner/README.md", "data/SOURCES.md", "tests/MUTANTS.md")
PAGES = [ROOT / name for name in PAGES]


@pytest.mark.parametrize(
    "code", re.findall(r"(?<!attempt -->\n)```python\n(.*?)```", PAGES[0].read_text(encoding="utf-8"), re.S)
)
def test_its_python_runs(code, capsys):
    exec(code, {})
    printed = [float(line) for line in capsys.readouterr().out.split()]
    if "taylor" in code:  # says what the two numbers must be
        rounding, slope = printed
        assert abs(rounding) < 1e-12
        assert slope == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_its_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
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
