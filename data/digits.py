"""Predict the class of a sequence of measurements, by default of a handwritten digit read row by row."""

import gzip
from pathlib import Path

import numpy as np

from data.baselines import nearest
from data.errors import UserError
from data.labelled import LONGEST, Labelled
from data.reading import read_text
from data.table import MISSING, number

ROW = 8  # pixels per row of our images


class Digits(Labelled):
    """Images as sequences of rows, or the user's own sequences; the target is the class.

    `path`: a text file with a sequence per line, first its class, then its values, one per step, separated by commas,
    semicolons, tabs or blanks (as in the UCR time series archive); the lines may have different lengths. None for
    images of 8 x 8 pixels: 8 steps of 8 values. Models see (value - mean) / std of the training part.
    """

    name = "digits"
    vocab_size = None
    entry = "sequence"

    def __init__(self, path=None, *, seed=0, batch_size=32, dtype=np.float32):
        if path is None:
            raw = (Path(__file__).parent / "digits.csv.gz").read_bytes()
            text, self.input_size = gzip.decompress(raw).decode(), ROW
        else:
            text, self.input_size = read_text(path), 1
        self.dtype = dtype
        train, test = self.split(path, by_class(path, text), seed, batch_size)
        everything = np.concatenate(train)
        with np.errstate(all="ignore"):
            self.mean, self.std = float(everything.mean()), float(everything.std())
        if everything.min() == everything.max():
            raise UserError(f"{path}: all values to train on are equal, nothing to learn; use another file")
        self.train_sequences, self.test_sequences = ([self.standardize(v) for v in part] for part in (train, test))
        if not all(np.isfinite(s).all() for s in (self.mean, self.std, *self.train_sequences, *self.test_sequences)):
            raise UserError(f"{path}: values too far apart, or too close, to standardize; use another unit")
        self.baselines = self._baselines()

    def standardize(self, values):
        """(T * F,) values -> (T, F)."""
        with np.errstate(all="ignore"):
            return ((values - self.mean) / self.std).astype(self.dtype).reshape(-1, self.input_size)

    def encode(self, line):
        """A line of values, without a class -> (T, F) as a model reads it. Raises UserError."""
        mark = "," if "," in line else None
        _, values = parse(None, 1, f"?{mark or ' '}{line}", mark)
        if len(values) % self.input_size:
            raise UserError(f"{len(values)} values are no rows of {self.input_size}; give all values of a sequence")
        return self.standardize(values)

    def _baselines(self):
        """Compare whole sequences, number by number; after its end a sequence counts as the mean of all values."""
        longest = max(map(len, self.train_sequences + self.test_sequences))
        train, test = (
            np.stack([np.pad(s, ((0, longest - len(s)), (0, 0))).ravel().astype(np.float64) for s in part])
            for part in (self.train_sequences, self.test_sequences)
        )
        means = np.stack([train[self.train_classes == c].mean(axis=0) for c in range(self.output_size)])
        guesses = {
            "nearest class mean": nearest(means, test),
            "nearest neighbour": self.train_classes[nearest(train, test)],
        }
        return {label: float((guess == self.test_classes).mean()) for label, guess in guesses.items()}


def by_class(path, text):
    """dict: class -> its sequences, a list of (length,) float64, both in the order of the file. Raises UserError."""
    lines = [(k, line) for k, line in enumerate(text.split("\n"), start=1) if line.strip()]
    mark = next((mark for mark in ",;\t" if lines and mark in lines[0][1]), None)  # None: blanks
    found = {}
    for k, line in lines:
        label, values = parse(path, k, line, mark)
        found.setdefault(label, []).append(values)
    if len(found) < 2:
        raise UserError(f"{path}: has {len(found)} classes; write one sequence per line, first its class")
    return found


def parse(path, k, line, mark):
    """Line k -> (class, (length,) float64). Missing values at its end only fill it up to the longest."""
    label, *texts = (text.strip() for text in line.split(mark))
    where = f"{path}: line {k}" if path else "these values"
    while texts and texts[-1].casefold() in MISSING:
        texts.pop()
    if not label or not texts:
        raise UserError(f"{where}: has no {'values' if label else 'class'}; write the class first, then the values")
    if len(texts) > LONGEST:
        raise UserError(f"{where}: has {len(texts):,} values, more than {LONGEST:,}; write one sequence per line")
    values = [number(text, ".") for text in texts]
    for text, value in zip(texts, values, strict=True):
        if value is None or not np.isfinite(value):
            raise UserError(f"{where}: {text!r} is not a number; write the class first, then the values, as 1234.5")
    return label, np.array(values)
