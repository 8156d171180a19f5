"""The files a run leaves. Each is written to a temporary file and renamed, so it is never half-written."""

import contextlib
import csv
import errno
import io
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
import torch

import torch_impl
from compare import model_pair
from compare.options import Settings, stored_settings
from data import UserError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None

AGAIN = "start over with --restart, or choose another folder with --out"
PARTIAL = ".partial"  # how the names of files end that are being written


class Row(NamedTuple):
    """One row of history.csv: what a training step gave (split "train"), or a metric on the held-out data ("test")."""

    step: int
    split: str
    metric: str
    scratch: float
    torch: float


def folder(path) -> Path:
    """The folder for the results, created if need be. Raises UserError when it cannot be written to."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"cannot write into {path}: {error.strerror}; choose another folder with --out") from error
    return path


def write_whole(path, content: bytes) -> None:
    """Write a file under another name, then rename it: it appears whole or not at all. Raises UserError."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(partial, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        fix = "free some space and start it again" if full else "choose another folder with --out"
        raise UserError(f"cannot write {path}: {error.strerror}; {fix}") from error


@contextlib.contextmanager
def locked(path) -> Iterator[None]:
    """Keep other runs out of a folder. The lock is on the folder itself and ends with the process, however that ends.

    Raises UserError if another run has it. A line says so where the system has no such locks.
    """
    with contextlib.ExitStack() as stack:
        try:
            handle = os.open(path, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"another run is writing into {path}; wait until it ends, or choose another folder with --out"
            ) from error
        except (OSError, AttributeError):  # a network file system, or no fcntl
            print(f"{path} cannot be locked on this system: do not start a second run in it")
        yield


def sweep(path, name: str = "*") -> None:
    """Remove what runs that were killed left half-written in a folder, of one file or of all."""
    for partial in Path(path).glob(f".{name}.*{PARTIAL}"):
        partial.unlink(missing_ok=True)


def remove(path) -> None:
    """Remove a file, if there is one. Raises UserError when it cannot be removed."""
    try:
        Path(path).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove {path}: {error.strerror}; choose another folder with --out") from error


def write_csv(path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    """Floats are written in full, so that reading them back gives the same numbers."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    write_whole(path, text.getvalue().encode())


def write_json(path, content: dict) -> None:
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())


def write_checkpoint(path, trained: model_pair.Pair, **about) -> None:
    """The scratch model's weights under torch's names; `about` and the arguments of the model are its metadata."""
    metadata = {
        "model": json.dumps(trained.model),
        **{name: json.dumps(value) for name, value in about.items()},
    }
    write_whole(path, safetensors.numpy.save(trained.scratch.params, metadata))


def open_checkpoint(path) -> model_pair.Pair:
    """Both models with a checkpoint's weights. Raises UserError when the file is not a checkpoint of this project."""
    with reading(path, "a checkpoint of this project"):
        metadata, weights = read_safetensors(path)
        model = json.loads(metadata["model"])
        dtype = must_fit(model, weights)
    return model_pair.build(model, dtype, weights=weights)


def open_settings(path) -> Settings:
    """The settings of the run that wrote a checkpoint. Raises UserError when the file is not such a checkpoint."""
    with reading(path, "a checkpoint of a run"):
        metadata, weights = read_safetensors(path)
        model, settings = json.loads(metadata["model"]), stored_settings(json.loads(metadata["settings"]))
        must_fit(model, weights)
        of_settings = (settings.cell, settings.hidden, settings.layers, settings.bidirectional)
        if of_settings != tuple(model[name] for name in ("cell", "hidden_size", "num_layers", "bidirectional")):
            raise ValueError("its settings are not those of the model it names")
    return settings


@contextlib.contextmanager
def reading(path, what: str, fix: str = "") -> Iterator[None]:
    """Whatever goes wrong within comes from what is in the file: raise UserError, the file is not `what`."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; a run leaves results/<task>/checkpoint.safetensors") from error
    except Exception as error:
        raise UserError(f"{path} is damaged, or not {what} ({error}){fix}") from error


def fingerprint_of(path) -> int | None:
    """The checksum of the data that a checkpoint's run was trained on; None in one that has none."""
    with reading(path, "a checkpoint of a run"):
        return json.loads(read_safetensors(path)[0].get("data", "null"))


def must_fit(model: dict, weights: dict[str, np.ndarray]) -> str:
    """Raise unless the weights are those of the model. Returns their dtype, "float32" or "float64".

    On torch's meta device a model takes no memory, whatever sizes a file names.
    """
    (dtype,) = {str(array.dtype) for array in weights.values()}
    if dtype not in ("float32", "float64") or model.get("num_layers", 1) > len(weights) or model["output_size"] == 0:
        raise ValueError("no model of this project has such weights")
    expected = torch_impl.SequenceModel(**model, dtype=getattr(torch, dtype), device="meta")
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.state_dict().items()}
    if shapes != {name: array.shape for name, array in weights.items()}:
        raise ValueError("its weights are not those of the model it names")
    return dtype


@dataclass(frozen=True)
class Stopped:
    """What a run was when it was saved: its settings, checksums of its data and of the user's own code, its steps.

    arrays: what training continues from, see model_pair.snapshot, and `rows` and `seconds`, the history so far.
    """

    settings: Settings
    data: int
    code: int
    step: int
    arrays: dict[str, np.ndarray]


def write_resume(path, stopped: Stopped) -> None:
    about = vars(stopped) | {"settings": asdict(stopped.settings)}
    arrays = about.pop("arrays")
    write_whole(path, safetensors.numpy.save(arrays, {"about": json.dumps(about)}))


def open_resume(path) -> Stopped | None:
    """What `write_resume` was given, or None when there is no such file.

    Raises UserError when the file is damaged or something else.
    """
    if not Path(path).exists():
        return None
    with reading(path, "the file of a run", f"; {AGAIN}"):
        metadata, arrays = read_safetensors(path)
        about = json.loads(metadata["about"])
        if about.keys() | {"arrays"} != {field.name for field in fields(Stopped)}:
            raise ValueError("another version of this program wrote it")
        stopped = Stopped(**about | {"settings": stored_settings(about["settings"]), "arrays": arrays})
        if not (type(stopped.step) is int and 0 < stopped.step <= stopped.settings.steps):
            raise ValueError(f"after {stopped.step} of {stopped.settings.steps} steps")
    return stopped


def read_safetensors(path) -> tuple[dict, dict]:
    """The metadata and the arrays of a file. Raises whatever safetensors raises for a file that is not one of its."""
    if Path(path).exists() and not Path(path).is_file():  # opening a pipe would wait for a writer
        raise OSError("it is not a regular file")
    with safetensors.safe_open(path, framework="numpy") as file:
        return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
