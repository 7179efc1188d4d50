"""Compares a tar of a corpus with its offsets table, and locates every difference.

Such a tar is a function of the table and the members' bytes: each header is rebuilt and compared,
each member's data is checked by CRC-32C, and all padding must be zero. So every flipped bit is
found.
"""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from wenlan_data.bounded_json import MAX_JSON_BYTES
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.files import open_regular
from wenlan_data.shard import format as shard_format
from wenlan_data.shard.manifest import ShardEntry
from wenlan_data.shard.writer import MemberLocation, archive_bytes, padded_end

END = "end of archive"
CHUNK_BYTES = 1 << 20
MAX_SIZE = 8**11
"""Bytes of a member: 11 octal digits of a header."""
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem and its location."""

    shard: str
    """The file's name."""
    member: str
    """The tar member, `end of archive`, or empty for the whole file."""
    offset: int
    """First wrong byte of the file, or the first byte of data with a wrong checksum."""
    problem: str


def header(member: str, size: int) -> bytes:
    """Returns the 512 bytes before a member's data; none for a name or size that does not fit."""
    info = tarfile.TarInfo(member)
    info.size = size
    info.mtime = shard_format.MTIME_S
    info.mode = shard_format.MODE
    info.uname = info.gname = shard_format.OWNER
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:
        return b""


def tar_problems(
    path: Path, shard: ShardEntry, locations: Sequence[MemberLocation]
) -> Iterator[Problem]:
    """Yields every difference of the tar at `path` from its (valid) offsets table and the
    manifest."""
    problem = _layout_problem(locations)
    if problem:
        yield Problem(shard.offsets.name, "", 0, problem)
        return
    with os_errors(path), open_regular(path) as file:
        tar_pass = _TarPass(file, shard.name)
        yield from _size_problem(tar_pass, shard, locations)
        yield from tar_pass.members(locations)
        yield from tar_pass.end(archive_bytes(_members_end(locations)))
        if not tar_pass.has_problems and tar_pass.sha256.hexdigest() != shard.sha256:
            yield Problem(
                shard.name,
                "",
                0,
                "the SHA-256 is not the one in the manifest, every member is sound",
            )


class _TarPass:
    """One pass over a tar, with the digest of all bytes and whether any problem was found."""

    def __init__(self, file: BinaryIO, shard: str) -> None:
        self._file = file
        self._shard = shard
        self.sha256 = hashlib.sha256()
        self.position = 0
        self.bytes = os.fstat(file.fileno()).st_size
        self.has_problems = False

    def members(self, locations: Sequence[MemberLocation]) -> Iterator[Problem]:
        """Yields problems in headers, data and padding, up to the end of the file."""
        jpg_sha256 = ""
        for location in locations:
            if self.position >= self.bytes:
                return
            expected = header(location.member, location.size)
            yield from self._equal(
                expected, location.member, "the tar header is not the one that was written"
            )
            digest = _MemberDigest()
            for chunk in self._chunks(location.size):
                digest.update(chunk, keep=location.member.endswith(".json"))
            if self.position < location.offset + location.size:
                return
            problem = _data_problem(location, digest, jpg_sha256)
            if problem:
                yield self.problem_at(location.member, location.offset, problem)
            if location.member.endswith(".jpg"):
                # A corrupt image is one problem, not another one in its JSON.
                jpg_sha256 = "" if problem else digest.sha256.hexdigest()
            zeros = bytes(padded_end(location.offset, location.size) - self.position)
            yield from self._equal(zeros, location.member, "the padding after the data is not zero")

    def end(self, archive_end: int) -> Iterator[Problem]:
        """Yields problems after the last member; the file should end at `archive_end`."""
        if self.position < min(archive_end, self.bytes):
            zeros = bytes(min(archive_end, self.bytes) - self.position)
            yield from self._equal(zeros, END, "the end-of-archive blocks are not zero")
        for _ in self._chunks(self.bytes - self.position):
            pass

    def problem_at(self, member: str, offset: int, problem: str) -> Problem:
        """Returns a problem of this tar, and records that there is one."""
        self.has_problems = True
        return Problem(self._shard, member, offset, problem)

    def _equal(self, expected: bytes, member: str, problem: str) -> Iterator[Problem]:
        start = self.position
        found = b"".join(self._chunks(len(expected)))
        if found != expected[: len(found)]:
            first = next(at for at, byte in enumerate(found) if byte != expected[at])
            yield self.problem_at(member, start + first, problem)

    def _chunks(self, size: int) -> Iterator[bytes]:
        while size > 0 and (chunk := self._file.read(min(size, CHUNK_BYTES))):
            self.sha256.update(chunk)
            self.position += len(chunk)
            size -= len(chunk)
            yield chunk


class _MemberDigest:
    """Checksums of a member's data, and the data themselves if they are JSON."""

    def __init__(self) -> None:
        self.crc32c = 0
        self.sha256 = hashlib.sha256()
        self.kept = bytearray()

    def update(self, chunk: bytes, *, keep: bool) -> None:
        self.crc32c = google_crc32c.extend(self.crc32c, chunk)
        self.sha256.update(chunk)
        if keep:
            # One byte more than is parsed, so that a longer one is seen to be too large.
            self.kept += chunk[: MAX_JSON_BYTES + 1 - len(self.kept)]


def _data_problem(location: MemberLocation, digest: _MemberDigest, jpg_sha256: str) -> str:
    if digest.crc32c != location.crc32c:
        return f"the data's CRC-32C is {digest.crc32c:08x}, {location.crc32c:08x} was written"
    if not location.member.endswith(".json"):
        return ""
    try:
        fields = shard_format.parse_fields(bytes(digest.kept), location.member)
    except DamageError as error:
        return str(error).removeprefix(f"{location.member}: ")
    if fields.get("key") != location.key:
        return "the key in the .json member differs"
    if jpg_sha256 and fields.get("jpg_sha256") != jpg_sha256:
        return "jpg_sha256 is not the SHA-256 of the .jpg member"
    return ""


def _layout_problem(locations: Sequence[MemberLocation]) -> str:
    position, last = 0, ""
    for number, location in enumerate(locations):
        place = number % len(shard_format.EXTENSIONS)
        extension = shard_format.EXTENSIONS[place]
        if not _KEY.fullmatch(location.key) or location.member != f"{location.key}.{extension}":
            return (
                f"{location.member!r} of key {location.key!r}: "
                f"the .{extension} member of a sample is expected"
            )
        if (location.key <= last) if place == 0 else (location.key != last):
            return f"{location.member}: samples of three members with ascending keys are expected"
        last = location.key
        if not 0 <= location.size < MAX_SIZE:
            return f"{location.member}: a size of {location.size} bytes is in no header"
        if location.offset != position + shard_format.HEADER_BYTES:
            return (
                f"{location.member}: offset {location.offset} does not follow the member before it"
            )
        position = padded_end(location.offset, location.size)
    return ""


def _members_end(locations: Sequence[MemberLocation]) -> int:
    return padded_end(locations[-1].offset, locations[-1].size) if locations else 0


def _size_problem(
    tar_pass: _TarPass, shard: ShardEntry, locations: Sequence[MemberLocation]
) -> Iterator[Problem]:
    if tar_pass.bytes < shard.bytes:
        where = next(
            (one for one in locations if tar_pass.bytes < padded_end(one.offset, one.size)), None
        )
        member = where.member if where else END
        cut = f"cut short: {shard.bytes} bytes expected, {tar_pass.bytes} found"
        yield tar_pass.problem_at(member, tar_pass.bytes, cut)
    elif tar_pass.bytes > shard.bytes:
        problem = f"too long: {shard.bytes} bytes expected, {tar_pass.bytes} found"
        yield tar_pass.problem_at(END, shard.bytes, problem)
