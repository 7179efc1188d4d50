"""What the dedupe step writes: rows of the output shards, drop rows, and the index for later generations."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wenlan_data.dedupe import captions
from wenlan_data.dedupe.codes import hex_keys, save_index, url_hashes
from wenlan_data.dedupe.counts import save_counts
from wenlan_data.dedupe.fates import FETCH, KEPT, REASONS, Fates, Texts
from wenlan_data.dedupe.intake import Intake, prints_of
from wenlan_data.dedupe.merged import Merged
from wenlan_data.errors import os_errors
from wenlan_data.recipe import ShardRules
from wenlan_data.tables import KEPT as KEPT_SCHEMA
from wenlan_data.tables import WORK_DROPS

BATCH_ROWS = 1 << 16
ROW_BYTES = 6144
"""A sample's share besides its JPEG: three tar headers with padding, and a JSON with 37 regions."""
BYTES_PER_PIXEL = 0.5
"""Of a JPEG that we encode at quality 92; photographs take 0.3 to 0.5."""

Indices = NDArray[np.int64]


def kept_table(intake: Intake, fates: Fates, kept: Indices, merged: Merged, order: Sequence[str]) -> pa.Table:
    """The rows of `tables.KEPT` for the candidates `kept`, in this order."""
    texts = merged.texts.take(kept)
    caption, caption_type = captions.choose_all(texts, order)
    made = {
        "key": pa.array(hex_keys(fates.keys[kept]), pa.string()),
        "texts": texts,
        "caption": caption,
        "caption_type": caption_type,
        "opt_out": merged.opt_out.take(kept),
    }
    rows, facts = pa.array(kept), pa.array(intake.fact[kept])
    from_candidate = set(intake.candidates.column_names)
    columns = []
    for name in KEPT_SCHEMA.names:
        if name in made:
            columns.append(made[name])
        elif name in from_candidate:
            columns.append(intake.candidates[name].take(rows))
        else:
            columns.append(intake.facts[name].take(facts))
    return pa.table(dict(zip(KEPT_SCHEMA.names, columns, strict=True))).cast(KEPT_SCHEMA)


def write_shards(
    out: Path, sizes: Indices, rules: ShardRules, *, first: int, rows: Callable[[int, int], pa.Table]
) -> list[dict[str, int]]:
    """Cut samples of these reckoned bytes, and write `rows(start, stop)` of each cut as `shard-NNNNNN.parquet`.

    Numbers go on from `first`; gives what each shard holds.
    """
    shards: list[dict[str, int]] = []
    for start, stop in cuts(sizes, rules):
        number = first + len(shards)
        path = out / f"shard-{number:06d}.parquet"
        with os_errors(path):
            pq.write_table(rows(start, stop), path, compression="zstd")
        shards.append({"number": number, "samples": stop - start, "bytes": int(sizes[start:stop].sum())})
    return shards


def reckoned_bytes(facts: pa.Table, rows: Indices, max_side_px: int) -> Indices:
    """int64 (N,): about what the pictures of these facts will take in a shard, one sample each.

    A JPEG that need not be scaled keeps its fetched size; another picture is reckoned by the pixels that it is
    stored with.
    """
    width, height = (facts[name].to_numpy()[rows].astype(np.float64) for name in ("width", "height"))
    side = np.maximum(np.maximum(width, height), 1)
    scale = np.minimum(1.0, max_side_px / side)
    encoded = width * height * scale**2 * BYTES_PER_PIXEL
    passes = pc.equal(facts["format"], "jpeg").to_numpy()[rows] & (side <= max_side_px)
    sizes: Indices = (np.where(passes, facts["bytes"].to_numpy()[rows], encoded) + ROW_BYTES).astype(np.int64)
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
            for step, reason in zip(table["step"].to_pylist(), table["reason"].to_pylist(), strict=True):
                counts.setdefault(step, Counter())[reason] += 1
    return counts


def _drop_rows(intake: Intake, fates: Fates, rows: Indices) -> pa.Table:
    is_fetch = pa.array(fates.fate[rows] == FETCH)
    failed = pa.array(np.maximum(intake.fact[rows], 0), mask=fates.fate[rows] != FETCH)
    candidates = intake.candidates.take(pa.array(rows))
    reason, detail, retryable = (intake.facts[name].take(failed) for name in ("reason", "detail", "retryable"))
    columns = {
        "step": pc.if_else(is_fetch, "fetch", "dedupe"),
        "key": pa.array(hex_keys(fates.keys[rows]), pa.string()),
        "reason": pc.if_else(is_fetch, reason, pa.array(REASONS).take(pa.array(fates.fate[rows]))),
        "detail": pc.fill_null(detail, ""),
        "retryable": pc.fill_null(retryable, False),
        "duplicate_of": pa.array(hex_keys(fates.duplicate_of[rows]), pa.string()),
        "phash_distance": pa.array(fates.phash_distance[rows]),
        "pdq_distance": pa.array(fates.pdq_distance[rows]),
    }
    all_columns = [columns[name] if name in columns else candidates[name] for name in WORK_DROPS.names]
    return pa.table(dict(zip(WORK_DROPS.names, all_columns, strict=True))).cast(WORK_DROPS)


def write_index(folder: Path, intake: Intake, fates: Fates, texts: Texts, kept: Indices) -> None:
    """Write what later generations need, see `dedupe.codes` and `dedupe.counts`."""
    with os_errors(folder):
        folder.mkdir()
    hashes = np.zeros(len(fates.url_facts), "S16")
    for start in range(0, len(hashes), BATCH_ROWS):
        rows = pa.array(fates.url_facts[start : start + BATCH_ROWS])
        hashes[start : start + len(rows)] = url_hashes(intake.facts["url_key"].take(rows).to_pylist())
    save_index(folder, prints_of(intake.facts, intake.fact[kept]), hashes, fates.url_keys)
    save_counts(folder, texts.hashes, texts.counts)
