"""The picture of the benchmark: the ratio of both times by cell and size; memory and time by sequence length."""

import numpy as np
from matplotlib.figure import Figure

from compare.bench.tables import KINDS
from compare.bench.worker_process import LONG_B, LONG_CELL, LONG_H
from compare.plots import BLUE, CELL_COLOURS, GREEN, GREY, ORANGE, WIDTH, save

LEGEND = dict(frameon=True, framealpha=0.85, edgecolor="none")
READABLE = dict(facecolor="white", edgecolor="none", alpha=0.85, pad=1)  # behind numbers between bars
BAR = 0.27  # of the distance between two sizes
STYLES = {"scratch": (ORANGE, "o-"), "checkpointed": (GREEN, "s-"), "torch": (BLUE, "^--")}


def draw(path, figures):
    """figures: compare.bench.timing.Figures."""
    figure = Figure(figsize=(WIDTH, 7), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 0.9))
    _ratios(above.subplots(), figures.steps)
    memory, time = below.subplots(1, 2)
    _lengths(memory, time, figures.long_runs)
    figure.supxlabel("\n".join((figures.processor, *figures.libraries)), fontsize=9, color=GREY)
    save(figure, path)


def _ratios(axes, steps):
    """One bar per cell and size, its height written over it."""
    sizes = list(dict.fromkeys((step.B, step.T, step.H) for step in steps))
    cells = list(dict.fromkeys(step.cell for step in steps))
    for k, cell in enumerate(cells):
        ratios = [step.ratio for step in steps if step.cell == cell]
        places = np.arange(len(sizes)) + (k - (len(cells) - 1) / 2) * BAR
        axes.bar(places, ratios, 0.93 * BAR, color=CELL_COLOURS[cell], label=cell.upper())
        for place, ratio in zip(places, ratios, strict=True):
            above = dict(textcoords="offset points", ha="center", va="bottom")
            axes.annotate(f"{ratio:.2f}", (place, ratio), (0, 2), bbox=READABLE, **above)
    axes.axhline(1, color=GREY, linestyle="--", linewidth=1.2, label="as fast as torch", zorder=0)
    axes.set_xticks(range(len(sizes)), [f"batch {B}\n{T} steps\nH = {H}" for B, T, H in sizes])
    axes.set_title("One training step on one thread: below 1, scratch is faster")
    axes.set_ylabel("time of scratch / time of torch")
    axes.set_ylim(top=1.3 * max(1, *(step.ratio for step in steps)))
    axes.legend(ncols=4, loc="upper left", **LEGEND)


def _lengths(memory, time, long_runs):
    """Memory, and time per step, of sequences of T steps."""
    for kind, (colour, style) in STYLES.items():
        runs = [run for run in long_runs if run.kind == kind]
        lengths = [run.T for run in runs]
        if all(run.bytes is not None for run in runs):
            memory.loglog(lengths, [run.bytes / 1e6 for run in runs], style, color=colour, label=KINDS[kind])
        time.semilogx(lengths, [1e6 * run.seconds / run.T for run in runs], style, color=colour, label=KINDS[kind])
    about = f"{LONG_CELL.upper()}, B = {LONG_B}, H = {LONG_H}"
    memory.set(title=f"Memory: {about}", xlabel="steps T", ylabel="megabytes")
    time.set(title=f"Forward and backward: {about}", xlabel="steps T", ylabel="microseconds per time step")
    time.set_ylim(0, 1.8e6 * max(run.seconds / run.T for run in long_runs))  # room for the legend
    for axes in (memory, time):
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.legend(loc="upper left", **LEGEND)
    memory.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
