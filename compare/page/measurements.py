"""Every number of a small cell at every step of a short sequence, by hand and by torch: what the page shows."""

import datetime
from dataclasses import dataclass, replace
from itertools import combinations
from types import ModuleType

import numpy as np
import torch

import data
import scratch
from compare import model_pair
from compare.page.cells import SHOWN
from compare.page.execution import Assignment, Execution, execute, operands_of, shares_of_steps
from compare.page.source import blocks_of, source_of, targets_of, torch_groups
from scratch import losses
from torch_impl import unrolled

T, H = 8, 4
START = "1847-02"  # two calm months, then a steep rise
LOSSES = ("each", "last")  # which steps the loss reads
CELLS = tuple(SHOWN)
WEIGHTS = {"W_ih": "weight_ih_l0", "W_hh": "weight_hh_l0", "b_ih": "bias_ih_l0", "b_hh": "bias_hh_l0"}
GIVEN = ("torch::autograd::AccumulateGrad", "UnbindBackward0")  # autograd's names for a weight, and for one x_t of x


@dataclass(frozen=True)
class Window:
    """Eight months of sunspot numbers: facts about each, and x and targets (T, 1, 1), the next month's x."""

    months: list[dict]
    x: np.ndarray
    targets: np.ndarray
    mean: float  # x = (sunspots - mean) / std
    std: float


@dataclass
class Numbers:
    """What one model computes, without the axis B, which is 1.

    steps: name -> (T, numbers per step); whole: name -> (rows, H), such as dW_hh. Both are nan where the code computes
    no such number.
    """

    steps: dict[str, np.ndarray]
    whole: dict[str, np.ndarray]


@dataclass
class ByHand(Numbers):
    """The numbers of scratch, and how its lines came to them.

    split (T, T, H): [s, t] is the share of dh_t that comes from the loss at step s; sums (T, rows, H): what each step
    adds to dW_hh, see `summed`; executed: each assignment of `backward` in order, as (line, t, names of its numbers);
    changed: the arguments that were written into; shared: pairs of gradients in one memory; shapes: gradients whose
    shape is not their array's, with both shapes.
    """

    split: np.ndarray
    sums: np.ndarray
    executed: list[tuple]
    changed: list[str]
    shared: list[tuple]
    shapes: dict[str, tuple]
    loss: float


def window() -> Window:
    series = data.load("series", dtype=np.float64)
    start = series.labels.index(START)
    months = []
    for t in range(start, start + T):
        date = datetime.date.fromisoformat(f"{series.labels[t]}-01")
        spots, following = series.values[t : t + 2, 0]
        months.append(dict(month=f"{date:%b}", year=f"{date:%Y}", spots=f"{spots:.1f}", next=f"{following:.1f}"))
    scaled = series.scaled[start : start + T + 1, None]
    return Window(months, scaled[:-1], scaled[1:], float(series.mean[0]), float(series.std[0]))


def build(cell: str) -> model_pair.Pair:
    """The model of the page, in scratch and in torch."""
    return model_pair.build(dict(cell=cell, output_size=1, hidden_size=H, input_size=1), "float64")


def weights_of(model) -> dict[str, np.ndarray]:
    """The scratch model's weights by the names in the equations; w and b are those of the output layer."""
    weights = {name: model.recurrent.params[long] for name, long in WEIGHTS.items() if long in model.recurrent.params}
    return weights | {"w": model.linear.params["weight"], "b": model.linear.params["bias"]}


def read_by(reads: str) -> np.ndarray:
    """Which steps the loss reads, (T, 1)."""
    return np.ones((T, 1), bool) if reads == "each" else np.arange(T)[:, None] == T - 1


def by_hand(
    cell: str, model, window: Window, reads: str, *, package: ModuleType = scratch, source: str | None = None
) -> ByHand:
    """What scratch computes; or another `package` with its `source` of the cell's module, such as a planted one."""
    module, source = package.module_of(cell), source or source_of(cell)
    states = "hc"[: model.recurrent.states]
    given = {"x": window.x, **{f"{s}_0": np.zeros((1, H)) for s in states}}
    given |= {name: array for name, array in weights_of(model).items() if name in WEIGHTS}
    arrays = {name: array.copy() for name, array in given.items()}
    forward = execute(module, source, "forward", *arrays.values())
    y, *_, cache = forward.result

    loss, dy, numbers = loss_by_hand(model, y, window, reads)
    upstream = {"dy": dy, **{f"d{s}_n": np.zeros((1, H)) for s in states}}
    given |= {name: array.copy() for name, array in upstream.items()}
    backward = execute(module, source, "backward", *upstream.values(), cache)

    numbers = {"dy": given["dy"][:, 0]} | named(cell, forward, backward) | numbers
    gradients = dict(zip(arrays, backward.result, strict=True))
    shapes = {name: (np.shape(d), arrays[name].shape) for name, d in gradients.items()}
    return ByHand(
        steps={name: value for name, value in numbers.items() if not is_whole(name)},
        whole={name: value for name, value in numbers.items() if is_whole(name)},
        split=split(module, given["dy"], states, cache),
        sums=np.stack([share[summed(cell)].reshape(-1, H) for share in shares_of_steps(backward, module)]),
        executed=[(a.line, a.t, names_of(cell, a)) for a in backward.assignments],
        changed=[name for name, array in (arrays | upstream).items() if not np.array_equal(array, given[name])],
        shared=[(a, b) for a, b in combinations(gradients, 2) if np.shares_memory(gradients[a], gradients[b])],
        shapes={name: pair for name, pair in shapes.items() if pair[0] != pair[1]},
        loss=loss,
    )


def loss_by_hand(model, y, window: Window, reads: str) -> tuple[float, np.ndarray, dict]:
    """The loss, dy, and the numbers between y and the loss by name."""
    valid = read_by(reads)
    yhat = model.linear.forward(y)
    loss, dyhat = losses.mse(yhat, window.targets, valid)
    numbers = {"yhat": yhat[:, 0], "target": window.targets[:, 0], "m": valid / valid.sum(), "dyhat": dyhat[:, 0]}
    return float(loss), model.linear.backward(dyhat), numbers


def split(module, dy, states, cache):
    """[s, t]: the share of dh_t that comes from the loss at step s."""
    shares = []
    for s in range(T):
        alone, trace = np.zeros_like(dy), {}
        alone[s] = dy[s]
        module.backward(alone, *(np.zeros((1, H)) for _ in states), cache, trace)
        shares.append(trace["dh"][:, 0])
    return np.stack(shares)


def names_of(cell: str, assignment: Assignment) -> list[str]:
    """The names, without signs, of the numbers that an assignment of `backward` computes."""
    _, names = SHOWN[cell].backward.get(assignment.target, ("", []))
    names = [name.lstrip("+=") for name in names]
    return names if names and computes(assignment, names[0]) else []


def computes(assignment, name):
    """False for a line before the loop that assigns what the loop reads in its first round."""
    first_round = assignment.t is None and getattr(assignment.value, "shape", None) == (1, H)
    return is_whole(name) or not first_round


def summed(cell: str) -> str:
    """The gradient that the page shows as a running sum: dW_hh, or dW_ih where the state meets no matrix."""
    names = [name for _, names in SHOWN[cell].backward.values() for name in names]
    return "dW_hh" if "dW_hh" in names else "dW_ih"


def is_whole(name: str) -> bool:
    """A gradient of a weight or of the first state: one for all steps."""
    return name.startswith(("dW", "db")) or name.endswith("_0")


def named(cell: str, forward: Execution, backward: Execution) -> dict[str, np.ndarray]:
    """Every number that SHOWN names, as the lines computed it."""
    found = {}
    for target, names in SHOWN[cell].forward.items():
        found |= values_of(names, [a for a in forward.assignments if a.target == target])
    for target, (_, names) in SHOWN[cell].backward.items():
        assigned = [a for a in backward.assignments if a.target == target]
        found |= values_of([name.lstrip("=") for name in names if name[0] != "+"], assigned)
        terms = [name[1:] for name in names if name[0] == "+"]
        right = operands_of(source_of(cell), "backward", target) if terms else []
        for name, operand in zip(terms, right, strict=True):
            found |= values_of([name], [replace(a, value=matching(operand, right, a)) for a in assigned])
    return found


def matching(operand, right, assignment):
    """The value of an operand of the right sum; in a wrong sum, of the one in its place; 0 if it is left out."""
    if operand in assignment.terms:
        return assignment.terms[operand]
    missing = [source for source in right if source not in assignment.terms]
    others = [value for source, value in assignment.terms.items() if source not in right]
    place = missing.index(operand)
    return others[place] if place < len(others) else np.zeros((1, H))


def values_of(names, assigned):
    """name -> its numbers, from all assignments of one target. A value of several blocks has a name for each."""
    if not names:
        return {}
    assigned = [a for a in assigned if computes(a, names[0])]
    if not assigned:
        return {name: np.full((1, 1), np.nan) for name in names}
    value = assigned[-1].value
    if assigned[-1].t is not None and not is_whole(names[0]):
        by_step = {a.t: a.value for a in assigned}
        value = np.stack([by_step[t] for t in range(T)])
    if isinstance(value, tuple) or is_whole(names[0]):
        parts = value if isinstance(value, tuple) else [value]
    else:
        parts = np.moveaxis(value.reshape(T, len(names), -1), 1, 0)
    return {
        name: part.reshape(-1, H) if is_whole(name) else part.reshape(T, -1)
        for name, part in zip(names, parts, strict=True)
    }


def by_torch(cell: str, model, window: Window, reads: str) -> Numbers:
    """The same from the unrolled forward pass and autograd."""
    in_steps, x, states, weights = arguments(cell, model, window)
    y, *_, kept = in_steps(x, *states, *weights)
    prediction, valid = model.linear(y), torch.tensor(read_by(reads))
    loss = torch.nn.functional.mse_loss(prediction[valid], torch.tensor(window.targets)[valid])

    def gradients(*tensors):
        found = torch.autograd.grad(loss, tensors, retain_graph=True, materialize_grads=True)
        return [gradient.numpy() for gradient in found]

    (trace,) = unrolled.gradients(loss, [(kept, None)])
    trace["dx"], trace["dy"], trace["dyhat"] = gradients(x, y, prediction)
    names = ("h", "c")[: len(states)]
    before = {name: [state, *kept[name][:-1]] for name, state in zip(names, states, strict=True)}
    for name, sent in sent_back(in_steps, window.x, before, weights, trace["dh"]).items():
        trace[f"d{name}_sent"], trace[f"d{name}_later"] = sent[:-1].numpy(), sent[1:].numpy()
    if "c" in names:
        own = zip(kept["h"], kept["c"], map(torch.tensor, trace["dh"]), strict=True)
        own = [torch.autograd.grad(h, c, dh, retain_graph=True)[0] for h, c, dh in own]
        trace["dc_own"] = torch.stack(own).numpy()
    steps = {name: torch.stack(values).detach().numpy() for name, values in kept.items()} | trace
    steps["yhat"] = prediction.detach().numpy()
    given = [name for name, long in WEIGHTS.items() if hasattr(model.recurrent, long)]
    whole = [f"d{name}" for name in given] + [f"d{name}_0" for name in names]
    whole = dict(zip(whole, gradients(*weights, *states), strict=True))
    return Numbers(in_blocks(cell, steps), {name: value.reshape(-1, H) for name, value in whole.items()})


def arguments(cell, model, window):
    """The cell in torch_impl/unrolled.py, and what it is called with: x, states, weights."""
    states = [torch.zeros(1, H, dtype=torch.float64, requires_grad=True) for _ in range(scratch.CELLS[cell][0].states)]
    weights = [getattr(model.recurrent, name) for name in WEIGHTS.values() if hasattr(model.recurrent, name)]
    return getattr(unrolled, cell), torch.tensor(window.x, requires_grad=True), states, weights


def sent_back(in_steps, x, before, weights, dh):
    """What step t sends to h_{t-1} and c_{t-1}: "h" and "c" -> (T + 1, 1, H), 0 after the last step.

    Each step is run again by itself, from detached states: otherwise the gradient of c_{t-1} would also contain the
    path through h_{t-1}. The upstream gradient of h_t is its total derivative dh (T, 1, H), that of c_t what step t + 1
    sends to it; the part through h_t is included already.
    before: "h" and "c" -> T tensors, the states before each step.
    """
    sent = {name: torch.zeros(T + 1, 1, H, dtype=torch.float64) for name in before}
    for t in reversed(range(T)):
        states = [states[t].detach().requires_grad_() for states in before.values()]
        _, *after, _ = in_steps(torch.tensor(x[t : t + 1]), *states, *weights)
        upstream = [torch.tensor(dh[t]), *(sent[name][t + 1] for name in list(before)[1:])]
        for name, term in zip(before, torch.autograd.grad(after, states, upstream), strict=True):
            sent[name][t] = term
    return sent


def in_blocks(cell, arrays):
    """Arrays (T, 1, N) as (T, N) by name; those of several gates, and their gradients, block by block."""
    blocks, result = blocks_of(cell), {}
    for name, array in arrays.items():
        parts = blocks.get(name.removeprefix("d"), (name.removeprefix("d"),))
        d = "d" if name.startswith("d") else ""
        for part, values in zip(parts, np.split(array[:, 0], len(parts), axis=1), strict=True):
            result[d + part] = values
    return result


def operations(cell: str, model, window: Window) -> dict[str, list[str]]:
    """The names of autograd's operations at a middle step: equation -> list, last operation first.

    Those of an equation lie between the tensors that it computes and the tensors of earlier equations.
    """
    in_steps, x, states, weights = arguments(cell, model, window)
    *_, kept = in_steps(x, *states, *weights)
    made = {name: steps[T // 2].grad_fn for name, steps in kept.items()}
    stops = set(made.values()) | {steps[T // 2 - 1].grad_fn for steps in kept.values()}
    found = {}
    for group in torch_groups(in_steps):
        names = [name for target in targets_of(group) for name in target.split(", ") if name in kept]
        seen, waiting = [], [made[name] for name in reversed(names)]
        while waiting:
            node = waiting.pop(0)
            if node not in seen and node.name() not in GIVEN:
                seen.append(node)
                waiting += [n for n, _ in node.next_functions if n is not None and n not in stops]
        found |= {equation: [node.name() for node in seen] for equation in group.equations}
    return found
