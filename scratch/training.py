"""The training loop, as a generator: one record per step, so that two models can be trained in turn."""

from dataclasses import dataclass
from itertools import islice

from scratch.optimizers import clip_grad_norm


@dataclass(frozen=True)
class Record:
    """One training step: its number from 1, its epoch from 0, the loss, and the gradient norm before clipping."""

    step: int
    epoch: int
    loss: float
    grad_norm: float


def fit(model, dataset, optimizer, steps, clip=None, state=None):
    """Train on `steps` batches; yield a Record after each.

    dataset: one of `data`'s; clip: the largest norm of the gradient, None for no limit; state: the state to begin with,
    None for zeros.
    Truncated back-propagation: where the dataset's batches continue each other (`carry_state`), the state is carried
    from batch to batch and starts at zero in every epoch. Only its numbers are carried, not how they were computed, so
    the gradient stops where the batch begins.
    """
    step = epoch = 0
    while step < steps:
        for batch in islice(dataset.train_batches(epoch), steps - step):
            loss = model.loss(batch, state)
            grads = model.backward()
            norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))  # scales grads in place
            optimizer.step(grads)
            state = model.state_n if dataset.carry_state else None
            step += 1
            yield Record(step, epoch, loss, norm)
        epoch, state = epoch + 1, None


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
