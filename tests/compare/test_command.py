"""The command `curves` as a user runs it: short runs end to end, and one line for every mistake."""

import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers import ROOT, leave_undrawn, rows_of

import scratch
import torch_impl
from compare import files, options, plots
from compare.__main__ import main
from compare.agreement import AGREEMENT, tolerance

SIZES = ["--hidden", "8", "--batch-size", "16"]


TASKS = ("names", "memory")  # text in test_resume.py, series in test_own_data_and_options


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    """These tasks, briefly, twice with one seed: with what the command prints, and without pictures."""
    once, again = (tmp_path_factory.mktemp("run") / "results" for _ in range(2))
    command = ["curves", *TASKS, "--steps", "25", *SIZES, "--out"]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as said:
        patch.setenv("COLUMNS", "80")
        assert main([*command, str(once)]) == 0
        said.flush()
        (once / "said.txt").write_bytes(said.buffer.getvalue())
        leave_undrawn(patch)
        assert main([*command, str(again)]) == 0
    return once, again


@pytest.mark.parametrize("task", TASKS)
def test_history_holds_every_step_and_both_models_agree(two_runs, task):
    rows = rows_of(two_runs[0] / task / "history.csv")
    for metric in ["loss", "gradient norm"] + ["accuracy"] * (task == "names"):
        train = [row for row in rows if (row["split"], row["metric"]) == ("train", metric)]
        assert [int(row["step"]) for row in train] == list(range(1, 26))
        for row in train:
            ours, theirs = float(row["scratch"]), float(row["torch"])
            assert abs(ours - theirs) <= AGREEMENT["float32"] * max(1, ours)
            assert 0 <= ours <= (1 if metric == "accuracy" else 10)
    test = [row for row in rows if row["split"] == "test"]
    assert int(test[0]["step"]) == 0
    assert int(test[-1]["step"]) == 25
    seconds = [float(row["seconds"]) for row in rows_of(two_runs[0] / task / "seconds.csv")]
    assert len(seconds) == 25 and sorted(seconds) == seconds


@pytest.mark.parametrize("task", TASKS)
def test_one_seed_writes_the_same_bytes(two_runs, task):
    once, again = ([row["scratch"] for row in rows_of(folder / task / "history.csv")] for folder in two_runs)
    assert once == again
    assert len(once) > 25


@pytest.mark.parametrize("task", TASKS)
def test_checkpoint_opens_as_a_pair_and_in_plain_torch(two_runs, task):
    path = two_runs[0] / task / "checkpoint.safetensors"
    both = files.open_checkpoint(path)
    plain = safetensors.torch.load_file(path)
    fresh = torch_impl.SequenceModel(**both.model)
    fresh.load_state_dict(plain)
    layer = type(fresh.recurrent)(fresh.recurrent.input_size, fresh.recurrent.hidden_size)  # plain torch.nn
    layer.load_state_dict({k.removeprefix("recurrent."): v for k, v in plain.items() if k.startswith("recurrent.")})
    for name, tensor in both.torch.state_dict().items():
        assert torch.equal(tensor, plain[name])
        np.testing.assert_array_equal(both.scratch.params[name], plain[name].numpy())


def test_the_end_of_a_run_lists_its_files_and_fits_80_columns(two_runs):
    said = (two_runs[0] / "said.txt").read_text(encoding="utf-8")
    assert max(map(len, said.splitlines())) <= 80
    table, listed = said.split(f"files in {two_runs[0]}:\n")
    assert all(f"{task}, " in table for task in TASKS)
    listed = {line.split()[0] for line in listed.splitlines()}
    listed = {name.replace("TASK", task) for name in listed for task in TASKS}
    found = {str(path.relative_to(two_runs[0])) for path in two_runs[0].rglob("*") if path.is_file()}
    assert listed == found - {"said.txt"}
    assert all((two_runs[0] / name).read_bytes().startswith(b"\x89PNG") for name in found if name.endswith(".png"))


def entries(folder):
    return json.loads((folder / "summary.json").read_text())["tasks"]


def test_summary_says_what_was_run(two_runs):
    assert [entry["settings"]["task"] for entry in entries(two_runs[0])] == list(TASKS)
    for entry in entries(two_runs[0]):
        last = rows_of(two_runs[0] / entry["settings"]["task"] / "history.csv")[-1]
        assert float(last["scratch"]) == entry["scratch"]
        assert entry["largest_gap"] <= AGREEMENT["float32"] * 10
        assert entry["diverges_at"] is None
        assert entry["gradient_gap"] <= tolerance("float64")
        assert entry["environment"]["torch"] == torch.__version__


def test_a_second_run_says_what_it_replaces_and_keeps_the_rest(folder, undrawn, capsys):
    assert main(["memory", "series", "--steps", "2", *SIZES]) == 0
    assert main(["memory", "--steps", "2", *SIZES]) == 0
    assert "replacing" not in capsys.readouterr().out
    before = entries(Path("results"))
    assert main(["memory", "--steps", "3", *SIZES, "--lr", "0.5"]) == 0
    said = "replacing results/memory, a run with --steps 2 (now 3), --lr 0.001 (now 0.5); --out DIR keeps both\n"
    assert said in capsys.readouterr().out
    series, memory = entries(Path("results"))
    assert series == before[0]
    assert memory["settings"]["steps"] == 3
    shutil.rmtree("results/series")
    assert main(["memory", "--steps", "1", *SIZES]) == 0
    assert [entry["settings"]["task"] for entry in entries(Path("results"))] == ["memory"]
    Path("results/summary.json").write_text("no JSON", encoding="utf-8")
    assert main(["memory", "--steps", "1", *SIZES]) == 0
    assert [entry["settings"]["task"] for entry in entries(Path("results"))] == ["memory"]


def test_a_model_that_its_baseline_beats_is_mentioned(folder, undrawn, capsys):
    growing = "".join(f"{k},{1.01**k}\n" for k in range(300))
    Path("growing.csv").write_text(f"day,price\n{growing}", encoding="utf-8")
    assert main(["series", "--data", "growing.csv", "--column", "price", "--window", "20", "--steps", "2", *SIZES]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "is worse than the baseline" in said
    assert (
        "(repeat the last value): the held-out values leave the range of the training values; add --difference" in said
    )
    assert main(["memory", "--steps", "1", *SIZES]) == 0
    assert "(always 1): try more --steps (now 1) or another --lr" in " ".join(capsys.readouterr().out.split())


def test_a_picture_that_fails_costs_no_results(folder, monkeypatch, capsys):
    monkeypatch.setattr("compare.plots.save", lambda *_: 1 / 0)
    assert main(["memory", "--steps", "1", *SIZES]) == 3
    captured = capsys.readouterr()
    assert "curves agree" in captured.out
    assert "ZeroDivisionError" in captured.err
    assert len(entries(Path("results"))) == 1
    assert files.open_checkpoint("results/memory/checkpoint.safetensors")


@pytest.fixture
def own_data(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question. " * 200, encoding="utf-8")
    (tmp_path / "classes").mkdir()
    for name in ("Ankh", "Morpork"):
        (tmp_path / "classes" / f"{name}.txt").write_text("".join(f"{name}{k}\n" for k in range(40)), encoding="utf-8")
    lines = "".join(f"{k},{k % 12}\n" for k in range(300))
    (tmp_path / "table.csv").write_text(f"day,sold\n{lines}", encoding="utf-8")
    lines = "".join(f"{k};{k % 12 if k % 9 else ''};{k % 7},5;{k % 5}\n" for k in range(300))
    (tmp_path / "gaps.csv").write_text(f"day;Sold;Costs;Rain\n{lines}", encoding="utf-8")
    return tmp_path


OWN = ("text --data text.txt --window 10 --cell rnn --epochs 1",)
OWN += ("text --data text.txt --tokens words --window 5 --steps 3",)
OWN += ("names --data classes --bidirectional --layers 2 --steps 3 --dropout 0.5",)
OWN += ("series --data table.csv --column sold --window 20 --steps 3 --cell rnn_relu",)
OWN += ("series --data gaps.csv --column sold,costs --inputs rain --missing repeat --difference --window 9 --steps 3",)
OWN += ("memory --optimizer sgd --momentum 0.9 --nesterov --steps 3 --clip 0",)


@pytest.mark.parametrize("arguments", OWN)
def test_own_data_and_options(own_data, arguments, monkeypatch):
    monkeypatch.chdir(own_data)
    monkeypatch.setattr(plots, "save", lambda figure, path: None)
    assert main(["curves", *arguments.split(), *SIZES, "--out", "out", "--dtype", "float64"]) == 0
    (entry,) = entries(Path("out"))
    assert entry["settings"]["steps"] > 0
    assert entry["diverges_at"] is None
    assert entry["gradient_gap"] <= 1e-12


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["poetry"], "no task 'poetry'"),
        (["text", "--data", "nowhere.txt"], "nowhere.txt"),
        (["text", "names", "--data", "text.txt"], "one task"),
        (["series", "--data", "gaps.csv", "--column", "sold"], "--missing drop or repeat"),
        (["text", "--bidirectional"], "--bidirectional"),
        (["names", "--window", "9"], "--window"),
        (["names", "--cell", "gru", "--forget-bias", "1"], "--cell lstm"),
        (["memory", "--momentum", "0.9"], "--optimizer sgd"),
        (["memory", "--nesterov", "--optimizer", "sgd"], "--momentum"),
        (["memory", "--device", "abacus"], "abacus"),
        (["memory", "--out", "text.txt"], "text.txt"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(own_data, arguments, said, refused):
    """Of the data's own messages (tests/data) one of each kind: a file, what is in it, an option."""
    assert said in refused(["curves", "--steps", "2", *arguments])


IMPOSSIBLE = ("--lr 0", "--lr nan", "--lr 1e300", "--weight-decay 1e300", "--clip -1", "--momentum 1", "--seed -1")
IMPOSSIBLE += ("--layers -1", "--layers 1001", "--steps 1.5", "--steps 1 --epochs 1", "--cell transformer")
IMPOSSIBLE += ("--hidden 0", f"--hidden {'1' * 30}", f"--hidden {'0' * 19}{'1' * 30}", "--bogus", "--out")
IMPOSSIBLE += ("--out=", "--out a\x1b[31mb", "--dropout 1", "--forget-bias inf")


@pytest.mark.parametrize("options", IMPOSSIBLE)
def test_an_impossible_option_is_one_line_and_stops_before_anything(options, refused):
    assert options.split()[0].removesuffix("=") in refused(["curves", "memory", *options.split()])


def test_a_task_alone_or_an_option_alone_means_curves(refused):
    assert "too many to train here" in refused(["memory", "--hidden", "1000000"])
    assert "one task" in refused(["--data", "x"])


@pytest.mark.slow
def test_odd_names_are_drawn_as_they_are(own_data, monkeypatch):
    """Dollars are no formula, brackets no markup, and a character that the font lacks is a box; no run stops."""
    monkeypatch.chdir(own_data)
    for name in ("$\\frac$", "[/red]", "漢字" * 30, "\x1b[31m"):
        (own_data / "classes" / f"{name.replace('/', '')}.txt").write_text("abc\nxyz\nuvw\n", encoding="utf-8")
        (own_data / "odd.csv").write_text(f"{name},v\n" + "".join(f"{name},{k % 7}\n" for k in range(99)))
        command = ["series", "--data", "odd.csv", "--column", "v", "--window", "9", "--steps", "2", *SIZES]
        assert main(command) == 0
        (own_data / "odd.csv").write_text(f"{name}\n" + "".join(f"{k % 7}\n" for k in range(99)))
        assert main(["series", "--data", "odd.csv", "--window", "9", "--steps", "2", *SIZES]) == 0
    assert main(["names", "--data", "classes", "--steps", "2", *SIZES]) == 0


@pytest.mark.parametrize(
    ("steps", "said"),
    [("24", "series: the scratch loss became"), ("1", "series: the scratch mean absolute error")],
    ids=["in training", "at the last update"],
)
def test_a_run_that_diverges_says_where_and_keeps_what_it_has(own_data, steps, said, folder, monkeypatch, capsys):
    data = ["--data", "table.csv", "--column", "sold", "--window", "20", "--out", "out"]
    with monkeypatch.context() as earlier:
        leave_undrawn(earlier)
        assert main(["series", *data, *SIZES, "--steps", "2"]) == 0
    capsys.readouterr()
    unstable = ["--cell", "rnn_relu", "--hidden", "64", "--optimizer", "sgd", "--lr", "1e30", "--clip", "0"]
    assert main(["series", *data, *unstable, "--steps", steps]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "at step" in captured.err
    assert captured.err.count("\n") == 1
    kept = rows_of("out/series/history.csv")
    assert list(kept[1].values())[:3] == ["1", "train", "loss"]
    assert Path("out/curves.png").read_bytes().startswith(b"\x89PNG")
    assert entries(Path("out")) == [], "the entry of the earlier run no longer applies"


def test_a_bug_is_not_reported_as_a_difference(monkeypatch, capsys):
    monkeypatch.setattr("compare.curves.training.main", lambda *_, **__: 1 / 0)
    assert main(["memory"]) == 3
    assert "ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setattr("compare.curves.training.main", lambda *_, **__: np.ones(10**15))
    assert main(["memory"]) == 2
    assert capsys.readouterr().err.startswith("error: not enough memory")


def test_a_reader_that_has_gone_and_a_full_device_are_no_difference():
    command = [sys.executable, "-m", "compare", "exercise"]  # one that loads little
    for both in (False, True):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=write if both else subprocess.PIPE, text=True)
        os.close(write)
        assert done.returncode == 141
        assert not done.stderr
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: standard output: No space left on device\n"


def test_escape_codes_are_shown_and_not_obeyed(folder, undrawn, monkeypatch, capsys):
    escape = "\x1b[31m"
    rows = "".join(f"{k % 7},{k % 5}\n" for k in range(99))
    Path("own.csv").write_text(f"{escape}a,b\n{rows}", encoding="utf-8")
    series = ["series", "--data", "own.csv", "--window", "9", "--steps", "1", *SIZES]
    assert main(series) == 2
    assert main([*series, "--column", f"{escape}a"]) == 0
    assert main(["text", "--data", f"{escape}.txt"]) == 2
    for known in ("TRAPS", "MISTAKES"):
        monkeypatch.setattr(f"compare.traps.match.{known}", ())
    Path(f"[red]{escape}.csv").write_text(f"{escape}\n1\n1\n1\n", encoding="utf-8")
    assert main(["traps", "memory", "--steps", "3", "--match", f"[red]{escape}.csv", "--column", escape]) == 0
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "(\\x1b[31ma)" in captured.out
    assert r"[red]\x1b[31m.csv, \x1b[31m: this is the reference run" in captured.out
    assert r"\x1b[31m.txt: no such file" in captured.err


@pytest.mark.parametrize("user_sets", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_numpy_and_torch_get_one_thread_each_unless_the_user_sets_threads(user_sets):
    code = (
        "import numpy, torch; from compare import model_pair; from compare.curves.summary import environment as now; "
    )
    code += "names = 'numpy_threads', 'torch_threads'; before = now(); model_pair.use_one_core_each(); "
    code += "print(*(f'{before[name]} {now()[name]}' for name in names), sep='\\n')"
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    environment |= {"OPENBLAS_NUM_THREADS": "2"} if user_sets else {}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    for line in done.stdout.splitlines():
        before, after = line.split()
        assert after == (before if user_sets else "1")
    assert done.stdout.count("\n") == 2, done.stderr


def test_every_cell_of_scratch_has_a_torch_counterpart_a_name_of_its_own_and_a_colour():
    assert list(torch_impl.model.CELLS) == list(plots.CELL_COLOURS) == list(options.CELLS) == list(scratch.CELLS)
    assert len(set(options.CELLS.values())) == len(set(plots.CELL_COLOURS.values())) == len(scratch.CELLS)
