"""The Elman cell: one layer, one direction, all steps.

Sizes: T steps, B batch rows, I inputs, H hidden units.

    (R1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (R2)  h_t = tanh(a_t)      or      h_t = max(0, a_t)

Elman, "Finding structure in time", Cognitive Science 14 (1990); two biases as in torch.nn.RNN.
"""

from typing import NamedTuple

import numpy as np

from scratch import inputs

GATES = ("a",)  # the blocks of a_t: only one
TRACED = ("dh", "da")  # what `backward` writes into its trace, in the order in which it computes them


class Cache(NamedTuple):
    """What `forward` keeps for `backward`. No a_t: both slopes can be read off h_t."""

    x: np.ndarray  # (T, B, I)
    h_0: np.ndarray  # (B, H)
    W_ih: np.ndarray  # (H, I)
    W_hh: np.ndarray  # (H, H)
    nonlinearity: str
    y: np.ndarray  # (T, B, H)


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh, nonlinearity="tanh", y=None):
    """Run the cell over a whole sequence.

    x (T, B, I), h_0 (B, H), W_ih (H, I), W_hh (H, H), b_ih and b_hh (H,); nonlinearity "tanh" or "relu". x may also be
    ids (T, B), with W_ih (H, V): see scratch/inputs.py.
    Returns y (T, B, H), the state after every step: y[t] is h_(t+1) on paper, where t counts from 1; h_n (B, H), the
    last of them; and the Cache for `backward`. An array `y` that is given is filled and returned.
    """
    # (R1)  the input projection u_t = W_ih x_t + b_ih + b_hh needs no state: all steps in one product
    u = inputs.forward(x, W_ih, b_ih + b_hh)  # (T, B, H)
    y = np.empty(u.shape, np.result_type(u, h_0, W_hh)) if y is None else y

    h_before = h_0
    for t in range(len(x)):
        # (R1)  a_t = u_t + W_hh h_{t-1}
        a = u[t] + h_before @ W_hh.T  # (B, H)
        # (R2)  h_t = f(a_t)
        y[t] = np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)  # (B, H)
        h_before = y[t]

    return y, y[-1], Cache(x, h_0, W_ih, W_hh, nonlinearity, y)


def backward(dy, dh_n, cache, trace=None):
    """Back-propagate through time: `forward` read from the bottom up.

    dy (T, B, H): what the loss sends to h_t directly, NOT what travels between steps; dh_n (B, H): the gradient of the
    h_n that `forward` returned, zeros if nothing used it.
    Returns dx (T, B, I), None for ids; dh_0 (B, H), dW_ih (H, I), dW_hh (H, H), db_ih (H,), db_hh (H,).
    If `trace` is a dict, it receives the total derivatives at every step, through the step's own output and through all
    later steps: "dh" (T, B, H) and "da" (T, B, H).

    Source: Werbos, "Backpropagation through time", Proc. IEEE 78 (1990).
    """
    x, h_0, W_ih, W_hh, nonlinearity, y = cache
    T, B, H = y.shape

    # (R2)  slope of h_t = f(a_t): depends on no other step, so all steps at once, from the output alone
    dh_da = 1 - y**2 if nonlinearity == "tanh" else (y > 0).astype(y.dtype)  # (T, B, H)

    # What must wait for step t + 1, and nothing else:
    dh = np.empty_like(dh_da)  # (T, B, H)
    da = np.empty_like(dh_da)  # (T, B, H)
    carried = dh_n  # (B, H)  what h_t gets from step t + 1; the last h_t gets dh_n instead
    for t in reversed(range(T)):
        # (R2)  h_t has two readers, the loss and step t + 1, so their gradients add up
        dh[t] = dy[t] + carried  # (B, H)
        # (R2)  da_t = dh_t * f'(a_t)
        da[t] = dh[t] * dh_da[t]  # (B, H)
        # (R1)  what step t sends to h_{t-1}: W_hh^T da_t for a column; here rows, and (W_hh^T da)^T = da^T W_hh: no .T
        carried = da[t] @ W_hh  # (B, H)
    dh_0 = carried

    # (R1)  every step used the same weights: dW is the sum over steps and rows, one product for all of them
    h_before = np.concatenate([h_0[None], y[:-1]])  # (T, B, H)  da_t meets h_{t-1}, not h_t
    da_rows = da.reshape(T * B, H)
    dW_hh = da_rows.T @ h_before.reshape(T * B, H)  # (H, H)
    db_hh = da_rows.sum(axis=0)  # (H,)
    dx, dW_ih = inputs.backward(da, x, W_ih)  # (T, B, I), (H, I)
    db_ih = db_hh.copy()  # (H,)  equal, but a separate array: the optimizer updates the two separately

    if trace is not None:
        trace.update(dh=dh, da=da)
    return dx, dh_0, dW_ih, dW_hh, db_ih, db_hh
