"""Kinds of mistakes that need more than another expression in the place of one: each is found, with its fix."""

import ast
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from compare.learner import examine
from compare.learner.search import edits, expressions, locate, switches, truths
from compare.learner.search.ingredients import FUNCTIONS, Ingredient, Ingredients
from compare.learner.search.repair import Search
from compare.learner.search.suspects import Investigation
from compare.learner.search.switches import Workshop, executed

NORM = """\
import numpy as np


class Norm:
    def __init__(self, rng):
        self.params = [rng.normal(size=(4, 3)), rng.normal(size=3)]
        self.grads = [np.zeros_like(p) for p in self.params]

    def forward(self, x):
        self.x = x
        h = np.tanh(x @ self.params[0])
        self.norm = np.sqrt((h**2).mean(axis=1, keepdims=True))
        self.h, self.hat = h, h / self.norm
        return self.hat * self.params[1]

    def backward(self, dy):
        for g in self.grads:
            g[...] = 0
        self.grads[1] += (dy * self.hat).sum(axis=0)
        dhat = dy * self.params[1]
        inner = (dhat * self.hat).mean(axis=1, keepdims=True)
        dh = (dhat - self.hat * inner) / self.norm
        da = dh * (1 - self.h**2)
        self.grads[0] += self.x.T @ da
        return (
            da @ self.params[0].T
        )


def example():
    rng = np.random.default_rng(1)
    return Norm(rng), rng.normal(size=(5, 4))
"""
POOLED = """\
import numpy as np


def pooled_forward(x, w, stride):
    y = np.zeros((2, 3, 4))
    for i in range(2):
        for j in range(3):
            r, c = i * stride, j * stride
            y[i, j] = w * x[r : r + 3, c : c + 3].sum(axis=(0, 1))
    return y, (x, w, stride)


def pooled_backward(dy, cache):
    x, w, stride = cache
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    for i in range(2):
        for j in range(3):
            r, c = i * stride, j * stride
            dx[r : r + 3, c : c + 3] += dy[i, j] * w
            dw += dy[i, j] * x[r : r + 3, c : c + 3].sum(axis=(0, 1))
    return dx, dw


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((9, 12, 4)), rng.standard_normal(4), 3
"""
DEMEANED = """\
import numpy as np


def centered_forward(x, s):
    y = x - x.mean(axis=(1, 2), keepdims=True)
    return y * s, (y, s)


def centered_backward(dy, cache):
    y, s = cache
    d = dy * s
    return d - d.mean(axis=(1, 2), keepdims=True), (dy * y).sum(axis=(0, 1))


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 4, 5)), rng.standard_normal(5)
"""
MEANS = """\
import numpy as np


def means_forward(x, lists):
    return np.stack([x[one].mean(axis=0) for one in lists]), (x, lists)


def means_backward(dy, cache):
    x, lists = cache
    dx = np.zeros_like(x)
    for i, one in enumerate(lists):
        for k in one:
            dx[k] += dy[i] / len(one)
    return dx


def example():
    return np.random.default_rng(0).standard_normal((5, 3)), [[0, 1], [4, 2, 0], [3]]
"""
SHARED_MASK = """\
import numpy as np


def masked_forward(x, W, b, mask):
    return (x @ W + b) * mask[:, None], (x, W, mask)


def masked_backward(dy, cache):
    x, W, mask = cache
    dy = dy * mask[:, None]
    db = dy.sum(axis=0)
    dW = x.T @ dy
    return dy @ W.T, dW, db


def example():
    rng = np.random.default_rng(0)
    mask = np.array([True, False, True, True])
    return rng.standard_normal((4, 5)), rng.standard_normal((5, 3)), rng.standard_normal(3), mask
"""
SUMS = """\
import numpy as np

RATE = 0.5


def sums_forward(x, weights):
    hs = [np.tanh(one @ weights["U"]) for one in x]
    decay = RATE * sum((weights[name] ** 2).sum() for name in ("U", "V"))
    return hs[0] @ weights["V"] + hs[1] @ weights["V"] + decay, (x, hs, weights)


def sums_backward(dy, cache):
    x, hs, weights = cache
    grads = {}

    def add(name, value):
        grads[name] = grads[name] + value if name in grads else value
        return grads[name]

    dhs = [dy @ weights["V"].T for h in hs]
    das = [dh * (1 - h**2) for dh, h in zip(dhs, hs)]
    for h, one, da in zip(hs, x, das):
        add("V", h.T @ dy)
        dU = add("U", one.T @ da)
    for name in ("U", "V"):
        grads[name] = grads[name] + 2 * RATE * weights[name] * dy.sum()
    return np.stack([da @ weights["U"].T for da in das]), grads


def example():
    rng = np.random.default_rng(2)
    return rng.normal(size=(2, 3, 4)), {"U": rng.normal(size=(4, 5)), "V": rng.normal(size=(5, 2))}
"""
DENSE = """\
import numpy as np


def dense_forward(x, layers):
    cache = []
    for layer in layers:
        y = np.tanh(x @ layer["W"] + layer["b"])
        cache.append((x, y, layer["W"]))
        x = y
    return x, cache


def dense_backward(dy, cache):
    grads = []
    for x, y, W in reversed(cache):
        da = dy
        da = da * (1 - y**2)
        grads.insert(0, {"W": x.T @ da, "b": da.sum(axis=0)})
        dy = da @ W.T
    return dy, grads


def example():
    rng = np.random.default_rng(3)
    return rng.normal(size=(3, 4)), [{"W": rng.normal(size=(4, 4)), "b": rng.normal(size=4)} for _ in range(2)]
"""
SCALED = """\
import numpy as np


def scaled(x):
    std = np.sqrt((x**2).mean(axis=0) + 1)
    inverse = 1 / std
    out = x * inverse
    return out, (x, std, inverse, out)


def scaled_back(dout, cache):
    x, std, inverse, out = cache
    dinverse = (dout * x).sum(axis=0)
    dstd = -1 / std**2 * dinverse
    return dout * inverse + x / std / len(x) * dstd


def two_forward(x, W):
    first, a = scaled(x)
    second, b = scaled(first @ W)
    return second, (a, b, first, W)


def two_backward(dy, cache):
    a, b, first, W = cache
    dproduct = scaled_back(dy, b)
    return scaled_back(dproduct @ W.T, a), first.T @ dproduct


def example():
    rng = np.random.default_rng(4)
    return rng.normal(size=(5, 3)), rng.normal(size=(3, 4))
"""
STEPS = """\
import numpy as np


def steps_forward(x, h0, c0, W):
    h, c, kept = h0, c0, []
    for x_t in x:
        new = np.tanh(x_t + h @ W + c)
        kept.append((h, new))
        h, c = new, c + h
    return np.stack([new for _, new in kept]) / np.sqrt(len(W)), c / len(c), (kept, W)


def step_backward(dh, dc, kept, W):
    before, h = kept
    da = dh * (1 - h**2)
    return da, da @ W.T + dc, dc + da, before.T @ da


def steps_backward(dy, dc_n, cache):
    kept, W = cache
    dx, dW = np.zeros_like(dy), np.zeros_like(W)
    dy = dy / np.sqrt(len(W))
    dc_n = dc_n.copy()
    dc_n /= len(dc_n)
    dh = 0
    dc = dc_n
    for t in reversed(range(len(kept))):
        dx[t], dh, dc, dW_t = step_backward(dy[t] + dh, dc, kept[t], W)
        dW += dW_t
    dh0 = dh
    return dx, dh0, dc, dW


def example():
    rng = np.random.default_rng(5)
    return tuple(rng.normal(size=shape) for shape in ((4, 2, 3), (2, 3), (2, 3), (3, 3)))
"""
SQUARE = """\
import numpy as np


def soft_forward(x):
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    return np.where(x > 0, p, 0.0), (p, x <= 0)


def soft_backward(dy, cache):
    p, hidden = cache
    dy = np.where(hidden, 0.0, dy)
    inner = (dy * p).sum(axis=1, keepdims=True)
    return {"x": p * (dy - inner)}


def example():
    return np.random.default_rng(6).normal(size=(3, 3))
"""
LONG = """\
import numpy as np


def long_forward(x, Waa, b):
    a, states = np.zeros((x.shape[0], x.shape[1])), []
    for t in range(x.shape[2]):
        before = a
        a = np.tanh(Waa @ before + x[:, :, t] + b)
        states.append((before, a))
    return np.stack([a for _, a in states], axis=2), {"states": states, "Waa": Waa}


def long_backward(da, cache):
    Waa = cache["Waa"]
    states = cache["states"]
    dx, dWaa, db = np.zeros_like(da), np.zeros_like(Waa), 0
    da_before = np.zeros(da.shape[:2])
    for t in reversed(range(len(states))):
        before, a = states[t]
        da_total = da[:, :, t] + da_before
        dtanh = 1 - a**2
        dz = dtanh * da_total
        dx[:, :, t] = dz
        dWaa += dz @ before.T
        db = db + dz.sum(axis=1, keepdims=True)
        da_before = Waa.T @ dz
    return dx, dWaa, db


def example():
    rng = np.random.default_rng(8)
    return tuple(rng.normal(size=shape) for shape in ((3, 3, 4), (3, 3), (3, 1)))
"""
SQUARES = """\
import numpy as np


def squares_forward(x, y):
    return x * x + y, x


def squares_backward(dz, x):
    return 2 * x * dz, dz


def example():
    rng = np.random.default_rng(10)
    return rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
"""
NAMED = """\
import numpy as np


def scan_forward(x, h0, decay):
    h, hs = h0, [h0]
    for x_t in x:
        h = np.tanh(x_t + decay * h)
        hs.append(h)
    return np.stack(hs[1:]), (hs, decay)


def scan_backward(dy, cache):
    hs, decay = cache
    dx, dh = np.zeros_like(dy), np.zeros_like(hs[0])
    for t in reversed(range(len(dy))):
        da = (dy[t] + dh) * (1 - hs[t + 1] ** 2)
        dh = decay * da
        dx[t] = da
    dh0 = dh
    return {"x": dx, "h0": dh0}


def example():
    rng = np.random.default_rng(11)
    return rng.normal(size=(4, 2, 3)), rng.normal(size=(2, 3)), 0.9
"""
HEADS = """\
import numpy as np


def heads_forward(x, W):
    T, D = x.shape
    y = (x @ W).reshape(T, 2, D // 2).transpose(1, 0, 2)
    return np.tanh(y) * 0.6, (x, W, np.tanh(y))


def heads_backward(dy, cache):
    x, W, y = cache
    T, D = x.shape
    ds = dy * 0.6
    dy = ds * (1 - y**2)
    dout = dy.transpose(1, 0, 2).reshape(T, D)
    return dout @ W.T, x.T @ dout


def example():
    rng = np.random.default_rng(9)
    return rng.normal(size=(3, 4)), rng.normal(size=(4, 4))
"""
CARRIED = """\
import numpy as np


def rnn_forward(x, W):
    hs = [np.zeros_like(x[0])]
    for x_t in x:
        hs.append(np.tanh(x_t + hs[-1] @ W))
    return np.stack(hs[1:]), (hs, W)


def rnn_backward(dy, cache):
    hs, W = cache
    dx, dW = np.zeros_like(dy), np.zeros_like(W)
    dh = 0
    for t in reversed(range(len(dy))):
        da = (dy[t] + dh) * (1 - hs[t + 1] ** 2)
        dW += hs[t].T @ da
        dh = da @ W.T
        dx[t] = da
    return dx, dW


def example():
    rng = np.random.default_rng(7)
    return rng.normal(size=(4, 2, 3)), rng.normal(size=(3, 3))
"""
TENSORS = """\
import torch


def cell_forward(x, h, W):
    z = torch.tanh(x @ W)
    return z * h + h - x.mean(dim=1, keepdim=True), (x, h, W, z)


def cell_backward(dy, cache):
    x, h, W, z = cache
    dz = dy * h * (1 - z**2)
    sums = dy.sum(dim=1, keepdim=True)
    return dz @ W.T - sums / x.shape[1], dy * z + dy, x.T @ dz


def example():
    g = torch.Generator().manual_seed(0)
    return tuple(torch.randn(shape, generator=g, dtype=torch.float64) for shape in ((3, 3), (3, 5), (3, 5)))
"""
CLOSURE = """\
import numpy as np


def split(a, heads):
    return a.reshape(len(a), heads, -1).transpose(1, 0, 2)


def mix_forward(x, gain, W, V, heads):
    values = split(x @ V, heads)[:, ::-1]
    p = np.exp(split(x @ W, heads))
    p = p / p.sum(axis=-1, keepdims=True)
    y = gain * (p + values)

    def backward(dout):
        dy = split(dout, heads)
        dgain = (dy * (p + values)).sum(axis=(0, 1))
        dp = dy * gain
        dscore = p * (dp - (dp * p).sum(axis=-1, keepdims=True))
        back = dp[:, ::-1]
        flat = [d.transpose(1, 0, 2).reshape(len(x), -1) for d in (dscore, back)]
        return flat[0] @ W.T + flat[1] @ V.T, dgain, x.T @ flat[0], x.T @ flat[1]

    return y.transpose(1, 0, 2).reshape(len(x), -1), backward


def example():
    rng = np.random.default_rng(12)
    return *(rng.normal(size=shape) for shape in ((3, 4), (2,), (4, 4), (4, 4))), 2
"""
LOSS = """\
import numpy as np

RATE = 0.1


def loss(x, W, labels):
    z = x @ W
    top = np.log(np.exp(z).sum(axis=1, keepdims=True))
    p = np.exp(z - top)
    rows = np.arange(len(labels))
    total = -np.log(p[rows, labels]).sum() / len(labels) + RATE * (top**2).sum() + RATE * (W**2).sum()

    count = labels.shape[0]
    dz = p.copy()
    dz[rows, labels] -= 1
    np.divide(dz, count, out=dz)
    dW = np.zeros_like(W)
    dz += 2 * RATE * top * p
    for x_n, dz_n in zip(x, dz):
        dW += np.outer(x_n, dz_n)
    dW += 2 * RATE * W
    return total, dz @ W.T, dW


def example():
    rng = np.random.default_rng(13)
    return rng.normal(size=(5, 4)), rng.normal(size=(4, 3)), rng.integers(0, 3, 5)
"""
BACK = """\
import numpy as np


def scan_forward(x, w, order):
    h, hs = 0 * x[0], {}
    for t in order:
        hs[t] = h
        h = x[t] * h + w
    return h, (x, hs, order)


def scan_backward(dh, cache):
    x, hs, order = cache
    dx, dw = [0] * len(x), 0 * dh
    for t in reversed(order):
        dx[t] = dh * hs[t]
        dw = dw + dh
        dh = dh * x[t]
    return (np.stack(dx),) + tuple([dw])


def example():
    rng = np.random.default_rng(15)
    return rng.normal(size=(4, 2, 3)), rng.normal(size=(2, 3)), [2, 0, 3, 1]
"""
FIELDS = """\
import numpy as np


def lookup(ids, h0, E, W):
    h, kept = h0, []
    for one in ids:
        new = np.tanh(h @ W - E[one])
        kept.append((h, new))
        h = new
    return np.stack([h for _, h in kept]), (ids, E, W, kept)


def back_one_step(dh, kept, W):
    before, h = kept
    da = dh * (1 - h**2)
    return {"a": da, "before": da @ W.T, "W": np.outer(before, da)}


def lookup_back(dy, cache):
    ids, E, W, kept = cache
    da, dW, dh = np.zeros_like(dy), 0, np.zeros(len(W))
    for t in reversed(range(len(ids))):
        grads = back_one_step(dy[t] + dh, kept[t], W)
        dh = grads["before"]
        da[t] = grads["a"]
        dW = dW + grads["W"]
    dE = np.zeros_like(E)
    np.subtract.at(dE, ids, da)
    return {"h0": dh, "E": dE, "W": dW}


def example():
    rng = np.random.default_rng(16)
    return np.array([1, 0, 1, 3]), *(rng.normal(size=shape) for shape in (3, (5, 3), (3, 3)))


forward, backward = lookup, lookup_back
"""
OFTEN = FIELDS.replace("np.array([1, 0, 1, 3])", "np.tile([1, 0, 1, 3], 3)")
HALVES = """\
import numpy as np

RATE = 0.7


def halves_forward(x, A, B, c0):
    c, steps = c0, len(x)
    for x_t in x[:steps]:
        c = 0.5 * c + x_t @ A
    z = RATE * c
    y = np.concatenate([z @ B, (z**2 @ B)[:, ::-1]], axis=1)

    def backward(dy, dc_n):
        first, second = np.split(dy, 2, axis=1)
        dB = z.T @ first
        second = second[:, ::-1]
        dB += (z**2).T @ second
        dz = first @ B.T + 2 * z * (second @ B.T)
        np.multiply(dz, RATE, out=dz)
        dc = dc_n + dz
        dx, dA = np.zeros_like(x), np.zeros_like(A)
        for t in range(steps)[::-1]:
            dx[t] = dc @ A.T
            dA += x[t].T @ dc
            dc = dc * 0.5
        return dx, dA, dB, dc

    return y, c, backward


def example():
    rng = np.random.default_rng(17)
    return tuple(rng.normal(size=shape) for shape in ((9, 2, 3), (3, 4), (4, 5), (2, 4)))
"""
PAIR = """\
import numpy as np


def pair_forward(x, h0, c0):
    h, c, kept = h0, c0, []
    for x_t in x:
        c = 0.5 * c + x_t + h
        h = x_t * np.tanh(c)
        kept.append(np.tanh(c))
    return h, c, (x, kept)


def pair_backward(dh_n, dc_n, cache):
    x, kept = cache
    dx = np.zeros_like(x)
    dh, dc = dh_n, dc_n
    for t in reversed(range(len(x))):
        dc = dc + dh * x[t] * (1 - kept[t] ** 2)
        dx[t] = dc + dh * kept[t]
        dh, dc = dc, 0.5 * dc
    return dx, dh, dc


def example():
    rng = np.random.default_rng(18)
    return tuple(rng.normal(size=shape) for shape in ((3, 2, 3), (2, 3), (2, 3)))
"""
ADDS_UP = """\
import numpy as np


class Linear:
    def __init__(self, rng):
        self.params = [rng.normal(size=(4, 3))]
        self.grads = [np.zeros((4, 3))]

    def forward(self, x):
        self.x = x
        return x @ self.params[0]

    def add(self, x, dy):
        self.grads[0] += np.outer(x, dy)

    def backward(self, dy):
        for g in self.grads:
            g[...] = 0
        for x, dy_row in zip(self.x, dy):
            self.add(x, dy_row)
        return dy @ self.params[0].T


def example():
    rng = np.random.default_rng(14)
    return Linear(rng), rng.normal(size=(5, 4))
"""
ECHO = """\
import numpy as np


class Echo:
    def __init__(self, rng):
        self.W = rng.normal(size=(3, 3))
        self.dW = np.zeros((3, 3))

    def forward(self, x, weight):
        self.x, self.weight = x, weight
        self.a = x @ self.W
        self.h = np.tanh(weight[:, None] * self.a)
        y = self.h.copy()
        y[1:] += 0.5 * self.h[:-1]
        return y / (x.shape[0] * x.shape[1])

    def backward(self, dy):
        rows, columns = self.x.shape
        dy = dy.copy()
        dy /= rows * columns
        later = np.zeros_like(dy)
        later[:-1] = dy[1:]
        dh = dy
        dh = dh + 0.5 * later
        slope = 1 - self.h**2
        da = dh * slope
        dweight = (da * self.a).sum(axis=1)
        scale = self.weight[:, None]
        dx = (scale * da) @ self.W.T
        self.dW = np.dot(self.x.T, scale * da)
        return dx, dweight


def example():
    rng = np.random.default_rng(12)
    return Echo(rng), rng.normal(size=(3, 3)), rng.normal(size=3)
"""
MASKED = """\
import numpy as np


class Masked:
    def __init__(self, rng):
        self.W, self.U = rng.normal(size=(3, 4)), 0.5 * rng.normal(size=(4, 4))
        self.grads = {}

    def forward(self, x, h0, mask):
        self.x, self.m, self.hs, self.news = x, mask[:, :, None], [h0], []
        for one, m in zip(x, self.m):
            new = np.maximum(one @ self.W + self.hs[-1] @ self.U, 0)
            self.news.append(new)
            self.hs.append(m * (new + 0.1 * new**3) + (1 - m) * self.hs[-1])
        return np.stack(self.hs[1:])

    def add(self, name, a, d):
        self.grads[name] = self.grads.get(name, 0) + a.T @ d

    def backward(self, dy):
        self.grads.clear()
        dx = []
        dh = np.zeros_like(dy[0])
        for t in reversed(range(len(dy))):
            new, m = self.news[t], self.m[t]
            dh = dh + dy[t]
            dnew = m * dh
            da = dnew * (1 + 0.3 * new**2)
            da = da * (new > 0)
            self.add("W", self.x[t], da)
            self.add("U", self.hs[t], da)
            dx.append(da @ self.W.T)
            dh = (1 - m) * dh + da @ self.U.T
        dx.reverse()
        return np.stack(dx), dh


def example():
    rng = np.random.default_rng(5)
    mask = np.array([[1, 1], [1, 1], [0, 1]])
    return Masked(rng), rng.normal(size=(3, 2, 3)), rng.normal(size=(2, 4)), mask
"""
ALIAS = """\
import numpy as np


def squash_forward(x, W):
    y = x @ W
    return y, np.tanh(y), (x, W, y)


def squash_backward(dy, dh, cache):
    x, W, y = cache
    d = dy.copy()
    d += dh * (1 - np.tanh(y) ** 2)
    return d @ W.T, x.T @ d


def example():
    rng = np.random.default_rng(4)
    return rng.normal(size=(2, 3)), rng.normal(size=(3, 4))
"""
SHIFTED = """\
import numpy as np

PAD = 1


def suffix_sum(x):
    return np.cumsum(x[::-1], axis=0)[::-1]


def leak_back(d, leak):
    up, slope = leak
    return np.where(up, d, slope * d)


class Shifted:
    def __init__(self, rng):
        self.W = rng.normal(size=(7, 5))

    def forward(self, x, c, k):
        n, self.width = x.shape
        padded = np.zeros((n + 2 * PAD, self.width))
        padded[PAD:PAD + n] = x
        self.joined = np.concatenate([padded[:-2 * PAD], c], axis=1)
        a = np.cumsum(self.joined @ self.W, axis=0)
        self.cos, self.k, self.leak, self.pair = np.cos(a), k, (a > 0, 0.1), (a < 0, 0.2)
        self.old, self.new = np.where(a > 0, a, 0.1 * a), np.sin(a)
        return k * self.new + (1 - k) * self.old, suffix_sum(c)

    def backward(self, dy, ds):
        dk = dy * (self.new - self.old)
        dold = leak_back(dy * (1 - self.k), self.leak)
        da = dy * self.k * self.cos + dold
        dz = suffix_sum(da)
        self.dW = self.joined.T @ dz
        djoined = dz @ self.W.T
        n, m = ds.shape
        dpadded = np.zeros((n + 2 * PAD, self.width))
        dpadded[:-2 * PAD] = djoined[:, :-m]
        dc = djoined[:, self.width:] + np.cumsum(ds, axis=0)
        return dpadded[PAD:PAD + n], dc, dk


def example():
    rng = np.random.default_rng(7)
    return Shifted(rng), *(rng.normal(size=(6, size)) for size in (3, 4, 5))
"""
LOOP = "    dh = 0\n    dc = dc_n\n    for t in reversed(range(len(kept))):\n"
INSIDE = "    dc = dc_n\n    for t in reversed(range(len(kept))):\n        dh = 0\n"
ADDED = "        dW += dW_t\n"
CENTERED = """\
import numpy as np


def center_forward(x):
    return x - x.mean(), x.shape


def center_backward(dy, cache):
    B, D = cache
    n = B * D
    return dy - dy.sum() / n


def example():
    return (np.random.default_rng(0).standard_normal((3, 4)),)
"""
PAIRS = """\
import numpy as np


def pairs_forward(x, w):
    u = w * x
    total = u.sum(axis=0, keepdims=True)
    return 0.5 * (total**2 - (u**2).sum(axis=0, keepdims=True)), (x, w, u, total)


def pairs_backward(dy, cache):
    x, w, u, total = cache
    du = dy * (total - u)
    return du * w, du * x


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 3)), rng.standard_normal((4, 3))
"""
MISTAKES = {  # the program, what is right in it, what is wrong, and what is in the fix
    "zeroing forgotten": (NORM, "        for g in self.grads:\n            g[...] = 0\n", "", "self.grads"),
    "the wrong axis is kept": (NORM, "self.hat).mean(axis=1,", "self.hat).mean(axis=0,", "mean(axis=1"),
    "a name is missing": (SUMS, '("U", "V"):', '("U",):', "'V'"),
    "brackets over several lines": (NORM, "            da @ self", "            dh @ self", "da @ self"),
    # out in place of x, one line above, would make everything right, too, but at the first call that line is right
    "the value before is right once": (SCALED, "-1 / std**2 * dinverse", "-1 / std * dinverse", "std"),
    "an input is overwritten": (
        DENSE,
        "da = da * (1 - y**2)",
        "da *= 1 - y**2",
        "da = da * (1 - y ** 2)",
    ),
    "in a dictionary": (DENSE, '"W": x.T @ da', '"W": x.T @ dy', '"W": x.T @ da'),
    "handed to a function": (STEPS, "+ dh, dc, kept", "+ dh, np.zeros_like(dc_n), kept", "+ dh, dc, kept"),
    # what is returned as dh0 could be changed, too, but then nobody would read dh0
    "the wrong value of a variable that is used once": (STEPS, "dh0 = dh", "dh0 = dc", "dh0 = dh"),
    "a divisor": (STEPS, "/= len(dc_n)", "/= len(dc_n) * len(W)", "/= len(dc_n)"),
    "a factor that forward has": (STEPS, "dy = dy / np.sqrt(len(W))", "dy = 1 * dy", "np.sqrt(len(W))"),
    "an axis is not kept": (SQUARE, "(dy * p).sum(axis=1, keepdims=True)", "(dy * p).sum(axis=1)", "keepdims=True"),
    "an input is written into": (SQUARE, "dy = np.where(hidden, 0.0, dy)", "dy[hidden] = 0.0", "dy = dy.copy()"),
    "not carried to the next turn of a loop": (CARRIED, "        dh = da @ W.T\n", "", "dh = da @ W.T"),
    "a derivative in a variable of its own": (LONG, "dtanh = 1 - a**2", "dtanh = (1 - a) ** 2", "1 - a ** 2"),
    "a carried gradient that nothing reads": (LONG, "da[:, :, t] + da_before", "da[:, :, t]", "+ da_before"),
    "another matrix than the one that was unpacked": (LONG, "Waa.T @ dz", "Waa @ dz", "Waa.T"),
    "a layout that another line has": (HEADS, "dy.transpose(1, 0, 2).reshape", "dy.reshape", "dy.transpose(1, 0, 2)"),
    "not in forward": (SQUARES, "2 * x * dz", "x * dz", "* dz, dz"),
    "a number times an array is not carried": (NAMED, "        dh = decay * da\n", "", "decay * da"),
    "after its loop": (STEPS, ADDED, ADDED[4:], "moved"),
    "a variable of the function around": (CLOSURE, "dp = dy * gain", "dp = dy * p", "dy * gain"),
    "a sum over the last axis": (
        CLOSURE,
        "(dp * p).sum(axis=-1, keepdims=True)",
        "dp * p",
        "sum(axis=-1, keepdims=True)",
    ),
    "in reverse order": (CLOSURE, "dp[:, ::-1]", "dp", "dp[:, ::-1]"),
    "a function of the program": (CLOSURE, "split(dout, heads)", "dout.reshape(p.shape)", "split(dout, heads)"),
    "an array is complete before it is right": (LOSS, "    np.divide(dz, count, out=dz)\n", "", "dz / "),
    "a result that nobody keeps": (LOSS, "np.divide(dz, count, out=dz)", "np.divide(dz, count)", "dz = np.divide"),
    "a factor with more columns": (LOSS, "2 * RATE * top * p", "2 * RATE * top", "* p"),
    "after a loop that sums": (LOSS, "    dW += 2 * RATE * W\n", "", "W * (2 * RATE)"),
    "the shape of another array": (LOSS, "labels.shape[0]", "W.shape[0]", ".shape[0]"),
    "carried in a dictionary": (FIELDS, "dy[t] + dh, k", "dy[t], k", "dy[t] + dh"),
    "an index that occurs twice": (
        FIELDS,
        "np.subtract.at(dE, ids, da)",
        "dE[ids] -= da",
        "np.subtract.at(dE, ids, da)",
    ),
    "a square in a function": (OFTEN, "(1 - h**2)", "(1 - h)", "h ** 2"),
    "one of two halves": (HALVES, "        second = second[:, ::-1]\n", "", "second[:, ::-1]"),
    # so could the line before be changed
    "a result that is lost": (HALVES, "np.multiply(dz, RATE, out=dz)", "np.multiply(dz, RATE)", "dz = np.multiply"),
    "a number of the function around": (HALVES, "range(steps)[", "range(2)[", "range(steps)"),
    "the order of another loop": (BACK, "reversed(order)", "reversed(range(len(x)))", "reversed(order)"),
    "in a sum of tuples": (BACK, "tuple([dw])", "tuple([dh])", "tuple([dw])"),
    "two slices in each other's place": (ECHO, "later[:-1] = dy[1:]", "later[1:] = dy[:-1]", "later[:-1] = dy[1:]"),
    "a column for a row": (ECHO, "self.weight[:, None]", "self.weight", "[..., None]"),
    "a number in a divisor": (ECHO, "/= rows * columns", "/= rows", "rows * columns"),
    "the transpose of a square matrix": (ECHO, "np.dot(self.x.T, scale * da)", "np.dot((scale * da).T, self.x)", ".T"),
    "the transpose of a sum": (CARRIED, "hs[t].T @ da", "da.T @ hs[t]", "hs[t].T @ da"),
    "added to what was there": (ECHO, "self.dW = np.dot", "self.dW += np.dot", "self.dW = np.dot"),
    "an array with another name": (ALIAS, "d = dy.copy()", "d = dy", "dy.copy()"),
    "an integer": (CENTERED, "n = B * D", "n = B", "n = B * D"),
    "a term with an axis more": (PAIRS, "(total - u)", "total", "total - u"),
    "carried where a mask is 0": (MASKED, "dh = (1 - m) * dh + da", "dh = da", "dh * (1 - m)"),
    "a number as a factor": (MASKED, "0.3 * new**2", "0.1 * new**2", "3 * "),
    "of a relu": (MASKED, "da = da * (new > 0)", "da = da * new", "new > 0"),
    "an argument of a method": (MASKED, '"U", self.hs[t], da', '"U", self.hs[t + 1], da', "self.hs[t]"),
    "in reverse order, but not kept": (MASKED, "dx.reverse()", "reversed(dx)", "list(reversed(dx))"),
    "of a softmax, not of sigmoids": (
        CLOSURE,
        "p * (dp - (dp * p).sum(axis=-1, keepdims=True))",
        "dp * p * (1 - p)",
        "keepdims=True",
    ),
    "the indices that forward uses, with a name of the module": (
        SHIFTED,
        "return dpadded[PAD:PAD + n]",
        "return dpadded[:n]",
        "PAD:PAD + n",
    ),
    "another function of the file": (SHIFTED, "suffix_sum(da)", "np.cumsum(da, axis=0)", "suffix_sum(da)"),
    "what only forward mentions": (SHIFTED, "self.k), self.leak", "self.k), self.pair", "self.leak"),
    "the other end of an array that is too long": (
        SHIFTED,
        "djoined[:, self.width:] +",
        "djoined[:, 1:-2] +",
        "djoined[:, -m:]",
    ),
    "each index has the same factor": (
        POOLED,
        "r, c = i * stride, j * stride\n            dx",
        "r, c = i, j\n            dx",
        "i * stride",
    ),
    "one axis is not in the mean": (DEMEANED, "d.mean(axis=(1, 2)", "d.mean(axis=(2,)", "axis=(1, 2)"),
    "the length of a list": (MEANS, "+= dy[i] / len(one)", "+= dy[i]", "len(one)"),
    "what all lines that read an argument need": (
        SHARED_MASK,
        "    dy = dy * mask[:, None]\n",
        "",
        "dy = dy * mask[:, None]",
    ),
    "set to zero in another method": (
        ADDS_UP,
        "        for g in self.grads:\n            g[...] = 0\n",
        "",
        "self.grads",
    ),
}


def reports_on(text, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(text, encoding="utf-8")
    return examine.examine(str(path))


@pytest.mark.parametrize("text", sorted({program for program, *_ in MISTAKES.values()}))
def test_the_right_programs_are_right(text, tmp_path):
    (report,) = reports_on(text, tmp_path)
    assert report.verdict == "right" and not report.remarks


AT_THE_END = {  # of the loop, after the statement below, there is room for what is missing, too
    "not carried to the next turn of a loop",
    "a number times an array is not carried",
}
SLOW = {
    "a carried gradient that nothing reads",
    "a derivative in a variable of its own",
    "a factor that forward has",
    "after its loop",
    "another matrix than the one that was unpacked",
    "handed to a function",
}


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in SLOW)) for one in MISTAKES])
def test_the_line_and_a_fix_are_found(name, tmp_path):
    text, right, wrong, fix = MISTAKES[name]
    assert text.count(right) == 1
    (report,) = reports_on(text.replace(right, wrong), tmp_path)
    (finding,) = report.findings
    assert report.verdict == "wrong"
    line = text[: text.index(right)].count("\n") + 1
    above = "(after line" in finding.after and name not in AT_THE_END  # a missing statement is named by the line above
    assert finding.line == line - above
    assert fix in finding.after and finding.certain


LEAKY = """\
import numpy as np


def product(x, W):
    return x @ W


def leak_back(dy, y):
    return np.where(y > 0, dy, 0.1)


def leaky_forward(x, W):
    y = np.where(product(x, W) > 0, product(x, W), 0.1 * product(x, W))
    return y, (x, W, y)


def leaky_backward(dy, cache):
    x, W, y = cache
    d = leak_back(dy, y)
    d = d.reshape(-1, W.shape[1])
    return (d @ W.T).reshape(x.shape), x.reshape(-1, W.shape[0]).T @ d


def example():
    rng = np.random.default_rng(4)
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5))
"""


def test_of_several_lines_that_could_be_wrong_the_first_is_named(tmp_path):
    """Other values of the lines after it would do, too."""
    (report,) = reports_on(LEAKY, tmp_path)
    assert report.line == LEAKY[: LEAKY.index("dy, 0.1)")].count("\n") + 1


SUMMED = """\
import numpy as np


def f_forward(x):
    mask = x > 0
    return 2 * x * mask, mask


def f_backward(dy, mask):
    s = (2 * dy).sum(axis=0, keepdims=True)
    return s * mask


def example():
    return (np.random.default_rng(0).standard_normal((4, 3)),)
"""
TABLES = """\
import numpy as np

C = np.array([1.0, 2.0, 0.5, 3.0])[:, None]


def f_forward(x):
    a, table = np.tanh(x * C), np.ones((200, 100))
    return a ** 2, (x, a, table)


def f_backward(dy, cache):
    x, a, table = cache
    da = dy * a
    dz = da * (1 - a ** 2)
    return (dz * C).sum(axis=0)


def example():
    return (np.random.default_rng(0).standard_normal(3),)
"""
WIDTHS = """\
import numpy as np

K = np.arange(1.0, 6.0) ** 2


def f_forward(x):
    ys = []
    for t in range(len(x)):
        ys.append(np.exp(x[t] * K[1:4]) * np.cos(x[t]))
    return np.stack(ys), x


def f_backward(dy, cache):
    x = cache
    dx = np.zeros_like(x)
    width = 3
    for t in range(len(x)):
        e = np.exp(x[t])
        dx[t] = dy[t] * e
        width = np.arange(2.0)
    return dx


def example():
    rng = np.random.default_rng(0)
    return (rng.standard_normal((4, 3)) * 0.1,)
"""
POOLED = """\
import numpy as np


def pool_forward(x, heads):
    B, D = x.shape
    y = x.reshape(B, heads, D // heads).mean(axis=1)
    return y, (x.shape, heads)


def pool_backward(dy, cache):
    (B, D), heads = cache
    dx = np.repeat(dy[:, None], heads, axis=1)
    return dx.reshape(B, D)


def example():
    return np.random.default_rng(0).standard_normal((3, 6)), 3
"""


TURNS = """\
import numpy as np


def scale_forward(x, g):
    return np.tanh(x) * g[:, None], (x, g)


def scale_backward(dy, cache):
    x, g = cache
    dx, dg, t = np.zeros_like(x), np.zeros_like(g), 0
    for row in x:
        h = np.tanh(row)
        dx[t] = dy[t] * g[t] * (1 - h**2)
        t += 1
    return dx, dg


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((4, 3)), rng.standard_normal(4)
"""
EMPTY = """\
import numpy as np


class Linear:
    def __init__(self, rng):
        self.W, self.b = rng.standard_normal((4, 3)), np.zeros(0)

    def forward(self, x):
        self.x = x
        return x @ self.W + (self.b if self.b.size else 0)

    def backward(self, dy):
        self.dW, self.db = self.x.T @ dy, np.zeros(0)
        return dy @ self.W.T


def example():
    rng = np.random.default_rng(0)
    return Linear(rng), rng.standard_normal((2, 4))
"""


TUPLE = """\
import numpy as np


def both_forward(x, W, V):
    a, b = np.tanh(x @ W), np.sin(x @ V)
    return a + b, (x, W, V, a)


def both_backward(dy, cache):
    x, W, V, a = cache
    da, db = dy * (1 - a**2), dy * np.cos(x @ V)
    dx = np.sum((da @ W.T, db), axis=0)
    return dx, x.T @ da, x.T @ db


def example():
    rng = np.random.default_rng(1)
    return rng.standard_normal((4, 3)), rng.standard_normal((3, 3)), rng.standard_normal((3, 3))
"""


def test_a_sum_of_a_tuple_of_arrays(tmp_path):
    (report,) = reports_on(TUPLE, tmp_path)
    (finding,) = report.findings
    assert finding.certain and "db @ V.T" in finding.after


@pytest.mark.parametrize(
    "statement, is_one", [("dhs[k] = dhs", True), ("dhs.append(dhs)", True), ("dhs[k] = dh", False)]
)
def test_no_list_is_put_into_itself(statement, is_one):
    """NumPy would look for its end for a long time."""
    edit = edits.Edit(1.0, 1, ((1, [ast.parse(statement).body[0]]),), "change", None, "")
    assert edits.puts_into_itself(edit) == is_one


def test_a_loop_over_rows(tmp_path):
    """What it counts with is an array, not the number of the turn."""
    (report,) = reports_on(TURNS, tmp_path)
    assert report.verdict == "wrong" and report.findings


def test_a_change_with_which_numpy_crashes_is_not_run():
    """With shapes that do not fit, np.add.at of NumPy 2.4 may read and write beyond its arrays."""
    call = switches.with_checked_at(ast.parse("np.add.at(a, (slice(None), i), b)").body[0])
    code = compile(ast.fix_missing_locations(ast.Module([call], [])), "", "exec")
    names = {"np": np, "__at__": switches.at_checked, "a": np.zeros((4, 7, 3)), "i": [1, 1], "b": np.ones((4, 2, 3))}
    exec(code, names)
    assert (names["a"][:, 1] == 2).all() and names["a"].sum() == 24
    with pytest.raises(ValueError):
        exec(code, names | {"b": np.ones((4, 4, 2, 3))})
    tree, slots = ast.parse("np.add.at(a, i, b)"), edits.Slots()
    both = switches.switched(tree, slots, {slots.of(tree.body, 0, "in"): [ast.parse("np.add.at(a, i, c)").body]})
    assert ast.unparse(both).count("__at__") == 2


ZEROS = """\
import numpy as np


def scaled_forward(x, b):
    y = x + b
    s = np.tanh(y)
    return y * s, (x, s)


def scaled_backward(d, cache):
    x, s = cache
    dy = d * (s + (1 - s**2))
    return dy, dy.sum(0)


def example():
    return np.random.default_rng(0).standard_normal((3, 4)), np.zeros(4)
"""


def test_a_change_that_is_right_only_if_a_bias_is_zero_is_marked(tmp_path):
    """x * (1 - s**2) is not enough; y, which is not kept, would be."""
    (report,) = reports_on(ZEROS, tmp_path)
    (finding,) = report.findings
    assert "For other sizes or numbers, the change that was found is not enough." in finding.evidence


HEADS = """\
import numpy as np


def scores_forward(q, k, heads):
    q, k = (one.reshape(len(one), heads, -1).transpose(1, 0, 2) for one in (q, k))
    return q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]), (q, k)


def scores_backward(ds, cache):
    q, k = cache
    dq, dk = ds @ k, ds.transpose(0, 2, 1) @ q
    return tuple(one.transpose(1, 0, 2).reshape(one.shape[1], -1) for one in (dq, dk))


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((5, 8)), rng.standard_normal((5, 8)), 2
"""


def test_a_number_that_is_right_for_two_sizes_is_tried_with_a_third(tmp_path):
    """With 12 for 8 columns and 3 for 2 heads, the factor is 0.5, too."""
    (report,) = reports_on(HEADS, tmp_path)
    finding = report.findings[-1]  # of the two in one statement
    assert "0.5" in finding.after
    assert "For other sizes or numbers, the change that was found is not enough." in finding.evidence


TWICE = """\
import numpy as np


def layer_forward(x, W, b, V):
    h = np.tanh(x @ W + b)
    return h @ V, (x, h, W, V)


def layer_backward(dy, cache):
    x, h, W, V = cache
    da = dy @ V.T * (1 - h**2)
    return da @ W.T, x.T @ da, da.sum(axis=0) * 2, h.T @ da


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 4)), rng.standard_normal((4, 3)), rng.standard_normal(3), rng.standard_normal((3, 3))
"""


def test_two_mistakes_in_one_return_statement(tmp_path):
    """It can set everything right, so that only the arrays, one by one, tell them apart."""
    (report,) = reports_on(TWICE, tmp_path)
    assert [finding.certain for finding in report.findings] == [True, True]
    assert "h.T @ dy" in report.findings[1].after


ROWS = """\
import numpy as np


def linear_forward(x, W):
    return x @ W.T, (x, W)


def linear_backward(dy, cache):
    x, W = cache
    rows = dy.reshape(-1, W.shape[0])
    return rows @ W, rows.T @ x.reshape(-1, W.shape[1])


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, 3, 4)), rng.standard_normal((5, 4))
"""


def test_a_shape_that_is_not_restored(tmp_path):
    (report,) = reports_on(ROWS, tmp_path)
    (finding,) = report.findings
    assert finding.certain and finding.kind == "`rows @ W` has the wrong shape."
    assert "(rows @ W).reshape(x.shape)" in finding.after


def test_a_shape_that_is_kept_but_not_used(tmp_path):
    text = ROWS.replace("return x @ W.T, (x, W)", "return x @ W.T, (x, x.shape, W)").replace(
        "x, W = cache", "x, shape, W = cache"
    )
    (report,) = reports_on(text.replace("x.reshape(-1, W.shape[1])", "x.reshape(6, 4)"), tmp_path)
    assert report.findings[0].certain and ".reshape(" in report.findings[0].after


TIED = """\
import numpy as np


def tied_forward(x, W):
    h = x @ W
    return h @ W.T, 0.5 * (W**2).sum(), (x, h, W)


def tied_backward(dy, dnorm, cache):
    x, h, W = cache
    dh = dy @ W
    decoder = dy.T @ h
    encoder = x.T @ dh
    dW = encoder + dnorm * W
    return dh @ W.T, dW


def example():
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 5)), rng.standard_normal((5, 4))
"""


def test_of_two_lines_the_one_is_named_that_should_hold_a_gradient_with_a_name(tmp_path):
    """The decoder's part could be added to that of the encoder, too; but only the sum is the gradient of W."""
    (report,) = reports_on(TIED, tmp_path)
    (finding,) = report.findings
    assert finding.after == "dW = encoder + dnorm * W + decoder" and 13 in finding.also


CUMULATIVE = """\
import numpy as np


def tails_forward(x):
    return np.cumsum(x[::-1])[::-1] ** 2, x


def tails_backward(dy, x):
    d = 2 * dy * np.cumsum(x[::-1])[::-1]
    return np.cumsum(d[::-1])[::-1]


def example():
    return (np.random.default_rng(0).standard_normal(6),)
"""


def test_a_cumulative_sum_from_the_wrong_end(tmp_path):
    (report,) = reports_on(CUMULATIVE, tmp_path)
    (finding,) = report.findings
    assert finding.certain and finding.after == "return np.cumsum(d)"


def test_a_parameter_without_entries(tmp_path):
    (report,) = reports_on(EMPTY, tmp_path)
    assert report.verdict == "right"


def test_a_sum_over_an_axis_that_should_not_be(tmp_path):
    (report,) = reports_on(SUMMED, tmp_path)
    (finding,) = report.findings
    assert finding.certain and finding.after == "s = 2 * dy"


def test_a_statement_that_also_stores_a_large_array(tmp_path):
    (report,) = reports_on(TABLES, tmp_path)
    assert report.findings[0].certain


def test_a_variable_that_holds_a_number_at_one_step_and_an_array_at_the_next(tmp_path):
    (report,) = reports_on(WIDTHS, tmp_path)
    assert report.verdict == "wrong" and report.findings


def test_of_two_numbers_that_are_the_same_the_one_that_is_right_in_general(tmp_path):
    """There are as many heads as rows."""
    (report,) = reports_on(POOLED, tmp_path)
    (finding,) = report.findings
    assert finding.after.endswith("axis=1) / heads") and not finding.evidence


def test_a_fix_is_tried_with_other_integers(tmp_path):
    """There are eight rows, and two heads: no small change divides by their third power."""
    program = POOLED.replace("x.reshape(B, heads, D // heads).mean", "heads**-3 * x.reshape(B, heads, D // heads).sum")
    program = program.replace("(3, 6)), 3", "(8, 6)), 2")
    (report,) = reports_on(program, tmp_path)
    (finding,) = report.findings
    assert "For other sizes or numbers, the change that was found is not enough." in finding.evidence


def test_of_a_long_vector_nothing_longer_is_made():
    """An outer product, of which the derivative of a softmax consists, would have 25 million entries."""
    vector = Ingredient(0.0, "X", {"X": ast.Name("x", ast.Load())}, [np.arange(1.0, 5001.0)])
    pantry = SimpleNamespace(seen=set(), places=[None], module="np")
    pantry.made = lambda *given, **parts: Ingredients.made(pantry, *given, **parts)
    tracemalloc.start()
    made = list(Ingredients.made_of(pantry, [vector], FUNCTIONS))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert made and max(np.size(value) for one in made for value in one.values) == 5000
    assert peak < 8 * 5000**2


def test_an_endless_sequence_of_numpy_is_no_value():
    function = ast.parse("def joined(a):\n    return np.r_[a, a]").body[0]
    scope = expressions.Scope(function, {}, function.body)
    others = {ast.unparse(new) for _, new in expressions.other_indices(function.body[0].value, scope)}
    assert "np.r_" not in others and "np.r_" not in scope.ingredients


def test_a_single_mistake_that_is_found_late_is_not_reported_as_two(tmp_path, monkeypatch):
    """The search for one mistake ends at some time; then a search for one of two finds it."""
    searched = locate.searched
    monkeypatch.setattr(locate, "searched", lambda *given: (searched(*given)[0], [], []))
    (report,) = reports_on(MASKED.replace("dnew = m * dh", "dnew = dh"), tmp_path)
    (finding,) = report.findings
    assert finding.certain and finding.after


@pytest.mark.slow
def test_a_loop_that_passes_nothing_on(tmp_path):
    carried = "    dh = 0\n", "        dh = da @ W.T\n", " + dh)"
    text = CARRIED
    for part, without in zip(carried, ("", "", ")"), strict=True):
        assert text.count(part) == 1
        text = text.replace(part, without)
    (report,) = reports_on(text, tmp_path)
    (finding,) = report.findings
    assert "da = (dy[t])" in finding.text and not finding.certain
    assert "carried from each turn of the loop" in finding.evidence[0]


@pytest.mark.parametrize(
    "right, wrong", [("dy * z + dy", "dy"), ("1 - z**2", "1 - z"), ("dy * h *", "h *"), (", keepdim=True)\n", ")\n")]
)
def test_expressions_of_tensors_are_found(right, wrong, tmp_path):
    pytest.importorskip("torch")
    (report,) = reports_on(TENSORS.replace(right, wrong), tmp_path)
    assert [one.certain for one in report.findings] == [True]


def test_the_line_that_writes_into_an_input_is_named_at_once(tmp_path):
    right, wrong = "dy = dy.copy()\n        dy /=", "dy /="
    path, told = tmp_path / "program.py", []
    path.write_text(ECHO.replace(right, wrong), encoding="utf-8")
    examine.examine(str(path), None, lambda report: told.append(list(report.findings)))
    line = ECHO[: ECHO.index(right)].count("\n") + 1
    assert [(one.line, one.certain) for findings in told[1:2] for one in findings] == [(line, False)]


def workshop(text, right, wrong, **options):
    assert text.count(right) == 1
    source = text.replace(right, wrong)
    module = executed(compile(source, "program.py", "exec"), "program.py")
    ((_, subject),) = examine.subjects_of(source, "program.py", module, None)
    return Workshop(subject, **options)


def test_lines_that_fit_less_well_are_solved_when_nothing_else_is_found():
    """dh = dh + dy[t] fits better and could have another value, but no expression has that value."""
    search = Search(workshop(MASKED, "0.3 * new**2", "0.1 * new**2"))
    line = MASKED[: MASKED.index("0.3 * new**2")].count("\n") + 1
    wrong = next(one for one in search.suspects if search.costs.node(one.slot).lineno == line)
    assert any(map(search.investigation.is_evident, search.suspects)) and wrong.possible is None
    search.workshop.runs += 10**9  # those of other parts of the search do not count
    assert list(search.screened()) and wrong.possible


def test_what_can_be_wrong_where_an_axis_is_kept_and_where_brackets_are_open():
    right = "self.hat).mean(axis=1,"
    investigation = Investigation(workshop(NORM, right, "self.hat).mean(axis=0,"))
    list(investigation.solve_all(10**6))
    slots = investigation.workshop.slots.all
    by_line = {slots[one.slot - 1].node.lineno: one for one in investigation.suspects}
    kept = by_line[NORM[: NORM.index(right)].count("\n") + 1]
    assert kept.possible and kept.expected[0][0].shape == (5, 3)  # each row what the right axis gives
    assert NORM[: NORM.index("return (")].count("\n") + 1 in by_line


def test_the_second_array_of_a_tuple_may_be_the_wrong_one():
    """Both reach all that is wrong, but no value of the first makes it right."""
    investigation = Investigation(workshop(PAIR, "dh, dc = dh_n, dc_n", "dh, dc = dh_n, 0 * dc_n"))
    list(investigation.solve_all(10**6))
    slots = investigation.workshop.slots.all
    suspects = {ast.unparse(slots[one.slot - 1].node): one for one in investigation.suspects}
    suspect = suspects[ast.unparse(ast.parse("dh, dc = dh_n, 0 * dc_n"))]
    assert suspect.possible and suspect.leaf == 1


def test_gradients_along_two_directions_tell_right_values_from_wrong_ones():
    search = Search(workshop(MASKED, "dnew = m * dh", "dnew = dh"))
    known = [one for one in search.truths if one.name == "the gradient of new"]
    assert len(known) == 3
    for one in known:
        which, size = one.entries
        units = [np.arange(size) == entry for entry in range(which.start, which.stop)]
        value = np.reshape([truths.slope(search.investigation, one.site, unit.astype(float)) for unit in units], (2, 4))
        assert one.is_same(value) and one.is_same(value.T) and not one.is_same(0 * value)
        for k in range(value.size):
            wrong = value.copy()
            wrong.flat[k] += 1e-2
            assert not one.is_same(wrong)


def test_an_empty_array_is_no_gradient_in_another_layout():
    truth = truths.Truth("dx", None, (0, 3), np.zeros((0, 3)))
    assert not truth.is_same(np.zeros(3))


CELL = """\
import numpy as np


def cell(x, h, U):
    r = np.exp(-(x + h @ U)**2)
    c = np.sin(r * h)
    return r * h + c, (x, h, U, r, c)


def cell_backward(dnew, kept):
    x, h, U, r, c = kept
    drh = dnew * (1 + np.sqrt(1 - c**2))
    da = drh * h * r * -2 * (x + h @ U)
    return da, da @ U.T + drh * r, h.T @ da


def forward(x, U):
    h, hs, kept = 0.1 + 0 * x[0], [], []
    for one in x:
        h, more = cell(one, h, U)
        hs.append(h)
        kept.append(more)
    return np.stack(hs), kept


def backward(dhs, kept):
    dx, dU, dh = np.zeros_like(dhs), 0, 0
    for t in reversed(range(len(dhs))):
        dx[t], dh, dU_t = cell_backward(dh + dhs[t], kept[t])
        dU = dU + dU_t
    return dx, dU


def example():
    rng = np.random.default_rng(0)
    return 0.5 * rng.normal(size=(4, 2, 3)), 0.5 * rng.normal(size=(3, 3))
"""
INLINE = """\
import numpy as np


def forward(x, U):
    hs = {-1: 0.1 + 0 * x[0]}
    for t, one in enumerate(x):
        hs[t] = np.sin(one + hs[t - 1] @ U)
    return np.stack([hs[t] for t in range(len(x))]), (x, hs, U)


def backward(dhs, kept):
    x, hs, U = kept
    dx, dU, dh = np.zeros_like(dhs), 0, 0
    for t in reversed(range(len(dhs))):
        da = (dhs[t] + dh) * np.cos(x[t] + hs[t - 1] @ U)
        dx[t], dU = da, dU + hs[t - 1].T @ da
        dh = da @ U.T
    return dx, dU


def example():
    rng = np.random.default_rng(0)
    return 0.5 * rng.normal(size=(4, 2, 3)), 0.5 * rng.normal(size=(3, 3))
"""
LOCAL = INLINE.replace("    for t, one", "    h = hs[-1]\n    for t, one").replace(
    "hs[t] = np.sin(one + hs[t - 1] @ U)", "h = np.sin(one + h @ U)\n        hs[t] = h"
)
STATES = [  # (program, right, wrong, the value of forward whose gradient is carried, its line)
    (CELL, "+ drh * r, h.T", "+ drh, h.T", "h, an argument", "def cell(x"),
    (INLINE, "dh = da @ U.T", "dh = da @ U", "hs[t - 1] as it is read", "hs[t] = np.sin"),
    (LOCAL, "dh = da @ U.T", "dh = da @ U", "h at the start of a step", "for t, one"),
]


@pytest.mark.parametrize("program, right, wrong, name, line", STATES, ids=["argument", "entry", "loop"])
def test_what_is_carried_is_the_gradient_of_what_a_step_begins_with(program, right, wrong, name, line):
    """Other values would do as well for the first step, where forward begins with a constant: which is measured."""
    search = Search(workshop(program, right, wrong))
    slots = search.workshop.slots.all
    text = program.replace(right, wrong).split("\n")
    (settled,) = [one for one in search.settled.values() if wrong in text[slots[one.slot - 1].node.lineno - 1]]
    names = {(one.name, one.line) for one in search.truths if one.is_same(settled.chosen(settled.expected[0])[0])}
    assert (f"the gradient of {name}", program[: program.index(line)].count("\n") + 1) in names


def test_a_share_of_a_gradient_does_not_make_a_line_innocent():
    """At the last step, the wrong value is the gradient of hs[t] as the exponential reads it."""
    program = INLINE
    for old, new in (
        ("    hs = {-1:", "    ys, hs = [], {-1:"),
        ("hs[t - 1] @ U)\n    return", "hs[t - 1] @ U)\n        ys.append(np.exp(hs[t]))\n    return"),
        ("for t in range(len(x))]), (x", "for t in range(len(x))]), np.stack(ys), (x"),
        ("backward(dhs, kept)", "backward(dhs, dys, kept)"),
        ("        da = (dhs[t] + dh)", "        dh = dys[t] * np.exp(hs[t]) + dhs[t] + dh\n        da = dh"),
    ):
        assert program.count(old) == 1
        program = program.replace(old, new)
    search = Search(workshop(program, " + dhs[t] + dh", " + dh"))
    one = next(one for one in search.suspects if ast.unparse(search.costs.node(one.slot)).startswith("dh = dys"))
    assert any(truth.is_share and truth.is_same(*one.found[0]) for truth in search.truths)
    assert one.possible and not one.innocent


def test_arrays_that_a_statement_is_to_hold_are_not_written_into():
    investigation = Investigation(workshop(LOSS, "np.divide(dz, count, out=dz)", "np.divide(dz, 1, out=dz)"))
    statements = [(one, investigation.workshop.slots[one.slot].node) for one in investigation.suspects]
    suspect = next(one for one, node in statements if ast.unparse(node).startswith("dz = "))
    investigation.run(suspect.slot)
    given = [np.ones_like(leaf) for (leaf,) in investigation.probe.values]  # each time it runs
    investigation.with_values(suspect, given)
    assert all((one == 1).all() for one in given)


def test_a_second_call_and_the_inputs_are_compared_entry_by_entry():
    """Nothing else is wrong: what the first call left in 15 parameters' gradients, or 12 numbers of the caller's."""
    added = workshop(NORM, MISTAKES["zeroing forgotten"][1], "", strict=True)
    overwritten = workshop(DENSE, "da = da * (1 - y**2)", "da *= 1 - y**2", strict=True)
    assert [(~one.right).sum() for one in (added, overwritten)] == [15, 12]


def test_a_literal_zero_may_be_wrong():
    source = STEPS.replace(LOOP, INSIDE)
    investigation = Investigation(workshop(STEPS, LOOP, INSIDE))
    lines = {investigation.workshop.slots[one.slot].node.lineno for one in investigation.suspects}
    assert source[: source.index("dh = 0")].count("\n") + 1 in lines
