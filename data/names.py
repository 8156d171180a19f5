"""Predict from a surname which language it comes from."""

import unicodedata
from pathlib import Path

import numpy as np

from data.baselines import Bigrams
from data.errors import UserError
from data.labelled import LONGEST, Labelled
from data.reading import accessible, read_text


def read_classes(path):
    """dict: file stem -> its names, NFC-normalized, each once, in file order. Raises UserError."""
    path = Path(path)
    with accessible(path, "directory"):
        found = None if path.is_file() else list(path.iterdir())
    if found is None:
        raise UserError(f"{path}: is a file; give a directory with one .txt file per class")
    # Hidden files are not the user's: macOS leaves "._Name.txt" next to each Name.txt that it copies.
    files = sorted(file for file in found if file.suffix.lower() == ".txt" and not file.name.startswith("."))
    if not files:
        raise UserError(f"{path}: has no .txt files; add one file per class, with one name per line")
    if len(files) == 1:
        raise UserError(f"{path}: has only one .txt file; add another, one per class")
    for file in files:
        if any("\ud800" <= c <= "\udfff" for c in file.name):  # how Python represents bytes that are not UTF-8
            raise UserError(f"{path}: {file.name!r} is not UTF-8, and it names a class; rename the file")
    return {file.stem: read_names(file) for file in files}


def read_names(file):
    """The names of one class, a list. Raises UserError if there is none, or one that is too long."""
    names = {}  # a dict for its order
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        name = unicodedata.normalize("NFC", line.strip())
        if len(name) > LONGEST:
            raise UserError(
                f"{file}: line {number} has {len(name):,} characters, more than {LONGEST:,}; write one name per line"
            )
        if name:
            names[name] = None
    if not names:
        raise UserError(f"{file}: has no names in it; write one per line, or remove the file")
    return list(names)


class Names(Labelled):
    """Names of different lengths, padded with 0 at the end; the target is the class.

    80 % of each class are for training and 20 % for testing, split by name: no name of a class is in both. `path`: a
    directory of UTF-8 files, one per class, one name per line; None for surnames by language of origin.
    """

    name = "names"
    input_size = None
    entry = "name"

    def __init__(self, path=None, *, seed=0, batch_size=64, dtype=None):  # no dtype is needed: all batches are ids
        by_class = read_classes(Path(__file__).parent / "surnames" if path is None else path)
        self.characters = "".join(sorted({c for names in by_class.values() for name in names for c in name}))
        self.ids_of = {character: i for i, character in enumerate(self.characters, start=1)}
        self.vocab_size = len(self.characters) + 1  # with the padding
        self.train_names, self.test_names = self.split(path, by_class, seed, batch_size)
        self.train_sequences = [self.encode(name) for name in self.train_names]
        self.test_sequences = [self.encode(name) for name in self.test_names]

        bigrams = Bigrams(self.train_sequences, self.train_classes, self.output_size, self.vocab_size)
        guesses = bigrams.log_scores(self.test_sequences).argmax(axis=1)
        self.baselines = {"bigram counts": float((guesses == self.test_classes).mean())}

    def encode(self, name):
        """str -> (length,) int64 ids, none of them 0. Raises UserError for a character that no name contains."""
        try:
            return np.array([self.ids_of[c] for c in unicodedata.normalize("NFC", name)], dtype=np.int64)
        except KeyError as error:
            raise UserError(f"{error.args[0]!r} does not occur in the names; leave it out") from None
