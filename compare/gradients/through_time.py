"""How the gradient of one batch changes on its way back through time: what gradients.png shows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

import scratch
from compare.options import CELLS
from data import Batch


@dataclass(frozen=True)
class GradientFlow:
    """The gradient in the top layer's forward direction, step by step: arrays (T,), a pair from scratch and torch."""

    name: str
    cell: str
    dh: tuple  # |dLoss/dh_t|, the norm over rows and units
    term: tuple | None  # |step t's term of dW_hh|; the terms add up to the gradient. None for a cell without W_hh
    error: np.ndarray  # of scratch's dh_t, in eps of the largest entry of dh_t
    factor: float | None  # by which one step multiplies |dh_t|, estimated for an RNN

    @property
    def changed(self) -> bool:
        """Do the weights differ from the initial ones?"""
        return self.name != CELLS[self.cell]


def variants(cell: str, model) -> Iterator[tuple[str, dict]]:
    """(name, weights) for the picture: first the initial weights, then a change after which nothing vanishes.

    With large weights the gradient of an RNN explodes. With forget gates near 1 an LSTM passes dc on unchanged.
    """
    yield CELLS[cell], model.params
    H = model.recurrent.hidden_size
    changed = {name: p.copy() for name, p in model.params.items()}
    if cell == "rnn":
        for name, p in changed.items():
            p *= 3 if "weight_hh" in name else 1
        yield "RNN, W_hh x 3", changed
    if cell == "lstm":
        for name, p in changed.items():
            if "bias_ih" in name:
                p[H : 2 * H] += 5
        yield "LSTM, forget bias + 5", changed


def flow(name: str, cell: str, model, batch: Batch, scratch_grads: dict, torch_grads: dict) -> GradientFlow:
    """The GradientFlow of one scratch model. The gradients: as from collect.by_hand and by_torch."""
    layer = f"_l{model.recurrent.num_layers - 1}"
    h_before = states_before(model, batch)[:, :, : model.recurrent.hidden_size]
    dh = [grads[f"dh{layer}"] for grads in (scratch_grads, torch_grads)]
    da = [grads[f"{scratch.module_of(cell).TRACED[-1]}{layer}"] for grads in (scratch_grads, torch_grads)]
    products = [np.einsum("tbg,tbh->tgh", d, h_before) for d in da]
    eps = np.finfo(dh[1].dtype).eps
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.abs(dh[0] - dh[1]).max(axis=(1, 2)) / (eps * np.abs(dh[1]).max(axis=(1, 2)))
    return GradientFlow(
        name=name,
        cell=cell,
        dh=tuple(map(norms, dh)),
        term=tuple(map(norms, products)) if f"recurrent.weight_hh{layer}" in model.params else None,
        error=np.nan_to_num(error),
        factor=estimated_factor(model.params[f"recurrent.weight_hh{layer}"], h_before) if cell == "rnn" else None,
    )


def norms(steps: np.ndarray) -> np.ndarray:
    """The norm of each step of (T, N, M)."""
    return np.linalg.norm(steps, axis=(1, 2))


def estimated_factor(W_hh: np.ndarray, h_before: np.ndarray) -> float:
    """By what factor one step of a tanh RNN multiplies |dh|: dh_{t-1} = W_hh^T (dh_t * (1 - h_t^2)).

    A vector without a preferred direction grows by the root mean square of the singular values of W_hh, and by that of
    the derivatives of tanh. W_hh (H, H), h_before (T, B, H).
    """
    singular = np.linalg.svd(W_hh, compute_uv=False)
    derivatives = 1 - h_before[1:] ** 2
    return float(np.sqrt(np.mean(singular**2) * np.mean(derivatives**2)))


def states_before(model, batch: Batch) -> np.ndarray:
    """The top layer's h_{t-1} at every step, (T, B, D*H): 0 at the first."""
    x = batch.inputs if model.embedding is None else model.embedding.forward(batch.inputs)
    y, _ = model.recurrent.forward(x, lengths=batch.lengths)
    return np.concatenate([np.zeros_like(y[:1]), y[:-1]])
