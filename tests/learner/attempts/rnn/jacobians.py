"""The chain rule as it stands: one Jacobian for every step and row, dh_t/dh_{t-1}, multiplied from the end."""

import numpy as np


def forward(x, h0, W_ih, W_hh, b_ih, b_hh):
    hs = [h0]
    for x_t in x:
        hs.append(np.tanh(x_t @ W_ih.T + b_ih + hs[-1] @ W_hh.T + b_hh))
    y = np.array(hs[1:])
    return y, y[-1].copy(), (x, hs, W_ih, W_hh)


def slope_matrices(h):
    """(B, H) -> (B, H, H), a diagonal matrix for every row"""
    B, H = h.shape
    matrices = np.zeros((B, H, H))
    for b in range(B):
        matrices[b] = np.diag(1 - h[b] ** 2)
    return matrices


def backward(dy, dh_n, cache):
    x, hs, W_ih, W_hh = cache
    T, B, I = x.shape
    H = W_hh.shape[0]
    dx = np.zeros((T, B, I))
    dW_ih, dW_hh, db_ih, db_hh = (np.zeros(shape) for shape in [(H, I), (H, H), H, H])

    dL_dh = dy[T - 1] + dh_n  # (B, H), the row vector dL/dh_t of every example
    for t in range(T - 1, -1, -1):
        dh_da = slope_matrices(hs[t + 1])
        J_h = dh_da @ W_hh  # (B, H, H)  J_h[b, j, k] = d h_t[j] / d h_{t-1}[k]
        J_x = dh_da @ W_ih  # (B, H, I)
        for b in range(B):
            dL_da = dL_dh[b] @ dh_da[b]
            dx[t, b] = dL_dh[b] @ J_x[b]
            dW_ih += np.outer(dL_da, x[t, b])
            dW_hh += np.outer(dL_da, hs[t][b])
            db_ih += dL_da
            db_hh += dL_da
        before = np.array([dL_dh[b] @ J_h[b] for b in range(B)])
        dL_dh = before + dy[t - 1] if t > 0 else before
    return dx, dL_dh, dW_ih, dW_hh, db_ih, db_hh
