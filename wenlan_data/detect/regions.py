"""From a stored JPEG to the regions that its sample publishes, by the recipe's detector."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from wenlan_data.image.decode import Pixels
from wenlan_data.image.normalise import pixels
from wenlan_data.recipe import DetectRules
from wenlan_data.records import Region

Finder = Callable[[bytes, int, int], tuple[Region, ...]]
"""A stored JPEG with its width and height in pixels to its regions, the whole image last."""


def finder(detect: DetectRules) -> Finder:
    """The recipe's detector, loaded once, as a function of one picture.

    It gives at most `max_regions` regions, best scores first (the detector's order among equals), cut to the
    picture; then the whole image, which is not counted. A detector whose `needs_pixels` is False gets a view
    of the right shape that was never decoded.
    """
    detector = detect.load()
    find = detector.load()
    needs_pixels = bool(getattr(detector, "needs_pixels", True))

    def regions_of(jpeg: bytes, width: int, height: int) -> tuple[Region, ...]:
        return regions_in(pixels(jpeg), width, height) if needs_pixels else by_size(width, height)

    # What looks at no pixel gives the same regions for the same size, and most pictures of a site have one size.
    @lru_cache(maxsize=1024)
    def by_size(width: int, height: int) -> tuple[Region, ...]:
        return regions_in(_blank(width, height), width, height)

    def regions_in(picture: Pixels, width: int, height: int) -> tuple[Region, ...]:
        (found,) = find([picture])
        inside = [cut for cut in (_cut(region, width, height) for region in found) if cut is not None]
        best = sorted(inside, key=lambda region: -region.score)[: detect.max_regions]
        return (*best, Region(box_xyxy=(0, 0, width, height), label="image", score=1.0))

    return regions_of


def _blank(width: int, height: int) -> Pixels:
    return np.broadcast_to(np.zeros(1, np.uint8), (height, width, 3))


def _cut(region: Region, width: int, height: int) -> Region | None:
    x1, y1, x2, y2 = region.box_xyxy
    box = (max(x1, 0), max(y1, 0), min(x2, width), min(y2, height))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    return region if box == region.box_xyxy else Region(box_xyxy=box, label=region.label, score=region.score)
