"""One HTML file: each cell by hand and in torch, the equations between them, and the numbers of every step.

All numbers are computed in measurements.py; the script of the page only chooses the step and draws. template.html,
style.css and script.js, next to this module, become one file that needs no network.
"""

import ast
import inspect
import json
import re
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

import numpy as np
import torch

import scratch
from compare import files
from compare.agreement import tolerance
from compare.gradients.tape_view import Group, groups_of
from compare.options import CELLS
from compare.page import measurements
from torch_impl import unrolled

# What is shown next to a line, by what the line assigns: its derivative in the notation of the docstrings, and the
# values to show below it. "+x" is a term, "=x" the sum. The equations of `forward` come from the docstring.
FORWARD = {
    "rnn": {"a": ["a"], "y[t]": ["h"]},
    "gru": {
        "u": ["u_r", "u_z", "u_n"],
        "v": ["v_r", "v_z", "v_n"],
        "r_z[t]": ["r", "z"],
        "n[t]": ["n"],
        "y[t]": ["h"],
    },
    "lstm": {
        "a": ["a_i", "a_f", "a_g", "a_o"],
        "gates[t]": ["i", "f", "g", "o"],
        "c[t]": ["c"],
        "tanh_c[t]": ["tanh_c"],
        "y[t]": ["h"],
    },
    "mingru": {"a": ["a_z", "a_n"], "z": ["z"], "n": ["n"], "y": ["h"]},
}
BACKWARD = {
    "rnn": {
        "dh_da": ("∂h_t/∂a_t = 1 - h_t^2", []),
        "dh[t]": ("dh_t = dy_t + W_hh^T da_{t+1}", ["dy", "+dh_later", "=dh"]),
        "da[t]": ("da_t = dh_t * ∂h_t/∂a_t", ["da"]),
        "carried": ("to h_{t-1}:  W_hh^T da_t", ["dh_sent"]),
        "dW_hh": ("dW_hh = Σ_t da_t h_{t-1}^T", []),
        "db_hh": ("db_hh = Σ_t da_t", []),
        "dx, dW_ih": ("dx_t = W_ih^T da_t\ndW_ih = Σ_t da_t x_t^T", []),
        "db_ih": ("db_ih = Σ_t da_t", []),
    },
    "gru": {
        "dh_du_n": ("∂h_t/∂u_n = (1 - z_t) * (1 - n_t^2)", []),
        "dh_dv_n[...]": ("∂h_t/∂v_n = ∂h_t/∂u_n * r_t", []),
        "dh_dv_z[...]": ("∂h_t/∂v_z = (h_{t-1} - n_t) * z_t * (1 - z_t)", []),
        "dh_dv_r[...]": ("∂h_t/∂v_r = ∂h_t/∂u_n * v_n * r_t * (1 - r_t)", []),
        "dh[t]": ("dh_t = dy_t + dh_{t+1} * z_{t+1} + W_hh^T dv_{t+1}", ["dy", "+dh_later", "=dh"]),
        "dv_blocks[t]": ("dv_k = dh_t * ∂h_t/∂v_k   for k = r, z, n", ["dv_r", "dv_z", "dv_n"]),
        "carried": ("to h_{t-1}:  dh_t * z_t + W_hh^T dv_t", ["dh_sent"]),
        "du": ("du_r = dv_r,  du_z = dv_z", []),
        "du[:, :, 2 * H :]": ("du_n = dh_t * ∂h_t/∂u_n", ["du_n"]),
        "dW_hh": ("dW_hh = Σ_t dv_t h_{t-1}^T", []),
        "db_hh": ("db_hh = Σ_t dv_t", []),
        "dx, dW_ih": ("dx_t = W_ih^T du_t\ndW_ih = Σ_t du_t x_t^T", []),
        "db_ih": ("db_ih = Σ_t du_t", []),
    },
    "lstm": {
        "dh_dc": ("∂h_t/∂c_t = o_t * (1 - tanh(c_t)^2)", []),
        "dh_da_o[...]": ("∂h_t/∂a_o = tanh(c_t) * o_t * (1 - o_t)", []),
        "dc_da_g[...]": ("∂c_t/∂a_g = i_t * (1 - g_t^2)", []),
        "dc_da_f[...]": ("∂c_t/∂a_f = c_{t-1} * f_t * (1 - f_t)", []),
        "dc_da_i[...]": ("∂c_t/∂a_i = g_t * i_t * (1 - i_t)", []),
        "dh[t]": ("dh_t = dy_t + W_hh^T da_{t+1}", ["dy", "+dh_later", "=dh"]),
        "dc[t]": ("dc_t = dh_t * ∂h_t/∂c_t + dc_{t+1} * f_{t+1}", ["dc_own", "+dc_later", "=dc"]),
        "da_blocks[t, 3]": ("da_o = dh_t * ∂h_t/∂a_o", ["da_o"]),
        "da_blocks[t, :3]": ("da_k = dc_t * ∂c_t/∂a_k   for k = i, f, g", ["da_i", "da_f", "da_g"]),
        "dc_carried": ("to c_{t-1}:  dc_t * f_t", ["dc_sent"]),
        "dh_carried": ("to h_{t-1}:  W_hh^T da_t", ["dh_sent"]),
        "dW_hh": ("dW_hh = Σ_t da_t h_{t-1}^T", []),
        "db_hh": ("db_hh = Σ_t da_t", []),
        "dx, dW_ih": ("dx_t = W_ih^T da_t\ndW_ih = Σ_t da_t x_t^T", []),
        "db_ih": ("db_ih = Σ_t da_t", []),
    },
    "mingru": {
        "dh": ("dh_t = dy_t + (1 - z_{t+1}) * dh_{t+1}", ["dy", "+dh_later", "=dh"]),
        "dh_0": ("to h_{t-1}:  (1 - z_t) * dh_t", ["dh_sent"]),
        "da_z": ("da_z = dh_t * (n_t - h_{t-1}) * z_t * (1 - z_t)", ["da_z"]),
        "da_n": ("da_n = dh_t * z_t", ["da_n"]),
        "dx, dW_ih": ("dx_t = W_ih^T da_t\ndW_ih = Σ_t da_t x_t^T", []),
        "db_ih": ("db_ih = Σ_t da_t", []),
    },
}
LABELS = {
    "tanh_c": "tanh(c_t)",
    "dy": "dy_t",
    "dh_later": "from t+1",
    "dc_own": "from h_t",
    "dc_later": "from t+1",
    "dh_sent": "to h_{t-1}",
    "dc_sent": "to c_{t-1}",
}


def main(out: str) -> int:
    """Write page.html into the folder `out`. Returns 0, or 1 when scratch and torch differ by more than rounding."""
    torch.set_num_threads(1)
    path = files.folder(out) / "page.html"
    months, x, targets = measurements.window()
    measured = {cell: measurements.measure(cell, x, targets) for cell in measurements.CELLS}
    files.write_whole(path, document(months, measured).encode())
    wrong = [
        f"{cell} {name}"
        for cell in measured
        for name, number in numbers_of(measured[cell])
        if not max(number["off"]) <= tolerance(np.float64) * number["limit"]  # not >: a nan must count as wrong
    ]
    if wrong:
        print(f"{path}: scratch and torch differ in {', '.join(wrong)}; to see where, run: byhand gradients")
        return 1
    print(f"scratch and torch line by line, with the numbers of every step: {path}")
    return 0


def numbers_of(found: dict) -> Iterator[tuple[str, dict]]:
    """(name, number) of everything in `found` (from measurements.measure) that both scratch and torch computed."""
    for numbers in (found["forward"], *found["backward"].values()):
        for name, number in numbers.items():
            if number["hand"] is not None:
                yield name, number


def document(months: list[dict], measured: dict[str, dict]) -> str:
    """The whole page, from the results of measurements.window and, for each cell, measurements.measure."""
    values = {
        "steps": months,
        "cells": {cell: {k: found[k] for k in ("forward", "backward", "size")} for cell, found in measured.items()},
    }
    here = Path(__file__).parent
    parts = {
        "css": (here / "style.css").read_text(encoding="utf-8"),
        "js": (here / "script.js").read_text(encoding="utf-8"),
        "largest": f"{max(max(n['off']) for found in measured.values() for _, n in numbers_of(found)):.1e}",
        "first": f"{months[0]['month']} {months[0]['year']}",
        "last": f"{months[-1]['month']} {months[-1]['year']}",
        "chain": chain(months),
        "cells": "\n".join(article(cell, found["nodes"]) for cell, found in measured.items()),
        # a script element has no escapes, and "</" would end it
        "values": json.dumps(values, separators=(",", ":")).replace("</", "<\\/"),
    }
    template = (here / "template.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)


def article(cell, operations):
    """One cell's part of the page. operations: equation -> names of autograd's operations."""
    module, in_steps = scratch.module_of(cell), getattr(unrolled, cell)
    by_hand, in_torch = file_of(module), file_of(unrolled)
    return f"""<article id="{cell}" data-cell="{cell}" aria-label="{CELLS[cell]}">
<section>
<h2>Forward <small>from top to bottom</small></h2>
<div class="heads"><span>by hand <code>{by_hand}</code></span><span>the equation</span>\
<span>torch <code>{in_torch}</code></span></div>
{"".join(forward_rows(cell, module, in_steps))}
</section>
<section>
<h2>Backward <small>the same equations in reverse order</small></h2>
<p class="aside">torch has no backward code to show. During the forward pass autograd recorded every operation; their \
names are listed here (MmBackward0 is the backward of a matrix product). A value that two operations read gets the sum \
of both gradients, by hand and in torch. The numbers are total derivatives, through all later steps; only those marked \
<i>from</i> and <i>to</i> are single terms of such a sum.</p>
<div class="heads"><span>by hand <code>{by_hand}</code></span><span>the derivative</span>\
<span>torch: autograd's operations</span></div>
{"".join(backward_rows(cell, module, operations))}
</section>
</article>"""


def file_of(module):
    return module.__name__.replace(".", "/") + ".py"


def body(function):
    """A function's Groups, with the line numbers of its file."""
    lines, first = inspect.getsourcelines(function)
    return groups_of("".join(lines), first)


def equations_of(module):
    """A docstring's equations: {"L1": [part, ...]}, where a part is an equation or a remark."""
    docstring = ast.get_docstring(ast.parse(inspect.getsource(module)), clean=False)  # __doc__ is None under -OO
    lines = re.findall(r"^ +\(([A-Z]\d)\)  (.*)$", docstring, re.M)
    return {equation: re.split(r" {3,}", text) for equation, text in lines}


def torch_groups(in_steps):
    """The lines of a torch function as Groups that end at the lines tagged with an equation; the rest comes last."""
    groups, lines = [], []
    for line in (line for group in body(in_steps) for line in group.lines):
        lines.append(line)
        tag = re.search(r"# \(([A-Z]\d)\)$", line[1])
        head = line[1].startswith("for ")
        if tag or head:
            groups.append(Group("", [tag[1]] if tag else [], lines))
            lines = []
    return [*groups, Group("", [], lines)]


def forward_rows(cell, module, in_steps):
    """A row per Group with an equation, next to torch's lines up to the one with that equation; then the last lines.

    Where consecutive Groups have the same equation, it is shown next to the last of them, with torch's line.
    """
    equations, theirs = equations_of(module), torch_groups(in_steps)
    waiting, groups = [], body(module.forward)
    for k, group in enumerate(groups):
        waiting.append(group)
        if not group.equations:
            continue
        (equation,) = group.equations
        middle, up_to = NOTHING, 0
        if not any(equation in later.equations for later in groups[k + 1 :]):
            parts = equations[equation]
            parts = "".join(f"<p>{maths(p)}</p>" if "=" in p else f"<small>{named(p)}</small>" for p in parts)
            middle = f'<div class="middle" {marks([equation])}>{chips([equation])}{parts}</div>'
            up_to = next(k for k, group in enumerate(theirs) if equation in group.equations) + 1
        elif not theirs[0].equations:
            up_to = 1
        names = [name for target in targets_of(group) for name in FORWARD[cell].get(target, [])]
        yield row(waiting, middle, "".join(map(lines, theirs[:up_to])), names)
        waiting, theirs = [], theirs[up_to:]
    yield row(waiting, NOTHING, "".join(map(lines, theirs)), [])


def backward_rows(cell, module, operations):
    """A row per Group: its lines, the derivatives that they compute, and autograd's operations."""
    for group in body(module.backward):
        found = [BACKWARD[cell][target] for target in targets_of(group) if target in BACKWARD[cell]]
        derivatives = "".join(f"<p>{maths(part)}</p>" for text, _ in found for part in text.split("\n"))
        theirs = "".join(
            f'<div class="group operations" {marks([equation])}>{chips([equation])}'
            f"<code>{counted(operations[equation])}</code></div>"
            for equation in group.equations
        )
        middle = f'<div class="middle" {marks(group.equations)}>{derivatives}</div>' if derivatives else NOTHING
        yield row([group], middle, theirs, [name for _, names in found for name in names])


def counted(names):
    """["Mul", "Mul", "Tanh"] -> "2 Mul, Tanh"."""
    return ", ".join(f"{n} {name}" if n > 1 else name for name, n in Counter(names).items())


def targets_of(group):
    """What the lines of a Group with an equation assign, or write into: ["dh[t]"]."""
    code = [line.split("  #")[0].strip() for _, line in group.lines if group.equations]
    written = [re.search(r"^(.*?) = |, out=(.*)\)$", line) for line in code]
    return [found[1] or found[2] for found in written if found]


NOTHING = '<div class="middle"></div>'


def row(groups, middle, in_torch, names):
    values = f'<div class="values">{"".join(map(value, names))}</div>' if names else ""
    by_hand = "".join(map(lines, groups))
    return (
        f'<div class="row"><div class="hand">{by_hand}</div>{middle}<div class="torch">{in_torch}</div>{values}</div>\n'
    )


def marks(equations):
    return f'data-eq="{" ".join(equations)}"'


def chips(equations):
    return "".join(
        f'<button type="button" class="chip" data-pin="{e}" aria-pressed="false"'
        f' title="highlight what belongs to ({e})">{e}</button>'
        for e in equations
    )


# Lines that only allocate, convert or reshape: no equation says any of it.
PREPARES = re.compile(
    r"= np\.(empty|result_type|ascontiguousarray|concatenate)|= HALF|= gate_blocks\(\w+, |^\w+_rows = "
)


def lines(group):
    """A Group: its comment, without the equation numbers it starts with, and its lines."""
    comment = re.sub(r"^(\([A-Z]\d\)(, | and |\s*))+", "", group.comment)
    head = chips(group.equations) if group.comment else ""
    if comment or head:
        comment = re.sub(r"`(.*?)`", r"<code>\1</code>", escape(comment))
        head = f'<p class="comment">{head}{comment}</p>'
    shown = "".join(line(number, text, not group.equations) for number, text in group.lines)
    attributes = marks(group.equations) if group.equations else ""
    return f'<div class="group" {attributes}>{head}<div class="code">{shown}</div></div>'


def line(number, text, aside):
    """A line of code. The shape in its comment stays behind it, the words go below."""
    code, _, comment = text.partition("  # ")
    shape, _, note = comment.partition("  ") if comment.startswith("(") else ("", "", comment)
    indent = len(code) - len(code.lstrip())
    aside = aside or PREPARES.search(code.strip())
    return (
        f'<div class="line{" prepares" if aside else ""}" style="--indent:{indent}"><span class="no">{number}</span>'
        f"<code>{escape(code.strip())}</code>"
        + (f'<span class="shape"># {escape(shape)}</span>' if shape else "")
        + (f'<span class="note"># {escape(note)}</span>' if note else "")
        + "</div>"
    )


def value(name):
    """The place for a value: four numbers by hand, four by torch, and their difference, all filled in by the script."""
    sign = name[0] if name[0] in "+=" else ""
    name = name.lstrip("+=")
    label = maths(LABELS.get(name, name if "_" in name else f"{name}_t"))
    strips = [
        f'<span class="label">{label}</span><span class="side">{words}</span>'
        f'<ol class="strip" data-side="{side}" aria-label="{name} {words}">{"<li></li>" * measurements.H}</ol>'
        for side, words in (("hand", "by hand"), ("torch", "torch"))
    ]
    return (
        f'<div class="value{" sum" if sign == "=" else ""}" data-name="{name}" data-sign="{sign}">'
        f'<div class="ours">{strips[0]}</div><span class="off"></span><div class="theirs">{strips[1]}</div></div>'
    )


WORDS = {
    "sigmoid": "\N{GREEK SMALL LETTER SIGMA}",
    **{word: word for word in ("tanh", "max", "from", "to", "for", "Σ")},
}
SIGNS = {"*": "\N{CIRCLED DOT OPERATOR}", "-": "\N{MINUS SIGN}", "/": "\N{HAIR SPACE}/\N{HAIR SPACE}"}
TOKEN = re.compile(r"(?P<name>[A-Za-zΣ]+)(?:_(?P<sub>\{[^}]*\}|\w+))?(?:\^(?P<sup>\w))?|\^(?P<power>\w)|(?P<sign>.)")


def maths(text):
    """The notation of the docstrings, W_hh^T da_{t+1}, as HTML; * between vectors is element by element."""

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


def named(text):
    """A remark: words, with names such as u_r typeset as in maths."""
    return re.sub(r"\b[a-z]_[a-z]\b", lambda name: maths(name[0]), escape(text))


def chain(months):
    """The unrolled cell: a node per step, |dh_t| above it, the month below. The script sets what depends on t.

    Horizontal positions are percentages of the width, so that letters keep their size on a phone.
    """
    T = len(months)

    def at(t):
        return f"{100 * (t + 0.5) / T:g}%"

    def arrow(kind, t, to, y, head):
        return (
            f'<g class="{kind}" data-t="{t}"><line x1="{at(t)}" x2="{at(to)}" y1="{y}" y2="{y}"/>'
            f'<svg x="{at(to)}" y="{y}" overflow="visible"><path d="{head}"/></svg></g>'
        )

    parts = [arrow("ahead", t, t + 1, 88, "M-19 -3.5l6 3.5l-6 3.5") for t in range(T - 1)]
    parts += [arrow("back", t, t - 1, 98, "M19 -3.5l-6 3.5l6 3.5") for t in range(1, T)]
    for t, month in enumerate(months):
        parts.append(
            f'<svg x="{at(t)}" overflow="visible" class="step" data-t="{t}">'
            '<rect class="hit" x="-22" width="44" height="140"/><rect class="bar" x="-11" width="22"/>'
            '<text class="size" y="12"></text><path class="read" d="M0 64v12m-3.5 -5l3.5 5l3.5 -5"/>'
            f'<circle cy="93" r="13"/><text y="97">{t}</text><text class="month" y="122">{month["month"]}</text>'
            f'<text class="month" y="135">{month["spots"]}</text></svg>'
        )
    return "\n".join(parts)
