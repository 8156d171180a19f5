"""The main job: train both models on each task, and draw both curves and their gap."""

import textwrap
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import rich
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from compare import files, model_pair
from compare.agreement import allowed_gap, diverges_at
from compare.curves import ahead, first_nonfinite, own_cell, plot, plot_predictions, stopped_run, summary
from compare.options import CELLS, Settings
from compare.plots import SCRATCH, TORCH, short
from data import UserError

EVALUATIONS = 12  # evaluations of the held-out metric during a run, but at most one every 25 steps
SAVED_AGAIN = 10  # seconds: how often a run is saved, unless --checkpoint-every says so
FILES = {  # of a task
    "predictions.png": "what both models predict",
    "history.csv": "every loss, gradient norm and metric",
    "seconds.csv": "the seconds of training after every step",
    "checkpoint.safetensors": "the trained weights",
    stopped_run.FILE: "for --resume",
}


@dataclass
class Run:
    """One task's run: what was asked for, and what was recorded so far."""

    settings: Settings
    dataset: object
    pair: model_pair.Pair
    optimizers: tuple  # scratch's and torch's
    fingerprint: int  # of the data
    code: int = 0  # the checksum of the user's own files
    predictions: list | None = None  # of the last evaluation, an array for each test batch
    torch_predictions: list | None = None
    rows: list[files.Row] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # seconds of training, at the end of every step

    def record_step(self, ours: model_pair.Step, theirs: model_pair.Step) -> None:
        for metric, name in self.train_metrics.items():
            self.rows.append(files.Row(ours.step, "train", metric, getattr(ours, name), getattr(theirs, name)))

    def record_test(self, step: int, ours: float, theirs: float) -> None:
        self.rows.append(files.Row(step, "test", self.dataset.metric, ours, theirs))

    @property
    def train_metrics(self) -> dict[str, str]:
        """What is recorded of every step: the name in history.csv -> the field of model_pair.Step."""
        metrics = {"loss": "loss", "gradient norm": "grad_norm"}
        return metrics | ({"accuracy": "accuracy"} if self.dataset.metric == "accuracy" else {})

    def record_all(self, step: int, values: np.ndarray, times: np.ndarray) -> None:
        """Record all rows up to a step: values (N, 2) of scratch and torch, times (step,).

        Raises ValueError when these are not as many as a run records up to this step.
        """
        tested = evaluation_steps(self.settings.steps)
        labels = [(0, "test", self.dataset.metric)]
        for k in range(1, step + 1):
            labels += [(k, "train", metric) for metric in self.train_metrics]
            labels += [(k, "test", self.dataset.metric)] * (k in tested)
        for array, shape in ((values, (len(labels), 2)), (times, (step,))):
            if array.shape != shape or array.dtype != float or not np.isfinite(array).all():
                raise ValueError("rows are missing in its history")
        self.rows = [files.Row(*label, *both) for label, both in zip(labels, values.tolist(), strict=True)]
        self.times = times.tolist()

    @property
    def seconds(self) -> float:
        return self.times[-1] if self.times else 0.0

    @property
    def sides(self) -> tuple[str, str]:
        """What the two models are called: the names of the user's own files, where there are any."""
        files = (self.settings.cell_file, self.settings.torch_cell)
        return tuple(
            short(Path(f).name, 12) if f else side for f, side in zip(files, ("scratch", "torch"), strict=True)
        )

    @property
    def styles(self) -> tuple[dict, dict]:
        """How the two models are drawn."""
        ours, theirs = self.settings.cell_file, self.settings.torch_cell
        return (
            SCRATCH | (dict(label=f"{self.sides[0]} (NumPy, yours)") if ours else {}),
            TORCH | (dict(label=f"{self.sides[1]} (torch, yours)") if theirs else {}),
        )

    @property
    def title(self) -> str:
        hidden, layers = self.settings.hidden, self.settings.layers
        size = f"{layers} x {hidden}" if layers > 1 else f"{hidden}"
        direction = "bidirectional " * self.settings.bidirectional
        cut = f" ({self.settings.tokens})" if self.settings.tokens else ""
        return f"{self.settings.task}{cut}, {direction}{CELLS[self.settings.cell]} {size}"

    @property
    def step(self) -> int:
        """How many steps were made."""
        return self.rows[-1][0] if self.rows else 0

    @property
    def finished(self) -> bool:
        return bool(self.rows) and self.rows[-1][:2] == (self.settings.steps, "test")

    def series(self, split: str, metric: str | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The recorded values of a metric, by default the training loss or the held-out one: steps, both models'."""
        metric = metric or ("loss" if split == "train" else self.dataset.metric)
        rows = [(row.step, row.scratch, row.torch) for row in self.rows if (row.split, row.metric) == (split, metric)]
        steps, ours, theirs = zip(*rows, strict=True) if rows else ((), (), ())
        return np.array(steps), np.array(ours), np.array(theirs)

    def gap(self) -> np.ndarray:
        """|scratch - torch| of the training loss at every step."""
        _, ours, theirs = self.series("train")
        return np.abs(ours - theirs)

    def limit(self) -> np.ndarray:
        """The largest gap at every step that rounding explains."""
        return allowed_gap(self.series("train")[1], self.settings.dtype)

    def diverges_at(self) -> int | None:
        """The first step at which the losses differ by more than rounding explains, or None."""
        _, ours, theirs = self.series("train")
        return diverges_at(theirs, ours, self.settings.dtype)


def main(
    configurations: list[Settings],
    out,
    *,
    every: int | None = None,
    resume: bool = False,
    restart: bool = False,
    again: str = "byhand --resume",
) -> int:
    """Run the tasks and leave pictures and files in `out`. Returns the exit status: 0 the curves agree, 1 they differ.

    every: save after so many steps, None for every ten seconds; resume: continue an interrupted run; restart:
    start over even if an interrupted run is lost; again: the command that resumes this run.
    Raises UserError for what cannot be run or diverged, KeyboardInterrupt for a run that was stopped.
    """
    model_pair.use_one_core_each()
    runs = [prepare(settings) for settings in configurations]  # every mistake comes out before any training
    out = files.folder(out)
    with files.locked(out):
        for run in runs:
            files.folder(out / run.settings.task)
        stopped_run.begin(runs, out, resume=resume, restart=restart)
        begun, problem = train_all(runs, out, every=every, again=again)
        entries = write_summary(begun, out)
        try:
            if problem:
                raise problem
            report(runs, entries)
        finally:
            draw(begun, out)  # last, so that a picture that fails costs nothing else
    list_files(runs, out)
    return 0 if all(entry.agrees for entry in entries) else 1


def prepare(settings: Settings) -> Run:
    """Load the data and build both models. Raises UserError for what cannot be trained."""
    dataset = model_pair.load(settings)
    if settings.horizon:
        ahead.check(dataset, settings.horizon)
    if settings.epochs:
        settings = replace(settings, steps=settings.epochs * dataset.steps_per_epoch, epochs=None)
    if settings.data and settings.task == "series":
        settings = replace(settings, column=dataset.column)  # also where it is the only one
    model, own = model_pair.model_of(settings, dataset), own_cell.parts(settings)
    pair = model_pair.build(model, settings.dtype, settings.seed, settings.device, **own)
    optimizers, data = model_pair.optimizers(settings, pair), stopped_run.fingerprint(dataset)
    return Run(settings, dataset, pair, optimizers, data, own_cell.checksum(settings))


def train_all(runs: list[Run], out: Path, *, every: int | None, again: str) -> tuple[list[Run], BaseException | None]:
    """Train one run after another and write its files, but for the pictures.

    Returns the runs that were begun and, if the last of them was stopped or diverged, an exception that says so.
    """
    with display(runs) as show, stopped_run.first_ctrl_c() as asked:
        for k, run in enumerate(runs):
            folder, problem = out / run.settings.task, None
            try:
                train(run, folder, every, asked, partial(show, k))
            except model_pair.Diverged as error:
                files.remove(folder / stopped_run.FILE)  # it would only diverge again
                problem = UserError(explained(error, run))
            else:
                if not run.finished:
                    stopped = f"{run.settings.task} was stopped at step {run.step} of {run.settings.steps}"
                    problem = KeyboardInterrupt(f"{stopped}; to resume: {again}")
            seconds = ((step, f"{time:.4f}") for step, time in enumerate(run.times, start=1))
            files.write_csv(folder / "history.csv", files.Row._fields, run.rows)
            files.write_csv(folder / "seconds.csv", ("step", "seconds"), seconds)  # they differ from run to run
            if problem:
                return runs[: k + 1], problem
            files.write_checkpoint(
                folder / "checkpoint.safetensors", run.pair, settings=asdict(run.settings), data=run.fingerprint
            )
    return runs, None


@contextmanager
def display(runs):
    """A progress bar for each run. Yields a function of a run's number and a line of status, to call after a step."""
    columns = TextColumn("{task.description}"), BarColumn(10), MofNCompleteColumn(), TextColumn("{task.fields[status]}")
    with Progress(*columns, TimeRemainingColumn()) as progress:
        for run in runs:
            status = "finished" if run.finished else "waiting"
            progress.add_task(
                run.settings.task, total=run.settings.steps, completed=run.step, status=status, start=False
            )

        def show(k, status):
            progress.start_task(progress.task_ids[k])
            progress.update(progress.task_ids[k], advance=1, status=status)

        yield show


def train(run: Run, folder: Path, every: int | None, asked: threading.Event, show: Callable[[str], None]) -> None:
    """Train to the end, or until `asked` is set; record every step, and save now and then and at the end.

    every: as in `main`; show: called with a line of status after every step. Raises model_pair.Diverged.
    """
    steps = run.settings.steps
    evaluations = evaluation_steps(steps)
    if run.finished:
        evaluate(run, steps)  # for the predictions, which are not saved
    elif not run.rows:
        run.record_test(0, *evaluate(run, 0))
    saved = time.perf_counter()
    began = saved - run.seconds
    for ours, theirs in model_pair.train(run.settings, run.dataset, run.pair, run.optimizers, run.step):
        run.record_step(ours, theirs)
        gap = abs(ours.loss - theirs.loss)
        show(f"{run.sides[0]} {ours.loss:.4f} {run.sides[1]} {theirs.loss:.4f} gap {gap:.1e}")
        run.times.append(time.perf_counter() - began)
        if ours.step in evaluations:
            run.record_test(ours.step, *evaluate(run, ours.step))
        due = ours.step % every == 0 if every else time.perf_counter() - saved > SAVED_AGAIN
        if due or asked.is_set() or ours.step == steps:
            stopped_run.save(run, folder)
            saved = time.perf_counter()
        if asked.is_set():
            return
        began = time.perf_counter() - run.times[-1]  # evaluating and saving are no training


def evaluation_steps(steps: int) -> set[int]:
    """The steps after which the held-out metric is computed: evenly spaced, and the last one."""
    number = min(EVALUATIONS, max(1, steps // 25))
    return {round(k * steps / number) for k in range(1, number + 1)}


def evaluate(run: Run, step: int) -> tuple[float, float]:
    """Both models' held-out metric; keeps their predictions."""
    both = model_pair.evaluate(run.settings, run.dataset, run.pair, step)
    (ours, run.predictions), (theirs, run.torch_predictions) = both
    return ours, theirs


def explained(error: model_pair.Diverged, run: Run) -> str:
    """What became nan or inf, in which array it began, the last finite losses, and what to try."""
    steps, ours, theirs = run.series("train")
    last = "there was no step before it"
    if run.step:
        last = f"the last finite losses, at step {steps[-1]}: scratch {ours[-1]:.4g}, torch {theirs[-1]:.4g}"
    began = first_nonfinite.origin(error, run.pair, run.dataset)
    advice = f"try a smaller --lr (now {run.settings.lr:g})" + " or --clip 1" * (run.settings.clip is None)
    if run.settings.cell_file:
        advice = f"see `byhand check {run.settings.cell_file}`, or {advice}"
    return f"{error}; {began}; {last}; {advice}"


def write_summary(begun: list[Run], out: Path) -> list[summary.Entry]:
    """Write summary.json. Returns the entries of the runs that are finished."""
    entries = [summary.of(run) for run in begun if run.finished]
    tasks = [run.settings.task for run in begun]
    files.write_json(out / summary.FILE, summary.merged(summary.read(out), tasks, entries))
    return entries


def draw(begun: list[Run], out: Path) -> None:
    """Draw the curves of all runs that were begun, and what the finished ones predict."""
    drawable = [run for run in begun if run.step]
    if drawable:
        plot.curves(out / "curves.png", drawable)
    for run in begun:
        if run.finished:
            plot_predictions.draw(out / run.settings.task / "predictions.png", run)
        if run.finished and run.settings.horizon:
            ahead.draw(out / run.settings.task / "horizon.png", run)


def report(runs: list[Run], entries: list[summary.Entry]) -> None:
    """Print the table and what there is to say about it."""
    rich.print(summary.table(runs, entries))
    for run, entry in zip(runs, entries, strict=True):
        for sentence in summary.remarks(run, entry):
            print(textwrap.fill(sentence, 80))


def list_files(runs: list[Run], out: Path) -> None:
    """Print which files a run has left."""
    task = runs[0].settings.task if len(runs) == 1 else "TASK"
    listed = {"curves.png": "both training curves and their gap", summary.FILE: "the numbers of the table"}
    listed |= {f"{task}/{name}": what for name, what in FILES.items()}
    if horizon := runs[0].settings.horizon:
        listed[f"{task}/horizon.png"] = f"forecasts up to {horizon} step{'s' * (horizon != 1)} ahead"
    print(f"files in {out}:")
    for name, what in listed.items():
        print(f"  {name:{max(map(len, listed))}}  {what}")
