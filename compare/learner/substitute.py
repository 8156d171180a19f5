"""A learner's program, run again and again with other values in one place.

A place is a tuple of sites (probe.py): mostly one, or all the stores into one variable, which share its steps. What may
stand there instead is any of the quantities that the equations name (problems.py), if number and shape fit.
"""

import time
from dataclasses import dataclass

import numpy as np

RUNS = 2000  # how often the program is run before the search gives up: about a second
CLOSER = 600  # and how often once more to look closer at what was found
SECONDS = 5  # in no case longer, however slow the program or the machine


@dataclass(frozen=True)
class Mend:
    """Values that, put at a place, make results right and none wrong.

    first: when the first value that differs was stored, as a place in the order of all that was seen; steps: the step
    of each value, or None; mask: which entries of the results are right then.
    """

    place: tuple
    truth: object
    values: np.ndarray
    steps: list
    first: int
    mask: np.ndarray


def close(a, b):
    """Equal up to rounding, entry by entry, by the size of the largest."""
    scale = np.abs(b).max(initial=0, where=np.isfinite(b))
    with np.errstate(invalid="ignore", over="ignore"):
        return (np.abs(a - b) <= 1e-9 * scale) | (a == b) | (np.isnan(a) & np.isnan(b))


def same(a, b):
    return a.shape == b.shape and bool(close(a, b).all())


class Trials:
    """The learner's program on one problem.

    run: a function that runs it and returns a list of arrays, or raises; expected: what they should be; watch: of
    probe.py.
    """

    def __init__(self, run, expected, watch, problem):
        self.run, self.expected, self.watch, self.truths = run, expected, watch, problem.truths
        self.inputs = [v for v in {**problem.given, **problem.upstream}.values() if isinstance(v, np.ndarray)]
        self.weights = [truth.values for truth in problem.truths if truth.constant]
        self.sites = watch.sites
        self.runs, self.end = RUNS, time.perf_counter() + SECONDS
        watch.note()
        self.base = self.score()
        watch.off()
        self.values, self.times = {}, {}  # place -> what it stored, and when
        for when, (k, value) in enumerate(watch.notes):
            self.values.setdefault((k,), []).append(value)
            self.times.setdefault((k,), []).append(when)
        self.latest = len(watch.notes)
        self.add_variables()
        self.order = sorted(self.values, key=lambda place: self.times[place][0])
        self.forms = [(truth, *form) for truth in problem.truths for form in forms(truth)]

    def add_variables(self):
        """The places with more than one site: a variable begun in one line and filled or carried on in another."""
        by_name = {}
        for (k,) in self.values:
            site = self.sites[k]
            if site.kind == "store" and site.target not in ("return", "") and not site.in_place:
                by_name.setdefault((site.function, site.target, self.values[k,][0].shape), []).append(k)
        for sites in by_name.values():
            if len(sites) > 1:
                stored = [pair for k in sites for pair in zip(self.times[k,], self.values[k,], strict=True)]
                stored.sort(key=lambda pair: pair[0])
                self.times[tuple(sites)], self.values[tuple(sites)] = map(list, zip(*stored, strict=True))

    def score(self):
        """Which entries of the results are right, all in one array of booleans; None when it does not run."""
        try:
            got = self.run()
        except Exception:
            return None
        if any(g is None or g.shape != e.shape for g, e in zip(got, self.expected, strict=True)):
            return None
        return np.concatenate([close(g, e).ravel() for g, e in zip(got, self.expected, strict=True)])

    def with_values(self, place, values):
        self.runs -= 1
        self.watch.put(place, values)
        try:
            return self.score()
        finally:
            self.watch.off()

    def came_right(self, values):
        """Whether the place itself would have stored just these values, had all before it been right."""
        incoming = self.watch.incoming
        return len(incoming) == len(values) and all(same(a, b) for a, b in zip(incoming, values, strict=True))

    def got(self, place):
        """(n, ...): what was stored each time, or None when that has no one shape."""
        values = self.values[place]
        return np.stack(values) if all(value.shape == values[0].shape for value in values) else None

    def fits(self, place, usual=False):
        """Every (truth, values, steps) that a place could have stored, by number and shape of what it did store.

        usual: without the layouts in which time runs backwards.
        """
        n, shape = len(self.values[place]), self.values[place][0].shape
        size = n * int(np.prod(shape))
        for truth, form, time_first, forwards in self.forms:
            if usual and not forwards:
                continue
            if truth.constant and form.shape == shape:
                yield truth, np.broadcast_to(form, (n, *shape)), None
            if truth.constant or form.size != size or form.shape[form.ndim - len(shape) :] != shape:
                continue
            lead = form.ndim - len(shape)
            if int(np.prod(form.shape[:lead])) != n:
                continue
            if lead == 0 or not time_first:
                yield truth, form.reshape(n, *shape), None
            else:
                T = len(form)
                steps = [truth.start + t for t in range(T) for _ in range(n // T)]
                yield truth, form[::-1].reshape(n, *shape), steps[::-1]
                if T > 1:
                    yield truth, form.reshape(n, *shape), steps

    def mends(self, place, wanted=None, forwards=None):
        """Every Mend of a place; `wanted`: of this truth only; forwards: True or False, see `first_mend`."""
        got, tried = self.got(place), set()
        if got is None:
            return
        for truth, values, steps in self.fits(place):
            if self.runs <= 0 or time.perf_counter() > self.end:
                return
            if wanted is None:
                same_values = len(tried)
                tried.add(values.tobytes())  # at few steps and rows many layouts are one
                if len(tried) == same_values:
                    continue
            if wanted is not None and truth.name != wanted:
                continue
            if forwards is not None and forwards != (steps is not None and steps[0] < steps[-1]):
                continue
            wrong = [not same(one, other) for one, other in zip(got, values, strict=True)]
            if not any(wrong) or self.times[place][wrong.index(True)] > self.latest:
                continue
            mask = self.with_values(place, values)
            if mask is None or not (mask | ~self.base).all() or mask.sum() <= self.base.sum():
                continue
            if not self.came_right(values):
                yield Mend(place, truth, values, steps, self.times[place][wrong.index(True)], mask)

    def reads_input(self, place):
        """Whether a place only reads what the function was given: that cannot be wrong in itself."""
        first = self.values[place][0]
        return self.sites[place[0]].plain and any(same(first, given) for given in self.inputs)

    def only_hands_in(self, place):
        """Whether a variable begins as a given input, dh = dh_n: what became of it is another line's doing."""
        k = min(place, key=lambda k: self.times[k,][0])
        return self.sites[k].target != "return" and all(any(same(v, g) for g in self.inputs) for v in self.values[k,])

    def begins_empty(self, place):
        """dW = np.zeros(...), or what reads it before it is filled."""
        return not self.sites[place[0]].fills and not any(np.any(value) for value in self.values[place])

    def computes_right(self, place):
        """Whether a place computes, and does not only read, one of the quantities that the equations name.

        The first value tells: later ones may be wrong because something else was.
        """
        if self.sites[place[0]].plain or self.got(place) is None:
            return False
        first = self.values[place][0]
        if any(same(first, one) for given in self.inputs for one in (given, *given)):
            return False  # 0 + dy[t] is dy_t, and no computation
        return any(same(first, values[0]) for _, values, _ in self.fits(place, usual=True))

    def incoming(self, mend):
        """What the place computes when everything before it is right: its own error, not one it was given."""
        self.with_values(mend.place, mend.values)
        incoming = self.watch.incoming
        if len(incoming) != len(mend.values) or self.came_right(mend.values):
            return self.got(mend.place)
        return np.stack(incoming)


def forms(truth):
    """The layouts in which people keep a quantity: (array, is its first axis time, False if time runs backwards)."""
    values = truth.values
    if truth.constant:
        return [(values, False, True)]
    found = [(values, truth.steps)]
    if values.ndim == 2 or (truth.steps and values.ndim == 3):
        found.append((np.swapaxes(values, -1, -2), truth.steps))
    if truth.steps and values.ndim == 3:
        T, B, N = values.shape
        rows = values.reshape(T * B, N)
        found += [(rows, False), (rows.T, False), (values.swapaxes(0, 1), False)]
        for G in (3, 4):
            if N % G == 0:
                blocks = values.reshape(T, B, G, N // G).swapaxes(1, 2)
                found.append((blocks, True))
                found += [(blocks[:, :n], True) for n in range(2, G)]
    if values.ndim == 1 + truth.steps:  # a bias kept as a column or a row
        found += [(values[..., None], truth.steps), (values[..., None, :], truth.steps)]
    if not truth.steps and values.ndim == 3:
        found.append((values.reshape(-1, values.shape[2]), False))
    found = [(form, time_first, True) for form, time_first in found]
    if truth.steps and values.ndim == 3 and len(values) > 1:
        found.append((values[::-1], False, False))
    return found
