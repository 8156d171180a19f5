"""compare/learner/README.md shows what `check` really prints."""

import re
from pathlib import Path

import pytest

from compare.__main__ import main

README = (Path(__file__).parents[2] / "compare/learner/README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_example_is_as_check_prints_it(folder, capsys):
    """The attempt of the README and each answer of `check`, to the letter, except for times and the last digits."""
    assert main(["exercise", "lstm"]) == 0
    (attempt,) = re.findall(r"<!-- attempt -->\n```python\n(.*?)```", README, re.S)
    starter = Path("lstm.py").read_text(encoding="utf-8")
    text = starter.replace('    raise NotImplementedError("yours to write")\n', attempt)
    assert text != starter
    statuses = []
    for change, shown in re.findall(r"<!-- check(.*?) -->\n```\n(.*?)```", README, re.S):
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
    """Without what differs on another machine: times, and the last digits of a sum."""
    text = re.sub(r"take \S+ times", "take ... times", text)
    return re.sub(r"in \S+, is \S+ eps", "is ... eps", text)
