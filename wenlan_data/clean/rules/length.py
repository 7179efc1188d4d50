"""Rejects texts that are too short or too long for a caption."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from wenlan_data.clean.words import words
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop


@dataclass(frozen=True, slots=True)
class Length:
    """Requires `min` to `max` characters (Unicode code points) and, if set, `min_words` to
    `max_words` jieba words.
    """

    min: Annotated[int, Field(ge=0)] = 2
    max: Annotated[int, Field(ge=1)] = 512
    min_words: Annotated[int, Field(ge=0)] = 0
    """Words are counted only if a limit is set: that takes longer than all other rules together."""
    max_words: Annotated[int, Field(ge=1)] | None = None
    """In the first 1,024 characters; punctuation does not count."""

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `too_short`, or `too_long`."""
        if len(text) < self.min:
            return Drop(Reason.TOO_SHORT, f"{len(text)} characters")
        if len(text) > self.max:
            return Drop(Reason.TOO_LONG, f"{len(text)} characters")
        if not self.min_words and self.max_words is None:
            return text
        count = sum(any(map(str.isalnum, word)) for word in words(text))
        if count < self.min_words:
            return Drop(Reason.TOO_SHORT, f"{count} words")
        if self.max_words is not None and count > self.max_words:
            return Drop(Reason.TOO_LONG, f"{count} words")
        return text
