"""The GRU cell: one layer, one direction, all steps.

Sizes: T steps, B batch rows, I inputs, H hidden units. Gate blocks in torch's order r, z, n.

    (G1)  u_t = W_ih x_t + b_ih               three blocks of H: u_r, u_z, u_n
    (G2)  v_t = W_hh h_{t-1} + b_hh           three blocks of H: v_r, v_z, v_n
    (G3)  r_t = sigmoid(u_r + v_r)      z_t = sigmoid(u_z + v_z)
    (G4)  n_t = tanh(u_n + r_t * v_n)         the reset gate acts AFTER the product and its bias
    (G5)  h_t = (1 - z_t) * n_t + z_t * h_{t-1}

Cho et al., EMNLP 2014, except for the reset gate: there it multiplies h_{t-1} before the product. Here it is as in
torch.nn.GRU, and a step needs one product instead of two. (Chung et al. 2014 write z where Cho and torch have 1 - z.)
"""

from typing import NamedTuple

import numpy as np

from scratch import inputs
from scratch.activations import gate_blocks, sigmoid

GATES = ("r", "z", "n")  # the blocks of u_t and v_t, in this order
TRACED = ("dh", "du", "dv")  # what `backward` writes into its trace


class Cache(NamedTuple):
    """What `forward` keeps for `backward`. No u_t or v_t but v_n: the gates' slopes can be read off the gates."""

    x: np.ndarray  # (T, B, I)
    h_0: np.ndarray  # (B, H)
    W_ih: np.ndarray  # (3H, I)
    W_hh: np.ndarray  # (3H, H)
    r_z: np.ndarray  # (T, 2, B, H)
    v_n: np.ndarray  # (T, B, H)  what the reset gate multiplies
    n: np.ndarray  # (T, B, H)
    y: np.ndarray  # (T, B, H)


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh, y=None):
    """Run the cell over a whole sequence.

    x (T, B, I), h_0 (B, H), W_ih (3H, I), W_hh (3H, H), b_ih and b_hh (3H,). x may also be ids (T, B), with
    W_ih (3H, V): see scratch/inputs.py.
    Returns y (T, B, H), the state h_t at every step, written into the array `y` if one is given; h_n (B, H), the last
    of them; and the Cache for `backward`.
    """
    T, B, H = len(x), *h_0.shape
    # (G1)  u_t = W_ih x_t + b_ih needs no state: all steps in one product
    u = inputs.forward(x, W_ih, b_ih)  # (T, B, 3H)
    u_blocks = gate_blocks(u, 3)  # (T, 3, B, H)  a view
    dtype = np.result_type(u, h_0, W_hh, b_hh)
    r_z = np.empty((T, 2, B, H), dtype)
    v_n = np.empty((T, B, H), dtype)
    n = np.empty((T, B, H), dtype)
    y = np.empty((T, B, H), dtype) if y is None else y

    h_before = h_0
    for t in range(T):
        u_r_z, u_n = u_blocks[t, :2], u_blocks[t, 2]  # (2, B, H), (B, H)
        # (G2)  v_t = W_hh h_{t-1} + b_hh; b_hh cannot join b_ih above: the reset gate scales its n block
        v = gate_blocks(h_before @ W_hh.T + b_hh, 3)  # (3, B, H)
        # (G3)  r_t = sigmoid(u_r + v_r), z_t = sigmoid(u_z + v_z)
        sigmoid(u_r_z + v[:2], out=r_z[t])  # (2, B, H)
        r, z = r_z[t]  # (B, H) each
        # (G4)  n_t = tanh(u_n + r_t * v_n)
        v_n[t] = v[2]  # (B, H)
        n[t] = np.tanh(u_n + r * v_n[t])  # (B, H)
        # (G5)  h_t = (1 - z_t) * n_t + z_t * h_{t-1}
        y[t] = (1 - z) * n[t] + z * h_before  # (B, H)
        h_before = y[t]

    return y, y[-1], Cache(x, h_0, W_ih, W_hh, r_z, v_n, n, y)


def backward(dy, dh_n, cache, trace=None):
    """Back-propagate through time: `forward` read from the bottom up.

    dy (T, B, H): what the loss sends to h_t directly, NOT what travels between steps; dh_n (B, H): the gradient of the
    h_n that `forward` returned, zeros if nothing used it.
    Returns dx (T, B, I), None for ids; dh_0 (B, H), dW_ih (3H, I), dW_hh (3H, H), db_ih (3H,), db_hh (3H,).
    If `trace` is a dict, it receives the total derivatives at every step, through the step's own output and through all
    later steps: "dh" (T, B, H), "du" and "dv" (T, B, 3H).

    Source: Werbos, "Backpropagation through time", Proc. IEEE 78 (1990), with the chain rule on (G1)-(G5).
    """
    x, h_0, W_ih, W_hh, r_z, v_n, n, y = cache
    r, z = r_z.swapaxes(0, 1)  # (T, B, H) each
    T, B, H = y.shape
    h_before = np.concatenate([h_0[None], y[:-1]])  # (T, B, H)

    # Local derivatives depend on no other step, so all steps at once, bottom line of `forward` first:
    slopes = np.empty((T, 3, B, H), y.dtype)
    dh_dv_r, dh_dv_z, dh_dv_n = slopes.swapaxes(0, 1)  # (T, B, H) each, views: [...] = fills slopes
    # (G5) and (G4)  through n_t to its sum u_n + r_t * v_n
    dh_du_n = (1 - z) * (1 - n**2)  # (T, B, H)
    # (G4)  v_n reached that sum through the reset gate, u_n did not
    dh_dv_n[...] = dh_du_n * r
    # (G5) and (G3)  through z_t, which weighs h_{t-1} against n_t
    dh_dv_z[...] = (h_before - n) * z * (1 - z)
    # (G4) and (G3)  through r_t, which multiplies v_n in the sum
    dh_dv_r[...] = dh_du_n * v_n * r * (1 - r)

    # What must wait for step t + 1, and nothing else:
    dh = np.empty_like(n)  # (T, B, H)
    dv = np.empty((T, B, 3 * H), y.dtype)
    dv_blocks = gate_blocks(dv, 3)  # (T, 3, B, H)  a view: writing into it fills dv
    carried = dh_n  # (B, H)  what h_t gets from step t + 1; the last h_t gets dh_n instead
    for t in reversed(range(T)):
        # (G5)  h_t has two readers, the loss and step t + 1, so their gradients add up
        dh[t] = dy[t] + carried  # (B, H)
        # (G5), (G4), (G3)  dv_t, all three blocks
        dv_blocks[t] = dh[t] * slopes[t]  # (3, B, H)
        # (G5) and (G2)  h_{t-1} has two readers within the step: the weighing by z_t, and the product
        carried = dh[t] * z[t] + dv[t] @ W_hh  # (B, H)
    dh_0 = carried

    # (G3)  r and z depend on u + v only, so du is dv there; (G4)  the n block of du lacks the reset gate
    du = dv.copy()  # (T, B, 3H)
    du[:, :, 2 * H :] = dh * dh_du_n

    # (G2)  every step used the same weights: dW is the sum over steps and rows, one product for all of them
    dv_rows = dv.reshape(T * B, 3 * H)
    dW_hh = dv_rows.T @ h_before.reshape(T * B, H)  # (3H, H)  dv_t meets h_{t-1}, not h_t
    db_hh = dv_rows.sum(axis=0)  # (3H,)
    # (G1)
    dx, dW_ih = inputs.backward(du, x, W_ih)  # (T, B, I), (3H, I)
    db_ih = du.sum(axis=(0, 1))  # (3H,)  not db_hh: the n blocks differ by the reset gate

    if trace is not None:
        trace.update(dh=dh, du=du, dv=dv)
    return dx, dh_0, dW_ih, dW_hh, db_ih, db_hh
