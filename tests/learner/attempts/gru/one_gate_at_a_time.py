"""Every gate with its own six arrays. Long, but each line is a line of the equations."""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    W_ir, W_iz, W_in = np.split(W_ih, 3)
    W_hr, W_hz, W_hn = np.split(W_hh, 3)
    b_ir, b_iz, b_in = np.split(b_ih, 3)
    b_hr, b_hz, b_hn = np.split(b_hh, 3)
    T = len(x)
    h = np.zeros((T, *h_0.shape))
    r, z, n, m = (np.zeros_like(h) for _ in range(4))
    h_prev = h_0
    for t in range(T):
        r[t] = sigmoid(x[t] @ W_ir.T + b_ir + h_prev @ W_hr.T + b_hr)
        z[t] = sigmoid(x[t] @ W_iz.T + b_iz + h_prev @ W_hz.T + b_hz)
        m[t] = h_prev @ W_hn.T + b_hn
        n[t] = np.tanh(x[t] @ W_in.T + b_in + r[t] * m[t])
        h[t] = (1 - z[t]) * n[t] + z[t] * h_prev
        h_prev = h[t]
    return h, h[-1], (x, h_0, h, r, z, n, m, (W_ir, W_iz, W_in), (W_hr, W_hz, W_hn))


def backward(dy, dh_n, cache):
    x, h_0, h, r, z, n, m, (W_ir, W_iz, W_in), (W_hr, W_hz, W_hn) = cache
    dW_ir, dW_iz, dW_in = np.zeros_like(W_ir), np.zeros_like(W_iz), np.zeros_like(W_in)
    dW_hr, dW_hz, dW_hn = np.zeros_like(W_hr), np.zeros_like(W_hz), np.zeros_like(W_hn)
    db_r, db_z, db_in, db_hn = (np.zeros(h.shape[2]) for _ in range(4))
    dx = np.zeros_like(x)
    dh_next = dh_n
    for t in range(len(x) - 1, -1, -1):
        h_prev = h[t - 1] if t > 0 else h_0
        dh = dy[t] + dh_next

        # h = (1 - z) n + z h_prev
        dz = dh * (h_prev - n[t])
        dn = dh * (1 - z[t])
        dh_prev = dh * z[t]

        # n = tanh(x W_in + b_in + r m)
        dn_sum = dn * (1 - n[t] ** 2)
        dW_in += dn_sum.T @ x[t]
        db_in += dn_sum.sum(axis=0)
        dr = dn_sum * m[t]
        dm = dn_sum * r[t]

        # m = h_prev W_hn + b_hn
        dW_hn += dm.T @ h_prev
        db_hn += dm.sum(axis=0)
        dh_prev += dm @ W_hn

        # z and r
        dz_sum = dz * z[t] * (1 - z[t])
        dW_iz += dz_sum.T @ x[t]
        dW_hz += dz_sum.T @ h_prev
        db_z += dz_sum.sum(axis=0)
        dh_prev += dz_sum @ W_hz
        dr_sum = dr * r[t] * (1 - r[t])
        dW_ir += dr_sum.T @ x[t]
        dW_hr += dr_sum.T @ h_prev
        db_r += dr_sum.sum(axis=0)
        dh_prev += dr_sum @ W_hr

        dx[t] = dr_sum @ W_ir + dz_sum @ W_iz + dn_sum @ W_in
        dh_next = dh_prev

    dW_ih = np.concatenate([dW_ir, dW_iz, dW_in])
    dW_hh = np.concatenate([dW_hr, dW_hz, dW_hn])
    db_ih = np.concatenate([db_r, db_z, db_in])
    db_hh = np.concatenate([db_r, db_z, db_hn])
    return dx, dh_next, dW_ih, dW_hh, db_ih, db_hh
