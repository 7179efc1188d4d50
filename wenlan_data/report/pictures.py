"""Thumbnails of pictures that anybody may have written, always encoded anew."""

import os
import warnings
from pathlib import Path

import simplejpeg

from wenlan_data.errors import DamageError
from wenlan_data.image.containers import frame_size
from wenlan_data.image.limits import MAX_JPEG_SCANS, too_large
from wenlan_data.image.normalise import normalise, pixels
from wenlan_data.image.segments import read_header, scans_at_most
from wenlan_data.image.sniff import sniff
from wenlan_data.records import Drop
from wenlan_data.report.material import Place
from wenlan_data.shard.reader import MAX_MEMBER_BYTES

SIDE_PX = 288
"""Of the longer side: sharp at 220 CSS pixels, 9 kB on average."""
QUALITY = 70


def thumbnail(place: Place) -> bytes | None:
    """A JPEG of at most `SIDE_PX`, or None where there is no picture that can be decoded."""
    data = _bytes_at(place)
    if not _is_safe(data):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small = normalise(data, max_side_px=SIDE_PX, jpeg_quality=95)
            # A small JPEG passes `normalise` with its own bytes: these never reach the page.
            return bytes(simplejpeg.encode_jpeg(pixels(small.jpeg), quality=QUALITY, colorsubsampling="420"))
    except DamageError:
        return None


def _bytes_at(place: Place) -> bytes:
    if not 0 < place.size <= MAX_MEMBER_BYTES:
        return b""
    try:
        with Path(place.path).open("rb") as file:
            return os.pread(file.fileno(), place.size, place.offset)
    except (OSError, ValueError):
        return b""  # removed or unreadable: a page without one picture is better than no page


def _is_safe(data: bytes) -> bool:
    """Whether the header is that of a picture whose pixels may be decoded, see `image.limits`."""
    kind = sniff(data)
    if kind == "jpeg":
        header = read_header(data)
        if isinstance(header, Drop):
            return False
        return too_large(header.width, header.height) is None and scans_at_most(data, MAX_JPEG_SCANS)
    size = frame_size(data, kind) if kind in {"png", "gif", "webp"} else Drop("format")
    return not isinstance(size, Drop) and too_large(*size) is None
