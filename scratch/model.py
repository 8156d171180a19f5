r"""The sequence model: ids through an embedding (or numbers as they are), recurrent layers, a linear output.

    ids (T, B) -> Embedding -> Dropout -> (T, B, E)  \
                                                       recurrent layers -> Dropout -> Linear -> logits or values
    numbers                        (T, B, F)         /
"""

import numpy as np

from scratch.layers import Dropout, Embedding, Linear
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
    dropout: the probability p for batches with masks. forget_bias: is added to b_ih of an LSTM's forget gates.
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
        dropout=0.0,
        forget_bias=0.0,
        dtype=np.float32,
        rng=None,
    ):
        if (vocab_size is None) == (input_size is None):
            raise ValueError("give vocab_size for ids or input_size for numbers, and not both")
        if predict not in ("each", "last"):
            raise ValueError(f"predict is {predict!r}; it must be 'each' or 'last'")
        if cell not in CELLS:
            raise ValueError(f"cell is {cell!r}; it must be one of {', '.join(CELLS)}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; it must be from 0 to below 1")
        if forget_bias and cell != "lstm":
            raise ValueError("forget_bias is for an lstm: no other cell has a forget gate")
        rng = np.random.default_rng() if rng is None else rng
        self.predict = predict
        self.embedding = None
        if vocab_size is not None:
            input_size = embedding_size or hidden_size
            self.embedding = Embedding(vocab_size, input_size, dtype=dtype, rng=rng)
        sizes = dict(num_layers=num_layers, bidirectional=bidirectional, dtype=dtype, rng=rng)
        layer, options = CELLS[cell]
        self.recurrent = layer(input_size, hidden_size, **options, **sizes)
        if forget_bias:
            for name, p in self.recurrent.params.items():
                if "bias_ih" in name:
                    p[hidden_size : 2 * hidden_size] += forget_bias  # the blocks are i f g o
        self.dropout_in, self.dropout_out = Dropout(dropout), Dropout(dropout)
        self.linear = Linear(self.recurrent.directions * hidden_size, output_size, dtype=dtype, rng=rng)
        self.prediction = self.state_n = None
        self._dprediction = None
        self._looks_up = False

    def _layers(self):
        layers = {"embedding": self.embedding, "recurrent": self.recurrent, "linear": self.linear}
        return {name: layer for name, layer in layers.items() if layer is not None}

    @property
    def params(self):
        """dict: the names of torch_impl's state_dict -> the layers' own arrays, writable in place."""
        return {f"{name}.{p}": array for name, layer in self._layers().items() for p, array in layer.params.items()}

    def logits(self, inputs, lengths=None, state=None, masks=None):
        """Run the model. inputs (T, B) ids or (T, B, F) numbers; lengths (B,) or None; state or None for zeros.
        masks: those of a Batch in training, None in evaluation.

        Returns the predictions, (T, B, O) or (B, O), before any softmax, and the last state.
        """
        self._dprediction = None  # of an earlier `loss`: the layers no longer keep what belongs to it
        keep_in, keep_out = (None, None) if masks is None else masks
        # If the batch has more places than the table has rows, multiplying every row of the table once is cheaper than
        # multiplying the row of every place. Dropout makes the rows of one id differ.
        self._looks_up = self.embedding is not None and len(self.embedding.params["weight"]) < np.size(inputs)
        self._looks_up = self._looks_up and keep_in is None
        if self._looks_up:
            y, state_n = self.recurrent.forward(inputs, state, lengths, self.embedding.params["weight"])  # (T, B, D*H)
        else:
            x = inputs if self.embedding is None else self.embedding.forward(inputs)  # (T, B, I)
            x = self.dropout_in.forward(x, keep_in)
            y, state_n = self.recurrent.forward(x, state, lengths)  # (T, B, D*H)
        if self.predict == "last":
            h_n = state_n[0] if isinstance(state_n, tuple) else state_n
            y = np.concatenate(h_n[-self.recurrent.directions :], axis=1)  # (B, D*H)  the last layer's states
        return self.linear.forward(self.dropout_out.forward(y, keep_out)), state_n

    def loss(self, batch, state=None):
        """The loss of a batch, a float: the mean over all targets except padding. Sets `prediction` and `state_n`."""
        self.prediction, self.state_n = self.logits(batch.inputs, batch.lengths, state, batch.masks)
        valid = None
        if self.predict == "each" and batch.lengths is not None:
            valid = np.arange(len(batch.inputs))[:, None] < batch.lengths  # (T, B)
        criterion = cross_entropy if batch.targets.dtype.kind in "iu" else mse
        loss, self._dprediction = criterion(self.prediction, batch.targets, valid)
        return loss if np.iscomplexobj(loss) else float(loss)

    def backward(self, trace=None):
        """The gradient of `loss` for every parameter: a dict with the names of `params`.

        If `trace` is a list, it receives every total derivative of the recurrent layers, see Recurrent.backward.
        Raises RuntimeError unless `loss` was the last call.
        """
        if self._dprediction is None:
            raise RuntimeError("backward needs what loss keeps: call loss first, with no call of logits in between")
        dy = self.dropout_out.backward(self.linear.backward(self._dprediction))  # (T, B, D*H) or (B, D*H)
        if self.predict == "each":
            dx, _ = self.recurrent.backward(dy, trace=trace)
        else:
            dx, _ = self.recurrent.backward(dstate_n=self._last_state_gradient(dy), trace=trace)
        if self._looks_up:
            self.embedding.grads = {"weight": dx}  # the layer used the table itself
        elif self.embedding is not None:
            self.embedding.backward(self.dropout_in.backward(dx))
        return {f"{name}.{p}": g for name, layer in self._layers().items() for p, g in layer.grads.items()}

    def _last_state_gradient(self, dy):
        """dy (B, D*H) as dh_n (L*D, B, H), nonzero for the last layer; dc_n is zero: nothing used c_n."""
        layer = self.recurrent
        B, D, H = len(dy), layer.directions, layer.hidden_size
        dh_n = np.zeros((layer.num_layers * D, B, H), dy.dtype)
        dh_n[-D:] = dy.reshape(B, D, H).swapaxes(0, 1)
        return dh_n if layer.states == 1 else (dh_n, np.zeros_like(dh_n))
