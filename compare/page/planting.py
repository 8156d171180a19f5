"""Each mistake of the catalogue that is in a cell: which numbers of the page it makes wrong, and where that begins."""

import difflib
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np

import scratch
from compare.agreement import least_size, tolerance
from compare.mistakes.catalogue import MISTAKES, Mistake
from compare.mistakes.plant import planted, planted_source
from compare.mistakes.table import seen_by
from compare.page.measurements import LOSSES, WEIGHTS, ByHand, H, T, Window, by_hand, weights_of
from compare.page.source import source_of
from scratch import losses


def mistakes_in(cell: str) -> list[Mistake]:
    """The mistakes of the catalogue in the module of a cell."""
    return [mistake for mistake in MISTAKES if mistake.file == scratch.file_of(cell)]


def plant(cell: str, mistake: Mistake, model, window: Window, right: dict[str, ByHand]) -> dict:
    """What the page needs of one mistake. right: the numbers without it, by which steps the loss reads.

    "diff": [first line, last line, [wrong lines]] of each change; "checks": what each weak way of checking says;
    "notes": sentences; and for each of LOSSES "wrong": the wrong numbers alone, "first": which executed line is the
    first with a wrong number, "split" and "sums" as in ByHand, the wrong numbers alone.
    """
    package = planted(mistake)
    numbers = dict(package=package, source=planted_source(mistake))
    found = {reads: by_hand(cell, model, window, reads, **numbers) for reads in LOSSES}
    compared = {reads: against(found[reads], right[reads]) for reads in LOSSES}
    names = {name for reads in LOSSES for name in compared[reads]["wrong"]}
    notes = [*effects(found["each"]), *when_it_shows(names, partial(differs, cell, package, model, window))]
    return {"diff": changes(cell, mistake), "checks": seen_by(mistake), "notes": notes, **compared}


def against(found: ByHand, right: ByHand) -> dict:
    """The wrong numbers of one run: name -> row -> numbers, None where right, "none" where not computed."""
    got, expected = found.steps | found.whole, right.steps | right.whole
    least = least_size(expected.values())

    def all_wrong(pairs):
        return {name: rows for name, *pair in pairs if (rows := wrong_rows(*pair, least))}

    wrong = all_wrong((name, got[name], array) for name, array in expected.items())
    wrong_at = {(name, t) for name, rows in wrong.items() for t in (None, *rows)}
    first = [k for k, (_, t, names) in enumerate(right.executed) if any((name, t) in wrong_at for name in names)]
    return {
        "wrong": wrong,
        "first": first[0] if first else None,
        "split": all_wrong(zip(range(T), found.split, right.split, strict=True)),
        "sums": all_wrong(zip(range(T), found.sums, right.sums, strict=True)),
    }


def wrong_rows(got: np.ndarray, expected: np.ndarray, least: float) -> dict[int, list]:
    """row -> its numbers, for rows with a number that differs by more than rounding."""
    got = np.broadcast_to(got, expected.shape)
    scale = max(np.abs(expected).max(), least)
    differs = ~(np.abs(got - expected) <= tolerance(np.float64) * scale)  # not >: a nan must count as wrong
    return {
        row: [as_shown(v) if d else None for v, d in zip(got[row], differs[row], strict=True)]
        for row in np.flatnonzero(differs.any(axis=1)).tolist()
    }


def as_shown(value: float) -> float | str:
    """A number with the digits that the page shows, so that the file stays small."""
    if np.isnan(value):
        return "none"
    return round(float(value), 4) if abs(value) >= 0.001 else float(f"{value:.1e}")


def changes(cell: str, mistake: Mistake) -> list:
    """[first line, last line, [new lines]] of each change to the file; an empty range inserts before `first`."""
    source, new = source_of(cell).splitlines(), planted_source(mistake).splitlines()
    blocks = difflib.SequenceMatcher(None, source, new, autojunk=False).get_opcodes()
    return [[i + 1, j, [line[4:] for line in new[k:m]]] for tag, i, j, k, m in blocks if tag != "equal"]


def effects(found: ByHand) -> Iterable[str]:
    """What is wrong apart from the numbers."""
    for name in found.changed:
        yield f"It writes into the array {name} that it was given."
    for a, b in found.shared:
        yield f"d{a} and d{b} are one array in memory: what scales one in place also scales the other."
    for name, (shape, expected) in found.shapes.items():
        yield f"d{name} has the shape {shape}; the shape of {name} is {expected}."


def when_it_shows(names: set, differs: Callable[..., bool]) -> Iterable[str]:
    """Where nothing on the page is wrong: what it would take. Otherwise: what does not travel, what T = 1 hides."""
    if not names:
        yield "No number on this page is wrong."
        needed = [needs for needs, setting in OTHER_SETTINGS.items() if differs(**setting)]
        if needed:
            yield f"It shows with {' or '.join(needed)}."
        return
    if not any(name in ("dh", "dc") or name.endswith("_sent") for name in names):
        verb = "are" if len(names) > 1 else "is"
        yield f"What travels between the steps is right; only {listed(names)} {verb} wrong."
    if not differs(steps=1):
        yield "With one step (T = 1) and this loss, no gradient would be wrong."


def listed(names):
    *others, last = sorted(names)
    return f"{', '.join(others)} and {last}" if others else last


OTHER_SETTINGS = {
    "more than one row in a batch": dict(rows=2),
    "a first state other than zero": dict(state=1.0),
    "gradients larger than 5": dict(scale=100.0),
    "relu in place of tanh": dict(nonlinearity="relu"),
}


def differs(cell, package, model, window, *, steps=None, rows=1, state=0.0, scale=1.0, **options) -> bool:
    """Does any gradient of another package differ from scratch's, in this setting?

    The setting: `steps` steps (None: all) and `rows` rows, from a first state, with dy times `scale`.
    """
    if not options.keys() <= scratch.CELLS[cell][1].keys():
        return False
    weights = [array for name, array in weights_of(model).items() if name in WEIGHTS]
    x, targets = (np.repeat(array[:steps], rows, axis=1) for array in (window.x, window.targets))
    first = [np.full((rows, H), state) for _ in range(model.recurrent.states)]
    results = []
    for module in (scratch.module_of(cell), package.module_of(cell)):
        y, *_, cache = module.forward(x, *first, *(w.copy() for w in weights), **options)
        _, dyhat = losses.mse(model.linear.forward(y), targets)
        dy = scale * model.linear.backward(dyhat)
        results.append(module.backward(dy, *(np.zeros_like(s) for s in first), cache))
    least = least_size(results[0])
    pairs = zip(*results, strict=True)
    return any(wrong_rows(np.reshape(b, (1, -1)), np.reshape(a, (1, -1)), least) for a, b in pairs)
