"""The Parquet files of the extract step: their rows, and the record batches that hold them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.arrow import table_errors
from wenlan_data.extract.row_limits import MAX_FIELD_CHARACTERS, cut_texts
from wenlan_data.part_files import checked
from wenlan_data.records import (
    MAX_FALLBACK_URLS,
    Box,
    Candidate,
    Drop,
    Origin,
    Remark,
    Text,
    parse_text,
)
from wenlan_data.seen_ids import SeenIds, ids_array
from wenlan_data.tables import CANDIDATES, IMAGE_INDEX, RAW, WORK_DROPS

BATCH_ROWS = 8_192

PUBLISHED_REMARKS = ("script", "flag", "rejected", "repeats")
"""Kinds of remarks that are published with a sample. An author has a column of its own, and removed
characters are only counted."""


@dataclass(frozen=True, slots=True)
class CandidateRow:
    """A candidate as its source gave it, numbered and identified."""

    ordinal: int
    candidate_id: bytes
    candidate: Candidate
    url_key: str
    unreadable: Drop | None = None
    """Why the source could not read the row; the candidate then holds only the names of the
    source and page."""


@dataclass(frozen=True, slots=True)
class DroppedRow:
    """A row without a surviving candidate, and the step that dropped it."""

    row: CandidateRow
    step: str
    drop: Drop


def read_raw(path: str, wanted: SeenIds | None = None) -> Iterator[CandidateRow]:
    """Yields the recorded rows of a `raw.parquet`; with `wanted`, only those with these ids."""
    with table_errors(path), pq.ParquetFile(checked(path)) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            _check_cells(batch)
            some = batch.filter(_mask(batch, wanted)) if wanted else batch
            yield from map(_raw_row, _with_reasons(some).to_pylist())


def _check_cells(batch: pa.RecordBatch) -> None:
    """Raises `ValueError` for an empty cell where no version of the step left one."""
    for name in set(RAW.names) & set(batch.schema.names) - {"boxes", "fallback_urls"}:
        if batch[name].null_count:
            raise ValueError(f"column {name!r} holds empty cells")


def _raw_row(value: dict[str, Any]) -> CandidateRow:
    ordinal, candidate_id, url_key = value["ordinal"], value["candidate_id"], value["url_key"]
    stated = Drop(value["reason"], value["detail"]) if value["reason"] else None
    if stated and not value["url"]:
        candidate = Candidate(url="", texts=(), source=value["source"])
        return CandidateRow(ordinal, candidate_id, candidate, url_key, stated)
    origin = Origin(kind=value["supply"], path=value["supply_path"], offset=value["supply_offset"])
    candidate = Candidate(
        url=value["url"],
        texts=tuple(map(parse_text, value["texts"])),
        page_url=value["page_url"],
        source=value["source"],
        licence=value["licence"],
        author=value["author"],
        opt_out=tuple(value["opt_out"]),
        origin=None if origin.kind == "web" else origin,
        boxes=unflatten_boxes(value["boxes"]),
        no_content=stated,
        # Version 6 of the step recorded none.
        fallback_urls=tuple(value.get("fallback_urls") or ()),
    )
    return CandidateRow(ordinal, candidate_id, candidate, url_key)


def _with_reasons(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Adds `reason` and `detail` to rows that version 5 of the step recorded.

    `--from` is the way out of a corpus that an older version made, so its recordings have to stay
    readable. Version 5 wrote `reason: detail` into `supply_path` of an unreadable row, and `none`
    into `supply`. Texts without relation and confidence, up to version 6, need no column:
    `parse_text` reads them.
    """
    if "reason" in batch.schema.names:
        return batch
    supplies, paths = batch["supply"].to_pylist(), batch["supply_path"].to_pylist()
    errors = [
        path.partition(": ") if supply == "none" else ("", "", "")
        for supply, path in zip(supplies, paths, strict=True)
    ]
    for column, place in (("reason", 0), ("detail", 2)):
        values = pa.array([one[place] for one in errors], pa.string())
        batch = batch.append_column(column, values)
    return batch


def unflatten_boxes(flat: Sequence[int] | None) -> tuple[Box, ...]:
    """Returns the boxes of a `tables.BOXES` value."""
    sides = iter(flat or ())
    return tuple(zip(sides, sides, sides, sides, strict=True))


def _mask(batch: pa.RecordBatch, wanted: SeenIds) -> pa.BooleanArray:
    ids = ids_array(one for one in batch["candidate_id"].to_pylist() if one is not None)
    return pa.array(wanted.contains(ids))


def raw_batch(rows: Sequence[CandidateRow]) -> pa.RecordBatch:
    """Returns the rows by the schema `RAW`, texts as the source gave them."""
    columns = _shared_columns(rows)
    stated = [row.unreadable or row.candidate.no_content for row in rows]
    columns["reason"] = [drop.reason if drop else "" for drop in stated]
    columns["detail"] = [drop.detail if drop else "" for drop in stated]
    return _batch(columns, RAW)


def candidates_batch(
    rows: Sequence[CandidateRow], remarks: Sequence[Sequence[tuple[str, Remark]]]
) -> pa.RecordBatch:
    """Returns the rows by the schema `CANDIDATES`, with the rules' remarks about their texts."""
    columns = _shared_columns(rows)
    columns["remarks"] = [_published(some) for some in remarks]
    return _batch(columns, CANDIDATES)


def drops_batch(rows: Sequence[DroppedRow]) -> pa.RecordBatch:
    """Returns the rows by the schema `WORK_DROPS`, without the ends of long texts; columns of later
    steps hold neutral values."""
    candidates = [one.row.candidate for one in rows]
    columns: dict[str, list[object]] = {
        "ordinal": [one.row.ordinal for one in rows],
        "candidate_id": [one.row.candidate_id for one in rows],
        "step": [one.step for one in rows],
        "key": [""] * len(rows),
        "url": [one.url for one in candidates],
        "page_url": [one.page_url for one in candidates],
        "source": [one.source for one in candidates],
        "reason": [one.drop.reason for one in rows],
        "detail": [one.drop.detail[:MAX_FIELD_CHARACTERS] for one in rows],
        "retryable": [one.drop.retryable for one in rows],
        "duplicate_of": [""] * len(rows),
        "phash_distance": [-1] * len(rows),
        "pdq_distance": [-1] * len(rows),
        "texts": _texts([cut_texts(one.texts) for one in candidates]),
    }
    return _batch(columns, WORK_DROPS)


ImageIndexRow = tuple[str, str, int, str, bool, bool, str, str]
"""A row of `tables.IMAGE_INDEX`."""


def image_index_batch(entries: Sequence[ImageIndexRow]) -> pa.RecordBatch:
    """Returns the rows by the schema `IMAGE_INDEX`."""
    columns = zip(*entries, strict=True)
    return _batch(dict(zip(IMAGE_INDEX.names, map(list, columns), strict=True)), IMAGE_INDEX)


def _shared_columns(rows: Sequence[CandidateRow]) -> dict[str, list[object]]:
    """The columns that `RAW` and `CANDIDATES` share."""
    candidates = [row.candidate for row in rows]
    origins = [one.origin or Origin(kind="web", path="") for one in candidates]
    return {
        "ordinal": [row.ordinal for row in rows],
        "candidate_id": [row.candidate_id for row in rows],
        "url": [one.url for one in candidates],
        "url_key": [row.url_key for row in rows],
        "texts": _texts([one.texts for one in candidates]),
        "page_url": [one.page_url for one in candidates],
        "source": [one.source for one in candidates],
        "licence": [one.licence for one in candidates],
        "author": [one.author for one in candidates],
        "opt_out": [list(one.opt_out) for one in candidates],
        "supply": [one.kind for one in origins],
        "supply_path": [one.path for one in origins],
        "supply_offset": [one.offset for one in origins],
        "boxes": [[side for box in one.boxes for side in box] for one in candidates],
        "fallback_urls": [list(one.fallback_urls[:MAX_FALLBACK_URLS]) for one in candidates],
    }


def _texts(candidates: Sequence[Sequence[Text]]) -> list[object]:
    return [
        [(text.type, text.text, text.relation, text.confidence) for text in texts]
        for texts in candidates
    ]


def _published(remarks: Sequence[tuple[str, Remark]]) -> list[tuple[str, str, str]]:
    return [
        (text_type, one.kind, one.value)
        for text_type, one in remarks
        if one.kind in PUBLISHED_REMARKS
    ]


def _batch(columns: dict[str, list[object]], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class ParquetWriters:
    """Open Parquet files of one part, by name.

    Each exists, with its schema, even if nothing is written to it.
    """

    def __init__(self, out: Path, schemas: dict[str, pa.Schema]) -> None:
        self._paths = {name: out / f"{name}.parquet" for name in schemas}
        self._writers = {
            name: pq.ParquetWriter(self._paths[name], schema, compression="zstd")
            for name, schema in schemas.items()
        }

    def write(self, name: str, batch: pa.RecordBatch) -> None:
        """Appends one row group; an empty batch adds none."""
        if batch.num_rows:
            self._writers[name].write_batch(batch)

    def size_bytes(self) -> int:
        """Returns the size of all files; they must be closed."""
        return sum(path.stat().st_size for path in self._paths.values())

    def __enter__(self) -> "ParquetWriters":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.close()
