"""Predict from a surname which language it comes from."""

import unicodedata
from pathlib import Path
from typing import ClassVar

import numpy as np

from data.baselines import Bigrams
from data.batch import Batch
from data.errors import UserError
from data.reading import read_text

PADDING = 0  # this id is no character: it fills the steps after the end of a name
LONGEST = 10_000  # characters: every other name of the batch is padded to this length
CHUNK = 16  # batches that are sorted by length together
TRAIN, SPLIT = 0, 1  # the first word of each seed; without it [seed] and [seed, 0] would draw the same numbers


def read_classes(path):
    """dict: file stem -> its names, NFC-normalized, each once, in file order. Raises UserError."""
    path = Path(path)
    try:
        found = list(path.iterdir())
    except FileNotFoundError:
        raise UserError(f"{path}: no such directory; check the spelling") from None
    except NotADirectoryError:
        raise UserError(f"{path}: is a file; give a directory with one .txt file per class") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); try a copy of it") from None
    except ValueError as error:  # a zero byte, or what no file system can write
        raise UserError(f"{str(path)!r}: no directory can have this name ({error}); check the spelling") from None
    # Hidden files are not the user's: macOS leaves "._Name.txt" next to each Name.txt that it copies.
    files = sorted(file for file in found if file.suffix == ".txt" and not file.name.startswith("."))
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


class Names:
    """Names of different lengths, padded with 0 at the end; the target is the class.

    80 % of each class are for training and 20 % for testing, split by name: no name of a class is in both. `path`: a
    directory of UTF-8 files, one per class, one name per line; None for surnames by language of origin.
    """

    lacks: ClassVar = {"window": "each name is one sequence"}
    name = "names"
    predict = "last"
    carry_state = False
    input_size = None
    metric = "accuracy"
    better = "higher"

    def __init__(self, path=None, *, seed=0, batch_size=64, dtype=None):  # no dtype is needed: all batches are ids
        by_class = read_classes(Path(__file__).parent / "surnames" if path is None else path)
        self.seed, self.batch_size = seed, batch_size
        self.classes = tuple(by_class)
        self.characters = "".join(sorted({c for names in by_class.values() for name in names for c in name}))
        self.ids_of = {character: i for i, character in enumerate(self.characters, start=1)}
        self.vocab_size = len(self.characters) + 1  # with the padding
        self.output_size = len(self.classes)

        rng = np.random.default_rng([SPLIT, seed])
        train, test = [], []
        for label, names in enumerate(by_class.values()):
            order = rng.permutation(len(names))
            held_out = min(max(1, len(names) // 5), len(names) - 1)  # a single name is for training
            test += [(names[i], label) for i in order[:held_out]]
            train += [(names[i], label) for i in order[held_out:]]
        if not test:
            raise UserError(f"{path}: every class has one name only; add names, two per class at least")
        # Shuffled once, so that even a few test names show most classes.
        test = [test[i] for i in rng.permutation(len(test))]
        self.train_names, self.train_classes = unzip(train)
        self.test_names, self.test_classes = unzip(test)
        self.train_sequences = [self.encode(name) for name in self.train_names]
        self.test_sequences = [self.encode(name) for name in self.test_names]
        self.steps_per_epoch = -(-len(train) // batch_size)

        bigrams = Bigrams(self.train_sequences, self.train_classes, self.output_size, self.vocab_size)
        guesses = bigrams.log_scores(self.test_sequences).argmax(axis=1)
        self.baselines = {"bigram counts": float((guesses == self.test_classes).mean())}

    def encode(self, name):
        """str -> (length,) int64 ids, none of them 0. Raises UserError for a character that no name contains."""
        try:
            return np.array([self.ids_of[c] for c in unicodedata.normalize("NFC", name)], dtype=np.int64)
        except KeyError as error:
            raise UserError(f"{error.args[0]!r} does not occur in the names; leave it out") from None

    def train_batches(self, epoch):
        """Batches (T, B), each name once per epoch, in an order drawn from (seed, epoch).

        Names of similar length share a batch, to keep the padding small: shuffle, sort chunks of 16 batches by
        length, cut the batches, shuffle their order. The short batch is kept, wherever it falls.
        """
        rng = np.random.default_rng([TRAIN, self.seed, epoch])
        order = rng.permutation(len(self.train_sequences))
        chunk = CHUNK * self.batch_size
        order = np.concatenate([self.by_length(order[i : i + chunk]) for i in range(0, len(order), chunk)])
        for step in rng.permutation(self.steps_per_epoch):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield pad([self.train_sequences[i] for i in chosen], self.train_classes[chosen])

    def by_length(self, indices):
        lengths = [len(self.train_sequences[i]) for i in indices]
        return indices[np.argsort(lengths, kind="stable")]

    def test_batches(self):
        """Batches (T, B) in the order of `test_names` and `test_classes`."""
        for start in range(0, len(self.test_sequences), self.batch_size):
            stop = start + self.batch_size
            yield pad(self.test_sequences[start:stop], self.test_classes[start:stop])

    @staticmethod
    def score(predictions, batch):
        """Logits (B, C) -> (number of names whose largest logit is the right class, number of names)."""
        guesses = np.asarray(predictions).argmax(axis=1)
        return int((guesses == batch.targets).sum()), len(batch.targets)


def unzip(pairs):
    """list of (name, label) -> tuple of str, (N,) int64."""
    names, labels = zip(*pairs, strict=True)
    return names, np.array(labels, dtype=np.int64)


def pad(sequences, classes):
    """B id sequences -> Batch with inputs (T, B), T the longest length, padding after each end."""
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    inputs = np.full((lengths.max(), len(sequences)), PADDING, dtype=np.int64)
    for b, sequence in enumerate(sequences):
        inputs[: len(sequence), b] = sequence
    return Batch(inputs, classes.copy(), lengths)
