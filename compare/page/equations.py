"""The notation of the docstrings, W_hh^T da_{t+1}: parsed so that the page can compute with it, and typeset.

sum      Σ_t at the start, over all steps
+ - *    entry by entry; a space multiplies a matrix by a vector, or a column by a row (da_t h_{t-1}^T)
∂h_t/∂c_t   one name, that of the array in the code: dh_dc
x_t, x_{t-1}, x_{t+1}   an array at a step; zero before the first step and after the last. x_{0}: at the first
a_i      one block of a_t
"""

import re
from html import escape

WEIGHTS = ("W_ih", "W_hh", "b_ih", "b_hh", "w", "b")  # w and b: the output layer
FUNCTIONS = ("tanh", "sigmoid")
TOKENS = re.compile(
    r"∂(?P<of>[a-z])_t/∂(?P<by>[a-z]_\w)"
    r"|(?P<name>[A-Za-z]+(?:_[A-Za-z]+)*(?:_\{(?:t[+-]1|0)\})?)(?P<transposed>\^T)?"
    r"|(?P<number>\d+)|(?P<sign>Σ_t|\^2|[-+*()])|(?P<space> +)"
)
STEPS = {"t": 0, "{t-1}": -1, "{t+1}": 1}


def parse(text: str) -> list:
    """The tree of an expression: nested lists, each with its kind first.

    ["number", 2]; ["weight", "W_hh"]; ["at", "c", -1]: an array at a step counted from t; ["first", "c"]: at step 0;
    ["+", a, b], also "-" and "*"; ["^2", a]; ["tanh", a], ["sigmoid", a]; ["@", "W_hh", a], ["T@", "W_hh", a]: a
    matrix, or its transpose, times a vector; ["outer", a, b]: a column times a row; ["sum", a]: over all steps.
    Raises ValueError for text that is not in this notation.
    """
    tokens = Tokens(text)
    tree = ["sum", total(tokens)] if tokens.take("sign", "Σ_t") else total(tokens)
    if tokens.rest:
        raise ValueError(f"cannot parse {tokens.rest[0][0]!r} in {text!r}")
    return tree


class Tokens:
    """What is left of the text: (token, its kind, the match)."""

    def __init__(self, text):
        found = list(TOKENS.finditer(text))
        if "".join(match[0] for match in found) != text:
            raise ValueError(f"cannot read {text!r}")
        self.text, self.rest = text, [match for match in found if not match["space"]]

    def take(self, kind, *which):
        """The next token if it is of this kind (and one of `which`), else None."""
        if self.rest and self.rest[0][kind] and (not which or self.rest[0][kind] in which):
            return self.rest.pop(0)
        return None


def total(tokens):
    tree = product(tokens)
    while sign := tokens.take("sign", "+", "-"):
        tree = [sign[0], tree, product(tokens)]
    return tree


def product(tokens):
    tree = matrix_product(tokens)
    while tokens.take("sign", "*"):
        tree = ["*", tree, matrix_product(tokens)]
    return tree


def matrix_product(tokens):
    tree, transposed = factor(tokens)
    if not tokens.rest or tokens.rest[0]["sign"] not in (None, "("):
        return tree
    right, row = factor(tokens)
    if row:
        return ["outer", tree, right]
    return ["T@" if transposed else "@", tree[1], right]


def factor(tokens):
    """A tree, and whether it is transposed."""
    if match := tokens.take("number"):
        return ["number", int(match[0])], False
    if match := tokens.take("of"):
        return ["at", f"d{match['of']}_d{match['by'].removesuffix('_t')}", 0], False
    if tokens.rest and tokens.rest[0]["sign"] == "(":
        tree = bracket(tokens)
    elif match := tokens.take("name"):
        name, _, index = match["name"].rpartition("_")
        if match["name"] in FUNCTIONS:
            tree = [match["name"], bracket(tokens)]
        elif match["name"] in WEIGHTS:
            tree = ["weight", match["name"]]
        elif index == "{0}":
            tree = ["first", name]
        else:
            tree = ["at", name, STEPS[index]] if index in STEPS else ["at", match["name"], 0]
    else:
        raise ValueError(f"something is missing in {tokens.text!r}")
    tree = ["^2", tree] if tokens.take("sign", "^2") else tree
    return tree, bool(match and match.groupdict()["transposed"])


def bracket(tokens):
    opened, tree, closed = tokens.take("sign", "("), total(tokens), tokens.take("sign", ")")
    if not (opened and closed):
        raise ValueError(f"a bracket is missing in {tokens.text!r}")
    return tree


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
