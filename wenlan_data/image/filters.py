"""Which decodable pictures are worth nothing: by their shape, and by how little their thumbnail shows."""

import math

import numpy as np
from numpy.typing import NDArray

from wenlan_data.records import Drop

MAX_SPACER_PX = 3
"""A side of a tracking pixel, a hair line or a shadow that pages are laid out with."""
GREY_STEPS = 32
_STEP = 256 // GREY_STEPS


def check_shape(
    width: int, height: int, min_side_px: int, max_aspect: float, max_icon_side_px: int
) -> Drop | None:
    """`spacer`, `icon`, `too_small`, `aspect`, or None; all sides in pixels."""
    shorter, longer = sorted((width, height))
    seen = f"{width}x{height}"
    if shorter <= MAX_SPACER_PX < min_side_px:
        return Drop("spacer", seen)
    if width == height <= max_icon_side_px:
        return Drop("icon", seen)
    if shorter < min_side_px:
        return Drop("too_small", seen)
    return Drop("aspect", seen) if longer > shorter * max_aspect else None


def check_content(
    grey: NDArray[np.uint8], min_contrast: float, min_entropy_bits: float
) -> Drop | None:
    """`near_blank` or `low_information` of a grey thumbnail (S, S), or None.

    Contrast is the standard deviation in grey levels; entropy is that of the histogram of `GREY_STEPS` steps.
    """
    counts = np.bincount(grey.ravel(), minlength=256).astype(np.float64)
    share = counts / grey.size
    mean = float(share @ _LEVELS)
    contrast = math.sqrt(max(float(share @ _SQUARES) - mean * mean, 0.0))
    if contrast < min_contrast:
        return Drop("near_blank", f"contrast {contrast:.1f}")
    steps = share.reshape(GREY_STEPS, _STEP).sum(axis=1)
    there = steps[steps > 0]
    entropy_bits = -float(there @ np.log2(there))
    return (
        Drop("low_information", f"entropy {entropy_bits:.2f} bits")
        if entropy_bits < min_entropy_bits
        else None
    )


_LEVELS = np.arange(256, dtype=np.float64)
_SQUARES = _LEVELS**2
