"""The minGRU cell: one layer, one direction, all steps. No gate reads the state, so the recurrence is linear.

Sizes: T steps, B batch rows, I inputs, H hidden units. Gate blocks in the order z, n.

    (M1)  a_t = W_ih x_t + b_ih               two blocks of H: a_z, a_n
    (M2)  z_t = sigmoid(a_z)      n_t = a_n
    (M3)  h_t = (1 - z_t) * h_{t-1} + z_t * n_t

Feng, Tung, Ahmed, Bengio and Hajimirsadeghi, "Were RNNs all we needed?" (2024): the GRU without the reset gate, without
h_{t-1} in the gates and without tanh. As in the paper z weights the new value; in torch's GRU it weights the old one.
"""

from typing import NamedTuple

import numpy as np

from scratch import inputs
from scratch.activations import sigmoid
from scratch.scan import scan

GATES = ("z", "n")  # the blocks of a_t, in this order
TRACED = ("dh", "da")  # what `backward` writes into its trace, in the order in which it computes them


class Cache(NamedTuple):
    """What `forward` keeps for `backward`."""

    x: np.ndarray  # (T, B, I)
    h_0: np.ndarray  # (B, H)
    W_ih: np.ndarray  # (2H, I)
    z: np.ndarray  # (T, B, H)
    n: np.ndarray  # (T, B, H)
    y: np.ndarray  # (T, B, H)


def forward(x, h_0, W_ih, b_ih, y=None):
    """Run the cell over a whole sequence.

    x (T, B, I), h_0 (B, H), W_ih (2H, I), b_ih (2H,). x may also be ids (T, B), with W_ih (2H, V): see
    scratch/inputs.py.
    Returns y (T, B, H), the state h_t at every step, written into the array `y` if one is given; h_n (B, H), the last
    of them; and the Cache for `backward`.
    """
    # (M1)  a_t = W_ih x_t + b_ih needs no state: all steps in one product
    a = inputs.forward(x, W_ih, b_ih)  # (T, B, 2H)
    a_z, a_n = np.split(a, 2, axis=2)  # (T, B, H) each, views
    # (M2)  z_t = sigmoid(a_z)      n_t = a_n
    z = sigmoid(a_z)  # (T, B, H)
    n = a_n.copy()  # (T, B, H)  with a view, all of a would be kept
    # (M3)  h_t = (1 - z_t) * h_{t-1} + z_t * n_t
    y = scan(1 - z, z * n, h_0, y)  # (T, B, H)
    return y, y[-1], Cache(x, h_0, W_ih, z, n, y)


def backward(dy, dh_n, cache, trace=None):
    """Back-propagate through time: `forward` read from the bottom up.

    dy (T, B, H): what the loss sends to h_t directly, NOT what travels between steps; dh_n (B, H): the gradient of the
    h_n that `forward` returned, zeros if nothing used it.
    Returns dx (T, B, I), None for ids; dh_0 (B, H), dW_ih (2H, I), db_ih (2H,).
    If `trace` is a dict, it receives the total derivatives at every step, through the step's own output and through all
    later steps: "dh" (T, B, H) and "da" (T, B, 2H).

    Source: Martin and Cundy, ICLR 2018, with the chain rule on (M1)-(M3).
    """
    x, h_0, W_ih, z, n, y = cache
    h_before = np.concatenate([h_0[None], y[:-1]])  # (T, B, H)

    # (M3)  dh_t = dy_t + (1 - z_{t+1}) * dh_{t+1}: the loss and step t + 1 read h_t. It is a linear recurrence again,
    # from the last step to the first, with the factor of the step AFTER t; the last h_t gets dh_n whole
    keep_after = np.concatenate([1 - z[1:], np.ones_like(z[:1])])  # (T, B, H)
    dh = scan(keep_after[::-1], dy[::-1], dh_n)[::-1]  # (T, B, H)
    # (M3)  what step 0 sends to h_0
    dh_0 = (1 - z[0]) * dh[0]  # (B, H)

    # (M3) and (M2)  through z_t, which weighs n_t against h_{t-1}, and through n_t
    da_z = dh * (n - h_before) * z * (1 - z)  # (T, B, H)
    da_n = dh * z  # (T, B, H)
    da = np.concatenate([da_z, da_n], axis=2)  # (T, B, 2H)
    # (M1)  every step used the same weights: the sum over steps and rows
    dx, dW_ih = inputs.backward(da, x, W_ih)  # (T, B, I), (2H, I)
    db_ih = da.sum(axis=(0, 1))  # (2H,)

    if trace is not None:
        trace.update(dh=dh, da=da)
    return dx, dh_0, dW_ih, db_ih
