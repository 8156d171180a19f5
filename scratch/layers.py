"""The layers around the recurrent one: Embedding, Dropout and Linear. `backward` uses what `forward` was given.

Sizes: V words in the vocabulary, E numbers per word, I inputs, O outputs; "..." is any leading axes.

    (O1)  y = W x + b
    (O2)  y = m * x / (1 - p)        dropout: m is 0 with probability p, else 1
"""

import numpy as np

from scratch.arguments import whole_numbers
from scratch.inputs import sum_by_id


class Embedding:
    """A table of V rows, one per id. A look-up is a product with a one-hot vector, done faster.

    Arguments and parameter name as torch.nn.Embedding; rows start standard normal as there.
    """

    def __init__(self, num_embeddings, embedding_dim, *, dtype=np.float32, rng=None):
        rng = np.random.default_rng() if rng is None else rng
        self.params = {"weight": rng.standard_normal((num_embeddings, embedding_dim)).astype(dtype)}
        self.grads = {}
        self._ids = None

    def forward(self, ids):
        """ids (...), whole numbers from 0 to V-1. Returns their rows (..., E). Raises ValueError on another id."""
        self._ids = whole_numbers(ids, len(self.params["weight"]))
        return self.params["weight"][self._ids]

    def backward(self, dy):
        """dy (..., E). Sets grads; returns None: whole numbers have no gradient."""
        if self._ids is None:
            raise RuntimeError("backward needs what forward keeps: call forward first")
        V, E = self.params["weight"].shape
        if dy.shape != (*self._ids.shape, E):
            raise ValueError(f"dy has shape {dy.shape}; the rows had {(*self._ids.shape, E)}")
        # the gradients of all places where an id occurs add up
        self.grads = {"weight": sum_by_id(dy.reshape(-1, E), self._ids.ravel(), V)}  # (V, E)


class Dropout:
    """In training each number is set to 0 with probability p; the others are divided by 1 - p, which keeps the mean.

    So evaluation needs no scaling ("inverted" dropout), as in torch.nn.Dropout. Which numbers are kept is drawn once
    per batch, outside: two models drop the same ones, and backward those that forward dropped.
    """

    def __init__(self, p):
        self.p = p
        self._factor = None

    def forward(self, x, kept=None):
        """x (...), kept (...) bool, None in evaluation. Returns y (...)."""
        # (O2)  y = m x / (1 - p)
        self._factor = None if kept is None else kept / x.dtype.type(1 - self.p)
        return x if self._factor is None else x * self._factor

    def backward(self, dy):
        """dy (...). Returns dx (...)."""
        # (O2)  dx = m dy / (1 - p), with the m of forward
        return dy if self._factor is None else dy * self._factor


class Linear:
    """y = x W^T + b on the last axis. Arguments, parameter names and first values as torch.nn.Linear."""

    def __init__(self, in_features, out_features, *, dtype=np.float32, rng=None):
        rng = np.random.default_rng() if rng is None else rng
        bound = 1 / np.sqrt(in_features)
        self.params = {
            "weight": rng.uniform(-bound, bound, (out_features, in_features)).astype(dtype),
            "bias": rng.uniform(-bound, bound, out_features).astype(dtype),
        }
        self.grads = {}
        self._x = None

    def forward(self, x):
        """x (..., I). Returns y (..., O)."""
        W, b = self.params["weight"], self.params["bias"]
        self._x = x = np.asarray(x)
        x_rows = x.reshape(-1, x.shape[-1])  # (N, I)  all leading axes are rows: one product
        # (O1)  y = W x + b
        y = x_rows @ W.T + b  # (N, O)
        return y.reshape(*x.shape[:-1], len(W))  # (..., O)

    def backward(self, dy):
        """dy (..., O). Sets grads; returns dx (..., I)."""
        if self._x is None:
            raise RuntimeError("backward needs what forward keeps: call forward first")
        W, x = self.params["weight"], self._x
        if dy.shape != (*x.shape[:-1], len(W)):
            raise ValueError(f"dy has shape {dy.shape}; y had {(*x.shape[:-1], len(W))}")
        dy_rows = dy.reshape(-1, dy.shape[-1])  # (N, O)
        x_rows = x.reshape(-1, x.shape[-1])  # (N, I)
        # (O1)  dW and db sum over the rows; dx = W^T dy for a column, here rows: no .T
        self.grads = {"weight": dy_rows.T @ x_rows, "bias": dy_rows.sum(axis=0)}  # (O, I), (O,)
        return (dy_rows @ W).reshape(x.shape)  # (..., I)
