"""The line to point at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from compare.learner.search.repair import Fix, Search
from compare.learner.search.several import best_fix, parts_of
from compare.learner.search.switches import Judge, Subject, Workshop, switched
from compare.learner.search.words import finding_for_fix, finding_without_fix, findings_for_two, uncertain
from compare.learner.verdict.report import SHAPES, VALUES, Finding

ROOM = 2**31  # bytes
TRIES = 3  # edits that make some entries right, after which a second mistake is looked for
PATIENCE = 0.5  # the share of the time for a first search that each of the later ones gets


def located(subject: Subject, index: int, stage: str, confirm: Callable, tell: Callable) -> list[Finding]:
    """Where the mistake is: one Finding, two for two mistakes, none if nothing is known.

    tell: called with what is known before a second mistake is looked for.
    """
    with bounded_memory():
        search, whole, some = searched(subject, index, stage, confirm)
        if whole:
            return [finding_for_fix(search, whole)]
        # fixes that work in this case, but not in all
        here = [fix for fix in some if search.wrong is not None and fix.gain == search.wrong.sum()]
        tell(likely(search, here or some[:1], [], sure=not here))
        parts, tried = [], []
        search.workshop.patience = PATIENCE
        for first in islice(here or first_fixes(search, some, parts), TRIES):
            tried.append(first)
            right, general = verified(search, first.edit, confirm)
            if right:  # not verified earlier: the search ran out of its budget
                return [finding_for_fix(search, [replace(first, general=general)])]
            rest = Subject(subject.source, subject.file, subject.bind, edited_tree(search.workshop, first.edit))
            second, found, _ = searched(rest, wrong_case(rest, index), stage, confirm, PATIENCE)
            if found:
                return findings_for_two(
                    finding_for_fix(search, [first]),
                    finding_for_fix(second, found),
                    found[0].edit,
                    subject.source.split("\n"),
                )
        return likely(search, tried, parts, sure=not here)


def likely(search: Search, tried: list[Fix], parts: list[Search], *, sure: bool) -> list[Finding]:
    """The line to look at, if no edits are known after which everything is right.

    sure: whether the values of one statement explain everything that is wrong, in all cases.
    """
    if search.costs.possible and sure:
        return [finding_without_fix(search, search.costs.possible[0])]
    if tried:
        return [uncertain(search, max(tried, key=lambda fix: fix.gain))]
    for one in (*reversed(parts), search):
        if one.costs.possible or one.costs.working:
            return [finding_without_fix(one, (one.costs.possible or one.costs.working)[0])]
    return []


def first_fixes(search: Search, some: list[Fix], parts: list[Search]) -> Iterator[Fix]:
    """The edits that make some entries right and none wrong, each as it is found; parts: filled with the searches."""
    for part in parts_of(search) if search.wrong is not None else ():
        parts.append(part)
        if (fix := best_fix(part, search)) is not None:
            yield fix
    yield from some


def wrong_case(subject: Subject, otherwise: int) -> int:
    """The first case that a program gets wrong."""
    program, cases = subject.bind(subject.module())
    for index, case in enumerate(cases):
        judge = Judge(case)
        with suppress(Exception):
            right = judge.check(program)
            if right is not None and not right.all():
                return index
    return otherwise


@contextmanager
def bounded_memory():
    """Let a change of the program that asks for more than ROOM bytes fail, rather than the machine (not on Windows)."""
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + ROOM if soft == resource.RLIM_INFINITY else min(soft, used + ROOM)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    except (ImportError, OSError, ValueError):
        yield
        return
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def searched(subject, index, stage, confirm, patience=1.0) -> tuple[Search, list[Fix], list[Fix]]:
    """The search in a program: (it, the edits after which all is right, those that make some entries right)."""
    search = Search(Workshop(subject, index, strict=stage not in (SHAPES, VALUES), patience=patience))
    return search, *search.fixes(lambda edit: verified(search, edit, confirm))


def verified(search: Search, edit, confirm: Callable) -> tuple[bool, bool]:
    """Whether all is right after an edit, and whether it is in general, too."""
    subject = search.workshop.subject
    try:
        tree = edited_tree(search.workshop, edit)
        right = confirm(subject.module(tree))
        return right, right and confirm.in_general(subject.module(tree))
    except KeyboardInterrupt:
        raise
    except BaseException:
        return False, False


def edited_tree(workshop, edit):
    """The program with an edit."""
    chosen = {slot: [new] for slot, new in edit.changes}
    return switched(workshop.subject.tree, workshop.slots, chosen, edited=True)
