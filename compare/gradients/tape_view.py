"""The tape of one step beside the lines of the hand-written backward: the one turns into the other."""

import ast
import inspect
import re
from dataclasses import dataclass
from functools import partial

import numpy as np
import rich
from rich.markup import escape
from rich.table import Table

from compare.agreement import assert_all_same
from scratch import gru, lstm, rnn, tape

CELLS = {
    "rnn": (rnn, tape.rnn_step, 1),
    "rnn_relu": (rnn, partial(tape.rnn_step, nonlinearity="relu"), 1),
    "gru": (gru, tape.gru_step, 3),
    "lstm": (lstm, tape.lstm_step, 4),
}


def main(cell, seed=0):
    """Print both for one step of `cell`; then compare what they compute. Raises AssertionError when it differs."""
    module, step, gates = CELLS[cell]
    T, B, I, H = 1, 2, 3, 4
    rng = np.random.default_rng(seed)
    states = ["h_0", "c_0"] if cell == "lstm" else ["h_0"]
    shapes = dict.fromkeys(states, (B, H)) | {
        "W_ih": (gates * H, I),
        "W_hh": (gates * H, H),
        "b_ih": (gates * H,),
        "b_hh": (gates * H,),
    }
    values = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    x = rng.standard_normal((T, B, I))
    upstream = [rng.standard_normal((B, H)) for _ in states]  # of h_1, for an LSTM also of c_1

    written = tape.Tape()
    x_1 = written.variable(x[0], "x_1")
    leaves = {name: written.variable(value, name) for name, value in values.items()}
    results = step(x_1, *leaves.values())
    results = results if cell == "lstm" else [results]
    written.backward(dict(zip(results, upstream, strict=True)))

    options = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    *_, cache = module.forward(x, *values.values(), **options)
    dx, *rest = module.backward(np.zeros((T, B, H)), *upstream, cache)
    by_hand = {"x_1": dx[0]} | dict(zip(leaves, rest, strict=True))
    by_tape = {"x_1": x_1.grad} | {name: leaf.grad for name, leaf in leaves.items()}

    rich.print(table(cell, written, results))
    print(
        "The tape is read from its end, a line at a time. By hand, lines that belong together are one, and what needs"
    )
    print("no other step, the slopes and the weights, stands before and after the loop over t. A line by hand that")
    print("answers several equations stands at the last of them.")
    assert_all_same(by_hand, by_tape, "by hand against the tape:", cell)
    print(f"with the same numbers, both give the same gradients of {', '.join(by_tape)}")


def table(cell, written, results):
    """A row for every equation, the last one first."""
    module = CELLS[cell][0]
    by_hand = lines_of(inspect.getsource(module.backward))
    result = Table(title=f"{cell}: one step, backward", title_justify="left", show_lines=True)
    result.add_column("")
    result.add_column("the tape: what was computed, and the shares it hands down")
    result.add_column(f"by hand: {module.__name__.replace('.', '/')}.py")
    names = dict(zip(results, ("h_1", "c_1"), strict=False))
    gates = [v for v in written if v.text.startswith(("sigmoid", "tanh")) and v not in names]
    names |= zip(gates, {"gru": "rzn", "lstm": "ifgo"}.get(cell, ""), strict=False)
    for equation in sorted({v.equation for v in written if v.operands}, reverse=True):
        lines = []
        for variable in reversed(written):
            if variable.equation == equation and variable.operands:
                name = f"v{variable.number}"
                meaning = f"  (this is {names[variable]})" if variable in names else ""
                lines.append(f"[bold]{name} = {escape(variable.text)}[/bold]{meaning}")
                for operand, _, how in variable.operands:
                    share = re.sub(r"\bd\b", f"d{name}", how)  # d is the gradient of this result
                    lines.append(escape(f"  d{operand} += {share}"))
        later = {line for other, lines in by_hand.items() if other < equation for line in lines}
        answers = [line for line in by_hand[equation] if line not in later]
        result.add_row(equation, "\n".join(lines), escape("\n".join(answers)))
    return result


def lines_of(source):
    """The code lines of a backward by the equations that the comment above them names: {"L4": [line, ...]}."""
    found = {}
    for group in groups_of(source):
        for _, line in group.lines:
            code = line.strip()
            if not code.startswith("for "):
                for equation in group.equations:
                    found.setdefault(equation, []).append(code.split("  #")[0])
    return found


@dataclass
class Group:
    """Lines of a function that stand together: under one comment, or between two blank lines."""

    comment: str
    equations: list  # those that the comment names: ["L4", "L3"]
    lines: list  # (line number, line), the comment's own left out, indented as within the body


def groups_of(source, first=1):
    """The body of a function, from below its docstring, as Groups in its own order. first: its line number."""
    docstring = ast.parse(source).body[0].body[0]
    groups, in_comment = [Group("", [], [])], False
    for number, line in enumerate(source.split("\n")[docstring.end_lineno :], first + docstring.end_lineno):
        text = line.strip()
        if text.startswith("#"):
            if not in_comment:
                groups.append(Group("", [], []))
            groups[-1].comment = f"{groups[-1].comment} {text[1:].strip()}".strip()
            groups[-1].equations += re.findall(r"\(([A-Z]\d)\)", text)
        elif text:
            groups[-1].lines.append((number, line.removeprefix("    ")))
        else:
            groups.append(Group("", [], []))
        in_comment = text.startswith("#")
    return [group for group in groups if group.lines]
