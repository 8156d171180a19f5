"""Lists that grow by one entry per step; np.stack at the very end."""

import numpy as np


def logistic(a):
    return 0.5 * (1 + np.tanh(a / 2))


def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
    hs, rs, zs, ns, vs = [h_0], [], [], [], []
    for xt in x:
        ur, uz, un = np.split(xt @ W_ih.T + b_ih, 3, axis=1)
        vr, vz, vn = np.split(hs[-1] @ W_hh.T + b_hh, 3, axis=1)
        rs.append(logistic(ur + vr))
        zs.append(logistic(uz + vz))
        ns.append(np.tanh(un + rs[-1] * vn))
        vs.append(vn)
        hs.append((1 - zs[-1]) * ns[-1] + zs[-1] * hs[-1])
    return np.stack(hs[1:]), hs[-1], [x, hs, rs, zs, ns, vs, W_ih, W_hh]


def backward(dy, dh_n, cache):
    x, hs, rs, zs, ns, vs, W_ih, W_hh = cache
    dus, dvs, dhs = [], [], [dh_n]
    for t in reversed(range(len(x))):
        r, z, n, vn, h_before = rs[t], zs[t], ns[t], vs[t], hs[t]
        dh = dy[t] + dhs[-1]
        dun = dh * (1 - z) * (1 - n**2)
        dvn = dun * r
        dr = dun * vn * r * (1 - r)
        dz = dh * (h_before - n) * z * (1 - z)
        dus.append(np.hstack([dr, dz, dun]))
        dvs.append(np.hstack([dr, dz, dvn]))
        dhs.append(dh * z + dvs[-1] @ W_hh)
    dus.reverse()
    dvs.reverse()

    dx = np.stack([du @ W_ih for du in dus])
    dW_ih = sum(du.T @ xt for du, xt in zip(dus, x, strict=True))
    dW_hh = sum(dv.T @ h for dv, h in zip(dvs, hs[:-1], strict=True))
    db_ih = sum(du.sum(axis=0) for du in dus)
    db_hh = sum(dv.sum(axis=0) for dv in dvs)
    return dx, dhs[-1], dW_ih, dW_hh, db_ih, db_hh
