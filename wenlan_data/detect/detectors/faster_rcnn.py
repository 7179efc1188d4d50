"""Faster R-CNN of torchvision: the type of detector in the WenLan paper, with COCO's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from wenlan_data.detect.boxes import ignore_boxes, to_regions
from wenlan_data.detect.coco import CATEGORY_IDS, NAMES, Language
from wenlan_data.detect.extras import import_extra
from wenlan_data.detect.weights import NAMED_WEIGHTS, weights_file
from wenlan_data.errors import RecipeError, in_short
from wenlan_data.records import Region

if TYPE_CHECKING:
    from wenlan_data.protocols import BoxesToRegions, FindRegions, RGBImage

Architecture = Literal[
    "resnet50_fpn", "resnet50_fpn_v2", "mobilenet_v3_large_fpn", "mobilenet_v3_large_320_fpn"
]
_COCO_CLASSES = 91
"""The background, and COCO's category numbers up to 90."""


@dataclass(frozen=True)
class FasterRcnn:
    """Boxes with a class of COCO, or of `names`; an image is scaled so that its shorter side is
    `side_px`."""

    architecture: Architecture = "resnet50_fpn_v2"
    weights: str = ""
    """Empty: torchvision's own for the architecture, trained on COCO. Else a state dict:
    .safetensors or .pth."""
    weights_sha256: str = ""
    """SHA-256 of the file, part of the resolved recipe: another file makes another recipe."""
    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.3
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.5
    side_px: Annotated[int, Field(ge=64, le=2048)] = 600
    """600, with at most 1000 for the longer side: the setting of bottom-up attention."""
    max_side_px: Annotated[int, Field(ge=64, le=4096)] = 1000
    min_side_px: Annotated[int, Field(ge=1)] = 1
    language: Language = "en"
    names: tuple[str, ...] = ()
    """Class names in order without the background, for a model of other classes."""
    batch: Annotated[int, Field(ge=1, le=64)] = 4
    device: str = field(default="cpu", kw_only=True)

    def __post_init__(self) -> None:
        """Names the weights, so that the digest of the recipe covers them."""
        if not self.weights:
            object.__setattr__(self, "weights", f"fasterrcnn_{self.architecture}")
        elif self.weights in NAMED_WEIGHTS and self.weights != f"fasterrcnn_{self.architecture}":
            raise RecipeError(
                f"weights: {self.weights} are not of the architecture {self.architecture}"
            )

    needs_pixels: ClassVar[bool] = True
    from_source: ClassVar[bool] = False

    @property
    def batch_size(self) -> int:
        """Largest number of images in one call."""
        return self.batch

    def prepare(self) -> None:
        """Finds or downloads the weights and loads them, so that a misfit stops the build at its
        start.

        Raises `RecipeError` for a missing package, file or device, and for weights of another
        model.
        """
        import_extra("torchvision", by="faster_rcnn", extra="faster-rcnn")
        _device(self.device)
        self._model()

    def load(self) -> FindRegions:
        """Returns the working detector."""
        import torch

        device = _device(self.device)
        # Each build worker is a process of its own, and the number of threads changes the last
        # digits of a sum.
        torch.set_num_threads(1)
        model = self._model().to(device).eval()
        names = dict(zip(self._numbers(), self.names or NAMES[self.language], strict=True))

        def find(images: Sequence[RGBImage]) -> list[list[Region]]:
            found: list[list[Region]] = [[] for _ in images]
            for indices in _group_by_shape(images):
                images_CHW = [
                    torch.from_numpy(np.ascontiguousarray(images[one].transpose(2, 0, 1)))
                    .to(device)
                    .float()
                    / 255
                    for one in indices
                ]
                with torch.inference_mode():
                    outputs = model(images_CHW)
                for one, output in zip(indices, outputs, strict=True):
                    found[one] = self._regions(
                        output, names, images[one].shape[1], images[one].shape[0]
                    )
            return found

        return find

    def load_boxes(self) -> BoxesToRegions:
        """Returns a function without regions: Faster R-CNN ignores the source's boxes."""
        return ignore_boxes

    def _regions(
        self, output: dict[str, Any], names: dict[int, str], width: int, height: int
    ) -> list[Region]:
        boxes, scores = (
            output[name].cpu().numpy().astype(np.float32) for name in ("boxes", "scores")
        )
        numbers = output["labels"].cpu().numpy()
        # Category numbers that COCO left unused have no name: their boxes are dropped.
        known = np.flatnonzero(np.isin(numbers, list(names)) & (scores > self.confidence))
        known = known[np.argsort(-scores[known], kind="stable")]
        labels = [names[one] for one in numbers[known].tolist()]
        return to_regions(boxes[known], scores[known], labels, width, height, self.min_side_px)

    def _numbers(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.names) + 1)) if self.names else CATEGORY_IDS

    def _model(self) -> Any:
        detection = import_extra(
            "torchvision.models.detection", by="faster_rcnn", extra="faster-rcnn"
        )
        build = getattr(detection, f"fasterrcnn_{self.architecture}")
        # Without torchvision's own weights: it would download them unasked.
        model = build(
            weights=None,
            weights_backbone=None,
            num_classes=len(self.names) + 1 if self.names else _COCO_CLASSES,
            min_size=self.side_px,
            max_size=self.max_side_px,
            box_score_thresh=self.confidence,
            box_nms_thresh=self.nms_iou,
        )
        path = weights_file(self.weights, self.weights_sha256)
        try:
            # Renames what older versions of torchvision named otherwise.
            model.load_state_dict(_state(path))
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = in_short(error, 200)
            raise RecipeError(
                f"weights: {path}: do not fit {self.architecture} ({reason})"
            ) from error
        return model


def _group_by_shape(images: Sequence[RGBImage]) -> list[list[int]]:
    """Indices by shape: in a batch of several shapes, padding would change the detections of an
    image."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(image.shape, []).append(index)
    return list(groups.values())


def _state(path: Path) -> dict[str, Any]:
    """Tensors of a file by name; no code in it is executed."""
    import torch

    if path.suffix == ".safetensors":
        safe = import_extra("safetensors", by="faster_rcnn", extra="faster-rcnn")
        from_file = import_extra(
            "safetensors.torch", by="faster_rcnn", extra="faster-rcnn"
        ).load_file
        try:
            loaded: dict[str, Any] = from_file(str(path))
        except (OSError, ValueError, safe.SafetensorError) as error:
            reason = in_short(error)
            raise RecipeError(f"weights: {path}: no safetensors file ({reason})") from error
        return loaded
    _check_archive(path)
    try:
        # A restricted reader: it makes tensors and plain values, and calls nothing that a file
        # names.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader of a corrupt file raises whatever its steps raise
        what = type(error).__name__
        raise RecipeError(
            f"weights: {path}: holds something else than tensors, and is not read ({what})"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise RecipeError(f"weights: {path}: holds no state dict")
    return state


def _check_archive(path: Path) -> None:
    """Refuses a zip file whose members are compressed: torch writes none, and they could be a
    thousand times larger than the file."""
    import zipfile

    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                return  # the older format, which cannot be compressed
            members = zipfile.ZipFile(file).infolist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise RecipeError(
            f"weights: {path}: holds something else than tensors, and is not read "
            f"({type(error).__name__})"
        ) from error
    compressed = any(one.compress_type for one in members)
    size = sum(one.file_size for one in members)
    if compressed or size > path.stat().st_size:
        raise RecipeError(f"weights: {path}: a compressed archive, and is not read")


def _device(name: str) -> Any:
    torch = import_extra("torch", by="faster_rcnn", extra="faster-rcnn")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"device: torch has no {name!r} here ({in_short(error, 120)})") from error
    return device
