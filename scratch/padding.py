"""Sequences of different lengths: a padded batch is a chain of plain ones.

Sort the rows longest first. Between two steps at which some sequence ends, the same n rows run, all of them
whole: a plain sequence for the cell. So cut the batch into such segments and hand the state from one to the
next; the rows whose sequence has ended wait with their last state. On the way back the segments run in reverse
order, and a row's dh_n waits until the segment in which the row ends. The cell never sees a padded step, so
padding can neither change a result nor receive a gradient.

    lengths 5 3 2      step 0 1 2 3 4
                       row 0  # # # # #
                       row 1  # # #              segments (0, 2, 3 rows)  (2, 3, 2 rows)  (3, 5, 1 row)
                       row 2  # #
"""

import numpy as np


def segments(lengths, T, B):
    """Cut T steps where a sequence ends.

    lengths (B,), longest first, or None when every row runs for T steps.
    Returns a list of (start, stop, n): from step `start` up to `stop` the first n rows run.
    """
    if lengths is None:
        return [(0, T, B)]
    stops = np.unique(lengths).tolist()
    starts = [0, *stops[:-1]]
    return [(start, stop, int(np.sum(lengths >= stop))) for start, stop in zip(starts, stops, strict=True)]


def forward(cell, x, state, weights, lengths, **options):
    """Run a cell over a padded batch: x (T, B, I), `state` a tuple of (B, H), `weights` W_ih, W_hh, b_ih, b_hh,
    lengths (B,) longest first or None.

    Returns y (T, B, H), 0 past each sequence's end; the tuple of last states (B, H), each row's at its own last
    real step; and what `backward` needs.
    """
    T, B, _ = x.shape
    if lengths is None:
        y, *state, cache = cell.forward(x, *state, *weights, **options)
        return y, tuple(state), [((0, T, B), cache)]

    state = [np.array(s, np.result_type(s, x)) for s in state]  # copies, written to below
    y = np.zeros((T, *state[0].shape), state[0].dtype)  # (T, B, H)
    caches = []
    for start, stop, n in segments(lengths, T, B):
        running = [s[:n] for s in state]
        y[start:stop, :n], *last, cache = cell.forward(x[start:stop, :n], *running, *weights, **options)
        for s, s_last in zip(state, last, strict=True):
            s[:n] = s_last  # the other rows keep the state that they ended with
        caches.append(((start, stop, n), cache))
    return y, tuple(state), caches


def backward(cell, dy, dstate_n, caches, I, trace=None):
    """The same chain from its end: dy (T, B, H), `dstate_n` a tuple of (B, H), I inputs.

    Returns dx (T, B, I), 0 on padding; the tuple of dstate_0; and the gradients of the four weights, summed over the
    segments. `trace` receives the cell's total derivatives of all steps, 0 on padding.
    """
    T, B, _ = dy.shape
    if len(caches) == 1 and caches[0][0] == (0, T, B):
        dx, *dstate, dW_ih, dW_hh, db_ih, db_hh = cell.backward(dy, *dstate_n, caches[0][1], trace)
        return dx, tuple(dstate), [dW_ih, dW_hh, db_ih, db_hh]

    dstate = [ds.copy() for ds in dstate_n]  # written to below; a row waits here with its dh_n until it runs
    dx = np.zeros((T, B, I), dy.dtype)
    dweights = None
    for (start, stop, n), cache in reversed(caches):
        running = [ds[:n] for ds in dstate]
        traced = {} if trace is not None else None
        dx_part, *first, dW_ih, dW_hh, db_ih, db_hh = cell.backward(dy[start:stop, :n], *running, cache, traced)
        dx[start:stop, :n] = dx_part
        for ds, ds_first in zip(dstate, first, strict=True):
            ds[:n] = ds_first
        share = [dW_ih, dW_hh, db_ih, db_hh]
        dweights = share if dweights is None else [total + part for total, part in zip(dweights, share, strict=True)]
        for name, values in (traced or {}).items():
            trace.setdefault(name, np.zeros((T, B, values.shape[-1]), values.dtype))[start:stop, :n] = values
    return dx, tuple(dstate), dweights


def reverse(x, lengths):
    """Turn each sequence round within its own length: a real last step comes first, padding stays behind.

    x (T, B, ...), lengths (B,) or None. It is its own inverse.
    """
    if lengths is None:
        return x[::-1]
    t = np.arange(len(x))[:, None]  # (T, 1)
    source = np.where(t < lengths, lengths - 1 - t, t)  # (T, B)
    return x[source, np.arange(x.shape[1])]
