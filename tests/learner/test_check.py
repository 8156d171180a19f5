"""The check accepts right programs in any form, and finds the line of a mistake by changing it."""

import textwrap
import time
from difflib import SequenceMatcher
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import settings
from programs import NAMES, exercise_of, planted, text_of

from compare.learner import examine
from compare.learner.exercises import ladder, likely_mistake, problems
from compare.learner.exercises.ladder import BY_NAME, EXERCISES, solution, source_of
from compare.learner.search import locate
from compare.learner.verdict import report

SOLUTIONS = sorted(name for name in NAMES if name.startswith("developed/solutions"))
NEEDS_TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="this solution uses torch")


def examined(folder, text, exercise=None):
    path = folder / f"file_{time.monotonic_ns()}.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return examine.examine(str(path), exercise)[0]


@pytest.mark.parametrize(
    "name", [pytest.param(name, id=name.split("/")[-1], marks=[NEEDS_TORCH] * ("torch" in name)) for name in SOLUTIONS]
)
def test_a_right_solution_is_accepted(tmp_path, name):
    """Ten per cell, each in a different style, by authors who had not seen the check."""
    assert examined(tmp_path, text_of(name), exercise_of(name)).verdict == "right"


def test_ten_solutions_for_each_cell():
    assert [sum(exercise_of(name) == cell for name in SOLUTIONS) for cell in ("rnn", "gru", "lstm")] == [10, 10, 10]


@pytest.mark.slow
def test_the_mistakes_of_the_catalogue_are_named_with_their_lines(tmp_path):
    chosen = [(exercise, mistake) for exercise in EXERCISES for mistake in likely_mistake.fitting(exercise)]
    hits = 0
    for exercise, mistake in chosen:
        text = solution(exercise, source_of(exercise).replace(mistake.right, mistake.wrong))
        found = examined(tmp_path, text, exercise.name)
        assert found.verdict == "wrong" and found.mistake == mistake.name, (exercise.name, mistake.name, found)
        hits += bool({finding.line for finding in found.findings} & changed_lines(solution(exercise), text))
    print(f"{hits} of {len(chosen)} lines")
    assert len(chosen) > 80 and hits >= 0.95 * len(chosen)


def changed_lines(right, wrong):
    """The lines of `wrong` that are not in `right`; around a gap, the lines next to it."""
    a, b = right.split("\n"), wrong.split("\n")
    lines = set()
    for tag, _, _, start, stop in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "delete":
            lines |= {start - 1, start, start + 1}  # the comment above, or the statement
        elif tag != "equal":
            lines |= set(range(start + 1, stop + 1))
    return lines


@pytest.mark.slow
def test_mistakes_in_other_styles(tmp_path):
    """Planted by authors who had not seen the check, in all kinds of programs; by default every twentieth of them.

    All must be found wrong. Where a change was found that makes everything right, its line must be the one that the
    author of the mistake points at, nine times out of ten: some mistakes can be fixed in more than one line.
    """
    chosen = planted("developed")[:: 1 if settings.default.max_examples > 1000 else 20]
    hits = fixed = fixed_hits = 0
    for mistake in chosen:
        path = tmp_path / "file.py"
        path.write_text(mistake.text, encoding="utf-8")
        reports = examine.examine(str(path), exercise_of(mistake.program))  # one per pair in the file
        found = next((one for one in reports if one.verdict == "wrong"), None)
        assert found, mistake
        hit = any(finding.line in mistake.lines for finding in found.findings)
        has_fix = bool(found.findings and found.findings[0].after)
        hits, fixed, fixed_hits = hits + hit, fixed + has_fix, fixed_hits + (hit and has_fix)
    print(f"the line: {hits} of {len(chosen)}; a fix: {fixed}, at that line: {fixed_hits}")
    assert hits >= 0.75 * len(chosen) and fixed >= 0.6 * len(chosen) and fixed_hits >= 0.85 * fixed


def test_the_right_answers_are_those_of_autograd():
    """The answers of the problems are the solutions'; here they are compared with torch's."""
    import torch

    from torch_impl import unrolled

    for name in ("rnn", "gru", "lstm"):
        case = problems.cases(name)[0]
        leaves = {key: torch.tensor(value, requires_grad=True) for key, value in case.inputs.items()}
        *outputs, _ = getattr(unrolled, name)(*leaves.values())
        loss = sum((out * torch.tensor(up)).sum() for out, up in zip(outputs, case.upstream, strict=True))
        grads = torch.autograd.grad(loss, list(leaves.values()))
        for key, grad in zip(leaves, grads, strict=True):
            np.testing.assert_allclose(case.expected[f"d{key}"], grad.numpy(), rtol=0, atol=1e-12)


# ---- one program, many mistakes ----

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


@pytest.fixture
def unsearched(monkeypatch):
    """The verdict alone: no search for the line, which takes most of the time."""
    monkeypatch.setattr(locate, "located", lambda *_: [])


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "right, wrong, kind, fix",
    [
        ("dW_hh += da.T @ h[t]\n", "dW_hh += da.T @ h[t + 1]\n", "The index in `h[t + 1]` is wrong.", "h[t]"),
        slow("dh = dh + dy[t]", "dh = dh - dy[t]", "The operator in `dh - dy[t]` is wrong.", "dh + dy[t]"),
        slow("dh = da @ W_hh", "dh = da @ W_hh.T", "`W_hh.T` is wrong here.", "dh = da @ W_hh"),
        slow("dh = dh + dy[t]", "dh = dy[t]", "This overwrites a value; it should add to it.", "dh = dh + dy[t]"),
        ("dh * (1 - h[t + 1] ** 2)", "dh", "", "1 - h[t + 1] ** 2"),
        slow("dh = dh + dy[t]", "dh = dh + dy.sum(axis=0)", "", "dh + dy[t]"),
        ("dW_ih += da", "dW_ih = da", "This overwrites a value; it should add to it.", "dW_ih += da.T @ x[t]"),
        slow("in reversed(range(T))", "in range(T)", "`range(T)` is wrong.", "in reversed(range(T))"),
        slow("db += da.sum(axis=0)\n", "db += da.sum(axis=0) / 2\n", "", "db += da.sum(axis=0)"),
    ],
)
def test_the_line_its_mistake_and_its_fix(tmp_path, right, wrong, kind, fix):
    found = rnn_with(tmp_path, (right, wrong))
    (finding,) = found.findings
    assert finding.text.strip() in wrong or wrong.strip() in finding.text, found
    assert finding.certain and kind in finding.kind and fix in finding.after, finding
    assert "  + " not in report.tail(found) and f"  + {finding.after}" in report.tail(found, fix=True)


def test_a_whole_wrong_expression_is_replaced(tmp_path):
    found = rnn_with(tmp_path, ("dx[t] = da @ W_ih", "dx[t] = np.cos(np.outer(x[t, :, 0], W_hh[0] @ W_ih))"))
    (finding,) = found.findings
    assert finding.certain and finding.after == "dx[t] = da @ W_ih"


RNN_CLASS = """
import numpy as np

class RNN:
    def __init__(self, W_ih, W_hh, b_ih, b_hh):
        self.params = {"W_ih": W_ih, "W_hh": W_hh, "b_ih": b_ih, "b_hh": b_hh}

    def forward(self, x, h_0):
        p, self.x, self.h = self.params, x, [h_0]
        for x_t in x:
            self.h.append(np.tanh(x_t @ p["W_ih"].T + p["b_ih"] + self.h[-1] @ p["W_hh"].T + p["b_hh"]))
        return np.stack(self.h[1:]), self.h[-1]

    def backward(self, dy, dh_n, trace=None):
        p, dh, dx = self.params, dh_n, np.zeros_like(self.x)
        self.grads = {name: np.zeros_like(value) for name, value in p.items()}
        for t in reversed(range(len(dx))):
            da = (dh + dy[t]) * (1 - self.h[t + 1] ** 2)
            dx[t], dh = da @ p["W_ih"], da @ p["W_hh"]
            self.grads["W_ih"] += da.T @ self.x[t]
            self.grads["W_hh"] += da.T @ self.h[t]
            self.grads["b_ih"] += da.sum(0)
            self.grads["b_hh"] += da.sum(0)
        return dx, dh
"""


def test_an_optional_argument_of_backward_is_no_cache(tmp_path, unsearched):
    """The last result is not taken for the cache: it is compared like the others."""
    assert examined(tmp_path, RNN_CLASS, "rnn").verdict == "right"
    wrong = examined(
        tmp_path, RNN_CLASS.replace("np.stack(self.h[1:]), self.h[-1]", "np.stack(self.h[1:]), self.h[0]"), "rnn"
    )
    assert wrong.verdict == "wrong" and "h_n" in wrong.sentence


@pytest.mark.parametrize(
    "first, second",
    [
        # each in an array of its own
        slow(("dW_hh += da.T @ h[t]\n", "dW_hh = da.T @ h[t]\n"), ("dx[t] = da @ W_ih", "dx[t] = -da @ W_ih")),
        # the first makes everything wrong, and its fix is no small change
        slow(("dh * (1 - h[t + 1] ** 2)", "np.cos(dh + h[t])"), ("dW_ih += da.T @ x[t]", "dW_ih = da.T @ x[t]")),
    ],
)
def test_two_mistakes_are_both_found(tmp_path, first, second):
    found = rnn_with(tmp_path, first, second)
    lines = {finding.text.strip() for finding in found.findings}
    assert all(any(wrong.strip() in line for line in lines) for _, wrong in (first, second)), lines
    assert all(finding.certain and finding.after for finding in found.findings)


def test_a_wrong_shape_is_found_with_its_line(tmp_path):
    found = rnn_with(tmp_path, ("db += da.sum(axis=0)", "db = db + da.sum(axis=0, keepdims=True)"))
    assert found.stages[-1][0] == report.SHAPES
    assert "it must be (3,); NumPy would silently broadcast it" in found.sentence
    assert "keepdims" in found.findings[0].text


def test_what_is_no_array_of_numbers_is_named(tmp_path, unsearched):
    assert "dx is None" in rnn_with(tmp_path, ("return dx, dh,", "return None, dh,")).sentence
    assert "dx has dtype bool" in rnn_with(tmp_path, ("return dx, dh,", "return dx > 0, dh,")).sentence


def test_changed_inputs_and_kept_results_are_found(tmp_path):
    found = rnn_with(tmp_path, ("dh = dh + dy[t]", "dh += dy[t]"))
    assert found.stages[-1][0] == report.CLEAN and "it writes into dh_n" in found.sentence
    assert found.findings[0].text.strip() in ("dh += dy[t]", "dh = dh_n")
    found = rnn_with(
        tmp_path,
        ("    def backward(dy, dh_n, cache):", "    total = {}\n\n    def backward(dy, dh_n, cache):"),
        ("dW_hh += da.T @ h[t]\n", "total['W'] = total.get('W', 0) + da.T @ h[t]\n"),
        ("return dx, dh, dW_ih, dW_hh,", "return dx, dh, dW_ih, total['W'],"),
    )
    assert "dW_hh" in found.sentence and found.verdict == "wrong"


def test_aliased_outputs_are_found_after_the_values(tmp_path, unsearched):
    found = rnn_with(tmp_path, ("db, db.copy()", "db, db"))
    assert found.verdict == "wrong" and (report.VALUES, "ok") in found.stages
    assert found.stages[-1][0] == report.SEPARATE and "are the same array in memory" in found.sentence


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("def backward(:", "not valid Python: invalid syntax"),
        ("", "there is no function `backward`"),
        ("import nowhere_to_be_found", "importing the file raised ModuleNotFoundError"),
        ("raise SystemExit(3)", "importing the file raised SystemExit: 3"),
        ("raise ValueError('no data')", "importing the file raised ValueError: no data"),
        ("def forward(a, b):\n    return a, b\ndef backward(dy):\n    return dy", "forward(a, b) has other arguments"),
        ("def forward(*a):\n    return 1\ndef backward(*a):\n    return 1", "forward returned one value"),
        ("def forward(*a):\n    return 1, 2\ndef backward(*a):\n    return 1", "backward returned 1 gradient; 6 are"),
        ("def forward(*a):\n    pass\ndef backward(*a):\n    return 1", "forward returned None; is the return"),
        ("def forward(*a):\n    return 1, 2\ndef backward(*a):\n    pass", "is the return statement missing"),
        ("def forward(*a):\n    return 1 / 0\ndef backward(*a):\n    return 1", "ZeroDivisionError"),
        ("class A:\n    def backward(self):\n        pass", "class A has a backward but no forward"),
    ],
)
def test_what_cannot_run_says_why(tmp_path, text, sentence):
    found = examined(tmp_path, text, "rnn")
    assert found.verdict == "could not run" and sentence in found.sentence, found


def test_the_shapes_of_a_failed_product_are_named(tmp_path):
    found = rnn_with(tmp_path, ("dW_ih += da.T @ x[t]", "dW_ih += da @ x[t]"))
    assert found.verdict == "could not run" and found.findings[0].text == "dW_ih += da @ x[t]"
    assert "in da (2, 3) @ x[t] (2, 4)" in found.sentence


# ---- exercises without a derivative ----


@pytest.mark.parametrize(
    "exercise, right, wrong",
    [
        ("adam", "if self.weight_decay:", "if False:"),
        ("clipping", "g *= scale", "g /= scale"),
        ("truncated", "epoch + 1, None", "epoch + 1, state"),
    ],
)
def test_a_mistake_in_an_exercise_of_calls_or_updates(tmp_path, exercise, right, wrong):
    text = solution(BY_NAME[exercise])
    assert text.count(right) == 1
    found = examined(tmp_path, text.replace(right, wrong), exercise)
    assert found.verdict == "wrong" and found.findings[0].certain and found.findings[0].after, found


LOOP = """
    from scratch.optimizers import clip_grad_norm
    from scratch.training import Record

    def fit(model, dataset, optimizer, steps, clip=None, state=None):
        step = epoch = 0
        while True:
            for batch in dataset.train_batches(epoch):
                if step == steps:
                    return
                loss = model.loss(batch, state)
                grads = model.backward()
                norm = float(clip_grad_norm(grads, float("inf") if clip is None else clip))
                optimizer.step(grads)
                state = model.state_n if dataset.carry_state else None
                step += 1
                yield Record(step, epoch, loss, norm)
            epoch, state = epoch + 1, None
"""


def test_a_loop_that_asks_for_one_batch_more_than_it_needs_is_right(tmp_path):
    assert examined(tmp_path, LOOP, "truncated").verdict == "right"


def test_the_state_to_begin_with_counts(tmp_path):
    text = LOOP.replace("step = epoch = 0", "step = epoch = 0\n        state = None")
    found = examined(tmp_path, text, "truncated")
    assert (
        found.verdict == "wrong"
        and "expected: model.loss(batch 0 of epoch 0, the state given to fit)" in found.sentence
    )


def test_a_weight_of_zero_may_hide_a_nan(tmp_path):
    """A right softmax whose rows that do not count have weight 0."""
    text = """
        import numpy as np

        def cross_entropy(logits, targets, valid=None):
            valid = np.ones(targets.shape, bool) if valid is None else valid
            weight = valid / valid.sum()
            z = logits - logits.max(axis=-1, keepdims=True)
            logp = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
            hot = np.eye(logits.shape[-1])[targets]
            return -(weight * (logp * hot).sum(axis=-1)).sum(), (np.exp(logp) - hot) * weight[..., None]
    """
    assert examined(tmp_path, text, "softmax").verdict == "right"


def test_a_mistake_in_the_projects_own_file_is_seen(tmp_path, monkeypatch):
    """Its exercise cannot judge it: the solution is cut from the same file."""
    source = ladder.source_of(ladder.BY_NAME["lstm"])
    path = tmp_path / "lstm.py"
    monkeypatch.setattr(ladder, "path_of", lambda exercise: path)
    right = "(1 - tanh_c**2)"
    assert source.count(right) == 1
    for text, verdict in ((source, "right"), (source.replace(right, "(1 - tanh_c)"), "wrong")):
        path.write_text(text, encoding="utf-8")
        (report,) = examine.examine(str(path), "lstm")
        assert report.verdict == verdict and examine.OWN in report.remarks
    assert [finding.line for finding in report.findings] == [source[: source.index(right)].count("\n") + 1]
