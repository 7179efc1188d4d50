"""Images that are no content: avatars, QR codes, advertisements, logos, share buttons, links to
other pages, furniture.

Each has a drop reason of its own. What an image is follows from the words that its page uses about
it (`alt`, class names, address), from the link around it, and from the part of the page in which it
stands.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from wenlan_data.extract.html import attribute
from wenlan_data.extract.image_labels import is_byline, is_qr_line, reason_of_alt
from wenlan_data.extract.image_names import reason_of_address, reason_of_names
from wenlan_data.extract.link_targets import Target, link_target, page_target, site
from wenlan_data.extract.page_regions import (
    MIN_RUNNING_HAN,
    class_words,
    is_list_heading,
    region_of,
    simplified,
)
from wenlan_data.extract.page_tree import Box, PageImage, PageTree, TextBlock, count_han, shape
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop

MIN_REPEATS = 3
"""Places of one image on a page, from which on it may be a badge or a star, or a missing image."""
MAX_ICON_PX = 64
"""Longer side that a page states for an image that it repeats."""
MAX_BADGE_HAN = 6
"""Of the `alt` of a badge that is repeated."""
MAX_PORTRAIT_PX = 120
"""Longer side that a page states for a portrait beside a name."""
MIN_PHOTOGRAPH_PX = 200
"""Shorter side that a page states for what is neither an avatar nor an icon."""
MAX_NAMED_BOXES = 4
"""Boxes around an image whose names describe it, as long as they hold no other image and little
text."""
MIN_BANNER_ASPECT = 4
"""Width by height of a size that photographs do not have."""
_ADVERTISEMENT_SIZES = frozenset({
    (728, 90), (468, 60), (300, 250), (336, 280), (250, 250), (160, 600), (120, 600), (970, 90),
    (970, 250), (320, 50), (320, 100), (300, 600), (234, 60), (120, 240), (125, 125), (180, 150),
    (760, 90), (960, 90),
})  # fmt: skip
"""Width and height in pixels of the Interactive Advertising Bureau's units, and of two of Chinese
portals."""
MAX_NAME_BLOCKS = 4
MAX_NAME_CHARACTERS = 60
"""In a box around an image that is described by the box's name: an author's name, place and
time."""
MIN_TITLE_HAN = 4
MIN_CARDS = 2
MAX_CARD_IMAGES = 3
MAX_CARD_BLOCKS = 12
LIST_WEIGHT = 1.5
"""How much more running text than a list of cards a page has to have, to be an article with a list
beside it."""
MIN_ARTICLE_HAN = 150
"""Of running text outside lists, from which on a page has an article."""
MAX_LABEL_HAN = 8
"""Of an `alt` or `title` that labels an image. A longer one describes it."""
MIN_SENTENCE_HAN = 12
MIN_TEASER_HAN = 12
"""Of the text without a link in a card of a list page."""
MAX_LEVELS = 8
"""Boxes between an image and the item of a list that holds it."""
MAX_HAN_BESIDE_HEADING = 8
"""In the line of a heading, such as 更多 or 换一批. A box with more holds the list that the heading
announces."""
MAX_WORDS_CHARACTERS = 200
"""Of an `alt` or a `title`, in which Han characters are counted."""
_STOP = re.compile("[。！？!?]")
_SIDE = re.compile(r"\s*(\d{1,4})(?:px)?\s*\Z")
MAX_PLACE_HAN = 4
"""Of the line after a user's name."""
_USER_NAME = re.compile(
    r"(?:(?:profile|user|author|account|member|wx)[-_])?(?:(?:nick|user|author|screen)[-_]?name|nick)",
    re.IGNORECASE,
)
_CLONE = re.compile(r"clone|duplicate", re.IGNORECASE)


class NonContent:
    """Decides about the images of one page."""

    def __init__(self, tree: PageTree, page_url: str, base: str) -> None:
        self._tree = tree
        self._base = base
        try:
            page = page_target(page_url)
        except ValueError:
            page = None
        self._page = page or Target("", "")
        self._site = site(self._page.host)
        self._is_repeated: dict[str, bool] = {}

    @cached_property
    def _is_article(self) -> bool:
        return self._tree.running_han(self._tree.root) >= MIN_RUNNING_HAN

    @cached_property
    def _image_numbers(self) -> dict[int, int]:
        """The place of each image among all images, by its `id`."""
        return {id(image): number for number, image in enumerate(self._tree.images)}

    @cached_property
    def _places(self) -> dict[str, list[PageImage]]:
        """The images of each address, without the slides that a carousel repeats for its loop."""
        places: dict[str, list[PageImage]] = defaultdict(list)
        for image in self._tree.images:
            places[image.address].append(image)
        for images in places.values():
            if len(images) >= MIN_REPEATS:
                images[:] = [image for image in images if not _is_clone(image)]
        return places

    def reason(self, image: PageImage) -> Drop | None:
        """Returns why an image is no content, or None."""
        if image.is_symbol:
            return Drop(Reason.EMOTICON)
        return (
            self._by_repeats(image)
            or self._by_names(image)
            or self._by_link(image)
            or self._by_position(image)
        )

    def _by_repeats(self, image: PageImage) -> Drop | None:
        places = self._places[image.address]
        if len(places) < MIN_REPEATS:
            return None
        if image.address not in self._is_repeated:
            self._is_repeated[image.address] = self._is_badge(places)
        if not self._is_repeated[image.address]:
            return None
        return Drop(Reason.ICON, f"{len(places)} times on the page")

    def _is_badge(self, places: list[PageImage]) -> bool:
        """Whether an image that a page repeats is small, or has not the same words twice.

        A photograph that is a slide and a thumbnail has, or it has none and is large. The words
        beside a badge and those of a missing image are those of other things.
        """
        if any(0 < max(_size(image)) <= MAX_ICON_PX for image in places):
            return True
        seen: set[str] = set()
        for image in places:
            words = " ".join(_own_words(image).split())
            if _count_han(words) <= MAX_BADGE_HAN:
                words = " ".join(self._lines_beside(image))
            if _count_han(words) >= MIN_TITLE_HAN:
                if words in seen:
                    return False
                seen.add(words)
        is_large = any(min(_size(image)) >= MIN_PHOTOGRAPH_PX for image in places)
        return len(seen) > 1 or not is_large

    def _by_names(self, image: PageImage) -> Drop | None:
        for name in ("alt", "title"):
            value = image.attributes.get(name) or ""
            if reason := reason_of_alt(value):
                return Drop(reason, " ".join(value.split()))
        is_described = _is_described(image)
        own = f"{image.attributes.get('class') or ''} {image.attributes.get('id') or ''}"
        named = reason_of_names(own)
        if named and (named.is_certain or not is_described):
            return Drop(named.reason, named.name)
        for box in self._boxes_of(image):
            named = reason_of_names(box.classes)
            if named is None or (is_described and not (named.is_certain and not box.text_count)):
                continue
            if named.is_word and box.text_count and self._has_sentence(image):
                continue
            if _count(box) > 1 and (named.is_certain or named.reason is not Reason.AVATAR):
                continue
            # In a list of persons, each image is that of an item.
            if named.is_certain or named.reason is not Reason.AVATAR or not _is_whole_item(box):
                return Drop(named.reason, named.name)
        return None if is_described else self._by_address(image)

    def _by_address(self, image: PageImage) -> Drop | None:
        if (found := reason_of_address(image.address)) is None or self._has_sentence(image):
            return None
        reason, word = found
        is_large = min(_size(image)) >= MIN_PHOTOGRAPH_PX
        return None if is_large and reason in {Reason.AVATAR, Reason.ICON} else Drop(reason, word)

    def _has_sentence(self, image: PageImage) -> bool:
        """Whether a sentence stands beside an image, in a box without other images."""
        box = _box_with_text(image)
        if box is None or box.tag == "body" or _count(box) > 1:
            return False
        return any(
            block.han >= MIN_SENTENCE_HAN and _STOP.search(block.raw)
            for block in self._tree.texts_of(box)[:MAX_CARD_BLOCKS]
        )

    def _boxes_of(self, image: PageImage) -> Iterator[Box]:
        """Boxes around an image alone; their names describe it. A person's may have a badge."""
        box: Box | None = image.parent
        for _ in range(MAX_NAMED_BOXES):
            if box is None or box.tag == "body" or self._has_much_text(box):
                return
            if _count(box) > (MAX_CARD_IMAGES if box.text_count else 1):
                return
            yield box
            box = box.parent

    def _has_much_text(self, box: Box) -> bool:
        """Whether a box has more text than a name and what stands beside it."""
        if box.text_count > MAX_NAME_BLOCKS:
            return True
        return sum([len(block.raw) for block in self._tree.texts_of(box)]) > MAX_NAME_CHARACTERS

    def _by_link(self, image: PageImage) -> Drop | None:
        link = _link_around(image)
        if link is None:
            return None
        href = (link.attributes.get("href") or "").strip()
        target = link_target(self._base, href)
        if target is None:
            return None
        title = self._title(link, href)
        if site(target.host) != self._site:
            if title is None and not _own_words(image) and not _has_caption(image):
                return Drop(Reason.ADVERTISEMENT, "an image alone in a link to another site")
            width, height = size = _size(image)
            is_banner = width >= MIN_BANNER_ASPECT * height and not _has_caption(image)
            if size in _ADVERTISEMENT_SIZES and (is_banner or not _is_described(image)):
                return Drop(Reason.ADVERTISEMENT, "a link to another site, of a usual size")
            if title is not None and self._is_article and self._is_beside_text(title):
                return Drop(Reason.RECOMMENDATION, "a link to another site")
            return None
        if target.is_home:
            is_alone = title is None and not _has_caption(image)
            return Drop(Reason.LOGO, "a link to the home page") if is_alone else None
        return self._recommendation(title or link, target, has_title=title is not None)

    def _title(self, link: Box, href: str) -> Box | None:
        """The box that holds a link around an image and its title: in the link itself, or in
        another link to the same page beside it."""
        if self._tree.han(link) >= MIN_TITLE_HAN:
            return link
        box = link.parent
        for _ in range(MAX_NAMED_BOXES):
            if box is None or box.tag == "body" or _count(box) > MAX_CARD_IMAGES:
                return None
            for block in self._tree.texts_of(box)[:MAX_CARD_BLOCKS]:
                if block.han >= MIN_TITLE_HAN and any(
                    attribute(one, "href").strip() == href for one in block.links
                ):
                    return box
            box = box.parent
        return None

    def _recommendation(self, card: Box, target: Target, *, has_title: bool) -> Drop | None:
        """An image that leads to another page like this one, or whose title stands beside it."""
        page = self._page
        if not self._is_article or target.is_same(page):
            return None
        blocks = self._tree.texts_of(card)
        is_recommended = target.shape == page.shape or (has_title and _announces(blocks[0]))
        if not is_recommended and has_title and not target.is_listed_by(page):
            is_recommended = not self._is_teaser(card) and self._is_beside_text(card)
        return Drop(Reason.RECOMMENDATION, "a link to another page") if is_recommended else None

    def _is_teaser(self, card: Box) -> bool:
        """Whether a card of a page without an article has a text besides its title."""
        tree, one = self._tree, _list_around(card)
        rest = tree.running_han(tree.root) - tree.running_han(one)
        return rest < MIN_ARTICLE_HAN and any(
            block.han >= MIN_TEASER_HAN and not block.link_characters
            for block in tree.texts_of(card)[:MAX_CARD_BLOCKS]
        )

    def _is_beside_text(self, card: Box) -> bool:
        """Whether a card that leads elsewhere stands beside running text: the list around it has
        less text than the rest of the page."""
        tree, one = self._tree, _list_around(card)
        rest = tree.running_han(tree.root) - tree.running_han(one)
        if rest >= MIN_RUNNING_HAN and rest > LIST_WEIGHT * tree.han(one):
            return True
        # A card between the paragraphs of an article.
        outer = card
        while outer.parent is not None and _count(outer.parent) == _count(card):
            outer = outer.parent
        around = outer.parent
        if around is None:
            return False
        return tree.running_han(around) - tree.running_han_alike(outer) >= MIN_ARTICLE_HAN

    def _by_position(self, image: PageImage) -> Drop | None:
        if (region := region_of(self._tree, image.parent)) and not self._is_plate(image):
            return Drop(Reason.NAVIGATION, region)
        if not _is_described(image) and (found := self._by_lines(image)):
            return found
        if self._is_article and (_link_around(image) is not None or self._has_linked_text(image)):
            heading = self._heading_before(image)
            if heading and is_list_heading(heading):
                return Drop(Reason.RECOMMENDATION, heading)
        return None

    def _is_plate(self, image: PageImage) -> bool:
        """Whether an image is a figure with a caption in a box without links, as beside an
        article; the names of such a box (`side-box`) do not decide."""
        if not _has_caption(image):
            return False
        figure: Box | None = image.parent
        while figure is not None and figure.tag != "figure":
            figure = figure.parent
        outer = figure.parent if figure is not None else None
        return outer is not None and outer.tag != "body" and not self._tree.linked_han(outer)

    def _has_linked_text(self, image: PageImage) -> bool:
        """Whether all text beside an image is a link."""
        box = _box_with_text(image)
        if box is None or box.tag == "body" or _count(box) > 1:
            return False
        return all(block.links for block in self._tree.texts_of(box)[:MAX_CARD_BLOCKS])

    def _by_lines(self, image: PageImage) -> Drop | None:
        lines = self._lines_beside(image)
        if not lines:
            return None
        line = " ".join(lines)
        if is_qr_line(lines):
            return Drop(Reason.QR_CODE, line)
        width, height = _size(image)
        is_small = 0 < max(width, height) <= MAX_PORTRAIT_PX and (width <= height or not height)
        box = _box_with_text(image)
        # 千里江山图 2023-01-07: a whole item of a list, which says nothing else.
        is_item = box is not None and _is_whole_item(box)
        with_date = not is_item and (is_small or self._is_beside_image(image))
        is_person = is_byline(line, with_date=with_date) or self._is_beside_name(image)
        is_large = min(width, height) >= MIN_PHOTOGRAPH_PX
        if is_person and not is_large and (is_small or not is_item):
            return Drop(Reason.AVATAR, line)
        return None

    def _is_beside_name(self, image: PageImage) -> bool:
        """Whether a class states that the text beside an image is the name of a user. After it may
        stand a place or the like."""
        box = _box_with_text(image)
        if box is None or box.text_count > 2 or _count(box) > 1:
            return False
        name, *others = self._tree.texts_of(box)
        return all(one.han <= MAX_PLACE_HAN for one in others) and any(
            map(_USER_NAME.fullmatch, name.classes[:500].split())
        )

    def _is_beside_image(self, image: PageImage) -> bool:
        """Whether an item of a list holds the image and another one."""
        box: Box | None = image.parent
        for _ in range(MAX_LEVELS):
            if box is None or box.parent is None or box.tag == "body":
                return False
            if _count(box) > 1 and _has_alike(box):
                return True
            box = box.parent
        return False

    def _lines_beside(self, image: PageImage) -> list[str]:
        """The texts of the smallest box around an image that has text, if they are few."""
        box = _box_with_text(image)
        if box is None or box.text_count > 3 or box.tag == "body" or _count(box) > 2:
            return []
        blocks = self._tree.texts_of(box)
        if any("caption" in class_words(block.parent.classes) for block in blocks):
            return []
        return [block.text for block in blocks]

    def _heading_before(self, image: PageImage) -> str:
        """The nearest line before the list in which an image stands, if it is short."""
        number = self._image_numbers[id(image)]
        for block in reversed(self._tree.texts[max(0, image.text_number - 12) : image.text_number]):
            if block.heading or (len(block.raw) <= 40 and is_list_heading(block.text)):
                box = self._announced_box(block)
                if box is not None and box.first_image <= number < box.last_image:
                    return block.text
        return ""

    def _announced_box(self, heading: TextBlock) -> Box | None:
        """The smallest box around a heading with more than its line; None if there is none."""
        box: Box | None = heading.parent
        while box is not None and not _count(box):
            if self._tree.han(box) - heading.han > MAX_HAN_BESIDE_HEADING:
                break
            box = box.parent
        return box


def _announces(block: TextBlock) -> bool:
    """Whether a title says itself that it leads elsewhere: 延伸阅读：…."""
    head, colon, _ = simplified(block.text).partition("：")
    return bool(colon) and is_list_heading(head)


def _list_around(card: Box) -> Box:
    """The box that holds a card and others alike; without others, the largest one with less than
    three images."""
    one: Box = card
    found: Box | None = None
    while one.parent is not None and one.parent.tag not in {"html", "body"}:
        if _has_alike(one):
            found = one.parent
        elif found is not None:
            # The rows of a table are one list.
            break
        one = one.parent
    if found is not None:
        return found
    one = card
    while one.parent is not None and _count(one) < MIN_REPEATS and one.parent.tag != "body":
        one = one.parent
    return one


def _has_alike(box: Box) -> bool:
    """Whether another box beside it has the same shape and images too."""
    assert box.parent is not None
    return box.parent.image_shapes.get(shape(box), 0) >= MIN_CARDS


def _is_whole_item(box: Box) -> bool:
    """Whether a box with text, or one around it with no other text, is an item of a list."""
    first, last = box.first_text, box.last_text
    one = box
    for _ in range(MAX_LEVELS):
        if one.parent is None or (one.first_text, one.last_text) != (first, last):
            return False
        if _has_alike(one):
            return True
        one = one.parent
    return False


def _box_with_text(image: PageImage) -> Box | None:
    """The smallest box around an image that has text."""
    box: Box | None = image.parent
    while box is not None and not box.text_count:
        box = box.parent
    return box


def _is_described(image: PageImage) -> bool:
    """Whether an image has a `figcaption`, or an `alt` or `title` that is longer than a label."""
    words = (image.attributes.get("alt") or "", image.attributes.get("title") or "")
    return max(map(_count_han, words)) > MAX_LABEL_HAN or _has_caption(image)


def _has_caption(image: PageImage) -> bool:
    """Whether an image stands in a `figure` with a `figcaption` that has text."""
    box: Box | None = image.parent
    for _ in range(MAX_LEVELS):
        if box is None:
            return False
        if box.tag == "figure":
            # It is the first or the last element.
            return any(
                isinstance(child, Box) and child.tag == "figcaption" and child.text_count > 0
                for child in (*box.children[:2], *box.children[-2:])
            )
        box = box.parent
    return False


def _is_clone(image: PageImage) -> bool:
    """Whether an image is the copy of a slide that a carousel adds before the first and after the
    last."""
    box: Box | None = image.parent
    for _ in range(MAX_NAMED_BOXES):
        if box is None:
            return False
        if _CLONE.search(box.classes[:500]):
            return True
        box = box.parent
    return False


def _link_around(image: PageImage) -> Box | None:
    box: Box | None = image.parent
    for _ in range(5):
        if box is None:
            return None
        if box.tag == "a":
            return box
        if box.tag in {"body", "td", "table", "ul"}:
            return None
        box = box.parent
    return None


def _count(box: Box) -> int:
    """Number of images in a box, content or not."""
    return box.last_image - box.first_image


def _own_words(image: PageImage) -> str:
    """The longer one of `alt` and `title`; empty without Han characters."""
    words = (image.attributes.get("alt") or "", image.attributes.get("title") or "")
    longer = max(words, key=_count_han)
    return longer if _count_han(longer) else ""


def _count_han(text: str) -> int:
    return count_han(text[:MAX_WORDS_CHARACTERS])


def _size(image: PageImage) -> tuple[int, int]:
    """Width and height in pixels that a page states for an image; 0 for one that it does not."""

    def side(name: str) -> int:
        found = _SIDE.match(image.attributes.get(name) or "")
        return int(found[1]) if found else 0

    return side("width"), side("height")
