"""Text written by both models from the same random numbers."""

from collections.abc import Callable
from itertools import zip_longest

import numpy as np
import torch

LENGTH = 1200  # tokens that each model writes


def both(run) -> tuple[str, str]:
    """The texts of the scratch model and of the torch model of a curves.training.Run."""
    uniforms = np.random.default_rng(run.settings.seed).random(LENGTH)
    ours = write(run.pair.scratch, run.dataset, uniforms, np.asarray)
    with torch.no_grad():
        theirs = write(run.pair.torch, run.dataset, uniforms, lambda logits: logits.cpu().numpy())
    return ours, theirs


def write(model, dataset, uniforms: np.ndarray, to_numpy: Callable) -> str:
    """Let a model write: each token is drawn from its softmax with the next number of `uniforms`.

    model: either SequenceModel; dataset: data.Text; uniforms (N,) in [0, 1); to_numpy: turns the model's logits into
    an array. Returns N tokens as one text, fewer if the logits become nan. Two models with equal weights write the
    same text.
    """
    ids = []
    current = np.zeros((1, 1), np.int64)  # (T, B)  begins as after a line end
    current[0, 0] = dataset.encode("\n")[0] if "\n" in dataset.characters else 0
    state = None
    for u in uniforms:
        logits, state = model.logits(current, state=state)
        logits = to_numpy(logits)[0, 0].astype(np.float64)  # (V,)
        if not np.isfinite(logits).all():  # the weights have become huge: there is no next token
            break
        cumulative = np.cumsum(np.exp(logits - logits.max()))
        current[0, 0] = np.searchsorted(cumulative, u * cumulative[-1], side="right")
        ids.append(int(current[0, 0]))
    return dataset.decode(ids)


def first_difference(ours: str, theirs: str) -> int | None:
    """The index of the first character in which two texts differ, or None."""
    return next((k for k, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b), None)
