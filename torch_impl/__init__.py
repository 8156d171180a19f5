"""The same sequence model on torch.nn with autograd: what scratch/ is compared with."""

from torch_impl.model import SequenceModel
from torch_impl.training import Record, evaluate, fit

__all__ = ["Record", "SequenceModel", "evaluate", "fit"]
