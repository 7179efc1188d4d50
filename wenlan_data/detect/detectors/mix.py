"""Several detectors in turn: each later one adds what the earlier ones missed, as `proposals` after
`yolox`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from wenlan_data import plugins
from wenlan_data.detect.boxes import BoxArray, ignore_boxes, iou
from wenlan_data.detect.loading import load_detector, resolved_detector
from wenlan_data.errors import RecipeError
from wenlan_data.records import Region

if TYPE_CHECKING:
    from wenlan_data.protocols import BoxesToRegions, Detector, FindRegions, RGBImage


@dataclass(frozen=True)
class Mix:
    """The regions of the first detector, then those of the next that overlap none before by more
    than `max_iou`.

    Scores of two detectors do not compare: those of a later one are scaled below the lowest score
    before it, so that order by score is order by detector.
    """

    of: tuple[dict[str, object], ...] = ({"detector": "yolox"}, {"detector": "proposals"})
    """Each as the recipe's `detect` part: `detector` and its parameters."""
    max_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    device: str = field(default="cpu", kw_only=True)

    needs_pixels: ClassVar[bool] = True
    from_source: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Checks each detector and records all its parameters, which the recipe's digest covers."""
        if len(self.of) < 2:
            raise RecipeError("of: a mix takes two detectors or more")
        loaded = tuple(_load(spec, self.device) for spec in self.of)
        resolved = tuple(
            {"detector": spec["detector"], **resolved_detector(detector)}
            for spec, detector in zip(self.of, loaded, strict=True)
        )
        object.__setattr__(self, "of", resolved)
        # Pickled with the mix by the names of their classes: a worker looks up no plug-in.
        object.__setattr__(self, "_detectors", loaded)

    @property
    def batch_size(self) -> int:
        """Largest number of images that every one of the detectors takes in one call."""
        return min(detector.batch_size for detector in self._loaded())

    def prepare(self) -> None:
        """Finds or downloads what each detector needs."""
        for detector in self._loaded():
            detector.prepare()

    def load(self) -> FindRegions:
        """Returns the working detectors as one."""
        finders = [detector.load() for detector in self._loaded()]

        def find(images: Sequence[RGBImage]) -> list[list[Region]]:
            found = finders[0](images)
            for later in finders[1:]:
                found = [self._merged(*pair) for pair in zip(found, later(images), strict=True)]
            return found

        return find

    def load_boxes(self) -> BoxesToRegions:
        """Returns a function without regions: detectors that read the source's boxes cannot be
        mixed."""
        return ignore_boxes

    def _loaded(self) -> tuple[Detector, ...]:
        loaded: tuple[Detector, ...] = vars(self)["_detectors"]
        return loaded

    def _merged(self, earlier: list[Region], later: list[Region]) -> list[Region]:
        if not earlier or not later:
            return earlier or later
        overlap = iou(_to_array(later), _to_array(earlier)).max(axis=1)
        lowest = min(region.score for region in earlier)
        highest = max(max(region.score for region in later), 1e-9)
        new = [
            region
            for region, share in zip(later, overlap.tolist(), strict=True)
            if share <= self.max_iou
        ]
        # `lowest` is enough for scores up to 1; the quotient is for detectors that exceed it.
        scale = min(lowest / highest, lowest)
        return earlier + [replace(region, score=round(region.score * scale, 4)) for region in new]


def _to_array(regions: list[Region]) -> BoxArray:
    return np.asarray([region.box_xyxy for region in regions], np.float32).reshape(-1, 4)


def _load(spec: Mapping[str, object], device: str) -> Detector:
    name = spec.get("detector")
    if not isinstance(name, str) or name == "mix":
        raise RecipeError("of: each entry names a detector, and no mix: {detector: yolox, ...}")
    own = {key: value for key, value in spec.items() if key not in {"detector", "device"}}
    takes_device = any(
        one.name == "device" for one in fields(plugins.find(plugins.DETECTORS, name))
    )
    detector = load_detector(name, own, device if takes_device else "cpu")
    if detector.from_source:
        raise RecipeError(f"of: {name} takes no images and cannot be mixed")
    return detector
