"""The GRU cell: one layer, one direction, all steps.

Sizes: T steps, B rows of the batch, I inputs, H hidden units. Gate blocks in torch's order r, z, n.

    (G1)  u_t = W_ih x_t + b_ih               three blocks of H: u_r, u_z, u_n
    (G2)  v_t = W_hh h_{t-1} + b_hh           three blocks of H: v_r, v_z, v_n
    (G3)  r_t = sigmoid(u_r + v_r)      z_t = sigmoid(u_z + v_z)
    (G4)  n_t = tanh(u_n + r_t * v_n)         the reset gate acts AFTER the product and its bias
    (G5)  h_t = (1 - z_t) * n_t + z_t * h_{t-1}

Cho et al., EMNLP 2014, but for the reset gate: there it multiplies h_{t-1} before the product. Here it is as in
torch.nn.GRU, and a step needs one product instead of two. (Chung et al. 2014 write z where Cho and torch have 1 - z.)
"""

import numpy as np

from scratch.activations import sigmoid


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    """Run the cell over a whole sequence.

    x (T, B, I), h_0 (B, H), W_ih (3H, I), W_hh (3H, H), b_ih and b_hh (3H,).
    Returns y (T, B, H), the state h_t at every step; h_n (B, H), the last one; and what `backward` needs:
    input, states, gates after their nonlinearity, and v_n, the factor that the reset gate met.
    """
    T, B, H = len(x), *h_0.shape
    dtype = np.result_type(x, h_0, W_hh)
    # h[t] is the state before step t = 0 .. T-1 and h[t + 1] the one after it: h[0] is the initial state
    h = np.empty((T + 1, B, H), dtype)
    h[0] = h_0
    kept = np.empty((4, T, B, H), dtype)
    r, z, n, v_n = kept

    # (G1)  u_t = W_ih x_t + b_ih needs no state: all steps in one product
    u = (x.reshape(T * B, -1) @ W_ih.T + b_ih).reshape(T, B, 3 * H)

    for t in range(T):
        # (G2)  v_t = W_hh h_{t-1} + b_hh; b_hh cannot join b_ih above: the reset gate scales its n block
        v = h[t] @ W_hh.T + b_hh  # (B, 3H)
        # (G3)  r_t = sigmoid(u_r + v_r), z_t = sigmoid(u_z + v_z)
        r[t] = sigmoid(u[t, :, :H] + v[:, :H])  # (B, H)
        z[t] = sigmoid(u[t, :, H : 2 * H] + v[:, H : 2 * H])  # (B, H)
        # (G4)  n_t = tanh(u_n + r_t * v_n)
        v_n[t] = v[:, 2 * H :]  # (B, H)
        n[t] = np.tanh(u[t, :, 2 * H :] + r[t] * v_n[t])  # (B, H)
        # (G5)  h_t = (1 - z_t) * n_t + z_t * h_{t-1}
        h[t + 1] = (1 - z[t]) * n[t] + z[t] * h[t]  # (B, H)

    return h[1:], h[-1], (x, h, kept, W_ih, W_hh)


def backward(dy, dh_n, cache, trace=None):
    """Back-propagate through time: `forward` read from the bottom up.

    dy (T, B, H): what the loss sends to h_t directly, NOT what travels between the steps; dh_n (B, H): the gradient of
    the h_n that `forward` returned, zeros if nothing read it. A dict given as `trace` receives, for every step, the
    total derivatives, through the step's own output and through all later steps: "dh" (T, B, H), "du" and "dv"
    (T, B, 3H).
    Returns dx (T, B, I), dh_0 (B, H), dW_ih (3H, I), dW_hh (3H, H), db_ih (3H,), db_hh (3H,).

    Source: Werbos, "Backpropagation through time", Proc. IEEE 78 (1990), with the chain rule on (G1)-(G5).
    """
    x, h, kept, W_ih, W_hh = cache
    r, z, n, v_n = kept
    T, B, H = dy.shape
    dhs = np.empty_like(h[1:]) if trace is not None else None

    # Local derivatives look at no other step, so all steps at once, bottom line of `forward` first:
    # (G5) and (G4)  through n_t to its sum u_n + r_t * v_n
    dh_du_n = (1 - z) * (1 - n**2)  # (T, B, H)
    # (G5) and (G3)  through z_t: it weighs h_{t-1} against n_t
    dh_du_z = (h[:-1] - n) * z * (1 - z)  # (T, B, H)
    # (G4) and (G3)  through r_t: it met v_n within the sum, so this multiplies du_n
    du_n_du_r = v_n * r * (1 - r)  # (T, B, H)

    # What must wait for step t + 1, and nothing else:
    du = np.empty((T, B, 3 * H), h.dtype)
    dv = np.empty((T, B, 3 * H), h.dtype)
    dh = dh_n  # (B, H)
    for t in reversed(range(T)):
        # h_t has two readers, the loss and step t + 1, so their gradients add up
        dh = dy[t] + dh  # (B, H)
        if trace is not None:
            dhs[t] = dh
        # (G5), (G4), (G3)  du_t, block by block
        du[t, :, 2 * H :] = dh * dh_du_n[t]  # (B, H)
        du[t, :, H : 2 * H] = dh * dh_du_z[t]  # (B, H)
        du[t, :, :H] = du[t, :, 2 * H :] * du_n_du_r[t]  # (B, H)
        # (G3)  r and z see only the sums u + v, so dv is du there; (G4)  v_n reached its sum through the reset gate
        dv[t, :, : 2 * H] = du[t, :, : 2 * H]  # (B, 2H)
        dv[t, :, 2 * H :] = du[t, :, 2 * H :] * r[t]  # (B, H)
        # (G5) and (G2)  h_{t-1} has two readers within the step: the weighing by z_t, and the product
        dh = dh * z[t] + dv[t] @ W_hh  # (B, H)
    dh_0 = dh

    # (G2)  every step used the same weights: dW is the sum over steps and rows, one product for all of them
    dv_rows = dv.reshape(T * B, 3 * H)
    dW_hh = dv_rows.T @ h[:-1].reshape(T * B, H)  # (3H, H)  dv_t meets h_{t-1}, not h_t
    db_hh = dv_rows.sum(axis=0)  # (3H,)
    # (G1)
    du_rows = du.reshape(T * B, 3 * H)
    dW_ih = du_rows.T @ x.reshape(T * B, -1)  # (3H, I)
    db_ih = du_rows.sum(axis=0)  # (3H,)  not db_hh: the n blocks differ by the reset gate
    dx = (du_rows @ W_ih).reshape(x.shape)  # (T, B, I)

    if trace is not None:
        trace.update(dh=dhs, du=du, dv=dv)
    return dx, dh_0, dW_ih, dW_hh, db_ih, db_hh
