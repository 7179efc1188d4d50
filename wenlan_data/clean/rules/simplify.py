"""Traditional to simplified Chinese by OpenCC, so that one tokeniser and one word list serve both."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from wenlan_data.clean.characters import well_formed
from wenlan_data.records import Drop

if TYPE_CHECKING:
    from opencc import OpenCC


@cache
def _converter(config: str) -> "OpenCC":
    from opencc import OpenCC

    return OpenCC(config)


@dataclass(frozen=True, slots=True)
class Simplify:
    """Traditional characters become simplified ones."""

    config: Literal["t2s", "tw2s", "tw2sp", "hk2s"] = "t2s"
    """OpenCC's profile: characters alone (t2s), Taiwan's or Hong Kong's, `p` with Taiwan's words too."""

    def __call__(self, text: str) -> str | Drop:
        """The simplified text; never a reason against it."""
        if text.isascii():
            return text
        return str(_converter(self.config).convert(well_formed(text)))
