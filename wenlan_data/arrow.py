"""Parquet files, and Arrow columns in one piece with the types that the type checker needs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.errors import DamageError, cannot_open, from_os_error, in_short
from wenlan_data.npy import BUILD_AGAIN, Bools, Indices
from wenlan_data.part_files import checked

# As strings: pyarrow's classes take no parameters at run time.
Column: TypeAlias = "pa.Array[pa.Scalar[pa.DataType]]"
Lists: TypeAlias = "pa.ListArray[pa.ListScalar[pa.DataType]]"
"""An array of lists: texts, opt-out signals."""


@contextmanager
def table_errors(path: Path | str, remedy: str = BUILD_AGAIN) -> Iterator[None]:
    """Converts the errors of reading a Parquet file, or of a column that it lacks, into a
    `DamageError` that states the `remedy`; a file that cannot be opened
    for lack of rights or descriptors is a `UsageError`."""
    try:
        yield
    # `ArrowException` alone is not enough: a corrupt page is an `OSError`.
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:
        if isinstance(error, OSError) and cannot_open(error):
            raise from_os_error(error, path) from error
        raise DamageError(
            f"{path}: not a table as the build wrote it ({in_short(error, 200)}): {remedy}"
        ) from error


def read_table(path: Path | str, columns: Sequence[str], remedy: str = BUILD_AGAIN) -> pa.Table:
    """Reads these columns of a Parquet file. Raises `DamageError`, see `table_errors`."""
    with table_errors(path, remedy):
        return pq.read_table(checked(path), columns=list(columns))


def table_of_rows(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.Table:
    """Returns a table of these rows, their values in the order of the schema's fields."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.table(arrays, schema=schema)


def whole(table: pa.Table, name: str) -> Column:
    """Returns the column as one array, without a copy where it is one already."""
    column = table[name]
    array: Any = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return array


def lists(table: pa.Table, name: str) -> Lists:
    """Returns a column of lists as one array."""
    column: Any = whole(table, name)
    return column


def take_lists(column: Lists, numbers: Indices) -> Lists:
    """Returns these rows of a column of lists."""
    taken: Any = column.take(rows(numbers))
    return taken


def rows(numbers: Indices) -> pa.Int64Array:
    """Converts row numbers for Arrow."""
    array: Any = pa.array(numbers)
    return array


def to_strings(column: Any) -> list[str]:
    """Returns the texts of an array or chunked array of strings without nulls."""
    texts: list[str] = column.to_pylist()
    return texts


def strings(table: pa.Table, name: str, numbers: Indices) -> list[str]:
    """Returns the texts of these rows."""
    return to_strings(table[name].take(rows(numbers)))


def integers(table: pa.Table, name: str) -> Indices:
    """int64 (N,): the column's numbers."""
    numbers: Indices = table[name].to_numpy().astype(np.int64, copy=False)
    return numbers


def are_equal(table: pa.Table, name: str, value: str) -> Bools:
    """bool (N,): whether the column's text is `value`."""
    # Through codes: comparing strings as Python objects takes a second for a million rows.
    codes = whole(table, name).dictionary_encode()
    known = to_strings(codes.dictionary)
    wanted = known.index(value) if value in known else -1
    is_equal: Bools = codes.indices.to_numpy(zero_copy_only=False) == wanted
    return is_equal
