"""Rejects texts without a noun: they name nothing that an image can show."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from wenlan_data.clean.words import has_rare_characters, iter_words, names_something
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop


@dataclass(frozen=True, slots=True)
class Noun:
    """Requires a word that jieba's dictionary tags as a noun or does not know, or many words.

    The dictionary tags many things as verbs (推车, 签名): `clean/nouns.txt` lists those of nature,
    crafts, food and sport, and a text with `many` words of two or more characters passes. Two
    adjacent rare characters (蠼螋) are a name.
    """

    many: Annotated[int, Field(ge=1)] = 5

    def __call__(self, text: str) -> str | Drop:
        """Returns the text unchanged, or `no_noun`. Segments the first 1,024 characters, up to the
        first noun."""
        found: list[str] = []
        long_words = 0
        for word in iter_words(text):
            long_words += len(word) > 1
            if long_words >= self.many or names_something(word):
                return text
            found.append(word)
        return text if has_rare_characters(found) else Drop(Reason.NO_NOUN)
