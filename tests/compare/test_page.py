"""`byhand page`: it has every line and the numbers of the arrays, and a browser shows what it should."""

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import scratch
from compare.__main__ import main
from compare.page import build, measurements
from torch_impl import unrolled

CELLS = measurements.CELLS


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    assert main(["page", "--out", str(folder)]) == 0
    return folder / "page.html"


@pytest.fixture(scope="module")
def html(path):
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def values(html):
    return json.loads(re.search(r'<script type="application/json" id="values">(.*?)</script>', html, re.S)[1])


def part(html, cell, side=None):
    """A cell's article, or everything in its "hand" or "torch" column."""
    article = re.search(rf'<article id="{cell}".*?</article>', html, re.S)[0]
    if side is None:
        return article
    end = {"hand": '<div class="middle"', "torch": '(?:<div class="values"|</div>\n)'}[side]
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
def test_no_line_is_missing_and_all_are_in_order(html, cell):
    module = scratch.module_of(cell)
    assert code_of(part(html, cell, "hand")) == own_lines(module.forward) + own_lines(module.backward)
    assert code_of(part(html, cell, "torch")) == own_lines(getattr(unrolled, cell))


@pytest.mark.parametrize("cell", CELLS)
def test_line_numbers_are_those_of_the_files(html, cell):
    for side, module in (("hand", scratch.module_of(cell)), ("torch", unrolled)):
        source = inspect.getsource(module).split("\n")
        pairs = re.findall(r'<span class="no">(\d+)</span><code>(.*?)</code>', part(html, cell, side))
        assert len(pairs) > 5
        for number, code in pairs:
            assert source[int(number) - 1].strip().startswith(unescape(code))


def test_equations_are_found_where_python_drops_docstrings():
    code = "import scratch.lstm; from compare.page import build; print(len(build.equations_of(scratch.lstm)))"
    root = Path(scratch.__file__).parents[1]
    done = subprocess.run([sys.executable, "-OO", "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout == "4\n", done.stderr


@pytest.mark.parametrize("cell", CELLS)
def test_every_equation_has_its_lines_on_both_sides(html, cell):
    equations = build.equations_of(scratch.module_of(cell))
    assert len(equations) == {"rnn": 2, "gru": 5, "lstm": 4, "mingru": 3}[cell]
    forward, backward = re.findall(r"<section>.*?</section>", part(html, cell), re.S)
    for equation in equations:
        mark = rf'data-eq="[^"]*\b{equation}\b[^"]*"'
        assert len(re.findall(rf'<div class="middle" {mark}', forward)) == 1
        assert re.search(rf'<div class="hand">(?:(?!class="middle").)*{mark}', forward, re.S)
        assert re.search(rf'<div class="torch">(?:(?!class="row").)*{mark}[^\n]*# \({equation}\)', forward, re.S)
        assert re.search(rf'<div class="hand">(?:(?!class="middle").)*{mark}', backward, re.S)
        assert re.search(rf'class="group operations" {mark}.*?Backward0', backward, re.S)


@pytest.mark.parametrize("cell", CELLS)
def test_every_derivative_and_number_has_one_line(html, values, cell):
    """A line that is changed must not lose its derivative and its numbers."""
    module = scratch.module_of(cell)
    for function, table in ((module.forward, build.FORWARD[cell]), (module.backward, build.BACKWARD[cell])):
        assigned = [target for group in build.body(function) for target in build.targets_of(group)]
        for target in table:
            assert assigned.count(target) == 1, target
    places = re.findall(r'class="value[^"]*" data-name="(\w+)"', part(html, cell))
    numbers = values["cells"][cell]
    for name in places:
        assert name in numbers["forward"] or name in numbers["backward"]["each"]
    assert set(numbers["backward"]["each"]) - set(places) <= {"du_r", "du_z"}, "which are dv_r and dv_z"


@pytest.mark.parametrize("reads", measurements.LOSSES)
@pytest.mark.parametrize("cell", CELLS)
def test_the_numbers_are_those_of_scratch_and_torch(values, cell, reads):
    """The JSON keeps every bit; terms add up to their sums; what one step sends is what the step before receives."""
    _, x, targets = measurements.window()
    both = measurements.model_pair.build(
        dict(cell=cell, output_size=1, hidden_size=measurements.H, input_size=1), "float64"
    )
    valid = np.ones((measurements.T, 1), bool)
    if reads == "last":
        valid[:-1] = False
    found = values["cells"][cell]
    for by, (forward, backward, *_) in {
        "hand": measurements.by_hand(cell, both.scratch, x, targets, valid),
        "torch": measurements.by_torch(cell, both.torch, x, targets, valid),
    }.items():
        for name, number in found["forward"].items():
            if number[by] is not None:
                np.testing.assert_array_equal(number[by], forward[name])
        arrays = {name: np.array(number[by]) for name, number in found["backward"][reads].items()}
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, backward[name])
        if by == "hand":
            np.testing.assert_array_equal(found["size"][reads], np.linalg.norm(arrays["dh"], axis=1))
        # by hand they are the numbers that the loop added; a scan adds them in another order
        rounding = 1e-15 if by == "torch" or cell == "mingru" else 0
        np.testing.assert_allclose(arrays["dy"] + arrays["dh_later"], arrays["dh"], rtol=0, atol=rounding)
        if cell == "lstm":
            np.testing.assert_allclose(arrays["dc_own"] + arrays["dc_later"], arrays["dc"], rtol=0, atol=rounding)
        np.testing.assert_array_equal(arrays["dh_later"][:-1], arrays["dh_sent"][1:])
        assert not arrays["dh_later"][-1].any()
        assert (arrays["dy"][:-1].any(axis=1) == (reads == "each")).all()


def python_of(derivative):
    """A derivative of build.BACKWARD as Python code, with _before and _later for t-1 and t+1."""
    code = re.sub(r"∂(\w+)/∂(\w+)", r"slope_\1_\2", derivative).replace("_{t-1}", "_before").replace("_{t+1}", "_later")
    code = re.sub(r"tanh\(c_t\)", "tanh_c_t", code).replace("^2", "**2")
    return re.sub(r"(W_\w+)\^T ", r"\1.T @ ", code)


@pytest.mark.parametrize("cell", CELLS)
def test_derivatives_are_true(values, cell):
    """The derivatives shown for the loop, and the local ones before it, computed as written from torch's numbers."""
    t, found = 3, values["cells"][cell]
    names = {}
    for suffix, at in (("_before", t - 1), ("_t", t), ("_later", t + 1)):
        numbers = {n: np.array(v["torch"][at]) for n, v in (found["forward"] | found["backward"]["each"]).items()}
        for whole, parts in measurements.BLOCKS[cell].items():
            numbers[f"d{whole}"] = np.concatenate([numbers[f"d{part}"] for part in parts])
        names |= {name + suffix: value for name, value in numbers.items()}
        names |= {name: value for name, value in numbers.items() if suffix == "_t" and "_" in name}
    model = measurements.model_pair.build(
        dict(cell=cell, output_size=1, hidden_size=measurements.H, input_size=1), "float64"
    ).scratch
    names["W_hh"] = model.recurrent.params.get("weight_hh_l0")
    checked = 0
    for target, (text, _) in build.BACKWARD[cell].items():
        if "Σ" in text or target == "du":
            continue
        text, _, each = text.partition("   for k = ")
        for k in each.split(", ") if each else [""]:
            left, right = re.split(r" = |:  ", re.sub(r"_k\b", f"_{k}", text))
            result = eval(python_of(right), {}, names)
            if left.startswith("∂"):
                names[python_of(left)] = result
                continue
            to = {"to h_{t-1}": "dh_sent", "to c_{t-1}": "dc_sent"}.get(left, left)
            np.testing.assert_allclose(result, names[to], rtol=0, atol=1e-15, err_msg=text)
            checked += 1
    assert checked == {"rnn": 3, "gru": 6, "lstm": 8, "mingru": 4}[cell]


def test_it_is_one_file_and_small(html):
    assert not re.search(r"https?:|//\w+\.\w|\bsrc=|\bhref=|@import|url\(", html)
    assert not re.search(r"\{\{\w+\}\}", html)
    assert len(html.encode()) < 300_000


def test_one_line_is_printed(tmp_path, capsys):
    assert main(["page", "--out", str(tmp_path / "a" / "b")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"scratch and torch line by line, with the numbers of every step: {tmp_path / 'a' / 'b' / 'page.html'}"
    ]
    assert [file.name for file in (tmp_path / "a" / "b").iterdir()] == ["page.html"]


def test_a_file_in_place_of_the_folder_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["page", "--out", str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write into ")
    assert said.count("\n") == 1


def test_a_difference_is_reported(tmp_path, monkeypatch, capsys):
    right = measurements.by_hand

    def wrong(cell, *arguments):
        forward, backward = right(cell, *arguments)
        if cell == "gru":
            backward["dv_z"][3, 1] += 1e-9
        return forward, backward

    monkeypatch.setattr(measurements, "by_hand", wrong)
    assert main(["page", "--out", str(tmp_path)]) == 1
    assert "scratch and torch differ in gru dv_z, gru dv_z;" in capsys.readouterr().out


# In a real browser

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
# in CI a missing browser is a failure
in_a_browser = pytest.mark.skipif(
    BROWSER is None and "CI" not in os.environ, reason="no Chromium or Chrome on the PATH"
)


def shown(folder, address, *options):
    """The document at an address after its scripts have run."""
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--allow-file-access-from-files",  # the driver's page reads the page in its frame
        f"--user-data-dir={folder / 'profile'}",
        "--hide-scrollbars",
        "--virtual-time-budget=5000",
        *options,
        "--dump-dom",
        address,
    ]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=60, check=True).stdout


def digits(value):
    """A number as the page shows it."""
    text = "0" if value == 0 else f"{value:.1e}" if abs(value) < 0.001 else f"{value:.4f}"
    return re.sub(r"e-0?", "e-", text).replace("-", "\N{MINUS SIGN}")


def strips(document, cell, name):
    """What the two strips of a value show."""
    place = re.search(rf'<div class="value[^"]*" data-name="{name}".*?</div></div>', part(document, cell), re.S)[0]
    return [re.findall(r"<li[^>]*>([^<]*)</li>", strip) for strip in re.findall(r"<ol.*?</ol>", place, re.S)]


@in_a_browser
def test_the_view_is_stored_in_the_url(path, tmp_path, values):
    document = shown(tmp_path, f"{path.as_uri()}#cell=lstm&t=3&loss=last&eq=L3")
    assert "data-error" not in document
    hidden = {cell: " hidden" in re.search(rf'<article id="{cell}"[^>]*>', document)[0] for cell in CELLS}
    assert hidden == {cell: cell != "lstm" for cell in CELLS}
    numbers = values["cells"]["lstm"]
    for name, number in {**numbers["forward"], **numbers["backward"]["last"]}.items():
        ours = [""] * measurements.H if number["hand"] is None else [digits(v) for v in number["hand"][3]]
        assert strips(document, "lstm", name) == [ours, [digits(v) for v in number["torch"][3]]]
    for classes, equations in re.findall(r'<div class="([^"]*)" data-eq="([^"]*)"', part(document, "lstm")):
        assert ("lit" in classes.split()) == ("L3" in equations.split())
    assert "c_t has two readers too" in re.search(r'<aside id="tray".*?</aside>', document, re.S)[0]


@in_a_browser
@pytest.mark.parametrize("said", ["&eq=L3", "&eq=Z9", "&eq=", ""])
def test_the_equation_of_another_cell_opens_no_tray(said, path, tmp_path):
    document = shown(tmp_path, f"{path.as_uri()}#cell=gru&t=3{said}")
    assert "data-error" not in document and " hidden" in re.search(r'<aside id="tray"[^>]*>', document)[0]


@in_a_browser
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_slider_keys_hover_and_focus(path, tmp_path, values, width, scheme):
    driver = (Path(__file__).parent / "drive_page.html").read_text(encoding="utf-8")
    (path.parent / "drive.html").write_text(driver.replace("WIDTH", str(width)), encoding="utf-8")
    colours = f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"
    document = shown(tmp_path, (path.parent / "drive.html").as_uri(), colours)
    report = json.loads(unescape(re.search(r'<pre id="report">(.*?)</pre>', document, re.S)[1]))
    assert "failed" not in report, report["failed"]
    assert report["error"] is None
    h = values["cells"]["rnn"]["forward"]["h"]["hand"]
    assert report["begin"] == [digits(h[0][0]), digits(h[6][0])]
    assert report["left"] == "#cell=rnn&t=5&loss=each"
    assert report["end"] == "#cell=rnn&t=0&loss=each"
    assert report["node"] == "#cell=rnn&t=2&loss=each"
    assert set(report["hovered"]) == {"R2"}
    assert len(report["hovered"]) >= 6, "forward, equation, torch, and the lines of backward"
    assert report["left_alone"] == []
    assert set(report["focused"]) == {"R1"}
    assert report["pinned"] == ["#cell=rnn&t=2&loss=each&eq=R1", "true", False]
    assert report["covered"] == [], "what has the focus must be visible"
    assert report["escaped"] == ["#cell=rnn&t=2&loss=each", True]
    assert report["reach"]
    assert set(report["widths"].values()) == {0}, report["widths"]
    assert report["contrast"] == []
