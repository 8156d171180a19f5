"""Predict the next value of a series of measurements."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from data.baselines import lag_errors, seasonal_lag
from data.batch import Batch
from data.errors import UserError, printable
from data.table import read_columns

LONGEST_LAG = 400


class Series:
    """Columns of numbers in time order; at each step the targets are the next values of some of them.

    The first 80 % are for training, the last 20 % for testing. Models see (value - mean) / std of the training part.
    `path`: a CSV file with column names in its first line; None for monthly sunspot numbers.

    column      what to predict: one column or several, separated by commas; None for the only column of numbers
    inputs      more columns that the model reads; it always reads those it predicts
    missing     "drop" rows with missing values, or "repeat" the last value; such a target is not scored
    difference  read and predict the change from one value to the next: for series that leave the range of their
                training part
    values      (N, I): the targets first, then the other inputs
    labels      one str per value for the x axis: the first column, or row numbers from 1
    run_in      the number of steps at the start of the test sequence whose targets are training values: they only
                bring the state up to date, and score() drops them
    """

    lacks: ClassVar = {}
    name = "series"
    predict = "each"
    carry_state = False
    vocab_size = None
    better = "lower"

    def __init__(
        self,
        path=None,
        *,
        column=None,
        inputs=None,
        missing=None,
        difference=False,
        seed=0,
        batch_size=32,
        window=96,
        dtype=np.float32,
    ):
        self.difference, self.seed, self.dtype = difference, seed, dtype
        self.batch_size, self.window = batch_size, window
        self._read(path, column=column, inputs=inputs, missing=missing)
        self.split = split = len(self.values) * 8 // 10
        self._refuse_too_few(path)
        self._standardize(path)

        self.run_in = min(window, split - 1)
        # Windows start every `stride` values, from an offset drawn for each epoch.
        starts = split - window  # a window must leave one training value for its last target
        self.stride = min(max(1, window // 4), starts)
        self.windows = starts // self.stride
        self.steps_per_epoch = -(-self.windows // batch_size)

    def _read(self, path, **own):
        """Set columns, values, known and labels, and changes: what the model reads, before it is standardized."""
        if path is None:
            for option in (name for name, value in own.items() if value is not None):
                raise UserError(f"--{option} is for your own CSV file; add --data FILE.csv, or leave it out")
            path, own["column"] = Path(__file__).parent / "sunspots.csv", "sunspots"
        table = read_columns(path, **own)
        self.columns, self.output_size, self.input_size = table.names, table.targets, len(table.names)
        self.column = ", ".join(table.names[: table.targets])
        self.values, self.known, self.labels = table.values, table.known[:, : table.targets], table.labels
        self.changes = self.values
        if self.difference:
            with np.errstate(over="ignore"):
                self.changes = np.diff(self.values, axis=0)
            self.values, self.known, self.labels = self.values[1:], self.known[1:], self.labels[1:]

    def _refuse_too_few(self, path):
        """Raise UserError unless both parts have enough values."""
        needed = -(-10 * max(self.window + 1, 4) // 8)
        if len(self.values) < needed:
            what = "differences" if self.difference else "values"
            raise UserError(
                f"{path or 'series'}: has {len(self.values)} {what}, but window {self.window} needs {needed}; "
                "use a longer series or a smaller --window"
            )
        if not self.known[self.split :].any():
            raise UserError(f"{path}: {self.column} has no values in the last 20 %; remove these rows")

    def _standardize(self, path):
        """Set mean, std, scaled, metric and baselines. Raises UserError if the values do not allow it."""
        split, O = self.split, self.output_size
        train = self.changes[:split]
        # Not `std == 0`: the mean of equal values may differ from them in the last bit.
        for name, column in zip(self.columns, train.T, strict=True):
            if column.min() == column.max():
                what = f"the difference of {name}" if self.difference else name
                raise UserError(f"{path}: {what} is constant over the first 80 %, nothing to learn; use another")
        with np.errstate(all="ignore"):
            self.mean, self.std = (np.array([f(column) for column in train.T]) for f in (np.mean, np.std))
            self.scaled = ((self.changes - self.mean) / self.std).astype(self.dtype)
            # Errors of several targets add up only in a common unit.
            self.unit = self.values[:split, :O].std(axis=0) if O > 1 else np.ones(1)
            self.metric = f"mean absolute error{' in standard deviations' * (O > 1)} ({printable(self.column)})"
            self.lags = [seasonal_lag(column, min(split // 2, LONGEST_LAG)) for column in self.values[:split, :O].T]
            each = ", ".join(map(str, dict.fromkeys(self.lags)))
            self.baselines = {
                "repeat the last value": self._lag_error([1] * O),
                f"same as {each} steps before": self._lag_error(self.lags),
            }
        if not np.isfinite([*self.std, *self.baselines.values()]).all() or not np.isfinite(self.scaled).all():
            raise UserError(f"{path}: {self.column}: too far apart, or too close, to standardize; use another unit")

    def _lag_error(self, lags):
        """The metric of the prediction that each target is what it was some steps before."""
        errors = [lag_errors(self.values[:, k], self.split, lag) for k, lag in enumerate(lags)]
        return float((np.stack(errors, axis=1) / self.unit)[self.known[self.split :]].mean())

    def unscale(self, values):
        """Standardized targets (..., O) -> their own units, float64; with `difference` they are changes still."""
        return np.asarray(values, dtype=np.float64) * self.std[: self.output_size] + self.mean[: self.output_size]

    def forecast(self, predictions):
        """Predictions (T, 1, O) for the test batch -> the values (N - split, O) that they predict."""
        predicted = self.unscale(predictions[self.run_in :, 0])
        return predicted + self.values[self.split - 1 : -1, : self.output_size] if self.difference else predicted

    def ahead(self, predictions, starts):
        """Outputs (N, S, O) of models that ran ahead from values at indices `starts` (S,) -> values (N, S, O)."""
        predicted = self.unscale(predictions)
        return predicted.cumsum(axis=0) + self.values[starts, : self.output_size] if self.difference else predicted

    def train_batches(self, epoch):
        """Batches of overlapping windows: inputs (T, B, I), and targets (T, B, O) one step later."""
        rng = np.random.default_rng([self.seed, epoch])
        starts = rng.integers(self.stride) + self.stride * rng.permutation(self.windows)
        for i in range(0, self.windows, self.batch_size):
            steps = np.arange(self.window)[:, None] + starts[i : i + self.batch_size]  # (T, B)
            yield Batch(self.scaled[steps], self.scaled[steps + 1][..., : self.output_size].copy())

    def test_batches(self):
        """One Batch of one sequence, (T, 1, I) and (T, 1, O): run_in steps, then one per value of the test part."""
        sequence = self.scaled[self.split - 1 - self.run_in :, None]
        yield Batch(sequence[:-1].copy(), sequence[1:, :, : self.output_size].copy())

    def score(self, predictions, batch):
        """Predictions (T, 1, O) for the test batch -> (sum of |error| in the metric's unit, number of errors).

        The first run_in steps do not count, nor do targets that the file does not have.
        """
        error = (self.unscale(predictions) - self.unscale(batch.targets)) / self.unit
        error = error[self.run_in :, 0][self.known[self.split :]]
        return float(np.abs(error).sum()), error.size
