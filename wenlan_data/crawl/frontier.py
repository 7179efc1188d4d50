"""The frontier of a crawl: which pages the next round requests, cut into fetch lists."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.arrow import table_of_rows
from wenlan_data.crawl.budget import Budget, CrawlLimits, RequestCounts
from wenlan_data.crawl.queue import (
    WAITING,
    WAITING_IDS,
    FrontierBatch,
    ids_of,
    merged,
    read_batches,
)
from wenlan_data.crawl.receipts import FrontierDetails, FrontierList
from wenlan_data.errors import os_errors
from wenlan_data.fetch.fetch_lists import cut_by_host
from wenlan_data.layout import (
    HOST_STATES,
    PAGE_LINKS,
    PAGE_TABLE,
    PAGE_WARC,
    REQUESTED_URLS,
    WorkFolder,
)
from wenlan_data.npy import FixedBytes
from wenlan_data.part_files import checked, load_part_state
from wenlan_data.protocols import Receipt
from wenlan_data.records import Drop
from wenlan_data.seen_ids import SeenIds, save_ids
from wenlan_data.tables import FRONTIER, PAGES
from wenlan_data.web.address_policy import REFUSALS
from wenlan_data.web.domains import registrable_domain
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.polite_client import ROBOTS_ELSEWHERE

REQUEST_COUNTS = "requested.json"

FrontierRow = tuple[str, str, str, int, int]
"""URL, key, host, depth, redirects: a row of `tables.FRONTIER`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPart:
    """Cuts one round.

    Writes fetch lists `slice-00000.parquet` and so on (`tables.FRONTIER`), beside each
    `states-00000.json` (the states of its hosts) and `recorded-00000.json` (which of its pages lie
    in another crawl's WARC, and where); `waiting.parquet` and `waiting.npy` (rows left for later
    rounds and their ids), `requested.npy` (ids of the requested pages), `requested.json` (their
    numbers by host, domain and shape) and `states.json` (the states of all hosts).

    Its receipt's details: `fetch_lists`, a list of `{name, states, recorded, rows, chain}` as in
    `FetchListPart`; `waiting`, the number of rows left for later; `waits_for` (reason to the number
    of pages that this round left); `again`, the number of pages that failed before.
    """

    seeds: tuple[FrontierRow, ...] = ()
    """Of the first round."""
    before: str = ""
    """Folder of the last round's frontier; empty for the first round."""
    crawled: tuple[str, ...] = ()
    """Folders of the last round's crawl parts, in order."""
    requested: tuple[str, ...] = ()
    """`requested.npy` of every earlier round."""
    recorded: int = 0
    """Pages recorded so far."""
    elsewhere: tuple[str, ...] = ()
    """`pages.parquet` files of other crawls of the corpus: pages that they recorded are copied, not
    requested."""
    retry: tuple[str, ...] = ()
    """`pages.parquet` files of all rounds, in order: pages whose last failure is transient are
    requested again."""
    opened: tuple[str, ...] = ()
    """Hosts under `network.allow`: their pages that the address policy blocked are requested again
    too."""
    limits: CrawlLimits = field(default_factory=CrawlLimits)
    hosts: dict[str, HostLimits] = field(default_factory=dict)
    work: str = ""
    """Path of the work folder."""

    def __call__(self, out: Path) -> Receipt[FrontierDetails]:
        """Cuts. Deterministic: depends on the files and the limits alone."""
        with os_errors(out):
            states = _states(self.before, self.crawled, patient=not self.retry)
            budget = Budget(
                self.limits,
                self.hosts,
                self.recorded,
                self._request_counts(),
                _listings(states),
            )
            chosen, requested, waiting, rows_in = self._choose(out, budget)
            recorded = _recorded(self.elsewhere, chosen["url_key"], self.work)
            fetch_lists = _write_fetch_lists(out, chosen, self.hosts, states, recorded)
            save_ids(out / REQUESTED_URLS, requested)
            budget.counts.save(out / REQUEST_COUNTS, self.limits.max_pages_a_shape)
            (out / "states.json").write_text(json.dumps(states), "utf-8")
        details = FrontierDetails(
            fetch_lists=fetch_lists,
            waiting=waiting,
            waits_for={reason: count for reason, count in sorted(budget.refused.items()) if count},
            again=sum(retryable for retryable, _ in _to_retry(self.retry, self.opened)),
        )
        return Receipt(rows_in=rows_in, rows_out=chosen.num_rows, details=details)

    def _choose(self, out: Path, budget: Budget) -> tuple[pa.Table, FixedBytes, int, int]:
        """The rows of this round, their ids, the number of waiting rows, and the number of all
        rows."""
        chosen = [FRONTIER.empty_table()]
        requested, waiting = [np.empty(0, "S16")], [np.empty(0, "S16")]
        rows_in = 0
        with pq.ParquetWriter(out / WAITING, FRONTIER, compression="zstd") as writer:
            for batch in self._batches():
                rows_in += batch.rows.num_rows
                mask = budget.choose(batch.rows)
                chosen.append(batch.rows.filter(pa.array(mask)))
                requested.append(batch.ids[mask])
                if not mask.all():
                    writer.write_table(batch.rows.filter(pa.array(~mask)))
                    waiting.append(batch.ids[~mask])
        ids = np.concatenate(waiting)
        np.save(out / WAITING_IDS, ids, allow_pickle=False)
        return (
            pa.concat_tables(chosen).combine_chunks(),
            np.concatenate(requested),
            len(ids),
            rows_in,
        )

    def _batches(self) -> Iterator[FrontierBatch]:
        retried = [row for _, row in _to_retry(self.retry, self.opened)]
        again = table_of_rows([*_with_robots_elsewhere(self.crawled), *retried], FRONTIER)
        for depth in np.unique(again["depth"].to_numpy()).tolist():
            rows = again.filter(pc.equal(again["depth"], depth))
            yield FrontierBatch(rows, ids_of(rows))
        seeds = table_of_rows(self.seeds, FRONTIER)
        links = (partial(read_batches, Path(folder) / PAGE_LINKS) for folder in self.crawled)
        yield from merged(self.before, [lambda: iter((seeds,)), *links], SeenIds(self.requested))

    def _request_counts(self) -> RequestCounts:
        return (
            RequestCounts.load(Path(self.before) / REQUEST_COUNTS)
            if self.before
            else RequestCounts()
        )


def _write_fetch_lists(
    out: Path,
    table: pa.Table,
    hosts: Mapping[str, HostLimits],
    states: Mapping[str, Mapping[str, Any]],
    recorded: Mapping[str, object],
) -> tuple[FrontierList, ...]:
    fetch_lists: list[FrontierList] = []
    beside = {host: one["robots_at"] for host, one in states.items() if one.get("robots_at")}
    for cut in cut_by_host(table["host"], np.arange(table.num_rows), hosts, beside):
        indexes = cut.rows
        number = f"{len(fetch_lists):05d}"
        rows = table.take(pa.array(indexes))
        listed = (*rows["host"].unique().to_pylist(), *cut.own_hosts)
        known = {host: states[host] for host in listed if host in states}
        recorded_here = {
            key: recorded[key] for key in rows["url_key"].to_pylist() if key in recorded
        }
        fetch_list = FrontierList(
            name=f"slice-{number}.parquet",
            states=f"states-{number}.json",
            recorded=f"recorded-{number}.json",
            rows=len(indexes),
            chain=cut.chain,
            own_hosts=cut.own_hosts,
        )
        pq.write_table(rows, out / fetch_list.name, compression="zstd")
        (out / fetch_list.states).write_text(json.dumps(known), "utf-8")
        (out / fetch_list.recorded).write_text(json.dumps(recorded_here), "utf-8")
        fetch_lists.append(fetch_list)
    return tuple(fetch_lists)


def load_host_states(path: Path) -> dict[str, dict[str, Any]]:
    """Returns host to its state, from a file of a frontier or crawl part. Raises `DamageError` for
    a file that is missing or has changed."""
    return load_part_state(path, dict[str, dict[str, Any]])


def _states(before: str, crawled: Sequence[str], *, patient: bool) -> dict[str, dict[str, Any]]:
    """State of every host contacted so far.

    Unless `patient`, failures are cleared: abandoned hosts are retried.
    """
    states: dict[str, dict[str, Any]] = {}
    if before:
        states |= load_host_states(Path(before) / "states.json")
    for folder in crawled:
        states |= load_host_states(Path(folder) / HOST_STATES)
    if patient:
        return states
    # Rules and gaps stay: a host that is retried is treated as politely as before.
    kept = (
        "robots", "robots_at", "robots_at_s", "reserved", "next_at_s", "at_s", "gap_s", "listings",
        "named_sitemaps",
    )  # fmt: skip
    return {host: {name: one[name] for name in kept if name in one} for host, one in states.items()}


def _listings(states: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    """Sitemaps and feeds read so far, by registrable domain."""
    found: Counter[str] = Counter()
    for host, state in states.items():
        if "listings" in state:
            found[registrable_domain(host)] += state["listings"]
    return found


def _recorded(paths: Sequence[str], keys: pa.ChunkedArray, work: str) -> dict[str, tuple[str, int]]:
    """WARC (its path in the work folder) and offset of each of these pages that another crawl has
    recorded, by key."""
    found: dict[str, tuple[str, int]] = {}
    stored = WorkFolder(Path(work)).stored
    for path in paths:
        warc = Path(path).with_name(PAGE_WARC)
        if not warc.is_file():
            continue
        columns = ["url_key", "reason", "warc_offset"]
        rows = pq.read_table(checked(path), columns=columns, schema=PAGES)
        rows = rows.filter(pc.is_in(rows["url_key"], value_set=keys.combine_chunks()))
        for row in rows.to_pylist():
            if not row["reason"]:
                found.setdefault(row["url_key"], (stored(str(warc)), row["warc_offset"]))
    return found


def _to_retry(paths: Sequence[str], opened: Sequence[str]) -> list[tuple[bool, FrontierRow]]:
    """Pages to retry: those whose last failure is transient (True) and those of hosts opened since
    then that the address policy had blocked (False)."""
    last: dict[str, tuple[bool, bool, FrontierRow]] = {}
    for path in paths:
        columns = ["url", "url_key", "host", "depth", "reason", "retryable"]
        for one in pq.read_table(checked(path), columns=columns, schema=PAGES).to_pylist():
            row = (one["url"], one["url_key"], one["host"], one["depth"], 0)
            is_open = one["reason"] in REFUSALS and one["host"] in opened
            last[one["url_key"]] = (one["retryable"], is_open, row)
    return [(retryable, row) for retryable, is_open, row in last.values() if retryable or is_open]


def _with_robots_elsewhere(crawled: Sequence[str]) -> list[FrontierRow]:
    """Pages of the last round that wait for a fetch list to which the host of their robots.txt
    belongs too."""
    found: list[FrontierRow] = []
    for folder in crawled:
        states = load_host_states(Path(folder) / HOST_STATES)
        # Most parts have no such host: their tables are not read.
        if not any(state.get("robots_at") for state in states.values()):
            continue
        columns = ["url", "url_key", "host", "depth", "reason", "detail"]
        path = checked(Path(folder) / PAGE_TABLE)
        rows = pq.read_table(path, columns=columns, schema=PAGES).to_pylist()
        found += [
            (one["url"], one["url_key"], one["host"], one["depth"], 0)
            for one in rows
            if Drop(one["reason"], one["detail"]) == ROBOTS_ELSEWHERE
        ]
    return found


def read_frontier(path: Path | str) -> list[FrontierRow]:
    """Reads the rows of a fetch list, in order."""
    with os_errors(path):
        return list(_read(checked(path)))


def write_frontier(path: Path, rows: Sequence[FrontierRow]) -> None:
    """Writes rows by the schema `tables.FRONTIER`."""
    with os_errors(path):
        pq.write_table(table_of_rows(rows, FRONTIER), path, compression="zstd")


def _read(path: Path) -> Iterator[FrontierRow]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
