"""Writes one shard: a plain USTAR file whose bytes depend on its samples alone."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from wenlan_data.errors import os_errors
from wenlan_data.shard import format as shard_format


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member's data lies in its tar."""

    key: str
    member: str
    offset: int
    """Bytes from the start of the tar to the member's first byte."""
    size: int
    crc32c: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenShard:
    """What was written."""

    bytes: int
    sha256: str
    samples: int
    places: tuple[Place, ...]


class _Digesting:
    """A file that digests what passes through, so that the shard is not read again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)


def write_shard(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> WrittenShard:
    """Write key and members (`format.encode_sample`) of samples in ascending order of key, and fsync the new file.

    Raises `ValueError` for samples out of order, a user's error for what the system refuses.
    """
    # Importing webdataset imports torch where it is installed: 1.5 s.
    from webdataset.writer import TarWriter

    places: list[Place] = []
    position, count, last = 0, 0, ""
    with os_errors(path), path.open("xb") as file:
        target = _Digesting(file)
        options = {"user": shard_format.OWNER, "group": shard_format.OWNER, "mode": shard_format.MODE}
        with TarWriter(target, encoder=False, mtime=shard_format.MTIME_S, compress=False, **options) as tar:
            for key, members in samples:
                if key <= last or set(members) != set(shard_format.EXTENSIONS):
                    raise ValueError(f"{path}: {key} after {last}: sort the samples by key, each with three members")
                tar.write({"__key__": key, **members})
                for extension in shard_format.EXTENSIONS:
                    data = members[extension]
                    places.append(_place(key, extension, position, data))
                    position = padded_end(places[-1].offset, len(data))
                count, last = count + 1, key
        file.flush()
        os.fsync(file.fileno())
    if target.bytes != archive_bytes(position):
        raise ValueError(f"{path}: {target.bytes} bytes written, the layout says {archive_bytes(position)}")
    return WrittenShard(bytes=target.bytes, sha256=target.sha256.hexdigest(), samples=count, places=tuple(places))


def padded_end(offset: int, size: int) -> int:
    """Where the block after a member's data starts."""
    return offset + -(-size // shard_format.HEADER_BYTES) * shard_format.HEADER_BYTES


def archive_bytes(members_end: int) -> int:
    """The size of a tar whose last member's padding ends at `members_end`."""
    end = members_end + 2 * shard_format.HEADER_BYTES
    return -(-end // shard_format.RECORD_BYTES) * shard_format.RECORD_BYTES


def _place(key: str, extension: str, position: int, data: bytes) -> Place:
    offset = position + shard_format.HEADER_BYTES
    return Place(key, f"{key}.{extension}", offset, len(data), google_crc32c.value(data))
