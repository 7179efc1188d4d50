"""Memory for large bodies that are being read: a body holds room for the bytes that it has, not a
place for as long as its server likes."""

import asyncio
from collections import deque

STEP_BYTES = 1 << 20
"""Room is taken in steps of this size, so that a body waits rarely."""


class BodyMemory:
    """Bounds the bytes of all large bodies of a worker.

    Without room a body waits, first come, first served. If all bodies that hold room wait for more,
    the first one gets it beyond the bound and is read to its end: so the bytes exceed the bound by
    one body at most, and no two bodies wait for each other. Bodies that hold room and hardly grow
    are the client's to end while others wait (`is_short`).
    """

    def __init__(self, max_bytes: int) -> None:
        self._free = max_bytes
        self._holders: set[BodyRoom] = set()
        self._waiting: deque[tuple[BodyRoom, int, asyncio.Future[None]]] = deque()

    @property
    def is_short(self) -> bool:
        """Whether a body waits for room."""
        return bool(self._waiting)

    def room(self) -> "BodyRoom":
        """Room for one body, empty at first; release it when the body is done with."""
        return BodyRoom(self)

    async def take(self, room: "BodyRoom", size_bytes: int) -> None:
        """Waits until `room` may hold more bytes."""
        place = asyncio.get_running_loop().create_future()
        self._waiting.append((room, size_bytes, place))
        self._grant()
        try:
            await place
        finally:
            self._waiting = deque(one for one in self._waiting if one[2] is not place)

    def give_back(self, room: "BodyRoom") -> None:
        """Frees all bytes of `room`."""
        self._holders.discard(room)
        self._free += room.size_bytes
        room.size_bytes = 0
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            room, size_bytes, place = self._waiting[0]
            waits = {one for one, _, _ in self._waiting}
            if size_bytes > self._free and not self._holders <= waits:
                return
            self._waiting.popleft()
            if not place.done():
                self._free -= size_bytes
                room.size_bytes += size_bytes
                self._holders.add(room)
                place.set_result(None)


class BodyRoom:
    """Bytes that one body holds."""

    __slots__ = ("_memory", "size_bytes")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self.size_bytes = 0

    def fits(self, size_bytes: int) -> bool:
        """Whether a body of this size needs no more room."""
        return size_bytes <= self.size_bytes

    async def extend(self, size_bytes: int) -> None:
        """Waits until there is room for a body of `size_bytes`."""
        if not self.fits(size_bytes):
            await self._memory.take(self, max(STEP_BYTES, size_bytes - self.size_bytes))

    def release(self) -> None:
        """Frees its bytes."""
        self._memory.give_back(self)
