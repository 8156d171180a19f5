"""Read the labels of a series as dates or numbers."""

from datetime import datetime
from itertools import pairwise

import numpy as np

CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")
TIMES = ("", *(f"{mark}{clock}{zone}" for mark in " T" for clock in CLOCKS for zone in ("", "%z")))
DAYS = ("%Y-%m", "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%b %d, %Y")


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
