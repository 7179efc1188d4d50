"""Checks the bytes of images, fetched from the web or already stored, and records them in the
part's WARC."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from wenlan_data.fetch.jpeg_store import NO_JPEG, JpegStoreWriter
from wenlan_data.fetch.results import FetchRequest, FetchResult
from wenlan_data.image.rules import ImageRules
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox.client import check_images
from wenlan_data.sandbox.pages import INLINE, read_inline_image
from wenlan_data.web.blocklists import LoadedBlocklists
from wenlan_data.web.opt_out import header_signals, opt_out
from wenlan_data.web.response import Response, failure_of, recorded_response
from wenlan_data.web.warc import PayloadWriter, record_at


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

    def record_responses(self, responses: Sequence[Response]) -> list[FetchResult]:
        """Records HTTP responses. Returns one result for each, in order."""
        drops = [
            failure_of(response.status) or opt_out(header_signals(response.headers))
            for response in responses
        ]
        bodies = [
            response.body for response, drop in zip(responses, drops, strict=True) if drop is None
        ]
        checked = iter(self._check(bodies))
        return [
            _result(response, drop) if drop else self._record_response(response, next(checked))
            for response, drop in zip(responses, drops, strict=True)
        ]

    def record_stored(self, row: FetchRequest) -> FetchResult:
        """Records an image that lies in a file or a WARC.

        Raises `DamageError` for a corrupt WARC.
        """
        if row.origin == "file":
            return self._record_file(row)
        if row.origin == INLINE:
            return self._record_inline(row)
        return self._record_warc(row)

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
            with path.open("rb") as file:
                data = file.read(self.max_bytes + 1)
            date = datetime.fromtimestamp(path.stat().st_mtime, UTC)
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
        if record.too_large:
            return FetchResult(
                found=_too_large(self.max_bytes), final_url=record.url, status=record.status
            )
        return self.record_responses([recorded_response(record)])[0]

    def _record_inline(self, row: FetchRequest) -> FetchResult:
        """Records an image of a `data:` URL, which is found in the page's WARC record by its
        digest."""
        record = record_at(Path(row.origin_path), row.origin_offset, self.max_bytes)
        data = read_inline_image(record.payload, content_type=record.content_type, name=row.url)
        if isinstance(data, Drop):
            return FetchResult(found=data)
        content_type = row.url[5:].partition(";")[0]
        result = self._record_resource(row.url, data, content_type, record.date)
        return replace(result, ip=record.ip)

    def _record_resource(
        self, url: str, data: bytes, content_type: str, date: datetime
    ) -> FetchResult:
        checked = next(self._check([data]))
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

    def _check(self, bodies: Sequence[bytes]) -> "Iterator[_CheckedImage]":
        digests = [hashlib.sha256(body).hexdigest() for body in bodies]
        # By digest first: what the operator's list names is not even decoded.
        drops = [self.blocklists.refuses_bytes(digest, None) for digest in digests]
        allowed = [
            (body, digest)
            for body, digest, drop in zip(bodies, digests, drops, strict=True)
            if drop is None
        ]
        examined = iter(
            check_images(
                [body for body, _ in allowed],
                [digest for _, digest in allowed],
                self.rules,
                self.jpeg_quality,
            )
        )
        for digest, drop in zip(digests, drops, strict=True):
            if drop:
                yield _CheckedImage(drop, digest, may_record=False)
            else:
                yield self._checked(next(examined), digest)

    def _checked(self, examined: tuple[ImageFacts, bytes] | Drop, sha256: str) -> "_CheckedImage":
        found, jpeg = (examined, b"") if isinstance(examined, Drop) else examined
        if drop := self.blocklists.refuses_bytes(sha256, found):
            return _CheckedImage(drop, sha256, may_record=False)
        return _CheckedImage(found, sha256, self.blocklists.may_record(found), jpeg)


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


def _missing_file(detail: str) -> Drop:
    return Drop(Reason.MISSING_FILE, detail)


def _too_large(max_bytes: int) -> Drop:
    return Drop(Reason.TOO_LARGE, f"more than {max_bytes} bytes")


def to_milliseconds(date: datetime) -> datetime:
    """The moment at the resolution of the Parquet columns."""
    return date.replace(microsecond=date.microsecond // 1000 * 1000)
