"""Shared memory that workers fill again and again: fresh pages for every batch cost 14 % of a worker's time.

It has no name in the file system from the moment it is made, so that nothing is left after kill -9.
"""

import os
from itertools import count

import numpy as np
import torch
from torch import Tensor

from wenlan_data.errors import UsageError

_SHARED = "/dev/shm"
_rings: dict[int, "Ring"] = {}
_numbers = count()


class Ring:
    """Slots for uint8 (B, S, S, 3), made before the workers and known to them.

    A slot is filled again `slots` batches later; the batch in it is taken (copied) when it is received.
    """

    def __init__(self, slots: int, shape: tuple[int, int, int, int]) -> None:
        self.number = next(_numbers)
        size = slots * torch.Size(shape).numel()
        free = _free_bytes()
        if free is not None and size > free:
            raise UsageError(
                f"{_SHARED}: batches in flight need {size >> 20} MiB, {free >> 20} MiB are free: give it more "
                "(docker run --shm-size), or choose fewer workers, less prefetch or a smaller batch_size"
            )
        self.slots = [torch.empty(shape, dtype=torch.uint8) for _ in range(slots)]
        for slot in self.slots:
            slot.share_memory_()  # type: ignore[no-untyped-call]
        _rings[self.number] = self

    def close(self) -> None:
        """Let the memory go; batches that were taken are not concerned."""
        _rings.pop(self.number, None)


def take(ring: int, slot: int, *, pinned: bool) -> Tensor:
    """A copy of what a worker wrote, uint8 (B, 3, S, S) in channels-last memory."""
    held = _rings[ring].slots[slot]
    own = torch.empty(held.shape, dtype=torch.uint8, pin_memory=pinned)
    # By NumPy, on this thread: torch would wake a pool that fights the workers for the cores.
    np.copyto(own.numpy(), held.numpy())
    return own.permute(0, 3, 1, 2)


def _free_bytes() -> int | None:
    try:
        state = os.statvfs(_SHARED)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize
