import numpy as np


def backward(x, h_0, W_ih, W_hh, b_ih, b_hh, dy, dh_n):
    T, B, I = x.shape
    H = h_0.shape[1]
    R, Z, N = slice(0, H), slice(H, 2 * H), slice(2 * H, 3 * H)

    # ---- forward, keep what is needed ----
    hs = np.zeros((T + 1, B, H))
    hs[0] = h_0
    gate = np.zeros((T, B, 3 * H))
    rec = np.zeros((T, B, 3 * H))
    for t in range(T):
        inp = x[t] @ W_ih.T + b_ih
        rec[t] = hs[t] @ W_hh.T + b_hh
        gate[t][:, R] = 1 / (1 + np.exp(-inp[:, R] - rec[t][:, R]))
        gate[t][:, Z] = 1 / (1 + np.exp(-inp[:, Z] - rec[t][:, Z]))
        gate[t][:, N] = np.tanh(inp[:, N] + gate[t][:, R] * rec[t][:, N])
        hs[t + 1] = (1 - gate[t][:, Z]) * gate[t][:, N] + gate[t][:, Z] * hs[t]

    # ---- backward ----
    dx = np.zeros((T, B, I))
    dW_ih, dW_hh = np.zeros((3 * H, I)), np.zeros((3 * H, H))
    db_ih, db_hh = np.zeros(3 * H), np.zeros(3 * H)
    dh = np.copy(dh_n)
    for t in range(T - 1, -1, -1):
        r, z, n = gate[t][:, R], gate[t][:, Z], gate[t][:, N]
        dh = dh + dy[t]
        d_inp = np.zeros((B, 3 * H))
        d_inp[:, N] = dh * (1 - z) * (1 - n**2)
        d_inp[:, Z] = dh * (hs[t] - n) * z * (1 - z)
        d_inp[:, R] = d_inp[:, N] * rec[t][:, N] * r * (1 - r)
        d_rec = d_inp.copy()
        d_rec[:, N] = d_inp[:, N] * r

        dW_ih += d_inp.T @ x[t]
        dW_hh += d_rec.T @ hs[t]
        db_ih += d_inp.sum(0)
        db_hh += d_rec.sum(0)
        dx[t] = d_inp @ W_ih
        dh = z * dh + d_rec @ W_hh

    return dx, dh, dW_ih, dW_hh, db_ih, db_hh
