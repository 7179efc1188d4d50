"""Neither a single character nor a whole passage is a caption."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from wenlan_data.clean.words import words
from wenlan_data.records import Drop


@dataclass(frozen=True, slots=True)
class Length:
    """Between `min` and `max` characters (Unicode code points) and, where asked for, jieba words; all counted in."""

    min: Annotated[int, Field(ge=0)] = 2
    max: Annotated[int, Field(ge=1)] = 512
    min_words: Annotated[int, Field(ge=0)] = 0
    """Words are not counted where neither limit of words is set: that takes longer than all other rules together."""
    max_words: Annotated[int, Field(ge=1)] | None = None
    """Of the first 1,024 characters; punctuation is no word."""

    def __call__(self, text: str) -> str | Drop:
        """The text unchanged, or `too_short`, or `too_long`."""
        if len(text) < self.min:
            return Drop("too_short", f"{len(text)} characters")
        if len(text) > self.max:
            return Drop("too_long", f"{len(text)} characters")
        if not self.min_words and self.max_words is None:
            return text
        count = sum(any(map(str.isalnum, word)) for word in words(text))
        if count < self.min_words:
            return Drop("too_short", f"{count} words")
        if self.max_words is not None and count > self.max_words:
            return Drop("too_long", f"{count} words")
        return text
