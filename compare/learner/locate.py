"""Which line is wrong: the one that, had it stored the right thing, would have made every result right.

The learner's program runs again and again on a small problem. Each time what one line stores is replaced by one of the
quantities that the equations name (problems.py), at all steps at once. Nothing is assumed about names or style: a line
is found because putting the truth there mends the results. The same is then asked of the parts of that line, and of the
lines that the part's value came from.

A place is a tuple of sites (probe.py): mostly one, or all the stores into one variable, which share its steps.
"""

import time
from dataclasses import dataclass
from itertools import product

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


@dataclass(frozen=True)
class Found:
    """A wrong line. site: what to point at; part: the piece of it that is wrong, or the whole.

    truth: what belongs there; got, expected: (n, ...) what the place computes each time when all before it is right,
    and what it should; steps: the step of each time, or None; whole: False when more is wrong than this; others: (name,
    values) of the other quantities that would fit there; shares: (name, values) of each step's share of a gradient.
    """

    site: object
    part: object
    truth: object
    got: np.ndarray
    expected: np.ndarray
    steps: list
    whole: bool
    others: list
    shares: list


def close(a, b):
    """Equal up to rounding, entry by entry, by the size of the largest."""
    scale = np.abs(b).max(initial=0, where=np.isfinite(b))
    with np.errstate(invalid="ignore", over="ignore"):
        return (np.abs(a - b) <= 1e-9 * scale) | (np.isnan(a) & np.isnan(b))


def same(a, b):
    return a.shape == b.shape and bool(close(a, b).all())


class Search:
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

    def find(self):
        """The place where the first wrong value was stored, as a Found; None when no single place mends anything."""
        if self.base is None or self.base.all():
            return None
        stored = {k for place in self.order for k in place if self.sites[k].kind == "store"}
        # of a statement that stores a tuple, or anything but numbers, only the parts are seen
        places = [p for p in self.order if p[0] in stored or self.sites[p[0]].store not in stored]
        # a weight is what it is; whether it is used as it should be shows where it is used
        places = [p for p in places if not any(same(self.values[p][0], weight) for weight in self.weights)]
        # What computes a right quantity is not to blame for what becomes of it, nor what hands a variable to the
        # caller: both are asked last.
        handing = [p for p in places if self.sites[p[0]].target == "return" and self.sites[p[0]].plain]
        innocent = [p for p in places if p not in handing and self.computes_right(p)]
        suspects = [p for p in places if p not in handing and p not in innocent]
        partial = None
        for group, forwards in product((suspects, innocent, handing), (False, True)):
            whole, some = self.first_mend(group, forwards)
            if whole:
                return self.finish(whole)
            if some and (partial is None or some.first < partial.first):
                partial = some
        return self.finish(partial) if partial else None

    def first_mend(self, places, forwards):
        """Of these places the Mend that comes first: (of all that is wrong, of some of it), None where there is none.

        forwards: take only what a loop from the first step to the last would store, else only the rest.
        """
        whole, some = None, None
        for place in places:
            if self.times[place][0] > self.latest:
                break
            for mend in self.mends(place, forwards=forwards):
                if mend.mask.all():
                    whole, self.latest = mend, mend.first
                elif (some is None or mend.first < some.first) and not self.reads_input(place):
                    some = mend
        return whole, some

    def reads_input(self, place):
        """Whether a place only reads what the function was given: that cannot be wrong in itself."""
        first = self.values[place][0]
        return self.sites[place[0]].plain and any(same(first, given) for given in self.inputs)

    def finish(self, mend):
        self.latest = len(self.watch.notes)
        self.runs = max(self.runs, CLOSER)
        return self.closer(mend)

    def computes_right(self, place):
        """Whether a place computes, and does not only read, one of the quantities that the equations name.

        The first value tells: later ones may be wrong because something else was.
        """
        if self.sites[place[0]].plain or self.got(place) is None:
            return False
        first = self.values[place][0]
        return any(same(first, values[0]) for _, values, _ in self.fits(place, usual=True))

    def closer(self, mend, moved=0):
        """Within the line: the smallest part that mends as much; and the earlier line that this part came from."""
        here = self.found(mend)
        if is_simple(here):
            return here
        stores = {self.sites[k].store for k in mend.place}
        parts = [p for p in self.order if self.sites[p[0]].kind == "part" and self.sites[p[0]].store in stores]
        for p in sorted(parts, key=lambda p: self.sites[p[0]].size):
            for smaller in self.mends(p):
                if np.array_equal(smaller.mask, mend.mask):
                    earlier = self.origin(smaller) if moved < 3 else None
                    return self.closer(earlier, moved + 1) if earlier else self.found(smaller)
        site = self.sites[mend.place[0]]
        earlier = self.origin(mend) if moved < 3 and (site.plain or (site.in_place and moved == 0)) else None
        return self.closer(earlier, moved + 1) if earlier else here

    def origin(self, mend):
        """The Mend of the earlier statement from which a part, or the variable that `+=` adds to, got its wrong values.

        That is a store into the name that the part reads, or, from another function, an argument or what it returned.
        """
        here, got = self.sites[mend.place[0]], self.incoming(mend)
        wrong = [m for m in range(len(got)) if not same(got[m], mend.values[m])]
        adds = here.kind == "store" and here.in_place  # +=: its own old value is not among its parts
        name = base_name(here) if here.kind == "store" and not adds else here.target
        for q in self.order:
            site = self.sites[q[0]]
            if len(q) > 1 or q[0] in mend.place:
                continue
            into_name = site.kind == "store" and name and name in site.target.split(", ")
            from_call = site.target == "return" or (site.argument and site.function != here.function)
            if not (from_call and not adds) and not (into_name and site.function == here.function):
                continue
            if into_name and (is_load(site) or self.reads_input(q)):
                continue  # fetched under its own name, or the start of a loop: as it should be
            if self.computes_right(q) and site.target != mend.truth.name.removesuffix("_t"):
                continue  # a right quantity, rightly computed: what is made of it is wrong
            new = self.carried_back(q, mend, got, wrong, adds)
            if new is None:
                continue
            mask = self.with_values(q, new)
            if mask is not None and np.array_equal(mask, mend.mask):
                steps = mend.steps if len(new) == len(mend.values) else None
                return Mend(q, mend.truth, new, steps, self.times[q][0], mask)
        return None

    def carried_back(self, q, mend, got, wrong, adds):
        """What place q should have stored for the wrong ones of `got` to come out right; None if they are not its."""
        new, changed = list(self.values[q]), {}
        for m in wrong:
            before = [j for j, when in enumerate(self.times[q]) if when < self.times[mend.place][m]]
            if not before:
                return None
            j, value = before[-1], mend.values[m]
            if adds:
                value = self.values[q][j] + (mend.values[m] - got[m]) if new[j].shape == value.shape else None
            elif not same(self.values[q][j], self.values[mend.place][m]):
                return None
            if value is None or (j in changed and not same(changed[j], value)):
                return None
            changed[j] = new[j] = value
        return np.stack(new) if all(one.shape == new[0].shape for one in new) else None

    def incoming(self, mend):
        """What the place computes when everything before it is right: its own error, not one it was given."""
        self.with_values(mend.place, mend.values)
        incoming = self.watch.incoming
        if len(incoming) != len(mend.values) or self.came_right(mend.values):
            return self.got(mend.place)
        return np.stack(incoming)

    def found(self, mend):
        got = self.incoming(mend)
        m = next((m for m in range(len(got)) if not same(got[m], mend.values[m])), 0)
        when = self.times[mend.place][m]
        k = next(k for k in mend.place if when in self.times[k,])  # of several stores, the one that was wrong first
        others = [(t.name, values) for t, values, in_steps in self.fits(mend.place) if in_steps == mend.steps]
        shares = [(t.name, t.values) for t in self.truths if "share" in t.name]
        whole = bool(mend.mask.all())
        return Found(self.written(k), self.sites[k], mend.truth, got, mend.values, mend.steps, whole, others, shares)

    def written(self, k):
        """The site to point at: k itself, or, where its statement only hands a variable on, what filled that."""
        site = self.sites[k]
        store = self.sites[site.store]
        returned = store.target == "return"
        if not store.plain or ("[" in store.text and not (returned and ":" in store.text)):
            return site
        name, when = base_name(store), self.times[k,][-1]
        into = [
            (self.sites[q].fills, self.times[q,][-1], q)
            for q in (place[0] for place in self.order if len(place) == 1)
            if self.sites[q].kind == "store"
            and self.sites[q].target == name
            and self.times[q,][0] < when
            and self.sites[q].function == store.function
            and (self.sites[q].fills or (returned and not self.computes_right((q,))))
        ]
        return self.sites[max(into)[2]] if into else site


def is_simple(found):
    """Whether what stands there is what belongs there but for one term or factor: no smaller part says it better."""
    with np.errstate(all="ignore"):
        return any(
            same(found.expected - found.got, values)
            or (np.all(values) and np.all(found.got) and same(found.got * values, found.expected))
            or (np.all(values) and np.all(found.got) and same(found.got, found.expected * values))
            for _, values in found.others
        )


def base_name(site):
    """The variable that a plain store reads: dh of `return dh`, dW of `dW[:, 0]`."""
    return site.text.split("[")[0].strip()


def is_load(site):
    """c = cache["c"], W = self.W: fetched under the name that it has there."""
    words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in site.text).split()
    return site.plain and bool(words) and words[-1] == site.target and site.text != site.target


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
