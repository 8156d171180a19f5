"""Real-time recurrent learning for the Elman cell: the gradient of BPTT, computed forwards.

BPTT asks "how did this state change the loss?" and has to start from the end. Forward mode asks "how did this weight
change the state?" and runs along with the forward pass. It keeps the sensitivity of the state to every weight,

    (F1)  S_t = dh_t / dW = f'(a_t) * (W_hh S_{t-1} + da_t/dW with h_{t-1} held fixed)
    (F2)  dW  = sum over t of dy_t . S_t

No step waits for the end, and no past state has to be kept. Then why did BPTT win? S has an entry for every pair of a
unit and a weight: H x H^2 numbers for W_hh alone, and (F1) multiplies all of them by W_hh at each step, H^4
multiplications where BPTT needs H^2 (at H = 128 about 16,000 times as many). It is here because it shares only the
equations with BPTT: an independent derivation of the same numbers.

Williams and Zipser, "A learning algorithm for continually running fully recurrent neural networks", Neural Computation
1 (1989).
"""

import numpy as np


def gradients(x, h_0, W_ih, W_hh, b_ih, b_hh, dy, dh_n):
    """The gradients of rnn.backward for a tanh cell, without a backward pass.

    x (T, B, I), h_0 (B, H), weights as in scratch/rnn.py, dy (T, B, H), dh_n (B, H).
    Returns dh_0 (B, H), dW_ih (H, I), dW_hh (H, H), db_ih (H,), db_hh (H,). Not dx: the sensitivity to the input of
    every step would need one more array per step.
    """
    T, B, I = x.shape
    H = h_0.shape[1]
    h = h_0
    # sensitivity of unit k of each row to every entry of ...
    S_h0 = np.broadcast_to(np.eye(H), (B, H, H))  # (B, k, H)
    S_ih = np.zeros((B, H, H, I))  # (B, k, H, I)
    S_hh = np.zeros((B, H, H, H))  # (B, k, H, H)
    S_b = np.zeros((B, H, H))  # (B, k, H)
    dh_0, dW_ih, dW_hh, db = np.zeros((B, H)), np.zeros((H, I)), np.zeros((H, H)), np.zeros(H)
    own = np.eye(H)  # row k of a weight changes unit k directly, and no other unit

    for t in range(T):
        # (F1), inner part: through the state before, and directly
        S_h0 = np.einsum("kj,bjm->bkm", W_hh, S_h0)
        S_ih = np.einsum("kj,bjmi->bkmi", W_hh, S_ih) + np.einsum("km,bi->bkmi", own, x[t])
        S_hh = np.einsum("kj,bjmi->bkmi", W_hh, S_hh) + np.einsum("km,bi->bkmi", own, h)
        S_b = np.einsum("kj,bjm->bkm", W_hh, S_b) + own
        # the forward step itself
        h = np.tanh(x[t] @ W_ih.T + b_ih + h @ W_hh.T + b_hh)  # (B, H)
        # (F1), outer part: the slope of tanh at unit k
        slope = 1 - h**2  # (B, H)
        S_h0, S_b = slope[:, :, None] * S_h0, slope[:, :, None] * S_b
        S_ih, S_hh = slope[:, :, None, None] * S_ih, slope[:, :, None, None] * S_hh
        # (F2)  what the loss sends to this step; the last state also gets dh_n
        d = dy[t] + dh_n if t == T - 1 else dy[t]  # (B, H)
        dh_0 = dh_0 + np.einsum("bk,bkm->bm", d, S_h0)
        dW_ih = dW_ih + np.einsum("bk,bkmi->mi", d, S_ih)
        dW_hh = dW_hh + np.einsum("bk,bkmi->mi", d, S_hh)
        db = db + np.einsum("bk,bkm->m", d, S_b)
    return dh_0, dW_ih, dW_hh, db, db.copy()
