"""Forecasts that run ahead, and `byhand predict`: what both models answer."""

from dataclasses import asdict

import numpy as np
import pytest
from helpers import leave_undrawn

import data
from compare import files, model_pair, plots
from compare.__main__ import main
from compare.curves import ahead
from compare.options import Settings

SIZES = ["--hidden", "6", "--batch-size", "8", "--steps", "3"]


@pytest.fixture
def table(tmp_path):
    rows = (f"{k},{k % 12 + k // 40},{k % 5}" for k in range(200))
    (tmp_path / "own.csv").write_text("\n".join(["day,Sold,Costs", *rows]))
    return str(tmp_path / "own.csv")


@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_model_runs_ahead_on_its_own_outputs(cell, difference, table):
    """Step by step, with the last output appended to what it reads: the same numbers, and the same from both models."""
    settings = Settings(
        "series", cell, hidden=5, window=9, data=table, column="Sold,Costs", difference=difference, dtype="float64"
    )
    dataset = model_pair.load(settings)
    pair = model_pair.build(model_pair.model_of(settings, dataset), "float64")
    starts = ahead.start_places(dataset, 7)
    assert starts[0] == dataset.split - 1 and starts[-1] == len(dataset.values) - 8
    ours, theirs = ahead.both(pair, dataset, starts, 7)
    assert ours.shape == (7, len(starts), 2)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    for k in (0, len(starts) - 1):
        sequence = dataset.scaled[starts[k] - dataset.run_in + 1 : starts[k] + 1]
        for step in range(7):
            y, _ = pair.scratch.logits(sequence[:, None])
            np.testing.assert_allclose(y[-1, 0], ours[step, k], rtol=1e-12, atol=1e-12)
            sequence = np.concatenate([sequence, y[-1]])
    # One step ahead is the forecast of an evaluation, but for the longer run-in there.
    values = dataset.ahead(ours, starts)
    expected = dataset.unscale(ours[0]) + (dataset.values[starts] if difference else 0)
    np.testing.assert_allclose(values[0], expected)


def test_errors_and_baselines_by_horizon(table):
    for missing, column in ((None, "Sold"), (None, "Sold,Costs"), ("repeat", "Sold")):
        series = data.load("series", table, column=column, missing=missing, window=9)
        if missing:
            series.known = series.known.copy()
            series.known[series.split + 3 :: 4] = False
        starts = ahead.start_places(series, 20)
        O, places = series.output_size, starts + np.arange(1, 21)[:, None]
        truth = series.values[places][..., :O]
        assert not ahead.errors(series, truth, starts).any()
        wrong = truth + 2.0 * series.unit + 1e6 * ~series.known[places]
        np.testing.assert_allclose(ahead.errors(series, wrong, starts), 2)
        last, season = ahead.baselines(series, starts, 20).values()
        for h in range(20):
            np.testing.assert_array_equal(last[h], series.values[starts, :O])
            for k, lag in enumerate(series.lags):
                back = starts + h + 1
                while (back > starts).any():
                    back = np.where(back > starts, back - lag, back)
                np.testing.assert_array_equal(season[h, :, k], series.values[back, k])


def test_the_change_is_added_up(table):
    plain, changes = (data.load("series", table, column="Sold", window=9, difference=d) for d in (False, True))
    starts = np.array([changes.split - 1, changes.split + 3])
    places = starts + np.arange(1, 6)[:, None]
    np.testing.assert_allclose(changes.ahead(changes.scaled[places], starts), changes.values[places], atol=1e-4)
    np.testing.assert_allclose(plain.ahead(plain.scaled[places], starts), plain.values[places], atol=1e-4)


def test_horizon_from_the_command_line(table, folder, monkeypatch, capsys):
    save = plots.save
    leave_undrawn(monkeypatch)
    monkeypatch.setattr(plots, "save", save)  # horizon.png alone is drawn
    own = ["series", "--data", table, "--column", "sold", "--window", "9", *SIZES]
    for arguments, said in (
        ([*own, "--horizon", "41"], "longer than the 40 held-out values"),
        ([*own, "--inputs", "costs", "--horizon", "3"], "leave one of them out"),
        (["names", "--horizon", "3"], "for series, not names"),
    ):
        assert main(arguments) == 2
        assert said in capsys.readouterr().err
    assert not (folder / "results").exists()
    assert main([*own, "--horizon", "40"]) == 0
    assert "series/horizon.png             forecasts up to 40 steps ahead" in capsys.readouterr().out
    assert (folder / "results/series/horizon.png").read_bytes().startswith(b"\x89PNG")
    leave_undrawn(monkeypatch)
    assert main([*own, "--horizon", "1"]) == 0
    assert main(own) == 0
    assert not (folder / "results/series/horizon.png").exists(), "it was the earlier run's"


def test_with_inputs_only_the_next_value_is_known(table, folder, undrawn, capsys):
    assert main(["series", "--data", table, "--column", "sold", "--inputs", "costs", "--window", "9", *SIZES]) == 0
    assert main(["predict", "results/series"]) == 2
    assert "ask for 1 step" in capsys.readouterr().err
    assert main(["predict", "results/series", "1"]) == 0


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short run of each task."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        leave_undrawn(patch)
        assert main(["names", "digits", "series", "memory", *SIZES, "--dropout", "0.5", "--layers", "2"]) == 0
        (folder / "own.txt").write_text("to be or not to be, that is the question.\n" * 60)
        assert main(["text", "--data", "own.txt", "--tokens", "words", "--window", "5", *SIZES]) == 0
    return folder


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (["names", "Kowal"], ["class", "scratch", "torch"]),
        (["digits", ",".join(["0", "8", "16", "8"] * 16)], ["class", "scratch", "torch"]),
        (["digits", " ".join(["3"] * 24)], ["class"]),  # three rows are a sequence as well
        (["digits", ",".join(["-1"] * 8)], ["class"]),
        (["series"], ["steps after 2013-09: sunspots", "12 "]),
        (["series", "3"], ["3 "]),
        (["text", "to be or"], ["to be or", "the same text"]),
        (["text"], ["the same text"]),
    ],
)
def test_both_models_answer(question, said, runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    assert main(["predict", f"results/{question[0]}", *question[1:]]) == 0
    out = capsys.readouterr().out
    assert all(words in out for words in said)
    assert "scratch and torch: the same text" in out or "equal within rounding" in out or "identical" in out


def test_the_probabilities_are_those_of_the_model(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    main(["predict", "results/names", "Kowal"])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[3:8]]
    assert [float(a) for _, a, _ in rows] == sorted([float(a) for _, a, _ in rows], reverse=True)
    names = data.load("names", batch_size=8)
    model = files.open_checkpoint("results/names/checkpoint.safetensors").scratch
    logits, _ = model.logits(names.encode("Kowal")[:, None])
    p = np.exp(logits[0]) / np.exp(logits[0]).sum()
    for label, a, b in rows:
        assert float(a) == float(b) == pytest.approx(p[names.classes.index(label)], abs=1e-4)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (["nowhere"], "nowhere/checkpoint.safetensors does not exist"),
        (["results/names"], "give the name to classify"),
        (["results/names", "\N{SNOWMAN}"], "does not occur in the names"),
        (["results/digits", "1,2,3"], "do not fill rows of 8"),
        (["results/digits", "a b"], "not a number"),
        (["results/series", "soon"], "give the number of steps"),
        (["results/series", "0"], "give the number of steps"),
        (["results/text", "xyz"], "does not occur in the text"),
        (["results/memory", "1"], "nothing to ask"),
    ],
)
def test_a_question_without_an_answer_is_one_line(question, said, runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    assert main(["predict", *question]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error


def test_a_run_on_other_data_is_not_asked(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    before = (runs / "own.txt").read_text()
    (runs / "own.txt").write_text(before.replace("question", "answer"))
    assert main(["predict", "results/text", "to be"]) == 2
    assert "trained on other data" in capsys.readouterr().err
    (runs / "own.txt").write_text(before)


def test_a_checkpoint_of_another_model_is_not_asked(runs, tmp_path, capsys):
    path = runs / "results/names/checkpoint.safetensors"
    settings, about = files.open_settings(path), files.fingerprint_of(path)
    model = files.open_checkpoint(path).model | {"output_size": 3}
    other = model_pair.build(model, "float32")
    files.write_checkpoint(tmp_path / path.name, other, settings=asdict(settings), data=about)
    assert main(["predict", str(tmp_path), "Kowal"]) == 2
    assert "holds another model than its settings describe" in capsys.readouterr().err


def test_two_different_answers_are_both_shown(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs)
    texts = iter(["one", "two"])
    monkeypatch.setattr("compare.curves.sample_text.write", lambda *_: next(texts))
    assert main(["predict", "results/text", "to be"]) == 1
    out = capsys.readouterr().out
    assert "to beone" in out and "to betwo" in out and "the same text up to character 0" in out
