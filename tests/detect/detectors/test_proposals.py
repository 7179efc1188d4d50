import ctypes
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance import check_detector
from wenlan_data.detect.detectors.proposals import Proposals, _selective_search, _shrink
from wenlan_data.errors import RecipeError
from wenlan_data.recipe import DetectRules

skimage_data = pytest.importorskip("skimage.data")


def test_it_fulfils_the_contract_of_detectors() -> None:
    check_detector(Proposals(strategy="single", width_px=64))


def test_the_boxes_and_their_order_are_the_same_in_every_process() -> None:
    script = (
        "import skimage.data, sys, ctypes; ctypes.CDLL(None).srand(int(sys.argv[1]))\n"
        "from wenlan_data.detect.detectors.proposals import Proposals\n"
        "find = Proposals(width_px=128).load(); find([skimage.data.chelsea()] * int(sys.argv[1]))\n"
        "print(find([skimage.data.coffee()]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script, str(seed)], capture_output=True, check=True
        ).stdout
        for seed in (0, 1, 2)
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


def test_the_boxes_do_not_depend_on_what_rand_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    small = _shrink(skimage_data.coffee(), 128)
    libc = ctypes.CDLL(None)

    class Unseeded:
        def srand(self, _seed: int) -> None:
            pass

    wanted = _selective_search(small, "fast")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Unseeded())
    for seed in (7, 8):
        libc.srand(seed)
        assert np.array_equal(_selective_search(small, "fast"), wanted)


def test_the_cup_is_among_the_first_36_boxes() -> None:
    (found,) = Proposals().load()([skimage_data.coffee()])
    cup = np.array([160, 18, 423, 296])
    for region in found[:36]:
        box = np.array(region.box_xyxy)
        shared = np.clip(
            np.minimum(box[2:], cup[2:]) - np.maximum(box[:2], cup[:2]), 0, None
        ).prod()
        if shared / (np.prod(box[2:] - box[:2]) + np.prod(cup[2:] - cup[:2]) - shared) > 0.5:
            return
    pytest.fail("none of the first 36 boxes is the cup's")


@given(width=st.integers(1, 90), height=st.integers(1, 90), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_any_image_gives_boxes_inside_it_and_none_twice(width: int, height: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    (found,) = Proposals(strategy="single", min_side_px=1).load()([image])
    boxes = [region.box_xyxy for region in found]
    assert len(set(boxes)) == len(boxes)
    assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in boxes)


def test_an_opencv_without_selective_search_is_reported_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr("cv2.ximgproc")
    with pytest.raises(
        RecipeError, match="pip install --force-reinstall opencv-contrib-python-headless"
    ):
        DetectRules(detector="proposals").prepare()
