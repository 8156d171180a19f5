"""Two mistakes: what does one of them alone make wrong?

No single statement can correct the entries that two mistakes make wrong together. But some wrong entries nearly
always come from one of them only. So for each statement this looks for the wrong entries that another value there
would correct without making others wrong. With those, the search for a single mistake begins again.
"""

from collections.abc import Iterator

import numpy as np

from compare.learner.search.repair import Fix, Search
from compare.learner.search.suspects import MOST, columns_of

SETTING = 500_000  # what it may cost, in microseconds of runs
PARTS = 2  # sets of wrong entries of each of two kinds that are tried
SCREENS = 6  # statements of each part for which expressions are built
GROUPS = 12  # of wrong entries that are tried together
CLOSE, NOISE = 1e-6, 1e-7  # relative: what differences of the results resolve, and their error


def parts_of(search: Search) -> Iterator[Search]:
    """The search once more, limited to some of the wrong entries, and to those that are right.

    First to the entries of one array: that costs nothing. Then to those that one statement can set right.
    """
    for entries in (some for find in (by_array, settable) for some in find(search)[:PARTS]):
        only = ~search.wrong
        only[entries] = True
        yield search.limited_to(only)


def best_fix(part: Search, search: Search) -> Fix | None:
    """Of the edits after which all entries of a part are right, one after which most others are."""
    only, found = part.investigation.only, []
    most = search.workshop.runs_for(SETTING)
    for piece in part.screened(SCREENS):
        for cost, edit, right in part.tried_together(piece[:most]):
            if right is not None and right[only].all():
                found.append(Fix(edit, cost, int((right & search.wrong).sum())))
        if found:
            break
    best = [fix for fix in found if fix.gain == max(one.gain for one in found)]
    return part.likeliest(best)[0] if best else None


def settable(search: Search) -> list[list[int]]:
    """Sets of wrong entries that another value of one statement makes right without making others wrong.

    First those that say most: they have many more entries than the statement can set one by one.
    """
    found, groups = {}, wrong_together(search)
    last = search.workshop.runs + search.workshop.runs_for(SETTING)
    for suspect in search.suspects:
        if search.workshop.runs < last and not search.costs.returns(suspect.slot):
            surplus, entries = set_by(search, suspect, groups)
            if 0 < len(entries) < search.wrong.sum():
                key = tuple(sorted(entries))
                found[key] = max(surplus, found.get(key, 0))
    return sorted(map(list, found), key=lambda entries: (-found[tuple(entries)], -len(entries)))


def by_array(search: Search) -> list[np.ndarray]:
    """The wrong entries of each array, if there are several: two mistakes may be in one return statement.

    First those that the fewest statements have a part in.
    """
    expected = search.workshop.judge.case.expected
    names = np.array([name for name, value in expected.items() for _ in range(value.size)])
    wrong = search.wrong[: len(names)]
    found = [np.flatnonzero(wrong & (names == name)) for name in expected]
    found = [entries for entries in found if 0 < entries.size < wrong.sum()]
    return sorted(found, key=lambda entries: sum(one.moved[entries].any() for one in search.suspects))


def wrong_together(search: Search) -> list[list[int]]:
    """The wrong entries of one array that depend on the same statements, in groups, the largest first."""
    groups, expected = {}, search.workshop.judge.case.expected
    names = [name for name, value in expected.items() for _ in range(value.size)]
    for entry in np.flatnonzero(search.wrong[: len(names)]):
        slots = tuple(one.slot for one in search.suspects if one.moved[entry])
        groups.setdefault((names[entry], slots), []).append(entry)
    return sorted(groups.values(), key=len, reverse=True)[:GROUPS]


def set_by(search: Search, suspect, groups) -> tuple[int, list[int]]:
    """(surplus, entries): those of the groups that a change of a statement's values makes right, with no other changed.

    surplus: how many more they are than the numbers that the statement can choose. A group that it can set to whatever
    it likes says nothing.
    """
    investigation = search.investigation
    base, found = investigation.run(suspect.slot), investigation.probe.values
    which = np.flatnonzero(columns_of(found, suspect.leaf))
    if base is None or not 0 < which.size <= MOST or not suspect.moved[search.wrong].any():
        return 0, []
    jacobian = investigation.jacobian(suspect.slot, np.zeros(columns_of(found, None).size), base, which)
    error = investigation.expected - base
    if jacobian is None or not np.isfinite(error).all():
        return 0, []
    try:
        _, singular, directions = np.linalg.svd(np.linalg.qr(jacobian[~search.wrong], mode="r"))
        reach = jacobian @ directions[rank_of(singular) :].T  # what can be changed without making anything wrong
        good = [group for group in groups if suspect.moved[group].all() and is_reached(reach[group], error[group])]
        good.sort(key=lambda group: -surplus_of(reach[group]))
        together, surplus = [], 0
        for group in good:
            more = [*together, *group]
            if surplus_of(reach[more]) >= surplus + bool(surplus) and is_reached(reach[more], error[more]):
                together, surplus = more, surplus_of(reach[more])
    except np.linalg.LinAlgError:
        return 0, []
    return surplus, together


def surplus_of(reach) -> int:
    return len(reach) - rank_of(np.linalg.svd(reach, compute_uv=False))


def rank_of(singular) -> int:
    return int((singular > NOISE * singular.max(initial=0)).sum())


def is_reached(reach, error) -> bool:
    if not reach.shape[1]:
        return False
    best = np.linalg.lstsq(reach, error, rcond=NOISE)[0]
    return bool((np.abs(reach @ best - error) <= CLOSE * np.abs(error).max()).all())
