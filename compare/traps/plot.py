"""The picture of the traps: one panel per trap, the gap to the loss of the reference run at every step."""

from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from compare.plots import BLUE, GREEN, GREY, save

VERMILION = "#D55E00"
FLOOR = 1e-17  # where a gap of exactly 0 is drawn
COLUMNS = 3
TITLE_WIDTH, TEXT_WIDTH = 30, 38  # characters that fit into the width of a panel
SMALL = 9  # points: the smallest text in any picture

HOW_TO_READ = (
    ("black", "Each run differs from the reference run in one convention; all else is the same."),
    (VERMILION, "Diverges at step 1, before any update: the weights, the batch or the forward pass differ."),
    (BLUE, "Diverges at step 2: the first update differs, or what is carried to the next batch."),
    (GREEN, "Diverges later: it takes more than one batch, or an event such as clipping."),
    (GREY, "Grey lines: rounding alone, of float32 (upper) and of float64 (lower)."),
)


def draw(path, runs, shown):
    """runs: compare.traps.training.TrapRuns by task; shown: each Trap with the TrapRuns it belongs to."""
    first = next(iter(runs.values()))
    panels = len(shown) + 1  # one without a trap
    rows = -(-(panels + 1) // COLUMNS)  # and room for the text
    figure = Figure(figsize=(8.5, 2.15 * rows + 0.4), layout="constrained")
    grid = figure.add_gridspec(rows, COLUMNS)
    axes = [figure.add_subplot(grid[divmod(k, COLUMNS)]) for k in range(panels)]
    _rounding(axes[0], first)
    for panel, (trap, of) in zip(axes[1:], shown, strict=True):
        _panel(panel, trap, of)
    for k, panel in enumerate(axes):
        _scales(panel, len(first.reference), left=k % COLUMNS == 0, bottom=k + COLUMNS >= panels)
    row, column = divmod(panels, COLUMNS)
    _how_to_read(figure.add_subplot(grid[row, column:]), COLUMNS - column)
    figure.suptitle("Both correct, yet different curves: one convention changed at a time", fontsize=11)
    save(figure, path)


def _panel(axes, trap, runs):
    """One trap: its gap over both kinds of rounding, with a ring at the first step that differs."""
    losses = runs.trapped[trap.name]
    gap = np.abs(losses - runs.reference)
    step = runs.diverges_at(losses)
    _rounding_lines(axes, runs)
    colour, words = when(step)
    axes.plot(np.arange(1, len(gap) + 1), np.maximum(gap, FLOOR), "o-", color=colour, markersize=2.5, linewidth=1.1)
    if step:
        axes.plot(step, gap[step - 1], "o", color=colour, markersize=8, markerfacecolor="none", markeredgewidth=1.6)
    _titles(axes, trap.title, f"{_run(runs)}: {words}", colour)


def when(step):
    """The colour and the words for a trap whose run diverges at this step (None: never)."""
    if step is None:
        return GREY, "no difference"
    return (VERMILION if step == 1 else BLUE if step == 2 else GREEN), f"diverges at step {step}"


def _rounding(axes, runs):
    """The panel without a trap: what rounding alone does."""
    _rounding_lines(axes, runs)
    _titles(axes, "no trap: rounding alone", f"{_run(runs)}: both correct", GREY)
    for losses, words in ((runs.float32, "float32"), (runs.torch, "torch.nn")):
        highest = max(np.abs(losses - runs.reference).max(), FLOOR)
        place = dict(xycoords=("axes fraction", "data"), va="bottom", ha="right")
        axes.annotate(words, (0.99, 2 * highest), color="#444444", fontsize=SMALL, **place)


def _rounding_lines(axes, runs):
    for losses in (runs.float32, runs.torch):
        gap = np.abs(losses - runs.reference)
        axes.plot(np.arange(1, len(gap) + 1), np.maximum(gap, FLOOR), color="#AAAAAA", linewidth=0.9)


def _run(runs):
    return f"{runs.settings.task}, {runs.settings.cell.upper()}"


def _titles(axes, title, words, colour):
    """A bold title of at most two lines over a coloured line."""
    axes.set_title(fill(title, TITLE_WIDTH), loc="left", fontsize=SMALL, fontweight="bold", pad=SMALL + 8)
    place = dict(xycoords="axes fraction", xytext=(0, 4), textcoords="offset points")
    axes.annotate(words, (0, 1), color=colour, fontsize=SMALL, **place)


def _scales(axes, steps, left, bottom):
    """Both axes logarithmic; labels only where no panel is to the left or below."""
    axes.set(xscale="log", yscale="log", xlim=(0.85, 1.15 * steps), ylim=(FLOOR / 5, 10))
    axes.set_xticks([k * ten for ten in (1, 10, 100, 1000) for k in (1, 2, 5) if k * ten <= steps])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yticks([FLOOR, 1e-12, 1e-8, 1e-4, 1], ["0", "1e-12", "1e-8", "1e-4", "1"])
    axes.minorticks_off()
    axes.tick_params(labelleft=left, labelsize=SMALL)
    if left:
        axes.set_ylabel("gap to the reference", fontsize=SMALL)
    if bottom:
        axes.set_xlabel("step", fontsize=SMALL)


def _how_to_read(axes, columns):
    """The key, in the place of so many panels."""
    axes.set_axis_off()
    place = 1.25  # above the axes, where the other panels have their titles
    for colour, words in HOW_TO_READ:
        text = fill(words, TEXT_WIDTH * columns)
        axes.text(0, place, text, color=colour, fontsize=SMALL, transform=axes.transAxes, va="top", linespacing=1.1)
        place -= 0.03 + 0.115 * (text.count("\n") + 1)
