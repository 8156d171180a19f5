"""Dictionaries by gate: p["i"], p["f"], p["g"], p["o"]."""

import numpy as np

GATES = "ifgo"


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def cut(array):
    """The four blocks of a parameter, by name."""
    return dict(zip(GATES, np.split(array, 4), strict=True))


def forward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh):
    W, R, b, c = cut(W_ih), cut(W_hh), cut(b_ih), cut(b_hh)
    h_prev, c_prev = h_0, c_0
    steps = []
    for x_t in x:
        a = {k: x_t @ W[k].T + b[k] + h_prev @ R[k].T + c[k] for k in GATES}
        s = {k: sigmoid(a[k]) for k in "ifo"}
        s["g"] = np.tanh(a["g"])
        s["c"] = s["f"] * c_prev + s["i"] * s["g"]
        s["h"] = s["o"] * np.tanh(s["c"])
        s["x"], s["h_prev"], s["c_prev"] = x_t, h_prev, c_prev
        h_prev, c_prev = s["h"], s["c"]
        steps.append(s)
    return np.stack([s["h"] for s in steps]), h_prev, c_prev, (steps, W, R)


def backward(dy, dh_n, dc_n, cache):
    steps, W, R = cache
    dW = {k: np.zeros_like(W[k]) for k in GATES}
    dR = {k: np.zeros_like(R[k]) for k in GATES}
    db = {k: np.zeros(len(R[k])) for k in GATES}
    dx = []
    dh, dc = dh_n, dc_n
    for s, dy_t in zip(reversed(steps), reversed(dy), strict=True):
        dh = dh + dy_t

        # h = o * tanh(c)
        tanh_c = np.tanh(s["c"])
        d_o = dh * tanh_c
        dc = dc + dh * s["o"] * (1 - tanh_c**2)

        # c = f * c_prev + i * g
        d_i = dc * s["g"]
        d_g = dc * s["i"]
        d_f = dc * s["c_prev"]
        dc = dc * s["f"]

        # through the nonlinearities
        da = {}
        da["i"] = d_i * s["i"] * (1 - s["i"])
        da["f"] = d_f * s["f"] * (1 - s["f"])
        da["g"] = d_g * (1 - s["g"] ** 2)
        da["o"] = d_o * s["o"] * (1 - s["o"])

        # the four linear maps
        dh = np.zeros_like(dh)
        dx_t = np.zeros_like(s["x"])
        for k in GATES:
            dW[k] += da[k].T @ s["x"]
            dR[k] += da[k].T @ s["h_prev"]
            db[k] += da[k].sum(axis=0)
            dx_t += da[k] @ W[k]
            dh += da[k] @ R[k]
        dx.append(dx_t)

    def join(parts):
        return np.concatenate([parts[k] for k in GATES])

    return np.stack(dx[::-1]), dh, dc, join(dW), join(dR), join(db), join(db)
