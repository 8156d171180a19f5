"""`byhand page`: it has every line and the numbers of the arrays, and knows what each mistake makes wrong."""

import ast
import inspect
import re
import webbrowser
from functools import cache
from html import escape, unescape

import numpy as np
import pytest
from helpers import CHECKED

import scratch
from compare.__main__ import main
from compare.mistakes.catalogue import BY_NAME
from compare.mistakes.detectors import WEAK
from compare.mistakes.plant import planted, planted_source
from compare.mistakes.table import seen_by
from compare.page import build, measurements, planting
from compare.page.cells import LOSS, SHOWN
from compare.page.equations import typeset
from compare.page.execution import execute
from compare.page.measurements import LOSSES, H, T
from compare.page.source import blocks_of, body, equations_of, source_of, targets_of
from scratch import layers, losses
from scratch.activations import gate_blocks
from torch_impl import unrolled

CELLS = measurements.CELLS
planted = cache(planted)  # three tests need each
IN_CELLS = [(cell, mistake) for cell in CELLS for mistake in planting.mistakes_in(cell)]


def part(html, cell, side=None, section=""):
    """A cell's article or one of its sections, or everything in its "hand" or "torch" column."""
    article = re.search(rf'<article id="{cell}".*?</article>', html, re.S)[0]
    if section:
        article = re.search(rf'<section class="{section}">.*?</section>', article, re.S)[0]
    if side is None:
        return article
    end = {"hand": '<div class="torch">', "torch": '(?:<div class="values"|</div>\n)'}[side]
    return "\n".join(re.findall(rf'<div class="{side}">(.*?){end}', article, re.S))


def code_of(text):
    return [unescape(code) for code in re.findall(r'<span class="no">\d+</span><code>(.*?)</code>', text)]


def own_lines(function):
    """The lines of a function below its docstring, without comments, as Python's parser finds them."""
    found = inspect.getsource(function).split("\n")
    docstring = ast.parse("\n".join(found)).body[0].body[0]
    found = [line.split("  #")[0].strip() for line in found[docstring.end_lineno :]]
    return [line for line in found if line and not line.startswith("#")]


@pytest.mark.parametrize("cell", CELLS)
def test_no_line_is_missing_and_all_have_the_numbers_of_the_files(page_html, cell):
    module = scratch.module_of(cell)
    for side, section, function in (
        ("hand", "forward", module.forward),
        ("hand", "backward", module.backward),
        ("torch", "forward", getattr(unrolled, cell)),
    ):
        text = part(page_html, cell, side, section)
        assert code_of(text) == own_lines(function)
        source = inspect.getsource(inspect.getmodule(function)).split("\n")
        for number, code in re.findall(r'<span class="no">(\d+)</span><code>(.*?)</code>', text):
            assert source[int(number) - 1].strip().startswith(unescape(code))


def test_equations_are_found_where_python_drops_docstrings(monkeypatch):
    """As `python -OO` does."""
    found, blocks = equations_of(scratch.lstm), blocks_of("lstm")
    for each in (scratch.lstm, scratch.lstm.forward, scratch.lstm.backward, scratch.LSTM):
        monkeypatch.setattr(each, "__doc__", None)
    assert (equations_of(scratch.lstm), blocks_of("lstm")) == (found, blocks)
    assert len(found) == 4


@pytest.mark.parametrize("cell", CELLS)
def test_every_equation_has_its_lines_on_both_sides(page_html, cell):
    found = equations_of(scratch.module_of(cell))
    assert len(found) >= 2
    forward, backward = (part(page_html, cell, section=section) for section in ("forward", "backward"))
    for equation in found:
        mark = rf'data-eq="[^"]*\b{equation}\b[^"]*"'
        assert len(re.findall(rf'<div class="above" {mark}', forward)) == 1
        assert re.search(rf'<div class="hand">(?:(?!class="torch").)*{mark}', forward, re.S)
        assert re.search(rf'<div class="torch">(?:(?!class="row").)*{mark}[^\n]*# \({equation}\)', forward, re.S)
        assert re.search(rf'<div class="hand">(?:(?!class="torch").)*{mark}', backward, re.S)
        assert re.search(rf'class="group operations" {mark}.*?Backward0', backward, re.S)


@pytest.mark.parametrize("cell", CELLS)
def test_every_line_of_the_loss_is_shown_with_its_number(page_html, cell):
    shown = part(page_html, cell, "hand", "loss")
    for function, code in LOSS:
        owner, _, method = function.partition(".")
        of = getattr(getattr(layers, owner), method) if method else getattr(losses, owner)
        (line,) = (line for line in code_of(shown) if line.startswith(code) and line in inspect.getsource(of))
        number = inspect.getsource(inspect.getmodule(of)).split(line)[0].count("\n") + 1
        assert f'<span class="no">{number}</span><code>{escape(line)}' in shown
    assert code_of(part(page_html, cell, "torch", "loss")) == [
        "return self.linear(self._drop(y, keep_out)), state_n",
        "return mse_loss(prediction, targets)",
    ]


@pytest.mark.parametrize("cell", CELLS)
def test_every_derivative_and_number_has_one_line(page_html, page_values, cell):
    """A line that is changed must not lose its derivative and its numbers."""
    module = scratch.module_of(cell)
    for function, table in ((module.forward, SHOWN[cell].forward), (module.backward, SHOWN[cell].backward)):
        assigned = [target for group in body(function) for target in targets_of(group)]
        for target in table:
            assert assigned.count(target) == (2 if target == "carried" else 1), target  # once more before the loop
    places = re.findall(r'data-name="(\w+)"', part(page_html, cell))
    for reads in LOSSES:
        found = page_values["cells"][cell]["numbers"] | page_values["cells"][cell][reads]
        assert set(places) == found.keys()
        for name, number in found.items():
            rows = len(number["hand"]) if measurements.is_whole(name) and name != measurements.summed(cell) else 1
            as_term = any(f"+{name}" in names for _, names in SHOWN[cell].backward.values())
            assert places.count(name) == (2 if name == "dy" and as_term else rows), name  # it is in the loss, too


@pytest.mark.parametrize("reads", LOSSES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_numbers_are_those_of_scratch_and_torch(page_values, cell, reads):
    """The JSON keeps every bit; terms add up to their sums; what one step sends is what the step before receives."""
    window, pair = measurements.window(), measurements.build(cell)
    hand = measurements.by_hand(cell, pair.scratch, window, reads)
    torch = measurements.by_torch(cell, pair.torch, window, reads)
    found = page_values["cells"][cell]["numbers"] | page_values["cells"][cell][reads]
    assert found.keys() == hand.steps.keys() | hand.whole.keys()
    for name, ours in {**hand.steps, **hand.whole}.items():
        np.testing.assert_array_equal(found[name]["hand"], ours)
        theirs = {**torch.steps, **torch.whole}.get(name)
        if theirs is None:
            assert found[name]["difference"] is None
            assert name in ("target", "m", "h_before", "c_before") or re.fullmatch(r"d[a-z]_d[a-z](_[a-z])?", name)
        else:
            np.testing.assert_array_equal(np.add(found[name]["hand"], found[name]["difference"]), theirs)
    for steps, rounding in ((hand.steps, 0), (torch.steps, 1e-15)):  # by hand they are the numbers that the loop added
        if "dh_later" not in steps:  # no line adds the terms
            continue
        np.testing.assert_allclose(steps["dy"] + steps["dh_later"], steps["dh"], rtol=0, atol=rounding)
        if cell == "lstm":
            np.testing.assert_allclose(steps["dc_own"] + steps["dc_later"], steps["dc"], rtol=0, atol=rounding)
            np.testing.assert_array_equal(steps["dc_later"][:-1], steps["dc_sent"][1:])
        np.testing.assert_array_equal(steps["dh_later"][:-1], steps["dh_sent"][1:])
        assert not steps["dh_later"][-1].any()
        assert (steps["dy"][:-1].any(axis=1) == (reads == "each")).all()


@pytest.mark.parametrize("reads", LOSSES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_recorded_numbers_are_those_of_a_plain_call(cell, reads):
    """Recording changes nothing; and the shares add up: dh by the loss it came from, dW_hh by its steps."""
    window, pair = measurements.window(), measurements.build(cell)
    model, hand = pair.scratch, measurements.by_hand(cell, pair.scratch, window, reads)
    y, _ = model.recurrent.forward(window.x)
    loss, dyhat = losses.mse(model.linear.forward(y), window.targets, measurements.read_by(reads))
    traces = []
    dx, dstate = model.recurrent.backward(model.linear.backward(dyhat), trace=traces)
    dstate = dstate if isinstance(dstate, tuple) else (dstate,)
    assert hand.loss == loss
    np.testing.assert_array_equal(hand.steps["h"], y[:, 0])
    np.testing.assert_array_equal(hand.steps["dx"], dx[:, 0])
    np.testing.assert_array_equal(hand.steps["dh"], traces[0]["dh"][:, 0])
    for name, d in zip("hc", dstate, strict=False):
        np.testing.assert_array_equal(hand.whole[f"d{name}_0"], d[0])
    for name in measurements.weights_of(model).keys() & measurements.WEIGHTS:
        long = measurements.WEIGHTS[name]
        np.testing.assert_array_equal(hand.whole[f"d{name}"], model.recurrent.grads[long].reshape(-1, H))
    np.testing.assert_allclose(hand.split.sum(axis=0), hand.steps["dh"], rtol=0, atol=1e-15)
    np.testing.assert_allclose(hand.sums.sum(axis=0), hand.whole[measurements.summed(cell)], rtol=0, atol=1e-15)
    for s in range(T):
        assert not hand.split[s, s + 1 :].any(), "the loss at step s does not reach a later step"


# The notation of the equations. (What they give: test_page_browser.py, where the page computes with them.)


def test_an_equation_is_typeset():
    assert typeset("W_hh^T da_{t+1}") == (
        '<var>W</var><span class="both"><sup>T</sup><sub>hh</sub></span>\N{NO-BREAK SPACE}d<var>a</var><sub>t+1</sub>'
    )
    assert typeset("f_t * c_{t-1}") == "<var>f</var><sub>t</sub> ⊙ <var>c</var><sub>t\N{MINUS SIGN}1</sub>"


# Planted mistakes


def plain_gradients(package, cell, window, reads):
    """The gradients of the page's model by a plain call of the package's cell, by the names of the page."""
    model, module = measurements.build(cell).scratch, package.module_of(cell)
    weights = {n: w.copy() for n, w in measurements.weights_of(model).items() if n in measurements.WEIGHTS}
    states = [np.zeros((1, H)) for _ in range(model.recurrent.states)]
    y, *_, cache = module.forward(window.x, *states, *weights.values())
    _, dyhat = losses.mse(model.linear.forward(y), window.targets, measurements.read_by(reads))
    trace = {}
    dx, *rest = module.backward(model.linear.backward(dyhat), *(np.zeros((1, H)) for _ in states), cache, trace)
    found = {"dx": dx[:, 0]}
    for name, value in trace.items():
        parts = blocks_of(cell).get(name[1:])
        if parts:
            blocks = np.moveaxis(gate_blocks(value, len(parts))[:, :, 0], 1, 0)
            found |= {f"d{p}": block for p, block in zip(parts, blocks, strict=True)}
        else:
            found[name] = value[:, 0]
    names = [*(f"d{s}_0" for s in "hc"[: len(states)]), *(f"d{name}" for name in weights)]
    return found | {name: np.reshape(d, (-1, H)) for name, d in zip(names, rest, strict=True)}


@pytest.mark.parametrize("reads", LOSSES)
@pytest.mark.parametrize(("cell", "mistake"), IN_CELLS, ids=[m.name for _, m in IN_CELLS])
def test_the_numbers_marked_wrong_are_those_that_differ(page_values, cell, mistake, reads):
    window = measurements.window()
    marked = page_values["cells"][cell]["mistakes"][mistake.name][reads]["wrong"]
    right = plain_gradients(scratch, cell, window, reads)
    wrong = plain_gradients(planted(mistake), cell, window, reads)
    shown = page_values["cells"][cell]["numbers"] | page_values["cells"][cell][reads]
    checked = [name for name in right if name in shown]
    assert {"dh", "dx", "dh_0", "dW_ih"} <= set(checked)
    for name in checked:
        differs = np.abs(wrong[name] - right[name]) > 1e-12 * max(1, np.abs(right[name]).max())
        found = np.zeros_like(differs)
        for row, numbers in marked.get(name, {}).items():
            found[int(row)] = [number is not None for number in numbers]
            for k, number in enumerate(numbers):
                if number is not None:
                    assert abs(number - wrong[name][int(row), k]) <= max(5.1e-5, 0.051 * abs(number)), (name, row, k)
        np.testing.assert_array_equal(found, differs, err_msg=name)


@pytest.mark.parametrize(("cell", "mistake"), IN_CELLS, ids=[m.name for _, m in IN_CELLS])
def test_the_first_wrong_number_is_the_first_in_the_order_of_execution(page_values, cell, mistake):
    """Both runs, line by line: where do they differ for the first time?"""
    found = page_values["cells"][cell]
    window, model = measurements.window(), measurements.build(cell).scratch
    package = planted(mistake)
    runs = []
    for module, source in (
        (scratch.module_of(cell), source_of(cell)),
        (package.module_of(cell), planted_source(mistake)),
    ):
        weights = [w.copy() for n, w in measurements.weights_of(model).items() if n in measurements.WEIGHTS]
        y, *_, cache = module.forward(window.x, *(np.zeros((1, H)) for _ in range(model.recurrent.states)), *weights)
        _, dyhat = losses.mse(model.linear.forward(y), window.targets)
        upstream = [model.linear.backward(dyhat), *(np.zeros((1, H)) for _ in range(model.recurrent.states))]
        runs.append({(a.target, a.t): a for a in execute(module, source, "backward", *upstream, cache).assignments})
    first = found["mistakes"][mistake.name]["each"]["first"]
    shown = [key for key in runs[0] if SHOWN[cell].backward.get(key[0], ("", []))[1] and key != ("carried", None)]
    differ = [key for key in shown if differs(runs[0][key], runs[1].get(key))]
    if first is None:
        assert not [key for key in differ if key in runs[1]]  # np.multiply(..., out=x) assigns no x
    else:
        line, t, _ = found["executed"][first]
        assert (runs[0][differ[0]].line, differ[0][1]) == (line, t)


def differs(right, wrong):
    """Has a line another result, or a sum another term? A term that is left out counts as 0."""
    if wrong is None:
        return True
    pairs = list(zip(flat(right.value), flat(wrong.value), strict=True))
    if len(right.terms) > 1:
        terms = [*wrong.terms.values()] + [np.zeros((1, H))] * (len(right.terms) - len(wrong.terms))
        pairs += zip(right.terms.values(), terms, strict=True)
    return any(np.abs(np.subtract(a, b)).max() > 1e-12 for a, b in pairs)


def flat(value):
    return [np.ravel(v) for v in (value if isinstance(value, tuple) else [value])]


def test_what_a_mistake_does_apart_from_its_numbers_is_said(page_values):
    def notes(cell, name):
        return " ".join(page_values["cells"][cell]["mistakes"][name]["notes"])

    overwritten = notes("rnn", "upstream_overwritten")
    assert "writes into the array dy" in overwritten
    assert "No number on this page is wrong" in overwritten  # the line reads dy before it writes into it
    assert "writes into the array b_ih" in notes("lstm", "parameter_changed_in_forward")
    assert "writes into the array dc_n" in notes("lstm", "dc_n_overwritten")
    assert "db_ih and db_hh are one array in memory" in notes("lstm", "one_array_for_two_biases")
    assert "db_hh has the shape (1, 16)" in notes("lstm", "bias_as_a_row")
    assert "shows with more than one row" in notes("rnn", "mean_over_the_batch")
    assert "shows with a first state other than zero" in notes("rnn", "first_state_left_out")
    assert "shows with gradients larger than 5" in notes("rnn", "clipped_inside_backward")
    assert "shows with relu" in notes("rnn", "relu_slope_at_zero")
    assert "With one step" in notes("lstm", "dc_replaced")
    assert "only dW_hh is wrong" in notes("lstm", "h_after_for_h_before")
    assert notes("lstm", "slope_from_c") == ""


@pytest.mark.parametrize(("cell", "mistake"), IN_CELLS, ids=[m.name for _, m in IN_CELLS])
def test_the_diff_turns_the_right_file_into_the_wrong_one(page_values, cell, mistake):
    source = source_of(cell).splitlines()
    for first, last, new in reversed(page_values["cells"][cell]["mistakes"][mistake.name]["diff"]):
        source[first - 1 : last] = [f"    {line}" for line in new]
    assert "\n".join(source) + "\n" == planted_source(mistake)


def test_the_checks_are_those_of_the_table(page_values):
    assert page_values["checks"] == list(WEAK)
    for name in CHECKED:
        assert page_values["cells"]["lstm"]["mistakes"][name]["checks"] == seen_by(BY_NAME[name])


# The command


def test_it_is_one_file_and_small(page_html):
    assert not re.search(r"https?:|//\w+\.\w|\bsrc=|\bhref=|@import|url\(", page_html)
    assert not re.search(r"\{\{\w+\}\}", page_html)
    assert len(page_html.encode()) < 1_000_000


@pytest.fixture
def no_mistakes(monkeypatch):
    """Build the page without planting any: much faster."""
    monkeypatch.setattr(build, "mistakes_in", lambda cell: [])


def test_one_line_is_printed_and_open_opens_the_page(tmp_path, no_mistakes, monkeypatch, capsys):
    opened, page = [], tmp_path / "a" / "b" / "page.html"
    monkeypatch.setattr(webbrowser, "open", opened.append)
    for option, shown in (([], []), (["--open"], [page.resolve().as_uri()])):
        assert main(["page", "--out", str(page.parent), *option]) == 0
        said = capsys.readouterr().out
        assert said == f"scratch and torch line by line, with the numbers of every step: {page}\n"
        assert list(page.parent.iterdir()) == [page]
        assert opened == shown


def test_a_file_in_place_of_the_folder_is_refused(folder, refused):
    (folder / "file").write_text("")
    assert "cannot write into file" in refused(["page", "--out", "file"])


def test_a_difference_is_reported(tmp_path, no_mistakes, monkeypatch, capsys):
    right = measurements.by_hand

    def wrong(cell, *arguments):
        found = right(cell, *arguments)
        if cell == "gru":
            found.steps["dv_z"][3, 1] += 1e-9
        return found

    monkeypatch.setattr(measurements, "by_hand", wrong)
    assert main(["page", "--out", str(tmp_path)]) == 1
    assert "scratch and torch differ in gru dv_z, gru dv_z;" in capsys.readouterr().out
