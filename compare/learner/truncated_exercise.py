"""The exercise `truncated`: a training loop is right if it makes the right calls in the right order.

The learner's `fit` gets a model, a dataset and an optimizer that record every call. The record is compared with the
calls that a plain loop over the same steps should make.
"""

import inspect
import sys
from dataclasses import dataclass
from itertools import islice

import numpy as np

from compare.learner.adapt import Unfit, call
from compare.learner.attempt import the_function


@dataclass(frozen=True)
class Loop:
    """A run of `fit`: batches per epoch, whether each continues the one before, number of steps, largest norm."""

    batches: int
    carry_state: bool
    steps: int
    clip: float | None

    @property
    def words(self):
        batches = f"{self.batches} batches per epoch, each continuing the one before"
        if not self.carry_state:
            batches = f"{self.batches} independent batches per epoch"
        limit = f"gradients clipped at {self.clip:g}" if self.clip is not None else "no clipping"
        return f"{self.steps} steps, {batches}; {limit}"

    def expected(self):
        """The calls in words, and the records: (step, epoch, loss, norm)."""
        calls, records, step, epoch = [], [], 0, 0
        while step < self.steps:
            calls.append(f"train_batches(epoch {epoch})")
            state = "None"
            for k in range(self.batches):
                step += 1
                norm = norm_of(step)
                scale = 1.0 if self.clip is None else min(1.0, self.clip / (norm + 1e-6))
                calls.append(f"model.loss(batch {k} of epoch {epoch}, state {state})")
                calls.append("model.backward()")
                calls.append(f"optimizer.step(gradients of norm {scale * norm:.6g})")
                records.append((step, epoch, loss_of(step), norm))
                state = f"left by step {step}" if self.carry_state else "None"
                if step == self.steps:
                    break
            epoch += 1
        return calls, records


@dataclass(frozen=True)
class Call:
    """A call: the function, its arguments, the line of the learner's file, the number of values noted before it."""

    what: str
    detail: str
    line: int | None = None
    noted: int = 0

    @property
    def words(self):
        return f"{self.what}({self.detail})"


PROBLEMS = (Loop(3, True, 7, 1.0), Loop(2, False, 5, None), Loop(3, True, 1, 0.5), Loop(1, True, 3, None))


def loss_of(step):
    return 2.0 + 1 / step


def norm_of(step):
    return 5.0 * step


class DatasetAndModel:
    """Model, dataset and optimizer in one: each call is recorded with the learner's line that made it."""

    def __init__(self, loop, file, watch):
        self.loop, self.file, self.watch, self.calls = loop, file, watch, []
        self.carry_state, self.steps_per_epoch = loop.carry_state, loop.batches
        self.steps, self.state_n = 0, None

    def note(self, what, detail=""):
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != self.file:
            frame = frame.f_back
        noted = len(self.watch.notes) if self.watch is not None else 0
        self.calls.append(Call(what, detail, frame.f_lineno if frame is not None else None, noted))

    def train_batches(self, epoch):
        self.note("train_batches", f"epoch {epoch}")
        for k in range(self.loop.batches):
            yield f"batch {k} of epoch {epoch}"

    def loss(self, batch, state=None):
        self.note("model.loss", f"{batch}, state {state}")
        self.steps += 1
        self.state_n = f"left by step {self.steps}"
        return loss_of(self.steps)

    def backward(self):
        self.note("model.backward")
        direction = np.array([3.0, 4.0]) / 5
        return {"weight": norm_of(self.steps) * direction[:1], "bias": norm_of(self.steps) * direction[1:]}

    def step(self, grads):
        norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
        self.note("optimizer.step", f"gradients of norm {norm:.6g}")


def run(module, loop, file, watch=None):
    """Run the learner's fit. Returns its Calls and the records, at most a few more than expected."""
    function = the_function(module, "fit")
    notes = DatasetAndModel(loop, file, watch)
    known = {"model": notes, "dataset": notes, "optimizer": notes, "steps": loop.steps, "clip": loop.clip}
    returned = call(function, known, list(known))
    if not inspect.isgenerator(returned) and not hasattr(returned, "__next__"):
        raise Unfit("fit must be a generator: `yield Record(...)` after each step")
    records = []
    for record in islice(returned, loop.steps + 3):
        try:
            records.append((int(record.step), int(record.epoch), float(record.loss), float(record.grad_norm)))
        except AttributeError as error:
            raise Unfit("fit must yield a Record(step, epoch, loss, grad_norm) after each step") from error
    return notes.calls, records


def first_difference(loop, calls, records):
    """The first difference, in words: (its Call or None, got, expected, where); None when there is none."""
    wanted, wanted_records = loop.expected()
    for k in range(max(len(calls), len(wanted))):
        got = calls[k].words if k < len(calls) else "no further call"
        want = wanted[k] if k < len(wanted) else "no further call"
        if got != want:
            step = sum(words.startswith("model.loss") for words in wanted[: k + 1])
            where = f"after step {step}" if want == "no further call" else f"in step {step}"
            return (calls[min(k, len(calls) - 1)] if calls else None), got, want, where
    for got, want in zip(records, wanted_records, strict=False):
        for name, a, b in zip(("step", "epoch", "loss", "grad_norm"), got, want, strict=True):
            if not abs(a - b) <= 1e-9 * max(1, abs(b)):
                return None, f"{name} {a:g}", f"{name} {b:g}", f"in the record of step {want[0]}"
    if len(records) != len(wanted_records):
        return None, f"{len(records)} records", f"{len(wanted_records)} records", "in the number of records"
    return None


def state_set_at(call, wanted, watch):
    """For a call of model.loss with a wrong state, the line that set the state last; None for any other call."""
    batch = call.detail.split(", state ")[0]
    if call.what != "model.loss" or not wanted.startswith(f"model.loss({batch}, state "):
        return None
    given = call.detail.split(", state ")[1]
    for k, value in reversed(watch.notes[: call.noted]):
        site = watch.sites[k]
        if site.kind == "store" and "state" in site.target and str(value) == given:
            return site.line
    return None
