"""The GRU cell of Cho et al. (2014): like scratch/gru.py, but the reset gate multiplies h_{t-1} BEFORE the product.

    (G2*)  v_t = W_hh h_{t-1} + b_hh           for the blocks r and z;  v_n = W_hn (r_t * h_{t-1}) + b_hn
    (G4*)  n_t = tanh(u_n + v_n)

The other equations and all shapes are those of scratch/gru.py; a star marks the lines that differ.
"""

import numpy as np

from scratch import inputs
from scratch.activations import gate_blocks, sigmoid


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh, y=None):
    """Arguments and results as scratch.gru.forward."""
    T, B, H = len(x), *h_0.shape
    u = gate_blocks(inputs.forward(x, W_ih, b_ih), 3)  # (T, 3, B, H)
    dtype = np.result_type(u, h_0, W_hh, b_hh)
    y = np.empty((T, B, H), dtype) if y is None else y
    r_z = np.empty((T, 2, B, H), dtype)
    n = np.empty((T, B, H), dtype)

    h_before = h_0
    for t in range(T):
        v_r_z = gate_blocks(h_before @ W_hh[: 2 * H].T + b_hh[: 2 * H], 2)  # (2, B, H)  *
        r_z[t] = sigmoid(u[t, :2] + v_r_z)  # (2, B, H)
        r, z = r_z[t]  # (B, H) each
        v_n = (r * h_before) @ W_hh[2 * H :].T + b_hh[2 * H :]  # (B, H)  * a separate product, which needs r_t
        n[t] = np.tanh(u[t, 2] + v_n)  # (B, H)  *
        y[t] = (1 - z) * n[t] + z * h_before  # (B, H)
        h_before = y[t]

    return y, y[-1], (x, h_0, y, r_z, n, W_ih, W_hh)


def backward(dy, dh_n, cache, trace=None):
    """Arguments and results as scratch.gru.backward; "du" and "dv" of the trace are equal here."""
    x, h_0, y, r_z, n, W_ih, W_hh = cache
    r, z = r_z.swapaxes(0, 1)  # (T, B, H) each
    T, B, H = y.shape
    h_before = np.concatenate([h_0[None], y[:-1]])  # (T, B, H)
    dh_dv_n = (1 - z) * (1 - n**2)  # (T, B, H)
    dh_dv_z = (h_before - n) * z * (1 - z)

    dh = np.empty_like(n)  # (T, B, H)
    dv = np.empty((T, B, 3 * H), y.dtype)
    dv_r, dv_z, dv_n = gate_blocks(dv, 3).swapaxes(0, 1)  # (T, B, H) each, views of dv
    carried = dh_n  # (B, H)
    for t in reversed(range(T)):
        dh[t] = dy[t] + carried  # (B, H)
        dv_n[t] = dh[t] * dh_dv_n[t]  # (B, H)
        dv_z[t] = dh[t] * dh_dv_z[t]  # (B, H)
        d_reset = dv_n[t] @ W_hh[2 * H :]  # (B, H)  * the gradient of r_t * h_{t-1}, which both factors share
        dv_r[t] = d_reset * h_before[t] * r[t] * (1 - r[t])  # (B, H)  *
        carried = dh[t] * z[t] + d_reset * r[t] + dv[t, :, : 2 * H] @ W_hh[: 2 * H]  # (B, H)  *
    dh_0 = carried

    dv_r_z_rows, dv_n_rows = np.split(dv.reshape(T * B, 3 * H), [2 * H], axis=1)
    dW_r_z = dv_r_z_rows.T @ h_before.reshape(T * B, H)  # (2H, H)
    dW_n = dv_n_rows.T @ (r * h_before).reshape(T * B, H)  # (H, H)  * the block n multiplied the reset state
    dx, dW_ih = inputs.backward(dv, x, W_ih)  # * u and v only appear as a sum, so du is dv
    db_hh = dv.sum(axis=(0, 1))  # (3H,)

    if trace is not None:
        trace.update(dh=dh, du=dv, dv=dv)
    return dx, dh_0, dW_ih, np.concatenate([dW_r_z, dW_n]), db_hh.copy(), db_hh
