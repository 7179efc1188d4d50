"""Regions of pictures as padded boxes with a mask, in pixels of the square that the model sees."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]


def stored_boxes(
    fields: Mapping[str, object], width: int, height: int, *, max_regions: int
) -> Doubles:
    """float64 (R, 4), the boxes of a sample's JSON in pixels of the stored picture, the whole picture last.

    It is the only one of a sample without regions; where there are more than `max_regions`, the first stay and it.
    Raises `ValueError`, `TypeError`, `KeyError` or `OverflowError` for what is no list of boxes.
    """
    regions = fields.get("regions", [])
    if not isinstance(regions, list):
        raise ValueError("regions: no list")
    boxes = [cast("Sequence[float]", region["box"]) for region in regions]
    whole = [0, 0, width, height]
    if boxes and boxes[-1] == whole:
        boxes.pop()
    kept = [*boxes[: max_regions - 1], whole]
    if set(map(len, kept)) != {4}:
        raise ValueError("regions: a box has four sides")
    # By `array`: NumPy takes thrice the time to find out what is in nested lists, and takes texts for numbers.
    found: Doubles = np.frombuffer(array("d", chain.from_iterable(kept))).reshape(-1, 4)
    if not isfinite(found.sum()):
        raise ValueError("regions: a side is no number")
    return found


def scaled_boxes(
    boxes: Sequence[Doubles], sizes: Sequence[tuple[int, int]], *, size_px: int, max_regions: int
) -> tuple[Floats, Bools]:
    """float32 (B, R, 4), x1 y1 x2 y2 in pixels of the square, and bool (B, R): R is `max_regions`, padding is 0."""
    boxes_BR4 = np.zeros((len(boxes), max_regions, 4), np.float32)
    counts = np.array([len(one) for one in boxes])
    mask_BR: Bools = np.arange(max_regions) < counts[:, None]
    scale = np.repeat(size_px / np.array(sizes, np.float64), counts, axis=0)
    boxes_BR4[mask_BR] = np.clip(np.concatenate(boxes) * np.tile(scale, 2), 0, size_px)
    return boxes_BR4, mask_BR
