"""Writes one shard: a plain USTAR tar whose bytes are a function of its samples alone."""

import hashlib
import os
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

from wenlan_data.errors import os_errors
from wenlan_data.shard import format as shard_format


@dataclass(frozen=True, slots=True)
class MemberLocation:
    """Place of a member's data in its tar, with their checksum."""

    key: str
    member: str
    offset: int
    """Bytes from the start of the tar to the member's first byte."""
    size: int
    crc32c: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenShard:
    """Size, digest and offsets of a shard that was written."""

    bytes: int
    sha256: str
    samples: int
    locations: tuple[MemberLocation, ...]


class _HashingFile:
    """File that hashes what is written to it, so that the shard need not be read again."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.bytes += len(data)
        return self._file.write(data)

    def tell(self) -> int:
        return self.bytes


def write_shard(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> WrittenShard:
    """Writes samples, as keys and members (`format.encode_sample`), into a new file and flushes it.

    Samples come in ascending order of key; raises `ValueError` otherwise. Raises `UsageError` if
    the file exists or cannot be created, `DiskError` if there is no room.
    """
    locations: list[MemberLocation] = []
    position, count, last = 0, 0, ""
    with os_errors(path), path.open("xb", buffering=1 << 20) as file:
        target = _HashingFile(file)
        options = {
            "user": shard_format.OWNER,
            "group": shard_format.OWNER,
            "mode": shard_format.MODE,
        }
        with _tar_writer()(target, encoder=False, mtime=shard_format.MTIME_S, **options) as tar:
            # One write for each member instead of one for each 16 KiB.
            tar.tarstream.copybufsize = 1 << 20
            tar.tarstream.format = tarfile.USTAR_FORMAT
            for key, members in samples:
                if key <= last or set(members) != set(shard_format.EXTENSIONS):
                    raise ValueError(
                        f"{path}: {key} after {last}: "
                        "sort the samples by key, each with three members"
                    )
                tar.write({"__key__": key, **members})
                for extension in shard_format.EXTENSIONS:
                    data = members[extension]
                    locations.append(_location(key, extension, position, data))
                    position = padded_end(locations[-1].offset, len(data))
                count, last = count + 1, key
        file.flush()
        os.fsync(file.fileno())
    if target.bytes != archive_bytes(position):
        raise ValueError(
            f"{path}: {target.bytes} bytes written, {archive_bytes(position)} "
            "expected by the layout"
        )
    return WrittenShard(
        bytes=target.bytes,
        sha256=target.sha256.hexdigest(),
        samples=count,
        locations=tuple(locations),
    )


@cache
def _tar_writer() -> Any:
    """Returns webdataset's `TarWriter`, for a seekable file instead of a pipe.

    Imported when the first shard is written: the package imports torch where it is installed, which
    takes 1.5 to 2 s, and only processes that write shards pay for it.
    """
    from webdataset.writer import TarWriter

    class FileTarWriter(TarWriter):  # type: ignore[misc]
        @staticmethod
        def tarmode(fileobj: object, compress: object) -> str:  # noqa: ARG004
            # `TarWriter` takes any file object for a pipe, and then `tarfile` copies all bytes in
            # pieces of 10 KiB.
            return "w:"

    return FileTarWriter


def padded_end(offset: int, size: int) -> int:
    """Returns the offset of the block after a member's data."""
    return offset + -(-size // shard_format.HEADER_BYTES) * shard_format.HEADER_BYTES


def archive_bytes(members_end: int) -> int:
    """Returns the size of a tar whose last member's padding ends at `members_end`."""
    end = members_end + 2 * shard_format.HEADER_BYTES
    return -(-end // shard_format.RECORD_BYTES) * shard_format.RECORD_BYTES


def _location(key: str, extension: str, position: int, data: bytes) -> MemberLocation:
    offset = position + shard_format.HEADER_BYTES
    return MemberLocation(key, f"{key}.{extension}", offset, len(data), google_crc32c.value(data))
