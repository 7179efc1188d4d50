"""Fetch lists and fetch results: one request and one result per image, read and written as
Parquet."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from wenlan_data.arrow import table_of_rows
from wenlan_data.errors import DamageError, os_errors
from wenlan_data.fetch.jpeg_store import NO_JPEG, JpegLocation
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.image.hash import NO_COLOURS
from wenlan_data.protocols import Receipt
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.tables import FACTS, WANTED

EPOCH = datetime.fromtimestamp(0, UTC)
_NO_PDQ = bytes(32)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One row of a fetch list, see `tables.WANTED`."""

    ordinal: int
    url: str
    url_key: str
    host: str
    origin: str
    """`web`, `file`, `warc` or `inline`; column `supply`."""
    origin_path: str
    origin_offset: int
    fallback_urls: tuple[str, ...] = ()
    """Requested in this order where `url` gives no image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchResult:
    """One row of `facts.parquet` without the columns that it shares with its request.

    An image that was rejected but recorded keeps offset, length and digest: another recipe can
    check it again.
    """

    found: ImageFacts | Drop
    warc_offset: int = -1
    """Of the first byte in `images.warc`; -1 where nothing was recorded."""
    bytes: int = 0
    sha256: str = ""
    final_url: str = ""
    status: int = 0
    ip: str = ""
    fetched_at: datetime = EPOCH
    opt_out: tuple[str, ...] = ()
    jpeg_location: JpegLocation = NO_JPEG
    fetched_url: str = ""
    """The fallback URL that gave the image; empty where the request's own URL did, or none."""


def read_fetch_list(path: str | Path) -> list[FetchRequest]:
    """The rows of a fetch list, in order."""
    with os_errors(path):
        table = pq.read_table(path, schema=WANTED)
    *columns, fallback_urls = (column.to_pylist() for column in table.columns)
    columns.append([tuple(urls or ()) for urls in fallback_urls])
    return [FetchRequest(*row) for row in zip(*columns, strict=True)]


def read_results(paths: Sequence[str]) -> dict[str, FetchResult]:
    """The rows of `facts.parquet` files by `url_key`; of several rows with one key, the first."""
    results: dict[str, FetchResult] = {}
    for path in paths:
        with os_errors(path):
            table = pq.read_table(path, schema=FACTS)
        for row in table.to_pylist():
            results.setdefault(row["url_key"], _read_row(row))
    return results


def write_results(
    path: Path, requests: Sequence[FetchRequest], results: Sequence[FetchResult | None]
) -> None:
    """Writes one row per request, in order. Raises `DamageError` where a request has no result."""
    rows = []
    for request, result in zip(requests, results, strict=True):
        if result is None:
            raise DamageError(
                f"{path}: {request.url} was neither fetched nor dropped: this is an error of ours, report it"
            )
        rows.append(_row(request, result))
    with os_errors(path):
        pq.write_table(table_of_rows(rows, FACTS), path, compression="zstd")


def fetch_receipt(
    results: Sequence[FetchResult | None], bytes_out: int, details: FetchDetails
) -> Receipt[FetchDetails]:
    """The receipt of a part with these results; `bytes_out` counts the files that it wrote."""
    drops = Counter(
        result.found.reason for result in results if result and isinstance(result.found, Drop)
    )
    good = sum(1 for result in results if result and not isinstance(result.found, Drop))
    return Receipt(
        rows_in=len(results),
        rows_out=good,
        bytes_out=bytes_out,
        drops=dict(sorted(drops.items())),
        details=details,
    )


def _row(request: FetchRequest, result: FetchResult) -> tuple[object, ...]:
    found = result.found
    if isinstance(found, Drop):
        columns: tuple[object, ...] = (
            found.reason,
            found.detail,
            found.retryable,
            result.sha256,
            result.bytes,
        )
        columns += ("", 0, 0, 0, _NO_PDQ, NO_COLOURS)
    else:
        columns = ("", "", False, found.sha256, found.bytes)
        columns += (found.format, found.width, found.height, found.phash, found.pdq, found.colours)
    exchange = (
        result.warc_offset,
        result.final_url,
        result.status,
        result.ip,
        result.fetched_at,
        list(result.opt_out),
    )
    jpeg = (result.jpeg_location.offset, result.jpeg_location.bytes, result.jpeg_location.crc32c)
    shared = (request.ordinal, request.url, request.url_key)
    return (*shared, *columns, *exchange, *jpeg, result.fetched_url)


def _read_row(row: dict[str, Any]) -> FetchResult:
    return FetchResult(
        found=_found(row),
        **{
            name: row[name]
            for name in (
                "warc_offset",
                "bytes",
                "sha256",
                "final_url",
                "status",
                "ip",
                "fetched_at",
            )
        },
        opt_out=tuple(row["opt_out"]),
        # Version 6 of the step recorded none.
        fetched_url=row["fetched_url"] or "",
    )


def _found(row: dict[str, Any]) -> ImageFacts | Drop:
    if row["reason"]:
        return Drop(row["reason"], row["detail"], row["retryable"])
    names = ("sha256", "bytes", "format", "width", "height", "phash", "pdq", "colours")
    return ImageFacts(**{name: row[name] for name in names})
