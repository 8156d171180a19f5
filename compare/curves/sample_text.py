"""Text written by both models from the same random numbers."""

from itertools import zip_longest

import numpy as np


def write(model, dataset, uniforms, to_numpy):
    """Let a model write: each character is drawn from its softmax with the next number of `uniforms`.

    model: either SequenceModel; dataset: data.Text; uniforms (N,) in [0, 1); to_numpy: turns the model's logits into
    an array. Returns N characters, fewer if the logits become nan. Two models with equal weights write the same text.
    """
    ids = []
    current = np.zeros((1, 1), np.int64)  # (T, B)  starts as after a line end
    current[0, 0] = dataset.encode("\n")[0] if "\n" in dataset.characters else 0
    state = None
    for u in uniforms:
        logits, state = model.logits(current, state=state)
        logits = to_numpy(logits)[0, 0].astype(np.float64)  # (V,)
        if not np.isfinite(logits).all():  # the weights have grown beyond all bounds: there is no next character
            break
        cumulative = np.cumsum(np.exp(logits - logits.max()))
        current[0, 0] = np.searchsorted(cumulative, u * cumulative[-1], side="right")
        ids.append(int(current[0, 0]))
    return dataset.decode(ids)


def parting(ours, theirs):
    """The place of the first character in which two texts differ, or None."""
    return next((k for k, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b), None)
