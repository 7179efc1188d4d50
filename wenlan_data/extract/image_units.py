"""Groups of images without text between them, and the containers that hold one group alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from wenlan_data.extract.page_tree import Box, PageImage, PageTree, shape
from wenlan_data.extract.usable_text import UsableTexts

MIN_ITEM_HAN = 6
"""Han characters of an item. A row of a table with less is a label (外观) and its image."""
_ITEMS = frozenset({"li", "tr", "article", "figure"})
_BOXES = frozenset({"div", "section", "dl"})


@dataclass(slots=True, eq=False)
class ImageUnit:
    """Images without usable text between them, in the largest box without usable text, and the
    boxes around them that hold no other image."""

    images: list[PageImage]
    node: Box | PageImage
    """The largest element that holds the images and no usable text."""
    containers: list[Box]
    """Boxes around `node` with usable text and no other image, from the inside out."""

    @property
    def outermost(self) -> Box | PageImage:
        """The largest element that holds no other content image."""
        return self.containers[-1] if self.containers else self.node

    @property
    def run(self) -> Box | None:
        """The box around `outermost`, in which other images stand too; None at the root."""
        return self.outermost.parent


def image_units(texts: UsableTexts) -> list[ImageUnit]:
    """Returns the units of a page in document order. Each content image is in one of them."""
    units: list[ImageUnit] = []
    content = [image for image in texts.tree.images if image.number >= 0]
    items = _Items(texts.tree)
    place = 0
    while place < len(content):
        unit = _unit(content, place, texts, items)
        units.append(unit)
        place += len(unit.images)
    return units


def _unit(content: list[PageImage], place: int, texts: UsableTexts, items: "_Items") -> ImageUnit:
    image = content[place]
    node: Box | PageImage = image
    box: Box | None = image.parent
    first, last = image.text_number, image.text_number
    while (
        box is not None
        and box.tag not in {"html", "body"}
        and not _has_usable(box, first, last, texts)
    ):
        node, first, last = box, box.first_text, box.last_text
        box = box.parent
    images = [image]
    if isinstance(node, Box):
        # Without an image, the loop over the units would never end.
        images = content[node.first_content : node.last_content] or images
    containers: list[Box] = []
    while box is not None and box.tag != "html" and box.image_count == len(images):
        containers.append(box)
        if items.include(box):
            break
        box = box.parent
    return ImageUnit(images, node, containers)


class _Items:
    """Finds the items of lists of which others have no image: the list is not about the image of
    one item."""

    def __init__(self, tree: PageTree) -> None:
        self._tree = tree
        self._beside: dict[int, dict[str, int]] = {}

    def include(self, box: Box) -> bool:
        """Whether a box with an image is such an item."""
        if box.parent is None:
            return False
        key = id(box.parent)
        if key not in self._beside:
            self._beside[key] = shapes_without_image(box.parent)
        return is_item(self._tree, box, self._beside[key])


def shapes_without_image(outer: Box) -> dict[str, int]:
    """Returns the shapes of the boxes in a box that have text and no image, each with its most
    blocks of text."""
    found: dict[str, int] = {}
    for one in outer.children:
        if isinstance(one, Box) and one.text_count and not one.image_count:
            found[shape(one)] = max(one.text_count, found.get(shape(one), 0))
    return found


def is_item(tree: PageTree, box: Box, without_image: Mapping[str, int]) -> bool:
    """Whether a box with an image is one of several items of which another, among
    `without_image`, has text alone."""
    if box.tag in _ITEMS:
        least = 1
    elif box.tag in _BOXES and box.classes[0] != " ":
        # With one text it is a paragraph.
        least = 2
    else:
        return False
    if box.text_count < least or without_image.get(shape(box), 0) < least:
        return False
    return tree.han(box) >= MIN_ITEM_HAN


def _has_usable(box: Box, first: int, last: int, texts: UsableTexts) -> bool:
    """Whether a box has usable text outside the range that was examined already."""
    return texts.has_any(box.first_text, first) or texts.has_any(last, box.last_text)


def has_text_beside(box: Box, inner: Box | PageImage, texts: UsableTexts) -> bool:
    """Whether a box has usable text before or after an element inside it."""
    first, last = text_range(inner)
    return texts.has_any(last, box.last_text) or texts.has_any(box.first_text, first)


def text_range(inner: Box | PageImage) -> tuple[int, int]:
    """Returns the number of the first block of an element and of the first one after it."""
    if isinstance(inner, Box):
        return inner.first_text, inner.last_text
    return inner.text_number, inner.text_number
