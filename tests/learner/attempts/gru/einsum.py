"""All products as einsum: t steps, b rows, i inputs, h and k hidden units, g gates."""

import numpy as np


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    H = h_0.shape[-1]
    U = W_ih.reshape(3, H, -1)  # (g, h, i)
    V = W_hh.reshape(3, H, H)  # (g, h, k)
    b_u, b_v = b_ih.reshape(3, H), b_hh.reshape(3, H)

    u = np.einsum("tbi,ghi->tgbh", x, U) + b_u[:, None, :]
    h = np.concatenate([h_0[None], np.zeros((len(x), *h_0.shape))])  # h[t] goes into step t
    gates = np.zeros_like(u)
    v_n = np.zeros_like(h[1:])
    for t in range(len(x)):
        v = np.einsum("bk,ghk->gbh", h[t], V) + b_v[:, None, :]
        r, z = 1.0 / (1.0 + np.exp(-(u[t, :2] + v[:2])))
        n = np.tanh(u[t, 2] + r * v[2])
        gates[t] = r, z, n
        v_n[t] = v[2]
        h[t + 1] = n + z * (h[t] - n)
    return h[1:], h[-1], (x, h, gates, v_n, U, V)


def backward(dy, dh_n, cache):
    x, h, gates, v_n, U, V = cache
    T, _, B, H = gates.shape
    du = np.zeros((T, 3, B, H))
    dv = np.zeros((T, 3, B, H))
    dh = dh_n
    for t in range(T)[::-1]:
        r, z, n = gates[t]
        dh = dh + dy[t]
        du[t, 2] = np.einsum("bh,bh,bh->bh", dh, 1 - z, 1 - n * n)
        du[t, 1] = np.einsum("bh,bh,bh,bh->bh", dh, h[t] - n, z, 1 - z)
        du[t, 0] = np.einsum("bh,bh,bh,bh->bh", du[t, 2], v_n[t], r, 1 - r)
        dv[t] = du[t]
        dv[t, 2] *= r
        dh = dh * z + np.einsum("gbh,ghk->bk", dv[t], V)

    dx = np.einsum("tgbh,ghi->tbi", du, U)
    dU = np.einsum("tgbh,tbi->ghi", du, x)
    dV = np.einsum("tgbh,tbk->ghk", dv, h[:-1])
    db_u = np.einsum("tgbh->gh", du)
    db_v = np.einsum("tgbh->gh", dv)
    return dx, dh, dU.reshape(3 * H, -1), dV.reshape(3 * H, H), db_u.ravel(), db_v.ravel()
