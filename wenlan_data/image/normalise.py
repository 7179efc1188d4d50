"""The JPEG that a shard stores: the web's own without metadata where possible, a new sRGB one where not."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import simplejpeg

from wenlan_data.errors import DamageError
from wenlan_data.image.decode import Pixels, apply_orientation, decode_jpeg, decode_other, opencv
from wenlan_data.image.hash import MIN_DECODED_SIDE_PX
from wenlan_data.image.jpeg import JpegHeader, read_header, strip_metadata
from wenlan_data.image.sniff import sniff
from wenlan_data.records import Drop

_READ_EVERYWHERE = {0xC0, 0xC1, 0xC2}
"""Sequential and progressive Huffman frames; GPU decoders refuse arithmetic coding."""
_MAX_BILINEAR_RATIO = 1.6
"""Up to here bilinear is as near to Lanczos as area averaging (43 dB both at 0.8 of the size, 42 and 43 at 0.64;
beyond it falls: 41 and 43 at 0.55), and takes 0.4 instead of 1.7 ms for 800x600 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJpeg:
    """A picture as the shard holds it."""

    jpeg: bytes
    width: int
    """Pixels of the upright picture."""
    height: int


def normalise(data: bytes, *, max_side_px: int, jpeg_quality: int) -> StoredJpeg:
    """The stored form of bytes that `examine` accepted; the same bytes always give the same.

    A grey or RGB JPEG that is upright and within `max_side_px` keeps every pixel bit and its ICC profile.
    Everything else becomes sRGB, upright, alpha on white, at most `max_side_px` long by area averaging
    (bilinear where it shrinks by less than 1.6), 4:2:0 at `jpeg_quality`.
    Raises `DamageError` for bytes that cannot be decoded.
    """
    stored = pass_through(data, max_side_px=max_side_px) or reencode(
        data, max_side_px=max_side_px, jpeg_quality=jpeg_quality
    )
    if isinstance(stored, Drop):
        raise DamageError(
            f"a picture that was taken cannot be decoded ({stored.reason}: {stored.detail})"
        )
    return stored


def pass_through(data: bytes, *, max_side_px: int) -> StoredJpeg | None:
    """The JPEG without its metadata, where it may be stored as it is; reads its structure and decodes no pixel."""
    header = read_header(data) if sniff(data) == "jpeg" else None
    if header is None or isinstance(header, Drop) or not can_pass_through(header, max_side_px):
        return None
    bare = strip_metadata(data)
    if bare is None:
        return None
    # The very same object where nothing had to go: its digest is known already.
    return StoredJpeg(jpeg=data if bare == data else bare, width=header.width, height=header.height)


def reencode(data: bytes, *, max_side_px: int, jpeg_quality: int) -> StoredJpeg | Drop:
    """The picture decoded at full size, made smaller where it is too large, and encoded."""
    if sniff(data) != "jpeg":
        pixels = decode_other(data)
        return (
            pixels
            if isinstance(pixels, Drop)
            else encode_jpeg(limit_side(pixels, max_side_px), jpeg_quality)
        )
    header = read_header(data)
    if isinstance(header, Drop):
        return header
    pixels = decode_for_storage(data, header, max_side_px)
    if isinstance(pixels, Drop):
        return pixels
    size = size_within(header.width, header.height, max_side_px)
    return encode_jpeg(apply_orientation(resize(pixels, *size), header.orientation), jpeg_quality)


def decode_for_storage(data: bytes, header: JpegHeader, max_side_px: int) -> Pixels | Drop:
    """uint8 (H, W) or (H, W, 3), sRGB, not turned: at least what is stored, at half or a quarter of the size if that
    suffices, and what a thumbnail is made of."""
    shorter, longer = sorted((header.width, header.height))
    stored_px = -(-shorter * max_side_px // longer) if longer > max_side_px else shorter
    return decode_jpeg(data, header, min_side_px=max(stored_px, MIN_DECODED_SIDE_PX))


def limit_side(pixels: Pixels, max_side_px: int) -> Pixels:
    """The same (H, W) or (H, W, 3) at most `max_side_px` long."""
    return resize(pixels, *size_within(pixels.shape[1], pixels.shape[0], max_side_px))


def encode_jpeg(pixels: Pixels, jpeg_quality: int) -> StoredJpeg:
    """Upright pixels as an RGB JPEG, 4:2:0."""
    height, width = pixels.shape[:2]
    rgb = np.ascontiguousarray(_as_rgb(pixels))
    jpeg = simplejpeg.encode_jpeg(
        rgb, quality=jpeg_quality, colorspace="RGB", colorsubsampling="420"
    )
    return StoredJpeg(jpeg=jpeg, width=width, height=height)


def size_within(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Width and height of a picture that is stored at most `max_side_px` long."""
    longer = max(width, height)
    if longer <= max_side_px:
        return width, height
    return tuple(max(1, (side * max_side_px + longer // 2) // longer) for side in (width, height))  # type: ignore[return-value]


def srgb_pixels(jpeg: bytes) -> Pixels:
    """uint8 (H, W, 3), sRGB, of a stored JPEG, for people. `DamageError` if it cannot be decoded."""
    found: Pixels | JpegHeader | Drop = read_header(jpeg)
    if isinstance(found, JpegHeader):
        found = decode_jpeg(jpeg, found, min_side_px=min(found.width, found.height))
    if isinstance(found, Drop):
        raise DamageError(f"a stored picture cannot be decoded ({found.reason}: {found.detail})")
    return _as_rgb(found)


def can_pass_through(header: JpegHeader, max_side_px: int) -> bool:
    """Whether a JPEG may be stored as it is, but for its metadata."""
    return (
        header.components in {1, 3}
        and header.orientation == 1
        and header.frame in _READ_EVERYWHERE
        and max(header.width, header.height) <= max_side_px
    )


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """The same (H, W) or (H, W, 3) at another size, by area averaging, or bilinear where little is lost."""
    if pixels.shape[:2] == (height, width):
        return pixels
    cv2 = opencv()
    bilinear = max(pixels.shape[0] / height, pixels.shape[1] / width) <= _MAX_BILINEAR_RATIO
    method = cv2.INTER_LINEAR if bilinear else cv2.INTER_AREA
    return cast("Pixels", cv2.resize(pixels, (width, height), interpolation=method))


def _as_rgb(pixels: Pixels) -> Pixels:
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
