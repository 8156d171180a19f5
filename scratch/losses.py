"""Cross-entropy and mean squared error. Each returns the loss and its gradient in one call.

"..." stands for any leading axes, such as (T, B) for a prediction at each step or (B,) for one at the last. N is the
number of targets that count, K the output size.

    (S1)  p_k = exp(z_k) / sum_j exp(z_j)            softmax of one target's logits z
    (S2)  loss = -1/N sum_n log p_target(n)          cross-entropy, in nats
    (Q1)  loss = 1/(N K) sum_n |yhat_n - target_n|^2       mean squared error
"""

import math

import numpy as np


def cross_entropy(logits, targets, valid=None):
    """Softmax and negative log-likelihood in one, as torch.nn.functional.cross_entropy.

    logits (..., C) before the softmax; targets (...) class ids; valid (...) booleans, None for all: only valid targets
    count, and the loss is their mean, in nats.
    Returns loss, dlogits (..., C).
    Raises ValueError for targets that are not ids from 0 to C-1, for shapes that do not fit, and when none is valid.
    """
    C = logits.shape[-1]
    count = _count(targets.shape, logits.shape[:-1], valid)
    ids = _ids(targets, valid, C)  # (N,)

    # exp overflows above 88 in float32: subtract the largest logit first, which changes no probability
    z = logits.reshape(-1, C)  # (N, C)
    z = z - z.real.max(axis=1, keepdims=True)  # (N, C)  not -=: that would change the caller's logits
    # (S1)  p_k = exp(z_k) / sum_j exp(z_j)
    exp = np.exp(z)  # (N, C)
    total = exp.sum(axis=1, keepdims=True)  # (N, 1)
    # (S2)  -log p_target = log(total) - z_target; the log of p itself would be -inf where p has rounded to 0
    rows = np.arange(len(ids))
    nats = np.log(total[:, 0]) - z[rows, ids]  # (N,)
    loss = nats.sum(where=True if valid is None else valid.ravel()) / count

    # (S2), (S1)  dz_k = (p_k - 1 for the target, p_k for the other classes) / N
    dlogits = exp / total  # (N, C)
    dlogits[rows, ids] -= 1
    dlogits /= count
    if valid is not None:
        dlogits[~valid.ravel()] = 0  # not a product with the mask: nan * 0 is nan
    return loss, dlogits.reshape(logits.shape)


def mse(prediction, target, valid=None):
    """Mean squared error over all valid entries, as torch.nn.functional.mse_loss.

    prediction and target (..., K); valid (...) booleans, None for all.
    Returns loss, dprediction (..., K).
    Raises ValueError for shapes that do not fit and when no target is valid.
    """
    if prediction.shape != target.shape:  # (B, 1) against (B,) would broadcast to (B, B) and still give a number
        raise ValueError(f"prediction has shape {prediction.shape}, target {target.shape}; they must be the same")
    count = _count(target.shape[:-1], prediction.shape[:-1], valid) * prediction.shape[-1]
    # (Q1)  the mean of the squared differences
    difference = prediction - target  # (..., K)
    if valid is not None:
        difference[~valid] = 0  # not a product with the mask: nan * 0 is nan
    loss = (difference**2).sum() / count
    # (Q1)  dyhat = 2 (yhat - target) / (N K)
    return loss, 2 * difference / count


def _count(targets_shape, predictions_shape, valid):
    """The number of valid targets. Raises ValueError where the shapes do not fit, or for none."""
    if targets_shape != predictions_shape:
        raise ValueError(f"targets have shape {targets_shape}, the predictions are for {predictions_shape}")
    if valid is not None and (valid.shape != targets_shape or valid.dtype != bool):
        raise ValueError(f"valid must hold booleans of shape {targets_shape}; these are {valid.dtype} {valid.shape}")
    count = math.prod(targets_shape) if valid is None else int(valid.sum())
    if count == 0:
        raise ValueError("no target is valid: there is nothing to take the mean of")
    return count


def _ids(targets, valid, C):
    """The targets as ids (N,), 0 where they do not count. Raises ValueError when they are not ids from 0 to C-1."""
    if targets.dtype.kind not in "iu":
        raise ValueError(f"targets must be whole numbers; these are {targets.dtype}")
    ids = (targets if valid is None else np.where(valid, targets, 0)).ravel()
    if ids.min() < 0 or ids.max() >= C:
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(f"target {wrong} is outside the {C} classes: ids run from 0 to {C - 1}")
    return ids
