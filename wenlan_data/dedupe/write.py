"""Output of the dedupe step: rows of the shards, drop rows, and the index for later generations.

After `selection` and `merge_texts`. The step `shard` reads the rows of the shards, the step `drops`
the drop rows, and the next generation the index.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.arrow import integers, rows, strings, take_lists, to_strings
from wenlan_data.dedupe import captions
from wenlan_data.dedupe.decisions import Decision, Decisions
from wenlan_data.dedupe.domain_share import DomainShare
from wenlan_data.dedupe.frequency import save_counts
from wenlan_data.dedupe.merge_texts import MergedColumns
from wenlan_data.dedupe.minhash import save_captions
from wenlan_data.dedupe.table import CandidateTable
from wenlan_data.dedupe.text_filter import FilteredTexts
from wenlan_data.errors import os_errors
from wenlan_data.index.published import (
    SITE_COUNTS,
    SITE_HASHES,
    RequestedUrls,
    hex_keys,
    save_index,
    url_hashes,
)
from wenlan_data.layout import PartRef
from wenlan_data.npy import FixedBytes, Indices
from wenlan_data.recipe import ShardRules
from wenlan_data.tables import KEPT as KEPT_SCHEMA
from wenlan_data.tables import WORK_DROPS

BATCH_ROWS = 1 << 14
ROW_BYTES = 6144
"""Bytes of a sample besides its JPEG: three tar headers with padding, and a JSON with 37
regions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedShard:
    """A shard that the next step writes."""

    number: int
    samples: int
    bytes: int
    """Estimated from its images."""


def _kept_table(
    table: CandidateTable, kept: Indices, merged: MergedColumns, caption_order: Sequence[str]
) -> pa.Table:
    """The rows of `tables.KEPT` for the candidates `kept`, in this order."""
    texts = merged.texts.take(kept)
    caption, caption_type = captions.choose_all(texts, caption_order)
    made: dict[str, object] = {
        "key": pa.array(hex_keys(table.keys[kept]), pa.string()),
        "texts": texts,
        "caption": caption,
        "caption_type": caption_type,
        "opt_out": merged.opt_out.take(kept),
    }
    # Without the columns made above: a second copy of the texts takes as long as the merged one.
    from_candidate = [
        name
        for name in KEPT_SCHEMA.names
        if name in table.candidates.column_names and name not in made
    ]
    from_result = [name for name in KEPT_SCHEMA.names if name in table.results.column_names]
    candidates = table.candidates.select(from_candidate).take(rows(kept))
    results = table.results.select(from_result).take(rows(table.result[kept]))
    # The right side wins: merged texts and signals replace those of the candidate.
    columns = _columns(results) | _columns(candidates) | made
    return pa.table({name: columns[name] for name in KEPT_SCHEMA.names}).cast(KEPT_SCHEMA)


def _columns(table: pa.Table) -> dict[str, object]:
    return {name: table[name] for name in table.column_names}


def write_shards(
    out: Path,
    table: CandidateTable,
    merged: MergedColumns,
    decisions: Decisions,
    *,
    caption_order: Sequence[str],
    rules: ShardRules,
    first_shard: int,
) -> tuple[PlannedShard, ...]:
    """Cuts the kept candidates into shards by estimated size, and writes the rows of each
    (`tables.KEPT`) to `shard-NNNNNN.parquet`, numbered from `first_shard`."""
    # Shards hold samples by key, so that their order does not depend on that of the sources.
    kept = decisions.kept
    kept = kept[np.argsort(table.keys[kept])]
    sizes = _estimated_bytes(table.results, table.result[kept])
    shards = list[PlannedShard]()
    for number, (start, stop) in enumerate(_cuts(sizes, rules), first_shard):
        path = out / f"shard-{number:06d}.parquet"
        with os_errors(path):
            # Passed directly: a variable would keep a table alive while the next one is built.
            pq.write_table(
                _kept_table(table, kept[start:stop], merged, caption_order),
                path,
                compression="zstd",
            )
        size = int(sizes[start:stop].sum())
        shards.append(PlannedShard(number=number, samples=stop - start, bytes=size))
    return tuple(shards)


def _estimated_bytes(results: pa.Table, numbers: Indices) -> Indices:
    """int64 (N,): estimated bytes in a shard of the samples with these fetch results.

    A JPEG counts with its stored size, or with its fetched size where only its metadata are
    removed.
    """
    fetched, encoded = (integers(results, name)[numbers] for name in ("bytes", "encoded_bytes"))
    sizes: Indices = np.where(encoded > 0, encoded, fetched) + ROW_BYTES
    return sizes


def _cuts(sizes: Indices, rules: ShardRules) -> list[tuple[int, int]]:
    """Ranges of rows, each as long as `max_samples` and `max_bytes` allow, and of at least one
    row."""
    # With running totals each cut is one binary search, instead of a loop over all samples.
    ends = np.cumsum(sizes)
    found = []
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        full = int(np.searchsorted(ends, before + rules.max_bytes, side="right"))
        stop = max(start + 1, min(full, start + rules.max_samples))
        found.append((start, stop))
        start = stop
    return found


def write_drops(path: Path, table: CandidateTable, decisions: Decisions) -> dict[str, Counter[str]]:
    """Writes a row of `tables.WORK_DROPS` for each dropped candidate, by ordinal. Returns step to
    reason to count, both sorted."""
    dropped = np.flatnonzero(decisions.reason != Decision.KEPT)
    counts: dict[str, Counter[str]] = {}
    with os_errors(path), pq.ParquetWriter(path, WORK_DROPS, compression="zstd") as writer:
        for start in range(0, len(dropped), BATCH_ROWS):
            # In batches: many columns of a drop row pass through Python lists.
            batch = _drop_rows(table, decisions, dropped[start : start + BATCH_ROWS])
            writer.write_table(batch)
            every = np.arange(batch.num_rows)
            for step, reason in zip(
                strings(batch, "step", every), strings(batch, "reason", every), strict=True
            ):
                counts.setdefault(step, Counter())[reason] += 1
    return {step: Counter(dict(sorted(counts[step].items()))) for step in sorted(counts)}


def _drop_rows(table: CandidateTable, decisions: Decisions, dropped: Indices) -> pa.Table:
    failed = decisions.reason[dropped] == Decision.FETCH
    fetch = table.results.select(["reason", "detail", "retryable"])
    fetch = fetch.take(rows(np.maximum(table.result[dropped], 0)[failed]))
    # The rows of the fetch step, then the others; `back` returns them to the order of `dropped`.
    back = np.argsort(np.concatenate([np.flatnonzero(failed), np.flatnonzero(~failed)]))
    others = decisions.reason[dropped][~failed].tolist()
    drop_reasons = {decision.value: decision.drop_reason for decision in Decision}
    ours = pa.table(
        {
            "reason": pa.array([drop_reasons[code] for code in others], pa.string()),
            "detail": pa.array(
                [decisions.details.get(n, "") for n in dropped[~failed].tolist()], pa.string()
            ),
            "retryable": pa.array([False] * len(others), pa.bool_()),
        }
    )
    reasons = pa.concat_tables([fetch, ours]).take(rows(back))
    columns = _columns(table.candidates.take(rows(dropped))) | _columns(reasons)
    columns |= {
        "step": pa.array(np.where(failed, "fetch", "dedupe").tolist(), pa.string()),
        "key": pa.array(hex_keys(table.keys[dropped]), pa.string()),
        "duplicate_of": pa.array(hex_keys(decisions.key[dropped]), pa.string()),
        "phash_distance": pa.array(decisions.phash_bits[dropped]),
        "pdq_distance": pa.array(decisions.pdq_bits[dropped]),
    }
    return pa.table({name: columns[name] for name in WORK_DROPS.names}).cast(WORK_DROPS)


def write_index(
    folder: Path,
    generation: int,
    table: CandidateTable,
    texts: FilteredTexts,
    placeholders: FixedBytes,
    decisions: Decisions,
) -> None:
    """Writes the index of this generation for later ones, see `index.published` and
    `dedupe.frequency`."""
    with os_errors(folder):
        folder.mkdir()
    # A URL leads to the sample that its image is, equals or is near. All others are without a
    # sample, since they failed or their image was dropped: when one comes again with another text,
    # its fetch result is taken from the record.
    rows_found = np.flatnonzero(
        np.isin(decisions.reason, [Decision.KEPT, Decision.DUPLICATE, Decision.NEAR_DUPLICATE])
    )
    rows_found = rows_found[table.fetched[rows_found]]
    # Of several candidates of a URL the first in source order, which is the sample if one of them
    # is.
    found, first = np.unique(table.result[rows_found], return_index=True)
    first_row = rows_found[first]
    is_kept = decisions.reason[first_row] == Decision.KEPT
    without_sample = np.setdiff1d(np.arange(table.results.num_rows), found)
    parts = table.fetch_part[without_sample].astype(np.uint64)
    requested = RequestedUrls(
        hashes=_url_hashes(table, found),
        keys=np.where(is_kept, table.keys[first_row], decisions.key[first_row]),
        without_sample=_url_hashes(table, without_sample),
        # Packed for all at once: the number of the part is the low half.
        without_sample_parts=np.uint64(PartRef(generation, 0).packed()) | parts,
        placeholders=placeholders,
    )
    kept = decisions.kept
    save_index(folder, generation, table.signatures.take(table.url[kept]), requested)
    save_counts(folder, texts.hashes, texts.counts)


def write_captions(
    folder: Path,
    table: CandidateTable,
    texts: FilteredTexts,
    caption_order: Sequence[str],
    similarity: float,
    decisions: Decisions,
) -> None:
    """Writes the captions of the kept candidates, for comparison with those of later
    generations."""
    kept = decisions.kept
    left = take_lists(texts.left, kept)
    words = to_strings(captions.choose_all(left, caption_order)[0])
    save_captions(folder, table.keys[kept], words, similarity)


def write_domain_counts(folder: Path, domains: DomainShare | None, kept: Indices) -> None:
    """Writes the number of kept images of each domain; empty tables where no share is set."""
    # Empty tables rather than none: `merge_segments` reads these files of every segment.
    counts = np.empty(0, np.int64) if domains is None else domains.count(kept)
    hashes = np.empty(0, np.uint64) if domains is None else domains.hashes
    save_counts(folder, hashes[counts > 0], counts[counts > 0], (SITE_HASHES, SITE_COUNTS))


def _url_hashes(table: CandidateTable, results: Indices) -> FixedBytes:
    hashes = np.zeros(len(results), "S16")
    for start in range(0, len(hashes), BATCH_ROWS):
        chunk = results[start : start + BATCH_ROWS]
        hashes[start : start + len(chunk)] = url_hashes(strings(table.results, "url_key", chunk))
    return hashes
