"""The JPEG that a shard stores: the web's own without metadata if possible, else a new one in
sRGB."""

from dataclasses import dataclass

import numpy as np
import simplejpeg

from wenlan_data.errors import DamageError
from wenlan_data.image.decode import (
    Pixels,
    apply_orientation,
    as_rgb,
    decode_jpeg,
    decode_other,
    opencv,
)
from wenlan_data.image.hash import MIN_DECODED_SIDE_PX
from wenlan_data.image.jpeg import JpegHeader, read_header, strip_metadata
from wenlan_data.image.sniff import sniff
from wenlan_data.records import Drop

_PORTABLE_FRAMES = {0xC0, 0xC1, 0xC2}
"""Markers of sequential and progressive Huffman frames; GPU decoders refuse arithmetic coding."""
_MAX_BILINEAR_RATIO = 1.6
"""Up to this reduction, bilinear is as near to Lanczos as area averaging (43 dB both at 0.8 of the
size, 42 and 43 at 0.64; at 0.55 it falls to 41 against 43), and takes 0.4 instead of 1.7 ms for
800x600 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredJpeg:
    """An image as a shard stores it."""

    jpeg: bytes
    width: int
    """Pixels of the upright image."""
    height: int


def normalise(data: bytes, *, max_side_px: int, jpeg_quality: int) -> StoredJpeg:
    """Returns the stored form of bytes that `check_image` accepted; equal bytes give equal bytes.

    A grey or RGB JPEG that is upright and within `max_side_px` keeps every pixel bit and its ICC
    profile. Any other image becomes sRGB, upright, alpha on white, at most `max_side_px` on its
    longer side by area averaging (bilinear if it shrinks by less than 1.6), 4:2:0 at
    `jpeg_quality`. Raises `DamageError` for bytes that cannot be decoded.
    """
    stored = pass_through(data, max_side_px=max_side_px) or reencode(
        data, max_side_px=max_side_px, jpeg_quality=jpeg_quality
    )
    if isinstance(stored, Drop):
        raise DamageError(
            f"an accepted image cannot be decoded any more ({stored.reason}: {stored.detail})"
        )
    return stored


def pass_through(data: bytes, *, max_side_px: int) -> StoredJpeg | None:
    """Returns the JPEG without its metadata, if it may be stored unchanged; decodes no pixel."""
    header = read_header(data) if sniff(data) == "jpeg" else None
    if header is None or isinstance(header, Drop) or not can_pass_through(header, max_side_px):
        return None
    stripped = strip_metadata(data)
    if stripped is None:
        return None
    # The same object if nothing was stripped: the caller then knows its digest already.
    jpeg = data if stripped == data else stripped
    return StoredJpeg(jpeg=jpeg, width=header.width, height=header.height)


def can_pass_through(header: JpegHeader, max_side_px: int) -> bool:
    """Whether a JPEG may be stored unchanged, apart from its metadata."""
    return (
        header.components in {1, 3}
        and header.orientation == 1
        and header.frame in _PORTABLE_FRAMES
        and max(header.width, header.height) <= max_side_px
    )


def reencode(data: bytes, *, max_side_px: int, jpeg_quality: int) -> StoredJpeg | Drop:
    """Decodes an image, shrinks it to `max_side_px` and encodes it as a JPEG."""
    if sniff(data) != "jpeg":
        pixels = decode_other(data)
        if isinstance(pixels, Drop):
            return pixels
        return encode_jpeg(limit_side(pixels, max_side_px), jpeg_quality)
    header = read_header(data)
    if isinstance(header, Drop):
        return header
    pixels = decode_for_storage(data, header, max_side_px)
    if isinstance(pixels, Drop):
        return pixels
    size = size_within(header.width, header.height, max_side_px)
    return encode_jpeg(apply_orientation(resize(pixels, *size), header.orientation), jpeg_quality)


def decode_for_storage(data: bytes, header: JpegHeader, max_side_px: int) -> Pixels | Drop:
    """uint8 (H, W) or (H, W, 3), sRGB, before EXIF orientation.

    Decoded at a half, a quarter or an eighth of the size if that still covers the stored size and
    the size that a thumbnail is made of.
    """
    shorter, longer = sorted((header.width, header.height))
    stored_px = -(-shorter * max_side_px // longer) if longer > max_side_px else shorter
    return decode_jpeg(data, header, min_side_px=max(stored_px, MIN_DECODED_SIDE_PX))


def encode_jpeg(pixels: Pixels, jpeg_quality: int) -> StoredJpeg:
    """Upright pixels uint8 (H, W) or (H, W, 3) as an RGB JPEG with 4:2:0 subsampling."""
    height, width = pixels.shape[:2]
    rgb = np.ascontiguousarray(as_rgb(pixels))
    jpeg = simplejpeg.encode_jpeg(
        rgb, quality=jpeg_quality, colorspace="RGB", colorsubsampling="420"
    )
    return StoredJpeg(jpeg=jpeg, width=width, height=height)


def size_within(width: int, height: int, max_side_px: int) -> tuple[int, int]:
    """Width and height in pixels, scaled so that the longer side is at most `max_side_px`."""
    longer = max(width, height)
    if longer <= max_side_px:
        return width, height
    new_width, new_height = (
        max(1, (side * max_side_px + longer // 2) // longer) for side in (width, height)
    )
    return new_width, new_height


def limit_side(pixels: Pixels, max_side_px: int) -> Pixels:
    """(H, W) or (H, W, 3), resized so that the longer side is at most `max_side_px`."""
    return resize(pixels, *size_within(pixels.shape[1], pixels.shape[0], max_side_px))


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """(height, width) or (height, width, 3), by area averaging, or bilinear for small
    reductions."""
    if pixels.shape[:2] == (height, width):
        return pixels
    cv2 = opencv()
    is_bilinear = max(pixels.shape[0] / height, pixels.shape[1] / width) <= _MAX_BILINEAR_RATIO
    method = cv2.INTER_LINEAR if is_bilinear else cv2.INTER_AREA
    resized: Pixels = cv2.resize(pixels, (width, height), interpolation=method)
    return resized


def srgb_pixels(jpeg: bytes) -> Pixels:
    """uint8 (H, W, 3), sRGB, of a stored JPEG, for display. Raises `DamageError` if it cannot be
    decoded."""
    decoded: Pixels | JpegHeader | Drop = read_header(jpeg)
    if isinstance(decoded, JpegHeader):
        decoded = decode_jpeg(jpeg, decoded, min_side_px=min(decoded.width, decoded.height))
    if isinstance(decoded, Drop):
        raise DamageError(f"a stored image cannot be decoded ({decoded.reason}: {decoded.detail})")
    return as_rgb(decoded)
