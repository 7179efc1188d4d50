"""Writes one shard: a plain USTAR file whose bytes depend on its samples alone."""

import hashlib
import importlib
import importlib.util
import os
import sys
import tarfile
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

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

    def tell(self) -> int:
        return self.bytes


def write_shard(path: Path, samples: Iterable[tuple[str, Mapping[str, bytes]]]) -> WrittenShard:
    """Write key and members (`format.encode_sample`) of samples in ascending order of key, and fsync the new file.

    Raises `ValueError` for samples out of order, a user's error for what the system refuses.
    """
    places: list[Place] = []
    position, count, last = 0, 0, ""
    with os_errors(path), path.open("xb", buffering=1 << 20) as file:
        target = _Digesting(file)
        options = {
            "user": shard_format.OWNER,
            "group": shard_format.OWNER,
            "mode": shard_format.MODE,
        }
        with _tar_writer()(target, encoder=False, mtime=shard_format.MTIME_S, **options) as tar:
            tar.tarstream.copybufsize = 1 << 20  # one write a member, not one for each 16 KiB
            tar.tarstream.format = tarfile.USTAR_FORMAT
            for key, members in samples:
                if key <= last or set(members) != set(shard_format.EXTENSIONS):
                    raise ValueError(
                        f"{path}: {key} after {last}: sort the samples by key, each with three members"
                    )
                tar.write({"__key__": key, **members})
                for extension in shard_format.EXTENSIONS:
                    data = members[extension]
                    places.append(_place(key, extension, position, data))
                    position = padded_end(places[-1].offset, len(data))
                count, last = count + 1, key
        file.flush()
        os.fsync(file.fileno())
    if target.bytes != archive_bytes(position):
        raise ValueError(
            f"{path}: {target.bytes} bytes written, the layout says {archive_bytes(position)}"
        )
    return WrittenShard(
        bytes=target.bytes, sha256=target.sha256.hexdigest(), samples=count, places=tuple(places)
    )


@cache
def _tar_writer() -> Any:
    """webdataset's `TarWriter`, loaded by its module: the package imports torch where it is installed (1.5 s).

    It opens its tar as a file; as the pipe for which `TarWriter` takes it, `tarfile` copies all bytes by 10 KiB.
    """
    name = "webdataset"
    spec = importlib.util.find_spec(name)
    if name not in sys.modules and spec is not None:
        name = "_webdataset_without_torch"
        package = types.ModuleType(name)
        package.__path__ = list(spec.submodule_search_locations or ())
        sys.modules[name] = package
    writer = importlib.import_module(f"{name}.writer").TarWriter
    return type("TarWriter", (writer,), {"tarmode": staticmethod(lambda _file, _compress: "w:")})


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
