"""Encoded pictures to squares of pixels. A decoder is chosen by its name; what it cannot decode is a `Drop`."""

import io
import warnings
from collections.abc import Callable

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from wenlan_data.errors import UsageError
from wenlan_data.image.decode import decode_jpeg, decode_other, opencv
from wenlan_data.image.jpeg import read_header
from wenlan_data.image.limits import too_large
from wenlan_data.image.sniff import sniff
from wenlan_data.records import Drop

Pixels = NDArray[np.uint8]
Size = tuple[int, int]
"""Width and height in pixels."""
Decoder = Callable[[memoryview, Pixels], Size | Drop]
"""Fills the uint8 (S, S, 3) it is given with the picture, stretched to the square, and says its stored size."""
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
FAST_COLOURS = 1.5
"""Sides that are so much too long need no interpolated colours."""
DECODERS = ("turbo", "pillow", "cuda")
"""The first two run in the workers; with `cuda` these read headers, and the device decodes (`gpu_decode.py`)."""


def decoder(name: str) -> Decoder:
    """The decoder of that name; raises `UsageError` for one that is not there."""
    if name not in DECODERS:
        raise UsageError(f"decoder {name!r}: choose one of {', '.join(DECODERS)}")
    return {"turbo": decode_turbo, "pillow": decode_pillow, "cuda": measure}[name]


def is_plain_jpeg(data: memoryview) -> bool:
    """Whether libjpeg and nvJPEG give RGB of it."""
    try:
        return simplejpeg.decode_jpeg_header(data)[2] in {"YCbCr", "Gray", "RGB"}
    except ValueError:
        return False


def measure(data: memoryview, _: Pixels) -> Size | Drop:
    """The stored size by the header alone; what the header of no JPEG tells is found by decoding it small."""
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return _decode_rarity(data, np.empty((1, 1, 3), np.uint8))
    return too_large(width, height) or (width, height)


def decode_turbo(data: memoryview, out_SSC: Pixels) -> Size | Drop:
    """By libjpeg-turbo, scaled by 1, 2, 4 or 8 inside the DCT where no side falls below S; other formats by Pillow.

    Where `fit` shrinks the result anyway, colours are not interpolated on the way (0.2 of 255 off in the mean).
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours == "CMYK" or too_large(width, height):
            return _decode_rarity(data, out_SSC)
        factor = _factor(width, height, out_SSC.shape[0])
        smallest = {"min_height": -(-height // factor), "min_width": -(-width // factor)}
        shrinks = min(smallest.values()) >= FAST_COLOURS * out_SSC.shape[0]
        pixels = simplejpeg.decode_jpeg(data, "RGB", **smallest, fastupsample=shrinks)
    except ValueError:
        return _decode_rarity(data, out_SSC)
    fit(pixels, out_SSC)
    return width, height


def decode_pillow(data: memoryview, out_SSC: Pixels) -> Size | Drop:
    """By Pillow, JPEG in its draft mode, resized with its reducing bilinear filter."""
    if not sniff(bytes(data[:32])):
        return Drop("undecodable", "no picture of a known format")
    side = out_SSC.shape[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # the limit below is lower
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "GIF")) as picture:
                size = picture.size
                wrong = too_large(*size)
                if wrong:
                    return wrong
                picture.draft("RGB", (side, side))
                out_SSC[:] = np.asarray(
                    picture.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
                )
    except _PILLOW_ERRORS as error:
        return Drop("undecodable", type(error).__name__)
    return size


def fit(pixels: Pixels, out_SSC: Pixels) -> None:
    """Stretch uint8 (H, W, 3) to the square: sides are halved until none is 2.5 times too long, the rest is bilinear.

    Bilinear looks at two neighbours, four pixels of five at 2.5. Of 512x384 to 224 that is as far from the mean of the
    area as halving first (1.9 of 255), and farther from Pillow's bilinear (2.2 for 1.5): the price of 0.07 ms instead
    of 0.17; by area itself it takes 0.57 ms.
    """
    cv2 = opencv()
    side = out_SSC.shape[0]
    longest = int(MAX_SHRINK * side)
    while max(pixels.shape[:2]) > longest:
        height, width = (-(-one // 2) if one > longest else one for one in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
    cv2.resize(pixels, (side, side), dst=out_SSC, interpolation=cv2.INTER_LINEAR)


def _factor(width: int, height: int, side: int) -> int:
    # Powers of two only: libjpeg-turbo has no SIMD code for the scales between.
    return next((step for step in (8, 4, 2) if min(width, height) // step >= side), 1)


def _decode_rarity(data: memoryview, out_SSC: Pixels) -> Size | Drop:
    """What is no plain JPEG: CMYK, harmless damage, other formats; with the reasons that the build gives."""
    whole = bytes(data)
    kind = sniff(whole)
    if not kind:
        return Drop("undecodable", "no picture of a known format" if whole else "empty")
    header = read_header(whole) if kind == "jpeg" else None
    if isinstance(header, Drop):
        return header
    pixels = (
        decode_jpeg(whole, header, min_side_px=out_SSC.shape[0]) if header else decode_other(whole)
    )
    if isinstance(pixels, Drop):
        return pixels
    pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    fit(np.ascontiguousarray(pixels), out_SSC)
    return (header.width, header.height) if header else (pixels.shape[1], pixels.shape[0])
