"""The JPEGs that pictures were encoded to when they were judged, one after another, until the shard step takes them.

Whether a picture stays is known only later. But so it is decoded once, and that costs more than encoding it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c

from wenlan_data.errors import DamageError, os_errors

ENCODED = "encoded.bin"


@dataclass(frozen=True, slots=True)
class Encoded:
    """Where one lies."""

    offset: int = -1
    """Of its first byte; -1 where the picture is stored as it came, or not at all."""
    bytes: int = 0
    crc32c: int = 0


NOT_ENCODED = Encoded()


class EncodedWriter:
    """Writes a new file of them. A context manager; `DiskError` when the disk is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with os_errors(path):
            self._file = path.open("xb", buffering=1 << 20)
        self.size_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with os_errors(self._path):
            self._file.close()

    def add(self, jpeg: bytes) -> Encoded:
        """Write one; nothing for no bytes."""
        if not jpeg:
            return NOT_ENCODED
        place = Encoded(self.size_bytes, len(jpeg), google_crc32c.value(jpeg))
        with os_errors(self._path):
            self._file.write(jpeg)
        self.size_bytes += len(jpeg)
        return place


def encoded_at(path: str, place: Encoded) -> bytes:
    """One of them. Raises `DamageError` where it is not what was written."""
    with os_errors(path):
        jpeg = bytes_at(path, place.offset, place.bytes)
    if len(jpeg) != place.bytes or google_crc32c.value(jpeg) != place.crc32c:
        raise DamageError(
            f"{path}: the {place.bytes} bytes at {place.offset} are not what was written: the file has changed, "
            "build into a new folder"
        )
    return jpeg


def bytes_at(path: str, offset: int, size: int) -> bytes:
    """So many bytes of a file, or as many as it has from there on."""
    # Opened each time: keys are digests, so one shard can touch more files than a process may hold open.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
