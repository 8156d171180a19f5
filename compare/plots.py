"""The pictures. Scratch is thick and pale, torch thin and dashed on top, so that two equal curves are both seen."""

import io
import os
import warnings

os.environ["MPLBACKEND"] = "agg"  # files, never windows, whatever a shell may say
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from compare.curves.sample_text import parting
from compare.files import write_whole

# Orange, blue and green of Okabe and Ito's palette: apart for every common kind of colour blindness.
ORANGE, BLUE, GREEN, GREY = "#E69F00", "#0072B2", "#009E73", "#666666"
OURS = dict(color=ORANGE, linewidth=5, alpha=0.55, solid_capstyle="round", label="scratch (NumPy, by hand)")
THEIRS = dict(color=BLUE, linewidth=1.3, linestyle=(0, (4, 2)), label="torch (autograd)")

# One colour per cell, the same in every picture.
CELL_COLOURS = {"rnn": "#D55E00", "rnn_relu": "#CC79A7", "gru": BLUE, "lstm": GREEN}

FIVE = ("#D55E00", ORANGE, BLUE, GREEN, "#CC79A7")

LEGEND = dict(frameon=True, framealpha=0.85, edgecolor="none")
READABLE = dict(facecolor="white", edgecolor="none", alpha=0.85, pad=1)  # behind words that stand among points

matplotlib.rcParams.update(
    {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 11,
        "font.size": 10,
        "text.parse_math": False,
    }
)


def save(figure, path):
    """Write a PNG of 256 colours: a third of the size, and no eye sees the difference."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a character that the font lacks is drawn as a box
        figure.savefig(drawn, format="png", dpi=100)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "png", optimize=True)
    write_whole(path, packed.getvalue())


def curves(path, runs):
    """A row a run: training loss, held-out metric with the baselines, and the gap between both losses.

    runs: compare.curves.training.Run objects.
    """
    figure = Figure(figsize=(15, 3.7 * len(runs) + 0.5), layout="constrained")
    axes = figure.subplots(len(runs), 3, squeeze=False)
    for run, (loss, metric, gap) in zip(runs, axes, strict=True):
        _draw_loss(loss, run)
        _draw_metric(metric, run)
        draw_gap(gap, run.series("train")[0], run.gap(), run.settings.dtype)
    figure.suptitle("The same network twice: back-propagation through time by hand, and torch with autograd")
    save(figure, path)


def _draw_loss(axes, run):
    steps, ours, theirs = run.series("train")
    block = max(1, len(steps) // 100)  # single batches are noisy: the mean of each hundredth of the run is not
    whole = len(steps) // block * block
    steps, ours, theirs = (values[:whole].reshape(-1, block).mean(axis=1) for values in (steps, ours, theirs))
    axes.plot(steps, ours, **OURS)
    axes.plot(steps, theirs, **THEIRS)
    of = f", mean of {block} steps each" if block > 1 else ""
    axes.set(title=f"{run.title}: training loss{of}", xlabel="step", ylabel=run.loss_unit)
    axes.legend(**LEGEND)


def _draw_metric(axes, run):
    steps, ours, theirs = run.series("test")
    axes.plot(steps, ours, marker="o", markersize=7, **OURS)
    axes.plot(steps, theirs, marker="o", markersize=2.5, **THEIRS)
    for (label, value), style in zip(run.dataset.baselines.items(), (":", "-."), strict=False):
        axes.axhline(value, color=GREY, linestyle=style, linewidth=1.4, label=f"{label}: {value:.4g}")
    # The untrained value lies far off; the eye should get the part where the learning happens.
    shown = [*ours[1:], *run.dataset.baselines.values()] if len(ours) > 2 else [*ours, *run.dataset.baselines.values()]
    low, high = min(shown), max(shown)
    margin = 0.08 * (high - low or abs(high) or 1)
    axes.set_ylim(low - margin, high + margin)
    hidden = not low - margin <= ours[0] <= high + margin
    xlabel = f"step (at 0, before training: {ours[0]:.4g})" if hidden else "step"
    better = "lower is better" if run.dataset.better == "lower" else "higher is better"
    axes.set(title=f"{run.title}: held out, {better}", xlabel=xlabel, ylabel=short(run.dataset.metric, 40))
    axes.legend(loc="upper right" if run.dataset.better == "lower" else "lower right", **LEGEND)


def draw_gap(axes, steps, gap, dtype):
    """|scratch - torch| on a logarithmic axis; a gap of exactly 0 lies on the bottom line."""
    eps = np.finfo(dtype).eps
    floor = eps / 30
    gap = np.asarray(gap)
    axes.semilogy(steps, np.maximum(gap, floor), ".", markersize=3, color=GREEN)
    axes.axhline(eps, color=GREY, linestyle="--", linewidth=1.2)
    axes.annotate(
        f"rounding of {dtype}: {eps:.1e}",
        (0.99, eps),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        xytext=(0, 2),
        textcoords="offset points",
        color=GREY,
        bbox=READABLE,
    )
    axes.annotate(
        "points down here: exactly equal",
        (0.01, floor),
        xycoords=("axes fraction", "data"),
        ha="left",
        va="bottom",
        xytext=(0, 3),
        textcoords="offset points",
        color=GREY,
        fontsize=9,
        bbox=READABLE,
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
    axes.set_ylim(floor / 2, max(30 * eps, 5 * gap.max()))
    axes.set(
        title=f"gap of the training losses, at most {gap.max():.1e}",
        xlabel="step",
        ylabel="|scratch - torch|",
    )


def gradients(path, travels, title):
    """How the gradient travels back through time: |dLoss/dh_t|, the steps' shares of dW_hh, and how far both are apart.

    travels: compare.gradients.table.Travel objects.
    """
    figure = Figure(figsize=(15, 6), layout="constrained")
    size, share, off = figure.subplots(1, 3)
    for travel, colour in zip(travels, FIVE, strict=False):
        steps = np.arange(len(travel.off))
        for axes, (ours, theirs) in ((size, travel.dh), (share, travel.share)):
            axes.semilogy(steps, positive(ours), color=colour, linewidth=5, alpha=0.4)
            axes.semilogy(steps, positive(theirs), color=colour, linewidth=1.3, linestyle=(0, (4, 2)))
        if travel.predicted:
            line = travel.dh[0][-1] * travel.predicted ** (steps[-1] - steps)
            size.semilogy(steps, line, color="black", linewidth=1.2, linestyle=":")
        off.semilogy(steps, np.maximum(travel.off, 0.05), ".", color=colour)
        label = travel.name + (
            f": x {travel.predicted:.2f} a step by W_hh's singular values and the slopes" if travel.predicted else ""
        )
        size.plot([], [], color=colour, linewidth=4, label=label)
    size.plot([], [], color=GREY, linewidth=5, alpha=0.4, label="thick: scratch (NumPy, by hand)")
    size.plot([], [], color=GREY, linewidth=1.3, linestyle=(0, (4, 2)), label="dashed: torch (autograd)")
    if any(travel.predicted for travel in travels):
        size.plot([], [], color="black", linewidth=1.2, linestyle=":", label="dotted: that estimate")
    off.axhline(1, color=GREY, linestyle="--", linewidth=1.2)
    off.annotate(
        "one rounding",
        (0.99, 1),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        color=GREY,
        bbox=READABLE,
    )
    size.set(
        title="the gradient at step t, on its way back",
        ylabel="norm of dLoss/dh_t",
        xlabel="step t (backward: right to left)",
    )
    share.set(
        title="step t's share of dW_hh; their sum is the gradient", ylabel="norm of da_t h_(t-1)", xlabel="step t"
    )
    off.set(title="dLoss/dh_t, scratch against torch", ylabel="largest difference, in roundings", xlabel="step t")
    for axes in (size, share, off):
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0e}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(f"Back through time: {title}")
    save(figure, path)


def positive(values):
    """Nothing in place of what a logarithmic axis cannot show."""
    return np.where(values > 0, values, np.nan)


def short(label, most=20):
    return label if len(label) <= most else label[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def forecast(path, dataset, ours, theirs):
    """Predictions against the truth for a series, both models side by side. ours and theirs (T, 1, 1), scaled."""
    batch = next(iter(dataset.test_batches()))
    truth = dataset.unscale(batch.targets[dataset.run_in :, 0, 0])
    labels = dataset.labels[dataset.split :]
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for side, predictions, colour, name in zip(
        axes, (ours, theirs), (ORANGE, BLUE), ("scratch (NumPy, by hand)", "torch (autograd)"), strict=True
    ):
        predicted = dataset.unscale(predictions[dataset.run_in :, 0, 0])
        side.plot(truth, color="black", linewidth=1, label="truth")
        side.plot(predicted, color=colour, linewidth=1.6, alpha=0.9, label="predicted one step ahead")
        ticks = np.linspace(0, len(truth) - 1, 6).astype(int)
        side.set_xticks(ticks, [short(labels[k]) for k in ticks])
        error = np.abs(predicted - truth).mean()
        side.set(title=f"{name}: mean absolute error {error:.4g}", ylabel=short(dataset.column))
        side.set_ylim(top=max(truth.max(), predicted.max()) + 0.25 * np.ptp(truth))  # room for the legend
        side.legend(frameon=False, loc="upper right")
    save(figure, path)


def confusion(path, dataset, ours, theirs):
    """Confusion matrices of both models, in per cent of each true class. ours and theirs: class ids per test name."""
    truth = np.concatenate([batch.targets for batch in dataset.test_batches()])
    C = len(dataset.classes)
    size = max(5.5, 0.45 * C + 2)
    figure = Figure(figsize=(2 * size, size), layout="constrained")
    axes = figure.subplots(1, 2)
    for side, predicted, name in zip(
        axes, (ours, theirs), ("scratch (NumPy, by hand)", "torch (autograd)"), strict=True
    ):
        counts = np.bincount(truth * C + predicted, minlength=C * C).reshape(C, C)
        share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        side.imshow(share, cmap="cividis", vmin=0, vmax=100)
        for row, column in np.argwhere(share.round() >= 1):
            colour = "black" if share[row, column] > 55 else "white"
            side.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=8)
        names = [short(name) for name in dataset.classes]
        side.set_xticks(range(C), names, rotation=90)
        side.set_yticks(range(C), names)
        side.spines[:].set_visible(False)
        right = 100 * (truth == predicted).mean()
        side.set(title=f"{name}: {right:.1f} % right", xlabel="predicted", ylabel="true class")
    figure.suptitle("Of each true class, per cent put where (a row sums to 100; below 1 left blank)")
    save(figure, path)


def sums(path, dataset, ours, theirs):
    """The adding problem: predicted against true sum, both models side by side. ours and theirs (N,)."""
    truth = np.concatenate([batch.targets[:, 0] for batch in dataset.test_batches()])
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for side, predicted, colour, name in zip(
        axes, (ours, theirs), (ORANGE, BLUE), ("scratch (NumPy, by hand)", "torch (autograd)"), strict=True
    ):
        side.plot([0, 2], [0, 2], color="black", linewidth=1, label="right")
        side.axhline(1, color=GREY, linestyle=":", label="always 1 (baseline)")
        side.plot(truth, predicted, ".", color=colour, markersize=4, alpha=0.6, label="test sequences")
        error = np.mean((predicted - truth) ** 2)
        side.set(title=f"{name}: mean squared error {error:.2g}", xlabel="true sum", ylabel="predicted sum")
        side.legend(frameon=False)
    save(figure, path)


def writing(path, ours, theirs):
    """Text written by both, side by side, with the first character where they part marked."""
    part = parting(ours, theirs)
    width, lines = 62, 24
    figure = Figure(figsize=(15, 6.8), layout="constrained")
    axes = figure.subplots(1, 2)
    for side, text, name in zip(axes, (ours, theirs), ("scratch (NumPy, by hand)", "torch (autograd)"), strict=True):
        side.set_axis_off()
        side.set_xlim(0, width)
        side.set_ylim(lines, 0)
        side.set_title(name, loc="left")
        for row, (start, line) in enumerate(_wrap(text, width)[:lines]):
            side.text(0, row, line, family="monospace", fontsize=12.5, va="top")
            if part is not None and start <= part < start + max(len(line), 1):
                side.text(
                    0,
                    row,
                    " " * (part - start) + "\N{FULL BLOCK}",
                    family="monospace",
                    fontsize=12.5,
                    va="top",
                    color="#D55E00",
                    alpha=0.5,
                )
    same = "the same text, character for character" if part is None else f"the same up to character {part}, marked"
    figure.suptitle(f"Written by both models from the same random numbers: {same}")
    save(figure, path)


def _wrap(text, width):
    """Cut into (start, line) pairs of at most `width` characters, at line ends first."""
    rows, start = [], 0
    for line in text.split("\n"):
        for k in range(0, max(len(line), 1), width):
            rows.append((start + k, line[k : k + width]))
        start += len(line) + 1
    return rows
