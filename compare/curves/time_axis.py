"""The x axis of a series: dates where its labels are dates."""

from datetime import datetime
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

from compare.plots import short

TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S")
DAYS = ("%Y-%m", "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")


def time_axis(axes: Axes, labels: list[str], first: int) -> np.ndarray:
    """Set the ticks of an x axis that shows the values from `first` on; return where on it these values belong.

    Dates and increasing numbers get an axis of their own; other labels are written under some of the values.
    """
    if (found := dates(labels)) is not None:
        locator = AutoDateLocator(maxticks=8)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        return date2num(found[first:])
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
