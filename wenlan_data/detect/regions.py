"""Stored JPEGs to the regions of their samples, by one detector."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from wenlan_data.image.decode import Pixels
from wenlan_data.image.stored_pixels import stored_pixels
from wenlan_data.protocols import Detector
from wenlan_data.records import Box, Region

if TYPE_CHECKING:
    from wenlan_data.protocols import BoxesToRegions, FindRegions

MAX_BATCH = 64
"""Decoded images in memory at once: 64 of a megapixel are 200 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionInput:
    """A stored image whose regions are wanted."""

    jpeg: bytes
    width: int
    """Pixels."""
    height: int
    boxes: tuple[Box, ...] = ()
    """The source's boxes, in pixels of this JPEG."""
    pixels: Pixels | None = None
    """uint8 (H, W, 3) as `stored_pixels` returns them, if the JPEG is decoded already."""


RegionFinder = Callable[[Sequence[DetectionInput]], list[tuple[Region, ...]]]
"""Images to the regions of each, the whole image last."""


def region_finder(detector: Detector, max_regions: int) -> tuple[RegionFinder, int]:
    """Loads the detector; returns it as a function of a batch of images, and the batch size to use.

    Each image gets at most `max_regions` regions, clipped to the image, best score first (equal
    scores in the detector's order), and then the whole image, which is not counted.
    """
    if detector.from_source:
        return _finder_by_boxes(detector.load_boxes(), max_regions), 1
    if detector.needs_pixels:
        batch_size = min(detector.batch_size, MAX_BATCH)
        return _finder_by_pixels(detector.load(), max_regions), batch_size
    return _finder_by_size(detector.load(), max_regions), 1


def _finder_by_boxes(to_regions: BoxesToRegions, max_regions: int) -> RegionFinder:
    def find(batch: Sequence[DetectionInput]) -> list[tuple[Region, ...]]:
        return [_select(to_regions(one.boxes), one.width, one.height, max_regions) for one in batch]

    return find


def _finder_by_pixels(find_regions: FindRegions, max_regions: int) -> RegionFinder:
    def find(batch: Sequence[DetectionInput]) -> list[tuple[Region, ...]]:
        every = find_regions(
            [stored_pixels(one.jpeg) if one.pixels is None else one.pixels for one in batch]
        )
        return [
            _select(found, one.width, one.height, max_regions)
            for found, one in zip(every, batch, strict=True)
        ]

    return find


def _finder_by_size(find_regions: FindRegions, max_regions: int) -> RegionFinder:
    # Without pixels, images of one size have the same regions; most images of a site have one size.
    @lru_cache(maxsize=1024)
    def by_size(width: int, height: int) -> tuple[Region, ...]:
        (found,) = find_regions([_blank(width, height)])
        return _select(found, width, height, max_regions)

    def find(batch: Sequence[DetectionInput]) -> list[tuple[Region, ...]]:
        return [by_size(one.width, one.height) for one in batch]

    return find


def _select(
    found: Iterable[Region], width: int, height: int, max_regions: int
) -> tuple[Region, ...]:
    inside = [cut for cut in (_clip(region, width, height) for region in found) if cut is not None]
    best = sorted(inside, key=lambda region: -region.score)[:max_regions]
    return (*best, Region(box_xyxy=(0, 0, width, height), label="image", score=1.0))


def _blank(width: int, height: int) -> Pixels:
    # One byte, broadcast: a detector that reads the shape alone needs no memory for an image.
    return np.broadcast_to(np.zeros(1, np.uint8), (height, width, 3))


def _clip(region: Region, width: int, height: int) -> Region | None:
    """The region inside the image; None if it lies outside."""
    x1, y1, x2, y2 = region.box_xyxy
    box = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    return (
        region
        if box == region.box_xyxy
        else Region(box_xyxy=box, label=region.label, score=region.score)
    )


def scale_boxes(
    boxes: Sequence[Box], from_size: tuple[int, int], to_size: tuple[int, int]
) -> tuple[Box, ...]:
    """Boxes of an image of `from_size` (width, height) pixels, in pixels of the same image at
    `to_size`."""
    if from_size == to_size:
        return tuple(boxes)
    x_ratio, y_ratio = to_size[0] / from_size[0], to_size[1] / from_size[1]
    return tuple(
        (round(x1 * x_ratio), round(y1 * y_ratio), round(x2 * x_ratio), round(y2 * y_ratio))
        for x1, y1, x2, y2 in boxes
    )
