"""After the well-known hundred-line character model: dictionaries of steps, and every dW is added to in the loop."""

import numpy as np


def forward(inputs, hprev, Wxh, Whh, bx, bh):
    xs, hs = {}, {}
    hs[-1] = np.copy(hprev)
    for t in range(len(inputs)):
        xs[t] = inputs[t]
        hs[t] = np.tanh(np.dot(xs[t], Wxh.T) + bx + np.dot(hs[t - 1], Whh.T) + bh)  # hidden state
    ys = np.stack([hs[t] for t in range(len(inputs))])
    return ys, hs[len(inputs) - 1], (xs, hs, Wxh, Whh)


def backward(dys, dhn, cache):
    xs, hs, Wxh, Whh = cache
    dWxh, dWhh = np.zeros_like(Wxh), np.zeros_like(Whh)
    dbx, dbh = np.zeros(len(Whh)), np.zeros(len(Whh))
    dxs = {}
    dhnext = dhn
    for t in reversed(range(len(xs))):
        dh = dys[t] + dhnext  # backprop into h
        dhraw = (1 - hs[t] * hs[t]) * dh  # backprop through tanh nonlinearity
        dbx += np.sum(dhraw, axis=0)
        dbh += np.sum(dhraw, axis=0)
        dWxh += np.dot(dhraw.T, xs[t])
        dWhh += np.dot(dhraw.T, hs[t - 1])
        dxs[t] = np.dot(dhraw, Wxh)
        dhnext = np.dot(dhraw, Whh)
    dx = np.stack([dxs[t] for t in range(len(xs))])
    return dx, dhnext, dWxh, dWhh, dbx, dbh
