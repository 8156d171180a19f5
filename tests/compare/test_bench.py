"""`byhand bench`: it measures what it says, and prints what it measured. No test here looks at a time."""

import json
import math

import numpy as np
import pytest
import torch
from helpers import overlapping, texts_of
from rich.console import Console

import scratch
import torch_impl
from compare.__main__ import main
from compare.agreement import assert_all_same
from compare.bench import plot, tables, timing, worker_process
from compare.bench.ablations import ABLATIONS
from compare.bench.worker_process import Step
from compare.mistakes.plant import planted


@pytest.mark.parametrize("inputs", ["ids", "numbers"])
@pytest.mark.parametrize("cell", timing.CELLS)
def test_both_libraries_train_the_same_network(cell, inputs):
    """What is timed as a step has the same parameters in both, and training lowers the loss of both."""
    torch.manual_seed(0)
    step = Step("scratch", cell, B=2, T=3, H=4, inputs=inputs)
    by_hand = scratch.SequenceModel(**worker_process.model_of(step))
    by_torch = torch_impl.SequenceModel(**worker_process.model_of(step))
    shapes = {name: tuple(p.shape) for name, p in by_torch.named_parameters()}
    assert {name: p.shape for name, p in by_hand.params.items()} == shapes
    for run in (
        worker_process.by_hand(step),
        worker_process.by_torch(step),
        worker_process.LIBRARIES["torch loop"](step),
    ):
        losses = [run() for _ in range(20)]
        assert losses[0] == pytest.approx(math.log(worker_process.V), rel=0.1)  # the weights are still random
        assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("ablation", ABLATIONS, ids=lambda ablation: ablation.name)
def test_without_an_optimization_it_is_the_same_network(ablation):
    """The same loss in each of several steps, and the same gradients of a layer, for ids and for numbers."""
    step = Step("scratch", "lstm", B=8, T=12, H=5, inputs=ablation.inputs)
    whole = worker_process.by_hand(step)
    without = worker_process.by_hand(Step("scratch", "lstm", 8, 12, 5, ablation.inputs, ablation.name))
    np.testing.assert_allclose([without() for _ in range(5)], [whole() for _ in range(5)], rtol=1e-5)

    found = []
    for package in (scratch, planted(ablation)):
        layer = package.LSTM(3, 4, dtype=np.float64, rng=np.random.default_rng(0))
        rng = np.random.default_rng(1)
        for x, table in ((rng.standard_normal((70, 16, 3)), None), (rng.integers(5, size=(70, 16)), np.ones((5, 3)))):
            y, _ = layer.forward(x, embedding=table)
            dx, _ = layer.backward(y)
            found.append({"y": y, "dx": dx} | layer.grads)
    for k in (0, 1):
        assert_all_same(found[k + 2], found[k], ablation.name)


@pytest.mark.parametrize("inputs", ["ids", "numbers"])
@pytest.mark.parametrize("cell", timing.CELLS)
def test_jax_trains_the_same_network_from_the_same_weights(cell, inputs):
    pytest.importorskip("jax")
    step = Step("scratch", cell, B=2, T=3, H=4, inputs=inputs)
    by_jax, by_hand = worker_process.by_jax(step), worker_process.by_hand(step)
    np.testing.assert_allclose([by_jax() for _ in range(5)], [by_hand() for _ in range(5)], rtol=1e-5)


@pytest.fixture
def tiny(folder, monkeypatch):
    monkeypatch.setattr(timing, "QUICK_SIZES", ((2, 3, 4),))
    monkeypatch.setattr(timing, "QUICK_LENGTHS", (80,))
    monkeypatch.setattr(timing, "CELLS", ("gru",))
    return folder


@pytest.mark.slow
def test_the_command_measures_and_draws(tiny):
    assert main(["bench", "--quick"]) == 0
    figures = json.loads((tiny / "results/bench.json").read_text())
    (step,) = figures["steps"]
    assert (step["cell"], step["B"], step["T"], step["H"]) == ("gru", 2, 3, 4)
    assert step["scratch"] > 0 and step["torch"] > 0
    assert 0 < step["lowest"] <= step["ratio"] <= step["highest"]
    assert [run["kind"] for run in figures["long_runs"]] == ["scratch", "checkpointed", "torch"]
    assert step["loop"] > 0 and (step["jax"] is None or step["jax"] > 0)
    assert figures["libraries"][1].startswith("torch 2.13.0")
    assert (tiny / "results/bench.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_command_times_a_step_without_each_optimization(tiny, monkeypatch):
    costs, scans = [], []
    monkeypatch.setattr(tables, "cost_table", costs.extend)
    monkeypatch.setattr(tables, "scan_table", scans.extend)
    assert main(["bench", "--quick", "--tricks"]) == 0
    assert [cost.without for cost in costs] == [each.name for each in ABLATIONS]
    assert all(scan.loop > 0 and scan.doubling > 0 for scan in scans) and scans
    assert not list((tiny / "results").iterdir())


@pytest.fixture
def figures():
    """The largest that are printed and drawn."""
    steps = [
        timing.StepTime(cell, *size, 0.1234, 0.1094, 1.13, 1.08, 1.19, 0.08, 1.31)
        for size in timing.SIZES
        for cell in timing.CELLS
    ]
    long_runs = [timing.LongRun(kind, T, 7_654_321_000, 27.5) for T in timing.LENGTHS for kind in tables.KINDS]
    return timing.Figures("a processor", ("numpy", "torch"), tuple(steps), tuple(long_runs))


def test_the_tables_fit_80_columns(figures):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    costs = [timing.Cost(each.name, *size, -0.12) for size in timing.SIZES for each in ABLATIONS]
    scans = [timing.ScanTime(width, T, 12.3, 4.5) for width in timing.SCAN_WIDTHS for T in timing.SCAN_LENGTHS]
    console.print(tables.step_table(figures.steps), tables.length_table(figures.long_runs), tables.scan_table(scans))
    assert max(map(len, console.export_text().split("\n"))) <= 80
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(tables.cost_table(costs))
    assert "…" not in console.export_text(), "a name wraps, a number is whole"


def test_the_picture_is_legible(figures, tmp_path, monkeypatch):
    """Shown 830 pixels wide no text is below 9 points, and the numbers over the bars do not touch each other."""
    drawn = []
    monkeypatch.setattr(plot, "save", lambda figure, path: drawn.append(figure))
    plot.draw(tmp_path / "bench.png", figures)
    (figure,) = drawn
    assert figure.get_figwidth() == 8.5
    texts = texts_of(figure)
    assert min(text.get_fontsize() for text in texts) >= 9
    ratios = [text for text in texts if text.get_text() == "1.13"]
    assert len(ratios) == len(figures.steps) and not overlapping(ratios)


@pytest.mark.slow
def test_a_process_that_is_killed_ends_in_one_line():
    with timing.processes("scratch") as (process,), pytest.raises(timing.UserError, match="was killed"):
        timing.ask(process, end_the_process)


def end_the_process():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (MemoryError(), timing.UserError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), timing.UserError),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_a_process_without_memory_ends_in_one_line(error, raised):
    class Failing:
        def submit(self, *_):
            return self

        def result(self):
            raise error

    with pytest.raises(raised):
        timing.ask(Failing(), len)
