import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlan_data.detect.boxes import BoxArray, iou, nms, nms_by_class, to_regions

sides = st.integers(0, 60)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w + 1, y + h + 1), sides, sides, sides, sides)
scored = st.lists(st.tuples(boxes, st.integers(0, 5), st.integers(0, 2)), max_size=25)


def arrays(
    rows: list[tuple[tuple[int, int, int, int], int, int]],
) -> tuple[BoxArray, BoxArray, np.ndarray]:
    found = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    return (
        found,
        np.array([score for _, score, _ in rows], np.float32),
        np.array([one for *_, one in rows], np.int64),
    )


def naive_iou(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    wide, high = (
        max(min(one[2 + axis], other[2 + axis]) - max(one[axis], other[axis]), 0) for axis in (0, 1)
    )
    shared = wide * high
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


@given(scored)
def test_overlap_is_that_of_the_definition(
    rows: list[tuple[tuple[int, int, int, int], int, int]],
) -> None:
    found, _, _ = arrays(rows)
    wanted = [[naive_iou(one, other) for other, *_ in rows] for one, *_ in rows]
    assert iou(found, found) == pytest.approx(
        np.array(wanted).reshape(len(rows), len(rows)), abs=1e-6
    )


@given(scored, st.sampled_from([0.1, 0.3, 0.5, 0.9]))
def test_nms_is_that_of_the_definition(
    rows: list[tuple[tuple[int, int, int, int], int, int]], max_iou: float
) -> None:
    found, scores, _ = arrays(rows)
    kept: list[int] = []
    for index in sorted(range(len(rows)), key=lambda one: -rows[one][1]):
        if all(naive_iou(rows[index][0], rows[other][0]) <= max_iou + 1e-7 for other in kept):
            kept.append(index)
    assert nms(found, scores, max_iou).tolist() == kept
    assert nms(found, scores, max_iou, max_kept=3).tolist() == kept[:3]


@given(scored)
def test_classes_do_not_suppress_each_other(
    rows: list[tuple[tuple[int, int, int, int], int, int]],
) -> None:
    found, scores, classes = arrays(rows)
    kept = nms_by_class(found, scores, classes, 0.3).tolist()
    for one in set(classes.tolist()):
        own = np.flatnonzero(classes == one)
        alone = own[nms(found[own], scores[own], 0.3)].tolist()
        assert [index for index in kept if classes[index] == one] == alone
    assert [scores[index] for index in kept] == sorted(
        (scores[index] for index in kept), reverse=True
    )


def test_a_region_covers_its_box_with_whole_pixels_inside_the_image() -> None:
    found = np.array(
        [[1.2, 2.7, 30.1, 40.0], [-5, -5, 200, 200], [5, 5, 5.5, 90], [50, 50, 50.0001, 50.2]],
        np.float32,
    )
    regions = to_regions(
        found, np.array([0.123456, 1, 0.5, 0.5], np.float32), ["a", "b", "c", "d"], 100, 80, 2
    )
    assert [(one.box_xyxy, one.label, one.score) for one in regions] == [
        ((1, 2, 31, 40), "a", 0.1235),
        ((0, 0, 100, 80), "b", 1.0),
    ]
