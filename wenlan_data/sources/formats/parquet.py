"""Ranges of the row groups of a Parquet file, and the rows of one range, streamed.

A file from a stranger may expand without bounds: a page to a million times its size, a dictionary
with one long value to one copy a row. So the headers of the pages are read first: they bound how
many rows may be decoded at once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import UsageError, in_short, os_errors
from wenlan_data.files import open_regular
from wenlan_data.parquet_pages import iter_pages
from wenlan_data.protocols import SourcePart
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.sources.formats.delimited import MAX_LINE_BYTES

MAX_PAGE_BYTES = 128 << 20
"""Of one page of each used column, decoded. Writers make pages of 1 MiB, some of a whole row
group."""
MAX_BATCH_BYTES = 128 << 20
"""Of rows that are decoded at once, if each value were the whole dictionary."""
MAX_LIST_VALUES = 1 << 22
"""Of a row group of a column of lists: one row may hold all of them."""
MAX_LIST_LENGTH = 1_000
"""Texts of one row."""
MAX_ROWS_PER_BYTE = 100
"""Rows of a file, for each of its bytes; small files may have `_FREE_ROWS`. More are no URLs: the
footer is wrong, and planning would not end."""
_FREE_ROWS = 1_000_000
MAX_DECODED_FILE_BYTES = 64 << 20
"""Of a file that is decoded before it is used: larger ones would delay each start of a build by
seconds. All crashes of mutated files that we saw were caused by the footer."""
_BATCH_ROWS = 8_192
_WITHOUT_REPEATS = {
    "PLAIN", "PLAIN_DICTIONARY", "RLE", "BIT_PACKED", "DELTA_BINARY_PACKED",
    "DELTA_LENGTH_BYTE_ARRAY", "RLE_DICTIONARY", "BYTE_STREAM_SPLIT",
}  # fmt: skip
"""Encodings of pages in which each value takes its place; the codes of a dictionary are small."""
# What pyarrow raises for corrupt files, measured by mutations: also bare errors of Python.
_UNREADABLE = (
    pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, ArithmeticError,
    MemoryError, RecursionError,
)  # fmt: skip


@contextmanager
def open_parquet(file: Path, encoded: Sequence[str] = ()) -> Iterator[pq.ParquetFile]:
    """Opens the file; the values of `encoded`, paths in its schema, stay codes of a dictionary.

    Raises `UsageError` if it is not a complete Parquet file.
    """
    # The type is checked by our own opening: pyarrow would wait for the writer of a pipe.
    with os_errors(file), open_regular(file) as opened:
        try:
            table = pq.ParquetFile(
                opened, read_dictionary=list(encoded), pre_buffer=False, buffer_size=1 << 20
            )
            _ = table.schema_arrow.names
        except _UNREADABLE as error:
            raise UsageError(
                f"{file}: it cannot be read as Parquet ({in_short(error)}): give a whole file"
            ) from error
        with table:
            yield table


def column_names(file: Path) -> tuple[str, ...]:
    """Returns the columns that may hold texts; those of structs are left out."""
    with open_parquet(file) as table:
        return tuple(one.name for one in table.schema_arrow if not pa.types.is_struct(one.type))


def parquet_ranges(file: Path, max_rows: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields row group, first row, end row and number of rows of each range.

    A range is a sixteenth of its row group, but 10,000 to 100,000 rows, and at most `max_rows`.
    """
    counts = _group_rows(file)
    for group, count in enumerate(counts):
        step = min(max(10_000, min(count // 16, 100_000)), max_rows)
        for start in range(0, count, step):
            stop = min(start + step, count)
            yield group, start, stop, stop - start


def _group_rows(file: Path) -> list[int]:
    """The rows of each row group. Raises `UsageError` if there cannot be so many."""
    with open_parquet(file) as table:
        counts = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
    most = max(_FREE_ROWS, MAX_ROWS_PER_BYTE * file.stat().st_size)
    if min(counts, default=0) < 0 or sum(counts) > most:
        raise UsageError(
            f"{file}: its footer states {sum(counts)} rows in {file.stat().st_size} bytes:"
            " give a whole file"
        )
    return counts


def decode_all(file: Path, names: Sequence[str]) -> None:
    """Reads the page headers of the columns, decodes them in a file of at most
    `MAX_DECODED_FILE_BYTES`, and drops the values.

    Raises `UsageError` as `parquet_ranges` does. A row group that is corrupt is left to
    `parquet_rows`, which names it when it is read.
    """
    is_small = file.stat().st_size <= MAX_DECODED_FILE_BYTES
    for group in range(len(_group_rows(file))):
        try:
            plan = _reading(file, group, names)
            if isinstance(plan, Drop) or not is_small:
                continue
            batch_rows, lists = plan
            with open_parquet(file, lists) as table:
                for _ in table.iter_batches(batch_rows, row_groups=[group], columns=names):
                    pass
        except (*_UNREADABLE, UsageError):
            continue


def _reading(file: Path, group: int, names: Sequence[str]) -> tuple[int, list[str]] | Drop:
    """How many rows are decoded at once, and the paths of lists; a `Drop` for a row group that
    takes too much memory. Raises `UsageError` for one that is corrupt."""
    try:
        with open_parquet(file) as table:
            batch_rows = _batch_rows(file, table, group, names)
            # One row may repeat a long value of a dictionary any number of times.
            lists = [path for path, is_list in _leaves(table, names) if is_list]
    except _UNREADABLE as error:
        raise _corrupt(file, group, error) from error
    return batch_rows if isinstance(batch_rows, Drop) else (batch_rows, lists)


def parquet_rows(
    file: Path, part: SourcePart, names: Sequence[str]
) -> Iterator[tuple[object, ...] | Drop]:
    """Yields the values of the columns `names` in each row of the part; None for an empty name.

    A value that cannot be represented is a `Drop` in the tuple. A row group that would take too
    much memory is one `Drop` for the whole part.
    """
    wanted = [name for name in names if name]
    plan = _reading(file, part.group, wanted)
    if isinstance(plan, Drop):
        yield plan
        return
    batch_rows, lists = plan
    with open_parquet(file, lists) as table:
        try:
            seen = 0
            batches = table.iter_batches(batch_rows, row_groups=[part.group], columns=wanted)
            for batch in batches:
                first, last = max(part.start - seen, 0), min(part.stop - seen, batch.num_rows)
                seen += batch.num_rows
                if first < last:
                    rows = batch.slice(first, last - first)
                    columns = [
                        _values(rows.column(name)) if name else repeat(None, rows.num_rows)
                        for name in names
                    ]
                    yield from zip(*columns, strict=True)
                if seen >= part.stop:
                    return
            raise ValueError(f"it has {seen} rows, and states {part.stop} and more")
        except _UNREADABLE as error:
            raise _corrupt(file, part.group, error) from error


def _corrupt(file: Path, group: int, error: Exception) -> UsageError:
    return UsageError(
        f"{file}: row group {group} is corrupt ({in_short(error)}): give a whole file"
    )


def _leaves(table: pq.ParquetFile, wanted: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yields the path of each column chunk of the wanted columns, and whether it is of lists."""
    for number in range(len(table.schema)):
        column = table.schema.column(number)
        # `text.list.element` belongs to the column `text`; a name may have a dot itself.
        if any(column.path == name or column.path.startswith(f"{name}.") for name in wanted):
            yield column.path, column.max_repetition_level > 0


def _batch_rows(file: Path, table: pq.ParquetFile, group: int, wanted: Sequence[str]) -> int | Drop:
    """How many rows may be decoded at once; a `Drop` if not even one may."""
    metadata = table.metadata.row_group(group)
    leaves = dict(_leaves(table, wanted))
    repeated = total = 1
    with open_regular(file) as opened:
        for number in range(metadata.num_columns):
            chunk = metadata.column(number)
            if chunk.path_in_schema not in leaves:
                continue
            start = chunk.data_page_offset
            if chunk.dictionary_page_offset is not None and chunk.dictionary_page_offset > 0:
                start = min(start, chunk.dictionary_page_offset)
            column_bytes = values = 0
            for page, _ in iter_pages(opened, start, chunk.total_compressed_size):
                # In a dictionary, which has no rows, and as a prefix, a value that the page holds
                # once may occur in any number of rows.
                if not page.values or page.encoding not in _WITHOUT_REPEATS:
                    repeated = max(repeated, page.bytes)
                column_bytes = max(column_bytes, page.bytes)
                values += page.values
                if column_bytes > MAX_PAGE_BYTES:
                    return _overflow(group, f"a page of {column_bytes} bytes")
                if values >= chunk.num_values:
                    break
            total += column_bytes
            if leaves[chunk.path_in_schema] and max(values, chunk.num_values) > MAX_LIST_VALUES:
                return _overflow(group, f"lists of {max(values, chunk.num_values)} values")
    if total > 2 * MAX_PAGE_BYTES:
        return _overflow(group, f"pages of {total} bytes")
    return max(1, min(_BATCH_ROWS, MAX_BATCH_BYTES // repeated))


def _overflow(group: int, what: str) -> Drop:
    return Drop(Reason.BAD_ROW, f"row group {group} has {what}")


def _values(column: pa.Array) -> Iterator[object]:
    """The values of a column; a `Drop` for one that is too long, or that Python cannot hold."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or _is_number(kind):
        return map(_checked, column.to_pylist())
    # One by one: a list holds codes of a dictionary, and takes up to a million times as much
    # memory as values of Python.
    return (_value(column[row]) for row in range(len(column)))


def _is_number(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _value(scalar: pa.Scalar) -> object:
    try:
        if not scalar.is_valid:
            return None
        is_map = pa.types.is_map(scalar.type)
        is_list = isinstance(scalar, pa.ListScalar | pa.LargeListScalar) and not is_map
        if _is_nested(scalar.type.value_type if is_list else scalar.type):
            return Drop(Reason.BAD_ROW, "a value is neither text nor number")
        return _list(scalar.values) if is_list else _checked(scalar.as_py())
    except (pa.ArrowException, ValueError, OverflowError, TypeError, RecursionError) as error:
        # A date after the year 9999, for instance.
        return Drop(Reason.BAD_ROW, in_short(error, 60))


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(getattr(kind, "storage_type", kind)))


def _list(values: pa.Array) -> object:
    if len(values) > MAX_LIST_LENGTH:
        return Drop(Reason.BAD_ROW, f"a list of {len(values)} values")
    if pa.types.is_dictionary(values.type):
        # Before the values are copied out of the dictionary.
        lengths = pc.binary_length(values.dictionary).take(values.indices)
        if (pc.sum(lengths).as_py() or 0) > MAX_LINE_BYTES:
            return Drop(Reason.BAD_ROW, f"a list of more than {MAX_LINE_BYTES} bytes")
    elif values.nbytes > MAX_LINE_BYTES:
        return Drop(Reason.BAD_ROW, f"a list of more than {MAX_LINE_BYTES} bytes")
    return values.to_pylist()


def _checked(value: object) -> object:
    if isinstance(value, str | bytes) and len(value) > MAX_LINE_BYTES:
        return Drop(Reason.BAD_ROW, f"a value is longer than {MAX_LINE_BYTES} bytes")
    return value
