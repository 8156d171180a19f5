"""The ladder: thirteen exercises, easy to hard, each a part of scratch/ with one piece taken out.

Starter and model solution are cut from scratch/ itself, so they cannot drift from it.
"""

import ast
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

MARK = "Exercise"


@dataclass(frozen=True)
class Rung:
    """One exercise.

    file: the module of scratch/ it comes from; keep: the definitions that stay; blank: the function or method to be
    written; cut: None to take its whole body, else how the first line that goes begins, up to `until`; drop: imported
    helpers that would give the answer away. task: what to do, in a sentence or two; hints: from a nudge to nearly the
    answer.
    """

    name: str
    title: str
    file: str
    keep: tuple
    blank: str
    task: str
    hints: tuple
    cut: str | None = None
    until: str | None = None
    drop: tuple = ()

    @property
    def file_name(self):
        return f"{self.name}.py"


CELL = ("HALF", "forward", "backward")
ONE_STEP = (
    "In this exercise T is always 1: x[0], y[0] and dy[0] are all there is, and nothing travels between steps. "
    "h_1 still has two readers, the loss (dy[0]) and whoever reads h_n (dh_n). (ids for x, and `trace`, may be "
    "ignored.)"
)
ALL_STEPS = (
    "From the last step to the first: what comes back from step t + 1 joins what the loss sends to step t. The forward "
    "is read from the bottom up. For the inputs' share you may call inputs.backward, which is the exercise `linear` "
    "again. (ids for x, and `trace`, may be ignored.)"
)

RUNGS = (
    Rung(
        name="softmax",
        title="softmax with cross-entropy",
        file="losses",
        keep=("cross_entropy", "_count"),
        blank="cross_entropy",
        cut="    # d loss / d logit",
        until="    return loss",
        task="The loss is there; find dlogits, its gradient for every logit, and return it beside the loss. The mean "
        "is over the valid targets only, so rows that are not valid get 0. (`shifted` is exp by now: see out=.)",
        hints=(
            "Write the loss of one row as log(sum of exp(logits)) - logit of the right class. What is the derivative "
            "of each of the two for one logit?",
            "The first gives the probability exp / total; the second gives 1 for the right class and 0 elsewhere.",
            "dlogits = (probability - 1 for the right class) / count, and rows that are not valid get exactly 0: set "
            "them, for 0 times a nan is a nan. count is the number of valid targets, not the number of rows.",
        ),
    ),
    Rung(
        name="linear",
        title="a linear layer",
        file="layers",
        keep=("Linear",),
        blank="backward",
        task="y = x W^T + b on the last axis, for any number of leading axes. Set self.grads, a dict with the names of "
        "self.params (weight, bias), and return dx.",
        hints=(
            "Take all leading axes as rows first, as forward does: then it is one product, x (N, I) and y (N, O).",
            "Every row used the same W and b: their gradients are sums over rows, and a matrix product sums by itself. "
            "The shapes leave little choice: dW (O, I) from dy (N, O) and x (N, I).",
            "dW = dy^T x; db = the sum of dy over rows; dx = dy W, in the shape of x.",
        ),
    ),
    Rung(
        name="embedding",
        title="an embedding",
        file="layers",
        keep=("whole_numbers", "Embedding"),
        blank="backward",
        drop=("sum_by_id",),
        task="forward looks rows of the table up. Set self.grads, a dict with the name of self.params (weight): each "
        "row of the table gathers the gradients of all its places.",
        hints=(
            "Looking a row up is multiplying by a one-hot vector. Which rows of the table did not take part at all?",
            "The same id may occur many times: its row's gradient is the sum over all its places.",
            "dweight[ids] += dy keeps one of each id's places and drops the others; np.add.at(dweight, ids, dy) adds "
            "all. scratch/inputs.py shows two ways that are faster.",
        ),
    ),
    Rung(
        name="rnn_step",
        title="one RNN step",
        file="rnn",
        keep=CELL,
        blank="backward",
        task=ONE_STEP,
        hints=(
            "Begin at h_1: which two gradients does it get? Their sum is dh.",
            "(R2) h = tanh(a), and 1 - h^2 is its slope: no a is needed. So da = dh * (1 - h^2).",
            "(R1) a has four terms, and da goes to each: dW_hh = da^T h_0, db = the sum of da over rows, "
            "dh_0 = da W_hh; and for the inputs dW_ih = da^T x, dx = da W_ih (of x[0], and dx[0]). With "
            "nonlinearity='relu' the slope is 1 where h > 0 and 0 elsewhere.",
        ),
    ),
    Rung(
        name="rnn",
        title="RNN through time",
        file="rnn",
        keep=CELL,
        blank="backward",
        task=ALL_STEPS,
        hints=(
            "Walk through time backwards with one variable in hand: what step t + 1 sends to h_t. Where does it start?",
            "dh_t = dy_t + what comes from step t + 1 (at the last step: dh_n). Then da_t as in `rnn_step`, and what "
            "step t sends to h_{t-1} is da_t W_hh. What is left in hand after step 0 is dh_0.",
            "The weights were used at every step: dW_hh is the sum over all steps of da_t^T h_{t-1}, with h_0 for the "
            "first, not h_t.",
        ),
    ),
    Rung(
        name="lstm_step",
        title="one LSTM step",
        file="lstm",
        keep=CELL,
        blank="backward",
        task=ONE_STEP + " So has c_1: tanh in (L4), and whoever reads c_n (dc_n).",
        hints=(
            "Begin at (L4), h = o * tanh(c): dh goes to o and to tanh(c). Then c has a second reader: dc_n.",
            "dc = dh * o * (1 - tanh(c)^2) + dc_n. From (L3): di = dc * g, df = dc * c_0, dg = dc * i, dc_0 = dc * f.",
            "(L2) each gate's own slope: da_i = di * i (1 - i), the same for f and o; da_g = dg * (1 - g^2). In the "
            "order i f g o they make da (B, 4H), and (L1) is the linear layer again.",
        ),
    ),
    Rung(
        name="lstm",
        title="LSTM through time",
        file="lstm",
        keep=CELL,
        blank="backward",
        task=ALL_STEPS + " Two states travel here, h and c.",
        hints=(
            "Two things travel back now: what step t + 1 sends to h_t, and what it sends to c_t. Where do both start?",
            "dh_t = dy_t + from t+1. dc_t = dh_t * o * (1 - tanh(c_t)^2) + from t+1: c_t is read twice, so +, not =. "
            "Then what goes to c_{t-1} is dc_t * f_t, and to h_{t-1} da_t W_hh.",
            "The forget gate met c_{t-1}: df_t = dc_t * c_{t-1}. dW_hh sums da_t^T h_{t-1} over all steps. After step "
            "0 what is in hand is dh_0 and dc_0.",
        ),
    ),
    Rung(
        name="gru_step",
        title="one GRU step",
        file="gru",
        keep=CELL,
        blank="backward",
        task=ONE_STEP + " h_0 itself is read in two places: (G2) and (G5).",
        hints=(
            "Begin at (G5): three quantities are read there, one of them twice, once with a minus. What does each get?",
            "(G5) n gets dh * (1 - z), z gets dh * (h_0 - n), h_0 gets dh * z. (G4) da_n = dn * (1 - n^2). u_n gets it "
            "as it is, v_n gets it times r, r gets it times v_n.",
            "So du and dv are equal in the blocks r and z and differ in n, by the reset gate. dW_ih and db_ih come "
            "from du, dW_hh and db_hh from dv. dh_0 = dh * z + dv W_hh.",
        ),
    ),
    Rung(
        name="gru",
        title="GRU through time",
        file="gru",
        keep=CELL,
        blank="backward",
        task=ALL_STEPS,
        hints=(
            "One thing travels back: what step t + 1 sends to h_t. It has two parts.",
            "dh_t = dy_t + from t+1, where step t sends to h_{t-1}: dh_t * z_t (straight, G5) + dv_t W_hh (G2).",
            "In (G5) z weighs h_{t-1} against n_t, so dz_t = dh_t * (h_{t-1} - n_t). The n block of du lacks the reset "
            "gate that dv has.",
        ),
    ),
    Rung(
        name="lengths",
        title="sequences of different lengths",
        file="stretches",
        keep=("stretches", "ROWS", "forward", "backward"),
        blank="backward",
        task="forward cuts a padded batch into stretches in which the same rows run; go back along the same chain. "
        "cell.backward(dy, *dstate_n, cache) does the work within a stretch; it returns dx, the gradients of the first "
        "states, and dW_ih, dW_hh, db_ih, db_hh; from there dx has its last axis. (`trace` may be ignored.)",
        hints=(
            "Take the stretches in reverse. Which rows run in the last one, and what do the others do meanwhile?",
            "A row that does not run keeps its gradient, dstate[n:], until the stretch in which it ends: as forward "
            "keeps its state, with np.concatenate.",
            "Each stretch gives a full set of the weights' gradients: add them up. dx of a stretch stands at "
            "[start:stop, :n], and everywhere else dx is 0.",
        ),
    ),
    Rung(
        name="truncated",
        title="truncated back-propagation through time",
        file="training",
        keep=("Record", "fit"),
        blank="fit",
        task="Write the training loop, as a generator that yields a Record after each step. "
        "dataset.train_batches(epoch) gives an epoch's batches, and dataset.carry_state says whether they continue "
        "each other; model.loss(batch, state) runs forward and keeps the last state as model.state_n; model.backward() "
        "returns the gradients as a dict; optimizer.step(grads) takes them.",
        hints=(
            "What makes it truncated is what you do not do: a batch's backward never goes into the batch before. What "
            "is handed over is the state's numbers.",
            "state = model.state_n when dataset.carry_state, else None; and None again when an epoch begins.",
            "Within a step: loss, backward, clip_grad_norm (no limit: float('inf')), optimizer.step, state, step += 1, "
            "yield. Batches: dataset.train_batches(epoch). Stop after exactly `steps`.",
        ),
    ),
    Rung(
        name="clipping",
        title="gradient clipping",
        file="optimizers",
        keep=("clip_grad_norm",),
        blank="clip_grad_norm",
        task="One norm over all arrays together, so that the direction stays. Write into the arrays that are there. "
        "(The 1e-6 of the docstring: scale = max_norm / (norm + 1e-6), against a norm of 0.)",
        hints=(
            "The norm of all gradients, as if they were one long vector: the root of the sum of all squares.",
            "If it is above max_norm, multiply every array, in place, by the same number; else leave them alone.",
            "scale = max_norm / (norm + 1e-6), torch's formula; when scale is below 1, g *= scale for each. Return the "
            "norm before clipping.",
        ),
    ),
    Rung(
        name="adam",
        title="one Adam step",
        file="optimizers",
        keep=("Adam",),
        blank="_update",
        task="The formulas stand in the class's docstring. Write into the arrays of self.params; leave grads alone.",
        hints=(
            "self.t counts steps from 1; m and v are kept from step to step, in self.m and self.v.",
            "m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2; divide by 1 - beta1^t and 1 - beta2^t.",
            "eps stands outside the correction: p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps), with "
            "-= so that p stays the same array.",
        ),
    ),
)

BY_NAME = {rung.name: rung for rung in RUNGS}


def source_of(rung):
    """The text of the module of scratch/ that a rung comes from."""
    return Path(find_spec(f"scratch.{rung.file}").origin).read_text(encoding="utf-8")


def starter(rung):
    """The text of the file that a learner gets."""
    return _cut(rung, source_of(rung), blank=True)


def solution(rung, source=None):
    """The model solution: the project's own code. source: another text of the module, with a mistake in it."""
    return _cut(rung, source_of(rung) if source is None else source, blank=False)


def _cut(rung, source, blank):
    tree = ast.parse(source)
    lines = source.split("\n")
    pieces = [_heading(rung, ast.get_docstring(tree), blank)]
    imports, definitions = [], []
    for node in tree.body:
        text = _text(lines, node)
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.append((node, text))
        elif set(_names(node)) & set(rung.keep):
            definitions.append(_blanked(rung, node, lines) if blank and _holds(rung, node) else text)
    whole = "\n".join(_text(lines, node) for node in tree.body if set(_names(node)) & set(rung.keep))
    used = {node.id for node in ast.walk(ast.parse(whole)) if isinstance(node, ast.Name)} - (
        set(rung.drop) if blank else set()
    )
    kept = [text for node, text in imports if {(a.asname or a.name).split(".")[0] for a in node.names} & used]
    if kept:
        pieces.append("\n".join(_grouped(kept)))
    constants, rest = [], []
    for definition in definitions:
        (rest if re.search(r"^(def|class|@)", definition, re.M) else constants).append(definition)
    pieces += constants
    return "\n\n".join(pieces) + "\n\n\n" + "\n\n\n".join(rest) + "\n"


def _heading(rung, docstring, blank):
    what = rung.task if blank else "The model solution: scratch/" + rung.file + ".py."
    about = docstring if set(rung.keep) & {"forward"} else ""
    text = f'"""{MARK} `{rung.name}`: {rung.title}.\n\n{_wrapped(what)}\n'
    if blank:
        text += f"\nCheck it with `byhand check {rung.file_name}`; every variable may have any name you like.\n"
    if about:
        text += f"\n{about}\n"
    return text + '"""'


def _wrapped(text, width=118):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


def _text(lines, node):
    """A node's lines, with decorators and the comment above."""
    start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
    while start and lines[start - 1].startswith("#"):
        start -= 1
    return "\n".join(lines[start : node.end_lineno])


def _names(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    return []


def _grouped(imports):
    """Imports as ruff sorts them: the standard library, a blank line, what is installed, a blank line, ours."""
    groups = [[], [], []]
    for text in imports:
        groups[2 if "scratch" in text else 1 if "numpy" in text else 0].append(text)
    lines = []
    for group in groups:
        lines += ([""] if lines and group else []) + group
    return lines


def _holds(rung, node):
    return any(isinstance(one, ast.FunctionDef) and one.name == rung.blank for one in ast.walk(node))


def _blanked(rung, node, lines):
    """The definition with the body of the function `blank` gone, its docstring kept."""
    function = next(one for one in ast.walk(node) if isinstance(one, ast.FunctionDef) and one.name == rung.blank)
    indent = " " * (function.col_offset + 4)
    todo = f'{indent}raise NotImplementedError("yours to write")'
    first, last = function.body[0].lineno, function.end_lineno
    if rung.cut:
        first = next(n for n in range(first, last) if lines[n - 1].startswith(rung.cut))
        last = next(n for n in range(first, last + 1) if lines[n - 1].startswith(rung.until)) - 1
    elif isinstance(function.body[0], ast.Expr):  # the docstring
        first = function.body[0].end_lineno + 1
    changed = [*lines[: first - 1], todo, *lines[last:]]
    removed = last - first  # lines fewer
    start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
    return "\n".join(changed[start : node.end_lineno - removed])


def named_in(source, path):
    """The rung that a file is about: its heading says so, or its name does. None when neither does."""
    found = re.search(rf"{MARK} `(\w+)`", source)
    if found and found[1] in BY_NAME:
        return BY_NAME[found[1]]
    stem = Path(path).stem.lower()
    names = sorted(BY_NAME, key=len, reverse=True)  # rnn_step before rnn
    return next((BY_NAME[name] for name in names if re.search(rf"(^|[^a-z]){name}([^a-z]|$)", stem)), None)
