"""Builds with every detector: the same bytes on one worker and on two, and boxes that fit the
stored images."""

import io
import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from tests.builds.corpus_runs import build, command, content
from tests.shared import DATA, MODEL, needs_model
from wenlan_data.recipe import DetectRules
from wenlan_data.shard.format import decode_sample
from wenlan_data.shard.reader import read_tar
from wenlan_data.testing import make_caption, make_image

YOLOX: dict[str, object] = {"detector": "yolox", "weights": str(MODEL), "confidence": 0.05}
PROPOSALS: dict[str, object] = {"detector": "proposals", "width_px": 96}


def folder(at: Path, count: int = 12) -> Path:
    at.mkdir()
    for number in range(count):
        (at / f"{number:02d}.jpg").write_bytes(make_image(number, width=180 + number, height=150))
        (at / f"{number:02d}.txt").write_text(make_caption(number), "utf-8")
    return at


def records(at: Path, count: int) -> Path:
    rows = []
    for number in range(count):
        (at / f"{number}.jpg").write_bytes(make_image(number, width=400, height=300))
        boxes = [[0, 0, 200, 150], [100, 30, 400, 300], [number, 0, 50, 60]]
        rows.append(
            {
                "image_id": f"../imgs/{number}.jpg",
                "sentences": [["sur_text", make_caption(number)]],
                "bbox": boxes,
            }
        )
    (at / "records.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return at / "records.jsonl"


def recipe(at: Path, detect: dict[str, object]) -> Path:
    at.write_text(
        yaml.safe_dump({"name": "mine", "detect": detect, "shard": {"max_samples": 5}}), "utf-8"
    )
    return at


def faster_rcnn(at: Path) -> dict[str, object]:
    torch = pytest.importorskip("torch")
    detection = pytest.importorskip("torchvision.models.detection")
    torch.manual_seed(1)
    model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3
    )
    torch.save(model.state_dict(), at)
    own = {
        "architecture": "mobilenet_v3_large_320_fpn",
        "weights": str(at),
        "names": ["cat", "dog"],
    }
    return {"detector": "faster_rcnn", "side_px": 64, "confidence": 0.0, **own}


@pytest.mark.slow
@needs_model
@pytest.mark.parametrize("name", ["grid", "boxes", "proposals", "yolox", "mix", "faster_rcnn"])
def test_one_worker_and_two_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    detectors: dict[str, dict[str, object]] = {
        "grid": {"detector": "grid"},
        "boxes": {"detector": "boxes"},
        "proposals": PROPOSALS,
        "yolox": YOLOX,
        "mix": {"detector": "mix", "of": [YOLOX, PROPOSALS]},
    }
    detect = detectors.get(name) or faster_rcnn(tmp_path / "weights.pth")
    source = (
        f"brivl:{records(tmp_path, 12)}"
        if name == "boxes"
        else f"folder:{folder(tmp_path / 'photos')}"
    )
    words = [
        "--sources",
        source,
        "--recipe",
        recipe(tmp_path / "mine.yaml", detect),
        "--executor",
        "local",
    ]
    for workers in (1, 2):
        build(*words, "--out", tmp_path / str(workers), "--workers", workers)
    assert content(tmp_path / "1") == content(tmp_path / "2")
    if name in {"yolox", "mix"}:
        resolved = json.loads((tmp_path / "1" / "manifest.json").read_text("utf-8"))["recipe"][
            "detect"
        ]
        assert "695e750a5d5754bb" in json.dumps(resolved)


def test_boxes_of_brivls_records_reach_the_shards_in_stored_pixels(tmp_path: Path) -> None:
    detect: dict[str, object] = {"detector": "boxes", "max_regions": 2}
    words = [
        "--sources",
        f"brivl:{records(tmp_path, 3)}",
        "--recipe",
        recipe(tmp_path / "mine.yaml", detect),
    ]
    build(
        *words,
        "--set",
        "image.max_side_px=200",
        "--out",
        tmp_path / "out",
        "--executor",
        "local",
        "--workers",
        1,
    )
    (tar,) = (tmp_path / "out" / "shards").glob("*.tar")
    for key, members in read_tar(tar):
        sample = decode_sample(members, key)
        assert sample.detector == "boxes"
        boxes_found = [(one.label, one.box_xyxy) for one in sample.regions]
        assert boxes_found == [
            ("region", (0, 0, 100, 75)),
            ("region", (50, 15, 200, 150)),
            ("image", (0, 0, 200, 150)),
        ]


@pytest.mark.skipif(
    not (DATA / "brivl-record").is_dir(), reason="BriVL's records are not beside the repository"
)
def test_the_released_records_of_brivl_become_a_corpus_with_100_boxes_each(tmp_path: Path) -> None:
    source = f"brivl:{DATA / 'brivl-record' / 'example.jsonl'}"
    detect: dict[str, object] = {"detector": "boxes", "max_regions": 100}
    words = [
        "--sources",
        source,
        "--recipe",
        recipe(tmp_path / "mine.yaml", detect),
        "--set",
        "image.max_side_px=2000",
    ]
    build(*words, "--out", tmp_path / "out", "--executor", "local", "--workers", 1)
    records_read = [
        json.loads(line)
        for line in (DATA / "brivl-record" / "example.jsonl").read_text("utf-8").splitlines()
    ]
    boxes = {
        Path(one["image_id"]).name: [tuple(box) for box in one["bbox"]] for one in records_read
    }
    (tar,) = (tmp_path / "out" / "shards").glob("*.tar")
    found = {
        Path(one.image_url).name: one for one in (decode_sample(m, k) for k, m in read_tar(tar))
    }
    assert {
        name: [one.box_xyxy for one in sample.regions[:-1]] for name, sample in found.items()
    } == boxes


def test_licence_and_author_come_from_the_image_where_the_source_says_nothing(
    tmp_path: Path,
) -> None:
    exif = Image.Exif()
    exif[0x013B], exif[0x8298] = "Zhang San", "CC BY 4.0"
    out = io.BytesIO()
    Image.open(io.BytesIO(make_image(1))).save(out, "JPEG", exif=exif, quality=90)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(out.getvalue())
    (photos / "a.txt").write_text(make_caption(1), "utf-8")
    build(
        "--sources",
        f"folder:{photos}",
        "--out",
        tmp_path / "out",
        "--executor",
        "local",
        "--workers",
        1,
    )
    (tar,) = (tmp_path / "out" / "shards").glob("*.tar")
    ((key, members),) = read_tar(tar)
    sample = decode_sample(members, key)
    assert (sample.licence, sample.author) == ("CC BY 4.0", "Zhang San")
    assert b"Zhang San" not in sample.jpeg


def test_a_detector_that_lacks_its_weights_stops_the_build_at_its_start(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    source = f"folder:{folder(tmp_path / 'photos', 1)}"
    file = recipe(tmp_path / "mine.yaml", {"detector": "yolox", "weights": "none.onnx"})
    done = command(
        "build",
        "--sources",
        source,
        "--recipe",
        file,
        "--out",
        tmp_path / "out",
        "--executor",
        "local",
    )
    assert (done.returncode, "there is no such file" in done.stderr) == (4, True)
    assert not (tmp_path / "out").exists()


@needs_model
def test_weights_beside_the_operator_are_found_by_workers_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "nano.onnx").write_bytes(MODEL.read_bytes())
    monkeypatch.chdir(tmp_path)
    rules = DetectRules.model_validate(
        {"detector": "mix", "of": [{**YOLOX, "weights": "nano.onnx"}, PROPOSALS]}
    )
    located = rules.located()
    monkeypatch.chdir("/")
    located.prepare()
    assert "nano.onnx" in json.dumps(rules.resolved())
    assert str(tmp_path) not in json.dumps(rules.resolved())
