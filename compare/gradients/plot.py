"""gradients.png: the gradient on its way back through time, by hand and by autograd, and the error between the two."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from compare.gradients.through_time import GradientFlow
from compare.plots import CELL_COLOURS, GREY, save

SCRATCH = dict(linewidth=5, alpha=0.35, solid_capstyle="round")
TORCH = dict(linewidth=1.5)
DASH = 3  # points; with gaps twice as long, the dashes of three lines that coincide all show, one after the other
ESTIMATE = dict(color="black", linewidth=1.1, linestyle=":")
CHANGED = dict(marker="o", markersize=4.5, markerfacecolor="white", markeredgewidth=1.2)  # other weights: open circles


def draw(path: Path, flows: list[GradientFlow], title: str) -> None:
    """Three panels over the time steps: |dLoss/dh_t|, the terms of dW_hh, the error of dLoss/dh_t in eps."""
    figure = Figure(figsize=(8.5, 6.6), layout="constrained")
    panels = figure.subplot_mosaic([["size", "term"], ["error", "legend"]], height_ratios=(1.25, 1))
    for place, flow in enumerate(flows):
        draw_flow(panels, flow, dashes(place))
    if not any(flow.term for flow in flows):
        panels["term"].text(0.5, 0.5, f"{flows[0].name} has no W_hh", ha="center", transform=panels["term"].transAxes)
        panels["term"].set_axis_off()
    panels["size"].set(title="Gradient of the loss at step t", ylabel="norm of dLoss/dh_t")
    panels["term"].set(title="Contribution of step t to dW_hh", ylabel="norm of the contribution")
    panels["error"].set(title="Error of dLoss/dh_t, scratch against torch", ylabel="error in eps of the largest entry")
    for axes in (panels["size"], panels["term"], panels["error"]):
        axes.set_xlabel("step t (backward: from right to left)")
        set_scales(axes)
    draw_legend(panels["legend"], flows)
    figure.suptitle(f"The gradient on its way back through time\n{title}", fontsize=11)
    save(figure, path)


def dashes(place: int) -> tuple:
    """Matplotlib's linestyle for the torch line at this place in the list."""
    return place % 3 * DASH, (DASH, 2 * DASH)


def draw_flow(panels: dict[str, Axes], flow: GradientFlow, linestyle: tuple) -> None:
    """One set of weights in all three panels."""
    colour, steps = CELL_COLOURS[flow.cell], np.arange(len(flow.error))
    circles = CHANGED | dict(markevery=max(1, len(steps) // 8)) if flow.changed else {}
    nothing = 2 * [np.full(len(steps), np.nan)]
    for axes, (by_hand, by_torch) in ((panels["size"], flow.dh), (panels["term"], flow.term or nothing)):
        axes.semilogy(steps, positive(by_hand), color=colour, **SCRATCH)
        axes.semilogy(steps, positive(by_torch), color=colour, linestyle=linestyle, **TORCH, **circles)
    if flow.factor:
        panels["size"].semilogy(steps, flow.dh[0][-1] * flow.factor ** (steps[-1] - steps), **ESTIMATE)
    markers = CHANGED if flow.changed else dict(marker="o", markersize=3)
    panels["error"].semilogy(steps, positive(flow.error), color=colour, linestyle="none", **markers)


def draw_legend(axes: Axes, flows: list[GradientFlow]) -> None:
    """What colours, lines and circles mean, in the place of the fourth panel."""
    axes.set_axis_off()
    for flow in flows:
        circles = CHANGED if flow.changed else {}
        axes.plot([], [], color=CELL_COLOURS[flow.cell], linewidth=2, label=flow.name, **circles)
    axes.plot([], [], color=GREY, **SCRATCH, label="scratch (NumPy, by hand)")
    axes.plot([], [], color=GREY, linestyle=dashes(0), **TORCH, label="torch (autograd)")
    factors = " and ".join(f"x {flow.factor:.2f}" for flow in flows if flow.factor)
    if factors:
        label = f"RNN, estimated from W_hh and tanh':\n{factors} per step"
        axes.plot([], [], **ESTIMATE, label=label)
    axes.legend(loc="center left", frameon=False, fontsize=10).set_in_layout(False)


def set_scales(axes: Axes) -> None:
    """Whole steps; labels such as 1e-06 at up to eight powers of ten, over at least two decades."""
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    low, high = axes.get_ylim()
    middle = np.sqrt(low * high)
    axes.set_ylim(min(low, middle / 10), max(high, 10 * middle))
    axes.yaxis.set_major_locator(LogLocator(numticks=8))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def positive(values: np.ndarray) -> np.ndarray:
    """Nan in place of 0, which a logarithmic axis cannot show."""
    return np.where(np.asarray(values) > 0, values, np.nan)
