"""Recurrent networks in NumPy with back-propagation through time written by hand."""

import numpy as np

from scratch.layers import Embedding, Linear
from scratch.losses import cross_entropy, mse
from scratch.model import SequenceModel
from scratch.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, clip_grad_norm
from scratch.recurrent import GRU, LSTM, RNN
from scratch.training import Record, evaluate, fit

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Embedding",
    "Linear",
    "RMSprop",
    "Record",
    "SequenceModel",
    "clip_grad_norm",
    "cross_entropy",
    "evaluate",
    "fit",
    "mse",
]

# glibc gives a freed block back to the system when it is larger than any that was freed so far, and the pages of a new
# one cost more than what a cell computes in them. So free one of the largest size that it heeds, never touched.
np.empty(2**25 - 2**16, np.uint8)
