"""The adding problem: remember two marked numbers over a long sequence, then predict their sum."""

from typing import ClassVar

import numpy as np

from data.batch import Batch
from data.errors import UserError

TRAIN, TEST = 0, 1  # the first word of each seed; without it [seed] and [seed, 0, 0] would draw the same numbers
TEST_SIZE = 1000


class Memory:
    """Sequences of T steps with two inputs: a number from [0, 1), and a mark that is 1 at two steps, else 0.

    One mark is in the first half of the sequence, one in the second. The target is the sum of the two marked
    numbers. New training sequences are drawn at every step; the 1,000 test sequences depend only on the seed.
    Hochreiter and Schmidhuber, Neural Computation 9 (1997).
    """

    lacks: ClassVar = {"path": "its sequences are generated"}
    name = "memory"
    predict = "last"
    carry_state = False
    vocab_size = None
    input_size = 2
    output_size = 1
    metric = "mean squared error"
    better = "lower"
    steps_per_epoch = 100
    # The exact expectation, not a score on the test set: the sum of two uniform numbers has mean 1 and
    # variance 1/12 + 1/12 = 1/6. (The often-copied 0.1767 is wrong.)
    baselines: ClassVar = {"always 1": 1 / 6}

    def __init__(self, *, seed=0, batch_size=32, window=30, dtype=np.float32):
        if window < 2:
            raise UserError(f"window {window} is too short for two marks; use --window 2 or more")
        self.seed, self.batch_size, self.window, self.dtype = seed, batch_size, window, dtype

    def train_batches(self, epoch):
        """100 Batches: inputs (T, B, 2), targets (B, 1), drawn from (seed, epoch, step)."""
        for step in range(self.steps_per_epoch):
            yield self.draw(np.random.default_rng([TRAIN, self.seed, epoch, step]), self.batch_size)

    def test_batches(self):
        """The same 1,000 sequences at every call, batch_size at a time."""
        # All drawn at once, so that they do not depend on the batch size.
        whole = self.draw(np.random.default_rng([TEST, self.seed]), TEST_SIZE)
        for start in range(0, TEST_SIZE, self.batch_size):
            stop = start + self.batch_size
            yield Batch(whole.inputs[:, start:stop], whole.targets[start:stop])

    def draw(self, rng, count):
        """Batch of `count` new sequences."""
        numbers = rng.random((self.window, count))
        half, columns = self.window // 2, np.arange(count)
        first, second = rng.integers(0, half, count), rng.integers(half, self.window, count)
        marks = np.zeros((self.window, count))
        marks[first, columns] = marks[second, columns] = 1
        sums = numbers[first, columns] + numbers[second, columns]
        inputs = np.stack([numbers, marks], axis=-1)  # (T, B, 2)
        return Batch(inputs.astype(self.dtype), sums[:, None].astype(self.dtype))

    @staticmethod
    def score(predictions, batch):
        """Predictions (B, 1) -> (sum of squared errors, number of sequences)."""
        error = np.asarray(predictions, dtype=np.float64) - batch.targets.astype(np.float64)
        return float((error**2).sum()), len(error)
