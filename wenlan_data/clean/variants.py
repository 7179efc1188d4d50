"""The shorter variants of a paragraph that BriVL's records hold beside it."""

from collections.abc import Sequence
from typing import get_args

from wenlan_data.records import Text, Variant

EASY_CHARACTERS = 128
"""Of the three records that BriVL published, `easy` is as long in the one whose paragraph is longer."""
VARIANTS: tuple[Variant, ...] = get_args(Variant)


def easy(text: str) -> str:
    """The first 128 characters."""
    return text[:EASY_CHARACTERS]


def first(text: str) -> str:
    """The first sentence without its full stop: all before the first 。, or the whole text."""
    return text.partition("。")[0]


def variant(name: Variant, text: str) -> str:
    """The variant of that name; empty where the text has none, as one that begins with a full stop has no sentence."""
    return easy(text) if name == "easy" else first(text).strip()


def with_variants(texts: Sequence[Text], variants: Sequence[Variant]) -> tuple[Text, ...]:
    """The texts, then the variants of the first `surrounding` text; none where there is no such text."""
    paragraph = next((text.text for text in texts if text.type == "surrounding"), "")
    made = [(name, variant(name, paragraph)) for name in variants]
    return (*texts, *(Text(name, text) for name, text in made if text))
