"""Recognises HTML pages among recorded responses."""

from wenlan_data.web.warc import WarcPayload

_PAGE_STARTS = (b"<!doctype html", b"<html")


def is_html_page(record: WarcPayload) -> bool:
    """Whether a record is an HTML page, by its media type or, without one, by its first bytes."""
    return (
        record.kind == "response"
        and record.status == 200
        and is_html(record.payload, record.content_type)
    )


def is_html(payload: bytes, content_type: str) -> bool:
    """Whether bytes with that `Content-Type` are an HTML page."""
    media_type = content_type.lower()
    start = payload[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if "html" in media_type:
        return True
    return (not media_type or "xml" in media_type) and (
        start.startswith(_PAGE_STARTS) or b"<html" in payload[:1024].lower()
    )
