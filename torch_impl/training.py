"""scratch/training.py on torch: autograd for the backward, torch.optim for the step."""

from dataclasses import dataclass
from itertools import islice

import torch


@dataclass(frozen=True)
class Record:
    """One training step; the fields of scratch.Record."""

    step: int
    epoch: int
    loss: float
    grad_norm: float


def fit(model, dataset, optimizer, steps, clip=None, state=None):
    """Train on `steps` batches; yield a Record after each. Arguments as scratch.fit, with a torch.optim optimizer."""
    step = epoch = 0
    while step < steps:
        for batch in islice(dataset.train_batches(epoch), steps - step):
            optimizer.zero_grad()
            loss = model.loss(batch, _detach(state))
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), float("inf") if clip is None else clip)
            optimizer.step()
            state = model.state_n if dataset.carry_state else None
            step += 1
            yield Record(step, epoch, loss.item(), norm.item())
        epoch, state = epoch + 1, None


@torch.no_grad()
def evaluate(model, dataset):
    """The dataset's metric on its test split and the predictions for each test batch, as scratch.evaluate."""
    total, count, predictions = 0.0, 0, []
    state = None
    for batch in dataset.test_batches():
        prediction, state = model.logits(batch.inputs, batch.lengths, state if dataset.carry_state else None)
        predictions.append(prediction.cpu().numpy())
        batch_total, batch_count = dataset.score(predictions[-1], batch)
        total, count = total + batch_total, count + batch_count
    return total / count, predictions


def _detach(state):
    """Cut the graph: the numbers of the state are carried to the next batch, not how they were computed."""
    if isinstance(state, tuple):
        return tuple(s.detach() for s in state)
    return state if state is None else state.detach()
