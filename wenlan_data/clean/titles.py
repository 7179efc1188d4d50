"""Tells captions that only repeat the page's title from those that describe their picture."""

import re
from collections.abc import Sequence
from dataclasses import replace

from wenlan_data.records import Text

MIN_IMAGES = 3
"""On a page with fewer pictures the title may well name what one of them shows."""

_PARTS = re.compile(r"\s*[|｜_—–:：·•»›>]+\s*|\s+-+\s+|(?<![A-Za-z0-9])-+|-+(?![A-Za-z0-9])")
_SIGNS = re.compile(r"[\W_]+")
_NUMBER = re.compile(r"[（(]?\d{1,3}[)）]?\Z")


def repeats_title(text: str, titles: frozenset[str]) -> bool:
    """Whether the text, a number at its end left out, is one of `titles`, as `title_forms` gives them."""
    return _bare(_NUMBER.sub("", text.strip())) in titles


def title_forms(title: str) -> frozenset[str]:
    """A page title as captions repeat it: the whole, and each part between signs such as | and _."""
    return frozenset({_bare(part) for part in (title, *_PARTS.split(title))} - {""})


def demote_title_repeats(
    pictures: Sequence[Sequence[Text]], titles: Sequence[str]
) -> list[tuple[Text, ...]]:
    """The texts by each picture of one page; an `alt` that repeats a page title becomes a `title`.

    That is where more than half of the page's pictures, and at least 3, have such an `alt`: it tells none of them
    from the others. As a `title` it still is the caption where nothing better is there.
    """
    forms = frozenset(form for title in titles for form in title_forms(title))
    repeating = [
        [text.type == "alt" and repeats_title(text.text, forms) for text in texts]
        for texts in pictures
    ]
    count = sum(map(any, repeating))
    if len(pictures) < MIN_IMAGES or 2 * count <= len(pictures):
        return [tuple(texts) for texts in pictures]
    return [
        tuple(
            replace(text, type="title") if is_title else text
            for text, is_title in zip(texts, marks, strict=True)
        )
        for texts, marks in zip(pictures, repeating, strict=True)
    ]


def _bare(text: str) -> str:
    return _SIGNS.sub("", text).lower()
