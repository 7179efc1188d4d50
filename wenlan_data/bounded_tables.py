"""Reads Parquet tables that anybody may have written: known columns, batch by batch, with limits.

A file of 1.7 kB can decode to 2.5 GB: by compression, by a run of equal values, or because a long
text of a dictionary occurs many times. So the headers of all pages are read before Arrow decodes
them, and texts are decoded as codes of a dictionary, whose expanded size is known beforehand.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import DamageError, cannot_open, from_os_error, in_short
from wenlan_data.files import open_regular
from wenlan_data.parquet_pages import ColumnChunk, RowGroup, read_pages, read_row_groups
from wenlan_data.records import MAX_LIST_ITEMS

MAX_FOOTER_BYTES = 1 << 22
"""Arrow takes up to a hundred times as much memory for it. Builds write 7 kB a row group."""
MAX_ROWS = 100_000_000
MAX_COLUMNS, MAX_ROW_GROUPS = 1000, 10_000
MAX_PAGE_BYTES = 1 << 26
"""Of one page, decompressed; writers make them of 1 MiB, and larger only for a longer text."""
MAX_VALUES = 1 << 24
"""Of a column in a row group; in lists there are several a row."""
MAX_BATCH_BYTES = 1 << 27
"""Of one batch, decoded. Long rows come in smaller batches."""
MAX_TABLE_BYTES = 1 << 29
"""Of a table that is read whole, decoded."""
MAX_DECODED_BYTES, MAX_EXPANSION = 1 << 36, 100
"""Of a table that is read in batches, decoded; for a large file times its size. It takes half a
minute, and without an end a text of a dictionary in 100 million rows would take days."""
BATCH_ROWS = 4096
ENCODINGS = {"PLAIN", "PLAIN_DICTIONARY", "RLE", "RLE_DICTIONARY", "BIT_PACKED"}
"""Those that Arrow writes by default. With the others, each value may repeat the one before it."""
VERIFY = "run `shards verify`"
OPTIONAL_FIELDS = {"relation", "confidence"}
"""Of a text; tables before format 1.1 lack them."""


def read_batches(
    path: Path,
    schema: pa.Schema,
    *,
    optional: Sequence[str] = (),
    nullable: Sequence[str] = (),
    what: str = "table",
    rows: int = BATCH_ROWS,
    remedy: str = VERIFY,
) -> Iterator[pa.RecordBatch]:
    """Yields the columns of `schema` in batches of at most `rows` rows.

    Columns that are `optional` may be missing, other columns of the file are not read. Structs may
    have more fields than the schema. Raises `DamageError` for any other table: a column that
    is missing or of another type, an empty cell outside of `nullable` columns, a number that is not
    finite, invalid UTF-8, or a size beyond the limits.
    """
    with _errors(path, what, remedy), open_regular(path) as file:
        size_bytes = os.fstat(file.fileno()).st_size
        footer = _read_footer(file, size_bytes)
        # Arrow reads the file that was checked: another one may take the place of the path.
        table = pq.ParquetFile(
            file,
            thrift_string_size_limit=MAX_FOOTER_BYTES,
            thrift_container_size_limit=MAX_FOOTER_BYTES // 8,
        )
        _check_columns(table, schema, optional)
        leaves = _wanted_leaves(table.schema, schema)
        groups = read_row_groups(footer, len(table.schema))
        if sum(group.rows for group in groups) != table.metadata.num_rows:
            raise ValueError("its row groups do not hold all rows")
        _check_pages(file, groups, leaves)
        texts = [
            path
            for leaf, path in leaves.items()
            if table.schema.column(leaf).physical_type == "BYTE_ARRAY"
        ]
        table = pq.ParquetFile(file, read_dictionary=texts, pre_buffer=False)
        left = max(MAX_DECODED_BYTES, MAX_EXPANSION * size_bytes)
        # By row group: each has dictionaries of its own, which a batch cannot hold in lists.
        for number in range(len(groups)):
            # One thread, because a forked worker has no thread pool.
            batches = table.iter_batches(
                rows, row_groups=[number], columns=list(leaves.values()), use_threads=False
            )
            for batch in batches:
                for decoded in _checked(batch, nullable):
                    left -= decoded.nbytes
                    if left < 0:
                        raise ValueError("it decodes to far more than its size")
                    yield decoded


def read_rows(
    path: Path,
    schema: pa.Schema,
    *,
    optional: Sequence[str] = (),
    what: str = "table",
) -> pa.Table:
    """Returns the columns of `schema`; raises `DamageError` as `read_batches` does, and for more
    than `MAX_TABLE_BYTES`."""
    batches, size = [], 0
    for batch in read_batches(path, schema, optional=optional, what=what, rows=1 << 16):
        batches.append(batch)
        size += batch.nbytes
        if size > MAX_TABLE_BYTES:
            raise DamageError(
                f"{path}: this {what} is larger than {MAX_TABLE_BYTES} bytes: {VERIFY}"
            )
    return pa.Table.from_batches(batches, batches[0].schema if batches else schema)


def check_written(path: Path, schema: pa.Schema, *, nullable: Sequence[str] = ()) -> None:
    """Reads a table that the build has just written. Raises `DamageError` if readers would refuse
    it."""
    remedy = "a corpus with it could not be read, so it is not published; report this"
    for _ in read_batches(path, schema, nullable=nullable, remedy=remedy):
        pass


@contextmanager
def _errors(path: Path, what: str, remedy: str) -> Iterator[None]:
    try:
        yield
    # A corrupt page is an `OSError`; invalid UTF-8 in the schema is a `ValueError`.
    except (OSError, KeyError, ValueError, OverflowError, pa.ArrowException) as error:
        if isinstance(error, OSError) and cannot_open(error):
            raise from_os_error(error, path) from error
        reason = in_short(error, 200)
        raise DamageError(f"{path}: this {what} cannot be read ({reason}): {remedy}") from error


def _read_footer(file: BinaryIO, size: int) -> bytes:
    tail = os.pread(file.fileno(), 8, max(0, size - 8))
    footer_bytes = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or footer_bytes > size - 12:
        raise ValueError("not a Parquet file, or one that is cut short")
    if footer_bytes > MAX_FOOTER_BYTES:
        raise ValueError(f"a footer of {footer_bytes} bytes, more than {MAX_FOOTER_BYTES}")
    return os.pread(file.fileno(), footer_bytes, size - 8 - footer_bytes)


def _check_columns(table: pq.ParquetFile, schema: pa.Schema, optional: Sequence[str]) -> None:
    metadata = table.metadata
    for name, found, most in (
        ("rows", metadata.num_rows, MAX_ROWS),
        ("columns", metadata.num_columns, MAX_COLUMNS),
        ("row groups", metadata.num_row_groups, MAX_ROW_GROUPS),
    ):
        if not 0 <= found <= most:
            raise ValueError(f"{found} {name}, more than {most}")
    names = table.schema_arrow.names
    for field in schema:
        if names.count(field.name) > 1 or (field.name not in names and field.name not in optional):
            raise ValueError(f"column {field.name!r} is missing, or there twice")
        if field.name in names and not _fits(table.schema_arrow.field(field.name).type, field.type):
            raise ValueError(f"column {field.name!r} is of another type than {field.type}")


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_list(wanted):
        return pa.types.is_list(found) and _fits(found.value_type, wanted.value_type)
    if not pa.types.is_struct(wanted):
        return bool(found.equals(wanted))
    if not pa.types.is_struct(found):
        return False
    names = [field.name for field in found]
    return len(set(names)) == len(names) and all(
        _fits(found.field(field.name).type, field.type)
        if field.name in names
        else field.name in OPTIONAL_FIELDS
        for field in wanted
    )


def _wanted_leaves(leaves: pq.ParquetSchema, schema: pa.Schema) -> dict[int, str]:
    """Returns number and path of the primitive columns that make up the columns of the schema."""
    paths = {number: leaves.column(number).path for number in range(len(leaves))}
    wanted = pa.struct(schema)
    return {number: path for number, path in paths.items() if _is_part(path.split("."), wanted)}


def _is_part(path: Sequence[str], wanted: pa.DataType) -> bool:
    if pa.types.is_list(wanted):
        return _is_part(path[2:], wanted.value_type)  # `list.element`, or other names of both
    if not pa.types.is_struct(wanted):
        return not path
    index = wanted.get_field_index(path[0]) if path else -1
    return index >= 0 and _is_part(path[1:], wanted.field(index).type)


def _check_pages(file: BinaryIO, groups: Sequence[RowGroup], leaves: Mapping[int, str]) -> None:
    for group in groups:
        for leaf, name in leaves.items():
            _check_column(file, group.columns[leaf], group.rows, name)


def _check_column(file: BinaryIO, column: ColumnChunk, rows: int, name: str) -> None:
    where = f"column {name[:100]!r}"
    if not rows <= column.values <= MAX_VALUES:
        raise ValueError(f"{where} has {column.values} values in {rows} rows")
    if not column.values:
        return  # no page is read of it
    pages = read_pages(file, column.start, column.bytes)
    if sum(page.values for page in pages) != column.values:
        raise ValueError(f"{where}: its pages do not hold {column.values} values")
    if any(page.bytes > MAX_PAGE_BYTES for page in pages):
        raise ValueError(f"{where} has a page of more than {MAX_PAGE_BYTES} bytes")
    if not {page.encoding for page in pages} <= ENCODINGS | {""}:
        raise ValueError(f"{where} has an encoding that no build writes")


def _checked(batch: pa.RecordBatch, nullable: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields the rows with their texts decoded, in several batches if they are long."""
    size = 0
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        size += _check_array(column, name, is_nullable=name in nullable)
    if size > MAX_BATCH_BYTES:
        if batch.num_rows == 1:
            raise ValueError(f"a row decodes to {size} bytes")
        half = batch.num_rows // 2
        yield from _checked(batch.slice(0, half), nullable)
        yield from _checked(batch.slice(half), nullable)
        return
    decoded = batch.cast(pa.schema([_decoded_field(field) for field in batch.schema]))
    decoded.validate(full=True)
    yield decoded


def _decoded_field(field: pa.Field) -> pa.Field:
    kind = field.type
    if pa.types.is_dictionary(kind):
        return field.with_type(kind.value_type)
    if pa.types.is_list(kind):
        return field.with_type(pa.list_(_decoded_field(kind.value_field)))
    if pa.types.is_struct(kind):
        return field.with_type(pa.struct([_decoded_field(inner) for inner in kind]))
    return field


def _check_array(array: Any, name: str, *, is_nullable: bool) -> int:
    """Returns the bytes that the array takes once its texts are decoded."""
    if array.null_count and not is_nullable:
        raise ValueError(f"column {name!r} holds empty cells")
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary)
        used = pc.sum(lengths.take(array.indices)).as_py() or 0
        return int(used) + 4 * len(array)
    if pa.types.is_list(kind):
        if (pc.max(pc.list_value_length(array)).as_py() or 0) > MAX_LIST_ITEMS:
            raise ValueError(f"column {name!r} holds a list of more than {MAX_LIST_ITEMS} items")
        return 4 * len(array) + _check_array(array.flatten(), name, is_nullable=is_nullable)
    if pa.types.is_struct(kind):
        return sum(_check_array(one, name, is_nullable=is_nullable) for one in array.flatten())
    if pa.types.is_floating(kind) and pc.all(pc.is_finite(array)).as_py() is False:
        raise ValueError(f"column {name!r} holds a number that is not finite")
    return int(array.nbytes)
