"""Cuts the pictures of a generation into slices: each URL once, each slice about a minute of one host's patience."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.crawl.urls import host_of
from wenlan_data.errors import os_errors
from wenlan_data.protocols import Receipt
from wenlan_data.sources import HostLimits
from wenlan_data.tables import CANDIDATES, FACTS, IMAGE_INDEX, WANTED

MAX_ROWS = 2000
MAX_HOSTS = 200
SLICE_S = 60.0

Indexes = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePart:
    """Writes `slice-00000.parquet` and so on, see `tables.WANTED`.

    Its receipt's details: `slices`, a list of `{name, rows, chain, recorded}`. Slices with the same `chain` (a host) run
    one after the other; those whose chain is empty run at any time. `recorded` counts into the field of that name,
    -1 for a slice that lies in none of them.
    """

    candidates: tuple[str, ...]
    images: tuple[str, ...] = ()
    """Image-index files, see `tables.IMAGE_INDEX`: their pictures are not asked for."""
    hosts: dict[str, HostLimits] = field(default_factory=dict)
    offline: bool = False
    """Nothing will be asked, so no host needs a slice of its own."""
    recorded: tuple[str, ...] = ()
    """Old `facts.parquet` files (for `--from`): what one of them holds gets one slice, in their order."""

    def __call__(self, out: Path) -> Receipt:
        """Cut. Deterministic: depends on the rows alone."""
        wanted, rows_in = _wanted(self.candidates, self.images)
        slices: list[dict[str, object]] = []
        for chain, recorded, indexes in self._cut(wanted):
            name = f"slice-{len(slices):05d}.parquet"
            with os_errors(out / name):
                pq.write_table(wanted.take(pa.array(indexes)), out / name, compression="zstd")
            slices.append({"name": name, "rows": len(indexes), "chain": chain, "recorded": recorded})
        repeats = rows_in - wanted.num_rows
        return Receipt(
            rows_in=rows_in,
            rows_out=wanted.num_rows,
            details={"slices": slices, "repeated_urls": repeats},
        )

    def _cut(self, wanted: pa.Table) -> Iterator[tuple[str, int, Indexes]]:
        left = np.ones(wanted.num_rows, dtype=bool)
        for number, path in enumerate(self.recorded):
            with os_errors(path):
                keys = pq.read_table(path, columns=["url_key"], schema=FACTS)["url_key"]
            inside = pc.is_in(wanted["url_key"], value_set=keys).to_numpy(zero_copy_only=False)
            yield "", number, np.flatnonzero(left & inside)
            left &= ~inside
        stored = pc.not_equal(wanted["supply"], "web").to_numpy(zero_copy_only=False)
        if self.offline:
            stored = np.ones_like(left)
        for piece in _pieces(np.flatnonzero(left & stored), MAX_ROWS):
            yield "", -1, piece
        for chain, piece in self._cut_web(wanted["host"], np.flatnonzero(left & ~stored)):
            yield chain, -1, piece

    def _cut_web(self, hosts: pa.ChunkedArray, indexes: Indexes) -> Iterator[tuple[str, Indexes]]:
        small: list[Indexes] = []
        for host, own in _by_host(hosts, indexes):
            limits = self.hosts.get(host) or HostLimits()
            rows_a_slice = _rows_a_slice(limits)
            if len(own) > rows_a_slice:
                chain = host if limits.max_connections == 1 else ""
                for piece in _pieces(own, rows_a_slice):
                    yield chain, piece
                continue
            if small and (len(small) == MAX_HOSTS or sum(map(len, small)) + len(own) > MAX_ROWS):
                yield "", np.concatenate(small)
                small = []
            small.append(own)
        if small:
            yield "", np.concatenate(small)


def _rows_a_slice(limits: HostLimits) -> int:
    if limits.min_gap_s == 0:
        return MAX_ROWS
    return max(1, min(MAX_ROWS, int(SLICE_S / limits.min_gap_s)))


def _pieces(indexes: Indexes, rows: int) -> list[Indexes]:
    return [indexes[start : start + rows] for start in range(0, len(indexes), rows)]


def _by_host(hosts: pa.ChunkedArray, indexes: Indexes) -> Iterator[tuple[str, Indexes]]:
    """Hosts in the order of their first row, each with its rows in order."""
    if not len(indexes):
        return
    encoded = hosts.take(pa.array(indexes)).combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))
    for code, host in enumerate(encoded.dictionary.to_pylist()):
        start = ends[code - 1] if code else 0
        yield host, indexes[order[start : ends[code]]]


def _wanted(candidates: Sequence[str], images: Sequence[str]) -> tuple[pa.Table, int]:
    """The rows to fetch, by ordinal, each `url_key` once; and how many candidates there were."""
    names = ["ordinal", "url", "url_key", "supply", "supply_path", "supply_offset"]
    table = _read(candidates, CANDIDATES, names).combine_chunks()
    rows_in = table.num_rows
    table = table.take(pc.sort_indices(table["ordinal"]))
    codes = pc.dictionary_encode(table["url_key"].combine_chunks()).indices.to_numpy(zero_copy_only=False)
    first = np.unique(codes, return_index=True)[1] if rows_in else np.empty(0, dtype=np.int64)
    table = _supplied(table.take(pa.array(np.sort(first))), images)
    web = pc.equal(table["supply"], "web").to_pylist()
    hosts = [
        host_of(url) if is_web else "" for url, is_web in zip(table["url"].to_pylist(), web, strict=True)
    ]
    return table.append_column("host", pa.array(hosts, pa.string())).select(WANTED.names).cast(
        WANTED
    ), rows_in


def _supplied(table: pa.Table, images: Sequence[str]) -> pa.Table:
    """The table with the pictures of the index turned into `warc` supply; the first entry of a key counts."""
    if not images:
        return table
    index = _read(images, IMAGE_INDEX, IMAGE_INDEX.names).combine_chunks()
    place = pc.index_in(table["url_key"], value_set=index["url_key"])
    known = pc.and_(pc.is_valid(place), pc.equal(table["supply"], "web"))
    columns = {
        "supply": pa.scalar("warc"),
        "supply_path": index["path"].take(place),
        "supply_offset": index["offset"].take(place),
    }
    for name, value in columns.items():
        column = pc.if_else(known, value, table[name])
        table = table.set_column(table.schema.get_field_index(name), name, column)
    return table


def _read(paths: Sequence[str], schema: pa.Schema, columns: list[str]) -> pa.Table:
    chosen = pa.schema([schema.field(name) for name in columns])
    tables = []
    for path in paths:
        with os_errors(path):
            tables.append(pq.read_table(path, columns=columns).cast(chosen))
    return pa.concat_tables(tables) if tables else chosen.empty_table()
