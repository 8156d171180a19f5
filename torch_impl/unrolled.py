"""Each cell's forward in plain torch operations, step by step, so that every intermediate is a tensor of the graph.

torch.nn's own layers give the gradients of inputs, states and weights. These functions also keep the intermediates, one
tensor per step, under the names of the same cell in scratch/; torch.autograd.grad(loss, kept["a"]) is then the
total derivative of every a_t. Nothing here is fast, and nothing is clever: it is the equations.

Sizes: T steps, B batch rows, I inputs, H hidden units. Weights as in torch.nn: W_ih (G*H, I), W_hh (G*H, H),
b_ih and b_hh (G*H,) for G gates.
"""

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def rnn(x, h_0, W_ih, W_hh, b_ih, b_hh, nonlinearity="tanh"):
    """x (T, B, I), h_0 (B, H). Returns y (T, B, H), h_n (B, H) and kept: "a", "h" -> list of T tensors (B, H)."""
    kept = {"a": [], "h": []}
    h = h_0
    for x_t in x:
        a = x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh  # (R1)
        h = torch.tanh(a) if nonlinearity == "tanh" else torch.relu(a)  # (R2)
        _keep(kept, a=a, h=h)
    return torch.stack(kept["h"]), h, kept


def lstm(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    """x (T, B, I), h_0 and c_0 (B, H).

    Returns y (T, B, H), h_n, c_n (B, H) and kept: "a" -> list of T tensors (B, 4H); "i", "f", "g", "o", "c",
    "tanh_c", "h" -> lists of T tensors (B, H).
    """
    kept = {name: [] for name in ("a", "i", "f", "g", "o", "c", "tanh_c", "h")}
    h, c = h_0, c_0
    for x_t in x:
        a = x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh  # (L1)
        a_i, a_f, a_g, a_o = a.chunk(4, dim=1)
        i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), torch.tanh(a_g), torch.sigmoid(a_o)  # (L2)
        c = f * c + i * g  # (L3)
        tanh_c = torch.tanh(c)
        h = o * tanh_c  # (L4)
        _keep(kept, a=a, i=i, f=f, g=g, o=o, c=c, tanh_c=tanh_c, h=h)
    return torch.stack(kept["h"]), h, c, kept


def gru(x, h_0, W_ih, W_hh, b_ih, b_hh):
    """x (T, B, I), h_0 (B, H).

    Returns y (T, B, H), h_n (B, H) and kept: "u", "v" -> lists of T tensors (B, 3H); "r", "z", "n", "h" -> lists of
    T tensors (B, H).
    """
    kept = {name: [] for name in ("u", "v", "r", "z", "n", "h")}
    h = h_0
    for x_t in x:
        u = x_t @ W_ih.T + b_ih  # (G1)
        v = h @ W_hh.T + b_hh  # (G2)
        u_r, u_z, u_n = u.chunk(3, dim=1)
        v_r, v_z, v_n = v.chunk(3, dim=1)
        r, z = torch.sigmoid(u_r + v_r), torch.sigmoid(u_z + v_z)  # (G3)
        n = torch.tanh(u_n + r * v_n)  # (G4)
        h = (1 - z) * n + z * h  # (G5)
        _keep(kept, u=u, v=v, r=r, z=z, n=n, h=h)
    return torch.stack(kept["h"]), h, kept


def mingru(x, h_0, W_ih, b_ih):
    """x (T, B, I), h_0 (B, H).

    Returns y (T, B, H), h_n (B, H) and kept: "a" -> list of T tensors (B, 2H); "z", "n", "h" -> lists of T tensors
    (B, H).
    """
    kept = {name: [] for name in ("a", "z", "n", "h")}
    h = h_0
    for x_t in x:
        a = x_t @ W_ih.T + b_ih  # (M1)
        a_z, n = a.chunk(2, dim=1)
        z = torch.sigmoid(a_z)  # (M2)
        h = (1 - z) * h + z * n  # (M3)
        _keep(kept, a=a, z=z, n=n, h=h)
    return torch.stack(kept["h"]), h, kept


CELLS = {"RNN": rnn, "LSTM": lstm, "GRU": gru, "MinGRU": mingru}  # by the name of the layer's class


def run_cell(recurrent, k, x, states):
    """What a cell keeps for x (T, B, I) and states (B, H), with the k-th set of weights of its layer."""
    weights = [getattr(recurrent, name) for name in recurrent._all_weights[k]]
    if not recurrent.bias:
        weights += len(weights) * [x.new_zeros(len(weights[0]))]  # a bias per matrix
    options = {"nonlinearity": recurrent.nonlinearity} if isinstance(recurrent, torch.nn.RNN) else {}
    *_, kept = CELLS[type(recurrent).__name__](x, *states, *weights, **options)
    return kept


def layers(recurrent, x, lengths=None, state=None, run=run_cell):
    """A whole layer of CELLS step by step, with that layer's own weights.

    x (T, B, I); lengths (B,) or None; state as the layer takes it; run: how to run a cell.
    Returns y (T, B, D*H), the last state, and a list with one entry per layer and direction, in the state's order: the
    dict that the cell kept, and None, or for the reverse direction the index (T, B) that restores the order of time.
    """
    T, B, _ = x.shape
    D = 1 + recurrent.bidirectional
    rows, t = torch.arange(B, device=x.device), torch.arange(T, device=x.device)[:, None]  # t (T, 1)
    lengths = torch.full_like(rows, T) if lengths is None else torch.as_tensor(lengths, device=x.device)
    real = (t < lengths)[:, :, None]  # (T, B, 1)
    backwards = torch.where(t < lengths, lengths - 1 - t, t)  # (T, B)  each sequence's last real step first
    if state is None:
        zeros = x.new_zeros(recurrent.num_layers * D, B, recurrent.hidden_size)
        state = (zeros, zeros) if isinstance(recurrent, torch.nn.LSTM) else zeros
    states, last, everything = state if isinstance(state, tuple) else (state,), [], []
    for layer in range(recurrent.num_layers):
        outputs = []
        for k in range(layer * D, (layer + 1) * D):
            kept = run(recurrent, k, x[backwards, rows] if k % D else x, [s[k] for s in states])
            # the state at each row's last real step; nothing uses what the cell computed from padding
            last.append([torch.stack(kept[name])[lengths - 1, rows] for name in "hc"[: len(states)]])
            y = torch.where(real, torch.stack(kept["h"]), 0)
            outputs.append(y[backwards, rows] if k % D else y)
            everything.append((kept, backwards if k % D else None))
        x = torch.cat(outputs, dim=2)
    last = tuple(torch.stack(s) for s in zip(*last, strict=True))
    return x, last if isinstance(state, tuple) else last[0], everything


def padded_or_packed(run, x, state):
    """run(x, lengths, state) for x (T, B, I), with None for lengths, or for a packed x; y is then packed, too."""
    if not isinstance(x, PackedSequence):
        return run(x, None, state)
    x, lengths = pad_packed_sequence(x)
    y, state_n = run(x, lengths, state)
    return pack_padded_sequence(y, lengths, enforce_sorted=False), state_n


def gradients(loss, everything):
    """The total derivative of every intermediate that `layers` kept: a dict of arrays per layer and direction.

    "da" -> (T, B, 4H) and so on, in the order of time.
    """
    found = []
    for kept, backwards in everything:
        grads = {}
        for name, steps in kept.items():
            parts = torch.autograd.grad(loss, steps, retain_graph=True, materialize_grads=True)
            d = torch.stack(parts)
            grads[f"d{name}"] = (d if backwards is None else d[backwards, torch.arange(d.shape[1])]).numpy()
        found.append(grads)
    return found


def _keep(kept, **tensors):
    for name, tensor in tensors.items():
        kept[name].append(tensor)
