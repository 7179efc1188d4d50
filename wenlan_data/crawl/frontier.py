"""Which pages come next: what the last round linked, each page once, a bounded piece of each host, cut into slices."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.crawl.slices import cut_by_host, rows_a_slice
from wenlan_data.errors import os_errors
from wenlan_data.extract.known import Known, candidate_id, ids_array, save_ids
from wenlan_data.protocols import Receipt
from wenlan_data.sources import HostLimits
from wenlan_data.tables import FRONTIER, PAGES

MAX_SLICES_A_ROUND = 10
"""Of one host: a round lasts ten minutes or so, then what it found goes on into the corpus."""

Row = tuple[str, str, str, int, int]
"""URL, key, host, depth, redirects: a row of `tables.FRONTIER`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlLimits:
    """How far a crawl goes; another number goes on with the same crawl."""

    max_pages: int | None = None
    """Pages recorded; None: no limit."""
    max_depth: int = 20
    max_pages_a_host: int = 10_000
    """Asked of a host that no seed names: `*.example.org` may be a trap of endless hosts."""
    own_hosts: tuple[str, ...] = ()
    """Hosts of the seeds, for which that does not count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPart:
    """Cuts one round. Writes `slice-00000.parquet` and so on (`tables.FRONTIER`), beside each `states-00000.json` (what
    is known of its hosts) and `recorded-00000.json` (which of its pages lie in another crawl's WARC, and where),
    `waiting.parquet` (what a later round may ask), `asked.npy`, `asked.json` (URLs a host) and `states.json`.

    Its receipt's details: `slices`, a list of `{name, states, recorded, rows, chain}` as in the slice step.
    """

    seeds: tuple[Row, ...] = ()
    """Of the first round."""
    before: str = ""
    """Folder of the last round's frontier; empty for the first round."""
    crawled: tuple[str, ...] = ()
    """Folders of the last round's crawl parts, in order."""
    asked: tuple[str, ...] = ()
    """`asked.npy` of every round before."""
    recorded: int = 0
    """Pages recorded so far."""
    elsewhere: tuple[str, ...] = ()
    """`pages.parquet` files of other crawls of the corpus: what lies beside them is not asked for again."""
    retry: tuple[str, ...] = ()
    """`pages.parquet` files of all rounds, in order: what failed last in a way that may pass is asked again."""
    limits: CrawlLimits = field(default_factory=CrawlLimits)
    hosts: dict[str, HostLimits] = field(default_factory=dict)

    def __call__(self, out: Path) -> Receipt:
        """Cut. A function of the files and the limits alone."""
        with os_errors(out):
            again = _to_retry(self.retry)
            rows = [*again, *_each_once(self._found(), Known(self.asked), {row[1] for row in again})]
            counts = self._counts()
            chosen, waiting = _chosen(rows, self.limits, self.hosts, counts, self.recorded)
            counts.update(row[2] for row in chosen)
            states = _states(self.before, self.crawled, patient=not self.retry)
            recorded = _recorded(self.elsewhere, [row[1] for row in chosen])
            slices = _write_slices(out, chosen, self.hosts, states, recorded)
            pq.write_table(_table(waiting), out / "waiting.parquet", compression="zstd")
            save_ids(out / "asked.npy", ids_array(candidate_id(row[1], ()) for row in chosen))
            (out / "asked.json").write_text(json.dumps(counts), "utf-8")
            (out / "states.json").write_text(json.dumps(states), "utf-8")
        return Receipt(rows_in=len(rows), rows_out=len(chosen), details={"slices": slices, "waiting": len(waiting)})

    def _found(self) -> Iterator[Row]:
        yield from self.seeds
        if self.before:
            yield from _read(Path(self.before) / "waiting.parquet")
        for folder in self.crawled:
            yield from _read(Path(folder) / "links.parquet")

    def _counts(self) -> Counter[str]:
        return Counter(json.loads((Path(self.before) / "asked.json").read_text("utf-8")) if self.before else {})


def _each_once(rows: Iterable[Row], asked: Known, taken: set[str]) -> list[Row]:
    """Of each page not asked yet the first of its nearest rows, by depth."""
    best: dict[str, Row] = {}
    for row in rows:
        known = best.get(row[1])
        if row[1] not in taken and (known is None or row[3] < known[3]):
            best[row[1]] = row
    found = sorted(best.values(), key=lambda row: row[3])
    if not found:
        return []
    ids = ids_array(candidate_id(row[1], ()) for row in found)
    return [row for row, known in zip(found, asked.contains(ids).tolist(), strict=True) if not known]


def _chosen(
    rows: Sequence[Row], limits: CrawlLimits, hosts: Mapping[str, HostLimits], asked: Counter[str], recorded: int
) -> tuple[list[Row], list[Row]]:
    """What this round asks, and what waits: too deep, too much of a host, or beyond the limit of pages."""
    left = len(rows) if limits.max_pages is None else max(0, limits.max_pages - recorded)
    round_of: Counter[str] = Counter()
    chosen: list[Row] = []
    waiting: list[Row] = []
    for row in rows:
        host = row[2]
        most = MAX_SLICES_A_ROUND * rows_a_slice(hosts.get(host) or HostLimits())
        if host not in limits.own_hosts:
            most = min(most, limits.max_pages_a_host - asked[host])
        if len(chosen) < left and row[3] <= limits.max_depth and round_of[host] < most:
            round_of[host] += 1
            chosen.append(row)
        else:
            waiting.append(row)
    return chosen, waiting


def _write_slices(
    out: Path,
    rows: Sequence[Row],
    hosts: Mapping[str, HostLimits],
    states: Mapping[str, object],
    recorded: Mapping[str, object],
) -> list[dict[str, object]]:
    table = _table(rows)
    slices: list[dict[str, object]] = []
    for chain, indexes in cut_by_host(table["host"], np.arange(len(rows)), hosts):
        number = len(slices)
        piece = table.take(pa.array(indexes))
        pq.write_table(piece, out / f"slice-{number:05d}.parquet", compression="zstd")
        known = {host: states[host] for host in piece["host"].unique().to_pylist() if host in states}
        at_hand = {key: recorded[key] for key in piece["url_key"].to_pylist() if key in recorded}
        names = {kind: f"{kind}-{number:05d}.json" for kind in ("states", "recorded")}
        (out / names["states"]).write_text(json.dumps(known), "utf-8")
        (out / names["recorded"]).write_text(json.dumps(at_hand), "utf-8")
        slices.append({"name": f"slice-{number:05d}.parquet", **names, "rows": len(indexes), "chain": chain})
    return slices


def _states(before: str, crawled: Sequence[str], *, patient: bool) -> dict[str, object]:
    """What is known of every host asked so far; without what made us give up on one where it is to be tried again."""
    states: dict[str, object] = {}
    if before:
        states |= json.loads((Path(before) / "states.json").read_text("utf-8"))
    for folder in crawled:
        states |= json.loads((Path(folder) / "hosts.json").read_text("utf-8"))
    if patient:
        return states
    kept = ("robots", "robots_at_s", "next_at_s", "at_s", "gap_s")
    found = cast("dict[str, dict[str, object]]", states)
    return {host: {name: one[name] for name in kept if name in one} for host, one in found.items()}


def _recorded(paths: Sequence[str], keys: Sequence[str]) -> dict[str, tuple[str, int]]:
    """WARC and offset of each of these pages that another crawl has recorded."""
    found: dict[str, tuple[str, int]] = {}
    wanted = pa.array(keys, pa.string())
    for path in paths:
        warc = Path(path).with_name("pages.warc")
        if not warc.is_file():
            continue
        rows = pq.read_table(path, columns=["url_key", "reason", "warc_offset"], schema=PAGES)
        rows = rows.filter(pc.is_in(rows["url_key"], value_set=wanted))
        for row in rows.to_pylist():
            if not row["reason"]:
                found.setdefault(row["url_key"], (str(warc), row["warc_offset"]))
    return found


def _to_retry(paths: Sequence[str]) -> list[Row]:
    """Pages whose last outcome may pass."""
    last: dict[str, tuple[bool, Row]] = {}
    for path in paths:
        columns = ["url", "url_key", "host", "depth", "retryable"]
        for row in pq.read_table(path, columns=columns, schema=PAGES).to_pylist():
            last[row["url_key"]] = (row["retryable"], (row["url"], row["url_key"], row["host"], row["depth"], 0))
    return [row for retryable, row in last.values() if retryable]


def read_frontier(path: Path | str) -> list[Row]:
    """The rows of a slice, in order."""
    with os_errors(path):
        return list(_read(Path(path)))


def write_frontier(path: Path, rows: Sequence[Row]) -> None:
    """Write rows by the schema `FRONTIER`."""
    with os_errors(path):
        pq.write_table(_table(rows), path, compression="zstd")


def _read(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _table(rows: Sequence[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(FRONTIER)
    return pa.table([pa.array(one, kind.type) for one, kind in zip(columns, FRONTIER, strict=True)], schema=FRONTIER)
