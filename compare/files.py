"""The files a run leaves: history.csv, summary.json, checkpoint.safetensors, and resume.safetensors, from which a run
that was stopped goes on. Each appears whole or not at all."""

import csv
import errno
import hashlib
import io
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
import torch

import torch_impl
from compare import model_pair
from data import UserError

PARTIAL = ".partial"  # how the names of files end that are being written
AGAIN = "begin again with --restart, or choose another folder with --out"
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
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL)
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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        mend = "make room and start it again" if full else "choose another folder with --out"
        raise UserError(f"cannot write {path}: {error.strerror}; {mend}") from error


def sweep(path):
    """Take away what runs that were killed left half written in a folder."""
    for partial in Path(path).glob(f".*{PARTIAL}"):
        partial.unlink(missing_ok=True)


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
        metadata, weights = read_safetensors(path)
        model = json.loads(metadata["model"])
        dtype = must_fit(model, weights)
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; a run leaves results/<task>/checkpoint.safetensors") from error
    except Exception as error:  # whatever it is, it came from what is in the file
        raise UserError(f"{path} is not a checkpoint of this project ({error}); give one that a run wrote") from error
    return model_pair.build(model, dtype, weights=weights)


def must_fit(model, weights):
    """Raise unless the weights are those of the model. Returns their dtype, "float32" or "float64".

    On torch's meta device a model takes no memory, whatever sizes a file names.
    """
    (dtype,) = {str(array.dtype) for array in weights.values()}
    if dtype not in ("float32", "float64") or model.get("num_layers", 1) > len(weights):
        raise ValueError("no model of ours has such weights")
    twin = torch_impl.SequenceModel(**model, dtype=getattr(torch, dtype), device="meta")
    shapes = {name: tuple(tensor.shape) for name, tensor in twin.state_dict().items()}
    if shapes != {name: array.shape for name, array in weights.items()}:
        raise ValueError("its weights are not those of the model it names")
    return dtype


def write_resume(path, arrays, about):
    """Arrays by name and `about`, a dict for JSON, in one file with a checksum of it all."""
    about = json.dumps(about)
    write_whole(path, safetensors.numpy.save(arrays, {"about": about, "checksum": checksum(arrays, about)}))


def open_resume(path):
    """The arrays and the dict that `write_resume` was given, or None when there is no such file.

    Raises UserError when the file is damaged or something else.
    """
    try:
        metadata, arrays = read_safetensors(path)
        about, expected = metadata["about"], metadata["checksum"]
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever it is, it came from what is in the file
        raise UserError(f"{path} is damaged, or not the file of a run ({error}); {AGAIN}") from error
    if checksum(arrays, about) != expected:
        raise UserError(f"{path} is damaged: its checksum is another than that of its content; {AGAIN}")
    return arrays, json.loads(about)


def read_safetensors(path):
    """The metadata and the arrays of a file, as two dicts. Raises whatever a wrong file makes safetensors raise."""
    if Path(path).exists() and not Path(path).is_file():  # opening a pipe would wait for a writer, perhaps for ever
        raise OSError("it is no file")
    with safetensors.safe_open(path, framework="numpy") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)


def checksum(arrays, about):
    """SHA-256 of every number, name, shape and dtype, and of the text `about`."""
    digest = hashlib.sha256(about.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
