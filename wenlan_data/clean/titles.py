"""Finds alt texts that only repeat the page's title and do not describe their image."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from wenlan_data.records import Text

MIN_CUT_CHARACTERS = 8
"""Letters of a title that was cut off with an ellipsis, at least: 春游黄山的三天看到…"""

MIN_IMAGES = 3
"""On a page with fewer images a part of the title, or an equal alt, may well name what they show."""

# 春游黄山 | 某某网, 春游黄山_某某网, 春游黄山 - 某某网; not the hyphen inside Wi-Fi.
_SEPARATORS = re.compile(r"\s*[|｜_—–·•»›>]+\s*|\s+-+\s+|(?<![A-Za-z0-9])-+|-+(?![A-Za-z0-9])")
# 迎客松：黄山的名片. The first part may be what an image shows.
_COLON = re.compile("[:：]")
_PUNCTUATION = re.compile(r"[\W_]+")
# 春游黄山3, 春游黄山（3）: images of one page are often numbered.
_TRAILING_NUMBER = re.compile(r"[（(]?\d{1,3}[)）]?\Z")
_NUMBER = re.compile(r"(?<!\d)\d{1,3}(?!\d)")


def without_number(text: str) -> str:
    """Returns a text without the number at its end: 春游黄山3, 春游黄山（3）."""
    return _TRAILING_NUMBER.sub("", text.strip())


def repeats_title(text: str, titles: frozenset[str]) -> bool:
    """Whether the text, without a number at its end, is one of the `title_forms` in `titles`, or
    the beginning of one that an ellipsis cuts off."""
    bare = _bare(without_number(text))
    if bare in titles:
        return True
    is_cut = text.rstrip().endswith(("…", "...")) and len(bare) >= MIN_CUT_CHARACTERS
    return is_cut and any(title.startswith(bare) for title in titles)


def title_forms(title: str) -> frozenset[str]:
    """Returns the forms in which captions repeat a title: the whole, and each part around | or _,
    such as the title without the site's name."""
    return frozenset({_bare(part) for part in (title, *_SEPARATORS.split(title))} - {""})


def demote_title_repeats(
    images: Sequence[Sequence[Text]], titles: Sequence[str]
) -> list[tuple[Text, ...]]:
    """Returns the texts of each image of a page; an `alt` that repeats its title becomes a `title`.

    The title names the page, so such an alt tells none of its images from the others. As a `title`
    it is still the caption of an image that has no better text. A heading that all images of the
    page share counts as a title too. A part of a title before or after a colon counts only if more
    than half of the page's images, and at least 3, have it. An alt that at least 3 images share,
    such as the name of the site, tells them apart as little as a title does. The same holds for
    alts that only count the images.
    """
    titles = [*titles, *_shared_headings(images)]
    forms = frozenset(form for title in titles for form in title_forms(title))
    forms |= _shared_alts(images) | _counting_alts(images)
    parts = forms | {_bare(part) for title in titles for part in _COLON.split(title)} - {""}
    count = sum(_has_repeat(texts, parts) for texts in images)
    if len(images) >= MIN_IMAGES and 2 * count > len(images):
        forms = parts
    return [
        tuple(replace(text, type="title") if _is_repeat(text, forms) else text for text in texts)
        for texts in images
    ]


def _has_repeat(texts: Sequence[Text], forms: frozenset[str]) -> bool:
    return any(_is_repeat(text, forms) for text in texts)


def _is_repeat(text: Text, forms: frozenset[str]) -> bool:
    return text.type == "alt" and repeats_title(text.text, forms)


def _shared_headings(images: Sequence[Sequence[Text]]) -> list[str]:
    """The heading that is the same for all images of a page, if there are two or more: its h1, and
    not the name of one card."""
    headings = [{text.text for text in texts if text.type == "heading"} for texts in images]
    return sorted(set.intersection(*headings)) if len(headings) > 1 else []


def _shared_alts(images: Sequence[Sequence[Text]]) -> frozenset[str]:
    counts: Counter[str] = Counter()
    for texts in images:
        counts.update({_bare(text.text) for text in texts if text.type == "alt"})
    return frozenset(alt for alt, count in counts.items() if count >= MIN_IMAGES)


def _counting_alts(images: Sequence[Sequence[Text]]) -> frozenset[str]:
    """Alts of at least 3 images that are equal but for one number, which counts the images:
    换盆第1步的图片, 换盆第2步的图片. It begins at 0 or 1, is no larger than their number, and does not
    stand at the end: 青团-预览图-1 names what the image shows."""
    alts = dict.fromkeys(text.text for texts in images for text in texts if text.type == "alt")
    numbers = defaultdict[str, list[tuple[int, str]]](list)
    for alt in alts:
        if len(found := list(_NUMBER.finditer(alt))) == 1 and without_number(alt) == alt:
            numbers[_NUMBER.sub("0", alt)].append((int(found[0][0]), alt))
    return frozenset(
        _bare(without_number(alt))
        for some in numbers.values()
        if len(some) >= MIN_IMAGES
        and some[0][0] <= 1
        and some[-1][0] <= len(images)
        and _grows(number for number, _ in some)
        for _, alt in some
    )


def _grows(numbers: Iterable[int]) -> bool:
    return all(one < other for one, other in pairwise(numbers))


def _bare(text: str) -> str:
    return _PUNCTUATION.sub("", text).lower()
