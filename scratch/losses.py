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
    count = _count(targets.shape, logits.shape[:-1], valid)
    if targets.dtype.kind not in "iu":
        raise ValueError(f"targets must be whole numbers; these are {targets.dtype}")
    ids = (targets if valid is None else np.where(valid, targets, 0)).ravel()  # (N,)
    if ids.min() < 0 or ids.max() >= C:
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(f"target {wrong} is outside the {C} classes: ids run from 0 to {C - 1}")

    rows = np.arange(len(ids))
    # exp overflows above 88 in float32: subtract the largest logit first, which changes no probability
    shifted = logits.reshape(-1, C)
    shifted = shifted - shifted.real.max(axis=1, keepdims=True)  # (N, C)  not -=: it is the caller's until here
    right = shifted[rows, ids]  # (N,)
    exp = np.exp(shifted, out=shifted)  # (N, C)
    total = exp.sum(axis=1)  # (N,)
    # log softmax as shifted - log(total): taking the log of a probability that has become 0 gives -inf
    nats = np.log(total) - right  # (N,)
    loss = nats.sum(where=True if valid is None else np.ravel(valid)) / count

    # d loss / d logit = (probability - 1 for the right class) / count
    dlogits = np.divide(exp, total[:, None], out=exp)  # (N, C)
    dlogits[rows, ids] -= 1
    dlogits /= dlogits.dtype.type(count)
    if valid is not None:
        dlogits[~np.ravel(valid)] = 0  # and not times the mask: nan * 0 is nan
    return loss, dlogits.reshape(logits.shape)


def mse(prediction, target, valid=None):
    """Mean squared error over all valid entries, as torch.nn.functional.mse_loss.

    prediction and target (..., O); valid (...) booleans, None for all.
    Returns loss, dprediction (..., O).
    Raises ValueError for shapes that do not fit and when no target is valid.
    """
    if prediction.shape != target.shape:  # (B, 1) against (B,) would broadcast to (B, B) and still give a number
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}; they must be the same")
    count = _count(target.shape[:-1], prediction.shape[:-1], valid) * prediction.shape[-1]
    difference = prediction - target  # (..., O)
    if valid is not None:
        difference[~valid] = 0  # and not times the mask: nan * 0 is nan
    loss = (difference**2).sum() / count
    return loss, difference * (2 / prediction.dtype.type(count))


def _count(targets_shape, predictions_shape, valid):
    """The number of valid targets. Raises ValueError where the shapes do not fit, or for none."""
    if targets_shape != predictions_shape:
        raise ValueError(f"targets have shape {targets_shape}, the predictions are for {predictions_shape}")
    if valid is not None and (valid.shape != targets_shape or valid.dtype != bool):
        raise ValueError(f"valid must hold booleans of shape {targets_shape}; these are {valid.dtype} {valid.shape}")
    count = int(np.prod(targets_shape) if valid is None else valid.sum())
    if count == 0:
        raise ValueError("no target is valid: there is nothing to take the mean of")
    return count
