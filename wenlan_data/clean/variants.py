"""The shorter variants of a paragraph that BriVL's records hold beside it."""

from collections.abc import Sequence
from typing import Literal, get_args

from wenlan_data.records import Text

EASY_CHARACTERS = 128
"""Of the three records that BriVL published, `easy` is as long in the one whose paragraph is longer."""

Variant = Literal["easy", "first"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


def easy(text: str) -> str:
    """The first 128 characters."""
    return text[:EASY_CHARACTERS]


def first(text: str) -> str:
    """The first sentence without its full stop: all before the first 。, or the whole text."""
    return text.partition("。")[0]


def with_variants(texts: Sequence[Text], variants: Sequence[Variant]) -> tuple[Text, ...]:
    """The texts, then the variants of the first `surrounding` text; none where there is no such text."""
    paragraph = next((text.text for text in texts if text.type == "surrounding"), "")
    made = {"easy": easy(paragraph), "first": first(paragraph).strip()}
    return (*texts, *(Text(name, made[name]) for name in variants if made[name]))
