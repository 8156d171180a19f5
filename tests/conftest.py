import os
import re
from functools import cache

import pytest
from hypothesis import HealthCheck, settings

import compare  # noqa: F401  one thread for NumPy, said before NumPy is loaded

try:
    import torch
except ImportError:  # the tests of scratch/ and data/ alone need no torch
    pass
else:
    torch.set_num_threads(1)  # two libraries' workers waiting for each other cost more than two cores give

# default: the same examples at every run, for users; thorough: many more, at random, with a blob that replays a failure
slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("default", max_examples=30, deadline=None, derandomize=True, suppress_health_check=slow)
settings.register_profile("thorough", max_examples=10_000, deadline=None, print_blob=True, suppress_health_check=slow)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@cache
def imports_torch(path):
    """Does a file import torch, or a command with its tables, at its top? Then all its tests need more than NumPy.

    Where only some do, they carry the mark.
    """
    needing = r"^(import (torch|nbformat)|from torch|from compare\.(__main__|learner import (check|exercise)\b))"
    return re.search(needing, path.read_text(encoding="utf-8"), re.MULTILINE) is not None


def pytest_ignore_collect(collection_path, config):
    """With -m "not torch" such a file is not even loaded: torch may not be there."""
    if config.option.markexpr == "not torch" and collection_path.suffix == ".py" and imports_torch(collection_path):
        return True


@pytest.hookimpl(tryfirst=True)  # before the tests are chosen by their marks
def pytest_collection_modifyitems(items):
    for item in items:
        if imports_torch(item.path):
            item.add_marker("torch")
