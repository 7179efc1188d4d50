"""Runs of images and texts in one box: on which side of its image a text stands, decided once for
the run.

A run is the sequence of a box's children: images without text, boxes that hold images and their
texts, and texts. The side is found by counting: a kind of text (by its element, alignment and
formatting) that stands directly under an image each time, and nowhere else, is under its image.
Marks such as ▲ and 如图： decide for the image that they point at.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from wenlan_data.extract.caption_marks import Side, is_numbered, pointed_side, split_caption
from wenlan_data.extract.image_units import ImageUnit
from wenlan_data.extract.page_tree import Box, PageImage, TextBlock, shape
from wenlan_data.extract.style import text_style
from wenlan_data.extract.usable_text import UsableTexts, is_credit_line

MAX_CAPTION_CHARACTERS = 120
"""A longer text is a paragraph, not a caption."""
POINTED, CERTAIN, LIKELY, WEAK, EVEN = 0.9, 0.85, 0.7, 0.6, 0.4
"""Confidence of a text that points at its image; of a side that every image of the run agrees with; that most agree with; that only the
lengths of the texts speak for; and that nothing speaks for."""


@dataclass(slots=True, eq=False)
class RunText:
    """A child of a run that holds text and no image."""

    blocks: list[TextBlock]
    node: Box | TextBlock
    signature: str
    is_heading: bool
    credits: list[TextBlock] = field(default_factory=list)
    """Lines of credit that follow directly."""

    @property
    def text(self) -> str:
        """Its first block."""
        return self.blocks[0].text


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
    has_own_text: bool = False


@dataclass(slots=True, eq=False)
class Run:
    """The slots of a box, and the side of their texts."""

    box: Box
    slots: list[Slot]
    sections: Counter[int]
    """Section to its number of slots."""
    texts: list[RunText]
    choices: dict[int, "Choice"] = field(default_factory=dict)
    """Place of a slot to the texts that belong to it."""


@dataclass(slots=True, eq=False)
class Choice:
    """The texts of a slot on one side."""

    texts: list[RunText]
    side: Side
    confidence: float
    is_caption: bool
    other: list[RunText] = field(default_factory=list)
    """Texts on the other side, where these belong to the same image too."""


_Item = RunText | Slot | Literal["border"]


def read_run(box: Box, units: dict[int, ImageUnit], texts: UsableTexts) -> Run:
    """Reads the run of a box and decides on the side of its texts.

    `units` are the units of the page by `id` of their outermost element.
    """
    items = _items(box, units, texts)
    slots = _slots(items)
    every = [item for item in items if isinstance(item, RunText)]
    run = Run(box, slots, Counter(slot.section for slot in slots), every)
    _decide(run)
    return run


def _items(box: Box, units: dict[int, ImageUnit], texts: UsableTexts) -> list[_Item]:
    items: list[_Item] = []
    cards = _card_shapes(box)
    for child in box.children:
        if isinstance(child, Box) and not child.image_count and shape(child) in cards:
            # A card whose image is missing: its text is about no other.
            items.append("border")
            continue
        item = _item(child, units, texts)
        if isinstance(item, TextBlock):
            if items and isinstance(items[-1], RunText):
                items[-1].credits.append(item)
        elif item is not None:
            items.append(item)
    return items


def _card_shapes(box: Box) -> set[str]:
    """Shapes of at least two children that each hold an image and text."""
    counts = Counter(
        shape(child)
        for child in box.children
        if isinstance(child, Box) and child.image_count and child.text_count
    )
    return {one for one, count in counts.items() if count > 1}


def _item(
    child: Box | TextBlock | PageImage, units: dict[int, ImageUnit], texts: UsableTexts
) -> _Item | TextBlock | None:
    """One child as an item; a credit as its block; None for what is neither image nor text."""
    if isinstance(child, PageImage):
        if child.number < 0:
            return None
        return Slot(units.get(id(child)))
    if isinstance(child, TextBlock):
        if texts.is_usable(child) or child.heading:
            return RunText([child], child, text_style(child), child.heading > 0)
        return child if is_credit_line(child.text) else None
    if child.tag == "hr":
        return "border"
    if child.image_count:
        unit = units.get(id(child))
        return Slot(unit, has_own_text=unit is not None and bool(unit.containers))
    blocks = texts.of(child)
    if blocks:
        return RunText(blocks, child, text_style(blocks[0]), _is_heading(child, blocks))
    some = texts.tree.texts_of(child)
    if child.heading and some:
        # It begins a section, even if it says as little as 一.
        return RunText(some, child, text_style(some[0]), True)
    return some[0] if len(some) == 1 and is_credit_line(some[0].text) else None


def _is_heading(box: Box, blocks: Sequence[TextBlock]) -> bool:
    return blocks[0].heading > 0 and (len(blocks) == 1 or box.tag in {"header", "hgroup"})


def _slots(items: list[_Item]) -> list[Slot]:
    """Gives each slot the texts beside it, up to the next image or border."""
    opens_section = not _headings_follow_images(items)
    slots: list[Slot] = []
    waiting: list[RunText] = []
    heading: RunText | None = None
    section = 0
    is_open = False
    for item in items:
        if item == "border":
            waiting, is_open = [], False
            continue
        if isinstance(item, RunText):
            if item.is_heading and opens_section:
                heading, waiting, is_open = item, [], False
                section += 1
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
        slots.append(item)
        waiting, is_open = [], True
    return slots


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
    assert one.unit is not None
    assert other.unit is not None
    one.unit.images.extend(other.unit.images)
    other.unit.images = one.unit.images


def _decide(run: Run) -> None:
    slots = [slot for slot in run.slots if slot.unit is not None]
    if not slots:
        return
    votes = _votes(run)
    for place, slot in enumerate(run.slots):
        if slot.unit is None:
            continue
        choice = _pointed(slot) or votes.choice(run, slot)
        if choice is not None:
            run.choices[place] = choice


def _pointed(slot: Slot) -> Choice | None:
    """The text beside a slot that points at it: by a sign, by words, or by the number of a figure
    or of its parts."""
    after, before = slot.after[:1], slot.before[-1:]
    if after and pointed_side(after[0].text) == "below":
        return Choice(after, "below", POINTED, is_caption=True)
    if before and pointed_side(before[0].blocks[-1].text) == "above":
        return Choice(before, "above", POINTED, is_caption=False)
    count = len(slot.unit.images) if slot.unit is not None else 1
    for some, side in ((after, "below"), (before, "above")):
        if some and count > 1 and split_caption(some[0].text, count):
            return Choice(some, _side_name(side), POINTED, is_caption=True)
    numbered = [bool(some) and is_numbered(some[0].text) for some in (after, before)]
    if numbered == [True, False]:
        return Choice(after, "below", CERTAIN, is_caption=True)
    if numbered == [False, True]:
        return Choice(before, "above", CERTAIN, is_caption=True)
    return None


def _side_name(side: str) -> Side:
    return "below" if side == "below" else "above"


@dataclass(slots=True)
class _SideVotes:
    """What speaks for one side."""

    signature: str = ""
    members: int = 0
    """Slots with a text of that signature on this side."""
    strays: int = 0
    """Texts of that signature that stand elsewhere."""
    empty: int = 0
    """Slots without one."""
    length: float = 0.0
    """Median number of characters."""
    credited: int = 0
    numbered: int = 0

    @property
    def misses(self) -> int:
        return self.strays + self.empty

    @property
    def is_specific(self) -> bool:
        """Whether such texts stand beside images and nearly nowhere else."""
        return self.members > 0 and 4 * self.strays <= self.members


@dataclass(slots=True)
class _Votes:
    below: _SideVotes
    above: _SideVotes
    side: Side | None
    confidence: float
    both: bool
    """Whether the texts of both sides belong to the image."""
    body: str = ""
    """Signature of the running text: the one with the most characters."""

    def choice(self, run: Run, slot: Slot) -> Choice | None:
        """The texts of a slot by the vote of its run."""
        if not slot.before and not slot.after:
            return None
        if run.sections[slot.section] == 1 and slot.heading is not None:
            return _own_section(slot, self)
        side = self.side
        if side is None:
            side, confidence = ("above" if slot.before else "below"), EVEN
        else:
            confidence = self.confidence
        return self._on(slot, side, confidence)

    def _on(self, slot: Slot, side: Side, confidence: float) -> Choice | None:
        votes = self.below if side == "below" else self.above
        texts = slot.after[:1] if side == "below" else slot.before[-1:]
        texts = [text for text in texts if _is_free(text, side)]
        if not texts:
            return None
        if votes.signature and texts[0].signature != votes.signature:
            if votes.is_specific:
                # Not every image of a run has a caption.
                return None
            confidence = min(confidence, EVEN)
        other: list[RunText] = []
        if self.both:
            other = slot.before[-1:] if side == "below" else slot.after[:1]
        is_caption = confidence > 0.5 and votes.is_specific and self.is_caption(texts[0])
        return Choice(texts, side, confidence, is_caption, other)

    def is_caption(self, text: RunText) -> bool:
        """Whether a text is short and formatted otherwise than the running text."""
        return len(text.text) <= MAX_CAPTION_CHARACTERS and text.signature != self.body


def _is_free(text: RunText, side: Side) -> bool:
    """Whether a text does not point to the image on its other side."""
    return pointed_side(text.blocks[0 if side == "below" else -1].text) in {None, side}


def _own_section(slot: Slot, votes: _Votes) -> Choice | None:
    """The texts of a section with one image: all are about it."""
    if votes.side == "below" and votes.below.is_specific and slot.after:
        text = slot.after[0]
        if text.signature == votes.below.signature and votes.is_caption(text):
            return Choice([text], "below", CERTAIN, is_caption=True, other=slot.before[-1:])
    nearest = slot.before[-1:] or slot.after[:1]
    side: Side = "above" if slot.before else "below"
    if not nearest or not _is_free(nearest[0], side):
        return None
    return Choice(nearest, side, LIKELY, is_caption=False)


def _votes(run: Run) -> _Votes:
    votes = _count_votes(run.slots, _all_texts(run))
    votes.body = _body_signature(run)
    return votes


def _body_signature(run: Run) -> str:
    characters: Counter[str] = Counter()
    for text in run.texts:
        characters[text.signature] += len(text.text)
    return max(characters, key=lambda one: characters[one], default="")


def _count_votes(slots: Sequence[Slot], every: Sequence[RunText]) -> _Votes:
    below = _side(slots, every, "below")
    above = _side(slots, every, "above")
    if not below.members and not above.members:
        return _Votes(below, above, None, EVEN, both=False)
    if below.signature != above.signature:
        return _different(below, above)
    return _same(slots, below, above)


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


def _side(slots: Sequence[Slot], every: Sequence[RunText], side: Side) -> _SideVotes:
    beside = [slot.after[:1] if side == "below" else slot.before[-1:] for slot in slots]
    texts = [some[0] for some in beside if some and _is_free(some[0], side)]
    if not texts:
        return _SideVotes(empty=len(slots))
    counts = Counter(text.signature for text in texts)
    signature = max(counts, key=lambda one: (counts[one], -_number_of(every, one)))
    members = [text for text in texts if text.signature == signature]
    return _SideVotes(
        signature=signature,
        members=len(members),
        strays=_number_of(every, signature) - len(members),
        empty=len(slots) - len(members),
        length=median(len(text.text) for text in members),
        credited=sum(bool(text.credits) or _has_credit(text.text) for text in members),
        numbered=sum(is_numbered(text.text) for text in members),
    )


def _number_of(every: Sequence[RunText], signature: str) -> int:
    return sum(text.signature == signature for text in every)


def _has_credit(text: str) -> bool:
    tail = text.rstrip(" 。.）)】]")
    return (
        tail.endswith(("摄", "攝", "摄影", "攝影", "供图", "供圖", "发"))
        and len(text) <= MAX_CAPTION_CHARACTERS
    )


def _different(below: _SideVotes, above: _SideVotes) -> _Votes:
    """Decides between two kinds of text, one under and one over the images."""
    if below.is_specific and above.is_specific:
        caption_below = _looks_more_like_caption(below, above)
        side: Side = "below" if caption_below else "above"
        return _Votes(below, above, side, CERTAIN, both=True)
    if below.is_specific and below.length <= MAX_CAPTION_CHARACTERS:
        return _Votes(below, above, "below", CERTAIN if below.members > 1 else LIKELY, both=False)
    if above.is_specific and above.length <= MAX_CAPTION_CHARACTERS:
        return _Votes(below, above, "above", CERTAIN if above.members > 1 else LIKELY, both=False)
    return _fewer_misses(below, above)


def _looks_more_like_caption(below: _SideVotes, above: _SideVotes) -> bool:
    if bool(below.credited) != bool(above.credited):
        return below.credited > 0
    if bool(below.numbered) != bool(above.numbered):
        return below.numbered > 0
    return below.length <= above.length or above.length > MAX_CAPTION_CHARACTERS


def _same(slots: Sequence[Slot], below: _SideVotes, above: _SideVotes) -> _Votes:
    """Decides between texts of one kind on both sides."""
    if bool(below.credited) != bool(above.credited) and max(below.credited, above.credited) > 1:
        return _Votes(below, above, "below" if below.credited else "above", LIKELY, both=False)
    gaps = [slot.after for slot in slots[:-1]]
    if any(len(gap) > 1 for gap in gaps):
        shorter, longer = sorted((below, above), key=lambda one: one.length)
        if shorter.length * 1.8 <= longer.length and shorter.length <= MAX_CAPTION_CHARACTERS:
            return _Votes(below, above, "below" if shorter is below else "above", WEAK, both=False)
    return _fewer_misses(below, above)


def _fewer_misses(below: _SideVotes, above: _SideVotes) -> _Votes:
    """Takes the side with fewer texts and images left over.

    A run that begins with an image and ends with a text has its texts below, one that begins with
    a text and ends with an image has them above.
    """
    if below.misses == above.misses:
        return _Votes(below, above, None, EVEN, both=False)
    side: Side = "below" if below.misses < above.misses else "above"
    winner = below if side == "below" else above
    if winner.misses == 0:
        return _Votes(below, above, side, CERTAIN, both=False)
    if 4 * winner.misses <= winner.members:
        return _Votes(below, above, side, LIKELY, both=False)
    return _Votes(below, above, side, EVEN, both=False)
