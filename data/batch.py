"""What a model is given at one training step."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Batch:
    """T steps of B sequences, time first.

    inputs    (T, B) int64 ids, or (T, B, F) floats
    targets   when the model predicts at each step:  (T, B) int64 ids, or (T, B, O) floats
              when it predicts at the last step:     (B,)   int64 ids, or (B, O)    floats
    lengths   (B,) int64, how many of the T steps are real, in any order; None when all of them are
    """

    inputs: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None
