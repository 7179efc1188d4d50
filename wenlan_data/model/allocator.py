"""Keep freed memory: on the CPU each step frees and takes the same activations again.

glibc gives large blocks back to the kernel at once and takes fresh pages for the next, each zeroed when first
touched. On a virtual machine that was a fifth of a step (benchmarks/train/memory.py).
"""

import ctypes

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """From here on this process keeps the pages that it frees, for its next allocation; False where libc cannot.

    Its resident memory stays at the most that it ever held. Other allocators (jemalloc, macOS's) are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    # No block through mmap, and the top of the heap never trimmed (-1, as mallopt(3) says).
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, -1))
