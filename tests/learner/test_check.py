"""The check names the right line and the right slip, and has nothing to say against what is right."""

import json
import textwrap
import time
from difflib import SequenceMatcher
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from attempts.planted import SLIPS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare.learner import examine, ladder, likely_mistake, problems
from compare.learner.ladder import BY_NAME, RUNGS, solution, source_of

LEARNERS = Path(__file__).parent / "attempts"
SOLUTIONS = sorted(path for cell in ("rnn", "gru", "lstm") for path in (LEARNERS / cell).glob("*.py"))
IN_TORCH = [path for path in SOLUTIONS if "import torch" in path.read_text(encoding="utf-8")]

# With one step there is no other: these are no mistakes in an exercise of one step.
NEED_MORE_STEPS = {"dh_not_carried", "bias_of_the_last_step_only", "weights_of_the_last_step_only"}


def examined(folder, text, name):
    path = folder / f"{name}_{time.monotonic_ns()}.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return examine.examine(path, BY_NAME[name])


CATALOGUE = [
    (rung, mistake)
    for rung in RUNGS
    for mistake in likely_mistake.fitting(rung)
    if mistake.file == rung.file and not (rung.name.endswith("_step") and mistake.name in NEED_MORE_STEPS)
]


@pytest.mark.parametrize("rung, mistake", CATALOGUE, ids=[f"{rung.name}-{m.name}" for rung, m in CATALOGUE])
def test_a_mistake_of_the_catalogue_is_named_with_its_line(rung, mistake, tmp_path):
    text = solution(rung, source_of(rung).replace(mistake.right, mistake.wrong))
    report = examined(tmp_path, text, rung.name)
    assert report["verdict"] == "wrong"
    assert report["slip"] == mistake.name
    assert report["line"] in changed_lines(solution(rung), text), report


def changed_lines(right, wrong):
    """The lines of `wrong` that are not in `right`; where some were only left out, the two lines around the gap."""
    a, b = right.split("\n"), wrong.split("\n")
    lines = set()
    for tag, _, _, start, stop in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "delete":
            lines |= {start - 1, start, start + 1}  # the comment above, or the statement
        elif tag != "equal":
            lines |= set(range(start + 1, stop + 1))
    return lines


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=f"{path.parent.name}-{path.stem}", marks=[pytest.mark.torch] * (path in IN_TORCH))
        for path in SOLUTIONS
    ],
)
def test_there_is_nothing_to_say_against_a_right_solution(path):
    """Ten for each cell, each written in its own way by somebody who had not seen the check."""
    report = examine.examine(path, BY_NAME[path.parent.name])
    assert report["verdict"] == "right", report


def test_ten_solutions_for_each_cell():
    assert [sum(path.parent.name == cell for path in SOLUTIONS) for cell in ("rnn", "gru", "lstm")] == [10, 10, 10]


def test_slips_in_other_styles(tmp_path):
    """194 slips in those thirty files, planted by somebody who had not seen the check; by default every fourth of them.

    All must be found wrong, and where the check is sure of its line (putting the right values there mends everything)
    it must be the line that the author of the slip would point at, nine times out of ten.
    """
    sure = hits = all_hits = 0
    there = [slip for slip in SLIPS if find_spec("torch") or LEARNERS / slip.file not in IN_TORCH]
    chosen = there if settings.default.max_examples > 1000 else there[::4]
    for slip in chosen:
        cell = slip.file.split("/")[0]
        text = (LEARNERS / slip.file).read_text(encoding="utf-8").replace(slip.right, slip.wrong)
        report = examined(tmp_path, text, cell)
        assert report["verdict"] == "wrong", slip
        lines = text.split("\n")
        start = text[: text.index(slip.wrong)].count("\n") + 1 if slip.wrong.strip() else 0
        wanted = {k for k, line in enumerate(lines, start=1) if slip.line in line}
        wanted |= set(range(start, start + slip.wrong.rstrip("\n").count("\n") + 1))
        hit = report.get("line") in wanted
        all_hits += hit
        if report.get("all_of_it"):
            sure, hits = sure + 1, hits + hit
    figures = f"the line: {all_hits} of {len(chosen)}; where the check is sure: {hits} of {sure}"
    hit_share, sure_share = (0.8, 0.9) if len(chosen) == len(SLIPS) else (0.75, 0.85)  # a sample strays a little
    assert all_hits >= hit_share * len(chosen) and hits >= sure_share * sure and sure >= 0.7 * len(chosen), figures
    print(figures)


@pytest.mark.torch
def test_the_right_answers_are_those_of_autograd():
    """The problems' answers come from the tape; here from torch's."""
    import torch

    from torch_impl import unrolled

    for name in ("rnn", "gru", "lstm"):
        problem = problems.cell(name, 4, 3, 2, 5)
        leaves = {key: torch.tensor(value, requires_grad=True) for key, value in problem.given.items()}
        *outputs, kept = getattr(unrolled, name)(*leaves.values())
        upstream = [torch.tensor(value) for value in problem.upstream.values()]
        loss = sum((out * up).sum() for out, up in zip(outputs, upstream, strict=True))
        grads = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), retain_graph=True), strict=True))
        for key, expected in problem.gradients.items():
            np.testing.assert_allclose(expected, grads[key[1:]].numpy(), rtol=0, atol=1e-12)
        by_name = {truth.name: truth.values for truth in problem.truths}
        for key, steps in kept.items():
            for wanted in (f"d{key}_t", f"d{key}"):
                if wanted in by_name and by_name[wanted].ndim == 3:
                    d = torch.stack(torch.autograd.grad(loss, steps, retain_graph=True, materialize_grads=True))
                    np.testing.assert_allclose(by_name[wanted], d.numpy(), rtol=0, atol=1e-12)


RNN = """
    import numpy as np

    def forward(x, h_0, W_ih, W_hh, b_ih, b_hh):
        h = [h_0]
        for x_t in x:
            h.append(np.tanh(x_t @ W_ih.T + b_ih + h[-1] @ W_hh.T + b_hh))
        return np.stack(h[1:]), h[-1], (x, h, W_ih, W_hh)

    def backward(dy, dh_n, cache):
        x, h, W_ih, W_hh = cache
        T = len(x)
        dx, dW_ih, dW_hh, db = np.zeros_like(x), np.zeros_like(W_ih), np.zeros_like(W_hh), np.zeros(len(W_hh))
        dh = dh_n
        for t in reversed(range(T)):
            dh = dh + dy[t]
            da = dh * (1 - h[t + 1] ** 2)
            dx[t] = da @ W_ih
            dW_ih += da.T @ x[t]
            dW_hh += da.T @ h[t]
            db += da.sum(axis=0)
            dh = da @ W_hh
        return dx, dh, dW_ih, dW_hh, db, db.copy()
"""


def rnn_with(folder, *changes):
    text = RNN
    for right, wrong in changes:
        assert text.count(right) == 1, right
        text = text.replace(right, wrong)
    return examined(folder, text, "rnn")


def test_what_the_wrong_place_holds_is_said(tmp_path):
    report = rnn_with(tmp_path, ("dW_hh += da.T @ h[t]\n", "dW_hh += da.T @ h[t + 1]\n"))
    assert report["text"].strip() == "dW_hh += da.T @ h[t + 1]" and report["part"] == "h[t + 1]"
    assert (report["belongs"], report["evidence"]) == ("h_(t-1)", ["it holds h_t"])
    assert report["all_of_it"] and report["equation"] == ""

    report = rnn_with(tmp_path, ("dh = dh + dy[t]", "dh = dh - dy[t]"))
    assert report["text"].strip() == "dh = dh - dy[t]" and report["equation"] == "R2"
    assert "dy_t has the wrong sign in it" in report["evidence"]
    assert report["step"] == report["last_step"]

    report = rnn_with(tmp_path, ("dh = da @ W_hh", "dh = da @ W_hh.T"))
    assert report["part"] == "W_hh.T" and report["evidence"] == ["it is W_hh transposed"]

    report = rnn_with(tmp_path, ("da = dh * (1 - h[t + 1] ** 2)", "da = dh"))
    assert report["text"].strip() == "da = dh"
    assert 'a factor is missing: "slope of h_t = f(a_t)"' in report["evidence"]


def test_the_steps_at_which_it_is_wrong_are_said(tmp_path):
    report = rnn_with(
        tmp_path,
        ("x, h, W_ih, W_hh = cache", "x, h, W_ih, W_hh = cache\n        y = h[1:]"),
        ("dW_hh += da.T @ h[t]\n", "dW_hh += da.T @ y[t - 1]\n"),
    )
    assert report["text"].strip() == "dW_hh += da.T @ y[t - 1]" and report["step"] == 0
    assert report["evidence"] == ["at step 0 it holds the last state, for index -1 is the last one; h_0 belongs there"]


def test_what_needs_no_search_is_said(tmp_path):
    """An array that was replaced, a state that was not kept, a call in a chain."""
    text = solution(BY_NAME["clipping"]).replace("for g in grads.values():", "for name, g in grads.items():")
    report = examined(tmp_path, text.replace("g *= scale", "grads[name] = g * scale"), "clipping")
    assert "the array of W and b is as it was" in report["sentences"][0]
    text = solution(BY_NAME["adam"])
    report = examined(tmp_path, text.replace("m += (1 - beta1) * (g - m)", "m = m + (1 - beta1) * (g - m)"), "adam")
    assert "self.m is still zero after the first step" in report["sentences"][0]
    text = solution(BY_NAME["lengths"]).replace("in reversed(caches)", "in caches")
    report = examined(tmp_path, text, "lengths")
    assert "call 1 of cell.backward gets the cache of stretch 0" in report["sentences"][0]
    assert "cell.backward(" in report["text"]


def test_two_mistakes_are_not_taken_for_one(tmp_path):
    report = rnn_with(
        tmp_path, ("dW_hh += da.T @ h[t]\n", "dW_hh = da.T @ h[t]\n"), ("dx[t] = da @", "dx[t] = 2 * da @")
    )
    assert report["verdict"] == "wrong" and not report["all_of_it"] and "slip" not in report
    assert report["text"].strip() in ("dW_hh = da.T @ h[t]", "dx[t] = 2 * da @ W_ih")


def test_shapes_are_said_before_numbers(tmp_path):
    report = rnn_with(tmp_path, ("db += da.sum(axis=0)", "db = db + da.sum(axis=0, keepdims=True)"))
    assert report["steps"][-1][0] == examine.SHAPES
    assert "it must be (3,), against which it would broadcast" in report["sentence"]
    assert "keepdims" in report["text"]
    report = rnn_with(tmp_path, ("return dx, dh,", "return None, dh,"))
    assert "dx is None" in report["sentence"]
    report = rnn_with(tmp_path, ("return dx, dh,", "return dx > 0, dh,"))
    assert "dx has the dtype bool" in report["sentence"]


def test_what_is_changed_and_what_is_kept_is_said(tmp_path):
    report = rnn_with(tmp_path, ("dh = dh + dy[t]", "dh += dy[t]"))
    assert report["steps"][-1][0] == examine.CLEAN and "it wrote into dh_n" in report["sentence"]
    assert report["text"].strip() in ("dh += dy[t]", "dh = dh_n")
    kept = "    total = {}\n\n    def backward(dy, dh_n, cache):"
    report = rnn_with(
        tmp_path,
        ("    def backward(dy, dh_n, cache):", kept),
        ("dW_hh += da.T @ h[t]\n", "total['W'] = total.get('W', 0) + da.T @ h[t]\n"),
        ("return dx, dh, dW_ih, dW_hh,", "return dx, dh, dW_ih, total['W'],"),
    )
    assert "a second call of backward gives another dW_hh" in report["sentence"]
    report = rnn_with(tmp_path, ("db, db.copy()", "db, db"))
    assert "db_hh and db_ih are one array" in report["sentence"]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("def backward(:", "it is not Python"),
        ("", "there is no function `backward`"),
        ("import nowhere_to_be_found", "reading it ended in ModuleNotFoundError"),
        ("raise SystemExit(3)", "reading it ended in SystemExit: 3"),
        ("def forward(a, b):\n    return a, b\ndef backward(dy):\n    return dy", "forward(a, b) does not fit"),
        ("def forward(*a):\n    return 1\ndef backward(*a):\n    return 1", "forward returned one value"),
        ("def forward(*a):\n    return 1, 2\ndef backward(*a):\n    return 1", "backward returned 1 value; 6 are"),
        ("def forward(*a):\n    return 1 / 0\ndef backward(*a):\n    return 1", "ZeroDivisionError"),
        ("class A:\n    def backward(self):\n        pass", "class A has a backward and no forward"),
    ],
)
def test_what_cannot_run_says_why(tmp_path, text, sentence):
    report = examined(tmp_path, text, "rnn")
    assert report["verdict"] == "could not run" and sentence in report["sentence"], report


def test_any_form_will_do(tmp_path):
    """One function for all; a class with the weights; a dict; torch's names."""
    body = textwrap.dedent(RNN)
    one = body + textwrap.dedent("""
        def gradients(x, h_0, W_ih, W_hh, b_ih, b_hh, dy, dh_n):
            *_, cache = forward_(x, h_0, W_ih, W_hh, b_ih, b_hh)
            names = ("dx", "dh_0", "weight_ih_l0", "dW_hh", "bias_ih", "db_hh")
            return dict(zip(names, backward_(dy, dh_n, cache)))
    """)
    one = one.replace("def forward(", "def forward_(").replace("def backward(", "def backward_(")
    assert examined(tmp_path, one, "rnn")["verdict"] == "right"
    several = one.replace("def gradients", "class Cell:\n    pass\n\ndef gradients")
    assert examined(tmp_path, several, "rnn")["verdict"] == "right"


def test_every_rung_has_problems_of_one_step_and_one_row():
    for rung in RUNGS:
        if rung.name in ("rnn", "gru", "lstm", "lengths"):
            assert any(problem.given["x"].shape[:2] == (1, 1) for problem in problems.of(rung.name))
    assert all(ladder.BY_NAME[name].hints for name in ladder.BY_NAME)


def spoilt(text, draw):
    """The text with a few characters, lines or words taken out, put in or exchanged."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text) - 1))
        match draw(st.sampled_from(["cut", "insert", "line", "word", "end"])):
            case "cut":
                text = text[:at] + text[at + draw(st.integers(1, 5)) :]
            case "insert":
                text = text[:at] + draw(st.sampled_from(list("()[]{}:=+-*/@.,'\"\\#\n \tx0é\x00"))) + text[at:]
            case "line":
                lines = text.split("\n")
                del lines[draw(st.integers(0, len(lines) - 1))]
                text = "\n".join(lines)
            case "word":
                words = text.split(" ")
                k, other = draw(st.integers(0, len(words) - 1)), draw(st.integers(0, len(words) - 1))
                words[k] = words[other]
                text = " ".join(words)
            case "end":
                text = text[:at]
        text = text or " "
    return text


@pytest.mark.parametrize("name", ["softmax", "embedding", "rnn_step", "lengths", "truncated", "clipping", "adam"])
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_in_the_file_has_an_answer(name, tmp_path, data):
    """Solutions spoilt at random: right, wrong, or not to be run with a sentence; never an exception of our own."""
    report = examined(tmp_path, spoilt(solution(BY_NAME[name]), data.draw), name)
    assert report["verdict"] in ("right", "wrong", "could not run")
    assert report["verdict"] == "right" or report["sentence"]
    json.dumps(report)
