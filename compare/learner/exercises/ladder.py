"""The ladder: exercises, easy to hard, each a piece of scratch/ with one function body taken out.

Starter and model solution are cut from scratch/ by its syntax tree, so they cannot drift from it.
"""

import ast
import re
import textwrap
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from data import UserError

MARK = "Exercise"


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    file: the module of scratch/ that it comes from; keep: the definitions that it is about (those that they use come
    along); blank: the function or method to write; after: None to remove its whole body, else the variable whose
    assignment is the last statement before the gap (the final return stays); drop: imported helpers that would give the
    answer away. task: what to do, in a sentence or two; hints: from a nudge to nearly the answer.
    """

    name: str
    title: str
    file: str
    keep: tuple[str, ...]
    blank: str
    task: str
    hints: tuple[str, ...]
    after: str | None = None
    drop: tuple[str, ...] = ()

    @property
    def file_name(self):
        return f"{self.name}.py"


CELL = ("forward", "backward")
ONE_STEP = (
    "In this exercise T is always 1: there are only x[0], y[0] and dy[0], and no gradient arrives from a later step. "
    "h_1 still has two readers: the loss (dy[0]) and whatever uses h_n (dh_n)."
)
ALL_STEPS = (
    "Go from the last step to the first: the gradient from step t + 1 is added to the gradient that the loss sends to "
    "step t. Within a step, read forward from the bottom up. For the input projection you may call inputs.backward: it "
    "is the exercise `linear` again."
)
BOTH = " nonlinearity may be tanh or relu; both are checked."

EXERCISES = (
    Exercise(
        name="softmax",
        title="softmax with cross-entropy",
        file="losses",
        keep=("cross_entropy",),
        blank="cross_entropy",
        after="loss",
        task="The loss is computed; compute dlogits, its gradient with respect to every logit. The loss is the mean "
        "over the valid targets only, so the gradient of a row that is not valid is 0.",
        hints=(
            "Write the loss of one row as log(sum of exp(logits)) - logit of the right class. What is the derivative "
            "of each of the two terms with respect to one logit?",
            "The first term gives the probability, exp / total; the second gives 1 for the right class and 0 for the "
            "others.",
            "dlogits = (probability - 1 for the right class) / count, and exactly 0 in rows that are not valid: assign "
            "it, because 0 times nan is nan. count is the number of valid targets, not the number of rows.",
        ),
    ),
    Exercise(
        name="linear",
        title="a linear layer",
        file="layers",
        keep=("Linear",),
        blank="backward",
        task="y = x W^T + b on the last axis, for any number of leading axes. Set self.grads, a dict with the keys of "
        "self.params (weight, bias), and return dx.",
        hints=(
            "Reshape all leading axes into rows first, as forward does: then it is one product, x (N, I) and y (N, O).",
            "Every row uses the same W and b, so their gradients are sums over rows, and a matrix product is such a "
            "sum. The shapes leave little choice: dW (O, I) from dy (N, O) and x (N, I).",
            "dW = dy^T x; db = the sum of dy over rows; dx = dy W, reshaped like x.",
        ),
    ),
    Exercise(
        name="embedding",
        title="an embedding",
        file="layers",
        keep=("Embedding",),
        blank="backward",
        drop=("sum_by_id",),
        task="forward looks up rows of the table. Set self.grads, a dict with the key of self.params (weight): the "
        "gradient of a row of the table is the sum over all places where its id occurs.",
        hints=(
            "Looking up a row is multiplying by a one-hot vector. Which rows of the table were not used at all?",
            "The same id may occur many times: the gradient of its row is the sum over all those places.",
            "dweight[ids] += dy keeps only one of the places of each id; np.add.at(dweight, ids, dy) adds them all. "
            "scratch/inputs.py shows two faster ways.",
        ),
    ),
    Exercise(
        name="rnn_step",
        title="one RNN step",
        file="rnn",
        keep=CELL,
        blank="backward",
        task=ONE_STEP + BOTH,
        hints=(
            "Begin at h_1: which two gradients does it get? Their sum is dh.",
            "(R2) h = tanh(a), whose derivative is 1 - h^2: you do not need a. So da = dh * (1 - h^2).",
            "(R1) a has four terms, and each gets da: dW_hh = da^T h_0, db = the sum of da over rows, "
            "dh_0 = da W_hh; and for the inputs dW_ih = da^T x, dx = da W_ih (with x[0], into dx[0]). With "
            "nonlinearity='relu' the derivative is 1 where h > 0 and 0 elsewhere.",
        ),
    ),
    Exercise(
        name="rnn",
        title="RNN through time",
        file="rnn",
        keep=CELL,
        blank="backward",
        task=ALL_STEPS + BOTH,
        hints=(
            "Go backwards through time and carry one variable: the gradient that step t + 1 sends to h_t. What is its "
            "value at the last step?",
            "dh_t = dy_t + the gradient from step t + 1 (dh_n at the last step). Then da_t as in `rnn_step`, and step "
            "t sends da_t W_hh to h_{t-1}. After step 0 the carried variable is dh_0.",
            "Every step uses the same weights: dW_hh is the sum over all steps of da_t^T h_{t-1} (not h_t), where the "
            "state before step 0 is h_0.",
        ),
    ),
    Exercise(
        name="lstm_step",
        title="one LSTM step",
        file="lstm",
        keep=CELL,
        blank="backward",
        task=ONE_STEP + " c_1 has two as well: tanh in (L4), and whatever uses c_n (dc_n).",
        hints=(
            "Begin at (L4), h = o * tanh(c): both o and tanh(c) get a gradient from dh. c also gets dc_n.",
            "dc = dh * o * (1 - tanh(c)^2) + dc_n. From (L3): di = dc * g, df = dc * c_0, dg = dc * i, dc_0 = dc * f.",
            "(L2) the derivative of each gate: da_i = di * i (1 - i), the same for f and o; da_g = dg * (1 - g^2). In "
            "the order i f g o they make da (B, 4H), and (L1) is the linear layer again.",
        ),
    ),
    Exercise(
        name="lstm",
        title="LSTM through time",
        file="lstm",
        keep=CELL,
        blank="backward",
        task=ALL_STEPS + " Here two gradients are carried from step to step, those of h and c.",
        hints=(
            "Carry two variables now: the gradients that step t + 1 sends to h_t and to c_t. What are their values at "
            "the last step?",
            "dh_t = dy_t + the carried dh. dc_t = dh_t * o * (1 - tanh(c_t)^2) + the carried dc: c_t has two readers, "
            "so their gradients add up. Step t sends dc_t * f_t to c_{t-1} and da_t W_hh to h_{t-1}.",
            "The forget gate multiplies c_{t-1}: df_t = dc_t * c_{t-1}. dW_hh is the sum of da_t^T h_{t-1} over all "
            "steps. After step 0 the carried variables are dh_0 and dc_0.",
        ),
    ),
    Exercise(
        name="gru_step",
        title="one GRU step",
        file="gru",
        keep=CELL,
        blank="backward",
        task=ONE_STEP + " h_0 has two readers in this cell: (G2) and (G5).",
        hints=(
            "Begin at (G5): it reads three quantities, z twice, once with a minus sign. Which gradient does each get?",
            "(G5) n gets dh * (1 - z), z gets dh * (h_0 - n), h_0 gets dh * z. (G4) da_n = dn * (1 - n^2). u_n gets "
            "da_n, v_n gets da_n * r, r gets da_n * v_n.",
            "So du and dv are equal in the blocks r and z and differ in n, by the reset gate. dW_ih and db_ih come "
            "from du, dW_hh and db_hh from dv. dh_0 = dh * z + dv W_hh.",
        ),
    ),
    Exercise(
        name="gru",
        title="GRU through time",
        file="gru",
        keep=CELL,
        blank="backward",
        task=ALL_STEPS,
        hints=(
            "Carry one variable: the gradient that step t + 1 sends to h_t. It is the sum of two terms.",
            "dh_t = dy_t + the carried gradient. Step t sends dh_t * z_t (directly, G5) + dv_t W_hh (G2) to h_{t-1}.",
            "(G5) h_t = (1 - z_t) * n_t + z_t * h_{t-1}, so dz_t = dh_t * (h_{t-1} - n_t). The n block of dv has the "
            "reset gate as a factor; that of du does not.",
        ),
    ),
    Exercise(
        name="mingru",
        title="minGRU through time, without a loop",
        file="mingru",
        keep=CELL,
        blank="backward",
        task="No gate reads the state, so h_t = a_t * h_{t-1} + b_t with factors that are known beforehand, and "
        "forward calls scan(a, b, h_0). Go backwards through time with the same function: without a loop. For the "
        "input projection you may call inputs.backward.",
        hints=(
            "The gradient that step t + 1 sends to h_t is dh_{t+1} times one factor. Write dh_t = dy_t + ... and "
            "compare it with the recurrence that scan computes. Which way through time does it run?",
            "dh_t = dy_t + (1 - z_{t+1}) * dh_{t+1}: a scan over reversed arrays whose factors are those of the step "
            "AFTER t. The last step's factor is 1 and its dh_{t+1} is dh_n. Reverse the result as well.",
            "dh_0 = (1 - z_0) * dh of the first step, one factor further than the scan goes. (M3) z_t gets "
            "dh_t * (n_t - h_{t-1}), then the slope z_t (1 - z_t); n_t gets dh_t * z_t. In the order z n they make "
            "da (T, B, 2H).",
        ),
    ),
    Exercise(
        name="lengths",
        title="sequences of different lengths",
        file="stretches",
        keep=("forward", "backward"),
        blank="backward",
        task="forward cuts a padded batch into stretches in which the same rows run; go back through the stretches. "
        "Call cell.backward(dy, *dstate_n, cache) for each one. It returns dx of the stretch, which tells you the last "
        "axis of dx, the gradients of the stretch's first states, and dW_ih, dW_hh, db_ih, db_hh.",
        hints=(
            "Take the stretches in reverse order. Which rows run in the last one, and what happens to the others?",
            "A row that does not run keeps its gradient, dstate[n:], until the stretch in which its sequence ends: use "
            "np.concatenate, as forward does for the state.",
            "Each stretch returns gradients of all the weights: add them up. Write dx of a stretch into "
            "[start:stop, :n]; everywhere else dx is 0.",
        ),
    ),
    Exercise(
        name="truncated",
        title="truncated back-propagation through time",
        file="training",
        keep=("fit",),
        blank="fit",
        task="Write the training loop, as a generator that yields a Record after each step. "
        "dataset.train_batches(epoch) yields the batches of an epoch, and dataset.carry_state says whether each batch "
        "continues the one before it; model.loss(batch, state) runs forward and stores the last state in "
        "model.state_n; model.backward() returns the gradients as a dict; optimizer.step(grads) updates the weights.",
        hints=(
            "It is truncated because backward stays within a batch. Only the values of the state are passed on to the "
            "next batch.",
            "state = model.state_n when dataset.carry_state, else None; it is None again when an epoch begins.",
            "Within a step: loss, backward, clip_grad_norm (no limit: float('inf')), optimizer.step, state, step += 1, "
            "yield. Batches: dataset.train_batches(epoch). Stop after exactly `steps` steps.",
        ),
    ),
    Exercise(
        name="clipping",
        title="gradient clipping",
        file="optimizers",
        keep=("clip_grad_norm",),
        blank="clip_grad_norm",
        task="Compute one norm over all arrays together, so that clipping keeps the direction. Scale the given arrays "
        "in place by max_norm / (norm + 1e-6), torch's formula, when that is below 1.",
        hints=(
            "The norm of all gradients, as if they were one long vector, is the root of the sum of all squares.",
            "If scale is below 1, multiply every array in place by it; otherwise leave the arrays as they are.",
            "scale = max_norm / (norm + 1e-6); when scale is below 1, g *= scale for each array g. Return the norm "
            "before clipping.",
        ),
    ),
    Exercise(
        name="adam",
        title="one Adam step",
        file="optimizers",
        keep=("Adam",),
        blank="_update",
        task="The formulas are in the docstring of the class. Update self.params in place; do not change grads.",
        hints=(
            "self.t counts steps from 1; self.m and self.v keep m and v from step to step.",
            "m = beta1 m + (1 - beta1) g and v = beta2 v + (1 - beta2) g^2; divide by 1 - beta1^t and 1 - beta2^t.",
            "Add eps after the correction: p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). Use -= so "
            "that p remains the same array.",
        ),
    ),
)

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}


def by_name(name):
    """The exercise called `name`. Raises UserError when there is none."""
    if name not in BY_NAME:
        raise UserError(f"there is no exercise {name!r}; choose one of: {', '.join(BY_NAME)}")
    return BY_NAME[name]


def path_of(exercise) -> Path:
    """The module of scratch/ that an exercise comes from."""
    return Path(find_spec(f"scratch.{exercise.file}").origin)


def source_of(exercise):
    """The text of that module."""
    return path_of(exercise).read_text(encoding="utf-8")


def is_the_solution(file, exercise: str | None) -> bool:
    """Whether a file is the module itself: then its exercise cannot judge it."""
    return exercise is not None and Path(file).resolve() == path_of(BY_NAME[exercise]).resolve()


def starter(exercise):
    """The text of the file that a learner gets."""
    return _cut(exercise, source_of(exercise), blank=True)


def solution(exercise, source=None):
    """The model solution: the project's own code. source: another text of the module, with a mistake in it."""
    return _cut(exercise, source_of(exercise) if source is None else source, blank=False)


def _cut(exercise, source, blank):
    """The heading, then the imports, constants, functions and classes that the exercise needs."""
    tree, lines = ast.parse(source), source.split("\n")
    kept = _needed(tree, exercise.keep)
    used = set().union(*map(_names_used, kept)) - (set(exercise.drop) if blank else set())
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    imports = [_text(lines, node) for node in imports if {_bound(alias) for alias in node.names} & used]
    constants = [_text(lines, node) for node in kept if isinstance(node, ast.Assign)]
    definitions = [
        _blanked(exercise, node, lines) if blank and _holds(exercise, node) else _text(lines, node)
        for node in kept
        if not isinstance(node, ast.Assign)
    ]
    top = [_heading(exercise, ast.get_docstring(tree), blank), _grouped(imports), *constants]
    return "\n\n".join(piece for piece in top if piece) + "\n\n\n" + "\n\n\n".join(definitions) + "\n"


def _needed(tree, keep):
    """The top-level definitions called `keep`, and every other one of the module that they use, in its order."""
    wanted = set(keep)
    while True:
        kept = [node for node in tree.body if set(_names(node)) & wanted]
        more = wanted.union(*map(_names_used, kept))
        if more == wanted:
            return kept
        wanted = more


def _names_used(node):
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _bound(alias):
    """The name that an import gives: np of `import numpy as np`."""
    return (alias.asname or alias.name).split(".")[0]


def _heading(exercise, docstring, blank):
    what = exercise.task if blank else f"The model solution: scratch/{exercise.file}.py."
    about = docstring if "forward" in exercise.keep else ""
    text = f'"""{MARK} `{exercise.name}`: {exercise.title}.\n\n{_wrapped(what)}\n'
    if blank:
        text += f"\nCheck it with `byhand check {exercise.file_name}`. Name your variables as you like.\n"
    if about:
        text += f"\n{about}\n"
    return text + '"""'


def _wrapped(text):
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def _text(lines, node):
    """A node's lines, with its decorators and the comment above it."""
    start = _first_line(node) - 1
    while start and lines[start - 1].startswith("#"):
        start -= 1
    return "\n".join(lines[start : node.end_lineno])


def _first_line(node):
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def _names(node):
    """The names that a top-level statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)]
    return []


def _grouped(imports):
    """Imports in ruff's order: the standard library, installed packages, scratch, with blank lines between them."""
    groups = [[], [], []]
    for text in imports:
        groups[2 if "scratch" in text else 1 if "numpy" in text else 0].append(text)
    return "\n\n".join("\n".join(group) for group in groups if group)


def _functions(node):
    return [one for one in ast.walk(node) if isinstance(one, ast.FunctionDef)]


def _holds(exercise, node):
    return any(function.name == exercise.blank for function in _functions(node))


def _blanked(exercise, node, lines):
    """The definition without the body of the function `blank`; its docstring stays."""
    function = next(one for one in _functions(node) if one.name == exercise.blank)
    first, last = _gap(exercise, function)
    todo = " " * function.body[0].col_offset + 'raise NotImplementedError("yours to write")'
    return "\n".join([*lines[_first_line(node) - 1 : first - 1], todo, *lines[last : node.end_lineno]])


def _gap(exercise, function):
    """The first and the last line of what the learner writes."""
    body = function.body
    if exercise.after is not None:
        stays = max(k for k, one in enumerate(body) if exercise.after in _names(one))
        return body[stays].end_lineno + 1, body[-1].lineno - 1
    first = body[0].end_lineno + 1 if ast.get_docstring(function) is not None else body[0].lineno
    return first, function.end_lineno


def named_in(source, path):
    """The exercise that a file is about: its heading says so, or its name does. None when neither does."""
    found = re.search(rf"{MARK} `(\w+)`", source)
    if found and found[1] in BY_NAME:
        return BY_NAME[found[1]]
    stem = Path(path).stem.lower()
    names = sorted(BY_NAME, key=len, reverse=True)  # rnn_step before rnn
    return next((BY_NAME[name] for name in names if re.search(rf"(^|[^a-z]){name}([^a-z]|$)", stem)), None)
