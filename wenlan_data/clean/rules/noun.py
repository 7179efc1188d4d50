"""A caption names something that a picture can show."""

from dataclasses import dataclass

from wenlan_data.clean.words import names_something, words
from wenlan_data.records import Drop


@dataclass(frozen=True, slots=True)
class Noun:
    """At least one word that jieba's dictionary tags as a noun, or that it does not know."""

    def __call__(self, text: str) -> str | Drop:
        """The text unchanged, or `no_noun`. Looks at the first 1,024 characters."""
        return text if any(names_something(word) for word in words(text)) else Drop("no_noun")
