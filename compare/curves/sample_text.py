"""Text written by both models from the same random numbers."""

from itertools import zip_longest

import numpy as np
import torch

LENGTH = 1200  # tokens that each model writes


def both(pair, dataset, seed: int, length: int | None = None, start: np.ndarray | None = None) -> tuple[str, str]:
    """The texts of the scratch model and of the torch model; length: how many tokens, None for LENGTH."""
    uniforms = np.random.default_rng(seed).random(length or LENGTH)
    return write(pair.scratch, dataset, uniforms, start), write(pair.torch, dataset, uniforms, start)


@torch.no_grad()
def write(model, dataset, uniforms: np.ndarray, start: np.ndarray | None = None) -> str:
    """Let a model write: each token is drawn from its softmax with the next number of `uniforms`.

    model: either SequenceModel; dataset: data.Text; uniforms (N,) in [0, 1); start: ids (T,) that the model reads
    first, None for a line end. Returns N tokens as one text, fewer if the logits become nan. Two models with equal
    weights write the same text.
    """
    ids = []
    if start is None:
        start = dataset.encode("\n") if "\n" in dataset.characters else np.zeros(1, np.int64)
    current, state = start[:, None], None  # (T, B)
    for u in uniforms:
        logits, state = model.logits(current, state=state)
        logits = as_array(logits)[-1, 0].astype(np.float64)  # (V,)
        if not np.isfinite(logits).all():  # the weights have become huge: there is no next token
            break
        cumulative = np.cumsum(np.exp(logits - logits.max()))
        ids.append(int(np.searchsorted(cumulative, u * cumulative[-1], side="right")))
        current = np.array([[ids[-1]]])
    return dataset.decode(ids)


def as_array(prediction) -> np.ndarray:
    """The prediction of either SequenceModel, on any device."""
    return torch.as_tensor(prediction).cpu().numpy()


def first_difference(ours: str, theirs: str) -> int | None:
    """The index of the first character in which two texts differ, or None."""
    return next((k for k, (a, b) in enumerate(zip_longest(ours, theirs)) if a != b), None)
