"""The texts of each image of a page, with the relation in which each was found and a confidence.

`alt` and the like come first, then marked captions, then the text of the image's own container, or
else the text on one side of it, then the heading.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from wenlan_data.clean.titles import repeats_title, title_forms, without_number
from wenlan_data.extract import runs
from wenlan_data.extract.caption_marks import (
    figure_number,
    is_numbered,
    numbered_rest,
    pointed_side,
    split_caption,
    without_marks,
)
from wenlan_data.extract.containers import ContainerText, Lists, texts_in_order, whole_line
from wenlan_data.extract.html import ancestors, attribute
from wenlan_data.extract.image_units import ImageUnit, has_text_beside, image_units
from wenlan_data.extract.image_urls import has_image_extension
from wenlan_data.extract.page_elements import Attributes
from wenlan_data.extract.page_regions import is_secondary
from wenlan_data.extract.page_tree import Box, PageImage, PageTree, TextBlock, shape
from wenlan_data.extract.runs import Choice, Run, RunText, card_shapes, is_row, read_run
from wenlan_data.extract.single_line import single_line, truncate
from wenlan_data.extract.table_columns import column_texts
from wenlan_data.extract.usable_text import UsableTexts, is_junk
from wenlan_data.records import Relation, Text

MAX_TEXT_CHARACTERS = 500
"""Of the text around an image. It is cut at the end of a sentence if one ends in the second
half."""
MAX_CAPTION_CHARACTERS = 300

# Confidence by the way in which a text was found. The order is what matters: docs/sources.md has
# the measured share of right texts of each.
CAPTION, ATTRIBUTE, CONTAINER, TITLE, SHARED, ARTICLE = 0.95, 0.9, 0.9, 0.8, 0.75, 0.6
SHARED_HEADING = 0.5
MIN_CUT_CHARACTERS = 6
"""Of a text that is cut off, to be found in another one."""
_ELLIPSES = ("…", "...", "。。。")
MIN_ALT_CHARACTERS = 4
"""Of an `alt` that describes one image of several that share a caption."""

_CAPTION_ATTRIBUTES = (
    "data-caption", "data-desc", "data-description", "data-sub-html", "data-summary", "data-alt",
    "data-lightbox-title", "data-elementor-lightbox-title", "data-intro", "description",
)  # fmt: skip
_TITLE_ATTRIBUTES = ("title", "data-title", "data-name")


_TAG = re.compile(r"<[^<>]{0,200}>")


def caption_attributes(attributes: Attributes) -> Iterator[str]:
    """Yields the captions in attributes that galleries and light boxes read.

    In those that hold HTML, the heading and the text are often the same.
    """
    for name in _CAPTION_ATTRIBUTES:
        if value := attributes.get(name):
            parts = [part.strip() for part in _TAG.split(value)] if "<" in value else [value]
            yield " ".join(filter(None, dict.fromkeys(parts)))


@dataclass(slots=True)
class _Found:
    """The texts found for one image, in order."""

    texts: list[Text]

    def add(self, kind: str, text: str, relation: Relation, confidence: float) -> None:
        if not text:
            return
        limit = (
            MAX_TEXT_CHARACTERS
            if kind in {"surrounding", "alt", "title"}
            else MAX_CAPTION_CHARACTERS
        )
        text = single_line(text)
        if text:
            self.texts.append(Text(kind, truncate(text, limit), relation, round(confidence, 2)))


def image_texts(tree: PageTree) -> dict[int, list[Text]]:
    """Returns the texts of each content image, by its number."""
    if all(image.number < 0 for image in tree.images):
        return {}
    return _Pairing(tree).read()


@dataclass(frozen=True, slots=True)
class TextDecisions:
    """The texts of each image of a page, and what they were chosen by."""

    found: dict[int, list[Text]]
    """The result of `image_texts`."""
    usable: UsableTexts
    units: list[ImageUnit]
    runs: tuple[Run, ...]


def text_decisions(tree: PageTree) -> TextDecisions:
    """Does the same as `image_texts`, and returns the decisions too, for `extract.explain`."""
    pairing = _Pairing(tree)
    return TextDecisions(
        found=pairing.read(),
        usable=pairing._texts,
        units=pairing._units,
        runs=tuple(pairing._runs.values()),
    )


def _without_cuts(texts: list[Text]) -> list[Text]:
    """Replaces a text that the page cuts off with … by another text of the image that begins with it,
    such as the whole title in an attribute."""
    if not any(text.text.endswith(_ELLIPSES) for text in texts):
        return texts
    whole = []
    for text in texts:
        start = text.text.rstrip("….·。 ")
        longer = [one.text for one in texts if len(one.text) > len(text.text)]
        if text.text.endswith(_ELLIPSES) and len(start) >= MIN_CUT_CHARACTERS:
            found = next((one for one in longer if one.startswith(start)), text.text)
            text = replace(text, text=found)
        whole.append(text)
    return whole


class _Pairing:
    def __init__(self, tree: PageTree) -> None:
        self._tree = tree
        self._texts = UsableTexts(tree)
        self._units = image_units(self._texts)
        self._by_node = {id(unit.outermost): unit for unit in self._units}
        self._lists = Lists(self._texts)
        self._runs: dict[int, Run] = {}
        self._by_number: dict[str, list[str]] | None = None
        self._titles: frozenset[str] | None = None
        self._headings: dict[int, list[TextBlock]] = {}
        self._found = {image.number: _Found([]) for unit in self._units for image in unit.images}

    def read(self) -> dict[int, list[Text]]:
        for image in self._tree.images:
            if image.number >= 0:
                self._add_attributes(image)
        for unit in list(self._units):
            self._read_run(unit.run)
        for unit in self._units:
            self._add_own(unit)
        for run in self._runs.values():
            for place, slot in enumerate(run.slots):
                if slot.unit is not None:
                    self._add_beside(run, place)
        for unit in self._units:
            self._add_heading(unit)
        return {number: _without_cuts(found.texts) for number, found in self._found.items()}

    def _read_run(self, box: Box | None) -> None:
        if box is not None and id(box) not in self._runs:
            self._runs[id(box)] = read_run(box, self._by_node, self._texts)

    def _add_attributes(self, image: PageImage) -> None:
        found = self._found[image.number]
        own = image.element.attributes
        for alt in (own.get("alt"), *(attribute(copy, "alt") for copy in image.copies)):
            found.add("alt", alt or "", "attribute", ATTRIBUTE)
        link = _link_around(image)
        for attributes in (own, link):
            if not attributes:
                continue
            for caption in caption_attributes(attributes):
                found.add("figcaption", caption, "attribute", ATTRIBUTE)
            # The title of a link to the large image is what a light box shows under it.
            is_large = attributes is link and has_image_extension(link.get("href") or "")
            kind = "figcaption" if is_large else "title"
            for name in _TITLE_ATTRIBUTES:
                if value := attributes.get(name):
                    found.add(kind, value, "attribute", TITLE)

    def _add_own(self, unit: ImageUnit) -> None:
        """Adds the texts of the container that holds the unit alone."""
        columns = column_texts(unit, self._texts)
        if columns is not None:
            for image, blocks in zip(unit.images, columns, strict=True):
                for block in blocks:
                    self._found[image.number].add("surrounding", block.text, "container", CONTAINER)
            return
        row = texts_in_order(unit, self._texts)
        if row is not None:
            for image, block in zip(unit.images, row, strict=True):
                self._found[image.number].add("surrounding", block.text, "container", CONTAINER)
            return
        own = self._lists.text_of(unit)
        if own is not None:
            self._add_container(unit, own)
        if not self._has_surrounding(unit):
            self._add_article(unit, own.box if own is not None else unit.node)

    def _has_surrounding(self, unit: ImageUnit) -> bool:
        found = self._found[unit.images[0].number].texts
        return any(text.type == "surrounding" for text in found)

    def _add_container(self, unit: ImageUnit, own: ContainerText) -> None:
        captions = sorted(own.captions, key=lambda block: -block.han)
        for block in captions:
            self._share(unit, "figcaption", block.text, "figcaption", CAPTION)
        pointed = None if captions else self._pointed_in(unit)
        if pointed is not None:
            self._add_choice(unit, pointed)
            captions += pointed.texts[0].blocks
        if own.main not in captions:
            is_caption = own.is_figure or _is_marked(own.main.text)
            kind = "figcaption" if is_caption else "surrounding"
            confidence = ARTICLE if own.is_article and not is_caption else CONTAINER
            self._share(unit, kind, whole_line(own.main), "container", confidence)
        if own.second is not None and own.second not in captions and not own.second.heading:
            confidence = ARTICLE if own.is_article else CONTAINER - 0.1
            self._share(unit, "surrounding", own.second.text, "container", confidence)
        for block in own.headings[:1]:
            self._share(unit, "heading", block.text, "container", CONTAINER)

    def _pointed_in(self, unit: ImageUnit) -> Choice | None:
        """The caption in a container that also holds other text: it points at the image, or stands
        under it after longer text."""
        run = read_run(unit.containers[0], {id(unit.node): unit}, self._texts)
        for place, slot in enumerate(run.slots):
            choice = run.choices.get(place)
            if slot.unit is not unit or choice is None:
                continue
            if choice.is_pointed:
                return choice
            is_caption = choice.side == "below" and choice.is_caption and slot.before
            if is_caption and len(slot.before[-1].text) > 2 * len(choice.texts[0].text):
                return choice
        return None

    def _add_article(self, unit: ImageUnit, inner: Box | PageImage) -> None:
        """Adds the text beside the only image of an article; `inner` holds the image and, if it is
        a figure or a card, its own text."""
        box = self._article_around(unit, inner)
        if box is None:
            return
        has_own_text = inner is not unit.node
        while isinstance(inner.parent, Box) and inner.parent is not box:
            inner = inner.parent
        run = read_run(box, {id(inner): unit}, self._texts)
        place = next((n for n, slot in enumerate(run.slots) if slot.unit is unit), None)
        choice = run.choices.get(place) if place is not None else None
        if choice is None:
            return
        if has_own_text or choice.confidence <= runs.EVEN:
            for text in choice.texts:
                self._share(unit, "surrounding", _longest(text), "container", ARTICLE)
        else:
            self._add_choice(unit, choice)

    def _article_around(self, unit: ImageUnit, inner: Box | PageImage) -> Box | None:
        """The smallest container around `inner` with more usable text than `inner` has."""
        for box in unit.containers:
            if box is inner or (isinstance(inner, Box) and _holds(inner, box)):
                continue
            if has_text_beside(box, inner, self._texts):
                return box
        return None

    def _add_beside(self, run: Run, place: int) -> None:
        choice, slot = run.choices.get(place), run.slots[place]
        unit = slot.unit
        if choice is None or unit is None:
            return
        if not slot.has_own_text:
            self._add_choice(unit, choice)
        elif choice.confidence >= runs.CERTAIN and not self._has_surrounding(unit):
            side: Relation = choice.side
            for text in choice.texts:
                self._share(unit, "surrounding", _longest(text), side, choice.confidence - 0.1)

    def _add_choice(self, unit: ImageUnit, choice: Choice) -> None:
        for text in choice.texts:
            self._add_run_text(unit, text, choice.side, choice.confidence, choice.is_caption)
        for text in choice.other:
            side: Relation = "above" if choice.side == "below" else "below"
            self._add_run_text(unit, text, side, min(choice.confidence, runs.WEAK), False)

    def _add_run_text(
        self, unit: ImageUnit, text: RunText, side: Relation, confidence: float, is_caption: bool
    ) -> None:
        count = len(unit.images)
        if count > 1 and is_row(text, count):
            for image, block in zip(unit.images, text.blocks, strict=True):
                kind = "heading" if block.heading else "surrounding"
                self._found[image.number].add(kind, block.text, side, confidence)
            return
        words = _longest(text)
        # In a post, one text is longer than all the rest. Else nothing says which is whose.
        half = sum(len(block.text) for block in text.blocks) / 2
        if 1 < count <= len(text.blocks) and len(words) <= half:
            return
        kind = "figcaption" if is_caption or _is_marked(words) else "surrounding"
        self._share(unit, kind, words, side, confidence)
        for credit in text.credits[:1]:
            self._share(unit, kind, credit.text, side, confidence)

    def _share(
        self, unit: ImageUnit, kind: str, text: str, relation: Relation, confidence: float
    ) -> None:
        """Adds a text to each image of a unit, or each its part."""
        count = len(unit.images)
        if number := figure_number(text):
            text, kind = self._numbered(number), "figcaption"
        if count == 1:
            words = without_marks(text) if kind == "figcaption" else text
            self._found[unit.images[0].number].add(kind, words, relation, confidence)
            return
        parts = split_caption(text, count)
        if parts is not None:
            for part, image in zip(parts, unit.images, strict=True):
                self._found[image.number].add("figcaption", part, "shared", ATTRIBUTE)
            return
        described = self._described(unit) if kind == "figcaption" else set()
        for image in unit.images:
            if image.number not in described:
                words, shared = without_marks(text), min(confidence, SHARED)
                self._found[image.number].add(kind, words, "shared", shared)

    def _described(self, unit: ImageUnit) -> set[int]:
        """The images of a unit with an `alt` of their own, which says more than what they share;
        none where all have one, so that the shared caption is not lost."""
        alts = {
            image.number: next(
                (text.text for text in self._found[image.number].texts if text.type == "alt"), ""
            )
            for image in unit.images
        }
        if self._titles is None:
            titles = [self._tree.title, *(one.text for one in self._tree.texts if one.heading == 1)]
            self._titles = frozenset(form for title in titles for form in title_forms(title))
        counts = Counter(map(without_number, alts.values()))
        described = {
            number
            for number, alt in alts.items()
            if len(alt) >= MIN_ALT_CHARACTERS
            and counts[without_number(alt)] == 1
            and not is_junk(alt)
            and not repeats_title(alt, self._titles)
        }
        return described if len(described) < len(alts) else set()

    def _numbered(self, number: str) -> str:
        """The text elsewhere on the page that begins with a figure's number; empty for none or
        several."""
        if self._by_number is None:
            self._by_number = {}
            for block in self._tree.texts:
                key, rest = numbered_rest(block.text)
                if rest and not is_secondary(self._tree, block.parent):
                    self._by_number.setdefault(key, []).append(rest)
        found = self._by_number.get(number, [])
        return found[0] if len(found) == 1 else ""

    def _add_heading(self, unit: ImageUnit) -> None:
        found = self._found[unit.images[0].number]
        if any(text.type == "heading" for text in found.texts):
            return
        block, is_own, in_section = self._heading_above(unit)
        if block is None:
            return
        relation: Relation = "container" if is_own else "shared"
        confidence = CONTAINER - 0.1 if is_own else SHARED_HEADING
        for image in unit.images:
            texts = self._found[image.number]
            if in_section and not any(
                text.type in {"figcaption", "surrounding"} for text in texts.texts
            ):
                # All that its section says.
                texts.add("surrounding", block.text, relation, min(confidence, SHARED))
            texts.add("heading", block.text, relation, confidence)

    def _heading_above(self, unit: ImageUnit) -> tuple[TextBlock | None, bool, bool]:
        """The nearest heading before a unit that is not in another image's container; whether it is
        that of this unit alone, and whether it begins a section of the unit's run."""
        run = self._runs.get(id(unit.run))
        if run is not None:
            for slot in run.slots:
                if slot.unit is not None and slot.unit.images is unit.images and slot.heading:
                    block = slot.heading.blocks[0]
                    return block, run.sections[slot.section] == 1, block.heading > 1
        node: Box | PageImage = unit.node
        box = node.parent
        while box is not None:
            heading = self._last_heading(box, node)
            if heading is not None:
                return heading, box in unit.containers, False
            node, box = box, box.parent
        return None, False, False

    def _last_heading(self, box: Box, before: Box | PageImage) -> TextBlock | None:
        """The last heading among the children of a box before one of them."""
        if id(box) not in self._headings:
            self._headings[id(box)] = self._headings_in(box)
        number = before.first_text if isinstance(before, Box) else before.text_number
        headings = self._headings[id(box)]
        place = bisect_left(headings, number, key=lambda block: block.number)
        return headings[place - 1] if place else None

    def _headings_in(self, box: Box) -> list[TextBlock]:
        found = []
        cards = card_shapes(self._tree, box)
        for child in box.children:
            if isinstance(child, TextBlock):
                if child.heading:
                    found.append(child)
            elif isinstance(child, Box) and child.text_count and not child.image_count:
                first = self._tree.texts[child.first_text]
                if not first.heading or (cards and shape(child) in cards):
                    continue
                if not is_secondary(self._tree, child):
                    found.append(first)
        return found


def _holds(outer: Box, box: Box) -> bool:
    one: Box | None = box
    while one is not None and one is not outer:
        one = one.parent
    return one is outer


def _is_marked(text: str) -> bool:
    return is_numbered(text) or pointed_side(text) == "below"


def _longest(text: RunText) -> str:
    return max(text.blocks, key=lambda block: (min(block.han, 60), -block.number)).text


def _link_around(image: PageImage) -> Attributes:
    """The attributes of a link around the image; empty without one."""
    for node in islice(ancestors(image.element), 3):
        if node.tag == "a":
            return node.attributes
    return {}
