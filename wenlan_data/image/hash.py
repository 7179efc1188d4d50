"""Perceptual hashes of a picture's thumbnail; whoever changes what they depend on raises `HASH_VERSION`.

The thumbnail is sRGB, upright, `THUMBNAIL_PX` square whatever the picture's aspect, area-averaged from pixels whose
shorter side is at least `MIN_DECODED_SIDE_PX` where the picture has that: those of the picture as it is stored where
it is encoded anew, so that it is decoded once, else those of a decode at a fraction of its size. Between the two lie
0.35 bits of pHash in the mean and 4 at most, 2.5 and 18 of PDQ (159 photographs, benchmarks/dedupe/hash_stability).
The hashes see its luma (BT.601) alone.
"""

from typing import cast

import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

from wenlan_data.image.decode import opencv

NO_COLOURS = bytes(8)

HASH_VERSION = 4
THUMBNAIL_PX = 64
"""The side of PDQ's own grid: at 128 it keeps every second pixel, takes 0.18 instead of 0.05 ms, and its bits move
nearly twice as much when a picture is resized (`benchmarks/dedupe/hash_stability.py`)."""
MIN_DECODED_SIDE_PX = 128
"""At 64, pictures that differ only in size are up to 18 bits of pHash apart, at 128 up to 6, for 0.04 ms."""

GREY_COLOURS = bytes([128] * 8)

Pixels = NDArray[np.uint8]


def grey_thumbnail(pixels: Pixels) -> Pixels:
    """The normalised thumbnail, uint8 (64, 64), of upright sRGB pixels (H, W) or (H, W, 3)."""
    return luma(colour_thumbnail(pixels))


def colour_thumbnail(pixels: Pixels) -> Pixels:
    """The same with its colours: (64, 64) or (64, 64, 3)."""
    cv2 = opencv()
    while min(pixels.shape[:2]) >= 2 * MIN_DECODED_SIDE_PX:
        # Averages of four, for which OpenCV has fast code: a third less time for 512x384.
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = cast("Pixels", cv2.resize(pixels, half, interpolation=cv2.INTER_AREA))
    # INTER_AREA enlarges bilinearly, so that small pictures are covered as well.
    return cast(
        "Pixels", cv2.resize(pixels, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    )


def luma(small: Pixels) -> Pixels:
    """Its luma, (64, 64)."""
    cv2 = opencv()
    return small if small.ndim == 2 else cast("Pixels", cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def quarter_colours(small: Pixels) -> bytes:
    """Mean Cb and Cr (1 to 255) of the upper left, upper right, lower left and lower right quarter: 8 bytes."""
    if small.ndim == 2:
        return GREY_COLOURS
    cv2 = opencv()
    quarters = cv2.resize(small, (2, 2), interpolation=cv2.INTER_AREA)
    red_blue = cv2.cvtColor(quarters, cv2.COLOR_RGB2YCrCb)[..., 1:]
    # 0 is left for what is not known.
    return bytes(np.maximum(red_blue[..., ::-1], 1))


def perceptual_hashes(thumbnail: Pixels) -> tuple[int, bytes]:
    """64-bit pHash (first bit of the imagehash matrix highest) and 32-byte PDQ of a thumbnail (64, 64)."""
    cv2 = opencv()
    bits = imagehash.phash(Image.fromarray(thumbnail)).hash
    phash = int.from_bytes(np.packbits(bits).tobytes(), "big")
    pdq_bits, _quality = pdqhash.compute(cv2.cvtColor(thumbnail, cv2.COLOR_GRAY2RGB))
    return phash, np.packbits(pdq_bits.astype(np.uint8)).tobytes()
