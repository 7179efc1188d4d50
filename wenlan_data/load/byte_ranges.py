"""Bytes of shards by range: the small role behind which files lie on a disk, or later in an object store."""

import mmap
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wenlan_data.errors import DamageError, os_errors

Range = tuple[int, int]
"""Offset and size in bytes."""
MAX_OPEN_MAPS = 512


class ByteReader(Protocol):
    """Reads ranges of whole objects. Picklable, so that worker processes can have one each."""

    def read(self, name: str, ranges: Sequence[Range]) -> list[memoryview]:
        """The bytes of each range, in order; raises `DamageError` where the object ends before one does."""


@dataclass(slots=True)
class MappedFiles:
    """Local files, mapped: a range costs no copy and no system call once its pages are in memory."""

    _maps: OrderedDict[str, memoryview] = field(default_factory=OrderedDict, repr=False)

    def read(self, name: str, ranges: Sequence[Range]) -> list[memoryview]:
        """Views into the map; they stay valid when the map is let go."""
        view = self._map(name)
        end = max((offset + size for offset, size in ranges), default=0)
        if end > len(view):
            raise DamageError(
                f"{name}: cut short: {end} bytes expected, {len(view)} found: restore it from a copy"
            )
        return [view[offset : offset + size] for offset, size in ranges]

    def __getstate__(self) -> tuple[()]:
        return ()

    def __setstate__(self, state: tuple[()]) -> None:
        self._maps = OrderedDict()

    def _map(self, name: str) -> memoryview:
        if name in self._maps:
            return self._maps[name]
        with os_errors(name), Path(name).open("rb") as file:
            size = file.seek(0, 2)
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        while len(self._maps) >= MAX_OPEN_MAPS:
            self._maps.popitem(last=False)  # the last view of it closes the map
        self._maps[name] = view
        return view
