"""One step on an autodiff tape next to the lines of the hand-written backward that do the same."""

import ast
import inspect
import re
from dataclasses import dataclass

import numpy as np
import rich
from rich.markup import escape
from rich.table import Table

import scratch
from compare.agreement import assert_all_same
from scratch import tape

EXPLANATION = """\
Read the tape from top to bottom: last operation first. Below each operation are
the terms that it adds to the gradients of its operands. The hand-written code
merges these into fewer lines. What depends on no other step is outside its loop
over t: local derivatives before it, gradients of the weights after it. A line
for several equations is shown once, in the last of their rows."""


SHORT = {"weight_ih": "W_ih", "weight_hh": "W_hh", "bias_ih": "b_ih", "bias_hh": "b_hh"}  # as in the equations


def main(cell: str, seed: int = 0) -> int:
    """Print both for one step of `cell`. Returns 0. Raises AssertionError when their gradients differ."""
    arrays, upstream = random_step(cell, seed)
    recorded, results, by_tape = run_tape(cell, arrays, upstream)
    by_hand = run_by_hand(cell, arrays, upstream)
    rich.print(table(cell, recorded, results))
    print(EXPLANATION)
    assert_all_same(by_hand, by_tape, "by hand against the tape:", cell)
    print(f"Both give the same gradients: {', '.join(f'd{name}' for name in by_tape)}.")
    return 0


def random_step(cell: str, seed: int) -> tuple[dict, list]:
    """One step of a cell: its arguments x_1 (B, I), the states (B, H) and the weights, by the names in the equations;
    and the gradients of h_1, for an LSTM also of c_1.
    """
    (B, I, H), (layer, _) = (2, 3, 4), scratch.CELLS[cell]
    rows = len(layer.cell.GATES) * H
    shapes = {"weight_ih": (rows, I), "weight_hh": (rows, H), "bias_ih": (rows,), "bias_hh": (rows,)}
    rng = np.random.default_rng(seed)
    states = {name: rng.standard_normal((B, H)) for name in ("h_0", "c_0")[: layer.states]}
    weights = {SHORT[kind]: rng.standard_normal(shapes[kind]) for kind in layer.weights}
    return {"x_1": rng.standard_normal((B, I)), **states, **weights}, [rng.standard_normal((B, H)) for _ in states]


def run_tape(cell: str, arrays: dict, upstream: list) -> tuple[tape.Tape, list, dict]:
    """The tape after its backward pass, the variables of h_1 (and c_1), and the gradients by name."""
    recorded = tape.Tape()
    leaves = {name: recorded.variable(array, name) for name, array in arrays.items()}
    results = getattr(tape, f"{scratch.file_of(cell)}_step")(*leaves.values(), **scratch.CELLS[cell][1])
    results = list(results) if len(upstream) == 2 else [results]
    recorded.backward(dict(zip(results, upstream, strict=True)))
    return recorded, results, {name: leaf.grad for name, leaf in leaves.items()}


def run_by_hand(cell: str, arrays: dict, upstream: list) -> dict:
    """The gradients by name from the cell's module, for a sequence of one step."""
    module, (x_1, *others) = scratch.module_of(cell), arrays.values()
    *_, cache = module.forward(x_1[None], *others, **scratch.CELLS[cell][1])
    dx, *rest = module.backward(np.zeros_like(upstream[0])[None], *upstream, cache)
    return dict(zip(arrays, [dx[0], *rest], strict=True))


def table(cell: str, recorded: tape.Tape, results: list) -> Table:
    """A row per equation, the last one first."""
    module = scratch.module_of(cell)
    by_hand = lines_of(inspect.getsource(module.backward))
    result = Table(title=f"{cell}: one step, backward", title_justify="left", show_lines=True)
    result.add_column("")
    result.add_column("tape: each operation, and the\ngradients that it passes on")
    result.add_column(f"by hand: {module.__name__.replace('.', '/')}.py")
    names = names_of(cell, recorded, results)
    for equation in sorted({v.equation for v in recorded if v.operands}, reverse=True):
        operations = [v for v in reversed(recorded) if v.equation == equation and v.operands]
        on_tape = [line for variable in operations for line in tape_lines(variable, names)]
        later = {line for other, lines in by_hand.items() if other < equation for line in lines}
        answers = [line for line in by_hand[equation] if line not in later]
        result.add_row(equation, "\n".join(on_tape), escape("\n".join(answers)))
    return result


def names_of(cell: str, recorded: tape.Tape, results: list) -> dict:
    """The variables of the tape that the equations have a name for: the gates and the new states."""
    names = dict(zip(results, ("h_1", "c_1"), strict=False))
    gates = [v for v in recorded if v.text.startswith(("sigmoid", "tanh")) and v not in names]
    return names | dict(zip(gates, scratch.module_of(cell).GATES, strict=False))


def tape_lines(variable, names: dict) -> list[str]:
    """An operation of the tape and, below it, what it adds to the gradient of each operand."""
    name = f"v{variable.number}"
    meaning = f"  (this is {names[variable]})" if variable in names else ""
    lines = [f"[bold]{name} = {escape(variable.text)}[/bold]{meaning}"]
    for operand, _, how in variable.operands:
        term = re.sub(r"\bd\b", f"d{name}", how)  # d is the gradient of this result
        lines.append(escape(f"  d{operand} += {term}"))
    return lines


def lines_of(source: str) -> dict[str, list[str]]:
    """The code lines of a backward by equation, as the comments above them say: {"L4": [line, ...]}."""
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
    """Consecutive lines of a function: below one comment, or between two blank lines."""

    comment: str
    equations: list  # those that the comment names: ["L4", "L3"]
    lines: list  # (line number, line) without the lines of the comment, indented as within the body


def groups_of(source: str, first: int = 1) -> list[Group]:
    """The body of a function below its docstring as Groups, in order. first: the line number of its `def`."""
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
