"""What runs in the sandbox of `byhand check FOLDER`: a submission, called as it is asked to.

It only computes. It gets inputs and sends arrays back, each message a line of JSON; it knows no right answer and gives
no verdict. Until `load`, nothing of the submission has run, so that what `inspect` says can be trusted. See judge.py.
"""

import ast
import base64
import contextlib
import json
import os
import re
import sys
import traceback
import types
import warnings

import numpy as np

from compare.learner.exercises import problems
from compare.learner.program.calling import Case

OWN = "own"  # the folder with a submission's own modules
MEMORY = 1 << 30  # bytes that a submission may use
COMPLEX = {"complex", "complex64", "complex128", "csingle", "cdouble", "clongdouble", "cmath", "imag"}

LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda, ast.FunctionDef)

# ---- messages ----


def packed(value):
    """A value as JSON: an array, None, a number, a string, or a dict, list or tuple of these. Raises TypeError."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "fiubc":
            raise TypeError(f"an array of {value.dtype}")
        data = base64.b64encode(value.tobytes()).decode()
        return {"dtype": value.dtype.str, "shape": value.shape, "data": data}
    if isinstance(value, dict):
        return {"dict": {key: packed(one) for key, one in value.items()}}
    if isinstance(value, tuple):
        return {"tuple": [packed(one) for one in value]}
    return [packed(one) for one in value] if isinstance(value, list) else value


def unpacked(value):
    """What `packed` was given. Raises ValueError, TypeError, KeyError or AttributeError for anything else."""
    if isinstance(value, list):
        return [unpacked(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {key: unpacked(one) for key, one in value["dict"].items()}
    if "tuple" in value:
        return tuple(unpacked(one) for one in value["tuple"])
    if not re.fullmatch(r"[<>|=][fiubc][0-9]{1,2}", value["dtype"]):
        raise ValueError(f"an array of {value['dtype']}")
    array = np.frombuffer(base64.b64decode(value["data"]), value["dtype"])
    return array.reshape(value["shape"])[()].copy()


class Channel:
    """Messages through the socket that is this process's stdout; from here on, what is printed goes to stderr."""

    def __init__(self):
        self.reader, self.writer = os.fdopen(os.dup(1), "rb"), os.fdopen(os.dup(1), "wb")
        empty, end = os.pipe()
        os.close(end)
        os.dup2(empty, 0)
        os.dup2(2, 1)

    def send(self, message):
        self.writer.write(json.dumps(message).encode() + b"\n")
        self.writer.flush()

    def exchange(self, message):
        self.send(message)
        return json.loads(self.reader.readline() or sys.exit())


class AskedCase(Case):
    """A case whose upstream gradients are asked for when backward needs them, after forward has run."""

    channel, given = None, None

    @property
    def upstream(self):
        if self.given is None:
            self.given = unpacked(self.channel.exchange("upstream"))
        return self.given

    @upstream.setter
    def upstream(self, value):
        pass


# ---- what is asked for ----


class Submission:
    """own: the folder with the modules that belong to the submission."""

    file = None

    def __init__(self, channel, own):
        self.channel, self.own = channel, own

    def inspect(self, file, source, exercise, blank, seconds):
        """Read the file, without running it."""
        limit(seconds)
        self.file, self.source, self.exercise = file, source, exercise
        return shortcut(ast.parse(source), blank)

    def load(self):
        self.module = types.ModuleType("learner")
        self.module.__file__ = self.file
        sys.modules["learner"] = self.module  # dataclasses look up their module
        sys.path.append(self.own)  # now that the limits hold, and last: its json.py is not the json of anything else
        exec(compile(self.source, self.file, "exec"), vars(self.module))

    def bind(self):
        self.program = problems.program_for(self.exercise, self.module)
        return {"keeps_state": self.program.keeps_state, "nonlinearity": takes(self.module, "nonlinearity")}

    def run(self, **case):
        outcome = self.program.run(self.case(**case))
        return {"outputs": arrays(outcome.outputs), "written": outcome.written, "shared": outcome.shared}

    def run_twice(self, both, **case):
        return [arrays(found) for found in self.program.run_twice(self.case(**case), both=both)]

    def case(self, inputs, names, results):
        case = AskedCase("", unpacked(inputs), expected=dict.fromkeys(names), results=tuple(results))
        case.channel = self.channel
        return case


def arrays(outputs):
    return {name: packed(None if value is None else np.asarray(value)) for name, value in outputs.items()}


def takes(module, option: str) -> bool:
    """Whether the forward or the backward of a module has a parameter of this name."""
    codes = [getattr(getattr(module, name, None), "__code__", None) for name in ("forward", "backward")]
    return any(option in c.co_varnames[: c.co_argcount + c.co_kwonlyargcount] for c in codes if c)


def shortcut(tree, blank: str) -> str | None:
    """How a file seems to get its gradients without a backward pass, or None. blank: the function to be written.

    A complex step needs complex numbers; a numerical derivative runs forward again and again. A backward pass may call
    forward once, to compute again what it has not kept.
    """
    for node in ast.walk(tree):
        if named(node) in COMPLEX or isinstance(getattr(node, "value", None), complex):
            return "not a backward pass written by hand: it uses complex numbers, as a complex step does"
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    starts = {f.name for f in functions if f.name == blank or "backward" in f.name}
    forwards, reached = {"forward", blank} - {"backward"}, []
    todo = [f for f in functions if f.name in starts]
    while todo:
        reached += todo
        used = {named(node) for f in todo for node in ast.walk(f)} - forwards
        todo = [f for f in functions if f.name in used and f not in reached]
    inside = [(node, repeated, f) for f in reached for node, repeated in within(f)]
    calls = {id(node.func) for node, *_ in inside if isinstance(node, ast.Call)}
    found = [
        repeated or id(n) not in calls or f.name not in starts for n, repeated, f in inside if named(n) in forwards
    ]
    if any(found) or len(found) > 1:
        return "not a backward pass written by hand: it calls forward, as a numerical derivative does"
    return None


def named(node) -> str | None:
    """The name that an expression reads: x, the last part of np.x, or the text "x"."""
    return next((v for v in (getattr(node, a, None) for a in ("id", "attr", "value")) if isinstance(v, str)), None)


def within(node, *, repeated=False):
    """Every node in a function, with whether it is in something that may run again and again."""
    for child in ast.iter_child_nodes(node):
        again = repeated or isinstance(child, LOOPS)
        yield child, again
        yield from within(child, repeated=again)


def told(error, file) -> dict:
    """An exception as a message."""
    try:
        words = str(error.msg if isinstance(error, SyntaxError) else error)[:300]
    except Exception:  # an exception class of the learner's
        words = ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    line = lines[-1] if lines else getattr(error, "lineno", None)
    if isinstance(error, ImportError):
        words = f"{error.msg}; not available where a folder is checked"
    return {"error": type(error).__name__, "words": words, "line": line}


def limit(seconds: int):
    """Limit what this process may use, as far as the platform knows the limit."""
    import resource

    limits = {"AS": MEMORY, "CPU": seconds + 10, "NPROC": 0, "FSIZE": 0, "CORE": 0, "NOFILE": 64}
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError, AttributeError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


def main():
    """Answer messages until the other end hangs up. The first answer says that Python and NumPy have been found."""
    channel = Channel()
    box, *_ = paths = sys.argv[1:]
    submission, reply = Submission(channel, os.path.join(box, OWN)), {"answer": None}
    sys.path[:] = [path for path in sys.path if path not in paths] + [box]  # NumPy is imported, nothing else next to it
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        while True:
            message = channel.exchange(reply)
            try:
                reply = {"answer": getattr(submission, message.pop("do"))(**message)}
            except BaseException as error:
                reply = told(error, submission.file)
