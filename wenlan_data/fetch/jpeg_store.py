"""JPEGs to which images were re-encoded when they were checked, one after another, until the shard
step reads them.

Whether an image stays in the corpus is known only later. Still it is encoded at once, so that it is
decoded only once: decoding costs more than encoding.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import google_crc32c

from wenlan_data.errors import DamageError, os_errors


@dataclass(frozen=True, slots=True)
class JpegLocation:
    """Place of one JPEG in the file."""

    offset: int = -1
    """Of its first byte; -1 where the image is stored as it came, or not at all."""
    bytes: int = 0
    crc32c: int = 0


NO_JPEG = JpegLocation()


class JpegStoreWriter:
    """Writes a new file of JPEGs. A context manager; raises `DiskError` when the disk is full."""

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

    def add(self, jpeg: bytes) -> JpegLocation:
        """Appends a JPEG; writes nothing for empty bytes."""
        if not jpeg:
            return NO_JPEG
        place = JpegLocation(self.size_bytes, len(jpeg), google_crc32c.value(jpeg))
        with os_errors(self._path):
            self._file.write(jpeg)
        self.size_bytes += len(jpeg)
        return place


def read_jpeg(path: str, place: JpegLocation) -> bytes:
    """Reads one JPEG. Raises `DamageError` where the bytes are not those that were written."""
    with os_errors(path):
        jpeg = read_bytes(path, place.offset, place.bytes)
    if len(jpeg) != place.bytes or google_crc32c.value(jpeg) != place.crc32c:
        raise DamageError(
            f"{path}: the {place.bytes} bytes at {place.offset} are not what was written: the file has changed, "
            "build into a new folder"
        )
    return jpeg


def read_bytes(path: str, offset: int, size: int) -> bytes:
    """Reads `size` bytes at `offset`, fewer at the end of the file."""
    # Opened each time: keys are digests, so one shard can touch more files than a process may hold
    # open.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
