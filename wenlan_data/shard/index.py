"""Reads and writes offsets tables, which locate each member in its tar for random access."""

from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import DamageError, in_short, os_errors
from wenlan_data.shard.reader import read_at, scan
from wenlan_data.shard.writer import MemberLocation
from wenlan_data.tables import OFFSETS


def save_offsets(path: Path, locations: Sequence[MemberLocation]) -> None:
    """Writes the table, rows in the order of the tar. Equal locations give equal bytes."""
    columns = {name: [getattr(location, name) for location in locations] for name in OFFSETS.names}
    table = pa.Table.from_pydict(columns, schema=OFFSETS)
    with os_errors(path):
        pq.write_table(table, path, compression="zstd")


def load_offsets(path: Path) -> list[MemberLocation]:
    """Reads all rows, in the order of the tar; raises `DamageError` for any other file."""
    return _locations(_typed_table(path))


def read_offsets(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads an offsets table, or some columns of one.

    Raises `DamageError` for any other file, and for empty cells.
    """
    try:
        # Not `read_table`, which imports pyarrow.dataset in 1.5 s. One thread, because a forked
        # worker has no thread pool.
        with pq.ParquetFile(path) as file:
            table = file.read(columns=columns, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        reason = in_short(error, 200)
        raise DamageError(
            f"{path}: this offsets table cannot be read ({reason}): run `shards verify`"
        ) from error
    if not set(columns or OFFSETS.names) <= set(table.column_names):
        raise _no_offsets(path, table)
    if any(column.null_count for column in table.columns):
        raise DamageError(f"{path}: the offsets table holds empty cells: run `shards verify`")
    return table


def find_locations(path: Path, key: str) -> list[MemberLocation]:
    """Reads the rows of one sample; returns none if the shard does not hold it."""
    table = _typed_table(path)
    return _locations(table.filter(pc.equal(table["key"], pa.scalar(key))))


def build_offsets(tar: Path) -> list[MemberLocation]:
    """Computes the rows of any WebDataset tar by one pass.

    Raises `DamageError` for a corrupt tar.
    """
    with os_errors(tar), tar.open("rb") as file:
        return [
            MemberLocation(
                sample.key,
                member.name,
                member.offset,
                member.size,
                google_crc32c.value(read_at(file, member)),
            )
            for sample in scan(tar)
            for member in sample.members.values()
        ]


def _typed_table(path: Path) -> pa.Table:
    table = read_offsets(path)
    if not table.schema.equals(OFFSETS):
        raise _no_offsets(path, table)
    return table


def _no_offsets(path: Path, table: pa.Table) -> DamageError:
    columns = ", ".join(table.column_names)
    return DamageError(f"{path}: this is no offsets table: its columns are {columns}")


def _locations(table: pa.Table) -> list[MemberLocation]:
    return [MemberLocation(**row) for row in table.to_pylist()]
