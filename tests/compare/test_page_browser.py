"""The page in a real browser, driven as a reader would: what it shows, computes, marks and stores in the URL."""

import json
import os
import re
from itertools import product
from pathlib import Path

import browser as chromium
import numpy as np
import pytest

import scratch
from compare.page import measurements, planting
from compare.page.cells import SHOWN
from compare.page.measurements import LOSSES, H, T

# in CI a missing browser is a failure
pytestmark = pytest.mark.skipif(chromium.PROGRAM is None and "CI" not in os.environ, reason="no Chromium on the PATH")
CELLS = measurements.CELLS


@pytest.fixture(scope="module")
def browser(tmp_path_factory, page_path):
    """A browser with the page, which is loaded once: that takes longer than most of the tests."""
    with chromium.Browser(tmp_path_factory.mktemp("browser") / "profile") as browser:
        browser.open(page_path.as_uri())
        yield browser


@pytest.fixture
def open_page(browser):
    """Show the page from its top, as a fragment of its URL says; at the end of the test no script may have failed."""

    def opened(fragment="", width=1280, height=844):
        browser.resize(width, height)
        browser.media()
        browser.run("document.activeElement.blur(), scrollTo(0, 0)")
        browser.go(fragment)
        return browser

    yield opened
    assert browser.problems() == []
    assert browser.run("document.documentElement.dataset.error") is None


def numbers(browser, cell, name, side="hand", row=None):
    """The texts of a strip on the page."""
    place = f'#{cell} .value[data-name="{name}"]' + ("" if row is None else f'[data-row="{row}"]')
    return browser.run(
        f"[...document.querySelector('{place}').querySelectorAll('[data-side={side}] li')]"
        ".map((li) => (li.firstElementChild ?? li).firstChild?.data ?? '')"
    )


def fragment(browser):
    return browser.run("location.hash")


def texts(browser, selector):
    return browser.run(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.textContent)")


def digits(value):
    """A number as the page shows it."""
    size = abs(value)
    text = "0" if size == 0 else f"{value:.1e}" if size < 0.001 else f"{value:.4f}" if size < 100 else f"{value:.1f}"
    return re.sub(r"e([+-])0?", r"e\1", text).replace("-", "\N{MINUS SIGN}")


def expected(values, cell, reads, name, side="hand"):
    number = (values["cells"][cell]["numbers"] | values["cells"][cell][reads])[name]
    if side == "hand":
        return number["hand"]
    return None if number["difference"] is None else np.add(number["hand"], number["difference"]).tolist()


# What is chosen, and the URL


def test_the_view_is_stored_in_the_url(open_page, page_values):
    browser = open_page("#cell=lstm&t=3&loss=last&eq=L3")
    assert browser.run("[...document.querySelectorAll('article')].filter((a) => !a.hidden).map((a) => a.id)") == [
        "lstm"
    ]
    for name in page_values["cells"]["lstm"]["numbers"] | page_values["cells"]["lstm"]["last"]:
        if name == "dW_hh":  # a running sum
            continue
        whole = measurements.is_whole(name)
        for row in range(len(expected(page_values, "lstm", "last", name))) if whole else [None]:
            for side in ("hand", "torch"):
                rows = expected(page_values, "lstm", "last", name, side)
                shown = numbers(browser, "lstm", name, side, row)
                assert shown == ([""] * len(shown) if rows is None else [digits(v) for v in rows[row if whole else 3]])
    for classes, eq in browser.run(
        "[...document.querySelectorAll('#lstm [data-eq]')].map((e) => [e.className, e.dataset.eq])"
    ):
        assert ("lit" in classes.split()) == ("L3" in eq.split())
    assert "has two readers too" in browser.run("document.getElementById('tray').textContent")


def test_everything_chosen_comes_back_from_the_url(open_page):
    for chosen in (
        "#cell=gru&t=2&loss=each&mistake=direct_path_missing&ask=dh.1&split=1",
        "#cell=lstm&t=0&loss=last&preset=gate%20f%20open&entry=W_hh.5.2&to=0.5&line=12",
        "#cell=rnn&t=7&loss=each&eq=R2&entry=x.3&to=-1.5",
    ):
        browser = open_page(chosen)
        state = browser.run("JSON.stringify(state)")
        browser.run("change({})")
        assert sorted(fragment(browser)[1:].split("&")) == sorted(chosen[1:].split("&"))
        browser.open(browser.run("location.href"))
        assert browser.run("JSON.stringify(state)") == state


def test_what_the_cell_does_not_have_is_ignored(open_page):
    browser = open_page()
    for said in ("&eq=L3", "&eq=Z9", "&eq=", "", "&mistake=no", "&ask=dh.9", "&ask=no.0", "&line=999"):
        browser.go(f"#cell=gru&t=3{said}&preset=no&entry=W_hh.99.1&to=1")
        assert browser.run("document.getElementById('tray').hidden"), said
        browser.run("change({})")
        assert fragment(browser) == "#cell=gru&t=3&loss=each"


def test_slider_keys_and_nodes_choose_the_step(open_page, page_values):
    browser = open_page("#cell=rnn&t=0&loss=each")
    h = expected(page_values, "rnn", "each", "h")
    assert numbers(browser, "rnn", "h") == [digits(v) for v in h[0]]
    browser.run("document.getElementById('t').focus()")
    browser.press("ArrowRight", 6)
    assert numbers(browser, "rnn", "h") == [digits(v) for v in h[6]]
    browser.run("document.activeElement.blur()")
    browser.press("ArrowLeft")
    assert fragment(browser) == "#cell=rnn&t=5&loss=each"
    browser.press("ArrowLeft", 9)
    assert fragment(browser) == "#cell=rnn&t=0&loss=each"
    browser.click("#chain .step[data-t='2'] .hit")
    assert fragment(browser) == "#cell=rnn&t=2&loss=each"
    browser.click("#losses label:last-of-type span")
    assert fragment(browser) == "#cell=rnn&t=2&loss=last"
    browser.click("#cells label:nth-of-type(2) span")
    assert fragment(browser) == "#cell=gru&t=2&loss=last"


def lit(browser):
    return browser.run("[...document.querySelectorAll('article:not([hidden]) .lit')].map((e) => e.dataset.eq)")


def test_hover_focus_and_click_highlight_an_equation(open_page):
    browser = open_page("#cell=rnn&t=2&loss=each")
    browser.hover(*browser.middle("#rnn .hand [data-eq=R2]"))
    assert set(lit(browser)) == {"R2"}
    assert len(lit(browser)) >= 6, "forward, equation, torch, and the lines of backward"
    browser.hover(1, 1)
    assert lit(browser) == []
    browser.run("document.querySelector('#rnn .chip[data-pin=R1]').focus()")
    assert set(lit(browser)) == {"R1"}
    browser.press("Enter")
    assert fragment(browser) == "#cell=rnn&t=2&loss=each&eq=R1"
    assert browser.run("document.querySelector('#rnn .chip[data-pin=R1]').getAttribute('aria-pressed')") == "true"
    assert browser.run("document.activeElement.id") == "close", "a key moves the focus into the tray"
    browser.press("Escape")
    assert fragment(browser) == "#cell=rnn&t=2&loss=each"
    assert browser.run("document.getElementById('tray').hidden")
    assert browser.run("document.activeElement.dataset.pin") == "R1", "and Escape moves it back"


# Changed numbers: the arithmetic of the page against scratch


def by_scratch(cell, reads, weights, x=None):
    """The numbers of scratch for other weights, and another x."""
    window, model = measurements.window(), measurements.build(cell).scratch
    for name, array in measurements.weights_of(model).items():
        array[...] = weights[name]
    if x is not None:
        window = measurements.Window(window.months, x, window.targets, window.mean, window.std)
    return measurements.by_hand(cell, model, window, reads)


def computed(browser, cell, reads, weights, x):
    """What the page computes for weights and x: its numbers, the split of dh, and what each step adds to dW_hh."""
    given = json.dumps({name: np.asarray(array).tolist() for name, array in weights.items()})
    return browser.run(
        f"""(() => {{
            change({{ cell: "{cell}", loss: "{reads}" }});
            const cell = cells["{cell}"];
            const known = compute(cell, {given}, {{ ...givenTo(x), x: {json.dumps(x[:, 0].tolist())} }});
            return {{ ...known.numbers, split: splitByLoss(cell, known), sums: addedBySteps(cell, known) }};
        }})()"""
    )


def settings(cell):
    """The page's weights, each preset, and random ones of several sizes."""
    from compare.page.build import presets

    weights = measurements.weights_of(measurements.build(cell).scratch)
    yield weights
    for preset in presets(cell, weights).values():
        yield weights | {name: np.array(array) for name, array in preset.items()}
    rng = np.random.default_rng(0)
    for size in (0.1, 1.0, 3.0):
        yield {name: size * rng.standard_normal(array.shape) for name, array in weights.items()}


@pytest.mark.parametrize("cell", CELLS)
def test_every_number_that_the_page_computes_is_scratchs(open_page, cell):
    """Equal to 1e-12 of the largest entry, or of 1 where all are smaller."""
    browser, rng = open_page(), np.random.default_rng(1)
    for k, weights in enumerate(settings(cell)):
        reads, x = LOSSES[k % 2], measurements.window().x if k % 4 < 2 else rng.standard_normal((T, 1, 1))
        hand, found = by_scratch(cell, reads, weights, x), computed(browser, cell, reads, weights, x)
        whole = {"split": hand.split, "sums": hand.sums, "loss": np.array([[hand.loss]])}
        for name, right in {**hand.steps, **hand.whole, **whole}.items():
            got, limit = np.reshape(found[name], right.shape), 1e-12 * max(1, np.abs(right).max())
            np.testing.assert_allclose(got, right, rtol=0, atol=limit, err_msg=f"{name}, setting {k}, {reads}")


@pytest.mark.parametrize("cell", CELLS)
def test_the_presets_are_what_they_are_called(cell, page_values):
    presets = page_values["cells"][cell]["presets"]
    weights = measurements.weights_of(measurements.build(cell).scratch)
    found = {
        label: by_scratch(cell, "last", weights | {name: np.array(array) for name, array in preset.items()})
        for label, preset in presets.items()
    }
    sizes = {label: np.linalg.norm(hand.steps["dh"], axis=1) for label, hand in found.items()}
    assert ("exploding" in sizes) == (SHOWN[cell].exploding is not None)
    if "exploding" in sizes:
        assert sizes["exploding"][0] > 20 * sizes["exploding"][-1]
    bounded = [found["saturated"].steps[name] for names in SHOWN[cell].forward.values() for name in names]
    assert any(0.99 < np.abs(value).max() <= 1 for value in bounded)
    keeps = SHOWN[cell].keeps
    if keeps:
        assert found[f"gate {keeps} open"].steps[keeps].min() > 0.95
        assert found[f"gate {keeps} closed"].steps[keeps].max() < 0.05


@pytest.mark.parametrize(("cell", "array"), [("rnn", "W_hh"), ("gru", "x"), ("lstm", "shift"), ("lstm", "b_ih")])
def test_a_slider_changes_a_number_and_both_slopes_agree(open_page, page_values, cell, array):
    browser = open_page(f"#cell={cell}&t=4&loss=each")
    names = browser.run("Object.keys(arrays())")
    browser.run("document.getElementById('array').focus()")
    browser.press("Home")  # the page still shows what an earlier test chose
    browser.press("ArrowDown", names.index(array))
    browser.run("document.getElementById('entry').focus()")
    browser.press("ArrowDown", 0 if array == "shift" else 2)
    browser.run("document.getElementById('to').focus()")
    browser.press("ArrowRight", 3)
    said = dict(pair.split("=") for pair in fragment(browser)[1:].split("&"))
    entry, to = said["entry"].split("."), float(said["to"])
    assert entry[0] == array
    weights = measurements.weights_of(measurements.build(cell).scratch)
    weights = {name: value.copy() for name, value in weights.items()}
    x = measurements.window().x.copy()
    if array == "shift":
        weights["b_ih"].reshape(-1, H)[scratch.module_of(cell).GATES.index(SHOWN[cell].keeps)] += to
    elif array == "x":
        x[int(entry[1])] = to
    else:
        weights[array][tuple(map(int, entry[1:]))] = to
    hand = by_scratch(cell, "each", weights, x)
    for name, value in hand.steps.items():
        assert numbers(browser, cell, name) == [digits(v) for v in value[4]], name
        assert numbers(browser, cell, name, "torch") == [""] * value.shape[1]
    if array == "shift":
        gradient = hand.whole["db_ih"][scratch.module_of(cell).GATES.index(SHOWN[cell].keeps)].sum()
    elif array == "x":
        gradient = hand.steps["dx"][int(entry[1]), 0]
    else:
        gradient = hand.whole[f"d{array}"].reshape(weights[array].shape)[tuple(map(int, entry[1:]))]
    by_backward, slope = (number.replace("\N{MINUS SIGN}", "-") for number in texts(browser, "#gradient, #slope"))
    assert abs(float(by_backward) - gradient) < 1e-7 * max(1e-3, abs(gradient))
    assert abs(float(slope) - gradient) < 1e-8
    assert texts(browser, "#loss-now") == [digits(hand.loss)]


def test_a_preset_and_back(open_page):
    browser = open_page("#cell=lstm&t=4&loss=last")
    browser.click("#presets [data-preset='gate f open']")
    assert fragment(browser) == "#cell=lstm&t=4&loss=last&preset=gate%20f%20open"
    assert browser.run("document.querySelector('[data-preset=\"gate f open\"]').getAttribute('aria-pressed')") == "true"
    assert min(float(f) for f in numbers(browser, "lstm", "f")) > 0.95
    browser.press("Tab", shift=True)
    browser.press("Enter")  # the button before it: as it is
    assert fragment(browser) == "#cell=lstm&t=4&loss=last"


# Planted mistakes


# Every number that is marked wrong at some steps: the name of its array, its row and its place.
MARKED = """((cell, loss, mistake, steps) => steps.flatMap((t) => {
    change({ cell, loss, mistake, t });
    return all(`#${cell} [data-side=hand] li.wrong`).map((li) => {
        if (!li.textContent.endsWith(" wrong")) throw new Error("not told to a screen reader");
        const row = li.closest("[data-row]")?.dataset.row ?? t;
        return `${li.closest("[data-name]").dataset.name} ${row} ${[...li.parentElement.children].indexOf(li)}`;
    });
}))"""


@pytest.mark.parametrize("everywhere", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_exactly_the_wrong_numbers_are_marked(open_page, page_values, everywhere):
    """Against the numbers that differ when the mistake's lines run (see test_page.py for these)."""
    browser = open_page()
    mistakes = [(cell, mistake.name) for cell in CELLS for mistake in planting.mistakes_in(cell)]
    for k, ((cell, mistake), reads) in enumerate(product(mistakes, LOSSES)):
        if not everywhere and k % 5:
            continue  # two mistakes of five, with one loss, at one step
        steps = list(range(T)) if everywhere else [k % T]
        found = browser.run(f"{MARKED}('{cell}', '{reads}', '{mistake}', {steps})")
        expected = {
            f"{name} {row} {place}"
            for name, rows in page_values["cells"][cell]["mistakes"][mistake][reads]["wrong"].items()
            for row, values in rows.items()
            for place, value in enumerate(values)
            if value is not None and (int(row) in steps or measurements.is_whole(name))
            if name != measurements.summed(cell) or 0 in steps  # a running sum: complete at step 0
        }
        assert set(found) == expected, (cell, mistake, reads)


def test_planting_a_mistake_by_keyboard(open_page, page_values):
    browser = open_page("#cell=lstm&t=4&loss=each")
    browser.run("document.getElementById('mistake').focus()")
    names = list(page_values["cells"]["lstm"]["mistakes"])
    browser.press("ArrowDown", 1 + names.index("dc_replaced"))
    assert fragment(browser) == "#cell=lstm&t=4&loss=each&mistake=dc_replaced"
    assert texts(browser, "#diff > div") == [
        "\N{MINUS SIGN} dc[t] = dh[t] * dh_dc[t] + dc_carried",
        "+ dc[t] = dh[t] * dh_dc[t]",
    ]
    assert texts(browser, ".removed code") == ["dc[t] = dh[t] * dh_dc[t] + dc_carried"]
    assert texts(browser, ".added code") == ["dc[t] = dh[t] * dh_dc[t]"]
    source = Path(scratch.lstm.__file__).read_text(encoding="utf-8")
    line = source[: source.index("dc[t] = dh[t] * dh_dc[t] + dc_carried")].count("\n") + 1
    assert texts(browser, "#begins") == [f"The first wrong number is dct: from t+1 at t = 6, in line {line}."]
    assert "would be wrong" in texts(browser, "#notes")[0]
    seen = page_values["cells"]["lstm"]["mistakes"]["dc_replaced"]["checks"]
    assert [text.startswith("sees it") for text in texts(browser, "#seen li")] == seen
    table = browser.run("all('#spread tr').map((row) => [...row.children].map((cell) => cell.textContent))")
    rows = {row[0]: row[1:] for row in table}
    assert rows["dct"] == ["4"] * 7 + ["", ""]
    assert rows["dht"] == ["4"] * 6 + ["", "", ""]
    assert rows["dWhh"] == [""] * 8 + ["64"]
    assert browser.run("all('#chain .wrong').map((step) => step.dataset.t).join()") == "0,1,2,3,4,5,6"
    assert "the gradient is wrong" in texts(browser, "#apart")[0]
    browser.click("#begins button")
    assert fragment(browser) == "#cell=lstm&t=6&loss=each&mistake=dc_replaced"
    assert numbers(browser, "lstm", "dc_later") == ["0"] * H
    browser.run("document.getElementById('mistake').focus()")
    browser.press("Home")
    assert browser.run("all('.wrong, .added, .removed').filter((e) => e.getClientRects().length).length") == 0


def test_a_mistake_and_a_changed_number_exclude_each_other(open_page):
    browser = open_page("#cell=rnn&t=4&loss=each&mistake=dh_not_carried")
    browser.run("document.getElementById('to').focus()")
    browser.press("ArrowRight")
    assert "mistake" not in fragment(browser) and "entry" in fragment(browser)
    browser.run("document.getElementById('mistake').focus()")
    browser.press("ArrowDown")
    assert "mistake" in fragment(browser) and "entry" not in fragment(browser)


# Gradients split


@pytest.mark.parametrize("mistake", ["", "&mistake=dh_from_the_loss_alone"])
@pytest.mark.parametrize("reads", LOSSES)
def test_the_shares_of_dh_add_up(open_page, reads, mistake):
    browser = open_page(f"#cell=gru&t=2&loss={reads}{mistake}")
    browser.click("#gru .split summary")
    browser.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # until it is told
    assert fragment(browser).endswith("&split=1")
    shares = browser.run(
        "all('#gru .share').filter((share) => !share.hidden).map((share) => [share.dataset.step,"
        " all('li', share).map((li) => li.textContent), share.querySelector('.part').textContent])"
    )
    assert [int(step) for step, *_ in shares] == (list(range(2, T)) if reads == "each" else [T - 1])

    def number(text):
        return float(text.replace("\N{MINUS SIGN}", "-"))

    total = np.sum([[number(v) for v in values] for _, values, _ in shares], axis=0)
    dh = [number(v) for v in numbers(browser, "gru", "dh")]
    np.testing.assert_allclose(total, dh, rtol=0, atol=5e-4)
    if any(dh):
        assert sum(number(part.removesuffix(" %")) for *_, part in shares) in (98, 99, 100, 101, 102)
    if mistake:
        assert [any(map(number, values)) for _, values, _ in shares] == [reads == "each"] + [False] * (len(shares) - 1)


@pytest.mark.parametrize("cell", CELLS)
def test_the_running_sum_of_a_weights_gradient(open_page, cell):
    hand = by_scratch(cell, "each", measurements.weights_of(measurements.build(cell).scratch))
    browser = open_page(f"#cell={cell}&t=7&loss=each")
    for t in (7, 4, 0):
        browser.run(f"change({{ t: {t} }})")
        found = browser.run(
            f"all('#{cell} .running .term')"
            ".map((row) => all('.strip', row).map((strip) => all('li', strip).map((li) => li.textContent)))"
        )
        so_far, added = hand.sums[t:].sum(axis=0), hand.sums[t]
        for row, (left, right) in enumerate(found):
            assert right == [digits(v) for v in added[row]]
            assert left == [digits(v) for v in so_far[row]]
    assert "complete" in texts(browser, f"#{cell} .so-far")[0]
    assert "differs from torch's by at most" in texts(browser, f"#{cell} .running > .off")[0]


# The loss


def test_the_loss_in_both_units(open_page):
    browser = open_page("#cell=rnn&t=5&loss=each")
    hand = by_scratch("rnn", "each", measurements.weights_of(measurements.build("rnn").scratch))
    window = measurements.window()
    (said,) = texts(browser, "#rnn .units")
    yhat, target = hand.steps["yhat"][5, 0], window.targets[5, 0, 0]
    assert f"= {digits(yhat)}, that is {yhat * window.std + window.mean:.1f} sunspots" in said
    assert f"the target is {digits(target)}, that is {window.months[5]['next']} sunspots" in said
    assert said.endswith(f"Loss: {digits(hand.loss)}")
    browser.run("change({ loss: 'last' })")
    assert "does not read this step" in texts(browser, "#rnn .units")[0]


# Questions and steps


def test_a_number_tells_its_arithmetic_and_leads_to_the_others(open_page, page_values):
    browser = open_page("#cell=lstm&t=4&loss=each")
    browser.click("#lstm .value[data-name=c] li:nth-child(3) .ask")
    assert fragment(browser) == "#cell=lstm&t=4&loss=each&ask=c.2"
    f, i, g, c = (expected(page_values, "lstm", "each", name) for name in "figc")
    terms = [f[4][2], c[3][2], i[4][2], g[4][2]]
    assert texts(browser, "#found .term") == [digits(v) if v >= 0 else f"({digits(v)})" for v in terms]
    assert texts(browser, "#found .filled b") == [digits(c[4][2])]
    browser.click("#found .term:nth-of-type(2)")
    assert fragment(browser) == "#cell=lstm&t=3&loss=each&ask=c.2"
    browser.press("Escape")
    assert fragment(browser) == "#cell=lstm&t=3&loss=each"


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_every_number_can_be_asked_and_gives_itself(open_page, every):
    """The result of the arithmetic in the tray is the number that was asked: one in so many, of four in a strip."""
    for cell in CELLS:
        browser = open_page(f"#cell={cell}&t=3&loss=each")
        found = browser.run(
            f"""all("#{cell} .ask").filter((_, k) => k % {every} === 0).map((button) => {{
                button.click();
                const filled = document.querySelector("#found .filled b");
                return [state.ask, button.textContent, filled?.textContent];
            }}).filter(([, own, result]) => own !== result)"""
        )
        # target and m are given; the running sum shows the sum so far, and the arithmetic is of the complete one
        assert {ask.split(".")[0] for ask, *_ in found} <= {"target", "m", measurements.summed(cell)}


def test_the_arrow_keys_go_along_a_vector_and_enter_asks(open_page):
    browser = open_page("#cell=rnn&t=4&loss=each")
    browser.run("document.querySelector('#rnn .value[data-name=da] .ask').focus()")
    browser.press("ArrowRight", 2)
    assert fragment(browser) == "#cell=rnn&t=4&loss=each", "the step stays"
    browser.press("Enter")
    assert fragment(browser) == "#cell=rnn&t=4&loss=each&ask=da.2"
    browser.press("Escape")
    assert browser.run("document.activeElement.className") == "ask"


def test_a_wrong_number_tells_what_it_is_and_what_it_should_be(open_page, page_values):
    browser = open_page("#cell=gru&t=3&loss=each&mistake=sign_of_dz&ask=dh_dv_z.1")
    right = expected(page_values, "gru", "each", "dh_dv_z")[3][1]
    assert texts(browser, "#found .filled b") == [digits(right)]
    assert texts(browser, "#found .arithmetic > .wrong") == [f"With the mistake it is {digits(-right)}."]


def test_stepping_through_the_lines_of_backward(open_page, page_values):
    browser = open_page("#cell=rnn&t=4&loss=each")
    executed = page_values["cells"]["rnn"]["executed"]
    browser.click("#rnn .begin")
    assert browser.run("document.activeElement.id") == "after"
    assert numbers(browser, "rnn", "dh_da") == [""] * H
    for k, (line, t, _) in enumerate(executed):
        assert browser.run("document.querySelector('.line.at').dataset.line") == str(line)
        assert texts(browser, "#where")[0].startswith(f"line {line}, {k + 1} of {len(executed)}")
        if t is not None:
            assert f"t={t}&" in fragment(browser)
        if k + 1 < len(executed):
            browser.press("Enter")
    assert browser.run("document.getElementById('after').disabled")
    browser.press("Escape")
    assert browser.run("document.querySelectorAll('.line.at').length") == 0
    assert browser.run("document.activeElement.className") == "begin"


def test_only_what_is_computed_already_has_a_number(open_page, page_values):
    browser = open_page("#cell=rnn&t=6&loss=each")
    executed = page_values["cells"]["rnn"]["executed"]
    k = next(k for k, (_, t, names) in enumerate(executed) if t == 6 and "da" in names)
    browser.run(f"change({{ line: {k}, t: 6 }})")
    empty = [""] * H
    assert numbers(browser, "rnn", "dh") != empty and numbers(browser, "rnn", "da") != empty
    assert numbers(browser, "rnn", "dh_sent") == empty and numbers(browser, "rnn", "db_hh", row=0) == empty
    browser.run("change({ t: 5, mistake: 'slope_upside_down' })")
    assert numbers(browser, "rnn", "dh") == empty and numbers(browser, "rnn", "dy") != empty
    assert texts(browser, "#rnn .value[data-name=dh] .off") == [""], "nothing is wrong before it is computed"
    assert texts(browser, "#rnn .value[data-name=dh_da] .off") == ["wrong"]


# For everyone


CHOICES = ("", "&mistake={mistake}&split=1", "&preset=exploding&ask=dh.1", "&line=20&eq={eq}")


def views(browser, each_once=False):
    """Every cell with everything that can be chosen, or with one choice; the fragment of each is shown, and yielded."""
    for k, (cell, choice) in enumerate(product(CELLS, CHOICES)):
        if each_once and k % len(CHOICES) != k // len(CHOICES) % len(CHOICES):
            continue
        mistake, eq = planting.mistakes_in(cell)[1].name, f"{cell[0].upper()}2"
        chosen = f"#cell={cell}&t=4&loss=each{choice.format(mistake=mistake, eq=eq)}"
        browser.go(chosen)
        yield chosen


ONCE_OR_ALL = pytest.mark.parametrize("each_once", [True, pytest.param(False, marks=pytest.mark.slow)])


@ONCE_OR_ALL
@pytest.mark.parametrize("width", [320, 390, 820, 1400, 1920])
def test_nothing_is_wider_than_the_window(open_page, width, each_once):
    browser = open_page(width=width)
    for chosen in views(browser, each_once):
        assert browser.run("document.documentElement.scrollWidth") == width, chosen
        narrow = browser.run(
            "all('article:not([hidden]) .strip:not(.none) li').filter((li) => li.scrollWidth > li.clientWidth + 1)"
            ".map((li) => li.textContent)"
        )
        assert narrow == [], f"numbers overlap: {chosen}"


@ONCE_OR_ALL
@pytest.mark.parametrize(("scheme", "width"), [("light", 1400), ("dark", 390)])
def test_contrast_and_size_of_targets(open_page, scheme, width, each_once):
    browser = open_page(width=width)
    browser.media(scheme=scheme)
    for chosen in views(browser, each_once):
        assert browser.run(DULL) == [], chosen
        small = browser.run(
            "all('button, select, input:not([type=radio]), summary').filter((e) => e.getClientRects().length)"
            ".filter((e) => e.getBoundingClientRect().height < 24 && !e.matches('.term'))"
            ".map((e) => e.className + e.id)"
        )
        assert small == [], chosen


# Letters whose contrast with what lies behind them is below 4.5 to 1.
DULL = """(() => {
    const rgba = (text) => { const [r, g, b, a = 1] = text.match(/[0-9.]+/g).map(Number); return [r, g, b, a]; };
    const luminance = ([r, g, b]) => {
        const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const [x, y, z] = [r, g, b].map((v) => linear(v / 255));
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const found = [];
    for (const element of document.querySelectorAll("body *:not(script, style, noscript, svg *, option)")) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!own || !element.getClientRects().length || element.disabled || element.className === "unseen") continue;
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.unshift(rgba(getComputedStyle(e).backgroundColor));
        let behind = [255, 255, 255];
        for (const [r, g, b, a] of layers) behind = [r, g, b].map((v, i) => a * v + (1 - a) * behind[i]);
        const [a, b] = [rgba(getComputedStyle(element).color), behind].map(luminance).sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) found.push(`${element.className} ${element.textContent.slice(0, 30)} ${contrast}`);
    }
    return found;
})()"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("tray", ["", "&eq=R2", "&ask=dh.1"])
def test_what_has_the_focus_is_never_covered(open_page, width, tray):
    """Backwards through all the page with Shift+Tab: everything can be reached, and seen when it has the focus."""
    browser = open_page(f"#cell=rnn&t=4&loss=each{tray}", width)
    reachable = browser.run(
        "all('button, select, input:not([type=radio]), summary').filter((e) => e.getClientRects().length"
        " && e.tabIndex === 0 && !e.disabled).length"
    )
    browser.run("getSelection().setPosition(document.body, document.body.childNodes.length)")
    seen = []
    for _ in range(reachable + 12):
        browser.press("Tab", shift=True)
        place = browser.run(
            """(() => {
                const e = document.activeElement, box = e.getBoundingClientRect();
                const tray = byId("tray"), stepper = byId("stepper"), inBar = stepper.contains(e) || tray.contains(e);
                const top = inBar || e.closest("header") ? 0 : stepper.getBoundingClientRect().bottom;
                const end = inBar || tray.hidden ? innerHeight : tray.getBoundingClientRect().top;
                const covered = e !== document.body && (box.bottom > end + 1 || box.top < top - 1);
                return [e.className + e.id + (e.name ?? "") + e.textContent.slice(0, 20), covered];
            })()"""
        )
        seen.append(place)
    assert [what for what, covered in seen if covered] == []
    assert len({what for what, _ in seen}) > 30


NAMED = ("button", "combobox", "slider", "radio", "spinbutton", "table", "DisclosureTriangle")


def test_everything_has_a_name_for_a_screen_reader(open_page):
    browser = open_page()
    for chosen in views(browser, each_once=True):  # reading all the names takes long
        found = browser.names()
        assert [role for role, name in found if role in NAMED and not name] == [], chosen
        assert {*NAMED, "heading", "main", "list"} - {"table"} <= {role for role, _ in found}
        assert ("list", "dh, by hand") in found
    open_page("#cell=lstm")
    sums = [name for role, name in browser.names() if role == "list" and name.startswith("dW_hh")]
    assert len(sums) == len(set(sums)) == 2 * 4 * H and "dW_hh f 0, sum so far" in sums


def test_it_can_be_printed(open_page):
    browser = open_page("#cell=rnn&t=4&loss=each&mistake=matrix_for_its_transpose&ask=dh.1")
    assert browser.printed().startswith(b"%PDF")
    browser.media("print", "dark")
    assert browser.run("getComputedStyle(document.body).color") == "rgb(29, 28, 26)", "dark letters on paper"
    assert browser.run("getComputedStyle(document.getElementById('tray')).display") == "none"
    assert browser.run("getComputedStyle(document.getElementById('stepper')).position") == "static"
    browser.media()


@pytest.mark.parametrize(("chosen", "shown"), [("eq=L3", ".lit"), ("ask=dc.2", ".asked"), ("ask=dW_hh.37", ".asked")])
def test_a_link_leads_to_what_it_highlights(open_page, chosen, shown):
    """The README's example: the lines of (L3) are in view, not below the bar or the tray. So are numbers."""
    browser = open_page(f"#cell=lstm&t=3&loss=last&{chosen}")
    top, bottom, bar, tray = browser.run(
        """(() => {
            const box = (selector) => document.querySelector(selector).getBoundingClientRect();
            const first = box("#lstm SHOWN");
            return [first.top, first.bottom, box("#stepper").bottom, box("#tray").top];
        })()""".replace("SHOWN", shown)
    )
    assert bar <= top and bottom <= tray
    if shown == ".asked":
        number, which = chosen.removeprefix("ask=").split(".")
        asked = "[...document.querySelectorAll('.asked')].map((e) => [e.closest('[data-name]').dataset.name, "
        asked += "all(`#lstm [data-name=${e.closest('[data-name]').dataset.name}] .ask`).indexOf(e)])"
        assert browser.run(asked) == [[number, int(which)]]
