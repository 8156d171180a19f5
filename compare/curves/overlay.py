"""The curves of finished runs in one picture; runs that differ in nothing but the seed are one curve with its range."""

import csv
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from compare import files, plots
from compare.options import Settings, as_option
from compare.plots import BLUE, GREEN, GREY, ORANGE, PINK, SKY, VERMILION, WIDTH, in_blocks, short
from data import TASKS, UserError

COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PINK, SKY, GREY)
FILE = "overlay.png"


@dataclass(frozen=True)
class Finished:
    """A run that left its files in a folder: both models' values of each step of a split, (N, 2), and its seconds."""

    settings: Settings
    metric: str
    steps: dict[str, np.ndarray]  # split -> (N,)
    values: dict[str, np.ndarray]  # split -> (N, 2)
    seconds: np.ndarray  # (steps + 1,), from 0

    @property
    def options(self) -> dict:
        """What was chosen, but for the seed. A file with the user's own cell counts as the cell."""
        options = asdict(self.settings) | {"cell": self.settings.cell_file or self.settings.cell}
        return {name: value for name, value in options.items() if name not in ("seed", "cell_file")}


def finished(folder: Path) -> Finished:
    """Read a folder that a run of one task has left. Raises UserError."""
    settings = files.open_settings(folder / "checkpoint.safetensors")
    for name in ("history.csv", "seconds.csv"):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}; train again, or name another folder")
    with files.reading(folder, "the folder of a finished run"):
        rows = list(csv.DictReader((folder / "history.csv").read_text("utf-8").splitlines()))
        seconds = np.loadtxt(folder / "seconds.csv", delimiter=",", skiprows=1, ndmin=2)[:, 1]
        kept = {"train": [row for row in rows if row["metric"] == "loss"]}
        kept["test"] = [row for row in rows if row["split"] == "test"]
        values = {split: np.array([[row["scratch"], row["torch"]] for row in k], float) for split, k in kept.items()}
        steps = {split: np.array([row["step"] for row in k], int) for split, k in kept.items()}
        return Finished(settings, kept["test"][0]["metric"], steps, values, np.append(0, seconds))


def runs_in(folders: list[str], tasks: list[str]) -> list[Finished]:
    """The finished runs in these folders and the folders within. tasks: only these, unless empty. Raises UserError."""
    found, seen = [], set()
    for folder in map(Path, folders):
        paths = sorted(folder.rglob("checkpoint.safetensors"))
        if not paths:
            raise UserError(f"{folder} holds no finished run; name the folder that `byhand curves --out` wrote")
        found += [finished(path.parent) for path in paths if path.resolve() not in seen]
        seen |= {path.resolve() for path in paths}  # a folder may be named twice, or be within another one
    chosen = [run for run in found if run.settings.task in (tasks or TASKS)]
    if not chosen:
        raise UserError(f"{', '.join(folders)} holds no finished run of {', '.join(tasks)}; name other tasks")
    return chosen


def groups_of(runs: list[Finished]) -> dict[str, list[Finished]]:
    """The runs of one task, by the options in which they differ from others, but for the seed."""
    every = [run.options for run in runs]
    differing = [name for name in every[0] if any(options[name] != every[0][name] for options in every)]
    groups = {}
    for run in runs:
        label = ", ".join(f"{as_option(name)} {run.options[name]}" for name in differing)
        groups.setdefault(label or run.settings.task, []).append(run)
    return groups


def draw(path: Path, runs: list[Finished], x: str = "steps") -> None:
    """One row per task: training loss and held-out metric over steps or seconds; scratch solid, torch dotted.

    Also prints each curve's last value of the metric. Raises UserError for more curves than there are colours.
    """
    tasks = [task for task in TASKS if any(run.settings.task == task for run in runs)]
    every = {task: groups_of([run for run in runs if run.settings.task == task]) for task in tasks}
    heights = [2.9 + 0.18 * len(groups) for groups in every.values()]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.3), layout="constrained")
    figure.suptitle("solid: the scratch model; dotted: the torch model", x=0.01, ha="left")
    parts = figure.subfigures(len(tasks), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (task, groups) in zip(parts, every.items(), strict=True):
        panels = part.subplots(1, 2)
        if len(groups) > len(COLOURS):
            raise UserError(f"{len(groups)} different runs of {task} are too many for one picture; name fewer folders")
        handles = []
        for colour, (label, group) in zip(COLOURS, groups.items(), strict=False):
            for axes, split in zip(panels, ("train", "test"), strict=True):
                _draw_group(axes, group, split, x, colour)
            handles.append(Line2D([], [], color=colour, label=short(_in_words(label, group), 105)))
            print(textwrap.fill(f"{_in_words(label, group)}: {_last(group)}", 80, subsequent_indent="  "))
        panels[0].set(title=f"{task}: training loss", xlabel=x)
        panels[1].set(title=f"held out: {short(group[0].metric, 50)}", xlabel=x)
        part.legend(handles=handles, loc="outside lower left", frameon=False)
    plots.save(figure, path)


def _draw_group(axes, group, split, x, colour):
    """The median over the seeds, and scratch's range."""
    steps = group[0].steps[split]
    across = in_blocks(np.median([run.seconds[steps] for run in group], axis=0) if x == "seconds" else steps, 50)
    values = np.array([in_blocks(run.values[split], 50) for run in group])  # (seeds, N, 2)
    ours, theirs = np.median(values, axis=0).T
    axes.fill_between(across, *np.quantile(values[..., 0], (0, 1), axis=0), color=colour, alpha=0.2, linewidth=0)
    axes.plot(across, ours, color=colour, linewidth=1.6)
    axes.plot(across, theirs, color="black", linewidth=0.7, linestyle=(0, (2, 3)))


def _in_words(label, group):
    return label + f" (median and range of {len(group)} seeds)" * (len(group) > 1)


def _last(group):
    """The last value of the held-out metric: the median, and the range where there are several seeds."""
    last = np.array([run.values["test"][-1, 0] for run in group])
    spread = f" ({last.min():.5g} to {last.max():.5g})" if len(group) > 1 else ""
    return f"{group[0].metric} {np.median(last):.5g}{spread}"
