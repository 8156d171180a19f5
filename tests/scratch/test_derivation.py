"""scratch/README.md and the code are one text: the same equations, every quoted line, and the example's numbers."""

import re
from pathlib import Path

import numpy as np
import pytest

from scratch import rnn

SCRATCH = Path(__file__).parents[2] / "scratch"
PAGE = (SCRATCH / "README.md").read_text(encoding="utf-8")
CODE = {path.name: path.read_text(encoding="utf-8") for path in sorted(SCRATCH.glob("*.py"))}
NUMBER = r"\(([A-Z]\d)\)"


def plain(equation):
    """An equation in LaTeX or in plain text, without what the two notations write differently."""
    equation = equation.replace(r"\odot", "*").replace(r"\sigma", "sigmoid").replace(r"\quad", "")
    equation = re.sub(r"\\(textstyle|text)", "", equation)
    return re.sub(r"[\\{}&\s]", "", equation)


def test_text_and_code_have_the_same_equations():
    in_code = {number for source in CODE.values() for number in re.findall(NUMBER, source)}
    assert set(re.findall(NUMBER, PAGE)) == in_code
    assert len(in_code) >= 23


WITH_EQUATIONS = [name for name, source in CODE.items() if re.search(rf"^ +{NUMBER}  ", source, re.M)]


@pytest.mark.parametrize("name", WITH_EQUATIONS)
def test_each_equation_is_the_same_in_text_and_docstring(name):
    """A docstring may add a remark after the equation."""
    blocks = [block for block in PAGE.split("```")[1::2] if not block.startswith(("python", "mermaid"))]
    page = [plain(line) for block in blocks for line in block.split("\n")]
    equations = [line for line in CODE[name].split('"""')[1].split("\n") if re.match(rf" +{NUMBER}  ", line)]
    assert equations
    for line in equations:
        number = line.split()[0]
        (written,) = {other for other in page if other.startswith(number)}
        assert plain(line).startswith(written), f"{line}: the text has {written}"


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, re.S))
def test_every_quoted_line_is_in_the_code(block):
    lines = {line.strip() for source in CODE.values() for line in source.split("\n")}
    for line in block.strip().split("\n"):
        assert line.strip() in lines, line


def test_every_line_in_the_loop_of_backward_has_an_equation_above_it():
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


def test_the_numbers_of_the_example_on_paper():
    x = np.array([1.0, 2, -1]).reshape(3, 1, 1)
    W_ih, W_hh, h_0, zero = np.array([[0.5]]), np.array([[0.8]]), np.zeros((1, 1)), np.zeros(1)
    y, _, cache = rnn.forward(x, h_0, W_ih, W_hh, zero, zero)
    trace = {}
    _, dh_0, dW_ih, dW_hh, db_ih, db_hh = rnn.backward(np.ones_like(y), h_0, cache, trace)
    a = x * 0.5 + 0.8 * np.concatenate([h_0[None], y[:-1]])
    expected = {"x_t": x, "a_t": a, "h_t": y, "dy_t": np.ones(3), "dh_t": trace["dh"], "da_t": trace["da"]}
    expected |= {"dW_hh": dW_hh, "dW_ih": dW_ih, "db_ih, db_hh": db_hh, "dh_0": dh_0}
    assert db_ih == db_hh

    section = PAGE.split("## One example on paper")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([\w, ]+?) \| (.*) \|.*\|$", section, re.M)
    shown = {name: [float(v) for v in values.split(" | ")] for name, values in rows if name in expected}
    assert shown.keys() == expected.keys()
    for name, values in shown.items():
        np.testing.assert_allclose(values, np.ravel(expected[name]), atol=0.5001e-4, err_msg=name)
