"""Reads and writes offsets tables, which locate each member in its tar for random access."""

from collections.abc import Sequence
from pathlib import Path

import google_crc32c
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.bounded_tables import read_rows
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.files import open_regular
from wenlan_data.shard import format as shard_format
from wenlan_data.shard.reader import read_at, scan
from wenlan_data.shard.writer import MemberLocation
from wenlan_data.tables import OFFSETS

WHAT = "offsets table"
MAX_OFFSET = 1 << 62
"""Bytes. Two such numbers can be added in 64 bits."""
MAX_MEMBERS = 1 << 21
"""Of one tar. A row takes 350 bytes of memory."""


def save_offsets(path: Path, locations: Sequence[MemberLocation]) -> None:
    """Writes the table, rows in the order of the tar. Equal locations give equal bytes."""
    with os_errors(path):
        pq.write_table(offsets_table(locations), path, compression="zstd")


def offsets_table(locations: Sequence[MemberLocation]) -> pa.Table:
    """Returns the table of the members at these locations."""
    columns = {name: [getattr(location, name) for location in locations] for name in OFFSETS.names}
    return pa.Table.from_pydict(columns, schema=OFFSETS)


def load_offsets(path: Path) -> list[MemberLocation]:
    """Reads all rows, in the order of the tar; raises `DamageError` for any other file."""
    return _locations(read_offsets(path))


def read_offsets(path: Path, columns: Sequence[str] = tuple(OFFSETS.names)) -> pa.Table:
    """Reads an offsets table, or some columns of one.

    Raises `DamageError` for any other file, and for a place before the first member or beyond the
    largest file.
    """
    table = read_rows(path, pa.schema([OFFSETS.field(name) for name in columns]), what=WHAT)
    if table.num_rows > MAX_MEMBERS:
        raise DamageError(f"{path}: {table.num_rows} members, more than {MAX_MEMBERS} of one tar")
    for name, least in (("offset", shard_format.HEADER_BYTES), ("size", 0)):
        if name not in table.column_names or not table.num_rows:
            continue
        found = pc.min_max(table[name]).as_py()
        if found["min"] < least or found["max"] > MAX_OFFSET:
            raise DamageError(
                f"{path}: the {name} {found['min'] if found['min'] < least else found['max']} "
                f"is in no tar: run `shards verify`"
            )
    return table


def find_locations(path: Path, key: str) -> list[MemberLocation]:
    """Reads the rows of one sample; returns none if the shard does not hold it."""
    table = read_offsets(path)
    return _locations(table.filter(pc.equal(table["key"], pa.scalar(key))))


def build_offsets(tar: Path) -> list[MemberLocation]:
    """Computes the rows of any WebDataset tar by one pass.

    Raises `DamageError` for a corrupt tar.
    """
    found: list[MemberLocation] = []
    with os_errors(tar), open_regular(tar) as file:
        for sample in scan(tar):
            for member in sample.members.values():
                crc32c = google_crc32c.value(read_at(file, member))
                found.append(
                    MemberLocation(sample.key, member.name, member.offset, member.size, crc32c)
                )
            if len(found) > MAX_MEMBERS:
                raise DamageError(f"{tar}: more than {MAX_MEMBERS} members: split it into several")
    return found


def _locations(table: pa.Table) -> list[MemberLocation]:
    batches = table.to_batches(max_chunksize=1 << 14)
    return [MemberLocation(**row) for batch in batches for row in batch.to_pylist()]
