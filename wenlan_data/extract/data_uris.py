"""Pictures that a page carries inside itself, as `data:` URIs."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

MIN_INLINE_BYTES = 1000
"""Smaller ones are the placeholders and icons of the page itself: no candidates."""
MAX_INLINE_BYTES = 5 << 20

_DATA_URI = re.compile(r"data:(image/[a-z]{1,10})(?:;[\w.=-]{1,40}){0,4},", re.IGNORECASE)
_DATA_URI_BODY = re.compile(r"[A-Za-z0-9+/=%\s_-]*")


@dataclass(frozen=True, slots=True)
class InlineImage:
    """One picture inside a page."""

    name: str
    """What stands for its URL: `data:image/png;sha256=...`, the digest being that of the bytes."""
    data: bytes


def decode_data_uri(uri: str) -> InlineImage | None:
    """The picture of a base64 `data:` URI; None for what is none, too small or too large."""
    match = _DATA_URI.match(uri)
    if not match or ";base64" not in match[0].lower():
        return None
    body = uri[match.end() :]
    if not MIN_INLINE_BYTES * 4 // 3 <= len(body) <= MAX_INLINE_BYTES * 3 // 2:
        return None
    try:
        data = base64.b64decode(b"".join(unquote_to_bytes(body).split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not MIN_INLINE_BYTES <= len(data) <= MAX_INLINE_BYTES:
        return None
    return InlineImage(f"data:{match[1].lower()};sha256={hashlib.sha256(data).hexdigest()}", data)


def data_uri_images(html: str) -> Iterator[InlineImage]:
    """Every such picture in the source of a page, in order."""
    for match in _DATA_URI.finditer(html):
        body = _DATA_URI_BODY.match(html, match.end())
        if body and (found := decode_data_uri(match[0] + body[0])):
            yield found
