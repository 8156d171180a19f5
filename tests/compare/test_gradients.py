"""`byhand gradients`: green when the gradients agree, red and explained when one is wrong."""

import inspect
import re

import numpy as np
import pytest
import torch
from PIL import Image

import data
import scratch
from compare import model_pair
from compare.__main__ import main
from compare.gradients import table, tape_view
from compare.mistakes.catalogue import BY_NAME
from compare.mistakes.plant import planted
from compare.options import Settings
from scratch import lstm, rnn
from torch_impl import unrolled

SMALL = ["--hidden", "6", "--batch-size", "5"]


@pytest.mark.parametrize("cell", ["rnn", "rnn_relu", "gru", "lstm"])  # MinGRU is not in torch.nn
@pytest.mark.parametrize("task", ["names", "memory"])
def test_the_unrolled_layers_are_torch_nn(cell, task):
    """Two layers, both directions, different lengths: the same loss and the same gradients of the parameters."""
    dataset = data.load(task, batch_size=5, dtype=np.float64)
    settings = Settings(task, cell, hidden=4, layers=2, bidirectional=True)
    model = model_pair.build(model_pair.model_of(settings, dataset), "float64").torch
    batch = next(iter(dataset.train_batches(0)))
    loss, kept = model.loss(batch), []
    unrolled_loss = model.loss(batch, kept=kept)
    assert len(kept) == 4
    torch.testing.assert_close(unrolled_loss, loss, rtol=1e-14, atol=0)
    parameters = list(model.parameters())
    found = torch.autograd.grad(unrolled_loss, parameters)
    for a, b in zip(found, torch.autograd.grad(loss, parameters), strict=True):
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


@pytest.mark.parametrize(
    ("arguments", "cells"),
    [
        ([], ["rnn", "gru", "lstm"]),
        (["names", "--layers", "2", "--bidirectional"], ["rnn", "gru", "lstm"]),
        (["text", "--window", "7", "--cell", "gru"], ["gru"]),
        (["--window", "2", "--cell", "rnn_relu"], ["rnn_relu"]),
        (["--cell", "mingru"], ["mingru"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_every_gradient_of_a_batch_agrees(arguments, cells, folder, undrawn, monkeypatch):
    found = {}
    monkeypatch.setattr(table, "show", lambda rows, title: found.update({title.split()[0]: rows}))
    assert main(["gradients", *arguments, *SMALL]) == 0
    assert list(found) == cells
    for cell, rows in found.items():
        names = [row.name for row in rows]
        assert names[0] == "linear.weight", "backward order begins at the output"
        assert {f"{name}_l0" for name in scratch.module_of(cell).TRACED} <= set(names)
        assert all(row.error_in_eps < 100 for row in rows)
        assert {row.verdict for row in rows} <= {"identical", "within rounding"}


def test_the_table_fits_80_columns_and_has_every_row(folder, monkeypatch, capsys):
    rows, printed = [], table.show
    monkeypatch.setattr(table, "show", lambda found, title: rows.extend(found) or printed(found, title))
    assert main(["gradients", "names", "--cell", "lstm", "--layers", "2", "--bidirectional", *SMALL]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    shown = {line.split()[0]: line for line in lines if line}
    for row in rows:
        assert shown[row.name].rstrip().endswith(row.verdict)
    assert lines[-1] == "every gradient agrees"
    with Image.open(folder / "results/gradients.png") as picture:
        assert picture.width >= 850
        assert len(picture.convert("RGB").getcolors(10**7)) > 3


def test_identical_means_bit_for_bit():
    array = np.array([[1.0, 2.0]])
    verdicts = [table.row("da_l0", array + error, array, "rnn", 0.0).verdict for error in (0, 3e-16, 1e-9)]
    assert verdicts == ["identical", "within rounding", "differs"]


def test_a_wrong_line_is_red_named_and_explained(folder, undrawn, monkeypatch, capsys):
    """dc replaced, not added to: what backward computes before dc is right, and what it computes from dc is wrong."""
    monkeypatch.setattr(lstm, "backward", planted(BY_NAME["dc_replaced"]).lstm.backward)
    assert main(["gradients", "--cell", "lstm", *SMALL]) == 1
    said = capsys.readouterr().out
    verdicts = dict(re.findall(r"^(\S+) .*\d  (identical|within rounding|differs) *$", said, re.M))
    assert verdicts["linear.weight"] in ("identical", "within rounding")
    assert verdicts["dc_l0"] == verdicts["weight_hh_l0"] == "differs"
    assert "dc_l0 (60, 5, 6) differs in" in said
    assert "first wrong step going backwards: 58 (the last step is 59)" in said
    *_, verdict, advice = said.splitlines()
    assert verdict == "gradients differ"
    assert advice.startswith("run: byhand check ") and advice.endswith("scratch/lstm.py")


def test_what_has_vanished_must_be_right_too(folder, undrawn, monkeypatch, capsys):
    """A gradient that is cut where hardly any is left: a millionth of the largest entry, but all that its step has."""
    monkeypatch.setattr("scratch.stretches.ROWS", 10**9)
    right = rnn.backward

    def cut(dy, dh_n, cache, trace=None):
        found = right(dy, dh_n, cache, trace)
        trace["dh"][:20] = 0
        return found

    monkeypatch.setattr(rnn, "backward", cut)
    assert main(["gradients", "--cell", "rnn", "--dtype", "float32", *SMALL]) == 1
    assert "first wrong step going backwards: 19" in capsys.readouterr().out


@pytest.mark.parametrize("cell", scratch.CELLS)
def test_the_tape_is_shown_next_to_the_lines_by_hand(cell, capsys):
    assert main(["gradients", "--tape", "--cell", cell]) == 0
    said = capsys.readouterr().out
    assert "dW_ih +=" in said
    assert "Both give the same gradients: dx_1, dh_0" in said
    assert max(map(len, said.splitlines())) <= 80
    lines = tape_view.lines_of(inspect.getsource(scratch.module_of(cell).backward))
    equations = re.findall(r"^ +\(([A-Z]\d)\)  ", scratch.module_of(cell).__doc__, re.M)
    assert len(equations) > 1
    for equation in equations:
        assert lines[equation], "every equation must have lines"


def test_a_tape_that_differs_is_an_error(monkeypatch):
    monkeypatch.setattr(tape_view, "run_by_hand", lambda *_: {"x_1": np.zeros((2, 3))})
    with pytest.raises(AssertionError, match="by hand against the tape"):
        tape_view.main("rnn")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["poem", *SMALL], "poem"),
        (["names", "--window", "9", *SMALL], "names has no --window"),
        (["--window", "1", *SMALL], "use --window 2 or more"),
        (["--data", "x", *SMALL], "memory"),
        (["text", "--data", "nowhere", *SMALL], "nowhere"),
        (["text", "--window", "100000", "--batch-size", "1000"], "use a smaller --batch-size or --window"),
        (["--tape", "--layers", "2"], "--tape accepts only --cell and --seed; drop --layers"),
        (["text", "--tape", "--out", "x"], "--tape accepts only --cell and --seed; drop text, --out"),
        (["--cell", "my.py"], "check it: byhand check my.py; train with it: byhand curves --cell my.py"),
        (["--mistakes", "--seed", "0"], "--mistakes accepts only --cell; drop --seed"),
        (["--mistakes", "--bidirectional"], "--mistakes accepts only --cell; drop --bidirectional"),
        (["--mistakes", "--batch-size", "2"], "--mistakes accepts only --cell; drop --batch-size"),
    ],
)
def test_what_cannot_be_done_or_would_be_ignored_is_refused(arguments, said, refused):
    assert said in refused(["gradients", *arguments])
