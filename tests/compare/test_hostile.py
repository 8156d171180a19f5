"""What nobody should hand in, and what is only odd: every reader and every option of the command line.

Whatever it is, it works or is refused in one line, and it takes no more time and memory than what is in order.
"""

import argparse
import contextlib
import importlib
import io
import json
import os
import struct
import subprocess
import sys
import tracemalloc
import unicodedata
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
import scratch
from compare import __main__ as command_line
from compare.learner import check, exercise
from compare.options import Settings

ROOT = Path(__file__).parents[2]
MANY = settings(max_examples=10 * settings.default.max_examples)


def loaded(task, path, **options):
    """The dataset, or the one line that data.load refuses with."""
    try:
        return data.load(task, path, **options)
    except data.UserError as error:
        assert len(str(error).splitlines()) == 1 and len(str(error)) <= 510
        return str(error)


def works_or_is_refused(task, path, **options):
    dataset = loaded(task, path, **options)
    if isinstance(dataset, str):
        return
    for batch in (next(iter(dataset.train_batches(0))), *dataset.test_batches()):
        assert np.isfinite(batch.inputs).all() and np.isfinite(batch.targets).all()
    assert all(np.isfinite(value) for value in dataset.baselines.values())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


# ---------------------------------------------------------------- any content

ODD = ["\0", "\r", "\r\n", "\n", "\t", " ", "\ufeff", '"', '""', "'", ",", ";", ",,,", "\u2028", "\x85", "\x1b[2J"]
ODD += ["e\u0301", "😀", "\u0661", "nan", "inf", "-inf", "1e999", "1e-999", "1e308", "-1e308", "5e-324", "-0.0"]
ODD += ["0x1p3", "1_000", "1,5", "1e", "v", "day"]
ODD += ["9" * 400, "x" * 140_000]
odd = st.sampled_from(ODD)
numbers = st.one_of(st.integers(-9, 9).map(str), st.floats().map(repr))
texts = st.lists(st.one_of(odd, numbers, st.text("ab \n", max_size=30)), max_size=40).map("".join)


@st.composite
def damaged(draw, good):
    """The bytes of a str that `good` draws, in one place of three something else, doubled or missing."""
    raw = draw(good).encode()
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        start = draw(st.integers(0, len(raw)))
        stop = draw(st.integers(start, min(len(raw), start + 20)))
        put = draw(st.one_of(odd.map(str.encode), st.just(raw[start:stop] * 2), st.binary(max_size=4)))
        raw = raw[:start] + put + raw[stop:]
    return raw


@st.composite
def tables(draw):
    """A CSV of few columns and rows, and at times a cell, a row or a line end that does not fit."""
    mark, end = draw(st.sampled_from(",;\t,;\t|")), draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    columns = draw(st.integers(1, 3))
    header = ["day", "v", '"a b"'][-columns:]
    row = st.lists(numbers, min_size=columns, max_size=columns)
    rows = [header, *draw(st.lists(row, min_size=5, max_size=20))]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        k = draw(st.integers(0, len(rows) - 1))
        rows[k] = draw(st.one_of(st.lists(st.one_of(odd, numbers), max_size=5), st.just(header)))
    return end.join(mark.join(row) for row in rows)


@MANY
@given(st.one_of(damaged(texts), st.binary(max_size=99)), st.integers(1, 3), st.integers(1, 9))
def test_any_bytes_as_a_text(place, raw, batch_size, window):
    (place / "text").write_bytes(raw)
    works_or_is_refused("text", place / "text", batch_size=batch_size, window=window)


@MANY
@given(damaged(tables()), st.sampled_from([None, "v", "v", "day", "", "a b", "\0"]), st.integers(1, 4))
def test_any_bytes_as_a_table(place, raw, column, window):
    (place / "table").write_bytes(raw)
    works_or_is_refused("series", place / "table", column=column, window=window, batch_size=2)


@MANY
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=5), st.sampled_from(["f4", "f8"]))
def test_any_numbers_as_a_series(place, values, dtype):
    (place / "series").write_text("\n".join(["v", *map(repr, values)]))
    works_or_is_refused("series", place / "series", window=1, dtype=np.dtype(dtype))


class_names = st.sampled_from(["a", "b", "c.d", ".hidden", "😀", "n" * 200, "\udcff", "x\ny", "$\\frac$"])
lists = st.lists(st.one_of(odd, st.text("abc é", min_size=1, max_size=9)), min_size=1, max_size=20).map("\n".join)
no_file = st.sampled_from(["directory", "loop", "lost"])


@MANY
@given(st.dictionaries(class_names, st.one_of(damaged(lists), damaged(lists), no_file), max_size=4), st.integers(1, 3))
def test_any_files_as_names(tmp_path_factory, files, batch_size):
    folder = tmp_path_factory.mktemp("names")
    for name, content in files.items():
        path = folder / f"{name}.txt"
        match content:
            case "directory":
                path.mkdir()
            case "loop":
                path.symlink_to(path)
            case "lost":
                path.symlink_to(folder / "nowhere")
            case _:
                path.write_bytes(content)
    works_or_is_refused("names", folder, batch_size=batch_size)


paths = st.one_of(
    st.text(max_size=9),
    st.binary(max_size=9).map(os.fsdecode),
    st.sampled_from(["", ".", "..", "/", "~", "\0", "\ud800", "a" * 300, "a/" * 9000, "/dev/null", "/etc/passwd/x"]),
)


@MANY
@given(paths, st.sampled_from(["text", "names", "series"]))
def test_any_path(path, task):
    works_or_is_refused(task, path)


# ---------------------------------------------------------------- no hang, no more memory


def test_what_has_no_end_is_not_read(tmp_path):
    """Devices, pipes, a file of a terabyte: in a process with a time limit, and with little memory to waste."""
    code = """if True:
        import os, resource, socket, sys, tracemalloc
        import data
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
        os.mkfifo("pipe")
        socket.socket(socket.AF_UNIX).bind("socket")
        with open("large", "wb") as file:
            os.truncate("large", 2**40)  # a hole: it takes no room
        os.mkdir("classes")
        os.symlink("/dev/zero", "classes/a.txt")
        os.symlink(os.path.abspath("pipe"), "classes/b.txt")
        tracemalloc.start()
        for path in ("pipe", "socket", "large", "classes", "/dev/zero", "/dev/full", "/dev/random", "/dev/tty"):
            for task in ("text", "names", "series"):
                try:
                    data.load(task, path)
                except data.UserError as error:
                    print(error)
        sys.exit(tracemalloc.get_traced_memory()[1] > 2**20)
    """
    run = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 8 * 3
    assert "1,099,511,627,776 bytes" in done.stdout


SIZE = 100_000  # bytes
LETTERS = "".join(np.random.default_rng(0).choice(list("etaoinshrdlu   \n"), SIZE))
GOOD = {
    "text": LETTERS,
    "names": "\n".join(LETTERS[i : i + 7].replace("\n", "x") for i in range(0, SIZE - 8, 8)),
    "series": "day,v\n" + "".join(f"{i},{i % 7}\n" for i in range(SIZE // 9)),
}
BULKY = {
    "a character": "a" * SIZE,
    "one line": LETTERS.replace("\n", " "),
    "blank lines": "\n" * SIZE,
    "blank Windows lines": "\r\n" * (SIZE // 2),
    "zero bytes": "\0" * SIZE,
    "an emoji": LETTERS + "😀",
    "emoji": "😀" * (SIZE // 4),
    "accents": "e" + "\u0301" * (SIZE // 2),
    "all characters": "".join(map(chr, range(0x10000, 0x10000 + SIZE // 4))),
    "commas": "," * SIZE,
    "quotes": '"' * SIZE,
    "an open quote": 'day,v\n1,"' + "x" * SIZE,
    "a wide head": ",".join(f"c{i}" for i in range(SIZE // 7)) + "\n1,2\n",
    "a wide row": "day,v\n" + "1," * (SIZE // 2),
    "many columns": ",".join(f"c{i}" for i in range(999)) + ("\n" + "1," * 999) * (SIZE // 2000),
    "a wrong last line": GOOD["series"] + "x,high\n",
    "a long number": "v\n" + "1" * 120_000,
    "long names": "\n".join(LETTERS.replace("\n", " ")[i : i + 9999] for i in range(0, SIZE, 10_000)),
    "one letter": "a\nb\n" * (SIZE // 4),
}


@pytest.mark.parametrize("task", GOOD)
def test_nothing_takes_twice_the_memory_of_what_is_in_order(task, tmp_path):
    path = tmp_path / "classes" / "a.txt"
    path.parent.mkdir()
    (tmp_path / "classes" / "b.txt").write_text("Ann\nBob\n")

    def peak(content, **options):
        path.write_text(content, encoding="utf-8", newline="")
        tracemalloc.start()
        found = loaded(task, path.parent if task == "names" else path, **options)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, found

    options = {"column": "v"} if task == "series" else {}
    peak(GOOD[task], **options)  # what is only loaded once
    limit, found = peak(GOOD[task], **options)
    assert not isinstance(found, str)
    for name, content in BULKY.items():
        size, found = peak(content, **options)
        assert size <= 2 * limit, f"{name}: {size / limit:.1f} times as much, {found}"


# ---------------------------------------------------------------- odd, but in order


def trained(dataset):
    """Two steps by hand and the held-out metric: that a loss comes out. Returns the dataset."""
    sizes = dict(vocab_size=dataset.vocab_size, input_size=dataset.input_size, predict=dataset.predict)
    model = scratch.SequenceModel("gru", dataset.output_size, hidden_size=3, rng=np.random.default_rng(0), **sizes)
    losses = [record.loss for record in scratch.fit(model, dataset, scratch.Adam(model.params), 2, clip=1)]
    value, _ = scratch.evaluate(model, dataset)
    assert np.isfinite([*losses, value]).all()
    return dataset


WAYS = {"plain": ("\n", ""), "Windows line ends": ("\r\n", ""), "a byte order mark": ("\n", "\ufeff")}
WAYS["both"] = ("\r\n", "\ufeff")


def written(path, lines, way="plain"):
    end, mark = WAYS[way]
    path.write_text(mark + "".join(line + end for line in lines), encoding="utf-8", newline="")
    return path


@pytest.mark.parametrize("way", WAYS)
def test_line_ends_and_byte_order_marks_make_no_difference(way, tmp_path):
    verse = ["to be or not to be,", "that is the question", ""] * 20
    text = trained(data.load("text", written(tmp_path / "text", verse, way), batch_size=2, window=9))
    assert text.decode([*text.train_ids, *text.test_ids]) == "\n".join(verse) + "\n"
    (tmp_path / "classes").mkdir()
    for name in "ab":
        written(tmp_path / "classes" / f"{name}.txt", [f"{name}{k}" for k in range(20)], way)
    names = trained(data.load("names", tmp_path / "classes"))
    assert sorted(names.train_names + names.test_names) == sorted(f"{name}{k}" for name in "ab" for k in range(20))
    table = ["day,v", *(f"{k},{k % 5}" for k in range(50))]
    series = trained(data.load("series", written(tmp_path / "table", table, way), column="v", window=9))
    assert series.values.tolist() == [k % 5 for k in range(50)]
    assert series.labels == [str(k) for k in range(50)]


def test_emoji_and_accents_in_names(tmp_path):
    plain = ["Zoë", "😀 Smile", "👩‍👩‍👧", "Ünal", "Ng\u0308e"]  # with what Unicode has no letter of its own for
    for name, form in (("a", "NFC"), ("b 😀", "NFD")):
        written(tmp_path / f"{name}.txt", [unicodedata.normalize(form, each) for each in plain])
    names = trained(data.load("names", tmp_path))
    assert names.classes == ("a", "b 😀")
    assert sorted(names.train_names + names.test_names) == sorted(2 * plain), "accents are one form, NFC"
    assert len(names.encode("Zoe\u0308")) == 3


def test_names_of_one_letter(tmp_path):
    for name, letters in (("a", "abcdefg"), ("b", "éü漢😀"), ("c", "-")):
        written(tmp_path / f"{name}.txt", letters)
    names = trained(data.load("names", tmp_path, batch_size=4))
    assert {batch.inputs.shape[0] for batch in names.train_batches(0)} == {1}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("columns", [3, 5_000, 40_000])
def test_a_table_of_any_width(mark, columns, tmp_path):
    """The widest has a first line that is longer than a cell may be."""
    rows = [[f"c{i}" for i in range(columns)], *([str((k * i) % 11) for i in range(columns)] for k in range(30))]
    path = written(tmp_path / "wide", [mark.join(row) for row in rows])
    series = trained(data.load("series", path, column="c2", window=5))
    assert series.values.tolist() == [(2 * k) % 11 for k in range(30)]


def test_a_text_of_one_character(tmp_path):
    (tmp_path / "text").write_text("a" * 500)
    text = trained(data.load("text", tmp_path / "text", batch_size=4, window=8))
    assert text.vocab_size == 1 and text.baselines == {"trigram model": 0.0}


def test_a_text_of_one_long_line(tmp_path):
    (tmp_path / "text").write_text("the quick brown fox jumps over the lazy dog, " * 45_000)  # 2 MB
    text = trained(data.load("text", tmp_path / "text", batch_size=256))
    assert text.baselines["trigram model"] < 0.1
    assert len(text.train_ids) + len(text.test_ids) == 45 * 45_000


@pytest.mark.parametrize("task", GOOD)
def test_what_is_odd_trains_on_both_sides(task, tmp_path, monkeypatch, capfd):
    (tmp_path / "names").mkdir()
    written(tmp_path / "names" / "e\u0301.txt", "abcdefgh", "both")
    written(tmp_path / "names" / "😀.txt", ["é", "e\u0301x", "👩‍👩‍👧", "漢"], "both")
    (tmp_path / "text").write_text("a" * 500)
    row = ";".join(["1"] * 3000)
    written(tmp_path / "series", [";".join(f"c{i}" for i in range(3000)), *[row, row.replace("1", "2")] * 15], "both")
    monkeypatch.chdir(tmp_path)
    options = ["--steps", "1", "--hidden", "3", "--batch-size", "4"]
    options += {"text": ["--window", "8"], "names": [], "series": ["--window", "8", "--column", "c7"]}[task]
    assert command_line.main([task, "--data", task, *options]) == 0
    assert capfd.readouterr().err == ""


# ---------------------------------------------------------------- the command line


@pytest.fixture(scope="module")
def own(place):
    """Data of one's own, little, for commands that read some."""
    return {
        "text": written(place / "own.txt", ["to be or not to be"] * 99),
        "series": written(place / "own.csv", ["day,v", *(f"{k},{k % 5}" for k in range(200))]),
        "names": Path(data.__file__).parent / "surnames",
    }


def only_load(settings):
    s = settings
    return data.load(
        s.task, s.data, column=s.column, seed=s.seed, batch_size=s.batch_size, window=s.window, dtype=np.dtype(s.dtype)
    )


def load_and_build(settings):
    from compare import model_pair

    dataset = model_pair.load(settings)
    model_pair.build(model_pair.model_of(settings, dataset), settings.dtype, settings.seed, settings.device)


@contextlib.contextmanager
def up_to_the_work(prepare):
    """In here, commands do what comes before their work: they read the options, and `prepare` what these ask for."""

    def work(*arguments, **options):
        for argument in arguments:
            for each in argument if isinstance(argument, list) else [argument]:
                if isinstance(each, Settings):
                    prepare(each)
        return 0

    with pytest.MonkeyPatch.context() as patch:
        for module in ("curves.training", "gradients.table", "gradients.tape_view", "mistakes.table"):
            stand_in(patch, module, work)
        for module in ("traps.catalogue", "traps.match", "page.build", "bench.timing"):
            stand_in(patch, module, work)
        for module in (check, exercise):
            patch.setattr(module, "main", work)
        yield


def stand_in(patch, module, work):
    """In place of a module of a room, one whose `main` is `work`: the real one would import torch."""
    room, name = module.split(".")
    patch.setattr(importlib.import_module(f"compare.{room}"), name, SimpleNamespace(main=work), raising=False)


def ends_well(main, arguments):
    """Run a command: the exit status is 0 and nothing is complained of, or it is 2 and one line says why."""
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
    """list of the parser's options, argparse's own objects."""
    return [action for action in parser._actions if action.option_strings]


def arguments_of(name):
    """The parser of one command."""
    (choices,) = (a.choices for a in command_line.parser(name)._actions if isinstance(a, argparse._SubParsersAction))
    return choices[name]


COMMANDS = {name: arguments_of(name) for name, *_ in command_line.COMMANDS}
EVERY_OPTION = [(name, option.dest) for name, command in COMMANDS.items() for option in options_of(command)]

NUMBERS = ["", "0", "1", "-1", "+1", " 1", "1.5", "1_0", "0x10", "\u0661", "1\n2", "nan", "-inf", "1e400", "1e-400"]
NUMBERS += ["1e30", "1e31", "1000", "65537", "999999999", "1000000000", "9" * 5000, "0" * 19 + "5" + "9" * 30]
WORDS = ["-", "--", "%s", "%(prog)s", "{}", "[red]", "true", "names", "cpu", "float16", "a\r\nb", "x" * 99_999]
WORDS += ["/", "..", "no/where", "/dev/null", "/dev/zero", "/dev/full", "\udcff", "e\u0301", "😀"]
argv = st.binary(max_size=9).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))  # an argument never has a zero byte
values = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.integers().map(str), argv)


@st.composite
def asked(draw, option):
    """The option and a value for it, at times none or one too many."""
    given = [draw(st.sampled_from(option.option_strings))]
    if option.nargs != 0 or draw(st.integers(0, 9)) == 0:
        given.append(draw(st.one_of(values, st.sampled_from(list(option.choices))) if option.choices else values))
    return given if draw(st.integers(0, 19)) else given[:1]


@pytest.mark.parametrize(("name", "dest"), EVERY_OPTION, ids=map(" ".join, EVERY_OPTION))
def test_any_value_of_every_option(name, dest, own):
    command = COMMANDS[name]
    (option,) = (option for option in options_of(command) if option.dest == dest)
    tasks = [["memory"], ["series", "--data", str(own["series"])], ["text", "--data", str(own["text"])]]
    if {"task", "tasks"}.isdisjoint(action.dest for action in command._actions):
        tasks = [[]]  # it takes none

    def run(task, arguments):
        ends_well(command_line.main, [name, *task, *arguments])

    with up_to_the_work(only_load):
        for value in [*NUMBERS, *WORDS]:
            run(tasks[0], [option.option_strings[-1], value])
        given(st.sampled_from(tasks), asked(option))(run)()


@pytest.mark.parametrize("device", ["", "cuda", "cuda:0", "meta", "mkldnn", "xla", "mps", "cpu:1", "CPU", "\udcff"])
def test_any_device(device):
    with up_to_the_work(load_and_build):
        ends_well(command_line.main, ["memory", "--device", device])


@st.composite
def commands(draw, options, own):
    """A task with its data, and some options; at times a word where none belongs."""
    task = draw(st.sampled_from(["memory", *own]))
    arguments = [task] if task == "memory" else [task, "--data", str(own[task])]
    for option in draw(st.lists(st.sampled_from(options), min_size=1, max_size=3)):
        arguments += draw(asked(option))
    if not draw(st.integers(0, 9)):
        arguments.insert(draw(st.integers(0, len(arguments))), draw(values))
    return arguments


@MANY
@given(drawn=st.data())
def test_any_options_up_to_both_models(own, drawn):
    with up_to_the_work(load_and_build):
        ends_well(command_line.main, drawn.draw(commands(options_of(COMMANDS["curves"]), own)))


# ---------------------------------------------------------------- checkpoints


@pytest.fixture(scope="module")
def checkpoint(place):
    """A small one, as bytes; and the arguments of its model."""
    from compare import files, model_pair

    model = dict(cell="lstm", output_size=2, hidden_size=1, vocab_size=2)
    files.write_checkpoint(place / "good", model_pair.build(model, "float32"))
    return (place / "good").read_bytes(), model


def opened(path):
    """Open it as a checkpoint: true when that works, false when it is refused in one line."""
    from compare import files

    try:
        files.open_checkpoint(path)
    except data.UserError as error:
        assert len(str(error).splitlines()) == 1
        return False
    return True


def test_a_checkpoint_cut_at_any_place_is_refused(checkpoint, place):
    raw, _ = checkpoint
    for length in range(len(raw)):
        (place / "cut").write_bytes(raw[:length])
        assert not opened(place / "cut"), length
    (place / "cut").write_bytes(raw)
    assert opened(place / "cut")


def test_other_files_are_no_checkpoints(checkpoint, place, own):
    raw, _ = checkpoint
    contents = [b"", b"\0" * 99, b"PK\3\4" + bytes(99), b"\x89PNG\r\n\x1a\n" + bytes(99), raw[8:], raw + b"more"]
    for claimed in (0, 1, len(raw), 99_999_999, 10**15, 2**63, 2**64 - 1):  # so many bytes of JSON, it says
        contents += [struct.pack("<Q", claimed) + raw[8:], struct.pack("<Q", claimed)]
    contents += [struct.pack("<Q", 99_999) + b"[" * 99_999, struct.pack("<Q", 2) + b"{}"]
    for content in contents:
        (place / "other").write_bytes(content)
        assert not opened(place / "other"), content[:40]
    for path in (*own.values(), place, place / "nowhere", "/dev/null", "/dev/zero", "a\0b", "x" * 5000):
        assert not opened(path)


@MANY
@given(drawn=st.data())
def test_a_checkpoint_with_any_bit_wrong(checkpoint, place, drawn):
    """A changed weight, no one can see; anything else is refused."""
    raw = bytearray(checkpoint[0])
    for _ in range(drawn.draw(st.integers(1, 2))):
        raw[drawn.draw(st.integers(8, len(raw) - 1))] ^= 1 << drawn.draw(st.integers(0, 7))
    (place / "wrong").write_bytes(raw)
    opened(place / "wrong")


def test_a_model_and_weights_that_do_not_belong_together(checkpoint, place):
    import safetensors.numpy

    _, model = checkpoint
    weights = safetensors.numpy.load_file(place / "good")

    def fits(weights, model):
        safetensors.numpy.save_file(weights, place / "made", {"model": json.dumps(model)})
        return opened(place / "made")

    assert fits(weights, model)
    for name, array in weights.items():
        assert not fits({**weights, name: array[None]}, model), name
        assert not fits({**weights, name: array[:1]}, model), f"{name} would broadcast"
        for dtype in ("float16", "float64", "int32"):
            assert not fits({**weights, name: array.astype(dtype)}, model), (name, dtype)
        assert not fits({k: v for k, v in weights.items() if k != name}, model), name
    assert not fits({**weights, "extra": weights["linear.bias"]}, model)
    assert not fits({}, model)
    changes = [{name: value} for name in model for value in (0, -1, 2.5, 10**9, 10**30, "lstm ", None, [], {}, "1")]
    changes += [dict(num_layers=10**9), dict(input_size=3), dict(predict="first"), dict(dtype="float32"), dict(more=1)]
    for change in changes:
        assert not fits(weights, model | change), change
    for other in (None, [], "lstm", 1, {}, {k: v for k, v in model.items() if k != "cell"}):
        assert not fits(weights, other), other
    for metadata in (None, {}, {"model": ""}, {"model": "[" * 99_999}):
        safetensors.numpy.save_file(weights, place / "made", metadata)
        assert not opened(place / "made"), metadata
