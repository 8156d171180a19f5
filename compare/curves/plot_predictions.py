"""The pictures of what both models predict: one panel for both, unless they differ."""

import re
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import MaxNLocator

from compare import agreement, plots
from compare.curves import sample_text
from compare.curves.time_axis import time_axis
from compare.plots import BASELINES, VERMILION, WIDTH, short

MATRIX = 30  # classes: the names of more do not fit next to a matrix
PAIRS = 25  # of classes, where there are more


def draw(path: Path, run) -> None:
    """What both models of a finished run predict for the held-out data; for text, what they write."""
    pictures = {"series": _forecast, "names": _confusion, "digits": _confusion, "memory": _sums, "text": _sample}
    pictures[run.settings.task](path, run)


def _forecast(path, run):
    """For each target, at most four: the truth, both forecasts one step ahead, and below them their errors."""
    dataset, shown = run.dataset, min(4, run.dataset.output_size)
    both = [dataset.forecast(side[0]) for side in (run.predictions, run.torch_predictions)]
    figure = Figure(figsize=(WIDTH, 4 * shown + 0.6), layout="constrained")
    panels = figure.subplots(2 * shown, 1, sharex=True, height_ratios=(2, 1) * shown)
    x = time_axis(panels[-1], dataset.labels, dataset.split)
    ours, theirs = run.styles
    for k, (values, errors) in enumerate(panels.reshape(shown, 2)):
        truth = np.where(dataset.known[:, k], dataset.values[:, k], np.nan)[dataset.split :]
        for axes, minus in ((values, 0), (errors, truth)):
            axes.plot(x, both[0][:, k] - minus, **ours | dict(linewidth=3.5))
            axes.plot(x, both[1][:, k] - minus, **theirs | dict(linewidth=1))
            axes.margins(x=0)
        values.plot(x, truth, color="black", linewidth=0.8, label="truth")
        errors.axhline(0, color="black", linewidth=0.8)
        values.set_ylabel(short(dataset.columns[k], 30))
        errors.set_ylabel("forecast - truth")
    error = _numbers(run, dataset.metric.split(" (")[0], [values[-1] for values in run.series("test")[1:]], "{:.4g}")
    words, _ = agree(run.predictions, run.torch_predictions)
    _headline(figure, run, "forecasts one step ahead", f"{error}; forecasts {words}")
    figure.legend(*values.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    plots.save(figure, path)


def _confusion(path, run):
    """Which classes are taken for which: a matrix, or beyond MATRIX classes the pairs most often confused."""
    truth = np.concatenate([batch.targets for batch in run.dataset.test_batches()])
    guesses = [np.concatenate(side).argmax(axis=1) for side in (run.predictions, run.torch_predictions)]
    words, same = agree(run.predictions, run.torch_predictions)
    entry = run.dataset.entry
    if len(run.dataset.classes) <= MATRIX:
        figure, what = _matrices(run, truth, guesses, same)
    else:
        figure, what = _confused_pairs(run, truth, guesses)
    count = np.sum(guesses[0] != guesses[1])
    differ = (
        f"{count:,} of {len(truth):,} {entry}s get different classes" if count else f"every {entry} gets the same class"
    )
    _headline(figure, run, what, f"outputs {words}; {differ}")
    plots.save(figure, path)


def _matrices(run, truth, guesses, same):
    """The confusion matrix in per cent of each true class; a second one if the models differ."""
    classes = run.dataset.classes
    C = len(classes)
    shown = {"both models": guesses[0]} if same else dict(zip(run.sides, guesses, strict=True))
    figure = Figure(figsize=(WIDTH, min(6.6, 2 + 0.5 * C) * len(shown) + 0.6), layout="constrained")
    for axes, (name, predicted) in zip(figure.subplots(len(shown), 1, squeeze=False)[:, 0], shown.items(), strict=True):
        counts = np.bincount(truth * C + predicted, minlength=C * C).reshape(C, C)
        _draw_matrix(axes, 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), classes)
        axes.set_title(f"{name}: {_correct(truth, predicted)}")
    return figure, "predicted classes, in per cent of each true class"


def _draw_matrix(axes, share, classes):
    """share (C, C): row k is true class k, in per cent."""
    C = len(classes)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if C <= 20:  # in more cells the numbers would overlap
        for row, column in np.argwhere(share.round() >= 1):
            colour = "white" if share[row, column] > 55 else "black"
            axes.text(column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=colour)
    names = [short(name) for name in classes]
    axes.set_xticks(range(C), names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(C), names)
    axes.set(xlabel="predicted class (below 1 % left blank)", ylabel="true class")


def _confused_pairs(run, truth, guesses):
    """How many entries of one class are taken for another, by both models: the PAIRS largest counts."""
    classes, entry, (scratch, torch) = run.dataset.classes, run.dataset.entry, run.styles
    C = len(classes)
    counts = []  # of each model: true class * C + predicted class -> number of entries
    for predicted in guesses:
        wrong = predicted != truth
        counts.append(Counter((truth[wrong] * C + predicted[wrong]).tolist()))
    pairs = [pair for pair, _ in (counts[0] | counts[1]).most_common(PAIRS)]
    figure = Figure(figsize=(WIDTH, 0.2 * max(len(pairs), 5) + 1.5), layout="constrained")
    axes = figure.subplots()
    places, (ours, theirs) = range(len(pairs)), ([count[pair] for pair in pairs] for count in counts)
    bars = axes.barh(places, ours, color=scratch["color"], alpha=scratch["alpha"], label=scratch["label"])
    (dots,) = axes.plot(theirs, places, "o", color=torch["color"], markersize=4, label=torch["label"])
    names = (map(classes.__getitem__, divmod(pair, C)) for pair in pairs)
    axes.set_yticks(places, [f"{short(true)} \N{RIGHTWARDS ARROW} {short(guess)}" for true, guess in names])
    axes.invert_yaxis()
    axes.set_xlim(0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.set(
        xlabel=f"number of {entry}s ({len(truth):,} are held out)", ylabel="true \N{RIGHTWARDS ARROW} predicted class"
    )
    right = [_correct(truth, predicted) for predicted in guesses]
    axes.set_title(f"{C:,} classes: {run.sides[0]} {right[0]}, {run.sides[1]} {right[1]}")
    figure.legend(handles=[bars, dots], loc="outside lower center", ncols=2, frameon=False)
    return figure, "the pairs of classes most often confused"


def _correct(truth, predicted):
    return f"{100 * (truth == predicted).mean():.1f} % correct"


def _sums(path, run):
    """The adding problem: predicted against true sum."""
    truth = np.concatenate([batch.targets[:, 0] for batch in run.dataset.test_batches()])
    both = [np.concatenate(side)[:, 0] for side in (run.predictions, run.torch_predictions)]
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axes = figure.subplots()
    for side, style, size in zip(both, run.styles, (8, 2.5), strict=True):
        axes.plot(truth, side, ".", markersize=size, **{k: style[k] for k in ("color", "alpha", "label") if k in style})
    axes.plot([0, 2], [0, 2], color="black", linewidth=1, label="correct")
    axes.axhline(1, **BASELINES[0], label="always 1 (baseline)")
    axes.set(xlabel="true sum", ylabel="predicted sum")
    error = _numbers(run, "mean squared error", [np.mean((side - truth) ** 2) for side in both], "{:.2g}")
    words, _ = agree(run.predictions, run.torch_predictions)
    _headline(figure, run, "predicted sums", f"{error}; predictions {words}")
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    plots.save(figure, path)


def _sample(path, run):
    """The text that both models write: once if it is the same, else twice with the first difference marked."""
    ours, theirs = sample_text.both(run.pair, run.dataset, run.settings.seed)
    place = sample_text.first_difference(ours, theirs)
    shown = {"": ours} if place is None else dict(zip((s["label"] for s in run.styles), (ours, theirs), strict=True))
    font = get_font(findfont("monospace"))
    lacks = not all(font.get_char_index(ord(c)) for c in set("".join(ours.split())))
    width = (108 if place is None else 52) // (1 + lacks)  # a box is wider than a character
    lines = [wrap(text, width) for text in shown.values()]
    rows = min(40, max(map(len, lines)))
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
    same = "identical" if place is None else f"the same up to character {place}"
    if lacks:
        same += "; a box is a character that the font lacks (byhand predict prints a text)"
    _headline(figure, run, "text written by both models from the same random numbers", f"the two texts are {same}")
    plots.save(figure, path)


def _headline(figure, run, what, sentence):
    figure.suptitle(f"{run.title}: {what}\n{sentence}", x=0.01, ha="left")


def wrap(text: str, width: int) -> list[tuple[int, str]]:
    """Cut a text at line ends, then at spaces, into (start, line) with at most `width` characters per line."""
    one_line = rf"(.{{0,{width}}})\n|(.{{1,{width}}}) |(.{{{width}}})"  # the rest of it, up to a space, or cut
    return [(found.start(), "".join(filter(None, found.groups()))) for found in re.finditer(one_line, f"{text}\n")]


def agree(ours: list[np.ndarray], theirs: list[np.ndarray]) -> tuple[str, bool]:
    """In words how close both models' predictions are, and whether they are the same but for rounding."""
    ours, theirs = (np.concatenate([p.ravel() for p in side]) for side in (ours, theirs))
    gap = np.abs(ours - theirs).max()
    if gap == 0:
        return "identical", True
    relative = gap / np.abs(theirs).max()
    if relative <= agreement.tolerance(theirs.dtype):
        return f"equal within rounding (relative difference {relative:.0e})", True
    return f"different (relative difference {relative:.1e})", False


def _numbers(run, what, both, form):
    """Two numbers in words: once if they read the same."""
    ours, theirs = map(form.format, both)
    return f"{what} {ours}" if ours == theirs else f"{what}: {run.sides[0]} {ours}, {run.sides[1]} {theirs}"
