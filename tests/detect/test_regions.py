from pathlib import Path

import pytest

from wenlan_data import plugins
from wenlan_data.detect.detectors.boxes import Boxes
from wenlan_data.detect.regions import DetectionInput, region_finder, scale_boxes
from wenlan_data.recipe import DetectRules
from wenlan_data.records import Region
from wenlan_data.testing import make_image

BRIGHT = """
from dataclasses import dataclass
from wenlan_data.records import Region

@dataclass(frozen=True)
class Bright:
    batch_size: int = 1
    needs_pixels: bool = True
    from_source: bool = False

    def prepare(self):
        pass

    def load_boxes(self):
        return lambda boxes: []

    def load(self):
        def find(images):
            mean = float(images[0].mean()) / 255
            outside = ((400, 0, 500, 9), 1.0)
            boxes = [((-5, 2, 40, 30), mean), ((10, 10, 20, 20), 0.99), outside, ((1, 1, 3, 3), 0.99)]
            return [[Region(box_xyxy=box, label="thing", score=score) for box, score in boxes]]
        return find
"""


def regions_in(detect: DetectRules, jpeg: bytes, width: int, height: int) -> tuple[Region, ...]:
    find, _ = region_finder(detect.load(), detect.max_regions)
    (found,) = find([DetectionInput(jpeg=jpeg, width=width, height=height)])
    return found


def test_the_grid_needs_no_pixels_and_the_whole_image_is_last() -> None:
    regions = regions_in(DetectRules(), b"never decoded", 640, 480)
    assert len(regions) == 37
    assert regions[0] == Region(box_xyxy=(0, 0, 106, 80), label="cell", score=1.0)
    assert regions[-1] == Region(box_xyxy=(0, 0, 640, 480), label="image", score=1.0)


@pytest.mark.parametrize("most", [0, 1, 36, 100])
def test_the_whole_image_is_not_counted_in_max_regions(most: int) -> None:
    assert len(regions_in(DetectRules(max_regions=most), b"", 640, 480)) == min(most, 36) + 1


def test_regions_of_an_external_detector_are_clipped_and_the_best_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "external").mkdir()
    (tmp_path / "external" / "bright.py").write_text(BRIGHT)
    monkeypatch.syspath_prepend(tmp_path)
    plugins.use_modules(["external.bright"])
    regions = regions_in(DetectRules(detector="bright", max_regions=3), make_image(1), 320, 240)
    assert [region.box_xyxy for region in regions] == [
        (10, 10, 20, 20),
        (1, 1, 3, 3),
        (0, 2, 40, 30),
        (0, 0, 320, 240),
    ]
    assert 0 < regions[2].score < 0.99


def test_boxes_of_the_source_are_scaled_and_clipped_to_the_stored_image() -> None:
    find, _ = region_finder(Boxes(min_side_px=4), 2)
    boxes = scale_boxes(
        [(0, 0, 400, 100), (10, 10, 12, 12), (600, 200, 900, 700), (0, 0, 80, 80)],
        (800, 600),
        (400, 300),
    )
    (found,) = find([DetectionInput(jpeg=b"", width=400, height=300, boxes=boxes)])
    assert [one.box_xyxy for one in found] == [
        (0, 0, 200, 50),
        (300, 100, 400, 300),
        (0, 0, 400, 300),
    ]
    assert [one.label for one in found] == ["region", "region", "image"]


def test_a_detector_that_lacks_a_member_of_the_role_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unfinished").mkdir()
    complete = "    needs_pixels: bool = True\n"
    assert complete in BRIGHT
    (tmp_path / "unfinished" / "bright.py").write_text(BRIGHT.replace(complete, ""))
    monkeypatch.syspath_prepend(tmp_path)
    plugins.use_modules(["unfinished.bright"])
    with pytest.raises(ValueError, match="is not a complete detector: implement"):
        DetectRules(detector="bright")
