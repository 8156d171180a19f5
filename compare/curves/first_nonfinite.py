"""Where a nan or inf began. It is looked for afterwards, so that training is not slowed down: the step is computed once
more, and its arrays are searched in the order in which a step computes them."""

import re
from itertools import islice

import numpy as np
import torch

import scratch
from compare.model_pair import Diverged, Pair, build
from scratch import stretches
from torch_impl import unrolled

# A cell's cache holds its arguments and then what it computed, in the order of computation.
ARGUMENTS = {"x", "h_0", "c_0", "W_ih", "W_hh", "nonlinearity"}
SHOWN = {"y": "h", "r_z": "r, z", "gates": "i, f, g, o"}  # where the name in the cache is not the one in the equations


def origin(diverged: Diverged, both: Pair, dataset) -> str:
    """In words, the first array that is not finite, in each model that the model_pair.Diverged names.

    both: the Pair with the weights with which the step, or the evaluation, began.
    """
    found = {side: _first(side, diverged, both, dataset) for side in diverged.sides}
    if len(set(found.values())) == 1:
        return f"it began {'in both models ' * (len(found) == 2)}with {found[diverged.sides[0]]}"
    return "it began " + " and ".join(f"in {side} with {words}" for side, words in found.items())


def _first(side, diverged, both, dataset):
    if side == "scratch":
        model, weights, step = both.scratch, both.scratch.params, _step_by_hand
    else:
        dtype = str(both.torch.linear.weight.dtype).removeprefix("torch.")
        model = build(both.model, dtype, **both.own).torch  # on the CPU
        model.load_state_dict(both.torch.state_dict())
        weights, step = model.state_dict(), _step_by_torch
    for name, p in weights.items():
        if not _finite(p):
            return f"{name} after the update of step {diverged.step - (diverged.entered is not None)}"
    if diverged.entered is None:
        stages, otherwise = _evaluation(model, dataset), "the metric itself (all predictions are finite)"
    else:
        epoch, k = divmod(diverged.step - 1, dataset.steps_per_epoch)
        batch = next(islice(dataset.train_batches(epoch), k, None))
        stages = step(model, batch, diverged.entered[side])
        otherwise = "the gradient norm itself (all gradients are finite)"
    return next((words for words, finite in stages if not finite), otherwise)


# Each of the following yields (what an array is, in words; is all of it finite?), in the order of computation.


def _step_by_hand(model, batch, state):
    prediction, _ = model.logits(batch.inputs, batch.lengths, state, batch.masks)
    layer = model.recurrent.kept
    cell = model.recurrent.cell
    computed = [name for name in cell.Cache._fields if name not in ARGUMENTS]
    for k, chain in enumerate(layer.caches):
        finite = {SHOWN.get(name, name): np.ones(layer.shape, bool) for name in computed}  # (T, B)
        for (start, stop, n), cache in chain:
            for name in computed:
                kept = np.isfinite(getattr(cache, name))  # (t, n, H), for gates (t, G, n, H)
                kept = kept.all(axis=tuple({*range(1, kept.ndim)} - {kept.ndim - 2}))  # (t, n)
                finite[SHOWN.get(name, name)][start:stop, :n] = kept
        if k % model.recurrent.directions:
            finite = {name: stretches.reverse(f, layer.lengths) for name, f in finite.items()}
        yield from _through_time(finite, k, model.recurrent.directions, forward=True)
    yield "the prediction", _finite(prediction)
    yield "the loss", _finite(model.loss(batch, state))
    trace = []
    grads = model.backward(trace)
    yield from _backward(grads, trace, cell.TRACED, model.recurrent.directions)


def _step_by_torch(model, batch, state):
    if state is not None:
        state = tuple(s.detach().cpu() for s in state) if isinstance(state, tuple) else state.detach().cpu()
    directions = 2 if model.recurrent.bidirectional else 1
    layer = getattr(scratch, type(model.recurrent).__name__, None)  # None: the user's own, whose steps nobody sees
    kept = []
    unrolled_loss = model.loss(batch, state, kept) if layer else None
    T, B = batch.inputs.shape[:2]
    past = np.zeros((T, B), bool) if batch.lengths is None else np.arange(T)[:, None] >= batch.lengths  # (T, B)
    for k, (values, backwards) in enumerate(kept):
        finite = {name: torch.stack(v).isfinite().all(dim=2).numpy() | past for name, v in values.items()}
        if backwards is not None:
            finite = {name: f[backwards, np.arange(B)] for name, f in finite.items()}
        yield from _through_time(finite, k, directions, forward=True)
    with torch.no_grad():
        prediction, _ = model.logits(batch.inputs, batch.lengths, state, batch.masks)
    yield "the prediction", _finite(prediction)
    loss = model.loss(batch, state)
    yield "the loss", _finite(loss.detach())
    loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters()}
    trace = unrolled.gradients(unrolled_loss, kept) if layer else [{}] * model.recurrent.num_layers * directions
    yield from _backward(grads, trace, layer.cell.TRACED if layer else (), directions)


def _through_time(finite, k, directions, forward):
    """finite: name -> booleans (T, B), in the order of time; the reverse direction computes its steps in the other."""
    reverse = bool(k % directions)
    times = range(len(next(iter(finite.values()), ())))
    for t in reversed(times) if forward == reverse else times:
        for name, f in finite.items():
            yield f"{name} of layer {k // directions}{', reverse,' * reverse} at time step {t}", f[t].all()


def _backward(grads, trace, traced, directions):
    """As compare.gradients.collect.in_backward_order has them, step by step."""
    yield from _gradients(grads, "^linear")
    for k in reversed(range(len(trace))):
        finite = {name: np.isfinite(trace[k][name]).all(axis=2) for name in traced}
        yield from _through_time(finite, k, directions, forward=False)
        yield from _gradients(grads, f"_l{k // directions}{'_reverse' * (k % directions)}$")
    yield from _gradients(grads, "^embedding")


def _gradients(grads, pattern):
    return ((f"the gradient of {name}", _finite(g)) for name, g in grads.items() if re.search(pattern, name))


def _evaluation(model, dataset):
    state = None
    for k, batch in enumerate(dataset.test_batches()):
        with torch.no_grad():
            prediction, state = model.logits(batch.inputs, batch.lengths, state if dataset.carry_state else None)
        yield f"the prediction for test batch {k}", _finite(prediction)


def _finite(array):
    return bool(np.isfinite(np.asarray(array)).all())
