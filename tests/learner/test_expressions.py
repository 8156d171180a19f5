"""The tables of rewrites, which say what an expression or a statement may become."""

import ast

import pytest

from compare.learner.search import edits, syntax
from compare.learner.search.edits import STATEMENTS
from compare.learner.search.expressions import EXPRESSIONS, FUNCTIONS, SLICES, other_index


def becomes(text, table):
    return {ast.unparse(ast.fix_missing_locations(new)) for _, new in syntax.rewritten(syntax.parsed(text), table)}


@pytest.mark.parametrize(
    "text, table, new",
    [
        ("a - b", EXPRESSIONS, {"a + b", "b - a", "a", "b"}),
        ("a.T @ b", EXPRESSIONS, {"a.T * b", "b @ a.T", "b.T @ a", "b.T @ a.T.T", "a.T", "b"}),
        ("f(a) ** 2", EXPRESSIONS, {"f(a) * 2", "f(a)", "2", "f(a ** 2)"}),
        ("a * (b / c)", EXPRESSIONS, {"a / (b / c)", "a + b / c", "a", "b / c", "a * b / c"}),
        ("x.sum(0, keepdims=True)", EXPRESSIONS, {"x"}),
        ("range(2, T)", EXPRESSIONS, {"reversed(range(2, T))"}),
        ("a and b", EXPRESSIONS, {"a or b", "a", "b"}),
        ("x.mean", FUNCTIONS, {"x.sum", "x.max"}),
        ("np.cos", FUNCTIONS, {"np.sin"}),
        ("np.sin", FUNCTIONS, {"np.cos"}),
        ("x[-n:]", SLICES, {"x[:--n]", "x[:n]", "x[:-n]"}),
        ("a[i] += b", STATEMENTS, {"a[i] = b", "a[i] += b", "a[i] -= b", "a[i] *= b", "a[i] /= b", "a[i] = a[i] + b"}
         | {"np.add.at(a, i, b)"}),
        ("p = p - x", STATEMENTS, {"p += p - x", "p = p + (p - x)", "p *= p - x", "p[:] = p - x", "p -= x"}),
    ],
)  # fmt: skip
def test_what_a_pattern_becomes(text, table, new):
    assert becomes(text, table) == new


def test_a_letter_matches_the_same_expression_everywhere():
    assert syntax.matched(syntax.parsed("A = A + B"), syntax.parsed("w[i] = w[i] + b"), {})
    assert not syntax.matched(syntax.parsed("A = A + B"), syntax.parsed("w[i] = w[j] + b"), {})


def test_the_original_is_shared_and_unchanged():
    node = syntax.parsed("f(a + b[0])")
    before = ast.dump(node)
    new = [one for _, one in syntax.rewritten(node, EXPRESSIONS)]
    assert ast.dump(node) == before
    assert any(one is node.args[0] for one in new)


def test_other_indices():
    assert {ast.unparse(new) for _, new in other_index(syntax.parsed("t + 1"))} == {"t", "t + 2", "1", "t - 1"}


def test_no_edit_stores_into_a_name_of_the_module():
    """One that does makes the name a variable of the function, in all the edits that are compiled with it."""
    tree = ast.parse("S = 2.0\ndef f(a):\n    b = [0]\n    b[0] = a * S\n    a[0], b = b, S\n    return b\n")
    found = list(edits.all_edits(tree, {}, range(9), edits.Slots(), lambda slot: True))
    nodes = [n for one in found for _, new in one.changes for s in new for n in ast.walk(s)]
    stored = {node.id for node in nodes if isinstance(node, ast.Name) and not syntax.is_load(node)}
    assert stored == {"a", "b"} and len(found) > 100


def test_what_is_only_added_to_may_have_to_be_set_to_zero():
    tree = ast.parse("class A:\n    def back(self, d):\n        self.dW += d\n        return d\n")
    found = edits.all_edits(tree, {}, range(9), edits.Slots(), lambda slot: True)
    texts = {ast.unparse(one.after) for one in found if one.kind == "insert"}
    assert "self.dW[...] = 0" in texts
