"""A recorded page to candidates: decoded, its opt-outs heeded, its pictures found."""

from collections.abc import Iterator

from wenlan_data.crawl.optout import header_signals
from wenlan_data.crawl.warc import WarcPayload
from wenlan_data.extract.apart import page_rows
from wenlan_data.records import Candidate, Drop, StoredBytes

INLINE = "inline"
"""The kind of `StoredBytes` of a picture inside a page: `path` and `offset` are those of the page's record."""

_PAGE_STARTS = (b"<!doctype html", b"<html")


def is_page(record: WarcPayload) -> bool:
    """Whether a record is an HTML page, by its headers or, where they say nothing, by its start."""
    return record.kind == "response" and record.status == 200 and looks_like_page(record.payload, record.content_type)


def looks_like_page(payload: bytes, content_type: str) -> bool:
    """Whether bytes with that `Content-Type` are an HTML page."""
    stated = content_type.lower()
    start = payload[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if "html" in stated:
        return True
    return (not stated or "xml" in stated) and (start.startswith(_PAGE_STARTS) or b"<html" in payload[:1024].lower())


def read_page(record: WarcPayload, path: str, source: str) -> Iterator[Candidate | Drop]:
    """The candidates of a page recorded in the WARC `path`; a page that cannot be read is a `Drop`."""
    yield from page_rows(
        record.payload,
        content_type=record.content_type,
        url=record.url,
        source=source,
        signals=header_signals(record.headers),
        page_at=StoredBytes(kind=INLINE, path=path, offset=record.offset),
    )
