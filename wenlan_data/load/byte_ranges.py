"""Reads byte ranges of shards: a role, and its implementation for local files."""

import mmap
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wenlan_data.errors import DamageError, WenlanError, os_errors
from wenlan_data.files import open_regular

Range = tuple[int, int]
"""Offset and size in bytes."""
# `mmap` holds a duplicate of the file descriptor, and 1,024 per process is the usual limit.
MAX_OPEN_MAPS = 512
HAS_ADVICE = hasattr(mmap, "MADV_WILLNEED")
MAX_ADVICE_BYTES = 1 << 17
"""Linux reads no more for one call than the read-ahead of the device, 128 KiB by default."""


class ByteReader(Protocol):
    """Reads ranges of whole objects. Picklable, so that every worker process can have its own."""

    def read(self, name: str, ranges: Sequence[Range]) -> list[memoryview]:
        """Returns the bytes of each range, in order.

        Raises `DamageError` if the object ends before a range does.
        """

    def read_ahead(self, name: str, wanted: Range) -> None:
        """Announces that a range will be read soon. Returns at once, and raises nothing."""


@dataclass(slots=True)
class MappedFiles:
    """Memory-mapped local files: a range in the page cache costs no copy and no system call."""

    _maps: OrderedDict[str, memoryview] = field(default_factory=OrderedDict, repr=False)

    def read(self, name: str, ranges: Sequence[Range]) -> list[memoryview]:
        """Returns views into the mapping; they stay valid after it is evicted."""
        view = self._map(name)
        end = max((offset + size for offset, size in ranges), default=0)
        # Slicing past the end would silently give fewer bytes, which decode as a bad sample.
        if end > len(view):
            raise DamageError(
                f"{name}: cut short: {end} bytes expected, {len(view)} found: "
                "restore it from a copy"
            )
        return [view[offset : offset + size] for offset, size in ranges]

    def read_ahead(self, name: str, wanted: Range) -> None:
        """Has the system read the range into the page cache, in the background."""
        offset, size = wanted
        # A file that cannot be opened is reported by `read`.
        with suppress(WenlanError):
            file = self._map(name).obj
            start = offset - offset % mmap.PAGESIZE
            if isinstance(file, mmap.mmap) and HAS_ADVICE and offset + size <= len(file):
                for at in range(start, offset + size, MAX_ADVICE_BYTES):
                    file.madvise(mmap.MADV_WILLNEED, at, min(MAX_ADVICE_BYTES, offset + size - at))

    def __getstate__(self) -> tuple[()]:
        return ()

    def __setstate__(self, state: tuple[()]) -> None:
        self._maps = OrderedDict()

    def _map(self, name: str) -> memoryview:
        if name in self._maps:
            return self._maps[name]
        with os_errors(name), open_regular(Path(name)) as file:
            size = file.seek(0, 2)
            # An empty file cannot be mapped.
            view = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b"")
        while len(self._maps) >= MAX_OPEN_MAPS:
            # Unmapped only when the last view of it is released, so evicting is always safe.
            self._maps.popitem(last=False)
        self._maps[name] = view
        return view
