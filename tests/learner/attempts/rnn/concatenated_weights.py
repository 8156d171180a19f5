"""x, h and a one side by side, so that both matrices and both biases are a single matrix."""

import numpy as np


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    T, B, I = x.shape
    W = np.hstack([W_ih, W_hh, (b_ih + b_hh).reshape(-1, 1)])  # (H, I + H + 1)
    one = np.ones((B, 1))
    joined, hs = [], []
    h = h_0
    for t in range(T):
        v = np.hstack([x[t], h, one])  # (B, I + H + 1)
        h = np.tanh(v @ W.T)
        joined.append(v)
        hs.append(h)
    cache = {"joined": joined, "hs": hs, "W": W, "I": I}
    return np.array(hs), h, cache


def backward(dy, dh_n, cache):
    joined, hs, W, I = cache["joined"], cache["hs"], cache["W"], cache["I"]
    H = W.shape[0]
    dW = np.zeros_like(W)
    dx = []
    dh = dh_n
    for t in reversed(range(len(joined))):
        dh = dh + dy[t]
        da = dh * (1 - np.power(hs[t], 2))
        dW += da.T @ joined[t]
        dv = da @ W
        dx.insert(0, dv[:, :I])
        dh = dv[:, I : I + H]
    return {
        "dx": np.array(dx),
        "dh_0": dh,
        "dW_ih": dW[:, :I],
        "dW_hh": dW[:, I:-1],
        "db_ih": dW[:, -1].copy(),
        "db_hh": dW[:, -1].copy(),
    }
