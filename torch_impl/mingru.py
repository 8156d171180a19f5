"""minGRU as a torch layer, which torch.nn does not have: the forward is written here, the backward is autograd's."""

import torch
from torch import nn

from torch_impl import unrolled


class MinGRU(nn.Module):
    """unrolled.mingru in layers and directions. Arguments, attributes, parameter names and first values are those of
    torch.nn.GRU, but without weight_hh and bias_hh; the gate blocks are z and n.

    It runs step by step, which is slow and simple: it is here to be right, for scratch/mingru.py to be compared with.
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, bidirectional=False, *, dtype=None, device=None
    ):
        super().__init__()
        self.hidden_size, self.num_layers, self.bias, self.bidirectional = hidden_size, num_layers, bias, bidirectional
        self._all_weights = []  # the names of each layer's and direction's parameters, as in torch.nn.RNNBase
        for layer in range(num_layers):
            inputs = (2 if bidirectional else 1) * hidden_size if layer else input_size
            for end in ("", "_reverse")[: 1 + bidirectional]:
                shapes = {"weight_ih": (2 * hidden_size, inputs)} | ({"bias_ih": (2 * hidden_size,)} if bias else {})
                for kind, shape in shapes.items():
                    p = torch.empty(shape, dtype=dtype, device=device)
                    nn.init.uniform_(p, -(hidden_size**-0.5), hidden_size**-0.5)
                    self.register_parameter(f"{kind}_l{layer}{end}", nn.Parameter(p))
                self._all_weights.append([f"{kind}_l{layer}{end}" for kind in shapes])

    def forward(self, x, state=None):
        """x (T, B, I) or packed; state (L*D, B, H), None for zeros. Returns y (T, B, D*H), or packed, and h_n."""
        return unrolled.padded_or_packed(lambda *given: unrolled.layers(self, *given)[:2], x, state)
