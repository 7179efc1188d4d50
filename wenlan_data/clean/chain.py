"""Applies a recipe's text rules in order; the first that rejects names the reason."""

import re
from collections.abc import Sequence

from wenlan_data.clean.characters import INVISIBLE, well_formed
from wenlan_data.protocols import Rule
from wenlan_data.records import Drop, Text

_VISIBLE = re.compile(rf"[^\s{INVISIBLE}\u200d\ufe0f]")


def apply(rules: Sequence[Rule], text: str) -> str | Drop:
    """The cleaned text, or the first rule's reason against it; `empty` where nothing visible is left.

    What comes back can always be encoded as UTF-8.
    """
    text = well_formed(text)
    if not _VISIBLE.search(text):
        return Drop("empty")
    for rule in rules:
        result = rule(text)
        if isinstance(result, Drop):
            return result
        if result is not text and not _VISIBLE.search(result):
            return Drop("empty")
        text = result
    return text


def clean_texts(
    rules: Sequence[Rule], texts: tuple[Text, ...]
) -> tuple[tuple[Text, ...], tuple[tuple[Text, Drop], ...]]:
    """The texts that survive, cleaned, and those rejected, as they were, with the reason; both in order.

    Texts of one type that are equal once cleaned come back once.
    """
    kept: dict[Text, None] = {}
    rejected: list[tuple[Text, Drop]] = []
    for text in texts:
        result = apply(rules, text.text)
        if isinstance(result, Drop):
            rejected.append((text, result))
        else:
            kept.setdefault(Text(text.type, result))
    return tuple(kept), tuple(rejected)
