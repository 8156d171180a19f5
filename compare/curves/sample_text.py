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


def write(model, dataset, uniforms: np.ndarray, to_numpy: Callable, start: np.ndarray | None = None) -> str:
    """Let a model write: each token is drawn from its softmax with the next number of `uniforms`.

    model: either SequenceModel; dataset: data.Text; uniforms (N,) in [0, 1); to_numpy: turns the model's logits into
    an array; start: ids (T,) that the model reads first, None for a line end. Returns N tokens as one text, fewer if
    the logits become nan. Two models with equal weights write the same text.
    """
    ids = []
    if start is None:
        start = dataset.encode("\n") if "\n" in dataset.characters else np.zeros(1, np.int64)
    current, state = start[:, None], None  # (T, B)
    for u in uniforms:
        logits, state = model.logits(current, state=state)
        logits = to_numpy(logits)[-1, 0].astype(np.float64)  # (V,)
        if not np.isfinite(logits).all():  # the weights have become huge: there is no next token
            break
        cumulative = np.cumsum(np.exp(logits - logits.max()))
        ids.append(int(np.searchsorted(cumulative, u * cumulative[-1], side="right")))
        current = np.array([[ids[-1]]])
    return dataset.decode(ids)


def first_difference(ours: str, theirs: str) -> int | None:
    """The index of the first character in which two texts differ, or None."""
    return next((k for k, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b), None)
