"""Checks the bytes of images, fetched from the web or already stored, and records them in the
part's WARC."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from wenlan_data.errors import DamageError
from wenlan_data.fetch.jpeg_store import NO_JPEG, JpegStoreWriter
from wenlan_data.fetch.results import FetchRequest, FetchResult
from wenlan_data.files import open_regular
from wenlan_data.image.rules import ImageRules
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox.client import ExaminedImage, check_images
from wenlan_data.sandbox.decoding_budget import DecodingBudget
from wenlan_data.sandbox.pages import INLINE, read_inline_images
from wenlan_data.web.blocklists import LoadedBlocklists
from wenlan_data.web.opt_out import header_signals, opt_out
from wenlan_data.web.response import Response, failure_of, recorded_response
from wenlan_data.web.urls import host_of
from wenlan_data.web.warc import (
    MAX_PAYLOAD_BYTES,
    UNKNOWN_DATE,
    PayloadWriter,
    WarcPayload,
    archive_date,
    record_at,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecorder:
    """Checks images and records their bytes.

    Images that the recipe's rules reject are recorded too, so that another recipe can check them
    again; those that are opted out or blocklisted are not.
    """

    warc: PayloadWriter
    jpegs: JpegStoreWriter
    rules: ImageRules
    jpeg_quality: int
    """Of images that are re-encoded."""
    blocklists: LoadedBlocklists
    max_bytes: int
    """Of an image in a file or a WARC."""
    budget: DecodingBudget
    """Of hosts, those of pages with images in them included; images in files and WARC files are
    the operator's choice."""

    def record_responses(
        self, responses: Sequence[Response], hosts: Sequence[str] = ()
    ) -> list[FetchResult]:
        """Records HTTP responses. Returns one result for each, in order.

        `hosts` are those that were requested, whose `budget` decoding uses; empty for responses
        that were not requested.
        """
        drops = [
            failure_of(response.status) or opt_out(header_signals(response.headers))
            for response in responses
        ]
        accepted = [index for index, drop in enumerate(drops) if drop is None]
        checked = iter(
            self._check(
                [responses[index].body for index in accepted],
                [hosts[index] for index in accepted] if hosts else (),
            )
        )
        return [
            _result(response, drop) if drop else self._record_response(response, next(checked))
            for response, drop in zip(responses, drops, strict=True)
        ]

    def record_stored(self, rows: Sequence[FetchRequest]) -> list[FetchResult]:
        """Records images that lie in files, in WARC files or inside pages. Returns one result for
        each, in order.

        A page is read once for all its images. Raises `DamageError` for a corrupt WARC.
        """
        results: dict[int, FetchResult] = {}
        pages: dict[tuple[str, int], list[int]] = {}
        for index, row in enumerate(rows):
            if row.origin == INLINE:
                pages.setdefault((row.origin_path, row.origin_offset), []).append(index)
            else:
                results[index] = (
                    self._record_file(row) if row.origin == "file" else self._record_warc(row)
                )
        for indexes in pages.values():
            found = self._record_inline([rows[index] for index in indexes])
            results.update(zip(indexes, found, strict=True))
        return [results[index] for index in range(len(rows))]

    def _record_response(self, response: Response, checked: "_CheckedImage") -> FetchResult:
        result = replace(
            _result(response, checked.found), bytes=len(response.body), sha256=checked.sha256
        )
        if not checked.may_record:
            return result
        offset = self.warc.response(
            response.final_url,
            response.body,
            status=f"{response.status} {response.reason}",
            headers=response.headers,
            sha256=checked.sha256,
            ip=response.ip,
            date=response.received_at,
        )
        return replace(result, warc_offset=offset, jpeg_location=self.jpegs.add(checked.jpeg))

    def _record_file(self, row: FetchRequest) -> FetchResult:
        path = Path(row.origin_path)
        try:
            with open_regular(path) as file:
                data = file.read(self.max_bytes + 1)
                date = _file_date(os.fstat(file.fileno()))
        except OSError as error:
            return FetchResult(found=_missing_file(error.strerror or ""))
        except ValueError:
            # A NUL byte in the path.
            return FetchResult(found=_missing_file(""))
        if len(data) > self.max_bytes:
            return FetchResult(found=_too_large(self.max_bytes))
        return self._record_resource(f"file:{row.url_key}", data, "application/octet-stream", date)

    def _record_warc(self, row: FetchRequest) -> FetchResult:
        record = record_at(Path(row.origin_path), row.origin_offset, self.max_bytes)
        _check_record(record, row)
        if drop := (
            record.problem
            or self.blocklists.refuses_url(row.url)
            or self.blocklists.refuses_url(record.url)
        ):
            return FetchResult(found=drop, final_url=record.url, status=record.status)
        if record.too_large:
            return FetchResult(
                found=_too_large(self.max_bytes), final_url=record.url, status=record.status
            )
        result = self.record_responses([recorded_response(record)])[0]
        fetched_url = "" if isinstance(result.found, Drop) else "".join(row.fallback_urls[:1])
        return replace(result, fetched_url=fetched_url)

    def _record_inline(self, rows: Sequence[FetchRequest]) -> Iterator[FetchResult]:
        """Records images of `data:` URLs of one page, which are found in its WARC record by their
        digests."""
        record = record_at(Path(rows[0].origin_path), rows[0].origin_offset)
        images = read_inline_images(
            record.payload, content_type=record.content_type, names=[row.url for row in rows]
        )
        for row, data in zip(rows, images, strict=True):
            if isinstance(data, Drop):
                yield FetchResult(found=data)
            else:
                content_type = row.url[5:].partition(";")[0]
                hosts = [host] if (host := host_of(record.url)) else []
                result = self._record_resource(row.url, data, content_type, record.date, hosts)
                yield replace(result, ip=record.ip)

    def _record_resource(
        self, url: str, data: bytes, content_type: str, date: datetime, hosts: Sequence[str] = ()
    ) -> FetchResult:
        checked = next(self._check([data], hosts))
        offset, jpeg_location = -1, NO_JPEG
        if checked.may_record:
            offset = self.warc.resource(
                url, data, content_type=content_type, sha256=checked.sha256, date=date
            )
            jpeg_location = self.jpegs.add(checked.jpeg)
        return FetchResult(
            found=checked.found,
            warc_offset=offset,
            bytes=len(data),
            sha256=checked.sha256,
            fetched_at=to_milliseconds(date),
            jpeg_location=jpeg_location,
        )

    def _check(
        self, bodies: Sequence[bytes], hosts: Sequence[str] = ()
    ) -> "Iterator[_CheckedImage]":
        digests = [hashlib.sha256(body).hexdigest() for body in bodies]
        # By digest first: what the operator's list names is not even decoded.
        listed = [self.blocklists.refuses_bytes(digest, None) for digest in digests]
        over_budget = [self.budget.refuses(host) for host in hosts] or [None] * len(bodies)
        to_decode = [
            index
            for index, drops in enumerate(zip(listed, over_budget, strict=True))
            if not any(drops)
        ]
        examined = dict(
            zip(
                to_decode,
                check_images(
                    [bodies[index] for index in to_decode],
                    [digests[index] for index in to_decode],
                    self.rules,
                    self.jpeg_quality,
                ),
                strict=True,
            )
        )
        for index, digest in enumerate(digests):
            if hosts and index in examined:
                self.budget.add(hosts[index], examined[index].cpu_s)
            if drop := listed[index]:
                yield _CheckedImage(drop, digest, may_record=False)
            elif drop := over_budget[index]:
                yield self._checked(ExaminedImage(drop), digest)
            else:
                yield self._checked(examined[index], digest)

    def _checked(self, examined: ExaminedImage, sha256: str) -> "_CheckedImage":
        found = examined.found
        if drop := self.blocklists.refuses_bytes(sha256, found):
            return _CheckedImage(drop, sha256, may_record=False)
        return _CheckedImage(found, sha256, self.blocklists.may_record(found), examined.jpeg)


@dataclass(frozen=True, slots=True)
class _CheckedImage:
    found: ImageFacts | Drop
    sha256: str
    may_record: bool
    """Whether the bytes may be written."""
    jpeg: bytes = b""
    """The image re-encoded; empty where the shard step stores the bytes as they came."""


def _result(response: Response, found: ImageFacts | Drop) -> FetchResult:
    return FetchResult(
        found=found,
        final_url=response.final_url,
        status=response.status,
        ip=response.ip,
        fetched_at=to_milliseconds(response.received_at),
        opt_out=header_signals(response.headers),
    )


def _check_record(record: WarcPayload, row: FetchRequest) -> None:
    """Raises `DamageError` where a record is not the one that the source listed: the texts that
    were read would get another image."""
    # A payload that was cut earlier than by the source has another digest, and becomes no sample.
    is_cut = record.too_large and len(record.payload) < MAX_PAYLOAD_BYTES
    if not row.origin_sha256 or is_cut:
        return
    if hashlib.sha256(record.payload[:MAX_PAYLOAD_BYTES]).hexdigest() != row.origin_sha256:
        raise DamageError(
            f"{row.origin_path}: at byte {row.origin_offset}: not the record that was read when the"
            " build began: put the old file back, or build into a new --out"
        )


def _file_date(status: os.stat_result) -> datetime:
    try:
        return archive_date(datetime.fromtimestamp(status.st_mtime, UTC))
    except (ValueError, OverflowError, OSError):
        return UNKNOWN_DATE


def _missing_file(detail: str) -> Drop:
    return Drop(Reason.MISSING_FILE, detail)


def _too_large(max_bytes: int) -> Drop:
    return Drop(Reason.TOO_LARGE, f"more than {max_bytes} bytes")


def to_milliseconds(date: datetime) -> datetime:
    """The moment at the resolution of the Parquet columns."""
    return date.replace(microsecond=date.microsecond // 1000 * 1000)
