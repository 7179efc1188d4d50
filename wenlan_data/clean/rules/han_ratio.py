"""Rejects texts with too few Han characters."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from wenlan_data.clean.characters import HAN
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

_NOT_HAN = re.compile(rf"[^{HAN}]+")
_FOREIGN_WORD = re.compile(rf"[^\W\d_{HAN}]{{2,}}")


@dataclass(frozen=True, slots=True)
class HanRatio:
    """Requires one Han character, and a share of `min` among all characters except spaces.

    Digits, punctuation and a long Latin name do not make a text foreign: a text with a smaller
    share is rejected only if it has no more Han characters than words in other letters. So
    《1984》封面 and iPhone 15 手机壳 pass.
    """

    min: Annotated[float, Field(ge=0, le=1)] = 0.3
    """0 to 1. At 0.3, product names with long model numbers pass, and English sentences with a
    Chinese word do not."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `no_han`, or `language` if Han characters are too few."""
        han = len(_NOT_HAN.sub("", text))
        if not han:
            return Drop(Reason.NO_HAN)
        share = han / len("".join(text.split()))
        if share >= self.min or len(_FOREIGN_WORD.findall(text)) < han:
            return text
        return Drop(Reason.LANGUAGE, f"{share:.2f} Han")
