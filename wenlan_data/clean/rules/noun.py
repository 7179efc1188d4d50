"""A caption names something that a picture can show."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from wenlan_data.clean.words import names_something, words
from wenlan_data.records import Drop


@dataclass(frozen=True, slots=True)
class Noun:
    """At least one word that jieba's dictionary tags as a noun, or that it does not know; or many words.

    The dictionary has many a thing as a verb (推车, 签名): a text with `many` words of two or more characters passes.
    """

    many: Annotated[int, Field(ge=1)] = 5

    def __call__(self, text: str) -> str | Drop:
        """The text unchanged, or `no_noun`. Looks at the first 1,024 characters."""
        found = words(text)
        if any(map(names_something, found)) or sum(len(word) > 1 for word in found) >= self.many:
            return text
        return Drop("no_noun")
