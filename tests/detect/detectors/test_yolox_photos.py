"""YOLOX-nano on photographs of COCO, against the boxes that another program found in the same
files."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.builds.corpus_runs import build, command
from tests.shared import MODEL, PHOTOS, needs_model, needs_photos
from wenlan_data.records import Region
from wenlan_data.shard.reader import read_corpus
from wenlan_data.testing import make_caption

pytest.importorskip("onnxruntime")
pytestmark = [needs_model, needs_photos]


def reference() -> dict[str, list[dict[str, Any]]]:
    """File name to boxes, best first."""
    found = json.loads((PHOTOS / "detections_yolox_nano.json").read_text("utf-8"))["detections"]
    return {name: sorted(boxes, key=lambda one: -one["score"]) for name, boxes in found.items()}


def check(found: Sequence[Region], wanted: Sequence[Mapping[str, Any]]) -> int:
    """How many there are; all must agree but for 0.01 of score and one pixel."""
    assert [one.label for one in found] == [one["label"] for one in wanted]
    for region, box in zip(found, wanted, strict=True):
        assert region.score == pytest.approx(box["score"], abs=0.01)
        assert region.box_xyxy == pytest.approx(box["bbox"], abs=1.01)
    return len(found)


def test_detect_finds_every_reference_box() -> None:
    wanted = reference()
    words = [
        *(PHOTOS / name for name in wanted),
        "--detector",
        "yolox",
        "--weights",
        MODEL,
        "--json",
    ]
    done = command("detect", *words)
    assert done.returncode == 0, done.stderr
    checked = 0
    for row in map(json.loads, done.stdout.splitlines()):
        regions = [
            Region(box_xyxy=tuple(one["box"]), label=one["label"], score=one["score"])
            for one in row["regions"][:-1]
        ]
        checked += check(regions, wanted[Path(row["image"]).name])
    assert checked == 92


def test_a_build_stores_every_reference_box(tmp_path: Path) -> None:
    wanted = reference()
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(wanted):
        shutil.copy(PHOTOS / name, tmp_path / "photos" / name)
        (tmp_path / "photos" / name).with_suffix(".txt").write_text(make_caption(number), "utf-8")
    detect = {"detector": "yolox", "weights": str(MODEL)}
    (tmp_path / "mine.yaml").write_text(json.dumps({"name": "mine", "detect": detect}), "utf-8")
    words = [
        "--sources",
        f"folder:{tmp_path / 'photos'}",
        "--recipe",
        tmp_path / "mine.yaml",
        "--executor",
        "local",
    ]
    build(*words, "--workers", 1, "--out", tmp_path / "out")
    samples = list(read_corpus(tmp_path / "out"))
    checked = [check(one.regions[:-1], wanted[one.image_url.rpartition("/")[2]]) for one in samples]
    assert (len(checked), sum(checked)) == (24, 92)
