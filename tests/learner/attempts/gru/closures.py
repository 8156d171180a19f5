"""Each step hands back a function that undoes it, and the cache is the list of these functions."""

import numpy as np


def step(x_t, h, params):
    W_ih, W_hh, b_ih, b_hh = params
    u_r, u_z, u_n = np.array_split(x_t @ W_ih.T + b_ih, 3, axis=-1)
    v_r, v_z, v_n = np.array_split(h @ W_hh.T + b_hh, 3, axis=-1)
    r = np.reciprocal(1 + np.exp(-u_r - v_r))
    z = np.reciprocal(1 + np.exp(-u_z - v_z))
    n = np.tanh(u_n + r * v_n)

    def undo(dh, grads):
        """dh: total gradient of this step's new state. Adds to grads, returns (dx_t, dh of the state before)."""
        dn = (1 - n**2) * (1 - z) * dh
        dz = z * (1 - z) * (h - n) * dh
        dr = r * (1 - r) * v_n * dn
        du = np.concatenate((dr, dz, dn), axis=-1)
        dv = np.concatenate((dr, dz, dn * r), axis=-1)
        grads["dW_ih"] += du.T @ x_t
        grads["dW_hh"] += dv.T @ h
        grads["db_ih"] += du.sum(axis=0)
        grads["db_hh"] += dv.sum(axis=0)
        return du @ W_ih, dv @ W_hh + z * dh

    return z * h + (1 - z) * n, undo


def forward(x, h_0, *params):
    y, undos = [], []
    h = h_0
    for x_t in x:
        h, undo = step(x_t, h, params)
        y.append(h)
        undos.append(undo)
    return np.stack(y), h, (undos, params)


def backward(dy, dh_n, cache):
    undos, params = cache
    names = ("dW_ih", "dW_hh", "db_ih", "db_hh")
    grads = {name: np.zeros(np.shape(p)) for name, p in zip(names, params, strict=True)}
    dx = []
    dh = dh_n
    for undo, dy_t in zip(undos[::-1], dy[::-1], strict=True):
        dx_t, dh = undo(dh + dy_t, grads)
        dx.append(dx_t)
    return {"dx": np.stack(dx[::-1]), "dh_0": dh, **grads}
