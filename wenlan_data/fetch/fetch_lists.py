"""Cuts the pictures of a generation into slices: each URL once, about a minute of a host's patience in each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.errors import os_errors
from wenlan_data.fetch.receipts import FetchList, FetchListDetails
from wenlan_data.index.published import PublishedIndex, url_hashes
from wenlan_data.protocols import Receipt
from wenlan_data.tables import CANDIDATES, FACTS, IMAGE_INDEX, WANTED
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.urls import host_of

MAX_ROWS = 2000
MAX_HOSTS = 200
SLICE_S = 60.0

Indexes = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicePart:
    """Writes `slice-00000.parquet` and so on, see `tables.WANTED`.

    Its receipt's details: `slices`, a list of `{name, rows, chain, recorded}`. Slices with the same `chain` (by the
    name of one of its hosts) run one after the other; those whose chain is empty run at any time. `recorded` counts
    into the field of that name, -1 for a slice that lies in none of them.
    """

    candidates: tuple[str, ...]
    images: tuple[str, ...] = ()
    """Image-index files, see `tables.IMAGE_INDEX`: their pictures are not asked for."""
    hosts: dict[str, HostLimits] = field(default_factory=dict)
    offline: bool = False
    """Nothing will be asked, so no host needs a slice of its own."""
    published: tuple[str, ...] = ()
    """Index folders of earlier generations: a URL whose picture is published is not asked for again."""
    earlier: tuple[str, ...] = ()
    """Folders of the fetch parts of earlier generations: what one was told for a URL in vain is not asked for again,
    it gets a slice with the part's place (`PublishedIndex.last_failed_fetch`) as `earlier`."""
    recorded: tuple[str, ...] = ()
    """Old `facts.parquet` files (for `--from`): what one of them holds gets one slice, in their order."""

    def __call__(self, out: Path) -> Receipt[FetchListDetails]:
        """Cut. Deterministic: depends on the rows alone."""
        wanted, rows_in = _wanted(self.candidates, self.images)
        repeats = rows_in - wanted.num_rows
        wanted, published = _unpublished(wanted, self.published)
        slices: list[dict[str, object]] = []
        wanted, told = _told(wanted, self.published, self.earlier)
        for place, table in told:
            name = f"slice-{len(slices):05d}.parquet"
            with os_errors(out / name):
                pq.write_table(table, out / name, compression="zstd")
            slices.append(
                {
                    "name": name,
                    "rows": table.num_rows,
                    "chain": "",
                    "recorded": -1,
                    "earlier": place,
                }
            )
        for chain, recorded, indexes in self._cut(wanted):
            name = f"slice-{len(slices):05d}.parquet"
            with os_errors(out / name):
                pq.write_table(wanted.take(indexes), out / name, compression="zstd")
            slices.append(
                {"name": name, "rows": len(indexes), "chain": chain, "recorded": recorded}
            )
        return Receipt(
            rows_in=rows_in,
            rows_out=wanted.num_rows + sum(table.num_rows for _, table in told),
            details=FetchListDetails(
                slices=tuple(FetchList(**one) for one in slices),  # type: ignore[arg-type]
                repeated_urls=repeats,
                published_urls=published,
            ),
        )

    def _cut(self, wanted: pa.Table) -> Iterator[tuple[str, int, Indexes]]:
        left = np.ones(wanted.num_rows, dtype=bool)
        # What holds the bytes comes before what only holds a failure.
        for number, path, with_bytes in (
            (number, path, with_bytes)
            for with_bytes in (True, False)
            for number, path in enumerate(self.recorded)
        ):
            with os_errors(path):
                facts = pq.read_table(path, columns=["url_key", "warc_offset"], schema=FACTS)
            if with_bytes:
                facts = facts.filter(pc.greater_equal(facts["warc_offset"], 0))
            keys = facts["url_key"]
            inside = pc.is_in(wanted["url_key"], value_set=keys).to_numpy(zero_copy_only=False)
            if (left & inside).any():
                yield "", number, np.flatnonzero(left & inside)
                left &= ~inside
        stored = pc.not_equal(wanted["supply"], pa.scalar("web")).to_numpy(zero_copy_only=False)
        if self.offline:
            stored = np.ones_like(left)
        # One WARC a slice, so that its pictures are read in one pass over the file.
        in_warc = pc.equal(wanted["supply"], pa.scalar("warc")).to_numpy(zero_copy_only=False)
        pieces = _pieces(np.flatnonzero(left & stored & ~in_warc), MAX_ROWS)
        for _, own in _by_value(wanted["supply_path"], np.flatnonzero(left & stored & in_warc)):
            pieces += _pieces(own, MAX_ROWS)
        for piece in pieces:
            yield "", -1, piece
        for chain, piece in cut_by_host(wanted["host"], np.flatnonzero(left & ~stored), self.hosts):
            yield chain, -1, piece


def cut_by_host(
    hosts: pa.ChunkedArray, indexes: Indexes, limits_of: Mapping[str, HostLimits]
) -> Iterator[tuple[str, Indexes]]:
    """Chain and rows of each slice of the rows `indexes`, whose hosts stand in `hosts`.

    Slices of one chain run in turn; those whose chain is empty run at any time.
    """
    small: list[Indexes] = []
    large: dict[int, list[tuple[str, Indexes]]] = {}
    for host, own in _by_value(hosts, indexes):
        limits = limits_of.get(host) or HostLimits()
        rows = rows_a_slice(limits)
        if len(own) > rows:
            if limits.max_connections == 1:
                large.setdefault(rows, []).append((host, own))
            else:
                yield from (("", piece) for piece in _pieces(own, rows))
            continue
        if small and (len(small) == MAX_HOSTS or sum(map(len, small)) + len(own) > MAX_ROWS):
            yield "", np.concatenate(small)
            small = []
        small.append(own)
    if small:
        yield "", np.concatenate(small)
    for rows, listed in large.items():
        yield from _bundles(listed, rows)


def _bundles(hosts: list[tuple[str, Indexes]], rows: int) -> Iterator[tuple[str, Indexes]]:
    """Hosts of about equal size share a chain, named by its first: a task that waits out the gaps of one host alone
    would keep a worker for a minute to fetch 60 pictures."""
    hosts = sorted(hosts, key=lambda one: -len(one[1]))
    width = max(1, min(MAX_HOSTS, MAX_ROWS // rows))
    for start in range(0, len(hosts), width):
        bundle = hosts[start : start + width]
        for start_row in range(0, len(bundle[0][1]), rows):
            yield (
                bundle[0][0],
                np.concatenate([own[start_row : start_row + rows] for _, own in bundle]),
            )


def rows_a_slice(limits: HostLimits) -> int:
    """How many rows of a host fill about a minute."""
    if limits.min_gap_s == 0:
        return MAX_ROWS
    return max(1, min(MAX_ROWS, int(SLICE_S / limits.min_gap_s)))


def _pieces(indexes: Indexes, rows: int) -> list[Indexes]:
    return [indexes[start : start + rows] for start in range(0, len(indexes), rows)]


def _by_value(column: pa.ChunkedArray, indexes: Indexes) -> Iterator[tuple[str, Indexes]]:
    """Values in the order of their first row, each with its rows in order."""
    if not len(indexes):
        return
    encoded = _encoded(column.take(indexes))
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))
    for code, value in enumerate(_texts(encoded.dictionary)):
        start = ends[code - 1] if code else 0
        yield value, indexes[order[start : ends[code]]]


def _wanted(candidates: Sequence[str], images: Sequence[str]) -> tuple[pa.Table, int]:
    """The rows to fetch, by ordinal, each `url_key` once; and how many candidates there were."""
    names = ["ordinal", "url", "url_key", "supply", "supply_path", "supply_offset"]
    table = _read(candidates, CANDIDATES, names).combine_chunks()
    rows_in = table.num_rows
    table = table.take(pc.sort_indices(table["ordinal"]))
    codes = _encoded(table["url_key"]).indices.to_numpy(zero_copy_only=False)
    first = np.unique(codes, return_index=True)[1] if rows_in else np.empty(0, dtype=np.int64)
    table = _supplied(table.take(np.sort(first)), images)
    web = pc.equal(table["supply"], pa.scalar("web")).to_pylist()
    hosts = [
        host_of(url) if is_web else ""
        for url, is_web in zip(_texts(table["url"]), web, strict=True)
    ]
    return table.append_column("host", pa.array(hosts, pa.string())).select(WANTED.names).cast(
        WANTED
    ), rows_in


def _unpublished(wanted: pa.Table, published: tuple[str, ...]) -> tuple[pa.Table, int]:
    if not published or not wanted.num_rows:
        return wanted, 0
    keys = PublishedIndex(published).key_of_urls(_texts(wanted["url_key"]))
    left = wanted.filter(pa.array([not key for key in keys]))
    return left, wanted.num_rows - left.num_rows


def _told(
    wanted: pa.Table, published: tuple[str, ...], earlier: tuple[str, ...]
) -> tuple[pa.Table, list[tuple[int, pa.Table]]]:
    """The rows to ask for, and those that were asked for before, by the fetch part that knows the answer."""
    if not earlier or not wanted.num_rows:
        return wanted, []
    places = PublishedIndex(published).last_failed_fetch(url_hashes(_texts(wanted["url_key"])))
    # Files and WARC records that are at hand cost nobody anything: they may have changed.
    places[pc.not_equal(wanted["supply"], pa.scalar("web")).to_numpy(zero_copy_only=False)] = -1
    told = []
    for place in np.unique(places[places >= 0]).tolist():
        folder = Path(earlier[place >> 32]) / f"{place & 0xFFFFFFFF:05d}"
        rows = np.flatnonzero(places == place)
        if not (folder / "images.warc").exists():
            # `gc --warcs` took the bytes: a picture that was good must be asked for again.
            lost = pq.read_table(folder / "facts.parquet", columns=["url_key", "warc_offset"])
            lost = lost.filter(pc.greater_equal(lost["warc_offset"], 0))
            gone = pc.is_in(wanted["url_key"].take(rows), value_set=lost["url_key"]).to_numpy(
                zero_copy_only=False
            )
            places[rows[gone]] = -1
            rows = rows[~gone]
        if len(rows):
            told.append((place, wanted.take(rows)))
    return wanted.filter(pa.array(places < 0)), told


def _supplied(table: pa.Table, images: Sequence[str]) -> pa.Table:
    """The table with the pictures of the index turned into `warc` supply; the first entry of a key counts."""
    if not images:
        return table
    index = _read(images, IMAGE_INDEX, IMAGE_INDEX.names).combine_chunks()
    place = pc.index_in(table["url_key"], value_set=index["url_key"])
    known = pc.and_(pc.is_valid(place), pc.equal(table["supply"], pa.scalar("web")))
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


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return column.combine_chunks().dictionary_encode()


def _texts(column: pa.ChunkedArray | pa.Array) -> list[str]:
    return cast("list[str]", column.to_pylist())
