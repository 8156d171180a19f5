"""The line to point at, for every kind of failure."""

import ast
import linecache
import traceback
import warnings

import numpy as np

from compare.learner import adapt, blame, explain, instrument, lengths_exercise, likely_mistake, problems
from compare.learner.observe import attempt_at, compared, observe
from compare.learner.substitute import Trials, close, same

MANY = 3000  # values in one run; with more of them, the search uses a smaller problem


def where_raised(error, file):
    """The learner's line in a traceback."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return place(file, lines[-1] if lines else None)


def place(file, line):
    if line is None:
        return {}
    return {"line": line, "text": linecache.getline(str(file), line).rstrip("\n")}


def stored_as(exercise, module, watch, problem, name):
    """The last line that stored the array that became the output `name`, alone or in a list."""
    watch.note(everything=True)
    observation = observe(exercise, module, problem)
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


def written_at(exercise, module, watch, problem, file):
    """The line that writes into an input, or, if the input has another name there, the line that gave it this name."""
    watch.note()
    error = observe(exercise, module, problem, frozen=True).error
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


def differs_the_second_time(exercise, module, watch, problem):
    """The first line that stores a different value in the second call."""
    one = attempt_at(exercise, module, problem)
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


def located(exercise, module, watch, problem, observation):
    """Where the first wrong value was stored, and what is known about it: a dict."""
    if exercise.name in likely_mistake.INPUTS_TOO and stores(exercise, module, watch, problem) > MANY:
        smaller = problems.tiny(exercise.name)
        observed = observe(exercise, module, smaller)
        if wrong_names(smaller, observed, observed.outputs):
            problem, observation = smaller, observed
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        known = without_search(exercise, module, problem)
        if known:
            return known
        found, judged_by = searched(exercise, module, watch, problem, observation)
    if found is None:
        name = wrong_names(problem, observation, observation.outputs)[0]
        return {"last_stored": name, **stored_as(exercise, module, watch, problem, name)}
    return as_dict(found, problem, module.__file__) | {"judged_by": judged_by}


def wrong_names(problem, observation, names):
    return [name for name in names if compared(problem, observation, name)["verdict"] == "wrong"]


def searched(exercise, module, watch, problem, observation):
    """The blame.Found or None, and what it was judged by: "result of forward", "gradient" or "result"."""
    one = attempt_at(exercise, module, problem)
    if wrong_names(problem, observation, observation.results):
        expected = [problem.results[name] for name in observation.results]
        return blame.find(Trials(lambda: list(one.forward().values()), expected, watch, problem)), "result of forward"
    one.forward()
    expected = list(problem.gradients.values())
    found = blame.find(Trials(lambda: list(one.backward().values()), expected, watch, problem))
    if found is None:  # forward kept something wrong for backward

        def both():
            one.forward()
            return list(one.backward().values())

        found = blame.find(Trials(both, expected, watch, problem))
    return found, "gradient" if observation.results else "result"


def as_dict(found, problem, file):
    """A blame.Found for the report."""
    where = place(file, found.site.line)
    part = found.part
    if part.line != found.site.line:  # the values were tried where this line's variable is read
        where["read_in_line"], part = part.line, found.site
    where |= {
        "part": part.text,
        "columns": list(part.columns),
        "quantity": found.truth.name,
        "equation": found.truth.equation,
        "evidence": explain.evidence(found, problem),
        "fixes_all": found.whole,
    }
    wrong = ~close(found.got, found.expected)
    m = int(wrong.reshape(len(wrong), -1).any(axis=1).argmax())
    if found.steps:
        where |= {"step": found.steps[m], "from_step": found.steps[0], "last_step": max(found.steps)}
    off = np.where(wrong[m], np.nan_to_num(np.abs(found.got[m] - found.expected[m]), nan=np.inf), -1)
    entry = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape)) if off.ndim else ()
    return where | {
        "entry": list(entry),
        "got": float(found.got[m][entry]),
        "expected": float(found.expected[m][entry]),
    }


def without_search(exercise, module, problem):
    """What is known without a search: a wrong call of a cell, an array not updated, an optimizer's state."""
    if exercise.name == "lengths":
        wrong = lengths_exercise.first_wrong_call(module, problem)
        return {"sentences": [wrong[1]], **place(module.__file__, wrong[0])} if wrong else {}
    if exercise.name not in ("clipping", "adam"):
        return {}
    one = attempt_at(exercise, module, problem)
    after = one.backward()
    before = problem.given["grads" if exercise.name == "clipping" else "params"]
    untouched = [name for name, array in one.arrays.items() if np.array_equal(array, before[name])]
    moved = [name for name in untouched if not any(same(before[name], problem.gradients[key]) for key in after)]
    if moved:
        which = " and ".join(moved)
        return {"sentences": [f"{which} did not change: `p = ...` makes a new array, `p *= ...` updates the given one"]}
    sentences = state_of_optimizer(exercise, module) if exercise.name == "adam" else []
    return {"sentences": sentences} if sentences else {}


def state_of_optimizer(exercise, module):
    """What is wrong with the state of an optimizer after one step: a list of sentences."""
    first = problems.adam(1)
    truths = {truth.name: truth.values for truth in first.truths}
    one = attempt_at(exercise, module, first)
    one.backward()
    sentences = []
    if getattr(one.made, "t", 1) != 1:
        sentences.append(f"after the first step, self.t is {one.made.t}; it should be 1")
    for name in ("m", "v"):
        kept = getattr(one.made, name, None)
        if isinstance(kept, dict) and kept.keys() == first.given["params"].keys():
            kept = np.stack([np.asarray(array) for array in kept.values()])
            if not np.any(kept):
                sentences.append(f"after the first step, self.{name} is still zero: the new value was not stored there")
            elif kept.shape == truths[name].shape and not close(kept, truths[name]).all():
                sentences.append(f"after the first step, self.{name} is wrong")
    return sentences


def stores(exercise, module, watch, problem):
    """The number of values observed in one run, which is large in a program that loops over every entry."""
    watch.note()
    observe(exercise, module, problem)
    watch.off()
    return len(watch.notes)


def operands(exercise, module, watch, problem, error):
    """The operands of the product `@` that raised the error, with their shapes, in words; "" if that is not known."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == module.__file__]
    if not frames:
        return ""
    last = frames[-1]
    at = (last.lineno, last.colno, last.end_lineno, last.end_colno)
    tree = ast.parse("".join(linecache.getlines(module.__file__)))
    products = [node for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult)]
    found = [n for n in products if (n.lineno, n.col_offset, n.end_lineno, n.end_col_offset) == at]
    watch.note()
    observe(exercise, module, problem)
    notes = watch.notes
    watch.off()
    shapes = {(watch.sites[k].line, *watch.sites[k].columns): value.shape for k, value in notes}  # the last one counts
    words = []
    for side in (side for product in found for side in (product.left, product.right)):
        shape = shapes.get((side.lineno, side.col_offset, side.end_col_offset))
        words += [f"{ast.unparse(side)} {shape}"] if shape is not None else []
    return " @ ".join(words) if len(words) == 2 else ""
