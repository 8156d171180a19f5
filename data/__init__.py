"""Five sequence tasks as batches of NumPy arrays, shared by both implementations. See Dataset for the contract."""

from inspect import signature

import numpy as np

from data.batch import Batch
from data.dataset import Dataset
from data.digits import Digits
from data.errors import UserError
from data.memory import Memory
from data.names import Names
from data.series import Series
from data.text import Text

DATASETS = {"text": Text, "names": Names, "series": Series, "digits": Digits, "memory": Memory}
TASKS = tuple(DATASETS)

# How to read the data: the options of `load` that only some tasks have, and why the others have not.
READING = {
    "tokens": "only a text is cut into tokens",
    "column": "only a CSV file has columns",
    "inputs": "only a CSV file has columns",
    "missing": "only a CSV file has missing values",
    "difference": "only a series has neighbouring values",
}

__all__ = [
    "READING",
    "TASKS",
    "Batch",
    "Dataset",
    "Digits",
    "Memory",
    "Names",
    "Series",
    "Text",
    "UserError",
    "check_task",
    "load",
]


def load(
    task: str,
    path: str | None = None,
    *,
    seed: int = 0,
    batch_size: int | None = None,
    window: int | None = None,
    dtype: np.dtype = np.float32,
    **reading,
) -> Dataset:
    """The dataset for one of TASKS.

    path         the user's own data: a text file, a directory of names, a CSV file or a file of labelled sequences;
                 None for the project's own
    seed         at least 0, fixes every random choice
    batch_size   B, and
    window       T: at least 1, None for the task's default
    dtype        of floats in batches; ids are always int64
    reading      options named in READING, as the task's class describes them; None for those that are not given

    Raises UserError for anything that cannot be used.
    """
    check_task(task)
    for option, value, least in (("seed", seed, 0), ("batch size", batch_size, 1), ("window", window, 1)):
        if value is not None and value < least:
            raise UserError(f"{option} {value} is too small; use {least} or more")
    options = dict(**reading, path=path, batch_size=batch_size, window=window)
    given = {name: value for name, value in options.items() if value is not None}
    has = signature(DATASETS[task]).parameters
    for name in given:
        if name not in has:
            reason = DATASETS[task].lacks.get(name) or READING[name]
            raise UserError(f"{task} has no --{'data' if name == 'path' else name} ({reason}); leave it out")
    return DATASETS[task](**given, seed=seed, dtype=dtype)


def check_task(task: str) -> None:
    """Raise UserError unless this is one of TASKS."""
    if task not in TASKS:
        raise UserError(f"there is no task {task!r}; choose one of: {', '.join(TASKS)}")
