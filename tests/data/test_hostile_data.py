"""What nobody should pass to a reader of data, and what is only unusual.

Everything either works or is refused in one line, and takes no more time and memory than a normal file.
"""

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
import scratch
from data.table import WAYS
from data.text import TOKENS

ROOT = Path(__file__).parents[2]
MANY = settings(max_examples=10 * settings.default.max_examples)


def loaded(task, path, **options):
    """The dataset, or the one line with which data.load refuses."""
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
ODD += ["0x1p3", "1_000", "1,5", "1.234.567,5", "", "NA", "1e", "v", "day"]
ODD += ["9" * 400, "x" * 140_000]
odd = st.sampled_from(ODD)
numbers = st.one_of(st.integers(-9, 9).map(str), st.floats().map(repr))
texts = st.lists(st.one_of(odd, numbers, st.text("ab \n", max_size=30)), max_size=40).map("".join)


@st.composite
def damaged(draw, good):
    """A str that `good` draws, as bytes, in which up to three places are replaced, doubled or removed."""
    raw = draw(good).encode()
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        start = draw(st.integers(0, len(raw)))
        stop = draw(st.integers(start, min(len(raw), start + 20)))
        put = draw(st.one_of(odd.map(str.encode), st.just(raw[start:stop] * 2), st.binary(max_size=4)))
        raw = raw[:start] + put + raw[stop:]
    return raw


@st.composite
def tables(draw):
    """A CSV of few columns and rows, sometimes with a cell, a row or a line ending that does not fit."""
    mark, end = draw(st.sampled_from(",;\t,;\t|")), draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    columns = draw(st.integers(1, 3))
    header = ["day", "v", '"a b"'][-columns:]
    row = st.lists(numbers, min_size=columns, max_size=columns)
    rows = [header, *draw(st.lists(row, min_size=5, max_size=20))]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        k = draw(st.integers(0, len(rows) - 1))
        rows[k] = draw(st.one_of(st.lists(st.one_of(odd, numbers), max_size=5), st.just(header)))
    return end.join(mark.join(row) for row in rows)


@pytest.mark.slow
@MANY
@given(st.one_of(damaged(texts), st.binary(max_size=99)), st.integers(1, 3), st.integers(1, 9), st.sampled_from(TOKENS))
def test_any_bytes_as_a_text(place, raw, batch_size, window, tokens):
    (place / "text").write_bytes(raw)
    works_or_is_refused("text", place / "text", batch_size=batch_size, window=window, tokens=tokens)


@pytest.mark.slow
@MANY
@given(
    damaged(tables()),
    st.sampled_from([None, "v", "v", "day", "", "a b", "\0", "v, a b"]),
    st.fixed_dictionaries(
        {},
        optional={
            "inputs": st.sampled_from(["v", "day", "", "V,", "a b,v"]),
            "missing": st.sampled_from(WAYS),
            "difference": st.booleans(),
            "dtype": st.sampled_from([np.float32, np.float64]),
        },
    ),
    st.integers(1, 4),
)
def test_any_bytes_as_a_table(place, raw, column, reading, window):
    (place / "table").write_bytes(raw)
    works_or_is_refused("series", place / "table", column=column, window=window, batch_size=2, **reading)


@pytest.mark.slow
@MANY
@given(damaged(tables()), st.integers(1, 3))
def test_any_bytes_as_labelled_sequences(place, raw, batch_size):
    (place / "labelled").write_bytes(raw)
    works_or_is_refused("digits", place / "labelled", batch_size=batch_size)


class_names = st.sampled_from(["a", "b", "c.d", ".hidden", "😀", "n" * 200, "\udcff", "x\ny", "$\\frac$"])
lists = st.lists(st.one_of(odd, st.text("abc é", min_size=1, max_size=9)), min_size=1, max_size=20).map("\n".join)
no_file = st.sampled_from(["directory", "loop", "lost"])


@pytest.mark.slow
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


@pytest.mark.slow
@MANY
@given(paths, st.sampled_from(["text", "names", "series", "digits"]))
def test_any_path(path, task):
    works_or_is_refused(task, path)


# ---------------------------------------------------------------- time and memory


def test_a_file_without_an_end_is_not_read(tmp_path):
    """Devices, pipes, a file of a terabyte: in a process with a time limit and a memory limit."""
    code = """if True:
        import os, resource, socket, sys, tracemalloc
        import data
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
        os.mkfifo("pipe")
        socket.socket(socket.AF_UNIX).bind("socket")
        with open("large", "wb") as file:
            os.truncate("large", 2**40)  # a hole: it takes no disk space
        os.mkdir("classes")
        os.symlink("/dev/zero", "classes/a.txt")
        os.symlink(os.path.abspath("pipe"), "classes/b.txt")
        tracemalloc.start()
        for path in ("pipe", "socket", "large", "classes", "/dev/zero", "/dev/full", "/dev/random", "/dev/tty"):
            for task in ("text", "names", "series", "digits"):
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
    assert len(done.stdout.splitlines()) == 8 * 4
    assert "1,099,511,627,776 bytes" in done.stdout


SIZE = 100_000  # bytes
LETTERS = "".join(np.random.default_rng(0).choice(list("etaoinshrdlu   \n"), SIZE))
GOOD = {
    "text": LETTERS,
    "names": "\n".join(LETTERS[i : i + 7].replace("\n", "x") for i in range(0, SIZE - 8, 8)),
    "series": "day,v\n" + "".join(f"{i},{i % 7}\n" for i in range(SIZE // 9)),
    "digits": "".join(f"{i % 2},{i % 7},{i % 3}\n" for i in range(SIZE // 6)),
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
    "a wide header": ",".join(f"c{i}" for i in range(SIZE // 7)) + "\n1,2\n",
    "a wide row": "day,v\n" + "1," * (SIZE // 2),
    "many columns": ",".join(f"c{i}" for i in range(999)) + ("\n" + "1," * 999) * (SIZE // 2000),
    "a wrong last line": GOOD["series"] + "x,high\n",
    "a long number": "v\n" + "1" * 120_000,
    "long names": "\n".join(LETTERS.replace("\n", " ")[i : i + 9999] for i in range(0, SIZE, 10_000)),
    "one letter": "a\nb\n" * (SIZE // 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", GOOD)
def test_nothing_takes_twice_the_memory_of_a_normal_file(task, tmp_path):
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
    peak(GOOD[task], **options)  # loads what is loaded only once
    limit, found = peak(GOOD[task], **options)
    assert not isinstance(found, str)
    for name, content in BULKY.items():
        size, found = peak(content, **options)
        assert size <= 2 * limit, f"{name}: {size / limit:.1f} times as much, {found}"


# ---------------------------------------------------------------- unusual, but valid


def trained(dataset):
    """Two training steps by hand and the held-out metric are finite. Returns the dataset."""
    sizes = dict(vocab_size=dataset.vocab_size, input_size=dataset.input_size, predict=dataset.predict)
    model = scratch.SequenceModel("gru", dataset.output_size, hidden_size=3, rng=np.random.default_rng(0), **sizes)
    losses = [record.loss for record in scratch.fit(model, dataset, scratch.Adam(model.params), 2, clip=1)]
    value, _ = scratch.evaluate(model, dataset)
    assert np.isfinite([*losses, value]).all()
    return dataset


def written(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return path


def test_names_of_one_letter(tmp_path):
    for name, letters in (("a", "abcdefg"), ("b", "éü漢😀"), ("c", "-")):
        written(tmp_path / f"{name}.txt", letters)
    names = trained(data.load("names", tmp_path, batch_size=4))
    assert {batch.inputs.shape[0] for batch in names.train_batches(0)} == {1}


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_wide_table(mark, tmp_path):
    """Its first line is longer than Python's csv allows a cell to be."""
    rows = [[f"c{i}" for i in range(40_000)], *([str((k * i) % 11) for i in range(40_000)] for k in range(9))]
    path = written(tmp_path / "wide", [mark.join(row) for row in rows])
    series = data.load("series", path, column="c2", window=5)
    assert series.values[:, 0].tolist() == [(2 * k) % 11 for k in range(9)]


def test_a_text_of_one_character(tmp_path):
    (tmp_path / "text").write_text("a" * 500)
    text = trained(data.load("text", tmp_path / "text", batch_size=4, window=8))
    assert text.vocab_size == 1 and text.baselines == {"trigram model": 0.0}
    assert f"{text.baselines['trigram model']:.5g}" == "0", "not -0"


def test_blank_cells_at_the_end_of_a_row_are_no_values(tmp_path):
    table = ["day,v", *(f"{k},{k % 5},," for k in range(50))]
    series = data.load("series", written(tmp_path / "table", table), column="v", window=5)
    assert series.values[:, 0].tolist() == [k % 5 for k in range(50)]
