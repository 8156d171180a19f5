"""Every gradient of one batch, by hand beside torch's: a table, and a picture of how they travel through time."""

import json
from dataclasses import dataclass, replace

import numpy as np
import rich
import torch
from rich.markup import escape
from rich.table import Table

from compare import files, model_pair, plots
from compare.agreement import ROUNDINGS, difference, in_roundings, least_size
from torch_impl import unrolled

NAMES = {"rnn": "RNN", "rnn_relu": "RNN, relu", "gru": "GRU", "lstm": "LSTM"}
# A cell's total derivatives in backward order: the last one goes to h_{t-1}, through W_hh.
TRACED = {"rnn": ("dh", "da"), "rnn_relu": ("dh", "da"), "gru": ("dh", "du", "dv"), "lstm": ("dh", "dc", "da")}


@dataclass
class Travel:
    """How the gradient of one batch went back through the top layer: arrays (T,), by hand and by torch."""

    name: str
    dh: tuple  # |dLoss/dh_t|, the norm over rows and units
    share: tuple  # |step t's share of dW_hh|; the shares add up to the gradient
    off: np.ndarray  # the largest difference of dh_t, in units of rounding of its largest entry
    predicted: float | None  # by what factor a step shrinks dh, if W_hh's singular values are the whole story


def main(settings, cells, out, *, as_json=False):
    """Compare the gradients of one batch for each of `cells`; draw the picture. Returns 0, or 1 when one differs."""
    torch.set_num_threads(1)
    dataset = model_pair.load(settings)
    batch = next(iter(dataset.train_batches(0)))
    steps, rows = batch.inputs.shape[:2]
    models = {cell: model_pair.model_of(replace(settings, cell=cell), dataset) for cell in cells}
    path = files.folder(out) / "gradients.png"
    found, travels = {}, []
    for cell, model in models.items():
        both = model_pair.build(model, settings.dtype, settings.seed)
        for name, weights in variants(cell, both.scratch):
            both = model_pair.build(model, settings.dtype, weights=weights)
            ours, theirs = by_hand(both.scratch, batch, cell), by_torch(both.torch, batch, cell)
            found.setdefault(cell, compare(ours, theirs, cell))  # the table shows the weights as they were drawn
            travels.append(travel(name, both, batch, ours, theirs, cell))
    only_last = "; the loss reads the last step only" if dataset.predict == "last" else ""
    plots.gradients(
        path, travels, f"{settings.task}, {steps} steps of {rows} rows, {settings.dtype}, untrained{only_last}"
    )

    right = all(row["verdict"] != "differs" for table in found.values() for row in table)
    if as_json:
        about = {"task": settings.task, "steps": steps, "rows": rows, "dtype": settings.dtype, "picture": str(path)}
        print(json.dumps(about | {"agree": right, "cells": found}, indent=2))
        return 0 if right else 1
    for cell, model in models.items():
        size = f"{model['num_layers']} x {model['hidden_size']}"
        rich.print(
            table(found[cell], f"{cell} {size} on {settings.task}: {steps} steps, {rows} rows, {settings.dtype}")
        )
        for row in found[cell]:
            if row["problem"]:
                print(row["problem"])
    print("every gradient agrees" if right else "gradients differ")
    print(f"how they travel through time: {path}")
    return 0 if right else 1


def variants(cell, model):
    """What the picture shows of a cell, as (name, weights): the weights as drawn, and one change that undoes vanishing.

    An Elman network with large weights explodes instead; an LSTM whose forget gates stand open hands dc on unchanged.
    """
    yield NAMES[cell], model.params
    H = model.recurrent.hidden_size
    changed = {name: p.copy() for name, p in model.params.items()}
    if cell == "rnn":
        for name, p in changed.items():
            p *= 3 if "weight_hh" in name else 1
        yield "RNN, W_hh times 3", changed
    if cell == "lstm":
        for name, p in changed.items():
            if "bias_ih" in name:
                p[H : 2 * H] += 5
        yield "LSTM, forget bias + 5", changed


def by_hand(model, batch, cell):
    """Every gradient of scratch's model by name, in backward order: parameters, and "dh_l0" (T, B, H) and so on."""
    trace = []
    model.loss(batch)
    grads = model.backward(trace)
    return in_backward_order(grads, trace, cell, model.recurrent.directions)


def by_torch(model, batch, cell):
    """The same from autograd: the parameters' through torch.nn, the intermediates' through the unrolled twin."""
    model.zero_grad()
    model.loss(batch).backward()
    grads = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    kept = []
    trace = unrolled.gradients(model.loss(batch, kept=kept), kept)
    return in_backward_order(grads, trace, cell, 2 if model.recurrent.bidirectional else 1)


def in_backward_order(grads, trace, cell, directions):
    """The parameters' gradients and the traced ones as one dict, the arrays that `backward` computes first first."""
    ordered = {name: g for name, g in grads.items() if name.startswith("linear")}
    for k in reversed(range(len(trace))):
        suffix = f"l{k // directions}{'_reverse' * (k % directions)}"
        ordered |= {f"{name}_{suffix}": trace[k][name] for name in TRACED[cell]}
        for kind in ("weight_hh", "bias_hh", "weight_ih", "bias_ih"):
            ordered[f"recurrent.{kind}_{suffix}"] = grads[f"recurrent.{kind}_{suffix}"]
    return ordered | {name: g for name, g in grads.items() if name.startswith("embedding")}


def compare(ours, theirs, cell):
    """A dict for every array: name, shape, largest entry, difference, in roundings, verdict, problem (str or None)."""
    least = least_size(theirs.values())
    rows = []
    for name, expected in theirs.items():
        got = ours[name]
        traced = name.split("_")[0] in TRACED[cell]  # an array of all steps
        problem = difference(got, expected, name, cell, least, step_by_step=traced)
        fits = got.shape == expected.shape
        exact = fits and np.array_equal(got, expected)
        rows.append(
            {
                "name": name,
                "shape": list(expected.shape),
                "largest": float(np.abs(expected).max()),
                "difference": float(np.abs(got - expected).max()) if fits else None,
                "roundings": in_roundings(got, expected, step_by_step=traced) if fits else None,
                "verdict": "differs" if problem else "exact" if exact else "equal",
                "problem": problem,
            }
        )
    return rows


def table(rows, title):
    """The rows of `compare` for a terminal."""
    result = Table(title=title, title_justify="left", caption_justify="left")
    result.caption = (
        "roundings: the difference in units of rounding of the largest entry (dh and the like: of each step's own); "
        f"up to {ROUNDINGS} are what sums over steps and rows explain"
    )
    result.add_column("gradient", no_wrap=True)
    result.add_column("shape", no_wrap=True)
    for name in ("largest", "off by", "roundings"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("verdict")
    for row in rows:
        off = ("-", "-") if row["difference"] is None else (f"{row['difference']:.1e}", f"{row['roundings']:.1f}")
        style = {"differs": "bold red", "exact": "green"}.get(row["verdict"])
        name, shape = row["name"].removeprefix("recurrent."), "x".join(map(str, row["shape"]))
        result.add_row(escape(name), shape, f"{row['largest']:.1e}", *off, row["verdict"], style=style)
    return result


def travel(name, both, batch, ours, theirs, cell):
    """The Travel through the top layer's forward direction."""
    layer = both.scratch.recurrent.num_layers - 1
    last = TRACED[cell][-1]
    H = both.scratch.recurrent.hidden_size
    h_before = states_before(both.scratch, batch)[:, :, :H]
    dh = [side[f"dh_l{layer}"] for side in (ours, theirs)]
    da = [side[f"{last}_l{layer}"] for side in (ours, theirs)]
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(dh[0] - dh[1]).max(axis=(1, 2)) / (np.finfo(dh[1].dtype).eps * np.abs(dh[1]).max(axis=(1, 2)))
    predicted = None
    if cell == "rnn":
        # dh_{t-1} = W_hh^T (f'(a_t) * dh_t): a vector with no preferred direction grows by the root mean square of the
        # singular values, times that of the slopes 1 - h_t^2
        singular = np.linalg.svd(both.scratch.params[f"recurrent.weight_hh_l{layer}"], compute_uv=False)
        slopes = 1 - h_before[1:] ** 2
        predicted = float(np.sqrt(np.mean(singular**2) * np.mean(slopes**2)))
    return Travel(
        name,
        tuple(np.linalg.norm(d, axis=(1, 2)) for d in dh),
        tuple(np.linalg.norm(np.einsum("tbg,tbh->tgh", d, h_before), axis=(1, 2)) for d in da),
        np.nan_to_num(off),
        predicted,
    )


def states_before(model, batch):
    """The top layer's h_{t-1} at every step, (T, B, D*H): 0 at the first."""
    x = batch.inputs if model.embedding is None else model.embedding.forward(batch.inputs)
    y, _ = model.recurrent.forward(x, lengths=batch.lengths)
    return np.concatenate([np.zeros_like(y[:1]), y[:-1]])
