"""Forecasts of several steps: after reading a series both models run ahead, each on its own outputs."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from compare import plots
from compare.curves.plot_predictions import agree
from compare.curves.sample_text import as_array
from compare.curves.time_axis import time_axis
from compare.plots import BASELINES, WIDTH, short
from data import Series, UserError

MOST_STARTS = 50  # places of the held-out part from which the models run ahead
SHOWN = 4  # of them, in the picture


def check(dataset: Series, horizon: int) -> None:
    """Raise UserError unless the held-out part has so many values."""
    held_out = len(dataset.values) - dataset.split
    if horizon > held_out:
        raise UserError(f"--horizon {horizon} is longer than the {held_out} held-out values; use a smaller one")


def start_places(dataset: Series, horizon: int) -> np.ndarray:
    """The indices, evenly spaced, of the last value that the models read; `horizon` held-out values follow each."""
    return np.unique(np.linspace(dataset.split - 1, len(dataset.values) - 1 - horizon, MOST_STARTS).astype(int))


def both(pair, dataset: Series, starts: np.ndarray, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """The standardized outputs (horizon, S, O) of the scratch model and of the torch model."""
    return run_ahead(pair.scratch, dataset, starts, horizon), run_ahead(pair.torch, dataset, starts, horizon)


@torch.no_grad()
def run_ahead(model, dataset: Series, starts: np.ndarray, horizon: int) -> np.ndarray:
    """Let either SequenceModel read the values before each of `starts` (S,), that one included, then its own outputs.

    Returns these, (horizon, S, O).
    """
    read = starts + np.arange(1 - dataset.run_in, 1)[:, None]  # (T, S)
    prediction, state = model.logits(dataset.scaled[read])
    outputs = [as_array(prediction)[-1:]]
    while len(outputs) < horizon:
        prediction, state = model.logits(outputs[-1], state=state)
        outputs.append(as_array(prediction))
    return np.concatenate(outputs)


def errors(dataset: Series, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The metric of forecasts (horizon, S, O) by horizon, (horizon,): nan where the file has no value to compare."""
    places = starts + np.arange(1, len(values) + 1)[:, None]  # (horizon, S)
    off = np.abs(values - dataset.values[places][..., : dataset.output_size]) / dataset.unit
    known = dataset.known[places]
    with np.errstate(invalid="ignore"):
        return np.where(known, off, 0).sum(axis=(1, 2)) / known.sum(axis=(1, 2))


def baselines(dataset: Series, starts: np.ndarray, horizon: int) -> dict[str, np.ndarray]:
    """The forecasts (horizon, S, O) of the dataset's baselines: a lag is repeated as often as needed."""
    ahead = np.arange(1, horizon + 1)[:, None]  # (horizon, 1)

    def repeated(lags):
        columns = [dataset.values[starts + ahead - lag * -(-ahead // lag), k] for k, lag in enumerate(lags)]
        return np.stack(columns, axis=-1)

    return dict(zip(dataset.baselines, map(repeated, ([1] * dataset.output_size, dataset.lags)), strict=True))


def draw(path: Path, run) -> None:
    """The picture of a finished run of series: some forecasts, and the error by horizon next to the baselines'."""
    dataset, horizon = run.dataset, run.settings.horizon
    starts = start_places(dataset, horizon)
    outputs = both(run.pair, dataset, starts, horizon)
    forecasts = [dataset.ahead(side, starts) for side in outputs]
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    above, below = figure.subplots(2, 1)
    _draw_forecasts(above, run, forecasts, starts)
    _draw_errors(below, run, forecasts, starts)
    words, _ = agree([outputs[0]], [outputs[1]])
    figure.suptitle(f"{run.title}: both models run ahead on their own outputs\nforecasts {words}", x=0.01, ha="left")
    handles = {label: handle for handle, label in zip(*below.get_legend_handles_labels(), strict=True)}
    handles["truth"] = above.lines[0]
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=3, frameon=False)
    plots.save(figure, path)


def _draw_forecasts(axes, run, forecasts, starts):
    """The held-out part of the first target, and SHOWN forecasts of both models."""
    dataset, first = run.dataset, run.dataset.split - 1
    x = time_axis(axes, dataset.labels, first)
    truth = np.where(dataset.known[:, 0], dataset.values[:, 0], np.nan)[first:]
    axes.plot(x, truth, color="black", linewidth=0.8, label="truth")
    for k in np.unique(np.linspace(0, len(starts) - 1, SHOWN).astype(int)):
        ahead = x[starts[k] + 1 - first :][: run.settings.horizon]
        for side, style, width in zip(forecasts, run.styles, (3.5, 1), strict=True):
            marker = dict(marker="o", markersize=2 * width) if run.settings.horizon == 1 else {}
            axes.plot(ahead, side[:, k, 0], **style | dict(linewidth=width) | marker)
    axes.margins(x=0.02 if run.settings.horizon == 1 else 0)
    axes.set_ylabel(short(dataset.columns[0], 30))


def _draw_errors(axes, run, forecasts, starts):
    """The error of the baselines and of both models by horizon."""
    dataset, horizon = run.dataset, run.settings.horizon
    steps, marker = np.arange(1, horizon + 1), "o" if horizon == 1 else None
    for (label, values), style in zip(baselines(dataset, starts, horizon).items(), BASELINES, strict=False):
        axes.plot(steps, errors(dataset, values, starts), marker=marker, **style | dict(label=label))
    for side, style, size in zip(forecasts, run.styles, (9, 4), strict=True):
        axes.plot(steps, errors(dataset, side, starts), marker=marker, markersize=size, **style)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    measure = dataset.metric.split(" (")[0].replace(" in ", "\nin ")
    axes.set(xlabel=f"steps ahead (mean of {len(starts)} starts)", ylabel=measure)
