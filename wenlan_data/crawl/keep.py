"""Judges the bytes of a picture, from the web or at hand, and records them in the part's WARC."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from wenlan_data.crawl.exclude import Exclusions
from wenlan_data.crawl.facts import Outcome, Wanted
from wenlan_data.crawl.optout import header_signals, opt_out
from wenlan_data.crawl.reply import Reply, failure_of
from wenlan_data.crawl.warc import PayloadWriter, record_at
from wenlan_data.extract.apart import inline_bytes
from wenlan_data.extract.pages import INLINE
from wenlan_data.image.apart import examine_some
from wenlan_data.recipe import ImageRules
from wenlan_data.records import Drop, ImageFacts


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to a request for a picture, and when it came."""

    reply: Reply
    date: datetime


def keep_replies(
    warc: PayloadWriter, given: Sequence[Given], rules: ImageRules, exclusions: Exclusions
) -> list[Outcome]:
    """The outcomes of HTTP responses, in order; what the rules reject is recorded too, what is opted out or excluded
    is not."""
    refused = [failure_of(one.reply.status) or opt_out(header_signals(one.reply.headers)) for one in given]
    bodies = [one.reply.body for one, drop in zip(given, refused, strict=True) if drop is None]
    judged = iter(_judge(bodies, rules, exclusions))
    return [
        _outcome(one, drop, "", -1) if drop else _recorded(warc, one, *next(judged))
        for one, drop in zip(given, refused, strict=True)
    ]


def _recorded(warc: PayloadWriter, given: Given, found: ImageFacts | Drop, sha256: str, may_record: bool) -> Outcome:
    reply, offset = given.reply, -1
    if may_record:
        offset = warc.response(
            reply.final_url,
            reply.body,
            status=f"{reply.status} {reply.reason}",
            headers=reply.headers,
            sha256=sha256,
            ip=reply.ip,
            date=given.date,
        )
    return _outcome(given, found, sha256, offset)


def _outcome(given: Given, found: ImageFacts | Drop, sha256: str, offset: int) -> Outcome:
    reply = given.reply
    return Outcome(
        found=found,
        warc_offset=offset,
        bytes=len(reply.body) if sha256 else 0,
        sha256=sha256,
        final_url=reply.final_url,
        status=reply.status,
        ip=reply.ip,
        fetched_at=to_milliseconds(given.date),
        opt_out=header_signals(reply.headers),
    )


def keep_stored(warc: PayloadWriter, row: Wanted, rules: ImageRules, max_bytes: int, exclusions: Exclusions) -> Outcome:
    """The outcome of a row whose bytes lie in a file or a WARC. Raises `DamageError` for a damaged WARC."""
    keep: Callable[[PayloadWriter, Wanted, ImageRules, int, Exclusions], Outcome]
    keep = {"file": _keep_file, INLINE: _keep_inline}.get(row.supply, _keep_record)
    return keep(warc, row, rules, max_bytes, exclusions)


def _keep_file(warc: PayloadWriter, row: Wanted, rules: ImageRules, max_bytes: int, exclusions: Exclusions) -> Outcome:
    path = Path(row.supply_path)
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        date = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except (OSError, ValueError) as error:
        return Outcome(found=Drop("missing_file", getattr(error, "strerror", None) or "", retryable=True))
    if len(data) > max_bytes:
        return Outcome(found=_too_large(max_bytes))
    found, sha256, may_record = next(_judge([data], rules, exclusions))
    kind, offset = "application/octet-stream", -1
    if may_record:
        offset = warc.resource(f"file:{row.url_key}", data, content_type=kind, sha256=sha256, date=date)
    return Outcome(found=found, warc_offset=offset, bytes=len(data), sha256=sha256, fetched_at=to_milliseconds(date))


def _keep_record(
    warc: PayloadWriter, row: Wanted, rules: ImageRules, max_bytes: int, exclusions: Exclusions
) -> Outcome:
    record = record_at(Path(row.supply_path), row.supply_offset, max_bytes)
    if record.too_large:
        return Outcome(found=_too_large(max_bytes), final_url=record.url, status=record.status)
    reply = Reply(
        status=record.status,
        reason="OK",
        headers=record.headers or (("Content-Type", record.content_type),),
        body=record.payload,
        final_url=record.url,
        ip=record.ip,
    )
    return keep_replies(warc, [Given(reply, record.date)], rules, exclusions)[0]


def _keep_inline(
    warc: PayloadWriter, row: Wanted, rules: ImageRules, max_bytes: int, exclusions: Exclusions
) -> Outcome:
    """A picture inside a page (`data:`), which is found in the page's record by its digest."""
    record = record_at(Path(row.supply_path), row.supply_offset, max_bytes)
    data = inline_bytes(record.payload, content_type=record.content_type, name=row.url)
    if isinstance(data, Drop):
        return Outcome(found=data)
    found, sha256, may_record = next(_judge([data], rules, exclusions))
    kind, offset = row.url[5:].partition(";")[0], -1
    if may_record:
        offset = warc.resource(row.url, data, content_type=kind, sha256=sha256, date=record.date)
    date = to_milliseconds(record.date)
    return Outcome(found=found, warc_offset=offset, bytes=len(data), sha256=sha256, ip=record.ip, fetched_at=date)


def _judge(
    bodies: Sequence[bytes], rules: ImageRules, exclusions: Exclusions
) -> Iterator[tuple[ImageFacts | Drop, str, bool]]:
    """Of each what is found, the digest, and whether the bytes may be written."""
    digests = [hashlib.sha256(body).hexdigest() for body in bodies]
    refused = [exclusions.refuses_bytes(digest, None) for digest in digests]
    allowed = [(body, digest) for body, digest, drop in zip(bodies, digests, refused, strict=True) if drop is None]
    found = iter(examine_some([body for body, _ in allowed], [digest for _, digest in allowed], rules))
    for digest, drop in zip(digests, refused, strict=True):
        yield (drop, digest, False) if drop else _judged(next(found), digest, exclusions)


def _judged(found: ImageFacts | Drop, sha256: str, exclusions: Exclusions) -> tuple[ImageFacts | Drop, str, bool]:
    if drop := exclusions.refuses_bytes(sha256, found):
        return drop, sha256, False
    return found, sha256, exclusions.may_record(found)


def _too_large(max_bytes: int) -> Drop:
    return Drop("too_large", f"more than {max_bytes} bytes")


def to_milliseconds(date: datetime) -> datetime:
    """The moment as Parquet holds it."""
    return date.replace(microsecond=date.microsecond // 1000 * 1000)
