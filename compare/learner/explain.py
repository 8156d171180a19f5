"""In words: what was found in the wrong place, compared with what is expected there."""

import numpy as np

from compare.learner.substitute import same


def evidence(found, problem):
    """What is certain about the wrong values: a list of sentences without capital and full stop, the clearest first.

    found: a blame.Found; problem: the Problem that was run.
    """
    with np.errstate(all="ignore"):
        return _evidence(found, problem)


def _evidence(found, problem):
    got, expected, wanted = found.got, found.expected, quoted(found.truth.name)
    others = [(quoted(name), values) for name, values in found.others if name != found.truth.name]

    if not np.any(got):
        return ["found: only zeros"]
    held = [name for name, values in others if same(got, values)]
    if held:
        missing = [name for name, values in others if same(expected - got, values)]
        factor = [name for name, values in others if np.all(values) and same(got * values, expected)]
        more = [f"this term is missing: {missing[0]}"] if missing else []
        more += [f"this factor is missing: {factor[0]}"] if factor else []
        return [f"found: {held[0]}", *more]
    for factor, words in factors(problem, wanted):
        if same(got, factor * expected):
            return [f"found: {words}"]
    square = got.ndim >= 2 and got.shape[-1] == got.shape[-2]
    if square and same(got, expected.swapaxes(-1, -2)):
        return [f"found: {wanted} transposed"]
    by_step = found.steps and len(got) > 1
    if by_step and (same(got[1:], expected[:-1]) or same(got[:-1], expected[1:])):
        return [f"found: {wanted} of the neighbouring step, off by one"]
    gated = any(word in found.truth.name for word in ("da_t", "du_t", "dv_t", "dW", "db"))
    swapped = blocks_swapped(got, expected) if gated else None
    if swapped:
        return [f"the blocks of {swapped} are swapped"]
    if np.all(got * expected) and same(got * expected, np.ones_like(got)):
        return [f"found: 1 / {wanted}, the reciprocal"]
    if blocks_transposed(got[0], expected[0]):
        return [f"found: {wanted} with the block of each gate transposed"]
    limit = np.abs(got).max()
    clips = "max_norm" not in problem.given
    if clips and np.any(np.abs(expected) > limit) and same(got, np.clip(expected, -limit, limit)):
        return [f"found: {wanted} clipped to {limit:g}; backward must return the unclipped gradient"]
    sentences = terms(found, wanted)
    for name, values in others:
        if same(expected - got, values):
            sentences.append(f"this term is missing: {name}")
        elif same(got - expected, values):
            sentences.append(f"there is one term too many: {name}")
        elif same(expected - got, 2 * values):
            sentences.append(f"this term has the wrong sign: {name}")
        elif not np.all(values):
            continue  # products with a zero prove nothing
        elif same(got * values, expected):
            sentences.append(f"this factor is missing: {name}")
        elif same(got, expected * values):
            sentences.append(f"there is one factor too many: {name}")
    if not sentences and np.all(got) and np.all(expected):
        sentences += [
            f"the factor {one} should be {other}"
            for one, a in others
            for other, b in others
            if one != other and np.all(a) and np.all(b) and same(got * b, expected * a)
        ][:1]
    if by_step:
        sentences += at_which_steps(found)
    return sentences[:2]


def at_which_steps(found):
    """What follows from the steps at which it is right and those at which it is wrong."""
    got, expected = found.got, found.expected
    right = {found.steps[m] for m in range(len(got)) if same(got[m], expected[m])}
    wrong = sorted({step for step in found.steps if step not in right})
    last = max(found.steps)
    if right == {last} and all(same(one, got[0]) for one in got[1:]):
        return ["every step has the value of the last step: nothing is carried from step to step"]
    if wrong == [0] and found.truth.name in ("h_(t-1)", "c_(t-1)"):
        state = found.truth.name[0]
        at_zero, at_last = found.steps.index(0), found.steps.index(last)
        after = dict(found.others).get(f"{state}_t")
        if after is not None and same(got[at_zero], after[at_last]):
            return [f"at step 0 this is the last state, because index -1 is the last entry; it should be {state}_0"]
        return [f"it is wrong only at step 0, where it should be {state}_0"]
    if right and wrong:
        words = "step" if len(wrong) == 1 else "steps"
        return [f"it is wrong only at {words} {', '.join(map(str, wrong))}"]
    return []


def blocks_swapped(got, expected):
    """The names of two gates whose blocks are swapped, or None."""
    for gates in ("ifgo", "rzn"):
        for axis in range(1, got.ndim):
            if got.shape[axis] % len(gates):
                continue
            mine, right = np.split(got, len(gates), axis), np.split(expected, len(gates), axis)
            wrong = [k for k in range(len(gates)) if not same(mine[k], right[k])]
            if len(wrong) == 2 and same(mine[wrong[0]], right[wrong[1]]) and same(mine[wrong[1]], right[wrong[0]]):
                return f"{gates[wrong[0]]} and {gates[wrong[1]]}"
    return None


def blocks_transposed(got, expected):
    N, H = expected.shape if expected.ndim == 2 else (1, 0)
    if H == 0 or N % H or N == H:
        return False
    return same(got.reshape(-1, H, H), expected.reshape(-1, H, H).swapaxes(1, 2))


def factors(problem, wanted):
    """(factor, words) of constant factors that people get wrong; `wanted` is the expected quantity in words."""
    x = problem.given.get("x")
    sizes = []
    if isinstance(x, np.ndarray) and x.ndim == 3:
        T, B, _ = x.shape
        sizes = [("rows (B)", B), ("steps (T)", T), ("steps times rows (T B)", T * B)]
    if "targets" in problem.given:
        sizes = [("targets", problem.given["targets"].size)]
        if problem.given["valid"] is not None:
            sizes.append(("valid targets", int(problem.given["valid"].sum())))
    yield -1.0, f"{wanted} with the opposite sign"
    for counted, size in sizes:
        if size > 1:
            yield 1 / size, f"{wanted} divided by the number of {counted}, a mean instead of a sum"
            yield float(size), f"{wanted} times the number of {counted}, a sum instead of a mean"
    yield 2.0, f"twice {wanted}"
    yield 0.5, f"half of {wanted}"


def terms(found, wanted):
    """For a weight's gradient: whether it is the term of one step, or lacks one."""
    sentences = []
    for name, by_step in found.terms:
        T = len(by_step)
        if name != f"step t's term of {found.truth.name}" or T == 1 or len(found.got) > 1:
            continue
        got, expected = found.got[0], found.expected[0]
        if by_step[0].shape != got.shape:
            continue
        for t, words in ((T - 1, "last"), (0, "first")):
            if same(got, by_step[t]):
                sentences.append(f"only the {words} step is counted: all steps use the same weights, so add with +=")
            elif same(expected - got, by_step[t]):
                sentences.append(f"the {words} step's term is missing in {wanted}")
    return sentences


def quoted(name):
    return f'"{name}"' if " " in name else name
