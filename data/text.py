"""Predict the next character of a text."""

from typing import ClassVar

import numpy as np

from data.baselines import trigram_bits
from data.batch import Batch
from data.errors import UserError
from data.reading import read_text


def python_topics():
    """The documentation topics that come with this Python, printable ASCII and newlines only (a str)."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError(
            "this Python lacks pydoc_data.topics, the default text; use your own with --data FILE.txt"
        ) from None
    text = "\n".join(topics[key] for key in sorted(topics))
    return "".join(c for c in text if c == "\n" or " " <= c <= "~")


class Text:
    """A text as B parallel streams, cut into windows of T characters; the target is the next character.

    The first 90 % of the characters are for training, the last 10 % for testing. `path`: a UTF-8 file, None for
    Python's own documentation. Raises UserError if the text is too short for the batch size and window.
    """

    lacks: ClassVar = {"column": "only a CSV file has columns"}
    name = "text"
    predict = "each"
    carry_state = True  # window k+1 of a stream begins where window k ends
    input_size = None
    metric = "bits per character"
    better = "lower"

    def __init__(self, path=None, *, seed=0, batch_size=32, window=64, dtype=None):
        text = python_topics() if path is None else read_text(path)
        needed = max(-(-10 * (batch_size * window + 1) // 9), 10 * window + 1)
        if len(text) < needed:
            raise UserError(
                f"{path or 'the default text'}: has {len(text):,} characters, but batch size {batch_size} "
                f"and window {window} need {needed:,}; use a smaller --batch-size or --window, or more text"
            )
        self.seed = seed  # decides nothing here: the streams are always read in order (nor does dtype: all are ids)
        self.batch_size, self.window = batch_size, window
        self.codes = np.unique(code_points(text))  # (V,) sorted; an id is an index into it
        self.characters = "".join(map(chr, self.codes))
        self.vocab_size = self.output_size = len(self.characters)

        ids = self.encode(text)
        split = len(ids) * 9 // 10
        self.train_ids, self.test_ids = ids[:split], ids[split:]
        self.steps_per_epoch = (split - 1) // batch_size // window
        # A short test text gets fewer streams, so that each still has a complete window.
        self.test_streams = min(batch_size, (len(self.test_ids) - 1) // window)
        scored = (len(self.test_ids) - 1) // self.test_streams * self.test_streams
        # The two characters before the first target are real text: the last of train and the first of test.
        bits = trigram_bits(self.train_ids, ids[split - 1 : split + 1 + scored], self.vocab_size)
        self.baselines = {"trigram model": bits}

    def encode(self, text):
        """str -> (N,) int64 ids. Raises UserError for a character that does not occur in the text."""
        codes = code_points(text)
        ids = np.searchsorted(self.codes, codes)
        strange = codes[self.codes.take(ids, mode="clip") != codes]
        if len(strange):
            raise UserError(f"{chr(strange[0])!r} does not occur in the text; leave it out")
        return ids

    def decode(self, ids):
        """Ids in any shape, read in order -> str."""
        return "".join(self.characters[i] for i in np.ravel(ids))

    def train_batches(self, epoch):
        """Batches (T, B), the same in every epoch; the rest after the last complete window is dropped.

        Not shuffled: only in this order is the state at the end of one window the right start for the next.
        """
        batches = windows(self.train_ids, self.batch_size, self.window)
        return (next(batches) for _ in range(self.steps_per_epoch))

    def test_batches(self):
        """Batches (T, B'), the last one possibly shorter; at most B' - 1 characters are left over."""
        return windows(self.test_ids, self.test_streams, self.window)

    @staticmethod
    def score(predictions, batch):
        """Logits (T, B, V) -> (bits needed for all targets of the batch, number of targets)."""
        logits = np.asarray(predictions, dtype=np.float64)
        logits = logits - logits.max(axis=-1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(axis=-1))
        chosen = np.take_along_axis(logits, batch.targets[..., None], axis=-1)[..., 0]
        return float((log_sum - chosen).sum() / np.log(2)), batch.targets.size


def code_points(text):
    """str -> (N,) uint32, read-only."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def windows(ids, streams, window):
    """Cut `ids` into equal streams, one per column, and yield windows from top to bottom.

    Stream b holds ids[b*S : (b+1)*S + 1], where its last id is only ever a target.
    """
    length = (len(ids) - 1) // streams
    inputs = ids[: length * streams].reshape(streams, length).T  # (S, B)
    targets = ids[1 : length * streams + 1].reshape(streams, length).T  # (S, B)
    for start in range(0, length, window):
        stop = start + window
        yield Batch(inputs[start:stop].copy("C"), targets[start:stop].copy("C"))
