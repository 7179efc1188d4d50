"""What the dedupe step writes: rows of the output shards, drop rows, and the index for later generations."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wenlan_data.arrow import integers, rows, strings
from wenlan_data.dedupe import captions
from wenlan_data.dedupe.candidate_decisions import Fates
from wenlan_data.dedupe.decisions import FETCH, KEPT, REASONS
from wenlan_data.dedupe.frequency import save_counts
from wenlan_data.dedupe.merge_texts import Merged
from wenlan_data.dedupe.table import Intake, prints_of
from wenlan_data.dedupe.text_filter import Texts
from wenlan_data.errors import os_errors
from wenlan_data.index.published import (
    SITE_COUNTS,
    SITE_HASHES,
    Asked,
    hex_keys,
    save_index,
    url_hashes,
)
from wenlan_data.npy import Words
from wenlan_data.recipe import ShardRules
from wenlan_data.tables import KEPT as KEPT_SCHEMA
from wenlan_data.tables import WORK_DROPS

BATCH_ROWS = 1 << 14
ROW_BYTES = 6144
"""A sample's share besides its JPEG: three tar headers with padding, and a JSON with 37 regions."""

Indices = NDArray[np.int64]


def kept_table(
    intake: Intake, fates: Fates, kept: Indices, merged: Merged, order: Sequence[str]
) -> pa.Table:
    """The rows of `tables.KEPT` for the candidates `kept`, in this order."""
    texts = merged.texts.take(kept)
    caption, caption_type = captions.choose_all(texts, order)
    made: dict[str, object] = {
        "key": pa.array(hex_keys(fates.keys[kept]), pa.string()),
        "texts": texts,
        "caption": caption,
        "caption_type": caption_type,
        "opt_out": merged.opt_out.take(kept),
    }
    from_candidate = [name for name in KEPT_SCHEMA.names if name in intake.candidates.column_names]
    from_fact = [name for name in KEPT_SCHEMA.names if name in intake.facts.column_names]
    candidates = intake.candidates.select(from_candidate).take(rows(kept))
    facts = intake.facts.select(from_fact).take(rows(intake.fact[kept]))
    columns = _columns(facts) | _columns(candidates) | made
    return pa.table({name: columns[name] for name in KEPT_SCHEMA.names}).cast(KEPT_SCHEMA)


def _columns(table: pa.Table) -> dict[str, object]:
    return {name: table[name] for name in table.column_names}


def write_shards(
    out: Path,
    sizes: Indices,
    rules: ShardRules,
    *,
    first: int,
    make: Callable[[int, int], pa.Table],
) -> list[dict[str, int]]:
    """Cut samples of these reckoned bytes, and write `make(start, stop)` of each cut as `shard-NNNNNN.parquet`.

    Numbers go on from `first`; gives what each shard holds.
    """
    shards: list[dict[str, int]] = []
    for start, stop in cuts(sizes, rules):
        number = first + len(shards)
        path = out / f"shard-{number:06d}.parquet"
        with os_errors(path):
            pq.write_table(make(start, stop), path, compression="zstd")
        shards.append(
            {"number": number, "samples": stop - start, "bytes": int(sizes[start:stop].sum())}
        )
    return shards


def reckoned_bytes(facts: pa.Table, numbers: Indices) -> Indices:
    """int64 (N,): about what the pictures of these facts will take in a shard, one sample each.

    The JPEG counts with the size that it is stored in, or that it came in where only its metadata may go.
    """
    came, encoded = (integers(facts, name)[numbers] for name in ("bytes", "encoded_bytes"))
    sizes: Indices = np.where(encoded > 0, encoded, came) + ROW_BYTES
    return sizes


def cuts(sizes: Indices, rules: ShardRules) -> list[tuple[int, int]]:
    """Ranges of rows, each as long as `max_samples` and `max_bytes` allow, and of one row at least."""
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


def write_drops(path: Path, intake: Intake, fates: Fates) -> dict[str, Counter[str]]:
    """Write `tables.WORK_DROPS` rows of all candidates that are not kept, by ordinal; step to reason to count."""
    dropped = np.flatnonzero(fates.fate != KEPT)
    counts: dict[str, Counter[str]] = {}
    with os_errors(path), pq.ParquetWriter(path, WORK_DROPS, compression="zstd") as writer:
        for start in range(0, len(dropped), BATCH_ROWS):
            table = _drop_rows(intake, fates, dropped[start : start + BATCH_ROWS])
            writer.write_table(table)
            every = np.arange(table.num_rows)
            for step, reason in zip(
                strings(table, "step", every), strings(table, "reason", every), strict=True
            ):
                counts.setdefault(step, Counter())[reason] += 1
    return counts


def _drop_rows(intake: Intake, fates: Fates, dropped: Indices) -> pa.Table:
    failed = fates.fate[dropped] == FETCH
    facts = intake.facts.select(["reason", "detail", "retryable"])
    facts = facts.take(rows(np.maximum(intake.fact[dropped], 0)[failed]))
    # The fetch rows first, then the others, then all back into the order asked for.
    back = np.argsort(np.concatenate([np.flatnonzero(failed), np.flatnonzero(~failed)]))
    others = fates.fate[dropped][~failed].tolist()
    ours = pa.table(
        {
            "reason": pa.array([REASONS[fate] for fate in others], pa.string()),
            "detail": pa.array(
                [fates.details.get(n, "") for n in dropped[~failed].tolist()], pa.string()
            ),
            "retryable": pa.array([False] * len(others), pa.bool_()),
        }
    )
    said = pa.concat_tables([facts, ours]).take(rows(back))
    columns = _columns(intake.candidates.take(rows(dropped))) | _columns(said)
    columns |= {
        "step": pa.array(np.where(failed, "fetch", "dedupe").tolist(), pa.string()),
        "key": pa.array(hex_keys(fates.keys[dropped]), pa.string()),
        "duplicate_of": pa.array(hex_keys(fates.duplicate_of[dropped]), pa.string()),
        "phash_distance": pa.array(fates.phash_distance[dropped]),
        "pdq_distance": pa.array(fates.pdq_distance[dropped]),
    }
    return pa.table({name: columns[name] for name in WORK_DROPS.names}).cast(WORK_DROPS)


def write_index(
    folder: Path, generation: int, intake: Intake, fates: Fates, texts: Texts, kept: Indices
) -> None:
    """Write what later generations need, see `dedupe.codes` and `dedupe.counts`."""
    with os_errors(folder):
        folder.mkdir()
    vain = np.setdiff1d(np.arange(intake.facts.num_rows), fates.url_facts)
    asked = Asked(
        hashes=_url_hashes(intake, fates.url_facts),
        keys=fates.url_keys,
        vain_hashes=_url_hashes(intake, vain),
        vain_parts=np.uint64(generation << 32) | intake.fetch_part[vain].astype(np.uint64),
        placeholders=fates.placeholders,
    )
    save_index(folder, generation, prints_of(intake.facts, intake.fact[kept]), asked)
    save_counts(folder, texts.hashes, texts.counts)
    save_counts(folder, *fates.sites, (SITE_HASHES, SITE_COUNTS))


def _url_hashes(intake: Intake, facts: Indices) -> Words:
    hashes = np.zeros(len(facts), "S16")
    for start in range(0, len(hashes), BATCH_ROWS):
        chunk = facts[start : start + BATCH_ROWS]
        hashes[start : start + len(chunk)] = url_hashes(strings(intake.facts, "url_key", chunk))
    return hashes
