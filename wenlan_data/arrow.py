"""Arrow columns in one piece, with the types that the type checker needs to hear."""

from typing import TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

# As strings: pyarrow's classes take no parameters at run time.
Column: TypeAlias = "pa.Array[pa.Scalar[pa.DataType]]"
Lists: TypeAlias = "pa.ListArray[pa.ListScalar[pa.DataType]]"
"""An array of lists: texts, opt-out signals."""

Indices = NDArray[np.int64]


def whole(table: pa.Table, name: str) -> "Column":
    """The column as one array; no copy where it is one already."""
    column = table[name]
    return cast("Column", column.chunk(0) if column.num_chunks == 1 else column.combine_chunks())


def lists(table: pa.Table, name: str) -> "Lists":
    """The same for a column of lists."""
    return cast("Lists", whole(table, name))


def rows(numbers: Indices) -> pa.Int64Array:
    """Row numbers as Arrow takes them."""
    return cast("pa.Int64Array", pa.array(numbers))


def strings(table: pa.Table, name: str, numbers: Indices) -> list[str]:
    """The texts of these rows."""
    return cast("list[str]", table[name].take(rows(numbers)).to_pylist())


def integers(table: pa.Table, name: str) -> Indices:
    """int64 (N,): the column's numbers."""
    numbers: Indices = table[name].to_numpy().astype(np.int64, copy=False)
    return numbers


def are_equal(table: pa.Table, name: str, value: str) -> NDArray[np.bool_]:
    """bool (N,): whether the column's text is `value`."""
    # Through codes: comparing strings as Python objects takes a second for a million rows.
    codes = whole(table, name).dictionary_encode()
    known = cast("list[str]", codes.dictionary.to_pylist())
    wanted = known.index(value) if value in known else -1
    is_equal: NDArray[np.bool_] = codes.indices.to_numpy(zero_copy_only=False) == wanted
    return is_equal
