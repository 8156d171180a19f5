"""The line to point at, for every kind of fault."""

import linecache
import traceback
import warnings

import numpy as np

from compare.learner import adapt, blame, explain, instrument, lengths_exercise, likely_mistake, problems
from compare.learner.observe import attempt_at, compared, observe
from compare.learner.substitute import Trials, close, same

MANY = 3000  # values of one run, beyond which lines are looked for in a smaller problem


def where_raised(error, file):
    """The learner's own line of a traceback."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return place(file, lines[-1] if lines else None)


def place(file, line):
    if line is None:
        return {}
    return {"line": line, "text": linecache.getline(str(file), line).rstrip("\n")}


def stored_as(rung, module, watch, problem, name):
    """The last line that stored what became the output `name`, alone or in a list."""
    watch.note(everything=True)
    observation = observe(rung, module, problem)
    notes = watch.notes
    watch.off()
    value = observation.outputs.get(name)
    if value is None:
        return {}
    sites = [watch.sites[k] for k, noted in notes if any(is_it(one, value) for one in adapt.flat(noted))]
    stores = [site for site in sites if site.kind == "store" and site.target != "return"] or sites
    return place(module.__file__, stores[-1].line) if stores else {}


def is_it(noted, value):
    noted = adapt.to_numpy(noted) if instrument.is_number(noted) else noted
    numbers = isinstance(noted, np.ndarray) and noted.dtype.kind in "fiu" and value.dtype.kind in "fiu"
    return numbers and noted.shape == value.shape and np.array_equal(noted, value)


def written_at(rung, module, watch, problem, file):
    """The line that writes into a given array, or, if that goes by another name, the line that gave it this name."""
    watch.note()
    error = observe(rung, module, problem, frozen=True).error
    notes = watch.notes
    watch.off()
    if error is None:
        return {}
    where = where_raised(error, file)
    targets = {site.target for site in watch.sites if site.line == where.get("line") and site.kind == "store"}
    inputs = [v for v in {**problem.given, **problem.upstream}.values() if isinstance(v, np.ndarray)]
    for k, value in notes:
        site = watch.sites[k]
        begun = site.kind == "store" and site.target in targets and site.line < where["line"]
        if begun and any(np.array_equal(value, given) for given in inputs):
            return place(file, site.line)
    return where


def differs_the_second_time(rung, module, watch, problem):
    """The first line that stores something else in the second call."""
    one = attempt_at(rung, module, problem)
    one.forward()
    calls = []
    for _ in range(2):
        watch.note()
        one.backward()
        calls.append(watch.notes)
        watch.off()
    for (k, first), (again, second) in zip(*calls, strict=False):
        if watch.sites[k].kind == "store" and (k != again or not np.array_equal(first, second, equal_nan=True)):
            return place(module.__file__, watch.sites[k].line)
    return {}


def located(rung, module, watch, problem, observation):
    """Where the first wrong value was stored, and what can be said of it: a dict."""
    if rung.name in likely_mistake.INPUTS_TOO and stores(rung, module, watch, problem) > MANY:
        smaller = problems.tiny(rung.name)
        observed = observe(rung, module, smaller)
        if any(compared(smaller, observed, name)["verdict"] == "wrong" for name in observed.outputs):
            problem, observation = smaller, observed
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        told = by_hand(rung, module, problem)
        if told:
            return told
        one = attempt_at(rung, module, problem)
        forward_wrong = any(compared(problem, observation, name)["verdict"] == "wrong" for name in observation.results)
        if forward_wrong:
            outputs, expected = one.forward, {name: problem.results[name] for name in observation.results}
        else:
            one.forward()
            outputs, expected = one.backward, problem.gradients
        trials = Trials(lambda: list(outputs().values()), list(expected.values()), watch, problem)
        found = blame.find(trials)
        if found is None and not forward_wrong:  # forward kept something wrong for backward

            def both():
                one.forward()
                return list(one.backward().values())

            found = blame.find(Trials(both, list(expected.values()), watch, problem))
    if found is None:
        name = next(n for n in expected if compared(problem, observation, n)["verdict"] == "wrong")
        return {"only_stored": name, **stored_as(rung, module, watch, problem, name)}
    where = place(module.__file__, found.site.line)
    where |= {
        "part": found.part.text,
        "columns": list(found.part.columns),
        "belongs": found.truth.name,
        "equation": found.truth.equation,
    }
    where |= {"evidence": explain.evidence(found, problem), "all_of_it": found.whole}
    wrong = ~close(found.got, found.expected)
    m = int(wrong.reshape(len(wrong), -1).any(axis=1).argmax())
    off = np.where(wrong[m], np.nan_to_num(np.abs(found.got[m] - found.expected[m]), nan=np.inf), -1)
    entry = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape)) if off.ndim else ()
    if found.steps:
        where |= {"step": found.steps[m], "last_step": max(found.steps)}
    where |= {
        "entry": list(entry),
        "got": float(found.got[m][entry]),
        "expected": float(found.expected[m][entry]),
    }
    return where


def by_hand(rung, module, problem):
    """What can be said without a search: a chain's calls, an array that was not written into, an optimizer's state."""
    if rung.name == "lengths":
        wrong = lengths_exercise.first_wrong_call(module, problem)
        return {"sentences": [wrong[1]], **place(module.__file__, wrong[0])} if wrong else {}
    if rung.name not in ("clipping", "adam"):
        return {}
    one = attempt_at(rung, module, problem)
    after = one.backward()
    before = problem.given["grads" if rung.name == "clipping" else "params"]
    untouched = [name for name, array in one.arrays.items() if np.array_equal(array, before[name])]
    moved = [name for name in untouched if not any(same(before[name], problem.gradients[key]) for key in after)]
    if moved:
        which = " and ".join(moved)
        return {
            "sentences": [f"the array of {which} is as it was: `p = ...` makes a new one, `p *= ...` writes into it"]
        }
    sentences = state_of_optimizer(rung, module) if rung.name == "adam" else []
    return {"sentences": sentences} if sentences else {}


def state_of_optimizer(rung, module):
    """What an optimizer keeps, beside what it should keep after one step: a list of sentences."""
    first = problems.adam(1)
    truths = {truth.name: truth.values for truth in first.truths}
    one = attempt_at(rung, module, first)
    one.backward()
    sentences = []
    if getattr(one.made, "t", 1) != 1:
        sentences.append(f"self.t is {one.made.t} after the first step and should be 1")
    for name in ("m", "v"):
        kept = getattr(one.made, name, None)
        if isinstance(kept, dict) and kept.keys() == first.given["params"].keys():
            kept = np.stack([np.asarray(array) for array in kept.values()])
            if not np.any(kept):
                sentences.append(
                    f"self.{name} is still zero after the first step: what was computed was not kept there"
                )
            elif kept.shape == truths[name].shape and not close(kept, truths[name]).all():
                sentences.append(f"self.{name} is wrong after the first step")
    return sentences


def stores(rung, module, watch, problem):
    """How many values one run passes by: many in a program that loops over every entry."""
    watch.note()
    observe(rung, module, problem)
    watch.off()
    return len(watch.notes)
