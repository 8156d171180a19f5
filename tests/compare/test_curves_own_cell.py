"""`byhand curves` with the user's own cells: right ones train to the reference curve, wrong ones are named as wrong."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from helpers import interrupt, rows_of
from programs import NAMES, planted, text_of

from compare import model_pair, plots
from compare.__main__ import main
from compare.agreement import AGREEMENT, tolerance
from compare.curves import training
from compare.learner.exercises import ladder
from compare.options import configure

SOURCES = {}
for path in NAMES:
    if found := re.match(r"developed/(solutions|exercises)/(rnn|gru|lstm)_(?!step)(.*)\.py", path):
        SOURCES[f"{found[2]}/{found[3]}"] = text_of(path)
SOURCES |= {f"{name}/starter": ladder.solution(ladder.BY_NAME[name]) for name in ("rnn", "gru", "lstm", "mingru")}
SIZES = ["--hidden", "4", "--batch-size", "32", "--steps", "4"]
MEMORY = ["curves", "memory", "--window", "6", *SIZES]  # the shortest of runs

# The last line but one of the torch module is a GRU's convex combination.
TORCH_GRU = """
import torch


class Mine(torch.nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.U = torch.nn.Parameter(torch.empty(3 * hidden, inputs))
        self.W = torch.nn.Parameter(torch.empty(3 * hidden, hidden))
        self.b = torch.nn.Parameter(torch.empty(3 * hidden))
        self.c = torch.nn.Parameter(torch.empty(3 * hidden))

    def forward(self, x, h):
        h, outputs = h[0], []
        for u in x @ self.U.T + self.b:
            v = h @ self.W.T + self.c
            r, z = torch.sigmoid(u + v).chunk(3, 1)[:2]
            n = torch.tanh(u.chunk(3, 1)[2] + r * v.chunk(3, 1)[2])
            h = (1 - z) * n + z * h
            outputs.append(h)
        return torch.stack(outputs), h[None]


NAMES = {"weight_ih": "U", "weight_hh": "W", "bias_ih": "b", "bias_hh": "c"}
"""
TORCH_LSTM = """
import torch


class Mine(torch.nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        self.cell = torch.nn.LSTMCell(inputs, hidden)

    def forward(self, x, state):
        state, outputs = [s[0] for s in state], []
        for x_t in x:
            state = self.cell(x_t, state)
            outputs.append(state[0])
        return torch.stack(outputs), tuple(s[None] for s in state)
"""


@pytest.fixture
def text(folder):
    """A text of few characters: the model then looks ids up in the projected table."""
    Path("text.txt").write_text("to be or not to be, that is it\n" * 40, encoding="utf-8")
    return {"data": "text.txt", "window": 6}


def run_of(task, cell, source, **options):
    """A short run with a cell in a file, trained to its end: the Run, and the records of every step."""
    Path("mine.py").write_text(source, encoding="utf-8")
    sizes = dict(hidden=4, batch_size=4, steps=3, cell=cell)
    run = training.prepare(*configure([task], **sizes | {"cell_file": "mine.py"} | options))
    return run, list(model_pair.train(run.settings, run.dataset, run.pair, run.optimizers))


def gap(records):
    return max(abs(ours.loss - theirs.loss) / max(1, theirs.loss) for ours, theirs in records)


FEW = ("gru/closures", "lstm/starter", "rnn/terse")


def test_forty_right_cells():
    assert len(SOURCES) >= 40


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in SOURCES])
def test_a_right_cell_trains_to_the_curve_of_scratch(name, text):
    """In any style, with layers, both directions and lengths, and with ids: the same losses, and the same gradients."""
    cell, source = name.split("/")[0], SOURCES[name]
    for task, options in (("names", dict(layers=2, bidirectional=True)), ("text", text)):
        run, records = run_of(task, cell, source, **options)
        assert gap(records) <= AGREEMENT["float32"]
        reference, expected = run_of(task, cell, source, **options, cell_file=None)
        steps = zip(records, expected, strict=True)
        assert max(abs(a.loss - b.loss) for (a, _), (b, _) in steps) <= AGREEMENT["float32"]
        for parameter, array in run.pair.scratch.params.items():
            np.testing.assert_allclose(array, reference.pair.scratch.params[parameter], atol=1e-4, err_msg=parameter)
        batch = next(iter(run.dataset.train_batches(0)))
        assert model_pair.worst_gradient(run.pair, batch)[1] <= tolerance("float64")


# A mistake in a program of tests/learner/programs.tar.xz, and where the gradients then differ most.
WRONG = {
    "gru/recompute": ("h_after_for_h_before", "weight_hh"),
    "lstm/torch_tensors": ("carry_adds_up", "embedding.weight"),
    "lstm/small_layers": ("slope_of_tanh_missing", "weight_ih"),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "gru/recompute")) for n in WRONG])
def test_a_wrong_cell_is_drawn_and_named_as_wrong(name, folder, capsys, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "save", lambda figure, path: drawn.append(figure))
    cell, (mistake, worst) = name.split("/")[0], WRONG[name]
    program = f"developed/solutions/{name.replace('/', '_')}.py"
    (chosen,) = [one for one in planted("developed") if (one.program, one.name) == (program, mistake)]
    Path("mine.py").write_text(chosen.text, encoding="utf-8")
    assert main(["curves", "names", "--cell", f"{cell}=mine.py", *SIZES, "--batch-size", "4"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "At equal weights the gradients differ, most that of " in said and worst in said
    assert f"one of the backward passes is wrong; `byhand check mine.py --exercise {cell}` looks for the line." in said
    legend = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert legend[:2] == ["mine.py (NumPy, yours)", "torch (autograd)"]
    assert len(rows_of("results/names/history.csv")) == 4 * 3 + 2


def test_a_wrong_forward_is_named_as_one(folder, undrawn, capsys):
    source = SOURCES["lstm/starter"].replace("c[t] = f * c_before + i * g", "c[t] = f * c_before - i * g")
    Path("lstm.py").write_text(source, encoding="utf-8")
    assert main([*MEMORY, "--cell", "lstm.py"]) == 1
    assert "At equal weights the losses differ" in " ".join(capsys.readouterr().out.split())


def test_the_time_of_a_step_is_in_the_table_next_to_that_of_the_projects_cell(folder, undrawn, capsys):
    Path("a_gru_with_a_long_name.py").write_text(SOURCES["gru/starter"], encoding="utf-8")
    assert main(["curves", "names", "memory", "--cell", "a_gru_with_a_long_name.py", "--window", "8", *SIZES]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "a_gru_…me.py" in said and len(re.findall(r"scratch's cell [\d.]+ ms", said)) == 2
    for entry in json.loads(Path("results/summary.json").read_text())["tasks"]:
        assert entry["step_seconds"].keys() == {"scratch", "torch", "cell"}


def test_check_offers_the_run_after_a_right_cell(folder, undrawn, capsys):
    Path("mine.py").write_text(SOURCES["rnn/terse"], encoding="utf-8")
    Path("gru.py").write_text(SOURCES["gru/starter"], encoding="utf-8")
    for file, options in (("gru.py", []), ("mine.py", ["--exercise", "rnn"])):
        assert main(["check", file, *options]) == 0
        (command,) = re.findall(r"see it learn: byhand (.*)", capsys.readouterr().out)
        assert main([*command.split(), *SIZES]) == 0
        (entry,) = json.loads(Path("results/summary.json").read_text())["tasks"]
        assert entry["settings"]["cell_file"] == file


# ---- a torch module -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "source"), [("gru", TORCH_GRU), ("lstm", TORCH_LSTM)])
def test_a_torch_module_in_layers_directions_and_lengths(cell, source, text):
    Path("module.py").write_text(source, encoding="utf-8")
    for task, options in (("names", dict(layers=2, bidirectional=True)), ("text", text | dict(layers=2))):
        run, records = run_of(task, cell, "", cell_file=None, torch_cell="module.py", **options)
        assert gap(records) <= AGREEMENT["float32"]
        assert run.sides == ("scratch", "module.py")
        reference, expected = run_of(task, cell, "", cell_file=None, **options)
        assert run.pair.torch.state_dict().keys() == reference.pair.torch.state_dict().keys()
        for (_, ours), (_, theirs) in zip(records, expected, strict=True):
            assert ours.loss == pytest.approx(theirs.loss, rel=1e-5)


def test_a_wrong_torch_module_and_two_own_cells(folder, undrawn, capsys):
    Path("gru.py").write_text(SOURCES["gru/starter"], encoding="utf-8")
    Path("gru_torch.py").write_text(TORCH_GRU, encoding="utf-8")
    assert main([*MEMORY, "--cell", "gru.py", "--torch-cell", "gru_torch.py"]) == 0
    Path("gru_torch.py").write_text(TORCH_GRU.replace("(1 - z) * n + z * h", "z * n + (1 - z) * h"), encoding="utf-8")
    capsys.readouterr()
    assert main([*MEMORY, "--torch-cell", "gru_torch.py"]) == 1
    assert "At equal weights the losses differ" in " ".join(capsys.readouterr().out.split())


# ---- bad input ------------------------------------------------------------------------------------------------------

RIGHT = SOURCES["lstm/starter"]
BAD = {
    "missing": (None, "lstm=lstm.py", "does not exist"),
    "not Python": ("def forward(:", "lstm.py", "SyntaxError"),
    "fails": ("1 / 0", "lstm.py", "line 1: ZeroDivisionError"),
    "exits": ("import sys\nsys.exit()", "lstm.py", "line 2: SystemExit"),
    "nothing in it": ("", "lstm.py", "no function `backward`"),
    "unfinished": (ladder.starter(ladder.BY_NAME["lstm"]), "lstm.py", "NotImplementedError: yours to write"),
    "another exercise": (ladder.starter(ladder.BY_NAME["softmax"]), "own.py", "the exercise softmax is no cell"),
    "of one step": (ladder.starter(ladder.BY_NAME["lstm_step"]), "own.py", "the exercise lstm_step"),
    "no name": ("x = 1", "own.py", "say which it is, as in --cell gru=own.py"),
    "another cell": (RIGHT.replace("`lstm`", "`gru`"), "own.py", "own.py"),
    "no such cell": (RIGHT, "transformer=own.py", "there is no cell 'transformer'"),
    "other shapes": (RIGHT.replace("return dx, dh_0", "return dx[0], dh_0"), "lstm.py", "lstm.py --exercise lstm`"),
    "too few results": (RIGHT.replace("dW_hh, db_ih, db_hh\n", "dW_hh\n"), "lstm.py", "returned 5 gradients; 7"),
    "no file": (RIGHT, "lstm.txt", "--cell"),
    "no name, torch": (TORCH_GRU, "--torch-cell=own.py", "as in --cell gru --torch-cell own.py"),
}


@pytest.mark.parametrize(("source", "cell", "said"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_cell_is_one_line(source, cell, said, refused):
    if source is not None:
        Path(cell.rpartition("=")[2]).write_text(source, encoding="utf-8")
    options = [cell] if cell.startswith("--") else ["--cell", cell]
    assert said in refused(["curves", "names", *options, *SIZES])


BAD_MODULES = {
    "missing": (None, "No such file"),
    "no module": ("x = 1", "defines no torch.nn.Module"),
    "no names": (TORCH_GRU.partition("NAMES")[0], "which parameter is weight_ih"),
    "one bias": (TORCH_GRU.replace('"c"', '"b"').replace("+ self.c", ""), "needs one parameter"),
    "another size": (TORCH_GRU.replace("3 * hidden", "4 * hidden"), "no parameter has the shape of weight_ih"),
    "other shapes": (TORCH_GRU.replace("torch.stack(outputs)", "h"), "y has shape (2, 4)"),
    "detached": (TORCH_GRU.replace("self.W.T", "self.W.T.detach()"), "weight_hh gets no gradient"),
    "fails": (TORCH_GRU.replace("h[0], []", "h[9], []"), "IndexError"),
}


@pytest.mark.parametrize(("source", "said"), BAD_MODULES.values(), ids=BAD_MODULES)
def test_a_file_that_is_no_torch_module_is_one_line(source, said, refused):
    if source is not None:
        Path("own.py").write_text(source, encoding="utf-8")
    assert said in refused(["curves", "names", "--cell", "gru", "--torch-cell", "own.py", *SIZES])


def test_a_cell_that_fails_late_or_diverges_is_one_line(folder, undrawn, capsys):
    """It runs on the small example, but not in training."""
    late = RIGHT.replace(
        "    T, B, H = len(x), *h_0.shape\n", "    T, B, H = len(x), *h_0.shape\n    assert H < 4, H\n"
    )
    Path("lstm.py").write_text(late, encoding="utf-8")
    assert main([*MEMORY, "--cell", "lstm.py"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: lstm.py, line \d+: AssertionError: 4\n", said)
    nan = RIGHT.replace(
        "    dh_0, dc_0 = dh_carried, dc_carried\n",
        "    dh_0, dc_0 = dh_carried, dc_carried\n    da[0] *= 1e300 * 1e300\n",
    )
    assert nan != RIGHT
    Path("lstm.py").write_text(nan, encoding="utf-8")
    assert main([*MEMORY, "--cell", "lstm.py"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "the scratch gradient norm became nan at step 1" in said
    assert "it began with the gradient of recurrent." in said


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        ("float('inf')", "it began with the prediction for test batch 0"),
        ("(float('inf') if torch.is_grad_enabled() else 1)", "at step 1 (scratch: 0.4574); it began with the loss"),
    ],
)
def test_a_torch_module_that_diverges_is_traced(factor, said, folder, undrawn, capsys):
    outputs = "return torch.stack(outputs)"
    Path("gru.py").write_text(TORCH_GRU.replace(outputs, f"{outputs} * {factor}"), encoding="utf-8")
    assert main(["curves", "memory", "--torch-cell", "gru.py", "--window", "5", *SIZES, "--batch-size", "4"]) == 2
    assert said in capsys.readouterr().err


def test_a_stopped_run_is_resumed_with_the_same_file_only(folder, undrawn, capsys, monkeypatch):
    command = [*MEMORY, "--cell", "lstm.py"]
    Path("lstm.py").write_text(RIGHT, encoding="utf-8")
    assert main([*command, "--out", "whole"]) == 0
    with monkeypatch.context() as during:
        interrupt(during, 3)
        assert main(command) == 130
    Path("lstm.py").write_text(RIGHT + "# another version\n", encoding="utf-8")
    capsys.readouterr()
    assert main([*command, "--resume"]) == 2
    assert "holds a run of another version of lstm.py; start over with --restart" in capsys.readouterr().err
    assert main([word for word in [*command, "--resume"] if word not in ("--cell", "lstm.py")]) == 2
    assert "other options: --cell lstm=lstm.py (now gru); start" in capsys.readouterr().err
    Path("lstm.py").write_text(RIGHT, encoding="utf-8")
    assert main([*command, "--resume"]) == 0
    assert Path("results/memory/history.csv").read_bytes() == Path("whole/memory/history.csv").read_bytes()
