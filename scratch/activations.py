"""What LSTM and GRU share: the logistic function, and their gates as blocks of an array."""

import numpy as np


def sigmoid(a):
    """1 / (1 + exp(-a)) as tanh(a/2) / 2 + 1/2: finite for every finite a, and analytic for a complex step."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


def gate_blocks(a, G):
    """The G gates of a (..., B, G*H) apart, as a view (..., G, B, H): writing into it writes into a."""
    *leading, B, N = a.shape
    return a.reshape(*leading, B, G, N // G).swapaxes(-3, -2)
