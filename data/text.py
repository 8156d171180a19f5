"""Predict the next character, or the next word, of a text."""

import re
from collections import Counter
from typing import ClassVar

import numpy as np

from data.baselines import trigram_bits
from data.batch import Batch
from data.errors import UserError
from data.reading import read_text

TOKENS = ("characters", "words")
# A word and a run of punctuation include a space before them; a line end is a token. Together the tokens are the text.
WORD = re.compile(r" ?\w+| ?[^\w\s]+| +(?= )|\s")
MOST_FREQUENT = 2000  # words in the vocabulary; rarer ones are spelled


def python_topics():
    """The documentation topics that come with this Python, printable ASCII and newlines only (a str)."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise UserError(
            "this Python lacks pydoc_data.topics, the default text; use your own with --data FILE.txt"
        ) from None
    return re.sub(r"[^\n -~]", "", "\n".join(topics[key] for key in sorted(topics)))


class Text:
    """A text as B parallel streams, cut into windows of T tokens; the target is the next token.

    The first 90 % of the characters are for training, the last 10 % for testing. `path`: a UTF-8 file, None for
    Python's own documentation. Raises UserError if the text is too short for the batch size and window.

    tokens   "characters", or "words": the vocabulary then has all characters, and the 2,000 most frequent words of the
             training part. A rarer word is spelled, one token per character. So every text has its tokens, they
             determine it, and bits per character mean the same for both.
    """

    lacks: ClassVar = {}
    name = "text"
    predict = "each"
    carry_state = True  # window k+1 of a stream begins where window k ends
    input_size = None
    metric = "bits per character"
    better = "lower"

    def __init__(self, path=None, *, seed=0, batch_size=32, window=64, tokens="characters", dtype=None):
        if tokens not in TOKENS:
            raise UserError(f"there are no tokens {tokens!r}; choose one of: {', '.join(TOKENS)}")
        text = python_topics() if path is None else read_text(path)
        self.seed = seed  # decides nothing here: the streams are always read in order (nor does dtype: all are ids)
        self.batch_size, self.window = batch_size, window
        self.codes = np.unique(code_points(text))  # (V,) sorted; an id is an index into it
        self.characters = "".join(map(chr, self.codes))
        train, test = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
        words = frequent_words(train) if tokens == "words" else []
        self.tokens = (*self.characters, *words)
        self.word_ids = {word: len(self.characters) + i for i, word in enumerate(words)}
        self.vocab_size = self.output_size = len(self.tokens)
        self.sizes = np.array([len(token) for token in self.tokens])  # (V,) in characters

        self.train_ids, self.test_ids = self.encode(train), self.encode(test)
        self._refuse_too_short(path or "the default text", tokens)
        self.steps_per_epoch = (len(self.train_ids) - 1) // batch_size // window
        # A short test text gets fewer streams, so that each still has a complete window.
        self.test_streams = min(batch_size, (len(self.test_ids) - 1) // window)
        scored = (len(self.test_ids) - 1) // self.test_streams * self.test_streams
        # The two tokens before the first target are real text: the last of train and the first of test.
        read = np.append(self.train_ids[-1:], self.test_ids[: 1 + scored])
        bits = trigram_bits(self.train_ids, read, self.vocab_size) * scored
        self.baselines = {"trigram model": bits / int(self.sizes[read[2:]].sum())}
        self.characters_per_word = len(test) / len(WORD.findall(test))

    def _refuse_too_short(self, path, tokens):
        """Raise UserError unless both parts fill a window."""
        B, T, found = self.batch_size, self.window, len(self.train_ids) + len(self.test_ids)
        if len(self.train_ids) <= B * T or len(self.test_ids) <= T:
            needed = max(-(-10 * (B * T + 1) // 9), 10 * T + 1)
            raise UserError(
                f"{path}: has {found:,} {tokens}, but batch size {B} and window {T} need "
                f"{'about ' * (tokens == 'words')}{needed:,}; use a smaller --batch-size or --window, or more text"
            )

    def perplexity(self, bits_per_character):
        """2 to the power of the bits per word, spaces, punctuation and line ends included."""
        return 2 ** (bits_per_character * self.characters_per_word)

    def encode(self, text):
        """str -> (N,) int64 ids. Raises UserError for a character that does not occur in the text."""
        if not self.word_ids:
            return self.spell(text)
        tokens = WORD.findall(text)
        ids = {t: [self.word_ids[t]] if t in self.word_ids else self.spell(t).tolist() for t in set(tokens)}
        return np.array([i for token in tokens for i in ids[token]], np.int64)

    def spell(self, text):
        """str -> (N,) int64 ids of its characters."""
        codes = code_points(text)
        ids = np.searchsorted(self.codes, codes)
        strange = codes[self.codes.take(ids, mode="clip") != codes]
        if len(strange):
            raise UserError(f"{chr(strange[0])!r} does not occur in the text; leave it out")
        return ids

    def decode(self, ids):
        """Ids in any shape, read in order -> str."""
        return "".join(self.tokens[i] for i in np.ravel(ids))

    def train_batches(self, epoch):
        """Batches (T, B), the same in every epoch; the rest after the last complete window is dropped.

        Not shuffled: only in this order is the state at the end of one window the right start for the next.
        """
        batches = windows(self.train_ids, self.batch_size, self.window)
        return (next(batches) for _ in range(self.steps_per_epoch))

    def test_batches(self):
        """Batches (T, B'), the last one possibly shorter; at most B' - 1 characters are left over."""
        return windows(self.test_ids, self.test_streams, self.window)

    def score(self, predictions, batch):
        """Logits (T, B, V) -> (bits needed for all targets of the batch, number of their characters)."""
        logits = np.asarray(predictions, dtype=np.float64)
        logits = logits - logits.max(axis=-1, keepdims=True)
        log_sum = np.log(np.exp(logits).sum(axis=-1))
        chosen = np.take_along_axis(logits, batch.targets[..., None], axis=-1)[..., 0]
        return float((log_sum - chosen).sum() / np.log(2)), int(self.sizes[batch.targets].sum())


def frequent_words(text):
    """The most frequent tokens of more than one character, the most frequent first; equally frequent by code points."""
    counts = Counter(token for token in WORD.findall(text) if len(token) > 1)
    return sorted(counts, key=lambda word: (-counts[word], word))[:MOST_FREQUENT]


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
