"""Filters on decodable images without content: by their shape, and by the detail in their
thumbnail."""

import math

import numpy as np

from wenlan_data.image.decode import Pixels
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MAX_SPACER_PX = 3
"""Shorter side of a tracking pixel, a hair line or a shadow of a page's layout."""
GREY_BINS = 32
_LEVELS_PER_BIN = 256 // GREY_BINS


def check_shape(
    width: int, height: int, min_side_px: int, max_aspect: float, max_icon_side_px: int
) -> Drop | None:
    """`spacer`, `icon`, `too_small`, `aspect`, or None; all sides in pixels."""
    shorter, longer = sorted((width, height))
    size = f"{width}x{height}"
    if shorter <= MAX_SPACER_PX < min_side_px:
        return Drop(Reason.SPACER, size)
    if width == height <= max_icon_side_px:
        return Drop(Reason.ICON, size)
    if shorter < min_side_px:
        return Drop(Reason.TOO_SMALL, size)
    return Drop(Reason.ASPECT, size) if longer > shorter * max_aspect else None


def check_content(grey: Pixels, min_contrast: float, min_entropy_bits: float) -> Drop | None:
    """`near_blank` or `low_information` of a grey thumbnail uint8 (S, S), or None.

    Contrast is the standard deviation in grey levels; entropy, in bits, is that of the histogram of
    `GREY_BINS` bins.
    """
    # Both come from one histogram: the deviation by its moments, without a pass over floats.
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    share = counts / grey.size
    mean = float(share @ _LEVELS)
    contrast = math.sqrt(max(float(share @ _SQUARES) - mean * mean, 0.0))
    if contrast < min_contrast:
        return Drop(Reason.NEAR_BLANK, f"contrast {contrast:.1f}")
    bins = share.reshape(GREY_BINS, _LEVELS_PER_BIN).sum(axis=1)
    filled = bins[bins > 0]
    entropy_bits = -float(filled @ np.log2(filled))
    return (
        Drop(Reason.LOW_INFORMATION, f"entropy {entropy_bits:.2f} bits")
        if entropy_bits < min_entropy_bits
        else None
    )


_LEVELS = np.arange(256, dtype=np.float64)
_SQUARES = _LEVELS**2
