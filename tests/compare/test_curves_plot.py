"""The pictures of a run: what they show, and that nothing in them is hidden, too small or printed over."""

import datetime
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import overlapping, texts_of

import data
from compare import model_pair, plots
from compare.agreement import tolerance
from compare.curves import plot, plot_predictions, sample_text, summary, time_axis, training
from compare.options import configure
from compare.plots import WIDTH
from scratch import lstm

SIZES = dict(hidden=6, batch_size=32, steps=30)


@pytest.fixture
def drawn(monkeypatch):
    """A function that draws; returns the figure."""

    def draw(function, *arguments):
        figures = []
        monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
        function("unused", *arguments)
        return figures[0]

    return draw


def trained(task, **options):
    run = training.prepare(*configure([task], **SIZES | options))
    run.record_test(0, *training.evaluate(run, 0))
    for ours, theirs in training.model_pair.train(run.settings, run.dataset, run.pair, run.optimizers):
        run.record_step(ours, theirs)
    run.record_test(ours.step, *training.evaluate(run, ours.step))
    return run


@pytest.fixture(scope="module")
def runs():
    return {task: trained(task) for task in data.TASKS}


def change(run, step, **values):
    """Change the training loss of a step."""
    k = next(k for k, row in enumerate(run.rows) if (row.step, row.metric) == (step, "loss"))
    run.rows[k] = run.rows[k]._replace(**values)


def test_no_text_is_small_or_cut_and_no_legend_covers_data(runs, drawn):
    different = replace(runs["names"], torch_predictions=[-p for p in runs["names"].predictions])  # two matrices
    figures = [drawn(plot.curves, list(runs.values()))]
    figures += [drawn(plot_predictions.draw, run) for run in [*runs.values(), different]]
    for figure in figures:
        assert figure.get_figwidth() == WIDTH
        for text in texts_of(figure):
            assert text.get_fontsize() >= 9, text
        if figure._suptitle:
            assert figure._suptitle.get_window_extent().x1 <= figure.bbox.x1
        legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
        for legend in legends:
            box = legend.get_window_extent()
            assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y0 >= figure.bbox.y0
            assert not any(box.overlaps(axes.bbox) for axes in figure.axes)


def test_the_titles_of_a_long_name_do_not_collide(runs, drawn):
    settings = replace(runs["names"].settings, cell="gru", layers=2, bidirectional=True)
    run = replace(runs["names"], settings=settings)
    assert run.title == "names, bidirectional GRU 2 x 6"
    figure = drawn(plot.curves, [run])
    figure.draw_without_rendering()
    titles = [t for axes in figure.axes for t in (axes.title, axes._left_title) if t.get_text()]
    (name,) = (t for t in titles if run.title in t.get_text())
    titles.remove(name)  # its first line is above the others, its second is empty
    assert len(titles) == 4 and not overlapping(titles)


def test_the_limit_and_the_step_that_crosses_it_are_drawn(runs, drawn):
    run = replace(runs["names"], rows=list(runs["names"].rows))
    gap = drawn(plot.curves, [run]).axes[3]
    assert gap.get_title().startswith("gap: at most ")
    np.testing.assert_array_equal(gap.lines[2].get_ydata(), run.limit())
    change(run, 12, torch=run.series("train")[1][11] + 0.1)
    gap = drawn(plot.curves, [run]).axes[3]
    assert gap.get_title() == "curves differ from step 12"
    assert gap.lines[3].get_xdata() == [12]


def test_the_untrained_value_is_a_note_where_it_is_off_the_axis(runs, drawn):
    run = replace(runs["series"], rows=list(runs["series"].rows))
    run.rows[0] = run.rows[0]._replace(scratch=run.rows[-1].scratch)
    axes = drawn(plot.curves, [run]).axes[2]
    assert not axes.texts and list(axes.lines[-1].get_xdata()) == [0, 30]
    for untrained, arrow in ((1e4, "\N{UPWARDS ARROW}"), (-1e4, "\N{DOWNWARDS ARROW}")):
        run.rows[0] = run.rows[0]._replace(scratch=untrained)
        axes = drawn(plot.curves, [run]).axes[2]
        assert [text.get_text() for text in axes.texts] == [f"untrained: {untrained:.4g} {arrow}"]
        assert list(axes.lines[-1].get_xdata()) == [30]


@pytest.mark.parametrize("steps", [1, 24, 26, 60, 83, 500, 1000, 1001])
def test_evaluations_are_evenly_spaced(steps):
    found = sorted(training.evaluation_steps(steps))
    assert found[-1] == steps
    assert len(found) == min(12, max(1, steps // 25))
    between = np.diff([0, *found])
    assert between.max() - between.min() <= 1


# ---- predictions ----------------------------------------------------------------------------------------------------


def test_equal_predictions_are_called_identical_or_equal_within_rounding():
    ours = [np.ones((2, 3), np.float32), np.full(4, 2, np.float32)]
    assert plot_predictions.agree(ours, ours) == ("identical", True)
    words, same = plot_predictions.agree(ours, [p * np.float32(1 + 1e-6) for p in ours])
    assert same and words.startswith("equal within rounding")
    words, same = plot_predictions.agree(ours, [ours[0], ours[1] * np.float32(1.01)])
    assert not same and words == "different (relative difference 9.9e-03)"


def test_two_confusion_matrices_only_if_the_models_differ(runs, drawn):
    run = runs["names"]
    assert len(drawn(plot_predictions.draw, run).axes) == 1
    different = replace(run, torch_predictions=[-p for p in run.predictions])
    figure = drawn(plot_predictions.draw, different)
    assert [axes.get_title().split(":")[0] for axes in figure.axes] == ["scratch", "torch"]
    assert "names get different classes" in figure._suptitle.get_text()


def test_of_many_classes_the_most_confused_pairs_are_shown(runs, drawn):
    """Those of both models, in little memory: a matrix would take 3 GB."""
    C = 20_000
    truth, ours, theirs = [7, 7, 7, 0, 1, 1, 2], [9, 9, 9, 0, 0, 0, 3], [9, 9, 8, 0, 0, 0, 3]
    both = [np.zeros((len(truth), C), np.float32) for _ in range(2)]
    for logits, guesses in zip(both, (ours, theirs), strict=True):
        logits[range(len(truth)), guesses] = 1
    dataset = SimpleNamespace(
        classes=[f"the class {k}" for k in range(C)],
        entry="name",
        test_batches=lambda: [SimpleNamespace(targets=np.array(truth))],
    )
    run = replace(runs["names"], dataset=dataset, predictions=[both[0]], torch_predictions=[both[1]])
    tracemalloc.start()
    figure = drawn(plot_predictions.draw, run)
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    (axes,) = figure.axes
    labels = [label.get_text().replace("the class ", "") for label in axes.get_yticklabels()]
    assert sorted(labels) == ["1 → 0", "2 → 3", "7 → 8", "7 → 9"] and labels[0] == "7 → 9"
    counts = zip((bar.get_width() for bar in axes.patches), axes.lines[0].get_xdata(), strict=True)
    assert dict(zip(labels, counts, strict=True)) == {
        "7 → 9": (3, 2),
        "1 → 0": (2, 2),
        "2 → 3": (1, 1),
        "7 → 8": (0, 1),
    }
    assert axes.get_title() == "20,000 classes: scratch 14.3 % correct, torch 14.3 % correct"
    assert "1 of 7 names get different classes" in figure._suptitle.get_text()


def test_of_many_classes_a_few_pairs_are_named_and_none_need_be(runs, drawn):
    """At most 25 lines with legible names; and no line where every name is right."""
    C, rng = 400, np.random.default_rng(0)
    truth = rng.integers(C, size=3000)
    dataset = SimpleNamespace(
        classes=["a long name of a class " + str(k) for k in range(C)],
        entry="name",
        test_batches=lambda: [SimpleNamespace(targets=truth)],
    )
    for guesses in (rng.integers(C, size=3000), truth):
        logits = [np.eye(C, dtype=np.float32)[guesses]]
        run = replace(runs["names"], dataset=dataset, predictions=logits, torch_predictions=logits)
        figure = drawn(plot_predictions.draw, run)
        (axes,) = figure.axes
        texts, labels = texts_of(figure), axes.get_yticklabels()
        assert len(labels) == (25 if guesses is not truth else 0) and not overlapping(labels)
        assert all(text.get_fontsize() >= 9 and text.get_window_extent().x0 >= 0 for text in texts)


def test_texts_that_differ_are_marked_at_the_first_difference(runs, drawn, monkeypatch):
    assert len(drawn(plot_predictions.draw, runs["text"]).axes) == 1
    monkeypatch.setattr(sample_text, "both", lambda *_: ("the cat\nsat", "the cat\nsit"))
    figure = drawn(plot_predictions.draw, runs["text"])
    assert "the same up to character 9" in figure._suptitle.get_text()
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] in (
            ["the cat", "sat", " \N{FULL BLOCK}"],
            ["the cat", "sit", " \N{FULL BLOCK}"],
        )


def test_a_text_is_wrapped_at_words():
    text = "a line that is too long\n\nshort\nunbreakablewordhere x"
    rows = plot_predictions.wrap(text, 10)
    assert rows == [
        (0, "a line"),
        (7, "that is"),
        (15, "too long"),
        (24, ""),
        (25, "short"),
        (31, "unbreakabl"),
        (41, "ewordhere"),
        (51, "x"),
    ]
    assert all(text[start:].startswith(line) for start, line in rows)


# ---- labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "last"),
    [
        (["1749-01", "1749-02"], (1749, 2, 1)),
        (["2024-03-07", "2024-03-08"], (2024, 3, 8)),
        (["2024-03-07T06:00:30", "2024-03-07T16:00:00"], (2024, 3, 7, 16)),
        (["2024-03-07 06:00:30.250", "2024-03-07 16:00:00.500"], (2024, 3, 7, 16, 0, 0, 500_000)),
        (["07.03.2024 16:00", "08.03.2024 09:30"], (2024, 3, 8, 9, 30)),
        (["07/03/2024", "08/03/2024", "01/04/2024"], (2024, 4, 1)),  # the day first, or time would run backwards
        (["03/07/2024", "03/08/2024", "04/01/2024"], (2024, 4, 1)),
        (["Mar 07, 2024", "Apr 01, 2024"], (2024, 4, 1)),
        (["2024-03-07T06:00:30Z", "2024-03-07T16:00:00Z"], (2024, 3, 7, 16, 0, 0, 0, datetime.UTC)),
    ],
)
def test_dates_are_read(labels, last):
    assert time_axis.dates(labels)[-1] == datetime.datetime(*last)


@pytest.mark.parametrize("labels", [["1", "2"], ["2024-03-08", "2024-03-07"], ["2024-03-07", "soon"], ["a", "b"]])
def test_other_labels_are_no_dates(labels):
    assert time_axis.dates(labels) is None


def test_numbers_are_labels_of_their_own():
    assert list(time_axis.numbers(["1", "2.5", "1e3"])) == [1, 2.5, 1000]
    assert time_axis.numbers(["1", "1"]) is time_axis.numbers(["1", "nan"]) is time_axis.numbers(["1", "x"]) is None


@pytest.mark.parametrize(
    "label",
    [
        lambda k: (datetime.datetime(2024, 3, 7, 16) + datetime.timedelta(hours=7 * k)).strftime("%d.%m.%Y %H:%M"),
        lambda k: f"reading number {k} of the sensor in the cellar",
        lambda k: "\N{CJK UNIFIED IDEOGRAPH-6F22}" * 30 + str(k),
        lambda k: f"{k / 7:.5f}",
    ],
)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_ticks_do_not_overprint(label, tmp_path, drawn):
    (tmp_path / "own.csv").write_text("when,v\n" + "".join(f"{label(k)},{k % 7}\n" for k in range(200)), "utf-8")
    run = trained("series", data=str(tmp_path / "own.csv"), column="v", window=9, steps=1)
    figure = drawn(plot_predictions.draw, run)
    figure.draw_without_rendering()
    shown = [text for text in figure.axes[1].get_xticklabels() if text.get_text()]
    assert len(shown) >= 2 and not overlapping(shown)


# ---- the table ------------------------------------------------------------------------------------------------------


def test_curves_that_differ_are_explained(runs):
    run = replace(runs["memory"], rows=list(runs["memory"].rows))
    change(run, 5, torch=9.0)
    entry = summary.of(run)
    assert entry.diverges_at == 5
    assert "differ from step 5 on. At equal weights the gradients agree" in summary.remarks(run, entry)[0]
    rounding = replace(entry, gradient_gap=0.9 * tolerance("float64"))  # where the gradients explode
    assert "At equal weights the gradients agree" in summary.remarks(run, rounding)[0]
    wrong = replace(entry, worst_gradient="linear.bias", gradient_gap=0.1)
    assert "most that of linear.bias, by 1.0e-01" in summary.remarks(run, wrong)[0]
    wrong = replace(wrong, worst_gradient="loss", diverges_at=None)
    assert "curves agree. At equal weights the losses differ" in summary.remarks(run, wrong)[0]
    assert not wrong.agrees


def test_only_a_wrong_gradient_is_called_one(runs):
    """Not rounding in float32, however much training amplified it; a wrong one, however small it is in float32."""
    pair, batch = runs["names"].pair, next(iter(runs["names"].dataset.train_batches(0)))
    assert model_pair.worst_gradient(pair, batch)[1] <= tolerance("float64")

    def backward(*arguments):
        dx, *others, db_ih, db_hh = lstm.backward(*arguments)
        return dx, *others, db_ih, db_hh * np.float64(1 + 1e-7)

    wrong = SimpleNamespace(**vars(lstm) | {"backward": backward})
    name, gap = model_pair.worst_gradient(replace(pair, own={"cell": wrong}), batch)
    assert name == "recurrent.bias_hh_l0" and 0.5e-7 < gap < 2e-7
    wrong.forward = lambda x, *given, **more: lstm.forward(x, *(array + 1e-6 for array in given), **more)
    assert model_pair.worst_gradient(replace(pair, own={"cell": wrong}), batch)[0] == "loss"


def test_a_summary_does_not_change_the_models(runs):
    run = runs["memory"]
    before = {name: p.clone() for name, p in run.pair.torch.state_dict().items()}
    summary.of(run)
    assert all(torch.equal(p, before[name]) for name, p in run.pair.torch.state_dict().items())
