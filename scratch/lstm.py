"""The LSTM cell with a forget gate: one layer, one direction, all steps.

Sizes: T steps, B rows of the batch, I inputs, H hidden units. Gate blocks in torch's order i, f, g, o.

    (L1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh        four blocks of H: a_i, a_f, a_g, a_o
    (L2)  i_t = sigmoid(a_i)   f_t = sigmoid(a_f)   g_t = tanh(a_g)   o_t = sigmoid(a_o)
    (L3)  c_t = f_t * c_{t-1} + i_t * g_t
    (L4)  h_t = o_t * tanh(c_t)

Hochreiter and Schmidhuber, Neural Computation 9 (1997); forget gate: Gers et al., Neural Computation 12 (2000).
"""

import numpy as np

from scratch.activations import sigmoid


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    """Run the cell over a whole sequence.

    x (T, B, I), h_0 and c_0 (B, H), W_ih (4H, I), W_hh (4H, H), b_ih and b_hh (4H,).
    Returns y (T, B, H), the state h_t at every step; h_n and c_n (B, H), the last states; and what `backward`
    needs: input, states, gates after their nonlinearity (their slopes can be read off them) and tanh(c_t).
    """
    T, B, H = len(x), *h_0.shape
    dtype = np.result_type(x, h_0, c_0, W_hh)
    # h[t] is the state before step t = 0 .. T-1 and h[t + 1] the one after it: h[0] is the initial state
    h = np.empty((T + 1, B, H), dtype)
    c = np.empty((T + 1, B, H), dtype)
    h[0], c[0] = h_0, c_0
    gates = np.empty((4, T, B, H), dtype)
    i, f, g, o = gates
    tanh_c = np.empty((T, B, H), dtype)

    # (L1) the inputs' share needs no state: all steps in one product
    a_x = (x.reshape(T * B, -1) @ W_ih.T + (b_ih + b_hh)).reshape(T, B, 4 * H)

    for t in range(T):
        # (L1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        a = a_x[t] + h[t] @ W_hh.T  # (B, 4H)
        # (L2)  i, f, o = sigmoid, g = tanh
        i[t], f[t] = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H])  # (B, H) each
        g[t], o[t] = np.tanh(a[:, 2 * H : 3 * H]), sigmoid(a[:, 3 * H :])  # (B, H) each
        # (L3)  c_t = f_t * c_{t-1} + i_t * g_t
        c[t + 1] = f[t] * c[t] + i[t] * g[t]  # (B, H)
        # (L4)  h_t = o_t * tanh(c_t)
        tanh_c[t] = np.tanh(c[t + 1])  # (B, H)
        h[t + 1] = o[t] * tanh_c[t]  # (B, H)

    return h[1:], h[-1], c[-1], (x, h, c, gates, tanh_c, W_ih, W_hh)


def backward(dy, dh_n, dc_n, cache, trace=None):
    """Back-propagate through time: `forward` read from the bottom up.

    dy (T, B, H): what the loss sends to h_t directly, NOT what travels between the steps; dh_n and dc_n (B, H): the
    gradients of the h_n and c_n that `forward` returned, zeros if nothing read them. A dict given as `trace` receives,
    for every step, the total derivatives, through the step's own output and through all later steps: "dh" and "dc"
    (T, B, H), "da" (T, B, 4H).
    Returns dx (T, B, I), dh_0 (B, H), dc_0 (B, H), dW_ih (4H, I), dW_hh (4H, H), db_ih (4H,), db_hh (4H,).

    Source: Werbos, "Backpropagation through time", Proc. IEEE 78 (1990), with the chain rule on (L1)-(L4).
    """
    x, h, c, gates, tanh_c, W_ih, W_hh = cache
    i, f, g, o = gates
    T, B, H = dy.shape
    dhs, dcs = (np.empty_like(tanh_c), np.empty_like(tanh_c)) if trace is not None else (None, None)

    # Local derivatives look at no other step, so all steps at once, bottom line of `forward` first:
    # (L4)  h_t = o_t * tanh(c_t)
    dh_dc = o * (1 - tanh_c**2)  # (T, B, H)  not 1 - c**2: the slope of tanh is read off its output
    dh_da_o = tanh_c * o * (1 - o)  # (T, B, H)
    # (L3) and (L2)  c_t = f_t * c_{t-1} + i_t * g_t
    dc_da_g = i * (1 - g**2)  # (T, B, H)
    dc_da_f = c[:-1] * f * (1 - f)  # (T, B, H)  the forget gate met c_{t-1}, not c_t
    dc_da_i = g * i * (1 - i)  # (T, B, H)

    # What must wait for step t + 1, and nothing else:
    da = np.empty((T, B, 4 * H), h.dtype)
    dh, dc = dh_n, dc_n  # (B, H) each
    for t in reversed(range(T)):
        # h_t has two readers, the loss and step t + 1, so their gradients add up
        dh = dy[t] + dh  # (B, H)
        # (L4)  c_t has two readers too: tanh in its own step, and c_{t+1}, whose share `dc` brings along
        dc = dc + dh * dh_dc[t]  # (B, H)
        if trace is not None:
            dhs[t], dcs[t] = dh, dc
        # (L4), (L3), (L2)  da_t, block by block
        da[t, :, 3 * H :] = dh * dh_da_o[t]  # (B, H)  o_t acts on h_t: dh, not dc
        da[t, :, 2 * H : 3 * H] = dc * dc_da_g[t]  # (B, H)
        da[t, :, H : 2 * H] = dc * dc_da_f[t]  # (B, H)
        da[t, :, :H] = dc * dc_da_i[t]  # (B, H)
        # (L3)  what step t sends to c_{t-1}: no matrix and no slope in the way, which is why an LSTM remembers
        dc = dc * f[t]  # (B, H)
        # (L1)  what step t sends to h_{t-1}: W_hh^T da_t, for rows da_t W_hh; dy[t - 1] joins it above
        dh = da[t] @ W_hh  # (B, H)
    dh_0, dc_0 = dh, dc

    # (L1)  every step used the same weights: dW is the sum over steps and rows, one product for all of them
    da_rows = da.reshape(T * B, 4 * H)
    dW_hh = da_rows.T @ h[:-1].reshape(T * B, H)  # (4H, H)  da_t meets h_{t-1}, not h_t
    dW_ih = da_rows.T @ x.reshape(T * B, -1)  # (4H, I)
    db_ih = da_rows.sum(axis=0)  # (4H,)
    db_hh = db_ih.copy()  # (4H,)  equal, but an array of its own: the optimizer keeps the two apart
    dx = (da_rows @ W_ih).reshape(x.shape)  # (T, B, I)

    if trace is not None:
        trace.update(dh=dhs, dc=dcs, da=da)
    return dx, dh_0, dc_0, dW_ih, dW_hh, db_ih, db_hh
