"""The same again and again is no description: one character, one word, or a key word in every phrase."""

import re
from collections import Counter
from dataclasses import dataclass

from wenlan_data.records import Drop

_SIGNS = re.compile(r"[\W_]+")
_RUN = re.compile(r"(\w)\1{7,}")
_MAX_CHARACTERS = 1024
# No text that the rule rejects has a larger share of different characters (0.35 of it x 4/5 repeated).
_MAX_DIFFERENT = 0.72


@dataclass(frozen=True, slots=True)
class Repetition:
    """Rejected where the text is one piece `min_repeats` times over, or half of it one run of a character, or where
    a piece of 2 to 6 characters comes `stuffed` times and fills a third of it (from 3 characters: 4 times and half).

    Reduplication such as 层层叠叠 and lists such as 1号线、2号线 are ordinary Chinese.
    """

    min_repeats: int = 3
    stuffed: int = 5

    def __call__(self, text: str) -> str | Drop:
        """The text unchanged, or `repetition`. Key words are sought in the first 1,024 characters."""
        if len(text) < 6 or len(set(text)) > _MAX_DIFFERENT * len(text) + 1:
            return text
        letters = _SIGNS.sub("", text)
        if len(letters) < 6:
            return text
        period = (letters + letters).find(letters, 1)
        if len(letters) >= self.min_repeats * period:
            return Drop("repetition", letters[:period][:32])
        run = _RUN.search(letters)
        if run and 2 * len(run[0]) >= len(letters):
            return Drop("repetition", run[1])
        piece = _stuffed_piece(letters[:_MAX_CHARACTERS], self.stuffed)
        return Drop("repetition", piece) if piece else text


def _stuffed_piece(letters: str, stuffed: int) -> str:
    for size in range(6, 1, -1):
        pieces = Counter(letters[start : start + size] for start in range(len(letters) - size + 1))
        piece = pieces.most_common(1)[0][0] if pieces else ""
        count = letters.count(piece) if piece else 0
        share = count * size / len(letters)
        if (count >= stuffed and share >= 0.35) or (count >= 4 and size >= 3 and share >= 0.5):
            return piece
    return ""
