"""Four sequence tasks as batches of NumPy arrays, shared by both implementations.

Each dataset has

name, predict             predict is "each" (step) or "last"
carry_state               True when the state at the end of one batch is the start of the next
vocab_size, input_size    the one for ids, the other for floats; the one that does not apply is None
output_size               V, C (classes) or 1
train_batches(epoch)      steps_per_epoch Batches that depend on nothing but seed and epoch
test_batches()            the same Batches at every call
score(predictions, batch) -> (total, count): sum of totals / sum of counts over the test batches is `metric`
metric, better            better is "lower" or "higher"
baselines                 dict: label -> what a simple model gets on the same test targets
"""

import numpy as np

from data.batch import Batch
from data.errors import UserError
from data.memory import Memory
from data.names import Names
from data.series import Series
from data.text import Text

TASKS = ("text", "names", "series", "memory")

__all__ = ["TASKS", "Batch", "Memory", "Names", "Series", "Text", "UserError", "load"]


def load(task, path=None, *, column=None, seed=0, batch_size=None, window=None, dtype=np.float32):
    """The dataset for one of TASKS.

    path         the user's own data: a text file, a directory of names or a CSV file; None for ours
    column       which column of that CSV file
    seed         int >= 0, fixes every random choice
    batch_size   B, and
    window       T: None for the task's own choice
    dtype        of floats in batches; ids are always int64

    Raises UserError for whatever cannot be used.
    """
    if task not in TASKS:
        raise UserError(f"there is no task {task!r}; choose one of: {', '.join(TASKS)}")
    if seed < 0:
        raise UserError(f"seed {seed} is negative; use 0 or more")
    sizes = {}
    for option, size in (("batch_size", batch_size), ("window", window)):
        if size is not None:
            if size < 1:
                raise UserError(f"{option.replace('_', ' ')} {size} is too small; use 1 or more")
            sizes[option] = size
    if column is not None and (task != "series" or path is None):
        raise UserError("only your own CSV file has columns; add --data FILE.csv or drop --column")
    if task == "memory" and path is not None:
        raise UserError("the memory task is generated and takes no data of yours; drop --data")
    if task == "names" and window is not None:
        raise UserError("the names task has no window, names are as long as they are; drop --window")

    if task == "text":
        return Text(path, seed=seed, **sizes)
    if task == "names":
        return Names(path, seed=seed, **sizes)
    if task == "series":
        return Series(path, column=column, seed=seed, dtype=dtype, **sizes)
    return Memory(seed=seed, dtype=dtype, **sizes)
