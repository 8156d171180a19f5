"""What to say of a line: the kind of its mistake, what it holds and what it should hold, and the change."""

import ast
import re
import textwrap
from dataclasses import replace

import numpy as np

from compare.learner.search import syntax
from compare.learner.search.probes import value_of
from compare.learner.search.repair import Fix, Search
from compare.learner.search.screening import leaves_of
from compare.learner.verdict.report import Finding, enough_digits


def finding_for_fix(search: Search, fixes: list[Fix]) -> Finding:
    best = fixes[0].edit
    source = search.workshop.subject.source.split("\n")
    node = best.node
    columns = ()
    if node is not None and node.lineno == node.end_lineno:
        columns = (node.col_offset, node.end_col_offset)
    finding = Finding(best.line, source[best.line - 1].rstrip(), True, kind_in_words(best), columns)
    finding.evidence = evidence(search, best)
    if not fixes[0].general:
        finding.evidence.append("For other sizes or numbers, the change that was found is not enough.")
    finding.also = sorted({fix.edit.line for fix in fixes[1:]} - {best.line})[:3]
    finding.before, finding.after = as_diff(best, source)
    return finding


def findings_for_two(first: Finding, second: Finding, edit, source) -> list[Finding]:
    """Both findings; where they are in one statement, the second shows the change with both. edit: the second edit."""
    match edit.changes:
        case ((_, [ast.stmt() as new]),) if edit.kind == "change" and new.lineno <= first.line <= new.end_lineno:
            if first.before and not hasattr(new, "body"):
                second.before, second.after = as_diff(replace(edit, everywhere=True), source)  # the first is in it
                first.before = first.after = ""
    return [first, second]


def finding_without_fix(search: Search, suspect) -> Finding:
    """A statement of which another value makes everything right."""
    node = search.workshop.slots[suspect.slot].node
    source = search.workshop.subject.source.split("\n")
    return Finding(
        node.lineno,
        source[node.lineno - 1].rstrip(),
        False,
        "Some other value of this line would make everything right, but no small change was found that gives it. A "
        "whole term may be missing.",
        (),
        values_without_fix(search, suspect),
    )


def uncertain(search: Search, fix: Fix) -> Finding:
    source = search.workshop.subject.source.split("\n")
    words = (
        "There may be more than one mistake. A change here makes some entries right and none wrong; look at this line "
        "first."
    )
    return Finding(fix.edit.line, source[fix.edit.line - 1].rstrip(), False, words)


def as_diff(edit, source) -> tuple[str, str]:
    """The edit as source lines, before and after."""
    new = edit.after if isinstance(edit.after, str) else syntax.unparse(edit.after)
    if edit.kind == "insert":
        return "", f"{new}    ({'after' if edit.follows else 'before'} line {edit.line})"
    if edit.kind == "move":
        line = source[edit.line - 1].strip()
        return line, f"{line}    (moved: {new})"
    node = edit.node
    if edit.everywhere:
        ((_, (node,)),) = edit.changes  # the new statement has the place of the old one
        new = syntax.unparse(node)
    lines = source[node.lineno - 1 : node.end_lineno]
    start, end = lines[0].encode()[: node.col_offset].decode(), lines[-1].encode()[node.end_col_offset :].decode()
    has_brackets = start.endswith("(") and end.startswith(")")
    after = start + (f"({new})" if needs_brackets(edit) and not has_brackets else new) + end
    return textwrap.dedent("\n".join(lines)).strip(), after.strip() or "(removed)"


def needs_brackets(edit) -> bool:
    return (
        edit.inside
        and not edit.everywhere
        and isinstance(edit.after, ast.BinOp | ast.UnaryOp | ast.BoolOp | ast.Compare | ast.IfExp)
    )


def kind_in_words(edit) -> str:
    """What kind of mistake an edit fixes, without saying how."""
    match edit.kind:
        case "insert":
            return f"A statement is missing {'after' if edit.follows else 'before'} this line."
        case "remove":
            return "This statement does not belong here."
        case "move":
            return "This statement is in the wrong place."
    if isinstance(edit.node, ast.stmt) or not isinstance(edit.after, ast.AST) or edit.node is None:
        return statement_in_words(edit.node, edit.after)
    return expression_in_words(edit.node, edit.after)


def statement_in_words(old, new) -> str:
    adds = isinstance(new, ast.Assign) and syntax.unparse(new.value).startswith(f"{syntax.unparse(new.targets[0])} + ")
    if isinstance(old, ast.Assign) and (isinstance(new, ast.AugAssign) or adds):
        return "This overwrites a value; it should add to it."
    if isinstance(old, ast.AugAssign) and isinstance(new, ast.Assign):
        if syntax.unparse(new.value) == syntax.unparse(old.value):
            return "This adds to a value; it should overwrite it."
        return "This changes in place an array that is also used elsewhere."
    if isinstance(old, ast.AugAssign) and isinstance(new, ast.Expr):
        return "Where an index occurs twice, this adds only once."
    return "What is stored here is right, but not where it is stored."


def expression_in_words(old, new) -> str:
    part = f"`{syntax.unparse(old)}`"
    if syntax.is_copy(new) and syntax.unparse(new.func.value) == syntax.unparse(old):
        return f"{part} is changed in place later, and needs a copy."
    if isinstance(new, ast.Call) and syntax.unparse(new).startswith(
        (f"{part[1:-1]}.reshape(", f"({part[1:-1]}).reshape(")
    ):
        return f"{part} has the wrong shape."
    term = {ast.Add: "term", ast.Sub: "term", ast.Mult: "factor", ast.Div: "factor", ast.Pow: "power"}
    sides, old_sides = (
        [syntax.unparse(side) for side in (one.left, one.right)] if isinstance(one, ast.BinOp) else []
        for one in (new, old)
    )
    if sides and type(new.op) in term and syntax.unparse(old) in (sides[:1] if type(new.op) is ast.Pow else sides):
        return f"A {term[type(new.op)]} is missing at {part}."
    if syntax.unparse(new) in old_sides:
        return f"There is one {term.get(type(old.op), 'factor')} too many in {part}."
    if sides and sides == old_sides:
        return f"The operator in {part} is wrong."
    subscripts = isinstance(old, ast.Subscript) and isinstance(new, ast.Subscript)
    if subscripts and syntax.unparse(old.value) == syntax.unparse(new.value):
        return f"The index in {part} is wrong."
    if isinstance(old, ast.Tuple | ast.List) and isinstance(new, ast.Tuple | ast.List):
        return f"The order in {part} is wrong." if len(old.elts) == len(new.elts) else f"{part} is not complete."
    if isinstance(old, syntax.NAMES) and isinstance(new, syntax.NAMES):
        return f"{part} is wrong here."
    return f"{part} is wrong."


def evidence(search: Search, edit) -> list[str]:
    """The line's value before and after the edit, if the edit changes a value."""
    slots = {slot for slot, _ in edit.changes}
    suspect = next((one for one in search.costs.possible if one.slot in slots), None)
    if suspect is None or isinstance(search.costs.node(suspect.slot), ast.Expr):  # which has no value to speak of
        return []
    fixed = values_after(search, edit, suspect)
    if fixed is not None:
        return values_in_words(search, suspect.found, fixed, "it should be {}.")
    return values_without_fix(search, suspect)


def values_after(search: Search, edit, suspect) -> list | None:
    """The values of a statement after an edit of it, each time it runs; None if they cannot be evaluated."""
    screens = [one for one in (*search.screens.values(), *search.others) if one.slot == suspect.slot]
    try:
        ((_, (statement,)),) = edit.changes
        _, new = value_of(statement)
        times = [leaves_of(place.value(new), screens[0].original) for place in screens[0].places]
        pairs = zip(times, suspect.found, strict=True)
        return [[np.broadcast_to(a, b.shape) for a, b in zip(*pair, strict=True)] for pair in pairs]
    except Exception:
        return None


def values_without_fix(search: Search, suspect) -> list[str]:
    """The same if no edit is known: the value that would do, if it is the only one."""
    statement, tree = search.costs.node(suspect.slot), search.workshop.subject.tree
    if syntax.runs_backwards(tree, statement) and suspect.may_stay_the_first_time():
        return [
            "Its value may be right the first time it runs: perhaps a gradient should be carried from each turn of the "
            "loop to the next."
        ]
    if suspect.rank < sum(leaf.size for time in suspect.expected for leaf in suspect.chosen(time)):
        return []
    return values_in_words(search, suspect.found, suspect.expected, "with {} every result becomes right.")


def values_in_words(search, before, after, words) -> list[str]:
    """What a statement holds and what it should hold, at the first time that they differ."""
    times = [(m, k) for m, time in enumerate(before) for k, leaf in enumerate(time)]
    times = [(m, k) for m, k in times if differs(before[m][k], after[m][k])]
    if not times:
        return []
    m, k = times[0]
    found, expected = before[m][k], after[m][k]
    sentences = names_of(search, found, expected)
    which = "" if len(before) == 1 else f" the {ordinal(m + 1)} time it runs" if m else " the first time it runs"
    off = np.abs(found - expected)
    entry = tuple(int(i) for i in np.unravel_index(int(np.argmax(off)), off.shape)) if off.ndim else ()
    want = 0.0 if np.isclose(expected[entry], 0, atol=1e-9 * np.abs(expected).max()) else expected[entry]
    got, want = enough_digits(float(found[entry]), float(want))
    place = f"Entry {list(entry)} of the value of this line is" if entry else "The value of this line is"
    return [*sentences, f"{place} {got}{which}; {words.format(want)}"]


def names_of(search, found, expected) -> list[str]:
    """What is expected and what is found, as far as they are gradients of the program's own values."""
    source = search.workshop.subject.source.split("\n")
    truth = next((t for t in search.truths if t.is_same(expected)), None)
    held = next((t for t in search.truths if t.is_same(found)), None)
    sentences = [f"Expected here: {truth.name}{where(truth.line, source)}."] if truth else []
    if not np.any(found):
        sentences.append("Found: only zeros.")
    elif held is not None and held is not truth:  # the same in another layout has the same name
        sentences.append(f"Found: {held.name}{where(held.line, source)}.")
    elif np.allclose(found, -expected, rtol=1e-6):
        sentences.append("Found: the same with the wrong sign.")
    elif found.ndim == 2 and found.shape[0] == found.shape[1] and np.allclose(found, expected.T, rtol=1e-6):
        sentences.append("Found: its transpose.")
    return sentences


def where(line: int | None, source: list[str]) -> str:
    """A line in words, with the number of its equation if the comment above it has one: (line 13, equation L3)."""
    if line is None:
        return ""
    above = line - 1
    while above > 0 and source[above - 1].lstrip().startswith("#"):
        above -= 1
    numbers = re.findall(r"\(([A-Z]\d+)\)", "\n".join(source[above : line - 1]))
    return f" (line {line}, equation {', '.join(numbers)})" if numbers else f" (line {line})"


def ordinal(n: int) -> str:
    return f"{n}{'th' if 10 <= n % 100 <= 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def differs(a, b) -> bool:
    return bool((np.abs(a - b) > 1e-7 * max(np.abs(b).max(initial=0), 1e-12)).any())
