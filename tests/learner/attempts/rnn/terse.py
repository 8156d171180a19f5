import numpy as np


def forward(x, h, W, R, b, c):
    s = [h]
    for v in x:
        s += [np.tanh(v @ W.T + s[-1] @ R.T + b + c)]
    s = np.stack(s)
    return s[1:], s[-1], (x, s, W, R)


def backward(g, e, cache):
    x, s, W, R = cache
    d = []
    for q, h in zip(g[::-1], s[:0:-1], strict=True):
        d = [(q + e) * (1 - h * h), *d]
        e = d[0] @ R
    d = np.stack(d)
    k = dict(axes=([0, 1], [0, 1]))
    return d @ W, e, np.tensordot(d, x, **k), np.tensordot(d, s[:-1], **k), d.sum((0, 1)), d.sum((0, 1))
