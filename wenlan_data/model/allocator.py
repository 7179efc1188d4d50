"""Keeps freed memory in the process: on a CPU every step frees and allocates the same activations.

glibc returns large blocks to the kernel at once and maps fresh pages for the next ones, which the
kernel zeroes at the first access. On a virtual machine that was a fifth of the time of a step
(benchmarks/train/memory.py).
"""

import ctypes

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Makes malloc reuse freed pages instead of returning them; returns False where libc cannot.

    Applies to the whole process from now on, whose resident memory stays at its maximum. Has no
    effect on other allocators (jemalloc, macOS's).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # No blocks through mmap, and the top of the heap is never trimmed (-1, see mallopt(3)).
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))
