"""Predict the next value of a series of measurements."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from data.baselines import lag_error, seasonal_lag
from data.batch import Batch
from data.errors import UserError, printable
from data.table import read_column

LONGEST_LAG = 400


class Series:
    """One column of numbers in time order; at each step the target is the next value.

    The first 80 % are for training, the last 20 % for testing. Models see (value - mean) / std of the
    training part. `path`: a CSV file with column names in its first line; None for monthly sunspot numbers.

    labels    one str per value for the x axis: the first column, or row numbers from 1
    run_in    the number of steps at the start of the test sequence whose targets are training values: they only
              bring the state up to date, and score() drops them
    """

    lacks: ClassVar = {}
    name = "series"
    predict = "each"
    carry_state = False
    vocab_size = None
    input_size = output_size = 1
    better = "lower"

    def __init__(self, path=None, *, column=None, seed=0, batch_size=32, window=96, dtype=np.float32):
        if path is None:
            if column is not None:
                raise UserError("--column is a column of your own CSV file; add --data FILE.csv, or leave it out")
            path, column = Path(__file__).parent / "sunspots.csv", "sunspots"
        self.column, self.values, self.labels = read_column(path, column)
        self.seed, self.batch_size, self.window, self.dtype = seed, batch_size, window, dtype
        self.metric = f"mean absolute error ({printable(self.column)})"

        self.split = split = len(self.values) * 8 // 10
        needed = -(-10 * max(window + 1, 4) // 8)
        if len(self.values) < needed:
            raise UserError(
                f"{path}: has {len(self.values)} values, but window {window} needs {needed}; "
                "use a longer series or a smaller --window"
            )
        self._standardize(path)

        self.run_in = min(window, split - 1)
        # Windows start every `stride` values, from an offset drawn for each epoch.
        starts = split - window  # a window must leave one training value for its last target
        self.stride = min(max(1, window // 4), starts)
        self.windows = starts // self.stride
        self.steps_per_epoch = -(-self.windows // batch_size)

    def _standardize(self, path):
        """Set mean, std, scaled and baselines. Raises UserError if the values do not allow it."""
        split, train = self.split, self.values[: self.split]
        # Not `std == 0`: the mean of equal values may differ from them in the last bit.
        if train.min() == train.max():
            raise UserError(f"{path}: {self.column} is constant over the first 80 %, nothing to learn; use another")
        with np.errstate(all="ignore"):
            lag = seasonal_lag(train, min(split // 2, LONGEST_LAG))
            self.mean, self.std = float(train.mean()), float(train.std())
            self.scaled = ((self.values - self.mean) / self.std).astype(self.dtype)
            self.baselines = {
                "repeat the last value": lag_error(self.values, split, 1),
                f"same as {lag} steps before": lag_error(self.values, split, lag),
            }
        if not np.isfinite([self.std, *self.baselines.values()]).all() or not np.isfinite(self.scaled).all():
            raise UserError(f"{path}: {self.column}: too far apart, or too close, to standardize; use another unit")

    def unscale(self, values):
        """Standardized values -> the column's own unit, float64."""
        return np.asarray(values, dtype=np.float64) * self.std + self.mean

    def train_batches(self, epoch):
        """Batches of overlapping windows: inputs (T, B, 1), and targets (T, B, 1) one step later."""
        rng = np.random.default_rng([self.seed, epoch])
        starts = rng.integers(self.stride) + self.stride * rng.permutation(self.windows)
        for i in range(0, self.windows, self.batch_size):
            steps = np.arange(self.window)[:, None] + starts[i : i + self.batch_size]  # (T, B)
            yield Batch(self.scaled[steps, None], self.scaled[steps + 1, None])

    def test_batches(self):
        """One Batch of one sequence (T, 1, 1): run_in steps, then one per value of the test part."""
        sequence = self.scaled[self.split - 1 - self.run_in :, None, None]
        yield Batch(sequence[:-1].copy(), sequence[1:].copy())

    def score(self, predictions, batch):
        """Predictions (T, 1, 1) for the test batch -> (sum of |error| in the column's unit, number of errors).

        The first run_in steps do not count.
        """
        error = self.unscale(predictions) - self.unscale(batch.targets)
        error = error[self.run_in :]
        return float(np.abs(error).sum()), error.size
