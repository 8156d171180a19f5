"""A step runs, asks the rest of the sequence for its gradients, and only then works out its own. No loop at all."""

import numpy as np


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def step(x, h, c, W_ih, W_hh, b_ih, b_hh):
    a = x @ W_ih.T + h @ W_hh.T + b_ih + b_hh
    H = h.shape[1]
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 3 * H :])
    g = np.tanh(a[:, 2 * H : 3 * H])
    c_new = f * c + i * g
    return o * np.tanh(c_new), c_new, (i, f, g, o)


def backward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh, dy, dh_n, dc_n):
    weights = W_ih, W_hh, b_ih, b_hh
    dx = np.zeros(x.shape)
    dweights = [np.zeros(w.shape) for w in weights]

    def gradients_of_state(t, h, c):
        """dL/dh and dL/dc of the state that goes into step t, as far as steps t, t + 1, ... use it."""
        if t == len(x):
            return dh_n, dc_n
        h_new, c_new, (i, f, g, o) = step(x[t], h, c, *weights)
        dh, dc = gradients_of_state(t + 1, h_new, c_new)
        dh = dh + dy[t]
        tanh_c = np.tanh(c_new)
        dc = dc + dh * o * (1 - tanh_c**2)
        da = np.block(
            [
                dc * g * i * (1 - i),
                dc * c * f * (1 - f),
                dc * i * (1 - g**2),
                dh * tanh_c * o * (1 - o),
            ]
        )
        dx[t] = da @ W_ih
        dweights[0] += da.T @ x[t]
        dweights[1] += da.T @ h
        dweights[2] += da.sum(axis=0)
        dweights[3] += da.sum(axis=0)
        return da @ W_hh, dc * f

    dh_0, dc_0 = gradients_of_state(0, h_0, c_0)
    return dx, dh_0, dc_0, *dweights
