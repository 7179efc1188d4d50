import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.conformance import check_detector
from tests.shared import MODEL, needs_model
from wenlan_data.detect.coco import CATEGORY_IDS, NAMES
from wenlan_data.detect.detectors.yolox import Yolox, _letterbox
from wenlan_data.detect.regions import DetectionInput, region_finder
from wenlan_data.errors import RecipeError
from wenlan_data.image.normalise import normalise
from wenlan_data.recipe import DetectRules
from wenlan_data.records import Box

if TYPE_CHECKING:
    from wenlan_data.protocols import FindRegions

pytest.importorskip("onnxruntime")
skimage_data = pytest.importorskip("skimage.data")
pytestmark = needs_model

# Read off the images by eye, without a detector.
SEEN: dict[str, tuple[str, Box]] = {
    "astronaut": ("person", (24, 15, 364, 512)),
    "chelsea": ("cat", (0, 0, 405, 300)),
    "coffee": ("cup", (172, 18, 411, 303)),
    "stereo_motorcycle": ("motorcycle", (93, 74, 684, 447)),
}

PINNED: dict[str, list[tuple[str, Box]]] = {
    "astronaut": [("person", (11, 20, 369, 508))],
    "chelsea": [("cat", (0, 0, 450, 300))],
    "coffee": [("cup", (162, 16, 421, 295)), ("dining table", (0, 0, 599, 398))],
    "stereo_motorcycle": [("motorcycle", (110, 64, 710, 446)), ("person", (348, 8, 406, 88))],
}


@cache
def regions() -> "FindRegions":
    return Yolox(weights=str(MODEL)).load()


@cache
def scene(name: str) -> NDArray[np.uint8]:
    loaded = getattr(skimage_data, name)()
    return np.ascontiguousarray(loaded[0] if isinstance(loaded, tuple) else loaded)


def share(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def test_it_fulfils_the_contract_of_detectors() -> None:
    check_detector(Yolox(weights=str(MODEL), confidence=0.01))


@pytest.mark.parametrize("name", SEEN)
def test_the_best_region_is_what_a_person_sees(name: str) -> None:
    label, box = SEEN[name]
    (found,) = regions()([scene(name)])
    assert found[0].label == label
    assert share(found[0].box_xyxy, box) >= 0.8


@pytest.mark.parametrize("name", PINNED)
def test_all_regions_of_these_images_are_pinned(name: str) -> None:
    (found,) = regions()([scene(name)])
    assert [one.label for one in found] == [label for label, _ in PINNED[name]]
    for region, (_, box) in zip(found, PINNED[name], strict=True):
        assert region.box_xyxy == pytest.approx(box, abs=2)


def test_a_batch_and_single_images_agree() -> None:
    images = [scene(name) for name in SEEN]
    assert regions()(images) == [regions()([one])[0] for one in images]


@given(
    name=st.sampled_from(sorted(SEEN)),
    orientation=st.integers(1, 8),
    longer_px=st.integers(300, 1600),
    max_side_px=st.integers(380, 800),
)
@settings(max_examples=25, deadline=None)
def test_boxes_are_those_of_the_stored_image_however_it_came(
    name: str, orientation: int, longer_px: int, max_side_px: int
) -> None:
    upright = Image.fromarray(scene(name))
    upright = upright.resize(
        [max(1, round(side * longer_px / max(upright.size))) for side in upright.size]
    )
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
    kept = upright if undo is None else upright.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    kept.save(out, "JPEG", quality=95, exif=exif)
    stored = normalise(out.getvalue(), max_side_px=max_side_px, jpeg_quality=92)
    find, _ = region_finder(Yolox(weights=str(MODEL)), 36)
    (found,) = find([DetectionInput(jpeg=stored.jpeg, width=stored.width, height=stored.height)])
    label, box = SEEN[name]
    across, down = stored.width / scene(name).shape[1], stored.height / scene(name).shape[0]
    wanted = (
        round(box[0] * across),
        round(box[1] * down),
        round(box[2] * across),
        round(box[3] * down),
    )
    best = max((one for one in found if one.label == label), key=lambda one: one.score)
    assert share(best.box_xyxy, wanted) >= 0.8
    assert found[-1].box_xyxy == (0, 0, stored.width, stored.height)


def test_labels_in_chinese() -> None:
    (found,) = Yolox(weights=str(MODEL), language="zh").load()([scene("chelsea")])
    assert found[0].label == "猫"


def test_confidence_nms_and_size_are_parameters() -> None:
    motorcycle = [scene("stereo_motorcycle")]
    (many,) = Yolox(weights=str(MODEL), confidence=0.01).load()(motorcycle)
    (few,) = Yolox(weights=str(MODEL), confidence=0.8).load()(motorcycle)
    (every,) = Yolox(weights=str(MODEL), confidence=0.01, nms_iou=1).load()(motorcycle)
    (large,) = Yolox(weights=str(MODEL), confidence=0.01, min_side_px=100).load()(motorcycle)
    assert len(few) < len(large) < len(many) < len(every)
    assert all(
        min(one.box_xyxy[2] - one.box_xyxy[0], one.box_xyxy[3] - one.box_xyxy[1]) >= 100
        for one in large
    )


def test_a_letterbox_has_the_image_at_the_top_left_in_blue_green_red() -> None:
    red = np.zeros((100, 200, 3), np.uint8)
    red[..., 0] = 255
    image_CHW, ratio = _letterbox(red, 416, 416)
    assert ratio == pytest.approx(2.08)
    assert image_CHW.shape == (3, 416, 416)
    assert image_CHW[:, 207, 415].tolist() == [0, 0, 255]
    assert image_CHW[:, 208, 0].tolist() == [114, 114, 114]


def test_the_names_of_both_languages_are_eighty_each() -> None:
    assert len(set(NAMES["en"])) == len(set(NAMES["zh"])) == len(CATEGORY_IDS) == 80


def test_weights_that_are_not_those_recorded_are_refused() -> None:
    rules = DetectRules.model_validate({"detector": "yolox", "weights": str(MODEL)})
    recorded = rules.resolved()
    assert (
        recorded["weights_sha256"]
        == "695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14"
    )
    assert DetectRules.model_validate(recorded).resolved() == recorded
    with pytest.raises(RecipeError, match="another file"):
        DetectRules.model_validate({**recorded, "weights_sha256": "00" * 32}).prepare()


@pytest.mark.parametrize(
    ("settings_of", "message"),
    [
        ({"weights": "no/such.onnx"}, "there is no such file"),
        ({"weights": str(MODEL), "names": ("a", "b")}, "set names"),
        ({"weights": __file__}, "onnxruntime cannot read it"),
        (
            {"weights": str(MODEL), "device": "cuda:7"},
            "device: onnxruntime has no 'cuda:7' here, only cpu",
        ),
    ],
)
def test_settings_that_cannot_work_are_explained(
    settings_of: dict[str, object], message: str
) -> None:
    rules = DetectRules.model_validate({"detector": "yolox", **settings_of})
    with pytest.raises(RecipeError, match=message):
        rules.load().load()([scene("coffee")])


def message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Numbered fields in the encoding of protocol buffers, in which ONNX files are written; all are
    short."""
    parts = []
    for number, value in fields:
        data = value.encode() if isinstance(value, str) else value
        parts.append(
            bytes([number << 3, data])
            if isinstance(data, int)
            else bytes([number << 3 | 2, len(data)]) + data
        )
    return b"".join(parts)


def doubling(path: Path, *inputs: tuple[str, tuple[int, ...]]) -> Path:
    """A model that adds its first input to its last."""
    every = [
        message(
            (1, name),
            (
                2,
                message(
                    (1, message((1, 1), (2, message(*[(1, message((1, side))) for side in sides]))))
                ),
            ),
        )
        for name, sides in (*inputs, ("sum", inputs[0][1]))
    ]
    node = message((1, inputs[0][0]), (1, inputs[-1][0]), (2, "sum"), (4, "Add"))
    graph = message((1, node), (2, "graph"), *[(11, one) for one in every[:-1]], (12, every[-1]))
    path.write_bytes(message((1, 8), (7, graph), (8, message((2, 13)))))
    return path


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([("ids", (1, 8)), ("mask", (1, 8))], "does not take one batch of RGB images"),
        ([("grey", (1, 1, 64, 64))], "does not take one batch of RGB images"),
        ([("image", (1, 3, 64, 64))], "not 84 anchors of 80 classes"),
    ],
)
def test_another_kind_of_model_is_refused_before_the_build_begins(
    inputs: list[tuple[str, tuple[int, ...]]], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=reason):
        Yolox(weights=str(doubling(tmp_path / "other.onnx", *inputs))).prepare()
