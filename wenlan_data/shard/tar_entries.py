"""Walks the headers of a tar that anybody may have written: ustar, PAX, GNU and V7.

Every number is checked against the file before it is used, and each header lies behind the one
before it. So the walk ends after one pass, with one header in memory, whatever the file holds.
`tarfile` does neither: a PAX size of -1536 makes it read the same header for ever.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, NamedTuple

from wenlan_data.errors import DamageError, UsageError, os_errors
from wenlan_data.files import open_regular
from wenlan_data.shard.format import HEADER_BYTES

MAX_TAIL_BYTES = 1 << 24
"""Length of the region after the end of an archive that is searched for hidden bytes."""
MAX_EXTENSION_BYTES = 1 << 20
"""Of the data of one extension header. GNU tar and bsdtar write some hundred bytes, or up to 64 KiB
for extended attributes of a file."""
MAX_EXTENSIONS = 16
"""Extension headers before one entry; writers use up to three."""
MAX_SPARE_BYTES, MAX_BYTES_PER_ENTRY = 1 << 24, 1 << 12
"""Data of all extension headers of a file: so many bytes, and so many more for each entry. Writers
that store fractional times need 512 an entry."""
MAX_NAME_BYTES = 4096
"""The longest path that Linux opens."""
_MAX_SIZE_DIGITS = 20
_MAX_LENGTH_DIGITS = len(str(MAX_EXTENSION_BYTES))

_ZEROS = bytes(HEADER_BYTES)
_OCTAL = re.compile(rb" *([0-7]*) *")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"xX", b"g"
_EXTENSION_TYPES = _LONG_NAME + _LONG_LINK + _PAX + _PAX_GLOBAL
_OLD_SPARSE = b"S"
# Of an old GNU sparse header, and of the blocks with the rest of its map that follow it.
_IS_EXTENDED, _IS_CONTINUED = 482, 504


class EntryKind(StrEnum):
    """What an entry of a tar is, as messages name it."""

    FILE = "a regular file"
    FOLDER = "a folder"
    SYMBOLIC_LINK = "a symbolic link"
    HARD_LINK = "a hard link"
    DEVICE = "a device or pipe"
    SPARSE = "a sparse file"
    OTHER = "no regular file"


_KINDS = {
    b"0": EntryKind.FILE,
    b"\0": EntryKind.FILE,
    b"1": EntryKind.HARD_LINK,
    b"2": EntryKind.SYMBOLIC_LINK,
    b"3": EntryKind.DEVICE,
    b"4": EntryKind.DEVICE,
    b"5": EntryKind.FOLDER,
    b"6": EntryKind.DEVICE,
    b"S": EntryKind.SPARSE,
}
_WITHOUT_DATA = {
    EntryKind.HARD_LINK,
    EntryKind.SYMBOLIC_LINK,
    EntryKind.DEVICE,
    EntryKind.FOLDER,
}
"""Their size field, if it is set, counts no bytes of the tar."""


class CorruptTarError(DamageError):
    """A tar whose structure is invalid at byte `offset`."""

    def __init__(self, path: Path, *, offset: int, problem: str, member: str = "") -> None:
        super().__init__(f"{path}: byte {offset}: {problem}: `shards verify` lists all corruption")
        self.offset = offset
        self.problem = problem
        self.member = member
        """The entry whose data are cut short; empty for a broken header."""


class TarEntry(NamedTuple):
    """An entry of a tar."""

    name: str
    kind: EntryKind
    offset: int
    """Bytes from the start of the tar to its first header."""
    offset_data: int
    """Bytes from the start of the tar to its data."""
    size: int
    """Bytes of its data."""

    @property
    def is_plain(self) -> bool:
        """Whether it is a regular file with its bytes in one piece."""
        return self.kind is EntryKind.FILE


class _HeaderError(Exception):
    """A header that cannot be used; the message states why."""


@dataclass(slots=True)
class _Extensions:
    """What the extension headers before an entry state about it."""

    count: int = 0
    name: bytes = b""
    size: int | None = None
    is_sparse: bool = False


def tar_entries(path: Path) -> Iterator[TarEntry]:
    """Yields all entries of an uncompressed tar, of any type.

    Raises `CorruptTarError` at the byte at which the structure breaks, and `UsageError` for a
    compressed tar and for what is not a regular file.
    """
    with os_errors(path), open_regular(path) as file:
        _refuse_compressed(path, file)
        yield from _HeaderWalk(path, file).entries()


def header_matches(block: bytes, size: int) -> bool:
    """Returns whether `block` is a valid header of a regular file whose size field is `size`."""
    if not _has_valid_sum(block) or _KINDS.get(block[156:157]) is not EntryKind.FILE:
        return False
    try:
        return _number(block[124:136]) == size
    except _HeaderError:
        return False


class _HeaderWalk:
    """One pass over the headers of a file."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._descriptor = file.fileno()
        self._bytes = os.fstat(self._descriptor).st_size
        self._spare_bytes = MAX_SPARE_BYTES
        self._position = 0

    def entries(self) -> Iterator[TarEntry]:
        while True:
            start, extensions = self._position, _Extensions()
            try:
                while (block := self._next_block())[156] in _EXTENSION_TYPES:
                    self._extend(extensions, block)
                if block == _ZEROS:
                    if extensions.count:
                        raise _HeaderError("an extension header without an entry")
                    self._check_end()
                    return
                entry = self._entry(block, start, extensions)
            except _HeaderError as error:
                raise self._corrupt(start, f"no tar entry starts here ({error})") from error
            yield entry

    def _next_block(self) -> bytes:
        block = os.pread(self._descriptor, HEADER_BYTES, self._position)
        if len(block) == HEADER_BYTES:
            return block
        if any(block):
            raise self._corrupt(self._position, "the tar header here is cut short")
        missing = "cut short: the end-of-archive blocks are missing"
        raise self._corrupt(self._position + len(block), missing)

    def _entry(self, block: bytes, start: int, extensions: _Extensions) -> TarEntry:
        _check_sum(block)
        name = extensions.name or _name(block)
        if len(name) > MAX_NAME_BYTES:
            raise _HeaderError(f"a name of {len(name)} bytes, more than {MAX_NAME_BYTES}")
        kind = _KINDS.get(block[156:157], EntryKind.OTHER)
        if block[156] == 0 and name.endswith(b"/"):
            kind = EntryKind.FOLDER  # as V7 tars mark one
        if extensions.is_sparse:
            kind = EntryKind.SPARSE
        size = _number(block[124:136]) if extensions.size is None else extensions.size
        if kind in _WITHOUT_DATA:
            size = 0
        self._position += HEADER_BYTES
        if block[156:157] == _OLD_SPARSE:
            self._skip_sparse_map(block)
        # Names in GBK or another encoding become text that every table and terminal takes.
        offset_data, text = self._position, name.decode("utf-8", "backslashreplace")
        self._skip(size, text)
        self._spare_bytes += MAX_BYTES_PER_ENTRY
        return TarEntry(text, kind, start, offset_data, size)

    def _extend(self, extensions: _Extensions, block: bytes) -> None:
        """Reads one extension header and its data."""
        _check_sum(block)
        extensions.count += 1
        size = _number(block[124:136])
        self._spare_bytes -= size
        if extensions.count > MAX_EXTENSIONS:
            raise _HeaderError(f"more than {MAX_EXTENSIONS} extension headers of one entry")
        if size > MAX_EXTENSION_BYTES:
            raise _HeaderError(
                f"an extension header of {size} bytes, more than {MAX_EXTENSION_BYTES}"
            )
        if self._spare_bytes < 0:
            raise _HeaderError("more extension headers than the entries before it can need")
        self._position += HEADER_BYTES
        offset = self._position
        self._skip(size, "an extension header")
        kind = block[156:157]
        if kind == _LONG_LINK:
            return
        data = os.pread(self._descriptor, size, offset)
        if kind == _LONG_NAME:
            extensions.name = data.partition(b"\0")[0]
        else:
            _apply_pax(extensions, data, is_global=kind == _PAX_GLOBAL)

    def _skip(self, size: int, name: str) -> None:
        """Moves behind data of `size` bytes and their padding."""
        end = self._position + size
        if end > self._bytes:
            problem = f"cut short: its data end at byte {end}"
            raise self._corrupt(self._bytes, problem, member=name)
        self._position = end + -size % HEADER_BYTES

    def _skip_sparse_map(self, block: bytes) -> None:
        flag = block[_IS_EXTENDED]
        while flag:
            flag = self._next_block()[_IS_CONTINUED]
            self._position += HEADER_BYTES

    def _check_end(self) -> None:
        tail = os.pread(self._descriptor, MAX_TAIL_BYTES, self._position)
        if len(tail) < 2 * HEADER_BYTES:
            missing = "cut short: the end-of-archive blocks are missing"
            raise self._corrupt(self._position + len(tail), missing)
        if tail.count(0) != len(tail):
            first = len(tail) - len(tail.lstrip(b"\0"))
            hidden = "bytes after the end of the archive: what they hold is hidden"
            raise self._corrupt(self._position + first, hidden)

    def _corrupt(self, offset: int, problem: str, member: str = "") -> CorruptTarError:
        return CorruptTarError(
            self._path,
            offset=min(offset, self._bytes),
            problem=f"{problem} ({self._bytes} bytes in all)",
            member=member,
        )


def _refuse_compressed(path: Path, file: BinaryIO) -> None:
    block = os.pread(file.fileno(), HEADER_BYTES, 0)
    kind = _COMPRESSED.get(block[:2])
    # The first name in a tar may begin with the same letters, such as `BZ`.
    if kind and not (len(block) == HEADER_BYTES and _has_valid_sum(block)):
        raise UsageError(
            f"{path}: this tar is compressed ({kind}): decompress it first, "
            "shards are read by byte range"
        )


def _has_valid_sum(block: bytes) -> bool:
    try:
        _check_sum(block)
    except _HeaderError:
        return False
    return True


def _check_sum(block: bytes) -> None:
    stated, rest = _number(block[148:156]), block[:148] + b" " * 8 + block[156:]
    # Old writers on some systems added the bytes as signed numbers.
    if sum(rest) != stated and sum(rest) - 256 * sum(byte > 127 for byte in rest) != stated:
        raise _HeaderError("its checksum is wrong")


def _number(field: bytes) -> int:
    """Returns a number in octal digits, or in base 256 as GNU tar writes large ones."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise _HeaderError("a negative size, or one of more than 88 bits")
        return int.from_bytes(field[1:], "big")
    found = _OCTAL.fullmatch(field.partition(b"\0")[0])
    if not found:
        raise _HeaderError(f"{field!r} is no octal number")
    return int(found[1] or b"0", 8)


def _name(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    # GNU and V7 headers have other fields, or none, in the place of the prefix.
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _apply_pax(extensions: _Extensions, data: bytes, *, is_global: bool) -> None:
    for keyword, value in _pax_records(data):
        is_sparse = keyword.startswith(b"GNU.sparse.")
        if not is_sparse and keyword not in (b"path", b"size"):
            continue
        if is_global:
            raise _HeaderError(f"a global PAX header sets {keyword.decode(errors='replace')}")
        extensions.is_sparse |= is_sparse
        if keyword in (b"path", b"GNU.sparse.name") and value:
            extensions.name = value
        if keyword == b"size" and value:
            if not value.isdigit() or len(value) > _MAX_SIZE_DIGITS:
                raise _HeaderError(f"PAX size {value[:40]!r} is no number of bytes")
            extensions.size = int(value)


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields keyword and value of the records `LENGTH KEYWORD=VALUE\\n`."""
    position = 0
    while position < len(data) and data[position]:
        space = data.find(b" ", position, position + _MAX_LENGTH_DIGITS + 1)
        digits = data[position : max(space, position)]
        end = position + int(digits) if digits.isdigit() else 0
        if not space < end - 1 <= len(data) - 1 or data[end - 1] != ord("\n"):
            raise _HeaderError(f"a PAX record at byte {position} of its header has a wrong length")
        keyword, sign, value = data[space + 1 : end - 1].partition(b"=")
        if not sign or not keyword:
            raise _HeaderError(f"a PAX record at byte {position} of its header has no keyword")
        yield keyword, value
        position = end
