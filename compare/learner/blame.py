"""Which line is wrong: the one that, had it stored the right thing, would have made every result right.

The learner's program runs on a small problem, and each time what one line stores is replaced by one of the quantities
that the equations name, at all steps at once (trials.py). Nothing is assumed about names or style: a line is found
because putting the truth there mends the results. The same is then asked of the parts of that line, and of the lines
that the part's value came from.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from compare.learner.substitute import CLOSER, Mend, same


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


def find(trials):
    """The place where the first wrong value was stored, as a Found; None when no single place mends anything."""
    if trials.base is None or trials.base.all():
        return None
    stored = {k for place in trials.order for k in place if trials.sites[k].kind == "store"}
    # of a statement that stores a tuple, or anything but numbers, only the parts are seen
    places = [p for p in trials.order if p[0] in stored or trials.sites[p[0]].store not in stored]
    # a weight is what it is; whether it is used as it should be shows where it is used
    places = [p for p in places if not any(same(trials.values[p][0], weight) for weight in trials.weights)]
    # What computes a right quantity is not to blame for what becomes of it, nor what hands a variable to the
    # caller: both are asked last.
    handing = [p for p in places if trials.sites[p[0]].target == "return" and trials.sites[p[0]].plain]
    innocent = [p for p in places if p not in handing and (trials.computes_right(p) or trials.begins_empty(p))]
    suspects = [p for p in places if p not in handing and p not in innocent]
    partial = None
    for group, forwards in product((suspects, innocent, handing), (True, False)):
        whole, some = first_mend(trials, group, forwards)
        if whole and group is suspects:  # unless an innocent one before it lacks but a term or a factor
            whole = nearly(trials, innocent) or whole
        if whole:
            return finish(trials, whole)
        if some and (partial is None or some.first < partial.first):
            partial = some
    return finish(trials, partial) if partial else None


def nearly(trials, innocent):
    """The Mend of a place that computes a right quantity, and one factor or term short of the one it should be.

    Not where a variable holds what it is called after: dh is dh_t, whatever is made of it.
    """
    for place in innocent:
        got, fits = trials.values[place][0], trials.fits(place, usual=True)
        held = {truth.name.removesuffix("_t") for truth, values, _ in fits if same(got, values[0])}
        if trials.sites[place[0]].target in held:
            continue
        for mend in trials.mends(place, forwards=False):
            if mend.mask.all() and is_simple(found(trials, mend)):
                return mend
    return None


def first_mend(trials, places, forwards):
    """Of these places the Mend that comes first: (of all that is wrong, of some of it), None where there is none.

    forwards: take only what a loop from the first step to the last would store, else only the rest.
    """
    whole, some = None, None
    for place in places:
        if trials.times[place][0] > trials.latest:
            break
        for mend in trials.mends(place, forwards=forwards):
            if mend.mask.all() and not trials.only_hands_in(place):
                whole, trials.latest = mend, mend.first
            elif (some is None or mend.first < some.first) and not trials.reads_input(place):
                some = mend
    return whole, some


def finish(trials, mend):
    trials.latest = len(trials.watch.notes)
    trials.runs = max(trials.runs, CLOSER)
    return closer(trials, mend)


def closer(trials, mend, moved=0):
    """Within the line: the smallest part that mends as much; and the earlier line that this part came from."""
    here = found(trials, mend)
    if is_simple(here):
        return here
    stores = {trials.sites[k].store for k in mend.place}
    parts = [p for p in trials.order if trials.sites[p[0]].kind == "part" and trials.sites[p[0]].store in stores]
    for p in sorted(parts, key=lambda p: trials.sites[p[0]].size):
        for smaller in trials.mends(p):
            if np.array_equal(smaller.mask, mend.mask):
                earlier = origin(trials, smaller) if moved < 3 else None
                return closer(trials, earlier, moved + 1) if earlier else found(trials, smaller)
    site = trials.sites[mend.place[0]]
    earlier = (
        origin(trials, mend)
        if moved < 3 and (site.plain or (site.in_place and moved == 0 and len(mend.values) > 1))
        else None
    )
    return closer(trials, earlier, moved + 1) if earlier else here


def origin(trials, mend):
    """The Mend of the earlier statement from which a part, or the variable that `+=` adds to, got its wrong values.

    That is a store into the name that the part reads, or, from another function, an argument or what it returned.
    """
    here, got = trials.sites[mend.place[0]], trials.incoming(mend)
    wrong = [m for m in range(len(got)) if not same(got[m], mend.values[m])]
    adds = here.kind == "store" and here.in_place  # +=: its own old value is not among its parts
    name = base_name(here) if here.kind == "store" and not adds else here.target
    for q in trials.order:
        site = trials.sites[q[0]]
        if len(q) > 1 or q[0] in mend.place:
            continue
        into_name = site.kind == "store" and name and name in site.target.split(", ")
        from_call = site.target == "return" or (site.argument and site.function != here.function)
        if not (from_call and not adds) and not (into_name and site.function == here.function):
            continue
        if into_name and (is_load(site) or trials.reads_input(q)):
            continue  # fetched under its own name, or the start of a loop: as it should be
        if trials.computes_right(q) and site.target != mend.truth.name.removesuffix("_t"):
            continue  # a right quantity, rightly computed: what is made of it is wrong
        new = carried_back(trials, q, mend, got, wrong, adds)
        if new is None:
            continue
        mask = trials.with_values(q, new)
        if mask is not None and np.array_equal(mask, mend.mask):
            steps = mend.steps if len(new) == len(mend.values) else None
            return Mend(q, mend.truth, new, steps, trials.times[q][0], mask)
    return None


def carried_back(trials, q, mend, got, wrong, adds):
    """What place q should have stored for the wrong ones of `got` to come out right; None if they are not its."""
    new, changed = list(trials.values[q]), {}
    for m in wrong:
        before = [j for j, when in enumerate(trials.times[q]) if when < trials.times[mend.place][m]]
        if not before:
            return None
        j, value = before[-1], mend.values[m]
        if adds:
            value = trials.values[q][j] + (mend.values[m] - got[m]) if new[j].shape == value.shape else None
        elif not same(trials.values[q][j], trials.values[mend.place][m]):
            return None
        if value is None or (j in changed and not same(changed[j], value)):
            return None
        changed[j] = new[j] = value
    return np.stack(new) if all(one.shape == new[0].shape for one in new) else None


def found(trials, mend):
    got = trials.incoming(mend)
    m = next((m for m in range(len(got)) if not same(got[m], mend.values[m])), 0)
    when = trials.times[mend.place][m]
    k = next(k for k in mend.place if when in trials.times[k,])  # of several stores, the one that was wrong first
    others = [(t.name, values) for t, values, in_steps in trials.fits(mend.place) if in_steps == mend.steps]
    shares = [(t.name, t.values) for t in trials.truths if "share" in t.name]
    whole = bool(mend.mask.all())
    return Found(written(trials, k), trials.sites[k], mend.truth, got, mend.values, mend.steps, whole, others, shares)


def written(trials, k):
    """The site to point at: k itself, or, where its statement only hands a variable on, what filled that."""
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
