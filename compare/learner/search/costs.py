"""How likely an edit is: what it costs, by where it is made, and by the variables that it uses.

An edit is likelier at a statement that could be wrong, and of these at one that moves the wrong entries and no others.
"""

import ast
from collections import Counter

import numpy as np

from compare.learner.search import edits, expressions, syntax
from compare.learner.search.suspects import Investigation, Suspect
from compare.learner.search.switches import Workshop

TAKEN_APART = 0.8  # is added for a statement that only gives parts of something their own names
HEADER = 0.3  # of the misfit of what a header contains: another number of turns changes more than one value
UNKNOWN, IMPOSSIBLE, INNOCENT = 0.6, 3.0, 0.8  # what is added to the cost of an edit of such a statement
IN_FORWARD, NAMED = 0.2, 0.05  # is added in forward; is subtracted where a value with a name should be
UNUSED = 0.4  # is added if the edit takes away the last use of a variable, and subtracted if it is the first


class Costs:
    """What is added to the cost of an edit at each slot of a program.

    investigation: None if nothing is known, because the program does not run; working: the suspects of which another
    value would do, the likeliest first; possible: the same without those that can nearly always set the wrong results
    right.
    """

    def __init__(self, workshop: Workshop, investigation: Investigation | None, truths: list, settled: dict):
        self.workshop, self.investigation, self.truths, self.settled = workshop, investigation, truths, settled
        self.at, self.times, self.working, self.possible = {}, {}, [], []
        if investigation is not None:
            self.suspects, self.wrong = investigation.suspects, investigation.wrong
            self.count()

    def count(self):
        workshop, investigation = self.workshop, self.investigation
        self.gradient_entries = max(1, len(self.wrong) - int(investigation.outputs.sum()))
        for k, place in enumerate(workshop.facts):
            self.times[place] = k
            self.times.setdefault(place[0], k)
        self.judge_suspects()
        self.working = sorted((one for one in self.suspects if one.possible), key=self.unlikely)
        apart = (one for one in self.working if not syntax.takes_apart(self.node(one.slot)))
        self.possible = [one for one in apart if one.rank < 0.9 * self.gradient_entries]
        moved = self.count_statements()
        for function in syntax.functions(workshop.subject.tree):
            for _, block in syntax.blocks(function):
                self.count_places(block, moved)
            if workshop.judge.strict:
                self.count_resets(function)
        self.at |= {one.slot: 0.0 for one in investigation.between if one.possible}
        for slot in self.at:
            self.at[slot] += IN_FORWARD * investigation.in_forward(self.node(slot).lineno)

    def of(self, slot: int) -> float:
        return self.at.get(slot, UNKNOWN)

    def of_edit(self, edit) -> float:
        slots = [slot for slot, _ in edit.changes] if edit.judged_by is None else [edit.judged_by]
        return max(map(self.of, slots))

    def node(self, slot: int) -> ast.stmt:
        return self.workshop.slots[slot].node

    # ---- the suspects ----

    def judge_suspects(self):
        """Which suspects hold right values already, or should hold a value that has a name.

        Where a statement's values are right, the mistake comes after it: all before it are innocent, too. So is a
        statement that only makes room, with zeros, and one that would have to change a value that is right. Of those
        that should hold a value with a name only the first says something: if it did, so would all after it.
        """
        possible = [one for one in self.suspects if one.possible]
        held = {one.slot: [leaf for time in one.found for leaf in one.chosen(time)] for one in possible}
        needed = {one.slot: [leaf for time in one.expected for leaf in one.chosen(time)] for one in possible}
        for one in possible:
            one.order = self.when(self.node(one.slot))
        right = [one for one in possible if self.is_right(held[one.slot], whole=True) and not self.returns(one.slot)]
        last_right = max((one.order for one in right), default=-1)
        for one in possible:
            only_zeros = not any(map(np.any, held[one.slot]))
            one.innocent = one.order <= last_right or only_zeros or self.spoils(held[one.slot], needed[one.slot])
            one.last_right = one.order == last_right
            # what is returned always has a name; and of a second call, everything may be right at the first
            says_nothing = self.returns(one.slot) or self.workshop.judge.strict
            one.named = not says_nothing and (one.slot in self.settled or self.is_right(needed[one.slot]))
        first = min((one.order for one in possible if one.named and not one.innocent), default=np.inf)
        for one in possible:  # what comes after the first with a name would be right after it
            one.named = one.named and one.order <= first

    def unlikely(self, suspect: Suspect) -> tuple:
        """The order of the suspects."""
        statement = self.node(suspect.slot)
        in_forward = self.investigation.in_forward(statement.lineno)
        is_apart, returns = syntax.takes_apart(statement), self.returns(suspect.slot)
        return is_apart, suspect.innocent, returns, in_forward, not suspect.named, suspect.order

    def when(self, statement) -> int:
        """When a statement had its first value; what it calls had its values before."""
        value = getattr(statement, "value", None)
        return self.times.get(syntax.position(value), self.times.get(statement.lineno, len(self.times)))

    def returns(self, slot: int) -> bool:
        """Whether a statement returns the results: it can always set the wrong ones, so that this says little."""
        statement, last_line = self.node(slot), next(reversed(self.workshop.lines))
        return isinstance(statement, ast.Return) and statement.lineno <= last_line <= statement.end_lineno

    def is_right(self, values, *, whole: bool = False) -> bool:
        """Whether a statement's values are among the measured right gradients; whole: a share of one is not enough."""
        arrays = [leaf for leaf in values if leaf.size > 1 or leaf.ndim]
        known = [truth for truth in self.truths if not (whole and truth.is_share)]
        return bool(arrays) and all(any(truth.is_same(one) for truth in known) for one in arrays)

    def spoils(self, held, needed) -> bool:
        """Whether what a statement should hold would replace a value that is right."""
        pairs = [(a, b) for a, b in zip(held, needed, strict=False) if a.shape == b.shape]
        return any(self.is_right([a], whole=True) and not np.allclose(a, b, 1e-6) for a, b in pairs)

    # ---- the places ----

    def count_statements(self) -> dict[int, np.ndarray]:
        """The costs of edits of statements. Returns the id of each -> the entries of the results that it moves."""
        by_statement = {}
        for one in self.suspects:
            statement, moved = self.node(one.slot), one.moved
            extra = {True: 0.0, None: UNKNOWN, False: IMPOSSIBLE if self.possible else UNKNOWN}[one.possible]
            if isinstance(statement, ast.Expr):  # its value is what is passed on, not what it does
                extra = min(extra, 0.3)
            extra += 0.3 * self.misfit(moved) + (one.rank / self.gradient_entries) ** 2
            extra += TAKEN_APART * syntax.takes_apart(statement) - NAMED * one.named
            self.at[one.slot] = extra + INNOCENT * one.innocent / (1 + one.last_right)
            if isinstance(statement, ast.Expr) and not moved.any():  # what it computes is lost
                self.at[one.slot], moved = 0.0, self.wrong
            by_statement.setdefault(id(statement), moved)
        return by_statement

    def count_places(self, block, moved: dict):
        """The costs of edits at headers and gaps, and of those that move statements. moved: see count_statements."""
        slots, fits = self.workshop.slots, []
        filled = {self.investigation.names[one.slot]: one.moved for one in self.investigation.between}
        for index, statement in enumerate(block):
            inside = [moved[id(s)] for s in ast.walk(statement) if id(s) in moved]
            fits.append(self.misfit(np.any(inside, axis=0)) if inside else 1.0)
            self.at.setdefault(slots.of(block, index, "header"), HEADER * fits[-1])
            whole = filled.get(syntax.changed_in_place(statement))  # what another entry of the array moves
            fit = fits[-1] if whole is None else min(fits[-1], self.misfit(whole))
            self.at[slots.of(block, index, "move")] = 0.1 + 0.5 * fit
        for index in range(len(block) + 1):
            self.at[slots.of(block, index, "before")] = min(fits[max(0, index - 1) : index + 1], default=1.0)

    def count_resets(self, function):
        """What is kept from call to call is set to zero where other things are, or else where something adds up."""
        place, start = edits.place_of_resets(function.body), edits.is_docstring(function.body[0])
        adds = any(isinstance(node, ast.AugAssign) for node in ast.walk(function))
        self.at[self.workshop.slots.of(function.body, place, "before")] = 0.0 if place > start else 0.1 if adds else 0.3

    def misfit(self, moved) -> float:
        """0 when exactly the wrong entries move; up to 2.5 when a wrong entry does not move and right ones do."""
        both, either = (moved & self.wrong).sum(), (moved | self.wrong).sum()
        return 1.5 * (1 - both / max(1, either)) + bool((self.wrong & ~moved).any())


class Uses:
    """How often the functions of a program read their variables."""

    def __init__(self, workshop: Workshop):
        self.slots, self.bodies = workshop.slots, set()  # bodies: the ids of the blocks that are those of functions
        self.variables = {}  # id of a block -> what its function stores, how often it reads it, and unread_in
        for function in syntax.functions(workshop.subject.tree):
            uses = Counter(syntax.every_read(function))
            stored = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
            stored |= syntax.stores([function])
            lists = [block for _, block in syntax.blocks(function)]
            unread = expressions.unread_in(s for block in lists for s in block)
            self.bodies.add(id(function.body))
            self.variables |= {id(block): (stored, uses, unread) for block in lists}

    def cost(self, edit) -> float:
        """What is added to the cost of an edit."""
        slots = [self.slots[slot] for slot, _ in edit.changes]
        if edit.kind == "move":
            return -UNUSED * self.nothing_reads(slots[0])
        old = [slot.replaced() for slot in slots if slot.at in ("in", "header")]
        new = [one for _, change in edit.changes for one in (change if isinstance(change, list) else [change])]
        before, after = (frozenset().union(*map(syntax.reads, nodes)) for nodes in (old, new))
        if before == after:
            return 0.0
        stored, uses, _ = self.variables[id(slots[0].block)]
        gone = Counter(name for node in old for name in syntax.every_read(node))
        is_last = any(name in stored and uses[name] == gone[name] for name in before - after)
        is_first = any(name in stored and not uses[name] for name in after - before)
        return UNUSED * (is_last - is_first)

    def nothing_reads(self, slot) -> bool:
        """Whether what a statement stores, outside of loops and branches, is not read after it."""
        stored, after = syntax.stores([slot.node]), slot.block[slot.index + 1 :]
        read = frozenset().union(*map(syntax.reads, after))
        return id(slot.block) in self.bodies and bool(stored) and not stored & read

    def begins_to_use(self, slot, new) -> bool:
        """Whether a new statement at a slot reads what loops set, but nothing has read so far."""
        _, _, unread = self.variables[id(slot.block)]
        return bool(unread & (syntax.reads(new) - syntax.reads(slot.node)))
