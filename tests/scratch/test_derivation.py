"""scratch/README.md and the code are one text: the same equations, and every line quoted is there."""

import re
from pathlib import Path

import pytest

SCRATCH = Path(__file__).parents[2] / "scratch"
PAGE = (SCRATCH / "README.md").read_text(encoding="utf-8")
CODE = {path.name: path.read_text(encoding="utf-8") for path in sorted(SCRATCH.glob("*.py"))}
NUMBER = r"\(([A-Z]\d)\)"


def test_the_same_equations_stand_in_the_text_and_in_the_code():
    in_code = {number for source in CODE.values() for number in re.findall(NUMBER, source)}
    assert set(re.findall(NUMBER, PAGE)) == in_code
    assert len(in_code) >= 14


@pytest.mark.parametrize("name", ["rnn.py", "gru.py", "lstm.py", "inputs.py", "rtrl.py"])
def test_an_equation_is_written_alike(name):
    """The lines of a docstring that begin with a number, word for word (blanks aside)."""
    page = {" ".join(line.split()) for line in PAGE.split("\n")}
    equations = [line for line in CODE[name].split('"""')[1].split("\n") if re.match(rf" +{NUMBER}  ", line)]
    assert equations
    for line in equations:
        number = line.split()[0]
        assert any(other.startswith(f"{number} ") for other in page), line
        if name != "rnn.py":
            assert " ".join(line.split()) in page, line


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, re.S))
def test_every_quoted_line_is_in_the_code(block):
    lines = {line.strip() for source in CODE.values() for line in source.split("\n")}
    for line in block.strip().split("\n"):
        assert line.strip() in lines, line


def test_every_backward_line_of_a_cell_has_an_equation_above_it():
    """In the loops of backward, where the reader goes line by line."""
    for name in ("rnn.py", "gru.py", "lstm.py"):
        loop = CODE[name].split("for t in reversed(range(T)):\n")[1].split("\n    dh_0")[0]
        statements, numbered = 0, False
        for line in loop.strip("\n").split("\n"):
            if line.strip().startswith("#"):
                numbered = bool(re.search(NUMBER, line))
            else:
                statements += 1
                assert numbered, f"{name}: {line}"
        assert statements >= 3
