"""Arrow columns in one piece, with the types that the type checker needs."""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from wenlan_data.npy import Bools, Indices

# As strings: pyarrow's classes take no parameters at run time.
Column: TypeAlias = "pa.Array[pa.Scalar[pa.DataType]]"
Lists: TypeAlias = "pa.ListArray[pa.ListScalar[pa.DataType]]"
"""An array of lists: texts, opt-out signals."""


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
