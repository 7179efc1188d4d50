"""Thumbnails of pictures that anybody may have written: made in the decoding process, always encoded anew."""

import os
from pathlib import Path

from wenlan_data.image.apart import small_jpeg
from wenlan_data.report.material import Place
from wenlan_data.shard.reader import MAX_MEMBER_BYTES

SIDE_PX = 288
"""Of the longer side: sharp at 220 CSS pixels, 9 kB on average."""
QUALITY = 70


def thumbnail(place: Place) -> bytes | None:
    """A JPEG of at most `SIDE_PX`, or None where there is no picture that can be decoded.

    Among the examples of what was left out are those that killed a decoder before.
    """
    data = _bytes_at(place)
    return small_jpeg(data, side_px=SIDE_PX, quality=QUALITY) if data else None


def _bytes_at(place: Place) -> bytes:
    if not 0 < place.size <= MAX_MEMBER_BYTES:
        return b""
    try:
        with Path(place.path).open("rb") as file:
            return os.pread(file.fileno(), place.size, place.offset)
    except (OSError, ValueError):
        return b""  # removed or unreadable: a page without one picture is better than no page
