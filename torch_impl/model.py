"""scratch/model.py on torch.nn: the same layers under the same names, and no backward to write."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torch_impl import unrolled
from torch_impl.mingru import MinGRU

# The cells by name: the layer, and its options.
CELLS = {
    "rnn": (nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
    "mingru": (MinGRU, {}),
}


class SequenceModel(nn.Module):
    """One model for all tasks; arguments as scratch.SequenceModel, with a torch dtype and a device."""

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
        dtype=torch.float32,
        device="cpu",
    ):
        super().__init__()
        self._refuse(cell, vocab_size, input_size, predict, dropout, forget_bias)
        self.predict, self.dropout = predict, dropout
        place = dict(dtype=dtype, device=device)
        self.embedding = None
        if vocab_size is not None:
            input_size = embedding_size or hidden_size
            self.embedding = nn.Embedding(vocab_size, input_size, **place)
        sizes = dict(num_layers=num_layers, bidirectional=bidirectional, **place)
        layer, options = CELLS[cell]
        self.recurrent = layer(input_size, hidden_size, **options, **sizes)
        for name, p in self.recurrent.named_parameters():
            if forget_bias and "bias_ih" in name:
                p.data[hidden_size : 2 * hidden_size] += forget_bias
        self.linear = nn.Linear((2 if bidirectional else 1) * hidden_size, output_size, **place)
        self.prediction = self.state_n = None

    @staticmethod
    def _refuse(cell, vocab_size, input_size, predict, dropout, forget_bias):
        """Raise ValueError for arguments that make no model."""
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

    def _tensor(self, array):
        """A NumPy array of a batch, on the model's device."""
        return torch.as_tensor(array, device=self.linear.weight.device)

    def _drop(self, x, mask):
        """torch.nn.functional.dropout with a mask that is given, None in evaluation."""
        return x if mask is None else x * self._tensor(mask) / (1 - self.dropout)

    def logits(self, inputs, lengths=None, state=None, masks=None, kept=None):
        """Run the model. Shapes as in scratch.SequenceModel.logits; takes arrays, returns tensors.

        If `kept` is a list, it receives every intermediate of the recurrent layers, and unrolled.layers computes them
        instead of torch.nn.
        """
        keep_in, keep_out = (None, None) if masks is None else masks
        x = self._tensor(inputs)
        x = self._drop(x if self.embedding is None else self.embedding(x), keep_in)  # (T, B, I)
        if kept is not None:
            y, state_n, everything = unrolled.layers(self.recurrent, x, lengths, state)
            kept.extend(everything)
        elif lengths is None:
            y, state_n = self.recurrent(x, state)  # (T, B, D*H)
        else:
            packed = pack_padded_sequence(x, torch.as_tensor(lengths), enforce_sorted=False)
            packed, state_n = self.recurrent(packed, state)
            y, _ = pad_packed_sequence(packed, total_length=len(x))  # (T, B, D*H)
        if self.predict == "last":
            h_n = state_n[0] if isinstance(state_n, tuple) else state_n
            y = torch.cat(list(h_n[-2:] if self.recurrent.bidirectional else h_n[-1:]), dim=1)  # (B, D*H)
        return self.linear(self._drop(y, keep_out)), state_n

    def loss(self, batch, state=None, kept=None):
        """The loss of a batch, a tensor: the mean over all targets except padding. Sets `prediction` and `state_n`."""
        prediction, self.state_n = self.logits(batch.inputs, batch.lengths, state, batch.masks, kept)
        self.prediction = prediction.detach()
        targets = self._tensor(batch.targets)
        if self.predict == "each" and batch.lengths is not None:
            lengths = self._tensor(batch.lengths)
            valid = torch.arange(len(targets), device=targets.device)[:, None] < lengths  # (T, B)
            prediction, targets = prediction[valid], targets[valid]
        if targets.is_floating_point():
            return mse_loss(prediction, targets)
        return cross_entropy(prediction.flatten(0, -2), targets.flatten())
