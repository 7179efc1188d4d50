"""Gives equal texts equal characters: NFC, one width for Latin letters and digits, plain spaces, nothing invisible."""

import re
import unicodedata
from dataclasses import dataclass

from wenlan_data.clean.characters import EMOJI, HAN, INVISIBLE
from wenlan_data.records import Drop

MAX_MARKS = 2
"""Combining marks kept on one character; more is noise, and NFC sorts long runs of them in quadratic time."""

# A text of these characters alone, with single spaces inside, is left as it is.
_UNUSUAL = re.compile("[^ -~\u4e00-\u9fff，。、；：？！“”‘’（）《》〈〉【】「」『』—…·～\u3041-\u3096]|  |^ | $")
_REMOVED = re.compile(
    r"\x1b\[[0-9;?]{0,16}[A-Za-z]"  # terminal colours
    rf"|(?<![{EMOJI}])(?<![{EMOJI}]\ufe0f)\u200d|\u200d(?![{EMOJI}])|(?<![{EMOJI}0-9#*])\ufe0f|[{INVISIBLE}]"
    "|[\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000f0000-\U0010ffff]"
)
_WIDTHS = {code: code - 0xFEE0 for first, last in ("０９", "ＡＺ", "ａｚ") for code in range(ord(first), ord(last) + 1)}
_SPACES = re.compile(r"\s+")
_SPACED_OUT = re.compile(rf"[{HAN}](?: [{HAN}]){{3,}}[。！？]?")


def _cap_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def _remove_invisible(text: str) -> str:
    # What stands between an emoji and its joiner may go in the first round, so once more until nothing goes.
    for _ in range(3):
        shorter = _REMOVED.sub("", text)
        if len(shorter) == len(text):
            break
        text = shorter
    return text


@dataclass(frozen=True, slots=True)
class Fold:
    """NFC; full-width Latin letters and digits to half width, Chinese punctuation kept; runs of spaces to one.

    Invisible and private-use characters go, but for the joiners of emoji; a text spelt with spaces is joined.
    """

    def __call__(self, text: str) -> str | Drop:
        """The folded text, perhaps empty; never a reason against it."""
        if _UNUSUAL.search(text):
            text = _cap_marks(_remove_invisible(text)).translate(_WIDTHS)
            text = _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()
        if text[1:2] == " " and _SPACED_OUT.fullmatch(text):
            return text.replace(" ", "")
        return text
