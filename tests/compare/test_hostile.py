"""Any value for any option of the command line: the command runs, or one line says why not."""

import argparse
import contextlib
import importlib
import io
import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from compare.__main__ import COMMANDS, main, parser
from compare.learner import check, exercise
from compare.learner.grading import folder
from compare.learner.search.locate import bounded_memory
from compare.options import Settings, reading

MANY = settings(max_examples=10 * settings.default.max_examples)

# The modules whose `main` does the work of a command, after it has read its options.
AT_WORK = ("curves.training", "gradients.table", "gradients.tape_view", "mistakes.table")
AT_WORK += ("traps.overview", "traps.match", "page.build", "bench.timing")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A user's data, small, by task."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.txt").write_text("to be or not to be\n" * 99)
    (folder / "own.csv").write_text("day,v\n" + "".join(f"{k},{k % 5}\n" for k in range(200)))
    return {
        "text": folder / "own.txt",
        "series": folder / "own.csv",
        "names": Path(data.__file__).parent / "surnames",
    }


def only_load(settings):
    s = settings
    return data.load(
        s.task, s.data, seed=s.seed, batch_size=s.batch_size, window=s.window, dtype=np.dtype(s.dtype), **reading(s)
    )


def load_and_build(settings):
    from compare import model_pair

    dataset = model_pair.load(settings)
    model_pair.build(model_pair.model_of(settings, dataset), settings.dtype, settings.seed, settings.device)


@contextlib.contextmanager
def up_to_the_work(prepare):
    """Commands only do what comes before their work: they read the options, and call `prepare` with the Settings."""

    def work(*arguments, **options):
        for argument in arguments:
            for each in argument if isinstance(argument, list) else [argument]:
                if isinstance(each, Settings):
                    prepare(each)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        for module in AT_WORK:
            replace(patch, module, work)
        for module, name in ((check, "answer"), (folder, "grade"), (check, "follow"), (exercise, "main")):
            patch.setattr(module, name, work)
        yield


def replace(patch, module, work):
    """Replace a module by one whose `main` is `work`: the real one would import torch."""
    room, name = module.split(".")
    patch.setattr(importlib.import_module(f"compare.{room}"), name, SimpleNamespace(main=work), raising=False)


def ends_well(arguments):
    """Run a command: the exit status is 0 and stderr is empty, or it is 2 and one line on stderr says why."""
    out = io.TextIOWrapper(io.BytesIO())
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")  # as Python's own
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("error")  # it would be a second line
        try:
            status = main(arguments)
        except SystemExit as stopped:
            status = stopped.code
    err.flush()
    said = err.buffer.getvalue().decode()
    if status == 0:
        assert said == "", said
    else:
        assert status == 2, said
        assert said.startswith("error: ") and said.count("\n") == 1 and said.endswith("\n"), said
        assert len(said) < 1000


def options_of(parser):
    """The options of a parser, a list of argparse's own objects."""
    return [action for action in parser._actions if action.option_strings]


def arguments_of(name):
    """The parser of one command."""
    (choices,) = (a.choices for a in parser(name)._actions if isinstance(a, argparse._SubParsersAction))
    return choices[name]


PARSERS = {name: arguments_of(name) for name, *_ in COMMANDS}
EVERY_OPTION = [(name, option.dest) for name, command in PARSERS.items() for option in options_of(command)]

NUMBERS = ["", "0", "1", "-1", "+1", " 1", "1.5", "1_0", "0x10", "\u0661", "1\n2", "nan", "-inf", "1e400", "1e-400"]
NUMBERS += ["1e30", "1e31", "1000", "65537", "999999999", "1000000000", "9" * 5000, "0" * 19 + "5" + "9" * 30]
WORDS = ["-", "--", "%s", "%(prog)s", "{}", "[red]", "true", "names", "cpu", "float16", "a\r\nb", "x" * 99_999]
WORDS += ["/", "..", "no/where", "/dev/null", "/dev/zero", "/dev/full", "\udcff", "e\u0301", "😀"]
argv = st.binary(max_size=9).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))  # an argument never has a zero byte
values = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.integers().map(str), argv)


@st.composite
def asked(draw, option):
    """An option and a value for it, sometimes with no value or one too many."""
    given = [draw(st.sampled_from(option.option_strings))]
    if option.nargs != 0 or draw(st.integers(0, 9)) == 0:
        given.append(draw(st.one_of(values, st.sampled_from(list(option.choices))) if option.choices else values))
    return given if draw(st.integers(0, 19)) else given[:1]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dest"), EVERY_OPTION, ids=map(" ".join, EVERY_OPTION))
def test_any_value_of_every_option(name, dest, own):
    command = PARSERS[name]
    (option,) = (option for option in options_of(command) if option.dest == dest)
    tasks = [["memory"], ["series", "--data", str(own["series"])], ["text", "--data", str(own["text"])]]
    if {"task", "tasks"}.isdisjoint(action.dest for action in command._actions):
        tasks = [[]]  # it takes none

    def run(task, arguments):
        ends_well([name, *task, *arguments])

    with up_to_the_work(only_load):
        for value in [*NUMBERS, *WORDS]:
            run(tasks[0], [option.option_strings[-1], value])
        given(st.sampled_from(tasks), asked(option))(run)()


@pytest.mark.parametrize("device", ["", "cuda", "cuda:0", "meta", "mkldnn", "xla", "mps", "cpu:1", "CPU", "\udcff"])
def test_any_device(device):
    with up_to_the_work(load_and_build):
        ends_well(["memory", "--device", device])


@st.composite
def commands(draw, options, own):
    """A task with its data and some options, sometimes with an extra word."""
    task = draw(st.sampled_from(["memory", *own]))
    arguments = [task] if task == "memory" else [task, "--data", str(own[task])]
    for option in draw(st.lists(st.sampled_from(options), min_size=1, max_size=3)):
        arguments += draw(asked(option))
    if not draw(st.integers(0, 9)):
        arguments.insert(draw(st.integers(0, len(arguments))), draw(values))
    return arguments


@pytest.mark.slow
@MANY
@given(drawn=st.data())
def test_any_options_up_to_both_models(own, drawn):
    with up_to_the_work(load_and_build), bounded_memory():  # many large layers, one after the other
        ends_well(drawn.draw(commands(options_of(PARSERS["curves"]), own)))
