"""The HTML of one cell: its lines by hand, the equations, the lines in torch, and the places of the numbers."""

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from html import escape

import scratch
import torch_impl
from compare.gradients.tape_view import Group
from compare.options import CELLS
from compare.page.cells import LABELS, LOSS, SHOWN
from compare.page.equations import typeset
from compare.page.measurements import Numbers, T, is_whole, summed
from compare.page.source import body, equations_of, file_of, targets_of, torch_groups
from scratch import layers, losses
from torch_impl import unrolled


def article(cell: str, numbers: Numbers, operations: dict[str, list[str]]) -> str:
    """One cell's part of the page. numbers: their names and sizes; operations: equation -> autograd's operations."""
    module, in_steps = scratch.module_of(cell), getattr(unrolled, cell)
    by_hand = f"by hand <code>{file_of(module)}</code>"
    place = Places(numbers, module.GATES, summed(cell))
    return f"""<article id="{cell}" data-cell="{cell}" aria-label="{CELLS.get(cell, cell)}">
<section class="forward">
<h2>Forward <small>from top to bottom</small></h2>
<div class="heads"><span>{by_hand}</span><span>torch <code>{file_of(unrolled)}</code></span></div>
{"".join(forward_rows(cell, module, in_steps, place))}
</section>
<section class="loss">
<h2>Loss <small>where d<var>y</var><sub>t</sub> comes from</small></h2>
<p class="aside">The output layer turns <var>h</var><sub>t</sub> into a prediction <var>ŷ</var><sub>t</sub>. Its target
is the next month's <var>x</var>. <var>m</var><sub>t</sub> is 1/N for the N steps that the loss reads, and 0 for the
others: the loss is a mean. If it reads the last step only, N is 1 instead of {T}, so d<var>y</var> of that step is {T}
times as large.</p>
<p class="units" aria-live="polite"></p>
<div class="heads"><span>by hand</span><span>torch <code>torch_impl/model.py</code></span></div>
{"".join(loss_rows(place))}
</section>
<section class="backward">
<h2>Backward <small>the same equations in reverse order</small></h2>
<p class="aside">torch has no backward code to show. During the forward pass autograd recorded every operation; their \
names are listed here (MmBackward0 is the backward of a matrix product). A value that two operations read gets the sum \
of both gradients, by hand and in torch. The numbers are total derivatives, through all later steps; only those marked \
<i>from</i> and <i>to</i> are single terms of such a sum.</p>
<p class="walk"><button type="button" class="begin">Step through the lines</button> in the order of execution. Numbers
that are not computed yet are empty.</p>
<div class="heads"><span>{by_hand}</span><span>torch: autograd's operations</span></div>
{"".join(backward_rows(cell, module, operations, place))}
</section>
</article>"""


def forward_rows(cell, module, in_steps, place) -> Iterator[str]:
    """A row per Group with an equation, next to torch's lines up to the one with that equation; then the last lines.

    Where consecutive Groups have the same equation, it is shown above the last of them, with torch's line.
    """
    equations, theirs = equations_of(module), torch_groups(in_steps)
    waiting, groups = [], body(module.forward)
    for k, group in enumerate(groups):
        waiting.append(group)
        if not group.equations:
            continue
        (equation,) = group.equations
        above, up_to = "", 0
        if not any(equation in later.equations for later in groups[k + 1 :]):
            parts = "".join(
                f"<p>{typeset(p)}</p>" if "=" in p else f"<small>{named(p)}</small>" for p in equations[equation]
            )
            above = f'<div class="above" {marks([equation])}>{chips([equation])}{parts}</div>'
            up_to = next(k for k, group in enumerate(theirs) if equation in group.equations) + 1
        elif not theirs[0].equations:
            up_to = 1
        names = [name for target in targets_of(group) for name in SHOWN[cell].forward.get(target, [])]
        yield row(waiting, above, "".join(map(lines, theirs[:up_to])), place.of_all(names))
        waiting, theirs = [], theirs[up_to:]
    yield row(waiting, "", "".join(map(lines, theirs)), "")


def loss_rows(place) -> Iterator[str]:
    """A row per line of LOSS: the Group around it, its equation and numbers, and torch's line if there is one."""
    model = [line for group in body(torch_impl.SequenceModel.logits) for line in group.lines]
    model += [line for group in body(torch_impl.SequenceModel.loss) for line in group.lines]
    for (function, code), (text, names, in_torch) in LOSS.items():
        owner, _, method = function.partition(".")
        of = getattr(getattr(layers, owner), method) if method else getattr(losses, owner)
        (group,) = (g for g in body(of) if any(line.strip().startswith(code) for _, line in g.lines))
        theirs = [line for line in model if in_torch and in_torch in line[1]]
        above = f'<div class="above" {marks(group.equations)}><p>{typeset(text)}</p></div>'
        head = f'<p class="file"><code>{file_of(inspect.getmodule(of))}</code></p>'
        yield row(
            [group], above, lines(Group("", group.equations, theirs)) if theirs else "", place.of_all(names), head
        )


def backward_rows(cell, module, operations, place) -> Iterator[str]:
    """A row per Group: its lines, the derivatives that they compute, and autograd's operations."""
    groups = body(module.backward)
    last = {
        target: k for k, group in enumerate(groups) for target in targets_of(group)
    }  # not a first value for the loop
    for k, group in enumerate(groups):
        found = [shown for target, shown in SHOWN[cell].backward.items() if last.get(target) == k]
        derivatives = "".join(f"<p>{typeset(part)}</p>" for text, _ in found if text for part in text.split("\n"))
        theirs = "".join(
            f'<div class="group operations" {marks([equation])}>{chips([equation])}'
            f"<code>{counted(operations[equation])}</code></div>"
            for equation in group.equations
        )
        above = f'<div class="above" {marks(group.equations)}>{derivatives}</div>' if derivatives else ""
        yield row([group], above, theirs, place.of_all([name for _, names in found for name in names]))


def counted(names):
    """["Mul", "Mul", "Tanh"] -> "2 Mul, Tanh"."""
    return ", ".join(f"{n} {name}" if n > 1 else name for name, n in Counter(names).items())


def row(groups, above, in_torch, values, head=""):
    by_hand = "".join(map(lines, groups))
    values = f'<div class="values">{values}</div>' if values else ""
    return (
        f'<div class="row">{above}<div class="hand">{head}{by_hand}</div>'
        f'<div class="torch">{in_torch}</div>{values}</div>\n'
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
PREPARES = re.compile(r"= np\.(empty|result_type|concatenate)|= HALF|= gate_blocks\(\w+, |^\w+_rows = ")
FORMULA = re.compile(r"\w*[_^](\{[^}]*\}|\w+)(\^T)?")  # in a comment: whatever has an index or an exponent


def lines(group: Group) -> str:
    """A Group: its comment, without the equation numbers it starts with, and its lines."""
    comment = re.sub(r"^(\([A-Z]\d\)(, | and |\s*))+", "", group.comment)
    head = chips(group.equations) if group.comment else ""
    if comment or head:
        head = f'<p class="comment">{head}{in_words(comment)}</p>'
    shown = "".join(line(number, text, not group.equations) for number, text in group.lines)
    attributes = marks(group.equations) if group.equations else ""
    return f'<div class="group" {attributes}>{head}<div class="code">{shown}</div></div>'


def in_words(comment):
    """A comment as HTML: an equation typeset, among words the formulas, and what it quotes with backticks as code."""
    words = re.findall(r"[A-Za-z]{3,}", re.sub(r"_\w+", "", comment))
    if " = " in comment and {"sigmoid", "tanh", "yhat", "dyhat", "target"}.issuperset(words):
        return typeset(comment)
    parts = re.split(r"`(.*?)`", comment)
    parts[1::2] = [f"<code>{escape(part)}</code>" for part in parts[1::2]]
    parts[::2] = [named(part) for part in parts[::2]]
    return "".join(parts)


def named(text):
    """A remark: words, with names such as u_r typeset."""
    return FORMULA.sub(lambda found: typeset(found[0]), escape(text, quote=False))


def line(number, text, aside):
    """A line of code. The shape in its comment stays behind it, the words go below."""
    code, _, comment = text.partition("  # ")
    shape, _, note = comment.partition("  ") if comment.startswith("(") else ("", "", comment)
    indent = len(code) - len(code.lstrip())
    aside = aside or PREPARES.search(code.strip())
    return (
        f'<div class="line{" prepares" if aside else ""}" style="--indent:{indent}" data-line="{number}">'
        f'<span class="no">{number}</span><code>{escape(code.strip())}</code>'
        + (f'<span class="shape"># {escape(shape)}</span>' if shape else "")
        + (f'<span class="note"># {named(note)}</span>' if note else "")
        + "</div>"
    )


class Places:
    """The places of the numbers, which the script fills in."""

    def __init__(self, numbers: Numbers, gates: tuple[str, ...], summed: str):
        self.all, self.gates, self.summed = {**numbers.steps, **numbers.whole}, gates, summed

    def of_all(self, names):
        return "".join(self.of(name) for name in names)

    def of(self, name):
        sign = name[0] if name[0] in "+=" else ""
        name = name.lstrip("+=")
        if name == self.summed:
            return self.running_sum(name)
        if is_whole(name):
            return "".join(self.value(name, row=k) for k in range(len(self.all[name])))
        return self.value(name, sign) + (self.split() if name == "dh" else "")

    def value(self, name, sign="", row=None):
        """The numbers by hand and by torch, and their difference. row: of a gradient that has one for all steps."""
        which = "" if row is None else self.row_words(name, row)
        words = label(name) if row is None else f"{typeset(name)} <i>{which}</i>"
        sides = [
            f'<div class="{part}"><span class="label">{words}</span><span class="side">{side}</span>'
            f"{self.strip(name, which, side, hand=side == 'by hand')}</div>"
            for part, side in (("ours", "by hand"), ("theirs", "torch"))
        ]
        at = "" if row is None else f' data-row="{row}"'
        return (
            f'<div class="value{" sum" if sign == "=" else ""}" data-name="{name}" data-sign="{sign}"{at}>'
            f'{"".join(sides)}<span class="off"></span></div>'
        )

    def row_words(self, name, row):
        """Of a row of dW_hh: the gate and the unit; of db or dW_ih: the gate, if there are several."""
        rows, G = len(self.all[name]), len(self.gates)
        gate = [] if G == 1 or rows == 1 else [self.gates[row * G // rows]]
        unit = [str(row % (rows // G))] if rows > G else []
        return " ".join(gate + unit)

    def strip(self, name, which, words, *, hand):
        """One vector. The script makes its items; those by hand are buttons that tell how they were computed."""
        size, side, called = self.all[name].shape[1], "hand" if hand else "torch", f"{name} {which}".strip()
        return f'<ol class="strip" data-side="{side}" data-size="{size}" aria-label="{called}, {words}"></ol>'

    def split(self):
        """The shares of dh_t, a row per step of the loss."""
        shares = "".join(
            f'<div class="share" data-step="{s}"><span class="label">loss at step {s}</span>'
            f'<ol class="strip" data-size="{self.all["dh"].shape[1]}" aria-label="share of the loss at step {s}"></ol>'
            '<span class="part"></span></div>'
            for s in range(T)
        )
        return (
            '<details class="split"><summary>split d<var>h</var><sub>t</sub> by the loss it came from</summary>'
            '<p class="aside">Step <var>t</var> gets nothing from the loss at earlier steps. The shares add up to '
            "d<var>h</var><sub>t</sub>. The percentage is the share's length in the direction of d<var>h</var>"
            f"<sub>t</sub>.</p>{shares}</details>"
        )

    def running_sum(self, name):
        """A weight's gradient as a loop would add it up: the sum from the last step down to t, and what step t adds."""
        rows = [self.row_words(name, k) for k in range(len(self.all[name]))]
        both = "".join(
            f'<div class="term" data-row="{k}"><span class="label">{typeset(name)} <i>{which}</i></span>'
            f'<span class="side">so far</span>{self.strip(name, which, "sum so far", hand=True)}'
            f'<span class="side">adds</span>{self.strip(name, which, "what step t adds", hand=False)}</div>'
            for k, which in enumerate(rows)
        )
        return (
            f'<div class="running" data-name="{name}"><p class="head"><span class="so-far"></span>'
            f'<span class="adds"></span></p>{both}<p class="off"></p></div>'
        )


def label(name):
    slope = re.fullmatch(r"d([a-z])_d([a-z])(_[a-z])?", name)
    if slope:
        return typeset(f"∂{slope[1]}_t/∂{slope[2]}{slope[3] or '_t'}")
    return typeset(LABELS.get(name, name if "_" in name else f"{name}_t"))
