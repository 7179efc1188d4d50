"""A recorded page to candidates: decoded, its opt-outs heeded, its pictures found."""

from wenlan_data.web.warc import WarcPayload

_PAGE_STARTS = (b"<!doctype html", b"<html")


def is_html_page(record: WarcPayload) -> bool:
    """Whether a record is an HTML page, by its headers or, where they say nothing, by its start."""
    return (
        record.kind == "response"
        and record.status == 200
        and is_html(record.payload, record.content_type)
    )


def is_html(payload: bytes, content_type: str) -> bool:
    """Whether bytes with that `Content-Type` are an HTML page."""
    stated = content_type.lower()
    start = payload[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if "html" in stated:
        return True
    return (not stated or "xml" in stated) and (
        start.startswith(_PAGE_STARTS) or b"<html" in payload[:1024].lower()
    )
