"""Drives scratch/ and torch_impl/ on the same batches from the same weights, and shows the difference."""

import os

# One thread for NumPy's matrix products, set before NumPy is loaded: both models train at once, one core each, and the
# numbers are the same on every machine. model_pair.use_one_core_each does it where NumPy was loaded first.
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
USER_SETS_THREADS = any(name in os.environ for name in THREADS)
if not USER_SETS_THREADS:
    os.environ |= dict.fromkeys(THREADS, "1")


def __getattr__(name):
    if name == "check_backward":  # imported when it is asked for: no command but `check` needs it
        from compare.learner.function import check_backward

        return check_backward
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
