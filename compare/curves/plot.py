"""The pictures of a run: the training curves with their gap, and what both models predict."""

import textwrap
from datetime import datetime
from functools import partial
from itertools import pairwise
from pathlib import Path

import matplotlib.dates
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import offset_copy

from compare import agreement
from compare.curves import sample_text
from compare.plots import GREEN, GREY, SCRATCH, TORCH, VERMILION, WIDTH, save

HEADING = dict(loc="left", fontsize=10, fontweight="bold")
BASELINES = (dict(color=GREY, linestyle=":", linewidth=1.4), dict(color=GREY, linestyle="-.", linewidth=1.4))
EPS = dict(color=GREY, linestyle="--", linewidth=1.2)
LIMIT = dict(color=VERMILION, linewidth=1.2)
GAP = dict(color=GREEN, marker=".", markersize=3, linestyle="none")


def short(label: str, most: int = 20) -> str:
    return label if len(label) <= most else label[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


# ---- the training curves --------------------------------------------------------------------------------------------


def curves(path: Path, runs: list) -> None:
    """One row per run: training loss, held-out metric with the baselines, and the gap between the two losses.

    runs: compare.curves.training.Run objects with at least one step, all of one dtype.
    """
    figure = Figure(figsize=(WIDTH, 2.5 * len(runs) + 0.8), layout="constrained")
    figure.get_layout_engine().set(hspace=0.06)
    for run, (loss, metric, gap) in zip(runs, figure.subplots(len(runs), 3, squeeze=False), strict=True):
        loss.set_title(f"{run.title}\n", **HEADING)
        _draw_loss(loss, run)
        _draw_metric(metric, run)
        _draw_gap(gap, run)
    dtype = runs[0].settings.dtype
    handles = [
        Line2D([], [], **SCRATCH),
        Line2D([], [], **TORCH),
        Line2D([], [], **GAP, label="gap at one step"),
        Line2D([], [], **EPS, label=f"eps of {dtype}: {np.finfo(dtype).eps:.1e}"),
        Line2D([], [], **LIMIT, label="limit: above it, the curves differ"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    save(figure, path)


def _draw_loss(axes, run):
    steps, ours, theirs = run.series("train")
    block = max(1, len(steps) // 100)  # single batches are noisy: the mean of each hundredth of the run is not
    whole = len(steps) // block * block
    steps, ours, theirs = (values[:whole].reshape(-1, block).mean(axis=1) for values in (steps, ours, theirs))
    marker = "o" if len(steps) == 1 else None  # a line of one point is not seen
    axes.plot(steps, ours, marker=marker, markersize=7, **SCRATCH)
    axes.plot(steps, theirs, marker=marker, markersize=2.5, **TORCH)
    if np.ptp([ours, theirs]) < 1e-4 * ours.max():
        axes.set_ylim(0.9 * ours.max(), 1.1 * ours.max())  # not the rounding of a constant
    xlabel = f"step (mean of {block} each)" if block > 1 else "step"
    axes.set(title="training loss", xlabel=xlabel, ylabel=run.loss_unit)


def _draw_metric(axes, run):
    steps, ours, theirs = run.series("test")
    baselines = run.dataset.baselines
    lines = []
    for (label, value), style in zip(baselines.items(), BASELINES, strict=False):
        lines.append(axes.axhline(value, **style, label=f"{label}: {value:.4g}"))
    first = _make_room_for_untrained(axes, ours, baselines.values())
    axes.plot(steps[first:], ours[first:], marker="o", markersize=7, **SCRATCH)
    axes.plot(steps[first:], theirs[first:], marker="o", markersize=2.5, **TORCH)
    axes.set_xlim(-0.03 * steps[-1], 1.03 * steps[-1] or 1)
    title = f"held out ({run.dataset.better} is better)"
    axes.set(title=title, xlabel="step", ylabel=_in_two_lines(run.dataset.metric))
    below = offset_copy(axes.transAxes, axes.figure, y=-30, units="points")  # of the label of the x axis
    axes.legend(handles=lines, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, frameon=False)


def _make_room_for_untrained(axes, values, baselines):
    """Limit the axis to what training and the baselines reach. Returns the index of the first value to draw: 1 where
    the untrained value is far outside, which then becomes a note in a strip at that edge.
    """
    shown = [*(values[1:] if len(values) > 1 else values), *baselines]
    low, high = min(shown), max(shown)
    margin = 0.08 * (high - low or abs(high) or 1)
    above, below = values[0] > high + 3 * margin, values[0] < low - 3 * margin
    if above:
        note = dict(s=f"untrained: {values[0]:.4g} \N{UPWARDS ARROW}", y=0.99, va="top")
    elif below:
        note = dict(s=f"untrained: {values[0]:.4g} \N{DOWNWARDS ARROW}", y=0.01, va="bottom")
    else:
        low, high = min(low, values[0]), max(high, values[0])
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
    axes.semilogy(steps, limit, **LIMIT)
    title = f"gap: at most {gap.max():.1e}"
    if run.diverges_at():
        first = np.searchsorted(steps, run.diverges_at())
        axes.plot(steps[first], gap[first], "o", color=VERMILION, markersize=8, markerfacecolor="none")
        title = f"curves differ from step {steps[first]}"
    top = 5 * max(limit.max(), gap.max())
    axes.set_ylim(floor / 2, top)
    apart = max(10.0, (top / floor) ** (1 / 6))  # the least ratio of two ticks, that their labels have room
    tens = 10.0 ** np.arange(np.floor(np.log10(top)), np.log10(floor * apart / 2), -np.ceil(np.log10(apart)))
    axes.set_yticks([floor, *tens], ["0", *(f"{value:.0e}" for value in tens)])
    axes.minorticks_off()
    axes.set(title=title, xlabel="step", ylabel="|scratch - torch|")


def _in_two_lines(label):
    """A label that fits a panel's height."""
    return "\n".join(short(line, 24) for line in textwrap.wrap(label, 24)[:2])


# ---- what both models predict ---------------------------------------------------------------------------------------


def predictions(path: Path, run) -> None:
    """What both models of a finished run predict for the held-out data; for text, what they write."""
    draw = {"series": _forecast, "names": _confusion, "memory": _sums, "text": _sample}[run.settings.task]
    draw(path, run)


def _forecast(path, run):
    """The truth, both forecasts one step ahead, and below them their errors."""
    dataset = run.dataset
    batch = next(iter(dataset.test_batches()))
    truth = dataset.unscale(batch.targets[dataset.run_in :, 0, 0])
    both = [dataset.unscale(side[0][dataset.run_in :, 0, 0]) for side in (run.predictions, run.torch_predictions)]
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    values, errors = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    x = time_axis(errors, dataset.labels, dataset.split)
    thinner = SCRATCH | dict(linewidth=3.5)
    for axes, minus in ((values, 0), (errors, truth)):
        axes.plot(x, both[0] - minus, **thinner)
        axes.plot(x, both[1] - minus, **TORCH | dict(linewidth=1))
        axes.margins(x=0)
    values.plot(x, truth, color="black", linewidth=0.8, label="truth")
    errors.axhline(0, color="black", linewidth=0.8)
    values.set_ylabel(short(dataset.column, 30))
    errors.set_ylabel("forecast - truth")
    error = _numbers("mean absolute error", [np.abs(side - truth).mean() for side in both], "{:.4g}")
    words, _ = agree(run.predictions, run.torch_predictions)
    _headline(figure, run, "forecasts one step ahead", f"{error}; the two forecasts are {words}")
    figure.legend(*values.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    save(figure, path)


def _confusion(path, run):
    """The confusion matrix in per cent of each true class; a second one if the models differ."""
    dataset, C = run.dataset, len(run.dataset.classes)
    truth = np.concatenate([batch.targets for batch in dataset.test_batches()])
    guesses = [np.concatenate(side).argmax(axis=1) for side in (run.predictions, run.torch_predictions)]
    words, same = agree(run.predictions, run.torch_predictions)
    shown = {"both models": guesses[0]} if same else dict(zip(("scratch", "torch"), guesses, strict=True))
    figure = Figure(figsize=(WIDTH, 6.6 * len(shown) + 0.6), layout="constrained")
    for axes, (name, predicted) in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown.items(), strict=True):
        counts = np.bincount(truth * C + predicted, minlength=C * C).reshape(C, C)
        _draw_matrix(axes, 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), dataset.classes)
        axes.set_title(f"{name}: {100 * (truth == predicted).mean():.1f} % correct")
    differ = (guesses[0] != guesses[1]).sum()
    differ = (
        f"{differ:,} of {len(truth):,} names get different classes" if differ else "all predicted classes are the same"
    )
    what = "predicted classes, in per cent of each true class"
    _headline(figure, run, what, f"the outputs of both models are {words}; {differ}")
    save(figure, path)


def _draw_matrix(axes, share, classes):
    """share (C, C): per cent of each true class, a row each."""
    C = len(classes)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if C <= 20:  # in more cells the numbers would overlap
        for row, column in np.argwhere(share.round() >= 1):
            colour = "white" if share[row, column] > 55 else "black"
            axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=colour)
    ticks = range(0, C, -(-C // 36))
    names = [short(classes[k]) for k in ticks]
    axes.set_xticks(ticks, names, rotation=90)
    axes.set_yticks(ticks, names)
    axes.set(xlabel="predicted class (below 1 % left blank)", ylabel="true class")


def _sums(path, run):
    """The adding problem: predicted against true sum."""
    truth = np.concatenate([batch.targets[:, 0] for batch in run.dataset.test_batches()])
    both = [np.concatenate(side)[:, 0] for side in (run.predictions, run.torch_predictions)]
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(truth, both[0], ".", color=SCRATCH["color"], markersize=8, alpha=0.55, label=SCRATCH["label"])
    axes.plot(truth, both[1], ".", color=TORCH["color"], markersize=2.5, label=TORCH["label"])
    axes.plot([0, 2], [0, 2], color="black", linewidth=1, label="correct")
    axes.axhline(1, **BASELINES[0], label="always 1 (baseline)")
    axes.set(xlabel="true sum", ylabel="predicted sum")
    error = _numbers("mean squared error", [np.mean((side - truth) ** 2) for side in both], "{:.2g}")
    words, _ = agree(run.predictions, run.torch_predictions)
    _headline(figure, run, "predicted sums", f"{error}; the two predictions are {words}")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    save(figure, path)


def _sample(path, run):
    """The text that both models write: once if it is the same, else twice with the first difference marked."""
    ours, theirs = sample_text.both(run)
    place = sample_text.first_difference(ours, theirs)
    shown = {"": ours} if place is None else {"scratch (NumPy, by hand)": ours, "torch (autograd)": theirs}
    width = 108 if place is None else 52
    lines = [wrap(text, width) for text in shown.values()]
    rows = min(32, max(map(len, lines)))
    figure = Figure(figsize=(WIDTH, 0.165 * rows + 0.7), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for side, name, lines_of_side in zip(axes, shown, lines, strict=True):
        side.set_axis_off()
        side.set_ylim(rows, 0)
        side.set_title(name, loc="left")
        for row, (start, line) in enumerate(lines_of_side[:rows]):
            write = partial(side.text, 0, row, family="monospace", va="top")
            write(s=line)
            if place is not None and start <= place < start + max(len(line), 1):
                write(s=" " * (place - start) + "\N{FULL BLOCK}", color=VERMILION, alpha=0.5)
    same = "identical" if place is None else f"the same up to character {place}, which is marked"
    _headline(figure, run, "text written by both models from the same random numbers", f"the two texts are {same}")
    save(figure, path)


def _headline(figure, run, what, sentence):
    figure.suptitle(f"{run.title}: {what}\n{sentence}", x=0.01, ha="left")


def wrap(text: str, width: int) -> list[tuple[int, str]]:
    """Cut a text at line ends, then at spaces, into (start, line) with at most `width` characters per line."""
    rows, start = [], 0
    for line in text.split("\n"):
        while len(line) > width:
            cut = line.rfind(" ", 1, width + 1)
            cut = width if cut < 0 else cut
            rows.append((start, line[:cut]))
            rest = line[cut:].removeprefix(" ")
            start, line = start + len(line) - len(rest), rest
        rows.append((start, line))
        start += len(line) + 1
    return rows


def agree(ours: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[str, bool]:
    """In words how close both models' predictions are, and whether they are the same but for rounding."""
    ours, theirs = (np.concatenate([p.ravel() for p in side]) for side in (ours, theirs))
    gap = np.abs(ours - theirs).max()
    if gap == 0:
        return "identical", True
    relative = gap / np.abs(theirs).max()
    if relative <= agreement.tolerance(theirs.dtype):
        return f"equal within rounding (largest relative difference {relative:.0e})", True
    return f"different (largest relative difference {relative:.1e})", False


def _numbers(what, both, form):
    """Two numbers in words: once if they read the same."""
    ours, theirs = map(form.format, both)
    return f"{what} {ours}" if ours == theirs else f"{what}: scratch {ours}, torch {theirs}"


# ---- dates ----------------------------------------------------------------------------------------------------------

TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S")
DAYS = ("%Y-%m", "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")


def time_axis(axes: Axes, labels: list[str], first: int) -> np.ndarray:
    """Set the ticks of an x axis that shows the values from `first` on; return where on it these values belong.

    Dates and increasing numbers get an axis of their own; other labels are written under some of the values.
    """
    if (found := dates(labels)) is not None:
        locator = matplotlib.dates.AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(matplotlib.dates.ConciseDateFormatter(locator))
        return matplotlib.dates.date2num(found[first:])
    if (found := numbers(labels)) is not None:
        return found[first:]
    places = np.unique(np.linspace(first, len(labels) - 1, 6)[1:-1].astype(int))
    axes.set_xticks(places, [short(labels[k], 20 if labels[k].isascii() else 9) for k in places])
    return np.arange(first, len(labels))


def dates(labels: list[str]) -> list[datetime] | None:
    """The labels as dates: in the first format that reads them all and in which time runs forward. None: no such."""
    for day in DAYS:
        for time in TIMES:
            try:
                found = [datetime.strptime(label, day + time) for label in labels]
            except ValueError:
                continue
            if all(a <= b for a, b in pairwise(found)):
                return found
    return None


def numbers(labels: list[str]) -> np.ndarray | None:
    """The labels as numbers, if they are and increase."""
    try:
        found = np.array([float(label) for label in labels])
    except ValueError:
        return None
    return found if np.isfinite(found).all() and (np.diff(found) > 0).all() else None
