"""Any YOLOX model as ONNX, on onnxruntime: boxes of the 80 COCO classes, fast enough for a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from wenlan_data.detect.boxes import ignore_boxes, nms_by_class, to_regions
from wenlan_data.detect.coco import NAMES, Language
from wenlan_data.detect.extras import import_extra
from wenlan_data.detect.weights import weights_file
from wenlan_data.errors import RecipeError, in_short
from wenlan_data.image.decode import opencv
from wenlan_data.records import Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wenlan_data.protocols import BoxesToRegions, FindRegions, RGBImage

    Floats = NDArray[np.float32]

_STRIDES = (8, 16, 32)
_MAX_SIDE_PX = 4096
_FILL = 114
"""Grey level of the padding, the one that YOLOX is trained with."""
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


@dataclass(frozen=True)
class Yolox:
    """Boxes with a class of COCO; `weights` names the model, or is the path of an ONNX file."""

    weights: str = "yolox_nano"
    weights_sha256: str = ""
    """SHA-256 of the file, part of the resolved recipe: another file makes another recipe."""
    confidence: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Objectness times class score; YOLOX's own demo takes 0.3."""
    nms_iou: Annotated[float, Field(gt=0, le=1)] = 0.45
    min_side_px: Annotated[int, Field(ge=1)] = 1
    language: Language = "en"
    names: tuple[str, ...] = ()
    """Class names in order, for a model of other classes."""
    batch: Annotated[int, Field(ge=1, le=256)] = 8
    """Images in one call; a model with a fixed batch gets them one by one."""
    device: str = field(default="cpu", kw_only=True)

    needs_pixels: ClassVar[bool] = True
    from_source: ClassVar[bool] = False

    @property
    def batch_size(self) -> int:
        """Largest number of images in one call."""
        return self.batch

    def prepare(self) -> None:
        """Finds or downloads the weights and runs them once, so that a misfit stops the build at
        its start.

        Raises `RecipeError` for a missing package, file or device, and for a model that is no YOLOX
        of this form.
        """
        runtime = import_extra("onnxruntime", by="yolox", extra="yolox")
        _provider(runtime, self.device)
        self.load()([np.zeros((32, 32, 3), np.uint8)])

    def load(self) -> FindRegions:
        """Returns the working detector."""
        return _OnnxModel(self).find

    def load_boxes(self) -> BoxesToRegions:
        """Returns a function without regions: YOLOX ignores the source's boxes."""
        return ignore_boxes


class _OnnxModel:
    """An open onnxruntime session, with the grid of the model's anchors."""

    def __init__(self, settings: Yolox) -> None:
        runtime = import_extra("onnxruntime", by="yolox", extra="yolox")
        options = runtime.SessionOptions()
        # Each build worker is a process of its own: threads in every one would oversubscribe the
        # cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        path = weights_file(settings.weights, settings.weights_sha256)
        providers = [_provider(runtime, settings.device)]
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its errors share no base class
            reason = in_short(error)
            raise RecipeError(
                f"weights: {path}: onnxruntime cannot read it ({reason}): give a YOLOX ONNX"
            ) from error
        self._settings, self._path = settings, path
        inputs = self._session.get_inputs()
        if not inputs:
            raise RecipeError(f"weights: {path}: the model takes no input: give a YOLOX ONNX")
        model_input, *others = inputs
        self._input = model_input.name
        self._height, self._width = _sides([] if others else model_input.shape, str(path))
        self._is_fixed = isinstance(model_input.shape[0], int)
        self._cells, self._strides = _anchors(self._height, self._width)
        self._names = settings.names or NAMES[settings.language]

    def find(self, images: Sequence[RGBImage]) -> list[list[Region]]:
        """The regions of each image."""
        if not images:
            return []
        fitted = [_letterbox(image, self._height, self._width) for image in images]
        outputs = self._run(np.stack([canvas for canvas, _ in fitted]))
        return [
            self._regions(output, ratio, image.shape[1], image.shape[0])
            for output, (_, ratio), image in zip(outputs, fitted, images, strict=True)
        ]

    def _run(self, batch_BCHW: Floats) -> Floats:
        # A model exported with a fixed batch refuses any other: one image at a time.
        groups = batch_BCHW[:, None] if self._is_fixed else [batch_BCHW]
        try:
            found: list[Floats] = [
                self._session.run(None, {self._input: group})[0] for group in groups
            ]
            return np.concatenate(found)
        except Exception as error:  # as above; a model may also return no array
            reason = in_short(error)
            raise RecipeError(
                f"weights: {self._path}: the model does not run ({reason}): give a YOLOX ONNX"
            ) from error

    def _regions(self, output: Floats, ratio: float, width: int, height: int) -> list[Region]:
        """Regions of one image, from the model's output (anchors, 5 + classes): centre and size in
        units of the stride (the size as a logarithm), objectness, class scores."""
        if output.shape != (len(self._cells), 5 + len(self._names)):
            raise RecipeError(
                f"weights: the model returns {output.shape} for an image,"
                f" not {len(self._cells)} anchors of {len(self._names)} classes:"
                " set names to the names of its classes"
            )
        every = output[:, 4:5] * output[:, 5:]
        classes = every.argmax(axis=1)
        scores: Floats = every[np.arange(len(every)), classes]
        # Filtered before the boxes are computed: few of the thousands of anchors hold an object.
        good = np.flatnonzero(scores > self._settings.confidence)
        raw, strides = output[good], self._strides[good]
        centre = (raw[:, :2] + self._cells[good]) * strides
        half = np.exp(raw[:, 2:4]) * strides / 2
        corners = np.concatenate([centre - half, centre + half], axis=1) / ratio
        boxes: Floats = np.clip(corners, 0, (width, height, width, height)).astype(np.float32)
        kept = nms_by_class(boxes, scores[good], classes[good], self._settings.nms_iou)
        labels = [self._names[one] for one in classes[good][kept]]
        return to_regions(
            boxes[kept], scores[good][kept], labels, width, height, self._settings.min_side_px
        )


def _provider(runtime: Any, device: str) -> str | tuple[str, dict[str, str]]:
    kind, _, number = device.partition(":")
    name = _PROVIDERS.get(kind)
    if name is None or name not in runtime.get_available_providers():
        there = [
            one
            for one, provider in _PROVIDERS.items()
            if provider in runtime.get_available_providers()
        ]
        more = " (pip install onnxruntime-gpu)" if kind == "cuda" else ""
        raise RecipeError(
            f"device: onnxruntime has no {device!r} here, only {', '.join(there)}{more}"
        )
    return (name, {"device_id": number}) if number else name


def _sides(shape: Sequence[object], path: str) -> tuple[int, int]:
    if len(shape) != 4 or shape[1] != 3:
        raise RecipeError(
            f"weights: {path}: the model does not take one batch of RGB images: give a YOLOX ONNX"
        )
    height, width = shape[2:]
    if not (isinstance(height, int) and isinstance(width, int)):
        raise RecipeError(
            f"weights: {path}: the model's input has no fixed sides ({shape}):"
            " export it with a size"
        )
    if not (1 <= height <= _MAX_SIDE_PX and 1 <= width <= _MAX_SIDE_PX):
        raise RecipeError(
            f"weights: {path}: the model takes images of {height} x {width} pixels:"
            f" give one of at most {_MAX_SIDE_PX} a side"
        )
    return height, width


def _anchors(height: int, width: int) -> tuple[Floats, Floats]:
    """(A, 2) column and row of each anchor in its grid, and (A, 1) its stride in pixels."""
    cells, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        cells.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((cells[-1].shape[0], 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _letterbox(image: RGBImage, height: int, width: int) -> tuple[Floats, float]:
    """float32 (3, height, width), channels blue, green, red from 0 to 255, the image scaled to fit
    at the top left; and the scale."""
    cv2 = opencv()
    # Padded and not stretched, as in training: objects keep their aspect.
    ratio = min(height / image.shape[0], width / image.shape[1])
    fitted = (max(1, int(image.shape[1] * ratio)), max(1, int(image.shape[0] * ratio)))
    canvas = np.full((height, width, 3), _FILL, np.uint8)
    canvas[: fitted[1], : fitted[0]] = cv2.resize(image, fitted, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1), np.float32), ratio
