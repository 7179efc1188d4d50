"""Normalises characters: NFC, half-width Latin letters and digits, plain spaces, nothing
invisible."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from wenlan_data.clean.characters import EMOJI, HAN, INVISIBLE
from wenlan_data.records import Drop, Remark

MAX_MARKS = 2
"""Combining marks kept on a character. More is noise, and NFC sorts them in quadratic time."""

# A text without a match has nothing to normalise: usual characters only, and single spaces inside.
_UNUSUAL = re.compile(
    "[^ -~\u4e00-\u9fff，。、；：？！“”‘’（）《》〈〉【】「」『』—…·～\u3041-\u3096]|  |^ | $"
)
_REMOVED = re.compile(
    r"\x1b\[[0-9;?]{0,16}[A-Za-z]"  # terminal colours
    rf"|(?<![{EMOJI}])(?<![{EMOJI}]\ufe0f)\u200d|\u200d(?![{EMOJI}])|(?<![{EMOJI}0-9#*])\ufe0f|[{INVISIBLE}]"
    "|[\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000f0000-\U0010ffff]"
)
_CLASSES = (
    ("bidi", re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")),
    ("tag", re.compile("[\U000e0000-\U000e007f]")),
    ("variation", re.compile("[\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")),
    (
        "private",
        re.compile("[\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff\U000f0000-\U0010ffff]"),
    ),
    (
        "control",
        re.compile("[\x00-\x1f\x7f-\x9f\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a]"),
    ),
    ("zero_width", re.compile("")),  # all that is left: joiners, soft hyphens, fillers
)
"""Classes of removed characters; the first that matches counts."""
_WIDTHS = {
    code: code - 0xFEE0
    for first, last in ("０９", "ＡＺ", "ａｚ")
    for code in range(ord(first), ord(last) + 1)
}
_SPACES = re.compile(r"\s+")
# 中 国 风 景: a text spelt with spaces.
_SPACED_OUT = re.compile(rf"[{HAN}](?: [{HAN}]){{3,}}[。！？]?")


def _cap_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_MARKS:
            kept.append(character)
    return "".join(kept)


def _removal_rounds(text: str) -> Iterator[str]:
    # The first round may remove what separates an emoji from its joiner, so it is repeated until
    # nothing changes.
    for _ in range(3):
        yield text
        shorter = _REMOVED.sub("", text)
        if len(shorter) == len(text):
            return
        text = shorter
    yield text


def _remove_invisible(text: str) -> str:
    *_, last = _removal_rounds(text)
    return last


def _class_of(removed: str) -> str:
    return next(name for name, pattern in _CLASSES if pattern.match(removed))


@dataclass(frozen=True, slots=True)
class Fold:
    """Applies NFC, makes full-width Latin letters and digits half-width, and collapses spaces.

    Chinese punctuation stays. Removes invisible and private-use characters, except the joiners of
    emoji. Joins a text that is spelt with spaces.
    """

    def __call__(self, text: str) -> str | Drop:
        """Returns the folded text, which may be empty; rejects none."""
        if _UNUSUAL.search(text):
            text = _cap_marks(_remove_invisible(text)).translate(_WIDTHS)
            text = _SPACES.sub(" ", unicodedata.normalize("NFC", text)).strip()
        if text[1:2] == " " and _SPACED_OUT.fullmatch(text):
            return text.replace(" ", "")
        return text

    def remarks(self, before: str, after: str | Drop) -> tuple[Remark, ...]:
        """Returns the number of `removed` characters of each class.

        Classes: bidi, tag, variation, private, control, zero_width, marks. A terminal's colour
        sequence counts as one control character.
        """
        if after is before or not _UNUSUAL.search(before):
            return ()
        *rounds, last = _removal_rounds(before)
        counts = Counter(
            _class_of(found[0]) for text in rounds for found in _REMOVED.finditer(text)
        )
        counts["marks"] = len(last) - len(_cap_marks(last))
        return tuple(
            Remark("removed", name, count) for name, count in sorted(counts.items()) if count
        )
