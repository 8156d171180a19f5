"""What LSTM and GRU share: the logistic function, and their gates as blocks of an array."""

import numpy as np


@np.errstate(over="ignore")  # exp(-a) may overflow to inf; 1 / inf is 0, the right value
def sigmoid(a, out=None):
    """1 / (1 + exp(-a)), written into `out` if one is given. Exact to rounding also where it is nearly 0, and analytic
    for a complex step."""
    if np.iscomplexobj(a if out is None else out):  # for a complex number a large exp is nan, not inf
        a = np.maximum(a.real, 1 - np.log(np.finfo(a.dtype).max)) + 1j * a.imag
    out = np.negative(a, out=out)  # the rest is in place: three allocations less per step
    np.exp(out, out=out)
    out += 1
    return np.divide(1, out, out=out)


def gate_blocks(a, G):
    """Split a (..., B, G*H) into its G gates: a view (..., G, B, H), so writing into it writes into a."""
    *leading, B, N = a.shape
    return a.reshape(*leading, B, G, N // G).swapaxes(-3, -2)
