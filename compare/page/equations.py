"""The notation of the docstrings, W_hh^T da_{t+1}: parsed so that the page can compute with it, and typeset.

sum      Σ_t at the start, over all steps
+ - *    entry by entry; a space multiplies a matrix by a vector, or a column by a row (da_t h_{t-1}^T)
∂h_t/∂c_t   one name, that of the array in the code: dh_dc
x_t, x_{t-1}, x_{t+1}   an array at a step; zero before the first step and after the last. x_{0}: at the first
a_i      one block of a_t
"""

import ast
import re
from html import escape

WEIGHTS = ("W_ih", "W_hh", "b_ih", "b_hh", "w", "b")  # w and b: the output layer
FUNCTIONS = ("tanh", "sigmoid")
SIGNS_OF = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}
STEPS = {"": 0, "before": -1, "after": 1}
# The notation as Python, in this order: x_{t-1} becomes x__before. A product of a matrix is a **, which binds tighter
# than *, as the notation does.
AS_PYTHON = (
    (r"∂([a-z])_t/∂([a-z])_t", r"d\1_d\2"),
    (r"∂([a-z])_t/∂([a-z]_\w)", r"d\1_d\2"),
    (r"_\{t-1\}", "__before"),
    (r"_\{t\+1\}", "__after"),
    (r"_\{0\}", "__first"),
    (r"_t\b", ""),
    (r"\^T", ".T"),
    (r"\^2", " ** 2"),
    (r"(?<=\w) (?=[\w(])", " ** "),
)


def parse(text: str) -> list:
    """The tree of an expression: nested lists, each with its kind first.

    ["number", 2]; ["weight", "W_hh"]; ["at", "c", -1]: an array at a step counted from t; ["first", "c"]: at step 0;
    ["+", a, b], also "-" and "*"; ["^2", a]; ["tanh", a], ["sigmoid", a]; ["@", "W_hh", a], ["T@", "W_hh", a]: a
    matrix, or its transpose, times a vector; ["outer", a, b]: a column times a row; ["sum", a]: over all steps.
    Raises ValueError for text that is not in this notation.
    """
    python = text.removeprefix("Σ_t ")
    for notation, replacement in AS_PYTHON:
        python = re.sub(notation, replacement, python)
    try:
        tree = tree_of(ast.parse(python, mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"cannot parse {text!r}") from error
    return ["sum", tree] if text.startswith("Σ_t ") else tree


def tree_of(node: ast.expr) -> list:
    match node:
        case ast.Constant(int(number)):
            return ["number", number]
        case ast.Name(name) if name in WEIGHTS:
            return ["weight", name]
        case ast.Name(name):
            name, _, step = name.partition("__")
            return ["first", name] if step == "first" else ["at", name, STEPS[step]]
        case ast.Call(ast.Name(function), [inside]) if function in FUNCTIONS:
            return [function, tree_of(inside)]
        case ast.BinOp(base, ast.Pow(), ast.Constant(2)):
            return ["^2", tree_of(base)]
        case ast.BinOp(column, ast.Pow(), ast.Attribute(row, "T")):
            return ["outer", tree_of(column), tree_of(row)]
        case ast.BinOp(ast.Attribute(ast.Name(matrix), "T"), ast.Pow(), vector) if matrix in WEIGHTS:
            return ["T@", matrix, tree_of(vector)]
        case ast.BinOp(ast.Name(matrix), ast.Pow(), vector) if matrix in WEIGHTS:
            return ["@", matrix, tree_of(vector)]
        case ast.BinOp(left, sign, right) if type(sign) in SIGNS_OF:
            return [SIGNS_OF[type(sign)], tree_of(left), tree_of(right)]
    raise ValueError(f"cannot parse {ast.unparse(node)!r}")


def equations(text: str) -> list[tuple[str, str]]:
    """The (name, expression) pairs of a line of equations.

    "da_k = dc_t * ∂c_t/∂a_k   for k = i, f" is one equation per k; "to c_{t-1}:  dc_t * f_t" defines dc_sent.
    """
    text, _, each = text.partition("   for k = ")
    found = []
    for k in each.split(", ") if each else [""]:
        for part in re.split(r",  |\n", re.sub(r"_k\b", f"_{k}", text)):
            left, right = re.split(r" = |:  ", part, maxsplit=1)
            found.append((name_of(left), right))
    return found


def name_of(left: str) -> str:
    """What an equation defines: "c_t" -> c, "∂h_t/∂c_t" -> dh_dc, "to h_{t-1}" -> dh_sent, "W_hh" as it is."""
    if match := re.fullmatch(r"to ([a-z])_\{t-1\}", left):
        return f"d{match[1]}_sent"
    if match := re.fullmatch(r"∂([a-z])_t/∂([a-z]_\w)", left):
        return f"d{match[1]}_d{match[2].removesuffix('_t')}"
    return left.removesuffix("_t")


WORDS = {
    "sigmoid": "\N{GREEK SMALL LETTER SIGMA}",
    "yhat": "<var>ŷ</var>",
    "dyhat": "d<var>ŷ</var>",
    **{word: word for word in ("tanh", "max", "from", "to", "for", "Σ", "loss", "target", "h_before", "with")},
}
SIGNS = {"*": "\N{CIRCLED DOT OPERATOR}", "-": "\N{MINUS SIGN}", "/": "\N{HAIR SPACE}/\N{HAIR SPACE}"}
TOKEN = re.compile(r"(?P<name>[A-Za-zΣ]+)(?:_(?P<sub>\{[^}]*\}|\w+))?(?:\^(?P<sup>\w))?|\^(?P<power>\w)|(?P<sign>.)")


def typeset(text: str) -> str:
    """An expression, or an equation, as HTML; * between vectors is element by element."""

    def html(token):
        if token["sign"]:
            return SIGNS.get(token["sign"], escape(token["sign"]))
        if token["power"]:
            return f"<sup>{token['power']}</sup>"
        name, sub, sup = token["name"], token["sub"], token["sup"]
        d = re.fullmatch(r"d([a-zA-Z])", name)
        name = WORDS.get(name) or (f"d<var>{d[1]}</var>" if d else f"<var>{name}</var>")
        sub = f"<sub>{sub.strip('{}').replace('-', SIGNS['-'])}</sub>" if sub else ""
        sup = f"<sup>{sup}</sup>" if sup else ""
        return name + (f'<span class="both">{sup}{sub}</span>' if sub and sup else sub + sup)

    whole = re.sub(r"\([^()]*\)|\^T ", lambda part: part[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
    return TOKEN.sub(html, whole)
