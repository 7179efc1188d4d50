"""Runs of images and texts in one box: on which side of its image a text stands, decided once for
the run.

A run is the sequence of a box's children: images without text, boxes that hold images and their
texts, and texts. The side is found by counting: a kind of text (by its element, alignment and
formatting) that stands directly under an image each time, and nowhere else, is under its image.
Marks such as ▲ and 如图： decide for the image that they point at.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Literal

from wenlan_data.extract.caption_marks import (
    Side,
    begins_part,
    ends_article,
    is_numbered,
    ordinal,
    pointed_side,
    split_caption,
)
from wenlan_data.extract.image_units import ImageUnit, is_item, shapes_without_image
from wenlan_data.extract.page_regions import is_secondary
from wenlan_data.extract.page_tree import Box, PageImage, PageTree, TextBlock, count_han, shape
from wenlan_data.extract.style import text_style
from wenlan_data.extract.usable_text import UsableTexts, is_credit_line

MAX_CAPTION_CHARACTERS = 120
"""A longer text is a paragraph, not a caption."""
MAX_NAME_CHARACTERS = 40
"""Of a text in a row of names or short captions."""
MAX_DISTANCE = 6
"""Children of a box between an image and a text that is compared with those beside images."""
MAX_COMPARED_CHARACTERS = 500
"""Of a paragraph whose words are compared with those of a caption."""
LONGER = 1.8
"""How much longer a paragraph is than a caption. Neighbours of one kind differ by less."""
MIN_CARDS = 2
MIN_SLOTS = 3
"""Slots of a run from which on a kind of text has to occur twice to be that of captions. In a shorter
run a single text counts if it is formatted: its signature is more than a tag."""
POINTED, CERTAIN, LIKELY, WEAK, EVEN = 0.9, 0.85, 0.7, 0.6, 0.4
"""Confidence of a text that points at its image; of a side that every image of the run agrees with;
that most agree with; that only the lengths of the texts suggest; and that nothing suggests."""


@dataclass(slots=True, eq=False)
class RunText:
    """A child of a run that holds text and no image."""

    blocks: list[TextBlock]
    node: Box | TextBlock
    signature: str
    is_heading: bool
    blank_before: bool = False
    """Whether an empty line or paragraph comes before it."""
    is_usable: bool = True
    """False for what only begins an item of a list or a section."""
    credits: list[TextBlock] = field(default_factory=list)
    """Lines of credit that follow directly, or stand between an image and it."""

    @property
    def text(self) -> str:
        """Its first block."""
        return self.blocks[0].text

    @property
    def is_list(self) -> bool:
        """Whether it is a list, which is no caption."""
        return isinstance(self.node, Box) and self.node.tag in {"ul", "ol", "menu"}


@dataclass(slots=True, eq=False)
class Slot:
    """A place of the run with images."""

    unit: ImageUnit | None
    """None for a box with several units, which only ends the texts beside it."""
    before: list[RunText] = field(default_factory=list)
    """Texts between the last border (an image, a rule, a heading that begins a section) and the
    images."""
    after: list[RunText] = field(default_factory=list)
    """Texts between the images and the next border. A text between two images is in `after` of the
    first and in `before` of the second."""
    heading: RunText | None = None
    """The heading of its section."""
    section: int = 0
    is_in_item: bool = False
    """Whether its section is an item of a numbered list."""
    has_own_text: bool = False
    blank_before: bool = False
    blank_after: bool = False


@dataclass(slots=True, eq=False)
class Choice:
    """The texts of a slot on one side."""

    texts: list[RunText]
    side: Side
    confidence: float
    is_caption: bool
    is_pointed: bool = False
    """Whether the text itself, or an empty line on its other side, shows that it is this image's."""
    other: list[RunText] = field(default_factory=list)
    """Texts on the other side, where these belong to the same image too."""


@dataclass(slots=True, eq=False)
class Run:
    """The slots of a box, and the side of their texts."""

    box: Box
    slots: list[Slot]
    sections: Counter[int]
    """Section to its number of slots."""
    texts: list[RunText]
    choices: dict[int, Choice] = field(default_factory=dict)
    """Place of a slot to the texts that belong to it."""
    votes: "_Votes | None" = None
    """None for a run without units."""


# Without a class, these hold an image here and plain text there.
_PARAGRAPHS = frozenset({"p", "div", "section", "center", "span", "blockquote", "td"})
_Item = RunText | Slot | Literal["border"]


def read_run(box: Box, units: dict[int, ImageUnit], texts: UsableTexts) -> Run:
    """Reads the run of a box and decides on the side of its texts.

    `units` are the units of the page by `id` of their outermost element. Units that follow each
    other without a text between them are merged: all of them then hold the same list of images.
    """
    items = _items(box, units, texts)
    slots = _slots(items)
    every = [item for item in items if isinstance(item, RunText)]
    run = Run(box, slots, Counter(slot.section for slot in slots), every)
    _decide(run)
    return run


def _items(box: Box, units: dict[int, ImageUnit], texts: UsableTexts) -> list[_Item]:
    items: list[_Item] = []
    cards = card_shapes(texts.tree, box)
    credits: list[TextBlock] = []
    is_blank = False
    for child in _near_images(box, texts):
        if isinstance(child, Box) and not child.image_count and shape(child) in cards:
            # A card whose image is missing: its text is about no other.
            items.append("border")
            continue
        item = _item(child, units, texts)
        if item is None:
            is_blank = is_blank or _is_empty(child)
            continue
        if isinstance(item, TextBlock):
            if items and isinstance(items[-1], RunText):
                items[-1].credits.append(item)
            else:
                credits.append(item)
            continue
        if isinstance(item, RunText | Slot):
            item.blank_before = item.blank_before or is_blank
            is_blank = False
            if item.blank_before and items and isinstance(items[-1], Slot):
                items[-1].blank_after = True
        if isinstance(item, RunText):
            item.credits, credits = credits, []
        items.append(item)
    return items


def _near_images(box: Box, texts: UsableTexts) -> Iterator[Box | TextBlock | PageImage]:
    """The children of a box that are near an image, and all headings."""
    children = box.children
    near = set[int]()
    for place, child in enumerate(children):
        if isinstance(child, PageImage) or (isinstance(child, Box) and child.image_count):
            near.update(range(place - MAX_DISTANCE, place + MAX_DISTANCE + 1))
    for place, child in enumerate(children):
        if place in near or _begins_with_heading(child, texts):
            yield child


def _begins_with_heading(child: Box | TextBlock | PageImage, texts: UsableTexts) -> bool:
    if isinstance(child, TextBlock):
        return child.heading > 0
    if isinstance(child, Box) and child.text_count:
        return texts.tree.texts[child.first_text].heading > 0
    return False


def _is_empty(child: Box | TextBlock | PageImage) -> bool:
    """Whether a child is an empty paragraph."""
    return isinstance(child, Box) and not child.children and child.tag in {"p", "div", "section"}


def card_shapes(tree: PageTree, box: Box) -> set[str]:
    """Returns the shapes of the items in a box: of at least two children that each hold an image
    and text, or of one such child and an item that has text alone."""
    if not box.image_count:
        return set()
    filled = [
        child
        for child in box.children
        if isinstance(child, Box) and child.image_count and child.text_count
    ]
    if not filled:
        return set()
    counts = _counts(
        [
            shape(child)
            for child in filled
            if child.tag not in _PARAGRAPHS or child.classes[0] != " "
        ]
    )
    without_image = shapes_without_image(box)
    return {one for one, count in counts.items() if count >= MIN_CARDS} | {
        shape(child) for child in filled if is_item(tree, child, without_image)
    }


def _item(
    child: Box | TextBlock | PageImage, units: dict[int, ImageUnit], texts: UsableTexts
) -> _Item | TextBlock | None:
    """One child as an item; a credit as its block; None for what is neither image nor text."""
    if isinstance(child, PageImage):
        if child.number < 0:
            return None
        return Slot(units.get(id(child)), blank_before=child.blank_before)
    if isinstance(child, TextBlock):
        if texts.is_usable(child) or child.heading:
            style = text_style(child)
            return RunText([child], child, style, child.heading > 0, child.blank_before)
        return child if is_credit_line(child.text) else None
    if child.tag == "hr":
        return "border"
    if child.image_count:
        unit = units.get(id(child))
        return Slot(unit, has_own_text=unit is not None and bool(unit.containers))
    blocks = texts.of(child)
    if blocks:
        if ends_article(blocks[0].text):
            return "border"
        return RunText(blocks, child, text_style(blocks[0]), _is_heading(child, blocks))
    return _without_usable_text(child, texts)


def _without_usable_text(child: Box, texts: UsableTexts) -> _Item | TextBlock | None:
    some = texts.tree.texts_of(child)
    if some and ordinal(some[0].text):
        return RunText(some, child, text_style(some[0]), is_heading=False, is_usable=False)
    if any(map(texts.is_link_list, some[:3])):
        # Perhaps the text of the image beside it, but rather a list of links.
        return "border"
    if child.heading and some and not is_secondary(texts.tree, child):
        # It begins a section, even if it says as little as 一.
        return RunText(some, child, text_style(some[0]), is_heading=True)
    return some[0] if len(some) == 1 and is_credit_line(some[0].text) else None


def _is_heading(box: Box, blocks: Sequence[TextBlock]) -> bool:
    return blocks[0].heading > 0 and (len(blocks) == 1 or box.tag in {"header", "hgroup"})


def _slots(items: list[_Item]) -> list[Slot]:
    """Gives each slot the texts beside it, up to the next image or border."""
    opens_section = not _headings_follow_images(items)
    begins_item = _numbers_begin_items(items)
    slots: list[Slot] = []
    waiting: list[RunText] = []
    heading: RunText | None = None
    section = 0
    is_open = is_in_item = False
    for item in items:
        if item == "border":
            waiting, is_open = [], False
            continue
        if isinstance(item, RunText):
            if item.is_heading and opens_section and not _names_image(item):
                heading, waiting, is_open = item, [], False
                section, is_in_item = section + 1, False
                continue
            if begins_item and ordinal(item.text):
                waiting, is_open, is_in_item = [item] if item.is_usable else [], False, True
                section += 1
                continue
            if not item.is_usable:
                waiting, is_open = [], False
                continue
            waiting.append(item)
            if is_open:
                slots[-1].after.append(item)
            continue
        assert isinstance(item, Slot)
        previous = slots[-1] if slots else None
        if previous and is_open and not waiting and _may_join(previous, item):
            # Images in a row share the texts around them.
            _join(previous, item)
            continue
        item.before, item.heading, item.section = waiting, heading, section
        item.is_in_item = is_in_item
        slots.append(item)
        waiting, is_open = [], True
    return slots


def _numbers_begin_items(items: Sequence[_Item]) -> bool:
    """Whether paragraphs that begin with numbers begin the items of a list: 1、…, 2、….

    Where the first one stands directly under an image, they are captions, except for days and steps
    of which the last has an image: the first image is then a cover.
    """
    places = [
        place
        for place, item in enumerate(items)
        if isinstance(item, RunText) and ordinal(item.text)
    ]
    texts = [item.text for place in places if isinstance(item := items[place], RunText)]
    if len(set(map(ordinal, texts))) < 2:
        return False
    if places[0] and isinstance(items[places[0] - 1], Slot):
        is_last = places[-1] == len(items) - 1 or not isinstance(items[places[-1] + 1], Slot)
        return not is_last and all(map(begins_part, texts))
    return True


def _names_image(heading: RunText) -> bool:
    """Whether a heading is a caption: 图3 湖边的小船."""
    return is_numbered(heading.text) or pointed_side(heading.text) is not None


def _headings_follow_images(items: Sequence[_Item]) -> bool:
    """Whether headings are captions under images: the run begins with an image, and each is
    followed by a heading."""
    first = next((item for item in items if item != "border"), None)
    if not isinstance(first, Slot):
        return False
    pairs = zip(items, [*items[1:], None], strict=True)
    return all(
        isinstance(after, RunText) and after.is_heading
        for item, after in pairs
        if isinstance(item, Slot)
    )


def _may_join(one: Slot, other: Slot) -> bool:
    return not (one.has_own_text or other.has_own_text or one.unit is None or other.unit is None)


def _join(one: Slot, other: Slot) -> None:
    """Gives both units one list of images, which the caller reads from either."""
    assert one.unit is not None
    assert other.unit is not None
    one.unit.images.extend(other.unit.images)
    other.unit.images = one.unit.images


def _decide(run: Run) -> None:
    if not any(slot.unit is not None and (slot.before or slot.after) for slot in run.slots):
        return
    votes = run.votes = _votes(run)
    for place, slot in enumerate(run.slots):
        if slot.unit is None:
            continue
        choice = _pointed(slot) or votes.choice(run, slot)
        if choice is not None:
            run.choices[place] = choice


def _pointed(slot: Slot) -> Choice | None:
    """The text beside a slot that points at it: by a sign, by words, by the number of a figure or
    of its parts, or by an empty line on its other side."""
    after, before = slot.after[:1], slot.before[-1:]
    if after and pointed_side(after[0].text) == "below":
        return Choice(after, "below", POINTED, is_caption=True, is_pointed=True)
    count = len(slot.unit.images) if slot.unit is not None else 1
    in_parts = [bool(some) and _is_for(some[0], count) for some in (after, before)]
    numbered = [bool(some) and is_numbered(some[0].text) for some in (after, before)]
    for found in (in_parts, numbered):
        if found == [True, False]:
            return Choice(after, "below", POINTED, is_caption=True, is_pointed=True)
        if found == [False, True]:
            return Choice(before, "above", POINTED, is_caption=True, is_pointed=True)
    if before and pointed_side(before[0].blocks[-1].text) == "above":
        is_caption = pointed_side(before[0].blocks[-1].text[:2]) == "above"
        return Choice(before, "above", POINTED, is_caption, is_pointed=True)
    return None


def _is_for(text: RunText, count: int) -> bool:
    """Whether a text has a part, or a box a text, for each of `count` images in a row."""
    return count > 1 and (is_row(text, count) or split_caption(text.text, count) is not None)


def is_row(text: RunText, count: int) -> bool:
    """Whether a box holds one text for each of `count` images: in boxes of their own, which are
    alike."""
    parents = [block.parent for block in text.blocks]
    return (
        len(parents) == count == len(set(map(id, parents))) and len(set(map(shape, parents))) == 1
    )


def _side_name(side: str) -> Side:
    return "below" if side == "below" else "above"


@dataclass(slots=True)
class _SideVotes:
    """Evidence for one side."""

    adjacent: list[RunText | None]
    """The text beside each slot on this side, if it does not point elsewhere."""
    without: list[bool]
    """Whether each slot is without a text of its own."""
    special: frozenset[str] = frozenset()
    """Signatures whose texts stand beside images on this side and nearly nowhere else; that of the
    running text only if it stands beside each image, and nowhere else."""

    @property
    def covered(self) -> int:
        """Number of slots with a text of a special signature."""
        return sum(text is not None and text.signature in self.special for text in self.adjacent)

    @property
    def needed(self) -> int:
        """Number of slots without a text of their own that have one of a special signature."""
        pairs = zip(self.adjacent, self.without, strict=True)
        return sum(
            without and text is not None and text.signature in self.special
            for text, without in pairs
        )

    @property
    def covers_all(self) -> bool:
        """Whether each slot without a text of its own has a text of a special signature."""
        return sum(self.without) > 1 and all(
            not without or (text is not None and text.signature in self.special)
            for text, without in zip(self.adjacent, self.without, strict=True)
        )

    @property
    def texts(self) -> list[RunText]:
        """The texts of special signatures; all, if there are none."""
        some = [text for text in self.adjacent if text is not None]
        return [text for text in some if text.signature in self.special] or some

    @property
    def length(self) -> float:
        """Median number of characters of `texts`."""
        return median([len(text.text) for text in self.texts] or [0])

    @property
    def credited(self) -> int:
        """Number of texts with a credit."""
        return sum(bool(text.credits) or _has_credit(text.text) for text in self.texts)


@dataclass(slots=True)
class _Votes:
    below: _SideVotes
    above: _SideVotes
    side: Side | None
    confidence: float
    body: str
    """Signature of the running text: the one with the most characters."""
    both: bool = False
    """Whether the texts of both sides belong to the image."""
    by_lines: bool = False
    """Whether empty lines decide the side."""

    def choice(self, run: Run, slot: Slot) -> Choice | None:
        """The texts of a slot by the vote of its run."""
        if not slot.before and not slot.after:
            return None
        if run.sections[slot.section] == 1 and (slot.heading is not None or slot.is_in_item):
            return self._in_own_section(slot)
        if self.side is None or _is_puzzle(slot):
            return self._on(slot, self.side or ("above" if slot.before else "below"), EVEN)
        return self._on(slot, self.side, self.confidence)

    def _on(self, slot: Slot, side: Side, confidence: float) -> Choice | None:
        votes = self.below if side == "below" else self.above
        texts = slot.after[:1] if side == "below" else slot.before[-1:]
        if not texts or not _is_free(texts[0], side):
            return self._paragraph_above(slot, side, votes) if votes.special else None
        if votes.special and texts[0].signature not in votes.special and not self.by_lines:
            return self._paragraph_above(slot, side, votes)
        other: list[RunText] = []
        if self.both:
            other = slot.before[-1:] if side == "below" else slot.after[:1]
        return Choice(
            texts, side, confidence, self._is_caption(texts[0], votes, confidence), other=other
        )

    def _paragraph_above(self, slot: Slot, side: Side, votes: _SideVotes) -> Choice | None:
        """The paragraph before an image without a caption, in a run whose captions are below."""
        texts = slot.before[-1:]
        if side == "above" or not texts or not _is_free(texts[0], "above"):
            return None
        if texts[0].signature in votes.special:
            return None
        return Choice(texts, "above", WEAK, is_caption=False)

    def _is_caption(self, text: RunText, votes: _SideVotes, confidence: float) -> bool:
        """Whether a text is short and formatted otherwise than the running text."""
        return (
            confidence > WEAK
            and text.signature in votes.special - {self.body}
            and len(text.text) <= MAX_CAPTION_CHARACTERS
        )

    def _in_own_section(self, slot: Slot) -> Choice | None:
        """The texts of a section with one image: all are about it."""
        if self.side == "below" and slot.after and slot.after[0].signature in self.below.special:
            text = slot.after[0]
            is_caption = self._is_caption(text, self.below, CERTAIN)
            return Choice([text], "below", CERTAIN, is_caption, other=slot.before[-1:])
        nearest = slot.before[-1:] or slot.after[:1]
        side: Side = "above" if slot.before else "below"
        if not nearest or not _is_free(nearest[0], side):
            return None
        return Choice(nearest, side, LIKELY, is_caption=False)


def _is_puzzle(slot: Slot) -> bool:
    """Whether several images in a row stand beside as many texts in a row: which is whose is decided by
    the style sheet, if at all."""
    count = len(slot.unit.images) if slot.unit is not None else 1
    rows = [texts for texts in (slot.before, slot.after) if len(texts) == count > 1]
    return any(all(_is_name(text) for text in texts) for texts in rows)


def _is_name(text: RunText) -> bool:
    is_sentence = text.text.rstrip().endswith(("。", "！", "？", "…"))
    return len(text.blocks) == 1 and len(text.text) <= MAX_NAME_CHARACTERS and not is_sentence


def _is_free(text: RunText, side: Side) -> bool:
    """Whether a text does not point to the image on its other side."""
    return pointed_side(text.blocks[0 if side == "below" else -1].text) in {None, side}


def _votes(run: Run) -> _Votes:
    every = _all_texts(run)
    body = _body_signature(run)
    below, above = (_side(run.slots, every, side, body) for side in ("below", "above"))
    if below.special and above.special:
        return _both_special(run.slots, below, above, body)
    if below.special or above.special:
        side: Side = "below" if below.special else "above"
        votes = below if below.special else above
        confidence = CERTAIN if votes.covered > 1 else LIKELY
        return _Votes(below, above, side, confidence, body)
    return _alike(run, every, below, above, body)


def _body_signature(run: Run) -> str:
    characters: Counter[str] = Counter()
    for text in run.texts:
        characters[text.signature] += len(text.text)
    return max(characters, key=lambda one: characters[one], default="")


def _all_texts(run: Run) -> list[RunText]:
    """The texts of a run. Of those before its first image and after its last only the nearest
    counts: the others are an introduction and an end."""
    found: dict[int, RunText] = {}
    for place, slot in enumerate(run.slots):
        before = slot.before if place else slot.before[-1:]
        after = slot.after if place < len(run.slots) - 1 else slot.after[:1]
        for text in (*before, *after):
            found[id(text)] = text
    return list(found.values())


def _side(slots: Sequence[Slot], every: Sequence[RunText], name: str, body: str) -> _SideVotes:
    side = _side_name(name)
    adjacent = _adjacent(slots, side)
    votes = _SideVotes(adjacent, [not slot.has_own_text for slot in slots])
    members = _counts(text.signature for text in adjacent if text is not None)
    others = _adjacent(slots, "above" if side == "below" else "below")
    on_other_side = _counts(text.signature for text in others if text is not None)
    all_of = _counts(text.signature for text in every)
    lists = {text.signature for text in every if text.is_list}
    without_own_text = sum(votes.without)
    filled = [adjacent[n] for n, without in enumerate(votes.without) if without]
    votes.special = frozenset(
        signature
        for signature, count in members.items()
        if signature not in lists
        and (
            (
                count == all_of[signature] > 1
                and (count == len(slots) or _all_have(filled, signature))
            )
            or (
                # Formatted texts under half of the images, which are longer than all other text.
                not signature.isalnum()
                and count == all_of[signature] > max(1, on_other_side.get(signature, 0))
                and 2 * count >= without_own_text
            )
            or (
                signature != body
                and 4 * (all_of[signature] - count) <= count
                and (count > 1 or (without_own_text < MIN_SLOTS and not signature.isalnum()))
            )
        )
    )
    return votes


def _adjacent(slots: Sequence[Slot], side: Side) -> list[RunText | None]:
    """The text beside each slot on one side, if it does not point elsewhere."""
    found: list[RunText | None] = []
    for slot in slots:
        some = slot.after[:1] if side == "below" else slot.before[-1:]
        found.append(some[0] if some and _is_free(some[0], side) else None)
    return found


def _counts(signatures: Iterable[str]) -> dict[str, int]:
    # For a few texts, a Counter takes several times as long.
    counts: dict[str, int] = {}
    for one in signatures:
        counts[one] = counts.get(one, 0) + 1
    return counts


def _all_have(texts: Sequence[RunText | None], signature: str) -> bool:
    """Whether there are two texts or more, all of this signature."""
    return len(texts) > 1 and all(
        text is not None and text.signature == signature for text in texts
    )


def _has_credit(text: str) -> bool:
    tail = text.rstrip(" 。.）)】]")
    ends = ("摄", "攝", "摄影", "攝影", "供图", "供圖", "发", "發")
    return tail.endswith(ends) and len(text) <= MAX_CAPTION_CHARACTERS


def _both_special(slots: Sequence[Slot], below: _SideVotes, above: _SideVotes, body: str) -> _Votes:
    """Decides which of two kinds of text is the caption, one under and one over the images."""
    of_captions = [bool(votes.special - {body}) for votes in (below, above)]
    side: Side
    full, part = (below, above) if below.covers_all else (above, below)
    is_captions = 2 * part.needed >= full.needed and LONGER * part.length <= full.length
    if full.covers_all and not part.covers_all and not is_captions:
        side = "below" if full is below else "above"
    elif of_captions != [True, True]:
        # Running text beside each image, and captions on the other side of some.
        side = "above" if of_captions == [False, True] else "below"
    elif below.covered != above.covered:
        side = "below" if below.covered > above.covered else "above"
    elif bool(below.credited) != bool(above.credited):
        side = "below" if below.credited else "above"
    else:
        is_below = below.length <= above.length or above.length > MAX_CAPTION_CHARACTERS
        side = "below" if is_below else "above"
    both = below.covered == above.covered and not (
        side == "below" and _goes_on_below(slots, above.special)
    )
    return _Votes(below, above, side, CERTAIN, body, both=both)


def _goes_on_below(slots: Sequence[Slot], above: frozenset[str]) -> bool:
    """Whether the texts over the images may as well be about the image before them.

    They stand under the last caption too, and do not share more words with the caption under them
    than with the one over them.
    """
    if not any(text.signature in above for text in slots[-1].after[1:]):
        return False
    votes = 0
    for slot in slots:
        caption = _pairs_of_han(slot.after[:1])
        shared_above = len(caption & _pairs_of_han(slot.before[-1:]))
        shared_below = len(caption & _pairs_of_han(slot.after[1:2]))
        votes += (shared_above > shared_below) - (shared_above < shared_below)
    return votes <= 0


def _pairs_of_han(texts: Sequence[RunText]) -> set[str]:
    """The pairs of Han characters that follow each other, which stand for the words."""
    pairs = (one for text in texts for one in pairwise(text.text[:MAX_COMPARED_CHARACTERS]))
    return {first + second for first, second in pairs if count_han(first + second) == 2}


def _alike(
    run: Run, every: Sequence[RunText], below: _SideVotes, above: _SideVotes, body: str
) -> _Votes:
    """Decides between texts of one kind on both sides."""

    def votes(side: Side | None, confidence: float) -> _Votes:
        return _Votes(below, above, side, confidence, body)

    attached = _attached(run.slots)
    if attached is not None:
        return _Votes(below, above, attached, CERTAIN, body, by_lines=True)
    if bool(below.credited) != bool(above.credited) and max(below.credited, above.credited) > 1:
        return votes("below" if below.credited else "above", LIKELY)
    if any(len(slot.after) > 1 for slot in run.slots[:-1]):
        shorter, longer = sorted((below, above), key=lambda one: one.length)
        if shorter.length * LONGER <= longer.length and shorter.length <= MAX_CAPTION_CHARACTERS:
            return votes("below" if shorter is below else "above", WEAK)
    return votes(*_by_ends(run.slots, every))


def _attached(slots: Sequence[Slot]) -> Side | None:
    """The side on which texts stand beside images without an empty line, where an empty line
    separates them from the image on their other side."""
    counts: Counter[Side] = Counter()
    for slot in slots:
        after, before = slot.after[:1], slot.before[-1:]
        if after and not slot.blank_after and slot.blank_before:
            counts["below"] += 1
        if before and not slot.blank_before and slot.blank_after:
            counts["above"] += 1
    if len(counts) != 1:
        return None
    return next(iter(counts))


def _by_ends(slots: Sequence[Slot], every: Sequence[RunText]) -> tuple[Side | None, float]:
    """Takes the side with fewer texts and images left over.

    A run that begins with an image and ends with a text has its texts below, one that begins with
    a text and ends with an image has them above. A first or last text that is unlike those inside
    is an introduction or an end.
    """
    sections: dict[int, list[Slot]] = defaultdict(list)
    for slot in slots:
        sections[slot.section].append(slot)
    left_below = left_above = count = 0
    for every_slot in sections.values():
        if len(every_slot) == 1 and (every_slot[0].heading is not None or every_slot[0].is_in_item):
            continue
        # A figure with a caption needs no text beside it.
        some = [slot for slot in every_slot if not slot.has_own_text]
        if not some:
            continue
        if any(len(slot.after) > 1 for slot in some[:-1]):
            # Paragraphs between the images may belong to either, or to neither.
            return None, EVEN
        first, last = some[0].before[-1:], some[-1].after[:1]
        inner = [text for text in every if text not in first and text not in last]
        first = [one for one in first if not _is_unlike(one, inner)]
        last = [one for one in last if not _is_unlike(one, inner)]
        left_below += len(first) + sum(not slot.after for slot in some[:-1]) + (not last)
        left_above += len(last) + sum(not slot.before for slot in some[1:]) + (not first)
        count += len(some)
    if left_below == left_above:
        return None, EVEN
    side: Side = "below" if left_below < left_above else "above"
    left = min(left_below, left_above)
    if left == 0:
        if count > 1:
            return side, CERTAIN
        # A paragraph before a figure may as well introduce it.
        is_last = not slots[-1].has_own_text
        return side, WEAK if side == "above" or is_last else EVEN
    return side, LIKELY if 4 * left <= count else EVEN


def _is_unlike(text: RunText, inner: Sequence[RunText]) -> bool:
    """Whether a text is much longer or shorter than those inside a run, or alone in being, or not
    being, a full sentence, or formatted otherwise."""
    if len(inner) < 2:
        return False
    if all(one.signature != text.signature for one in inner):
        return True
    lengths = [len(one.text) for one in inner]
    length = len(text.text)
    if length > LONGER * max(lengths) or LONGER * length < min(lengths):
        return True
    ends = {one.text.rstrip().endswith(("。", "！", "？", "…")) for one in inner}
    return len(ends) == 1 and text.text.rstrip().endswith(("。", "！", "？", "…")) not in ends
