"""Decodes pages: by their declared encoding if all bytes fit, else by those of Chinese pages."""

import codecs
import re
from collections.abc import Iterator

from resiliparse.parse.encoding import detect_encoding

_META_BYTES = 4096
"""A declared charset is searched for in the first bytes of a page."""
_DETECT_BYTES = 64 << 10
"""Statistics are taken of the first bytes of a page."""
_MIN_NON_ASCII_BYTES = 24
"""A shorter text may be valid UTF-8 by chance."""

_CHINESE = ("gb18030", "big5hkscs")
_COMMON_CHARACTERS = (
    "的一是不我有在人了这這他们們中大上来來个個国國到說说時"
    "时要就出会會和你可也子得那为為以自生过過后後能對对，。"
)
_ASCII = bytes(range(128))
# charset=gb2312 in Content-Type, <meta charset="gbk">
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{2,40})", re.IGNORECASE)
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Labels of the WHATWG Encoding Standard. An allow list, since Python also has codecs that are not
# encodings of pages (idna, unicode_escape, utf-7).
_CODECS = {
    **dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), "utf-8"),
    **dict.fromkeys(
        ("gb2312", "gbk", "gb18030", "gb_2312-80", "x-gbk", "chinese", "csgb2312", "hz-gb-2312"),
        "gb18030",
    ),
    **dict.fromkeys(
        ("big5", "big5-hkscs", "big5_hkscs", "cn-big5", "csbig5", "x-x-big5"), "big5hkscs"
    ),
    **dict.fromkeys(
        ("iso-8859-1", "latin1", "ascii", "us-ascii", "windows-1252", "cp1252"), "cp1252"
    ),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "korean"), "cp949"),
    **dict.fromkeys(("euc-jp", "x-euc-jp"), "euc_jp"),
}

ENCODINGS = tuple(
    dict.fromkeys((*_CODECS.values(), *(name for _, name in _BYTE_ORDER_MARKS), "cp950"))
)
"""Every codec that pages are decoded with."""


def decode_page(payload: bytes, content_type: str = "") -> str:
    """Decodes a page by its byte order mark, else by the first encoding that fits all bytes.

    Tried in this order: UTF-16 without a mark; UTF-8 if the page has at least 24 bytes outside
    ASCII; the encodings that header and page declare; UTF-8; those that statistics suggest;
    GB18030; windows-1252 where it is declared. If none fits, the one with the fewest errors, as
    U+FFFD.
    """
    for mark, name in _BYTE_ORDER_MARKS:
        if payload.startswith(mark):
            return payload[len(mark) :].decode(name, errors="replace")
    if name := _utf16_without_mark(payload):
        return payload.decode(name, errors="replace")
    if payload.isascii():
        return payload.decode("ascii")
    for name in _candidate_encodings(payload, content_type):
        if (text := _decode_strictly(payload, name)) is not None:
            return text
    # min() keeps the first of equals: the order of the candidates decides between encodings with
    # equally many errors.
    texts = [
        payload.decode(name, errors="replace")
        for name in _candidate_encodings(payload, content_type)
    ]
    return min(texts, key=lambda text: text.count("\ufffd"))


def _candidate_encodings(payload: bytes, content_type: str) -> Iterator[str]:
    declared = [
        *_declared_encodings(content_type.encode("latin-1", "replace")),
        *_declared_encodings(payload[:_META_BYTES]),
    ]
    # Text in another encoding is hardly ever valid UTF-8 by chance, unless it is very short.
    if len(payload.translate(None, _ASCII)) >= _MIN_NON_ASCII_BYTES:
        yield "utf-8"
    # Nearly every byte is valid windows-1252, the default of careless servers, so it is tried last.
    yield from (name for name in declared if name != "cp1252")
    yield "utf-8"
    yield from _detected_encodings(payload)
    yield "gb18030"
    yield from (name for name in declared if name == "cp1252")


def _detected_encodings(payload: bytes) -> Iterator[str]:
    """Encodings by the statistics of the text without its markup, which is ASCII in all of them."""
    text = re.sub(rb"<[^<>]*>", b" ", payload[:_DETECT_BYTES])
    name = _CODECS.get((detect_encoding(text, html5_compatible=True) or "").lower(), "")
    if name in {"", "utf-8", "cp1252", *_CHINESE}:
        # resiliparse does not know Hong Kong's characters: count common characters in both
        # decodings instead.
        yield from sorted(_CHINESE, key=lambda one: -_common_character_count(text, one))
    elif name:
        yield name


def _common_character_count(text: bytes, name: str) -> int:
    return sum(map(text.decode(name, errors="ignore").count, _COMMON_CHARACTERS))


def _decode_strictly(payload: bytes, name: str) -> str | None:
    try:
        return payload.decode(name)
    except UnicodeDecodeError:
        # Big5 of Taiwan and of Hong Kong differ in some rare characters.
        return _decode_strictly(payload, "cp950") if name == "big5hkscs" else None


def _utf16_without_mark(payload: bytes) -> str:
    """UTF-16 without a byte order mark, by its zeros: markup has one in every other byte.

    Empty if it is not.
    """
    start = payload[:512]
    odd, even = start[1::2].count(0), start[::2].count(0)
    if len(start) < 4 or (odd + even) * 16 < len(start) or min(odd, even) * 8 > max(odd, even):
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _declared_encodings(raw: bytes) -> list[str]:
    labels = (match.decode().lower() for match in _CHARSET.findall(raw))
    return [_CODECS[label] for label in labels if label in _CODECS]
