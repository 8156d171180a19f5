"""Shared by the tests of the commands: what files hold, a Ctrl-C in the middle of a run, pictures that can be read."""

import csv
import signal
from itertools import combinations
from pathlib import Path

from matplotlib.text import Text

import scratch
from compare import plots
from compare.curves import plot, plot_predictions
from compare.gradients import plot as gradients_plot
from compare.traps import plot as traps_plot

ROOT = Path(__file__).parents[2]
CHECKED = ("slope_from_c", "weights_of_the_last_step_only", "dc_replaced")  # mistakes of the LSTM on the page


def contents(folder):
    """Every file under a folder: name -> bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def rows_of(path):
    """The rows of a CSV file, as dicts."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def interrupt(monkeypatch, step, times=1):
    """Ctrl-C in the middle of the scratch model's step, even when the tests run in a shell's background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    loss, calls = scratch.SequenceModel.loss, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == step:
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return loss(*arguments)

    monkeypatch.setattr(scratch.SequenceModel, "loss", interrupted)


def leave_undrawn(patch):
    """Write a few bytes in place of pictures: drawing takes most of a short run's time."""

    def write(path, *_):
        Path(path).write_bytes(b"a picture")

    patch.setattr(plots, "save", lambda figure, path: write(path))
    patch.setattr(plot, "curves", write)
    for module in (plot_predictions, gradients_plot, traps_plot):
        patch.setattr(module, "draw", write)


def texts_of(figure):
    """Every text that a figure shows, after it has been laid out."""
    figure.draw_without_rendering()
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def overlapping(texts):
    """The pairs of texts that lie on each other."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts]
    return [(one, other) for (one, a), (other, b) in combinations(boxes, 2) if a.overlaps(b)]
