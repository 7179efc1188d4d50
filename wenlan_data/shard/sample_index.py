"""The index of a shard: key, page, byte ranges and checksums of each sample, read by mapping.

    header    magic, version, sizes of what follows, size of the tar, identity, CRC-32C
    kinds     extensions of the members, a JSON list
    samples   a record each: CRC-32C, page, first member, number of members, bytes of the key, key
    members   a record each, in the order of the tar: offset, size, CRC-32C, kind

All records of a section have one width, little-endian. Opening reads the header only, and finding
a sample reads its records. The checksum of a sample covers its members, that of the header the
kinds. A file that anybody may have made: every number is checked before it is used.
"""

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import google_crc32c
import numpy as np

from wenlan_data.bounded_json import parse_json
from wenlan_data.errors import DamageError, cannot_open, from_os_error
from wenlan_data.files import open_regular
from wenlan_data.npy import Indices
from wenlan_data.shard.format import HEADER_BYTES
from wenlan_data.shard.reader import MAX_SAMPLE_MEMBERS

INDEX_VERSION = 1
MAX_KEY_BYTES = (1 << 16) - 1
MAX_INDEX_BYTES = 1 << 30
"""The longest key of a shard widens all of its records."""
_MAGIC = b"WLINDEX\n"
_HEADER = struct.Struct("<8sIIIIIQ32sI")
_SAMPLE = struct.Struct("<IqIHH")
_MEMBER = struct.Struct("<qqIH")
_CRC_BYTES = 4
_MEMBERS = np.dtype([("offset", "<i8"), ("size", "<i8"), ("crc32c", "<u4"), ("kind", "<u2")])


class IndexMismatchError(DamageError):
    """A file is not the index of its shard: cut, corrupt, or made of other files."""

    def __init__(self, path: Path | str, problem: str) -> None:
        super().__init__(
            f"{path}: not the index of this shard ({problem}): run `shards index`, or delete it"
        )


class MemberRange(NamedTuple):
    """Where the data of a member lie in the tar, in bytes, and their CRC-32C."""

    offset: int
    size: int
    crc32c: int


class IndexedSample(NamedTuple):
    """What the index holds of a sample."""

    key: str
    page: int
    """See `page_id`."""
    members: dict[str, MemberRange]
    """By extension, lower case, in the order of the tar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberColumns:
    """All members of a shard in the order of the tar, N of them, and the samples they belong to."""

    keys: Sequence[bytes]
    """UTF-8, of each sample."""
    counts: Indices
    """Members of each sample."""
    offset: Indices
    """int64 (N,), as the other two."""
    size: Indices
    crc32c: Indices
    kind: Indices
    """int64 (N,), numbers of `kinds`."""
    kinds: Sequence[str]
    """Extensions, lower case."""


@dataclass(frozen=True, slots=True)
class SampleIndex:
    """An open index. It holds a mapping of the file, and no object for a sample."""

    path: str
    samples: int
    """Number of samples; their rows count from 0."""
    tar_bytes: int
    kinds: Sequence[str]
    members: int
    record_bytes: int
    """Of a sample."""
    samples_at: int
    """Byte of the first one."""
    view: memoryview = field(repr=False)

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return len(self.view)

    def sample(self, row: int) -> IndexedSample:
        """Returns what the index holds of a sample, given its row in the shard.

        Raises `IndexMismatchError` for a corrupt record, and for a range outside of the tar.
        """
        if not 0 <= row < self.samples:
            raise IndexError(f"{self.path}: row {row} of {self.samples}")
        at = self.samples_at + row * self.record_bytes
        record = bytes(self.view[at : at + self.record_bytes])
        checksum, page, first, count, key_bytes = _SAMPLE.unpack_from(record)
        at = self.samples_at + self.samples * self.record_bytes + first * _MEMBER.size
        members = bytes(self.view[at : at + count * _MEMBER.size])
        if google_crc32c.extend(google_crc32c.value(record[_CRC_BYTES:]), members) != checksum:
            raise self._corrupt(row)
        key = record[_SAMPLE.size : _SAMPLE.size + key_bytes]
        if first + count > self.members or len(key) != key_bytes:
            raise self._corrupt(row)
        found: dict[str, MemberRange] = {}
        for offset, size, crc32c, kind in _MEMBER.iter_unpack(members):
            if offset < HEADER_BYTES or not 0 <= size <= self.tar_bytes - offset:
                raise self._corrupt(row)
            if kind >= len(self.kinds):
                raise self._corrupt(row)
            found[self.kinds[kind]] = MemberRange(offset, size, crc32c)
        try:
            return IndexedSample(str(key, "utf-8"), page, found)
        except UnicodeDecodeError as error:
            raise self._corrupt(row) from error

    def _corrupt(self, row: int) -> IndexMismatchError:
        return IndexMismatchError(self.path, f"the record of sample {row} is corrupt")


def index_name(shard: str) -> str:
    """Returns the file name of a shard's index, such as `wenlan-000000.index`."""
    return f"{shard.removesuffix('.tar')}.index"


def is_index(path: Path) -> bool:
    """Whether a file begins as an index does, of any version and any shard."""
    with open_regular(path) as file:
        return file.read(len(_MAGIC)) == _MAGIC


def page_id(url: str) -> int:
    """64 bits of the hash of a page's URL, 0 for an empty URL."""
    return first_64_bits(url) if url else 0


def first_64_bits(text: str) -> int:
    """The first bits of the SHA-256 of a text, as a signed number."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "little", signed=True)


def open_sample_index(
    path: Path, *, identity: bytes, tar_bytes: int, samples: int | None
) -> SampleIndex:
    """Maps an index that was made of the files with this identity (see `IndexSource`).

    `samples` is how many it must hold, if that is known. Raises `IndexMismatchError` for any other
    file, and `FileNotFoundError` if there is none.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size < _HEADER.size:
                raise IndexMismatchError(path, "it is cut short")
            view = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a file that was cut since
        if isinstance(error, OSError) and cannot_open(error):
            raise from_os_error(error, path) from error
        raise IndexMismatchError(path, str(error)) from error
    header = _HEADER.unpack_from(view)
    magic, version, kinds_bytes, key_bytes, found_samples, members, found_bytes = header[:7]
    found_identity, checksum = header[7:]
    if magic != _MAGIC or version != INDEX_VERSION:
        raise IndexMismatchError(path, f"no index of version {INDEX_VERSION}")
    samples_at, record_bytes = _HEADER.size + kinds_bytes, _SAMPLE.size + key_bytes
    expected = samples_at + found_samples * record_bytes + members * _MEMBER.size
    if size != expected:
        raise IndexMismatchError(path, f"{expected} bytes expected, {size} found")
    kinds = bytes(view[_HEADER.size : samples_at])
    if _checksum(bytes(view[: _HEADER.size]), kinds) != checksum:
        raise IndexMismatchError(path, "its header is corrupt")
    if found_identity != identity or found_bytes != tar_bytes:
        raise IndexMismatchError(path, "it was made of other files")
    if samples is not None and found_samples != samples:
        raise IndexMismatchError(path, f"{samples} samples expected, {found_samples} found")
    return SampleIndex(
        path=str(path),
        samples=found_samples,
        tar_bytes=tar_bytes,
        kinds=_parse_kinds(path, kinds),
        members=members,
        record_bytes=record_bytes,
        samples_at=samples_at,
        view=view,
    )


def encode_index(
    columns: MemberColumns, pages: Indices, *, tar_bytes: int, identity: bytes
) -> bytes:
    """Returns the bytes of an index; equal arguments give equal bytes.

    `pages` is int64 (samples,). Raises `ValueError` for what no index can hold.
    """
    key_bytes = [len(key) for key in columns.keys]
    width = max(key_bytes, default=0)
    kinds = json.dumps(list(columns.kinds), ensure_ascii=False).encode()
    if columns.counts.max(initial=0) > MAX_SAMPLE_MEMBERS:
        raise ValueError(f"more than {MAX_SAMPLE_MEMBERS} members of one sample")
    if len(columns.kinds) > MAX_SAMPLE_MEMBERS:
        raise ValueError(f"{len(columns.kinds)} kinds of members")
    size = len(key_bytes) * (_SAMPLE.size + width) + len(columns.offset) * _MEMBER.size
    if width > MAX_KEY_BYTES or size + len(kinds) > MAX_INDEX_BYTES:
        raise ValueError(f"a key of {width} bytes")
    members = np.zeros(len(columns.offset), _MEMBERS)
    for name in _MEMBERS.names or ():
        members[name] = getattr(columns, name)
    tail = members.tobytes()
    head = bytearray()
    ends = np.cumsum(columns.counts).tolist()
    for key, page, count, end in zip(
        columns.keys, pages.tolist(), columns.counts.tolist(), ends, strict=True
    ):
        first = end - count
        record = _SAMPLE.pack(0, page, first, count, len(key)) + key.ljust(width, b"\0")
        own = tail[first * _MEMBER.size : end * _MEMBER.size]
        checksum = google_crc32c.extend(google_crc32c.value(record[_CRC_BYTES:]), own)
        head += checksum.to_bytes(_CRC_BYTES, "little") + record[_CRC_BYTES:]
    counts = (len(kinds), width, len(key_bytes), len(members), tar_bytes)
    header = _HEADER.pack(_MAGIC, INDEX_VERSION, *counts, identity, 0)
    checksum = _checksum(header, kinds)
    return b"".join(
        (header[:-_CRC_BYTES], checksum.to_bytes(_CRC_BYTES, "little"), kinds, head, tail)
    )


def _checksum(header: bytes, kinds: bytes) -> int:
    return int(google_crc32c.extend(google_crc32c.value(header[:-_CRC_BYTES]), kinds))


def _parse_kinds(path: Path, data: bytes) -> list[str]:
    try:
        kinds = parse_json(data)
    except ValueError:
        kinds = None
    if (
        not isinstance(kinds, list)
        or len(kinds) > MAX_SAMPLE_MEMBERS
        or not all(isinstance(one, str) for one in kinds)
    ):
        raise IndexMismatchError(path, "its kinds of members are corrupt")
    return kinds
