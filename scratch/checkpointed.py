"""Back-propagation through long sequences in little memory: keep few states, compute the rest again.

`backward` needs what `forward` computed at every step: T steps, T times the memory. But one state is enough to compute
everything after it. So cut the T steps into segments, and keep only the state before each of them. On the way back, run
one segment forward again, this time keeping everything, go back through it, and free it:

    forward       s_0 ---> s_1 ---> s_2 ---> s_3 ---> loss         only these are kept
    backward                                 s_3 ===> <===
                                    s_2 ===> <===                  one segment at a time is in memory
                           s_1 ===> <===
                  s_0 ===> <===

With segments of k steps this needs T/k states and everything else for k steps: least when both are sqrt(T). The price
is a second forward pass. The gradients are the same: the cuts change no operation, only where sums are split.

Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost" (2016); for recurrent networks Gruslys,
Munos, Danihelka, Lanctot and Graves, "Memory-efficient backpropagation through time", NIPS 2016.
"""

import math

import numpy as np


def gradients(layer, x, loss, state=None, embedding=None, steps=None):
    """The loss of a sequence and its gradients, the same as layer.forward and layer.backward give.

    layer: one of scratch's, with one direction; x (T, B, I), or ids (T, B) with the table `embedding` (V, I); state:
    the first state, None for zeros; steps: the length of a segment, None for about sqrt(T).
    loss: a function of a segment's y (t, B, H) and the number of its first step. It returns the segment's share of the
    loss (the loss is their sum) and dy (t, B, H). It is called once per segment, the last one first, and must not use
    the layer.
    Returns the loss, dx (of x, or of the table) and dstate_0; sets layer.grads.
    Raises ValueError for a bidirectional layer, which would have to start at both ends, and for steps < 1.
    """
    if layer.directions == 2:
        raise ValueError("a bidirectional layer starts at both ends: it cannot be run one segment at a time")
    if steps is not None and steps < 1:
        raise ValueError(f"steps is {steps}; a segment has at least 1")
    x = np.asarray(x)
    T = len(x)
    steps = math.isqrt(max(T, 1) - 1) + 1 if steps is None else steps
    starts = range(0, T, steps)

    states = [state]  # before each segment
    for start in starts[:-1]:
        _, state = layer.forward(x[start : start + steps], state, embedding=embedding)
        states.append(state)

    total, dstate, grads = 0.0, None, {}
    dx = np.empty(x.shape, layer.params["weight_ih_l0"].dtype) if embedding is None else np.zeros_like(embedding)
    for start, state in zip(reversed(starts), reversed(states), strict=True):
        y, _ = layer.forward(x[start : start + steps], state, embedding=embedding)
        share, dy = loss(y, start)
        dx_part, dstate = layer.backward(dy, dstate)
        total += share
        for name, g in layer.grads.items():
            grads[name] = grads[name] + g if name in grads else g  # every segment used the same weights
        if embedding is None:
            dx[start : start + steps] = dx_part
        else:
            dx += dx_part
    layer.grads = grads
    return total, dx, dstate
