"""What LSTM and GRU share: the logistic function, and their gates as blocks of an array."""

import numpy as np


def sigmoid(a, out=None):
    """1 / (1 + exp(-a)) as tanh(a/2) / 2 + 1/2: finite for every finite a, and analytic for a complex step.

    a: an array; out: where to write, None for a new array. Returns it.
    """
    out = np.multiply(a, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


def gate_blocks(a, G):
    """The G gates of a (..., B, G*H) apart, as a view (..., G, B, H): writing into it writes into a."""
    *leading, B, N = a.shape
    return a.reshape(*leading, B, G, N // G).swapaxes(-3, -2)
