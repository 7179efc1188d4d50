"""The image in equal cells, the input of BriVL 2.0: no model, no decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from wenlan_data.detect.boxes import ignore_boxes
from wenlan_data.records import Region

if TYPE_CHECKING:
    from wenlan_data.protocols import BoxesToRegions, FindRegions, RGBImage


@dataclass(frozen=True)
class Grid:
    """`cells` by `cells` regions, row by row, that tile the image."""

    cells: Annotated[int, Field(ge=1, le=64)] = 6
    """A side of the grid. 6: the 36 cells of BriVL 2.0's released model."""

    batch_size: ClassVar[int] = 1024
    needs_pixels: ClassVar[bool] = False
    from_source: ClassVar[bool] = False

    def prepare(self) -> None:
        """Does nothing: there are no weights."""

    def load(self) -> FindRegions:
        """Returns the working detector."""
        cells = self.cells

        def find(images: Sequence[RGBImage]) -> list[list[Region]]:
            return [list(tiles(image.shape[1], image.shape[0], cells)) for image in images]

        return find

    def load_boxes(self) -> BoxesToRegions:
        """Returns a function without regions: the grid ignores the source's boxes."""
        return ignore_boxes


@lru_cache(maxsize=256)
def tiles(width: int, height: int, cells: int) -> tuple[Region, ...]:
    """Cells of an image of `width` x `height` pixels, row by row.

    A side shorter than `cells` pixels has one cell a pixel, so that none is empty.
    """
    across = [width * index // cells for index in range(cells + 1)]
    down = [height * index // cells for index in range(cells + 1)]
    return tuple(
        Region(box_xyxy=(x1, y1, x2, y2), label="cell", score=1.0)
        for y1, y2 in pairwise(down)
        for x1, x2 in pairwise(across)
        if x1 < x2 and y1 < y2
    )
