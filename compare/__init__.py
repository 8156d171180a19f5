"""Drives scratch/ and torch_impl/ on the same batches from the same weights, and shows the difference."""

import os

# One thread for NumPy's matrix products, said before NumPy is loaded: the two sides train side by side, a core each,
# and the same numbers come out on every machine. A number of your own in the environment goes before this one.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")


def __getattr__(name):
    if name == "check_backward":  # imported when it is asked for: no command but `check` needs it
        from compare.learner.function import check_backward

        return check_backward
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
