"""Neither a single character nor a whole passage is a caption."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from wenlan_data.records import Drop


@dataclass(frozen=True, slots=True)
class Length:
    """Between `min` and `max` characters (Unicode code points), both counted in."""

    min: Annotated[int, Field(ge=0)] = 2
    max: Annotated[int, Field(ge=1)] = 512

    def __call__(self, text: str) -> str | Drop:
        """The text unchanged, or `too_short`, or `too_long`."""
        if len(text) < self.min:
            return Drop("too_short", f"{len(text)} characters")
        if len(text) > self.max:
            return Drop("too_long", f"{len(text)} characters")
        return text
