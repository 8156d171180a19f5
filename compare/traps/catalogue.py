"""Why a right twin still draws another curve: conventions to trip over, one change each, trained beside the true run.

The true run is scratch's own, from the same weights on the same batches (torch.nn's is the same within rounding, and is
trained beside it to show that). A trap changes one thing: lines of scratch/, as compare/mistakes/ plants them, or
something of the fresh model or its data. All of it in float64, so that a gap before the trap shows is exactly 0.
"""

import copy
import csv
import io
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import rich
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

import scratch
from compare import files, model_pair
from compare.curves.training import AGREEMENT
from compare.mistakes.catalogue import MISTAKES, Mistake
from compare.mistakes.plant import planted
from compare.options import DEFAULTS, REAL_TASKS, Settings
from compare.traps import gru_reset_before, plot

STEPS = 60  # of each run


@dataclass(frozen=True)
class Trap:
    """One thing that others do otherwise than torch.

    title: the other way, in plain words; task: where the picture shows it; torch: torch's way, in a few; why: what
    differs, and where it stands on both sides; mend: what to do; applies: whether it can show in a run, by its Settings
    and its dataset. The change is one of two: `mistake`, lines of scratch/, or `change`, a function that alters the
    fresh model or a copy of its dataset.
    """

    name: str
    title: str
    task: str
    torch: str
    why: str
    mend: str
    applies: Callable
    mistake: Mistake | None = None
    change: Callable | None = None


def reset_before_the_product(model, dataset):
    model.recurrent.cell = gru_reset_before


def exchange_z(model, dataset):
    """1 - sigmoid(a) is sigmoid(-a): a GRU that has z for 1 - z is one whose z block has the other sign."""
    H = model.recurrent.hidden_size
    for p in model.recurrent.params.values():
        p[H : 2 * H] *= -1


def swap_gates(model, dataset):
    """Read torch's i f g o as i f o g, or r z n as z r n: the same as two blocks of the weights exchanged."""
    H = model.recurrent.hidden_size
    one, other = (0, 1) if isinstance(model.recurrent, scratch.GRU) else (2, 3)
    for p in model.recurrent.params.values():
        blocks = p.reshape(-1, H, *p.shape[1:])  # a view
        blocks[[one, other]] = blocks[[other, one]]


def shuffle_otherwise(model, dataset):
    dataset.seed += 1  # the names were split before, with the true one


def leave_uncut(model, dataset):
    model.recurrent = Uncut(model.recurrent)


class Uncut:
    """A recurrent layer whose gradient does not stop where the window begins: it goes on into the windows before.

    torch refuses that at the second step ("backward through the graph a second time"). It goes on, and computes just
    this, with retain_graph=True and weights that are moved through p.data, unseen by autograd. Six windows are kept: in
    the default run those before move no loss by more than 1e-8. For ids that are looked up in the projected table,
    see scratch/model.py: only then does every window's share of the embedding arrive here.
    """

    def __init__(self, layer):
        self.layer = layer
        self.windows = deque(maxlen=6)

    def forward(self, x, state=None, lengths=None, embedding=None):
        if state is None:  # an epoch begins
            self.windows.clear()
        # the layer keeps its own states, but the weights where they stand; autograd keeps the rows that were looked up
        out = self.layer.forward(x, state, lengths, embedding.copy())
        self.windows.append(self.layer._cache)
        return out

    def backward(self, dy=None, dstate_n=None, trace=None):
        dx, grads = 0, dict.fromkeys(self.layer.params, 0)
        for cache in reversed(self.windows):
            self.layer._cache = cache
            dx_window, dstate_n = self.layer.backward(dy, dstate_n)
            dy = None  # the losses of the windows before were seen to in their own steps
            dx = dx + dx_window  # of ids: the table's gradient, to which every window adds
            grads = {name: g + self.layer.grads[name] for name, g in grads.items()}
        self.layer.grads = grads
        return dx, dstate_n

    def __getattr__(self, name):
        return getattr(self.layer, name)


BY_NAME = {mistake.name: mistake for mistake in MISTAKES}
ONE_BIAS = Mistake(
    name="one_bias",
    file="recurrent",
    why="The two biases only ever appear as a sum, so one of them seems to be enough.",
    right="self.grads = {name: grads[name] for name in self.params}",
    wrong='self.grads = {name: grads[name] * ("bias_hh" not in name) for name in self.params}',
)
XAVIER = Mistake(
    name="xavier",
    file="recurrent",
    why="Many libraries start so, with biases of zero.",
    right="rng.uniform(-bound, bound, shape).astype(dtype)",
    wrong='(rng.uniform(-1, 1, shape) * np.sqrt(6 / sum(shape)) * ("weight" in name)).astype(dtype)',
)

# In the order in which they show: before the first update, with it, later.
TRAPS = (
    Trap(
        name="reset_before",
        title="reset gate before the product",
        task="text",
        torch="after it, and after its bias",
        why="The paper and many books reset h before the product; torch.nn.GRU and scratch/gru.py (G4) reset the "
        "product, with its bias.",
        mend="compute tanh(u_n + r * (W_hn h + b_hn))",
        applies=lambda s, data: s.cell == "gru",
        change=reset_before_the_product,
    ),
    Trap(
        name="z_exchanged",
        title="z and 1 - z exchanged",
        task="text",
        torch="z keeps the past",
        why="In torch.nn.GRU and scratch/gru.py (G5) z keeps the past, h = (1 - z) n + z h; in other texts 1 - z does.",
        mend="exchange z and 1 - z, or turn the sign of the z block of weights and biases",
        applies=lambda s, data: s.cell == "gru",
        change=exchange_z,
    ),
    Trap(
        name="gates_in_another_order",
        title="gates in another order",
        task="names",
        torch="i f g o and r z n",
        why="The blocks of weights and biases are i f g o in torch.nn.LSTM and scratch/lstm.py, r z n in torch.nn.GRU "
        "and gru.py; others have i f o g and z r n.",
        mend="put the blocks into your order when you load them",
        applies=lambda s, data: s.cell in ("lstm", "gru"),
        change=swap_gates,
    ),
    Trap(
        name="other_first_weights",
        title="other first weights (Xavier)",
        task="series",
        torch="uniform within 1 / sqrt(H)",
        why="torch.nn and scratch/recurrent.py draw all weights and biases of a cell within 1 / sqrt(H); others go by "
        "both sides of the matrix and start with biases of 0.",
        mend="load the weights that the other run starts from",
        applies=lambda s, data: True,
        mistake=XAVIER,
    ),
    Trap(
        name="other_batch_order",
        title="batches in another order",
        task="names",
        torch="drawn from seed and epoch",
        why="Both sides read one order, that of train_batches in data/; another seed, or another library's shuffle, "
        "gives another.",
        mend="take the batches from data.load(...).train_batches(epoch)",
        applies=lambda s, data: s.task != "text",
        change=shuffle_otherwise,
    ),
    Trap(
        name="last_padded_step",
        title="last padded step for the last real",
        task="names",
        torch="each row's own last step",
        why="A row's last state is the one at its own end (pack_padded_sequence in torch_impl/model.py, "
        "scratch/stretches.py), not the one that has run on through the padding.",
        mend="pack the batch, or pick row b's state at step lengths[b] - 1",
        applies=lambda s, data: s.task == "names",
        mistake=BY_NAME["padding_run_through"],
    ),
    Trap(
        name="one_bias",
        title="one bias instead of two",
        task="names",
        torch="two, which both take a step",
        why="torch.nn and scratch/rnn.py (R1) add b_ih and b_hh, and both take the same step: their sum moves twice "
        "as far as one bias does.",
        mend="keep both, as torch does",
        applies=lambda s, data: s.cell != "gru" and not s.weight_decay,  # a GRU's two stand in different places
        mistake=ONE_BIAS,
    ),
    Trap(
        name="epsilon_inside",
        title="Adam's epsilon inside the correction",
        task="text",
        torch="outside",
        why="torch.optim.Adam and scratch/optimizers.py add epsilon after sqrt(v) has been corrected for its start at "
        "zero; the paper's faster form adds it before, where it weighs 32 times as much at the first step.",
        mend="divide by sqrt(v) / sqrt(1 - beta2^t) + eps",
        applies=lambda s, data: s.optimizer in ("adam", "adamw"),
        mistake=BY_NAME["epsilon_inside_the_correction"],
    ),
    Trap(
        name="sum_for_mean",
        title="gradient summed, not averaged",
        task="text",
        torch="a mean over rows and steps",
        why="The loss is a mean over rows and steps (torch's default reduction, scratch/losses.py), and so is its "
        "gradient. Adam hides the factor, but clipping and SGD see it.",
        mend="divide the loss by the number of its targets before backward",
        applies=lambda s, data: s.task in ("text", "names"),
        mistake=BY_NAME["not_divided_by_the_count"],
    ),
    Trap(
        name="state_not_carried",
        title="state not carried to the next window",
        task="text",
        torch="carried",
        why="A window of text goes on where the last one stopped, and so does the state (fit, in both training.py).",
        mend="hand the last state on to the next batch; zeros only where an epoch begins",
        applies=lambda s, data: data.carry_state,
        mistake=BY_NAME["state_not_carried"],
    ),
    Trap(
        name="state_not_cut",
        title="state carried, but not cut",
        task="text",
        torch="cut, by detach",
        why="The gradient ends where the window begins: torch_impl/training.py detaches the state, and "
        "scratch/training.py hands on nothing but its numbers.",
        mend="detach the state before it is handed on",
        applies=lambda s, data: data.carry_state and data.vocab_size < s.batch_size * s.window,  # see Uncut
        change=leave_uncut,
    ),
    Trap(
        name="clipped_element_by_element",
        title="clipped element by element",
        task="names",
        torch="one norm over all gradients",
        why="clip_grad_norm_ and scratch/optimizers.py scale all gradients by one factor; clip_grad_value_ and "
        "np.clip cut single numbers. Where no number alone is above the limit, that is no clipping at all.",
        mend="multiply all gradients by limit / norm where their common norm is above the limit",
        applies=lambda s, data: s.clip is not None,
        mistake=BY_NAME["clipped_element_by_element"],
    ),
    Trap(
        name="one_norm_for_each_array",
        title="clipped by a norm for each array",
        task="names",
        torch="one norm over all gradients",
        why="clip_grad_norm_ and scratch/optimizers.py take one norm over all gradients, not one for each array.",
        mend="add up the squares of all gradients before the root",
        applies=lambda s, data: s.clip is not None,
        mistake=BY_NAME["one_norm_for_each_array"],
    ),
)


@dataclass
class Twins:
    """What one configuration's runs gave: arrays (steps,) of training losses, all from the same start.

    true: scratch in float64; torch: torch.nn in float64; single: scratch in float32; trapped: by a trap's name.
    """

    settings: Settings
    dataset: object
    true: np.ndarray
    torch: np.ndarray
    single: np.ndarray
    trapped: dict = field(default_factory=dict)

    def shows(self, losses):
        """The first step, from 1, at which these losses are further off the true ones than float64 explains; or None.

        A loss that is not a number is off.
        """
        off = ~(np.abs(losses - self.true) <= AGREEMENT["float64"] * np.maximum(1, self.true))
        return int(off.argmax()) + 1 if off.any() else None


def reference(task):
    """The Settings that a task's traps are shown with: the main job's own, in float64."""
    return replace(DEFAULTS[task], dtype="float64")


def prepared(settings, dataset, steps, package=scratch, change=None):
    """A run of scratch, ready to go: a generator of one training loss a step."""
    rng = np.random.default_rng(settings.seed)
    model = package.SequenceModel(**model_pair.model_of(settings, dataset), dtype=np.dtype(settings.dtype), rng=rng)
    if change:
        dataset = copy.copy(dataset)
        change(model, dataset)
    optimizer_class = getattr(package, model_pair.OPTIMIZER_CLASSES[settings.optimizer])
    optimizer = optimizer_class(model.params, **model_pair.optimizer_numbers(settings))
    return (record.loss for record in package.fit(model, dataset, optimizer, steps, settings.clip))


def train(settings, steps, progress, only=None):
    """Train the true run, and then those of all traps that apply, or of the task `only` among them.

    Returns Twins. Raises model_pair.Diverged when the true run diverges.
    """
    dataset = model_pair.load(settings)
    both = model_pair.build(model_pair.model_of(settings, dataset), settings.dtype, settings.seed)
    bar = progress.add_task(f"{settings.task}: the true run, by hand and in torch", total=steps, status="")
    losses = []
    for ours, theirs in model_pair.train(
        replace(settings, steps=steps), dataset, both, model_pair.optimizers(settings, both)
    ):
        losses.append((ours.loss, theirs.loss))
        progress.update(bar, advance=1, status=f"gap {abs(ours.loss - theirs.loss):.1e}")
    true, by_torch = np.array(losses).T
    single = replace(settings, dtype="float32")
    bar = progress.add_task(f"{settings.task}: in float32", total=steps, status="")
    in_single = follow(prepared(single, model_pair.load(single), steps), true, bar, progress)
    twins = Twins(settings, dataset, true, by_torch, in_single)
    for trap in TRAPS:
        if not trap.applies(settings, dataset) or only not in (None, trap.task):
            continue
        bar = progress.add_task(f"{settings.task}: {trap.title}", total=steps, status="")
        package = planted(trap.mistake) if trap.mistake else scratch
        run = prepared(settings, dataset, steps, package, trap.change)
        twins.trapped[trap.name] = follow(run, true, bar, progress)
    return twins


def follow(run, true, bar, progress):
    """Train to the end; returns the losses."""
    losses = []
    for loss in run:
        losses.append(loss)
        progress.update(bar, advance=1, status=f"gap {abs(loss - true[len(losses) - 1]):.1e}")
    return np.array(losses)


def display():
    """The progress display of `train`."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(10), MofNCompleteColumn(), TextColumn("{task.fields[status]}")
    )


def main(task, out, steps=STEPS):
    """Train the traps of one task, or each on its own (None); leave picture and files in `out`. Returns 0."""
    torch.set_num_threads(1)
    out = files.folder(out)
    twins = {}
    with display() as progress:
        for name in [task] if task else REAL_TASKS:
            twins[name] = train(reference(name), steps, progress, only=None if task else name)
            leave_results(twins[name], out / "traps")
    path = out / "traps.png"
    shown = [(trap, twins[task or trap.task]) for trap in TRAPS if trap.name in twins[task or trap.task].trapped]
    plot.draw(path, twins, shown)
    rich.print(table(twins, shown))
    print(f"every trap's gap: {path}")
    print(f"weights to start from, and the losses: {out / 'traps'}")
    return 0


def leave_results(twin, folder):
    """TASK.safetensors, the weights that all runs started from; TASK.csv, the losses of all."""
    settings = twin.settings
    start = model_pair.build(model_pair.model_of(settings, twin.dataset), settings.dtype, settings.seed)
    files.write_checkpoint(folder / f"{settings.task}.safetensors", start, settings=asdict(settings))
    columns = {"true": twin.true, "torch": twin.torch, "float32": twin.single, **twin.trapped}
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("step", *columns))
    for step, row in enumerate(zip(*columns.values(), strict=True), start=1):
        writer.writerow((step, *(repr(float(loss)) for loss in row)))
    files.write_whole(folder / f"{settings.task}.csv", text.getvalue().encode())


def table(twins, shown):
    """A row for every trap. twins: by task; shown: pairs of a Trap and the Twins it belongs to."""
    steps = len(next(iter(twins.values())).true)
    result = Table(title="one thing changed: the gap to the true loss", title_justify="left", caption_justify="left")
    result.caption = "true: scratch in float64; 0: the same to the last bit; first: the first step with a gap"
    result.add_column("trap")
    result.add_column("on", no_wrap=True)
    places = sorted({1, min(2, steps), min(10, steps), steps})
    for step in places:
        result.add_column(f"step {step}", justify="right", no_wrap=True)
    result.add_column("first", justify="right", no_wrap=True)
    result.add_column("torch's way")

    def row(title, twin, losses, first, way, **options):
        gap = np.abs(losses - twin.true)
        cells = [f"{gap[step - 1]:.1e}" if gap[step - 1] else "0" for step in places]
        result.add_row(title, f"{twin.settings.task}, {twin.settings.cell}", *cells, first, way, **options)

    for k, twin in enumerate(twins.values(), start=1):
        row("none: torch.nn", twin, twin.torch, "", "")
        row("none: float32", twin, twin.single, "", "", end_section=k == len(twins))
    for trap, twin in shown:
        losses = twin.trapped[trap.name]
        row(trap.title, twin, losses, str(twin.shows(losses) or "none"), trap.torch)
    return result
