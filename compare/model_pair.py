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
KEPT = {"m", "v", "b", "s", "t"}  # the names under which scratch's optimizers keep something from step to step


class Diverged(UserError):
    """A number became inf or nan: in scratch, in torch or in both (`sides`), at a step or at the evaluation after it.

    `entered` has the state with which each side began the step; it is None for the evaluation.
    """

    def __init__(self, message, sides, step, entered):
        super().__init__(message)
        self.sides, self.step, self.entered = sides, step, entered


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


def optimizer_numbers(settings):
    """The keywords of the optimizer's class, the same in scratch and in torch.optim."""
    numbers = dict(lr=settings.lr, weight_decay=settings.weight_decay)
    if settings.optimizer in ("sgd", "rmsprop"):
        numbers["momentum"] = settings.momentum
    if settings.optimizer == "sgd":
        numbers["nesterov"] = settings.nesterov
    return numbers


def optimizers(settings, pair):
    """scratch's and torch's optimizer with the same numbers."""
    name, numbers = OPTIMIZER_CLASSES[settings.optimizer], optimizer_numbers(settings)
    return getattr(scratch, name)(pair.scratch.params, **numbers), getattr(torch.optim, name)(
        pair.torch.parameters(), **numbers
    )


def train(settings, dataset, pair, optimizers, start=0):
    """Train both from step `start` to the last; yield (scratch's record, torch's record) for every step.

    Each side has a thread of its own and computes one step while the other does: two cores, one thread each, and
    neither waits for more than the slower one. Raises Diverged at the first loss or gradient that is not finite, before
    it gets into the weights.
    """
    by_hand, by_torch = optimizers
    records = scratch.fit(pair.scratch, dataset, by_hand, settings.steps, settings.clip, start)
    torch_records = torch_impl.fit(pair.torch, dataset, by_torch, settings.steps, settings.clip, start)
    with ThreadPoolExecutor(1) as other:
        for step in range(start, settings.steps):
            carried = dataset.carry_state and step % dataset.steps_per_epoch
            entered = {side: getattr(pair, side).state_n if carried else None for side in ("scratch", "torch")}
            theirs = other.submit(next, torch_records)
            ours = next(records)
            theirs = theirs.result()
            must_be_finite(settings, ours.step, "loss", ours.loss, theirs.loss, entered)
            must_be_finite(settings, ours.step, "gradient's norm", ours.grad_norm, theirs.grad_norm, entered)
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


def must_be_finite(settings, step, what, ours, theirs, entered=None):
    values = {"scratch": ours, "torch": theirs}
    sides = [side for side, value in values.items() if not isfinite(value)]
    if sides:
        became = " and ".join(f"the {side} {what} became {values[side]}" for side in sides)
        beside = "".join(f" ({side}: {value:.4g})" for side, value in values.items() if side not in sides)
        raise Diverged(f"{settings.task}: {became} at step {step}{beside}", sides, step, entered)


def snapshot(pair, optimizers):
    """All that training goes on from, a dict of arrays: weights, what the optimizers keep, the last states."""
    by_hand, by_torch = optimizers
    ours = {f"weights/{name}": p for name, p in pair.scratch.params.items()}
    for name in KEPT & vars(by_hand).keys():
        value = getattr(by_hand, name)
        ours |= {name: value} if name == "t" else {f"{name}/{p}": array for p, array in value.items()}
    ours |= {f"state/{k}": s for k, s in enumerate(_parts(pair.scratch.state_n))}

    theirs = {f"weights/{name}": p for name, p in pair.torch.state_dict().items()}
    for k, kept in by_torch.state_dict()["state"].items():
        theirs |= {f"optimizer/{k}/{name}": tensor for name, tensor in kept.items()}
    theirs |= {f"state/{k}": s.detach() for k, s in enumerate(_parts(pair.torch.state_n))}

    ours = {f"scratch/{name}": np.asarray(array) for name, array in ours.items()}
    return ours | {f"torch/{name}": tensor.cpu().numpy() for name, tensor in theirs.items()}


def restore(pair, optimizers, arrays):
    """Bring models and optimizers, built from the same settings, to where `snapshot` found them.

    Raises UserError when the arrays are another model's.
    """
    by_hand, by_torch = optimizers

    def under(prefix):
        return {name.removeprefix(prefix): a.copy() for name, a in sorted(arrays.items()) if name.startswith(prefix)}

    expected = {name: (p.shape, p.dtype) for name, p in pair.scratch.params.items()}
    for side in ("scratch", "torch"):
        if {name: (a.shape, a.dtype) for name, a in under(f"{side}/weights/").items()} != expected:
            raise UserError("it holds another model's weights")

    for name, p in pair.scratch.params.items():
        p[...] = arrays[f"scratch/weights/{name}"]
    for name in KEPT & vars(by_hand).keys():
        setattr(by_hand, name, int(arrays["scratch/t"]) if name == "t" else under(f"scratch/{name}/"))
    pair.scratch.state_n = _together(list(under("scratch/state/").values()))

    pair.torch.load_state_dict({name: torch.tensor(a) for name, a in under("torch/weights/").items()})
    state = {}
    for name, array in under("torch/optimizer/").items():
        k, name = name.split("/")
        state.setdefault(int(k), {})[name] = torch.tensor(array)
    by_torch.load_state_dict(by_torch.state_dict() | {"state": state})
    device = pair.torch.linear.weight.device
    pair.torch.state_n = _together([torch.tensor(a, device=device) for a in under("torch/state/").values()])


def _parts(state):
    """h, for an LSTM h and c, before any training nothing: as a list."""
    if state is None:
        return []
    return list(state) if isinstance(state, tuple) else [state]


def _together(parts):
    """The inverse of `_parts`."""
    return tuple(parts) if len(parts) > 1 else parts[0] if parts else None


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
