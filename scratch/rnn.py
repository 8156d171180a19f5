"""The Elman cell: one layer, one direction, all steps.

Sizes: T steps, B rows of the batch, I inputs, H hidden units.

    (R1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
    (R2)  h_t = tanh(a_t)      or      h_t = max(0, a_t)

Elman, "Finding structure in time", Cognitive Science 14 (1990); two biases as in torch.nn.RNN.
"""

import numpy as np


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh, nonlinearity="tanh"):
    """Run the cell over a whole sequence.

    x (T, B, I), h_0 (B, H), W_ih (H, I), W_hh (H, H), b_ih and b_hh (H,); nonlinearity "tanh" or "relu".
    Returns y (T, B, H), the state h_t at every step; h_n (B, H), the last one; and what `backward` needs:
    the input and the states. No a_t is kept: both slopes can be read off h_t.
    """
    T, B, H = len(x), *h_0.shape
    # h[t] is the state before step t = 0 .. T-1 and h[t + 1] the one after it: h[0] is the initial state
    h = np.empty((T + 1, B, H), np.result_type(x, h_0, W_hh))
    h[0] = h_0

    # (R1) the inputs' share needs no state: all steps in one product
    a_x = (x.reshape(T * B, -1) @ W_ih.T + (b_ih + b_hh)).reshape(T, B, H)

    for t in range(T):
        # (R1)  a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        a = a_x[t] + h[t] @ W_hh.T  # (B, H)
        # (R2)  h_t = f(a_t)
        h[t + 1] = np.tanh(a) if nonlinearity == "tanh" else np.maximum(a, 0)  # (B, H)

    return h[1:], h[-1], (x, h, W_ih, W_hh, nonlinearity)


def backward(dy, dh_n, cache, trace=None):
    """Back-propagate through time: `forward` read from the bottom up.

    dy (T, B, H): what the loss sends to h_t directly, NOT what travels between the steps; dh_n (B, H): the gradient of
    the h_n that `forward` returned, zeros if nothing read it. A dict given as `trace` receives, for every step, the
    total derivatives, through the step's own output and through all later steps: "dh" (T, B, H) and "da" (T, B, H).
    Returns dx (T, B, I), dh_0 (B, H), dW_ih (H, I), dW_hh (H, H), db_ih (H,), db_hh (H,).

    Source: Werbos, "Backpropagation through time", Proc. IEEE 78 (1990).
    """
    x, h, W_ih, W_hh, nonlinearity = cache
    T, B, H = dy.shape
    dhs = np.empty_like(h[1:]) if trace is not None else None

    # (R2)  slope of h_t = f(a_t): looks at no other step, so all steps at once, from the output alone
    dh_da = 1 - h[1:] ** 2 if nonlinearity == "tanh" else (h[1:] > 0).astype(h.dtype)  # (T, B, H)

    # What must wait for step t + 1, and nothing else:
    da = np.empty_like(dh_da)  # (T, B, H)
    dh = dh_n  # (B, H)
    for t in reversed(range(T)):
        # h_t has two readers, the loss and step t + 1, so their gradients add up
        dh = dy[t] + dh  # (B, H)
        if trace is not None:
            dhs[t] = dh
        # (R2)  da_t = dh_t * f'(a_t)
        da[t] = dh * dh_da[t]  # (B, H)
        # (R1)  what step t sends to h_{t-1}: W_hh^T da_t, for rows da_t W_hh; dy[t - 1] joins it above
        dh = da[t] @ W_hh  # (B, H)
    dh_0 = dh

    # (R1)  every step used the same weights: dW is the sum over steps and rows, one product for all of them
    da_rows = da.reshape(T * B, H)
    dW_hh = da_rows.T @ h[:-1].reshape(T * B, H)  # (H, H)  da_t meets h_{t-1}, not h_t
    dW_ih = da_rows.T @ x.reshape(T * B, -1)  # (H, I)
    db_ih = da_rows.sum(axis=0)  # (H,)
    db_hh = db_ih.copy()  # (H,)  equal, but an array of its own: the optimizer keeps the two apart
    dx = (da_rows @ W_ih).reshape(x.shape)  # (T, B, I)

    if trace is not None:
        trace.update(dh=dhs, da=da)
    return dx, dh_0, dW_ih, dW_hh, db_ih, db_hh
