"""Checks of what a caller hands to a layer: shapes, lengths and ids are refused here, before any arithmetic."""

import numpy as np


def in_dtype(array, dtype):
    """The array in a dtype; complex numbers stay complex, for the complex step."""
    array = np.asarray(array)
    return array if np.iscomplexobj(array) else array.astype(dtype, copy=False)


def whole_numbers(ids, V):
    """ids as an array. Raises ValueError when they are not whole numbers from 0 to V-1."""
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        raise ValueError(f"ids must be whole numbers; these are {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= V):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise ValueError(f"id {wrong} is outside the vocabulary of {V}: ids run from 0 to {V - 1}")
    return ids


def check_input(x, embedding, input_size, dtype):
    """x (T, B, I) and None, or ids (T, B) and their table (V, I), as arrays of the dtype."""
    if embedding is None:
        x = in_dtype(x, dtype)
        if x.ndim != 3 or x.shape[2] != input_size or 0 in x.shape:
            raise ValueError(
                f"x has shape {x.shape}; it must be (steps, batch, {input_size}), with at least one step and row"
            )
        return x, None
    embedding = in_dtype(embedding, dtype)
    if embedding.ndim != 2 or embedding.shape[1] != input_size or not len(embedding):
        raise ValueError(f"the table has shape {embedding.shape}; it must be (vocabulary, {input_size})")
    ids = whole_numbers(x, len(embedding))
    if ids.ndim != 2 or 0 in ids.shape:
        raise ValueError(f"ids have shape {ids.shape}; it must be (steps, batch), with at least one of each")
    return ids, embedding


def check_state(state, states, shape, dtype, name):
    """A state, or its gradient, as a list of `states` arrays of the shape (L*D, B, H); None counts as zeros."""
    if state is None:
        return [np.zeros(shape, dtype) for _ in range(states)]
    state = (state,) if states == 1 else state
    if len(state) != states:
        raise ValueError(f"{name} of an LSTM is a pair (h, c); this has {len(state)} parts")
    for s in state:
        if np.shape(s) != shape:
            raise ValueError(f"{name} has shape {np.shape(s)}; it must be {shape} (layers x directions, batch, hidden)")
    return [in_dtype(s, dtype) for s in state]


def check_lengths(lengths, T, B):
    """lengths as an array of whole numbers (B,), or None."""
    if lengths is None:
        return None
    lengths = np.asarray(lengths)
    if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > T:
        raise ValueError(f"lengths must be {B} whole numbers from 1 to {T}, one per row; these are {lengths}")
    return lengths.astype(np.int64)  # unsigned ones would wrap around below 0
