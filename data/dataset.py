"""The contract that every dataset keeps, and that the models, the training loops and compare/ rely on."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from data.batch import Batch


@runtime_checkable
class Dataset(Protocol):
    """A task: its batches, its metric and what a simple model achieves.

    lacks             option that other tasks' classes have -> why this one does not, unless data.READING says it
    name              the task
    predict           does a model predict at each step, or after the last one?
    carry_state       is the state at the end of one batch the initial state of the next?
    vocab_size        V if inputs are ids, else None
    input_size        I if inputs are floats, else None
    output_size       V, C (classes) or the number of targets
    metric, better    what `score` measures, and whether a lower or a higher value is better
    baselines         label -> the metric of a simple model on the same test targets
    seed              fixes every random choice
    steps_per_epoch   the number of training batches per epoch
    """

    lacks: ClassVar[dict[str, str]]
    name: str
    predict: Literal["each", "last"]
    carry_state: bool
    vocab_size: int | None
    input_size: int | None
    output_size: int
    metric: str
    better: Literal["lower", "higher"]
    baselines: dict[str, float]
    seed: int
    steps_per_epoch: int

    def train_batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch; they depend only on seed and epoch."""

    def test_batches(self) -> Iterator[Batch]:
        """The test batches, the same at every call."""

    def score(self, predictions: np.ndarray, batch: Batch) -> tuple[float, int]:
        """(total, count) of one test batch: the metric is the sum of totals / the sum of counts over all of them."""
