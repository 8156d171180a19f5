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
ORANGE, BLUE, GREEN, VERMILION, PINK, SKY = "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GREY = "#666666"
SCRATCH = dict(color=ORANGE, linewidth=5, alpha=0.55, solid_capstyle="round", label="scratch (NumPy, by hand)")
TORCH = dict(color=BLUE, linewidth=1.3, linestyle=(0, (4, 2)), label="torch (autograd)")

BASELINES = (dict(color=GREY, linestyle=":", linewidth=1.4), dict(color=GREY, linestyle="-.", linewidth=1.4))

# One colour per cell, the same in every picture.
CELL_COLOURS = {"rnn": VERMILION, "rnn_relu": PINK, "gru": BLUE, "lstm": GREEN, "mingru": SKY}

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
    """The label, or its beginning and its end: long names often differ at the end only."""
    kept = most - 1
    ends = label[: kept - kept // 2], label[len(label) - kept // 2 :]
    return label if len(label) <= most else "\N{HORIZONTAL ELLIPSIS}".join(ends)


def in_blocks(values: np.ndarray, number: int = 100) -> np.ndarray:
    """The means (about `number`, ...) of blocks of steps (N, ...): values of single batches are noisy."""
    block = max(1, len(values) // number)
    return values[: len(values) // block * block].reshape(-1, block, *values.shape[1:]).mean(axis=1)


def save(figure: Figure, path) -> None:
    """Write a PNG of 256 colours: a third of the size, and no visible difference."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a character that the font lacks is drawn as a box
        figure.draw_without_rendering()  # ticks depend on the layout and the layout on ticks: lay out twice
        figure.savefig(drawn, format="png", dpi=DPI)
    Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(packed, "png", optimize=True)
    write_whole(path, packed.getvalue())
