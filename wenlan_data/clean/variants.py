"""Shorter variants of the surrounding text, as BriVL's published records hold them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

from wenlan_data.records import Text, Variant

EASY_CHARACTERS = 128
"""Length of `easy` in the one of BriVL's three published records with a longer paragraph."""
VARIANTS: tuple[Variant, ...] = get_args(Variant)


def easy(text: str) -> str:
    """Returns the first 128 characters."""
    return text[:EASY_CHARACTERS]


def first(text: str) -> str:
    """Returns the first sentence without its full stop: all before the first 。, or the whole
    text."""
    return text.partition("。")[0]


def variant(name: Variant, text: str) -> str:
    """Returns the variant of that name; `first` is empty if the text begins with a full stop."""
    return easy(text) if name == "easy" else first(text).strip()


def with_variants(texts: Sequence[Text], variants: Sequence[Variant]) -> tuple[Text, ...]:
    """Returns the texts, followed by the variants of the first `surrounding` text, if there is
    one.

    Variants have its relation and confidence.
    """
    paragraph = next((text for text in texts if text.type == "surrounding"), None)
    if paragraph is None:
        return tuple(texts)
    made = [replace(paragraph, type=name, text=variant(name, paragraph.text)) for name in variants]
    return (*texts, *(text for text in made if text.text))
