"""Cuts the images of a generation into fetch lists: each URL once, about a minute of requests per
host in each, and all hosts of a site in the same lists."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.arrow import read_table, to_strings
from wenlan_data.errors import os_errors
from wenlan_data.fetch.receipts import FetchList, FetchListDetails
from wenlan_data.fetch.recorded_responses import RecordedResponses
from wenlan_data.index.published import PublishedIndex, url_hashes
from wenlan_data.layout import FETCH_RESULTS, IMAGE_WARC, PartRef, part_name
from wenlan_data.npy import Indices
from wenlan_data.part_files import checked
from wenlan_data.protocols import Receipt
from wenlan_data.records import MAX_FALLBACK_URLS
from wenlan_data.tables import CANDIDATES, FACTS, WANTED
from wenlan_data.web.domains import host_group
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.urls import host_of, url_key

MAX_ROWS = 2000
MAX_HOSTS = 200
FETCH_LIST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchListPart:
    """Writes fetch lists `slice-00000.parquet` and so on, see `tables.WANTED`.

    Its receipt's details: `fetch_lists`, a list of `{name, rows, chain, recorded}`. Fetch lists
    with the same `chain` (the name of one of its hosts) run one after the other; those with an
    empty chain run at any time. `recorded` is an index into the field of that name, -1 for a fetch
    list that none of these files holds.
    """

    candidates: tuple[str, ...]
    images: tuple[str, ...] = ()
    """Image-index files, see `tables.IMAGE_INDEX`: URLs whose response they list are not
    requested."""
    retry: bool = False
    """Recorded failures that are transient are requested again."""
    hosts: dict[str, HostLimits] = field(default_factory=dict)
    offline: bool = False
    """Nothing will be requested, so no host needs a fetch list of its own."""
    published: tuple[str, ...] = ()
    """Index folders of earlier generations: a URL whose image is published is not requested
    again."""
    earlier: tuple[str, ...] = ()
    """Folders of the fetch parts of earlier generations. A URL that gave no sample in one of them is
    not requested again: it gets into a fetch list with that part's place
    (`PublishedIndex.last_fetch_without_sample`) as `earlier`, and the fetch step reads the recorded
    result."""
    recorded: tuple[str, ...] = ()
    """`facts.parquet` of the old corpus (for `--from`), newest first. Each URL is taken once: from
    the first file that has its bytes, else from the first that has its failure. A file gets up to
    two fetch lists, one for either."""

    def __call__(self, out: Path) -> Receipt[FetchListDetails]:
        """Cuts. Deterministic: depends on the rows alone."""
        requests, rows_in = _requests(self.candidates, self.images, retry=self.retry)
        requests = _unpublished(requests, self.published)
        fetch_lists: list[FetchList] = []

        def write(table: pa.Table, chain: str, recorded: int, earlier: int | None) -> None:
            one = write_fetch_list(out, len(fetch_lists), table, chain)
            fetch_lists.append(replace(one, recorded=recorded, earlier=earlier))

        requests, known = _known_results(requests, self.published, self.earlier)
        for place, table in known:
            write(table, "", -1, place)
        for chain, recorded, indexes in self._cut(requests):
            write(requests.take(indexes), chain, recorded, None)
        return Receipt(
            rows_in=rows_in,
            rows_out=requests.num_rows + sum(table.num_rows for _, table in known),
            details=FetchListDetails(fetch_lists=tuple(fetch_lists)),
        )

    def _cut(self, requests: pa.Table) -> Iterator[tuple[str, int, Indices]]:
        left = np.ones(requests.num_rows, dtype=bool)
        # A file that holds the bytes of a URL goes before one that holds only its failure.
        for number, path, with_bytes in (
            (number, path, with_bytes)
            for with_bytes in (True, False)
            for number, path in enumerate(self.recorded)
        ):
            with os_errors(path):
                results = pq.read_table(
                    checked(path), columns=["url_key", "warc_offset"], schema=FACTS
                )
            if with_bytes:
                results = results.filter(pc.greater_equal(results["warc_offset"], 0))
            keys = results["url_key"]
            held = pc.is_in(requests["url_key"], value_set=keys).to_numpy(zero_copy_only=False)
            if (left & held).any():
                yield "", number, np.flatnonzero(left & held)
                left &= ~held
        stored = pc.not_equal(requests["supply"], pa.scalar("web")).to_numpy(zero_copy_only=False)
        if self.offline:
            stored = np.ones_like(left)
        # One WARC per fetch list, so that its images are read in one pass over the file.
        in_warc = pc.equal(requests["supply"], pa.scalar("warc")).to_numpy(zero_copy_only=False)
        parts = _split(np.flatnonzero(left & stored & ~in_warc), MAX_ROWS)
        for _, own in _by_value(requests["supply_path"], np.flatnonzero(left & stored & in_warc)):
            parts += _split(own, MAX_ROWS)
        for part in parts:
            yield "", -1, part
        for one in cut_by_host(requests["host"], np.flatnonzero(left & ~stored), self.hosts):
            yield one.chain, -1, one.rows


def write_fetch_list(
    out: Path, number: int, table: pa.Table, chain: str, own_hosts: tuple[str, ...] = ()
) -> FetchList:
    """Writes the rows of a fetch list into the folder `out`."""
    name = f"slice-{number:05d}.parquet"
    with os_errors(out / name):
        pq.write_table(table, out / name, compression="zstd")
    return FetchList(name=name, rows=table.num_rows, chain=chain, own_hosts=own_hosts)


@dataclass(frozen=True, slots=True, eq=False)
class HostCut:
    """Rows of one fetch list. Lists of one chain run one after the other; those with an empty chain
    run at any time."""

    chain: str
    rows: Indices
    own_hosts: tuple[str, ...]
    """Hosts, perhaps without a row, that belong to the list too."""


def cut_by_host(
    hosts: pa.ChunkedArray,
    indexes: Indices,
    limits_of: Mapping[str, HostLimits],
    beside: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[HostCut]:
    """Yields the fetch lists of the rows `indexes` of a table with the host column `hosts`.

    All hosts of a site (`host_group`) are in the same lists, and so are a host and those that
    `beside` names for it: tasks never share one of them.
    """
    codes = _encoded(hosts.take(indexes)) if len(indexes) else None
    names = _texts(codes.dictionary) if codes is not None else []
    unions = _Unions()
    for name in names:
        for other in beside.get(name, ()):
            unions.join(host_group(name), host_group(other))
    unit_of = {name: unions.find(host_group(name)) for name in names}
    units: dict[str, list[str]] = {}
    for name, unit in unit_of.items():
        units.setdefault(unit, []).append(name)
    column = pa.array([unit_of[name] for name in names], pa.string())
    own_units = column.take(codes.indices) if codes is not None else column
    parts = (
        HostCut(chain, indexes[rows], _own_hosts(units, own_units, rows, beside) if beside else ())
        for chain, rows in _cut_units(own_units, units, limits_of)
    )
    yield from parts


def _own_hosts(
    units: Mapping[str, list[str]],
    column: pa.Array,
    rows: Indices,
    beside: Mapping[str, Sequence[str]],
) -> tuple[str, ...]:
    """The hosts that `beside` names for the hosts of a list."""
    found = column.take(pa.array(rows)).unique().to_pylist()
    listed = (other for unit in found for name in units[unit] for other in beside.get(name, ()))
    return tuple(dict.fromkeys(listed))


def _cut_units(
    column: pa.Array, units: Mapping[str, list[str]], limits_of: Mapping[str, HostLimits]
) -> Iterator[tuple[str, Indices]]:
    """Chain and rows of each fetch list; `column` holds the unit of each row, `units` its hosts."""
    small: list[Indices] = []
    small_hosts = 0
    large: dict[int, list[tuple[str, Indices]]] = {}
    for unit, own in _by_value(pa.chunked_array([column]), np.arange(len(column))):
        names = units[unit]
        listed = [limits_of.get(name) or HostLimits() for name in names]
        # The most careful limits of its hosts: one of them may have one connection alone.
        rows = min(map(rows_per_fetch_list, listed))
        if len(own) > rows:
            if min(limits.max_connections for limits in listed) == 1:
                large.setdefault(rows, []).append((names[0], own))
            else:
                yield from (("", part) for part in _split(own, rows))
            continue
        full = small_hosts + len(names) > MAX_HOSTS
        if small and (full or sum(map(len, small)) + len(own) > MAX_ROWS):
            yield "", np.concatenate(small)
            small, small_hosts = [], 0
        small.append(own)
        small_hosts += len(names)
    if small:
        yield "", np.concatenate(small)
    for rows, bundled in large.items():
        yield from _bundles(bundled, rows)


def _bundles(hosts: list[tuple[str, Indices]], rows: int) -> Iterator[tuple[str, Indices]]:
    """Puts hosts of about equal size into one chain, named by the first of them.

    A part that waits out the gaps of one host alone would keep a worker for a minute to fetch 60
    images.
    """
    hosts = sorted(hosts, key=lambda one: -len(one[1]))
    width = max(1, min(MAX_HOSTS, MAX_ROWS // rows))
    for start in range(0, len(hosts), width):
        bundle = hosts[start : start + width]
        for start_row in range(0, len(bundle[0][1]), rows):
            yield (
                bundle[0][0],
                np.concatenate([own[start_row : start_row + rows] for _, own in bundle]),
            )


class _Unions:
    """Sets of names, joined in pairs."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def find(self, name: str) -> str:
        """Returns the name that stands for the set of `name`."""
        while (above := self._above.get(name, name)) != name:
            # Halves the path for the next look-up.
            self._above[name] = self._above.get(above, above)
            name = above
        return name

    def join(self, one: str, other: str) -> None:
        """Makes one set of two."""
        self._above[self.find(other)] = self.find(one)


def rows_per_fetch_list(limits: HostLimits) -> int:
    """Rows of one host that take about a minute at its gap."""
    if limits.min_gap_s == 0:
        return MAX_ROWS
    return max(1, min(MAX_ROWS, int(FETCH_LIST_S / limits.min_gap_s)))


def _split(indexes: Indices, rows: int) -> list[Indices]:
    return [indexes[start : start + rows] for start in range(0, len(indexes), rows)]


def _by_value(column: pa.ChunkedArray, indexes: Indices) -> Iterator[tuple[str, Indices]]:
    """Yields the values of `column` in the order of their first row, each with its rows in
    order."""
    if not len(indexes):
        return
    encoded = _encoded(column.take(indexes))
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(encoded.dictionary)))
    for code, value in enumerate(_texts(encoded.dictionary)):
        start = ends[code - 1] if code else 0
        yield value, indexes[order[start : ends[code]]]


def _requests(
    candidates: Sequence[str], images: Sequence[str], *, retry: bool
) -> tuple[pa.Table, int]:
    """The rows to fetch, by ordinal, each `url_key` once; and the number of candidates."""
    names = ["ordinal", "url", "url_key", "supply", "supply_path", "supply_offset", "fallback_urls"]
    table = _read(candidates, CANDIDATES, names).combine_chunks()
    rows_in = table.num_rows
    table = table.take(pc.sort_indices(table["ordinal"]))
    codes = _encoded(table["url_key"]).indices.to_numpy(zero_copy_only=False)
    first = np.unique(codes, return_index=True)[1] if rows_in else np.empty(0, dtype=np.int64)
    first = np.sort(first)
    listed = _fallback_urls(table["fallback_urls"], codes)
    copies = [listed.get(code, []) for code in codes[first].tolist()]
    table, recorded = _with_origins(
        table.take(first).drop_columns(["fallback_urls"]), copies, images, retry=retry
    )
    web = pc.equal(table["supply"], pa.scalar("web")).to_pylist()
    hosts = [
        host_of(url) if is_web else ""
        for url, is_web in zip(_texts(table["url"]), web, strict=True)
    ]
    fallback_urls = [
        _on_host(urls, key, host) if host else [used] if used else []
        for urls, key, host, used in zip(
            copies, _texts(table["url_key"]), hosts, recorded, strict=True
        )
    ]
    columns = {"host": hosts, "fallback_urls": fallback_urls}
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values, WANTED.field(name).type))
    return table.select(WANTED.names).cast(WANTED), rows_in


def _fallback_urls(column: pa.ChunkedArray, codes: Indices) -> dict[int, list[str]]:
    """The fallback URLs of all candidates of each URL that has any, by its code, in source
    order."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(lengths)
    listed: dict[int, list[str]] = {}
    # Most rows have none: only the others become Python objects.
    for code, urls in zip(codes[rows].tolist(), column.take(rows).to_pylist(), strict=True):
        listed.setdefault(code, []).extend(urls)
    return listed


def _on_host(urls: Sequence[str], key: str, host: str) -> list[str]:
    """The first fallback URLs on the host of the URL itself, without that URL.

    Another host has fetch lists of its own, which another worker may be fetching: requests from
    here would double the rate that it sees.
    """
    chosen: dict[str, str] = {}
    for url in urls:
        if host_of(url) == host and (own := url_key(url)) != key:
            chosen.setdefault(own, url)
    return list(chosen.values())[:MAX_FALLBACK_URLS]


def _unpublished(requests: pa.Table, published: tuple[str, ...]) -> pa.Table:
    if not published or not requests.num_rows:
        return requests
    keys = PublishedIndex(published).key_of_urls(_texts(requests["url_key"]))
    return requests.filter(pa.array([not key for key in keys]))


def _known_results(
    requests: pa.Table, published: tuple[str, ...], earlier: tuple[str, ...]
) -> tuple[pa.Table, list[tuple[int, pa.Table]]]:
    """The rows to request, and those that were requested before without giving a sample, by the
    fetch part that holds the result."""
    if not earlier or not requests.num_rows:
        return requests, []
    places = PublishedIndex(published).last_fetch_without_sample(
        url_hashes(_texts(requests["url_key"]))
    )
    # Reading local files and WARC records again costs no request, and they may have changed.
    places[pc.not_equal(requests["supply"], pa.scalar("web")).to_numpy(zero_copy_only=False)] = -1
    known = []
    for place in np.unique(places[places >= 0]).tolist():
        part = PartRef.unpack(place)
        folder = Path(earlier[part.generation]) / part_name(part.part)
        rows = np.flatnonzero(places == place)
        if not (folder / IMAGE_WARC).exists():
            # `gc --warcs` removed the bytes: an image that was good must be requested again.
            lost = read_table(folder / FETCH_RESULTS, ["url_key", "warc_offset"])
            lost = lost.filter(pc.greater_equal(lost["warc_offset"], 0))
            is_lost = pc.is_in(requests["url_key"].take(rows), value_set=lost["url_key"]).to_numpy(
                zero_copy_only=False
            )
            places[rows[is_lost]] = -1
            rows = rows[~is_lost]
        if len(rows):
            known.append((place, requests.take(rows)))
    return requests.filter(pa.array(places < 0)), known


def _with_origins(
    table: pa.Table, copies: Sequence[Sequence[str]], images: Sequence[str], *, retry: bool
) -> tuple[pa.Table, list[str]]:
    """The table with origin `warc` for URLs of the index, and for each row the fallback URL whose
    record is used; `copies` are the fallback URLs of each row.

    If the index holds an image of the URL or of one of its copies, the first of them is used: no
    copy is requested while another one is at hand. Else a record of the URL itself is used, which
    tells why there is no image.
    """
    rows = table.num_rows
    places = [("", -1, "")] * rows
    used = [""] * rows
    if images:
        web = pc.equal(table["supply"], pa.scalar("web")).to_pylist()
        keys = _texts(table["url_key"])
        copy_keys = [
            [url_key(url) for url in urls] if is_web else []
            for urls, is_web in zip(copies, web, strict=True)
        ]
        wanted = (key for own, key, is_web in zip(copy_keys, keys, web, strict=True) if is_web
                  for key in (key, *own))  # fmt: skip
        held = RecordedResponses(images, wanted, retry=retry)
        for row in range(rows):
            if not web[row]:
                continue
            own = held.get(keys[row])
            found = own
            if own is None or not own.is_image:
                for url, key in zip(copies[row], copy_keys[row], strict=True):
                    copy = held.get(key)
                    if copy and copy.is_image:
                        found, used[row] = copy, url
                        break
            if found:
                places[row] = (found.path, found.offset, found.sha256)
    is_held = pa.array([bool(path) for path, _, _ in places], pa.bool_())
    columns = {
        "supply": pa.scalar("warc"),
        "supply_path": pa.array([path for path, _, _ in places], pa.string()),
        "supply_offset": pa.array([offset for _, offset, _ in places], pa.int64()),
    }
    for name, value in columns.items():
        column = pc.if_else(is_held, value, table[name])
        table = table.set_column(table.schema.get_field_index(name), name, column)
    digests = pa.array([sha256 for _, _, sha256 in places], pa.string())
    return table.append_column("supply_sha256", digests), used


def _read(paths: Sequence[str], schema: pa.Schema, columns: list[str]) -> pa.Table:
    chosen = pa.schema([schema.field(name) for name in columns])
    tables = []
    for path in paths:
        with os_errors(path):
            tables.append(pq.read_table(checked(path), columns=columns).cast(chosen))
    return pa.concat_tables(tables) if tables else chosen.empty_table()


def _encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    return column.combine_chunks().dictionary_encode()


def _texts(column: pa.ChunkedArray | pa.Array) -> list[str]:
    return to_strings(column)
