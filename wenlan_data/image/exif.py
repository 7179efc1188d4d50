"""Reads the few EXIF tags in use: orientation, author and copyright."""

import struct
from collections.abc import Collection, Iterator

ORIENTATION_TAG = 0x0112
_MAX_TAGS = 1000
"""A directory may state 65,535 tags and name itself as the next: only the first directory is read,
to here."""
_SHORT = 3
_TEXT_TYPES = {1, 2, 7, 129}
"""EXIF types: bytes, ASCII, undefined, and UTF-8 of EXIF 3."""


def orientation_of(exif: bytes) -> int:
    """EXIF orientation 1 to 8 of a block with or without its `Exif` mark; 1 if it is corrupt or
    states none."""
    try:
        for tag, kind, count, place, order, tiff in _entries(exif):
            if tag == ORIENTATION_TAG:
                (value,) = struct.unpack_from(f"{order}H", tiff, place)
                return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def ascii_tags(exif: bytes, wanted: Collection[int]) -> dict[int, bytes]:
    """Raw text by tag, for the wanted tags of the first directory that exist and are complete."""
    found: dict[int, bytes] = {}
    try:
        for tag, kind, count, place, order, tiff in _entries(exif):
            if tag in wanted and kind in _TEXT_TYPES:
                # Up to four bytes lie in the entry itself, longer values at an offset.
                if count > 4:
                    (place,) = struct.unpack_from(f"{order}I", tiff, place)
                if place + count <= len(tiff):
                    found.setdefault(tag, tiff[place : place + count])
    except struct.error:
        pass
    return found


def _entries(exif: bytes) -> Iterator[tuple[int, int, int, int, str, bytes]]:
    """Yields tag, type, count, offset of the value, byte order and TIFF bytes of each entry of the
    first directory."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (tags,) = struct.unpack_from(f"{order}H", tiff, start)
    for index in range(min(tags, _MAX_TAGS)):
        place = start + 2 + 12 * index
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, place)
        yield tag, kind, count, place + 8, order, tiff
