"""Building blocks that each know how to go forward and back; the cell only wires them together."""

import numpy as np


class Linear:
    """One of these for the whole sequence: its gradients add up over the steps. v (B, in) -> (B, out)"""

    def __init__(self, W, b):
        self.W, self.b = W, b
        self.dW, self.db = np.zeros_like(W), np.zeros_like(b)
        self.stack = []

    def forward(self, v):
        self.stack.append(v)
        return v @ self.W.T + self.b

    def backward(self, dout):
        v = self.stack.pop()
        self.dW += dout.T @ v
        self.db += dout.sum(axis=0)
        return dout @ self.W


class Sigmoid:
    def forward(self, v):
        self.out = 1 / (1 + np.exp(-v))
        return self.out

    def backward(self, dout):
        return dout * self.out * (1 - self.out)


class Tanh:
    def forward(self, v):
        self.out = np.tanh(v)
        return self.out

    def backward(self, dout):
        return dout * (1 - self.out * self.out)


class Multiply:
    def forward(self, left, right):
        self.left, self.right = left, right
        return left * right

    def backward(self, dout):
        return dout * self.right, dout * self.left


class Cell:
    """The element-by-element part of one step."""

    def __init__(self):
        self.squash = [Sigmoid(), Sigmoid(), Tanh(), Sigmoid()]
        self.keep, self.write, self.read = Multiply(), Multiply(), Multiply()
        self.out = Tanh()

    def forward(self, a, c):
        i, f, g, o = (s.forward(part) for s, part in zip(self.squash, np.split(a, 4, axis=1), strict=True))
        c = self.keep.forward(f, c) + self.write.forward(i, g)
        return self.read.forward(o, self.out.forward(c)), c

    def backward(self, dh, dc):
        do, dsquashed = self.read.backward(dh)
        dc = dc + self.out.backward(dsquashed)
        df, dc_before = self.keep.backward(dc)
        di, dg = self.write.backward(dc)
        da = [s.backward(d) for s, d in zip(self.squash, (di, df, dg, do), strict=True)]
        return np.concatenate(da, axis=1), dc_before


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    from_input, from_state = Linear(W_ih, b_ih), Linear(W_hh, b_hh)
    cells, y = [], []
    h, c = h_0, c_0
    for x_t in x:
        cell = Cell()
        h, c = cell.forward(from_input.forward(x_t) + from_state.forward(h), c)
        cells.append(cell)
        y.append(h)
    return np.stack(y), h, c, (cells, from_input, from_state)


def backward(dy, dh_n, dc_n, cache):
    cells, from_input, from_state = cache[0].copy(), again(cache[1]), again(cache[2])
    dx = np.empty((len(cells), *from_input.stack[0].shape))
    dh, dc = dh_n, dc_n
    while cells:
        cell = cells.pop()
        da, dc = cell.backward(dh + dy[len(cells)], dc)
        dx[len(cells)] = from_input.backward(da)
        dh = from_state.backward(da)
    return dx, dh, dc, from_input.dW, from_state.dW, from_input.db, from_state.db


def again(linear):
    """The same layer with its gradients at zero, so that backward may be called twice."""
    fresh = Linear(linear.W, linear.b)
    fresh.stack = list(linear.stack)
    return fresh
