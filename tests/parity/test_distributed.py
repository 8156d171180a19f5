"""Training in two processes that torchrun starts. This file is also the program that they run: see `worker`."""

import copy
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

import compare.options
from data import Batch
from torch_impl import SequenceModel, distributed
from torch_impl.__main__ import DEFAULTS, main

ROOT = Path(__file__).parents[2]
CELLS = ("rnn", "gru", "lstm")
T, FEATURES, CLASSES = 7, 3, 5
# name: predict, inputs and targets are ids, rows, lengths, do both shares have equally many targets
SHARES = {
    "even shares": ("each", True, 4, None, True),
    "one row more": ("each", True, 5, None, False),
    "unequal lengths": ("each", True, 4, [7, 1, 6, 2], False),
    "unequal lengths and one row more": ("each", True, 5, [2, 7, 1, 5, 3], False),
    "numbers of unequal lengths": ("each", False, 3, [7, 2, 4], False),
    "last step only": ("last", True, 5, [2, 7, 1, 5, 3], False),
    "numbers, last step only": ("last", False, 3, None, False),
    "one row for two processes": ("each", True, 1, [4], True),
}


def problem(cell, predict, ids, rows, lengths):
    """A model with random weights and a random batch for it, the same in every process."""
    rng = np.random.default_rng(7)
    torch.manual_seed(7)
    shape = (T, rows) if predict == "each" else (rows,)
    if ids:
        sizes, arrays = {"vocab_size": CLASSES}, (rng.integers(CLASSES, size=s) for s in ((T, rows), shape))
    else:
        sizes, arrays = {"input_size": FEATURES}, (rng.standard_normal(s) for s in ((T, rows, FEATURES), (*shape, 2)))
    output_size = CLASSES if ids else 2
    model = SequenceModel(cell, output_size, hidden_size=6, num_layers=2, predict=predict, dtype=torch.float64, **sizes)
    return model, Batch(*arrays, lengths and np.array(lengths))


def gradient(model, loss):
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


def gaps(model, batch):
    """How far the gradients are from the whole batch's, relative to its largest entry: ours, and the naive average."""
    whole = copy.deepcopy(model)
    expected = gradient(whole, whole.loss(batch))
    replica, naive = (distributed.Replica(copy.deepcopy(model)) for _ in range(2))
    part, _ = distributed.share(batch, model.predict, dist.get_rank(), dist.get_world_size())
    found = torch.stack([gradient(replica, replica.loss(batch)), gradient(naive, naive(part, None))])
    gap = (found - expected).abs().amax(1) / expected.abs().max()
    dist.all_reduce(gap, dist.ReduceOp.MAX)  # of all processes
    return gap.tolist()


def worker(path):
    """What every process does: all problems in turn; process 0 writes the gaps to a file."""
    distributed.join()
    first = dist.get_rank() == 0
    found = {f"{cell}, {name}": gaps(*problem(cell, *share)) for cell in CELLS for name, (*share, _) in SHARES.items()}
    dist.destroy_process_group()
    if first:
        found["threads"] = [file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")]  # on Linux
        Path(path).write_text(json.dumps(found))


def torchrun(*arguments):
    """Two processes on the CPU; returns how torchrun ended and what was said."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def alone(monkeypatch):
    """`main` in this process computes on the CPU too."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("gradients") / "gaps.json"
    done = torchrun("tests.test_distributed", str(path))
    assert done.returncode == 0, done.stderr
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_averaged_gradient_is_the_whole_batch_s(found, cell, name):
    ours, naive = found[f"{cell}, {name}"]
    assert ours <= 1e-12
    even = SHARES[name][-1]
    assert naive <= 1e-12 if even else naive > 1e-3, "without the weights it must fail where the shares are unequal"


def test_the_group_ends_before_the_process(found):
    """Threads of a group that outlives it now and then abort the process: a run that succeeded looks like a failure."""
    assert not [name for name in found["threads"] if "gloo" in name]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("name", SHARES)
def test_every_row_is_in_one_share_and_the_weights_average_to_one(name, size):
    predict, *_ = share = SHARES[name][:-1]
    _, batch = problem("rnn", *share)
    parts, weights = zip(*(distributed.share(batch, predict, rank, size) for rank in range(size)), strict=True)
    real = [part for part, weight in zip(parts, weights, strict=True) if weight]
    rows = np.concatenate([part.inputs for part in real], axis=1)
    whole = batch.inputs
    assert sorted(row.tolist() for row in rows.swapaxes(0, 1)) == sorted(row.tolist() for row in whole.swapaxes(0, 1))
    assert sum(weights) / size == pytest.approx(1, abs=1e-15)
    assert all(part.inputs.shape[1] for part in parts), "torch.nn takes no batch without rows"


@pytest.fixture
def few_names(tmp_path):
    """Nine names to train on: in batches of four, the last has a row for one process only."""
    folder = tmp_path / "classes"
    folder.mkdir()
    (folder / "a.txt").write_text("Adams\nBo\nCarrington\nDu\nEliot\n", encoding="utf-8")
    (folder / "b.txt").write_text("Fitz\nGreenaway\nHu\nIngram\nJo\nKeynes\n", encoding="utf-8")
    return folder


def losses(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    return [float(row["loss"]) for row in rows]


@pytest.mark.parametrize(
    "arguments",
    [
        ["text", "--batch-size", "65", "--cell", "lstm"],  # a pair of states carried on
        ["names", "--batch-size", "4", "--bidirectional", "--layers", "2", "--data", "few names"],
    ],
    ids=["text", "names"],
)
def test_two_processes_draw_the_curve_of_one(arguments, few_names, tmp_path, alone, capsys):
    arguments = [str(few_names) if argument == "few names" else argument for argument in arguments]
    arguments += ["--hidden", "16", "--steps", "20", "--dtype", "float64", "--history"]
    assert main([*arguments, str(tmp_path / "one.csv")]) == 0
    done = torchrun("torch_impl", *arguments, str(tmp_path / "two.csv"))
    assert done.returncode == 0, done.stderr
    one, two = losses(tmp_path / "one.csv"), losses(tmp_path / "two.csv")
    assert len(set(one)) == len(one)
    np.testing.assert_allclose(two, one, rtol=1e-12, atol=0)
    said, said_alone = done.stdout.splitlines(), capsys.readouterr().out.splitlines()
    assert said[1:-3] == said_alone[1:-3], "process 0 alone speaks, and says the same"
    assert said[-2:] == said_alone[-2:], "the held-out metric and the baseline"


def test_a_mistake_is_one_line_of_ours():
    done = torchrun("torch_impl", "text", "--data", "nowhere.txt")
    assert done.returncode != 0
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if "nowhere" in line] == [lines[0]], "what follows it is torchrun's"
    assert lines[0].startswith("error: nowhere.txt: no such file")
    assert str(ROOT / "torch_impl") not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "TASK"),
        (["poetry"], "poetry"),
        (["text", "--bidirectional"], "--bidirectional"),
        (["names", "--window", "9"], "--window"),
        (["memory", "--column", "x"], "--column"),
        (["memory", "--steps", "0"], "--steps"),
        (["memory", "--hidden", "1.5"], "--hidden"),
        (["memory", "--hidden", "1000000"], "--hidden"),
        (["memory", "--hidden", "1000000000"], "--hidden"),
        (["memory", "--layers", "1001"], "--layers"),
        (["memory", "--seed", "0" * 19 + "1" * 30], "--seed"),
        (["memory", "--lr", "0"], "--lr"),
        (["memory", "--clip", "nan"], "--clip"),
        (["memory", "--batch-size", "1000000000"], "--batch-size"),
        (["memory", "--history", "no/such/folder.csv"], "no/such/folder.csv"),
        (["memory", "--cell", "rnn_relu", "--optimizer", "sgd", "--lr", "1e30", "--clip", "0"], "--lr"),
    ],
)
def test_a_mistake_without_torchrun(arguments, said, alone, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert said in error
    assert not dist.is_initialized()
    assert not list(tmp_path.iterdir())


def test_the_defaults_are_those_of_compare():
    for task, ours in DEFAULTS.items():
        theirs = vars(compare.options.DEFAULTS[task])
        assert {name: theirs[name] for name in ours} == ours
        assert (theirs["optimizer"], theirs["clip"], theirs["layers"]) == ("adam", 1.0, 1)


if __name__ == "__main__":
    worker(sys.argv[1])
