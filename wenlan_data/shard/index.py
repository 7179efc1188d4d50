"""Offsets tables: where each member's data lies in its tar, so that one sample is read without the rest."""

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


def save_offsets(path: Path, places: Sequence[MemberLocation]) -> None:
    """Write the table, rows in the order of the tar. The same places give the same bytes."""
    columns = {name: [getattr(place, name) for place in places] for name in OFFSETS.names}
    table = pa.Table.from_pydict(columns, schema=OFFSETS)
    with os_errors(path):
        pq.write_table(table, path, compression="zstd")


def load_offsets(path: Path) -> list[MemberLocation]:
    """Every row, in the order of the tar; raises `DamageError` for a file that is no offsets table."""
    return _places(_table(path), path)


def find_locations(path: Path, key: str) -> list[MemberLocation]:
    """The rows of one sample; empty where the shard does not hold it."""
    table = _table(path)
    return _places(table.filter(pc.equal(table["key"], pa.scalar(key))), path)


def build_offsets(tar: Path) -> list[MemberLocation]:
    """The places in anybody's WebDataset tar, read through once; raises `DamageError` for a broken tar."""
    with os_errors(tar), tar.open("rb") as file:
        return [
            MemberLocation(
                group.key,
                member.name,
                member.offset,
                member.size,
                google_crc32c.value(read_at(file, member)),
            )
            for group in scan(tar)
            for member in group.members.values()
        ]


def _table(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        reason = in_short(error, 200)
        raise DamageError(
            f"{path}: this offsets table cannot be read ({reason}): run `shards verify`"
        ) from error
    if not table.schema.equals(OFFSETS):
        raise DamageError(
            f"{path}: this is no offsets table: its columns are {', '.join(table.column_names)}"
        )
    return table


def _places(table: pa.Table, path: Path) -> list[MemberLocation]:
    places = [MemberLocation(**row) for row in table.to_pylist()]
    if any(
        None in (place.key, place.member, place.offset, place.size, place.crc32c)
        for place in places
    ):
        raise DamageError(f"{path}: the offsets table holds empty cells: run `shards verify`")
    return places
