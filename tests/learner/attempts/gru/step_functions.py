"""Exercise 3: gru_step_forward, gru_step_backward, and the loops over time that call them."""

import numpy as np


def sigmoid(a):
    out = np.zeros_like(a)
    pos = a >= 0
    out[pos] = 1 / (1 + np.exp(-a[pos]))
    e = np.exp(a[~pos])
    out[~pos] = e / (1 + e)
    return out


def gru_step_forward(x, prev_h, Wx, Wh, bx, bh):
    H = prev_h.shape[1]
    ax = x.dot(Wx.T) + bx
    ah = prev_h.dot(Wh.T) + bh
    rz = sigmoid(ax[:, : 2 * H] + ah[:, : 2 * H])
    r, z = rz[:, :H], rz[:, H:]
    n = np.tanh(ax[:, 2 * H :] + r * ah[:, 2 * H :])
    next_h = (1 - z) * n + z * prev_h
    cache = (x, prev_h, Wx, Wh, r, z, n, ah[:, 2 * H :])
    return next_h, cache


def gru_step_backward(dnext_h, cache):
    """dnext_h: all of the gradient of this step's output. Returns gradients of everything that went in."""
    x, prev_h, Wx, Wh, r, z, n, ahn = cache
    dn = dnext_h * (1 - z)
    dz = dnext_h * (prev_h - n)
    dprev_h = dnext_h * z

    dan = (1 - n * n) * dn
    dr = ahn * dan
    dar = r * (1 - r) * dr
    daz = z * (1 - z) * dz
    dax = np.hstack((dar, daz, dan))
    dah = np.hstack((dar, daz, r * dan))

    dx = dax.dot(Wx)
    dprev_h = dprev_h + dah.dot(Wh)
    dWx = dax.T.dot(x)
    dWh = dah.T.dot(prev_h)
    return dx, dprev_h, dWx, dWh, dax.sum(axis=0), dah.sum(axis=0)


def forward(x, h0, Wx, Wh, bx, bh):
    h, caches = [], []
    prev = h0
    for t in range(x.shape[0]):
        prev, cache = gru_step_forward(x[t], prev, Wx, Wh, bx, bh)
        h.append(prev)
        caches.append(cache)
    return np.asarray(h), prev, caches


def backward(dh, dh_last, caches):
    T = len(caches)
    dx_T, dprev_h, dWx, dWh, dbx, dbh = gru_step_backward(dh[T - 1] + dh_last, caches[T - 1])
    dx = np.zeros((T, *dx_T.shape))
    dx[T - 1] = dx_T
    for t in range(T - 2, -1, -1):
        dx[t], dprev_h, dWx_t, dWh_t, dbx_t, dbh_t = gru_step_backward(dh[t] + dprev_h, caches[t])
        dWx += dWx_t
        dWh += dWh_t
        dbx += dbx_t
        dbh += dbh_t
    return dx, dprev_h, dWx, dWh, dbx, dbh
