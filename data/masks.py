"""The masks of dropout, drawn once per batch, so that two models that read it drop the same numbers."""

from dataclasses import replace

import numpy as np

MASKS = 2  # the first word of each seed, see data/labelled.py


class Masked:
    """A dataset whose training batches have masks. They depend only on seed, epoch and step.

    p         the probability that a number is dropped
    embedded  E, the numbers per embedded id
    width     D*H, the inputs of the linear layer
    """

    def __init__(self, dataset, p, *, embedded, width):
        self.dataset, self.p, self.embedded, self.width = dataset, p, embedded, width

    def __getattr__(self, name):
        if name == "dataset":  # a copy that is being made has none yet
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def train_batches(self, epoch):
        for step, batch in enumerate(self.dataset.train_batches(epoch)):
            rng = np.random.default_rng([MASKS, self.seed, epoch, step])
            places = batch.inputs.shape[:2]
            inputs = None if self.vocab_size is None else self.draw(rng, (*places, self.embedded))
            outputs = self.draw(rng, (*(places if self.predict == "each" else places[1:]), self.width))
            yield replace(batch, masks=(inputs, outputs))

    def draw(self, rng, shape):
        return rng.random(shape, np.float32) >= self.p
