"""Reverse-mode automatic differentiation over NumPy arrays, with just what the cells need.

The link between the hand-written `backward` and torch. Every operation writes one line on a tape: its result, and how
the gradient of the result becomes a share of each operand's gradient. The backward pass then needs no thought: read the
tape from its end and add up the shares. What `scratch/lstm.py` does by hand is this tape, with related lines merged and
the products over all steps moved out of the loop.

    tape = Tape()
    a = tape.variable(np.ones((2, 3)), "a")
    b = tanh(a) * a
    tape.backward({b: np.ones((2, 3))})
    a.grad

`byhand gradients --tape` prints the tape of one step next to the hand-written lines.

Wengert, "A simple automatic derivative evaluation program", CACM 7 (1964); Linnainmaa, BIT 16 (1976).
"""

import numpy as np

from scratch.activations import sigmoid as logistic


class Tape(list):
    """The variables in the order in which they were computed."""

    equation = ""  # the equation whose operations are being recorded, for a reader of the tape

    def variable(self, value, name):
        """An input or a weight: a leaf of the graph, whose `grad` is what one wants to know."""
        return Variable(self, np.asarray(value), name, [])

    def backward(self, upstream):
        """upstream: dict of Variable -> what the loss sends to it directly, of its shape. Sets every `grad`."""
        for variable in self:
            variable.grad = np.zeros_like(variable.value)
        for variable, gradient in upstream.items():
            variable.grad = variable.grad + gradient
        for variable in reversed(self):
            for operand, share, _ in variable.operands:
                # +=, never =: a variable that is used twice gets both shares
                operand.grad = operand.grad + share(variable.grad)


class Variable:
    """An array, how it was computed, and after Tape.backward the gradient of the loss for it.

    operands: a list of (variable, function, text): the function turns the gradient d of this result into that operand's
    share, and the text says how for a reader.
    """

    def __init__(self, tape, value, text, operands):
        self.tape, self.value, self.text, self.operands = tape, value, text, operands
        self.grad = None
        self.equation = tape.equation
        self.number = len(tape)
        tape.append(self)

    def _result(self, value, text, operands):
        return Variable(self.tape, value, text, operands)

    def __add__(self, other):
        def share(operand):
            return (
                operand,
                lambda d: summed_to(d, operand.value.shape),
                "d" if operand.value.ndim > 1 else "sum over rows of d",
            )

        return self._result(self.value + other.value, f"{self} + {other}", [share(self), share(other)])

    def __mul__(self, other):
        if self.value.shape != other.value.shape:
            raise ValueError(f"{self.value.shape} * {other.value.shape}: the cells multiply only arrays of one shape")
        shares = [(self, lambda d: d * other.value, f"d * {other}"), (other, lambda d: d * self.value, f"d * {self}")]
        return self._result(self.value * other.value, f"{self} * {other}", shares)

    def __rsub__(self, one):
        return self._result(one - self.value, f"{one} - {self}", [(self, lambda d: -d, "-d")])

    def __str__(self):
        return f"v{self.number}" if self.operands else self.text


def product(x, W):
    """x W^T: x (B, I), W (H, I). Returns (B, H)."""
    shares = [(x, lambda d: d @ W.value, f"d @ {W}"), (W, lambda d: d.T @ x.value, f"d.T @ {x}")]
    return x._result(x.value @ W.value.T, f"{x} @ {W}.T", shares)


def tanh(a):
    y = np.tanh(a.value)
    result = a._result(y, f"tanh({a})", [])
    result.operands.append((a, lambda d: d * (1 - y**2), f"d * (1 - v{result.number}**2)"))
    return result


def sigmoid(a):
    y = logistic(a.value)
    result = a._result(y, f"sigmoid({a})", [])
    result.operands.append((a, lambda d: d * y * (1 - y), f"d * v{result.number} * (1 - v{result.number})"))
    return result


def relu(a):
    return a._result(np.maximum(a.value, 0), f"relu({a})", [(a, lambda d: d * (a.value > 0), f"d * ({a} > 0)")])


def block(a, k, H):
    """Columns k*H to (k+1)*H of a (B, G*H). Returns (B, H)."""
    columns = slice(k * H, (k + 1) * H)

    def share(d):
        whole = np.zeros_like(a.value, d.dtype)
        whole[:, columns] = d
        return whole

    return a._result(a.value[:, columns], f"{a}[block {k}]", [(a, share, f"d in block {k}")])


def summed_to(d, shape):
    """Undo broadcasting: a bias (H,) was read by every row of (B, H), so its rows' gradients add up."""
    return d.sum(axis=0) if d.ndim > len(shape) else d


# The cells, one step each, in the operations above. x (B, I), h and c (B, H), weights as in torch.


def rnn_step(x, h, W_ih, W_hh, b_ih, b_hh, nonlinearity="tanh"):
    x.tape.equation = "R1"
    a = product(x, W_ih) + b_ih + product(h, W_hh) + b_hh
    x.tape.equation = "R2"
    return tanh(a) if nonlinearity == "tanh" else relu(a)


def lstm_step(x, h, c, W_ih, W_hh, b_ih, b_hh):
    H = h.value.shape[1]
    x.tape.equation = "L1"
    a = product(x, W_ih) + b_ih + product(h, W_hh) + b_hh
    x.tape.equation = "L2"
    i, f, g, o = sigmoid(block(a, 0, H)), sigmoid(block(a, 1, H)), tanh(block(a, 2, H)), sigmoid(block(a, 3, H))
    x.tape.equation = "L3"
    c = f * c + i * g
    x.tape.equation = "L4"
    return o * tanh(c), c


def gru_step(x, h, W_ih, W_hh, b_ih, b_hh):
    H = h.value.shape[1]
    x.tape.equation = "G1"
    u = product(x, W_ih) + b_ih
    x.tape.equation = "G2"
    v = product(h, W_hh) + b_hh
    x.tape.equation = "G3"
    r = sigmoid(block(u, 0, H) + block(v, 0, H))
    z = sigmoid(block(u, 1, H) + block(v, 1, H))
    x.tape.equation = "G4"
    n = tanh(block(u, 2, H) + r * block(v, 2, H))
    x.tape.equation = "G5"
    return (1 - z) * n + z * h


def mingru_step(x, h, W_ih, b_ih):
    H = h.value.shape[1]
    x.tape.equation = "M1"
    a = product(x, W_ih) + b_ih
    x.tape.equation = "M2"
    z, n = sigmoid(block(a, 0, H)), block(a, 1, H)
    x.tape.equation = "M3"
    return (1 - z) * h + z * n
