"""Perceptual hashes of a picture's thumbnail; whoever changes what they depend on raises `HASH_VERSION`.

The thumbnail is grey (luma of sRGB, BT.601), upright, `THUMBNAIL_PX` square whatever the picture's aspect,
area-averaged from pixels whose shorter side is at least `MIN_DECODED_SIDE_PX` where the picture has that.
"""

from typing import cast

import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

from wenlan_data.image.decode import opencv

HASH_VERSION = 2
THUMBNAIL_PX = 64
"""The side of PDQ's own grid: at 128 it keeps every second pixel, takes 0.18 instead of 0.05 ms, and its bits move
nearly twice as much when a picture is resized (`benchmarks/hash_stability.py`)."""
MIN_DECODED_SIDE_PX = 128
"""At 64, pictures that differ only in size are up to 18 bits of pHash apart, at 128 up to 6, for 0.04 ms."""

Pixels = NDArray[np.uint8]


def thumbnail(pixels: Pixels) -> Pixels:
    """The normalised thumbnail, uint8 (64, 64), of upright sRGB pixels (H, W) or (H, W, 3)."""
    cv2 = opencv()
    # INTER_AREA enlarges bilinearly, so that small pictures are covered as well.
    small = cv2.resize(pixels, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA)
    return cast("Pixels", small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))


def hashes(thumbnail: Pixels) -> tuple[int, bytes]:
    """64-bit pHash (first bit of the imagehash matrix highest) and 32-byte PDQ of a thumbnail (64, 64)."""
    cv2 = opencv()
    bits = imagehash.phash(Image.fromarray(thumbnail)).hash
    phash = int.from_bytes(np.packbits(bits).tobytes(), "big")
    pdq_bits, _quality = pdqhash.compute(cv2.cvtColor(thumbnail, cv2.COLOR_GRAY2RGB))
    return phash, np.packbits(pdq_bits.astype(np.uint8)).tobytes()
