"""The picture of the traps: one row per trap, coloured by its gap to the loss of the reference run at every step."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from compare.plots import VERMILION, WIDTH, save

SMALLEST, LARGEST = 1e-16, 1.0  # gaps at the ends of the colour scale
HEADINGS = {
    0: "no trap: rounding alone",
    1: "from step 1, before any update",
    2: "from step 2: the first update or the state differs",
    3: "later: it takes several batches, or clipping",
    np.inf: "no difference within these steps",
}


def draw(path, runs, shown):
    """runs: compare.traps.training.TrapRuns by task; shown: each trap's Variant with the TrapRuns it belongs to."""
    rows = list(_rows(runs, shown))
    steps = len(next(iter(runs.values())).reference)
    figure = Figure(figsize=(WIDTH, 0.2 * len(rows) + 1.3), layout="constrained")
    axes = figure.add_subplot()
    gaps = np.array([gap for *_, gap in rows])
    norm = LogNorm(SMALLEST, LARGEST, clip=True)
    edges = np.arange(steps + 1) + 0.5, np.arange(len(rows) + 1) - 0.5
    mesh = axes.pcolormesh(*edges, np.ma.masked_where(~(gaps > 0), gaps), cmap="YlGnBu", norm=norm)
    axes.set_yticks(range(len(rows)), ["" if np.isnan(gap).all() else words for words, *_, gap in rows])
    for k, (words, task, step, gap) in enumerate(rows):
        if np.isnan(gap).all():
            axes.text(0.55, k + 0.1, words, fontweight="bold", va="center")
        elif step:
            axes.plot(step, k, "o", color=VERMILION, markersize=6, markerfacecolor="none", markeredgewidth=1.5)
        axes.annotate(task, (1.01, k), xycoords=("axes fraction", "data"), va="center")
    axes.set(xscale="log", xlim=(0.5, steps + 0.5), ylim=(len(rows) - 0.5, -0.5))
    axes.set_xticks([k * ten for ten in (1, 10, 100, 1000) for k in (1, 2, 5) if k * ten <= steps])
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("step (ring: the first one that differs)")
    bar = figure.colorbar(mesh, ax=axes, location="bottom", shrink=0.6, aspect=45, pad=0.01)
    bar.set_ticks([1e-16, 1e-12, 1e-8, 1e-4, 1], labels=["1e-16", "1e-12", "1e-8", "1e-4", "1"])
    bar.ax.minorticks_off()
    bar.set_label("gap to the loss of the reference run (white: exactly 0)")
    figure.suptitle("Both correct, yet different curves: one convention changed at a time", fontsize=11)
    save(figure, path)


def _rows(runs, shown):
    """Yield each row from the top: its title, its task, the first step that differs, and its gaps (steps,).

    The gaps of a heading are nan.
    """
    lines = [(0, None, "torch.nn", of, of.torch) for of in runs.values()]
    lines += [(0, None, "float32", of, of.float32) for of in runs.values()]
    for variant, of in shown:
        losses = of.trapped[variant.trap.name]
        step = of.diverges_at(losses)
        lines.append((min(step, 3) if step else np.inf, step, variant.title, of, losses))
    last = None
    for group, step, title, of, losses in sorted(lines, key=lambda line: line[0]):
        if group != last:
            yield HEADINGS[group], "", None, np.full(len(losses), np.nan)
            last = group
        gap = np.abs(losses - of.reference)
        yield title, of.settings.task, step, np.where(np.isfinite(gap), gap, LARGEST)
