"""Sizes of the pages of a Parquet file, read from their headers before any page is decoded.

The footer states sizes too, but nothing checks them: only the header of a page decides how much
memory a reader allocates for it. Headers are Thrift structs in the compact protocol.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_HEADER_BYTES = 1 << 20
"""Headers hold the smallest and the largest value of their page."""
_FIRST_HEADER_BYTES = 1 << 10
_MAX_DEPTH = 8

_UNCOMPRESSED_SIZE, _COMPRESSED_SIZE = 2, 3
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 5, 7, 8
_NUM_VALUES = 1
_WITHOUT_REPEATS = frozenset({0, 2, 3, 4, 5, 6, 8, 9})
"""Encodings, but for DELTA_BYTE_ARRAY (7) and what is unknown."""
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY = (1, 2), 3, (4, 5, 6), 7, 8
_LISTS, _STRUCT = (9, 10), 12


class PageError(Exception):
    """A page header cannot be read."""


@dataclass(frozen=True, slots=True)
class PageSize:
    """What the header of a page states."""

    uncompressed_bytes: int
    values: int
    """0 for a dictionary."""
    repeats: bool
    """Whether a value that the page holds once may occur in any number of rows: in a dictionary,
    and as a prefix. In other encodings each value takes its place."""


def page_sizes(file: BinaryIO, start: int, size_bytes: int, values: int) -> Iterator[PageSize]:
    """Yields the pages of a column chunk of `values` values that lies at `start`.

    Raises `PageError` for a header that cannot be read.
    """
    position, seen = start, 0
    while position < start + size_bytes and seen < values:
        page, header_bytes, body_bytes = _read_header(file, position)
        seen += page.values
        position += header_bytes + body_bytes
        yield page


def _read_header(file: BinaryIO, position: int) -> tuple[PageSize, int, int]:
    """Returns the page, and the sizes of its header and of its body in bytes."""
    if not 0 <= position < 1 << 62:
        raise PageError("a page lies outside of the file")
    window = _FIRST_HEADER_BYTES
    while True:
        data = os.pread(file.fileno(), window, position)
        try:
            reader = _CompactReader(data)
            fields = reader.struct(0)
            break
        except IndexError:
            if len(data) < window or window >= _MAX_HEADER_BYTES:
                raise PageError("a page header is cut short or too long") from None
            window *= 8
    uncompressed, compressed = fields.get(_UNCOMPRESSED_SIZE), fields.get(_COMPRESSED_SIZE)
    if not isinstance(uncompressed, int) or not isinstance(compressed, int):
        raise PageError("a page header states no size")
    if uncompressed < 0 or compressed < 0:
        raise PageError("a page header states a negative size")
    values, repeats = 0, True
    for kind, encoding in ((_DATA_PAGE, 2), (_DATA_PAGE_V2, 4)):
        inner = fields.get(kind)
        if isinstance(inner, dict):
            found = inner.get(_NUM_VALUES)
            values = max(found, 0) if isinstance(found, int) else 0
            # The codes of a dictionary are small; the dictionary counts itself.
            repeats = inner.get(encoding) not in _WITHOUT_REPEATS
    return PageSize(uncompressed, values, repeats), reader.position, compressed


_Fields = dict[int, "int | _Fields | None"]


class _CompactReader:
    """Reads integers and structs; skips everything else. Raises `IndexError` at the end."""

    def __init__(self, data: bytes) -> None:
        self.position = 0
        self._data = data

    def struct(self, depth: int) -> _Fields:
        """Returns field number to value."""
        if depth > _MAX_DEPTH:
            raise PageError("a page header is nested too deeply")
        fields: _Fields = {}
        number = 0
        while head := self._byte():
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> "int | _Fields | None":
        if kind in _BOOLEANS:
            return None
        if kind in _INTEGERS:
            return self._integer()
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind == _BYTE:
            self._skip(1)
        elif kind == _DOUBLE:
            self._skip(8)
        elif kind == _BINARY:
            self._skip(self._unsigned())
        elif kind in _LISTS:
            self._skip_list(depth)
        else:
            # No page header has a map.
            raise PageError("a page header is no Thrift struct")
        return None

    def _skip_list(self, depth: int) -> None:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._unsigned()
        if depth >= _MAX_DEPTH or count > len(self._data):
            raise PageError("a page header is nested too deeply")
        for _ in range(count):
            if head & 15 in _BOOLEANS:
                self._skip(1)
            else:
                self._value(head & 15, depth + 1)

    def _byte(self) -> int:
        value = self._data[self.position]
        self.position += 1
        return value

    def _skip(self, size_bytes: int) -> None:
        self.position += size_bytes
        if self.position > len(self._data):
            raise IndexError

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
            if shift > 63:
                raise PageError("a number in a page header is too long")

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
