"""Portraits of users in lists of posts, cards and comments, found by their place.

In the items of a list, an image beside a short name is the portrait of its author where another
image of the item has more text, or none of its own.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median

from wenlan_data.extract.page_tree import (
    Box,
    PageImage,
    PageTree,
    TextBlock,
    count_han,
    shape,
)

MIN_CARDS = 2
MAX_NAME_HAN = 8
MAX_NAME_CHARACTERS = 16
MAX_LEVELS = 8
"""Boxes between an image and the item that holds it."""

# What stands beside a name: a time, a number, a grade.
_BESIDE_NAME = re.compile(
    r"\d{4}\s?[-/.年]\s?\d{1,2}\s?[-/.月]\s?\d{1,2}日?|\d{1,2}[-月]\d{1,2}日?|\d{1,2}:\d\d(?::\d\d)?"
    r"|\d+\s?(?:秒|分钟|小时|天|个?月|年)前|[今昨前]天|[\d\s★☆·.,:：|+万千kw-]+|回复|关注|粉丝|楼主|LV"
)
_PUNCTUATION = re.compile(r"[，。！？；、,!?;]")


@dataclass(slots=True)
class _Column:
    """The images in one place of the items of a list."""

    images: list[PageImage]
    lines: list[str]
    """The text beside each; empty for none."""
    alone: list[PageImage] = field(default_factory=list)
    """Images in this place of items that have no other."""
    is_single: bool = True
    """Whether an item has one image in this place at most."""

    @property
    def is_named(self) -> bool:
        """Whether most lines are names."""
        names = [line for line in self.lines if _is_name(line)]
        return self.is_single and 2 * len(names) > len(self.lines)

    @property
    def han(self) -> float:
        """Median number of Han characters beside an image."""
        return median(count_han(line) for line in self.lines)


def avatars(tree: PageTree) -> list[PageImage]:
    """Returns the images without a reason that are portraits of authors in lists."""
    found: list[PageImage] = []
    for columns in _lists(tree):
        named = [column for column in columns if column.is_named]
        if len(named) == len(columns):
            # The content of the items has names as well: those of the images are longer.
            longest = max(named, key=lambda column: column.han)
            named.remove(longest)
            if any(one.han == longest.han and one.lines != longest.lines for one in named):
                # Rows of two things of one kind, such as dishes.
                continue
        for column in named:
            pairs = zip(column.images, column.lines, strict=True)
            found += [image for image, line in pairs if _is_name(line)]
            # A post without an image has the portrait of its author alone.
            found += column.alone
    return found


def _lists(tree: PageTree) -> list[list[_Column]]:
    """The columns of each list with items of two images or more in different places."""
    images = [image for image in tree.images if image.reason is None and not image.is_symbol]
    if len(images) < 2 * MIN_CARDS:
        return []
    cards: dict[tuple[int, str], dict[int, tuple[Box, list[PageImage]]]] = defaultdict(dict)
    for image in images:
        box: Box | None = image.parent
        for _ in range(MAX_LEVELS):
            if box is None or box.parent is None or box.tag == "body":
                break
            key = (id(box.parent), shape(box))
            cards[key].setdefault(id(box), (box, []))[1].append(image)
            box = box.parent
    lists = []
    for items in cards.values():
        if len(items) < MIN_CARDS or all(len(some) < 2 for _, some in items.values()):
            continue
        columns = _columns(tree, list(items.values()))
        if len(columns) > 1:
            lists.append(columns)
    return lists


def _columns(tree: PageTree, items: list[tuple[Box, list[PageImage]]]) -> list[_Column]:
    """The columns of items with images in two places or more."""
    columns: dict[str, _Column] = defaultdict(lambda: _Column([], []))
    alone: dict[str, list[PageImage]] = defaultdict(list)
    for card, some in items:
        paths = Counter(_path(image, card) for image in some)
        if len(paths) < 2:
            alone[_path(some[0], card)] += some
            continue
        for image in some:
            path = _path(image, card)
            column = columns[path]
            column.images.append(image)
            column.lines.append(_line(tree, image, card))
            column.is_single = column.is_single and paths[path] == 1
    for path, column in columns.items():
        column.alone = alone[path]
    return [column for column in columns.values() if len(column.images) >= MIN_CARDS]


def _path(image: PageImage, card: Box) -> str:
    path, box = [], image.parent
    while box is not card and box.parent is not None:
        path.append(shape(box))
        box = box.parent
    return "/".join(path)


def _line(tree: PageTree, image: PageImage, card: Box) -> str:
    """The text of the smallest box inside a card that holds the image, text, and no other image;
    without one, the next text of the card."""
    box = image.parent
    while box is not card and box.parent is not None:
        if box.last_image - box.first_image > 1:
            break
        if box.text_count:
            return " ".join(block.text for block in tree.texts_of(box)[:4])
        box = box.parent
    after = tree.texts[image.text_number : card.last_text][:1]
    return _first_line(after)


def _first_line(blocks: list[TextBlock]) -> str:
    return blocks[0].text if blocks else ""


def _is_name(line: str) -> bool:
    """Whether a line is a user's name, with a time, a number or a grade at most."""
    name = _BESIDE_NAME.sub("", line).strip()
    if not name or len(name) > MAX_NAME_CHARACTERS or _PUNCTUATION.search(name):
        return False
    return count_han(name) <= MAX_NAME_HAN
