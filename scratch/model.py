r"""The sequence model: ids through an embedding (or numbers as they are), recurrent layers, a linear output.

    ids (T, B) -> Embedding -> (T, B, E)  \
                                            recurrent layers -> Linear -> logits or values
    numbers             (T, B, F)         /
"""

import numpy as np

from scratch.layers import Embedding, Linear
from scratch.losses import cross_entropy, mse
from scratch.recurrent import GRU, LSTM, RNN, MinGRU

# The cells by name: the layer, and its options.
CELLS = {
    "rnn": (RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (RNN, {"nonlinearity": "relu"}),
    "gru": (GRU, {}),
    "lstm": (LSTM, {}),
    "mingru": (MinGRU, {}),
}


def module_of(cell):
    """The module of a cell in CELLS, with its forward, backward, GATES, TRACED and Cache."""
    return CELLS[cell][0].cell


def file_of(cell):
    """The name of that module's file in scratch/, without .py: "rnn" for rnn_relu."""
    return module_of(cell).__name__.split(".")[-1]


class SequenceModel:
    """One model for all tasks.

    cell: a name of CELLS. Either vocab_size (inputs are ids; embedding_size defaults to
    hidden_size) or input_size (inputs are numbers). predict "each": an output at every step, (T, B, O);
    "last": one from the last layer's state after each sequence's last step, both directions', (B, O).
    Integer targets are classes and take the cross-entropy, floating-point targets the mean squared error.
    """

    def __init__(
        self,
        cell,
        output_size,
        *,
        hidden_size,
        num_layers=1,
        bidirectional=False,
        vocab_size=None,
        embedding_size=None,
        input_size=None,
        predict="each",
        dtype=np.float32,
        rng=None,
    ):
        if (vocab_size is None) == (input_size is None):
            raise ValueError("give vocab_size for ids or input_size for numbers, and not both")
        if predict not in ("each", "last"):
            raise ValueError(f"predict is {predict!r}; it must be 'each' or 'last'")
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}; it must be one of {', '.join(CELLS)}")
        rng = np.random.default_rng() if rng is None else rng
        self.predict = predict
        self.embedding = None
        if vocab_size is not None:
            input_size = embedding_size or hidden_size
            self.embedding = Embedding(vocab_size, input_size, dtype=dtype, rng=rng)
        sizes = dict(num_layers=num_layers, bidirectional=bidirectional, dtype=dtype, rng=rng)
        layer, options = CELLS[cell]
        self.recurrent = layer(input_size, hidden_size, **options, **sizes)
        self.linear = Linear(self.recurrent.directions * hidden_size, output_size, dtype=dtype, rng=rng)
        self.state_n = None
        self._dprediction = None
        self._looks_up = False

    def _layers(self):
        layers = {"embedding": self.embedding, "recurrent": self.recurrent, "linear": self.linear}
        return {name: layer for name, layer in layers.items() if layer is not None}

    @property
    def params(self):
        """dict: the names of torch_impl's state_dict -> the layers' own arrays, writable in place."""
        return {f"{name}.{p}": array for name, layer in self._layers().items() for p, array in layer.params.items()}

    def logits(self, inputs, lengths=None, state=None):
        """Run the model. inputs (T, B) ids or (T, B, F) numbers; lengths (B,) or None; state or None for zeros.

        Returns the predictions, (T, B, O) or (B, O), before any softmax, and the last state.
        """
        self._dprediction = None  # of an earlier `loss`: the layers no longer keep what belongs to it
        # If the batch has more places than the table has rows, multiplying every row of the table once is cheaper than
        # multiplying the row of every place.
        self._looks_up = self.embedding is not None and len(self.embedding.params["weight"]) < np.size(inputs)
        if self._looks_up:
            y, state_n = self.recurrent.forward(inputs, state, lengths, self.embedding.params["weight"])  # (T, B, D*H)
        else:
            x = inputs if self.embedding is None else self.embedding.forward(inputs)  # (T, B, I)
            y, state_n = self.recurrent.forward(x, state, lengths)  # (T, B, D*H)
        if self.predict == "last":
            h_n = state_n[0] if isinstance(state_n, tuple) else state_n
            y = np.concatenate(h_n[-self.recurrent.directions :], axis=1)  # (B, D*H)  the last layer's states
        return self.linear.forward(y), state_n

    def loss(self, batch, state=None):
        """The loss of a batch, a float: the mean over all targets except padding. Sets `state_n`."""
        prediction, self.state_n = self.logits(batch.inputs, batch.lengths, state)
        valid = None
        if self.predict == "each" and batch.lengths is not None:
            valid = np.arange(len(batch.inputs))[:, None] < batch.lengths  # (T, B)
        criterion = cross_entropy if batch.targets.dtype.kind in "iu" else mse
        loss, self._dprediction = criterion(prediction, batch.targets, valid)
        return loss if np.iscomplexobj(loss) else float(loss)

    def backward(self, trace=None):
        """The gradient of `loss` for every parameter: a dict with the names of `params`.

        If `trace` is a list, it receives every total derivative of the recurrent layers, see Recurrent.backward.
        Raises RuntimeError unless `loss` was the last call.
        """
        if self._dprediction is None:
            raise RuntimeError("backward needs what loss keeps: call loss first, with no call of logits in between")
        dy = self.linear.backward(self._dprediction)  # (T, B, D*H) or (B, D*H)
        if self.predict == "each":
            dx, _ = self.recurrent.backward(dy, trace=trace)
        else:
            dx, _ = self.recurrent.backward(dstate_n=self._last_state_gradient(dy), trace=trace)
        if self._looks_up:
            self.embedding.grads = {"weight": dx}  # the layer used the table itself
        elif self.embedding is not None:
            self.embedding.backward(dx)
        return {f"{name}.{p}": g for name, layer in self._layers().items() for p, g in layer.grads.items()}

    def _last_state_gradient(self, dy):
        """dy (B, D*H) as dh_n (L*D, B, H), nonzero for the last layer; dc_n is zero: nothing used c_n."""
        layer = self.recurrent
        B, D, H = len(dy), layer.directions, layer.hidden_size
        dh_n = np.zeros((layer.num_layers * D, B, H), dy.dtype)
        dh_n[-D:] = dy.reshape(B, D, H).swapaxes(0, 1)
        return dh_n if layer.states == 1 else (dh_n, np.zeros_like(dh_n))
