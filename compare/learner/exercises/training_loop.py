"""The exercise `truncated`: a training loop is right if it makes the right calls, with the right values, in order.

The learner's `fit` gets a model, a dataset and an optimizer that note every call as a row of numbers, padded with zeros
to a table of one size, so that it is compared like any other array.
"""

import inspect
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from compare.learner.program.calling import Outcome, call
from compare.learner.program.gradient_names import CannotRun

KINDS = ("no further call", "train_batches", "model.loss", "model.backward", "optimizer.step", "yield Record")
ROWS = 64


def runs():
    """(words, inputs) of every run: batches per epoch, whether they continue each other, steps, largest norm, and
    whether it begins with a state.
    """
    for batches, carry_state, steps, clip, begun in (
        (3, True, 7, 1.0, False),
        (2, False, 5, None, False),
        (3, True, 1, 0.5, False),
        (1, True, 3, None, False),
        (2, True, 5, 14.0, True),
    ):
        continued = "each continuing the one before" if carry_state else "independent of each other"
        limit = f"gradients clipped at {clip:g}" if clip is not None else "no clipping"
        words = f"{steps} steps, {batches} batches per epoch, {continued}; {limit}{'; a state is given' * begun}"
        yield words, {"batches": batches, "carry_state": carry_state, "steps": steps, "clip": clip, "begun": begun}


class Batch:
    def __init__(self, epoch, k):
        self.epoch, self.k = epoch, k


class State:
    """What model.loss leaves in model.state_n: only to be passed on."""

    def __init__(self, step):
        self.step = step


@dataclass
class Stand:
    """Model, dataset and optimizer in one. Each call is a row: its kind and up to four numbers."""

    batches: int
    carry_state: bool
    rows: list = field(default_factory=list)
    state_n: State | None = None
    steps: int = 0

    @property
    def steps_per_epoch(self):
        return self.batches

    def note(self, kind, *numbers):
        self.rows.append([KINDS.index(kind), *numbers, *[0.0] * (4 - len(numbers))])

    def train_batches(self, epoch):
        self.note("train_batches", epoch)
        for k in range(self.batches):
            yield Batch(epoch, k)

    def loss(self, batch, state=None):
        self.note("model.loss", batch.epoch, batch.k, -1 if state is None else getattr(state, "step", np.nan))
        self.steps += 1
        self.state_n = State(self.steps)
        return 2.0 + 1 / self.steps

    def backward(self):
        self.note("model.backward")
        norm, direction = 5.0 * self.steps, np.array([3.0, 4.0]) / 5
        return {"weight": norm * direction[:1], "bias": norm * direction[1:]}

    def step(self, grads):
        self.note("optimizer.step", *(float(g[0]) for g in grads.values()))


class Loop:
    """The learner's fit, as something to run on a Case."""

    keeps_state = True

    def __init__(self, fit):
        self.fit = fit

    def run(self, case):
        stand, steps = Stand(case.inputs["batches"], case.inputs["carry_state"]), case.inputs["steps"]
        known = {"model": stand, "dataset": stand, "optimizer": stand, "steps": steps, "clip": case.inputs["clip"]}
        if case.inputs["begun"]:
            known["state"] = State(0)
        records = call(self.fit, known, list(known))
        if not inspect.isgenerator(records) and not hasattr(records, "__next__"):
            raise CannotRun("fit must be a generator: `yield Record(...)` after each step")
        for record in islice(records, steps + 3):
            try:
                numbers = record.step, record.epoch, record.loss, record.grad_norm
            except AttributeError as error:
                raise CannotRun("fit must yield a Record(step, epoch, loss, grad_norm) after each step") from error
            stand.note("yield Record", *map(float, numbers))
        if stand.rows and stand.rows[-1][0] == KINDS.index("train_batches"):  # no batch of it was used
            stand.rows.pop()
        table = np.zeros((ROWS, 5))
        table[: len(stand.rows)] = stand.rows[:ROWS]
        return Outcome({"the calls": table})

    def run_twice(self, case, *, both):
        return [self.run(case).outputs, self.run(case).outputs]


def in_words(row) -> str:
    kind, *numbers = row
    match KINDS[int(kind)]:
        case "train_batches":
            words = f"(epoch {numbers[0]:g})"
        case "model.loss":
            states = {-1: "state None", 0: "the state given to fit"}
            state = states.get(numbers[2], f"the state left by step {numbers[2]:g}")
            words = f"(batch {numbers[1]:g} of epoch {numbers[0]:g}, {state})"
        case "optimizer.step":
            words = f"(gradients of norm {np.hypot(*numbers[:2]):.6g})"
        case "yield Record":
            words = "(step {:g}, epoch {:g}, loss {:.6g}, grad_norm {:.6g})".format(*numbers)
        case _:
            words = ""
    return KINDS[int(kind)] + words


def first_difference(got, expected) -> str:
    """The first call that differs, in words."""
    k = int(np.argmax((got != expected).any(axis=1)))
    step = int((expected[: k + 1, 0] == KINDS.index("model.loss")).sum())
    return f"in step {max(step, 1)}, found: {in_words(got[k])}; expected: {in_words(expected[k])}"
