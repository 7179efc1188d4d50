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
from wenlan_data.errors import os_errors
from wenlan_data.fetch.jpeg_store import NO_JPEG, JpegLocation
from wenlan_data.fetch.receipts import FetchDetails
from wenlan_data.image.hash import NO_COLOURS
from wenlan_data.part_files import checked
from wenlan_data.protocols import Receipt
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.tables import FACTS, LATER
from wenlan_data.web.urls import host_of

EPOCH = datetime.fromtimestamp(0, UTC)
_NO_PDQ = bytes(32)


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One row of a fetch list, see `tables.WANTED`; in a later pass, see `tables.LATER`."""

    ordinal: int
    url: str
    url_key: str
    host: str
    origin: str
    """`web`, `file`, `warc` or `inline`; column `supply`."""
    origin_path: str
    origin_offset: int
    fallback_urls: tuple[str, ...] = ()
    """Requested in this order where `url` gives no image. Of a record in a WARC: the one that it is
    a record of; empty if it is of `url`."""
    origin_sha256: str = ""
    """Of the payload at `origin_offset`, up to the limit of a WARC reader; empty: not checked."""
    request_url: str = ""
    """What is requested in place of `url`: the target of a redirect, or another copy."""
    redirects: int = 0
    """Number of redirects that led there."""
    copy: int = 0
    """0: `url` itself, n: the nth of `fallback_urls`."""
    passes: int = 0
    """Passes over the fetch lists in which it was requested."""
    own_result: "FetchResult | None" = None
    """Result of `url`, once a fallback URL is tried."""

    @property
    def current_url(self) -> str:
        """The URL that is requested now."""
        return self.request_url or self.url


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


@dataclass(frozen=True, slots=True)
class Redirected:
    """A request that goes on at a host of another fetch list, in a later pass."""

    url: str
    redirects: int


def read_fetch_list(path: str | Path) -> list[FetchRequest]:
    """The rows of a fetch list, of any pass, in order."""
    with os_errors(path):
        # Columns that the lists of the first pass lack are null.
        rows = pq.read_table(checked(path), schema=LATER).to_pylist()
    return [
        FetchRequest(
            ordinal=row["ordinal"],
            url=row["url"],
            url_key=row["url_key"],
            host=row["host"],
            origin=row["supply"],
            origin_path=row["supply_path"],
            origin_offset=row["supply_offset"],
            fallback_urls=tuple(row["fallback_urls"] or ()),
            origin_sha256=row["supply_sha256"] or "",
            request_url=row["request_url"] or "",
            redirects=row["redirects"] or 0,
            copy=row["copy"] or 0,
            passes=row["passes"] or 0,
            own_result=_read_own_result(row["own_result"]) if row["own_result"] else None,
        )
        for row in rows
    ]


def write_later(path: Path, requests: Sequence[FetchRequest]) -> None:
    """Writes requests for a later pass."""
    rows = [
        (
            *(request.ordinal, request.url, request.url_key, host_of(request.current_url)),
            *(request.origin, request.origin_path, request.origin_offset),
            *(list(request.fallback_urls), request.origin_sha256),
            *(request.request_url, request.redirects, request.copy, request.passes),
            _own_result_row(request.own_result) if request.own_result else None,
        )
        for request in requests
    ]
    with os_errors(path):
        pq.write_table(table_of_rows(rows, LATER), path, compression="zstd")


def read_results(paths: Sequence[str]) -> dict[str, FetchResult]:
    """The rows of `facts.parquet` files by `url_key`; of several rows with one key, the first."""
    results: dict[str, FetchResult] = {}
    for path in paths:
        with os_errors(path):
            table = pq.read_table(checked(path), schema=FACTS)
        for row in table.to_pylist():
            results.setdefault(row["url_key"], _read_row(row))
    return results


def write_results(
    path: Path, requests: Sequence[FetchRequest], results: Sequence[FetchResult]
) -> None:
    """Writes one row per request, in order."""
    rows = [_row(request, result) for request, result in zip(requests, results, strict=True)]
    with os_errors(path):
        pq.write_table(table_of_rows(rows, FACTS), path, compression="zstd")


def fetch_receipt(
    results: Sequence[FetchResult], bytes_out: int, details: FetchDetails
) -> Receipt[FetchDetails]:
    """The receipt of a part with these results; `bytes_out` counts the files that it wrote."""
    drops = Counter(result.found.reason for result in results if isinstance(result.found, Drop))
    return Receipt(
        rows_in=len(results),
        rows_out=len(results) - drops.total(),
        bytes_out=bytes_out,
        drops=dict(sorted(drops.items())),
        details=details,
    )


def _own_result_row(result: FetchResult) -> dict[str, object]:
    """A failure without the place of its bytes, which are in the WARC of an earlier part."""
    found = result.found
    if not isinstance(found, Drop):
        raise TypeError("a fallback URL is tried only where the image's own URL gave none")
    return {
        "reason": str(found.reason),
        "detail": found.detail,
        "retryable": found.retryable,
        "sha256": result.sha256,
        "bytes": result.bytes,
        "final_url": result.final_url,
        "status": result.status,
        "ip": result.ip,
        "fetched_at": result.fetched_at,
        "opt_out": list(result.opt_out),
    }


def _read_own_result(row: dict[str, Any]) -> FetchResult:
    names = ("sha256", "bytes", "final_url", "status", "ip", "fetched_at")
    return FetchResult(
        found=Drop(row["reason"], row["detail"], row["retryable"]),
        opt_out=tuple(row["opt_out"]),
        **{name: row[name] for name in names},
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
