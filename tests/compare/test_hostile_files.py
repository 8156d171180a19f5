"""Checkpoints and interrupted runs: a file that is damaged, or something else, is refused in one line."""

import json
import os
import signal
import struct
from dataclasses import asdict

import pytest
import safetensors.numpy
import torch  # noqa: F401  so all of these tests need it
from hypothesis import given, settings
from hypothesis import strategies as st

import data
from compare import files, model_pair
from compare.options import Settings

MANY = settings(max_examples=10 * settings.default.max_examples)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def checkpoint(place):
    """A small one as bytes, and the arguments of its model."""
    model = dict(cell="lstm", output_size=2, hidden_size=1, vocab_size=2)
    files.write_checkpoint(place / "good", model_pair.build(model, "float32"))
    return (place / "good").read_bytes(), model


def opened(path):
    """True if the file opens as a checkpoint, False if it is refused in one line."""
    try:
        files.open_checkpoint(path)
    except data.UserError as error:
        assert len(str(error).splitlines()) == 1
        return False
    return True


def test_a_checkpoint_cut_off_anywhere_is_refused(checkpoint, place):
    raw, _ = checkpoint
    (place / "cut").write_bytes(raw)
    assert opened(place / "cut")
    for length in reversed(range(len(raw))):
        os.truncate(place / "cut", length)
        assert not opened(place / "cut"), length


def test_other_files_are_not_checkpoints(checkpoint, place):
    raw, _ = checkpoint
    contents = [b"", b"\0" * 99, b"PK\3\4" + bytes(99), b"\x89PNG\r\n\x1a\n" + bytes(99), raw[8:], raw + b"more"]
    for claimed in (0, 1, len(raw), 99_999_999, 10**15, 2**63, 2**64 - 1):  # the length of the JSON that it announces
        contents += [struct.pack("<Q", claimed) + raw[8:], struct.pack("<Q", claimed)]
    contents += [struct.pack("<Q", 99_999) + b"[" * 99_999, struct.pack("<Q", 2) + b"{}"]
    for content in contents:
        (place / "other").write_bytes(content)
        assert not opened(place / "other"), content[:40]
    (place / "text").write_text("to be or not to be\n" * 99)
    for path in (place / "text", place, place / "nowhere", "/dev/null", "/dev/zero", "a\0b", "x" * 5000):
        assert not opened(path)


@pytest.mark.slow
@MANY
@given(drawn=st.data())
def test_a_checkpoint_with_any_bit_wrong(checkpoint, place, drawn):
    """A changed weight cannot be recognized; a change before the weights is refused, unless a second one undoes it."""
    raw = bytearray(checkpoint[0])
    weights = 8 + struct.unpack("<Q", raw[:8])[0]
    places = drawn.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=2))
    for k in places:
        raw[k] ^= 1 << drawn.draw(st.integers(0, 7))
    (place / "wrong").write_bytes(raw)
    before = sum(k < weights for k in places)
    assert opened(place / "wrong") == (before == 0) or before == 2, places


@pytest.mark.filterwarnings("error")  # it would be a second line
def test_weights_of_another_model_are_refused(checkpoint, place):
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


def test_a_pipe_is_not_a_checkpoint(tmp_path):
    """A reader that opens a pipe would wait for ever."""

    def too_long(*_):
        raise TimeoutError

    os.mkfifo(tmp_path / "pipe")
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(20)
    try:
        assert not opened(tmp_path / "pipe")
        with pytest.raises(data.UserError):
            files.open_resume(tmp_path / "pipe")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ---- the settings in a checkpoint ------------------------------------------------------------------------------------


def the_settings(**changed):
    return lambda model, settings: (model, settings | changed)


ALTERED = {
    "no settings": lambda model, settings: (model, None),
    "settings in a list": lambda model, settings: (model, [settings]),
    "no task": lambda model, settings: (model, {name: value for name, value in settings.items() if name != "task"}),
    "no model": lambda model, settings: (None, settings),
    "no such task": the_settings(task="poetry"),
    "no such cell": the_settings(cell="transformer"),
    "another cell": the_settings(cell="rnn"),
    "other layers": the_settings(layers=2),
    "no such optimizer": the_settings(optimizer="newton"),
    "an optimizer in a list": the_settings(optimizer=["adam"]),
    "hidden in words": the_settings(hidden="3"),
    "hidden true": the_settings(hidden=True),
    "half a row": the_settings(batch_size=2.5),
    "no rows": the_settings(batch_size=0),
    "a negative seed": the_settings(seed=-1),
    "a rate in words": the_settings(lr="fast"),
    "no rate": the_settings(lr=None),
    "a rate of nan": the_settings(lr=float("nan")),
    "an endless rate": the_settings(lr=10**400),
    "a huge window": the_settings(window=10**8),
    "a clip in words": the_settings(clip="1"),
    "no such data": the_settings(data="nowhere.txt"),
    "data of 1": the_settings(data=1),
    "no such tokens": the_settings(tokens="syllables"),
    "no such way": the_settings(missing="guess"),
    "a difference of 1": the_settings(difference=1),
    "nothing but dropout": the_settings(dropout=1.0),
    "an unknown setting": the_settings(more=1),
}


@pytest.mark.parametrize("altered", ALTERED.values(), ids=ALTERED)
def test_settings_that_no_run_can_have_stored_are_refused(altered, place):
    """`predict`, `traps --match`, `--overlay` and `--resume` read them: when they are opened, or for their data."""
    settings = Settings("memory", "gru", hidden=3, steps=5, lr=0.1, batch_size=2, window=6)
    pair = model_pair.build(model_pair.model_of(settings, model_pair.load(settings)), "float32")
    model, stored = altered(pair.model, asdict(settings))
    metadata = {"model": json.dumps(model), "settings": json.dumps(stored)}
    safetensors.numpy.save_file(pair.scratch.params, place / "altered", metadata)
    with pytest.raises(data.UserError) as refused:
        model_pair.load(files.open_settings(place / "altered"))
    assert len(str(refused.value).splitlines()) == 1
