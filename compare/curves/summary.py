"""What a run comes to: its entry in summary.json, the table on the screen, and what there is to say about it."""

import json
import platform
from dataclasses import asdict, dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.markup import escape
from rich.table import Table
from threadpoolctl import threadpool_info

from compare import model_pair
from compare.agreement import tolerance
from data import TASKS

FILE = "summary.json"


@dataclass(frozen=True)
class Entry:
    """One finished task in summary.json. scratch, torch and baselines are values of `metric` on the held-out data."""

    settings: dict
    environment: dict  # what it was computed with
    metric: str
    better: str  # "lower" or "higher"
    scratch: float
    torch: float
    baselines: dict[str, float]
    largest_gap: float  # of the training losses
    diverges_at: int | None  # the first step at which the losses differ by more than rounding explains
    worst_gradient: str  # the parameter whose gradients differ most at the scratch model's last weights, or "loss"
    gradient_gap: float  # by how much, see model_pair.worst_gradient
    seconds: float  # of training
    step_seconds: dict[str, float]  # see model_pair.seconds_per_step

    @property
    def task(self) -> str:
        return self.settings["task"]

    @property
    def same_gradients(self) -> bool:
        return self.gradient_gap <= tolerance("float64")

    @property
    def agrees(self) -> bool:
        return self.diverges_at is None and self.same_gradients


def of(run) -> Entry:
    """The entry of a finished curves.training.Run."""
    _, ours, theirs = run.series("test")
    batch = next(iter(run.dataset.train_batches(0)))
    worst, gap = model_pair.worst_gradient(run.pair, batch)
    return Entry(
        settings=asdict(run.settings),
        environment=environment(),
        metric=run.dataset.metric,
        better=run.dataset.better,
        scratch=ours[-1],
        torch=theirs[-1],
        baselines=run.dataset.baselines,
        largest_gap=run.gap().max(),
        diverges_at=run.diverges_at(),
        worst_gradient=worst,
        gradient_gap=gap,
        seconds=run.seconds,
        step_seconds=model_pair.seconds_per_step(run.pair, batch),
    )


def environment() -> dict:
    """What the numbers were computed with."""
    blas = next((found for found in threadpool_info() if found["user_api"] == "blas"), {})  # not known for every BLAS
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "processor": platform.machine(),
        "numpy_threads": blas.get("num_threads"),
        "torch_threads": torch.get_num_threads(),
    }


def read(out: Path) -> dict[str, dict]:
    """The entries of a folder's summary.json by task, if the task's results are still there; {} if it is unreadable."""
    try:
        entries = {entry["settings"]["task"]: entry for entry in json.loads((out / FILE).read_text("utf-8"))["tasks"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {task: entries[task] for task in TASKS if task in entries and (out / task / "history.csv").exists()}


def merged(before: dict[str, dict], begun: list[str], entries: list[Entry]) -> dict:
    """The content of summary.json: the new entries, and the earlier ones of tasks that this command did not begin."""
    kept = {task: entry for task, entry in before.items() if task not in begun}
    kept |= {entry.task: asdict(entry) for entry in entries}
    return {"tasks": [kept[task] for task in TASKS if task in kept]}


def table(runs: list, entries: list[Entry]) -> Table:
    """One row per task, at most 80 columns wide. Below the metrics: the time of a step, forward and backward."""
    result = Table(box=box.HORIZONTALS, show_lines=True, padding=(0, 1, 0, 0), width=80)
    result.add_column("held out", ratio=1)
    for side in runs[0].sides:
        result.add_column(escape(side), justify="right", no_wrap=True)
    result.add_column("baseline", ratio=1)
    result.add_column("training", no_wrap=True)
    for run, entry in zip(runs, entries, strict=True):
        steps = entry.settings["steps"]
        curves = "curves agree" if entry.diverges_at is None else f"differ from step {entry.diverges_at}"
        times = {side: in_words(seconds) for side, seconds in entry.step_seconds.items()}
        own = f"\nscratch's cell {times['cell']}" if "cell" in times else ""
        cells = (
            f"{run.title}\n{entry.metric}\n({entry.better} is better)",
            f"{entry.scratch:.5g}\n{times['scratch']}",
            f"{entry.torch:.5g}\n{times['torch']}",
            "\n".join(f"{value:.5g} {label}" for label, value in entry.baselines.items()),
            f"{curves}\nlargest gap {entry.largest_gap:.1e}\n{steps} step{'s' * (steps > 1)}, {entry.seconds:.0f} s"
            + own,
        )
        result.add_row(*map(escape, cells))  # a column called "[b]" is no markup
    return result


def in_words(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def remarks(run, entry: Entry) -> list[str]:
    """Sentences on what needs an explanation: curves that differ, a model that its baseline beats."""
    said = []
    if not entry.agrees:
        curves = "agree" if entry.diverges_at is None else f"differ from step {entry.diverges_at} on"
        said.append(f"the training curves {curves}. {cause(run, entry)}.")
    lower = entry.better == "lower"
    label, best = (min if lower else max)(entry.baselines.items(), key=itemgetter(1))
    if best < entry.scratch if lower else best > entry.scratch:
        advice = f"try more --steps (now {run.settings.steps}) or another --lr (now {run.settings.lr:g})"
        if run.settings.task == "series" and leaves_its_range(run.dataset):
            advice = "the held-out values leave the range of the training values"
            advice += "" if run.settings.difference else "; add --difference to predict changes instead"
        said.append(f"{entry.scratch:.5g} is worse than the baseline, {best:.5g} ({label}): {advice}.")
    if run.settings.tokens == "words":
        ours, trigrams = map(run.dataset.perplexity, (entry.scratch, best))
        said.append(f"{entry.metric} as perplexity per word: {ours:.4g}, {label} {trigrams:.4g}.")
    return [f"{entry.task}: {sentence}" for sentence in said]


def cause(run, entry: Entry) -> str:
    """Why curves differ, as far as one batch at equal weights shows it."""
    if entry.same_gradients:
        return "At equal weights the gradients agree: training amplified rounding, or the updates differ"
    cell, file = run.settings.cell, run.settings.cell_file
    where = f"; `byhand check {file} --exercise {cell}` looks for the line" if file else ""
    if entry.worst_gradient == "loss":
        differ = f"the losses differ, by {entry.gradient_gap:.1e}"
        return f"At equal weights {differ}: one of the forward passes is wrong{where}"
    worst = f"most that of {entry.worst_gradient}, by {entry.gradient_gap:.1e} of its largest entry"
    return f"At equal weights the gradients differ, {worst}: one of the backward passes is wrong{where}"


def leaves_its_range(series) -> bool:
    """Are a tenth or more of the held-out values, or changes, outside the range of those to train on?"""
    train, test = (part[:, : series.output_size] for part in np.split(series.changes, [series.split]))
    return ((test < train.min(axis=0)) | (test > train.max(axis=0))).mean() >= 0.1
