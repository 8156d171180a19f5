"""The traps: conventions in which two correct programs differ, so that they draw different training curves.

Each trap changes one thing: lines of scratch/, planted as compare/mistakes/ plants a mistake, or something of a run
before its first step.
"""

import inspect
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from types import ModuleType
from typing import Any

import numpy as np

import scratch
from compare.mistakes.catalogue import BY_NAME, Mistake
from compare.mistakes.plant import planted, planted_source
from compare.options import Settings
from data import Dataset


@dataclass
class Run:
    """A run before its first step. The dataset is a copy."""

    model: scratch.SequenceModel
    dataset: Dataset
    optimizer: Any
    clip: float | None


@dataclass(frozen=True)
class Trap:
    """One convention in which other programs differ from torch.nn.

    title: the other convention, in a few words; task: the task whose run shows it; torch: what the
    reference run does; why: the difference, and where both packages settle it; fix: what to do, as an imperative;
    applies: can it make a difference in a run with these settings and this dataset?
    What changes: `mistake`, lines of scratch/, or `change`, a function that alters a Run, or both. A convention with a
    number has `values`, the usual ones by their labels; `change` gets each of them as `value`.
    """

    name: str
    title: str
    task: str
    torch: str
    why: str
    fix: str
    applies: Callable[[Settings, Dataset], bool] = lambda settings, dataset: True
    mistake: Mistake | None = None
    change: Callable[..., None] | None = None
    values: Callable[[Settings], dict[str, Any]] | None = None

    def variants(self, settings: Settings) -> Iterator["Variant"]:
        """The trap with each of its values, the most usual one first."""
        if self.values is None:
            yield Variant(self, "", self.change)
        else:
            for label, value in self.values(settings).items():
                yield Variant(self, label, partial(self.change, value=value))


@dataclass(frozen=True)
class Variant:
    """A trap with one of its values, which `label` names: what makes one run differ from the reference run."""

    trap: Trap
    label: str
    change: Callable[[Run], None] | None

    @property
    def title(self) -> str:
        return f"{self.trap.title} ({self.label})" if self.label else self.trap.title

    def package(self) -> ModuleType:
        """The package scratch that the run uses."""
        return planted(self.trap.mistake) if self.trap.mistake else scratch


# ---- the changes ----------------------------------------------------------------------------------------------------


def reset_before_the_product(run):
    run.model.recurrent.cell = gru_reset_before()


def gru_reset_before():
    """The GRU cell of Cho et al. (2014): the reset gate multiplies h_{t-1} before the product, v_n = W_hn (r h) + b_hn.

    The r block of `slopes` becomes that of r_t * h_{t-1}: its gradient comes from v_n of the same step.
    """
    changes = {
        "v_n[t] = v[2]": "v_n[t] = (r * h_before) @ W_hh[2 * H :].T + b_hh[2 * H :]",
        "np.tanh(u_n + r * v_n[t])": "np.tanh(u_n + v_n[t])",
        "dh_dv_n[...] = dh_du_n * r\n": "dh_dv_n[...] = dh_du_n\n",
        "dh_du_n * v_n * r * (1 - r)": "h_before * r * (1 - r)",
        "dv_blocks[t] = dh[t] * slopes[t]": """\
dv_blocks[t, 1:] = dh[t] * slopes[t, 1:]
        d_reset = dv_blocks[t, 2] @ W_hh[2 * H :]  # (B, H)
        dv_blocks[t, 0] = d_reset * slopes[t, 0]""",
        "+ dv[t] @ W_hh": "+ d_reset * r[t] + dv[t, :, : 2 * H] @ W_hh[: 2 * H]",
        "    db_hh =": "    dW_hh[2 * H :] = dv_rows[:, 2 * H :].T @ (r * h_before).reshape(T * B, H)\n    db_hh =",
    }
    source = None
    for right, wrong in changes.items():
        source = planted_source(Mistake("reset_before", "gru", "", right, wrong), source)
    return compiled(source, "gru with the reset gate before the product")


def compiled(source: str, name: str) -> ModuleType:
    module = ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    return module


def swap_z(run):
    """1 - sigmoid(a) is sigmoid(-a), so changing the sign of the GRU's z block swaps z and 1 - z."""
    H = run.model.recurrent.hidden_size
    for p in run.model.recurrent.params.values():
        p[H : 2 * H] *= -1


def swap_gates(run):
    """Read torch's i f g o as i f o g, or r z n as z r n: swap two blocks of every weight and bias."""
    H = run.model.recurrent.hidden_size
    one, other = (0, 1) if isinstance(run.model.recurrent, scratch.GRU) else (2, 3)
    for p in run.model.recurrent.params.values():
        blocks = p.reshape(-1, H, *p.shape[1:])  # a view
        blocks[[one, other]] = blocks[[other, one]]


def draw_as_xavier(run):
    """Glorot and Bengio (2010): weights uniform within sqrt(6 / (inputs + outputs)), and biases of 0."""
    rng = np.random.default_rng(run.dataset.seed)
    for name, p in run.model.recurrent.params.items():
        bound = np.sqrt(6 / sum(p.shape)) if "weight" in name else 0
        p[...] = rng.uniform(-bound, bound, p.shape)


def shuffle_differently(run):
    run.dataset.seed += 1  # the names were split when they were loaded, with the original seed


def keep_one_bias(run):
    """Without a gradient b_hh stays as it is, so that b_ih alone is trained."""
    layer, backward = run.model.recurrent, run.model.recurrent.backward

    def backward_of_one_bias(*arguments, **keywords):
        result = backward(*arguments, **keywords)
        layer.grads = {name: g * ("bias_hh" not in name) for name, g in layer.grads.items()}
        return result

    layer.backward = backward_of_one_bias


def never_detach(run):
    """Let the gradient flow on from each window into the windows before it.

    torch refuses this at the second step ("backward through the graph a second time"). It computes exactly this with
    retain_graph=True and weights that are updated through p.data, which autograd does not see. Six windows are kept: in
    the default run, earlier ones change no loss by more than 1e-8. Only for ids that are looked up in the projected
    table (see scratch/model.py): only then does every window's part of the embedding's gradient pass through here.
    """
    layer, windows = run.model.recurrent, deque(maxlen=6)
    forward, backward = layer.forward, layer.backward

    def forward_and_keep(x, state=None, lengths=None, embedding=None):
        if state is None:  # an epoch begins
            windows.clear()
        # the layer keeps its own states, but uses the weights as they are now; autograd keeps the rows it looked up
        out = forward(x, state, lengths, embedding.copy())
        windows.append(layer.kept)
        return out

    def backward_through_windows(dy=None, dstate_n=None, trace=None):
        dx, grads = 0, dict.fromkeys(layer.params, 0)
        for kept in reversed(windows):
            layer.kept = kept
            dx_window, dstate_n = backward(dy, dstate_n)
            dy = None  # the losses of earlier windows were differentiated in their own steps
            dx = dx + dx_window  # of ids: the table's gradient, to which every window adds
            grads = {name: g + layer.grads[name] for name, g in grads.items()}
        layer.grads = grads
        return dx, dstate_n

    layer.forward, layer.backward = forward_and_keep, backward_through_windows


def hard_sigmoid(run, value):
    """Every sigmoid of the cell becomes a straight line of slope `value`, limited to 0 and 1."""
    cell = run.model.recurrent.cell
    source, places = re.subn(r"\b(\w) \* \(1 - \1\)", r"slope(\1)", inspect.getsource(cell))
    assert places, f"{cell.__name__} no longer has a slope s * (1 - s)"
    hard = compiled(source, f"{cell.__name__} with a hard sigmoid")
    hard.sigmoid = lambda a, out=None: np.clip(value * a + 0.5, 0, 1, out=out)
    hard.slope = lambda s: ((s > 0) & (s < 1)) * s.dtype.type(value)
    run.model.recurrent.cell = hard


def set_forget_biases(run, value):
    """value: new (b_ih, b_hh) of the forget gate from the drawn ones."""
    H, params = run.model.recurrent.hidden_size, run.model.recurrent.params
    for name in params:
        if "bias_ih" in name:
            b_ih, b_hh = (params[n][H : 2 * H] for n in (name, name.replace("_ih", "_hh")))  # the blocks are i f g o
            b_ih[...], b_hh[...] = value(b_ih, b_hh)


def scale_rate(run, value):
    run.optimizer.lr *= value


def warm_up(run, value):
    """value: the factor of the learning rate at each step, from 1."""
    optimizer, rate, steps = run.optimizer, run.optimizer.lr, count(1)
    step = optimizer.step

    def step_at_its_rate(grads):
        optimizer.lr = rate * value(next(steps))
        step(grads)

    optimizer.step = step_at_its_rate


def set_betas(run, value):
    run.optimizer.betas = value


def set_epsilon(run, value):
    run.optimizer.eps = value


def leave_the_correction_out(run):
    run.optimizer.t = 10**9  # then 1 - beta^t is 1


def decay_the_weights(run, value):
    run.optimizer = scratch.AdamW(run.model.params, run.optimizer.lr, weight_decay=value)


def decay_in_the_gradient(run, value):
    if isinstance(run.optimizer, scratch.AdamW):
        run.optimizer = scratch.Adam(run.model.params, run.optimizer.lr)
    run.optimizer.weight_decay = value


def set_clip(run, value):
    run.clip = value


# ---- the usual values -----------------------------------------------------------------------------------------------


def numbers(*values, label="{:g}"):
    return {label.format(value).replace("e-0", "e-"): value for value in values}


def decays_of_adamw(settings):
    """0.01 is torch's, 0.004 Keras'; with a decay of its own, Adam differs from AdamW in where it is added."""
    if settings.optimizer == "adam":
        return numbers(*([settings.weight_decay] if settings.weight_decay else [0.01, 0.1, 0.05, 0.004, 0.001]))
    return numbers(*(d for d in (0.01, 0.1, 0.05, 0.004, 0.001, 0) if d != settings.weight_decay))


def decays_in_the_gradient(settings):
    return numbers(*([settings.weight_decay] if settings.weight_decay else [1e-2, 1e-3, 1e-4, 1e-5]))


FORGET_BIASES = {
    "1 added to b_ih": lambda b_ih, b_hh: (b_ih + 1, b_hh),
    "b_ih set to 1": lambda b_ih, b_hh: (1, b_hh),
    "b_ih set to 1, b_hh to 0": lambda b_ih, b_hh: (1, 0),
    "b_ih and b_hh set to 1": lambda b_ih, b_hh: (1, 1),
}
LENGTHS = (100, 5, 10, 20, 50, 200, 500, 1000, 2000)  # of a warm-up, in steps
WARM_UPS = {f"over {n} steps": lambda t, n=n: min(1, t / n) for n in LENGTHS}
WARM_UPS |= {f"over {n} steps, from 0": lambda t, n=n: min(1, (t - 1) / n) for n in LENGTHS}
WARM_UPS |= {"LinearLR's default": lambda t: min(1, 1 / 3 + 2 / 3 * (t - 1) / 5)}
RATES = {"x 2": 2, "x 1/2": 1 / 2, "x 3": 3, "x 1/3": 1 / 3, "x 5": 5, "x 1/5": 1 / 5, "x 10": 10, "x 1/10": 1 / 10}
RATES |= {"x 3/2": 3 / 2, "x 2/3": 2 / 3}
BETAS = ((0.9, 0.99), (0.9, 0.98), (0.9, 0.95), (0.95, 0.999), (0.8, 0.999), (0.5, 0.999), (0, 0.999))
LIMITS = (0.25, 0.1, 0.5, 1, 2, 3, 5, 10)


# ---- the traps, in the order in which they show: before the first update, with it, later ----------------------------

TRAPS = (
    Trap(
        name="reset_before",
        title="reset gate before the product",
        task="text",
        torch="after the product and its bias",
        why="The original paper and many textbooks apply the reset gate to h before the product; torch.nn.GRU and "
        "scratch/gru.py (G4) apply it to the product and its bias.",
        fix="compute tanh(u_n + r * (W_hn h + b_hn))",
        applies=lambda s, data: s.cell == "gru",
        change=reset_before_the_product,
    ),
    Trap(
        name="z_swapped",
        title="z and 1 - z swapped",
        task="text",
        torch="z weights the old state",
        why="In torch.nn.GRU and scratch/gru.py (G5) z weights the old state, h = (1 - z) n + z h; in other texts "
        "1 - z does.",
        fix="swap z and 1 - z, or change the sign of the z block of all weights and biases",
        applies=lambda s, data: s.cell == "gru",
        change=swap_z,
    ),
    Trap(
        name="gates_in_another_order",
        title="gates in another order",
        task="names",
        torch="i f g o and r z n",
        why="The blocks of weights and biases are i f g o in torch.nn.LSTM and scratch/lstm.py, r z n in torch.nn.GRU "
        "and scratch/gru.py; other libraries use i f o g and z r n.",
        fix="reorder the blocks when you load the weights",
        applies=lambda s, data: s.cell in ("lstm", "gru"),
        change=swap_gates,
    ),
    Trap(
        name="different_initial_weights",
        title="different initial weights (Xavier)",
        task="series",
        torch="uniform within 1 / sqrt(H)",
        why="torch.nn and scratch/recurrent.py draw all weights and biases of a cell within 1 / sqrt(H); Xavier "
        "initialization uses both sizes of each matrix and starts with biases of 0.",
        fix="load the initial weights of the reference run",
        change=draw_as_xavier,
    ),
    Trap(
        name="other_batch_order",
        title="batches in another order",
        task="names",
        torch="from seed and epoch",
        why="Both models read the batches in the order of train_batches in data/; another seed or another library's "
        "shuffle gives a different order.",
        fix="take the batches from data.load(...).train_batches(epoch)",
        applies=lambda s, data: s.task != "text" and not s.dropout,
        change=shuffle_differently,
    ),
    Trap(
        name="last_padded_step",
        title="last padded step instead of last real step",
        task="names",
        torch="each sequence's own last step",
        why="A sequence's last state is the one at its own last step (pack_padded_sequence in torch_impl/model.py, "
        "scratch/stretches.py), not the state after running on through the padding.",
        fix="pack the batch, or select row b's state at step lengths[b] - 1",
        applies=lambda s, data: s.task == "names",
        mistake=BY_NAME["padding_run_through"],
    ),
    Trap(
        name="hard_sigmoid",
        title="hard sigmoid",
        task="names",
        torch="1 / (1 + exp(-a))",
        why="The gates of torch.nn and scratch/activations.py are smooth. Keras 1 and 2 had recurrent layers with the "
        "straight line 0.2 a + 1/2 between 0 and 1; torch.nn.functional.hardsigmoid is a / 6 + 1/2.",
        fix="use the logistic function for the gates",
        applies=lambda s, data: s.cell in ("lstm", "gru", "mingru"),
        change=hard_sigmoid,
        values=lambda s: {"slope 0.2": 0.2, "slope 1/6": 1 / 6},
    ),
    Trap(
        name="forget_bias",
        title="forget bias of 1",
        task="names",
        torch="drawn like all biases",
        why="torch.nn.LSTM and scratch/recurrent.py draw the forget gate's biases like all others; Keras and many "
        "papers start them at 1, so that the cell remembers from the beginning.",
        fix="load the initial biases of the reference run, and change none of them",
        applies=lambda s, data: s.cell == "lstm" and not s.forget_bias,
        change=set_forget_biases,
        values=lambda s: FORGET_BIASES,
    ),
    Trap(
        name="one_bias",
        title="one bias instead of two",
        task="names",
        torch="two, and both are updated",
        why="torch.nn and scratch/rnn.py (R1) add b_ih and b_hh. Both receive the same update, so their sum moves "
        "twice as far as a single bias would.",
        fix="use two biases, as torch does",
        # in a GRU the two enter different terms; a minGRU has only one
        applies=lambda s, data: s.cell not in ("gru", "mingru") and not s.weight_decay,
        change=keep_one_bias,
    ),
    Trap(
        name="epsilon_inside",
        title="Adam's epsilon inside the correction",
        task="text",
        torch="outside",
        why="torch.optim.Adam and scratch/optimizers.py add epsilon after the bias correction of sqrt(v); the paper's "
        "faster form adds it before, which weighs it 32 times as much at the first step.",
        fix="divide by sqrt(v) / sqrt(1 - beta2^t) + eps",
        applies=lambda s, data: s.optimizer in ("adam", "adamw"),
        mistake=BY_NAME["epsilon_inside_the_correction"],
        change=set_epsilon,
        values=lambda s: {"1e-8": 1e-8, "1e-7, as Keras": 1e-7},
    ),
    Trap(
        name="another_epsilon",
        title="another epsilon",
        task="text",
        torch="1e-8 (Adagrad 1e-10)",
        why="torch.optim and scratch/optimizers.py have 1e-8 (Adagrad 1e-10); Keras has 1e-7, and papers use up to "
        "1e-3. It matters where gradients are as small as epsilon.",
        fix="pass eps=1e-8 to your optimizer",
        applies=lambda s, data: s.optimizer != "sgd",
        change=set_epsilon,
        values=lambda s: numbers(1e-7, 1e-6, 1e-5, 1e-4, 1e-3),
    ),
    Trap(
        name="no_bias_correction",
        title="Adam without bias correction",
        task="series",
        torch="corrected",
        why="Adam's averages start at 0. torch.optim.Adam and scratch/optimizers.py divide them by 1 - beta^t; without "
        "that (as in BERT's Adam) the first step is 3.2 times as long.",
        fix="divide m by 1 - beta1^t and v by 1 - beta2^t",
        applies=lambda s, data: s.optimizer in ("adam", "adamw"),
        change=leave_the_correction_out,
    ),
    Trap(
        name="another_rate",
        title="another learning rate",
        task="series",
        torch="the run's --lr",
        why="Every update is longer or shorter by a constant factor. torch.optim and scratch/optimizers.py use the "
        "rate as it is; other programs scale it by the batch size or the number of devices.",
        fix="use the reference run's learning rate",
        change=scale_rate,
        values=lambda s: RATES,
    ),
    Trap(
        name="warm_up",
        title="warm-up of the learning rate",
        task="series",
        torch="none",
        why="The learning rate rises to its value during the first steps. torch.optim warms up only with a scheduler, "
        "and scratch/training.py never does.",
        fix="remove the scheduler",
        change=warm_up,
        values=lambda s: WARM_UPS,
    ),
    Trap(
        name="adamw_decay",
        title="AdamW's weight decay",
        task="series",
        torch="Adam: none",
        why="AdamW shrinks the weights before each step (scratch/optimizers.py). torch.optim.AdamW has a decay of 0.01 "
        "unless you pass another; torch.optim.Adam has none.",
        fix="use the reference run's optimizer with its weight_decay",
        applies=lambda s, data: s.optimizer in ("adam", "adamw"),
        change=decay_the_weights,
        values=decays_of_adamw,
    ),
    Trap(
        name="decay_in_the_gradient",
        title="weight decay added to the gradient",
        task="series",
        torch="none, or AdamW's",
        why="weight_decay of torch.optim.Adam and of scratch/optimizers.py is added to the gradient, where Adam "
        "rescales it; AdamW shrinks the weights themselves.",
        fix="use the reference run's optimizer with its weight_decay",
        applies=lambda s, data: s.optimizer == "adamw" or not s.weight_decay,
        change=decay_in_the_gradient,
        values=decays_in_the_gradient,
    ),
    Trap(
        name="sum_for_mean",
        title="gradient summed, not averaged",
        task="text",
        torch="mean over rows and steps",
        why="The loss is a mean over rows and steps (torch's default reduction, scratch/losses.py), and so is its "
        "gradient. Adam hides the factor, but clipping and SGD do not.",
        fix="divide the loss by the number of its targets before backward",
        applies=lambda s, data: s.task in ("text", "names", "digits"),
        mistake=BY_NAME["not_divided_by_the_count"],
    ),
    Trap(
        name="state_not_carried",
        title="state not carried to the next window",
        task="text",
        torch="carried",
        why="A window of text continues the previous one, so its initial state is the previous window's last state "
        "(fit, in scratch/training.py and torch_impl/training.py).",
        fix="pass the last state on to the next batch; start from zeros only at the beginning of an epoch",
        applies=lambda s, data: data.carry_state,
        mistake=BY_NAME["state_not_carried"],
    ),
    Trap(
        name="state_not_detached",
        title="state carried but not detached",
        task="text",
        torch="detached",
        why="The gradient stops at the beginning of the window: torch_impl/training.py detaches the state, and "
        "scratch/training.py passes on only its values.",
        fix="detach the state before you pass it on",
        applies=lambda s, data: (
            data.carry_state and data.vocab_size < s.batch_size * s.window and not s.dropout  # see never_detach
        ),
        change=never_detach,
    ),
    Trap(
        name="other_betas",
        title="other betas",
        task="series",
        torch="(0.9, 0.999)",
        why="torch.optim.Adam and scratch/optimizers.py average with (0.9, 0.999); transformers and GANs are trained "
        "with others. The first update does not depend on them.",
        fix="use betas (0.9, 0.999)",
        applies=lambda s, data: s.optimizer in ("adam", "adamw"),
        change=set_betas,
        values=lambda s: numbers(*BETAS, label="{0[0]} and {0[1]}"),
    ),
    Trap(
        name="clipped_element_by_element",
        title="clipped element by element",
        task="names",
        torch="one norm over all gradients",
        why="clip_grad_norm_ and scratch/optimizers.py scale all gradients by one factor; clip_grad_value_ and "
        "np.clip limit each number. If no single number exceeds the limit, that is no clipping at all.",
        fix="multiply all gradients by limit / norm if their common norm exceeds the limit",
        applies=lambda s, data: s.clip is not None,
        mistake=BY_NAME["clipped_element_by_element"],
    ),
    Trap(
        name="one_norm_for_each_array",
        title="clipped by a norm per array",
        task="names",
        torch="one norm over all gradients",
        why="clip_grad_norm_ and scratch/optimizers.py take one norm over all gradients, not one per array.",
        fix="sum the squares of all gradients before you take the root",
        applies=lambda s, data: s.clip is not None,
        mistake=BY_NAME["one_norm_for_each_array"],
    ),
    Trap(
        name="no_clipping",
        title="no clipping",
        task="names",
        torch="one norm over all gradients",
        why="scratch/training.py and torch_impl/training.py limit the gradient's norm before each step.",
        fix="clip as the reference run does",
        applies=lambda s, data: s.clip is not None,
        change=partial(set_clip, value=None),
    ),
    Trap(
        name="another_limit",
        title="another clipping limit",
        task="names",
        torch="the run's --clip",
        why="Only steps whose gradient is longer than the limit show it. scratch/training.py and "
        "torch_impl/training.py clip all gradients to one norm.",
        fix="use the reference run's limit",
        change=set_clip,
        values=lambda s: numbers(*(limit for limit in LIMITS if limit != s.clip)),
    ),
)
