"""Limits on an image's size, checked by its header before any pixel is decoded."""

from dataclasses import dataclass

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_METADATA_BYTES = 1 << 20
"""Size of one block of metadata (text, EXIF, XMP); a segment of a JPEG ends at 64 KiB anyway."""
MAX_METADATA_TOTAL_BYTES = 8 << 20
MAX_METADATA_BLOCKS = 1000
"""Decoders handle each by itself, and some join comments in quadratic time."""
MAX_BLOCKS = 50_000
"""Chunks of any kind in a PNG or WebP; 20 MiB in chunks of 1 KiB are 20,000."""
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


@dataclass(slots=True)
class MetadataCount:
    """Blocks of metadata of one image, and their bytes."""

    blocks: int = 0
    total_bytes: int = 0

    def add(self, name: str, size_bytes: int, max_bytes: int = MAX_METADATA_BYTES) -> Drop | None:
        """Counts a block; returns `too_large` once the image has more than the limits."""
        self.blocks += 1
        self.total_bytes += size_bytes
        if size_bytes > max_bytes:
            return Drop(Reason.TOO_LARGE, f"{name} of {size_bytes} bytes")
        if self.blocks > MAX_METADATA_BLOCKS:
            return Drop(Reason.TOO_LARGE, f"more than {MAX_METADATA_BLOCKS} blocks of metadata")
        if self.total_bytes > MAX_METADATA_TOTAL_BYTES:
            return Drop(Reason.TOO_LARGE, f"more than {MAX_METADATA_TOTAL_BYTES} bytes of metadata")
        return None
