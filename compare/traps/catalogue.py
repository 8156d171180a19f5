"""The traps: conventions in which two correct programs differ, so that they draw different training curves.

Each trap changes one thing: lines of scratch/, planted as compare/mistakes/ plants a mistake, or something of the
freshly built model or its dataset.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import scratch
from compare.mistakes.catalogue import MISTAKES, Mistake
from compare.options import Settings
from compare.traps import gru_reset_before
from data import Dataset


@dataclass(frozen=True)
class Trap:
    """One convention in which other programs differ from torch.nn.

    title: the other convention, in a few words; task: the task whose run shows it; torch: torch's convention, in a few
    words; why: the difference, and where both packages settle it; fix: what to do, as an imperative; applies: can it
    make a difference in a run with these settings and this dataset?
    The change is one of two: `mistake`, changed lines of scratch/, or `change`, a function that alters the fresh model
    or its copy of the dataset.
    """

    name: str
    title: str
    task: str
    torch: str
    why: str
    fix: str
    applies: Callable[[Settings, Dataset], bool]
    mistake: Mistake | None = None
    change: Callable[[scratch.SequenceModel, Dataset], None] | None = None


# ---- the changes ----------------------------------------------------------------------------------------------------


def reset_before_the_product(model, dataset):
    model.recurrent.cell = gru_reset_before


def swap_z(model, dataset):
    """1 - sigmoid(a) is sigmoid(-a), so changing the sign of the GRU's z block swaps z and 1 - z."""
    H = model.recurrent.hidden_size
    for p in model.recurrent.params.values():
        p[H : 2 * H] *= -1


def swap_gates(model, dataset):
    """Read torch's i f g o as i f o g, or r z n as z r n: swap two blocks of every weight and bias."""
    H = model.recurrent.hidden_size
    one, other = (0, 1) if isinstance(model.recurrent, scratch.GRU) else (2, 3)
    for p in model.recurrent.params.values():
        blocks = p.reshape(-1, H, *p.shape[1:])  # a view
        blocks[[one, other]] = blocks[[other, one]]


def draw_as_xavier(model, dataset):
    """Glorot and Bengio (2010): weights uniform within sqrt(6 / (inputs + outputs)), and biases of 0."""
    rng = np.random.default_rng(dataset.seed)
    for name, p in model.recurrent.params.items():
        bound = np.sqrt(6 / sum(p.shape)) if "weight" in name else 0
        p[...] = rng.uniform(-bound, bound, p.shape)


def shuffle_differently(model, dataset):
    dataset.seed += 1  # the names were split when they were loaded, with the original seed


def keep_one_bias(model, dataset):
    """Without a gradient b_hh stays as it is, so that b_ih alone is trained."""
    layer, backward = model.recurrent, model.recurrent.backward

    def backward_of_one_bias(*arguments, **keywords):
        result = backward(*arguments, **keywords)
        layer.grads = {name: g * ("bias_hh" not in name) for name, g in layer.grads.items()}
        return result

    layer.backward = backward_of_one_bias


def never_detach(model, dataset):
    model.recurrent = NeverDetached(model.recurrent)


class NeverDetached:
    """A recurrent layer whose gradient flows on from each window into the windows before it.

    torch refuses this at the second step ("backward through the graph a second time"). It computes exactly this with
    retain_graph=True and weights that are updated through p.data, which autograd does not see. Six windows are kept: in
    the default run, earlier ones change no loss by more than 1e-8. Only for ids that are looked up in the projected
    table (see scratch/model.py): only then does every window's part of the embedding's gradient pass through here.
    """

    def __init__(self, layer):
        self.layer = layer
        self.windows = deque(maxlen=6)

    def forward(self, x, state=None, lengths=None, embedding=None):
        if state is None:  # an epoch begins
            self.windows.clear()
        # the layer keeps its own states, but uses the weights as they are now; autograd keeps the rows it looked up
        out = self.layer.forward(x, state, lengths, embedding.copy())
        self.windows.append(self.layer.kept)
        return out

    def backward(self, dy=None, dstate_n=None, trace=None):
        dx, grads = 0, dict.fromkeys(self.layer.params, 0)
        for cache in reversed(self.windows):
            self.layer.kept = cache
            dx_window, dstate_n = self.layer.backward(dy, dstate_n)
            dy = None  # the losses of earlier windows were differentiated in their own steps
            dx = dx + dx_window  # of ids: the table's gradient, to which every window adds
            grads = {name: g + self.layer.grads[name] for name, g in grads.items()}
        self.layer.grads = grads
        return dx, dstate_n

    def __getattr__(self, name):
        return getattr(self.layer, name)


# ---- the traps, in the order in which they show: before the first update, with it, later ----------------------------

MISTAKE = {mistake.name: mistake for mistake in MISTAKES}

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
        applies=lambda s, data: True,
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
        mistake=MISTAKE["padding_run_through"],
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
        mistake=MISTAKE["epsilon_inside_the_correction"],
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
        mistake=MISTAKE["not_divided_by_the_count"],
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
        mistake=MISTAKE["state_not_carried"],
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
            data.carry_state and data.vocab_size < s.batch_size * s.window and not s.dropout  # see NeverDetached
        ),
        change=never_detach,
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
        mistake=MISTAKE["clipped_element_by_element"],
    ),
    Trap(
        name="one_norm_for_each_array",
        title="clipped by a norm per array",
        task="names",
        torch="one norm over all gradients",
        why="clip_grad_norm_ and scratch/optimizers.py take one norm over all gradients, not one per array.",
        fix="sum the squares of all gradients before you take the root",
        applies=lambda s, data: s.clip is not None,
        mistake=MISTAKE["one_norm_for_each_array"],
    ),
)
