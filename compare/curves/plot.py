"""The training curves of both models, and the gap between them."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from compare import plots
from compare.plots import BASELINES, GREEN, GREY, PINK, VERMILION, WIDTH, in_blocks, short

EPS = dict(color=GREY, linestyle="--", linewidth=1.2)
LIMIT = dict(color=VERMILION, linewidth=1.2)
TRAINING = dict(color=PINK, marker=".", linewidth=1.3, label="training accuracy since the last point")
GAP = dict(color=GREEN, marker=".", markersize=3, linestyle="none")


def curves(path: Path, runs: list) -> None:
    """One row per run: training loss above the gradient's norm, held-out metric with the baselines, gap of the losses.

    runs: compare.curves.training.Run objects with at least one step, all of one dtype and with the same cell files.
    """
    figure = Figure(figsize=(WIDTH, 3 * len(runs) + 0.8), layout="constrained")
    figure.get_layout_engine().set(hspace=0.06)
    grid = figure.add_gridspec(2 * len(runs), 3, height_ratios=(1.7, 1) * len(runs))
    for k, run in enumerate(runs):
        loss, norm = (figure.add_subplot(grid[row, 0]) for row in (2 * k, 2 * k + 1))
        metric, gap = (figure.add_subplot(grid[2 * k : 2 * k + 2, column]) for column in (1, 2))
        loss.set_title(f"{run.title}\n", loc="left", fontsize=10, fontweight="bold")
        _draw_steps(loss, run, "loss")
        mse = run.settings.task in ("series", "memory")
        loss.set(title="training loss", ylabel="mean squared error" if mse else "cross-entropy (nats)")
        _draw_norm(norm, run)
        _draw_metric(metric, run)
        _draw_gap(gap, run)
    dtype = runs[0].settings.dtype
    handles = [Line2D([], [], **style) for style in runs[0].styles]
    handles += [
        Line2D([], [], **GAP, label="gap at one step"),
        Line2D([], [], **EPS, label=f"eps of {dtype}: {np.finfo(dtype).eps:.1e}"),
        Line2D([], [], **LIMIT, label="limit: above it, the curves differ"),
    ]
    if any("accuracy" in run.train_metrics for run in runs):
        handles.insert(2, Line2D([], [], **TRAINING))
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    plots.save(figure, path)


def _draw_steps(axes, run, what):
    """Both models' values of every training step."""
    every_step = run.series("train", what)
    steps, *both = map(in_blocks, every_step)
    block = len(every_step[0]) // len(steps)
    marker = "o" if len(steps) == 1 else None  # a line of one point would be invisible
    for values, style, size in zip(both, run.styles, (7, 2.5), strict=True):
        axes.plot(steps, values, marker=marker, markersize=size, **style)
    largest = np.abs(both).max()
    if np.ptp(both) < 1e-4 * largest:
        axes.set_ylim(0.9 * largest, 1.1 * largest)  # do not magnify the rounding of a constant
    return f"step (mean of {block} each)" if block > 1 else "step"


def _draw_norm(axes, run):
    """The gradient's norm before clipping, below the loss."""
    xlabel = _draw_steps(axes, run, "gradient norm")
    clip = run.settings.clip
    axes.set(title="gradient norm" + (f", clipped at {clip:g}" if clip else ""), xlabel=xlabel, ylabel="norm")


def _draw_metric(axes, run):
    steps, ours, theirs = run.series("test")
    baselines = run.dataset.baselines
    lines = []
    for (label, value), style in zip(baselines.items(), BASELINES, strict=False):
        lines.append(axes.axhline(value, **style, label=f"{label}: {value:.4g}"))
    others = list(baselines.values())
    if "accuracy" in run.train_metrics:
        # the mean since the last evaluation: a single batch is noisy, because its names have similar lengths
        ends = [step for step in steps if step]
        both = [[part.mean() for part in np.split(a, ends) if len(part)] for a in run.series("train", "accuracy")[1:]]
        trained = [*ends, run.step][: len(both[0])]
        for values, line in zip(both, (dict(linewidth=3, alpha=0.4), dict(linestyle=(0, (4, 2)))), strict=True):
            axes.plot(trained, values, **TRAINING | line)
        others.append(np.max(both))
    first = _make_room_for_untrained(axes, ours, others)
    for values, style, size in zip((ours, theirs), run.styles, (7, 2.5), strict=True):
        axes.plot(steps[first:], values[first:], marker="o", markersize=size, **style)
    axes.set_xlim(-0.03 * steps[-1], 1.03 * steps[-1] or 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")  # a common exponent would be drawn over the title
    metric = "\n".join(short(line, 24) for line in textwrap.wrap(run.dataset.metric, 24)[:2])  # fits the panel's height
    axes.set(title=f"held out ({run.dataset.better} is better)", xlabel="step", ylabel=metric)
    below = offset_copy(axes.transAxes, axes.figure, y=-30, units="points")  # of the label of the x axis
    axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, frameon=False)


def _make_room_for_untrained(axes, values, others):
    """Limit the axis to what the values and the others reach. Returns the index of the first value to draw: 1 where
    the untrained value is outside, which then becomes a note in a strip at that edge.
    """
    shown = [*(values[1:] if len(values) > 1 else values), *others]
    low, high = min(shown), max(shown)
    margin = 0.08 * (high - low or abs(high) or 1)
    above, below = values[0] > high + margin, values[0] < low - margin
    if above:
        note = dict(s=f"untrained: {values[0]:.4g} \N{UPWARDS ARROW}", y=0.99, va="top")
    elif below:
        note = dict(s=f"untrained: {values[0]:.4g} \N{DOWNWARDS ARROW}", y=0.01, va="bottom")
    if above or below:
        axes.text(x=0.98, **note, transform=axes.transAxes, ha="right")
    strip = 1.6 * margin
    axes.set_ylim(low - margin - strip * below, high + margin + strip * above)
    return int(above or below)


def _draw_gap(axes, run):
    """|scratch - torch| on a logarithmic axis; a gap of exactly 0 is drawn at the bottom."""
    steps, _, _ = run.series("train")
    gap, limit, eps = run.gap(), run.limit(), np.finfo(run.settings.dtype).eps
    floor = eps / 30
    axes.semilogy(steps, np.maximum(gap, floor), **GAP)
    axes.axhline(eps, **EPS)
    axes.semilogy(in_blocks(steps), in_blocks(limit), **LIMIT)
    title = f"gap: at most {gap.max():.1e}"
    if first := run.diverges_at():
        axes.plot(first, gap[first - 1], "o", color=VERMILION, markersize=8, markerfacecolor="none")
        title = f"curves differ from step {first}"
    top = 5 * max(limit.max(), gap.max())
    axes.set_ylim(floor / 2, top)
    apart = max(10.0, (top / floor) ** (1 / 6))  # the smallest ratio of two ticks that leaves room for their labels
    tens = 10.0 ** np.arange(np.floor(np.log10(top)), np.log10(floor * apart / 2), -np.ceil(np.log10(apart)))
    axes.set_yticks([floor, *tens], ["0", *(f"{value:.0e}" for value in tens)])
    axes.minorticks_off()
    axes.set(title=title, xlabel="step", ylabel="|{} - {}|".format(*run.sides))
