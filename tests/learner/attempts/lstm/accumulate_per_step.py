"""The gradients are a dict of zeros to begin with, and every step adds its share."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Step:
    x: np.ndarray
    h_in: np.ndarray
    c_in: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    squashed: np.ndarray  # tanh of the new cell


def sigmoid(a):
    return np.exp(-np.logaddexp(0, -a))


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    h, c = h_0, c_0
    outputs, steps = [], []
    for t in range(x.shape[0]):
        a = W_ih.dot(x[t].T).T + W_hh.dot(h.T).T + b_ih + b_hh
        a_i, a_f, a_g, a_o = np.split(a, 4, axis=1)
        i, f, g, o = sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)
        c_new = f * c + i * g
        squashed = np.tanh(c_new)
        steps.append(Step(x[t], h, c, i, f, g, o, squashed))
        h, c = o * squashed, c_new
        outputs.append(h)
    return np.array(outputs), h, c, {"steps": steps, "W_ih": W_ih, "W_hh": W_hh}


def backward(dy, dh_n, dc_n, cache):
    steps, W_ih, W_hh = cache["steps"], cache["W_ih"], cache["W_hh"]
    four_H = W_hh.shape[0]
    grads = {
        "dx": np.zeros((len(steps), *steps[0].x.shape)),
        "dh_0": np.array(dh_n),
        "dc_0": np.array(dc_n),
        "dW_ih": np.zeros(W_ih.shape),
        "dW_hh": np.zeros(W_hh.shape),
        "db_ih": np.zeros(four_H),
        "db_hh": np.zeros(four_H),
    }
    t = len(steps)
    while t > 0:
        t -= 1
        s = steps[t]
        dh = grads["dh_0"] + dy[t]
        dc = grads["dc_0"] + dh * s.o * (1 - s.squashed**2)
        da_o = dh * s.squashed * s.o * (1 - s.o)
        da_i = dc * s.g * s.i * (1 - s.i)
        da_f = dc * s.c_in * s.f * (1 - s.f)
        da_g = dc * s.i * (1 - s.g**2)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        for row in range(len(da)):
            grads["dW_ih"] += np.outer(da[row], s.x[row])
            grads["dW_hh"] += np.outer(da[row], s.h_in[row])
            grads["db_ih"] += da[row]
            grads["db_hh"] += da[row]
        grads["dx"][t] = W_ih.T.dot(da.T).T
        grads["dh_0"] = W_hh.T.dot(da.T).T
        grads["dc_0"] = dc * s.f
    return grads
