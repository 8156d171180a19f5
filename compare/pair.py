"""Both models, built from one configuration, and trained in turn on the same batches."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch

import data
import scratch
import torch_impl
from data import UserError

OPTIMIZER_CLASSES = {
    "sgd": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
}


class Diverged(UserError):
    """A loss became inf or nan."""


@dataclass(frozen=True)
class Pair:
    """The same model twice: `model` is a dict of the arguments both were built with."""

    model: dict
    scratch: scratch.SequenceModel
    torch: torch_impl.SequenceModel


def load(settings):
    """The dataset that a Settings names. Raises UserError for data that cannot be used."""
    return data.load(
        settings.task,
        settings.data,
        column=settings.column,
        seed=settings.seed,
        batch_size=settings.batch_size,
        window=settings.window,
        dtype=np.dtype(settings.dtype),
    )


def build(model, dtype, seed=0, device="cpu", weights=None):
    """Both models with the same weights: the NumPy model draws them or gets `weights`, torch takes them over.

    model: the arguments of SequenceModel, without dtype; weights: arrays by the names of its `params`, or None.
    """
    by_hand = scratch.SequenceModel(**model, dtype=np.dtype(dtype), rng=np.random.default_rng(seed))
    for name, array in (weights or {}).items():
        by_hand.params[name][...] = array
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ModuleNotFoundError) as error:
        raise UserError(f"torch cannot use the device {device!r} here; leave --device out for the cpu") from error
    by_torch = torch_impl.SequenceModel(**model, dtype=getattr(torch, dtype), device=device)
    by_torch.load_state_dict({name: torch.tensor(array) for name, array in by_hand.params.items()})
    return Pair(model, by_hand, by_torch)


MOST_PARAMETERS = 10**8  # half a gigabyte for the weights alone, in float32; optimizers and torch keep as much again


def model_of(settings, dataset):
    """The arguments of SequenceModel that suit a dataset. Raises UserError for a model that cannot be trained here."""
    inputs = dataset.input_size or settings.hidden
    directions = 2 if settings.bidirectional else 1
    upper = (settings.layers - 1) * directions * (directions + 1) * settings.hidden
    parameters = 4 * settings.hidden * (directions * (inputs + settings.hidden) + upper)  # of an LSTM
    if parameters > MOST_PARAMETERS:
        raise UserError(
            f"some {parameters:.1g} parameters are too many to train here; use a smaller --hidden or --layers"
        )
    return dict(
        cell=settings.cell,
        output_size=dataset.output_size,
        hidden_size=settings.hidden,
        num_layers=settings.layers,
        bidirectional=settings.bidirectional,
        vocab_size=dataset.vocab_size,
        input_size=dataset.input_size,
        predict=dataset.predict,
    )


def optimizers(settings, pair):
    """scratch's and torch's optimizer with the same numbers."""
    numbers = dict(lr=settings.lr, weight_decay=settings.weight_decay)
    if settings.optimizer in ("sgd", "rmsprop"):
        numbers["momentum"] = settings.momentum
    if settings.optimizer == "sgd":
        numbers["nesterov"] = settings.nesterov
    name = OPTIMIZER_CLASSES[settings.optimizer]
    return getattr(scratch, name)(pair.scratch.params, **numbers), getattr(torch.optim, name)(
        pair.torch.parameters(), **numbers
    )


def train(settings, dataset, pair, steps):
    """Train both; yield (scratch's record, torch's record) for every step.

    Each side has a thread of its own and computes one step while the other does: two cores, one thread each, and
    neither waits for more than the slower one. Raises Diverged at the first loss that is not finite.
    """
    by_hand, by_torch = optimizers(settings, pair)
    records = scratch.fit(pair.scratch, dataset, by_hand, steps, settings.clip)
    torch_records = torch_impl.fit(pair.torch, dataset, by_torch, steps, settings.clip)
    with ThreadPoolExecutor(1) as other:
        for _ in range(steps):
            theirs = other.submit(next, torch_records)
            ours = next(records)
            theirs = theirs.result()
            must_be_finite(settings, ours.step, "loss", ours.loss, theirs.loss)
            yield ours, theirs


def evaluate(settings, dataset, pair, step):
    """Both sides' held-out metric and predictions: ((value, predictions), (value, predictions)).

    Raises Diverged when a value is not finite.
    """
    with ThreadPoolExecutor(1) as other:
        theirs = other.submit(torch_impl.evaluate, pair.torch, dataset)
        ours = scratch.evaluate(pair.scratch, dataset)
        theirs = theirs.result()
    must_be_finite(settings, step, dataset.metric, ours[0], theirs[0])
    return ours, theirs


def must_be_finite(settings, step, what, ours, theirs):
    for side, value in (("scratch", ours), ("torch", theirs)):
        if not isfinite(value):
            raise Diverged(
                f"{settings.task}: the {side} {what} became {value} at step {step}; "
                f"try a smaller --lr (now {settings.lr}) or --clip 1"
            )


def gradient_gap(pair, batch):
    """Where training has brought the hand-written model, do both sides still compute the same gradient?

    Gives torch the same weights and returns the largest difference of one batch's gradients, relative to the largest
    entry of all. It tells a wrong gradient (large) from rounding that the training itself made grow (as small as ever).
    """
    pair.torch.load_state_dict({name: torch.tensor(array) for name, array in pair.scratch.params.items()})
    pair.scratch.loss(batch)
    pair.torch.zero_grad()
    pair.torch.loss(batch).backward()
    ours = pair.scratch.backward()
    theirs = {name: p.grad.cpu().numpy() for name, p in pair.torch.named_parameters()}
    largest = max(np.abs(g).max() for g in theirs.values())
    gap = max(np.abs(ours[name] - theirs[name]).max() for name in theirs)
    return float(gap / largest) if gap else 0.0
