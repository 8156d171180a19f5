# %% [markdown]
# # LSTM backward, my attempt
# Chapter 7 of the course. Equations on the blackboard, photo in the other folder.

# %%
import numpy as np


# %%
def sig(v):
    return 1 / (1 + np.exp(-v))


# quick look at the slope: should be 1/4
sig(0.0) * (1 - sig(0.0))

# %%
SIZES = dict(T=3, B=2, I=4, H=5)


def random_arguments(T, B, I, H, seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(T, B, I), (B, H), (B, H), (4 * H, I), (4 * H, H), (4 * H,), (4 * H,), (T, B, H), (B, H), (B, H)]
    return [rng.normal(size=shape) for shape in shapes]


# %%
def backward(x, h_0, c_0, W_ih, W_hh, b_ih, b_hh, dy, dh_n, dc_n):
    nsteps, nbatch, nhidden = dy.shape

    # --- forward ---
    hh = [h_0]
    cc = [c_0]
    ii, ff, gg, oo, tt = [], [], [], [], []
    for t in range(nsteps):
        pre = x[t] @ W_ih.T + hh[t] @ W_hh.T + b_ih + b_hh
        pre = pre.reshape(nbatch, 4, nhidden)
        ii.append(sig(pre[:, 0]))
        ff.append(sig(pre[:, 1]))
        gg.append(np.tanh(pre[:, 2]))
        oo.append(sig(pre[:, 3]))
        cc.append(ff[t] * cc[t] + ii[t] * gg[t])
        tt.append(np.tanh(cc[t + 1]))
        hh.append(oo[t] * tt[t])

    # --- backward ---
    dpre = np.zeros((nsteps, nbatch, 4, nhidden))
    dh = dh_n
    dc = dc_n
    for t in range(nsteps - 1, -1, -1):
        dh = dh + dy[t]
        dpre[t, :, 3] = dh * tt[t] * oo[t] * (1 - oo[t])
        dc = dc + dh * oo[t] * (1 - tt[t] ** 2)
        dpre[t, :, 0] = dc * gg[t] * ii[t] * (1 - ii[t])
        dpre[t, :, 1] = dc * cc[t] * ff[t] * (1 - ff[t])
        dpre[t, :, 2] = dc * ii[t] * (1 - gg[t] ** 2)
        dc = dc * ff[t]
        dh = dpre[t].reshape(nbatch, -1) @ W_hh
    dpre = dpre.reshape(nsteps, nbatch, 4 * nhidden)

    # --- sums over time ---
    dW_ih = sum(dpre[t].T @ x[t] for t in range(nsteps))
    dW_hh = sum(dpre[t].T @ hh[t] for t in range(nsteps))
    db_ih = dpre.sum(axis=1).sum(axis=0)
    db_hh = 1.0 * db_ih
    dx = np.array([dpre[t] @ W_ih for t in range(nsteps)])
    return {
        "dx": dx,
        "dh_0": dh,
        "dc_0": dc,
        "dW_ih": dW_ih,
        "dW_hh": dW_hh,
        "db_ih": db_ih,
        "db_hh": db_hh,
    }


# %%
# does it run?
results = backward(*random_arguments(**SIZES))
{name: result.shape for name, result in results.items()}
