"""The logistic function, written so that it neither overflows nor breaks on complex numbers."""

import numpy as np


def sigmoid(a):
    """1 / (1 + exp(-a)) as (1 + tanh(a/2)) / 2: finite for every finite a, and analytic for a complex step."""
    return 0.5 * np.tanh(0.5 * a) + 0.5
