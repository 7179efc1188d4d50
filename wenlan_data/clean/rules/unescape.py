"""Repairs characters of broken pages: HTML entities, and UTF-8 read as another encoding."""

import html
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from wenlan_data.records import Drop

if TYPE_CHECKING:
    from ftfy import TextFixerConfig

# &amp;amp;nbsp; was escaped more than once.
_AMPERSANDS = re.compile(r"&(?:(?:amp|#0{0,5}38|#[xX]0{0,4}26);)+")
# Digits are bounded: html.unescape raises on a number of more than 4,300 of them.
_ENTITY = re.compile(
    r"&(?:#[0-9]{1,7}(?![0-9]);?|#[xX][0-9a-fA-F]{1,6}(?![0-9a-fA-F]);?|[A-Za-z][A-Za-z0-9]{1,30};?)"
)
# The first byte of a UTF-8 sequence read as a one-byte encoding: Latin, Cyrillic or Greek letters,
# or box drawing.
_MAYBE_MOJIBAKE = re.compile("[\u0080-\u024f\u0370-\u045f\u2500-\u259f]")
MAX_MOJIBAKE_CHARACTERS = 8192
"""A longer text is not a caption, and mojibake in it is not repaired."""


@cache
def _ftfy_config() -> "TextFixerConfig":
    from ftfy import TextFixerConfig

    return TextFixerConfig(
        unescape_html=False,
        fix_character_width=False,  # would make Chinese punctuation ASCII
        uncurl_quotes=False,
        fix_latin_ligatures=False,
        fix_line_breaks=False,
        explain=False,
    )


@dataclass(frozen=True, slots=True)
class Unescape:
    """Replaces HTML entities by characters (also if escaped twice), and repairs mojibake by
    ftfy."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the repaired text; rejects none."""
        if "&" in text:
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), _AMPERSANDS.sub("&", text))
        if len(text) <= MAX_MOJIBAKE_CHARACTERS and _MAYBE_MOJIBAKE.search(text):
            import ftfy

            return str(ftfy.fix_text(text, config=_ftfy_config()))
        return text
