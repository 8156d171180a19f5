"""Saves memory: only inputs and states are kept, and the gates are computed once more on the way back."""

import numpy as np


def gates(x_t, h, W_ih, W_hh, b_ih, b_hh):
    H = h.shape[1]
    u = x_t @ W_ih.T + b_ih
    v = h @ W_hh.T + b_hh
    s = 1 / (1 + np.exp(-(u + v)[:, : 2 * H]))
    r, z = s[:, :H], s[:, H:]
    n = np.tanh(u[:, 2 * H :] + r * v[:, 2 * H :])
    return r, z, n, v[:, 2 * H :]


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    weights = (W_ih, W_hh, b_ih, b_hh)
    states = [h_0]
    for x_t in x:
        _, z, n, _ = gates(x_t, states[-1], *weights)
        states.append((1 - z) * n + z * states[-1])
    return np.stack(states[1:]), states[-1], {"inputs": x, "states": states, "weights": weights}


def backward(dy, dh_n, cache):
    W_ih, W_hh, b_ih, b_hh = cache["weights"]
    H = W_hh.shape[1]
    dx = np.empty(cache["inputs"].shape)
    dW_ih = 0
    dW_hh = 0
    db_ih = 0
    db_hh = 0
    dh = 0 + dh_n
    for t in range(len(dy) - 1, -1, -1):
        x_t, h = cache["inputs"][t], cache["states"][t]
        r, z, n, v_n = gates(x_t, h, W_ih, W_hh, b_ih, b_hh)
        dh += dy[t]
        dt = dh * (1 - z) * (1 - n * n)
        du = np.empty((len(h), 3 * H))
        du[:, :H] = dt * v_n * r * (1 - r)
        du[:, H : 2 * H] = dh * (h - n) * z * (1 - z)
        du[:, 2 * H :] = dt
        dv = du.copy()
        dv[:, 2 * H :] *= r
        dx[t] = du @ W_ih
        dW_ih = dW_ih + du.T @ x_t
        dW_hh = dW_hh + dv.T @ h
        db_ih = db_ih + du.sum(axis=0)
        db_hh = db_hh + dv.sum(axis=0)
        dh = dh * z + dv @ W_hh
    return dx, dh, dW_ih, dW_hh, db_ih, db_hh
