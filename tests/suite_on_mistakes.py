"""Run tests/parity and tests/scratch on every mistake of the catalogue: do they see it, and what do they say?

    python tests/suite_on_mistakes.py [NAME ...]

prints a line of JSON per mistake: name, file, the exit status of `pytest -x --plant NAME`, how many lines it printed,
and what it printed. A failing example is not simplified, since one failure is enough. torch and hypothesis are loaded
once; each mistake gets a fork of this process.
"""

import contextlib
import gc
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main(names):
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    importlib.import_module("compare")  # one thread for NumPy, set before torch loads it
    import hypothesis  # noqa: F401  what takes long to load, and does not know scratch
    import pytest  # noqa: F401
    import torch

    from compare.mistakes.catalogue import BY_NAME

    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first optimizer loads much of torch
    gc.freeze()  # no child searches what was loaded so far
    running, waiting = {}, list(names or BY_NAME)
    while running or waiting:
        while waiting and len(running) < os.cpu_count():
            name = waiting.pop(0)
            output = tempfile.NamedTemporaryFile(mode="w+", suffix=".txt")  # noqa: SIM115  closed when it was read
            running[run_tests(name, output)] = name, output
        pid, status = os.wait()
        name, output = running.pop(pid)
        with output:
            output.seek(0)
            text = output.read()
        result = dict(name=name, file=BY_NAME[name].file, status=os.waitstatus_to_exitcode(status))
        print(json.dumps(result | dict(lines=len(text.splitlines()), text=text)), flush=True)


def run_tests(name, output):
    """Start the tests on one mistake in a child process; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 3
    try:
        import pytest

        for module in [m for m in sys.modules if m.split(".")[0] in ("compare", "scratch", "data", "torch_impl")]:
            del sys.modules[module]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            options = ["-x", "-n0", "-p", "no:cacheprovider", "--hypothesis-profile=quick", f"--plant={name}"]
            status = pytest.main([*options, "tests/parity", "tests/scratch"])
            output.flush()
    finally:
        os._exit(int(status))


if __name__ == "__main__":
    main(sys.argv[1:])
