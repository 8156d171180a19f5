"""What LSTM and GRU share: the logistic function, and their gates as blocks of an array."""

import numpy as np


@np.errstate(over="ignore")  # exp(-a) may overflow to inf; 1 / inf is 0, the right value
def sigmoid(a):
    """1 / (1 + exp(-a)). Exact to rounding also where it is nearly 0, and analytic for a complex step."""
    if np.iscomplexobj(a):  # for a complex number a large exp is nan, not inf
        a = np.maximum(a.real, 1 - np.log(np.finfo(a.dtype).max)) + 1j * a.imag
    return 1 / (1 + np.exp(-a))


def gate_blocks(a, G):
    """Split a (..., B, G*H) into its G gates: a view (..., G, B, H), so writing into it writes into a."""
    *leading, B, N = a.shape
    return a.reshape(*leading, B, G, N // G).swapaxes(-3, -2)
