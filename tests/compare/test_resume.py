"""Stop a run at any moment and resume it: nothing is lost, and the numbers are those of an uninterrupted run.

`KILLS=30 pytest tests/compare/test_resume.py` kills thirty times rather than five. This file is also the program that
does it, see `kill_and_resume`: it loads torch once and forks for every run.
"""

import json
import os
import pickle
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from helpers import ROOT, contents, interrupt, leave_undrawn

from compare import files, model_pair, plots
from compare.__main__ import main
from compare.curves import sample_text, stopped_run, training
from compare.options import configure

KILLS = int(os.environ.get("KILLS", "5"))
TEXT = "".join(random.Random(0).choices("to be or not\n", k=1000))
SIZES = ["--hidden", "6", "--batch-size", "4", "--window", "8"]  # 28 steps an epoch
RUN = ["text", "--data", "text.txt", "--cell", "lstm", "--optimizer", "adam", "--lr", "0.01", *SIZES, "--steps", "60"]


def exact(files):
    """What must not depend on where a run was stopped: everything but the time it took, which three files hold."""
    timed = ("summary.json", "seconds.csv", stopped_run.FILE)
    files = {name: content for name, content in files.items() if Path(name).name not in timed}
    for name, content in files.items():
        if name.endswith("checkpoint.safetensors"):  # the order of its metadata is not fixed
            files[name] = {weight: array.tobytes() for weight, array in safetensors.numpy.load(content).items()}
    return files


def save_undrawn(figure, path):
    files.write_whole(path, b"a picture")


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Write pictures without drawing them, and short texts."""
    with pytest.MonkeyPatch.context() as patch:
        leave_undrawn(patch)
        patch.setattr(sample_text, "LENGTH", 10)
        yield


@pytest.fixture(scope="module")
def reference(quick, tmp_path_factory):
    """A folder with the text and, in `alone`, the uninterrupted run."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    with pytest.MonkeyPatch.context() as during:
        during.chdir(folder)
        assert main([*RUN, "--out", "alone"]) == 0
    return folder


@pytest.fixture
def here(reference, folder):
    Path("text.txt").write_bytes((reference / "text.txt").read_bytes())
    return folder


@pytest.fixture(scope="module")
def stopped_once(reference):
    """The run, stopped at step 33, in its second epoch."""
    with pytest.MonkeyPatch.context() as during:
        during.chdir(reference)
        interrupt(during, 33)
        assert main([*RUN, "--out", "stopped"]) == 130
    return reference / "stopped"


@pytest.fixture
def stopped(here, stopped_once):
    return shutil.copytree(stopped_once, "results")


# ---- killed ---------------------------------------------------------------------------------------------------------

COMMANDS = [
    [*RUN, "--checkpoint-every", "1"],
    ["memory", "series", "--hidden", "5", "--window", "12", "--steps", "30", "--checkpoint-every", "1"],
]
IN_A_ROW = 6  # kills of one run, at most


def kill_and_resume(kills, seed):
    """Kill runs until so many kills have hit, and resume after each; print what the kills hit, as JSON."""
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # loads much of torch, so that no child has to
    plots.save, sample_text.LENGTH = save_undrawn, 10
    rng = random.Random(seed)
    found = {"in a write": 0, "after steps": []}
    whole, seconds = [], []
    for number in range(1 + (kills > IN_A_ROW)):
        start = time.time()
        assert os.waitpid(fork(COMMANDS[number], f"whole{number}"), 0)[1] == 0, said()
        whole.append(exact(contents(f"whole{number}")))
        trained = max(path.stat().st_mtime for path in Path(f"whole{number}").rglob(stopped_run.FILE)) - start
        seconds.append(trained)
    hit, run = 0, 0
    while hit < kills:
        number, out, last = run % len(whole), f"run{run}", min(kills, hit + IN_A_ROW)
        status = None
        while status != 0:
            child = fork([*COMMANDS[number], "--resume"], out)
            if hit < last:
                kill(child, out, rng.random() * seconds[number], in_a_write=rng.random() < 0.3)
            status = os.waitpid(child, 0)[1]
            assert status in (0, signal.SIGKILL), said()
            if status:
                hit += 1
                found["in a write"] += any(Path(out).rglob(f".*{files.PARTIAL}"))
                found["after steps"].append(steps_of_whole_files(out))
        assert exact(contents(out)) == whole[number], out
        run += 1
    print(json.dumps(found))


def fork(command, out):
    child = os.fork()
    if child:
        return child
    file = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    status = 3
    try:
        status = main([*command, "--out", out])
    finally:
        os._exit(status)


def said():
    return Path("said.txt").read_text(encoding="utf-8")


def kill(child, out, seconds, in_a_write):
    """Kill a run after some time, or at its next write after that. It may have ended before."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or (in_a_write and not any(Path(out).rglob(f".*{files.PARTIAL}"))):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
    os.kill(child, signal.SIGKILL)


def steps_of_whole_files(folder):
    """How many steps the runs in a folder have made. Every file there must be whole, but for those being written."""
    steps = 0
    for path in Path(folder).rglob("*"):
        if path.is_dir() or path.suffix == files.PARTIAL:
            continue
        content = path.read_bytes()
        match path.suffix:
            case ".png":
                assert content == b"a picture" or content.endswith(b"IEND\xaeB`\x82"), path
            case ".json":
                json.loads(content)
            case ".csv":
                assert content.endswith(b"\n") and len({line.count(b",") for line in content.splitlines()}) == 1, path
            case ".safetensors" if path.name == stopped_run.FILE:
                steps += files.open_resume(path).step
            case ".safetensors":
                files.open_checkpoint(path)
            case _:
                raise AssertionError(path)
    return steps


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_like_uninterrupted_ones(here):
    arguments = [sys.executable, __file__, str(KILLS), "1"]
    done = subprocess.run(arguments, cwd=here, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(found)
    assert len(found["after steps"]) == KILLS
    assert sum(found["after steps"]) > 0, "no kill hit the training"
    assert found["in a write"] or KILLS < 30


# ---- Ctrl-C ---------------------------------------------------------------------------------------------------------


def test_ctrl_c_stops_after_the_step_and_says_how_to_resume(here, reference, monkeypatch, capsys):
    with monkeypatch.context() as during:
        interrupt(during, 33)
        assert main([*RUN, "--out", "my results"]) == 130
    output = capsys.readouterr()
    assert output.err.count("\n") == 1
    assert output.err.startswith("text was stopped at step 33 of 60; to resume: byhand ")
    history = Path("my results/text/history.csv").read_text().splitlines()
    whole = (reference / "alone/text/history.csv").read_text().splitlines()
    assert history == whole[: len(history)]
    assert history[-1].startswith("33,train")
    assert Path("my results/curves.png").exists()
    assert json.loads(Path("my results/summary.json").read_text())["tasks"] == []

    program, *words = shlex.split(output.err.split("to resume: ")[1])
    assert (program, words[-1]) == ("byhand", "--resume")
    assert main(words) == 0
    assert exact(contents("my results")) == exact(contents(reference / "alone"))
    assert "resuming: text from step 33" in capsys.readouterr().out


def test_a_second_ctrl_c_stops_at_once(here, reference, monkeypatch, capsys):
    with monkeypatch.context() as during:
        interrupt(during, 33, times=2)
        assert main([*RUN, "--checkpoint-every", "10"]) == 130
    assert capsys.readouterr().err == "stopped\n"
    assert list(contents("results")) == [f"text/{stopped_run.FILE}"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert main([*RUN, "--resume"]) == 0
    assert Path("results/text/history.csv").read_bytes() == (reference / "alone/text/history.csv").read_bytes()


def test_ctrl_c_is_left_alone_where_the_shell_ignores_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopped_run.first_ctrl_c():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# ---- exact ----------------------------------------------------------------------------------------------------------

OPTIONS = {
    "sgd": dict(optimizer="sgd", lr=0.5),
    "nesterov": dict(optimizer="sgd", lr=0.5, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "adam": dict(optimizer="adam", lr=0.01, cell="gru", dtype="float64"),
    "adamw": dict(optimizer="adamw", lr=0.01, weight_decay=0.1, layers=2),
    "rmsprop": dict(optimizer="rmsprop", lr=0.01, momentum=0.5, cell="rnn"),
    "adagrad": dict(optimizer="adagrad", lr=0.1, clip=0.0),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_optimizer_resumes_to_the_last_bit(here, options):
    """Stopped within an epoch, at its last step, and one step later: the same records, and the same final weights."""
    options = dict(cell="lstm", hidden=6, batch_size=4, window=8, steps=30, data="text.txt") | options
    (settings,) = configure(["text"], **options)
    alone = training.prepare(settings)
    assert alone.dataset.steps_per_epoch == 28
    records = list(model_pair.train(settings, alone.dataset, alone.pair, alone.optimizers))
    for stop in (5, 28, 29):
        first, second = training.prepare(settings), training.prepare(settings)
        done = list(islice(model_pair.train(settings, first.dataset, first.pair, first.optimizers), stop))
        arrays = model_pair.snapshot(first.pair, first.optimizers)
        files.write_resume("kept", files.Stopped(alone.settings, 0, 0, stop, arrays))
        batch = next(iter(model_pair.Remaining(second.dataset, stop - 1).train_batches(0)))
        model_pair.restore(second.pair, second.optimizers, files.open_resume("kept").arrays, stop, batch)
        done += model_pair.train(settings, second.dataset, second.pair, second.optimizers, stop)
        assert done == records
        ends = [model_pair.snapshot(run.pair, run.optimizers) for run in (alone, second)]
        assert ends[0].keys() == ends[1].keys()
        for name, array in ends[0].items():
            assert array.dtype == ends[1][name].dtype
            assert array.tobytes() == ends[1][name].tobytes(), name


def test_a_finished_run_is_not_trained_again(here, reference, monkeypatch, capsys):
    shutil.copytree(reference / "alone", "results")
    for name in ("history.csv", "checkpoint.safetensors", "predictions.png"):
        Path("results/text", name).unlink()  # as if killed just before it wrote them
    monkeypatch.setattr(training.Run, "record_step", None)
    assert main([*RUN, "--resume"]) == 0
    assert "resuming: text is finished\n" in capsys.readouterr().out
    assert exact(contents("results")) == exact(contents(reference / "alone"))
    before, after = (
        json.loads(p.read_text()) for p in (reference / "alone/summary.json", Path("results/summary.json"))
    )
    for summary in (before, after):
        summary["tasks"][0].pop("step_seconds")  # measured again
    assert after == before


def test_one_task_after_another(here, monkeypatch, capsys):
    """Stopped in the first, then in the second: what is finished is not trained again, and nothing older is used."""
    command = ["memory", "series", "--hidden", "4", "--window", "12", "--steps", "26"]
    assert main([*command, "--out", "alone"]) == main(command) == 0
    with monkeypatch.context() as during:
        interrupt(during, 8)
        assert main(command) == 130
    with monkeypatch.context() as during:
        interrupt(during, 1 + 26 - 8 + 5)  # one step is made to restore memory
        capsys.readouterr()
        assert main([*command, "--resume"]) == 130
    output = capsys.readouterr()
    assert "resuming: memory from step 8, series from step 0" in output.out
    assert "series was stopped at step 5 of 26" in output.err
    assert main([*command, "--resume"]) == 0
    assert "resuming: memory is finished, series from step 5" in capsys.readouterr().out
    assert exact(contents("results")) == exact(contents("alone"))


def test_the_time_before_the_interruption_counts(stopped):
    with_arrays(seconds=np.full(33, 1000.0))()
    assert main([*RUN, "--resume"]) == 0
    (entry,) = json.loads(Path("results/summary.json").read_text())["tasks"]
    assert entry["seconds"] > 1000


OWN = ["series", "--data", "own.csv", "--hidden", "3", "--batch-size", "8", "--window", "5", "--checkpoint-every", "1"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (["--epochs", "2"], ["--steps", "20"]),
        (["--steps", "20"], ["--epochs", "2"]),
        (["--steps", "20", "--column", "v"], ["--steps", "20"]),
    ],
)
def test_the_same_run_in_other_words_is_resumed(here, first, second, monkeypatch, capsys):
    """Epochs instead of as many steps; the only column of numbers, with and without its name."""
    Path("own.csv").write_text("day,v\n" + "".join(f"d{k},{k % 7}\n" for k in range(105)), encoding="utf-8")
    with monkeypatch.context() as during:
        interrupt(during, 5)
        assert main([*OWN, *first]) == 130
    assert "step 5 of 20" in capsys.readouterr().err
    assert main([*OWN, *second, "--resume"]) == 0
    assert "resuming: series from step 5" in capsys.readouterr().out


# ---- two runs in one folder -----------------------------------------------------------------------------------------


def test_a_second_run_in_the_same_folder_is_refused(stopped, refused):
    """It also leaves alone what the first one is just writing."""
    Path(f"results/text/.history.csv.1{files.PARTIAL}").write_bytes(b"half")
    with files.locked("results"):
        for option in ([], ["--resume"], ["--restart"]):
            assert "another run is writing into results; wait" in refused([*RUN, *option])
    assert main([*RUN, "--restart"]) == 0, "the lock is gone with the first run"
    assert not any(Path("results").rglob(".*")), "and so is what it left half-written"


def test_where_there_are_no_locks_a_line_says_so(here, monkeypatch, capsys):
    monkeypatch.setattr(files, "fcntl", None)
    with files.locked("."):
        pass
    assert "cannot be locked on this system" in capsys.readouterr().out


# ---- refused --------------------------------------------------------------------------------------------------------


def test_a_stopped_run_is_not_lost_by_a_plain_one(stopped, refused):
    said = refused(RUN)
    assert all(words in said for words in ("stopped at step 33 of 60", "--resume", "--restart", "--out"))
    assert main([*RUN, "--restart"]) == 0
    assert main(RUN) == 0, "a finished one is replaced"


def test_nothing_to_resume_starts_and_says_so(here, capsys):
    assert main([*RUN, "--resume"]) == 0
    assert "results holds no run to resume: starting at step 0" in capsys.readouterr().out


def test_a_run_of_another_task_is_not_taken_for_nothing_to_resume(stopped, refused):
    said = refused(["memory", "--steps", "1", "--resume"])
    assert "no run of memory to resume, but of text; name text" in said


def test_another_configuration(stopped, refused):
    changed = ["--cell", "gru", "--steps", "70", "--lr", "0.02", "--clip", "0", "--seed", "1", "--dtype", "float64"]
    said = refused([*RUN, *changed, "--resume"])
    assert "--cell lstm (now gru)" in said and "--steps 60 (now 70)" in said and "--lr 0.01 (now 0.02)" in said
    assert "--clip 1.0 (now none)" in said and "--dtype float32 (now float64)" in said and "--seed 0 (now 1)" in said


def test_other_data_under_the_same_name(stopped, refused):
    Path("text.txt").write_text(TEXT.replace("to", "ot"), encoding="utf-8")
    assert "other data" in refused([*RUN, "--resume"])


FILE = Path("results/text") / stopped_run.FILE


def with_arrays(**changed):
    """Rewrites FILE with changed arrays; None leaves one out."""

    def damage():
        stopped = files.open_resume(FILE)
        arrays = stopped.arrays | {name.replace("__", "/"): array for name, array in changed.items()}
        arrays = {name: array for name, array in arrays.items() if array is not None}
        files.write_resume(FILE, replace(stopped, arrays=arrays))

    return damage


def with_about(change):
    """Rewrites FILE with another description of the run: change(dict) returns anything."""

    def damage():
        metadata, arrays = files.read_safetensors(FILE)
        about = change(json.loads(metadata["about"]))
        FILE.write_bytes(safetensors.numpy.save(arrays, {"about": json.dumps(about)}))

    return damage


def a_folder():
    FILE.unlink()
    FILE.mkdir()
    (FILE / "file").write_text("something", encoding="utf-8")


DAMAGE = {
    "cut": lambda: FILE.write_bytes(FILE.read_bytes()[:-100]),
    "a pickle": lambda: FILE.write_bytes(b"\x80\x04cos\nsystem\n(S'touch executed'\ntR."),
    "a folder": a_folder,
    "float64 weights": with_arrays(**{"scratch__weights__linear.bias": np.zeros(13)}),
    "another step count": with_arrays(scratch__t=np.asarray(-1)),
    "another step count of torch": with_arrays(torch__optimizer__0__step=np.asarray(-5, np.float32)),
    "no moment": with_arrays(torch__optimizer__0__exp_avg=None),
    "a moment of another shape": with_arrays(**{"scratch__m__linear.bias": np.zeros(3, np.float32)}),
    "an unknown array": with_arrays(scratch__more=np.zeros(3, np.float32)),
    "a state of other rows": with_arrays(torch__state__1=np.zeros((1, 3, 6), np.float32)),
    "no history": with_arrays(rows=None),
    "a history of other steps": with_arrays(rows=np.zeros((35, 2))),
    "the times of other steps": with_arrays(seconds=np.zeros(32)),
    "no settings": with_about(lambda about: {"step": 33}),
    "settings of no run": with_about(lambda about: about | {"settings": about["settings"] | {"layers": True}}),
    "step in words": with_about(lambda about: about | {"step": "33"}),
    "step after the last": with_about(lambda about: about | {"step": 61}),
    "another step": with_about(lambda about: about | {"step": 32}),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_not_that_of_the_run(stopped, damage, refused):
    """It could not be resumed. (What settings no run can have stored: test_hostile_files.py.)"""
    damage()
    assert str(FILE) in refused([*RUN, "--resume"])


@pytest.mark.parametrize(("damage", "status"), [("cut", 0), ("a folder", 2)])
def test_a_file_that_cannot_be_resumed_can_be_replaced(stopped, damage, status):
    DAMAGE[damage]()
    assert main([*RUN, "--steps", "1", "--restart"]) == status


# ---- a full disk, a folder that cannot be written -------------------------------------------------------------------


def test_a_full_disk(stopped, reference, capsys):
    """The limit on the size of a file stops a write half way, as a full disk does; the history makes the file grow."""
    before = contents("results")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE.stat().st_size + 300, hard))
    try:
        capsys.readouterr()
        assert main([*RUN, "--resume", "--checkpoint-every", "1"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    output = capsys.readouterr().err
    assert output == f"error: cannot write {FILE}: File too large; free some space and start it again\n"
    after = contents("results")
    assert after.keys() == before.keys(), "half a file is left"
    assert [name for name in after if after[name] != before[name]] == [f"text/{stopped_run.FILE}"]
    assert 33 < steps_of_whole_files("results") < 60
    assert main([*RUN, "--resume"]) == 0
    assert Path("results/text/history.csv").read_bytes() == (reference / "alone/text/history.csv").read_bytes()


def test_a_folder_that_cannot_be_written_changes_nothing(here, refused):
    Path("results").mkdir()
    Path("results/text").write_text("a file where a folder should be", encoding="utf-8")
    assert "cannot write into results/text" in refused(RUN)


# ---- no code in data ------------------------------------------------------------------------------------------------

RUNS_CODE = re.compile(
    r"^\s*(import|from) (c?pickle|dill|joblib|shelve|marshal)\b|allow_pickle"
    r"|(?<![.\w])((torch|np|numpy)\.(load|save)|eval)\(",
    re.MULTILINE,
)


def test_nothing_that_runs_code_is_used_to_read_or_write():
    sources = [p for package in ("data", "scratch", "torch_impl", "compare") for p in (ROOT / package).rglob("*.py")]
    # the learner's room runs a learner's code on purpose
    sources = [path for path in sources if "learner" not in path.relative_to(ROOT).parts]
    assert len(sources) > 40
    for path in sources:
        assert not RUNS_CODE.search(path.read_text(encoding="utf-8")), path
    for line in ("import pickle", "x = np.load(f)", "torch.load(f)"):
        assert RUNS_CODE.search(line)


def test_resuming_and_opening_a_checkpoint_unpickle_nothing(stopped):
    """Python reports every object that pickle builds to an audit hook."""
    unpickled = []
    listening = [True]
    sys.addaudithook(lambda event, found: event == "pickle.find_class" and listening and unpickled.append(found))
    assert main([*RUN, "--resume"]) == 0
    files.open_checkpoint("results/text/checkpoint.safetensors")
    assert not unpickled
    pickle.loads(pickle.dumps(Path(".")))
    assert unpickled, "the hook hears nothing"
    listening.clear()


if __name__ == "__main__":
    kill_and_resume(*map(int, sys.argv[1:]))
