"""`byhand gradients`: green when the gradients agree, red and explained when one is wrong."""

import inspect
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import data
from compare import model_pair
from compare.__main__ import main
from compare.gradients import table, tape_view
from scratch import lstm, rnn
from torch_impl import unrolled

SMALL = ["--hidden", "6", "--batch-size", "5"]


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "gru", "lstm"])
@pytest.mark.parametrize("task", ["names", "memory"])
def test_the_unrolled_twin_of_a_whole_layer_is_torch_nn(cell, task):
    """Two layers, both directions, different lengths: the same loss and the same gradients of the parameters."""
    dataset = data.load(task, batch_size=5, dtype=np.float64)
    settings = SimpleNamespace(cell=cell, hidden=4, layers=2, bidirectional=True)
    model = model_pair.build(model_pair.model_of(settings, dataset), "float64").torch
    batch = next(iter(dataset.train_batches(0)))
    loss, kept = model.loss(batch), []
    twin = model.loss(batch, kept=kept)
    assert len(kept) == 4
    torch.testing.assert_close(twin, loss, rtol=1e-14, atol=0)
    parameters = list(model.parameters())
    for a, b in zip(torch.autograd.grad(twin, parameters), torch.autograd.grad(loss, parameters), strict=True):
        assert (a - b).abs().max() <= 1e-12 * b.abs().max()


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_without_biases_and_from_a_given_state(cell):
    layer = getattr(torch.nn, cell.upper())(3, 4, 2, bias=False, dtype=torch.float64)
    x, h = torch.randn(5, 2, 3, dtype=torch.float64), torch.randn(2, 2, 4, dtype=torch.float64)
    state = (h, 2 * h) if cell == "lstm" else h
    y, last, _ = unrolled.layers(layer, x, state=state)
    expected, expected_last = layer(x, state)
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(last, expected_last, rtol=0, atol=1e-14)


@pytest.mark.parametrize("arguments", [[], ["names", "--layers", "2", "--bidirectional"], ["text", "--steps", "7"]])
def test_every_gradient_of_a_batch_agrees(arguments, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["gradients", *arguments, *SMALL, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["agree"]
    assert list(found["cells"]) == ["rnn", "gru", "lstm"]
    for cell, rows in found["cells"].items():
        names = [row["name"] for row in rows]
        assert names[0] == "linear.weight", "backward order begins at the output"
        assert {f"{name}_l0" for name in table.TRACED[cell]} <= set(names)
        assert all(row["roundings"] < 100 for row in rows)
    assert (tmp_path / "results/gradients.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_line_is_red_named_and_explained(monkeypatch, tmp_path, capsys):
    """dc replaced, not added to: everything before it in backward order is right, everything after it is wrong."""
    monkeypatch.chdir(tmp_path)
    source = (table.model_pair.scratch.__path__[0]) + "/lstm.py"
    right = " + dc_carried"
    with open(source, encoding="utf-8") as file:
        text = file.read()
    assert text.count(right) == 1
    wrong = {"__name__": "wrong"}
    exec(compile(text.replace(right, ""), source, "exec"), wrong)
    monkeypatch.setattr(lstm, "backward", wrong["backward"])
    assert main(["gradients", "--cell", "lstm", *SMALL]) == 1
    said = capsys.readouterr().out
    verdicts = {line.split()[1]: line.split()[-2] for line in said.splitlines() if line.startswith("│")}
    assert verdicts["linear.weight"] in ("exact", "equal")
    assert verdicts["dc_l0"] == verdicts["weight_hh_l0"] == "differs"
    assert "dc_l0 (60, 5, 6) differs in" in said
    assert "first wrong step in backward order: 58 (the last step is 59)" in said
    assert "gradients differ" in said


def test_what_has_vanished_must_be_right_too(monkeypatch, tmp_path, capsys):
    """A gradient that is cut where hardly any is left: a millionth of the largest entry, but all that its step has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scratch.stretches.ROWS", 10**9)
    right = rnn.backward

    def cut(dy, dh_n, cache, trace=None):
        found = right(dy, dh_n, cache, trace)
        trace["dh"][:20] = 0
        return found

    monkeypatch.setattr(rnn, "backward", cut)
    assert main(["gradients", "--cell", "rnn", "--dtype", "float32", *SMALL]) == 1
    assert "first wrong step in backward order: 19" in capsys.readouterr().out


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "gru", "lstm"])
def test_the_tape_stands_beside_the_lines_by_hand(cell, capsys):
    assert main(["gradients", "--tape", "--cell", cell]) == 0
    said = capsys.readouterr().out
    assert "dW_hh +=" in said
    assert "both give the same gradients of x_1, h_0" in said
    lines = tape_view.lines_of(inspect.getsource(tape_view.CELLS[cell][0].backward))
    letter = cell[0].upper()
    for number in range(1, {"rnn": 2, "rnn_relu": 2, "gru": 5, "lstm": 4}[cell] + 1):
        assert lines[f"{letter}{number}"], "every equation has lines that answer it"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["poem"], "poem"),
        (["names", "--steps", "9"], "drop --steps"),
        (["--data", "x"], "memory"),
        (["text", "--data", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["gradients", *arguments, *SMALL]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not list(tmp_path.iterdir())
