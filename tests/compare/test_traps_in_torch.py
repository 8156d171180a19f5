"""Losses of a plain torch program with another convention are matched to the trap for it, and to no other.

The program shares nothing with the traps but the initial weights and the batches.
"""

from functools import partial

import numpy as np
import pytest
import torch
from test_match import curve_of, fitting, named
from torch import nn
from torch.nn.functional import cross_entropy, hardsigmoid
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR, LinearLR
from trap_runs import STEPS, known, trained

from compare import model_pair
from compare.traps import match


class Names(nn.Module):
    """Ids to an embedding, an LSTM, and classes from its last state.

    gate: a sigmoid of its own, or None; packed: does each row end at its length, not with the padding?
    """

    def __init__(self, sizes, gate, packed):
        super().__init__()
        V, H, classes = sizes
        self.embedding, self.recurrent, self.linear = nn.Embedding(V, H), nn.LSTM(H, H), nn.Linear(H, classes)
        self.gate, self.packed = gate, packed

    def forward(self, ids, lengths):
        x = self.embedding(ids)
        if self.gate is None:
            _, (h_n, _) = self.recurrent(pack_padded_sequence(x, lengths, enforce_sorted=False) if self.packed else x)
            return self.linear(h_n[0])
        r = self.recurrent
        h = c = torch.zeros_like(x[0])
        for t, x_t in enumerate(x):
            a = x_t @ r.weight_ih_l0.T + r.bias_ih_l0 + h @ r.weight_hh_l0.T + r.bias_hh_l0
            i, f, g, o = a.chunk(4, dim=1)
            new_c = self.gate(f) * c + self.gate(i) * g.tanh()
            new_h = self.gate(o) * new_c.tanh()
            goes_on = (t < lengths)[:, None]
            h, c = torch.where(goes_on, new_h, h), torch.where(goes_on, new_c, c)
        return self.linear(h)


class Formula(torch.optim.Optimizer):
    """An Adam of another library. update(m, v, t, lr): what is subtracted."""

    def __init__(self, params, lr, update):
        super().__init__(params, dict(lr=lr))
        self.update, self.t = update, 0

    @torch.no_grad()
    def step(self):
        self.t += 1
        for p in self.param_groups[0]["params"]:
            kept = self.state[p] or {"m": torch.zeros_like(p), "v": torch.zeros_like(p)}
            kept = self.state[p] = {"m": 0.9 * kept["m"] + 0.1 * p.grad, "v": 0.999 * kept["v"] + 0.001 * p.grad**2}
            p -= self.update(kept["m"], kept["v"], self.t, self.param_groups[0]["lr"])


def keras(m, v, t, lr):
    return m * lr * (1 - 0.999**t) ** 0.5 / (1 - 0.9**t) / (v.sqrt() + 1e-7)


def bert(m, v, t, lr):
    return lr * m / (v.sqrt() + 1e-8)


def losses_of(dtype, optimizer=Adam, rate=1.0, clip=0.5, change=None, gate=None, packed=True, schedule=None):
    """A training script. rate: a factor of the learning rate; change: changes the LSTM before training."""
    runs = trained("names")
    assert runs.settings.clip == 0.5 and runs.settings.optimizer == "adam"
    start = model_pair.build(model_pair.model_of(runs.settings, runs.dataset), "float64").scratch.params
    V, H = start["embedding.weight"].shape
    model = Names((V, H, len(start["linear.bias"])), gate, packed).double()
    model.load_state_dict({name: torch.tensor(p) for name, p in start.items()})
    if change:
        change(model.recurrent)
    model.to(dtype)
    optimizer = optimizer(model.parameters(), rate * runs.settings.lr)
    scheduler = schedule and schedule(optimizer)
    losses = []
    for batch, _ in zip(runs.dataset.train_batches(0), range(STEPS), strict=False):
        optimizer.zero_grad()
        logits = model(torch.as_tensor(batch.inputs), torch.as_tensor(batch.lengths))
        loss = cross_entropy(logits, torch.as_tensor(batch.targets))
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if scheduler:
            scheduler.step()
        losses.append(loss.item())
    return np.array(losses)


def forget(change):
    """A change of the forget gate's b_ih and b_hh."""

    def changed(lstm):
        H = lstm.hidden_size
        change(lstm.bias_ih_l0.data[H : 2 * H], lstm.bias_hh_l0.data[H : 2 * H])

    return changed


def one_bias(lstm):
    """The sum of both biases as the one that is trained, and zero for the other."""
    lstm.bias_ih_l0.data += lstm.bias_hh_l0.data
    lstm.bias_hh_l0.data.zero_()
    lstm.bias_hh_l0.requires_grad_(False)


PROGRAMS = {
    ("hard_sigmoid", "slope 0.2"): dict(gate=lambda a: (0.2 * a + 0.5).clamp(0, 1)),
    ("hard_sigmoid", "slope 1/6"): dict(gate=hardsigmoid),
    ("forget_bias", "1 added to b_ih"): dict(change=forget(lambda b_ih, b_hh: b_ih.add_(1))),
    ("forget_bias", "b_ih set to 1"): dict(change=forget(lambda b_ih, b_hh: b_ih.fill_(1))),
    ("forget_bias", "b_ih set to 1, b_hh to 0"): dict(change=forget(lambda b_ih, b_hh: (b_ih.fill_(1), b_hh.zero_()))),
    ("forget_bias", "b_ih and b_hh set to 1"): dict(change=forget(lambda b_ih, b_hh: (b_ih.fill_(1), b_hh.fill_(1)))),
    ("one_bias", ""): dict(change=one_bias),
    ("last_padded_step", ""): dict(packed=False),
    ("epsilon_inside", "1e-7, as Keras"): dict(optimizer=partial(Formula, update=keras)),
    ("another_epsilon", "1e-7"): dict(optimizer=partial(Adam, eps=1e-7)),
    ("another_epsilon", "0.001"): dict(optimizer=partial(Adam, eps=1e-3)),
    ("no_bias_correction", ""): dict(optimizer=partial(Formula, update=bert)),
    ("another_rate", "x 2"): dict(rate=2),
    ("another_rate", "x 1/10"): dict(rate=0.1),
    ("warm_up", "over 100 steps"): dict(schedule=lambda o: LambdaLR(o, lambda k: min(1, (k + 1) / 100))),
    ("warm_up", "over 5 steps, from 0"): dict(schedule=lambda o: LambdaLR(o, lambda k: min(1, k / 5))),
    ("warm_up", "LinearLR's default"): dict(schedule=LinearLR),
    ("adamw_decay", "0.01"): dict(optimizer=AdamW),
    ("adamw_decay", "0.1"): dict(optimizer=partial(AdamW, weight_decay=0.1)),
    ("decay_in_the_gradient", "0.01"): dict(optimizer=partial(Adam, weight_decay=0.01)),
    ("decay_in_the_gradient", "0.0001"): dict(optimizer=partial(Adam, weight_decay=1e-4)),
    ("other_betas", "0.9 and 0.98"): dict(optimizer=partial(Adam, betas=(0.9, 0.98))),
    ("other_betas", "0.5 and 0.999"): dict(optimizer=partial(Adam, betas=(0.5, 0.999))),
    ("no_clipping", ""): dict(clip=None),
    ("another_limit", "0.25"): dict(clip=0.25),
    ("another_limit", "0.1"): dict(clip=0.1),
    None: {},
}


def distances(name):
    """The distance of every known run from the one called `name`."""
    (one,) = (k for k in known("names") if named(k) == name)
    return {named(k): np.abs(k.losses - one.losses).max() for k in known("names")}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", PROGRAMS, ids=lambda name: " ".join(name) if name else "reference")
def test_a_torch_program_is_matched_to_its_convention_and_to_no_other(name, dtype):
    verdict = match.judge(curve_of(losses_of(dtype, **PROGRAMS[name])), known("names"))
    assert name in fitting(verdict)
    # torch's hardsigmoid differentiates with 1/6 in float32, whatever the dtype
    exact = dtype == torch.float64 and PROGRAMS[name].get("gate") is not hardsigmoid
    distance = distances(name)
    assert not [other for other in fitting(verdict) if distance[other] > (1e-12 if exact else 5e-6)]


def test_there_is_a_program_for_every_convention_of_an_optimizer_or_a_gate():
    families = {k.variant.trap.name for k in known("names")[1:] if k.variant.label}
    assert families <= {name[0] for name in PROGRAMS if name}


def test_another_value_of_a_family_is_not_matched():
    """A learning rate of 1.9 times the reference's is none of those tried, and no other trap."""
    assert not fitting(match.judge(curve_of(losses_of(torch.float64, rate=1.9)), known("names")))
    assert not fitting(match.judge(curve_of(losses_of(torch.float32, rate=1.9)), known("names")))
