"""scratch/training.py on torch: autograd for the backward, torch.optim for the step."""

from dataclasses import dataclass
from itertools import islice
from math import isfinite

import torch


@dataclass(frozen=True)
class Record:
    """What one training step leaves; the fields of scratch.Record."""

    step: int
    epoch: int
    loss: float
    grad_norm: float


def fit(model, dataset, optimizer, steps, clip=None, start=0):
    """Train up to step `steps`; yield a Record after each. Arguments as scratch.fit, a torch.optim optimizer."""
    step = start
    epoch, done = divmod(start, dataset.steps_per_epoch)
    state = _detach(model.state_n) if done and dataset.carry_state else None
    while step < steps:
        for batch in islice(dataset.train_batches(epoch), done, None):
            optimizer.zero_grad()
            loss = model.loss(batch, state)
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), float("inf") if clip is None else clip)
            loss, norm = loss.item(), norm.item()
            if isfinite(loss) and isfinite(norm):
                optimizer.step()
            state = _detach(model.state_n) if dataset.carry_state else None
            step += 1
            yield Record(step, epoch, loss, norm)
            if step == steps:
                return
        epoch, done, state = epoch + 1, 0, None


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
    """Cut the graph: the state's numbers go on to the next batch, the way they came about does not."""
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
