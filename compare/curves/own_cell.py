"""The user's own cell in a run: a NumPy file that `byhand check` accepts as an exercise, or a torch module.

Layers, directions and sequences of different lengths stay the project's own: a cell sees one layer, one direction, and
rows of equal length.
"""

import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import torch

import scratch
from compare.learner.exercises import problems
from compare.learner.files import exercise_of, source_of
from compare.learner.program.arrays import to_numpy
from compare.learner.program.calling import Case
from compare.learner.program.gradient_names import CannotRun, plain
from compare.learner.search.switches import executed
from compare.learner.verdict.errors import in_words, where_raised
from compare.learner.verdict.stages import with_arrays_if_needed, wrong_shape
from compare.options import OWN_CELLS, Settings
from data import UserError
from data.errors import printable
from torch_impl import unrolled


def named(cell: str | None, torch_cell: str | None) -> dict:
    """What --cell and --torch-cell mean, as fields of Settings: the cell's name and the files.

    The name of a file's cell is found as `byhand check` finds it, unless it is given: NAME=FILE.py. Raises UserError.
    """
    fields = {"cell": cell, "torch_cell": torch_cell}
    if cell and cell.endswith(".py"):
        name, given, file = cell.rpartition("=")
        fields |= {"cell": name_of(file, f"--cell gru={file}", name if given else None), "cell_file": file}
    elif torch_cell and not cell:
        fields["cell"] = name_of(torch_cell, f"--cell gru --torch-cell {torch_cell}")
    return fields


def name_of(file: str, how: str, name: str | None = None) -> str:
    """The name of a file's cell. how: the options that say it, for the message. Raises UserError."""
    if name is not None and name not in OWN_CELLS:
        raise UserError(f"there is no cell {name!r} for {file}; choose one of: {', '.join(OWN_CELLS)}")
    name = exercise_of(Path(file), source_of(Path(file)), name)
    if name not in OWN_CELLS:
        found = f"the exercise {name} is no" if name else "neither its name nor its docstring names a"
        raise UserError(
            f"{file}: {found} cell ({', '.join(OWN_CELLS)}); say which it is, as in {how}. For other equations, "
            "see 'Add a cell' in CONTRIBUTING.md"
        )
    return name


def checksum(settings: Settings) -> int:
    """Of the user's files: a run is resumed with the same ones only."""
    return zlib.crc32(b"".join(Path(file).read_bytes() for file in settings.own))


def parts(settings: Settings) -> dict:
    """The user's parts of the models, for model_pair.build. Raises UserError for a file that cannot be used."""
    own = {}
    if settings.cell_file:
        own["cell"] = OwnCell(settings.cell_file, settings.cell)
    if settings.torch_cell:
        own["layers"] = partial(OwnLayers, settings.torch_cell, module_of(settings.torch_cell))
    return own


def module_of(file: str) -> ModuleType:
    sys.path.append(str(Path(file).resolve().parent))  # the user's own modules next to the file
    with one_line(file):
        return executed(compile(Path(file).read_text(encoding="utf-8-sig"), file, "exec"), file)


@contextmanager
def one_line(file: str) -> Iterator[None]:
    """Whatever goes wrong within is the file's fault: raise UserError, with its line."""
    try:
        yield
    except (KeyboardInterrupt, MemoryError, UserError):
        raise
    except CannotRun as error:
        raise UserError(f"{file}: {error}") from error
    except OSError as error:
        raise UserError(f"{file}: {error.strerror or error}") from error
    except BaseException as error:
        line = next((f", line {found.line}" for found in where_raised(error, file)), "")
        raise UserError(printable(f"{file}{line}: {in_words(error)}")) from error


class OwnCell:
    """A cell that is called as scratch/recurrent.py calls a module of scratch/; it calls the user's functions."""

    Cache = SimpleNamespace(_fields=())
    TRACED = ()

    def __init__(self, file: str, name: str):
        self.file, case = file, problems.cases(name)[0]
        self.advice = f"see `byhand check {file} --exercise {name}`"
        self.of_scratch = scratch.module_of(name)
        self.inputs, self.results = list(case.inputs), case.results  # x, h_0 ... b_hh; y, h_n ...
        module = module_of(file)
        with one_line(file):
            self.program = problems.program_for(name, module)
            outcome = with_arrays_if_needed(SimpleNamespace(file=file), module, self.program, case)
            trouble = wrong_shape(None, [(case, outcome)], None)
            if trouble:
                raise CannotRun(f"{trouble[1]}; {self.advice}")

    def forward(self, x, *arrays, y=None, **options):
        """As the cells of scratch; for ids, the user's forward gets the one-hot vectors that they stand for.

        A file with only a backward pass gets the forward pass of scratch.
        """
        ids = x.ndim == 2
        if ids:
            W_ih = arrays[self.inputs.index("W_ih") - 1]
            x = np.eye(W_ih.shape[1], dtype=W_ih.dtype)[x]
        inputs = dict(zip(self.inputs, (x, *arrays), strict=True))
        case = Case("", inputs, expected=dict.fromkeys(f"d{name}" for name in inputs))
        with one_line(self.file):
            run = self.program.prepared(case)
            returned = self.program.returned(*run)
            _, backward, _ = self.program.split(returned, *run)
            found = self.program.named_results(returned)
        if self.program.forward is None:
            found = dict(zip(self.results, self.of_scratch.forward(x, *arrays), strict=False))
        state, dtype = arrays[0].shape, arrays[0].dtype
        shapes = [(len(x), *state), *(state for _ in self.results[1:])]
        values = [self.fitted(n, found.get(n), shape, dtype) for n, shape in zip(self.results, shapes, strict=True)]
        if y is not None:
            y[...] = values[0]
        return *values, (case, run, backward, ids)

    def backward(self, dy, *others):
        *dstate, (case, run, backward, ids), _ = others
        case.upstream = [dy, *dstate]
        with one_line(self.file):
            found = self.program.named_gradients(backward(*self.program.fresh_upstream(case)), *run, case)
        gradients = [self.fitted(f"d{name}", found[f"d{name}"], a.shape, dy.dtype) for name, a in case.inputs.items()]
        return [None, *gradients[1:]] if ids else gradients

    def fitted(self, name, value, shape, dtype) -> np.ndarray:
        """A copy of what the user's function returned, in the dtype of the run."""
        value = np.array(np.nan if value is None else to_numpy(value), dtype)
        if value.shape != shape:
            raise UserError(f"{self.file}: {name} has shape {value.shape}, expected {shape}; {self.advice}")
        return value


class OwnLayers(torch.nn.Module):
    """Layers and directions of a torch module of the user's; parameter names and results as those of torch.nn.

    The module is made by Module(input_size, hidden_size) and called like a layer of torch.nn: y, state =
    module(x, state) with x (T, B, I), y (T, B, H), and as state h (1, B, H), for an lstm (h, c).
    """

    def __init__(self, file: str, module: ModuleType, like, *, dtype, device):
        super().__init__()
        self.file, self.hidden_size, self.num_layers = file, like.hidden_size, like.num_layers
        self.bidirectional, self.states = like.directions == 2, like.states
        names, count, entries = list(like.params), len(like.weights), []
        with one_line(file):
            make = class_in(module)
            for k in range(len(names) // count):
                own = names[k * count : (k + 1) * count]
                inputs = like.params[own[0]].shape[1]
                entries.append(make(inputs, like.hidden_size).to(device=device, dtype=dtype))
                wanted = {kind: like.params[name].shape for kind, name in zip(like.weights, own, strict=True)}
                found = matched(entries[-1], wanted, getattr(module, "NAMES", {}))
                self.try_out(entries[-1], found, inputs)
                for kind, name in zip(like.weights, own, strict=True):
                    self.register_parameter(name, found[kind])
        self.entries = tuple(entries)  # a tuple: their parameters are registered under torch's names, above

    def try_out(self, entry, parameters: dict, inputs: int) -> None:
        """Raises CannotRun for a module that is not called like a layer of torch.nn."""
        x = parameters["weight_ih"].new_ones(3, 2, inputs)
        state = [x.new_zeros(2, self.hidden_size)] * self.states
        y, last = self.called(entry, x, state)
        shapes = [("y", y, (3, 2, self.hidden_size)), *(("the state", s, (1, 2, self.hidden_size)) for s in last)]
        for name, value, shape in shapes:
            if tuple(value.shape) != shape:
                raise CannotRun(f"{name} has shape {tuple(value.shape)} for 3 steps and 2 rows, expected {shape}")
        gradients = torch.autograd.grad(y.sum(), list(parameters.values()), allow_unused=True)
        unused = [name for name, g in zip(parameters, gradients, strict=True) if g is None]
        if unused:
            raise CannotRun(f"{unused[0]} gets no gradient: it is not used, or something is detached")

    def called(self, entry, x, state: list):
        """A module on x (T, B, I) and states (B, H): y (T, B, H) and the last states (1, B, H)."""
        state = [s[None] for s in state]
        y, last = entry(x, state[0] if self.states == 1 else tuple(state))
        return y, last if isinstance(last, tuple) else (last,)

    def forward(self, x, state=None):
        return unrolled.padded_or_packed(self.layers, x, state)

    def layers(self, x, lengths, state):
        """With lengths, the last c of an lstm is that of the last padded step. It is not read: no state is carried from
        such a batch to the next.
        """

        def run(_, k, x, states):
            with one_line(self.file):
                y, last = self.called(self.entries[k], x, states)
            return {"h": list(y), "c": [s[0] for s in last[1:]] * len(y)}

        if state is None:
            zeros = x.new_zeros(self.num_layers * (1 + self.bidirectional), x.shape[1], self.hidden_size)
            state = (zeros, zeros) if self.states == 2 else zeros
        return unrolled.layers(self, x, lengths, state, run)[:2]


def class_in(module: ModuleType) -> type:
    """The last torch module that a file defines."""
    kinds = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, torch.nn.Module)]
    own = [kind for kind in kinds if kind.__module__ == module.__name__]
    if not own:
        raise CannotRun("it defines no torch.nn.Module")
    return own[-1]


def matched(entry: torch.nn.Module, wanted: dict, names: dict) -> dict:
    """The parameter of a module for each of torch's names, without _l0: by `names`, else by its own name.

    wanted: name -> shape. Raises CannotRun.
    """
    parameters, found = dict(entry.named_parameters()), {}
    called = {plain(own): own for own in parameters} | {plain(name): own for name, own in names.items()}
    have = ", ".join(f"{own} {tuple(p.shape)}" for own, p in parameters.items())
    for kind, shape in wanted.items():
        p = parameters.get(called.get(plain(kind)))
        if not any(tuple(one.shape) == shape for one in parameters.values()):
            raise CannotRun(f"no parameter has the shape of {kind}, {shape}; the module has {have}")
        if p is None or tuple(p.shape) != shape:
            raise CannotRun(f"which parameter is {kind} {shape}, of {have}? Say so with NAMES = {{{kind!r}: ...}}")
        found[kind] = p
    if len({id(p) for p in found.values()}) < max(len(wanted), len(parameters)):
        raise CannotRun(f"each of {', '.join(wanted)} needs one parameter, and there may be no other; it has {have}")
    return found
