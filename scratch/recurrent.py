"""RNN, GRU and LSTM as layers: any number of layers and both directions around a cell.

Sizes: T steps, B rows of the batch, I inputs, H hidden units, L layers, D directions (1 or 2). The state has
one entry for every layer and direction, in torch's order: layer 0 forward, layer 0 reverse, layer 1 forward ...
"""

import numpy as np

from scratch import gru, lstm, rnn, stretches
from scratch.layers import whole_numbers


class Recurrent:
    """What the three layers share. Use RNN, GRU or LSTM below."""

    def __init__(
        self, cell, gates, states, input_size, hidden_size, num_layers, bias, bidirectional, dtype, rng, **options
    ):
        for name, size in dict(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers).items():
            if size < 1:
                raise ValueError(f"{name} is {size}; it must be at least 1")
        self.cell, self.states, self.bias, self.options = cell, states, bias, options
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.directions = 2 if bidirectional else 1
        self.grads = {}
        self.params = {}
        self._cache = None

        # As torch initialises: everything uniform within 1 / sqrt(H), whatever the number of inputs.
        rng = np.random.default_rng() if rng is None else rng
        bound = 1 / np.sqrt(hidden_size)
        for k in range(num_layers * self.directions):
            inputs = input_size if k < self.directions else hidden_size * self.directions
            shapes = {
                "weight_ih": (gates * hidden_size, inputs),
                "weight_hh": (gates * hidden_size, hidden_size),
                "bias_ih": (gates * hidden_size,),
                "bias_hh": (gates * hidden_size,),
            }
            for kind, name in self._names(k).items():
                self.params[name] = rng.uniform(-bound, bound, shapes[kind]).astype(dtype)

    def _names(self, k):
        """The parameters of entry k (layer k // D, direction k % D): {"weight_ih": "weight_ih_l0_reverse", ...}."""
        layer, direction = divmod(k, self.directions)
        kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh") if self.bias else ("weight_ih", "weight_hh")
        return {kind: f"{kind}_l{layer}{'_reverse' * direction}" for kind in kinds}

    def _weights(self, k):
        """The four weights that a cell takes; without biases it gets zeros."""
        weights = [self.params[name] for name in self._names(k).values()]
        return weights if self.bias else [*weights, *2 * (np.zeros_like(weights[0], shape=len(weights[0])),)]

    def forward(self, x, state=None, lengths=None, embedding=None):
        """Run all layers over a batch of sequences.

        x (T, B, I), or ids (T, B) together with the table `embedding` (V, I) whose rows they name; state h_0
        (L*D, B, H), for an LSTM the pair (h_0, c_0), None for zeros; lengths (B,) whole numbers from 1 to T in any
        order, None when every sequence has T steps.
        Returns y (T, B, D*H), the last layer's states, 0 past a sequence's end; and the last state in the form of
        `state`, each row's at its own last real step. `backward` reads x, y, the table and the parameters once
        more: y is therefore read-only, and the others must not be changed until then.
        Everything is computed in the parameters' dtype; complex numbers stay complex. Raises ValueError on a wrong
        shape or length.
        """
        if embedding is None:
            x = self._in_dtype(x)
        else:
            embedding = self._in_dtype(embedding)
            self._check_table(embedding)
            x = whole_numbers(x, len(embedding))
        T, B = self._check_input(x, ids=embedding is not None)
        state = [s.copy() for s in self._check_state(state, B, "state")]  # the caller's may change before `backward`
        lengths, order = self._check_lengths(lengths, T, B)
        if order is not None:
            x, state = x[:, order], [s[:, order] for s in state]

        y, state_n, caches = x, [[] for _ in state], []
        for layer in range(self.num_layers):
            below, outputs = y, []  # (T, B, I), above the first layer (T, B, D*H)
            for direction in range(self.directions):
                k = layer * self.directions + direction
                weights = self._weights(k)
                if layer == 0 and embedding is not None:
                    # W_ih times row x of the table, for all V rows: no step needs a product of its own any more
                    weights[0] = weights[0] @ embedding.T  # (G*H, V)
                source = stretches.reverse(below, lengths) if direction else below
                y, last, cache = stretches.forward(
                    self.cell, source, [s[k] for s in state], weights, lengths, **self.options
                )
                outputs.append(stretches.reverse(y, lengths) if direction else y)  # (T, B, H)
                for s_n, s in zip(state_n, last, strict=True):
                    s_n.append(s)
                caches.append(cache)
            y = np.concatenate(outputs, axis=2) if self.directions == 2 else outputs[0]  # (T, B, D*H)

        self._cache = caches, lengths, order, (T, B), embedding
        state_n = [np.stack(s) for s in state_n]  # (L*D, B, H)
        if order is not None:
            inverse = np.argsort(order)
            y, state_n = y[:, inverse], [s[:, inverse] for s in state_n]
        y = y.view()
        y.flags.writeable = False  # one direction's y is what `backward` reads: a `y += ...` would spoil it unseen
        return y, self._like_torch(state_n)

    def backward(self, dy=None, dstate_n=None, trace=None):
        """Back-propagate from the outputs to the input, the first state and every parameter.

        dy (T, B, D*H) and dstate_n in the form of `state`; one that is omitted counts as zero. A list given as
        `trace` receives a dict for every layer and direction, in the state's order: the total derivatives of all
        steps that the cell's `backward` names, in the order of time.
        Sets `grads` (it does not add to what stood there) and returns dx (T, B, I), for ids the table's dembedding
        (V, I), and dstate_0.
        Raises ValueError on a wrong shape, RuntimeError before the first `forward`.
        """
        if self._cache is None:
            raise RuntimeError("backward needs what forward keeps: call forward first")
        caches, lengths, order, (T, B), embedding = self._cache
        H, D = self.hidden_size, self.directions
        dy = np.zeros((T, B, D * H), self.params["weight_hh_l0"].dtype) if dy is None else self._in_dtype(dy)
        if dy.shape != (T, B, D * H):
            raise ValueError(f"dy has shape {dy.shape}; y had {(T, B, D * H)} (steps, batch, directions x hidden)")
        dstate_n = self._check_state(dstate_n, B, "dstate_n")
        if order is not None:
            dy, dstate_n = dy[:, order], [ds[:, order] for ds in dstate_n]

        dstate = [np.empty_like(ds) for ds in dstate_n]  # (L*D, B, H)
        traces = {}
        grads = {}
        for layer in reversed(range(self.num_layers)):
            dx = None
            for direction in reversed(range(D)):
                k = layer * D + direction
                dy_k = dy[:, :, direction * H : (direction + 1) * H]  # (T, B, H)
                if direction:
                    dy_k = stretches.reverse(dy_k, lengths)
                traces[k] = {} if trace is not None else None
                dx_k, dstate_k, dweights = stretches.backward(
                    self.cell, dy_k, [ds[k] for ds in dstate_n], caches[k], traces[k]
                )
                if layer == 0 and embedding is not None:
                    dtable = dweights[0]  # (G*H, V)  of W_ih embedding^T: both factors get their share
                    dx_k = dtable.T @ self._weights(k)[0]  # (V, I)
                    dweights[0] = dtable @ embedding  # (G*H, I)
                elif direction:
                    dx_k = stretches.reverse(dx_k, lengths)  # (T, B, I)
                dx = dx_k if dx is None else dx + dx_k  # both directions read the same input: gradients add up
                for ds, ds_k in zip(dstate, dstate_k, strict=True):
                    ds[k] = ds_k
                grads |= zip(self._names(k).values(), dweights, strict=False)  # no bias: its gradient is dropped
            dy = dx  # this layer's input was the output of the layer below

        self.grads = {name: grads[name] for name in self.params}
        if order is not None:
            inverse = np.argsort(order)
            dx = dx[:, inverse] if embedding is None else dx
            dstate = [ds[:, inverse] for ds in dstate]
        if trace is not None:
            for k in range(self.num_layers * D):
                if k % D:
                    traces[k] = {name: stretches.reverse(v, lengths) for name, v in traces[k].items()}
                if order is not None:
                    traces[k] = {name: v[:, inverse] for name, v in traces[k].items()}
                trace.append(traces[k])
        return dx, self._like_torch(dstate)

    def _like_torch(self, state):
        return state[0] if self.states == 1 else tuple(state)

    def _in_dtype(self, array):
        """The array in the parameters' dtype; complex numbers stay complex, for the complex step."""
        array = np.asarray(array)
        return array if np.iscomplexobj(array) else array.astype(self.params["weight_hh_l0"].dtype, copy=False)

    def _check_table(self, embedding):
        if embedding.ndim != 2 or embedding.shape[1] != self.input_size or not len(embedding):
            raise ValueError(f"the table has shape {embedding.shape}; it must be (vocabulary, {self.input_size})")

    def _check_input(self, x, ids):
        if ids:
            if x.ndim != 2 or 0 in x.shape:
                raise ValueError(f"ids have shape {x.shape}; it must be (steps, batch), with at least one of each")
        elif x.ndim != 3 or x.shape[2] != self.input_size or 0 in x.shape:
            raise ValueError(
                f"x has shape {x.shape}; it must be (steps, batch, {self.input_size}), with at least one step and row"
            )
        return x.shape[:2]

    def _check_state(self, state, B, name):
        shape = (self.num_layers * self.directions, B, self.hidden_size)
        if state is None:
            return [self._in_dtype(np.zeros(shape)) for _ in range(self.states)]
        state = (state,) if self.states == 1 else state
        if len(state) != self.states:
            raise ValueError(f"{name} of an LSTM is a pair (h, c); this has {len(state)} parts")
        for s in state:
            if np.shape(s) != shape:
                raise ValueError(
                    f"{name} has shape {np.shape(s)}; it must be {shape} (layers x directions, batch, hidden)"
                )
        return [self._in_dtype(s) for s in state]

    def _check_lengths(self, lengths, T, B):
        """The lengths, longest first, and the order of the rows that makes them so (None: nothing to do)."""
        if lengths is None:
            return None, None
        lengths = np.asarray(lengths)
        if lengths.shape != (B,) or lengths.dtype.kind not in "iu" or lengths.min() < 1 or lengths.max() > T:
            raise ValueError(f"lengths must be {B} whole numbers from 1 to {T}, one a row; these are {lengths}")
        lengths = lengths.astype(np.int64)  # unsigned ones would turn round below 0
        order = np.argsort(-lengths, kind="stable")
        return lengths[order], order


class RNN(Recurrent):
    """The Elman network; arguments and parameter names as torch.nn.RNN. `nonlinearity` is "tanh" or "relu"."""

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
        sizes = input_size, hidden_size, num_layers
        super().__init__(rnn, 1, 1, *sizes, bias, bidirectional, dtype, rng, nonlinearity=nonlinearity)


class GRU(Recurrent):
    """The gated recurrent unit; arguments and parameter names as torch.nn.GRU."""

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, bidirectional=False, *, dtype=np.float32, rng=None
    ):
        super().__init__(gru, 3, 1, input_size, hidden_size, num_layers, bias, bidirectional, dtype, rng)


class LSTM(Recurrent):
    """Long short-term memory; arguments and parameter names as torch.nn.LSTM. Its state is the pair (h, c)."""

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, bidirectional=False, *, dtype=np.float32, rng=None
    ):
        super().__init__(lstm, 4, 2, input_size, hidden_size, num_layers, bias, bidirectional, dtype, rng)
