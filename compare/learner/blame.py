"""Which line is wrong: the one whose correction would make every result right.

The learner's program runs on a small problem again and again. In each run the values that one line stores are replaced,
at all steps at once, by one of the quantities that the equations name (substitute.py). Nothing is assumed about names
or style: a line is found because correct values in its place fix the results. The same question is then asked of the
parts of that line, and of the earlier lines that the wrong part came from.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from compare.learner.substitute import CLOSER, Fix, same


@dataclass(frozen=True)
class Found:
    """A wrong line. site: what to point at; part: the piece of it that is wrong, or the whole.

    truth: the quantity expected there; got, expected: (n, ...) what the place computes each time when everything before
    it is right, and what it should compute; steps: the step of each time, or None; whole: False when the correct values
    fix only some of the results; others: (name, values) of the other quantities that would fit there; terms: (name,
    values) of each step's term of the sum in a weight's gradient.
    """

    site: object
    part: object
    truth: object
    got: np.ndarray
    expected: np.ndarray
    steps: list
    whole: bool
    others: list
    terms: list


def find(trials):
    """The place that stored the first wrong value, as a Found; None when no single place fixes any result."""
    if trials.base is None or trials.base.all():
        return None
    stored = {k for place in trials.order for k in place if trials.sites[k].kind == "store"}
    # a statement that stores a tuple, or no numbers, is seen only by its parts
    places = [p for p in trials.order if p[0] in stored or trials.sites[p[0]].store not in stored]
    # reading a weight is never wrong; using it may be, and that shows in the line that uses it
    places = [p for p in places if not any(same(trials.values[p][0], weight) for weight in trials.weights)]
    # a place that computes a right quantity, or only returns a variable, is probably not the cause: try these last
    returning = [p for p in places if trials.sites[p[0]].target == "return" and trials.sites[p[0]].plain]
    innocent = [p for p in places if p not in returning and (trials.computes_right(p) or trials.begins_empty(p))]
    suspects = [p for p in places if p not in returning and p not in innocent]
    partial = None
    for group, forwards in product((suspects, innocent, returning), (True, False)):
        whole, some = first_fix(trials, group, forwards)
        if whole and group is suspects:  # unless an innocent place before it lacks only a term or a factor
            whole = nearly(trials, innocent) or whole
        if whole:
            return finish(trials, whole)
        if some and (partial is None or some.first < partial.first):
            partial = some
    return finish(trials, partial) if partial else None


def nearly(trials, innocent):
    """The Fix of a place that computes a right quantity, but one term or factor short of the one expected there.

    A variable that holds the quantity it is named after is left out: dh may hold dh_t.
    """
    for place in innocent:
        got, fits = trials.values[place][0], trials.fits(place, usual=True)
        held = {truth.name.removesuffix("_t") for truth, values, _ in fits if same(got, values[0])}
        if trials.sites[place[0]].target in held:
            continue
        for fix in trials.fixes(place, forwards=False):
            if fix.mask.all() and is_simple(found(trials, fix)):
                return fix
    return None


def first_fix(trials, places, forwards):
    """The earliest Fix at these places that fixes all results, and the earliest that fixes some (each may be None).

    forwards: True for values stored from the first step to the last, False for all others.
    """
    whole, some = None, None
    for place in places:
        if trials.times[place][0] > trials.latest:
            break
        for fix in trials.fixes(place, forwards=forwards):
            if fix.mask.all() and not trials.only_takes_input(place):
                whole, trials.latest = fix, fix.first
            elif (some is None or fix.first < some.first) and not trials.reads_input(place):
                some = fix
    return whole, some


def finish(trials, fix):
    trials.latest = len(trials.watch.notes)
    trials.runs = max(trials.runs, CLOSER)
    return closer(trials, fix)


def closer(trials, fix, moved=0):
    """The smallest part of the line that fixes as much, or the earlier line where that part got its values."""
    here = found(trials, fix)
    if is_simple(here):
        return here
    stores = {trials.sites[k].store for k in fix.place}
    parts = [p for p in trials.order if trials.sites[p[0]].kind == "part" and trials.sites[p[0]].store in stores]
    for p in sorted(parts, key=lambda p: trials.sites[p[0]].size):
        for smaller in trials.fixes(p):
            if np.array_equal(smaller.mask, fix.mask):
                earlier = origin(trials, smaller) if moved < 3 else None
                return closer(trials, earlier, moved + 1) if earlier else found(trials, smaller)
    site = trials.sites[fix.place[0]]
    earlier = (
        origin(trials, fix)
        if moved < 3 and (site.plain or (site.in_place and moved == 0 and len(fix.values) > 1))
        else None
    )
    return closer(trials, earlier, moved + 1) if earlier else here


def origin(trials, fix):
    """The Fix of the earlier statement that gave a part, or the variable that `+=` adds to, its wrong values.

    This is a store into the name that the part reads; in another function, an argument or a returned value.
    """
    here, got = trials.sites[fix.place[0]], trials.incoming(fix)
    wrong = [m for m in range(len(got)) if not same(got[m], fix.values[m])]
    adds = here.kind == "store" and here.in_place  # +=: its old value is not among its parts
    name = base_name(here) if here.kind == "store" and not adds else here.target
    for q in trials.order:
        site = trials.sites[q[0]]
        if len(q) > 1 or q[0] in fix.place:
            continue
        into_name = site.kind == "store" and name and name in site.target.split(", ")
        from_call = site.target == "return" or (site.argument and site.function != here.function)
        if not (from_call and not adds) and not (into_name and site.function == here.function):
            continue
        if into_name and (is_load(site) or trials.reads_input(q)):
            continue  # only fetched under its own name, or the start of a loop
        if trials.computes_right(q) and site.target != fix.truth.name.removesuffix("_t"):
            continue  # computed correctly; what uses it is wrong
        new = carried_back(trials, q, fix, got, wrong, adds)
        if new is None:
            continue
        mask = trials.with_values(q, new)
        if mask is not None and np.array_equal(mask, fix.mask):
            steps = fix.steps if len(new) == len(fix.values) else None
            return Fix(q, fix.truth, new, steps, trials.times[q][0], mask)
    return None


def carried_back(trials, q, fix, got, wrong, adds):
    """What place q should have stored to make the wrong entries of `got` right; None when they did not come from it."""
    new, changed = list(trials.values[q]), {}
    for m in wrong:
        before = [j for j, when in enumerate(trials.times[q]) if when < trials.times[fix.place][m]]
        if not before:
            return None
        j, value = before[-1], fix.values[m]
        if adds:
            value = trials.values[q][j] + (fix.values[m] - got[m]) if new[j].shape == value.shape else None
        elif not same(trials.values[q][j], trials.values[fix.place][m]):
            return None
        if value is None or (j in changed and not same(changed[j], value)):
            return None
        changed[j] = new[j] = value
    return np.stack(new) if all(one.shape == new[0].shape for one in new) else None


def found(trials, fix):
    got = trials.incoming(fix)
    m = next((m for m in range(len(got)) if not same(got[m], fix.values[m])), 0)
    when = trials.times[fix.place][m]
    k = next(k for k in fix.place if when in trials.times[k,])  # of several stores, the one that was wrong first
    others = [(t.name, values) for t, values, in_steps in trials.fits(fix.place) if in_steps == fix.steps]
    terms = [(t.name, t.values) for t in trials.truths if t.name.startswith("step t's term of")]
    whole = bool(fix.mask.all())
    return Found(written(trials, k), trials.sites[k], fix.truth, got, fix.values, fix.steps, whole, others, terms)


def written(trials, k):
    """The site to point at: k itself, or, when its statement only passes a variable on, the one that filled it."""
    site = trials.sites[k]
    store = trials.sites[site.store]
    returned = store.target == "return"
    if not store.plain or ("[" in store.text and not (returned and ":" in store.text)):
        return site
    name, when = base_name(store), trials.times[k,][-1]
    into = [
        (trials.sites[q].fills, trials.times[q,][-1], q)
        for q in (place[0] for place in trials.order if len(place) == 1)
        if trials.sites[q].kind == "store"
        and trials.sites[q].target == name
        and trials.times[q,][0] < when
        and trials.sites[q].function == store.function
        and (trials.sites[q].fills or (returned and not trials.computes_right((q,))))
    ]
    return trials.sites[max(into)[2]] if into else site


def is_simple(found):
    """Whether the value differs from the expected one by a single term or factor, so that no smaller part is needed."""
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
    """c = cache["c"], W = self.W: fetched under its own name."""
    words = "".join(letter if letter.isalnum() or letter == "_" else " " for letter in site.text).split()
    return site.plain and bool(words) and words[-1] == site.target and site.text != site.target
