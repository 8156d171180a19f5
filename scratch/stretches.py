"""Sequences of different lengths, and long ones: a batch is a chain of plain stretches.

Sort the rows, longest first. Between two steps at which some sequence ends, the same n rows run without padding: a
plain sequence for the cell. So cut the batch into such stretches and pass the state from one to the next; rows whose
sequence has ended keep their last state. Backward visits the stretches in reverse order, and a row's dh_n waits until
the stretch in which the row ends. The cell never sees a padded step, so padding can neither change a result nor receive
a gradient.

    lengths 5 3 2      step 0 1 2 3 4
                       row 0  # # # # #
                       row 1  # # #              stretches (0, 2, 3 rows)  (2, 3, 2 rows)  (3, 5, 1 row)
                       row 2  # #

A long stretch is cut again, so that what the cell computes for all its steps at once stays in the processor's cache.
The cut changes nothing: the state crosses it, and so does its gradient on the way back.
"""

from itertools import pairwise

import numpy as np

# The length of a stretch: about 1024 steps times rows, but at least 16 steps.
ROWS, STEPS = 1024, 16


def stretches(lengths, T, B):
    """Cut T steps where a sequence ends, and where a stretch becomes too long.

    lengths (B,), longest first, or None when every row runs for T steps.
    Returns a list of (start, stop, n): the first n rows run from step `start` to before `stop`.
    """
    ends = [T] if lengths is None else np.unique(lengths).tolist()
    chain, start = [], 0
    for end in ends:
        n = B if lengths is None else int(np.sum(lengths >= end))
        pieces = max(1, round((end - start) / max(STEPS, ROWS / n)))
        cuts = [start + k * (end - start) // pieces for k in range(pieces + 1)]
        chain += [(*cut, n) for cut in pairwise(cuts)]
        start = end
    return chain


def forward(cell, x, state, weights, lengths, **options):
    """Run a cell over a padded batch: x (T, B, I) or ids (T, B), `state` a tuple of (B, H), `weights` as the
    cell takes them, lengths (B,) longest first or None.

    Returns y (T, B, H), 0 past each sequence's end; the tuple of last states (B, H), each row's at its own last real
    step; and a list of ((start, stop, n), the cell's cache) for `backward`.
    """
    T, B = x.shape[:2]
    numbers = [x] if x.ndim == 3 else []
    y = np.zeros((T, *state[0].shape), np.result_type(*numbers, *state, *weights))  # (T, B, H)
    caches = []
    for start, stop, n in stretches(lengths, T, B):
        running = [s[:n] for s in state]
        _, *last, cache = cell.forward(x[start:stop, :n], *running, *weights, y=y[start:stop, :n], **options)
        # the other rows keep the state in which they ended
        state = [np.concatenate([s_last, s[n:]]) for s, s_last in zip(state, last, strict=True)]
        caches.append(((start, stop, n), cache))
    return y, tuple(state), caches


def backward(cell, dy, dstate_n, caches, trace=None):
    """The same chain in reverse: dy (T, B, H), `dstate_n` a tuple of (B, H).

    Returns dx (T, B, I), 0 on padding, None for ids; the tuple of dstate_0; and the gradients of the weights, summed
    over the stretches. `trace` receives the cell's total derivatives at all steps, 0 on padding.
    """
    T, B, _ = dy.shape
    dstate, dx, dweights = dstate_n, None, None
    for (start, stop, n), cache in reversed(caches):
        running = [ds[:n] for ds in dstate]
        traced = {} if trace is not None else None
        dx_part, *rest = cell.backward(dy[start:stop, :n], *running, cache, traced)
        first, share = rest[: len(dstate)], rest[len(dstate) :]
        if dx_part is not None:
            dx = np.zeros((T, B, dx_part.shape[2]), dx_part.dtype) if dx is None else dx
            dx[start:stop, :n] = dx_part
        # a row that does not run here keeps its gradient until the stretch in which it ends
        dstate = [np.concatenate([ds_first, ds[n:]]) for ds, ds_first in zip(dstate, first, strict=True)]
        dweights = share if dweights is None else [total + part for total, part in zip(dweights, share, strict=True)]
        for name, values in (traced or {}).items():
            trace.setdefault(name, np.zeros((T, B, values.shape[2]), values.dtype))[start:stop, :n] = values
    return dx, tuple(dstate), dweights


def reverse(x, lengths):
    """Reverse each sequence within its own length: its last real step comes first, padding stays at the end.

    x (T, B, ...), lengths (B,) or None. It is its own inverse. Length 3 of 5 gives steps 2 1 0 3 4.
    """
    if lengths is None:
        return x[::-1]
    t = np.arange(len(x))[:, None]  # (T, 1)
    source = np.where(t < lengths, lengths - 1 - t, t)  # (T, B)
    return x[source, np.arange(x.shape[1])]
