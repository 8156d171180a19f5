"""One number at a time, so that I can see every index."""

import math

import numpy as np


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    T, B, I = x.shape
    H = h_0.shape[1]
    h = np.zeros((T + 1, B, H))  # h[0] is the first state, h[t + 1] comes out of step t
    h[0] = h_0
    for t in range(T):
        for b in range(B):
            for j in range(H):
                s = b_ih[j] + b_hh[j]
                for i in range(I):
                    s += W_ih[j, i] * x[t, b, i]
                for k in range(H):
                    s += W_hh[j, k] * h[t, b, k]
                h[t + 1, b, j] = math.tanh(s)
    return h[1:], h[T], (x, h, W_ih, W_hh)


def backward(dy, dh_n, cache):
    x, h, W_ih, W_hh = cache
    T, B, I = x.shape
    H = h.shape[2]
    dx = np.zeros((T, B, I))
    dW_ih = np.zeros((H, I))
    dW_hh = np.zeros((H, H))
    db_ih = np.zeros(H)
    db_hh = np.zeros(H)
    dh = np.array(dh_n)
    for t in range(T - 1, -1, -1):
        dh_prev = np.zeros((B, H))
        for b in range(B):
            for j in range(H):
                total = dy[t, b, j] + dh[b, j]
                ds = total * (1 - h[t + 1, b, j] ** 2)
                for i in range(I):
                    dW_ih[j, i] += ds * x[t, b, i]
                    dx[t, b, i] += ds * W_ih[j, i]
                for k in range(H):
                    dW_hh[j, k] += ds * h[t, b, k]
                    dh_prev[b, k] += ds * W_hh[j, k]
                db_ih[j] += ds
                db_hh[j] += ds
        dh = dh_prev
    return dx, dh, dW_ih, dW_hh, db_ih, db_hh
