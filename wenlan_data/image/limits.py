"""Limits on an image's size, checked by its header before any pixel is decoded."""

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_METADATA_BYTES = 1 << 20
"""Size of one block of metadata (text, EXIF, XMP) in a PNG or WebP; a segment of a JPEG ends at 64
KiB anyway."""
MAX_PIXELS = 64_000_000
MAX_SIDE_PX = 16_384
MAX_JPEG_SCANS = 100
"""An encoder writes about 10 into a progressive file; 1,000 empty ones cost 7 s of decoding."""


def too_large(width: int, height: int) -> Drop | None:
    """`too_large` beyond `MAX_PIXELS` or `MAX_SIDE_PX`, `undecodable` for an image without pixels,
    else None."""
    if width < 1 or height < 1:
        return Drop(Reason.UNDECODABLE, f"{width}x{height}")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        return Drop(Reason.TOO_LARGE, f"{width}x{height}")
    return None
