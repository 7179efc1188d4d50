"""Reads the one EXIF tag that changes how a picture looks."""

import struct

ORIENTATION_TAG = 0x0112
_MAX_TAGS = 1000


def orientation_of(exif: bytes) -> int:
    """1 to 8 as EXIF counts them; 1 where the block (with or without its `Exif` mark) is damaged or mute."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        return _search(tiff, order)
    except struct.error:
        return 1


def _search(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    (tags,) = struct.unpack_from(f"{order}H", tiff, start)
    for index in range(min(tags, _MAX_TAGS)):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * index)
        if tag == ORIENTATION_TAG:
            return value if kind == 3 and count == 1 and 1 <= value <= 8 else 1
    return 1
