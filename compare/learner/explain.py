"""In words: what stands in the wrong place, beside what belongs there."""

import numpy as np

from compare.learner.substitute import same


def evidence(found, problem):
    """What can be said of the wrong values for certain: a list of sentences, the most telling first.

    found: a locate.Found; problem: the Problem that was run.
    """
    with np.errstate(all="ignore"):
        return _evidence(found, problem)


def _evidence(found, problem):
    got, expected, wanted = found.got, found.expected, quoted(found.truth.name)
    others = [(quoted(name), values) for name, values in found.others if name != found.truth.name]

    if not np.any(got):
        return ["it is zero throughout"]
    held = [name for name, values in others if same(got, values)]
    if held:
        missing = [name for name, values in others if same(expected - got, values)]
        factor = [name for name, values in others if np.all(values) and same(got * values, expected)]
        more = [f"what is missing is exactly {missing[0]}: a term to be added"] if missing else []
        more += [f"a factor is missing: {factor[0]}"] if factor else []
        return [f"it holds {held[0]}", *more]
    for factor, words in factors(problem):
        if same(got, factor * expected):
            return [f"it is {words} {wanted}"]
    square = got.ndim >= 2 and got.shape[-1] == got.shape[-2]
    if square and same(got, expected.swapaxes(-1, -2)):
        return [f"it is {wanted} transposed"]
    beside = found.steps and len(got) > 1
    if beside and (same(got[1:], expected[:-1]) or same(got[:-1], expected[1:])):
        return [f"it is {wanted} of the step beside: off by one step"]
    gated = any(word in found.truth.name for word in ("da_t", "du_t", "dv_t", "dW", "db"))
    swapped = blocks_swapped(got, expected) if gated else None
    if swapped:
        return [f"the blocks of {swapped} are swapped in it"]
    if np.all(got * expected) and same(got * expected, np.ones_like(got)):
        return [f"it is one over {wanted}: the wrong way up"]
    if blocks_transposed(got[0], expected[0]):
        return [f"each gate's block of {wanted} is transposed in it"]
    limit = np.abs(got).max()
    clips = "max_norm" not in problem.given
    if clips and np.any(np.abs(expected) > limit) and same(got, np.clip(expected, -limit, limit)):
        return [f"it is {wanted} cut off at {limit:g}: what comes out is no gradient; clip after backward"]
    sentences = shares(found, wanted)
    for name, values in others:
        if same(expected - got, values):
            sentences.append(f"what is missing is exactly {name}: a term to be added")
        elif same(got - expected, values):
            sentences.append(f"it is too much by exactly {name}")
        elif same(expected - got, 2 * values):
            sentences.append(f"{name} has the wrong sign in it")
        elif not np.all(values):
            continue  # products with a zero prove nothing
        elif same(got * values, expected):
            sentences.append(f"a factor is missing: {name}")
        elif same(got, expected * values):
            sentences.append(f"one factor is too many: {name}")
    if not sentences and np.all(got) and np.all(expected):
        sentences += [
            f"it has the factor {one} where {other} belongs"
            for one, a in others
            for other, b in others
            if one != other and np.all(a) and np.all(b) and same(got * b, expected * a)
        ][:1]
    if found.steps and len(got) > 1:
        sentences += at_which_steps(found)
    return sentences[:2]


def at_which_steps(found):
    """What the steps tell at which it is right, and those at which it is wrong."""
    got, expected = found.got, found.expected
    right = {found.steps[m] for m in range(len(got)) if same(got[m], expected[m])}
    wrong = sorted({step for step in found.steps if step not in right})
    last = max(found.steps)
    if right == {last} and all(same(one, got[0]) for one in got[1:]):
        return ["it keeps the value of the last step: nothing is carried from step to step"]
    if wrong == [0] and found.truth.name in ("h_(t-1)", "c_(t-1)"):
        state = found.truth.name[0]
        at_zero, at_last = found.steps.index(0), found.steps.index(last)
        after = dict(found.others).get(f"{state}_t")
        if after is not None and same(got[at_zero], after[at_last]):
            return [f"at step 0 it holds the last state, for index -1 is the last one; {state}_0 belongs there"]
        return [f"it is right at every step but the first one, 0, where {state}_0 belongs"]
    if right and wrong:
        words = "step" if len(wrong) == 1 else "steps"
        return [f"it is wrong at {words} {', '.join(map(str, wrong))} only"]
    return []


def blocks_swapped(got, expected):
    """The names of two gates whose blocks have changed places, or None."""
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


def factors(problem):
    """(factor, words) of constant factors that people get wrong."""
    x = problem.given.get("x")
    sizes = []
    if isinstance(x, np.ndarray) and x.ndim == 3:
        T, B, _ = x.shape
        sizes = [("rows (B)", B), ("steps (T)", T), ("steps times rows (T B)", T * B)]
    if "targets" in problem.given:
        sizes = [("targets", problem.given["targets"].size)]
        if problem.given["valid"] is not None:
            sizes.append(("valid targets", int(problem.given["valid"].sum())))
    yield -1.0, "minus"
    for words, size in sizes:
        if size > 1:
            yield 1 / size, f"a mean where a sum belongs: one over the number of {words}, times"
            yield float(size), f"a sum where a mean belongs: the number of {words}, times"
    yield 2.0, "twice"
    yield 0.5, "half of"


def shares(found, wanted):
    """Of a weight's gradient: whether it is the share of one step, or lacks one."""
    sentences = []
    for name, by_step in found.shares:
        T = len(by_step)
        if name != f"step t's share of {found.truth.name}" or T == 1 or len(found.got) > 1:
            continue
        got, expected = found.got[0], found.expected[0]
        if by_step[0].shape != got.shape:
            continue
        for t, words in ((T - 1, "last"), (0, "first")):
            if same(got, by_step[t]):
                sentences.append(
                    f"it is the {words} step's share only: every step used the same weights, so += and not ="
                )
            elif same(expected - got, by_step[t]):
                sentences.append(f"the {words} step's share is missing in {wanted}")
    return sentences


def quoted(name):
    return f'"{name}"' if " " in name else name
