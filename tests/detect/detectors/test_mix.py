from pathlib import Path

import numpy as np
import pytest

from tests.conformance import check_detector
from tests.shared import MODEL, needs_model
from wenlan_data import plugins
from wenlan_data.detect.detectors.mix import Mix
from wenlan_data.errors import RecipeError
from wenlan_data.recipe import DetectRules

CELLS = """
from dataclasses import dataclass
from wenlan_data.records import Region

@dataclass(frozen=True)
class {name}:
    batch_size: int = {batch}
    needs_pixels: bool = True
    from_source: bool = False

    def prepare(self):
        pass

    def load_boxes(self):
        return lambda boxes: []

    def load(self):
        def find(images):
            rows = {rows}
            return [[Region(box_xyxy=box, label="{name}", score=score) for box, score in rows] for _ in images]
        return find
"""


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    folder = tmp_path / "two_others"
    folder.mkdir()
    first = "[((0, 0, 10, 10), 0.9), ((20, 20, 30, 30), 0.4)]"
    second = "[((0, 0, 10, 11), 0.8), ((40, 40, 60, 60), 0.7), ((50, 0, 60, 9), 0.1)]"
    (folder / "first.py").write_text(CELLS.format(name="First", batch=8, rows=first))
    (folder / "second.py").write_text(CELLS.format(name="Second", batch=3, rows=second))
    monkeypatch.syspath_prepend(tmp_path)
    plugins.use_modules(["two_others.first", "two_others.second"])
    return "first", "second"


def test_a_later_detector_fills_up_with_what_is_new_and_ranks_behind(two: tuple[str, str]) -> None:
    mix = Mix(of=tuple({"detector": name} for name in two))
    (found,) = mix.load()([np.zeros((80, 80, 3), np.uint8)])
    assert [(one.label, one.box_xyxy) for one in found] == [
        ("First", (0, 0, 10, 10)),
        ("First", (20, 20, 30, 30)),
        ("Second", (40, 40, 60, 60)),
        ("Second", (50, 0, 60, 9)),
    ]
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert mix.batch_size == 3


def test_the_recipe_records_every_parameter_of_each() -> None:
    rules = DetectRules.model_validate(
        {"detector": "mix", "of": [{"detector": "grid"}, {"detector": "proposals"}]}
    )
    recorded = rules.resolved()
    assert recorded["of"] == (
        {"detector": "grid", "cells": 6},
        {
            "detector": "proposals",
            "strategy": "fast",
            "width_px": 256,
            "nms_iou": 0.5,
            "min_side_px": 8,
        },
    )
    assert DetectRules.model_validate(recorded).resolved() == recorded


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ([{"detector": "grid"}], "two detectors or more"),
        ([{"detector": "grid"}, {"cells": 3}], "names a detector"),
        ([{"detector": "grid"}, {"detector": "mix"}], "no mix"),
        ([{"detector": "grid"}, {"detector": "boxes"}], "cannot be mixed"),
        ([{"detector": "grid"}, {"detector": "grid", "cells": 0}], "cells"),
        ([{"detector": "grid"}, {"detector": "nothing"}], "is not known here"),
    ],
)
def test_what_cannot_be_mixed_is_refused_by_the_recipe(
    of: list[dict[str, object]], message: str
) -> None:
    with pytest.raises((RecipeError, ValueError), match=message):
        DetectRules.model_validate({"detector": "mix", "of": of})


@needs_model
def test_yolox_filled_up_by_proposals_reaches_the_count_of_the_paper() -> None:
    pytest.importorskip("onnxruntime")
    coffee = pytest.importorskip("skimage.data").coffee()
    mix = Mix(of=({"detector": "yolox", "weights": str(MODEL)}, {"detector": "proposals"}))
    check_detector(mix)
    (found,) = mix.load()([coffee])
    assert [one.label for one in found[:2]] == ["cup", "dining table"]
    assert len(found) >= 36
