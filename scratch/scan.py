"""Linear recurrences: h_t = a_t * h_{t-1} + b_t, step by step or in log2(T) rounds over all steps.

Sizes: T steps; "..." is whatever one step has, such as (B, H). a_t multiplies entry by entry.

    (P1)  h_t = a_t * h_{t-1} + b_t
    (P2)  (a, b) then (a', b')  =  (a' * a,  a' * b + b')

(P2) says that two steps in a row are one step of the same form. So any number of steps can be combined first, without
knowing the state before them, and in any grouping. The loop combines one step at a time. The doubling scan combines
spans: after k rounds, entry t stands for the 2^k steps that end with step t, and the next round combines it with the
span before it.

    round   entry 4 stands for steps     combines
      0                         4
      1                       3 4        entries 3 and 4
      2                   1 2 3 4        entries 2 and 4
      3                 0 1 2 3 4        entries 0 and 4

Hillis and Steele, "Data parallel algorithms", CACM 29 (1986); for networks Martin and Cundy, "Parallelizing linear
recurrent neural nets over sequence length", ICLR 2018.
"""

import numpy as np

NARROW = 256  # up to so many numbers per step, the doubling scan is faster than the loop


def scan(a, b, h_0, h=None):
    """All states of a linear recurrence, by the faster of the two ways.

    a and b (T, ...), h_0 (...). Returns h (T, ...), written into the array `h` if one is given.
    """
    return doubling(a, b, h_0, h) if h_0.size <= NARROW else loop(a, b, h_0, h)


def loop(a, b, h_0, h=None):
    """As `scan`, one step after the other: T steps of two operations on arrays (...)."""
    h = np.empty(b.shape, np.result_type(a, b, h_0)) if h is None else h
    before = h_0
    for t in range(len(b)):
        # (P1)  h_t = a_t * h_{t-1} + b_t
        h[t] = a[t] * before + b[t]
        before = h[t]
    return h


def doubling(a, b, h_0, h=None):
    """As `scan`, in log2(T) rounds of three operations on arrays (T, ...)."""
    h = np.empty(b.shape, np.result_type(a, b, h_0)) if h is None else h
    h[...] = b
    # (P1)  the first step's state is known; from here on h_t is the b of the span that ends with step t
    h[0] += a[0] * h_0
    a = np.array(a)  # (T, ...)  a copy: it becomes the a of that span
    span = 1
    while span < len(h):
        # (P2)  combine each span with the one before it. The product is complete before anything is added
        h[span:] += a[span:] * h[:-span]
        a[span:] = a[span:] * a[:-span]
        span *= 2
    return h
