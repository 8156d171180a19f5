"""Programs of which differences do not say at once whether they are right: none is called right, or wrong, by chance.

Each was called right, or wrong, or ended in a traceback, before it became a test.
"""

import pytest

from compare.learner import examine
from compare.learner.verdict.report import head, tail

IMPORT = "import numpy as np\n"
AFFINE = """
def f_forward(x, W):
    return x @ W, (x, W)
def f_backward(dy, cache):
    x, W = cache
    return dy @ W.T, x.T @ dy
"""
LAYER = """
class Layer:
    def __init__(self): self.W = np.full((3, 2), 0.3)
    def forward(self, x): self.x = x; return x @ self.W
    def backward(self, g): self.dW = self.x.T @ g; return g @ self.W.T
"""
TWO = "def example(): r = np.random.default_rng(0); return r.standard_normal((4, 5)), r.standard_normal((5, 3))\n"
ONE = "def example(): return (np.random.default_rng(0).standard_normal((3, 3)),)\n"
PROGRAMS = {  # the program, its verdict, and words of the report
    "a constant output hides nothing, however large": (
        "def f_forward(s): m = np.tri(3, dtype=bool); return np.where(m, s, -1e12), m\n"
        "def f_backward(g, m): return np.where(m, g, 0) * 5\n" + ONE,
        "wrong",
        "line 3",
    ),
    "nor an infinite one": (
        "def f_forward(s): m = np.tri(3, dtype=bool); return np.where(m, s, -np.inf), m\n"
        "def f_backward(g, m): return np.where(m, g, 0)\n" + ONE,
        "right",
        "",
    ),
    "a loss too large for its changes to be seen": (
        "def f(x): return 1e10 + (x**2).sum(), 2.02 * x\n" + ONE,
        "could not run",
        "rounds small changes away",
    ),
    "a value that is rounded on the way": (
        "def f_forward(x): p = 1 / (1 + np.exp(-x)); return -np.log(1 - p), p\n"
        "def f_backward(d, p): return d * p * (p < 1 - 1e-11)\n"
        "def example(): return (np.array([1.0, 2.0, 28.0]),)\n",
        "could not run",
        "rounds small changes away",
    ),
    "a bias of zeros, which hides that x is taken for y": (
        "def f_forward(x, b): y = x + b; return y * y, x\n"
        "def f_backward(d, x): g = 2 * d * x; return g, g.sum(0)\n"
        "def example(): return np.random.default_rng(0).standard_normal((3, 4)), np.zeros(4)\n",
        "right",
        "the entries of b are all equal in this example; where they are not, dx, db are wrong",
    ),
    "a cache with the name of a gradient": (
        "class Layer:\n"
        "    def __init__(self): self.W = np.random.default_rng(1).standard_normal((4, 3))\n"
        "    def forward(self, x): y = np.tanh(x @ self.W); return y, (x, y)\n"
        "    def backward(self, dy, data):\n"
        "        x, y = data; da = dy * (1 - y**2); self.dW = x.T @ da; return da @ self.W.T\n"
        "def example(): return Layer(), np.random.default_rng(0).standard_normal((5, 4))\n",
        "right",
        "",
    ),
    "a cache that is first, by the names only": (
        "def f_forward(x, w): y = np.tanh(x @ w); return y, {'x': x, 'w': w, 'y': y}\n"
        "def f_backward(saved, dy):\n"
        "    da = dy * (1 - saved['y'] ** 2); return da @ saved['w'].T, saved['x'].T @ da\n" + TWO,
        "right",
        "",
    ),
    "a cache that is last, by the names only": (
        "def f_forward(x, w): y = np.tanh(x @ w); return y, (x, w, y)\n"
        "def f_backward(up, data):\n"
        "    x, w, y = data; da = up * (1 - y**2); return da @ w.T, x.T @ da\n" + TWO,
        "right",
        "",
    ),
    "a cache that is first and an array": (
        "def f_forward(x): y = np.tanh(x); return y, y\n"
        "def f_backward(tape, gy): return gy * (1 - tape * tape)\n" + ONE,
        "right",
        "",
    ),
    "a cache that is first, which only a run tells": (
        "def f_forward(x, w): y = np.tanh(x @ w); return y, y**2, (x, w, y)\n"
        "def f_backward(tape, delta, eps):\n"
        "    x, w, y = tape; da = (delta + 2 * y * eps) * (1 - y**2); return da @ w.T, x.T @ da\n" + TWO,
        "right",
        "",
    ),
    "a cache that is last, and its name begins with d": (
        "def f_forward(x, w): y = np.tanh(x @ w); return y, y**2, (x, w, y)\n"
        "def f_backward(ga, gb, dcache):\n"
        "    x, w, y = dcache; da = (ga + 2 * y * gb) * (1 - y**2); return da @ w.T, x.T @ da\n" + TWO,
        "right",
        "",
    ),
    "targets that add up to one, all the same": (
        "def f_forward(z, t):\n"
        "    e = np.exp(z); p = e / e.sum(1, keepdims=True); return -(t * np.log(p)).sum(), (p, t)\n"
        "def f_backward(c): p, t = c; return p - t, -np.log(p)\n"
        "def example(): return np.random.default_rng(0).standard_normal((3, 4)), np.full((3, 4), 0.25)\n",
        "right",
        " right: the largest",
    ),
    "None for a mask of floats, and W kept": (
        "class Layer:\n"
        "    def __init__(self): self.W = np.random.default_rng(1).standard_normal((4, 3))\n"
        "    def forward(self, x, m): self.x, self.m = x, m; return x @ self.W * m\n"
        "    def backward(self, d): d = d * self.m; self.dW = self.x.T @ d; return d @ self.W.T, None\n"
        "def example(): return Layer(), np.random.default_rng(0).standard_normal((2, 4)), np.eye(2, 3)\n",
        "right",
        "",
    ),
    "None for a mask of floats, and W returned after it": (
        "class Layer:\n"
        "    def __init__(self): self.W = np.random.default_rng(1).standard_normal((4, 3))\n"
        "    def forward(self, x, m): self.x, self.m = x, m; return x @ self.W * m\n"
        "    def backward(self, d): d = d * self.m; return d @ self.W.T, None, self.x.T @ d\n"
        "def example(): return Layer(), np.random.default_rng(0).standard_normal((2, 4)), np.eye(2, 3)\n",
        "right",
        "",
    ),
    "no gradient at all": (
        "def f_forward(p): y = np.exp(p) / np.exp(p).sum(); return y, y\n"
        "def f_backward(dy, y): return dy * y * (1 - y)\n"
        "def example(): return (np.array([100.0, 0, -100]),)\n",
        "could not run",
        "every gradient is 0",
    ),
    "no value a step away": (
        "def f_forward(p): return np.log(p), p\ndef f_backward(dy, p): return dy / p\n"
        "def example(): return (np.array([1e-8, 0.3, 0.7]),)\n",
        "right",
        "",
    ),
    "tiny inputs": (
        "def f_forward(x): n = np.sqrt((x * x).sum(1, keepdims=True)); return x / n, (x / n, n)\n"
        "def f_backward(dy, c): y, n = c; return (dy - y * (dy * y).sum(1, keepdims=True)) / n\n"
        "def example(): return (1e-7 * np.random.default_rng(0).standard_normal((3, 4)),)\n",
        "right",
        "",
    ),
    "a forward pass that gives nan": (
        "def f_forward(s): return np.sqrt(s), s\ndef f_backward(g, s): return g / 2 / np.sqrt(s)\n" + ONE,
        "could not run",
        "forward gives nan for output 1 [0, 1]",
    ),
    "another mask at each call": (
        "def f_forward(x): mask = np.random.rand(*x.shape); return x * mask, mask\n"
        "def f_backward(dy, mask): return dy * mask\n" + ONE,
        "could not run",
        "differs from call to call of forward",
    ),
    "a padded row, where relu has a kink": (
        "def f_forward(x, W): z = x @ W; return np.maximum(z, 0), (x, W, z)\n"
        "def f_backward(dy, c): x, W, z = c; d = dy * (z > 0); return d @ W.T, x.T @ d\n"
        "def example(): r = np.random.default_rng(0); x = r.standard_normal((3, 4)); x[2] = 0; "
        "return x, r.standard_normal((4, 5))\n",
        "right",
        "right as far as checked",
    ),
    "nan at a kink": (
        "def f_forward(x): return np.abs(x), x\ndef f_backward(dy, x): return dy * x / np.abs(x)\n"
        "def example(): return (np.array([0.0, -1.0]),)\n",
        "wrong",
        "dx differs",
    ),
    "kinks everywhere": (
        "def f_forward(x): return np.maximum(x, 0), x\ndef f_backward(dy, x): return dy * (x >= 0)\n"
        "def example(): return (np.array([0.0, 0.0]),)\n",
        "could not run",
        "forward has a kink at every entry, such as x [0]",
    ),
    "a jump is no kink": (
        "def f_forward(x): return np.floor(x), x\ndef f_backward(dy, x): return dy * 3\n"
        "def example(): return (np.array([1.0, 2.0]),)\n",
        "could not run",
        "changes too abruptly",
    ),
    "a step that is too small for an output": (
        "def f_forward(x): return x + 1e12, 2 * x, x\ndef f_backward(da, db, x): return 2 * db\n" + ONE,
        "could not run",
        "rounds small changes away",
    ),
    "a gradient that is known to few digits": (
        "def f_forward(x): return (x**2).sum() + 1e9, x\ndef f_backward(d, x): return d * 2 * x\n" + ONE,
        "right",
        "differences give the gradients to",
    ),
    "a gradient that is much smaller than the others": (
        AFFINE.replace("x.T", "2 * x.T") + "def example(): r = np.random.default_rng(0); "
        "return 1e-13 * r.standard_normal((4, 5)), r.standard_normal((5, 3))\n",
        "wrong",
        "dW differs",
    ),
    "parameters under the key 0": (
        LAYER.replace("self.W =", "self.params = {}; self.grads = {}; self.params[0] =")
        .replace("self.dW =", "self.grads[0] = 2 *")
        .replace("self.W", "self.params[0]")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "wrong",
        "d0 differs",
    ),
    "two names for one array": (
        LAYER.replace("self.W = np.full((3, 2), 0.3)", "self.W = np.full((3, 2), 0.3); self.V = self.W.T").replace(
            "x @ self.W", "x @ self.V.T"
        )
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "",
    ),
    "a gradient that fits two parameters": (
        LAYER.replace("self.W = np.full((3, 2), 0.3)", "self.W0 = np.ones((3, 2)); self.W = np.full((3, 2), 0.3)")
        .replace("x @ self.W", "x @ (self.W + self.W0)")
        .replace("g @ self.W.T", "g @ (self.W + self.W0).T")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "not checked: dW0",
    ),
    "a constant with the name of a gradient": (
        "class Grid:\n"
        "    def __init__(self): self.x = np.array([0.0, 1, 3]); self.dx = np.diff(self.x)\n"
        "    def forward(self, u): return np.diff(u) / self.dx + self.x[1:]\n"
        "    def backward(self, g): d = g / self.dx; return np.array([-d[0], d[0] - d[1], d[1]])\n"
        "def example(): return Grid(), np.array([1.0, 2, 4])\n",
        "right",
        "not checked: dx",
    ),
    "a grid whose step is no gradient, in the changed program": (
        "class Grid:\n"
        "    def __init__(self): self.x = np.array([0.0, 1, 3]); self.dx = np.diff(self.x); self.grads = {}\n"
        "    def forward(self, u): self.u = u; return u * self.x\n"
        "    def backward(self, g): self.grads['x'] = g * self.u; return 1.5 * g * self.x\n"
        "def example(): return Grid(), np.array([1.0, 2, 4])\n",
        "wrong",
        "values: du differs",
    ),
    "an argument called p": (
        "class P:\n    def __init__(self): self.W = np.full((3, 2), 0.3)\n"
        "def f_forward(x, p): return x @ p.W, (x, p)\n"
        "def f_backward(dy, c): x, p = c; p.dW = 2 * x.T @ dy; return dy @ p.W.T\n"
        "def example(): return np.arange(6.0).reshape(2, 3), P()\n",
        "wrong",
        "dp.W differs",
    ),
    "a mask whose gradient is left out": (
        "def f_forward(x, mask): return x * (mask > 0), mask\n"
        "def f_backward(dy, mask): return dy * (mask > 0), None\n"
        "def example(): return np.arange(1.0, 4), np.array([0.0, 1, 1])\n",
        "right",
        "right:",
    ),
    "an error that hides a read-only array": (
        "def f_forward(x): return x**2, x\n"
        "def f_backward(dy, x):\n"
        "    try: dy *= 2\n"
        "    except ValueError as error: raise RuntimeError from error\n"
        "    return dy * x\n" + ONE,
        "wrong",
        "it writes into",
    ),
    "momentum with the name of a gradient": (
        LAYER.replace("0.3)", "0.3); self.dW_prev = np.zeros((3, 2))").replace("self.dW =", "self.grad_W =")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "right:",
    ),
    "momentum next to gradients that are returned": (
        LAYER.replace("0.3)", "0.3); self.vW = np.zeros((3, 2))").replace(
            "self.dW = self.x.T @ g; return g @ self.W.T", "return g @ self.W.T, self.x.T @ g"
        )
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "right:",
    ),
    "running means in a dict": (
        "def norm_forward(x, p):\n"
        "    p['running_mean'] = 0.9 * p['running_mean'] + 0.1 * x.mean(0); return x - x.mean(0), None\n"
        "def norm_backward(dy, _): return dy - dy.mean(0)\n"
        "def example(): return np.random.default_rng(0).random((5, 4)), {'running_mean': np.zeros(4)}\n",
        "right",
        "right:",
    ),
    "the last state after the gradients": (
        "def f(h, W): y = h @ W; return (y**2).sum() / 2, h.T @ y, y[0]\n" + TWO,
        "right",
        "not checked: dh",
    ),
    "a target without a gradient": (
        "def f_forward(pred, target): return ((pred - target) ** 2).sum() / 2, (pred, target)\n"
        "def f_backward(dloss, c): return dloss * (c[0] - c[1])\n"
        "def example(): r = np.random.default_rng(0); return r.random((3, 4)), r.random((3, 4))\n",
        "right",
        "not checked: dtarget",
    ),
    "a cache of a layer with a state": (
        "class Sums:\n"
        "    def __init__(self): self.total = np.zeros(3)\n"
        "    def forward(self, x): self.x = x; self.total = self.total + x.sum(0); return x**2 + self.total\n"
        "    def backward(self, g): return 2 * self.x * g + g.sum(0)\n"
        "def example(): return Sums(), np.random.default_rng(0).random((4, 3))\n",
        "right",
        "not checked: dtotal (neither",
    ),
    "a view of a parameter in the cache": (
        LAYER.replace("0.3)", "0.3); self.WT = None").replace(
            "return x @ self.W", "self.WT = self.W.T; return x @ self.WT.T"
        )
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "right:",
    ),
    "other results than the loss": (
        "def f(x, W): p = np.tanh(x @ W); return p.sum(), p, {'dW': x.T @ (1 - p * p)}\n" + TWO,
        "right",
        "not checked: dx",
    ),
    "gradients of which arguments?": (
        "def f(y, w, X): e = X @ w - y; return (e**2).sum() / 2, X.T @ e\n"
        "def example(): r = np.random.default_rng(0); return r.random(4), r.random(4), r.random((4, 4))\n",
        "could not run",
        "which arguments are the gradients of?",
    ),
    "a list of outputs": (
        "def f_forward(x): return [x, 2 * x], None\ndef f_backward(d, _): return d[0] + 2 * d[1]\n" + ONE,
        "right",
        "",
    ),
    "the arguments of forward as the cache": (
        "def f_forward(x, W): return np.tanh(x @ W), x, W\n"
        "def f_backward(dy, x, W): d = dy * (1 - np.tanh(x @ W) ** 2); return d @ W.T, x.T @ d\n" + TWO,
        "right",
        "",
    ),
    "a gradient in a global variable": (
        "W, dW = np.ones((3, 2)), None\n"
        "def f_forward(x): return x @ W, x\n"
        "def f_backward(dy, x): global dW; dW = x.T @ dy * 2; return dy @ W.T\n" + ONE,
        "right",
        "as far as checked",
    ),
    "parameters and gradients in tables of other names": (
        LAYER.replace("self.W =", "self.p = {}; self.grads = {}; self.p['W'] =")
        .replace("self.dW =", "self.grads['W'] = 2 *")
        .replace("self.W", "self.p['W']")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "wrong",
        "dp.W",
    ),
    "a gradient that is not returned for the last argument": (
        "def f(x, W, t): d = x @ W - t; return (d**2).sum() / 2, d @ W.T, x.T @ d\n"
        "def example(): r = np.random.default_rng(0); return r.random((4, 5)), r.random((5, 3)), r.random((4, 3))\n",
        "right",
        "not checked: dt",
    ),
    "a masked array": (AFFINE.replace("x.T @ dy", "np.ma.masked_array(2 * x.T @ dy)") + TWO, "wrong", "line 7"),
    "a matrix": (AFFINE.replace("x.T @ dy", "np.matrix(2 * x.T @ dy)") + TWO, "wrong", "line 7"),
    "a large integer": (
        AFFINE.replace("    x, W =", "    big = 10**9; x, W =").replace("x.T", "3 * x.T") + TWO,
        "wrong",
        "line 7",
    ),
    "what str.splitlines takes for a line": (
        "# a\u2028b\n" + AFFINE.replace("x.T", "2 * x.T") + TWO,
        "wrong",
        "line 8",
    ),
    "an example that sets a global variable": (
        AFFINE + "def example(): global r; r = np.random.default_rng(0); return r.random((4, 5)), r.random((5, 3))\n",
        "right",
        "",
    ),
    "a function that begins with example": (
        AFFINE
        + "def example_data(n): return np.ones((n, n))\ndef example(): return example_data(3), example_data(3)\n",
        "right",
        "",
    ),
    "a loss and its gradient with the same arguments": (
        "def f_forward(p, t): return ((p - t) ** 2).mean()\ndef f_backward(p, t): return 2 * (p - t) / p.size\n"
        "def example(): r = np.random.default_rng(0); return r.random((2, 3)), r.random((2, 3))\n",
        "right",
        "dp, is",
    ),
    "a loss with forward and backward": (
        "class Loss:\n"
        "    def forward(self, p, t): return ((p - t) ** 2).sum()\n    def backward(self, p, t): return p - t\n"
        "def example(): r = np.random.default_rng(0); return Loss(), r.random((2, 3)), r.random((2, 3))\n",
        "wrong",
        "dp differs",
    ),
    "a closure that returns a gradient with swapped sides": (
        "def f(x, W):\n    def back(dy): return dy @ W.T, dy.T @ x\n    return x @ W, back\n"
        "def example(): r = np.random.default_rng(0); return r.random((2, 3)), r.random((3, 4))\n",
        "wrong",
        "dW has shape (4, 3); it must be (3, 4)",
    ),
    "a loss that returns a gradient with swapped sides": (
        "def f(x, W): e = x @ W; return (e**2).sum(), 2 * e @ W.T, 2 * e.T @ x\n"
        "def example(): r = np.random.default_rng(0); return r.random((2, 3)), r.random((3, 4))\n",
        "wrong",
        "dW has shape (4, 3); it must be (3, 4)",
    ),
    "a loss that returns what may be a gradient": (
        "def f(x, W): e = x @ W; return (e**2).sum(), 2 * e @ W.T, e\n"
        "def example(): r = np.random.default_rng(0); return r.random((2, 3)), r.random((3, 4))\n",
        "could not run",
        "return None for dW",
    ),
    "a loss with an option": (
        "def f_forward(p, t, size=1.0): return size * ((p - t) ** 2).sum()\n"
        "def f_backward(p, t, size=1.0): return 2 * size * (p - t)\n"
        "def example(): r = np.random.default_rng(0); return r.random((2, 3)), r.random((2, 3))\n",
        "right",
        "dp, is",
    ),
    "a loss whose backward takes another output": (
        "def f_forward(z):\n    p = np.exp(z)\n    loss = p.sum()\n    return loss, p\n"
        "def f_backward(z, p): return p\n" + ONE,
        "right",
        "dz, is",
    ),
    "an object whose loss is a number, and the upstream gradient has the name of an input": (
        "class Mean:\n"
        "    def forward(self, out): self.shape = out.shape; return out.mean()\n"
        "    def backward(self, out): return np.full(self.shape, out / np.prod(self.shape))\n"
        "def example(): return Mean(), np.random.default_rng(0).random((2, 3))\n",
        "right",
        "dout, is",
    ),
    "one step of a sum is kept, too": (
        LAYER.replace("self.dW = self.x.T @ g;", "self.dW = self.x[:1].T @ g[:1]; self.grads = {'W': self.x.T @ g};")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "self.dW was not checked; it differs from the dW that was",
    ),
    "parameters whose names differ in case only": (
        LAYER.replace("self.W = ", "self.w = np.ones(2); self.W = ")
        .replace("x @ self.W", "x @ self.W + self.w")
        .replace("self.dW =", "self.dw = g.sum(axis=0); self.dW =")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "right: the largest",
    ),
    "a gradient that is kept twice, once wrong": (
        LAYER.replace("self.dW = self.x.T @ g;", "self.dW = self.x.T @ g; self.grads = {'W': 2 * self.dW};")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "self.grads.W was not checked; it differs from the dW that was",
    ),
    "a gradient that is kept twice": (
        LAYER.replace("self.dW = self.x.T @ g;", "self.dW = self.x.T @ g; self.grads = {'W': self.dW};")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "right: the largest",
    ),
    "what is kept from a call with other inputs": (
        LAYER.replace("self.x = x;", "self.x = x if not hasattr(self, 'x') else self.x;")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "wrong",
        "dW is different after a call with other inputs",
    ),
    "a parameter that forward makes": (
        LAYER.replace("self.W = np.full((3, 2), 0.3)", "self.W = None")
        .replace("self.x = x;", "self.x = x; self.W = np.full((3, 2), 0.3) if self.W is None else self.W;")
        .replace("self.dW =", "self.dW = 2 *")
        + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n",
        "right",
        "not checked: dW",
    ),
    "an output in float32, too coarse for small steps": (
        "def f_forward(x, b): return 1e4 + 3 * x.astype(np.float32), np.tanh(b), b\n"
        "def f_backward(dy, dz, b): return 0 * dy, dz * (1 - np.tanh(b) ** 2)\n"
        "def example(): return np.array([0.3, -0.7, 1.1]), np.array([0.3, 0.1])\n",
        "could not run",
        "rounds small changes away",
    ),
    "a closure with a name": (
        "def mix_forward(x, W): return x @ W, lambda dy: (dy @ W.T, x.T @ dy)\n"
        + TWO.replace("example", "example_mix"),
        "right",
        "mix",
    ),
    "another name for backward": (
        AFFINE.replace("f_back", "g_back") + TWO,
        "could not run",
        "f_forward has no f_backward; there is g_backward",
    ),
    "an example of no pair": (
        AFFINE + TWO + "def example_c(): return example()\n",
        "could not run",
        "example_c() belongs to no pair",
    ),
    "an example that is too large": (
        AFFINE + "def example(): return np.empty((10**9, 10**9)), 1\n",
        "could not run",
        "example() raised MemoryError",
    ),
    "an empty array": (
        AFFINE + "def example(): return np.ones((0, 3)), np.ones((3, 2))\n",
        "could not run",
        "x is empty",
    ),
    "integers only": (
        AFFINE + "def example(): return np.ones((2, 3), int), np.ones((3, 2), int)\n",
        "could not run",
        "write 1.0 for 1",
    ),
    "an integer with a gradient": (
        "def f_forward(x, k): return k * x, (x, k)\ndef f_backward(dy, c): return c[1] * dy, (dy * c[0]).sum()\n"
        "def example(): return np.ones((2, 3)), 2\n",
        "could not run",
        "k = 2.0 has one",
    ),
    "no object": (LAYER + ONE, "could not run", "must return an object first, such as `Layer(...), x`"),
    "a class for an object": (
        LAYER + "def example(): return Layer, np.ones((2, 3))\n",
        "could not run",
        "not the class",
    ),
    "no inputs": (
        LAYER + "def example(): return Layer()\n",
        "could not run",
        "must also return the arguments of Layer.forward(x)",
    ),
    "a method of another name": (
        LAYER.replace("backward", "backwards") + "def example(): return Layer(), np.ones((2, 3))\n",
        "could not run",
        "Layer has no method backward",
    ),
    "self forgotten": (
        LAYER.replace("(self, g)", "(g)") + "def example(): return Layer(), np.ones((2, 3))\n",
        "could not run",
        "it should take self",
    ),
    "nothing": (AFFINE + "def example(): np.ones((2, 3))\n", "could not run", "example() returned None"),
    "another key": (
        AFFINE + "def example(): return dict(x=1.0, w=2.0)\n",
        "could not run",
        "the arguments x, w, but forward is f_forward(x, W)",
    ),
    "one value too many": (
        AFFINE + "def example(): return 1.0, 2.0, 3.0\n",
        "could not run",
        "3 values, but forward is f_forward(x, W)",
    ),
}


def reports_on(text, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(IMPORT + text, encoding="utf-8")
    return examine.examine(str(path))


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_verdict(name, tmp_path):
    text, verdict, words = PROGRAMS[name]
    report = reports_on(text, tmp_path)[0]
    assert report.verdict == verdict
    assert words in f"{head(report)}\n{tail(report)}".replace("\n        ", " ").replace("\n    ", " ").replace(
        "\n", " "
    )


FIXES = {  # the program, and what is in the fix, although other changes would do for the example's numbers
    "an argument of a function that writes into another": (
        "class Embedding:\n"
        "    def __init__(self): self.E = np.random.default_rng(0).standard_normal((6, 3))\n"
        "    def forward(self, ids): self.ids = ids; return 2 * self.E[ids]\n"
        "    def backward(self, g): self.dE = np.zeros_like(self.E); np.add.at(self.dE, self.ids, g)\n"
        "def example(): return Embedding(), np.array([[1, 2, 1], [4, 5, 2]])\n",
        "2.0 * g",
    ),
    "the second term of a layer norm": (
        "def f_forward(x):\n    s = x.std(axis=1, keepdims=True)\n    n = (x - x.mean(axis=1, keepdims=True)) / s\n"
        "    return n, (n, s)\n"
        "def f_backward(dy, cache):\n    n, s = cache\n    d = dy - dy.mean(axis=1, keepdims=True)\n"
        "    return d / s\n"
        "def example(): return (np.random.default_rng(0).standard_normal((4, 5)),)\n",
        ".mean(axis=-1, keepdims=True)",
    ),
    "a size": (
        "def f_forward(p, t): return ((p - t) ** 2).mean()\ndef f_backward(p, t): return 2 * (p - t) / p.shape[0]\n"
        "def example(): r = np.random.default_rng(0); return r.random((2, 3)), r.random((2, 3))\n",
        "/ p.size",
    ),
    "an argument": (
        "def f_forward(x, p): return x**p, (x, p)\ndef f_backward(dy, c): x, p = c; return dy * x ** (p - 1)\n"
        "def example(): return np.random.default_rng(0).random((3, 4)), 2\n",
        "* p",
    ),
    "an attribute": (
        "class Drop:\n"
        "    def __init__(self, p): self.p = p\n"
        "    def forward(self, x): self.m = x > 0; return x * self.m / self.p\n"
        "    def backward(self, dy): return dy * self.m\n"
        "def example(): return Drop(0.5), np.random.default_rng(0).standard_normal((3, 4))\n",
        "/ self.p",
    ),
}


@pytest.mark.parametrize("name", FIXES)
def test_a_fix_holds_for_other_numbers(name, tmp_path):
    text, fix = FIXES[name]
    (report,) = reports_on(text, tmp_path)
    assert fix in report.findings[0].after


def test_both_places_where_a_gradient_is_kept_are_fixed(tmp_path):
    wrong = "self.dW = self.x.T @ g + 1; self.grads = {'W': self.x.T @ g + 1};"
    text = LAYER.replace("self.dW = self.x.T @ g;", wrong)
    (report,) = reports_on(text + "def example(): return Layer(), np.arange(6.0).reshape(2, 3)\n", tmp_path)
    assert [finding.certain for finding in report.findings] == [True, True]


def test_an_entry_at_a_kink_does_not_spare_the_others_in_a_confirmation(tmp_path):
    """2.0 * dy is right for this scale only."""
    text = """
def f_forward(x, scale): return np.maximum(x, 0) + scale * x, x > 0
def f_backward(dy, real): return dy * real + dy
def example(): return np.array([[1.0, -2.0], [0.0, 3.0]]), 2.0
"""
    (report,) = reports_on(text, tmp_path)
    assert report.verdict == "wrong" and not any(finding.certain for finding in report.findings)


def test_an_error_at_a_kink_does_not_count(tmp_path):
    text, *_ = PROGRAMS["a padded row, where relu has a kink"]
    (report,) = reports_on(text, tmp_path)
    assert max(row.eps for row in report.rows) < 1e6


def test_a_pair_that_another_one_calls_needs_no_example(tmp_path):
    text = """
def row_forward(x): return x**2, x
def row_backward(dy, x): return 2 * x * dy
def rows_forward(x): return np.stack([row_forward(one)[0] for one in x]), x
def rows_backward(dy, x): return np.stack([row_backward(a, b) for a, b in zip(dy, x)])
"""
    (report,) = reports_on(text + ONE, tmp_path)
    assert report.title == "rows" and not report.remarks


def test_two_examples_of_one_class_are_two_reports(tmp_path):
    text = LAYER + "def example(): return Layer(), np.ones((2, 3))\ndef example_Layer(): return example()\n"
    assert [report.title for report in reports_on(text, tmp_path)] == ["Layer", "Layer (2)"]


def test_a_pair_that_no_example_belongs_to_is_named(tmp_path):
    text = AFFINE.replace("f_", "g_").replace("x.T", "3 * x.T") + AFFINE + TWO
    (report,) = reports_on(text, tmp_path)
    assert report.title == "f" and any(
        "g_backward, also in this file, was not checked" in one for one in report.remarks
    )


def test_what_a_program_prints_is_shown_once(tmp_path, capsys):
    reports_on(AFFINE.replace("    return x @ W", "    print('here'); return x @ W") + TWO, tmp_path)
    assert capsys.readouterr().out == "here\n"


def test_a_line_that_holds_a_right_gradient_is_innocent(tmp_path):
    """ds is right already, and da before it: what is missing is in, or after, the last right one."""
    text = """
def att_forward(q, k, v):
    s = q @ k.T / 2
    e = np.exp(s)
    a = e / e.sum(1, keepdims=True)
    return a @ v, (q, k, v, a)
def att_backward(dy, cache):
    q, k, v, a = cache
    da, dv = dy @ v.T, a.T @ dy
    ds = a * (da - (a * da).sum(1, keepdims=True))
    return ds @ k, ds.T @ q, dv
def example(): r = np.random.default_rng(0); return r.random((3, 4)), r.random((5, 4)), r.random((5, 2))
"""
    (report,) = reports_on(text, tmp_path)
    assert report.line == 11


VARIANCE = """
def var_forward(x):
    n = x.shape[1]
    return ((x - x.mean(1, keepdims=True)) ** 2).sum(1) / n, x
def var_backward(dy, x):
    n = x.shape[1]
    return 2 / (n - 1) * dy[:, None] * (x - x.mean(1, keepdims=True))
def example(): return (np.random.default_rng(0).standard_normal((4, 3)),)
"""


def test_a_change_for_the_sizes_of_the_example_only_is_not_preferred(tmp_path):
    """`n = x.shape[0]` would be right for 4 rows of 3, and costs less."""
    (report,) = reports_on(VARIANCE, tmp_path)
    (finding,) = report.findings
    assert "shape[0]" not in finding.after and not any("other sizes" in one for one in finding.evidence)


def test_a_change_for_the_sizes_of_the_example_only_is_called_that(tmp_path):
    text = """
def mse_forward(y): return np.divide((y**2).sum(), y.shape[0] + y.shape[1]), y
def mse_backward(dloss, y): return dloss * 2 * y
def example(): return (np.random.default_rng(0).standard_normal((4, 2)),)
"""
    (report,) = reports_on(text, tmp_path)
    assert "For other sizes or numbers, the change that was found is not enough." in report.findings[0].evidence
