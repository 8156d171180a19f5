"""The options that several commands share, and each task's defaults."""

import argparse
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import get_args, get_type_hints

import scratch
from data import READING, TASKS, UserError, check_task
from data.table import WAYS
from data.text import TOKENS

# The cells as typed and as shown.
CELLS = {name: {"rnn_relu": "ReLU RNN", "mingru": "minGRU"}.get(name, name.upper()) for name in scratch.CELLS}
OWN_CELLS = ("rnn", "gru", "lstm", "mingru")  # those that may come from a file of the user's
# The optimizers as typed, and the name of their classes in scratch and in torch.optim.
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
LARGEST_BATCH = 10**7  # steps x rows: beyond it a single batch takes gigabytes
REAL_TASKS = ("text", "names", "series")
STATUS = "exit status: 0 agree, 1 differ, 2 could not run (reason on stderr), 3 internal error"


@dataclass(frozen=True)
class Settings:
    """One task's run. Raises UserError for values that do not go together.

    steps None: `epochs` passes; clip None: no clipping; window None: whole sequences (names, digits); data None: the
    data that come with the project; what data.READING lists, None: the task's default way of reading its data;
    cell_file, torch_cell: files with the user's own cells, None for the project's.
    """

    task: str
    cell: str
    hidden: int
    steps: int | None = None
    epochs: int | None = None
    layers: int = 1
    bidirectional: bool = False
    dropout: float = 0.0
    forget_bias: float = 0.0
    optimizer: str = "adam"
    lr: float = 0.003
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    clip: float | None = 1.0
    batch_size: int = 32
    window: int | None = None
    dtype: str = "float32"
    seed: int = 0
    device: str = "cpu"
    data: str | None = None
    tokens: str | None = None
    column: str | None = None
    inputs: str | None = None
    missing: str | None = None
    difference: bool | None = None
    horizon: int | None = None
    cell_file: str | None = None
    torch_cell: str | None = None

    @property
    def own(self) -> list[str]:
        """The files with the user's own cells."""
        return [file for file in (self.cell_file, self.torch_cell) if file]

    def __post_init__(self):
        if self.bidirectional and self.task in ("text", "series"):
            raise UserError(
                f"--bidirectional reads the next step before {self.task} must predict it; "
                "use it with names, digits or memory"
            )
        if self.forget_bias and self.cell != "lstm":
            raise UserError(f"--forget-bias is for lstm, not {self.cell}: it has no forget gate; add --cell lstm")
        if self.horizon and self.task != "series":
            raise UserError(f"--horizon is for series, not {self.task}; leave it out, or name series alone")
        if self.horizon and self.inputs:
            raise UserError("--horizon runs ahead of the data, where --inputs are not known; leave one of them out")
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise UserError(f"--momentum is for sgd and rmsprop, not {self.optimizer}; add --optimizer sgd")
        if self.nesterov and not (self.optimizer == "sgd" and self.momentum):
            raise UserError("--nesterov needs sgd with momentum; add --optimizer sgd --momentum 0.9")
        if self.batch_size * (self.window or 1) > LARGEST_BATCH:
            raise UserError(f"a batch of more than {LARGEST_BATCH} steps; use a smaller --batch-size or --window")


def as_option(name: str) -> str:
    """The option that sets a field of Settings."""
    return f"--{name.replace('_', '-')}"


def stored_settings(stored: dict) -> Settings:
    """The Settings that a file contains. Raises UserError, ValueError or TypeError for what no run can have stored."""
    choices = {
        "task": TASKS,
        "cell": CELLS,
        "optimizer": OPTIMIZERS,
        "dtype": ("float32", "float64"),
        "tokens": (None, *TOKENS),
        "missing": (None, *WAYS),
    }
    hints = get_type_hints(Settings)
    for name, value in stored.items():
        types = get_args(hints[name]) or (hints[name],)
        fits = type(value) in types or (type(value) is int and float in types)
        if fits and type(value) in (int, float):
            lowest = -HIGHEST if name == "forget_bias" else 0
            fits = lowest <= value <= (LARGEST if type(value) is int else HIGHEST) and (name != "dropout" or value < 1)
        if not fits or value not in choices.get(name, (value,)):
            raise ValueError(f"{name} is {value!r}")
    return Settings(**stored)


# A cell for each task, so that the main job shows all three. The numbers learn in seconds and stay clear of the rates
# at which training amplifies rounding: there two correct implementations diverge, and the gap says nothing any more.
DEFAULTS = {
    "text": Settings("text", "gru", hidden=128, steps=1500, lr=0.001, batch_size=64, window=16),
    "names": Settings("names", "lstm", hidden=128, steps=1000, lr=0.0015, batch_size=64),
    "series": Settings("series", "rnn", hidden=32, steps=1000, lr=0.001, batch_size=32, window=96),
    "digits": Settings("digits", "lstm", hidden=64, steps=600, lr=0.002, batch_size=32),
    "memory": Settings("memory", "gru", hidden=64, steps=1500, lr=0.001, batch_size=32, window=30),
}
# An LSTM on text counts in its cell state, up to 40 in a row of dashes, and Adam makes that grow; plain SGD does not.
TEXT_LSTM = {"optimizer": "sgd", "lr": 1.0}


def configure(tasks: list[str], **options) -> list[Settings]:
    """The Settings of each task named (none: the three real ones), with the options that were given (None: not given).

    Raises UserError for options that do not go together.
    """
    for task in tasks:
        check_task(task)
    tasks = list(dict.fromkeys(tasks)) or list(REAL_TASKS)
    given = {field.name: options.get(field.name) for field in fields(Settings)}
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("data") and len(tasks) != 1:
        raise UserError(f"--data needs the one task it is for: byhand curves TASK --data {given['data']}")
    return [_settings(task, given, alone=len(tasks) == 1) for task in tasks]


def _settings(task, given, *, alone):
    """One task's defaults with the given options in their place; alone: no other task was asked for."""
    changes = dict(given)
    if task == "text" and given.get("cell") == "lstm" and not {"optimizer", "lr"} & given.keys():
        changes |= TEXT_LSTM
    if "epochs" in given:
        changes["steps"] = None
    if given.get("clip") == 0:
        changes["clip"] = None
    if DEFAULTS[task].window is None and not alone:
        changes["window"] = None  # of whole sequences; the window is for the other tasks
    return replace(DEFAULTS[task], **changes)


def defaults():
    """Each task's defaults as options, for --help."""
    lines = ["defaults per task:"]
    for task, s in DEFAULTS.items():
        window = f" --window {s.window}" if s.window else ""
        lines.append(
            f"  {task:7} --cell {s.cell} --hidden {s.hidden} --steps {s.steps} --batch-size {s.batch_size}{window}"
        )
        lines.append(f"{'':10}--optimizer {s.optimizer} --lr {s.lr:g} --clip {s.clip:g}")
    lines.append(f"  (text with --cell lstm: --optimizer {TEXT_LSTM['optimizer']} --lr {TEXT_LSTM['lr']:g})")
    return "\n".join(lines)


def add_model(parser, *, own_cells: bool = False):
    """The options of the model. own_cells: may the cell come from a file of the user's?"""
    model = parser.add_argument_group("model")
    if own_cells:
        kinds = f"{', '.join(CELLS)}, or your own: FILE.py (or gru=FILE.py) that `byhand check` accepts as an exercise"
        model.add_argument("--cell", type=cell, metavar="CELL", help=kinds)
        model.add_argument(
            "--torch-cell", type=python_file, metavar="FILE.py", help="a torch.nn.Module in place of torch.nn's layer"
        )
    else:
        model.add_argument("--cell", type=cell_of_scratch, choices=CELLS, help="the recurrent cell")
    model.add_argument("--layers", type=layers, metavar="N", help="recurrent layers (default 1)")
    model.add_argument("--hidden", type=whole, metavar="N", help="hidden units per layer and direction")
    model.add_argument(
        "--bidirectional", action="store_true", default=None, help="read in both directions (not for text and series)"
    )


def add_data(group):
    """The options of the user's own data."""
    group.add_argument(
        "--data",
        metavar="PATH",
        help="your own text file, folder with one .txt file per class, CSV file, or file of labelled sequences",
    )
    group.add_argument("--tokens", choices=TOKENS, help="what the text is cut into (default characters)")
    group.add_argument("--column", metavar="NAME", help="the CSV column to predict, or several: Open,Close")
    group.add_argument("--inputs", metavar="NAME", help="other CSV columns to read: Volume,Temperature")
    group.add_argument(
        "--missing", metavar="{" + ",".join(WAYS) + "}", help="drop rows with missing values, or repeat the last value"
    )
    group.add_argument(
        "--difference", action="store_true", default=None, help="predict changes: for a series that leaves its range"
    )


def reading(settings: Settings) -> dict:
    """The options of `data.load` that say how to read the data."""
    return {name: getattr(settings, name) for name in READING}


def add_out(group, what):
    words = f"folder for {what} (default results)"
    group.add_argument("--out", type=folder, metavar="DIR", default="results", help=words)


# Types for add_argument: each turns a string into a value, or says why it cannot.

LARGEST = 10**9  # of whole numbers: enough for anything that ends, and nothing overflows
MOST_LAYERS = 1000  # a million layers of one unit would have few weights and take minutes to build
HIGHEST = 1e30  # of other numbers: float32 ends at 3e38


def cell(text):
    if text not in CELLS and not text.endswith(".py"):
        raise argparse.ArgumentTypeError(f"{text} is neither one of {', '.join(CELLS)} nor a file FILE.py")
    return text


def cell_of_scratch(text):
    if text.endswith(".py"):
        train = f"train with it: byhand curves --cell {text}"
        raise argparse.ArgumentTypeError(f"not for a file; check it: byhand check {text}; {train}")
    return text


def python_file(text):
    if not text.endswith(".py"):
        raise argparse.ArgumentTypeError(f"{text} is not a Python file, FILE.py")
    return text


def whole(text, least=1, most=LARGEST):
    if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from {least} to {most}")
    return int(text)


layers = partial(whole, most=MOST_LAYERS)
seed = partial(whole, least=0)


def folder(text):
    if not (text and text.isprintable()):
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a folder")
    return text


def number(text, what, fits):
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (abs(value) <= HIGHEST and fits(value)):
        raise argparse.ArgumentTypeError(f"{text} is not a number {what}")
    return value


rate = partial(number, what=f"above 0, at most {HIGHEST:g}", fits=lambda value: value > 0)
not_negative = partial(number, what=f"from 0 to {HIGHEST:g}", fits=lambda value: value >= 0)
finite = partial(number, what=f"from -{HIGHEST:g} to {HIGHEST:g}", fits=lambda value: True)
share = partial(number, what="from 0 to below 1", fits=lambda value: 0 <= value < 1)
