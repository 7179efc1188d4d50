"""One recorded row of the extract step, and how rows become the columns of its files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.records import Box, Candidate, Drop, Origin, Remark, Text
from wenlan_data.seen_ids import Known, ids_array
from wenlan_data.tables import CANDIDATES, IMAGE_INDEX, WORK_DROPS

BATCH_ROWS = 8_192

REMARKS_KEPT = ("script", "flag", "rejected", "repeats")
"""What a sample tells of its texts; authors have a field of their own, and removed characters are only counted."""

UNUSABLE = "none"
"""The supply of a recorded row that the source could not read: `supply_path` holds `reason: detail`."""


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate as the source gave it, or why the source gave none, with its place and id."""

    ordinal: int
    candidate_id: bytes
    candidate: Candidate
    url_key: str


def unusable(drop: Drop, source: str) -> Candidate:
    """What `raw.parquet` records for a row that the source could not read, so that `--from` counts it again."""
    stored = Origin(kind=UNUSABLE, path=f"{drop.reason}: {drop.detail}")
    return Candidate(url="", texts=(), source=source, stored=stored)


def recorded_drop(candidate: Candidate) -> Drop | None:
    """The drop that `unusable` recorded; None for a candidate that was read."""
    if candidate.stored is None or candidate.stored.kind != UNUSABLE:
        return None
    reason, _, detail = candidate.stored.path.partition(": ")
    return Drop(reason, detail)


def read_rows(path: str, wanted: Known | None = None) -> Iterator[Row]:
    """The rows of a `raw.parquet`, with their ordinals and ids; those of `wanted` ids alone, if given."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            some = batch.filter(_mask(batch, wanted)) if wanted else batch
            for value in some.to_pylist():
                stored = Origin(
                    kind=value["supply"], path=value["supply_path"], offset=value["supply_offset"]
                )
                candidate = Candidate(
                    url=value["url"],
                    texts=tuple(Text(one["type"], one["text"]) for one in value["texts"]),
                    page_url=value["page_url"],
                    source=value["source"],
                    licence=value["licence"],
                    author=value["author"],
                    opt_out=tuple(value["opt_out"]),
                    stored=None if stored.kind == "web" else stored,
                    boxes=boxes_of(value["boxes"]),
                )
                yield Row(value["ordinal"], value["candidate_id"], candidate, value["url_key"])


def boxes_of(flat: Sequence[int] | None) -> tuple[Box, ...]:
    """The boxes of a `tables.BOXES` value."""
    sides = iter(flat or ())
    return tuple(zip(sides, sides, sides, sides, strict=True))


def _mask(batch: pa.RecordBatch, wanted: Known) -> pa.BooleanArray:
    ids = ids_array(one for one in batch["candidate_id"].to_pylist() if one is not None)
    return pa.array(wanted.contains(ids))


def candidate_columns(
    rows: Sequence[Row], remarks: Sequence[Sequence[tuple[str, Remark]]]
) -> pa.RecordBatch:
    """The rows by the schema `CANDIDATES`, with what the rules remarked of their texts."""
    candidates = [row.candidate for row in rows]
    stored = [one.stored for one in candidates]
    columns: list[list[object]] = [
        [row.ordinal for row in rows],
        [row.candidate_id for row in rows],
        [one.url for one in candidates],
        [row.url_key for row in rows],
        _texts([one.texts for one in candidates]),
        [one.page_url for one in candidates],
        [one.source for one in candidates],
        [one.licence for one in candidates],
        [one.author for one in candidates],
        [list(one.opt_out) for one in candidates],
        [one.kind if one else "web" for one in stored],
        [one.path if one else "" for one in stored],
        [one.offset if one else 0 for one in stored],
        [_remarks(some) for some in remarks],
        [[side for box in one.boxes for side in box] for one in candidates],
    ]
    return _batch(columns, CANDIDATES)


def drop_columns(rows: Sequence[tuple[Row, str, Drop]]) -> pa.RecordBatch:
    """Rows left out, with the step and why, by the schema `WORK_DROPS`."""
    candidates = [row.candidate for row, _, _ in rows]
    count = len(rows)
    columns: list[list[object]] = [
        [row.ordinal for row, _, _ in rows],
        [row.candidate_id for row, _, _ in rows],
        [step for _, step, _ in rows],
        [""] * count,
        [one.url for one in candidates],
        [one.page_url for one in candidates],
        [one.source for one in candidates],
        [drop.reason for _, _, drop in rows],
        [drop.detail for _, _, drop in rows],
        [drop.retryable for _, _, drop in rows],
        [""] * count,
        [-1] * count,
        [-1] * count,
        _texts([one.texts for one in candidates]),
    ]
    return _batch(columns, WORK_DROPS)


def index_columns(entries: Sequence[tuple[str, str, int]]) -> pa.RecordBatch:
    """URL key, WARC and record offset of pictures at hand, by the schema `IMAGE_INDEX`."""
    return _batch([list(column) for column in zip(*entries, strict=True)], IMAGE_INDEX)


def _texts(texts: Sequence[Sequence[Text]]) -> list[object]:
    return [[(one.type, one.text) for one in some] for some in texts]


def _remarks(remarks: Sequence[tuple[str, Remark]]) -> list[tuple[str, str, str]]:
    return [(kind, one.kind, one.value) for kind, one in remarks if one.kind in REMARKS_KEPT]


def _batch(columns: Sequence[list[object]], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class Tables:
    """Open Parquet files of one part, by name; each is there, with its schema, even where nothing is written."""

    def __init__(self, out: Path, schemas: dict[str, pa.Schema]) -> None:
        self._paths = {name: out / f"{name}.parquet" for name in schemas}
        self._writers = {
            name: pq.ParquetWriter(self._paths[name], schema, compression="zstd")
            for name, schema in schemas.items()
        }

    def write(self, name: str, batch: pa.RecordBatch) -> None:
        """Append one row group."""
        if batch.num_rows:
            self._writers[name].write_batch(batch)

    def size_bytes(self) -> int:
        """Of all files, once they are closed."""
        return sum(path.stat().st_size for path in self._paths.values())

    def __enter__(self) -> "Tables":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.close()
