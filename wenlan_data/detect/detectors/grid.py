"""The picture in equal cells, as BriVL 2.0 sees it: no model, no decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from wenlan_data.records import Region

if TYPE_CHECKING:
    from wenlan_data.protocols import FindRegions, RGBImage


@dataclass(frozen=True)
class Grid:
    """`cells` by `cells` regions, row by row, that tile the picture."""

    cells: Annotated[int, Field(ge=1, le=64)] = 6
    """A side of the grid. 6: the 36 cells of BriVL 2.0's released model."""

    needs_pixels: ClassVar[bool] = False
    """It looks at the shape alone, so nobody needs to decode for it."""

    @property
    def batch_size(self) -> int:
        """How many pictures one call takes at most."""
        return 1024

    def load(self) -> FindRegions:
        """The working detector; there are no weights."""
        cells = self.cells

        def find(pictures: Sequence[RGBImage]) -> list[list[Region]]:
            return [list(tiles(picture.shape[1], picture.shape[0], cells)) for picture in pictures]

        return find


@lru_cache(maxsize=256)
def tiles(width: int, height: int, cells: int) -> tuple[Region, ...]:
    """The cells of a picture of that size in pixels, row by row; a side below `cells` pixels has fewer."""
    across = [width * index // cells for index in range(cells + 1)]
    down = [height * index // cells for index in range(cells + 1)]
    return tuple(
        Region(box_xyxy=(x1, y1, x2, y2), label="cell", score=1.0)
        for y1, y2 in pairwise(down)
        for x1, x2 in pairwise(across)
        if x1 < x2 and y1 < y2
    )
