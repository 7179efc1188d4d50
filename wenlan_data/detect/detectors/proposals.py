"""Boxes around salient areas, by OpenCV's selective search and a contrast score: no model, no
names."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from wenlan_data.detect.boxes import ScoreArray, areas, ignore_boxes, nms, to_regions
from wenlan_data.errors import RecipeError
from wenlan_data.image.decode import opencv
from wenlan_data.records import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wenlan_data.npy import Indices
    from wenlan_data.protocols import BoxesToRegions, FindRegions, RGBImage

    PixelBoxes = NDArray[np.int64]
    """int64 (N, 4): x1, y1, x2, y2 in whole pixels."""
    ColourSums = NDArray[np.float64]
    """Counts of pixels by histogram bin along the last axis."""

LABEL = "proposal"
_BINS = 8
"""Histogram bins of each Lab channel, between its 1st and 99th percentile."""
_RING_SHARE = 0.2
"""Width of the ring around a box whose colours are compared with the box, as a share of its
sides."""
_SUPPRESSED_SCORE_SHARE = 0.02
"""Factor on the score of a box that NMS suppresses: it ranks behind all others and is not lost."""


@dataclass(frozen=True)
class Proposals:
    """Boxes of selective search, ranked by contrast with their surroundings, by size and by shape.

    On 157 photographs the first 36 boxes find 83 % of what yolox finds with confidence at IoU 0.5,
    in selective search's own order 57 %; all together find 92 % (`benchmarks/build/regions.py`).
    """

    strategy: Literal["fast", "single"] = "fast"
    """`single` is 5 times faster and finds a tenth less: a quarter of the boxes."""
    width_px: Annotated[int, Field(ge=64, le=1024)] = 256
    """The longer side that the search works on: its time grows with the square."""
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_side_px: Annotated[int, Field(ge=1)] = 8

    batch_size: ClassVar[int] = 1
    needs_pixels: ClassVar[bool] = True
    from_source: ClassVar[bool] = False

    def prepare(self) -> None:
        """Checks for selective search. Raises `RecipeError` if another OpenCV package overwrote
        ours."""
        if not hasattr(opencv(), "ximgproc"):
            raise RecipeError(
                "proposals needs OpenCV with its contrib modules, and another OpenCV package has"
                " overwritten it: run  pip install --force-reinstall opencv-contrib-python-headless"
            )

    def load(self) -> FindRegions:
        """Returns the working detector; there are no weights."""

        def find(images: Sequence[RGBImage]) -> list[list[Region]]:
            return [self._regions(image) for image in images]

        return find

    def load_boxes(self) -> BoxesToRegions:
        """Returns a function without regions: proposals ignore the source's boxes."""
        return ignore_boxes

    def _regions(self, image: RGBImage) -> list[Region]:
        height, width = image.shape[:2]
        small = _shrink(image, self.width_px)
        boxes = _selective_search(small, self.strategy)
        scores = _contrast_scores(small, boxes)
        # Equal scores in the order of their corners: the result must not depend on the search
        # order.
        order = np.lexsort((*boxes.T, -scores))
        boxes, scores = boxes[order], scores[order]
        best = nms(boxes.astype(np.float32), scores, self.nms_iou)
        is_suppressed = np.ones(len(boxes), bool)
        is_suppressed[best] = False
        scores = np.where(is_suppressed, scores * _SUPPRESSED_SCORE_SHARE, scores)
        scores = scores.astype(np.float32)
        ranked = np.argsort(-scores, kind="stable")
        scale = np.array([width / small.shape[1], height / small.shape[0]] * 2, np.float32)
        labels = [LABEL] * len(ranked)
        return to_regions(
            boxes[ranked] * scale, scores[ranked], labels, width, height, self.min_side_px
        )


def _shrink(image: RGBImage, longer_px: int) -> RGBImage:
    """uint8 (h, w, 3): the image with its longer side at most `longer_px`."""
    cv2 = opencv()
    height, width = image.shape[:2]
    ratio = min(1.0, longer_px / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small: RGBImage = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small


def _selective_search(small: RGBImage, strategy: str) -> PixelBoxes:
    """int64 (N, 4): x1, y1, x2, y2 of each box once, sorted."""
    segmentation = opencv().ximgproc.segmentation
    search = segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(small[..., ::-1]))
    if strategy == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSingleStrategy()
    # It shuffles by libc's rand, whose state belongs to the process: seeded each time, so that the
    # images before this one cannot matter.
    ctypes.CDLL(None).srand(1)
    found = np.asarray(search.process(), np.int64).reshape(-1, 4)
    boxes: PixelBoxes = np.unique(
        np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1), axis=0
    )
    return boxes


def _contrast_scores(small: RGBImage, boxes: PixelBoxes) -> ScoreArray:
    """float32 (N,) in [0, 1]: chi-square distance of the colours inside and around each box, times
    the square roots of its share of the image and of its aspect (shorter side over longer side)."""
    height, width = small.shape[:2]
    sums = _colour_sums(small)
    x1, y1, x2, y2 = boxes.T
    wide, high = x2 - x1, y2 - y1
    ring_x = np.round(wide * _RING_SHARE).astype(np.int64)
    ring_y = np.round(high * _RING_SHARE).astype(np.int64)
    left, top = np.maximum(x1 - ring_x, 0), np.maximum(y1 - ring_y, 0)
    right, bottom = np.minimum(x2 + ring_x, width), np.minimum(y2 + ring_y, height)
    inside = _inside(sums, x1, y1, x2, y2)
    around = _inside(sums, left, top, right, bottom) - inside
    share_in = inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    share_around = around / np.maximum(around.sum(axis=1, keepdims=True), 1)
    distance = ((share_in - share_around) ** 2 / np.maximum(share_in + share_around, 1e-9)).sum(
        axis=1
    ) / 2
    # A box that fills the image has no surroundings: 0, not the distance to an empty histogram.
    distance = np.where(around.sum(axis=1) > 0, distance, 0)
    share = areas(boxes.astype(np.float32)) / (width * height)
    aspect = np.minimum(wide, high) / np.maximum(np.maximum(wide, high), 1)
    scores: ScoreArray = (distance * np.sqrt(share * aspect)).astype(np.float32).round(4)
    return scores


def _colour_sums(small: RGBImage) -> ColourSums:
    """float64 (H + 1, W + 1, 3 * bins): integral images, one for each bin of each Lab channel.

    Entry (y, x) counts the pixels above and left of that corner whose colour is in the bin, so the
    histogram of any box takes four look-ups.
    """
    cv2 = opencv()
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    planes = []
    for channel in range(3):
        plane = lab[..., channel].astype(np.float32)
        low, high = np.percentile(plane, (1, 99))
        bins = np.clip((plane - low) / max(high - low, 1e-3) * _BINS, 0, _BINS - 1).astype(np.uint8)
        planes += [cv2.integral((bins == one).astype(np.uint8)) for one in range(_BINS)]
    sums: ColourSums = np.stack(planes, axis=-1).astype(np.float64)
    return sums


def _inside(sums: ColourSums, x1: Indices, y1: Indices, x2: Indices, y2: Indices) -> ColourSums:
    """float64 (N, 3 * bins): the histograms of N boxes."""
    counts: ColourSums = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return counts
