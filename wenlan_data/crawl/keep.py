"""Judges the bytes of a picture, from the web or at hand, and records them in the part's WARC."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from wenlan_data.crawl.exclude import Exclusions
from wenlan_data.crawl.facts import Outcome, Wanted
from wenlan_data.crawl.optout import header_signals, opt_out
from wenlan_data.crawl.reply import failure_of
from wenlan_data.crawl.warc import PayloadWriter, record_at
from wenlan_data.extract.apart import inline_bytes
from wenlan_data.extract.pages import INLINE
from wenlan_data.image.apart import examine
from wenlan_data.recipe import ImageRules
from wenlan_data.records import Drop, ImageFacts


def keep_response(
    warc: PayloadWriter,
    body: bytes,
    *,
    rules: ImageRules,
    url: str,
    status: int,
    phrase: str,
    headers: tuple[tuple[str, str], ...],
    ip: str,
    date: datetime,
    exclusions: Exclusions,
) -> Outcome:
    """The outcome of an HTTP response; what the rules reject is recorded too, what is opted out or excluded is not."""
    signals = header_signals(headers)
    found: ImageFacts | Drop | None = failure_of(status) or opt_out(signals)
    size, sha256, offset, may_record = 0, "", -1, False
    if found is None:
        found, sha256, may_record = _judge(body, rules, exclusions)
        size = len(body)
    if may_record:
        offset = warc.response(url, body, status=f"{status} {phrase}", headers=headers, sha256=sha256, ip=ip, date=date)
    return Outcome(
        found=found,
        warc_offset=offset,
        bytes=size,
        sha256=sha256,
        final_url=url,
        status=status,
        ip=ip,
        fetched_at=to_milliseconds(date),
        opt_out=signals,
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
    found, sha256, may_record = _judge(data, rules, exclusions)
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
    return keep_response(
        warc,
        record.payload,
        rules=rules,
        url=record.url,
        status=record.status,
        phrase="OK",
        headers=record.headers or (("Content-Type", record.content_type),),
        ip=record.ip,
        date=record.date,
        exclusions=exclusions,
    )


def _keep_inline(
    warc: PayloadWriter, row: Wanted, rules: ImageRules, max_bytes: int, exclusions: Exclusions
) -> Outcome:
    """A picture inside a page (`data:`), which is found in the page's record by its digest."""
    record = record_at(Path(row.supply_path), row.supply_offset, max_bytes)
    data = inline_bytes(record.payload, content_type=record.content_type, name=row.url)
    if isinstance(data, Drop):
        return Outcome(found=data)
    found, sha256, may_record = _judge(data, rules, exclusions)
    kind, offset = row.url[5:].partition(";")[0], -1
    if may_record:
        offset = warc.resource(row.url, data, content_type=kind, sha256=sha256, date=record.date)
    date = to_milliseconds(record.date)
    return Outcome(found=found, warc_offset=offset, bytes=len(data), sha256=sha256, ip=record.ip, fetched_at=date)


def _judge(data: bytes, rules: ImageRules, exclusions: Exclusions) -> tuple[ImageFacts | Drop, str, bool]:
    """What is found, the digest, and whether the bytes may be written."""
    sha256 = hashlib.sha256(data).hexdigest()
    if drop := exclusions.refuses_bytes(sha256, None):
        return drop, sha256, False
    found = examine(data, rules)
    if drop := exclusions.refuses_bytes(sha256, found):
        return drop, sha256, False
    return found, sha256, exclusions.may_record(found)


def _too_large(max_bytes: int) -> Drop:
    return Drop("too_large", f"more than {max_bytes} bytes")


def to_milliseconds(date: datetime) -> datetime:
    """The moment as Parquet holds it."""
    return date.replace(microsecond=date.microsecond // 1000 * 1000)
