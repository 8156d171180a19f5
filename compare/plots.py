"""The style that all pictures share. Scratch is thick and pale, torch thin and dashed on top: equal curves show both.

Pictures are WIDTH inches wide: on a page 830 pixels wide, a point of text is then a point.
"""

import io
import os
import warnings

os.environ["MPLBACKEND"] = "agg"  # files, never windows, whatever a shell may say
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from compare.files import write_whole

WIDTH = 8.5
DPI = 200

# From Okabe and Ito's palette, whose colours every common kind of colour blindness can tell apart.
ORANGE, BLUE, GREEN, VERMILION, PINK, GREY = "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#666666"
SCRATCH = dict(color=ORANGE, linewidth=5, alpha=0.55, solid_capstyle="round", label="scratch (NumPy, by hand)")
TORCH = dict(color=BLUE, linewidth=1.3, linestyle=(0, (4, 2)), label="torch (autograd)")

BASELINES = (dict(color=GREY, linestyle=":", linewidth=1.4), dict(color=GREY, linestyle="-.", linewidth=1.4))

# One colour per cell, the same in every picture.
CELL_COLOURS = {"rnn": VERMILION, "rnn_relu": PINK, "gru": BLUE, "lstm": GREEN}

FIVE = (VERMILION, ORANGE, BLUE, GREEN, PINK)

LEGEND = dict(frameon=True, framealpha=0.85, edgecolor="none")
READABLE = dict(facecolor="white", edgecolor="none", alpha=0.85, pad=1)  # behind words that stand among points

matplotlib.rcParams.update(
    {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9,
        "figure.titlesize": 10,
        "font.size": 9,
        "text.parse_math": False,
    }
)


def short(label: str, most: int = 20) -> str:
    return label if len(label) <= most else label[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def save(figure: Figure, path) -> None:
    """Write a PNG of 256 colours: a third of the size, and no visible difference."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a character that the font lacks is drawn as a box
        figure.draw_without_rendering()  # ticks depend on the layout and the layout on ticks: lay out twice
        figure.savefig(drawn, format="png", dpi=DPI)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "png", optimize=True)
    write_whole(path, packed.getvalue())


def bench(path, figures):
    """The ratio of both times by cell and size; memory and time by the length of the sequence."""
    figure = Figure(figsize=(15, 5), layout="constrained")
    ratio, memory, speed = figure.subplots(1, 3, width_ratios=(1.4, 1, 1))
    rows = figures["one_thread"]
    sizes = list(dict.fromkeys((row["B"], row["T"], row["H"]) for row in rows))
    cells = list(dict.fromkeys(row["cell"] for row in rows))
    for k, (cell, colour) in enumerate(zip(cells, ("#D55E00", BLUE, GREEN), strict=False)):
        values = [row["ratio"] for row in rows if row["cell"] == cell]
        places = np.arange(len(sizes)) + (k - 1) * 0.27
        ratio.bar(places, values, 0.25, color=colour, label=cell.upper())
        for place, value in zip(places, values, strict=True):
            ratio.annotate(f"{value:.2f}", (place, value), ha="center", va="bottom", fontsize=8)
    ratio.axhline(1, color=GREY, linestyle="--", linewidth=1.2, label="as fast as torch")
    ratio.set_xticks(range(len(sizes)), [f"batch {B}\n{T} steps\nH = {H}" for B, T, H in sizes])
    ratio.set(
        title="one training step, one thread: below 1 scratch is faster", ylabel="time of scratch / time of torch"
    )
    ratio.set_ylim(top=1.25 * max(1, *(row["ratio"] for row in rows)))
    ratio.legend(ncols=4, loc="upper left", **LEGEND)

    long = figures["by_length"]
    names = {
        "plain": "scratch",
        "checkpointed": "scratch, checkpointed",
        "torch": "torch",
    }
    styles = {"plain": (ORANGE, "o-"), "checkpointed": (GREEN, "s-"), "torch": (BLUE, "^--")}
    for kind, (colour, style) in styles.items():
        rows = [row for row in long if row["kind"] == kind]
        lengths = [row["T"] for row in rows]
        if all(row["bytes"] for row in rows):
            memory.loglog(lengths, [row["bytes"] / 1e6 for row in rows], style, color=colour, label=names[kind])
        speed.semilogx(
            lengths, [1e6 * row["seconds"] / row["T"] for row in rows], style, color=colour, label=names[kind]
        )
    about = f"{long[0]['cell'].upper()}, B={long[0]['B']}, H={long[0]['H']}"
    memory.set(title=f"memory, {about}", xlabel="steps T", ylabel="megabytes")
    speed.set(title=f"forward and backward, {about}", xlabel="steps T", ylabel="microseconds a time step")
    speed.set_ylim(0, 1.3e6 * max(row["seconds"] / row["T"] for row in long))  # room for the legend
    for axes in (memory, speed):
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.legend(loc="upper left", **LEGEND)
    memory.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    figure.suptitle(f"{figures['processor']}; {'; '.join(figures['sides'])}", fontsize=9)
    save(figure, path)


def positive(values):
    """Nothing in place of what a logarithmic axis cannot show."""
    return np.where(values > 0, values, np.nan)
