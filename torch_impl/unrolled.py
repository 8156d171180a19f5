"""Each cell's forward in plain torch operations, step by step, so that every intermediate is a tensor of the graph.

torch.nn's own layers give the gradients of inputs, states and weights. These twins also keep what lies between, one
tensor a step, by the names of scratch/rnn.py, lstm.py and gru.py; torch.autograd.grad(loss, kept["a"]) is then the
total derivative of every a_t. Nothing here is fast, and nothing is clever: it is the equations.

Sizes: T steps, B rows of the batch, I inputs, H hidden units. Weights as in torch.nn: W_ih (G*H, I), W_hh (G*H, H),
b_ih and b_hh (G*H,) for G gates.
"""

import torch


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


def _keep(kept, **tensors):
    for name, tensor in tensors.items():
        kept[name].append(tensor)
