"""Detects the format of bytes by their magic number alone; file names and Content-Type headers are
unreliable."""

import re

_DECODABLE = (
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("webp", re.compile(rb"RIFF....WEBP", re.DOTALL)),
    ("gif", re.compile(rb"GIF8[79]a")),
    ("avif", re.compile(rb"....ftyp(?:avif|avis|mif1.{4}(?:.{4}){0,8}?avif)", re.DOTALL)),
)
_OTHER_IMAGES = (
    ("heic", re.compile(rb"....ftyp(?:hei[cxms]|hev[cx]|mif1|msf1)", re.DOTALL)),
    ("jxl", re.compile(rb"\xff\x0a|\x00\x00\x00\x0cJXL ")),
    ("jp2", re.compile(rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51")),
    ("tiff", re.compile(rb"II\*\x00|MM\x00\*")),
    ("bmp", re.compile(rb"BM....\x00\x00\x00\x00", re.DOTALL)),
    ("ico", re.compile(rb"\x00\x00\x01\x00[^\x00]\x00")),
)
_NOT_IMAGES = (
    (
        "svg",
        re.compile(
            rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,512}?-->\s*|<!DOCTYPE\s+svg[^>]*>\s*)*<svg\b",
            re.I | re.S,
        ),
    ),
    (
        "html",
        re.compile(
            rb"\s*(?:<!--.{0,512}?-->\s*)*<(?:!doctype\s+html|html|head|body|script|title|meta)\b",
            re.I | re.S,
        ),
    ),
    ("pdf", re.compile(rb"\s*%PDF-")),
    ("eps", re.compile(rb"%!PS|\xc5\xd0\xd3\xc6")),
    ("json", re.compile(rb"\s*[{\[]\s*[\"{\[\]}]")),
    ("video", re.compile(rb"....ftyp|\x1a\x45\xdf\xa3", re.DOTALL)),
    ("zip", re.compile(rb"PK\x03\x04")),
    ("gzip", re.compile(rb"\x1f\x8b\x08")),
)
_HEAD_BYTES = 2048


def sniff(data: bytes) -> str:
    """`jpeg`, `png`, `webp`, `gif` or `avif`; empty for anything else."""
    return _first(_DECODABLE, data)


def other_image(data: bytes) -> str:
    """Name of an image format that is not decoded here (`heic`, `tiff`, ...); empty for anything
    else."""
    return _first(_OTHER_IMAGES, data)


def looks_like(data: bytes) -> str:
    """Likely type of bytes that are no image: `html`, `svg`, `pdf`, ... or `unknown`."""
    # Without a UTF-8 byte order mark.
    return _first(_NOT_IMAGES, data.removeprefix(b"\xef\xbb\xbf")) or "unknown"


def _first(patterns: tuple[tuple[str, re.Pattern[bytes]], ...], data: bytes) -> str:
    head = data[:_HEAD_BYTES]
    return next((name for name, pattern in patterns if pattern.match(head)), "")
