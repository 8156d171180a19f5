"""The cells as layers: any number of layers and both directions around a cell.

Sizes: T steps, B batch rows, I inputs, H hidden units, L layers, D directions (1 or 2). The state has one entry k per
layer and direction, in torch's order: layer 0 forward, layer 0 reverse, layer 1 forward ...
"""

from typing import NamedTuple

import numpy as np

from scratch import gru, lstm, mingru, rnn, stretches
from scratch.arguments import check_input, check_lengths, check_state, in_dtype


class Kept(NamedTuple):
    """What `forward` keeps for `backward`. Rows are sorted, longest sequence first."""

    caches: list  # per entry k: what stretches.forward returned
    shape: tuple  # T, B
    lengths: np.ndarray | None  # (B,)
    order: np.ndarray | slice  # x[:, order] has the rows sorted,
    inverse: np.ndarray | slice  # y[:, inverse] has them in the caller's order again
    embedding: np.ndarray | None  # (V, I)


class Recurrent:
    """What the layers share. Use RNN, GRU, LSTM or MinGRU below."""

    cell = None  # the module with the cell's forward and backward
    states = 1  # arrays in a state: h, for an LSTM h and c
    weights = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # in the order in which the cell takes them
    options = {}  # noqa: RUF012  further arguments of the cell's forward; never changed in place

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, bidirectional=False, *, dtype=np.float32, rng=None
    ):
        for name, size in dict(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers).items():
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.directions = 2 if bidirectional else 1
        self.grads = {}
        self.params = {}
        self.kept = None

        # As in torch: every weight and bias uniform within 1 / sqrt(H), whatever the number of inputs.
        rng = np.random.default_rng() if rng is None else rng
        bound = 1 / np.sqrt(hidden_size)
        rows = len(self.cell.GATES) * hidden_size
        for k in range(num_layers * self.directions):
            inputs = input_size if k < self.directions else hidden_size * self.directions
            columns = {"weight_ih": (inputs,), "weight_hh": (hidden_size,), "bias_ih": (), "bias_hh": ()}
            for kind, name in zip(self.weights, self._names(k), strict=False):
                self.params[name] = rng.uniform(-bound, bound, (rows, *columns[kind])).astype(dtype)

    def _names(self, k):
        """torch's names of entry k's parameters (layer k // D, direction k % D): weight_ih_l0_reverse and so on."""
        layer, direction = divmod(k, self.directions)
        kinds = [kind for kind in self.weights if self.bias or kind.startswith("weight")]
        return [f"{kind}_l{layer}{'_reverse' * direction}" for kind in kinds]

    def _weights(self, k, embedding):
        """The weights that the cell takes. For ids, layer 0 gets W_ih times every row of the table."""
        W_ih, *others = (self.params[name] for name in self._names(k))
        if not self.bias:
            zeros = np.zeros_like(W_ih, shape=len(W_ih))
            others += [zeros for kind in self.weights if kind.startswith("bias")]
        if embedding is not None and k < self.directions:
            W_ih = W_ih @ embedding.T  # (G*H, V)  one product per word of the vocabulary, none per step
        return W_ih, *others

    def forward(self, x, state=None, lengths=None, embedding=None):
        """Run all layers over a batch of sequences.

        x (T, B, I), or ids (T, B) together with the table `embedding` (V, I) whose rows they name; state h_0
        (L*D, B, H), for an LSTM the pair (h_0, c_0), None for zeros; lengths (B,) whole numbers from 1 to T in any
        order, None when every sequence has T steps.
        Returns y (T, B, D*H), the last layer's states, 0 past a sequence's end; and the last state in the form of
        `state`, each row's at its own last real step. `backward` reads x, y, the table and the parameters again: y is
        therefore read-only, and the others must not be changed until then.
        Everything is computed in the parameters' dtype; complex numbers stay complex. Raises ValueError on a wrong
        shape or length.
        """
        x, embedding = check_input(x, embedding, self.input_size, self._dtype)
        T, B = x.shape[:2]
        state = check_state(state, self.states, self._state_shape(B), self._dtype, "state")
        lengths, order, inverse = longest_first(check_lengths(lengths, T, B))
        state = [s[:, order].copy() for s in state]  # the caller's may change before `backward`

        y, last, caches = x[:, order], [], []
        for layer in range(self.num_layers):
            below, outputs = y, []  # (T, B, I), above the first layer (T, B, D*H)
            for k in range(layer * self.directions, (layer + 1) * self.directions):
                y_k, last_k, cache = self._forward_entry(k, below, [s[k] for s in state], lengths, embedding)
                outputs.append(y_k)  # (T, B, H)
                last.append(last_k)
                caches.append(cache)
            y = np.concatenate(outputs, axis=2) if self.directions == 2 else outputs[0]  # (T, B, D*H)

        self.kept = Kept(caches, (T, B), lengths, order, inverse, embedding)
        y = y[:, inverse].view()
        y.flags.writeable = False  # with one direction `backward` reads this very array: `y += ...` would spoil it
        return y, self._like_torch([np.array(s)[:, inverse] for s in zip(*last, strict=True)])  # (L*D, B, H)

    def _forward_entry(self, k, x, state, lengths, embedding):
        """One layer in one direction. Returns y (T, B, H) in the order of time, the last state, and a cache."""
        backwards = k % self.directions == 1
        x = stretches.reverse(x, lengths) if backwards else x
        weights = self._weights(k, embedding)
        y, last, cache = stretches.forward(self.cell, x, state, weights, lengths, **self.options)
        return (stretches.reverse(y, lengths) if backwards else y), last, cache

    def backward(self, dy=None, dstate_n=None, trace=None):
        """Back-propagate from the outputs to the input, the first state and every parameter.

        dy (T, B, D*H) and dstate_n in the form of `state`; an omitted one counts as zero.
        Sets `grads` (it overwrites, it does not accumulate) and returns dx (T, B, I), for ids the table's dembedding
        (V, I), and dstate_0. If `trace` is a list, it receives a dict per layer and direction, in the state's order:
        the total derivatives at all steps that the cell's `backward` names, in the order of time.
        Raises ValueError on a wrong shape, RuntimeError before the first `forward`.
        """
        if self.kept is None:
            raise RuntimeError("backward needs what forward keeps: call forward first")
        (T, B), order, inverse = self.kept.shape, self.kept.order, self.kept.inverse
        H, D = self.hidden_size, self.directions
        dy = np.zeros((T, B, D * H), self._dtype) if dy is None else in_dtype(dy, self._dtype)
        if dy.shape != (T, B, D * H):
            raise ValueError(f"dy has shape {dy.shape}; y had {(T, B, D * H)} (steps, batch, directions x hidden)")
        dstate_n = check_state(dstate_n, self.states, self._state_shape(B), self._dtype, "dstate_n")
        dy, dstate_n = dy[:, order], [ds[:, order] for ds in dstate_n]

        dfirst, traces, grads = {}, {}, {}
        for layer in reversed(range(self.num_layers)):
            shares = []
            for k in reversed(range(layer * D, (layer + 1) * D)):
                dy_k = dy[:, :, k % D * H : (k % D + 1) * H]  # (T, B, H)
                traces[k] = None if trace is None else {}
                dx_k, dfirst[k], dweights = self._backward_entry(k, dy_k, [ds[k] for ds in dstate_n], traces[k])
                shares.append(dx_k)
                grads |= zip(self._names(k), dweights, strict=True)
            # both directions read the same input, so their gradients add up; it was the output of the layer below
            dy = shares[0] + shares[1] if D == 2 else shares[0]  # (T, B, D*H), at the end dx
        self.grads = {name: grads[name] for name in self.params}

        if trace is not None:
            trace.extend({name: d[:, inverse] for name, d in traces[k].items()} for k in sorted(traces))
        dx = dy[:, inverse] if self.kept.embedding is None else dy
        dstate_0 = zip(*(dfirst[k] for k in sorted(dfirst)), strict=True)
        return dx, self._like_torch([np.array(ds)[:, inverse] for ds in dstate_0])

    def _backward_entry(self, k, dy, dstate_n, trace):
        """One layer in one direction, dy (T, B, H). Returns dx (for ids dembedding), dstate_0, weight gradients."""
        lengths, embedding = self.kept.lengths, self.kept.embedding
        backwards = k % self.directions == 1
        dy = stretches.reverse(dy, lengths) if backwards else dy
        dx, dfirst, dweights = stretches.backward(self.cell, dy, dstate_n, self.kept.caches[k], trace)
        if embedding is not None and k < self.directions:
            W_ih, dtable = self.params[self._names(k)[0]], dweights[0]  # dtable (G*H, V), of W_ih embedding^T
            dweights[0] = dtable @ embedding  # (G*H, I)
            dx = dtable.T @ W_ih  # (V, I)
        elif backwards:
            dx = stretches.reverse(dx, lengths)  # (T, B, I)
        if backwards and trace is not None:
            trace.update({name: stretches.reverse(d, lengths) for name, d in trace.items()})
        return dx, dfirst, dweights[: len(self._names(k))]  # without biases, the matrices alone

    @property
    def _dtype(self):
        return self.params["weight_ih_l0"].dtype

    def _state_shape(self, B):
        return self.num_layers * self.directions, B, self.hidden_size

    def _like_torch(self, state):
        return state[0] if self.states == 1 else tuple(state)


def longest_first(lengths):
    """lengths sorted, longest first; the order of the rows that sorts them, and the order that undoes it."""
    if lengths is None:
        return None, slice(None), slice(None)  # all rows as they are
    order = np.argsort(-lengths, kind="stable")
    return lengths[order], order, np.argsort(order)


class RNN(Recurrent):
    """The Elman network; arguments and parameter names as torch.nn.RNN. `nonlinearity` is "tanh" or "relu"."""

    cell = rnn

    def __init__(
        self,
        input_size,
        hidden_size,
        num_layers=1,
        nonlinearity="tanh",
        bias=True,
        bidirectional=False,
        *,
        dtype=np.float32,
        rng=None,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"nonlinearity is {nonlinearity!r}; it must be 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, num_layers, bias, bidirectional, dtype=dtype, rng=rng)
        self.options = {"nonlinearity": nonlinearity}


class GRU(Recurrent):
    """The gated recurrent unit; arguments and parameter names as torch.nn.GRU."""

    cell = gru


class LSTM(Recurrent):
    """Long short-term memory; arguments and parameter names as torch.nn.LSTM. Its state is the pair (h, c)."""

    cell = lstm
    states = 2


class MinGRU(Recurrent):
    """The GRU whose gates do not read the state. torch has none; arguments and parameter names as torch.nn.GRU, but
    without weight_hh and bias_hh."""

    cell = mingru
    weights = ("weight_ih", "bias_ih")
