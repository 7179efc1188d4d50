"""From stored JPEGs to the regions that their samples publish, by the recipe's detector."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wenlan_data.image.decode import Pixels
from wenlan_data.image.stored_pixels import stored_pixels
from wenlan_data.recipe import DetectRules
from wenlan_data.records import Box, Region

MAX_BATCH = 64
"""Of decoded pictures: 64 of a megapixel are 200 MB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionInput:
    """A stored picture that is to be looked at."""

    jpeg: bytes
    width: int
    """Pixels."""
    height: int
    boxes: tuple[Box, ...] = ()
    """Those that the source brought along, in pixels of this JPEG."""
    pixels: Pixels | None = None
    """As `stored_pixels` gives them, where they are decoded already."""


RegionFinder = Callable[[Sequence[DetectionInput]], list[tuple[Region, ...]]]
"""Pictures to the regions of each, the whole image last."""


def region_finder(detect: DetectRules) -> tuple[RegionFinder, int]:
    """The recipe's detector, loaded once, as a function of some pictures; and how many it likes at once.

    Each picture gets at most `max_regions` regions, best scores first (the detector's order among equals), cut to
    the picture; then the whole image, which is not counted. A detector whose `needs_pixels` is False gets a view
    of the right shape that was never decoded; one whose `from_source` is True is not asked: the picture's own boxes
    are its regions.
    """
    detector = detect.load()
    if getattr(detector, "from_source", False):
        of_boxes: Callable[[Sequence[Box]], list[Region]] = detector.load_boxes()  # type: ignore[attr-defined]
        return lambda some: [
            _select(of_boxes(one.boxes), one.width, one.height, detect) for one in some
        ], 1
    find = detector.load()

    # What looks at no pixel gives the same regions for the same size, and most pictures of a site have one size.
    @lru_cache(maxsize=1024)
    def by_size(width: int, height: int) -> tuple[Region, ...]:
        (found,) = find([_blank(width, height)])
        return _select(found, width, height, detect)

    def by_pixels(some: Sequence[DetectionInput]) -> list[tuple[Region, ...]]:
        every = find(
            [stored_pixels(one.jpeg) if one.pixels is None else one.pixels for one in some]
        )
        return [
            _select(found, one.width, one.height, detect)
            for found, one in zip(every, some, strict=True)
        ]

    if needs_pixels(detect):
        return by_pixels, min(detector.batch_size, MAX_BATCH)
    return lambda some: [by_size(one.width, one.height) for one in some], 1


def needs_pixels(detect: DetectRules) -> bool:
    """Whether the recipe's detector looks at pixels."""
    detector = detect.load()
    return getattr(detector, "needs_pixels", True) and not getattr(detector, "from_source", False)


def _select(
    found: Iterable[Region], width: int, height: int, detect: DetectRules
) -> tuple[Region, ...]:
    inside = [cut for cut in (_clip(region, width, height) for region in found) if cut is not None]
    best = sorted(inside, key=lambda region: -region.score)[: detect.max_regions]
    return (*best, Region(box_xyxy=(0, 0, width, height), label="image", score=1.0))


def _blank(width: int, height: int) -> Pixels:
    return np.broadcast_to(np.zeros(1, np.uint8), (height, width, 3))


def _clip(region: Region, width: int, height: int) -> Region | None:
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
    """Boxes of a picture of `from_size` (width, height) pixels in those of the same picture at `to_size`."""
    if from_size == to_size:
        return tuple(boxes)
    across, down = to_size[0] / from_size[0], to_size[1] / from_size[1]
    return tuple(
        (round(x1 * across), round(y1 * down), round(x2 * across), round(y2 * down))
        for x1, y1, x2, y2 in boxes
    )
