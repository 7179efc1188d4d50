"""Which pages come next: what the last round linked, each page once, a bounded piece of each host, cut into slices."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data.crawl.budget import Asked, Budget, CrawlLimits
from wenlan_data.crawl.queue import WAITING, WAITING_IDS, Batch, Ids, ids_of, merged, read_batches
from wenlan_data.crawl.receipts import FrontierDetails, FrontierList
from wenlan_data.errors import os_errors
from wenlan_data.fetch.fetch_lists import cut_by_host
from wenlan_data.protocols import Receipt
from wenlan_data.seen_ids import SeenIds, save_ids
from wenlan_data.tables import FRONTIER, PAGES
from wenlan_data.web.address_policy import REFUSALS
from wenlan_data.web.limits import HostLimits

ASKED = "asked.json"

Row = tuple[str, str, str, int, int]
"""URL, key, host, depth, redirects: a row of `tables.FRONTIER`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPart:
    """Cuts one round. Writes `slice-00000.parquet` and so on (`tables.FRONTIER`), beside each `states-00000.json` (what
    is known of its hosts) and `recorded-00000.json` (which of its pages lie in another crawl's WARC, and where),
    `waiting.parquet` and `waiting.npy` (what a later round may ask, and the ids of its rows), `asked.npy`, `asked.json`
    (pages by host, domain and shape) and `states.json`.

    Its receipt's details: `slices`, a list of `{name, states, recorded, rows, chain}` as in the slice step; `waiting`,
    the rows left for later; `waits_for` (reason to pages of this round's look); `again`, those that had failed before.
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
    opened: tuple[str, ...] = ()
    """Hosts that are open on purpose: of these, what was not dialled is asked again too."""
    limits: CrawlLimits = field(default_factory=CrawlLimits)
    hosts: dict[str, HostLimits] = field(default_factory=dict)

    def __call__(self, out: Path) -> Receipt[FrontierDetails]:
        """Cut. A function of the files and the limits alone."""
        with os_errors(out):
            budget = Budget(self.limits, self.hosts, self.recorded, self._asked())
            chosen, asked, waiting, rows_in = self._choose(out, budget)
            states = _states(self.before, self.crawled, patient=not self.retry)
            recorded = _recorded(self.elsewhere, chosen["url_key"])
            slices = _write_slices(out, chosen, self.hosts, states, recorded)
            save_ids(out / "asked.npy", asked)
            budget.asked.save(out / ASKED, self.limits.max_pages_a_shape)
            (out / "states.json").write_text(json.dumps(states), "utf-8")
        details = FrontierDetails(
            slices=tuple(FrontierList(**one) for one in slices),  # type: ignore[arg-type]
            waiting=waiting,
            waits_for={reason: count for reason, count in sorted(budget.refused.items()) if count},
            again=sum(retryable for retryable, _ in _to_retry(self.retry, self.opened)),
        )
        return Receipt(rows_in=rows_in, rows_out=chosen.num_rows, details=details)

    def _choose(self, out: Path, budget: Budget) -> tuple[pa.Table, Ids, int, int]:
        """The rows of this round, their ids, how many wait, and how many rows there were."""
        chosen = [FRONTIER.empty_table()]
        asked, waiting = [np.empty(0, "S16")], [np.empty(0, "S16")]
        rows_in = 0
        with pq.ParquetWriter(out / WAITING, FRONTIER, compression="zstd") as writer:
            for batch in self._batches():
                rows_in += batch.rows.num_rows
                mask = budget.choose(batch.rows)
                chosen.append(batch.rows.filter(pa.array(mask)))
                asked.append(batch.ids[mask])
                if not mask.all():
                    writer.write_table(batch.rows.filter(pa.array(~mask)))
                    waiting.append(batch.ids[~mask])
        ids = np.concatenate(waiting)
        np.save(out / WAITING_IDS, ids, allow_pickle=False)
        return pa.concat_tables(chosen).combine_chunks(), np.concatenate(asked), len(ids), rows_in

    def _batches(self) -> Iterator[Batch]:
        again = _table([row for _, row in _to_retry(self.retry, self.opened)])
        for depth in np.unique(again["depth"].to_numpy()).tolist():
            rows = again.filter(pc.equal(again["depth"], depth))
            yield Batch(rows, ids_of(rows))
        seeds = _table(self.seeds)
        links = (partial(read_batches, Path(folder) / "links.parquet") for folder in self.crawled)
        yield from merged(self.before, [lambda: iter((seeds,)), *links], SeenIds(self.asked))

    def _asked(self) -> Asked:
        return Asked.load(Path(self.before) / ASKED) if self.before else Asked()


def _write_slices(
    out: Path,
    table: pa.Table,
    hosts: Mapping[str, HostLimits],
    states: Mapping[str, object],
    recorded: Mapping[str, object],
) -> list[dict[str, object]]:
    slices: list[dict[str, object]] = []
    for chain, indexes in cut_by_host(table["host"], np.arange(table.num_rows), hosts):
        number = len(slices)
        piece = table.take(pa.array(indexes))
        pq.write_table(piece, out / f"slice-{number:05d}.parquet", compression="zstd")
        known = {
            host: states[host] for host in piece["host"].unique().to_pylist() if host in states
        }
        at_hand = {key: recorded[key] for key in piece["url_key"].to_pylist() if key in recorded}
        names = {kind: f"{kind}-{number:05d}.json" for kind in ("states", "recorded")}
        (out / names["states"]).write_text(json.dumps(known), "utf-8")
        (out / names["recorded"]).write_text(json.dumps(at_hand), "utf-8")
        slices.append(
            {"name": f"slice-{number:05d}.parquet", **names, "rows": len(indexes), "chain": chain}
        )
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
    kept = ("robots", "robots_at_s", "reserved", "next_at_s", "at_s", "gap_s")
    found = cast("dict[str, dict[str, object]]", states)
    return {host: {name: one[name] for name in kept if name in one} for host, one in found.items()}


def _recorded(paths: Sequence[str], wanted: pa.ChunkedArray) -> dict[str, tuple[str, int]]:
    """WARC and offset of each of these pages that another crawl has recorded."""
    found: dict[str, tuple[str, int]] = {}
    for path in paths:
        warc = Path(path).with_name("pages.warc")
        if not warc.is_file():
            continue
        rows = pq.read_table(path, columns=["url_key", "reason", "warc_offset"], schema=PAGES)
        rows = rows.filter(pc.is_in(rows["url_key"], value_set=wanted.combine_chunks()))
        for row in rows.to_pylist():
            if not row["reason"]:
                found.setdefault(row["url_key"], (str(warc), row["warc_offset"]))
    return found


def _to_retry(paths: Sequence[str], opened: Sequence[str]) -> list[tuple[bool, Row]]:
    """Pages whose last outcome may pass, and those that were not dialled, at hosts opened since; whether it is the
    first."""
    last: dict[str, tuple[bool, bool, Row]] = {}
    for path in paths:
        columns = ["url", "url_key", "host", "depth", "reason", "retryable"]
        for one in pq.read_table(path, columns=columns, schema=PAGES).to_pylist():
            row = (one["url"], one["url_key"], one["host"], one["depth"], 0)
            is_open = one["reason"] in REFUSALS and one["host"] in opened
            last[one["url_key"]] = (one["retryable"], is_open, row)
    return [(retryable, row) for retryable, is_open, row in last.values() if retryable or is_open]


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
    return pa.table(
        [pa.array(one, kind.type) for one, kind in zip(columns, FRONTIER, strict=True)],
        schema=FRONTIER,
    )
