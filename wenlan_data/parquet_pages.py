"""Reads the footer of a Parquet file, and the headers of its pages, before a library decodes it.

The footer states sizes, but pages are decoded by their own headers, which may state others. And
pyarrow 26 ends the process where the footer of a row group lacks a column (a C++ exception that
its metadata classes do not catch). Both are structs in Thrift's compact protocol.
"""

import os
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple, TypeAlias

MAX_PAGES = 100_000
"""Of one column of a row group."""
_HEADER_BYTES, _MAX_HEADER_BYTES = 1 << 10, 1 << 20  # with the least and the largest value
_MAX_DEPTH, _MAX_VALUES = 8, 1_000_000
_DATA, _INDEX, _DICTIONARY, _DATA_V2 = range(4)
# Field numbers of `PageHeader` in parquet.thrift; the encoding's differs between the two versions.
_TYPE, _SIZE, _COMPRESSED = 1, 2, 3
_DETAILS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_V2: (8, 4)}
_ENCODINGS = {
    0: "PLAIN",
    2: "PLAIN_DICTIONARY",
    3: "RLE",
    4: "BIT_PACKED",
    5: "DELTA_BINARY_PACKED",
    6: "DELTA_LENGTH_BYTE_ARRAY",
    7: "DELTA_BYTE_ARRAY",
    8: "RLE_DICTIONARY",
    9: "BYTE_STREAM_SPLIT",
}
# Field numbers of `FileMetaData`, `RowGroup`, `ColumnChunk` and `ColumnMetaData`.
_ROW_GROUPS, _COLUMNS, _ROWS, _FILE, _COLUMN = 4, 1, 3, 1, 3
_VALUES, _COLUMN_BYTES, _FIRST_PAGE, _DICTIONARY_PAGE = 5, 7, 9, 11
_Value: TypeAlias = "int | list[_Value] | _Fields"
_Fields: TypeAlias = "dict[int, _Value]"


class ColumnChunk(NamedTuple):
    """The pages of a column of a row group, as the footer states them."""

    values: int
    """In lists there are several a row; nulls are included."""
    start: int
    """Of its first page in the file."""
    bytes: int
    """In the file."""


class RowGroup(NamedTuple):
    """Rows whose columns are stored together."""

    rows: int
    columns: list[ColumnChunk]
    """Of all primitive columns, in the order of the schema."""


class Page(NamedTuple):
    """A page as its header describes it."""

    values: int
    """Of a data page, nulls included; 0 for others."""
    bytes: int
    """Decompressed."""
    encoding: str
    """Of its values; empty for an index page."""


def read_row_groups(footer: bytes, columns: int) -> list[RowGroup]:
    """Returns the row groups of a file whose schema has so many primitive columns.

    Raises `ValueError` for a footer that is invalid, or lacks a column.
    """
    try:
        fields, _ = _Struct(footer).read(0, 0)
    except IndexError:
        raise ValueError("the footer is cut short") from None
    groups = fields.get(_ROW_GROUPS, [])
    if not isinstance(groups, list):
        raise ValueError("a footer without row groups")
    return [_row_group(group, columns) for group in groups]


def _row_group(group: _Value, columns: int) -> RowGroup:
    chunks = group.get(_COLUMNS) if isinstance(group, dict) else None
    rows = group.get(_ROWS) if isinstance(group, dict) else None
    if not isinstance(chunks, list) or not isinstance(rows, int) or rows < 0:
        raise ValueError("a row group without rows or columns")
    if len(chunks) != columns:
        raise ValueError(f"a row group of {len(chunks)} columns in place of {columns}")
    return RowGroup(rows, list(map(_column_chunk, chunks)))


def _column_chunk(chunk: _Value) -> ColumnChunk:
    column = chunk.get(_COLUMN) if isinstance(chunk, dict) and _FILE not in chunk else None
    if not isinstance(column, dict):
        raise ValueError("a column without its place, or in another file")
    values, size, first = (column.get(key) for key in (_VALUES, _COLUMN_BYTES, _FIRST_PAGE))
    dictionary = column.get(_DICTIONARY_PAGE, 0)
    if not (
        isinstance(values, int)
        and isinstance(size, int)
        and isinstance(first, int)
        and isinstance(dictionary, int)
    ):
        raise ValueError("a column without a size or place")
    # As in Arrow: older writers left the place of the dictionary out.
    return ColumnChunk(values, dictionary if 0 < dictionary < first else first, size)


def read_pages(file: BinaryIO, start: int, compressed_bytes: int) -> list[Page]:
    """Returns the pages of a column of a row group, which lie between two places of the file.

    Raises `ValueError` where they do not fill this space exactly, or a header is invalid.
    """
    end = start + compressed_bytes
    if not 0 < start <= end <= os.fstat(file.fileno()).st_size:
        raise ValueError("a column lies outside of the file")
    found = list(islice(iter_pages(file, start, compressed_bytes), MAX_PAGES + 1))
    if len(found) > MAX_PAGES:
        raise ValueError(f"more than {MAX_PAGES} pages in a column")
    if (found[-1][1] if found else start) != end:
        raise ValueError("the pages of a column overlap the next one")
    return [page for page, _ in found]


def iter_pages(file: BinaryIO, start: int, compressed_bytes: int) -> Iterator[tuple[Page, int]]:
    """Yields pages, each with the place after it, until one ends beyond `compressed_bytes`.

    Raises `ValueError` for a header that is invalid or lies outside of the file.
    """
    end, file_bytes = start + compressed_bytes, os.fstat(file.fileno()).st_size
    while start < end:
        if not 0 < start < file_bytes:
            raise ValueError("a page lies outside of the file")
        header, length = _read_header(file, start)
        page, compressed = _page(header)
        start += length + compressed
        yield page, start


def _page(header: _Fields) -> tuple[Page, int]:
    """Returns a page, and its bytes in the file."""
    kind, size, compressed = (header.get(number) for number in (_TYPE, _SIZE, _COMPRESSED))
    if not isinstance(size, int) or not isinstance(compressed, int) or min(size, compressed) < 0:
        raise ValueError("a page without a size")
    if kind == _INDEX:
        return Page(0, size, ""), compressed
    number, encoding_number = _DETAILS.get(kind, (0, 0)) if isinstance(kind, int) else (0, 0)
    details = header.get(number)
    if not isinstance(details, dict):
        raise ValueError("a page of an unknown type")
    count, code = details.get(1), details.get(encoding_number)
    if not isinstance(count, int) or count < 0 or not isinstance(code, int):
        raise ValueError("a page without a number of values")
    values = 0 if kind == _DICTIONARY else count
    return Page(values, size, _ENCODINGS.get(code, "unknown")), compressed


def _read_header(file: BinaryIO, start: int) -> tuple[_Fields, int]:
    size = _HEADER_BYTES
    while size <= _MAX_HEADER_BYTES:
        try:
            return _Struct(os.pread(file.fileno(), size, start)).read(0, 0)
        except IndexError:
            size *= 2
    raise ValueError("a page header that is cut short")


class _Struct:
    """Reads a struct in Thrift's compact protocol. Raises `IndexError` where the data end first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._values = 0

    def read(self, position: int, depth: int) -> tuple[_Fields, int]:
        """Returns its fields by number, texts as 0, and the place after it."""
        if depth > _MAX_DEPTH:
            raise ValueError("a page header or footer is nested too deep")
        fields: _Fields = {}
        number = 0
        while head := self._data[position]:
            position += 1
            if head >> 4:
                number += head >> 4
            else:
                raw, position = self._varint(position)
                number = _signed(raw)
            if number in fields:
                raise ValueError("a page header or footer states a field twice")
            kind = head & 15
            if kind in (1, 2):  # true and false have no byte of their own in a struct
                fields[number] = 2 - kind
            else:
                fields[number], position = self._value(position, kind, depth)
        return fields, position + 1

    def _value(self, position: int, kind: int, depth: int) -> tuple[_Value, int]:
        self._values += 1
        if self._values > _MAX_VALUES:
            raise ValueError(f"a footer of more than {_MAX_VALUES} values")
        match kind:
            case 1 | 2 | 3:
                return self._data[position], position + 1
            case 4 | 5 | 6:
                raw, position = self._varint(position)
                return _signed(raw), position
            case 7:
                return 0, position + 8
            case 8:
                length, position = self._varint(position)
                return 0, position + length
            case 9 | 10:
                return self._list(position, depth)
            case 12:
                return self.read(position, depth + 1)
        raise ValueError("a page header or footer of an unknown version")

    def _list(self, position: int, depth: int) -> tuple[_Value, int]:
        head = self._data[position]
        length, position = head >> 4, position + 1
        if length == 15:
            length, position = self._varint(position)
        if length > len(self._data):
            raise ValueError("a list that is longer than its footer")
        if depth > _MAX_DEPTH:
            raise ValueError("a page header or footer is nested too deep")
        items: list[_Value] = []
        for _ in range(length):
            item, position = self._value(position, head & 15, depth + 1)
            items.append(item)
        return items, position

    def _varint(self, position: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._data[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position
        raise ValueError("a page header or footer holds a number of more than 64 bits")


def _signed(raw: int) -> int:
    """Undoes the zigzag encoding."""
    return (raw >> 1) ^ -(raw & 1)
