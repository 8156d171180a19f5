"""Every number of a small cell at every step of a short sequence, by hand and by torch: what the page shows."""

import datetime

import numpy as np
import torch

import data
from compare import model_pair
from scratch import losses, module_of
from scratch.activations import gate_blocks
from torch_impl import unrolled

CELLS = ("rnn", "gru", "lstm", "mingru")
T, H = 8, 4
START = "1847-02"  # two calm months, then a steep rise
LOSSES = ("each", "last")  # which steps the loss reads

# The sums that are shown block by block, one block per gate.
BLOCKS = {
    "rnn": {},
    "gru": {"u": ("u_r", "u_z", "u_n"), "v": ("v_r", "v_z", "v_n")},
    "lstm": {"a": ("a_i", "a_f", "a_g", "a_o")},
    "mingru": {"a": ("a_z", "a_n")},
}
# The tensors that an equation computes: its torch operations lie between these and the tensors of earlier equations.
MADE = {
    "rnn": {"R1": ("a",), "R2": ("h",)},
    "gru": {"G1": ("u",), "G2": ("v",), "G3": ("r", "z"), "G4": ("n",), "G5": ("h",)},
    "lstm": {"L1": ("a",), "L2": ("i", "f", "g", "o"), "L3": ("c",), "L4": ("tanh_c", "h")},
    "mingru": {"M1": ("a",), "M2": ("z", "n"), "M3": ("h",)},
}


def window() -> tuple[list[dict], np.ndarray, np.ndarray]:
    """Eight months of sunspot numbers: facts about each, x (T, 1, 1), and targets (T, 1, 1), the next month's x."""
    series = data.load("series", dtype=np.float64)
    start = series.labels.index(START)
    months = []
    for t in range(start, start + T):
        date = datetime.date.fromisoformat(f"{series.labels[t]}-01")
        months.append(
            {
                "month": f"{date:%b}",
                "year": f"{date:%Y}",
                "spots": f"{series.values[t, 0]:.1f}",
                "x": f"{series.scaled[t, 0]:.4f}".replace("-", "\N{MINUS SIGN}"),
                "next": f"{series.values[t + 1, 0]:.1f}",
            }
        )
    scaled = series.scaled[start : start + T + 1, None]
    return months, scaled[:-1], scaled[1:]


def measure(cell: str, x: np.ndarray, targets: np.ndarray) -> dict:
    """Every number of one cell, by hand and by torch, and the names of autograd's operations.

    "forward": name -> number, "backward": "each" or "last" -> name -> number, "size": "each" or "last" -> |dh_t| of
    every step, "nodes": equation -> names. A number is a dict of "hand" (T, H) or None, "torch" (T, H), "off": the
    largest difference at each step, and "limit": the size that gets the darkest colour.
    """
    both = model_pair.build(dict(cell=cell, output_size=1, hidden_size=H, input_size=1), "float64")
    found = {"backward": {}, "size": {}}
    for reads in LOSSES:
        valid = np.ones((T, 1), bool) if reads == "each" else np.arange(T)[:, None] == T - 1
        forward, backward = by_hand(cell, both.scratch, x, targets, valid)
        torch_forward, torch_backward, found["nodes"] = by_torch(cell, both.torch, x, targets, valid)
        found["forward"] = {
            name: number(forward.get(name), theirs, max(1, np.abs(theirs).max()))
            for name, theirs in torch_forward.items()
        }
        limit = max(np.abs(gradient).max() for gradient in backward.values())
        found["backward"][reads] = {name: number(ours, torch_backward[name], limit) for name, ours in backward.items()}
        found["size"][reads] = np.linalg.norm(backward["dh"], axis=1).tolist()
    return found


def number(ours, theirs, limit):
    return {
        "hand": None if ours is None else ours.tolist(),
        "torch": theirs.tolist(),
        "off": None if ours is None else np.abs(ours - theirs).max(axis=1).tolist(),
        "limit": float(limit),
    }


def by_hand(cell, model, x, targets, valid):
    """What scratch computes, forward and backward: two dicts of arrays (T, H), without the axis B, which is 1."""
    module = module_of(cell)
    weights = list(model.recurrent.params.values())
    states = [np.zeros((1, H)) for _ in range(model.recurrent.states)]
    y, *_, cache = module.forward(x, *states, *weights)
    kept = cache._asdict() | {"h": y}
    if cell == "gru":
        kept |= zip("rz", cache.r_z.swapaxes(0, 1), strict=True)
    if cell == "lstm":
        kept |= zip(module.GATES, cache.gates.swapaxes(0, 1), strict=True)
    forward = {name: value[:, 0] for name, value in kept.items() if np.shape(value) == (T, 1, H) and name != "y"}

    _, dprediction = losses.mse(model.linear.forward(y), targets, valid)
    dy = model.linear.backward(dprediction)
    trace = {}
    module.backward(dy, *(np.zeros((1, H)) for _ in states), cache, trace)
    trace["dy"] = dy
    return forward, shown(cell, trace | terms(cell, trace, kept, W_hh=model.recurrent.params.get("weight_hh_l0")))


def terms(cell, trace, kept, W_hh):
    """The terms that the loop of backward adds up at once: what goes to the step before, and what comes from the next.

    They are computed again from the arrays that backward returns, by the expressions of its own lines.
    """
    found = {}
    if cell == "rnn":
        found["dh_sent"] = np.stack([da @ W_hh for da in trace["da"]])
    if cell == "gru":
        found["dh_sent"] = np.stack(
            [dh * z + dv @ W_hh for dh, z, dv in zip(trace["dh"], kept["z"], trace["dv"], strict=True)]
        )
    if cell == "lstm":
        found["dh_sent"] = np.stack([da @ W_hh for da in trace["da"]])
        found["dc_sent"] = trace["dc"] * kept["f"]
        found["dc_later"] = later(found["dc_sent"])
        found["dc_own"] = trace["dh"] * (kept["o"] * (1 - kept["tanh_c"] ** 2))
    if cell == "mingru":
        found["dh_sent"] = trace["dh"] * (1 - kept["z"])
    return found | {"dh_later": later(found["dh_sent"])}


def by_torch(cell, model, x, targets, valid):
    """The same from the unrolled forward pass and autograd, and the names of its operations by equation."""
    weights = list(model.recurrent.parameters())
    states = [torch.zeros(1, H, dtype=torch.float64) for _ in range(2 if cell == "lstm" else 1)]
    in_steps = getattr(unrolled, cell)
    y, *_, kept = in_steps(torch.tensor(x), *states, *weights)
    prediction, valid = model.linear(y), torch.tensor(valid)
    loss = torch.nn.functional.mse_loss(prediction[valid], torch.tensor(targets)[valid])
    forward = {name: torch.stack(steps).detach().numpy() for name, steps in kept.items()}

    (trace,) = unrolled.gradients(loss, [(kept, None)])
    trace["dy"] = torch.autograd.grad(loss, y, retain_graph=True)[0].numpy()
    names = ("h", "c")[: len(states)]
    before = {name: [state, *kept[name][:-1]] for name, state in zip(names, states, strict=True)}
    for name, sent in sent_back(in_steps, x, before, weights, trace["dh"]).items():
        trace[f"d{name}_sent"], trace[f"d{name}_later"] = sent[:-1].numpy(), sent[1:].numpy()
    if cell == "lstm":
        own = zip(kept["h"], kept["c"], map(torch.tensor, trace["dh"]), strict=True)
        own = [torch.autograd.grad(h, c, dh, retain_graph=True)[0] for h, c, dh in own]
        trace["dc_own"] = torch.stack(own).numpy()
    return shown(cell, forward), shown(cell, trace), nodes(cell, kept)


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


def later(sent):
    """What step t + 1 sends to the state of step t; 0 for the last step, because nothing reads h_n and c_n."""
    return np.concatenate([sent[1:], np.zeros_like(sent[:1])])


def shown(cell, arrays):
    """Arrays (T, 1, N) as (T, H) by name; those of several gates block by block."""
    result = {}
    for name, array in arrays.items():
        blocks = BLOCKS[cell].get(name.removeprefix("d"))
        if blocks:
            d = "d" if name.startswith("d") else ""
            parts = gate_blocks(array, len(blocks)).swapaxes(0, 1)
            result |= {d + block: part[:, 0] for block, part in zip(blocks, parts, strict=True)}
        else:
            result[name] = array[:, 0]
    return result


def nodes(cell, kept):
    """The names of autograd's operations at a middle step: equation -> list, last operation first."""
    made = {name: steps[T // 2].grad_fn for name, steps in kept.items()}
    stops = set(made.values()) | {steps[T // 2 - 1].grad_fn for steps in kept.values()}
    found = {}
    for equation, names in MADE[cell].items():
        seen, waiting = [], [made[name] for name in reversed(names)]
        while waiting:
            node = waiting.pop(0)
            if node not in seen and node.name() != "torch::autograd::AccumulateGrad":
                seen.append(node)
                waiting += [n for n, _ in node.next_functions if n is not None and n not in stops]
        found[equation] = [node.name() for node in seen]
    return found
