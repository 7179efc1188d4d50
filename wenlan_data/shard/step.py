"""Builds one output shard: kept rows and stored images in, a tar with its tables out."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wenlan_data.bounded_tables import check_written
from wenlan_data.clean.masking import mask_author, mask_licence, mask_unless_url
from wenlan_data.clean.words import words
from wenlan_data.detect.regions import (
    DetectionInput,
    RegionFinder,
    region_finder,
    scale_boxes,
)
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.fetch.jpeg_store import read_bytes, read_jpeg
from wenlan_data.files import sync
from wenlan_data.image.decode import Pixels
from wenlan_data.image.jpeg import read_header
from wenlan_data.image.metadata_credits import credits_of
from wenlan_data.image.normalise import StoredJpeg, pass_through, size_within
from wenlan_data.image.rules import ImageRules
from wenlan_data.layout import PART_DROPS, PART_METADATA, STORED_JPEGS
from wenlan_data.protocols import Receipt
from wenlan_data.reasons import Reason
from wenlan_data.recipe import DetectRules, ShardRules
from wenlan_data.records import Drop, Region, Sample
from wenlan_data.sandbox.client import decode_stored
from wenlan_data.shard.caption_reason import caption_reason
from wenlan_data.shard.format import encode_sample, offsets_name, sample_fields, shard_name
from wenlan_data.shard.index import read_offsets, save_offsets
from wenlan_data.shard.kept_rows import BATCH_ROWS, KeptRow, read_kept_rows
from wenlan_data.shard.writer import write_shard
from wenlan_data.tables import METADATA, WORK_DROPS


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFile:
    """A table written beside the tar."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardDetails:
    """Files of a shard, with sizes and digests for the manifest."""

    name: str
    """Of the tar."""
    bytes: int
    sha256: str
    samples: int
    offsets: WrittenFile
    metadata: WrittenFile


@dataclass(frozen=True, slots=True)
class _StoredImage:
    """A kept row with its image as the shard stores it."""

    row: KeptRow
    image: DetectionInput
    jpeg_sha256: str
    """Digest of the stored JPEG; empty if it is not known yet."""


@dataclass(frozen=True, kw_only=True)
class ShardPart:
    """Part of the shard step: one output shard. Running it twice gives the same bytes.

    An image that is stored as fetched was decoded at a fraction of its size by the fetch step. If
    a detector reads its pixels and it cannot be decoded whole, or crashes the decoder, it becomes a
    row of `drops.parquet`; so does an image without an end-of-image marker.
    """

    shard_number: int
    kept: str
    """Path of a Parquet file of `tables.KEPT` rows, sorted by key."""
    warcs: dict[int, str]
    """Number of the fetch part to the path of its `images.warc`."""
    image: ImageRules
    detect: DetectRules
    shard: ShardRules
    tokens: bool = True
    """Whether captions are segmented into words."""

    def __call__(self, out: Path) -> Receipt[ShardDetails]:
        """Writes the tar, its offsets table, `metadata.parquet` and `drops.parquet`.

        Raises `DamageError` where recorded bytes have changed since they were fetched.
        """
        name = shard_name(self.shard_number)
        dropped: list[tuple[KeptRow, Drop]] = []
        with os_errors(out), _MetadataWriter(out / PART_METADATA, name) as metadata:
            written = write_shard(out / name, self._samples(metadata, dropped))
        with os_errors(out):
            _write_drops(out / PART_DROPS, dropped)
        save_offsets(out / offsets_name(name), written.locations)
        # Before anything is published, since what readers refuse cannot be repaired afterwards.
        check_written(out / PART_METADATA, METADATA)
        read_offsets(out / offsets_name(name))
        details = ShardDetails(
            name=name,
            bytes=written.bytes,
            sha256=written.sha256,
            samples=written.samples,
            offsets=_written_file(out / offsets_name(name)),
            metadata=_written_file(out / PART_METADATA),
        )
        return Receipt(
            rows_in=written.samples + len(dropped),
            rows_out=written.samples,
            bytes_out=written.bytes,
            drops=dict(Counter(drop.reason for _, drop in dropped)),
            details=details,
        )

    def _samples(
        self, metadata: "_MetadataWriter", dropped: list[tuple[KeptRow, Drop]]
    ) -> Iterator[tuple[str, dict[str, bytes]]]:
        """Yields key and members of each sample; appends the others to `dropped`."""
        find, batch_size = region_finder(self.detect.load(), self.detect.max_regions)
        stored_images = self._stored_images(read_kept_rows(Path(self.kept)), dropped)
        while batch := _with_regions(list(islice(stored_images, batch_size)), find):
            for stored, regions in batch:
                sample = self._sample(stored, regions)
                fields = sample_fields(sample, stored.jpeg_sha256)
                metadata.add(sample, fields, stored.row)
                yield sample.key, encode_sample(sample, fields)

    def _sample(self, stored: _StoredImage, regions: tuple[Region, ...]) -> Sample:
        row, image = stored.row, stored.image
        return Sample(
            key=row.key,
            jpeg=image.jpeg,
            caption=row.caption,
            caption_type=row.caption_type,
            texts=row.texts,
            regions=regions,
            width=image.width,
            height=image.height,
            sha256=row.sha256,
            phash=row.phash,
            pdq=row.pdq,
            # Of a file it is the path, whose name may hold a telephone number.
            image_url=mask_unless_url(row.fetched_url or row.url),
            page_url=row.page_url,
            source=row.source,
            licence=mask_licence(row.licence),
            author=mask_author(row.author),
            opt_out=row.opt_out,
            detector=self.detect.detector,
            tokens=tuple(words(row.caption)) if self.tokens else (),
        )

    def _stored_images(
        self, rows: Iterator[KeptRow], dropped: list[tuple[KeptRow, Drop]]
    ) -> Iterator[_StoredImage]:
        """Yields each row with its stored image, decoded if the detector reads pixels."""
        needs_pixels = self.detect.load().needs_pixels
        for kept_row in rows:
            # Also of a re-encoded image: its digest becomes part of the sample, and its metadata
            # may state the credits that the page does not.
            fetched = self._read_fetched(kept_row)
            row = kept_row if _is_credited(kept_row) else _with_embedded_credits(kept_row, fetched)
            stored = self._stored_jpeg(row, fetched)
            if isinstance(stored, Drop):
                dropped.append((row, stored))
                continue
            pixels = decode_stored(stored.jpeg) if needs_pixels else None
            if isinstance(pixels, Drop):
                dropped.append((row, pixels))
                continue
            jpeg_sha256 = row.sha256 if stored.jpeg is fetched else ""
            yield _StoredImage(row, _detection_input(row, stored, pixels), jpeg_sha256)

    def _read_fetched(self, row: KeptRow) -> bytes:
        """Reads the bytes of an image as fetched. Raises `DamageError` where they have changed."""
        warc = self.warcs[row.fetch_part]
        data = read_bytes(warc, row.warc_offset, row.fetched_bytes)
        if hashlib.sha256(data).hexdigest() != row.sha256:
            raise DamageError(
                f"{warc}: the {row.fetched_bytes} bytes at {row.warc_offset} ({row.url!r}) are not"
                " what was fetched: the file has changed, restore it or build into a new folder"
            )
        return data

    def _stored_jpeg(self, row: KeptRow, fetched: bytes) -> StoredJpeg | Drop:
        """Returns the JPEG that the fetch step made, or the fetched one without its metadata."""
        if _is_reencoded(row):
            path = Path(self.warcs[row.fetch_part]).with_name(STORED_JPEGS)
            width, height = size_within(row.width, row.height, self.image.max_side_px)
            jpeg = read_jpeg(str(path), row.jpeg)
            header = read_header(jpeg)
            if isinstance(header, Drop) or (header.width, header.height) != (width, height):
                raise DamageError(
                    f"{path}: the image at byte {row.jpeg.offset} is not that of {row.url!r}: "
                    "the file has changed, build into a new folder"
                )
            return StoredJpeg(jpeg=jpeg, width=width, height=height)
        stored = pass_through(fetched, max_side_px=self.image.max_side_px)
        return stored or Drop(Reason.TRUNCATED, "no end mark")


def _is_reencoded(row: KeptRow) -> bool:
    return row.jpeg.offset >= 0


def _is_credited(row: KeptRow) -> bool:
    return bool(row.licence and row.author)


def _with_embedded_credits(row: KeptRow, fetched: bytes) -> KeptRow:
    """Takes the licence or author that the page does not state from the image's own metadata."""
    embedded = credits_of(fetched)
    return replace(
        row,
        licence=row.licence or embedded.licence,
        author=row.author or embedded.author,
    )


def _with_regions(
    batch: Sequence[_StoredImage], find: RegionFinder
) -> list[tuple[_StoredImage, tuple[Region, ...]]]:
    """Returns the images with their regions.

    Drops the pixels: those of the next batch are decoded while these images are written.
    """
    found = find([stored.image for stored in batch]) if batch else []
    return [
        (replace(stored, image=replace(stored.image, pixels=None)), regions)
        for stored, regions in zip(batch, found, strict=True)
    ]


def _detection_input(row: KeptRow, stored: StoredJpeg, pixels: Pixels | None) -> DetectionInput:
    boxes = scale_boxes(row.boxes, (row.width, row.height), (stored.width, stored.height))
    return DetectionInput(
        jpeg=stored.jpeg, width=stored.width, height=stored.height, boxes=boxes, pixels=pixels
    )


_MAX_BATCH_CHARACTERS = 12 << 20
"""Of the texts of a batch."""


class _MetadataWriter:
    """Writes the metadata table in batches: regions of 10,000 samples are 150 MB as objects. A
    batch of long texts has fewer rows, because readers refuse pages above 64 MiB."""

    def __init__(self, path: Path, shard: str) -> None:
        self._writer = pq.ParquetWriter(path, METADATA, compression="zstd")
        self._shard = shard
        self._rows: list[dict[str, object]] = []
        self._characters = 0

    def add(self, sample: Sample, fields: Mapping[str, object], row: KeptRow) -> None:
        """Adds a sample, with the fetch time and addresses that the tar must not hold."""
        self._rows.append(
            {
                **fields,
                **caption_reason(row.caption_type, row.texts, row.remarks),
                "opt_out": list(sample.opt_out),
                "tokens": list(sample.tokens),
                "token_count": len(sample.tokens),
                "final_url": mask_unless_url(row.final_url),
                "fetched_at": row.fetched_at,
                "ip": row.ip,
                "caption": sample.caption,
                "shard": self._shard,
            }
        )
        self._characters += sum(len(text.text) for text in row.texts)
        if len(self._rows) >= BATCH_ROWS or self._characters >= _MAX_BATCH_CHARACTERS:
            self._flush()

    def __enter__(self) -> "_MetadataWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=METADATA))
            self._rows, self._characters = [], 0


def _write_drops(path: Path, dropped: Sequence[tuple[KeptRow, Drop]]) -> None:
    # Never retryable: the decoder had its second attempt, and the URL counts as known. The texts
    # are those of the sample, merged with those of its duplicates.
    rows = [
        {
            "ordinal": row.ordinal,
            "candidate_id": row.candidate_id,
            "step": "shard",
            "key": row.key,
            "url": row.url,
            "page_url": row.page_url,
            "source": row.source,
            "reason": drop.reason,
            "detail": drop.detail,
            "retryable": False,
            "duplicate_of": "",
            "phash_distance": -1,
            "pdq_distance": -1,
            "texts": [asdict(text) for text in row.texts],
        }
        for row, drop in dropped
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=WORK_DROPS), path, compression="zstd")


def _written_file(path: Path) -> WrittenFile:
    data = path.read_bytes()
    sync(path)
    return WrittenFile(name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
