"""Small images for people to look at, made from untrusted bytes and always re-encoded."""

import warnings

import simplejpeg

from wenlan_data.errors import DamageError
from wenlan_data.image.containers import check_integrity, frame_size
from wenlan_data.image.jpeg import check_segments, read_header
from wenlan_data.image.limits import too_large
from wenlan_data.image.normalise import normalise, srgb_pixels
from wenlan_data.image.sniff import sniff
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop


def thumbnail_jpeg(data: bytes, *, side_px: int, quality: int) -> bytes | None:
    """A JPEG of at most `side_px` on its longer side; None if the bytes are no image that can be
    decoded."""
    if not _is_within_limits(data):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small = normalise(data, max_side_px=side_px, jpeg_quality=95)
            # A small JPEG passes `normalise` with its own bytes: encoded here, these never reach
            # the page.
            return bytes(
                simplejpeg.encode_jpeg(
                    srgb_pixels(small.jpeg), quality=quality, colorsubsampling="420"
                )
            )
    except DamageError:
        return None


def _is_within_limits(data: bytes) -> bool:
    """Whether the header is that of an image that may be decoded, see `image.limits`."""
    kind = sniff(data)
    if kind == "jpeg":
        header = read_header(data)
        if isinstance(header, Drop):
            return False
        return not (too_large(header.width, header.height) or check_segments(data))
    size = frame_size(data, kind) if kind in {"png", "gif", "webp"} else Drop(Reason.FORMAT)
    return not (isinstance(size, Drop) or too_large(*size) or check_integrity(data, kind))
