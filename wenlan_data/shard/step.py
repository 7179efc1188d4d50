"""The work of one output shard: stored pictures and kept rows in, a tar, its offsets and its metadata out."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.clean.words import words
from wenlan_data.detect.regions import (
    DetectionInput,
    RegionFinder,
    region_finder,
    scale_boxes,
)
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.extract.candidate_tables import unflatten_boxes
from wenlan_data.fetch.jpeg_store import JpegLocation, read_bytes, read_jpeg
from wenlan_data.files import sync
from wenlan_data.image.decode import Pixels
from wenlan_data.image.metadata_credits import credits_of
from wenlan_data.image.normalise import StoredJpeg, pass_through, size_within
from wenlan_data.image.rules import ImageRules
from wenlan_data.layout import PART_DROPS, PART_METADATA, STORED_JPEGS
from wenlan_data.protocols import Receipt
from wenlan_data.recipe import DetectRules, ShardRules
from wenlan_data.records import Drop, Region, Remark, Sample, Text
from wenlan_data.sandbox.client import decode_stored
from wenlan_data.shard.caption_reason import caption_reason
from wenlan_data.shard.format import encode_sample, offsets_name, sample_fields, shard_name
from wenlan_data.shard.index import save_offsets
from wenlan_data.shard.writer import write_shard
from wenlan_data.tables import METADATA, WORK_DROPS

BATCH_ROWS = 512
_NOT_COMPARED = {"duplicate_of": "", "phash_distance": -1, "pdq_distance": -1}

Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A file beside the tar."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardDetails:
    """The files of a shard."""

    name: str
    """Of the tar."""
    bytes: int
    sha256: str
    samples: int
    offsets: WrittenFile
    metadata: WrittenFile


@dataclass(frozen=True, kw_only=True)
class ShardPart:
    """One output shard. Running it twice gives the same bytes.

    What is stored as it came was decoded at a fraction of its size when it was fetched: where a detector looks at its
    pixels and it cannot be decoded whole, or kills its decoder, it is a row of `drops.parquet`, as is one whose end
    mark is not found.
    """

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

    def __call__(self, out: Path) -> Receipt[ShardDetails]:
        """Write the tar, its offsets, `metadata.parquet` and drops; raises `DamageError` for changed bytes."""
        name = shard_name(self.shard_number)
        dropped: list[tuple[Row, Drop]] = []
        with os_errors(out), _Metadata(out / PART_METADATA, name) as metadata:
            written = write_shard(out / name, self._samples(metadata, dropped))
        with os_errors(out):
            _write_drops(out / PART_DROPS, dropped)
        save_offsets(out / offsets_name(name), written.places)
        details = ShardDetails(
            name=name,
            bytes=written.bytes,
            sha256=written.sha256,
            samples=written.samples,
            offsets=_file(out / offsets_name(name)),
            metadata=_file(out / PART_METADATA),
        )
        return Receipt(
            rows_in=written.samples + len(dropped),
            rows_out=written.samples,
            bytes_out=written.bytes,
            drops=dict(Counter(drop.reason for _, drop in dropped)),
            details=details,
        )

    def _samples(
        self, metadata: "_Metadata", dropped: list[tuple[Row, Drop]]
    ) -> Iterator[tuple[str, dict[str, bytes]]]:
        find, batch_size = region_finder(self.detect.load(), self.detect.max_regions)
        good = self._good(_rows(Path(self.kept)), dropped)
        while batch := _looked_at(list(islice(good, batch_size)), find):
            for row, picture, jpeg_sha256, regions in batch:
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

    def _good(
        self, rows: Iterator[Row], dropped: list[tuple[Row, Drop]]
    ) -> Iterator[tuple[Row, DetectionInput, str]]:
        """Each row with its picture as it is stored, and that one's digest where it is known."""
        load_pixels = self.detect.load().needs_pixels
        for row in rows:
            found = self._picture(row)
            decoded = (
                decode_stored(found[0].jpeg)
                if load_pixels and not isinstance(found, Drop)
                else None
            )
            if isinstance(found, Drop) or isinstance(decoded, Drop):
                dropped.append((row, found if isinstance(found, Drop) else cast("Drop", decoded)))
            else:
                yield row, _looked(row, found[0], decoded), found[1]

    def _picture(self, row: Row) -> tuple[StoredJpeg, str] | Drop:
        """What is stored, and its digest if that is known.

        What the page does not say of licence and author, the picture's metadata may.
        """
        is_encoded, tells_who = (
            cast("int", row["encoded_offset"]) >= 0,
            bool(row["licence"] and row["author"]),
        )
        warc = self.warcs[cast("int", row["fetch_part"])]
        data = b"" if is_encoded and tells_who else _recorded(warc, row)
        if not tells_who:
            said = credits_of(data)
            row.update(licence=row["licence"] or said.licence, author=row["author"] or said.author)
        if is_encoded:
            return self._encoded(warc, row), ""
        stored = pass_through(data, max_side_px=self.image.max_side_px)
        if stored is None:
            return Drop("truncated", "no end mark")
        return stored, cast("str", row["sha256"]) if stored.jpeg is data else ""

    def _encoded(self, warc: str, row: Row) -> StoredJpeg:
        names = ("encoded_offset", "encoded_bytes", "encoded_crc32c")
        jpeg = read_jpeg(
            str(Path(warc).with_name(STORED_JPEGS)),
            JpegLocation(*(cast("int", row[name]) for name in names)),
        )
        came = cast("int", row["width"]), cast("int", row["height"])
        width, height = size_within(*came, self.image.max_side_px)
        return StoredJpeg(jpeg=jpeg, width=width, height=height)


def _looked_at(
    some: Sequence[tuple[Row, DetectionInput, str]], find: RegionFinder
) -> list[tuple[Row, DetectionInput, str, tuple[Region, ...]]]:
    """The same with their regions, without pixels: those of the next batch are decoded when these are written."""
    every = find([picture for _, picture, _ in some]) if some else []
    return [
        (row, replace(picture, pixels=None), known, regions)
        for (row, picture, known), regions in zip(some, every, strict=True)
    ]


def _looked(row: Row, stored: StoredJpeg, decoded: Pixels | None) -> DetectionInput:
    fetched_size = cast("int", row["width"]), cast("int", row["height"])
    boxes = scale_boxes(
        unflatten_boxes(cast("list[int] | None", row["boxes"])),
        fetched_size,
        (stored.width, stored.height),
    )
    return DetectionInput(
        jpeg=stored.jpeg, width=stored.width, height=stored.height, boxes=boxes, pixels=decoded
    )


class _Metadata:
    """The metadata table, written by batches: regions of 10,000 samples as Python objects are 150 MB."""

    def __init__(self, path: Path, shard: str) -> None:
        self._writer = pq.ParquetWriter(path, METADATA, compression="zstd")
        self._shard = shard
        self._rows: list[Row] = []

    def add(self, sample: Sample, fields: Row, row: Row) -> None:
        """Take the sample's fields, and of its row what the tar must not hold: times and addresses."""
        fetched = {name: row[name] for name in ("final_url", "fetched_at", "ip")}
        lists = {
            "opt_out": list(sample.opt_out),
            "tokens": list(sample.tokens),
            "token_count": len(sample.tokens),
        }
        self._rows.append(
            {
                **fields,
                **lists,
                **fetched,
                **_told(row),
                "caption": sample.caption,
                "shard": self._shard,
            }
        )
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


def _write_drops(path: Path, dropped: list[tuple[Row, Drop]]) -> None:
    # Not retryable: it has had its second try, and its URL counts as known. The texts are the sample's, with those of
    # its duplicates.
    said = [
        {
            **row,
            "step": "shard",
            "reason": drop.reason,
            "detail": drop.detail,
            "retryable": False,
            **_NOT_COMPARED,
        }
        for row, drop in dropped
    ]
    pq.write_table(pa.Table.from_pylist(said, schema=WORK_DROPS), path, compression="zstd")


def _rows(kept: Path) -> Iterator[Row]:
    with pq.ParquetFile(kept) as table:
        for batch in table.iter_batches(batch_size=BATCH_ROWS):
            yield from batch.to_pylist()


def _recorded(warc: str, row: Row) -> bytes:
    offset, size = cast("int", row["warc_offset"]), cast("int", row["bytes"])
    data = read_bytes(warc, offset, size)
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
    return caption_reason(cast("str", row["caption_type"]), types, remarks)


def _file(path: Path) -> WrittenFile:
    data = path.read_bytes()
    sync(path)
    return WrittenFile(name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
