"""Sequences of different lengths, each of one class: what all such tasks share."""

from typing import ClassVar

import numpy as np

from data.batch import Batch
from data.errors import UserError

PADDING = 0  # fills the steps after the end of a sequence; no character has this id
LONGEST = 10_000  # steps: every other sequence of the batch is padded to this length
CHUNK = 16  # batches that are sorted by length together
TRAIN, SPLIT = 0, 1  # the first word of each seed; without it [seed] and [seed, 0] would draw the same numbers


class Labelled:
    """80 % of each class are for training and 20 % for testing. Batches are padded with 0 at the end.

    A subclass calls `split`, then sets train_sequences and test_sequences, lists of arrays (T,) or (T, F). `entry` is
    what messages call one of them.
    """

    lacks: ClassVar = {"window": "each of its sequences is read as a whole"}
    predict = "last"
    carry_state = False
    metric = "accuracy"
    better = "higher"

    def split(self, path, by_class, seed, batch_size):
        """by_class: dict of label -> list. Returns two lists of its entries, to train and to test on."""
        self.seed, self.batch_size = seed, batch_size
        self.classes, self.output_size = tuple(by_class), len(by_class)
        rng = np.random.default_rng([SPLIT, seed])
        train, test = [], []
        for label, entries in enumerate(by_class.values()):
            order = rng.permutation(len(entries))
            held_out = min(max(1, len(entries) // 5), len(entries) - 1)  # a single one is for training
            test += [(entries[i], label) for i in order[:held_out]]
            train += [(entries[i], label) for i in order[held_out:]]
        if not test:
            raise UserError(f"{path}: every class has one {self.entry} only; add {self.entry}s, two per class at least")
        # Shuffled once, so that even a few test entries show most classes.
        test = [test[i] for i in rng.permutation(len(test))]
        train_entries, self.train_classes = unzip(train)
        test_entries, self.test_classes = unzip(test)
        self.steps_per_epoch = -(-len(train) // batch_size)
        return train_entries, test_entries

    def train_batches(self, epoch):
        """Each sequence once per epoch, in an order drawn from (seed, epoch).

        Sequences of similar length share a batch, to keep the padding small: shuffle, sort chunks of 16 batches by
        length, cut the batches, shuffle their order. The short batch is kept, wherever it falls.
        """
        rng = np.random.default_rng([TRAIN, self.seed, epoch])
        order = rng.permutation(len(self.train_sequences))
        lengths = np.array([len(sequence) for sequence in self.train_sequences])
        size = CHUNK * self.batch_size
        chunks = np.split(order, range(size, len(order), size))
        order = np.concatenate([chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks])
        for step in rng.permutation(self.steps_per_epoch):
            chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield pad([self.train_sequences[i] for i in chosen], self.train_classes[chosen])

    def test_batches(self):
        """Batches in the order of `test_sequences` and `test_classes`."""
        for start in range(0, len(self.test_sequences), self.batch_size):
            stop = start + self.batch_size
            yield pad(self.test_sequences[start:stop], self.test_classes[start:stop])

    @staticmethod
    def score(predictions, batch):
        """Logits (B, C) -> (number of sequences whose largest logit is the right class, number of sequences)."""
        guesses = np.asarray(predictions).argmax(axis=1)
        return int((guesses == batch.targets).sum()), len(batch.targets)


def unzip(pairs):
    """list of (entry, label) -> tuple of entries, (N,) int64."""
    entries, labels = zip(*pairs, strict=True)
    return entries, np.array(labels, dtype=np.int64)


def pad(sequences, classes):
    """B sequences (T_b,) or (T_b, F) -> Batch, inputs (T, B) or (T, B, F), T the longest, padded at the end."""
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    first = sequences[0]
    inputs = np.full((lengths.max(), len(sequences), *first.shape[1:]), PADDING, dtype=first.dtype)
    for b, sequence in enumerate(sequences):
        inputs[: len(sequence), b] = sequence
    return Batch(inputs, classes.copy(), lengths)
