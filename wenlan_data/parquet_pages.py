"""Reads the page headers of a Parquet column before a library decodes the pages.

The footer of a file states sizes, but pages are decoded by their own headers, which may state
others. Headers are structs in Thrift's compact protocol.
"""

import os
from typing import BinaryIO, NamedTuple

MAX_PAGES = 100_000
"""Of one column of a row group."""
_HEADER_BYTES, _MAX_HEADER_BYTES = 1 << 10, 1 << 16
_MAX_DEPTH = 4
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
_Fields = dict[int, "int | _Fields"]


class Page(NamedTuple):
    """A page as its header describes it."""

    values: int
    """Of a data page, nulls included; 0 for others."""
    bytes: int
    """Decompressed."""
    encoding: str
    """Of its values; empty for an index page."""


def read_pages(file: BinaryIO, start: int, compressed_bytes: int) -> list[Page]:
    """Returns the pages of a column of a row group, which lie between two places of the file.

    Raises `ValueError` where they do not fill this space exactly, or a header is invalid.
    """
    end = start + compressed_bytes
    if not 0 < start <= end <= os.fstat(file.fileno()).st_size:
        raise ValueError("a column lies outside of the file")
    pages: list[Page] = []
    while start < end:
        if len(pages) == MAX_PAGES:
            raise ValueError(f"more than {MAX_PAGES} pages in a column")
        header, length = _read_header(file, start)
        page, compressed = _page(header)
        pages.append(page)
        start += length + compressed
    if start != end:
        raise ValueError("the pages of a column overlap the next one")
    return pages


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
    for size in (_HEADER_BYTES, _MAX_HEADER_BYTES):
        data = os.pread(file.fileno(), size, start)
        try:
            return _read_struct(data, 0, 0)
        except IndexError:
            continue
    raise ValueError("a page header that is cut short")


def _read_struct(data: bytes, position: int, depth: int) -> tuple[_Fields, int]:
    """Returns integers and structs by field number, and the place after the struct.

    Raises `IndexError` where the data end before it does.
    """
    if depth > _MAX_DEPTH:
        raise ValueError("a page header is nested too deep")
    fields: _Fields = {}
    number = 0
    while head := data[position]:
        position += 1
        if head >> 4:
            number += head >> 4
        else:
            raw, position = _read_varint(data, position)
            number = _signed(raw)
        if number in fields:
            raise ValueError("a page header states a field twice")
        fields[number], position = _read_value(data, position, head & 15, depth)
    return fields, position + 1


def _read_value(data: bytes, position: int, kind: int, depth: int) -> tuple["int | _Fields", int]:
    match kind:
        case 1 | 2:  # true, false
            return 2 - kind, position
        case 3:
            return data[position], position + 1
        case 4 | 5 | 6:
            raw, position = _read_varint(data, position)
            return _signed(raw), position
        case 7:
            return 0, position + 8
        case 8:
            length, position = _read_varint(data, position)
            if length > _MAX_HEADER_BYTES:
                raise ValueError("a page header holds a long text")
            return 0, position + length
        case 12:
            return _read_struct(data, position, depth + 1)
    # No field of a page header is a list, a set or a map.
    raise ValueError("a page header of an unknown version")


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise ValueError("a page header holds a number of more than 64 bits")


def _signed(raw: int) -> int:
    """Undoes the zigzag encoding."""
    return (raw >> 1) ^ -(raw & 1)
