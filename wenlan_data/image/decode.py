"""Bytes to upright sRGB pixels, for every format. An image that cannot be decoded completely is a
`Drop`."""

import errno
import io
import re
import struct
import warnings
import zlib
from functools import cache
from types import ModuleType

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image

from wenlan_data.image.colour import needs_transform, to_srgb
from wenlan_data.image.exif import orientation_of
from wenlan_data.image.jpeg import JpegHeader, strip_metadata
from wenlan_data.image.limits import too_large
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

# The workers are processes, and the sandbox lets no decoder make a thread.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1

Pixels = NDArray[np.uint8]
"""uint8 (H, W) grey, or (H, W, 3) red, green, blue."""

# Exceptions that Pillow's and libjpeg's readers were seen to raise on hostile bytes.
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)
# Warnings of libjpeg that cost no pixel; cameras and old editors write such files.
_HARMLESS = re.compile(
    r"unknown JFIF revision|Invalid SOS parameters|[Uu]nknown Adobe|thumbnail image size"
    r"|Corrupt JPEG data: \d{1,2} extraneous bytes before marker 0xd9"
)
_STRIP_PIXELS = 4_000_000
_TOO_MANY_FILES = {errno.EMFILE, errno.ENFILE}
_TRUNCATION = re.compile(r"[Pp]remature end|truncated|[Tt]runcated|unexpected end", re.ASCII)


@cache
def opencv() -> ModuleType:
    """OpenCV on one thread: the workers are processes, and a thread pool in each would
    oversubscribe the cores."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


def decode_jpeg(data: bytes, header: JpegHeader, *, min_side_px: int) -> Pixels | Drop:
    """uint8 (H, W) or (H, W, 3), sRGB, before EXIF orientation, scaled down by 1, 2, 4 or 8.

    The shorter side stays at least `min_side_px` if the image has that. Every entropy-coded byte is
    read at any scale, so that truncation is found.
    """
    mode = {1: "L", 3: "RGB", 4: "CMYK"}.get(header.components)
    if mode is None or header.precision_bits != 8:
        return Drop(
            Reason.UNDECODABLE, f"{header.components} components of {header.precision_bits} bits"
        )
    is_srgb = mode != "CMYK" and not needs_transform(header.icc, mode)
    pixels = _read_jpeg(data, header, "GRAY" if mode == "L" else mode, min_side_px)
    if isinstance(pixels, Drop) or is_srgb:
        return pixels
    # Adobe writes CMYK inverted, and other encoders follow it; Pillow assumes the same.
    image = (
        Image.fromarray(255 - pixels, mode="CMYK") if mode == "CMYK" else Image.fromarray(pixels)
    )
    return np.asarray(to_srgb(image, header.icc))


def _read_jpeg(data: bytes, header: JpegHeader, colours: str, min_side_px: int) -> Pixels | Drop:
    smallest = smallest_sides(header.width, header.height, min_side_px)
    found = _try_decode(data, colours, smallest, strict=True)
    # A harmless warning may come from the metadata: again without it, strictly; and only then
    # without regard to warnings.
    for strict in (True, False):
        if not (isinstance(found, Drop) and _HARMLESS.search(found.detail)):
            break
        bare = strip_metadata(data)
        found = (
            _try_decode(bare, colours, smallest, strict=strict)
            if bare
            else Drop(Reason.TRUNCATED, "no end mark")
        )
    return found


def smallest_sides(width: int, height: int, min_side_px: int) -> dict[str, int]:
    """The sides to which simplejpeg scales a JPEG inside the DCT, as its keyword arguments.

    The scale is 1, 1/2, 1/4 or 1/8, the smallest that leaves the shorter side at least
    `min_side_px`.
    """
    # Powers of two only: libjpeg-turbo has no SIMD code for the scales between (measured 1.2
    # against 0.8 ms).
    factor = next((step for step in (8, 4, 2) if min(width, height) // step >= min_side_px), 1)
    return {"min_width": -(-width // factor), "min_height": -(-height // factor)}


def _try_decode(
    data: bytes, colours: str, smallest: dict[str, int], *, strict: bool
) -> Pixels | Drop:
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(data, colours, **smallest, strict=strict)
    except _DECODER_ERRORS as error:
        return _drop_of(error)
    return pixels[..., 0] if colours == "GRAY" else pixels


def decode_other(data: bytes) -> Pixels | Drop:
    """uint8 (H, W, 3), sRGB, upright, alpha on white, of the first frame of a PNG, WebP, GIF or
    AVIF."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=("PNG", "WEBP", "GIF", "AVIF")) as image:
                if drop := too_large(*image.size):
                    return drop
                image.load()
                return apply_orientation(
                    _flatten(image), orientation_of(image.info.get("exif") or b"")
                )
    except _DECODER_ERRORS as error:
        return _drop_of(error)


def _flatten(image: Image.Image) -> Pixels:
    """uint8 (H, W, 3), sRGB, alpha blended on white."""
    # By strips: Pillow's copies of 64 MP with alpha, and of their colours, would take 1.3 GiB at
    # once.
    width, height = image.size
    rows = max(1, _STRIP_PIXELS // width)
    if rows >= height:
        return np.asarray(_blend_on_white(image))
    flat: Pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        strip = image.crop((0, top, width, bottom))
        strip.info = image.info
        flat[top:bottom] = np.asarray(_blend_on_white(strip))
    return flat


def _blend_on_white(image: Image.Image) -> Image.Image:
    icc = image.info.get("icc_profile") or b""
    # 16 bits a sample: Pillow's own conversion would clip them, not scale them.
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        base = image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")
        colours = to_srgb(base, icc)
        return colours if colours.mode == "RGB" else colours.convert("RGB")
    with_alpha = image.convert("RGBA")
    colours = to_srgb(with_alpha.convert("RGB"), icc)
    white = Image.new("RGB", image.size, (255, 255, 255))
    return Image.composite(colours, white, with_alpha.getchannel("A"))


def apply_orientation(pixels: Pixels, orientation: int) -> Pixels:
    """(H, W, ...) transposed and mirrored by EXIF orientation 1 to 8, so that it is upright;
    contiguous."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def as_rgb(pixels: Pixels) -> Pixels:
    """uint8 (H, W, 3) of grey (H, W) or RGB (H, W, 3) pixels."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _drop_of(error: BaseException) -> Drop:
    if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
        raise error  # the process is out of file descriptors: no fault of the image
    # Pillow puts the repr of its file, with a memory address, into some messages.
    text = " ".join(re.sub(r"<[^>]*>", "", str(error)).split())[:120]
    detail = text or type(error).__name__
    if "too large" in text:
        return Drop(Reason.TOO_LARGE, detail)
    return Drop(Reason.TRUNCATED if _TRUNCATION.search(text) else Reason.UNDECODABLE, detail)
