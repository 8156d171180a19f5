"""Small random problems for every exercise, with the right answer and every intermediate quantity.

The answers do not come from the model solutions. Those of the cells come from the tape (scratch/tape.py), which gets
only the equations; the others are written out as formulas here. torch is not needed.

Sizes: T steps, B rows, I inputs, H hidden units, V words of E numbers each, C classes.
"""

from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

import scratch.lstm
from scratch import tape


@dataclass(frozen=True)
class Truth:
    """One quantity: its name, the number of its equation, its values.

    steps: the first axis is time, from step `start` on; constant: a weight, the same whenever it is read.
    """

    name: str
    equation: str
    values: np.ndarray
    steps: bool = False
    constant: bool = False
    start: int = 0


@dataclass(frozen=True)
class Problem:
    """What the learner's functions are given, and what they must return.

    given: the arguments of forward, or of the only function, by name and in order; upstream: the further arguments of
    backward; results: what forward must return; gradients: what backward must return; truths: every intermediate
    quantity, to find where a wrong value first appears.
    """

    words: str
    given: dict
    upstream: dict
    results: dict
    gradients: dict
    truths: list = field(default_factory=list)


GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def cell(name, T, B, I, H, seed=0, upstream=1.0, dtype="float64", **options):
    """A recurrent cell over T steps. upstream: the size of the gradients from the loss."""
    rng = np.random.default_rng([seed, T, B, I, H])
    G = GATES[name]
    states = {"h_0": (B, H), "c_0": (B, H)} if name == "lstm" else {"h_0": (B, H)}
    shapes = {"x": (T, B, I), **states, "W_ih": (G * H, I), "W_hh": (G * H, H), "b_ih": (G * H,), "b_hh": (G * H,)}
    given = {key: (0.6 * rng.standard_normal(shape)).astype(dtype) for key, shape in shapes.items()}
    ends = {key.replace("_0", "_n"): shape for key, shape in states.items()}  # h_n, c_n
    from_loss = {"dy": (T, B, H)} | {f"d{key}": shape for key, shape in ends.items()}
    from_loss = {key: (upstream * rng.standard_normal(shape)).astype(dtype) for key, shape in from_loss.items()}

    values, grads, leaves = unrolled(name, given, from_loss, **options)
    results = {"y": values["h"]} | {key: values[key[0]][-1] for key in ends}
    order = [*states, "W_hh", "b_hh", "W_ih", "b_ih"]
    gradients = {f"d{key}": leaves[key] for key in order} | {"dx": grads["x"]}
    truths = [Truth(f"d{key}", EQUATION_OF[name][key], leaves[key]) for key in order]
    truths += TRUTHS[name](given, from_loss, values, grads, **options)
    truths += [Truth(key, "", given[key], constant=True) for key in ("W_hh", "W_ih")]
    words = f"{counted(T, 'step')}, {counted(B, 'row')}, {counted(I, 'input')}, {counted(H, 'hidden unit')}"
    if options:
        words += f", {' '.join(options.values())}"
    if upstream != 1:
        words += f", gradients from the loss about {upstream:g}"
    if dtype != "float64":
        words += f", {dtype}"
    return Problem(words, given | options, from_loss, results, gradients, truths)


def counted(n, word):
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def unrolled(name, given, from_loss, nonlinearity="tanh"):
    """Every intermediate of every step and its gradient, from the tape.

    Returns values and grads, dicts of arrays (T, B, ...), and leaves, the gradients of weights and first states.
    """
    written = tape.Tape()
    leaf = {key: written.variable(value, key) for key, value in given.items() if key != "x"}
    h, c = leaf["h_0"], leaf.get("c_0")
    W_ih, W_hh, b_ih, b_hh = (leaf[key] for key in ("W_ih", "W_hh", "b_ih", "b_hh"))
    H = h.value.shape[1]
    kept = []
    for x_t in given["x"]:
        x = written.variable(x_t, "x")
        u = tape.product(x, W_ih) + b_ih
        v = tape.product(h, W_hh) + b_hh
        step = {"x": x, "u": u, "v": v, "h_before": h}
        if name == "rnn":
            a = u + v
            h = tape.tanh(a) if nonlinearity == "tanh" else tape.relu(a)
            step |= {"a": a}
        elif name == "lstm":
            step |= {"c_before": c}
            a = u + v
            i, f, g, o = (
                gate(tape.block(a, k, H))
                for k, gate in enumerate((tape.sigmoid, tape.sigmoid, tape.tanh, tape.sigmoid))
            )
            kept_c, new_c = f * c, i * g
            c = kept_c + new_c
            tanh_c = tape.tanh(c)
            h = o * tanh_c
            step |= {"a": a, "i": i, "f": f, "g": g, "o": o, "f*c": kept_c, "i*g": new_c, "c": c, "tanh_c": tanh_c}
        else:
            r = tape.sigmoid(tape.block(u, 0, H) + tape.block(v, 0, H))
            z = tape.sigmoid(tape.block(u, 1, H) + tape.block(v, 1, H))
            v_n = tape.block(v, 2, H)
            reset = r * v_n
            a_n = tape.block(u, 2, H) + reset
            n = tape.tanh(a_n)
            new, old = (1 - z) * n, z * h
            h = new + old
            step |= {"r": r, "z": z, "v_n": v_n, "r*v_n": reset, "a_n": a_n, "n": n, "new": new, "old": old}
        kept.append(step | {"h": h})
    upstream = {}
    for t, step in enumerate(kept):
        upstream[step["h"]] = from_loss["dy"][t]
    upstream[h] = upstream[h] + from_loss["dh_n"]
    if c is not None:
        upstream[c] = from_loss["dc_n"]
    written.backward(upstream)
    values = {key: np.stack([step[key].value for step in kept]) for key in kept[0]}
    grads = {key: np.stack([step[key].grad for step in kept]) for key in kept[0]}
    return values, grads, {key: variable.grad for key, variable in leaf.items()}


EQUATION_OF = {
    "rnn": dict.fromkeys(("h_0", "W_hh", "b_hh", "W_ih", "b_ih", "x"), "R1"),
    "lstm": dict.fromkeys(("h_0", "W_hh", "b_hh", "W_ih", "b_ih", "x"), "L1") | {"c_0": "L3"},
    "gru": dict(h_0="G5", W_hh="G2", b_hh="G2", W_ih="G1", b_ih="G1", x="G1"),
}


def travelling(name, equation, dh, direct, at_start):
    """The total gradient of a state and its terms, under the names that they have for a state called `name`.

    dh (T, B, H): the total; direct (T, B, H): what comes from within step t; at_start (B, H): what step 0 sends to the
    initial state.
    """
    later = dh - direct
    if len(dh) == 1:
        return [Truth(f"d{name}_t", equation, dh, True), Truth(f"d{name}_n", equation, later, True)]
    sent = np.concatenate([at_start[None], later])  # (T + 1, B, H)
    with_first = np.concatenate([at_start[None], dh])
    return [
        Truth(f"d{name}_t", equation, dh, True),
        Truth(f"the gradient of {name}_t from step t+1 (d{name}_n at the last step)", equation, later, True),
        Truth(f"the gradient that step t sends to {name}_(t-1)", equation, sent[:-1], True),
        # one variable for all steps, which starts as the gradient of the last state and ends as that of the first
        Truth(f"the carried gradient, from d{name}_n to d{name}_0", equation, sent, True, start=-1),
        Truth(f"d{name}_t of all steps, then d{name}_0", equation, with_first, True, start=-1),
    ]


def through_blocks(name, equation, gates, blocks, W_hh):
    """The gradient that each gate's block sends through W_hh to h_{t-1}."""
    parts = zip(gates, blocks, np.split(W_hh, len(gates)), strict=True)
    return [Truth(f"the gradient of h_(t-1) through {name}_{gate}", equation, d @ W, True) for gate, d, W in parts]


def states_of(name, values):
    return [
        Truth(f"{name}_t", "", values[name], True),
        Truth(f"{name}_(t-1)", "", values[f"{name}_before"], True),
    ]


def weights_of(given, values, da_ih, da_hh, equation_ih, equation_hh, gates=""):
    """Each step's term of every weight's gradient, and the sums from the last step down to t; also gate by gate."""
    dW_hh = np.einsum("tbn,tbh->tnh", da_hh, values["h_before"])
    dW_ih = np.einsum("tbn,tbi->tni", da_ih, given["x"])
    sources = [
        ("dW_hh", equation_hh, dW_hh),
        ("db_hh", equation_hh, da_hh.sum(axis=1)),
        ("dW_ih", equation_ih, dW_ih),
        ("db_ih", equation_ih, da_ih.sum(axis=1)),
        ("dW_ih and dW_hh side by side", equation_ih, np.concatenate([dW_ih, dW_hh], axis=2)),
        ("dW_hh and dW_ih side by side", equation_ih, np.concatenate([dW_hh, dW_ih], axis=2)),
    ]
    for k, gate in enumerate(gates):
        sources += [
            (f"block {gate} of {name}", equation, np.split(terms, len(gates), axis=1)[k])
            for name, equation, terms in sources[:4]
        ]
    truths = []
    for name, equation, terms in sources:
        sums = np.stack(list(accumulate(terms[::-1])))[::-1]
        if " " in name:
            truths.append(Truth(name, equation, sums[0]))
        truths.append(Truth(f"step t's term of {name}", equation, terms, True))
        truths.append(Truth(f"{name} summed from the last step down to t", equation, sums, True))
    return truths


def rnn_truths(given, from_loss, values, grads, nonlinearity="tanh"):
    h, dh = values["h"], grads["h"]
    slope = 1 - h**2 if nonlinearity == "tanh" else (h > 0).astype(h.dtype)
    return [
        Truth("the derivative of h_t = f(a_t)", "R2", slope, True),
        *travelling("h", "R2", dh, from_loss["dy"], grads["h_before"][0]),
        Truth("da_t", "R2", grads["a"], True),
        Truth("dx_t", "R1", grads["x"], True),
        *states_of("h", values),
        Truth("h_t^2", "R2", h**2, True),
        Truth("h_t (1 - h_t)", "R2", h * (1 - h), True),
        Truth("a_t", "R1", values["a"], True),
        Truth("dy_t", "", from_loss["dy"], True),
        *weights_of(given, values, grads["a"], grads["a"], "R1", "R1"),
    ]


def lstm_truths(given, from_loss, values, grads):
    i, f, g, o, tanh_c = (values[key] for key in ("i", "f", "g", "o", "tanh_c"))
    dh, dc, c_before = grads["h"], grads["c"], values["c_before"]
    through_h = dh * o * (1 - tanh_c**2)
    da = np.split(grads["a"], 4, axis=2)
    slopes = {
        "dh_t/da_o": ("L4", tanh_c * o * (1 - o)),
        "dc_t/da_g": ("L3", i * (1 - g**2)),
        "dc_t/da_f": ("L3", c_before * f * (1 - f)),
        "dc_t/da_i": ("L3", g * i * (1 - i)),
    }
    return [
        Truth("dh_t/dc_t", "L4", o * (1 - tanh_c**2), True),
        *(Truth(name, equation, slope, True) for name, (equation, slope) in slopes.items()),
        *travelling("h", "L4", dh, from_loss["dy"], grads["h_before"][0]),
        *travelling("c", "L3", dc, through_h, grads["c_before"][0]),
        Truth("the gradient of c_t through h_t", "L4", through_h, True),
        Truth("do_t", "L4", grads["o"], True),
        Truth("dtanh(c_t)", "L4", grads["tanh_c"], True),
        Truth("dg_t", "L3", grads["g"], True),
        Truth("df_t", "L3", grads["f"], True),
        Truth("di_t", "L3", grads["i"], True),
        *(Truth(f"da_{gate}", "L2", part, True) for gate, part in zip("ifgo", da, strict=True)),
        Truth("da_t", "L2", grads["a"], True),
        *through_blocks("a", "L1", "ifgo", da, given["W_hh"]),
        Truth("dx_t", "L1", grads["x"], True),
        *states_of("h", values),
        *states_of("c", values),
        *(Truth(f"{gate}_t", "L2", values[gate], True) for gate in "ifgo"),
        Truth("tanh(c_t)", "L4", tanh_c, True),
        Truth("tanh(c_t)^2", "L4", tanh_c**2, True),
        Truth("1 - tanh(c_t)^2", "L4", 1 - tanh_c**2, True),
        Truth("1 - g_t^2", "L2", 1 - g**2, True),
        *(Truth(f"{gate}_t (1 - {gate}_t)", "L2", values[gate] * (1 - values[gate]), True) for gate in "ifog"),
        *(Truth(f"1 - {gate}_t", "L2", 1 - values[gate], True) for gate in "ifo"),
        Truth("g_t^2", "L2", g**2, True),
        Truth("dy_t", "", from_loss["dy"], True),
        Truth("a_t", "L1", values["a"], True),
        *weights_of(given, values, grads["a"], grads["a"], "L1", "L1", "ifgo"),
    ]


def gru_truths(given, from_loss, values, grads):
    r, z, n, v_n = (values[key] for key in ("r", "z", "n", "v_n"))
    dh, h_before = grads["h"], values["h_before"]
    du, dv = grads["u"], grads["v"]
    parts = {f"d{kind}_{gate}": part for kind, d in (("u", du), ("v", dv)) for gate, part in split_gates(d, "rzn")}
    parts = {name: part for name, part in parts.items() if name not in ("dv_r", "dv_z")}  # equal to du_r and du_z
    dn_slope = (1 - z) * (1 - n**2)
    slopes = {
        "dh_t/du_n": ("G4", dn_slope),
        "dh_t/dv_n": ("G4", dn_slope * r),
        "dh_t/dv_z": ("G3", (h_before - n) * z * (1 - z)),
        "dh_t/dv_r": ("G3", dn_slope * v_n * r * (1 - r)),
    }
    return [
        *(Truth(name, equation, slope, True) for name, (equation, slope) in slopes.items()),
        *travelling("h", "G5", dh, from_loss["dy"], grads["h_before"][0]),
        Truth("dh_t z_t, the direct path to h_(t-1)", "G5", dh * z, True),
        Truth("dv_t W_hh, the path through W_hh to h_(t-1)", "G2", dv @ given["W_hh"], True),
        *through_blocks("v", "G2", "rzn", np.split(dv, 3, axis=2), given["W_hh"]),
        Truth("dn_t", "G5", grads["n"], True),
        Truth("dz_t", "G5", grads["z"], True),
        Truth("dr_t", "G4", grads["r"], True),
        *(Truth(name, "G4" if name.endswith("n") else "G3", part, True) for name, part in parts.items()),
        Truth("du_t", "G3", du, True),
        Truth("dv_t", "G3", dv, True),
        Truth("dx_t", "G1", grads["x"], True),
        *states_of("h", values),
        *(Truth(f"{gate}_t", "G3", values[gate], True) for gate in "rz"),
        Truth("n_t", "G4", n, True),
        Truth("v_n", "G2", v_n, True),
        Truth("h_(t-1) - n_t", "G5", h_before - n, True),
        Truth("1 - n_t^2", "G4", 1 - n**2, True),
        Truth("n_t^2", "G4", n**2, True),
        *(Truth(f"{gate}_t (1 - {gate}_t)", "G3", values[gate] * (1 - values[gate]), True) for gate in "rzn"),
        *(Truth(f"1 - {gate}_t", "G3", 1 - values[gate], True) for gate in "rz"),
        Truth("dy_t", "", from_loss["dy"], True),
        *weights_of(given, values, du, dv, "G1", "G2", "rzn"),
    ]


def split_gates(d, gates):
    return list(zip(gates, np.split(d, len(gates), axis=2), strict=True))


TRUTHS = {"rnn": rnn_truths, "lstm": lstm_truths, "gru": gru_truths}


def softmax(T, B, C, masked=False, size=1.0, padding=0.0, seed=0):
    """Cross-entropy at every step. size: of the logits; padding: added to the logits of targets that are not valid."""
    rng = np.random.default_rng([seed, T, B, C])
    logits = size * rng.standard_normal((T, B, C))
    targets = rng.integers(0, C, (T, B))
    valid = rng.random((T, B)) < 0.6 if masked else np.ones((T, B), bool)
    valid[0, 0] = True
    logits[~valid] += padding
    shifted = logits - logits.max(axis=2, keepdims=True)
    exp = np.exp(shifted)
    total = exp.sum(axis=2, keepdims=True)
    probability = exp / total
    one_hot = np.eye(C)[targets]
    counts = np.broadcast_to(valid[:, :, None], logits.shape)
    error = np.where(counts, probability - one_hot, 0)
    loss = -np.sum((shifted - np.log(total))[counts & (one_hot == 1)]) / valid.sum()
    words = f"{T} steps, {B} rows, {C} classes" + ", some targets not valid" * masked
    if size != 1:
        words += f", logits about {size:g}"
    if padding != 0:
        words += f", {padding} in the logits that are not valid"
    given = {"logits": logits, "targets": targets, "valid": valid if masked else None}
    truths = [
        Truth("the logits minus the largest", "", shifted),
        Truth("exp(the logits minus the largest)", "", exp),
        Truth("the probabilities", "", probability),
        Truth("the one-hot targets", "", one_hot),
        Truth("the probabilities, minus 1 at the right class", "", probability - one_hot),
        Truth("the probabilities, minus 1 at the right class, 0 in rows that are not valid", "", error),
        Truth("the probabilities / count", "", probability / valid.sum()),
        Truth("dlogits", "", error / valid.sum()),
        Truth(
            "(the probabilities - one-hot) / count, also in rows that are not valid",
            "",
            (probability - one_hot) / valid.sum(),
        ),
        Truth("the loss", "", np.array(loss)),
        Truth("the number of valid targets", "", np.array(float(valid.sum()))),
    ]
    return Problem(words, given, {}, {}, {"loss": np.array(loss), "dlogits": error / valid.sum()}, truths)


def linear(*shape, O, seed=0):
    """shape: of x, its last axis the inputs."""
    rng = np.random.default_rng([seed, *shape, O])
    x, W, b = (rng.standard_normal(s) for s in (shape, (O, shape[-1]), (O,)))
    dy = rng.standard_normal((*shape[:-1], O))
    rows, dy_rows = x.reshape(-1, shape[-1]), dy.reshape(-1, O)
    gradients = {"dW": dy_rows.T @ rows, "db": dy_rows.sum(axis=0), "dx": dy @ W}
    truths = [Truth(name, "", values) for name, values in gradients.items()]
    truths += [Truth("dy", "", dy), Truth("x", "", x), Truth("W", "", W)]
    words = f"x of shape {shape}, {O} outputs"
    return Problem(words, {"x": x, "W": W, "b": b}, {"dy": dy}, {"y": x @ W.T + b}, gradients, truths)


def embedding(T, B, V, E, seed=0):
    rng = np.random.default_rng([seed, T, B, V, E])
    ids, W = rng.integers(0, V, (T, B)), rng.standard_normal((V, E))
    ids[-1, -1] = ids[0, 0]  # at least one id twice
    dy = rng.standard_normal((T, B, E))
    dW = np.einsum("tbv,tbe->ve", np.eye(V)[ids], dy)
    truths = [Truth("dW, each row the sum over all places of its id", "", dW), Truth("dy", "", dy)]
    words = f"{T} steps, {B} rows, {V} words, {E} numbers each"
    return Problem(words, {"ids": ids, "W": W}, {"dy": dy}, {"y": W[ids]}, {"dW": dW}, truths)


def lengths(lengths, I, H, seed=0):
    """A padded batch for an LSTM; the answer for each row comes from a separate run."""
    lengths = np.array(lengths)
    T, B = int(lengths.max()), len(lengths)
    batch = cell("lstm", T, B, I, H, seed)
    weights = {name: batch.given[name] for name in ("W_ih", "W_hh", "b_ih", "b_hh")}
    y, dx = np.zeros((T, B, H)), np.zeros((T, B, I))
    last, first = ({name: np.zeros((B, H)) for name in names} for names in (("h_n", "c_n"), ("dh_0", "dc_0")))
    dweights = {f"d{name}": np.zeros_like(weight) for name, weight in weights.items()}
    for row, length in enumerate(lengths):
        x = batch.given["x"][:length, row : row + 1]
        state = {name: batch.given[name][row : row + 1] for name in ("h_0", "c_0")}
        upstream = {name: batch.upstream[name][row : row + 1] for name in ("dh_n", "dc_n")}
        upstream["dy"] = batch.upstream["dy"][:length, row : row + 1]
        values, grads, leaves = unrolled("lstm", {"x": x, **state, **weights}, upstream)
        y[:length, row], dx[:length, row] = values["h"][:, 0], grads["x"][:, 0]
        for name in last:
            last[name][row] = values[name[0]][-1, 0]
        for name in first:
            first[name][row] = leaves[name[1:]][0]
        for name in dweights:
            dweights[name] += leaves[name[1:]]
    given = {
        "cell": scratch.lstm,
        "x": batch.given["x"],
        "state": (batch.given["h_0"], batch.given["c_0"]),
        "weights": list(weights.values()),
        "lengths": lengths,
    }
    upstream = {
        "cell": scratch.lstm,
        "dy": batch.upstream["dy"],
        "dstate_n": (batch.upstream["dh_n"], batch.upstream["dc_n"]),
    }
    gradients = {**first, "dW_hh": dweights["dW_hh"], "db_hh": dweights["db_hh"], "dW_ih": dweights["dW_ih"]}
    gradients |= {"db_ih": dweights["db_ih"], "dx": dx}
    truths = [Truth(name, "", values) for name, values in gradients.items()]
    words = f"lengths {' '.join(map(str, lengths))} of {T} steps, {I} inputs, {H} hidden units"
    return Problem(words, given, upstream, {"y": y, **last}, gradients, truths)


def clipping(max_norm, seed=0):
    rng = np.random.default_rng([seed, 7])
    grads = {"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(3)}
    norm = np.sqrt(sum((g**2).sum() for g in grads.values()))
    scale = min(1.0, max_norm / (norm + 1e-6))
    gradients = {"the norm before": np.array(norm), **{f"{name} after": g * scale for name, g in grads.items()}}
    truths = [Truth("the norm", "", np.array(norm)), Truth("max_norm / (norm + 1e-6)", "", np.array(scale))]
    truths += [Truth("the norm squared", "", np.array(norm**2))]
    truths += [Truth(f"{name} scaled", "", g * scale) for name, g in grads.items()]
    words = f"a norm of {norm:.3g}, at most {max_norm:g}"
    return Problem(words, {"grads": grads, "max_norm": max_norm}, {}, {}, gradients, truths)


def adam(steps, size=1.0, seed=0):
    """Two parameters of one shape. size: of the gradients; small ones show where eps is added."""
    rng = np.random.default_rng([seed, 8, steps])
    p = {"W": rng.standard_normal((3, 2)), "U": rng.standard_normal((3, 2))}
    grads = [{name: size * rng.standard_normal(q.shape) for name, q in p.items()} for _ in range(steps)]
    lr, (beta1, beta2), eps = 0.1, (0.8, 0.95), 1e-8
    g = np.stack([np.stack(list(one.values())) for one in grads])  # (steps, 2, 3, 2)
    q, m, v = np.stack(list(p.values())), 0, 0
    gradients, first = {}, {}
    for t in range(1, steps + 1):
        m, v = beta1 * m + (1 - beta1) * g[t - 1], beta2 * v + (1 - beta2) * g[t - 1] ** 2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        step = lr * m_hat / (np.sqrt(v_hat) + eps)
        q = q - step
        gradients |= {f"{name} after step {t}": after for name, after in zip(p, q, strict=True)}
        if t == 1:
            first = {
                "m": m,
                "v": v,
                "sqrt(v)": np.sqrt(v),
                "m / (1 - beta1^t)": m_hat,
                "v / (1 - beta2^t)": v_hat,
                "sqrt(v / (1 - beta2^t))": np.sqrt(v_hat),
                "sqrt(v / (1 - beta2^t)) + eps": np.sqrt(v_hat) + eps,
                "the whole step, with lr": step,
                "p after the step": q,
                "g": g[0],  # listed after m / (1 - beta1^t), to which it is equal at t = 1
                "g^2": g[0] ** 2,
            }
    words = counted(steps, "step") + (f", gradients about {size:g}" if size != 1 else "")
    given = {"params": p, "lr": lr, "betas": (beta1, beta2), "eps": eps, "weight_decay": 0.0, "grads": grads}
    truths = [Truth(name, "", values) for name, values in first.items()] if steps == 1 else []
    return Problem(words, given, {}, {}, gradients, truths)


def tiny(exercise):
    """A smaller problem, for code that loops over every entry and takes too long on the first one."""
    return cell(exercise, 2, 1, 1, 2)


def of(exercise):
    """The problems of an exercise; the first one is small, because wrong lines are searched with it."""
    match exercise:
        case "rnn" | "gru" | "lstm":
            found = [
                cell(exercise, 3, 2, 4, 3),  # small: a loop over scalars is slow
                cell(exercise, 1, 1, 1, 1),
                cell(exercise, 4, 3, 2, 5, upstream=100.0),
                cell(exercise, 4, 3, 2, 5, dtype="float32"),
            ]
            return found + ([cell("rnn", 3, 4, 2, 5, nonlinearity="relu")] if exercise == "rnn" else [])
        case "rnn_step" | "gru_step" | "lstm_step":
            name = exercise.removesuffix("_step")
            found = [cell(name, 1, 4, 2, 5), cell(name, 1, 1, 1, 1), cell(name, 1, 3, 2, 2, upstream=100.0)]
            return found + ([cell("rnn", 1, 4, 2, 5, nonlinearity="relu")] if name == "rnn" else [])
        case "softmax":
            return [
                softmax(3, 4, 5),
                softmax(3, 4, 5, masked=True),
                softmax(1, 1, 2),
                softmax(2, 3, 4, masked=True, padding=float("nan")),
                softmax(2, 3, 4, size=1e4),
            ]
        case "linear":
            return [linear(4, 3, O=5), linear(3, 4, 2, O=5), linear(1, 1, O=1), linear(3, O=2)]
        case "embedding":
            return [embedding(3, 4, 5, 2), embedding(2, 1, 1, 1), embedding(5, 6, 200, 3)]
        case "lengths":
            return [lengths((5, 3, 3, 1), 2, 4), lengths((3, 3), 2, 2), lengths((1,), 1, 1)]
        case "clipping":
            return [clipping(1.0), clipping(100.0), clipping(0.0)]
        case "adam":
            return [adam(1), adam(3), adam(3, size=1e-8)]
