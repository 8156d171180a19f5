"""The x axis of a series: dates where its labels are dates."""

import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from compare.plots import short
from data.dates import dates, numbers


def time_axis(axes: Axes, labels: list[str], first: int) -> np.ndarray:
    """Set the ticks of an x axis that shows the values from `first` on; return where on it these values belong.

    Dates and increasing numbers get an axis of their own. Other labels are written under some of the values, unless
    they are numbers: those are data, not labels.
    """
    if (found := dates(labels)) is not None:
        locator = AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        return date2num(found[first:])
    if (found := numbers(labels)) is not None:
        return found[first:]
    if all(re.fullmatch(r"[-+\d.,' eE]+", label) for label in labels):
        return np.arange(first, len(labels))
    places = np.unique(np.linspace(first, len(labels) - 1, 6)[1:-1].astype(int))
    axes.set_xticks(places, [short(labels[k], 20 if labels[k].isascii() else 9) for k in places])
    return np.arange(first, len(labels))
