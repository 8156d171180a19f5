"""The pair: the scratch model and the torch model, built from one configuration and trained on the same batches."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import data
import scratch
import torch_impl
from compare import USER_SETS_THREADS, agreement
from compare.options import OPTIMIZERS, Settings, reading
from data import UserError
from data.masks import Masked

KEPT = {"m", "v", "b", "s", "t"}  # the attributes of scratch's optimizers that change from step to step
TIMED = 3  # steps: the first is slower
MOST_PARAMETERS = 10**8  # half a gigabyte for the weights alone, in float32; optimizers and torch keep as much again


class Diverged(UserError):
    """A loss, gradient norm or metric became inf or nan.

    sides: "scratch", "torch" or both; step: the training step, or the one after which the evaluation came; entered: the
    state with which each side began the step, by side; None for an evaluation.
    """

    def __init__(self, message: str, sides: list[str], step: int, entered: dict | None = None):
        super().__init__(message)
        self.sides, self.step, self.entered = sides, step, entered


@dataclass(frozen=True)
class Pair:
    """The same model twice; `model` holds the arguments of SequenceModel that both were built with, `own` the user's
    parts, see `build`.
    """

    model: dict
    scratch: scratch.SequenceModel
    torch: torch_impl.SequenceModel
    own: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Step(scratch.Record):
    """A training step; accuracy: on its batch, None where the dataset's metric is another."""

    accuracy: float | None


def use_one_core_each() -> None:
    """One thread for NumPy and one for torch, because `train` runs both at once, unless the environment sets threads.

    With more threads than cores, a step takes up to twice as long.
    """
    scratch.keep_freed_memory()
    if not USER_SETS_THREADS:
        threadpool_limits(1, user_api="blas")
        torch.set_num_threads(1)


def load(settings: Settings):
    """The dataset that a Settings names, with masks for dropout. Raises UserError for data that cannot be used."""
    dataset = data.load(
        settings.task,
        settings.data,
        seed=settings.seed,
        batch_size=settings.batch_size,
        window=settings.window,
        dtype=np.dtype(settings.dtype),
        **reading(settings),
    )
    if not settings.dropout:
        return dataset
    width = (1 + settings.bidirectional) * settings.hidden
    return Masked(dataset, settings.dropout, embedded=settings.hidden, width=width)


def build(model: dict, dtype: str, seed: int = 0, device: str = "cpu", weights: dict | None = None, **own) -> Pair:
    """Both models with the same weights: the scratch model draws them or gets `weights`, the torch model copies them.

    model: the arguments of SequenceModel, without dtype; weights: arrays by the names of its `params`, or None; own:
    `cell` in place of the module of scratch, `layers` to make what takes the place of the layer of torch.nn.
    Raises UserError for a device that torch cannot use.
    """
    by_hand = scratch.SequenceModel(**model, dtype=np.dtype(dtype), rng=np.random.default_rng(seed))
    for name, array in (weights or {}).items():
        by_hand.params[name][...] = array
    by_hand.recurrent.cell = own.get("cell", by_hand.recurrent.cell)
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, ModuleNotFoundError) as error:
        raise UserError(f"torch cannot use the device {device!r} here; leave --device out for the cpu") from error
    # float32 is float32 on a GPU, too: TF32, cuDNN's default for RNNs, has 10 bits for the fraction, and curves differ
    torch.backends.cudnn.rnn.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "ieee"
    by_torch = torch_impl.SequenceModel(**model, dtype=getattr(torch, dtype), device=device)
    if "layers" in own:
        by_torch.recurrent = own["layers"](by_hand.recurrent, dtype=getattr(torch, dtype), device=device)
    by_torch.load_state_dict({name: torch.tensor(array) for name, array in by_hand.params.items()})
    return Pair(model, by_hand, by_torch, own)


def model_of(settings: Settings, dataset) -> dict:
    """The arguments of SequenceModel that suit a dataset. Raises UserError for a model that is too large."""
    inputs = dataset.input_size or settings.hidden
    directions = 2 if settings.bidirectional else 1
    upper = (settings.layers - 1) * directions * (directions + 1) * settings.hidden
    parameters = 4 * settings.hidden * (directions * (inputs + settings.hidden) + upper)  # of an LSTM
    if parameters > MOST_PARAMETERS:
        raise UserError(
            f"about {parameters:.1g} parameters are too many to train here; use a smaller --hidden or --layers"
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
        dropout=settings.dropout,
        forget_bias=settings.forget_bias,
    )


def optimizer_numbers(settings: Settings) -> dict:
    """The keywords of the optimizer's class, the same in scratch and in torch.optim."""
    numbers = dict(lr=settings.lr, weight_decay=settings.weight_decay)
    if settings.optimizer in ("sgd", "rmsprop"):
        numbers["momentum"] = settings.momentum
    if settings.optimizer == "sgd":
        numbers["nesterov"] = settings.nesterov
    return numbers


def optimizers(settings: Settings, pair: Pair) -> tuple:
    """scratch's and torch's optimizer with the same numbers."""
    name, numbers = OPTIMIZERS[settings.optimizer], optimizer_numbers(settings)
    by_hand, by_torch = getattr(scratch, name), getattr(torch.optim, name)
    return by_hand(pair.scratch.params, **numbers), by_torch(pair.torch.parameters(), **numbers)


class Remaining:
    """What is left of a dataset's training batches after the first `done` of them."""

    def __init__(self, dataset, done):
        self.dataset, self.carry_state = dataset, dataset.carry_state
        self.epoch, self.batches = divmod(done, dataset.steps_per_epoch)  # epochs, and batches of one, that are done

    def train_batches(self, epoch):
        """The batches of an epoch, where epoch 0 is the one that was begun; `batch` is the latest of them."""
        for batch in islice(self.dataset.train_batches(self.epoch + epoch), 0 if epoch else self.batches, None):
            self.batch = batch
            yield batch


def train(settings: Settings, dataset, pair: Pair, optimizers: tuple, start: int = 0) -> Iterator[tuple]:
    """Train both models from step `start` to the last; yield (scratch's Step, torch's Step) for every step.

    start: how many steps the models, with their `state_n`, and the optimizers have made.
    Each model has a thread of its own: with two cores a step takes as long as the slower of the two.
    Raises Diverged at the first loss or gradient norm that is not finite, and leaves the weights with which that step
    began.
    """
    rest, steps = Remaining(dataset, start), settings.steps - start
    by_hand, by_torch = optimizers
    states = _carried(pair, dataset, start)
    records = scratch.fit(pair.scratch, rest, by_hand, steps, settings.clip, states["scratch"])
    torch_records = torch_impl.fit(pair.torch, rest, by_torch, steps, settings.clip, states["torch"])
    with ThreadPoolExecutor(1) as other:
        for step in range(start, settings.steps):
            weights, entered = _weights(pair), _carried(pair, dataset, step)
            theirs = other.submit(next, torch_records)
            both = (next(records), pair.scratch), (theirs.result(), pair.torch)
            ours, theirs = (
                Step(r.step + start, r.epoch + rest.epoch, r.loss, r.grad_norm, accuracy(dataset, model, rest.batch))
                for r, model in both
            )
            try:
                must_be_finite(settings, ours.step, "loss", ours.loss, theirs.loss, entered)
                must_be_finite(settings, ours.step, "gradient norm", ours.grad_norm, theirs.grad_norm, entered)
            except Diverged:
                for p, before in weights:
                    p[...] = before
                raise
            yield ours, theirs


def accuracy(dataset, model, batch) -> float | None:
    """The accuracy of a model's latest prediction, made in training on this batch; None where there are no classes."""
    if dataset.metric != "accuracy":
        return None
    right, count = dataset.score(torch.as_tensor(model.prediction).cpu(), batch)
    return right / count


def _carried(pair, dataset, step):
    """The state with which each side begins a step, the first being 0; None where it begins at zero."""
    carried = dataset.carry_state and step % dataset.steps_per_epoch
    return {side: getattr(pair, side).state_n if carried else None for side in ("scratch", "torch")}


def _weights(pair):
    """Both models' weights, (array or tensor in use, its copy). Copying takes far less time than a step."""
    ours, theirs = pair.scratch.params.values(), pair.torch.state_dict().values()
    return [(p, p.copy()) for p in ours] + [(p, p.clone()) for p in theirs]


def evaluate(settings: Settings, dataset, pair: Pair, step: int) -> tuple:
    """Both models' held-out metric and predictions: ((value, predictions), (value, predictions)).

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
        other = "".join(f" ({side}: {value:.4g})" for side, value in values.items() if side not in sides)
        raise Diverged(f"{settings.task}: {became} at step {step}{other}", sides, step, entered)


def snapshot(pair: Pair, optimizers: tuple) -> dict[str, np.ndarray]:
    """All that training continues from: weights, what the optimizers keep, the last states."""
    return {name: torch.as_tensor(value).cpu().numpy() for name, value in _kept(pair, optimizers)}


def restore(pair: Pair, optimizers: tuple, arrays: dict[str, np.ndarray], step: int, batch: data.Batch) -> None:
    """Set models and optimizers, built from the same settings, to what `snapshot` found after a step on this batch.

    Raises ValueError when it cannot have found these arrays.
    """
    by_hand, by_torch = optimizers
    # one step creates every array that training continues from; then they are overwritten
    pair.scratch.loss(batch)
    by_hand.step(pair.scratch.backward())
    pair.torch.loss(batch).backward()
    by_torch.step()
    expected, found = _described(snapshot(pair, optimizers)), _described(arrays)
    wrong = [name for name in expected | found if expected.get(name) != found.get(name)]
    wrong += [name for name, a in arrays.items() if name == "scratch/t" or name.endswith("/step") if a != step]
    if wrong:
        raise ValueError(f"{wrong[0]} is that of another model or step")
    for name, value in _kept(pair, optimizers):
        if isinstance(value, torch.Tensor):
            value.copy_(torch.tensor(arrays[name]))
        elif name == "scratch/t":
            by_hand.t = step
        else:
            value[...] = arrays[name]


def _kept(pair, optimizers) -> Iterator[tuple]:
    """(name, array, tensor or number) of all that training continues from; those of torch without their graph."""
    by_hand, by_torch = optimizers
    ours = {name: value for name, value in vars(by_hand).items() if name in KEPT}
    ours |= {"weights": pair.scratch.params, "state": _by_place(pair.scratch.state_n)}
    theirs = {"weights": pair.torch.state_dict(), "state": _by_place(pair.torch.state_n)}
    yield from _flat("scratch", ours)
    yield from _flat("torch", theirs | {"optimizer": by_torch.state_dict()["state"]})


def _by_place(state):
    """A state as a dict: {0: h}, for an LSTM {0: h, 1: c}."""
    return dict(enumerate(state if isinstance(state, tuple) else (state,)))


def _flat(name, value):
    """The values of nested dicts, each with the keys that lead to it: "torch/optimizer/0/step"."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name}/{key}", inner)
    else:
        yield name, value.detach() if isinstance(value, torch.Tensor) else value


def _described(arrays):
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def worst_gradient(pair: Pair, batch) -> tuple[str, float]:
    """Do both models still compute the same loss and gradients where training has brought the scratch model?

    Builds a fresh pair with its weights and computes one batch in float64 on the CPU, so that rounding, also of a GPU,
    is far smaller than what a wrong line does. Returns the array that differs most, "loss" if that does, and its
    largest difference relative to its largest entry (at least agreement.least_size).
    """
    same = build(pair.model, "float64", weights=pair.scratch.params, **pair.own)
    numbers = {name: array for name, array in vars(batch).items() if getattr(array, "dtype", None) == np.float32}
    batch = replace(batch, **{name: array.astype(np.float64) for name, array in numbers.items()})
    ours, theirs = same.scratch.loss(batch), same.torch.loss(batch)
    theirs.backward()
    ours = {"loss": np.float64(ours)} | same.scratch.backward()
    theirs = {"loss": theirs.detach().numpy()} | {name: p.grad.numpy() for name, p in same.torch.named_parameters()}
    least = agreement.least_size(list(theirs.values())[1:])
    scales = {name: max(np.abs(g).max(), least) or 1.0 for name, g in theirs.items()}
    gaps = {
        name: float(np.nan_to_num(np.abs(ours[name] - g).max() / scales[name], nan=np.inf))
        for name, g in theirs.items()
    }
    if gaps["loss"] > agreement.tolerance("float64"):
        return "loss", gaps["loss"]
    name = max(gaps, key=gaps.get)
    return name, gaps[name]


def seconds_per_step(pair: Pair, batch) -> dict[str, float]:
    """How long forward and backward of one batch take, each model alone: the shortest of a few times.

    "cell" is the scratch model with the project's own cell, where the pair has the user's.
    """
    models = {"scratch": pair.scratch, "torch": pair.torch}
    if "cell" in pair.own:
        models["cell"] = scratch.SequenceModel(**pair.model, dtype=pair.scratch.params["linear.bias"].dtype)
    return {name: min(_timed(model, batch) for _ in range(TIMED)) for name, model in models.items()}


def _timed(model, batch):
    began = time.perf_counter()
    loss = model.loss(batch)
    if isinstance(model, scratch.SequenceModel):
        model.backward()
    else:
        loss.backward()
        model.linear.bias.grad.sum().item()  # waits for a GPU
    return time.perf_counter() - began
