"""Shared memory that workers fill again and again: fresh pages for every batch cost 14 % of a worker's time.

It has no name in the file system from the moment it is made, so that nothing is left after kill -9.
"""

import os
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor

from wenlan_data.errors import UsageError

SPARE_SLOTS = 4
"""Beyond those that are being filled: one that arrives, the next to fill, and two that the user holds."""
_SHARED = "/dev/shm"
_rings: dict[int, "Ring"] = {}
_numbers = count()


class Ring:
    """Slots for uint8 (B, S, S, 3), made before the workers and known to them.

    A slot is lent to the user with its batch, and free again when nobody looks at its memory any more.
    """

    def __init__(self, in_flight: int, shape: tuple[int, int, int, int]) -> None:
        self.number = next(_numbers)
        slots = in_flight + SPARE_SLOTS
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
        self._free = deque(range(slots))
        _rings[self.number] = self

    def with_slots(self, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Each batch number with a slot that is free at the moment it is asked for."""
        return ((number, self._free.popleft()) for number in numbers)

    def take(self, slot: int, *, pinned: bool) -> Tensor:
        """What a worker wrote, uint8 (B, 3, S, S) in channels-last memory: lent, or copied where slots run short."""
        held = self.slots[slot].numpy()
        if pinned or not self._free:
            own = torch.empty(held.shape, dtype=torch.uint8, pin_memory=pinned)
            # By NumPy, on this thread: torch would wake a pool that fights the workers for the cores.
            np.copyto(own.numpy(), held)
            self._free.append(slot)
            return own.permute(0, 3, 1, 2)
        # Every view of this tensor, of torch or NumPy, keeps `held` alive.
        weakref.finalize(held, self._free.append, slot).atexit = False
        return torch.from_numpy(held).permute(0, 3, 1, 2)

    def close(self) -> None:
        """Forget it; batches that were taken keep their memory."""
        _rings.pop(self.number, None)


def take(ring: int, slot: int, *, pinned: bool) -> Tensor:
    """`Ring.take` of the ring of that number."""
    return _rings[ring].take(slot, pinned=pinned)


def _free_bytes() -> int | None:
    try:
        state = os.statvfs(_SHARED)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize
