"""Simple models that a recurrent network has to beat. All are fitted on the training part only."""

import numpy as np


class Counts:
    """How often each integer key occurs.

    Sparse, because a dense V x V x V array would not fit for a large alphabet.
    """

    def __init__(self, keys):
        self.keys, self.counts = np.unique(keys, return_counts=True)

    def __getitem__(self, keys):
        """Counts of `keys`, float64 of the same shape; 0 for a key that does not occur."""
        position = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[position] == keys, self.counts[position], 0).astype(np.float64)


class Trigram:
    """P(next id | the two ids before it), with Witten-Bell interpolation.

    A context that is followed by many different ids says less about the next one, so the shorter context gets more
    weight. With n(g) the count of g and d(g) the number of different ids after g:

        P(c | g) = (n(gc) + d(g) P(c | g without its first id)) / (n(g) + d(g))

    down to the empty context and below it 1/V. Each level is a mixture of two distributions, so it sums to one.
    """

    def __init__(self, ids, vocab_size):
        self.vocab_size = vocab_size
        self.levels = []
        for order in (1, 2, 3):
            grams = ids[: len(ids) - order + 1]
            for shift in range(1, order):
                grams = grams * vocab_size + ids[shift : len(ids) - order + 1 + shift]
            seen = Counts(grams)
            contexts = Counts(grams // vocab_size)
            followers = Counts(seen.keys // vocab_size)
            self.levels.append((seen, contexts, followers))

    def probability(self, first, second, third):
        """P(third | first, second) for int64 id arrays of one shape; float64 of that shape."""
        size = self.vocab_size
        grams = (third, second * size + third, (first * size + second) * size + third)
        p = np.full(np.shape(third), 1 / size)
        for gram, (seen, contexts, followers) in zip(grams, self.levels, strict=True):
            n, d = contexts[gram // size], followers[gram // size]
            # A context that does not occur has n = d = 0: only the shorter one counts.
            p = np.where(n > 0, (seen[gram] + d * p) / np.maximum(n + d, 1), p)
        return p


def trigram_bits(train_ids, test_ids, vocab_size):
    """Mean bits per id that a trigram model needs for `test_ids[2:]`, each given the two ids before it."""
    p = Trigram(train_ids, vocab_size).probability(test_ids[:-2], test_ids[1:-1], test_ids[2:])
    return float(abs(np.log2(p).mean()))  # of a p of 1 everywhere, 0 and not -0


class Bigrams:
    """The class of a sequence by naive Bayes on pairs of neighbouring ids.

        log P(class | name) = log P(class) + sum over pairs of log P(next | previous, class) + constant

    with `alpha` added to every count: 0.1, chosen by holding out a fifth of the training names of this project.
    Id 0 marks both the start and the end of a name.
    """

    def __init__(self, sequences, classes, class_count, vocab_size, alpha=0.1):
        self.class_count, self.vocab_size, self.alpha = class_count, vocab_size, alpha
        self.log_prior = np.log(np.bincount(classes, minlength=class_count) / len(classes))
        keys, owner = self.pair_keys(sequences)
        keys = keys + classes[owner] * vocab_size**2
        self.pairs, self.previous = Counts(keys), Counts(keys // vocab_size)

    def pair_keys(self, sequences):
        """Two arrays: previous * V + next for every pair of every sequence, and the index of its sequence."""
        ids = np.concatenate([[0], *[part for sequence in sequences for part in (sequence, [0])]]).astype(int)
        owner = np.repeat(np.arange(len(sequences)), [len(sequence) + 1 for sequence in sequences])
        return ids[:-1] * self.vocab_size + ids[1:], owner

    def log_scores(self, sequences):
        """log P(class) + log P(sequence | class), float64 (number of sequences, C)."""
        keys, owner = self.pair_keys(sequences)
        scores = np.tile(self.log_prior, (len(sequences), 1))
        for c in range(self.class_count):
            key = keys + c * self.vocab_size**2
            seen, context = self.pairs[key], self.previous[key // self.vocab_size]
            log_p = np.log((seen + self.alpha) / (context + self.alpha * self.vocab_size))
            scores[:, c] += np.bincount(owner, weights=log_p, minlength=len(sequences))
        return scores


def nearest(rows, asked):
    """For each row of asked (M, P) the index of the nearest row of rows (N, P), by Euclid; the first if several are."""
    squares = (rows**2).sum(axis=1) / 2
    parts = [asked[i : i + 256] for i in range(0, len(asked), 256)]  # a whole (M, N) array may not fit
    return np.concatenate([(squares - part @ rows.T).argmin(axis=1) for part in parts])


def seasonal_lag(train, longest):
    """The lag of at most `longest` with the smallest mean |train[t] - train[t - lag]|, leaving out close neighbours.

    In a smooth series the value two steps ago is better than every season, so the search starts where the
    autocorrelation first drops to zero, at 2 or later; at 2 also if it never drops.
    """
    centred = train - train.mean()
    uncorrelated = (k for k in range(1, longest + 1) if centred[k:] @ centred[:-k] <= 0)
    lags = range(max(2, next(uncorrelated, 2)), longest + 1)
    return min(lags, key=lambda lag: np.abs(train[lag:] - train[:-lag]).mean())


def lag_errors(values, start, lag):
    """|values[t] - values[t - lag]| for t = start, start + 1, ... up to the end."""
    return np.abs(values[start:] - values[start - lag : len(values) - lag])
