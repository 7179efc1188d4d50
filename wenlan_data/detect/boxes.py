"""Boxes as arrays: overlap, suppression, and the step from a model's floats to the whole pixels of a region."""

import numpy as np
from numpy.typing import NDArray

from wenlan_data.records import Region

Boxes = NDArray[np.float32]
"""float32 (N, 4): x1, y1, x2, y2."""
Scores = NDArray[np.float32]
Indices = NDArray[np.int64]


def iou(one: Boxes, others: Boxes) -> NDArray[np.float32]:
    """float32 (N, M): intersection over union of each of `one` (N, 4) with each of `others` (M, 4)."""
    corner = np.maximum(one[:, None, :2], others[None, :, :2])
    opposite = np.minimum(one[:, None, 2:], others[None, :, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=2)
    union = areas(one)[:, None] + areas(others)[None] - shared
    overlap: NDArray[np.float32] = np.where(union > 0, shared / np.maximum(union, 1e-9), 0).astype(
        np.float32
    )
    return overlap


def areas(boxes: Boxes) -> NDArray[np.float32]:
    """float32 (N,)."""
    sides: NDArray[np.float32] = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return sides


def nms(boxes: Boxes, scores: Scores, max_iou: float, most: int | None = None) -> Indices:
    """Row numbers that greedy suppression keeps, best score first, the earlier row among equals.

    A box goes if it overlaps a better one that stays by more than `max_iou`. At most `most` rows.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order) and (most is None or len(kept) < most):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        order = order[iou(boxes[best : best + 1], boxes[order])[0] <= max_iou]
    return np.asarray(kept, np.int64)


def nms_by_class(boxes: Boxes, scores: Scores, classes: Indices, max_iou: float) -> Indices:
    """The same inside each class; the row numbers of all classes, best score first."""
    rows = [np.flatnonzero(classes == one) for one in np.unique(classes)]
    kept = [some[nms(boxes[some], scores[some], max_iou)] for some in rows]
    every = np.concatenate([*kept, np.empty(0, np.int64)]).astype(np.int64)
    every.sort()
    ranked: Indices = every[np.argsort(-scores[every], kind="stable")]
    return ranked


def to_regions(
    boxes: Boxes, scores: Scores, labels: list[str], width: int, height: int, min_px: int
) -> list[Region]:
    """The rows as regions: cut to the picture, whole pixels that cover the box, none with a side below `min_px`.

    A score is rounded to 4 digits: what a processor adds behind them is noise.
    """
    # 1e-3: a coordinate that is whole but for rounding errors does not grow by a pixel.
    low = np.clip(np.floor(boxes[:, :2] + 1e-3), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(boxes[:, 2:] - 1e-3), 1, (width, height)).astype(int)
    found = []
    for (x1, y1), (x2, y2), score, label in zip(
        low.tolist(), high.tolist(), scores.tolist(), labels, strict=True
    ):
        if min(x2 - x1, y2 - y1) >= max(min_px, 1):
            found.append(Region(box_xyxy=(x1, y1, x2, y2), label=label, score=round(score, 4)))
    return found
