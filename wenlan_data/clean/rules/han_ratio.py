"""A Chinese caption is made of Han characters, at least for a part."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from wenlan_data.clean.characters import HAN
from wenlan_data.records import Drop

_NOT_HAN = re.compile(rf"[^{HAN}]+")


@dataclass(frozen=True, slots=True)
class HanRatio:
    """At least one Han character, and a share of `min` among all characters but spaces."""

    min: Annotated[float, Field(ge=0, le=1)] = 0.3
    """0 to 1. 0.3 lets product names with long model numbers pass, but no English sentence with a Chinese word."""

    def __call__(self, text: str) -> str | Drop:
        """The text unchanged, or `no_han`, or `language` where Han characters are too few."""
        han = len(_NOT_HAN.sub("", text))
        if not han:
            return Drop("no_han")
        share = han / len("".join(text.split()))
        return text if share >= self.min else Drop("language", f"{share:.2f} Han")
