"""LSTM without a single matrix product. Gate g of unit j has its weights in row g * H + j."""

from math import exp, tanh

import numpy as np

INPUT, FORGET, CELL, OUTPUT = 0, 1, 2, 3


def sigm(s):
    return 1.0 / (1.0 + exp(-s))


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    T, B, I = x.shape
    H = h_0.shape[1]
    h = np.zeros((T + 1, B, H))
    c = np.zeros((T + 1, B, H))
    act = np.zeros((T, B, 4, H))
    h[0], c[0] = h_0, c_0
    for t in range(T):
        for b in range(B):
            for j in range(H):
                for g in range(4):
                    row = g * H + j
                    s = b_ih[row] + b_hh[row]
                    for i in range(I):
                        s += W_ih[row, i] * x[t, b, i]
                    for k in range(H):
                        s += W_hh[row, k] * h[t, b, k]
                    act[t, b, g, j] = tanh(s) if g == CELL else sigm(s)
                i_, f_, g_, o_ = act[t, b, :, j]
                c[t + 1, b, j] = f_ * c[t, b, j] + i_ * g_
                h[t + 1, b, j] = o_ * tanh(c[t + 1, b, j])
    return h[1:], h[-1], c[-1], (x, h, c, act, W_ih, W_hh)


def backward(dy, dh_n, dc_n, cache):
    x, h, c, act, W_ih, W_hh = cache
    T, B, I = x.shape
    H = h.shape[2]
    dx = np.zeros((T, B, I))
    dW_ih = np.zeros((4 * H, I))
    dW_hh = np.zeros((4 * H, H))
    db_ih = np.zeros(4 * H)
    db_hh = np.zeros(4 * H)
    dh = np.zeros((T + 1, B, H))  # dh[t], dc[t]: what the state going into step t receives from step t and later
    dc = np.zeros((T + 1, B, H))
    dh[T], dc[T] = dh_n, dc_n
    for t in range(T - 1, -1, -1):
        for b in range(B):
            for j in range(H):
                i_, f_, g_, o_ = act[t, b, :, j]
                out = tanh(c[t + 1, b, j])
                total_h = dh[t + 1, b, j] + dy[t, b, j]
                total_c = dc[t + 1, b, j] + total_h * o_ * (1 - out * out)
                ds = [0.0, 0.0, 0.0, 0.0]
                ds[INPUT] = total_c * g_ * i_ * (1 - i_)
                ds[FORGET] = total_c * c[t, b, j] * f_ * (1 - f_)
                ds[CELL] = total_c * i_ * (1 - g_ * g_)
                ds[OUTPUT] = total_h * out * o_ * (1 - o_)
                dc[t, b, j] = total_c * f_
                for g in range(4):
                    row = g * H + j
                    for i in range(I):
                        dx[t, b, i] += ds[g] * W_ih[row, i]
                        dW_ih[row, i] += ds[g] * x[t, b, i]
                    for k in range(H):
                        dh[t, b, k] += ds[g] * W_hh[row, k]
                        dW_hh[row, k] += ds[g] * h[t, b, k]
                    db_ih[row] += ds[g]
                    db_hh[row] += ds[g]
    return dx, dh[0], dc[0], dW_ih, dW_hh, db_ih, db_hh
