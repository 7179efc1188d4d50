"""Finds alt texts that only repeat the page's title and do not describe their image."""

import re
from collections.abc import Sequence
from dataclasses import replace

from wenlan_data.records import Text

MIN_IMAGES = 3
"""On a page with fewer images the title may well name what one of them shows."""

# 春游黄山 | 某某网, 春游黄山_某某网, 春游黄山 - 某某网; not the hyphen inside Wi-Fi.
_SEPARATORS = re.compile(r"\s*[|｜_—–:：·•»›>]+\s*|\s+-+\s+|(?<![A-Za-z0-9])-+|-+(?![A-Za-z0-9])")
_PUNCTUATION = re.compile(r"[\W_]+")
# 春游黄山3, 春游黄山（3）: images of one page are often numbered.
_TRAILING_NUMBER = re.compile(r"[（(]?\d{1,3}[)）]?\Z")


def repeats_title(text: str, titles: frozenset[str]) -> bool:
    """Whether the text, without a number at its end, is one of the `title_forms` in `titles`."""
    return _bare(_TRAILING_NUMBER.sub("", text.strip())) in titles


def title_forms(title: str) -> frozenset[str]:
    """Returns the forms in which captions repeat a title: the whole, and each part around | or
    _."""
    return frozenset({_bare(part) for part in (title, *_SEPARATORS.split(title))} - {""})


def demote_title_repeats(
    images: Sequence[Sequence[Text]], titles: Sequence[str]
) -> list[tuple[Text, ...]]:
    """Returns the texts of each image of a page; an `alt` that repeats its title becomes a `title`.

    Only if more than half of the page's images, and at least 3, have such an `alt`: it then
    distinguishes none of them. As a `title` it is still the caption of an image that has no better
    text.
    """
    forms = frozenset(form for title in titles for form in title_forms(title))
    repeating = [
        [text.type == "alt" and repeats_title(text.text, forms) for text in texts]
        for texts in images
    ]
    count = sum(map(any, repeating))
    if len(images) < MIN_IMAGES or 2 * count <= len(images):
        return [tuple(texts) for texts in images]
    return [
        tuple(
            replace(text, type="title") if repeats else text
            for text, repeats in zip(texts, flags, strict=True)
        )
        for texts, flags in zip(images, repeating, strict=True)
    ]


def _bare(text: str) -> str:
    return _PUNCTUATION.sub("", text).lower()
