"""Finished runs in one picture: `byhand curves --overlay` and `--seeds`."""

import json

import numpy as np
import pytest
from helpers import leave_undrawn, texts_of

from compare import plots
from compare.__main__ import main
from compare.curves import overlay

SIZES = ["--hidden", "4", "--batch-size", "4", "--window", "6", "--steps"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with three seeds of a run of memory, and one of memory and names that is a little longer."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as during:
        during.chdir(folder)
        leave_undrawn(during)
        assert main(["memory", *SIZES, "30", "--seeds", "3", "--seed", "5", "--out", "three"]) == 0
        assert main(["memory", *SIZES, "60", "--cell", "lstm", "--out", "one"]) == 0
        assert main(["names", "--hidden", "4", "--steps", "30", "--out", "one"]) == 0
    return folder


@pytest.fixture
def drawn(runs, monkeypatch, capsys):
    """A function: draw an overlay; return the figure and what was printed."""

    def run(*command):
        figures = []
        monkeypatch.chdir(runs)
        monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
        capsys.readouterr()
        assert main(["curves", *command, "--out", "drawn"]) == 0
        figures[0].draw_without_rendering()
        return figures[0], capsys.readouterr().out

    return run


def legends(figure):
    return [text.get_text() for part in figure.subfigs for legend in part.legends for text in legend.get_texts()]


def test_seeds_are_runs_of_their_own_and_one_curve_with_its_range(runs, drawn):
    assert sorted(path.name for path in (runs / "three").iterdir()) == [overlay.FILE, "seed-5", "seed-6", "seed-7"]
    entry = json.loads((runs / "three/seed-6/summary.json").read_text())["tasks"][0]
    assert entry["settings"]["seed"] == 6
    figure, said = drawn("--overlay", "three")
    assert legends(figure) == ["memory (median and range of 3 seeds)"]
    last = [overlay.finished(path).values["test"][-1, 0] for path in sorted((runs / "three").glob("*/memory"))]
    assert len(set(last)) == 3
    expected = f"mean squared error {np.median(last):.5g} ({min(last):.5g} to {max(last):.5g})"
    assert expected in " ".join(said.split())
    _, test = figure.axes
    assert test.lines[0].get_ydata()[-1] == pytest.approx(np.median(last))
    band = test.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() <= min(last) and any(np.isclose(band[:, 1], max(last)))


def test_runs_are_labelled_by_the_options_in_which_they_differ(drawn):
    figure, said = drawn("--overlay", "three", "one", "one")
    names, *memory = legends(figure)
    assert names == "names"
    assert memory == ["--cell gru, --steps 30 (median and range of 3 seeds)", "--cell lstm, --steps 60"]
    assert "drawn/overlay.png: 5 runs" in said and max(map(len, said.splitlines())) <= 80
    # no text is small, and no legend covers data
    assert min(text.get_fontsize() for text in texts_of(figure)) >= 9
    for part in figure.subfigs:
        box = part.legends[0].get_window_extent()
        assert not any(box.overlaps(axes.get_tightbbox()) for axes in figure.axes)
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_steps_or_seconds(runs, drawn):
    figure, _ = drawn("memory", "--overlay", "one")
    assert legends(figure) == ["memory"]
    steps, test = figure.axes
    assert steps.get_xlabel() == "steps" and list(test.lines[0].get_xdata()) == [0, 30, 60]
    figure, _ = drawn("memory", "--overlay", "one", "--x", "seconds")
    steps, test = figure.axes
    run = overlay.finished(runs / "one/memory")
    assert steps.get_xlabel() == "seconds" and list(test.lines[0].get_xdata()) == list(run.seconds[[0, 30, 60]])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--overlay", "nowhere"], "nowhere holds no finished run"),
        (["--overlay", "nowhere", "--lr", "0.1"], "without --lr"),
        (["poetry", "--overlay", "nowhere"], "no task 'poetry'"),
        (["--overlay"], "--overlay"),
        (["--overlay", "a", "--seeds", "2"], "--seeds"),
        (["--seeds", "0"], "--seeds"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, refused):
    assert said in refused(["curves", *arguments])


def test_damaged_folders_and_tasks_that_are_not_there_are_one_line(runs, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(runs)
    assert main(["series", "--overlay", "one"]) == 2
    assert "one holds no finished run of series" in capsys.readouterr().err
    other = tmp_path / "other"
    other.mkdir()
    for file in ("checkpoint.safetensors", "history.csv"):
        (other / file).write_bytes((runs / "one/memory" / file).read_bytes())
    assert main(["curves", "--overlay", str(other)]) == 2
    assert "seconds.csv" in capsys.readouterr().err
    (other / "seconds.csv").write_text("step,seconds\n1,x\n")
    assert main(["curves", "--overlay", str(other)]) == 2
    assert "is damaged, or not the folder of a finished run" in capsys.readouterr().err
