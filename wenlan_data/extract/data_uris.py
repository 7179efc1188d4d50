"""Images inside a page, as `data:` URIs."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

MIN_INLINE_BYTES = 1000
"""Smaller ones are placeholders and icons of the page, and no candidates."""
MAX_INLINE_BYTES = 5 << 20
_MIN_BODY_CHARACTERS = MIN_INLINE_BYTES * 4 // 3
"""Of base64, which encodes 3 bytes in 4 characters."""

# data:image/png;base64, also with parameters such as ;charset=utf-8 before it.
_DATA_URI = re.compile(r"data:(image/[a-z]{1,10})(?:;[\w.=-]{1,40}){0,4},", re.IGNORECASE)
_DATA_URI_BODY = re.compile(r"[A-Za-z0-9+/=%\s_-]*")


@dataclass(frozen=True, slots=True)
class InlineImage:
    """One image inside a page."""

    name: str
    """Its URL in the corpus: `data:image/png;sha256=...`, with the digest of the bytes."""
    data: bytes


def is_small_data_uri(uri: str) -> bool:
    """Whether a `data:` URI is too short for an image of `MIN_INLINE_BYTES`: the placeholder of an
    image that a script loads later, or an icon.

    >>> is_small_data_uri("data:image/gif;base64,R0lGODlhAQABAAAAACw=")
    True
    """
    return len(uri) - uri.find(",") - 1 < _MIN_BODY_CHARACTERS


def decode_data_uri(uri: str) -> InlineImage | None:
    """Decodes a base64 `data:` URI; returns None for any other, and for too small or large
    images."""
    match = _DATA_URI.match(uri)
    if not match or ";base64" not in match[0].lower():
        return None
    body = uri[match.end() :]
    if not _MIN_BODY_CHARACTERS <= len(body) <= MAX_INLINE_BYTES * 3 // 2:
        return None
    try:
        data = base64.b64decode(b"".join(unquote_to_bytes(body).split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if not MIN_INLINE_BYTES <= len(data) <= MAX_INLINE_BYTES:
        return None
    return InlineImage(f"data:{match[1].lower()};sha256={hashlib.sha256(data).hexdigest()}", data)


def data_uri_images(html: str) -> Iterator[InlineImage]:
    """Yields every image in the `data:` URIs of a page's HTML, in order."""
    for match in _DATA_URI.finditer(html):
        body = _DATA_URI_BODY.match(html, match.end())
        if body and (image := decode_data_uri(match[0] + body[0])):
            yield image
