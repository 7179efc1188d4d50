"""Regions as padded boxes with a mask, in pixels of the square image that the model sees."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import cast

import numpy as np
from numpy.typing import NDArray

from wenlan_data.npy import Bools

StoredBoxes = NDArray[np.float64]
"""float64 (R, 4): x1, y1, x2, y2 in pixels of the stored image."""


def stored_boxes(
    fields: Mapping[str, object], width: int, height: int, *, max_regions: int
) -> StoredBoxes:
    """Returns the boxes in a sample's JSON.

    The last box is the whole image, also for a sample without regions. Of more than `max_regions`
    boxes, the first ones and the whole image are returned.
    Raises `ValueError`, `TypeError`, `KeyError` or `OverflowError` for a malformed list of boxes.
    """
    regions = fields.get("regions", [])
    if not isinstance(regions, list):
        raise ValueError("regions: no list")
    boxes = [cast("Sequence[float]", region["box"]) for region in regions]
    whole = [0, 0, width, height]
    # A corpus of this package stores the whole image as its last region.
    if boxes and boxes[-1] == whole:
        boxes.pop()
    selected = [*boxes[: max_regions - 1], whole]
    if set(map(len, selected)) != {4}:
        raise ValueError("regions: a box has four sides")
    # `array` rejects strings, which NumPy would parse as numbers, and takes a third of the time
    # that NumPy needs to inspect nested lists.
    found: StoredBoxes = np.frombuffer(array("d", chain.from_iterable(selected))).reshape(-1, 4)
    # One sum finds every NaN and infinity.
    if not isfinite(found.sum()):
        raise ValueError("regions: a side is no number")
    return found


def scaled_boxes(
    boxes: Sequence[StoredBoxes],
    sizes: Sequence[tuple[int, int]],
    *,
    size_px: int,
    max_regions: int,
) -> tuple[NDArray[np.float32], Bools]:
    """Returns float32 (B, R, 4), x1 y1 x2 y2 in pixels of the square, and its mask bool (B, R).

    R is `max_regions`; padding is 0. `sizes` are width and height of the stored images.
    """
    boxes_BR4 = np.zeros((len(boxes), max_regions, 4), np.float32)
    counts = np.array([len(one) for one in boxes])
    mask_BR: Bools = np.arange(max_regions) < counts[:, None]
    scale = np.repeat(size_px / np.array(sizes, np.float64), counts, axis=0)
    # One scatter for the whole batch: the mask lists its true cells in the order of the boxes.
    boxes_BR4[mask_BR] = np.clip(np.concatenate(boxes) * np.tile(scale, 2), 0, size_px)
    return boxes_BR4, mask_BR
