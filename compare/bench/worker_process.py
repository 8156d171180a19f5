"""What `byhand bench` times. These functions run in a process of their own, one per library, see timing.processes.

So neither library's threads or memory affect the other, and the process of one does not import the other.
"""

import contextlib
import gc
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from compare.bench.ablations import ABLATIONS

V = 65  # characters
LEARNING_RATE = 0.1
LONG_CELL, LONG_B, LONG_H = "lstm", 16, 64  # of long sequences


@dataclass(frozen=True)
class Step:
    """A training step to time: B rows, T time steps, I = H units.

    library: a name of LIBRARIES; inputs: "ids" or "numbers"; without: the name of an Ablation, for scratch alone.
    """

    library: str
    cell: str
    B: int
    T: int
    H: int
    inputs: str = "ids"
    without: str | None = None


def start(library):
    """Prepare a process: one thread, and Ctrl-C ends it without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threadpool_limits(1)
    if library == "torch":
        import torch

        torch.set_num_threads(1)
    elif library == "jax":  # which has no such call: it starts a thread per core that it is allowed to use
        with contextlib.suppress(AttributeError):  # not on this system
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    else:
        import scratch

        scratch.keep_freed_memory()


# ---- time -----------------------------------------------------------------------------------------------------------


def seconds(step: Step, repeats: int) -> float:
    """The mean time of a step over so many repeats. The first call also builds the model and runs it once."""
    run = warmed_up(step)
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


@lru_cache(maxsize=len(ABLATIONS) + 2)  # all that are timed in turn, see timing.costs
def warmed_up(step):
    run = LIBRARIES[step.library](step)
    run()
    return run


def by_hand(step: Step) -> Callable[[], float]:
    """Embedding -> cell -> Linear -> cross-entropy at every step; backward; SGD. A run returns the loss before it."""
    import scratch

    if step.without:
        from compare.mistakes.plant import planted

        (ablation,) = (ablation for ablation in ABLATIONS if ablation.name == step.without)
        scratch = planted(ablation)
    model = scratch.SequenceModel(**model_of(step), rng=np.random.default_rng(0))
    optimizer, batch = scratch.SGD(model.params, LEARNING_RATE), batch_of(step)

    def run():
        loss = model.loss(batch)
        optimizer.step(model.backward())
        return loss

    return run


def by_torch(step: Step, *, in_a_loop: bool = False) -> Callable[[], float]:
    """The same in torch; in_a_loop: with torch_impl/unrolled.py in place of torch.nn's recurrent layer."""
    import torch

    import torch_impl

    model = torch_impl.SequenceModel(**model_of(step))
    optimizer, batch = torch.optim.SGD(model.parameters(), LEARNING_RATE), batch_of(step)

    def run():
        optimizer.zero_grad()
        loss = model.loss(batch, kept=[] if in_a_loop else None)
        loss.backward()
        optimizer.step()
        return loss.item()

    return run


def by_jax(step: Step) -> Callable[[], float]:
    """The same in JAX, from the same weights as by_hand. The first run compiles."""
    import scratch
    from compare.bench import jax_step

    params = scratch.SequenceModel(**model_of(step), rng=np.random.default_rng(0)).params
    params = {name: jax_step.jnp.array(p) for name, p in params.items()}
    batch = batch_of(step)

    def run():
        nonlocal params
        params, loss = jax_step.sgd_step(params, step.cell, batch.inputs, batch.targets, LEARNING_RATE)
        return float(loss)

    return run


LIBRARIES = {"scratch": by_hand, "torch": by_torch, "torch loop": partial(by_torch, in_a_loop=True), "jax": by_jax}


def model_of(step):
    """The arguments of SequenceModel."""
    size = {"vocab_size": V} if step.inputs == "ids" else {"input_size": step.H}
    return dict(cell=step.cell, output_size=V, hidden_size=step.H, **size)


def batch_of(step):
    from data import Batch

    rng = np.random.default_rng(0)
    ids = rng.integers(V, size=(step.T, step.B))
    inputs = ids if step.inputs == "ids" else rng.standard_normal((step.T, step.B, step.H), np.float32)
    return Batch(inputs, rng.integers(V, size=(step.T, step.B)))


def scan_seconds(width: int, T: int, calls: int = 50) -> tuple[float, float]:
    """The least time of the loop and of the doubling scan over T steps of so many numbers, called in turn."""
    from scratch import scan

    rng = np.random.default_rng(0)
    a, b, h_0 = (rng.random(shape, np.float32) for shape in ((T, width), (T, width), (width,)))
    times = {scan.loop: [], scan.doubling: []}
    for _ in range(calls):
        for way, found in times.items():
            start = time.perf_counter()
            way(a, b, h_0)
            found.append(time.perf_counter() - start)
    return tuple(map(min, times.values()))


# ---- memory ---------------------------------------------------------------------------------------------------------


def peak_memory(kind: str, T: int) -> tuple[int | None, float]:
    """(bytes, seconds) of one forward and backward of a layer on ids; bytes is None if the system does not report it.

    kind: "scratch", "checkpointed" (scratch in little memory) or "torch". The bytes are by how much this process's
    memory rises at its peak; the ids were there before. The loss is half the sum of squares of y, whose gradient is y.
    """
    run = LONG_RUNS[kind](T)
    gc.collect()
    before = reset_peak()
    start = time.perf_counter()
    run()
    elapsed = time.perf_counter() - start
    used = None if before is None else status("VmHWM") - before
    if elapsed < 1:  # a short run is timed again, now that its memory is allocated; for a long one it does not matter
        start = time.perf_counter()
        run()
        elapsed = time.perf_counter() - start
    return used, elapsed


def long_by_hand(T, *, checkpointed=False):
    import scratch
    from scratch.checkpointed import gradients

    rng = np.random.default_rng(0)
    layer = scratch.CELLS[LONG_CELL][0](LONG_H, LONG_H, rng=rng)
    ids, embedding = rng.integers(V, size=(T, LONG_B)), rng.standard_normal((V, LONG_H), np.float32)

    def half_sum_of_squares(y, _):
        return 0.5 * float(np.vdot(y, y)), y

    def run():
        y, _ = layer.forward(ids, embedding=embedding)
        layer.backward(y)

    return partial(gradients, layer, ids, half_sum_of_squares, embedding=embedding) if checkpointed else run


def long_by_torch(T):
    import torch

    from torch_impl.model import CELLS

    layer = CELLS[LONG_CELL][0](LONG_H, LONG_H)
    embedding, ids = torch.nn.Embedding(V, LONG_H), torch.randint(V, (T, LONG_B))

    def run():
        y, _ = layer(embedding(ids))
        (0.5 * y.square().sum()).backward()

    return run


LONG_RUNS = {
    "scratch": long_by_hand,
    "checkpointed": partial(long_by_hand, checkpointed=True),
    "torch": long_by_torch,
}


def status(field):
    """An entry of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in /proc/self/status")


def reset_peak():
    """The bytes in use now, from which the peak is counted; None where the system cannot do that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return status("VmRSS")
    except OSError:
        return None


# ---- versions -------------------------------------------------------------------------------------------------------


def version(library: str) -> str:
    """One line: the library, and its BLAS with the kernel that it chose."""
    if library == "torch":
        import torch

        blas = "MKL" if torch.backends.mkl.is_available() else "its own BLAS"
        lstm = "oneDNN for the LSTM" if torch.backends.mkldnn.is_available() else "no oneDNN"
        return f"torch {torch.__version__} with {blas}, {lstm}"
    (blas,) = (found for found in threadpool_info() if found["user_api"] == "blas")
    return f"numpy {np.__version__} with {blas['internal_api']} {blas['version']}, kernel {blas['architecture']}"
