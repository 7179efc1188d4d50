"""Judges the bytes of a picture, from the web or at hand, and records them in the part's WARC."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from wenlan_data.fetch.jpeg_store import NOT_ENCODED, EncodedWriter
from wenlan_data.fetch.results import Outcome, Wanted
from wenlan_data.image.rules import ImageRules
from wenlan_data.records import Drop, ImageFacts
from wenlan_data.sandbox.client import check_images
from wenlan_data.sandbox.pages import INLINE, read_inline_image
from wenlan_data.web.blocklists import Exclusions
from wenlan_data.web.opt_out import header_signals, opt_out
from wenlan_data.web.response import Response, failure_of
from wenlan_data.web.warc import PayloadWriter, record_at


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to a request for a picture, and when it came."""

    reply: Response
    date: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeper:
    """Judges pictures and records them."""

    warc: PayloadWriter
    encoded: EncodedWriter
    rules: ImageRules
    jpeg_quality: int
    """Of what is encoded anew."""
    exclusions: Exclusions
    max_bytes: int
    """Of a picture that lies in a file or a WARC."""

    def keep_replies(self, given: Sequence[Given]) -> list[Outcome]:
        """The outcomes of HTTP responses, in order; what the rules reject is recorded too, what is opted out or
        excluded is not."""
        refused = [
            failure_of(one.reply.status) or opt_out(header_signals(one.reply.headers))
            for one in given
        ]
        bodies = [one.reply.body for one, drop in zip(given, refused, strict=True) if drop is None]
        judged = iter(self._judge(bodies))
        return [
            _outcome(one, drop) if drop else self._recorded(one, next(judged))
            for one, drop in zip(given, refused, strict=True)
        ]

    def keep_stored(self, row: Wanted) -> Outcome:
        """The outcome of a row whose bytes lie in a file or a WARC. Raises `DamageError` for a damaged WARC."""
        keep = {"file": self._keep_file, INLINE: self._keep_inline}.get(
            row.supply, self._keep_record
        )
        return keep(row)

    def _recorded(self, given: Given, judged: "_Judged") -> Outcome:
        reply = given.reply
        if not judged.may_record:
            return replace(
                _outcome(given, judged.found), bytes=len(reply.body), sha256=judged.sha256
            )
        offset = self.warc.response(
            reply.final_url,
            reply.body,
            status=f"{reply.status} {reply.reason}",
            headers=reply.headers,
            sha256=judged.sha256,
            ip=reply.ip,
            date=given.date,
        )
        encoded = self.encoded.add(judged.encoded)
        about = _outcome(given, judged.found)
        return replace(
            about, warc_offset=offset, bytes=len(reply.body), sha256=judged.sha256, encoded=encoded
        )

    def _keep_file(self, row: Wanted) -> Outcome:
        path = Path(row.supply_path)
        try:
            with path.open("rb") as file:
                data = file.read(self.max_bytes + 1)
            date = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except (OSError, ValueError) as error:
            return Outcome(
                found=Drop("missing_file", getattr(error, "strerror", None) or "", retryable=True)
            )
        if len(data) > self.max_bytes:
            return Outcome(found=_too_large(self.max_bytes))
        return self._resource(f"file:{row.url_key}", data, "application/octet-stream", date)

    def _keep_record(self, row: Wanted) -> Outcome:
        record = record_at(Path(row.supply_path), row.supply_offset, self.max_bytes)
        if record.too_large:
            return Outcome(
                found=_too_large(self.max_bytes), final_url=record.url, status=record.status
            )
        reply = Response(
            status=record.status,
            reason="OK",
            headers=record.headers or (("Content-Type", record.content_type),),
            body=record.payload,
            final_url=record.url,
            ip=record.ip,
        )
        return self.keep_replies([Given(reply, record.date)])[0]

    def _keep_inline(self, row: Wanted) -> Outcome:
        """A picture inside a page (`data:`), which is found in the page's record by its digest."""
        record = record_at(Path(row.supply_path), row.supply_offset, self.max_bytes)
        data = read_inline_image(record.payload, content_type=record.content_type, name=row.url)
        if isinstance(data, Drop):
            return Outcome(found=data)
        kind = row.url[5:].partition(";")[0]
        return replace(self._resource(row.url, data, kind, record.date), ip=record.ip)

    def _resource(self, url: str, data: bytes, kind: str, date: datetime) -> Outcome:
        judged = next(self._judge([data]))
        offset, encoded = -1, NOT_ENCODED
        if judged.may_record:
            offset = self.warc.resource(
                url, data, content_type=kind, sha256=judged.sha256, date=date
            )
            encoded = self.encoded.add(judged.encoded)
        return Outcome(
            found=judged.found,
            warc_offset=offset,
            bytes=len(data),
            sha256=judged.sha256,
            fetched_at=to_milliseconds(date),
            encoded=encoded,
        )

    def _judge(self, bodies: Sequence[bytes]) -> "Iterator[_Judged]":
        digests = [hashlib.sha256(body).hexdigest() for body in bodies]
        refused = [self.exclusions.refuses_bytes(digest, None) for digest in digests]
        allowed = [
            (body, digest)
            for body, digest, drop in zip(bodies, digests, refused, strict=True)
            if drop is None
        ]
        found = iter(check_images(*_two_lists(allowed), self.rules, self.jpeg_quality))
        for digest, drop in zip(digests, refused, strict=True):
            yield (
                _Judged(drop, digest, may_record=False)
                if drop
                else self._judged(next(found), digest)
            )

    def _judged(self, answer: tuple[ImageFacts, bytes] | Drop, sha256: str) -> "_Judged":
        found, encoded = (answer, b"") if isinstance(answer, Drop) else answer
        if drop := self.exclusions.refuses_bytes(sha256, found):
            return _Judged(drop, sha256, may_record=False)
        return _Judged(found, sha256, may_record=self.exclusions.may_record(found), encoded=encoded)


@dataclass(frozen=True, slots=True)
class _Judged:
    found: ImageFacts | Drop
    sha256: str
    may_record: bool
    """Whether the bytes may be written."""
    encoded: bytes = b""


def _two_lists(pairs: Sequence[tuple[bytes, str]]) -> tuple[list[bytes], list[str]]:
    return [one for one, _ in pairs], [other for _, other in pairs]


def _outcome(given: Given, found: ImageFacts | Drop) -> Outcome:
    reply = given.reply
    return Outcome(
        found=found,
        final_url=reply.final_url,
        status=reply.status,
        ip=reply.ip,
        fetched_at=to_milliseconds(given.date),
        opt_out=header_signals(reply.headers),
    )


def _too_large(max_bytes: int) -> Drop:
    return Drop("too_large", f"more than {max_bytes} bytes")


def to_milliseconds(date: datetime) -> datetime:
    """The moment as Parquet holds it."""
    return date.replace(microsecond=date.microsecond // 1000 * 1000)
