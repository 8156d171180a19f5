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
    Returns a list of (start, stop, rows): from step `start` up to `stop` the first `rows` rows run.
    """
    if lengths is None:
        return [(0, T, B)]
    stops = np.unique(lengths).tolist()
    starts = [0, *stops[:-1]]
    return [(start, stop, int(np.sum(lengths >= stop))) for start, stop in zip(starts, stops, strict=True)]


def forward(cell, x, state, weights, lengths, **options):
    """Run a cell over a padded batch: x (T, B, I), `state` a tuple of (B, H), lengths (B,) longest first.

    Returns y (T, B, H), 0 past each sequence's end; the tuple of last states (B, H), each row's at its own last
    real step; and what `backward` needs.
    """
    T, B, _ = x.shape
    if lengths is None:
        y, *state, cache = cell.forward(x, *state, *weights, **options)
        return y, tuple(state), [((0, T, B), cache)]

    state = [s.astype(np.result_type(s, x, weights[1])) for s in state]  # copies, written to below
    y = np.zeros((T, *state[0].shape), state[0].dtype)  # (T, B, H)
    caches = []
    for start, stop, rows in segments(lengths, T, B):
        running = [s[:rows] for s in state]
        y[start:stop, :rows], *last, cache = cell.forward(x[start:stop, :rows], *running, *weights, **options)
        for s, s_last in zip(state, last, strict=True):
            s[:rows] = s_last
        caches.append(((start, stop, rows), cache))
    return y, tuple(state), caches


def backward(cell, dy, dstate_n, caches, I, steps=None):
    """The same chain from its end: dy (T, B, H), `dstate_n` a tuple of (B, H), I inputs.

    Returns dx (T, B, I), 0 on padding; the tuple of dstate_0; and the list of weight gradients, summed over
    the segments. `steps` receives the cell's total derivatives of all steps, 0 on padding.
    """
    T, B, _ = dy.shape
    if len(caches) == 1 and caches[0][0] == (0, T, B):
        dx, *rest = cell.backward(dy, *dstate_n, caches[0][1], steps)
        return dx, tuple(rest[:-4]), rest[-4:]

    dstate = [ds.copy() for ds in dstate_n]  # written to below; rows past `rows` keep waiting with their dh_n
    dx = np.zeros((T, B, I), dy.dtype)
    dweights = None
    for (start, stop, rows), cache in reversed(caches):
        running = [ds[:rows] for ds in dstate]
        of_segment = {} if steps is not None else None
        dx[start:stop, :rows], *rest = cell.backward(dy[start:stop, :rows], *running, cache, of_segment)
        for ds, ds_first in zip(dstate, rest[:-4], strict=True):
            ds[:rows] = ds_first
        if dweights is None:
            dweights = rest[-4:]
        else:
            for total, share in zip(dweights, rest[-4:], strict=True):
                total += share
        for name, values in (of_segment or {}).items():
            whole = steps.setdefault(name, np.zeros((T, B, values.shape[-1]), values.dtype))
            whole[start:stop, :rows] = values
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
