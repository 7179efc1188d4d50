"""The source's own boxes, such as bottom-up attention in BriVL's JSONL: no model, no decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from wenlan_data.records import Region

if TYPE_CHECKING:
    from wenlan_data.protocols import BoxesToRegions, FindRegions, RGBImage
    from wenlan_data.records import Box


@dataclass(frozen=True)
class Boxes:
    """The source's boxes in its order, scaled to the stored image.

    An image without boxes has the whole image as its only region.
    """

    min_side_px: Annotated[int, Field(ge=1)] = 1
    label: str = "region"
    """BriVL's records hold no class and no score: each box gets this label and the score 1."""

    batch_size: ClassVar[int] = 1024
    needs_pixels: ClassVar[bool] = False
    from_source: ClassVar[bool] = True

    def prepare(self) -> None:
        """Does nothing: there are no weights."""

    def load(self) -> FindRegions:
        """Returns a function that finds nothing: images alone come without boxes."""

        def find(images: Sequence[RGBImage]) -> list[list[Region]]:
            return [[] for _ in images]

        return find

    def load_boxes(self) -> BoxesToRegions:
        """Returns the function from an image's boxes, in its pixels, to regions."""

        def regions(boxes: Sequence[Box]) -> list[Region]:
            large = (
                box for box in boxes if min(box[2] - box[0], box[3] - box[1]) >= self.min_side_px
            )
            return [Region(box_xyxy=box, label=self.label, score=1.0) for box in large]

        return regions
