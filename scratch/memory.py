"""Make the C library keep freed memory, which saves up to a third of a training step."""

import numpy as np


def keep_freed_memory():
    """Call once before training. It acts on the whole process, and only where the C library is glibc (Linux).

    A step of training frees and allocates the same large blocks again and again. glibc returns a freed block to the
    system when it is larger than any block freed before, and the system clears every page of the next one. So free one
    block of the largest size that glibc takes into account. It is never touched, so it costs no memory.
    """
    np.empty(2**25 - 2**16, np.uint8)
