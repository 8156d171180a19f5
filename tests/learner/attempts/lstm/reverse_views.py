"""Backward in time is forward through arrays turned round: views with [::-1], and no index t on the way back."""

import numpy as np


def sigmoid(a):
    return (np.tanh(a / 2) + 1) / 2


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    T, B = x.shape[:2]
    H = h_0.shape[1]
    states = np.zeros((T + 1, B, H))
    cells = np.zeros((T + 1, B, H))
    gates = np.zeros((T, B, 4, H))
    states[0], cells[0] = h_0, c_0
    for t in range(T):
        a = (x[t] @ W_ih.T + states[t] @ W_hh.T + (b_ih + b_hh)).reshape(B, 4, H)
        gates[t] = sigmoid(a)
        gates[t, :, 2] = np.tanh(a[:, 2])
        i, f, g, o = gates[t].swapaxes(0, 1)
        cells[t + 1] = f * cells[t] + i * g
        states[t + 1] = o * np.tanh(cells[t + 1])
    return states[1:], states[-1], cells[-1], (x, states, cells, gates, W_ih, W_hh)


def backward(dy, dh_n, dc_n, cache):
    x, states, cells, gates, W_ih, W_hh = cache
    T, B, _, H = gates.shape
    dgates = np.zeros_like(gates)
    dh, dc = dh_n, dc_n
    backwards = zip(
        dy[::-1],
        cells[1:][::-1],
        cells[:-1][::-1],
        gates[::-1],
        dgates[::-1],  # a view, so the loop fills dgates
        strict=True,
    )
    for dy_t, cell, cell_before, gate, dgate in backwards:
        i, f, g, o = gate.swapaxes(0, 1)
        squashed = np.tanh(cell)
        dh = dh + dy_t
        dc = dc + dh * o * (1 - squashed**2)
        dgate[:, 0] = dc * g
        dgate[:, 1] = dc * cell_before
        dgate[:, 2] = dc * i
        dgate[:, 3] = dh * squashed
        dgate *= gate_slopes(gate)
        dh = dgate.reshape(B, 4 * H) @ W_hh
        dc = dc * f

    da = dgates.reshape(T, B, 4 * H)
    dW_ih = np.matmul(da.transpose(0, 2, 1), x).sum(axis=0)
    dW_hh = np.matmul(da.transpose(0, 2, 1), states[:-1]).sum(axis=0)
    return da @ W_ih, dh, dc, dW_ih, dW_hh, da.sum(axis=(0, 1)), da.sum(axis=(0, 1))


def gate_slopes(gate):
    """(B, 4, H)  from the gates after their nonlinearity: s (1 - s), for the third one 1 - g^2"""
    slopes = gate * (1 - gate)
    slopes[:, 2] = 1 - gate[:, 2] ** 2
    return slopes
