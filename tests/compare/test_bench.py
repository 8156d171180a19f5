"""`byhand bench`: it measures what it says, and says what it measured. No test here looks at a time."""

import json

import numpy as np
import pytest

import scratch
import torch_impl
from compare.__main__ import main
from compare.agreement import assert_all_same
from compare.bench import timing, worker_process
from compare.bench.ablations import TRICKS
from compare.mistakes.plant import planted


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_both_sides_train_the_same_network(cell):
    """What is timed as one step by hand and as one in torch has the same size, and lowers the loss on both."""
    by_hand = scratch.SequenceModel(cell, worker_process.V, hidden_size=4, vocab_size=worker_process.V)
    by_torch = torch_impl.SequenceModel(cell, worker_process.V, hidden_size=4, vocab_size=worker_process.V)
    assert {n: p.shape for n, p in by_hand.params.items()} == {
        n: tuple(p.shape) for n, p in by_torch.named_parameters()
    }
    for make in (
        worker_process.step_by_hand,
        worker_process.step_by_torch,
        worker_process.unfolded,
        worker_process.floor,
    ):
        make(cell, 2, 3, 4)()


def test_the_short_cut_and_the_long_way_are_one_step(monkeypatch):
    """With ids looked up and with ids multiplied: the same loss, step for step."""
    losses = {"folded": [], "unfolded": []}
    right = scratch.cross_entropy
    for name, make in (("folded", worker_process.step_by_hand), ("unfolded", worker_process.unfolded)):

        def spy(*arguments, name=name):
            loss, dlogits = right(*arguments)
            losses[name].append(loss)
            return loss, dlogits

        monkeypatch.setattr("scratch.cross_entropy", spy)
        monkeypatch.setattr("scratch.model.cross_entropy", spy)
        # the same first weights: embedding, layer and output are drawn in this order from one seed
        run = make("lstm", 8, 12, 5)
        for _ in range(5):
            run()
    np.testing.assert_allclose(losses["unfolded"], losses["folded"], rtol=1e-5)
    assert losses["folded"][-1] < losses["folded"][0]


@pytest.mark.parametrize("trick", TRICKS, ids=lambda trick: trick.name)
def test_without_a_trick_it_is_the_same_network(trick):
    """What is timed without it computes the same: the loss of a step and every gradient, ids and numbers."""
    found = []
    for package in (scratch, planted(trick)):
        layer = package.LSTM(3, 4, dtype=np.float64, rng=np.random.default_rng(0))
        rng = np.random.default_rng(1)
        for x, table in ((rng.standard_normal((70, 16, 3)), None), (rng.integers(5, size=(70, 16)), np.ones((5, 3)))):
            y, _ = layer.forward(x, embedding=table)
            dx, _ = layer.backward(y)
            found.append({"y": y, "dx": dx} | layer.grads)
    for k in (0, 1):
        assert_all_same(found[k + 2], found[k], trick.name)


def test_the_command_measures_and_draws(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timing, "QUICK_SIZES", ((2, 3, 4),))
    monkeypatch.setattr(timing, "QUICK_LENGTHS", (80,))
    monkeypatch.setattr(timing, "CELLS", ("gru",))
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert main(["bench", "--quick", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [row["cell"] for row in figures["one_thread"]] == ["gru"]
    for row in figures["one_thread"]:
        assert all(row[name] > 0 for name in ("scratch", "torch", "ratio", "unfolded", "kept", "floor"))
        assert row["ratio_spread"][0] <= row["ratio"] <= row["ratio_spread"][1]
    assert [row["kind"] for row in figures["by_length"]] == ["plain", "checkpointed", "torch"]
    assert json.loads((tmp_path / "results/bench.json").read_text())["sides"][1].startswith("torch 2.13.0")
    assert (tmp_path / "results/bench.png").read_bytes().startswith(b"\x89PNG")


def test_a_process_that_is_killed_ends_in_one_line():
    with timing.workers(("scratch",)) as (worker,):
        worker.process.kill()
        worker.process.join()
        with pytest.raises(timing.UserError, match="ended from outside"):
            worker.ask("versions")
