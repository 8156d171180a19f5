"""The input projection of every cell: W_ih x_t + b for all steps at once, since no step of it depends on another.

Sizes: T steps, B batch rows, I inputs, N outputs (gates times hidden units), V words in the vocabulary.

    (I1)  u_t = W_ih x_t + b

x_t may also be an id. It represents a one-hot vector of V numbers, and W_ih (N, V) times a one-hot vector is a column
of W_ih: a look-up replaces the product.
"""

import numpy as np

ONE_HOT = 128  # up to this vocabulary size, a product with one-hot rows is faster than sorting the ids


def forward(x, W_ih, b):
    """x (T, B, I) numbers and W_ih (N, I), or x (T, B) ids and W_ih (N, V); b (N,). Returns u (T, B, N)."""
    if x.ndim == 2:
        table = np.add(W_ih.T, b, order="C")  # (V, N)  C order: each row contiguous, ready to be copied
        return table[x]
    T, B, I = x.shape
    u = x.reshape(T * B, I) @ W_ih.T + b  # (T * B, N)  all steps and rows in one product
    return u.reshape(T, B, -1)


def backward(du, x, W_ih):
    """du (T, B, N). Returns dx (T, B, I), None for ids; dW_ih as W_ih.

    Every step used the same weights: dW_ih is the sum over steps and rows, one product for all of them.
    """
    du_rows = du.reshape(-1, du.shape[2])  # (T * B, N)
    if x.ndim == 2:
        return None, sum_by_id(du_rows, x.ravel(), W_ih.shape[1]).T  # (N, V)
    dW_ih = du_rows.T @ x.reshape(-1, x.shape[2])  # (N, I)
    dx = (du_rows @ W_ih).reshape(x.shape)  # (T, B, I)
    return dx, dW_ih


def sum_by_id(rows, ids, V):
    """For each id the sum of its rows: rows (R, N), ids (R,) from 0 to V-1. Returns (V, N)."""
    if V <= ONE_HOT:
        one_hot = np.zeros((V, len(ids)), rows.dtype)
        one_hot[ids, np.arange(len(ids))] = 1
        return one_hot @ rows
    # Sort the rows by id, then add up each run of equal ids. (np.add.at does the same one row at a time;
    # total[ids] += rows would keep only one row per id.) For ids 2 0 2: order 1 0 2, found 0 2, starts 0 1.
    order = np.argsort(ids, kind="stable")
    found, starts = np.unique(ids[order], return_index=True)
    total = np.zeros((V, rows.shape[1]), rows.dtype)
    total[found] = np.add.reduceat(rows[order], starts, axis=0)
    return total
