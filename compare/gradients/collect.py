"""Every gradient of one batch by name: those of the parameters and those of every intermediate at every step."""

import scratch
from data import Batch
from torch_impl import unrolled


def by_hand(model, batch: Batch, cell: str) -> dict:
    """Every gradient of the scratch model by name, in backward order: parameters, and "dh_l0" (T, B, H) and so on."""
    trace = []
    model.loss(batch)
    grads = model.backward(trace)
    return in_backward_order(grads, trace, cell, model.recurrent.directions)


def by_torch(model, batch: Batch, cell: str) -> dict:
    """The same by autograd: parameters through torch.nn, intermediates through the unrolled forward pass."""
    model.zero_grad()
    model.loss(batch).backward()
    grads = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
    kept = []
    trace = unrolled.gradients(model.loss(batch, kept=kept), kept)
    return in_backward_order(grads, trace, cell, 2 if model.recurrent.bidirectional else 1)


def in_backward_order(grads: dict, trace: list, cell: str, directions: int) -> dict:
    """The gradients of the parameters and the traced ones in one dict, in the order in which `backward` computes them.

    The names are those of the parameters without "recurrent.", and "dh_l0", "dh_l0_reverse" and so on.
    """
    ordered = {name: g for name, g in grads.items() if name.startswith("linear")}
    for k in reversed(range(len(trace))):
        suffix = f"l{k // directions}{'_reverse' * (k % directions)}"
        ordered |= {f"{name}_{suffix}": trace[k][name] for name in scratch.module_of(cell).TRACED}
        for kind in ("weight_hh", "bias_hh", "weight_ih", "bias_ih"):
            name = f"{kind}_{suffix}"
            ordered |= {name: grads[f"recurrent.{name}"]} if f"recurrent.{name}" in grads else {}
    return ordered | {name: g for name, g in grads.items() if name.startswith("embedding")}
