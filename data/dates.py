"""Read the labels of a series as dates or numbers."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import pairwise

import numpy as np

CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")
TIMES = ("", *(f"{mark}{clock}{zone}" for mark in " T" for clock in CLOCKS for zone in ("", "%z")))
DAYS = ("%Y-%m", "%Y-%m-%d", "%Y/%m/%d", "%Y%m%d")
DAYS += tuple(
    f"{a}{mark}{b}{mark}{year}" for mark in "./-" for a, b in (("%d", "%m"), ("%m", "%d")) for year in ("%Y", "%y")
)
DAYS += tuple(f"%d{mark}{month}{mark}{year}" for mark in " -" for month in ("%b", "%B") for year in ("%Y", "%y"))
DAYS += ("%b %d, %Y", "%B %d, %Y", "%A, %d %B %Y")


def dates(labels: list[str]) -> list[datetime] | None:
    """The labels as dates: in the first format that reads them all and in which time runs forward. None: no such."""
    return next((found for found in readings(labels) if all(a <= b for a, b in pairwise(found))), None)


def readings(labels: list[str]) -> Iterator[list[datetime]]:
    """The labels as dates, in each format that reads them all. 20240131 is a date, 123456 a number."""
    for day in DAYS if not labels[0].isdecimal() or all(len(label) == 8 for label in labels) else ():
        for time in TIMES:
            with suppress(ValueError):
                yield [datetime.strptime(label, day + time) for label in labels]


def out_of_order(labels: list[str]) -> tuple[str, str] | None:
    """Two dates of which the second should come first, in the format in which time runs forward longest; else None.

    Whole numbers that fall by 1 from row to row, such as years, are dates, too.
    """
    if all(label.isdecimal() for label in labels) and all(int(a) - int(b) == 1 for a, b in pairwise(labels)):
        return (labels[0], labels[1]) if len(labels) > 2 else None
    first = [next((k for k, (a, b) in enumerate(pairwise(found)) if a > b), None) for found in readings(labels)]
    if not first or None in first:
        return None
    return labels[max(first)], labels[max(first) + 1]


def numbers(labels: list[str]) -> np.ndarray | None:
    """The labels as numbers, if they are and increase."""
    try:
        found = np.array([float(label) for label in labels])
    except ValueError:
        return None
    return found if np.isfinite(found).all() and (np.diff(found) > 0).all() else None
