"""A run can be stopped at any moment, by Ctrl-C or by a kill, and resumed later as if it had not been.

results/<task>/resume.safetensors holds everything needed to resume. It is written to a temporary file and renamed, so
it is never half-written.
"""

import signal
import threading
import zlib
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path

import numpy as np

from compare import files, model_pair
from compare.curves import summary
from compare.files import AGAIN
from compare.options import as_option
from data import UserError
from data.errors import printable

FILE = "resume.safetensors"


def save(run, folder: Path) -> None:
    """Save a curves.training.Run."""
    arrays = model_pair.snapshot(run.pair, run.optimizers)
    arrays["rows"] = np.array([(row.scratch, row.torch) for row in run.rows])
    arrays["seconds"] = np.array(run.times)
    files.write_resume(folder / FILE, files.Stopped(run.settings, run.fingerprint, run.code, run.step, arrays))


def begin(runs: list, out: Path, *, resume: bool, restart: bool) -> None:
    """Resume what is in the folders, if asked to, and remove what would mislead another run.

    Raises UserError, before anything is changed on disk, for a run that cannot be resumed, and for an unfinished one
    that would be lost, unless `restart` says that it may be.
    """
    folders = [out / run.settings.task for run in runs]
    for run, folder in zip(runs, folders, strict=True):
        left = None if restart else files.open_resume(folder / FILE)
        if left and resume:
            continue_from(run, folder, left)
        elif left and left.step < left.settings.steps:
            raise UserError(
                f"{folder} holds a run that was stopped at step {left.step} of {left.settings.steps}; "
                "resume it with --resume, start over with --restart, or choose another folder with --out"
            )
    if resume:
        say_what_is_resumed(runs, out)
    for folder in folders:
        files.sweep(folder)
    for name in ("curves.png", summary.FILE):
        files.sweep(out, name)
    fresh = [run for run in runs if not run.step]
    say_what_is_replaced(fresh, out)
    for run in reversed(fresh):
        # FILE of a finished run would be taken for a task of this run; the others would be left next to this run's
        # files if it stops
        for name in (FILE, "checkpoint.safetensors", "predictions.png", "horizon.png"):
            files.remove(out / run.settings.task / name)


def say_what_is_resumed(runs: list, out: Path) -> None:
    """A line on where each run starts. Raises UserError if only runs of tasks that were not named could be resumed."""
    if any(run.step for run in runs):
        where = {run.settings.task: "is finished" if run.finished else f"from step {run.step}" for run in runs}
        print("resuming:", ", ".join(f"{task} {begins}" for task, begins in where.items()))
        return
    others = sorted(path.parent.name for path in out.glob(f"*/{FILE}"))
    if others:
        named, found = ", ".join(run.settings.task for run in runs), ", ".join(others)
        raise UserError(f"{out} holds no run of {named} to resume, but of {found}; name {found}, or drop --resume")
    print(f"{out} holds no run to resume: starting at step 0")


def say_what_is_replaced(runs: list, out: Path) -> None:
    """A line for every finished run with other options whose results the new runs will replace."""
    before = summary.read(out)
    for run in runs:
        task = run.settings.task
        changed = task in before and differences(before[task]["settings"], asdict(run.settings))
        if changed:
            print(printable(f"replacing {out / task}, a run with {changed}; --out DIR keeps both"))


def continue_from(run, folder: Path, left: files.Stopped) -> None:
    """Bring a fresh Run to where the one in `folder` was stopped."""
    changed = differences(asdict(left.settings), asdict(run.settings))
    if changed:
        raise UserError(f"{folder} holds a run with other options: {changed}; {AGAIN}")
    if left.data != run.fingerprint:
        raise UserError(f"{folder} holds a run on other data; {AGAIN}")
    if left.code != run.code:
        raise UserError(f"{folder} holds a run of another version of {' or '.join(run.settings.own)}; {AGAIN}")
    last = next(iter(model_pair.Remaining(run.dataset, left.step - 1).train_batches(0)))
    with files.reading(folder / FILE, "the file of this run", f"; {AGAIN}"):
        run.record_all(left.step, left.arrays.pop("rows"), left.arrays.pop("seconds"))
        model_pair.restore(run.pair, run.optimizers, left.arrays, left.step, last)


def differences(before: dict, now: dict) -> str:
    """Which of the settings `now` were others before, as options; "" when none was."""
    pairs = {name: (as_typed(name, before), as_typed(name, now)) for name in now if name != "cell_file"}
    return ", ".join(f"{as_option(name)} {old} (now {new})" for name, (old, new) in pairs.items() if old != new)


def as_typed(name: str, settings: dict):
    """The value of a setting as an option has it: a cell with its file; "none" where there is none."""
    value = settings.get(name)
    if name == "cell" and settings.get("cell_file"):
        return f"{value}={settings['cell_file']}"
    return "none" if value is None else value


def fingerprint(dataset) -> int:
    """A checksum of the first epoch and the test batches: it changes with the data."""
    total = 0
    for batch in chain(dataset.train_batches(0), dataset.test_batches()):
        for array in (batch.inputs, batch.targets):
            total = zlib.crc32(np.ascontiguousarray(array), total)
    return total


@contextmanager
def first_ctrl_c():
    """An Event that the first Ctrl-C sets, so that it does not cut a step in two. A second one interrupts as usual."""
    asked = threading.Event()
    usual = signal.default_int_handler

    def ask(*_):
        asked.set()
        signal.signal(signal.SIGINT, usual)

    if signal.getsignal(signal.SIGINT) is not usual:  # ignored, as a shell does for what it runs in the background
        yield asked
        return
    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, usual)
