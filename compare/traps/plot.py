"""The picture of the traps: a panel each, the gap to the true loss over the steps."""

import numpy as np
from matplotlib.figure import Figure

from compare.plots import BLUE, GREEN, GREY, save

VERMILION = "#D55E00"
FLOOR = 1e-17  # where a gap of exactly 0 is drawn


def draw(path, twins, shown):
    """twins: compare.traps.catalogue.Twins by task; shown: pairs of a Trap and the Twins it belongs to."""
    columns = 4
    rows = -(-(len(shown) + 3) // columns)  # one panel without a trap, and the words in the place of two
    figure = Figure(figsize=(15, 2.75 * rows), layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    places = [(k // columns, k % columns) for k in range(len(shown) + 1)]
    axes = [figure.add_subplot(grid[place]) for place in places]
    steps = np.arange(1, len(next(iter(twins.values())).true) + 1)

    _rounding(axes[0], steps, next(iter(twins.values())))
    for panel, (trap, twin) in zip(axes[1:], shown, strict=True):
        _panel(panel, steps, trap, twin)
    for panel, (row, column) in zip(axes, places, strict=True):
        panel.set(xscale="log", yscale="log", xlim=(0.85, 1.15 * steps[-1]), ylim=(FLOOR / 5, 10))
        panel.set_xticks([k * ten for ten in (1, 10, 100, 1000) for k in (1, 2, 5) if k * ten <= steps[-1]])
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.set_yticks([FLOOR, 1e-12, 1e-8, 1e-4, 1], ["equal", "1e-12", "1e-8", "1e-4", "1"])
        panel.minorticks_off()
        panel.tick_params(labelleft=column == 0, labelsize=9)
        if column == 0:
            panel.set_ylabel("gap to the true loss")
        if (row + 1, column) not in places:
            panel.set_xlabel("step")
    row, column = divmod(len(axes), columns)
    _legend(figure.add_subplot(grid[row, column:] if columns - column > 1 else grid[row + 1, :]))
    figure.suptitle(
        "Why does mine differ? One thing changed at a time, and how far the training loss is then off the true one"
    )
    save(figure, path)


def _panel(axes, steps, trap, twin):
    """One trap: its gap over both kinds of rounding, and the step at which it first shows."""
    gap = np.abs(twin.trapped[trap.name] - twin.true)
    shows = twin.shows(twin.trapped[trap.name])
    _rounding_lines(axes, steps, twin)
    colour, words = kind(shows)
    axes.plot(steps, np.maximum(gap, FLOOR), "o-", color=colour, markersize=3, linewidth=1.2)
    if shows:
        axes.plot(shows, gap[shows - 1], "o", color=colour, markersize=9, markerfacecolor="none", markeredgewidth=1.8)
    _titles(axes, trap.title, f"{twin.settings.task}, {twin.settings.cell.upper()}: {words}", colour)


def kind(shows):
    """The colour and the words for a trap that first shows at this step (None: never)."""
    if shows is None:
        return GREY, "does not show"
    if shows == 1:
        return VERMILION, "shows at step 1"
    return (BLUE if shows == 2 else GREEN), f"first shows at step {shows}"


def _rounding(axes, steps, twin):
    """The panel without a trap: what rounding alone does."""
    _rounding_lines(axes, steps, twin)
    _titles(
        axes,
        "no trap: rounding alone",
        f"{twin.settings.task}, {twin.settings.cell.upper()}: both runs are right",
        GREY,
    )
    for losses, words in ((twin.single, "float32"), (twin.torch, "float64: torch.nn beside scratch")):
        highest = max(np.abs(losses - twin.true).max(), FLOOR)
        place = dict(xycoords=("axes fraction", "data"), va="bottom", ha="right")
        axes.annotate(words, (0.99, 2 * highest), color="#444444", fontsize=9, **place)


def _rounding_lines(axes, steps, twin):
    for losses in (twin.single, twin.torch):
        axes.plot(steps, np.maximum(np.abs(losses - twin.true), FLOOR), color="#AAAAAA", linewidth=1)


def _titles(axes, title, words, colour):
    axes.set_title(f"{title}\n", loc="left", fontsize=10.5, fontweight="bold")
    axes.annotate(
        words, (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", color=colour, fontsize=10
    )


def _legend(axes):
    """How to read the panels."""
    axes.set_axis_off()
    lines = (
        ("black", "Each run differs from the true one in one thing; all else is the same."),
        (VERMILION, "Apart at step 1, before any update: other weights, another batch or another forward pass."),
        (BLUE, "Equal at step 1, apart at step 2: the first update is another one, or what is carried on from it."),
        (GREEN, "Apart later: what needs more than one batch before it, or what happens only now and then."),
        (GREY, "Grey lines: rounding alone, of float32 (upper) and of float64 (lower)."),
    )
    for k, (colour, words) in enumerate(lines):
        axes.text(0, 0.9 - 0.17 * k, words, color=colour, fontsize=10, transform=axes.transAxes, va="top")
