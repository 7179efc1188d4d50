"""Converts traditional to simplified Chinese by OpenCC: one tokeniser and word list serve both."""

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from wenlan_data.clean.characters import HAN, is_japanese, well_formed
from wenlan_data.records import Drop, Remark

if TYPE_CHECKING:
    from opencc import OpenCC


_HAN = re.compile(f"[{HAN}]")


@cache
def _converter(config: str) -> "OpenCC":
    from opencc import OpenCC

    return OpenCC(config)


@cache
def _is_simplified_only(character: str) -> bool:
    """Whether only simplified Chinese has the character: GB 2312 has it, and Big5 does not."""
    try:
        character.encode("gb2312")
    except UnicodeEncodeError:
        return False
    try:
        character.encode("big5")
    except UnicodeEncodeError:
        return bool(_HAN.match(character))
    return False


def script_of(text: str, simplified: str) -> str:
    """Returns the script of `text`: `hant`, `hans` or `mixed`; empty if it has no Han character.

    A text that is the same in both scripts counts as `hans`.
    """
    if text == simplified:
        return "hans" if _HAN.search(text) else ""
    return "mixed" if any(map(_is_simplified_only, text)) else "hant"


@dataclass(frozen=True, slots=True)
class Simplify:
    """Converts traditional characters to simplified ones; leaves a Japanese text as it is."""

    config: Literal["t2s", "tw2s", "tw2sp", "hk2s"] = "t2s"
    """OpenCC's profile: characters only (t2s), Taiwan's or Hong Kong's; `p` converts words too."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the simplified text; rejects none."""
        if text.isascii() or is_japanese(text):
            return text
        return str(_converter(self.config).convert(well_formed(text)))

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """Returns the original `script`: hans, hant or mixed."""
        script = script_of(before, str(after))
        return (Remark("script", script),) if script else ()
