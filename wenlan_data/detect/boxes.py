"""Boxes as arrays: intersection over union, NMS, and the step from a model's floats to regions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wenlan_data.npy import Indices
from wenlan_data.records import Box, Region

BoxArray = NDArray[np.float32]
"""float32 (N, 4): x1, y1, x2, y2 in pixels."""
ScoreArray = NDArray[np.float32]
"""float32 (N,)."""


def iou(boxes: BoxArray, others: BoxArray) -> NDArray[np.float32]:
    """float32 (N, M): intersection over union of each of `boxes` (N, 4) with each of `others` (M,
    4)."""
    corner = np.maximum(boxes[:, None, :2], others[None, :, :2])
    opposite = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    # Sides of boxes that do not overlap are negative: the product of two would be an area.
    intersection = np.clip(opposite - corner, 0, None).prod(axis=2)
    union = areas(boxes)[:, None] + areas(others)[None] - intersection
    # A box without area has no union with another such box: its overlap is 0, not NaN.
    overlap: NDArray[np.float32] = np.where(
        union > 0, intersection / np.maximum(union, 1e-9), 0
    ).astype(np.float32)
    return overlap


def areas(boxes: BoxArray) -> NDArray[np.float32]:
    """float32 (N,): areas in square pixels."""
    products: NDArray[np.float32] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return products


def nms(
    boxes: BoxArray, scores: ScoreArray, max_iou: float, max_kept: int | None = None
) -> Indices:
    """int64 (K,): row numbers that greedy non-maximum suppression keeps, best score first.

    A box is dropped if it overlaps a better kept one by more than `max_iou`. Equal scores keep the
    order of their rows. K is at most `max_kept`.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and (max_kept is None or len(kept) < max_kept):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[iou(boxes[best : best + 1], boxes[order])[0] <= max_iou]
    return np.asarray(kept, np.int64)


def nms_by_class(boxes: BoxArray, scores: ScoreArray, classes: Indices, max_iou: float) -> Indices:
    """int64 (K,): row numbers that `nms` keeps within each class, best score of all classes
    first."""
    rows = [np.flatnonzero(classes == one) for one in np.unique(classes)]
    kept = [some[nms(boxes[some], scores[some], max_iou)] for some in rows]
    every = np.concatenate([*kept, np.empty(0, np.int64)]).astype(np.int64)
    # In the order of rows first: the stable sort then keeps it among equal scores of two classes.
    every.sort()
    ranked: Indices = every[np.argsort(-scores[every], kind="stable")]
    return ranked


def to_regions(
    boxes: BoxArray,
    scores: ScoreArray,
    labels: list[str],
    width: int,
    height: int,
    min_side_px: int,
) -> list[Region]:
    """Rows as regions of an image of `width` x `height` pixels, in the same order.

    Boxes are clipped to the image and widened to whole pixels; those with a side below
    `min_side_px` are dropped. Scores are rounded to 4 digits, because further digits differ from
    one processor to the next.
    """
    # 1e-3: a coordinate that is whole but for rounding errors does not grow by a pixel.
    low = np.clip(np.floor(boxes[:, :2] + 1e-3), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(boxes[:, 2:] - 1e-3), 1, (width, height)).astype(int)
    regions = []
    for (x1, y1), (x2, y2), score, label in zip(
        low.tolist(), high.tolist(), scores.tolist(), labels, strict=True
    ):
        if min(x2 - x1, y2 - y1) >= max(min_side_px, 1):
            regions.append(Region(box_xyxy=(x1, y1, x2, y2), label=label, score=round(score, 4)))
    return regions


def ignore_boxes(_: Sequence[Box]) -> list[Region]:
    """No regions: `load_boxes` of detectors that do not use the source's boxes."""
    return []
