"""Run a learner's program again and again, each time with other values in one place.

A place is a tuple of sites (instrument.py): usually one, or all the stores into one variable, which together hold its
steps. The values to try there are the quantities that the equations name (problems.py), where number and shape fit.
"""

import time
from dataclasses import dataclass

import numpy as np

RUNS = 2000  # runs of the program before the search gives up: about a second
CLOSER = 600  # runs to narrow down what was found
SECONDS = 5  # a limit for slow programs and slow machines


@dataclass(frozen=True)
class Fix:
    """Values that, put at a place, make some wrong results right and no right result wrong.

    first: when the first value that differs was stored, as an index into the order of all values seen; steps: the step
    of each value, or None; mask: which entries of the results are right with these values.
    """

    place: tuple
    truth: object
    values: np.ndarray
    steps: list
    first: int
    mask: np.ndarray


def close(a, b):
    """Which entries are equal up to rounding, measured by the largest entry of b."""
    scale = np.abs(b).max(initial=0, where=np.isfinite(b))
    with np.errstate(invalid="ignore", over="ignore"):
        return (np.abs(a - b) <= 1e-9 * scale) | (a == b) | (np.isnan(a) & np.isnan(b))


def same(a, b):
    return a.shape == b.shape and bool(close(a, b).all())


class Trials:
    """The learner's program on one problem.

    run: a function that runs it and returns a list of arrays, or raises; expected: the right arrays; watch: the
    Watch of instrument.py.
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
        """The places with more than one site: a variable that is created in one line and updated in another."""
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
        """Which entries of the results are right, as one array of booleans; None when the program does not run."""
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

    def would_store(self, values):
        """Whether the place would have stored these values itself, had everything before it been right."""
        incoming = self.watch.incoming
        return len(incoming) == len(values) and all(same(a, b) for a, b in zip(incoming, values, strict=True))

    def got(self, place):
        """(n, ...): what was stored each time, or None when the shapes differ."""
        values = self.values[place]
        return np.stack(values) if all(value.shape == values[0].shape for value in values) else None

    def fits(self, place, usual=False):
        """Every (truth, values, steps) that fits a place, by the number and shape of the values that it stored.

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

    def fixes(self, place, forwards=None):
        """Every Fix of a place. forwards: True or False, see blame.first_fix; None for both."""
        got, tried = self.got(place), set()
        if got is None:
            return
        for truth, values, steps in self.fits(place):
            if self.runs <= 0 or time.perf_counter() > self.end:
                return
            key = values.tobytes()
            if key in tried:  # with few steps and rows, many layouts are the same
                continue
            tried.add(key)
            if forwards is not None and forwards != (steps is not None and steps[0] < steps[-1]):
                continue
            wrong = [not same(one, other) for one, other in zip(got, values, strict=True)]
            if not any(wrong) or self.times[place][wrong.index(True)] > self.latest:
                continue
            mask = self.with_values(place, values)
            if mask is None or not (mask | ~self.base).all() or mask.sum() <= self.base.sum():
                continue
            if not self.would_store(values):
                yield Fix(place, truth, values, steps, self.times[place][wrong.index(True)], mask)

    def reads_input(self, place):
        """Whether a place only reads an input of the function, which cannot be wrong."""
        first = self.values[place][0]
        return self.sites[place[0]].plain and any(same(first, given) for given in self.inputs)

    def only_takes_input(self, place):
        """Whether a variable only takes an input, as in dh = dh_n: if it is wrong later, another line is the cause."""
        k = min(place, key=lambda k: self.times[k,][0])
        return self.sites[k].target != "return" and all(any(same(v, g) for g in self.inputs) for v in self.values[k,])

    def begins_empty(self, place):
        """Whether a place only holds zeros: dW = np.zeros(...), or what reads it before it is filled."""
        return not self.sites[place[0]].fills and not any(np.any(value) for value in self.values[place])

    def computes_right(self, place):
        """Whether a place computes, rather than only reads, one of the quantities that the equations name.

        Decided by the first value: later ones may be wrong because of another line.
        """
        if self.sites[place[0]].plain or self.got(place) is None:
            return False
        first = self.values[place][0]
        if any(same(first, one) for given in self.inputs for one in (given, *given)):
            return False  # 0 + dy[t] is just dy_t
        return any(same(first, values[0]) for _, values, _ in self.fits(place, usual=True))

    def incoming(self, fix):
        """What the place computes when everything before it is right: its own error, not an inherited one."""
        self.with_values(fix.place, fix.values)
        incoming = self.watch.incoming
        if len(incoming) != len(fix.values) or self.would_store(fix.values):
            return self.got(fix.place)
        return np.stack(incoming)


def forms(truth):
    """The layouts in which programs store a quantity: (array, first axis is time, time runs forwards)."""
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
