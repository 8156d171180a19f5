"""The training step that `byhand bench` times, in JAX: jit of lax.scan. Only for those who have JAX installed.

Parameters have torch's names and shapes, as in scratch.SequenceModel. The input projection of all steps is one product,
as in scratch; the rest is the equations of one step.
"""

from functools import partial

import jax
from jax import lax
from jax import numpy as jnp


def rnn(state, u, W_hh, b_hh):
    h = jnp.tanh(u + state @ W_hh.T + b_hh)
    return h, h


def gru(state, u, W_hh, b_hh):
    (u_r, u_z, u_n), (v_r, v_z, v_n) = jnp.split(u, 3, axis=1), jnp.split(state @ W_hh.T + b_hh, 3, axis=1)
    r, z = jax.nn.sigmoid(u_r + v_r), jax.nn.sigmoid(u_z + v_z)
    h = (1 - z) * jnp.tanh(u_n + r * v_n) + z * state
    return h, h


def lstm(state, u, W_hh, b_hh):
    h, c = state
    i, f, g, o = jnp.split(u + h @ W_hh.T + b_hh, 4, axis=1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def loss_of(params, cell, inputs, targets):
    """The mean cross-entropy. inputs (T, B) ids or (T, B, I) numbers, targets (T, B)."""
    x = params["embedding.weight"][inputs] if inputs.ndim == 2 else inputs  # (T, B, I)
    W_ih, W_hh, b_ih, b_hh = (
        params[f"recurrent.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    h_0 = jnp.zeros((x.shape[1], W_hh.shape[1]), W_hh.dtype)
    step = partial({"rnn": rnn, "gru": gru, "lstm": lstm}[cell], W_hh=W_hh, b_hh=b_hh)
    _, y = lax.scan(step, (h_0, h_0) if cell == "lstm" else h_0, x @ W_ih.T + b_ih)  # y (T, B, H)
    log_p = jax.nn.log_softmax(y @ params["linear.weight"].T + params["linear.bias"])  # (T, B, V)
    return -jnp.take_along_axis(log_p, targets[:, :, None], axis=2).mean()


@partial(jax.jit, static_argnames="cell", donate_argnums=0)
def sgd_step(params, cell, inputs, targets, lr):
    """One step of gradient descent: the new parameters, and the loss before it."""
    loss, grads = jax.value_and_grad(loss_of)(params, cell, inputs, targets)
    return {name: p - lr * grads[name] for name, p in params.items()}, loss
