"""Optimizers and clipping, one formula each, as in torch.optim.

Every optimizer keeps the dict of parameters that it gets and writes into its arrays; `step` takes the gradients in a
dict with the same names. p is a parameter, g its gradient, lr the learning rate.
"""

import numpy as np


class SGD:
    """Stochastic gradient descent with momentum, as torch.optim.SGD (momentum: Polyak 1964; Sutskever et al. 2013).

        g = g + weight_decay p;   v = momentum v + g  (v = g at the first step);   p = p - lr v

    nesterov: p = p - lr (g + momentum v)
    """

    def __init__(self, params, lr=1e-3, momentum=0, weight_decay=0, nesterov=False):
        if nesterov and momentum == 0:
            raise ValueError("nesterov needs a momentum above 0")
        self.params, self.lr = params, lr
        self.momentum, self.weight_decay, self.nesterov = momentum, weight_decay, nesterov
        self.v = {}

    def step(self, grads):
        for name, p in self.params.items():
            g = grads[name]
            if self.weight_decay:
                g = g + self.weight_decay * p
            if self.momentum:
                if name in self.v:
                    self.v[name] = self.momentum * self.v[name] + g
                else:
                    self.v[name] = g.copy()
                g = g + self.momentum * self.v[name] if self.nesterov else self.v[name]
            p -= self.lr * g


class Adam:
    """Adam (Kingma and Ba 2015), as torch.optim.Adam.

        m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
        p = p - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

    The divisions by 1 - beta^t correct for m and v starting at zero; eps is added after the correction.
    weight_decay is added to the gradient; to shrink the weights themselves, see AdamW.
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
        self.params, self.lr, self.betas, self.eps, self.weight_decay = params, lr, betas, eps, weight_decay
        self.m = {name: np.zeros_like(p) for name, p in params.items()}
        self.v = {name: np.zeros_like(p) for name, p in params.items()}
        self.t = 0

    def step(self, grads):
        if self.weight_decay:
            grads = {name: grads[name] + self.weight_decay * p for name, p in self.params.items()}
        self._update(grads)

    def _update(self, grads):
        self.t += 1
        beta1, beta2 = self.betas
        for name, p in self.params.items():
            g = grads[name]
            m, v = self.m[name], self.v[name]
            m += (1 - beta1) * (g - m)
            v *= beta2
            v += (1 - beta2) * g**2
            denominator = np.sqrt(v) / (1 - beta2**self.t) ** 0.5 + self.eps
            p -= self.lr / (1 - beta1**self.t) * m / denominator


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), as torch.optim.AdamW.

    p = p - lr weight_decay p,   then Adam's step on the gradient alone
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01):
        super().__init__(params, lr, betas, eps, weight_decay)

    def step(self, grads):
        for p in self.params.values():
            p *= 1 - self.lr * self.weight_decay
        self._update(grads)


class RMSprop:
    """RMSprop (Hinton, lecture 6e, 2012), as torch.optim.RMSprop.

        v = alpha v + (1 - alpha) g^2;   p = p - lr g / (sqrt(v) + eps)

    With momentum: b = momentum b + g / (sqrt(v) + eps);   p = p - lr b
    """

    def __init__(self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0):
        self.params, self.lr, self.alpha, self.eps = params, lr, alpha, eps
        self.weight_decay, self.momentum = weight_decay, momentum
        self.v = {name: np.zeros_like(p) for name, p in params.items()}
        self.b = {name: np.zeros_like(p) for name, p in params.items()}

    def step(self, grads):
        for name, p in self.params.items():
            g = grads[name]
            if self.weight_decay:
                g = g + self.weight_decay * p
            v, b = self.v[name], self.b[name]
            v *= self.alpha
            v += (1 - self.alpha) * g**2
            b *= self.momentum
            b += g / (np.sqrt(v) + self.eps)
            p -= self.lr * b


class Adagrad:
    """Adagrad (Duchi, Hazan and Singer 2011), as torch.optim.Adagrad.

    s = s + g^2;   p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)
    """

    def __init__(self, params, lr=1e-2, lr_decay=0, weight_decay=0, eps=1e-10):
        self.params, self.lr, self.lr_decay = params, lr, lr_decay
        self.weight_decay, self.eps = weight_decay, eps
        self.s = {name: np.zeros_like(p) for name, p in params.items()}
        self.t = 0

    def step(self, grads):
        self.t += 1
        lr = self.lr / (1 + (self.t - 1) * self.lr_decay)
        for name, p in self.params.items():
            g = grads[name]
            if self.weight_decay:
                g = g + self.weight_decay * p
            s = self.s[name]
            s += g**2
            p -= lr * g / (np.sqrt(s) + self.eps)


def clip_grad_norm(grads, max_norm):
    """Scale all gradients in place so that their common norm is at most max_norm (Pascanu et al. 2013).

    One norm over all arrays, not one per array, which keeps the direction. As torch.nn.utils.clip_grad_norm_, including
    its 1e-6. Returns the norm before clipping.
    """
    norm = np.sqrt(sum(np.sum(g**2) for g in grads.values()))
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1:  # not `scale < 1`: a nan must reach every gradient, as in torch
        for g in grads.values():
            g *= scale
    return norm
