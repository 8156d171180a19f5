"""Cross-entropy and mean squared error. Each returns the loss and its gradient in one call.

"..." stands for any leading axes, such as (T, B) for a prediction at each step or (B,) for one at the last.
"""

import numpy as np


def cross_entropy(logits, targets, valid=None):
    """Softmax and negative log-likelihood in one, as torch.nn.functional.cross_entropy.

    logits (..., C) before the softmax; targets (...) class ids; valid (...) booleans, None for all: only valid
    targets count, and the loss is their mean, in nats.
    Returns loss, dlogits (..., C).
    Raises ValueError for targets that are not ids from 0 to C-1, for shapes that do not fit, and when none is valid.
    """
    C = logits.shape[-1]
    valid, count = _valid(targets.shape, logits.shape[:-1], valid)
    if targets.dtype.kind not in "iu":
        raise ValueError(f"targets must be whole numbers; these are {targets.dtype}")
    ids = np.where(valid, targets, 0)
    if ids.min() < 0 or ids.max() >= C:
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(f"target {wrong} is outside the {C} classes: ids run from 0 to {C - 1}")

    # exp overflows above 88 in float32: subtract the largest logit first, which changes no probability
    shifted = logits - logits.real.max(axis=-1, keepdims=True)  # (..., C)
    exp = np.exp(shifted)  # (..., C)
    total = exp.sum(axis=-1, keepdims=True)  # (..., 1)
    right = np.take_along_axis(shifted, ids[..., None], axis=-1)  # (..., 1)
    # log softmax as shifted - log(total): taking the log of a probability that has become 0 gives -inf
    nats = (np.log(total) - right)[..., 0]  # (...)
    loss = nats.sum(where=valid) / count

    # d loss / d logit = (probability - 1 for the right class) / count
    dlogits = exp / total  # (..., C)
    right_now = np.take_along_axis(dlogits, ids[..., None], axis=-1)
    np.put_along_axis(dlogits, ids[..., None], right_now - 1, axis=-1)
    # `where` and not a product with the mask: nan * 0 is nan
    return loss, np.where(valid[..., None], dlogits / dlogits.dtype.type(count), 0)


def mse(prediction, target, valid=None):
    """Mean squared error over all valid entries, as torch.nn.functional.mse_loss.

    prediction and target (..., O); valid (...) booleans, None for all.
    Returns loss, dprediction (..., O).
    Raises ValueError for shapes that do not fit and when no target is valid.
    """
    if prediction.shape != target.shape:  # (B, 1) against (B,) would broadcast to (B, B) and still give a number
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}; they must be the same")
    valid, count = _valid(target.shape[:-1], prediction.shape[:-1], valid)
    count *= prediction.shape[-1]
    difference = np.where(valid[..., None], prediction - target, 0)  # (..., O)
    loss = (difference**2).sum() / count
    return loss, difference * (2 / prediction.dtype.type(count))


def _valid(targets_shape, predictions_shape, valid):
    """The mask in full, and the number of valid targets."""
    if targets_shape != predictions_shape:
        raise ValueError(f"targets have shape {targets_shape}, the predictions are for {predictions_shape}")
    valid = np.ones(targets_shape, bool) if valid is None else np.broadcast_to(valid, targets_shape)
    if valid.dtype != bool:
        raise ValueError(f"valid must hold booleans; these are {valid.dtype}")
    count = int(valid.sum())
    if count == 0:
        raise ValueError("no target is valid: there is nothing to take the mean of")
    return valid, count
