"""I am used to (batch, time, features), so everything is turned round at the door and turned back on leaving."""

import numpy as np
from numpy import concatenate, exp, tanh, zeros


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    X = np.swapaxes(x, 0, 1)  # (B, T, I)
    B, T, _ = X.shape
    H = h_0.shape[-1]
    S = zeros((B, T + 1, H))
    S[:, 0] = h_0
    K = zeros((4, B, T, H))  # reset, update, candidate, W_hn h + b_hn
    A = X @ W_ih.T + b_ih  # (B, T, 3H)
    for t in range(T):
        C = S[:, t] @ W_hh.T + b_hh
        reset = 1 / (1 + exp(-(A[:, t, :H] + C[:, :H])))
        update = 1 / (1 + exp(-(A[:, t, H:-H] + C[:, H:-H])))
        candidate = tanh(A[:, t, -H:] + reset * C[:, -H:])
        S[:, t + 1] = update * S[:, t] + (1 - update) * candidate
        K[:, :, t] = reset, update, candidate, C[:, -H:]
    return np.swapaxes(S[:, 1:], 0, 1), S[:, -1].copy(), (X, S, K, W_ih, W_hh)


def backward(dy, dh_n, cache):
    X, S, K, W_ih, W_hh = cache
    dY = np.swapaxes(dy, 0, 1)  # (B, T, H)
    B, T, I = X.shape
    H = S.shape[-1]
    dA = zeros((B, T, 3 * H))
    dC = zeros((B, T, 3 * H))
    dS = dh_n
    for t in range(T)[::-1]:
        reset, update, candidate, c_n = K[:, :, t]
        dS = dS + dY[:, t]
        d_candidate = dS * (1 - update) * (1 - candidate**2)
        d_update = dS * (S[:, t] - candidate) * update * (1 - update)
        d_reset = d_candidate * c_n * reset * (1 - reset)
        dA[:, t] = concatenate([d_reset, d_update, d_candidate], axis=-1)
        dC[:, t] = concatenate([d_reset, d_update, reset * d_candidate], axis=-1)
        dS = update * dS + dC[:, t] @ W_hh

    dA_rows, dC_rows = dA.reshape(B * T, 3 * H), dC.reshape(B * T, 3 * H)
    dW_ih = dA_rows.T @ X.reshape(B * T, I)
    dW_hh = dC_rows.T @ S[:, :-1].reshape(B * T, H)
    dx = np.swapaxes(dA @ W_ih, 0, 1)
    return dx, dS, dW_ih, dW_hh, dA_rows.sum(0), dC_rows.sum(0)
