"""The training loop, as a generator: one record a step, so that two models can be trained in turn."""

from dataclasses import dataclass
from itertools import islice
from math import isfinite

from scratch.optimizers import clip_grad_norm


@dataclass(frozen=True)
class Record:
    """What one training step leaves: its number from 1, its epoch from 0, loss and gradient norm before clipping."""

    step: int
    epoch: int
    loss: float
    grad_norm: float


def fit(model, dataset, optimizer, steps, clip=None, start=0):
    """Train up to step `steps`; yield a Record after each.

    dataset: one of `data`'s; clip: the largest norm of the gradient, None for no limit; start: go on after so many
    steps, for a model (with its state_n) and an optimizer that are as those steps left them.
    Truncated back-propagation: where the dataset's batches continue each other (`carry_state`), the state is carried
    from batch to batch and starts at zero with every epoch. Only its numbers are: nothing is kept of how they came
    about, so the gradient stops where the batch begins.
    A step whose loss or gradient is not finite leaves the weights alone, so that one can still look for the cause.
    """
    step = start
    epoch, done = divmod(start, dataset.steps_per_epoch)  # `done` batches of the epoch are behind us
    state = model.state_n if done and dataset.carry_state else None
    while step < steps:
        for batch in islice(dataset.train_batches(epoch), done, None):
            loss = model.loss(batch, state)
            grads = model.backward()
            norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
            if isfinite(loss) and isfinite(norm):
                optimizer.step(grads)
            state = model.state_n if dataset.carry_state else None
            step += 1
            yield Record(step, epoch, loss, norm)
            if step == steps:
                return
        epoch, done, state = epoch + 1, 0, None


def evaluate(model, dataset):
    """The dataset's metric on its test split, a float, and the predictions for each test batch, a list of arrays."""
    total, count, predictions = 0.0, 0, []
    state = None
    for batch in dataset.test_batches():
        prediction, state = model.logits(batch.inputs, batch.lengths, state if dataset.carry_state else None)
        batch_total, batch_count = dataset.score(prediction, batch)
        total, count = total + batch_total, count + batch_count
        predictions.append(prediction)
    return total / count, predictions
