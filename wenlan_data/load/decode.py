"""Decodes images to squares of pixels. A decoder is chosen by name; its failures are `Drop`s."""

import io
import warnings
from collections.abc import Callable

import numpy as np
import simplejpeg
from PIL import Image

from wenlan_data.errors import UsageError
from wenlan_data.image.decode import (
    Pixels,
    as_rgb,
    decode_jpeg,
    decode_other,
    opencv,
    smallest_sides,
)
from wenlan_data.image.jpeg import read_header
from wenlan_data.image.limits import too_large
from wenlan_data.image.sniff import sniff
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.shard.format import PILLOW_FORMATS

Size = tuple[int, int]
"""Width and height in pixels."""
Decoder = Callable[[memoryview, Pixels], Size | Drop]
"""Fills uint8 (S, S, 3) with the image, stretched to the square, and returns its stored size."""
# What Pillow raises on hostile bytes.
_PILLOW_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    Image.DecompressionBombError,
)
MAX_SHRINK = 2.5
"""Largest factor by which `resize_to_square` shrinks in one bilinear step."""
FAST_CHROMA_SHRINK = 1.5
"""From this factor on, chroma is not interpolated."""
DECODERS = ("turbo", "pillow", "cuda")
"""`turbo` and `pillow` run in the workers; with `cuda` these only read headers."""


def find_decoder(name: str) -> Decoder:
    """Returns the decoder with that name. Raises `UsageError` for an unknown one."""
    if name not in DECODERS:
        raise UsageError(f"decoder {name!r}: choose one of {', '.join(DECODERS)}")
    return {"turbo": decode_turbo, "pillow": decode_pillow, "cuda": read_size}[name]


def is_plain_jpeg(data: memoryview) -> bool:
    """Whether both libjpeg and nvJPEG decode it to RGB; CMYK is the usual exception."""
    try:
        return simplejpeg.decode_jpeg_header(data)[2] in {"YCbCr", "Gray", "RGB"}
    except ValueError:
        return False


def read_size(data: memoryview, _: Pixels) -> Size | Drop:
    """Returns the stored size without pixels; formats other than JPEG are decoded to 1x1 for it."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return _decode_fallback(data, np.empty((1, 1, 3), np.uint8))
    return too_large(width, height) or (width, height)


def decode_turbo(data: memoryview, out_SSC: Pixels) -> Size | Drop:
    """Decodes JPEG with libjpeg-turbo, scaled down inside the DCT while both sides are at least S;
    other formats with Pillow."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours == "CMYK" or too_large(width, height):
            return _decode_fallback(data, out_SSC)
        smallest = smallest_sides(width, height, out_SSC.shape[0])
        # The resize that follows averages chroma anyway: without interpolation the result differs
        # by 0.2 of 255 in the mean.
        shrinks = min(smallest.values()) >= FAST_CHROMA_SHRINK * out_SSC.shape[0]
        pixels = simplejpeg.decode_jpeg(data, "RGB", **smallest, fastupsample=shrinks)
    except ValueError:
        return _decode_fallback(data, out_SSC)
    resize_to_square(pixels, out_SSC)
    return width, height


def decode_pillow(data: memoryview, out_SSC: Pixels) -> Size | Drop:
    """Decodes with Pillow, JPEG in draft mode, and resizes with its antialiased bilinear filter."""
    if not sniff(bytes(data[:32])):
        return Drop(Reason.UNDECODABLE, "no image of a known format")
    side = out_SSC.shape[0]
    try:
        with warnings.catch_warnings():
            # `too_large` has a lower limit than Pillow's warning.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=PILLOW_FORMATS) as image:
                size = image.size
                refused = too_large(*size)
                if refused:
                    return refused
                image.draft("RGB", (side, side))
                out_SSC[:] = np.asarray(
                    image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
                )
    except _PILLOW_ERRORS as error:
        return Drop(Reason.UNDECODABLE, type(error).__name__)
    return size


def resize_to_square(pixels: Pixels, out_SSC: Pixels) -> None:
    """Stretches uint8 (H, W, 3) to the square.

    Sides are halved until none is more than `MAX_SHRINK` times too long; the rest is bilinear.
    """
    # Bilinear reads two neighbours, which covers four of five pixels at a factor of 2.5. From
    # 512x384 to 224 the result is as far from the area mean as with one more halving (1.9 of 255),
    # but farther from Pillow's bilinear filter (2.2 against 1.5). It takes 0.07 ms instead of
    # 0.17 ms; an area filter takes 0.57 ms.
    cv2 = opencv()
    side = out_SSC.shape[0]
    longest = int(MAX_SHRINK * side)
    while max(pixels.shape[:2]) > longest:
        height, width = (-(-one // 2) if one > longest else one for one in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.resize(pixels, (side, side), dst=out_SSC, interpolation=cv2.INTER_LINEAR)


def _decode_fallback(data: memoryview, out_SSC: Pixels) -> Size | Drop:
    """Decodes what simplejpeg cannot: CMYK, minor corruption, other formats.

    Its drop reasons are those of a build.
    """
    whole = bytes(data)
    kind = sniff(whole)
    if not kind:
        return Drop(Reason.UNDECODABLE, "no image of a known format" if whole else "empty")
    header = read_header(whole) if kind == "jpeg" else None
    if isinstance(header, Drop):
        return header
    pixels = (
        decode_jpeg(whole, header, min_side_px=out_SSC.shape[0]) if header else decode_other(whole)
    )
    if isinstance(pixels, Drop):
        return pixels
    resize_to_square(np.ascontiguousarray(as_rgb(pixels)), out_SSC)
    return (header.width, header.height) if header else (pixels.shape[1], pixels.shape[0])
