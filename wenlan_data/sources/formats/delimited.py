"""Byte ranges of CSV, TSV and JSONL files that begin at a row, and the rows of one range.

Planning and reading use the same function to find the end of a row, so they always agree.
"""

import codecs
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_LINE_BYTES = 1 << 20
"""Of one line; a longer one is a bad row. The longest known captions have a few kilobytes."""

_SAMPLE_BYTES = 1 << 18

NextRow = Callable[[BinaryIO], "list[str] | bytes | Drop | None"]
"""Reads the row at the file's position and stops at the next one; None for a blank line."""


def next_json_line(file: BinaryIO) -> bytes | Drop | None:
    """Returns the line at the file's position, not parsed yet."""
    line = _next_line(file)
    return line if isinstance(line, Drop) else line.strip() or None


def next_csv_row(file: BinaryIO, delimiter: str) -> list[str] | Drop | None:
    """Returns the cells of the row at the file's position, by the rules of `csv.reader`.

    Cells are Latin-1: one character a byte, decoded later. If a quote is never closed, only the
    first line of the row is a `Drop`, and the lines after it are rows again.
    """
    line = _next_line(file)
    if isinstance(line, Drop):
        return line
    if b'"' in line:
        return _quoted(file, line, delimiter)
    content = line.rstrip(b"\r\n")
    return content.decode("latin-1").split(delimiter) if content else None


def ranges(
    path: Path, start: int, next_row: NextRow, max_rows: int
) -> Iterator[tuple[int, int, int]]:
    """Yields first byte, end byte and rows (at most `max_rows`) of each range from `start` on."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        position = file.seek(start)
        rows = 0
        while position < size_bytes:
            rows += next_row(file) is not None
            position = file.tell()
            if rows == max_rows:
                yield start, position, rows
                start, rows = position, 0
        if rows:
            yield start, position, rows


def read_range(
    path: Path, start: int, stop: int, next_row: NextRow
) -> Iterator[list[str] | bytes | Drop]:
    """Yields the rows between two bytes that `ranges` returned."""
    with path.open("rb") as file:
        file.seek(start)
        while file.tell() < stop:
            row = next_row(file)
            if row is not None:
                yield row


def encoding_of(path: Path) -> str:
    """Returns `utf-8` or `gb18030` by decoding the first 256 KiB; `utf-16` by its byte order
    mark."""
    with path.open("rb") as file:
        sample = file.read(_SAMPLE_BYTES)
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return next((name for name in ("utf-8", "gb18030") if _decodes(sample, name)), "utf-8")


def decode(raw: bytes, encoding: str) -> str | Drop:
    """Decodes a cell in the file's encoding, else in the other one of UTF-8 and GB18030."""
    for name in (encoding, "utf-8", "gb18030"):
        try:
            return raw.decode(name)
        except UnicodeDecodeError:
            continue
    return Drop(Reason.BAD_ENCODING, "neither UTF-8 nor GB18030")


def _decodes(sample: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeDecodeError:
        return False
    return True


def _next_line(file: BinaryIO) -> bytes | Drop:
    line = file.readline(MAX_LINE_BYTES)
    if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
        return line
    while len(rest := file.readline(MAX_LINE_BYTES)) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
        pass
    return Drop(Reason.BAD_ROW, f"a line is longer than {MAX_LINE_BYTES} bytes")


def _quoted(file: BinaryIO, line: bytes, delimiter: str) -> list[str] | Drop | None:
    second_line = file.tell()
    closed = True

    def lines() -> Iterator[str]:
        nonlocal closed
        yield line.decode("latin-1")
        while more := file.readline(MAX_LINE_BYTES):
            yield more.decode("latin-1")
        closed = False

    try:
        # A field that grows past the module's limit (128 KiB) is refused too, so memory stays
        # bounded.
        cells = next(csv.reader(lines(), delimiter=delimiter))
    except csv.Error as error:
        file.seek(second_line)
        return Drop(Reason.BAD_ROW, str(error))
    if not closed:
        file.seek(second_line)
        return Drop(Reason.BAD_ROW, "a quote is not closed")
    return cells or None
