"""The training loop, as a generator: one record a step, so that two models can be trained in turn."""

from dataclasses import dataclass

from scratch.optimizers import clip_grad_norm


@dataclass(frozen=True)
class Record:
    """What one training step leaves: its number from 1, its epoch from 0, loss and gradient norm before clipping."""

    step: int
    epoch: int
    loss: float
    grad_norm: float


def fit(model, dataset, optimizer, steps, clip=None):
    """Train for a number of steps; yield a Record after each.

    dataset: one of `data`'s; clip: the largest norm of the gradient, None for no limit.
    Truncated back-propagation: where the dataset's batches continue each other (`carry_state`), the state is carried
    from batch to batch and starts at zero with every epoch. Only its numbers are: nothing is kept of how they came
    about, so the gradient stops where the batch begins.
    """
    step, epoch = 0, 0
    while step < steps:
        state = None
        for batch in dataset.train_batches(epoch):
            loss = model.loss(batch, state)
            grads = model.backward()
            norm = clip_grad_norm(grads, float("inf") if clip is None else clip)  # scales grads in place
            optimizer.step(grads)
            state = model.state_n if dataset.carry_state else None
            step += 1
            yield Record(step, epoch, loss, float(norm))
            if step == steps:
                return
        epoch += 1


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
