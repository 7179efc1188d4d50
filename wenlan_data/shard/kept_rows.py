"""Rows of `tables.KEPT`: what the dedupe step decided for each sample of one output shard."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from wenlan_data.extract.candidate_tables import unflatten_boxes
from wenlan_data.fetch.jpeg_store import JpegLocation
from wenlan_data.part_files import checked
from wenlan_data.records import Box, Remark, Text, parse_text

BATCH_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRow:
    """One sample without its image."""

    key: str
    ordinal: int
    """Position of the source row in its generation, see `layout.ordinal`."""
    candidate_id: bytes
    url: str
    page_url: str
    source: str
    licence: str
    author: str
    opt_out: tuple[str, ...]
    texts: tuple[Text, ...]
    caption: str
    caption_type: str
    remarks: tuple[tuple[str, Remark], ...]
    """Text types with the remarks that the text rules made about them."""
    sha256: str
    """Of the fetched bytes."""
    fetched_bytes: int
    width: int
    """Pixels of the fetched image, upright; the stored JPEG may be smaller."""
    height: int
    phash: int
    pdq: bytes
    fetch_part: int
    """Number of the fetch part that recorded the image."""
    warc_offset: int
    """Of the first fetched byte in that part's `images.warc`."""
    jpeg: JpegLocation
    """Place in that part's `encoded.bin`, of an image that the fetch step re-encoded."""
    final_url: str
    ip: str
    fetched_at: datetime
    boxes: tuple[Box, ...]
    """The source's boxes, in pixels of the fetched image."""
    fetched_url: str
    """The fallback URL that gave the image; empty where `url` did."""


def read_kept_rows(path: Path) -> Iterator[KeptRow]:
    """Yields the rows of a Parquet file of `tables.KEPT`, in order, with one batch in memory."""
    with pq.ParquetFile(checked(path)) as table:
        for batch in table.iter_batches(batch_size=BATCH_ROWS):
            yield from map(_kept_row, batch.to_pylist())


def _kept_row(row: Mapping[str, Any]) -> KeptRow:
    return KeptRow(
        key=row["key"],
        ordinal=row["ordinal"],
        candidate_id=row["candidate_id"],
        url=row["url"],
        page_url=row["page_url"],
        source=row["source"],
        licence=row["licence"],
        author=row["author"],
        opt_out=tuple(row["opt_out"]),
        texts=tuple(map(parse_text, row["texts"])),
        caption=row["caption"],
        caption_type=row["caption_type"],
        remarks=tuple(
            (one["type"], Remark(one["kind"], one["value"])) for one in row["remarks"] or ()
        ),
        sha256=row["sha256"],
        fetched_bytes=row["bytes"],
        width=row["width"],
        height=row["height"],
        phash=row["phash"],
        pdq=row["pdq"],
        fetch_part=row["fetch_part"],
        warc_offset=row["warc_offset"],
        jpeg=JpegLocation(row["encoded_offset"], row["encoded_bytes"], row["encoded_crc32c"]),
        final_url=row["final_url"],
        ip=row["ip"],
        fetched_at=row["fetched_at"],
        boxes=unflatten_boxes(row["boxes"]),
        fetched_url=row["fetched_url"] or "",
    )
