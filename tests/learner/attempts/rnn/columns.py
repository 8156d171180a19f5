"""As in the lecture: x_t and h_t are columns, one for each example, so W h needs no transpose."""

import numpy as np


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    X = x.transpose(0, 2, 1)  # (T, I, B)
    h = [h_0.T]  # (H, B) each
    bias = (b_ih + b_hh)[:, None]
    for t in range(len(X)):
        h.append(np.tanh(W_ih @ X[t] + W_hh @ h[-1] + bias))
    y = np.stack([h_t.T for h_t in h[1:]])
    return y, h[-1].T.copy(), {"X": X, "h": h, "U": W_ih, "W": W_hh}


def backward(dy, dh_n, cache):
    X, h, U, W = cache["X"], cache["h"], cache["U"], cache["W"]
    T, _, B = X.shape
    dX = np.zeros_like(X)
    dU, dW = np.zeros_like(U), np.zeros_like(W)
    db = np.zeros((len(W), 1))
    ones = np.ones((B, 1))

    d_next = dh_n.T
    for t in range(T - 1, -1, -1):
        d_h = dy[t].T + d_next
        d_a = (1.0 - h[t + 1] * h[t + 1]) * d_h  # (H, B)
        dU += d_a @ X[t].T
        dW += d_a @ h[t].T
        db += d_a @ ones
        dX[t] = U.T @ d_a
        d_next = W.T @ d_a

    return dX.transpose(0, 2, 1), d_next.T, dU, dW, db[:, 0], db[:, 0].copy()
