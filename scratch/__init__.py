"""Recurrent networks in NumPy with back-propagation through time written by hand."""

from scratch.layers import Dropout, Embedding, Linear
from scratch.losses import cross_entropy, mse
from scratch.memory import keep_freed_memory
from scratch.model import CELLS, SequenceModel, file_of, module_of
from scratch.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop, clip_grad_norm
from scratch.recurrent import GRU, LSTM, RNN, MinGRU
from scratch.training import Record, evaluate, fit

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Dropout",
    "Embedding",
    "Linear",
    "MinGRU",
    "RMSprop",
    "Record",
    "SequenceModel",
    "clip_grad_norm",
    "cross_entropy",
    "evaluate",
    "file_of",
    "fit",
    "keep_freed_memory",
    "module_of",
    "mse",
]
