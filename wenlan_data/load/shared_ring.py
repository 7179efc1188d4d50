"""A ring buffer in shared memory that workers fill again and again.

Fresh pages for every batch cost 14 % of a worker's time (953 against 833 us of processor time per
sample, 512x384 to 224).
"""

import os
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from wenlan_data.errors import UsageError

# Beyond the slots that are being filled: one in transit, the next to fill, and two that the user
# holds. A user who holds more batches receives copies.
SPARE_SLOTS = 4
Place = TypeVar("Place")
_SHARED = "/dev/shm"
# A worker sends the numbers of its ring and slot with each batch instead of a tensor, since every
# tensor that is sent costs a connection.
_rings: dict[int, "SharedRing"] = {}
_numbers = count()


class SharedRing:
    """Slots for uint8 (B, ...), allocated before the workers are forked and shared with them.

    A slot is lent to the user with its batch. It is free again when nothing refers to its memory.
    """

    def __init__(self, in_flight: int, shape: tuple[int, ...]) -> None:
        self.number = next(_numbers)
        slots = in_flight + SPARE_SLOTS
        size = slots * torch.Size(shape).numel()
        free = _free_bytes()
        # Checked beforehand: writing to shared memory that is full is a bus error, which kills the
        # process without a message.
        if free is not None and size > free:
            raise UsageError(
                f"{_SHARED}: batches in flight need {size >> 20} MiB, {free >> 20} MiB are free: "
                "give it more (docker run --shm-size), or choose fewer workers, less prefetch or a "
                "smaller batch_size"
            )
        self.slots = [torch.empty(shape, dtype=torch.uint8) for _ in range(slots)]
        for slot in self.slots:
            # torch unlinks the file at once, so nothing is left in /dev/shm even after kill -9.
            slot.share_memory_()  # type: ignore[no-untyped-call]
        self._free = deque(range(slots))
        _rings[self.number] = self

    def with_slots(self, places: Iterable[Place]) -> Iterator[tuple[Place, int]]:
        """Yields the place of each batch with a slot that is free at the moment of the request."""
        # A generator: `DataLoader` draws from its sampler only when it hands a task to a worker.
        return ((place, self._free.popleft()) for place in places)

    def take(self, slot: int, *, pinned: bool) -> Tensor:
        """Returns what a worker wrote, uint8 (B, ...).

        The memory is lent; it is a copy if `pinned`, or if no other slot is free.
        """
        held = self.slots[slot].numpy()
        if pinned or not self._free:
            own = torch.empty(held.shape, dtype=torch.uint8, pin_memory=pinned)
            # By NumPy, on this thread: torch would wake a thread pool that competes with the
            # workers for the cores.
            np.copyto(own.numpy(), held)
            self._free.append(slot)
            return own
        # Every view of the tensor, in torch or NumPy, keeps `held` alive: the finalizer runs when
        # the last one is released. Not at exit, when no slot is needed any more.
        weakref.finalize(held, self._free.append, slot).atexit = False
        return torch.from_numpy(held)

    def close(self) -> None:
        """Forgets the ring; batches that were taken keep their memory."""
        _rings.pop(self.number, None)


def take_slot(ring: int, slot: int, *, pinned: bool) -> Tensor:
    """Calls `SharedRing.take` of the ring with that number."""
    return _rings[ring].take(slot, pinned=pinned)


def _free_bytes() -> int | None:
    try:
        state = os.statvfs(_SHARED)
    except OSError:
        return None  # not Linux
    return state.f_bavail * state.f_frsize
