"""Regions of pictures as padded boxes with a mask, in pixels of the square that the model sees."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def stored_boxes(fields: Mapping[str, object], width: int, height: int) -> list[Sequence[float]]:
    """The boxes of a sample's JSON in pixels of the stored picture, the whole picture last.

    It is the only one of a sample without regions; raises `ValueError` for what is no list of boxes.
    """
    regions = fields.get("regions", [])
    if not isinstance(regions, list):
        raise ValueError("regions: no list")
    boxes = [cast("Sequence[float]", region["box"]) for region in regions]
    if any(len(box) != 4 for box in boxes):
        raise ValueError("regions: a box has four sides")
    whole = (0, 0, width, height)
    return boxes if boxes and tuple(boxes[-1]) == whole else [*boxes, whole]


def scaled_boxes(
    boxes: Sequence[Sequence[Sequence[float]]], sizes: Sequence[tuple[int, int]], *, size_px: int, max_regions: int
) -> tuple[Floats, Bools]:
    """float32 (B, R, 4), x1 y1 x2 y2 in pixels of the square, and bool (B, R): R is `max_regions`, padding is 0.

    Where a sample has more, its first `max_regions - 1` stay, and the whole picture, which comes last.
    """
    boxes_BR4 = np.zeros((len(boxes), max_regions, 4), np.float32)
    mask_BR = np.zeros((len(boxes), max_regions), np.bool_)
    for row, (all_boxes, (width, height)) in enumerate(zip(boxes, sizes, strict=True)):
        kept = all_boxes if len(all_boxes) <= max_regions else [*all_boxes[: max_regions - 1], all_boxes[-1]]
        scale = np.array([size_px / width, size_px / height] * 2)
        boxes_BR4[row, : len(kept)] = np.clip(np.asarray(kept, np.float64) * scale, 0, size_px)
        mask_BR[row, : len(kept)] = True
    return boxes_BR4, mask_BR
