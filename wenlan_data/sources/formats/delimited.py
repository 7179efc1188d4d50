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

# Of a cell. The limit of the module, 128 KiB, is one of the process; ours is that of a row.
csv.field_size_limit(2 * MAX_LINE_BYTES)

NextRow = Callable[[BinaryIO], "list[str] | bytes | Drop | None"]
"""Reads the row at the file's position and stops at the next one; None for a blank line."""


def next_json_line(file: BinaryIO) -> bytes | Drop | None:
    """Returns the line at the file's position, not parsed yet."""
    line = _next_line(file)
    return line if isinstance(line, Drop) else line.strip() or None


class CsvRows:
    """Reads the row at a file's position by the rules of `csv.reader`, and stops at the next one.

    Cells are Latin-1: one character a byte, decoded later. If a quote is not closed within
    `MAX_LINE_BYTES` of the row's start, or in a line with an error, only the first line is a
    `Drop`, and the lines after it are rows again. An instance reads one file, forwards: it takes
    linear time, whatever the quotes.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._open = range(0)
        """Bytes in which each line begins inside a quote, if the line before it does. Without it,
        a file of quotes that never close would be read to the limit from each of its lines."""

    def __call__(self, file: BinaryIO) -> list[str] | Drop | None:
        """Returns the cells; None for a blank line."""
        start = file.tell()
        line = _next_line(file)
        if isinstance(line, Drop):
            return line
        if b'"' not in line:
            content = line.rstrip(b"\r\n")
            return content.decode("latin-1").split(self._delimiter) if content else None
        second_line = file.tell()
        try:
            if self._ends_open(line, is_open=False):
                stop = self._closing_line_end(file, start)
                if stop is None:
                    file.seek(second_line)
                    return Drop(Reason.BAD_ROW, "a quote is not closed")
                file.seek(second_line)
                line += file.read(stop - second_line)
            # All line ends but the last one are inside quotes.
            return next(csv.reader([line.decode("latin-1")], delimiter=self._delimiter)) or None
        except csv.Error as error:
            file.seek(second_line)
            return Drop(Reason.BAD_ROW, str(error))

    def _closing_line_end(self, file: BinaryIO, start: int) -> int | None:
        """Returns the end of the line that closes the quote which is open at the file's position;
        None if none does within the limit of the row at `start`."""
        position = first = file.tell()
        if position in self._open:
            position, first = self._open.stop, self._open.start
            file.seek(position)
        while position - start <= MAX_LINE_BYTES and (line := file.readline(MAX_LINE_BYTES)):
            if len(line) == MAX_LINE_BYTES:
                break
            try:
                if not self._ends_open(line, is_open=True):
                    return file.tell()
            except csv.Error:
                self._open = range(first, position)
                raise
            position = file.tell()
        self._open = range(first, position)
        return None

    def _ends_open(self, line: bytes, *, is_open: bool) -> bool:
        """Whether a line ends inside a quote; `is_open`: whether it begins inside one."""
        text = line.decode("latin-1")
        # A line that is added to an open quote does not begin another row.
        lines = [f'"{text}' if is_open else text, "x"]
        return len(list(csv.reader(lines, delimiter=self._delimiter))) == 1


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
