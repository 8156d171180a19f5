"""The LSTM cell with a forget gate: one layer, one direction, all steps.

Sizes: T steps, B batch rows, I inputs, H hidden units. Gate blocks in torch's order i, f, g, o.

    (L1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh        four blocks of H: a_i, a_f, a_g, a_o
    (L2)  i_t = sigmoid(a_i)   f_t = sigmoid(a_f)   g_t = tanh(a_g)   o_t = sigmoid(a_o)
    (L3)  c_t = f_t * c_{t-1} + i_t * g_t
    (L4)  h_t = o_t * tanh(c_t)

Hochreiter and Schmidhuber, Neural Computation 9 (1997); forget gate: Gers et al., Neural Computation 12 (2000).
"""

from typing import NamedTuple

import numpy as np

from scratch import inputs
from scratch.activations import gate_blocks, sigmoid

GATES = ("i", "f", "g", "o")  # the blocks of a_t, in this order
TRACED = ("dh", "dc", "da")  # what `backward` writes into its trace, in the order in which it computes them


class Cache(NamedTuple):
    """What `forward` keeps for `backward`. No a_t: the gates' slopes can be read off the gates."""

    x: np.ndarray  # (T, B, I)
    h_0: np.ndarray  # (B, H)
    c_0: np.ndarray  # (B, H)
    W_ih: np.ndarray  # (4H, I)
    W_hh: np.ndarray  # (4H, H)
    gates: np.ndarray  # (T, 4, B, H)  i, f, g, o
    c: np.ndarray  # (T, B, H)
    tanh_c: np.ndarray  # (T, B, H)
    y: np.ndarray  # (T, B, H)


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh, y=None):
    """Run the cell over a whole sequence.

    x (T, B, I), h_0 and c_0 (B, H), W_ih (4H, I), W_hh (4H, H), b_ih and b_hh (4H,). x may also be ids (T, B), with
    W_ih (4H, V): see scratch/inputs.py.
    Returns y (T, B, H), the state h_t at every step, written into the array `y` if one is given; h_n and c_n (B, H),
    the last states; and the Cache for `backward`.
    """
    T, B, H = len(x), *h_0.shape
    # (L1)  the input projection u_t = W_ih x_t + b_ih + b_hh needs no state: all steps in one product
    u = inputs.forward(x, W_ih, b_ih + b_hh)  # (T, B, 4H)
    dtype = np.result_type(u, h_0, c_0, W_hh)
    gates = np.empty((T, 4, B, H), dtype)
    c = np.empty((T, B, H), dtype)
    tanh_c = np.empty((T, B, H), dtype)
    y = np.empty((T, B, H), dtype) if y is None else y

    h_before, c_before = h_0, c_0
    for t in range(T):
        # (L1)  a_t = u_t + W_hh h_{t-1}
        a = gate_blocks(u[t] + h_before @ W_hh.T, 4)  # (4, B, H)
        # (L2)  i_t = sigmoid(a_i)   f_t = sigmoid(a_f)   o_t = sigmoid(a_o)   g_t = tanh(a_g)
        sigmoid(a, out=gates[t])  # (4, B, H)  one call for all blocks is cheaper than one per gate,
        np.tanh(a[2], out=gates[t, 2])  # (B, H)  though g's block is then computed again
        i, f, g, o = gates[t]  # (B, H) each
        # (L3)  c_t = f_t * c_{t-1} + i_t * g_t
        c[t] = f * c_before + i * g  # (B, H)
        # (L4)  h_t = o_t * tanh(c_t)
        tanh_c[t] = np.tanh(c[t])  # (B, H)
        y[t] = o * tanh_c[t]  # (B, H)
        h_before, c_before = y[t], c[t]

    return y, y[-1], c[-1], Cache(x, h_0, c_0, W_ih, W_hh, gates, c, tanh_c, y)


def backward(dy, dh_n, dc_n, cache, trace=None):
    """Back-propagate through time: `forward` read from the bottom up.

    dy (T, B, H): what the loss sends to h_t directly, NOT what travels between steps; dh_n and dc_n (B, H): the
    gradients of the h_n and c_n that `forward` returned, zeros if nothing used them.
    Returns dx (T, B, I), None for ids; dh_0, dc_0 (B, H), dW_ih (4H, I), dW_hh (4H, H), db_ih (4H,), db_hh (4H,).
    If `trace` is a dict, it receives the total derivatives at every step, through the step's own output and through all
    later steps: "dh" and "dc" (T, B, H), "da" (T, B, 4H).

    Source: Werbos, "Backpropagation through time", Proc. IEEE 78 (1990), with the chain rule on (L1)-(L4).
    """
    x, h_0, c_0, W_ih, W_hh, gates, c, tanh_c, y = cache
    i, f, g, o = gates.swapaxes(0, 1)  # (T, B, H) each
    T, B, H = y.shape
    h_before = np.concatenate([h_0[None], y[:-1]])  # (T, B, H)
    c_before = np.concatenate([c_0[None], c[:-1]])  # (T, B, H)

    # Local derivatives depend on no other step, so all steps at once, bottom line of `forward` first:
    slopes = np.empty_like(gates)  # (T, 4, B, H)
    dc_da_i, dc_da_f, dc_da_g, dh_da_o = slopes.swapaxes(0, 1)  # (T, B, H) each, views: [...] = fills slopes
    # (L4)  h_t = o_t * tanh(c_t)
    dh_dc = o * (1 - tanh_c**2)  # (T, B, H)  not 1 - c**2: the slope of tanh is read off its output
    dh_da_o[...] = tanh_c * o * (1 - o)
    # (L3) and (L2)  c_t = f_t * c_{t-1} + i_t * g_t
    dc_da_g[...] = i * (1 - g**2)
    dc_da_f[...] = c_before * f * (1 - f)  # the forget gate met c_{t-1}, not c_t
    dc_da_i[...] = g * i * (1 - i)

    # What must wait for step t + 1, and nothing else:
    dh = np.empty_like(c)  # (T, B, H)
    dc = np.empty_like(c)  # (T, B, H)
    da = np.empty((T, B, 4 * H), c.dtype)
    da_blocks = gate_blocks(da, 4)  # (T, 4, B, H)  a view: writing into it fills da
    dh_carried, dc_carried = dh_n, dc_n  # (B, H)  from step t + 1; the last step gets dh_n and dc_n instead
    for t in reversed(range(T)):
        # (L4)  h_t has two readers, the loss and step t + 1, so their gradients add up
        dh[t] = dy[t] + dh_carried  # (B, H)
        # (L4), (L3)  c_t has two readers too: tanh in its own step, and c_{t+1}
        dc[t] = dh[t] * dh_dc[t] + dc_carried  # (B, H)
        # (L4), (L3), (L2)  da_t, block by block: o_t (block 3) acts on h_t, i_t, f_t and g_t (blocks 0 to 2) on c_t
        da_blocks[t, 3] = dh[t] * slopes[t, 3]  # (B, H)
        da_blocks[t, :3] = dc[t] * slopes[t, :3]  # (3, B, H)
        # (L3)  what step t sends to c_{t-1}: no matrix and no slope in the way, so it lasts where f is near 1
        dc_carried = dc[t] * f[t]  # (B, H)
        # (L1)  what step t sends to h_{t-1}: W_hh^T da_t for a column; here rows, and (W_hh^T da)^T = da^T W_hh: no .T
        dh_carried = da[t] @ W_hh  # (B, H)
    dh_0, dc_0 = dh_carried, dc_carried

    # (L1)  every step used the same weights: dW is the sum over steps and rows, one product for all of them
    da_rows = da.reshape(T * B, 4 * H)
    dW_hh = da_rows.T @ h_before.reshape(T * B, H)  # (4H, H)  da_t meets h_{t-1}, not h_t
    db_hh = da_rows.sum(axis=0)  # (4H,)
    dx, dW_ih = inputs.backward(da, x, W_ih)  # (T, B, I), (4H, I)
    db_ih = db_hh.copy()  # (4H,)  equal, but a separate array: the optimizer updates the two separately

    if trace is not None:
        trace.update(dh=dh, dc=dc, da=da)
    return dx, dh_0, dc_0, dW_ih, dW_hh, db_ih, db_hh
