"""Boxes around whatever stands out, by OpenCV's selective search and a score of our own: no model, no names."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from pydantic import Field

from wenlan_data.detect.boxes import areas, nms, to_regions
from wenlan_data.errors import RecipeError
from wenlan_data.image.decode import opencv
from wenlan_data.records import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wenlan_data.protocols import FindRegions, RGBImage

    Floats = NDArray[np.float32]
    Whole = NDArray[np.int64]

LABEL = "proposal"
_BINS = 8
"""Of each channel of Lab, between its 1st and 99th percentile."""
_RING = 0.2
"""How far the surroundings of a box reach, in its own sides."""
_OVERLAPPED = 0.02
"""The share of its score that a box keeps when a better one covers most of it: it comes late, but it comes."""


@dataclass(frozen=True)
class Proposals:
    """Boxes of selective search, ranked by contrast with their surroundings, by size and by shape.

    On 157 photographs the first 36 boxes find 83 % of what yolox finds with confidence at IoU 0.5, in selective
    search's own order 57 %; all together find 92 % (`benchmarks/build/regions.py`).
    """

    strategy: Literal["fast", "single"] = "fast"
    """`single` is 5 times faster and finds a tenth less: a quarter of the boxes."""
    width_px: Annotated[int, Field(ge=64, le=1024)] = 256
    """The longer side that the search works on: its time grows with the square."""
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    min_side_px: Annotated[int, Field(ge=1)] = 8

    @property
    def batch_size(self) -> int:
        """How many pictures one call takes at most; each is searched by itself."""
        return 1

    def prepare(self) -> None:
        """Look for selective search. Raises `RecipeError` where another package of OpenCV lies over ours."""
        if not hasattr(opencv(), "ximgproc"):
            raise RecipeError(
                "proposals needs OpenCV with its contrib modules, and another package of OpenCV lies over it: run"
                "  pip install --force-reinstall opencv-contrib-python-headless"
            )

    def load(self) -> FindRegions:
        """The working detector; there are no weights."""

        def find(pictures: Sequence[RGBImage]) -> list[list[Region]]:
            return [self._regions(picture) for picture in pictures]

        return find

    def _regions(self, picture: RGBImage) -> list[Region]:
        height, width = picture.shape[:2]
        small = _shrunk(picture, self.width_px)
        boxes = _searched(small, self.strategy)
        scores = _scores(small, boxes)
        # Equal scores in the order of their corners: nothing is left to chance.
        order = np.lexsort((*boxes.T, -scores))
        boxes, scores = boxes[order], scores[order]
        best = nms(boxes.astype(np.float32), scores, self.nms_iou)
        is_late = np.ones(len(boxes), bool)
        is_late[best] = False
        scores = np.where(is_late, scores * _OVERLAPPED, scores).astype(np.float32)
        ranked = np.argsort(-scores, kind="stable")
        scale = np.array([width / small.shape[1], height / small.shape[0]] * 2, np.float32)
        labels = [LABEL] * len(ranked)
        return to_regions(
            boxes[ranked] * scale, scores[ranked], labels, width, height, self.min_side_px
        )


def _shrunk(picture: RGBImage, longer_px: int) -> RGBImage:
    cv2 = opencv()
    height, width = picture.shape[:2]
    ratio = min(1.0, longer_px / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    small: RGBImage = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small


def _searched(small: RGBImage, strategy: str) -> Whole:
    """int64 (N, 4) x1, y1, x2, y2: each box once, in no order."""
    segmentation = opencv().ximgproc.segmentation
    search = segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(small[..., ::-1]))
    if strategy == "fast":
        search.switchToSelectiveSearchFast()
    else:
        search.switchToSingleStrategy()
    # It shuffles by libc's rand, whose state is the whole process's.
    ctypes.CDLL(None).srand(1)
    found = np.asarray(search.process(), np.int64).reshape(-1, 4)
    boxes: Whole = np.unique(
        np.concatenate([found[:, :2], found[:, :2] + found[:, 2:]], axis=1), axis=0
    )
    return boxes


def _scores(small: RGBImage, boxes: Whole) -> Floats:
    """(N,) from 0 to 1: chi-square distance of the colours inside and around, times roots of area and aspect."""
    height, width = small.shape[:2]
    sums = _colour_sums(small)
    x1, y1, x2, y2 = boxes.T
    wide, high = x2 - x1, y2 - y1
    ring_x, ring_y = (
        np.round(wide * _RING).astype(np.int64),
        np.round(high * _RING).astype(np.int64),
    )
    left, top = np.maximum(x1 - ring_x, 0), np.maximum(y1 - ring_y, 0)
    right, bottom = np.minimum(x2 + ring_x, width), np.minimum(y2 + ring_y, height)
    inside = _inside(sums, x1, y1, x2, y2)
    around = _inside(sums, left, top, right, bottom) - inside
    share_in = inside / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    share_around = around / np.maximum(around.sum(axis=1, keepdims=True), 1)
    distance = ((share_in - share_around) ** 2 / np.maximum(share_in + share_around, 1e-9)).sum(
        axis=1
    ) / 2
    # What fills the picture has no surroundings to differ from.
    distance = np.where(around.sum(axis=1) > 0, distance, 0)
    share = areas(boxes.astype(np.float32)) / (width * height)
    aspect = np.minimum(wide, high) / np.maximum(np.maximum(wide, high), 1)
    scores: Floats = (distance * np.sqrt(share * aspect)).astype(np.float32).round(4)
    return scores


def _colour_sums(small: RGBImage) -> NDArray[np.float64]:
    """(H + 1, W + 1, 3 * bins): how many pixels above and left of each corner have a colour of each bin."""
    cv2 = opencv()
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    planes = []
    for channel in range(3):
        plane = lab[..., channel].astype(np.float32)
        low, high = np.percentile(plane, (1, 99))
        bins = np.clip((plane - low) / max(high - low, 1e-3) * _BINS, 0, _BINS - 1).astype(np.uint8)
        planes += [cv2.integral((bins == one).astype(np.uint8)) for one in range(_BINS)]
    sums: NDArray[np.float64] = np.stack(planes, axis=-1).astype(np.float64)
    return sums


def _inside(
    sums: NDArray[np.float64], x1: Whole, y1: Whole, x2: Whole, y2: Whole
) -> NDArray[np.float64]:
    counts: NDArray[np.float64] = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return counts
