"""Perceptual hashes of an image's thumbnail. Raise `HASH_VERSION` with every change to what they
depend on.

The thumbnail is sRGB, upright, `THUMBNAIL_PX` square whatever the image's aspect, area-averaged
from pixels whose shorter side is at least `MIN_DECODED_SIDE_PX` if the image has that. For an image
that is re-encoded these are the stored pixels, so that it is decoded once; otherwise those of a
decoding at a fraction of its size. Between the two lie 0.35 bits of pHash on average and 4 at most,
2.5 and 18 of PDQ (159 photographs, benchmarks/dedupe/hash_stability). The hashes are computed on
its luma (BT.601) alone.
"""

import imagehash
import numpy as np
import pdqhash
from PIL import Image

from wenlan_data.image.decode import Pixels, opencv

NO_COLOURS = bytes(8)
"""Quarter colours of an image whose colours are not known."""
GREY_COLOURS = bytes([128] * 8)

HASH_VERSION = 4
THUMBNAIL_PX = 64
"""The side of PDQ's own grid: at 128 it keeps every second pixel, takes 0.18 instead of 0.05 ms,
and its bits move nearly twice as much when an image is resized
(`benchmarks/dedupe/hash_stability.py`)."""
MIN_DECODED_SIDE_PX = 128
"""At 64, images that differ only in size are up to 18 bits of pHash apart, at 128 up to 6, for 0.04
ms."""


def colour_thumbnail(pixels: Pixels) -> Pixels:
    """uint8 (64, 64) or (64, 64, 3): the thumbnail of upright sRGB pixels (H, W) or (H, W, 3)."""
    cv2 = opencv()
    while min(pixels.shape[:2]) >= 2 * MIN_DECODED_SIDE_PX:
        # Averages of four, for which OpenCV has fast code: a third less time for 512x384.
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
    # INTER_AREA enlarges bilinearly, so that small images are covered as well.
    size = THUMBNAIL_PX, THUMBNAIL_PX
    thumbnail: Pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return thumbnail


def grey_thumbnail(pixels: Pixels) -> Pixels:
    """uint8 (64, 64): the luma of the thumbnail, the input of the hashes."""
    return luma(colour_thumbnail(pixels))


def luma(thumbnail: Pixels) -> Pixels:
    """uint8 (64, 64): BT.601 luma of a thumbnail (64, 64) or (64, 64, 3)."""
    if thumbnail.ndim == 2:
        return thumbnail
    cv2 = opencv()
    grey: Pixels = cv2.cvtColor(thumbnail, cv2.COLOR_RGB2GRAY)
    return grey


def quarter_colours(thumbnail: Pixels) -> bytes:
    """8 bytes: mean Cb and Cr (1 to 255) of the upper left, upper right, lower left and lower right
    quarter."""
    if thumbnail.ndim == 2:
        return GREY_COLOURS
    cv2 = opencv()
    quarters = cv2.resize(thumbnail, (2, 2), interpolation=cv2.INTER_AREA)
    cr_cb = cv2.cvtColor(quarters, cv2.COLOR_RGB2YCrCb)[..., 1:]
    # 0 means unknown, see `NO_COLOURS`.
    return bytes(np.maximum(cr_cb[..., ::-1], 1))


def perceptual_hashes(grey: Pixels) -> tuple[int, bytes]:
    """64-bit pHash (the first bit of the imagehash matrix highest) and 32-byte PDQ of a grey
    thumbnail (64, 64)."""
    cv2 = opencv()
    bits = imagehash.phash(Image.fromarray(grey)).hash
    phash = int.from_bytes(np.packbits(bits).tobytes(), "big")
    # `pdqhash` takes three channels only; equal ones have the luma of the grey.
    pdq_bits, _quality = pdqhash.compute(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB))
    return phash, np.packbits(pdq_bits.astype(np.uint8)).tobytes()
