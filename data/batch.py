"""The input and the targets of one training step."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Batch:
    """T steps of B sequences, time first.

    inputs    (T, B) int64 ids, or (T, B, F) floats
    targets   if the model predicts at each step:  (T, B) int64 ids, or (T, B, O) floats
              if it predicts at the last step:     (B,)   int64 ids, or (B, O)    floats
    lengths   (B,) int64, the number of real steps per sequence, in any order; None if all T steps are real
    masks     which numbers dropout keeps (bool): of the embedded inputs (T, B, E), None for floats, and of what the
              linear layer reads, (T, B, D*H) or (B, D*H); None for no dropout, as in evaluation
    """

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None
    masks: tuple[np.ndarray | None, np.ndarray] | None = None
