"""The main job: train both models on each task, side by side, and draw both curves and their gap."""

import platform
import time
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import rich
import torch
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from compare import pair, pictures, results, writing
from compare.settings import Settings

EVALUATIONS = 12  # how often the held-out metric is taken during a run, but after every 25th step at most
WRITTEN = 1200  # characters of text that each model writes

# How far the training losses may part, by dtype, relative to the loss where it is above 1. Both sides compute the same
# numbers in another order, and each step hands its rounding to the next; measured over 1,000 steps, see README.md.
AGREEMENT = {"float32": 1e-5, "float64": 1e-12}


@dataclass
class Run:
    """One task's run: what was asked for, and what was recorded so far."""

    settings: Settings
    dataset: object
    pair: pair.Pair
    predictions: list | None = None  # of the last evaluation, an array for each test batch
    torch_predictions: list | None = None
    rows: list = field(default_factory=list)  # (step, split, metric, scratch, torch)
    seconds: float = 0.0  # of training; 0 until it has come to its end

    @property
    def title(self):
        cell, hidden, layers = self.settings.cell, self.settings.hidden, self.settings.layers
        size = f"{layers} x {hidden}" if layers > 1 else f"{hidden}"
        return f"{self.settings.task}, {'bidirectional ' * self.settings.bidirectional}{cell} {size}"

    @property
    def loss_unit(self):
        return "mean squared error" if self.settings.task in ("series", "memory") else "cross-entropy (nats)"

    def series(self, split):
        """The recorded values of a split: steps, scratch's, torch's, as three arrays."""
        rows = [(row[0], row[3], row[4]) for row in self.rows if row[1] == split]
        steps, ours, theirs = zip(*rows, strict=True) if rows else ((), (), ())
        return np.array(steps), np.array(ours), np.array(theirs)

    def gap(self):
        """|scratch - torch| of the training loss for every step."""
        _, ours, theirs = self.series("train")
        return np.abs(ours - theirs)

    def parts_at(self):
        """The first step at which the losses are further apart than rounding explains, or None."""
        steps, ours, _ = self.series("train")
        beyond = self.gap() > AGREEMENT[self.settings.dtype] * np.maximum(1, np.abs(ours))
        return int(steps[beyond.argmax()]) if beyond.any() else None


def main(configurations, out):
    """Run the tasks, one Settings each; leave pictures and files in `out`. Returns the exit status, 0 or 1."""
    torch.set_num_threads(1)  # one core for each side: they run side by side, see pair.train
    prepared = [prepare(settings) for settings in configurations]  # every mistake comes out before any training
    out = results.folder(out)
    for run in prepared:
        results.folder(out / run.settings.task)
    runs = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
    )
    try:
        with Progress(*columns, TimeRemainingColumn()) as progress:
            bars = [
                progress.add_task(run.settings.task, total=run.settings.steps, status="waiting", start=False)
                for run in prepared
            ]
            for run, bar in zip(prepared, bars, strict=True):
                progress.start_task(bar)
                runs.append(run)
                _train(run, lambda status, bar=bar: progress.update(bar, advance=1, status=status))
                _leave_results(run, out / run.settings.task)
    except pair.Diverged:
        _leave_history(runs[-1], out / runs[-1].settings.task)
        raise
    finally:  # of a run that was stopped, too: what there is, and nothing older beside it
        entries = [summary(run) for run in runs if run.seconds]
        results.write_summary(out / "summary.json", {"environment": environment(), "tasks": entries})
        drawable = [run for run in runs if len(run.series("train")[0])]
        if drawable:
            pictures.curves(out / "curves.png", drawable)
    rich.print(table(runs, entries))
    print(f"both curves and their gap: {out / 'curves.png'}")
    return 0 if all(run.parts_at() is None for run in runs) else 1


def prepare(settings):
    """Load the data and build both models."""
    dataset = pair.load(settings)
    if settings.steps is None:
        settings = replace(settings, steps=settings.epochs * dataset.steps_per_epoch)
    models = pair.build(pair.model_of(settings, dataset), settings.dtype, settings.seed, settings.device)
    return Run(settings, dataset, models)


def _train(run, report):
    """Train to the end, recording each step; `report` is told one line of status a step."""
    steps = run.settings.steps
    every = max(25, steps // EVALUATIONS)
    start = time.perf_counter()
    _evaluate(run, 0)
    for ours, theirs in pair.train(run.settings, run.dataset, run.pair, steps):
        run.rows.append((ours.step, "train", "loss", ours.loss, theirs.loss))
        gap = abs(ours.loss - theirs.loss)
        report(f"scratch {ours.loss:.4f} torch {theirs.loss:.4f} gap {gap:.1e}")
        if ours.step % every == 0 or ours.step == steps:
            _evaluate(run, ours.step)
    run.seconds = time.perf_counter() - start


def _evaluate(run, step):
    both = pair.evaluate(run.settings, run.dataset, run.pair, step)
    (ours, run.predictions), (theirs, run.torch_predictions) = both
    run.rows.append((step, "test", run.dataset.metric, ours, theirs))


def _leave_history(run, folder):
    results.write_history(folder / "history.csv", run.rows)


def _leave_results(run, folder):
    _leave_history(run, folder)
    results.write_checkpoint(folder / "checkpoint.safetensors", run.pair, settings=asdict(run.settings))
    path = folder / "predictions.png"
    ours, theirs = run.predictions, run.torch_predictions
    match run.settings.task:
        case "series":
            pictures.forecast(path, run.dataset, ours[0], theirs[0])
        case "names":
            ours, theirs = (np.concatenate([p.argmax(axis=1) for p in side]) for side in (ours, theirs))
            pictures.confusion(path, run.dataset, ours, theirs)
        case "memory":
            ours, theirs = (np.concatenate([p[:, 0] for p in side]) for side in (ours, theirs))
            pictures.sums(path, run.dataset, ours, theirs)
        case "text":
            uniforms = np.random.default_rng(run.settings.seed).random(WRITTEN)
            with torch.no_grad():
                theirs = writing.write(run.pair.torch, run.dataset, uniforms, lambda t: t.cpu().numpy())
            ours = writing.write(run.pair.scratch, run.dataset, uniforms, np.asarray)
            pictures.writing(path, ours, theirs)


def summary(run):
    """One task's entry of summary.json."""
    _, ours, theirs = run.series("test")
    gap = run.gap()
    return {
        "settings": asdict(run.settings),
        "parameters": sum(p.size for p in run.pair.scratch.params.values()),
        "metric": run.dataset.metric,
        "better": run.dataset.better,
        "scratch": ours[-1],
        "torch": theirs[-1],
        "baselines": run.dataset.baselines,
        "largest_gap": gap.max(),
        "parts_at": run.parts_at(),
        "gradient_gap": pair.gradient_gap(run.pair, next(iter(run.dataset.train_batches(0)))),
        "seconds": round(run.seconds, 1),
    }


def environment():
    """What the figures were measured with."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "processor": platform.machine(),
        "torch_threads": torch.get_num_threads(),
    }


def table(runs, entries):
    """The summary table, a column a task."""
    result = Table(title="held out, after training", title_justify="left")
    result.add_column("")
    for run in runs:
        result.add_column(escape(run.title))

    def row(label, cells, **style):
        result.add_row(label, *map(escape, cells), **style)  # a column called "[b]" is no markup

    row("metric", [f"{entry['metric']}, {entry['better']} is better" for entry in entries], end_section=True)
    row("scratch", [f"{entry['scratch']:.5g}" for entry in entries])
    row("torch", [f"{entry['torch']:.5g}" for entry in entries])
    baselines = ["\n".join(f"{value:.5g} {label}" for label, value in entry["baselines"].items()) for entry in entries]
    row("baseline", baselines, end_section=True)
    row("largest gap of the losses", [f"{entry['largest_gap']:.1e}" for entry in entries])
    row("both curves", [verdict(entry) for entry in entries])
    row("trained by", [f"{entry['settings']['optimizer']}, lr {entry['settings']['lr']:g}" for entry in entries])
    row("time", [f"{entry['seconds']:.0f} s for {entry['settings']['steps']} steps" for entry in entries])
    return result


def verdict(entry):
    if entry["parts_at"] is None:
        return "agree"
    text = f"differ from step {entry['parts_at']} on"
    if entry["gradient_gap"] <= AGREEMENT[entry["settings"]["dtype"]]:
        text += "; gradients at equal weights agree: rounding that training made grow"
    return text
