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
FORMAT = "each line is a class, then the values of one sequence; no line of names"


class Digits(Labelled):
    """Images as sequences of rows, or the user's own sequences; the target is the class.

    `path`: a text file with a sequence per line, first its class, then its values, one per step, separated by tabs,
    semicolons, commas or blanks (as in the UCR time series archive); the lines may have different lengths. None for
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
        separator, decimal = marks(line)
        values = parse("the sequence", line.split(separator), decimal, "give its values, separated by commas or blanks")
        if len(values) % self.input_size:
            raise UserError(f"{len(values)} values do not fill rows of {self.input_size}; give all pixels, row by row")
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
    lines = [(f"{path}: line {k}", line) for k, line in enumerate(text.split("\n"), start=1) if line.strip()]
    separator, decimal = marks(text)
    found = {}
    for where, line in lines:
        label, *texts = line.split(separator)
        if not label.strip():
            raise UserError(f"{where}: has no class; {FORMAT}")
        found.setdefault(label.strip(), []).append(parse(where, texts, decimal, FORMAT))
    if len(found) < 2:
        raise UserError(f"{path}: has {'only one class' if found else 'no classes'}; {FORMAT}")
    return found


def marks(text):
    """What separates the values, None for blanks, and the decimal mark: a comma only if it separates nothing."""
    first_line = text.strip().split("\n", 1)[0]
    separator = next((mark for mark in "\t;," if mark in first_line), None)
    return separator, "," if separator != "," and "," in text else "."


def parse(where, texts, decimal, fix):
    """The values of a sequence, (length,) float64. Missing ones at its end only fill it up to the longest."""
    texts = [text.strip() for text in texts]
    while texts and texts[-1].casefold() in MISSING:
        texts.pop()
    if not texts:
        raise UserError(f"{where}: has no values; {fix}")
    if len(texts) > LONGEST:
        raise UserError(f"{where}: has {len(texts):,} values, more than {LONGEST:,}; {fix}")
    values = [number(text, decimal) for text in texts]
    for text, value in zip(texts, values, strict=True):
        if value is None or not np.isfinite(value):
            raise UserError(f"{where}: {text!r} is not a number; {fix}")
    return np.array(values)
