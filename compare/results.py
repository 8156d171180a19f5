"""The files a run leaves: history.csv, summary.json, checkpoint.safetensors. Each appears whole or not at all."""

import csv
import io
import json
import os
import tempfile
from pathlib import Path

import safetensors
import safetensors.numpy

from compare import pair
from data import UserError

COLUMNS = ("step", "split", "metric", "scratch", "torch")


def folder(path):
    """The folder for the results as a Path, made if it is not there and tried for writing."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"cannot write into {path}: {error.strerror}; choose another folder with --out") from error
    return path


def write_whole(path, content):
    """Write bytes to a new file beside `path`, then rename it: a reader never meets half a file."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # mkstemp's file is the owner's alone
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; choose another folder with --out") from error


def write_history(path, rows):
    """rows: tuples in the order of COLUMNS. Floats in full, so that reading them back gives the same numbers."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((step, split, metric, repr(ours), repr(theirs)) for step, split, metric, ours, theirs in rows)
    write_whole(path, text.getvalue().encode())


def write_summary(path, summary):
    write_whole(path, (json.dumps(summary, indent=2) + "\n").encode())


def write_checkpoint(path, trained, **about):
    """The hand-written model's weights under torch's names; `about` and how to build the model go beside them."""
    metadata = {
        "model": json.dumps(trained.model),
        **{name: json.dumps(value) for name, value in about.items()},
    }
    write_whole(path, safetensors.numpy.save(trained.scratch.params, metadata))


def open_checkpoint(path):
    """Both models with a checkpoint's weights, as a Pair. Raises UserError when the file is not one of ours."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            model = json.loads(file.metadata()["model"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; a run leaves results/<task>/checkpoint.safetensors") from error
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a checkpoint of this project ({error}); give one that a run wrote") from error
    return pair.build(model, str(weights["linear.weight"].dtype), weights=weights)
