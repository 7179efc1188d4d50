"""How large a picture may be, known from its header before any pixel is decoded."""

from wenlan_data.records import Drop

MAX_DATA_BYTES = 1 << 30
"""Of memory that the decoding process may allocate: 64 MP with alpha take 0.8 GiB."""
MAX_CPU_S = 5.0
MAX_WALL_S = 7.0
"""For one picture or page in the decoding process; a usual picture takes 2 ms, 64 MP of PNG 2 s. Two tries of one
that hangs stay below 15 s."""
MAX_METADATA_BYTES = 1 << 20
"""Of one block of metadata (text, EXIF, XMP) in a PNG or WebP; a JPEG's segments end at 64 KiB by themselves."""
MAX_PIXELS = 64_000_000
MAX_SIDE_PX = 16_384
MAX_JPEG_SCANS = 100
"""A progressive file of an encoder has about 10; 1,000 empty ones cost 7 s of decoding."""


def too_large(width: int, height: int) -> Drop | None:
    """`too_large` beyond `MAX_PIXELS` or `MAX_SIDE_PX`, `undecodable` for an empty picture, else None."""
    if width < 1 or height < 1:
        return Drop("undecodable", f"{width}x{height}")
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        return Drop("too_large", f"{width}x{height}")
    return None
