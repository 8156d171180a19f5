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
from threadpoolctl import threadpool_info

from compare import files, model_pair, plots
from compare.curves import first_nonfinite, sample_text, stopped_run
from compare.options import Settings
from data import UserError

EVALUATIONS = 12  # how often the held-out metric is taken during a run, but after every 25th step at most
WRITTEN = 1200  # characters of text that each model writes
SAVING = 0.005  # what part of the time a run may spend on saving itself

# How far the training losses may part, by dtype, relative to the loss where it is above 1. Both sides compute the same
# numbers in another order, and each step hands its rounding to the next; measured over 1,000 steps, see README.md.
AGREEMENT = {"float32": 1e-5, "float64": 1e-12}


@dataclass
class Run:
    """One task's run: what was asked for, and what was recorded so far."""

    settings: Settings
    dataset: object
    pair: model_pair.Pair
    optimizers: tuple  # scratch's and torch's
    about: dict  # what must be the same for a run to go on: settings and data; and what it is computed with
    predictions: list | None = None  # of the last evaluation, an array for each test batch
    torch_predictions: list | None = None
    rows: list = field(default_factory=list)  # (step, split, metric, scratch, torch)
    seconds: float = 0.0  # of training so far, up to the last time it was saved

    @property
    def title(self):
        cell, hidden, layers = self.settings.cell, self.settings.hidden, self.settings.layers
        size = f"{layers} x {hidden}" if layers > 1 else f"{hidden}"
        return f"{self.settings.task}, {'bidirectional ' * self.settings.bidirectional}{cell} {size}"

    @property
    def step(self):
        """How many steps were made."""
        return self.rows[-1][0] if self.rows else 0

    @property
    def finished(self):
        return bool(self.rows) and self.rows[-1][:2] == (self.settings.steps, "test")

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


class Stopped(UserError):
    """Ctrl-C, obeyed."""


def main(configurations, out, *, every=None, resume=False, restart=False, again="byhand --resume"):
    """Run the tasks, one Settings each; leave pictures and files in `out`. Returns the exit status, 0 or 1.

    every: save after so many steps, None for as often as costs SAVING of the time; resume: go on where an earlier run
    was stopped; restart: begin again even if that loses one; again: the command that goes on with this run.
    """
    torch.set_num_threads(1)  # one core for each side: they run side by side, see model_pair.train
    prepared = [prepare(settings) for settings in configurations]  # every mistake comes out before any training
    out = files.folder(out)
    for run in prepared:
        files.folder(out / run.settings.task)
    stopped_run.begin(prepared, out, resume, restart)
    runs = []
    columns = (
        TextColumn("{task.description}"),
        BarColumn(10),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
    )
    try:
        with Progress(*columns, TimeRemainingColumn()) as progress, stopped_run.first_ctrl_c() as asked:
            bars = [
                progress.add_task(
                    run.settings.task,
                    total=run.settings.steps,
                    completed=run.step,
                    status="finished" if run.finished else "waiting",
                    start=False,
                )
                for run in prepared
            ]
            for run, bar in zip(prepared, bars, strict=True):
                folder = out / run.settings.task
                progress.start_task(bar)
                runs.append(run)
                _train(
                    run, folder, every, asked, lambda status, bar=bar: progress.update(bar, advance=1, status=status)
                )
                _leave_results(run, folder)
    except model_pair.Diverged as error:
        folder = out / runs[-1].settings.task
        stopped_run.forget(folder)  # it would only come to the same end
        _leave_history(runs[-1], folder)
        leave_overview(runs, out)
        raise UserError(explained(error, runs[-1])) from error
    except Stopped as error:
        _leave_history(runs[-1], out / runs[-1].settings.task)
        leave_overview(runs, out)
        raise UserError(f"{error}; to go on: {again}") from error
    entries = leave_overview(runs, out)
    rich.print(table(runs, entries))
    print(f"both curves and their gap: {out / 'curves.png'}")
    return 0 if all(run.parts_at() is None for run in runs) else 1


def prepare(settings):
    """Load the data and build both models."""
    dataset = model_pair.load(settings)
    if settings.steps is None:
        settings = replace(settings, steps=settings.epochs * dataset.steps_per_epoch)
    models = model_pair.build(model_pair.model_of(settings, dataset), settings.dtype, settings.seed, settings.device)
    about = {"settings": asdict(settings), "data": stopped_run.checksum(dataset), "environment": environment()}
    return Run(settings, dataset, models, model_pair.optimizers(settings, models), about)


def _train(run, folder, every, asked, report):
    """Train to the end, recording each step; `report` is told one line of status a step.

    Saves the run now and then, see `main`, and at its end. Raises Stopped once `asked` is set.
    """
    steps = run.settings.steps
    evaluated = max(25, steps // EVALUATIONS)
    start = time.perf_counter() - run.seconds
    if not run.rows:
        run.rows.append(_evaluate(run, 0))
    elif run.finished:
        _evaluate(run, steps)  # for the predictions, which are not saved
    saved, took = time.perf_counter(), 0.0
    for ours, theirs in model_pair.train(run.settings, run.dataset, run.pair, run.optimizers, run.step):
        step = ours.step
        run.rows.append((step, "train", "loss", ours.loss, theirs.loss))
        gap = abs(ours.loss - theirs.loss)
        report(f"scratch {ours.loss:.4f} torch {theirs.loss:.4f} gap {gap:.1e}")
        if step % evaluated == 0 or step == steps:
            run.rows.append(_evaluate(run, step))
        now = time.perf_counter()
        due = step % every == 0 if every else SAVING * (now - saved) >= took
        if due or asked.is_set() or step == steps:
            run.seconds = now - start
            stopped_run.save(run, folder)
            saved = time.perf_counter()
            took = saved - now
        if asked.is_set() and step < steps:
            raise Stopped(f"stopped at step {step} of {steps} of {run.settings.task}")


def _evaluate(run, step):
    """The row of an evaluation."""
    both = model_pair.evaluate(run.settings, run.dataset, run.pair, step)
    (ours, run.predictions), (theirs, run.torch_predictions) = both
    return (step, "test", run.dataset.metric, ours, theirs)


def _leave_history(run, folder):
    files.write_history(folder / "history.csv", run.rows)


def _leave_results(run, folder):
    _leave_history(run, folder)
    files.write_checkpoint(folder / "checkpoint.safetensors", run.pair, settings=asdict(run.settings))
    path = folder / "predictions.png"
    ours, theirs = run.predictions, run.torch_predictions
    match run.settings.task:
        case "series":
            plots.forecast(path, run.dataset, ours[0], theirs[0])
        case "names":
            ours, theirs = (np.concatenate([p.argmax(axis=1) for p in side]) for side in (ours, theirs))
            plots.confusion(path, run.dataset, ours, theirs)
        case "memory":
            ours, theirs = (np.concatenate([p[:, 0] for p in side]) for side in (ours, theirs))
            plots.sums(path, run.dataset, ours, theirs)
        case "text":
            uniforms = np.random.default_rng(run.settings.seed).random(WRITTEN)
            with torch.no_grad():
                theirs = sample_text.write(run.pair.torch, run.dataset, uniforms, lambda t: t.cpu().numpy())
            ours = sample_text.write(run.pair.scratch, run.dataset, uniforms, np.asarray)
            plots.writing(path, ours, theirs)


def leave_overview(runs, out):
    """Write summary.json of the tasks that are finished, and the curves of all. Returns the entries of the former."""
    entries = [summary(run) for run in runs if run.finished]
    files.write_summary(out / "summary.json", {"environment": environment(), "tasks": entries})
    drawable = [run for run in runs if run.step]
    if drawable:
        plots.curves(out / "curves.png", drawable)
    return entries


def explained(error, run):
    """A model_pair.Diverged in a line: what became of it, where it began, how far it had been well, and a mend."""
    steps, ours, theirs = run.series("train")
    last = "there was no step before it"
    if run.step:
        last = f"the last finite losses, at step {steps[-1]}: scratch {ours[-1]:.4g}, torch {theirs[-1]:.4g}"
    began = first_nonfinite.origin(error, run.pair, run.dataset)
    return f"{error}; {began}; {last}; try a smaller --lr (now {run.settings.lr:g}) or --clip 1"


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
        "gradient_gap": model_pair.gradient_gap(run.pair, next(iter(run.dataset.train_batches(0)))),
        "seconds": round(run.seconds, 1),
    }


def environment():
    """What the figures were measured with."""
    blas = next((found for found in threadpool_info() if found["user_api"] == "blas"), {})  # not known for every BLAS
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "processor": platform.machine(),
        "numpy_threads": blas.get("num_threads"),
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
