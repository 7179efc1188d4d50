"""Rejects repetition: one character or word over and over, or a keyword in every phrase."""

import re
from collections import Counter
from dataclasses import dataclass

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

_PUNCTUATION = re.compile(r"[\W_]+")
# 哈哈哈哈哈哈哈哈: eight of one character.
_RUN = re.compile(r"(\w)\1{7,}")
_MAX_CHARACTERS = 1024
# First test: no text of letters alone that the rule rejects has a larger share of distinct
# characters. At least 0.35 of it is one piece, of which at least 4/5 repeats characters:
# 1 - 0.35 * 4/5 = 0.72. With many different marks between the letters a text may pass it.
_MAX_DIFFERENT = 0.72


@dataclass(frozen=True, slots=True)
class Repetition:
    """Rejects a text that is one piece `min_repeats` times, a text that is half one run of a
    character, and a text of which a piece of 2 to 6 characters, occurring `stuffed` times, fills a
    third (from 3 characters: 4 times and half).

    Reduplication such as 层层叠叠 and lists such as 1号线、2号线 are ordinary Chinese and pass.
    """

    min_repeats: int = 3
    stuffed: int = 5

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `repetition`.

        Keywords are searched for in the first 1,024 characters.
        """
        if len(text) < 6 or len(set(text)) > _MAX_DIFFERENT * len(text) + 1:
            return text
        letters = _PUNCTUATION.sub("", text)
        if len(letters) < 6:
            return text
        period = (letters + letters).find(letters, 1)
        if len(letters) >= self.min_repeats * period:
            return Drop(Reason.REPETITION, letters[:period][:32])
        run = _RUN.search(letters)
        if run and 2 * len(run[0]) >= len(letters):
            return Drop(Reason.REPETITION, run[1])
        piece = _stuffed_piece(letters[:_MAX_CHARACTERS], self.stuffed)
        return Drop(Reason.REPETITION, piece) if piece else text


def _stuffed_piece(letters: str, stuffed: int) -> str:
    for size in range(6, 1, -1):
        pieces = Counter(letters[start : start + size] for start in range(len(letters) - size + 1))
        piece = pieces.most_common(1)[0][0] if pieces else ""
        count = letters.count(piece) if piece else 0
        share = count * size / len(letters)
        if (count >= stuffed and share >= 0.35) or (count >= 4 and size >= 3 and share >= 0.5):
            return piece
    return ""
