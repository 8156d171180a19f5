"""Which edit of the program makes everything right?

First come the edits that are known, without a run, to give a statement the value that it needs (screening.py,
synthesis.py). Then the other edits of edits.py follow, the likeliest first: those of statements that could be wrong
(suspects.py), and of these the smallest (costs.py).
"""

import ast
import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from compare.learner.search import edits, expressions, syntax, truths
from compare.learner.search.costs import Costs, Uses
from compare.learner.search.screening import GapScreen, StatementScreen
from compare.learner.search.suspects import Investigation
from compare.learner.search.switches import Workshop
from compare.learner.search.synthesis import FAR, Synthesis

# What the search may cost, in estimated microseconds of run time, see Workshop.runs_for.
EDITING, MORE, SOLVING, MEASURING, SETTLING = 3_000_000, 400_000, 3_000_000, 500_000, 1_000_000  # MORE: after a fix
CHUNK = 300  # edits that are compiled into one program
MARGIN = 0.3  # how much costlier than the first right edit another one may be and still be named
LEAST = 0.6  # the smallest cost of an edit, without that of its slot
LIKELY = 1.2  # the largest cost of a likely slot


@dataclass
class Fix:
    """An edit, and how many of the wrong entries it makes right (gain; all of them if it is a fix).

    general: whether it is also right for arrays of other sizes, as far as that is known.
    """

    edit: edits.Edit
    cost: float
    gain: int
    general: bool = True


class Search:
    """All edits of a program in the order in which they are tried.

    investigation, known: its statements and its right gradients (truths.py), where an earlier search has them.

    screens: slot -> the screen of a statement whose value is judged without a run; others: the screens of statements
    of which one right value is known only, or none; new: the screens with which nothing was tried yet; done: the slots
    of which is known whether they have a screen; solving: goes on to solve for right values, see solve_all; limit: the
    largest cost of an edit that is still tried.
    """

    def __init__(self, workshop: Workshop, investigation: Investigation | None = None, known: list | None = None):
        self.workshop, self.uses, self.costs = workshop, Uses(workshop), Costs(workshop, None, [], {})
        self.suspects, self.truths, self.screens, self.settled, self.wrong = [], [], {}, {}, None
        self.new, self.others, self.limit, self.solving, self.done = [], [], np.inf, iter(()), set()
        if workshop.right is not None and not workshop.right.all():
            self.investigation = investigation = investigation or Investigation(workshop)
            self.suspects, self.wrong = investigation.suspects, investigation.wrong
            self.solving = investigation.solve_all(workshop.runs_for(SOLVING))
            next(self.solving)
            self.truths = known or truths.measured(investigation, workshop.runs_for(MEASURING))
            self.prepare_screens()

    def limited_to(self, only: np.ndarray) -> "Search":
        """The same search, if only some entries of the results count."""
        return Search(self.workshop, self.investigation.limited_to(only), self.truths)

    def prepare_screens(self):
        """Make a screen for each statement whose value could be wrong, and for the gap before that value is read.

        Those of statements that had one before remain.
        """
        slots, investigation, self.new = self.workshop.slots, self.investigation, []
        self.settled = truths.settled(investigation, self.truths, self.workshop.runs_for(SETTLING))
        self.costs = Costs(self.workshop, investigation, self.truths, self.settled)
        for one in self.suspects:
            slot = slots[one.slot]
            if not one.possible or slot.at != "in" or one.slot in self.done:
                continue
            self.done.add(one.slot)
            self.add_screen(one)
            gap, target = edits.gap_before_reading(slot, one.leaf)
            if gap is not None:
                self.add_gap_screen(one, slots.of(slot.block, gap, "before"), target)

        for one in investigation.between:
            if one.possible and one.slot not in self.done:
                self.done.add(one.slot)
                self.add_gap_screen(one, one.slot, ast.Name(investigation.names[one.slot], ast.Store()))

    def add_screen(self, suspect):
        """A screen for a statement, with one of its right values if only that one is known to belong there."""
        screen = StatementScreen(self.investigation, suspect)
        if not screen.usable():
            return
        if screen.decides:
            self.screens[suspect.slot] = screen
            self.new.append(screen)
        elif suspect.slot in self.settled:
            self.others.append(StatementScreen(self.investigation, self.settled[suspect.slot]))
            self.new.append(self.others[-1])
        else:
            self.others.append(screen)

    def add_gap_screen(self, suspect, number: int, target):
        """A screen for the gap with this number, where `target` may have to change, if values can be judged there."""
        screen = GapScreen(self.investigation, suspect, self.workshop.slots[number], target)
        if screen.usable() and screen.decides:
            self.new.append(screen)

    def queue(self) -> Iterator[tuple]:
        """(cost, edit), cheapest first: those at the likely slots, then the others.

        Edits are made when they may be the next: those at a slot cost at least LEAST more than the slot.
        """
        waiting, low, count = [], -np.inf, itertools.count()
        for high in (0.3, 0.6, 0.9, LIKELY, np.inf):
            most = min(high, self.limit - LEAST)
            for one in self.edits_between(low, most):
                heapq.heappush(waiting, (self.cost(one), next(count), one))
            end = np.inf if high >= LIKELY else high + LEAST
            while waiting and waiting[0][0] <= end:
                cost, _, one = heapq.heappop(waiting)
                yield cost, one
            low = high

    def edits_between(self, low: float, high: float) -> Iterator[edits.Edit]:
        """The edits at slots with such costs."""
        w = self.workshop

        def worth(slot):
            return low < self.costs.of(slot) <= high

        found = edits.all_edits(w.subject.tree, w.facts, w.lines, w.slots, worth) if low < high else ()
        return (one for one in found if low < self.costs.of_edit(one) <= high and not edits.puts_into_itself(one))

    def cost(self, edit) -> float:
        """The cost of an edit where it is made."""
        return edit.cost + self.costs.of_edit(edit) + self.uses.cost(edit)

    def screened(self, most: int | None = None) -> Iterator[list]:
        """Lists of (cost, edit) whose value is what a statement needs.

        First those of the statements that fit best, then, while nothing is found, those of the others. most: for how
        many statements, the likeliest, expressions are built; None for all.
        """
        yield from self.screened_now(most)
        for _ in self.solving if self.limit == np.inf else ():
            self.prepare_screens()
            yield from self.screened_now(most)
            if self.limit < np.inf:
                return

    def screened_now(self, most: int | None) -> Iterator[list]:
        """The same for the statements with new screens: lists, cheapest first, and first the one that costs less."""
        w = self.workshop
        slots = {one.slot for one in self.new}
        found = edits.all_edits(w.subject.tree, w.facts, w.lines, w.slots, slots.__contains__)
        found = [one for one in found if self.passes(one)]
        screens = sorted(self.new, key=lambda one: self.costs.of(one.slot))
        built = sorted(self.built(screens[:most]), key=lambda one: self.costs.of(one.screen.slot))
        yield self.in_order([*found, *(edit for one in built for edit in one.near())])
        for one in built:  # what is found for the first may end the search
            if self.costs.of(one.screen.slot) + FAR <= self.limit and (found := list(one.far())):
                yield self.in_order(found)

    def in_order(self, found: list) -> list[tuple]:
        """(cost, edit), cheapest first."""
        ranked = sorted((self.cost(one), k) for k, one in enumerate(found))
        return [(cost, found[k]) for cost, k in ranked]

    def built(self, screens) -> Iterator[Synthesis]:
        """What can be put in the place of a statement's value, or of a part of it."""
        w = self.workshop
        for function in syntax.functions(w.subject.tree):
            statements = [s for _, block in syntax.blocks(function) for s in block]
            own = [one for one in screens if w.slots[one.slot].node in statements]
            if not own:
                continue
            scope = expressions.Scope(function, w.facts, statements)
            scope.borrow(w.subject.tree)
            for screen in own:
                yield Synthesis(screen, scope)

    def passes(self, edit) -> bool | None:
        """Whether an edit gives a statement the value that it needs; None if it is not only its value that changes."""
        (slot, new), *more = edit.changes
        screen = self.screens.get(slot)
        if more or screen is None or len(new) != 1 or syntax.is_copy(edit.after):  # a copy has the same value
            return None
        if self.uses.begins_to_use(self.workshop.slots[slot], new[0]):  # it has its right value once it is read
            return None
        return screen.judges(new[0])

    def tried(self):
        """(cost, edit, right or None): the queue, compiled piece by piece, with what each edit makes right."""
        for piece in self.screened():
            yield from self.tried_together(piece)
        queue = (one for one in self.queue() if self.passes(one[1]) is None)
        while piece := [one for one, _ in zip(queue, range(CHUNK), strict=False) if one[0] <= self.limit]:
            yield from self.tried_together(piece)

    def tried_together(self, piece):
        chosen, on, w = {}, [], self.workshop
        for _, one in piece:
            on.append({})
            for slot, new in one.changes:
                chosen.setdefault(slot, []).append(new)
                on[-1][slot] = len(chosen[slot])
        try:
            program, switches = w.with_switches(chosen)
        except (SyntaxError, TypeError):  # one of them is not valid Python
            if len(piece) > 1:
                half = len(piece) // 2
                yield from self.tried_together(piece[:half])
                yield from self.tried_together(piece[half:])
            return
        for (cost, edit), mine in zip(piece, on, strict=True):
            if cost > self.limit:
                return
            for slot, k in mine.items():
                switches[slot] = k
            vector = w.vector(program)
            for slot in mine:
                switches[slot] = 0
            yield cost, edit, w.judge.right(vector)

    def fixes(self, verify: Callable) -> tuple[list[Fix], list[Fix]]:
        """The edits after which all is right, cheapest first; and those that make some entries right and none wrong."""
        whole, some, base, runs = [], [], self.workshop.right, self.workshop.runs_for(EDITING)
        for count, (cost, edit, right) in enumerate(self.tried()):
            if count >= runs:
                break
            if right is None:
                continue
            fits, general = verify(edit) if right.all() else (False, False)
            if fits and not general:
                whole.append(Fix(edit, cost, len(right), general=False))
            elif fits:
                runs = min(runs, count + self.workshop.runs_for(MORE))
                whole.append(Fix(edit, cost, len(right)))
                self.limit = min(self.limit, cost + MARGIN)
            elif base is not None and not (base & ~right).any() and right.sum() > base.sum():
                some.append(Fix(edit, cost, int(right.sum() - base.sum())))
        return self.likeliest(whole), sorted(some, key=lambda fix: (-fix.gain, fix.cost))

    def likeliest(self, fixes: list[Fix]) -> list[Fix]:
        """Those that cost about as little as the cheapest."""
        found = sorted([fix for fix in fixes if fix.general] or fixes, key=lambda fix: fix.cost)
        return [fix for fix in found if fix.cost <= found[0].cost + MARGIN]
