"""Which edit of the program makes everything right?

First those of which it is known without a run that they give a statement the value that it needs (screening.py,
synthesis.py). Then the other edits of edits.py, the likeliest first: those of statements that could be wrong
(suspects.py), and of these the smallest.
"""

import ast
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from compare.learner.search import edits, expressions, syntax, truths
from compare.learner.search.screening import GapScreen, StatementScreen
from compare.learner.search.suspects import Investigation
from compare.learner.search.switches import Workshop
from compare.learner.search.synthesis import FAR, Synthesis

# What the search may cost, in microseconds of runs as a Workshop counts them.
EDITING, MORE, SOLVING, MEASURING, SETTLING = 3_000_000, 400_000, 3_000_000, 500_000, 1_000_000  # MORE: after a fix
MORE_FOR_INSERTED = 1_200_000  # after one that inserts a line
CHUNK = 300  # edits that are compiled into one program
MARGIN = 0.3  # how much costlier than the first right edit another one may be and still be named
TAKEN_APART = 0.8  # is added for a statement that only gives parts of something their own names
HEADER = 0.3  # of the misfit of what a header contains: another number of turns changes more than one value
UNKNOWN, IMPOSSIBLE, INNOCENT = 0.6, 3.0, 0.8  # what is added to the cost of an edit of such a statement
LEAST = 0.6  # what an edit costs at least
LIKELY = 1.2  # what is added for an edit of a likely statement at most
UNUSED = 0.4  # is added if the edit takes away the last use of a variable, and subtracted if it is the first


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
    """

    def __init__(self, workshop: Workshop, investigation: Investigation | None = None, known: list | None = None):
        self.workshop = workshop
        self.costs, self.suspects, self.truths, self.possible, self.screens = {}, [], [], [], {}
        self.new, self.undecided, self.by_truth, self.working, self.limit = [], [], [], [], np.inf
        self.wrong, self.gradient_entries, self.times = None, 1, {}
        self.solving, self.done = iter(()), set()  # done: the slots of which is known whether there is a screen
        if workshop.right is not None and not workshop.right.all():
            self.investigation = investigation = investigation or Investigation(workshop)
            self.suspects, self.wrong = investigation.suspects, investigation.wrong
            self.solving = investigation.solve_all(workshop.runs_for(SOLVING))
            next(self.solving)
            self.truths = known or truths.measured(investigation, workshop.runs_for(MEASURING))
            self.gradient_entries = max(1, len(self.wrong) - int(investigation.outputs.sum()))
            for k, place in enumerate(workshop.facts):
                self.times[place] = k
                self.times.setdefault(place[0], k)
            self.prepare_screens()
        self.bodies = set()  # the ids of the blocks that are the bodies of functions
        self.variables = {}  # id of a block -> what its function stores, how often it reads it, and unread_in
        self.count_uses()

    def limited_to(self, only: np.ndarray) -> "Search":
        """The same search, if only some entries of the results count."""
        return Search(self.workshop, self.investigation.limited_to(only), self.truths)

    def prepare_screens(self):
        """A screen for each statement of which another value would do, and for the gap before that value is read.

        Those of statements that had one before remain; new: the others.
        """
        slots, investigation, self.new = self.workshop.slots, self.investigation, []
        self.settled = truths.settled(investigation, self.truths, self.workshop.runs_for(SETTLING))
        self.count_costs()
        for one in self.suspects:
            slot = slots.all[one.slot - 1]
            if not one.possible or slot.at != "in" or one.slot in self.done:
                continue
            self.done.add(one.slot)
            screen = StatementScreen(investigation, one)
            if screen.usable() and screen.decides:
                self.screens[one.slot] = screen
                self.new.append(screen)
            elif screen.usable() and one.slot in self.settled:
                self.by_truth.append(StatementScreen(investigation, self.settled[one.slot]))
                self.new.append(self.by_truth[-1])
            elif screen.usable():
                self.undecided.append(screen)
            gap, target = edits.gap_before_reading(slot, one.leaf)
            if gap is not None:
                self.add_gap_screen(one, slots.of(slot.block, gap, "before"), target)

        for one in investigation.between:
            if one.possible and one.slot not in self.done:
                self.done.add(one.slot)
                self.costs[one.slot] = 0.0
                self.add_gap_screen(one, one.slot, ast.Name(investigation.names[one.slot], ast.Store()))

    def add_gap_screen(self, suspect, number: int, target):
        """A screen for the gap with this number, where `target` may have to change, if values can be judged there."""
        screen = GapScreen(self.investigation, suspect, self.workshop.slots.all[number - 1], target)
        if screen.usable() and screen.decides:
            self.new.append(screen)

    def count_costs(self):
        """What is added to the cost of an edit at each slot."""
        slots = self.workshop.slots
        self.judge_suspects()
        by_statement = {}
        for one in self.suspects:
            statement = self.node(one.slot)
            extra = {True: 0.0, None: UNKNOWN, False: IMPOSSIBLE if self.possible else UNKNOWN}[one.possible]
            if isinstance(statement, ast.Expr):  # its value is what is passed on, not what it does
                extra = min(extra, 0.3)
            extra += 0.3 * self.misfit(one.moved) + (one.rank / self.gradient_entries) ** 2
            extra += TAKEN_APART * syntax.takes_apart(statement)
            self.costs[one.slot] = extra + INNOCENT * one.innocent / (1 + one.last_right)
            moved = one.moved
            if isinstance(statement, ast.Expr) and not moved.any():  # what it computes is lost
                self.costs[one.slot], moved = 0.0, self.wrong
            by_statement.setdefault(id(statement), moved)
        filled = {self.investigation.names[one.slot]: one.moved for one in self.investigation.between}
        for function in syntax.functions(self.workshop.subject.tree):
            for _, block in syntax.blocks(function):
                fits = []
                for index, statement in enumerate(block):
                    inside = [by_statement[id(s)] for s in ast.walk(statement) if id(s) in by_statement]
                    fits.append(self.misfit(np.any(inside, axis=0)) if inside else 1.0)
                    self.costs.setdefault(slots.of(block, index, "header"), HEADER * fits[-1])
                    whole = filled.get(syntax.changed_in_place(statement))  # what another entry of the array moves
                    fit = fits[-1] if whole is None else min(fits[-1], self.misfit(whole))
                    self.costs[slots.of(block, index, "move")] = 0.1 + 0.5 * fit
                for index in range(len(block) + 1):
                    self.costs[slots.of(block, index, "before")] = min(fits[max(0, index - 1) : index + 1], default=1.0)
            if self.workshop.judge.strict:  # what is kept is set to zero where other things are, or add up
                place, start = edits.place_of_resets(function.body), edits.is_docstring(function.body[0])
                adds = any(isinstance(node, ast.AugAssign) for node in ast.walk(function))
                self.costs[slots.of(function.body, place, "before")] = 0.0 if place > start else 0.1 if adds else 0.3

    def node(self, slot):
        return self.workshop.slots.all[slot - 1].node

    def judge_suspects(self):
        """Which suspects hold right values already, or should hold a value that has a name.

        Where a statement's values are right, the mistake comes after it: all before it are innocent, too. So is a
        statement that only makes room, with zeros, and one that would have to change a value that is right. Of those
        that should hold a value with a name only the first says something: if it did, so would all after it.
        """
        possible = [one for one in self.suspects if one.possible]
        for one in possible:
            one.order = self.when(self.node(one.slot))
            expected = [leaf for time in one.expected for leaf in one.chosen(time)]
            is_right = one.slot in self.settled or self.is_right(expected)
            one.named = is_right and not self.returns(one.slot)  # what is returned always has a name
        held = {one.slot: [leaf for time in one.found for leaf in one.chosen(time)] for one in possible}
        right = [one for one in possible if self.is_right(held[one.slot], whole=True) and not self.returns(one.slot)]
        last_right = max((one.order for one in right), default=-1)
        for one in possible:
            only_zeros = not any(map(np.any, held[one.slot]))
            one.innocent = one.order <= last_right or only_zeros or self.spoils(one, held[one.slot])
            one.last_right = one.order == last_right
        first = min((one.order for one in possible if one.named and not one.innocent), default=np.inf)
        for one in possible:  # what comes after the first with a name would be right after it
            one.named = one.named and one.order <= first
        apart = {one.slot for one in possible if syntax.takes_apart(self.node(one.slot))}

        def likely(one):
            in_forward = self.investigation.in_forward(self.node(one.slot).lineno)
            return one.slot in apart, one.innocent, self.returns(one.slot), in_forward, not one.named, one.order

        self.working = sorted(possible, key=likely)
        working = [one for one in self.working if one.slot not in apart]
        self.possible = [one for one in working if one.rank < 0.9 * self.gradient_entries]

    def spoils(self, suspect, held) -> bool:
        """Whether what a statement should hold would replace a value that is right."""
        needed = [leaf for time in suspect.expected for leaf in suspect.chosen(time)]
        pairs = [(a, b) for a, b in zip(held, needed, strict=False) if a.shape == b.shape]
        return any(self.is_right([a], whole=True) and not np.allclose(a, b, 1e-6) for a, b in pairs)

    def when(self, statement) -> int:
        """When a statement had its first value; what it calls had its values before."""
        value = getattr(statement, "value", None)
        return self.times.get(syntax.position(value), self.times.get(statement.lineno, len(self.times)))

    def returns(self, slot) -> bool:
        """Whether a statement returns the results: it can always set the wrong ones, so that this says little."""
        statement, last_line = self.node(slot), next(reversed(self.workshop.lines))
        return isinstance(statement, ast.Return) and statement.lineno <= last_line <= statement.end_lineno

    def is_right(self, values, *, whole: bool = False) -> bool:
        """Whether a statement's values are among the measured right gradients; whole: a share of one is not enough."""
        arrays = [leaf for leaf in values if leaf.size > 1 or leaf.ndim]
        known = [truth for truth in self.truths if not (whole and truth.is_share)]
        return bool(arrays) and all(any(truth.is_same(one) for truth in known) for one in arrays)

    def misfit(self, moved) -> float:
        """0 when exactly the wrong entries move; up to 2.5 when a wrong entry does not move and right ones do."""
        both, either = (moved & self.wrong).sum(), (moved | self.wrong).sum()
        return 1.5 * (1 - both / max(1, either)) + bool((self.wrong & ~moved).any())

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
            return low < self.costs.get(slot, UNKNOWN) <= high

        found = edits.all_edits(w.subject.tree, w.facts, w.lines, w.slots, worth) if low < high else ()
        return (one for one in found if low < self.extra(one) <= high and not edits.puts_into_itself(one))

    def cost(self, edit) -> float:
        """The cost of an edit where it is made."""
        return edit.cost + self.extra(edit) + UNUSED * self.unused(edit)

    def unused(self, edit) -> int:
        """1 if an edit takes away the last use of a variable or of its value, -1 if it is the first use."""
        slots = [self.workshop.slots.all[slot - 1] for slot, _ in edit.changes]
        if edit.kind == "move":
            return -self.nothing_reads(slots[0])
        old = [slot.replaced() for slot in slots if slot.at in ("in", "header")]
        new = [one for _, change in edit.changes for one in (change if isinstance(change, list) else [change])]
        before, after = (frozenset().union(*map(syntax.reads, nodes)) for nodes in (old, new))
        if before == after:
            return 0
        stored, uses, _ = self.variables[id(slots[0].block)]
        gone = Counter(name for node in old for name in syntax.every_read(node))
        lost = any(name in stored and uses[name] == gone[name] for name in before - after)
        return lost - any(name in stored and not uses[name] for name in after - before)

    def nothing_reads(self, slot) -> bool:
        """Whether what a statement stores, outside of loops and branches, is not read after it."""
        stored, after = syntax.stores([slot.node]), slot.block[slot.index + 1 :]
        read = frozenset().union(*map(syntax.reads, after))
        return id(slot.block) in self.bodies and bool(stored) and not stored & read

    def count_uses(self):
        for function in syntax.functions(self.workshop.subject.tree):
            uses = Counter(syntax.every_read(function))
            stored = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
            stored |= syntax.stores([function])
            lists = [block for _, block in syntax.blocks(function)]
            unread = expressions.unread_in(s for block in lists for s in block)
            self.bodies.add(id(function.body))
            self.variables |= {id(block): (stored, uses, unread) for block in lists}

    def extra(self, edit) -> float:
        slots = [slot for slot, _ in edit.changes] if edit.judged_by is None else [edit.judged_by]
        return max(self.costs.get(slot, UNKNOWN) for slot in slots)

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
        screens = sorted(self.new, key=lambda one: self.costs.get(one.slot, UNKNOWN))
        built = sorted(self.built(screens[:most]), key=lambda one: self.costs.get(one.screen.slot, UNKNOWN))
        yield self.in_order([*found, *(edit for one in built for edit in one.near())])
        for one in built:  # what is found for the first may end the search
            if self.costs.get(one.screen.slot, UNKNOWN) + FAR <= self.limit and (found := list(one.far())):
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
            own = [one for one in screens if self.node(one.slot) in statements]
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
        _, _, unread = self.variables[id(screen.block)]
        if unread & (syntax.reads(new[0]) - syntax.reads(self.node(slot))):  # it has its right value once it is read
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
                has_change = any(fix.general and fix.edit.kind != "insert" for fix in whole)
                if not has_change:  # an insertion may be beaten by a change, which is looked for longer
                    more = MORE_FOR_INSERTED if edit.kind == "insert" else MORE
                    runs = min(runs, count + self.workshop.runs_for(more))
                whole.append(Fix(edit, cost, len(right)))
                self.limit = min(self.limit, cost + MARGIN)
            elif base is not None and not (base & ~right).any() and right.sum() > base.sum():
                some.append(Fix(edit, cost, int(right.sum() - base.sum())))
        return self.likeliest(whole), sorted(some, key=lambda fix: (-fix.gain, fix.cost))

    def likeliest(self, fixes: list[Fix]) -> list[Fix]:
        """Those that cost about as little as the cheapest; first what is not inserted, and not in forward."""
        fixes = [fix for fix in fixes if fix.general] or fixes
        cheapest = min((fix.cost for fix in fixes), default=0)
        return sorted((fix for fix in fixes if fix.cost <= cheapest + MARGIN), key=self.place)

    def place(self, fix) -> tuple:
        in_forward = self.wrong is not None and self.investigation.in_forward(fix.edit.line)
        return fix.edit.kind == "insert", in_forward, fix.cost
