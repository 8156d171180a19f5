"""[h, x] in one array and a single matrix, the way many blog posts draw the cell."""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def dsigmoid(s):
    return s * (1.0 - s)


def dtanh(s):
    return 1.0 - s * s


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    n_h = h_0.shape[1]
    W = np.concatenate((W_hh, W_ih), axis=1)  # (4H, H + I)
    bias = b_hh + b_ih
    h, C = {-1: h_0}, {-1: c_0}
    concat, gates = {}, {}
    for t in range(len(x)):
        concat[t] = np.concatenate((h[t - 1], x[t]), axis=1)
        a = np.dot(concat[t], W.T) + bias
        i = sigmoid(a[:, :n_h])
        f = sigmoid(a[:, n_h : 2 * n_h])
        C_bar = np.tanh(a[:, 2 * n_h : 3 * n_h])
        o = sigmoid(a[:, 3 * n_h :])
        C[t] = f * C[t - 1] + i * C_bar
        h[t] = o * np.tanh(C[t])
        gates[t] = (i, f, C_bar, o)
    last = len(x) - 1
    y = np.stack([h[t] for t in range(len(x))])
    return y, h[last], C[last], (concat, gates, C, W, n_h)


def backward(dy, dh_n, dc_n, cache):
    concat, gates, C, W, n_h = cache
    T = len(concat)
    dW = np.zeros_like(W)
    dbias = np.zeros(W.shape[0])
    dx = [None] * T
    dh_next = np.zeros_like(dh_n) + dh_n
    dC_next = np.zeros_like(dc_n) + dc_n
    for t in reversed(range(T)):
        i, f, C_bar, o = gates[t]
        dh = dy[t] + dh_next
        do = dh * np.tanh(C[t]) * dsigmoid(o)

        dC = np.copy(dC_next)
        dC += dh * o * dtanh(np.tanh(C[t]))
        dC_bar = dC * i * dtanh(C_bar)
        di = dC * C_bar * dsigmoid(i)
        df = dC * C[t - 1] * dsigmoid(f)

        da = np.concatenate((di, df, dC_bar, do), axis=1)
        dW += np.dot(da.T, concat[t])
        dbias += np.sum(da, axis=0)
        dconcat = np.dot(da, W)
        dh_next = dconcat[:, :n_h]
        dx[t] = dconcat[:, n_h:]
        dC_next = f * dC
    dW_hh = dW[:, :n_h].copy()
    dW_ih = dW[:, n_h:].copy()
    return np.stack(dx), dh_next, dC_next, dW_ih, dW_hh, dbias, dbias.copy()
