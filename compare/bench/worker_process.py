"""What `compare bench` times, one side in a process of its own: training steps, their matrix products, long sequences.

A process of its own, because OpenBLAS's threads go on spinning for a tenth of a second after their last product: in one
process with torch they would take the second core from it. Nothing of the other side is imported here.
"""

import contextlib
import gc
import importlib
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

V = 65  # characters
LEARNING_RATE = 0.1


def serve(side, threads, connection):
    """Answer requests (name, arguments) with what the function of that name in this module returns, until None."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which then ends this process
    if side == "torch":
        import torch

        torch.set_num_threads(threads)
    if side == "unkept":  # scratch without the block that it allocates and frees when it is loaded
        right, np.empty = np.empty, lambda *_: None
        importlib.import_module("scratch")
        np.empty = right
    with contextlib.suppress(EOFError, ConnectionError):  # the parent has gone
        while (request := connection.recv()) is not None:
            name, arguments = request
            try:
                connection.send((True, globals()[name](side, *arguments)))
            except MemoryError:
                connection.send((False, "not enough memory"))


prepared = {}  # (side, what, cell, B, T, H) -> a function that does it once


def seconds(side, what, cell, B, T, H, repeats):
    """The mean time of one run of `what`, over `repeats`; the first call also builds it and runs it once."""
    key = (side, what, cell, B, T, H)
    if key not in prepared:
        if any(other[2:] != key[2:] for other in prepared):
            prepared.clear()  # one size at a time in memory
            gc.collect()
        prepared[key] = maker(side, what)(cell, B, T, H)
        prepared[key]()
    run = prepared[key]
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - start) / repeats


def maker(side, what):
    """The function that builds `what`; "step without NAME" is a step without the trick of that name."""
    if side == "torch":
        return step_by_torch
    what, _, trick = what.partition(" without ")
    if trick:
        from compare.bench.ablations import TRICKS
        from compare.mistakes.plant import planted

        changed = planted(next(t for t in TRICKS if t.name == trick))
        return partial({"step": step_by_hand, "unfolded": unfolded}[what], scratch=changed)
    return {"step": step_by_hand, "unfolded": unfolded, "floor": floor}[what]


def batch_of(B, T):
    from data import Batch

    rng = np.random.default_rng(0)
    return Batch(rng.integers(V, size=(T, B)), rng.integers(V, size=(T, B)))


def step_by_hand(cell, B, T, H, scratch=None):
    """Embedding -> cell -> Linear -> cross-entropy at every step; backward; SGD."""
    if scratch is None:
        import scratch
    model = scratch.SequenceModel(cell, V, hidden_size=H, vocab_size=V, rng=np.random.default_rng(0))
    optimizer, batch = scratch.SGD(model.params, LEARNING_RATE), batch_of(B, T)

    def run():
        model.loss(batch)
        optimizer.step(model.backward())

    return run


def unfolded(cell, B, T, H, scratch=None):
    """The same without the short cut that torch.nn does not take: every place's row of the table is multiplied."""
    if scratch is None:
        import scratch
    rng = np.random.default_rng(0)
    embedding = scratch.Embedding(V, H, rng=rng)
    recurrent = {"rnn": scratch.RNN, "gru": scratch.GRU, "lstm": scratch.LSTM}[cell](H, H, rng=rng)
    linear = scratch.Linear(H, V, rng=rng)
    layers, batch = (embedding, recurrent, linear), batch_of(B, T)
    optimizers = [scratch.SGD(layer.params, LEARNING_RATE) for layer in layers]

    def run():
        y, _ = recurrent.forward(embedding.forward(batch.inputs))
        _, dlogits = scratch.cross_entropy(linear.forward(y), batch.targets)
        dx, _ = recurrent.backward(linear.backward(dlogits))
        embedding.backward(dx)
        for optimizer, layer in zip(optimizers, layers, strict=True):
            optimizer.step(layer.grads)

    return run


def step_by_torch(cell, B, T, H):
    import torch

    import torch_impl

    model = torch_impl.SequenceModel(cell, V, hidden_size=H, vocab_size=V)
    optimizer, batch = torch.optim.SGD(model.parameters(), LEARNING_RATE), batch_of(B, T)

    def run():
        optimizer.zero_grad()
        model.loss(batch).backward()
        optimizer.step()

    return run


def floor(cell, B, T, H):
    """Only the matrix products that a step by hand cannot do without, same shapes, into arrays that are there."""
    N = {"rnn": 1, "gru": 3, "lstm": 4}[cell] * H
    rng = np.random.default_rng(0)

    def array(*shape):
        return rng.standard_normal(shape, np.float32)

    h, a, W, W_T = array(B, H), array(B, N), array(N, H), array(H, N)
    h_rows, a_rows, logits, one_hot, table = (
        array(T * B, H),
        array(T * B, N),
        array(T * B, V),
        array(V, T * B),
        array(V, H),
    )
    products = [
        *T * [(h, W_T)],  # h_{t-1} and W_hh, forward
        *T * [(a, W)],  # da_t and W_hh, backward
        (a_rows.T, h_rows),  # dW_hh
        (table, W_T),  # the table of W_ih x, for all ids
        (one_hot, a_rows),  # dtable
        (array(N, V), table),  # dW_ih
        (array(V, N), W),  # dembedding
        (h_rows, array(H, V)),  # Linear, forward
        (logits.T, h_rows),
        (logits, array(V, H)),
    ]
    outs = {}
    products = [(x, y, outs.setdefault((len(x), y.shape[1]), array(len(x), y.shape[1]))) for x, y in products]

    def run():
        for x, y, out in products:
            np.matmul(x, y, out=out)

    return run


def peak_memory(side, what, cell, B, T, H):
    """(bytes, seconds): how far one forward and backward of a layer raises the memory of this process above what was
    there, the input and the upstream gradient among it; and its time. bytes is None where the system does not tell.

    what: "layer" on numbers x (T, B, H); "sequence" on ids, with a loss whose gradient is made from y, so that nothing
    but ids has to be there; "checkpointed" likewise.
    """
    prepared.clear()
    run = {"scratch": long_by_hand, "torch": long_by_torch}[side](what, cell, B, T, H)
    gc.collect()
    before = reset_peak()
    start = time.perf_counter()
    run()
    elapsed = time.perf_counter() - start
    used = None if before is None else status("VmHWM") - before
    if elapsed < 1:  # a short run is timed again, when its memory is there; a long one makes that no difference
        start = time.perf_counter()
        run()
        elapsed = time.perf_counter() - start
    return used, elapsed


def long_by_hand(what, cell, B, T, H):
    import scratch
    from scratch import checkpointed

    rng = np.random.default_rng(0)
    layer = {"rnn": scratch.RNN, "gru": scratch.GRU, "lstm": scratch.LSTM}[cell](H, H, rng=rng)
    embedding = rng.standard_normal((V, H), np.float32)
    if what == "layer":
        x, dy = rng.standard_normal((T, B, H), np.float32), rng.standard_normal((T, B, H), np.float32)

        def run():
            layer.forward(x)
            return layer.backward(dy)

    else:
        ids = rng.integers(V, size=(T, B))

        def run():  # the loss is half the sum of squares of y: its gradient is y
            if what == "checkpointed":
                return checkpointed.gradients(
                    layer, ids, lambda y, _: (0.5 * float(np.vdot(y, y)), y), embedding=embedding
                )
            y, _ = layer.forward(ids, embedding=embedding)
            return layer.backward(y)

    return run


def long_by_torch(what, cell, B, T, H):
    import torch

    layer = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](H, H)
    embedding = torch.nn.Embedding(V, H)
    if what == "layer":
        x, dy = torch.randn(T, B, H, requires_grad=True), torch.randn(T, B, H)

        def run():
            layer(x)[0].backward(dy)

    else:
        ids = torch.randint(V, (T, B))

        def run():
            y, _ = layer(embedding(ids))
            (0.5 * y.square().sum()).backward()

    return run


def status(field):
    """A figure of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in /proc/self/status")


def reset_peak():
    """Bytes in use now; the peak counts from here. None where the system has no such thing."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return status("VmRSS")
    except OSError:
        return None


def versions(side):
    """What computes on this side, in a line: the library, its BLAS with the kernel that it chose, and the threads."""
    if side == "torch":
        import torch

        blas = "MKL" if torch.backends.mkl.is_available() else "its own BLAS"
        lstm = "oneDNN for the LSTM" if torch.backends.mkldnn.is_available() else "no oneDNN"
        return f"torch {torch.__version__} with {blas}, {lstm}"
    (blas,) = (found for found in threadpool_info() if found["user_api"] == "blas")
    return f"numpy {np.__version__} with {blas['internal_api']} {blas['version']}, kernel {blas['architecture']}"
