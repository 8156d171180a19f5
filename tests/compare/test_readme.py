"""What README.md shows is true: its Python runs, its links lead somewhere."""

import re
from pathlib import Path

import pytest

from compare.__main__ import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / name for name in ("README.md", "scratch/README.md", "data/SOURCES.md", "tests/MUTANTS.md")]


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


def test_the_learners_way_is_as_it_prints(tmp_path, monkeypatch, capsys):
    """The attempt in the README and what the check says to it, to the letter, but for the time it took."""
    readme = PAGES[0].read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "lstm"]) == 0
    (attempt,) = re.findall(r"<!-- attempt -->\n```python\n(.*?)```", readme, re.S)
    starter = Path("lstm.py").read_text(encoding="utf-8")
    text = starter.replace('    raise NotImplementedError("yours to write")\n', attempt)
    assert text != starter
    statuses = []
    for change, shown in re.findall(r"<!-- check(.*?) -->\n```\n(.*?)```", readme, re.S):
        if change:
            before, after = change.removeprefix(": ").split(" => ")
            assert text.count(before) == 1
            text = text.replace(before, after)
        Path("lstm.py").write_text(text, encoding="utf-8")
        capsys.readouterr()
        statuses.append(main(["check", "lstm.py"]))
        printed = "\n".join(line.rstrip() for line in capsys.readouterr().out.split("\n"))
        assert without_times(printed) == without_times(shown)
    assert statuses == [1, 1, 0]


def without_times(text):
    """Without what another machine prints differently: times, and the last digits of a sum."""
    text = re.sub(r"take \S+ times", "take ... times", text)
    return re.sub(r"in \S+, is \S+ roundings", "is ... roundings", text)
