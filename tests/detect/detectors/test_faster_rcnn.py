"""With random weights, since no trained ones are available here: the detections mean nothing, only
that it runs."""

from pathlib import Path

import numpy as np
import pytest

from tests.conformance import check_detector
from wenlan_data.detect.detectors.faster_rcnn import FasterRcnn
from wenlan_data.errors import RecipeError
from wenlan_data.recipe import DetectRules

torch = pytest.importorskip("torch")
detection = pytest.importorskip("torchvision.models.detection")
safetensors_torch = pytest.importorskip("safetensors.torch")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(1)
    model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=3
    )
    state = model.state_dict()
    made = {"safe": folder / "a.safetensors", "pth": folder / "a.pth", "code": folder / "code.pth"}
    safetensors_torch.save_file(state, str(made["safe"]))
    torch.save(state, made["pth"])
    torch.save({"layer": Path("/")}, made["code"])
    (folder / "cut.safetensors").write_bytes(made["safe"].read_bytes()[:1000])
    return {**made, "cut": folder / "cut.safetensors"}


def detector(path: Path, **more: object) -> FasterRcnn:
    value = {
        "architecture": "mobilenet_v3_large_320_fpn",
        "weights": str(path),
        "names": ("cat", "dog"),
        **more,
    }
    built = DetectRules.model_validate(
        {"detector": "faster_rcnn", "side_px": 64, "confidence": 0.0, **value}
    ).load()
    assert isinstance(built, FasterRcnn)
    return built


def test_it_fulfils_the_contract_of_detectors(files: dict[str, Path]) -> None:
    check_detector(detector(files["safe"], max_side_px=128, confidence=0.2))


def test_both_kinds_of_file_give_the_same_model(files: dict[str, Path]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    one, other = (detector(files[kind]).load()([image]) for kind in ("safe", "pth"))
    assert one == other
    assert {region.label for region in one[0]} <= {"cat", "dog"}
    assert one[0]


def test_a_file_that_would_run_code_is_not_read(files: dict[str, Path]) -> None:
    with pytest.raises(RecipeError, match="holds something else than tensors"):
        detector(files["code"]).load()


def test_files_that_do_not_fit_say_so(files: dict[str, Path]) -> None:
    with pytest.raises(RecipeError, match="no safetensors file"):
        detector(files["cut"]).load()
    with pytest.raises(RecipeError, match="do not fit"):
        detector(files["safe"], names=("cat",)).load()
    with pytest.raises(RecipeError, match="do not fit"):
        detector(files["safe"], names=("cat",)).prepare()  # before the build begins
    with pytest.raises(RecipeError, match="device: torch has no 'cuda:5' here"):
        detector(files["safe"], device="cuda:5").prepare()


def test_weights_are_named_after_the_architecture() -> None:
    recorded = DetectRules(detector="faster_rcnn").resolved()
    assert recorded["weights"] == "fasterrcnn_resnet50_fpn_v2"
    assert str(recorded["weights_sha256"]).startswith("dd69338a")
    with pytest.raises(ValueError, match="are not of the architecture"):
        DetectRules.model_validate(
            {"detector": "faster_rcnn", "weights": "fasterrcnn_resnet50_fpn"}
        )
