"""Several detectors in turn: a later one fills up what the earlier ones left, as `yolox` filled up by `proposals`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from wenlan_data import plugins
from wenlan_data.detect.boxes import iou
from wenlan_data.detect.loading import DETECTORS, load_detector, resolved_detector
from wenlan_data.errors import RecipeError
from wenlan_data.records import Region

if TYPE_CHECKING:
    from wenlan_data.protocols import Detector, FindRegions, RGBImage


@dataclass(frozen=True)
class Mix:
    """The regions of the first detector, then those of the next that none before overlaps by more than `max_iou`.

    Scores of two detectors do not compare: those of a later one are scaled below the lowest score before it, so
    that order by score is order by detector.
    """

    of: tuple[dict[str, object], ...] = ({"detector": "yolox"}, {"detector": "proposals"})
    """Each as `detect` of a recipe has it: `detector` and its parameters."""
    max_iou: Annotated[float, Field(gt=0, le=1)] = 0.7
    device: str = field(default="cpu", kw_only=True)

    def __post_init__(self) -> None:
        """Check each detector and write down every parameter of it, for the digest."""
        if len(self.of) < 2:
            raise RecipeError("of: a mix takes two detectors or more")
        object.__setattr__(self, "of", tuple(_resolved(spec, self.device) for spec in self.of))

    @property
    def batch_size(self) -> int:
        """How many pictures one call takes at most."""
        return min(detector.batch_size for detector in self._detectors())

    def prepare(self) -> None:
        """Find or fetch what each detector needs."""
        for detector in self._detectors():
            if prepare := getattr(detector, "prepare", None):
                prepare()

    def load(self) -> FindRegions:
        """The working detectors, one after the other."""
        finders = [detector.load() for detector in self._detectors()]

        def find(pictures: Sequence[RGBImage]) -> list[list[Region]]:
            found = finders[0](pictures)
            for more in finders[1:]:
                found = [self._filled(*pair) for pair in zip(found, more(pictures), strict=True)]
            return found

        return find

    def _detectors(self) -> list[Detector]:
        return [_load(spec, self.device) for spec in self.of]

    def _filled(self, before: list[Region], after: list[Region]) -> list[Region]:
        if not before or not after:
            return before or after
        overlap = iou(_array(after), _array(before)).max(axis=1)
        lowest = min(region.score for region in before)
        highest = max(max(region.score for region in after), 1e-9)
        new = [
            region
            for region, share in zip(after, overlap.tolist(), strict=True)
            if share <= self.max_iou
        ]
        scale = min(lowest / highest, lowest)
        return before + [replace(region, score=round(region.score * scale, 4)) for region in new]


def _array(regions: list[Region]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.asarray([region.box_xyxy for region in regions], np.float32).reshape(-1, 4)


def _load(spec: Mapping[str, object], device: str) -> Detector:
    name = spec.get("detector")
    if not isinstance(name, str) or name == "mix":
        raise RecipeError("of: each entry names a detector, and no mix: {detector: yolox, ...}")
    own = {key: value for key, value in spec.items() if key not in {"detector", "device"}}
    takes_device = any(one.name == "device" for one in fields(plugins.find(DETECTORS, name)))
    detector = load_detector(name, own, device if takes_device else "cpu")
    if getattr(detector, "from_source", False):
        raise RecipeError(f"of: {name} takes no pictures and cannot be mixed")
    return detector


def _resolved(spec: Mapping[str, object], device: str) -> dict[str, object]:
    detector = _load(spec, device)
    return {"detector": spec["detector"], **resolved_detector(detector)}
