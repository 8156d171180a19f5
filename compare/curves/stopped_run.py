"""A run can be stopped at any moment, by Ctrl-C or by a kill, and go on later as if it had not been.

All that it goes on from is in one file for each task, results/<task>/resume.safetensors. It is replaced by renaming, so
that it is always whole, and its numbers always belong together.
"""

import signal
import threading
import zlib
from contextlib import contextmanager
from itertools import chain

import numpy as np

from compare import files, model_pair
from data import UserError

FILE = "resume.safetensors"


def save(run, folder):
    """Write down where a curves.Run stands."""
    arrays = model_pair.snapshot(run.pair, run.optimizers)
    arrays["rows"] = np.array([(step, split == "test", *both) for step, split, _, *both in run.rows])
    files.write_resume(folder / FILE, arrays, run.about | {"step": run.step, "seconds": run.seconds})


def forget(folder):
    (folder / FILE).unlink(missing_ok=True)


def begin(runs, out, resume=False, restart=False):
    """Go on with what is in the folders, where `resume` says so, and clear them of what would mislead another run.

    Raises UserError, before anything is changed on disk, for a run that cannot be gone on with, and for one that would
    be lost, unless `restart` says that it may be.
    """
    folders = [out / run.settings.task for run in runs]
    for run, folder in zip(runs, folders, strict=True):
        left = None if restart else files.open_resume(folder / FILE)
        if left is None:
            continue
        arrays, about = left
        if resume:
            go_on(run, folder, arrays, about)
        elif about["step"] < about["settings"]["steps"]:
            raise UserError(
                f"{folder} holds a run that was stopped at step {about['step']} of {about['settings']['steps']}; add "
                "--resume to go on with it, --restart to begin again, or --out DIR for another folder"
            )
    for folder in (out, *folders):
        files.sweep(folder)
    if not resume:  # of a finished run, too: after a stop it would be taken for part of this one
        for folder in reversed(folders):
            forget(folder)
    elif any(run.step for run in runs):
        print("going on:", ", ".join(f"{run.settings.task} from step {run.step}" for run in runs))
    else:
        print(f"{out} holds no run to go on with: beginning at step 0")


def go_on(run, folder, arrays, about):
    """Bring a fresh curves.Run to where the one in `folder` was stopped; `arrays` and `about` are what `save` wrote."""
    changed = differences(about["settings"], run.about["settings"])
    if changed:
        raise UserError(f"{folder} holds a run with other options, --{', --'.join(changed)}; {files.AGAIN}")
    if about["data"] != run.about["data"]:
        raise UserError(f"{folder} holds a run on other data than there are now; {files.AGAIN}")
    try:
        model_pair.restore(run.pair, run.optimizers, arrays)
    except UserError as error:
        raise UserError(f"{folder / FILE}: {error}; {files.AGAIN}") from error
    kinds = {0: ("train", "loss"), 1: ("test", run.dataset.metric)}
    run.rows = [(int(step), *kinds[kind], ours, theirs) for step, kind, ours, theirs in arrays["rows"].tolist()]
    run.seconds = about["seconds"]
    changed = differences(about["environment"], run.about["environment"])
    if changed:
        print(f"{folder}: {', '.join(changed)}: the last digits may not be those of a run in one go")


def differences(before, now):
    """What differs between two dicts, a list of strings."""
    changed = [name for name in now if before.get(name) != now[name]]
    return [f"{name.replace('_', '-')} {before.get(name)} then and {now[name]} now" for name in changed]


def checksum(dataset):
    """Of the first epoch and of the test batches: when the data change under the same name, so does this."""
    total = 0
    for batch in chain(dataset.train_batches(0), dataset.test_batches()):
        for array in (batch.inputs, batch.targets):
            total = zlib.crc32(np.ascontiguousarray(array), total)
    return total


@contextmanager
def first_ctrl_c():
    """An Event that the first Ctrl-C sets, where it would have cut a step in two. A second one interrupts as ever."""
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
