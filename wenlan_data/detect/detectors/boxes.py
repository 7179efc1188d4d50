"""The boxes that the source itself holds, such as bottom-up-attention boxes in BriVL's JSONL: no model, no decoding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from wenlan_data.records import Region

if TYPE_CHECKING:
    from wenlan_data.protocols import FindRegions, RGBImage
    from wenlan_data.records import Box


@dataclass(frozen=True)
class Boxes:
    """The source's boxes in its order, scaled to the stored picture; a picture without any has the whole image only."""

    min_side_px: Annotated[int, Field(ge=1)] = 1
    label: str = "region"
    """BriVL's records name no class and no score: each box gets this label and the score 1."""

    from_source: ClassVar[bool] = True
    """Its regions come with the candidate; no picture needs to be looked at."""
    needs_pixels: ClassVar[bool] = False

    @property
    def batch_size(self) -> int:
        """How many pictures one call takes at most."""
        return 1024

    def load(self) -> FindRegions:
        """A detector for pictures alone, which come without boxes: it finds none."""

        def find(pictures: Sequence[RGBImage]) -> list[list[Region]]:
            return [[] for _ in pictures]

        return find

    def load_boxes(self) -> Callable[[Sequence[Box]], list[Region]]:
        """The function from a picture's boxes, in its pixels, to regions."""

        def regions(boxes: Sequence[Box]) -> list[Region]:
            wide = (
                box for box in boxes if min(box[2] - box[0], box[3] - box[1]) >= self.min_side_px
            )
            return [Region(box_xyxy=box, label=self.label, score=1.0) for box in wide]

        return regions
