"""Reads a tar of ours against its offsets table and names the member and byte of every difference.

Our tars are a function of the table and the members' bytes: each header is rebuilt and compared, each
member's data is held against its CRC-32C, every byte of padding and of the end
must be zero. So no flip stays unseen.
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

from wenlan_data.errors import DamageError, os_errors
from wenlan_data.shard import format as shard_format
from wenlan_data.shard.manifest import ShardEntry
from wenlan_data.shard.writer import MemberLocation, archive_bytes, padded_end

END = "end of archive"
CHUNK_BYTES = 1 << 20
MAX_JSON_BYTES = 1 << 26
_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, and where."""

    shard: str
    """The file's name."""
    member: str
    """The tar member, `end of archive`, or empty where the whole file is meant."""
    offset: int
    """Bytes from the start of the file: the first wrong one, or the start of data with a wrong checksum."""
    problem: str


def header(member: str, size: int) -> bytes:
    """The 512 bytes before a member's data."""
    info = tarfile.TarInfo(member)
    info.size = size
    info.mtime = shard_format.MTIME_S
    info.mode = shard_format.MODE
    info.uname = info.gname = shard_format.OWNER
    return info.tobuf(tarfile.USTAR_FORMAT)


def tar_problems(
    path: Path, shard: ShardEntry, places: Sequence[MemberLocation]
) -> Iterator[Problem]:
    """Every difference between the tar at `path` and what its (sound) offsets table and the manifest say."""
    problem = _layout_problem(places)
    if problem:
        yield Problem(shard.offsets.name, "", 0, problem)
        return
    with os_errors(path), path.open("rb") as file:
        reading = _Reading(file, shard.name)
        yield from _size(reading, shard, places)
        yield from reading.members(places)
        yield from reading.end(archive_bytes(_members_end(places)))
        if not reading.found and reading.sha256.hexdigest() != shard.sha256:
            yield Problem(
                shard.name,
                "",
                0,
                "the SHA-256 is not the one in the manifest, every member is sound",
            )


class _Reading:
    """One pass over a tar. Remembers whether anything was found, and the digest of all that was read."""

    def __init__(self, file: BinaryIO, shard: str) -> None:
        self._file = file
        self._shard = shard
        self.sha256 = hashlib.sha256()
        self.position = 0
        self.bytes = os.fstat(file.fileno()).st_size
        self.found = False

    def members(self, places: Sequence[MemberLocation]) -> Iterator[Problem]:
        """Findings in headers, data and padding, up to where the file ends."""
        jpg_sha256 = ""
        for place in places:
            if self.position >= self.bytes:
                return
            expected = header(place.member, place.size)
            yield from self._equal(
                expected, place.member, "the tar header is not the one that was written"
            )
            data = _Data()
            for chunk in self._chunks(place.size):
                data.take(chunk, keep=place.member.endswith(".json"))
            if self.position < place.offset + place.size:
                return
            problem = _data_problem(place, data, jpg_sha256)
            if problem:
                yield self.finding(place.member, place.offset, problem)
            if place.member.endswith(".jpg"):
                # A damaged picture is one finding, not a second one in its JSON.
                jpg_sha256 = "" if problem else data.sha256.hexdigest()
            zeros = bytes(padded_end(place.offset, place.size) - self.position)
            yield from self._equal(zeros, place.member, "the padding after the data is not zero")

    def end(self, archive_end: int) -> Iterator[Problem]:
        """Findings after the last member: `archive_end` is where the file should end."""
        if self.position < min(archive_end, self.bytes):
            zeros = bytes(min(archive_end, self.bytes) - self.position)
            yield from self._equal(zeros, END, "the end-of-archive blocks are not zero")
        for _ in self._chunks(self.bytes - self.position):
            pass

    def finding(self, member: str, offset: int, problem: str) -> Problem:
        """A finding in this tar."""
        self.found = True
        return Problem(self._shard, member, offset, problem)

    def _equal(self, expected: bytes, member: str, problem: str) -> Iterator[Problem]:
        start = self.position
        found = b"".join(self._chunks(len(expected)))
        if found != expected[: len(found)]:
            first = next(at for at, byte in enumerate(found) if byte != expected[at])
            yield self.finding(member, start + first, problem)

    def _chunks(self, size: int) -> Iterator[bytes]:
        while size > 0 and (chunk := self._file.read(min(size, CHUNK_BYTES))):
            self.sha256.update(chunk)
            self.position += len(chunk)
            size -= len(chunk)
            yield chunk


class _Data:
    """What is known of a member's data once it went past."""

    def __init__(self) -> None:
        self.crc32c = 0
        self.sha256 = hashlib.sha256()
        self.kept = bytearray()

    def take(self, chunk: bytes, *, keep: bool) -> None:
        self.crc32c = google_crc32c.extend(self.crc32c, chunk)
        self.sha256.update(chunk)
        if keep:
            self.kept += chunk[: MAX_JSON_BYTES - len(self.kept)]


def _data_problem(place: MemberLocation, data: _Data, jpg_sha256: str) -> str:
    if data.crc32c != place.crc32c:
        return f"the data's CRC-32C is {data.crc32c:08x}, {place.crc32c:08x} was written"
    if not place.member.endswith(".json"):
        return ""
    try:
        fields = shard_format.parse_fields(bytes(data.kept), place.member)
    except DamageError as error:
        return str(error).removeprefix(f"{place.member}: ")
    if fields.get("key") != place.key:
        return "the key in the .json member is another one"
    if jpg_sha256 and fields.get("jpg_sha256") != jpg_sha256:
        return "jpg_sha256 is not the SHA-256 of the .jpg member"
    return ""


def _layout_problem(places: Sequence[MemberLocation]) -> str:
    position, last = 0, ""
    for number, place in enumerate(places):
        extension = shard_format.EXTENSIONS[number % 3]
        if not _KEY.fullmatch(place.key) or place.member != f"{place.key}.{extension}":
            return f"{place.member!r} of key {place.key!r}: the .{extension} member of a sample is expected"
        if (place.key <= last) if number % 3 == 0 else (place.key != last):
            return f"{place.member}: samples of three members with ascending keys are expected"
        last = place.key
        if place.size < 0 or place.offset != position + shard_format.HEADER_BYTES:
            return f"{place.member}: offset {place.offset} does not follow the member before it"
        position = padded_end(place.offset, place.size)
    return ""


def _members_end(places: Sequence[MemberLocation]) -> int:
    return padded_end(places[-1].offset, places[-1].size) if places else 0


def _size(
    reading: _Reading, shard: ShardEntry, places: Sequence[MemberLocation]
) -> Iterator[Problem]:
    if reading.bytes < shard.bytes:
        where = next(
            (one for one in places if reading.bytes < padded_end(one.offset, one.size)), None
        )
        member = where.member if where else END
        cut = f"cut short: {shard.bytes} bytes expected, {reading.bytes} found"
        yield reading.finding(member, reading.bytes, cut)
    elif reading.bytes > shard.bytes:
        problem = f"too long: {shard.bytes} bytes expected, {reading.bytes} found"
        yield reading.finding(END, shard.bytes, problem)
