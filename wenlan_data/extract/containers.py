"""The text of a container that holds one image, or one group of images, alone.

A card, a table row, a post or a figure is such a container. Which of its texts is about the image
is decided over all containers of a list at once, by the place of the text in the container.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import filterfalse
from statistics import median

from wenlan_data.extract.html import attribute
from wenlan_data.extract.image_units import ImageUnit, text_range
from wenlan_data.extract.page_regions import class_words
from wenlan_data.extract.page_tree import Box, TextBlock, shape
from wenlan_data.extract.usable_text import UsableTexts

MAX_COMPACT_BLOCKS = 12
MAX_RAW_BLOCKS = 60
MAX_COMPACT_HAN = 600
"""A container with more blocks or Han characters is an article, not a card or a figure."""
MAX_COUNTED_HAN = 60
"""Of one text, when the places of a list are compared: a long text is no better than a sentence."""
MAX_FIGURE_HAN = 100
MIN_PARAGRAPHS = 3
"""Of an article. A card has a name and a description."""
LONGER = 1.8
"""How much longer the paragraphs of an article are than a caption."""
MIN_SCORE_RATIO = 8
"""How much better a text elsewhere in the container has to be than those nearest to the image: a
badge says less than the description."""
MIN_FIRST_SHARE = 0.3
"""Of the score of the best paragraph, that the first one has to reach: it is no mere label."""
MIN_LABELLED_WEIGHT = 0.3
"""Weight of a place whose texts are labelled values (质地：木) rather than descriptions."""
_LABELLED = re.compile(
    r"(?!图|圖|描述|说明|說明|简介|介绍|名称|标题|内容)[^\s：:，。]{1,6}[：:]\s?[^：:。]{1,20}\Z"
)
_CAPTION_WORDS = frozenset("""
    caption captiontext captions figcaption gallerytext figcap imgdesc picdesc photodesc pictext imgtext imgtxt imgtitle
    pictitle picintro picinfo imginfo tuzhu tushuo desc description descr cap legend
""".split())  # fmt: skip
_STRICT_CAPTION_WORDS = _CAPTION_WORDS - {"desc", "description", "descr", "legend", "cap"}


@dataclass(frozen=True, slots=True)
class ContainerText:
    """The texts of a container."""

    box: Box
    """The largest container that is no article."""
    main: TextBlock
    captions: tuple[TextBlock, ...]
    """Blocks that are marked as captions: `figcaption`, or by a class name."""
    second: TextBlock | None
    headings: tuple[TextBlock, ...]
    is_figure: bool
    """Whether the box around image and `main` is a figure in running text."""
    is_article: bool
    """Whether it is an article: several paragraphs around one image, in no list."""


class Lists:
    """The containers of a page, compared with those beside them."""

    def __init__(self, texts: UsableTexts) -> None:
        self._texts = texts
        self._scores: dict[tuple[int, str], dict[str, float]] = {}
        self._places = _Places()
        self._in_caption: dict[tuple[int, int], bool] = {}
        self._cards: dict[int, dict[str, list[Box]]] = {}
        self._without_image: dict[int, frozenset[str]] = {}

    def text_of(self, unit: ImageUnit) -> ContainerText | None:
        """Returns the texts of the container of a unit; None if it has none, or is an article."""
        if not unit.containers:
            return None
        top = self._compact(unit)
        if top is None:
            return None
        blocks = self._texts.of(top)
        captions = tuple(block for block in blocks if self._is_caption(block, top))
        scores = self._column_scores(top)
        inner = self._texts.of(unit.containers[0])
        main = self._best(inner, scores, unit)
        best = self._best(blocks, scores, unit)
        if main is None or best is None:
            return None
        if MIN_SCORE_RATIO * self._score(main, scores, top) < self._score(best, scores, top):
            main = best
        paragraphs = [block for block in blocks if not block.heading and block.han >= 8]
        is_article = not scores and len(paragraphs) >= MIN_PARAGRAPHS
        if is_article:
            main = _line_below(unit, paragraphs) or main
        rest = [block for block in blocks if block is not main and block.han >= 8]
        return ContainerText(
            box=top,
            main=main,
            captions=captions,
            second=self._best(rest, scores, unit),
            headings=tuple(block for block in blocks if block.heading and block is not main),
            is_figure=self._is_figure(unit, inner, main) and len(blocks) > 1,
            is_article=is_article,
        )

    def _compact(self, unit: ImageUnit) -> Box | None:
        """The largest container that is no article."""
        found = None
        for box in unit.containers:
            if box.tag == "body" or box.text_count > MAX_RAW_BLOCKS:
                break
            blocks = self._texts.first_of(box, MAX_COMPACT_BLOCKS + 1)
            han = sum(block.han for block in blocks)
            if len(blocks) > MAX_COMPACT_BLOCKS or han > MAX_COMPACT_HAN:
                break
            found = box
        top = unit.containers[-1]
        if found is not top and len(self._alike(top)) > 1 and top.tag != "body":
            return top
        return found

    def _column_scores(self, top: Box) -> dict[str, float]:
        """Score of each place in the containers of a list: how much its texts say, and how
        different they are."""
        key = (id(top.parent), shape(top))
        if key not in self._scores:
            alike = self._alike(top)
            if len(alike) == 1:
                # Nothing to compare with: the longest text is the best.
                self._scores[key] = {}
                return {}
            columns: dict[str, list[str]] = defaultdict(list)
            han: dict[str, int] = defaultdict(int)
            for box in alike[:200]:
                for block in self._texts.of(box)[:100]:
                    place = self._places.of(block, box)
                    columns[place].append(block.text)
                    han[place] += min(block.han, MAX_COUNTED_HAN)
            self._scores[key] = {
                place: han[place] * _distinctness(some) for place, some in columns.items()
            }
        return self._scores[key]

    def _alike(self, top: Box) -> Sequence[Box]:
        """The box and those beside it with images, text and the same shape."""
        if top.parent is None:
            return [top]
        cards = self._cards.get(id(top.parent))
        if cards is None:
            cards = self._cards[id(top.parent)] = {}
            for child in top.parent.children:
                if isinstance(child, Box) and child.image_count and child.text_count:
                    cards.setdefault(shape(child), []).append(child)
        return cards.get(shape(top), ())

    def _is_figure(self, unit: ImageUnit, inner: Sequence[TextBlock], main: TextBlock) -> bool:
        """Whether the box around an image holds one short text under it and nothing else, as a
        figure in running text does."""
        if len(inner) != 1 or inner[0] is not main or main.han > MAX_FIGURE_HAN:
            return False
        box = unit.containers[0]
        if main.number < unit.images[-1].text_number or box.tag in {"li", "dd", "p"}:
            return False
        # An item of a list, of which others have no image.
        return shape(box) not in self._shapes_without_image(box.parent)

    def _shapes_without_image(self, outer: Box | None) -> frozenset[str]:
        """Shapes of the boxes directly in a box that hold no image."""
        if outer is None:
            return frozenset()
        shapes = self._without_image.get(id(outer))
        if shapes is None:
            shapes = frozenset(
                shape(child)
                for child in outer.children
                if isinstance(child, Box) and not child.image_count
            )
            self._without_image[id(outer)] = shapes
        return shapes

    def _best(
        self, blocks: Sequence[TextBlock], scores: dict[str, float], unit: ImageUnit
    ) -> TextBlock | None:
        """The block in the best place; of several in that place, the one nearest to the image. Of the
        paragraphs of one text the first counts, since it says what the text is about."""
        if not blocks:
            return None
        top = unit.containers[-1]
        number = unit.images[0].text_number

        def rank(block: TextBlock) -> tuple[float, int, int]:
            distance = number - block.number if block.number < number else block.number - number + 1
            return (-self._score(block, scores, top), distance, block.number)

        best = min(blocks, key=rank)
        least = MIN_FIRST_SHARE * self._score(best, scores, top)
        first = best
        for block in reversed(blocks):
            # The paragraphs directly before it, on the same side of the image.
            is_next = block.number == first.number - 1 and first.number != number
            if (
                is_next
                and _are_paragraphs(block, best)
                and self._score(block, scores, top) >= least
            ):
                first = block
        return first

    def _score(self, block: TextBlock, scores: dict[str, float], top: Box) -> float:
        length = float(min(block.han, MAX_COUNTED_HAN))
        return scores.get(self._places.of(block, top), length) if scores else length

    def _is_caption(self, block: TextBlock, top: Box) -> bool:
        """Whether a block of a container is marked as a caption."""
        return self._is_in_caption(block.parent, top) or any(
            class_words(attribute(one, "class")) & _STRICT_CAPTION_WORDS for one in block.wrappers
        )

    def _is_in_caption(self, inner: Box, top: Box) -> bool:
        found, path = False, []
        box: Box | None = inner
        while box is not None and box is not top.parent and not found:
            key = (id(box), id(top))
            if key in self._in_caption:
                found = self._in_caption[key]
                break
            path.append(key)
            found = _is_caption_box(box, top)
            box = box.parent
        self._in_caption.update(dict.fromkeys(path, found))
        return found


class _Places:
    """The places of blocks in containers: the path of tags and classes from the container to the
    block, and the number among siblings alike. Each box is looked at once a container."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, int], int] = {}
        """Name of a box and number of the path to the box around it, to the number of its path."""
        self._paths: dict[tuple[int, int], int] = {}
        """Ids of box and container to the number of the path between them."""

    def of(self, block: TextBlock, top: Box) -> str:
        """Returns the place of a block in a container, which containers alike share."""
        parts = [one.tag or "" for one in block.wrappers]
        inner = block.parent
        if inner is not top and inner.parent is not None:
            parts.append(str(inner.number_among_alike))
        return f"{'/'.join(parts)}/#{self._path(inner, top)}"

    def _path(self, inner: Box, top: Box) -> int:
        path: list[Box] = []
        number = 0
        box: Box | None = inner
        while box is not None and box is not top:
            known = self._paths.get((id(box), id(top)))
            if known is not None:
                number = known
                break
            path.append(box)
            box = box.parent
        for one in reversed(path):
            name = (f"{one.tag}.{one.classes.strip()}", number)
            number = self._numbers.setdefault(name, len(self._numbers) + 1)
            self._paths[id(one), id(top)] = number
        return number


def _line_below(unit: ImageUnit, paragraphs: Sequence[TextBlock]) -> TextBlock | None:
    """The text directly under the image of an article, if it is much shorter than the paragraphs,
    and not in bold as a heading is."""
    number = unit.images[-1].text_number
    below = next((block for block in paragraphs if block.number >= number), None)
    if below is None or below.number > number or _is_bold(below):
        return None
    others = [len(block.text) for block in paragraphs if block is not below]
    return below if LONGER * len(below.text) < median(others) else None


def _is_bold(block: TextBlock) -> bool:
    return any(one.tag in {"b", "strong"} for one in block.wrappers)


def _are_paragraphs(one: TextBlock, other: TextBlock) -> bool:
    """Whether two blocks are paragraphs of one text: lines of a box, or boxes alike in a box."""
    if one.parent is other.parent:
        return True
    return one.parent.parent is other.parent.parent and shape(one.parent) == shape(other.parent)


def _distinctness(texts: Sequence[str]) -> float:
    """How different the texts of a place are, and whether they describe, in [0, 1]."""
    labelled = sum(bool(_LABELLED.match(text)) for text in texts)
    weight = MIN_LABELLED_WEIGHT if 2 * labelled > len(texts) else 1.0
    return weight * (len(set(texts)) / len(texts)) ** 2


def _is_caption_box(box: Box, top: Box) -> bool:
    """Whether a box in a container, or the container itself, is marked as a caption."""
    if box.tag == "figcaption":
        return True
    words = class_words(box.classes)
    if box is not top and words & _STRICT_CAPTION_WORDS:
        return True
    in_figure = top.tag == "figure" or bool(class_words(top.classes) & {"figure", "informalfigure"})
    return in_figure and "title" in words


def whole_line(block: TextBlock) -> str:
    """Returns the text of a block, with what follows or precedes it in its line on the other side
    of an image: 左边是桥[image]右边是船."""
    if block.ends_line and block.begins_line:
        return block.text
    children = block.parent.children
    place = next((n for n, child in enumerate(children) if child is block), 0)
    if not block.ends_line and place + 2 < len(children):
        after = children[place + 2]
        if isinstance(after, TextBlock) and not after.begins_line:
            return block.text + after.text
    if not block.begins_line and place >= 2:
        before = children[place - 2]
        if isinstance(before, TextBlock) and not before.ends_line:
            return before.text + block.text
    return block.text


def texts_in_order(unit: ImageUnit, texts: UsableTexts) -> list[TextBlock] | None:
    """Returns one block for each image of a unit where the container holds a row of images and a
    row of as many texts, such as a slider with a list of captions beside it."""
    count = len(unit.images)
    if count < 2 or not unit.containers:
        return None
    # What each container adds: the blocks of all of them would be read once a container.
    first, last = text_range(unit.node)
    before: list[TextBlock] = []
    after: list[TextBlock] = []
    for box in unit.containers:
        added_after = _row_blocks(texts, last, box.last_text)
        added_before = _row_blocks(texts, box.first_text, first)
        first, last = box.first_text, box.last_text
        after += added_after
        before = added_before + before
        for row, added in ((after, added_after), (before, added_before)):
            if added and len(row) == count and _one_row(row, box):
                return row
        if len(before) > count and len(after) > count:
            break
    return None


def _row_blocks(texts: UsableTexts, first: int, last: int) -> list[TextBlock]:
    """The usable blocks from `first` up to `last` that are no headings."""
    blocks = filterfalse(texts.problem, texts.tree.texts[first:last])
    return [block for block in blocks if not block.heading]


def _one_row(row: Sequence[TextBlock], box: Box) -> bool:
    """Whether blocks stand in the same place of children of one box."""
    places = _Places()
    return len({places.of(block, box) for block in row}) == 1 and len(
        {id(b.parent) for b in row}
    ) == len(row)
