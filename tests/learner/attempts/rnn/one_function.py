import numpy as np


def backward(x, h_0, W_ih, W_hh, b_ih, b_hh, dy, dh_n):
    """Gradients of an Elman net. The forward pass is done again in here."""
    steps, batch, n_in = x.shape
    n_hid = W_hh.shape[0]

    # forward
    H = np.zeros((steps + 1, batch, n_hid))
    H[0] = h_0
    for t in range(1, steps + 1):
        H[t] = np.tanh(x[t - 1].dot(W_ih.T) + H[t - 1].dot(W_hh.T) + b_ih + b_hh)

    # backward
    D = np.zeros((steps, batch, n_hid))
    from_later = dh_n
    for t in range(steps, 0, -1):
        D[t - 1] = (dy[t - 1] + from_later) * (1 - H[t] ** 2)
        from_later = D[t - 1].dot(W_hh)

    # gradients
    flat = D.reshape(-1, n_hid)
    gW_ih = np.dot(flat.T, x.reshape(-1, n_in))
    gW_hh = np.dot(flat.T, H[:-1].reshape(-1, n_hid))
    gb_ih = flat.sum(axis=0)
    gb_hh = flat.sum(axis=0)
    gx = D.dot(W_ih)
    return gx, from_later, gW_ih, gW_hh, gb_ih, gb_hh
