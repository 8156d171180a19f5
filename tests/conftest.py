import os

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
