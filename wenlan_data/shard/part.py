"""The work of one output shard: stored pictures and kept rows in, a tar, its offsets and its metadata out."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.clean.words import words
from wenlan_data.detect.regions import Looked, finder, scaled
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.extract.rows import boxes_of
from wenlan_data.image.credits import credits_of
from wenlan_data.image.normalise import Stored, normalise
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import DetectRules, ImageRules, ShardRules
from wenlan_data.records import Remark, Sample, Text
from wenlan_data.shard.choice import told
from wenlan_data.shard.format import encode_sample, offsets_name, sample_fields, shard_name
from wenlan_data.shard.index import save_offsets
from wenlan_data.shard.writer import write_shard
from wenlan_data.tables import METADATA

BATCH_ROWS = 512
METADATA_NAME = "metadata.parquet"

Row = dict[str, object]


@dataclass(frozen=True, kw_only=True)
class ShardPart:
    """One output shard. Running it twice gives the same bytes."""

    shard_number: int
    kept: str
    """A Parquet file of `tables.KEPT` rows, sorted by key."""
    warcs: dict[int, str]
    """Number of the fetch part to the path of its `images.warc`."""
    image: ImageRules
    detect: DetectRules
    shard: ShardRules
    tokens: bool = True
    """Whether captions are cut into words."""

    def __call__(self, out: Path) -> Receipt:
        """Write the tar, its offsets and `metadata.parquet`; raises `DamageError` for changed bytes."""
        name = shard_name(self.shard_number)
        with os_errors(out), _Metadata(out / METADATA_NAME, name) as metadata:
            written = write_shard(out / name, self._samples(metadata))
        save_offsets(out / offsets_name(name), written.places)
        offsets = _file(out / offsets_name(name))
        details: dict[str, object] = {
            "name": name,
            "bytes": written.bytes,
            "sha256": written.sha256,
            "samples": written.samples,
            "offsets": {"name": offsets_name(name), **offsets},
            "metadata": _file(out / METADATA_NAME),
        }
        return Receipt(rows_in=written.samples, rows_out=written.samples, bytes_out=written.bytes, details=details)

    def _samples(self, metadata: "_Metadata") -> Iterator[tuple[str, dict[str, bytes]]]:
        find, batch_size = finder(self.detect)
        rows = _rows(Path(self.kept))
        while some := list(islice(rows, batch_size)):
            pictures, digests = zip(*(self._picture(row) for row in some), strict=True)
            for row, picture, jpeg_sha256, regions in zip(some, pictures, digests, find(pictures), strict=True):
                sample = Sample(
                    jpeg=picture.jpeg,
                    regions=regions,
                    width=picture.width,
                    height=picture.height,
                    detector=self.detect.detector,
                    tokens=tuple(words(cast("str", row["caption"]))) if self.tokens else (),
                    **_from_row(row),  # type: ignore[arg-type]
                )
                fields = sample_fields(sample, jpeg_sha256)
                metadata.add(sample, fields, row)
                yield sample.key, encode_sample(sample, fields)

    def _picture(self, row: Row) -> tuple[Looked, str]:
        """The row's picture as it is stored, and its digest if that is known.

        What the page does not say of licence and author, the picture's metadata may.
        """
        warc = self.warcs[cast("int", row["fetch_part"])]
        data = _stored(warc, row)
        if not (row["licence"] and row["author"]):
            said = credits_of(data)
            row.update(licence=row["licence"] or said.licence, author=row["author"] or said.author)
        stored = self._normalise(data, warc, row)
        fetched_size = cast("int", row["width"]), cast("int", row["height"])
        boxes = scaled(boxes_of(cast("list[int] | None", row["boxes"])), fetched_size, (stored.width, stored.height))
        known = cast("str", row["sha256"]) if stored.jpeg is data else ""
        return Looked(jpeg=stored.jpeg, width=stored.width, height=stored.height, boxes=boxes), known

    def _normalise(self, data: bytes, warc: str, row: Row) -> Stored:
        try:
            return normalise(data, max_side_px=self.image.max_side_px, jpeg_quality=self.shard.jpeg_quality)
        except DamageError as error:
            raise DamageError(f"{warc}: {row['url']!r} at byte {row['warc_offset']}: {error}") from error


class _Metadata:
    """The metadata table, written by batches: regions of 10,000 samples as Python objects are 150 MB."""

    def __init__(self, path: Path, shard: str) -> None:
        self._writer = pq.ParquetWriter(path, METADATA, compression="zstd")
        self._shard = shard
        self._rows: list[Row] = []

    def add(self, sample: Sample, fields: Row, row: Row) -> None:
        """Take the sample's fields, and of its row what the tar must not hold: times and addresses."""
        fetched = {name: row[name] for name in ("final_url", "fetched_at", "ip")}
        lists = {"opt_out": list(sample.opt_out), "tokens": list(sample.tokens), "token_count": len(sample.tokens)}
        self._rows.append({**fields, **lists, **fetched, **_told(row), "caption": sample.caption, "shard": self._shard})
        if len(self._rows) >= BATCH_ROWS:
            self._flush()

    def __enter__(self) -> "_Metadata":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=METADATA))
            self._rows = []


def _rows(kept: Path) -> Iterator[Row]:
    with pq.ParquetFile(kept) as table:
        for batch in table.iter_batches(batch_size=BATCH_ROWS):
            yield from batch.to_pylist()


def _stored(warc: str, row: Row) -> bytes:
    offset, size = cast("int", row["warc_offset"]), cast("int", row["bytes"])
    # Opened each time: keys are digests, so one shard can touch more WARCs than a process may hold open.
    descriptor = os.open(warc, os.O_RDONLY)
    try:
        data = os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)
    if hashlib.sha256(data).hexdigest() != row["sha256"]:
        raise DamageError(
            f"{warc}: the {size} bytes at {offset} ({row['url']!r}) are not what was fetched:"
            " the file has changed, restore it or build into a new folder"
        )
    return data


def _from_row(row: Row) -> dict[str, object]:
    same = (
        "key",
        "caption",
        "caption_type",
        "sha256",
        "phash",
        "pdq",
        "page_url",
        "source",
        "licence",
        "author",
    )
    texts = cast("list[dict[str, str]]", row["texts"])
    return {
        **{name: row[name] for name in same},
        "image_url": row["url"],
        "texts": tuple(Text(text["type"], text["text"]) for text in texts),
        "opt_out": tuple(cast("list[str]", row["opt_out"])),
    }


def _told(row: Row) -> Row:
    types = [text["type"] for text in cast("list[dict[str, str]]", row["texts"])]
    found = cast("list[dict[str, str]]", row["remarks"] or [])
    remarks = [(one["type"], Remark(one["kind"], one["value"])) for one in found]
    return told(cast("str", row["caption_type"]), types, remarks)


def _file(path: Path) -> dict[str, object]:
    data = path.read_bytes()
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
