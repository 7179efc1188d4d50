"""Gathers the drops of a generation, and the ids that `--retry-failed` repeats."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wenlan_data import tables
from wenlan_data.arrow import read_table
from wenlan_data.bounded_tables import MAX_VALUES, check_written, read_batches
from wenlan_data.clean.masking import mask_unless_url
from wenlan_data.errors import UsageError
from wenlan_data.extract.row_limits import MAX_FIELD_CHARACTERS, cut_texts
from wenlan_data.files import sha256_of
from wenlan_data.layout import CANDIDATE_IDS, DROPS, PART_DROPS, RETRYABLE_IDS
from wenlan_data.npy import FixedBytes
from wenlan_data.part_files import checked
from wenlan_data.protocols import Receipt
from wenlan_data.records import parse_text
from wenlan_data.seen_ids import save_ids
from wenlan_data.shard.corpus_files import corpus_file
from wenlan_data.shard.manifest import Manifest

_CERTAIN_URL = r"^(?i:https?)://[A-Za-z0-9_.-]+\.[A-Za-z]{2,63}(?::\d{1,5})?/[!-~]*$"
"""URLs that `mask_unless_url` returns unchanged, which most are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropsDetails:
    """Counts of a drops part."""

    ids: int
    """Candidates of the generation."""
    dropped: dict[str, dict[str, int]]
    """Step to reason to count."""
    sha256: str = ""
    """Digest of `drops.parquet`; empty in receipts of older builds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropsPart:
    """Part of the drops step.

    Writes `drops.parquet` in source order, `ids.npy` (all candidates of the generation) and
    `retryable.npy` (candidates whose failure is transient).
    """

    drops: tuple[str, ...]
    """Paths of the `drops.parquet` of all steps."""
    raws: tuple[str, ...]
    """Paths of the `raw.parquet` of all extract parts."""

    def __call__(self, out: Path) -> Receipt[DropsDetails]:
        """Writes the files. The receipt counts drops; `details.ids` counts candidates."""
        parts = [
            _shortened(pq.read_table(checked(path), schema=tables.WORK_DROPS))
            for path in self.drops
        ]
        rows = pa.concat_tables(parts).sort_by("ordinal")
        published = _masked(rows.select(tables.DROPS.names).cast(tables.DROPS))
        pq.write_table(
            published,
            out / PART_DROPS,
            compression="zstd",
            row_group_size=_group_rows(published),
        )
        check_written(out / PART_DROPS, tables.DROPS, nullable=["texts"])
        retryable = rows.filter(pc.field("retryable"))["candidate_id"]
        save_ids(out / RETRYABLE_IDS, _ids_array(retryable))
        ids = pa.chunked_array(
            [chunk for path in self.raws for chunk in _read_id_column(path).chunks], pa.binary(16)
        )
        save_ids(out / CANDIDATE_IDS, _ids_array(ids))
        return Receipt(
            rows_in=rows.num_rows,
            rows_out=rows.num_rows,
            details=DropsDetails(
                ids=len(ids),
                dropped=_counts_by_step(rows),
                sha256=sha256_of(out / PART_DROPS),
            ),
        )


def find_drop(corpus: Path, manifest: Manifest, wanted: str) -> dict[str, Any]:
    """Returns the first drop of the corpus whose URL or key is `wanted`, as column to value.

    Raises `UsageError` if there is none, `DamageError` for a table that cannot be read.
    """
    urls = pa.array([wanted, mask_unless_url(wanted)])
    for entry in manifest.drops:
        path = corpus_file(corpus, DROPS, entry.name)
        for batch in read_batches(path, tables.DROPS, nullable=["texts"]):
            is_wanted = pc.or_(pc.is_in(batch["url"], urls), pc.equal(batch["key"], wanted))
            found = batch.filter(is_wanted).slice(0, 1).to_pylist()
            if found:
                row: dict[str, Any] = found[0]
                return row
    pattern = f"{corpus}/{DROPS}/*.parquet".replace("'", "''")
    raise UsageError(
        f"{wanted!r}: no row of {corpus}/{DROPS} has this url or key. To list all drops with DuckDB:"
        f" SELECT step, reason, url, key FROM '{pattern}'"
    )


def _shortened(rows: pa.Table) -> pa.Table:
    """Cuts long details, and the texts of rows that have more than `MAX_FIELD_CHARACTERS`."""
    details = pc.utf8_slice_codeunits(rows["detail"], 0, MAX_FIELD_CHARACTERS)
    texts = pa.chunked_array(
        [_with_cut_texts(chunk) for chunk in rows["texts"].chunks], tables.TEXTS
    )
    for name, column in (("detail", details), ("texts", texts)):
        rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


def _with_cut_texts(column: Any) -> Any:
    words = pc.struct_field(pc.list_flatten(column), "text")
    lengths = pc.fill_null(pc.utf8_length(words), 0).to_numpy(zero_copy_only=False)
    owners = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    characters = np.bincount(owners, weights=lengths, minlength=len(column))
    long = np.flatnonzero(characters > MAX_FIELD_CHARACTERS)
    if not len(long):
        return column
    # Only these rows become Python objects.
    found = column.take(pa.array(long)).to_pylist()
    cut = [[asdict(one) for one in cut_texts(map(parse_text, row))] for row in found]
    place = np.arange(len(column))
    place[long] = len(column) + np.arange(len(long))
    return pa.concat_arrays([column, pa.array(cut, tables.TEXTS)]).take(pa.array(place))


def _group_rows(rows: pa.Table) -> int:
    """Rows of a row group: as many as Arrow's own, but not more texts than readers accept."""
    longest = pc.max(pc.list_value_length(rows["texts"])).as_py() or 1
    return min(1 << 20, MAX_VALUES // longest)


def _masked(rows: pa.Table) -> pa.Table:
    """Masks contact data in paths of files and in details, which may be a text beside the image.

    URLs stay.
    """
    for name in ("url", "detail"):
        distinct = rows[name].unique()
        is_other = pc.invert(pc.match_substring_regex(distinct, _CERTAIN_URL))
        written = distinct.filter(is_other).to_pylist()
        changed = {text: masked for text in written if (masked := mask_unless_url(text)) != text}
        if changed:
            texts = [changed.get(text, text) for text in rows[name].to_pylist()]
            column = pa.array(texts, pa.string())
            rows = rows.set_column(rows.schema.get_field_index(name), name, column)
    return rows


def _counts_by_step(rows: pa.Table) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for row in rows.group_by(["step", "reason"]).aggregate([([], "count_all")]).to_pylist():
        counts.setdefault(row["step"], {})[row["reason"]] = row["count_all"]
    return {step: dict(sorted(reasons.items())) for step, reasons in sorted(counts.items())}


def _read_id_column(path: str) -> pa.ChunkedArray:
    return read_table(path, ["candidate_id"])["candidate_id"]


def _ids_array(column: pa.ChunkedArray) -> FixedBytes:
    joined = b"".join(
        chunk.buffers()[1].to_pybytes()[chunk.offset * 16 : (chunk.offset + len(chunk)) * 16]
        for chunk in column.chunks
        if len(chunk)
    )
    return np.frombuffer(joined, dtype="S16")
