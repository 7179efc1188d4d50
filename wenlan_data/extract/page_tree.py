"""The visible structure of a page: boxes, blocks of text and images, in document order.

Inline elements have no box of their own, unless an image stands in them: a link around an image
and its title is a box, as a `div` would be. A block of text is a run of text between two borders of
boxes, images or, beside an image, line breaks.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice

from wenlan_data.clean.characters import HAN
from wenlan_data.clean.emoticons import without_emoticons
from wenlan_data.extract.data_uris import is_small_data_uri
from wenlan_data.extract.html import Element, Page, ancestors, attribute
from wenlan_data.extract.image_urls import background_addresses, image_addresses, is_data_uri
from wenlan_data.extract.single_line import single_line
from wenlan_data.records import Drop

MAX_NODES = 200_000
"""Of one page; the rest is left out. 10 MB of markup can hold some millions."""
MAX_IMAGE_ELEMENTS = 20_000
"""Of one page, with emoticons; the rest is left out."""
MAX_IMAGES = 2_000
"""Of one page, without emoticons; the rest is left out."""
MAX_CONTENT_IMAGES = 400
"""Of one page, for which texts are searched; twice as many as are kept of a page."""
MAX_BOX_DEPTH = 512
"""Boxes around a box; the deeper ones are taken as part of it. Blink nests no more elements, and the
decisions about an image walk over all boxes around it."""
MAX_INLINE_DEPTH = 32
"""Inline elements of a text that are kept, from the outside in, since each text has a list of its
own. Old pages that never close their `font` elements have some tens."""
MIN_SHARED = 3
"""Images whose first address is the same, before it counts as a placeholder."""
MAX_NOSCRIPT_LEVELS = 6
"""Boxes around an image, of which one may be a `<noscript>`."""
MAX_SYMBOL_PX = 40
"""An image that its page shows at this width or less is a symbol in a line of text."""

HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset(
    """address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
    footer form frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol p plaintext
    search section summary table tbody td tfoot th thead tr ul""".split()
)
_SKIPPED = frozenset(
    """head script style template svg math textarea select option iframe object embed video audio canvas pre map
    datalist title""".split()
)
_IMAGE_TAGS = frozenset({"img", "amp-img"})
# The words on controls are the page's own. An image in a button opens its larger copy.
_MUTE = frozenset({"button", "label", "sup", "input"})
# Whether text and images of an element count, images alone, images apart from the texts around it, or
# nothing.
_READ, _MUTED, _APART, _SKIP = range(4)
# What an element is to the tree; one that is not listed stands in a line of text.
_SKIPPED_ELEMENT, _EMPTY_ELEMENT, _BLOCK_ELEMENT, _INLINE_ELEMENT = range(4)
_KINDS = {
    **dict.fromkeys(_BLOCKS, _BLOCK_ELEMENT),
    **dict.fromkeys(_SKIPPED, _SKIPPED_ELEMENT),
    **dict.fromkeys((*_IMAGE_TAGS, "br", "hr"), _EMPTY_ELEMENT),
}
_BACKGROUND_SELECTOR = (
    "[style*=background i], [data-bg], [data-background], [data-background-image], [data-bg-src], "
    "[data-original]:not(img), [data-src]:not(img)"
)
_HIDDEN_SELECTOR = "[style*=position i]"
_STYLE_WIDTH = re.compile(r"(?<![\w-])width\s*:\s*(\d{1,4}(?:\.\d{1,4})?)px", re.IGNORECASE)
MAX_STYLE_CHARACTERS = 500
_EMPTY_LINE = re.compile(r"\n[^\S\n]*\n")
_HAN_RUN = re.compile(f"[{HAN}]+")
_BACKGROUND_WORDS = (b"background", b"data-bg", b"data-original", b"data-src")
"""Each element of `_BACKGROUND_SELECTOR` has one of these in its source."""
_WORD = re.compile(r"[^\W_]")
# Links at the end of a text: the sign of a heading's address, the source, edit links of wikis.
_LINK_SIGNS = frozenset("#¶§🔗") | {
    "",
    "\u200b",
    "来源",
    "來源",
    "出处",
    "原文",
    "链接",
    "查看原图",
    "详情",
    "编辑",
}
_LINK_SPACE = " \t\r\n\u200b\u3000[]［］()（）"
_EDIT_LINK = re.compile(
    r"[\[［〔]\s*(?:(?:编辑|編輯|编辑源代码|編輯原始碼|edit)[^\]］〕]{0,12}"
    r"|(?:来源|來源|出处|原文|链接|#|¶)\s*)[\]］〕]"
)
_EMOTICON_NAME = re.compile(
    r"(?:emoji|emoticon|emotion|smil(?:ey|ie|e)|bqimg)s?"
    r"[-_]?(?:icon|image|[a-z]{1,3})?\d*(?=\s|\Z)",
    re.IGNORECASE,
)
_EMOTICON_ATTRIBUTE = re.compile(r"emoji|emoticon|smil(?:ey|ie)", re.IGNORECASE)
# [哈哈] in brackets of any width, /呲牙 of QQ, :smile: of forums.
_EMOTICON_ALT = re.compile(r"[\[［](?P<name>.{1,8})[\]］]\Z|/(?P<slash>[\u4e00-\u9fff]{1,4})\Z")
# [提示]: the icons of notes in manuals that DocBook made.
_ADMONITIONS = frozenset("注意 提示 警告 重要 小心 注 Note Tip Warning Important Caution".split())
_SHORTCODE = re.compile(r":[a-z0-9_+-]{2,24}:\Z")
MAX_NAMES_CHARACTERS = 500
MAX_EMOTICON_CHARACTERS = 26
MAX_EMOTICON_PX = 120
"""An image that its page shows at this size or more is none, whatever its name is."""


class Box:
    """An element that is a container: a block, or an inline element around an image."""

    # Defaults of the class, so that making a box sets no more than what it is made of: there are a
    # hundred on a page.
    heading = 0
    """1 to 6 inside a heading, else 0."""
    last_text = 0
    """Its blocks of text are those with first_text <= number < last_text."""
    last_image = 0
    """The same for all its images."""
    first_content = 0
    last_content = 0
    """The same for its content images, by their numbers."""
    depth = 0
    """Number of boxes around it."""
    is_secondary: bool | None = None
    """Whether it stands in navigation or the like; None until `page_regions` decides."""
    region = ""
    """What named the navigation or the like in which it stands."""
    _attributes: Mapping[str, str | None] | None = None
    _classes: str | None = None
    known_shape: str | None = None
    """Its `shape`, once that was computed."""
    _number_among_alike = -1
    _image_shapes: dict[str, int] | None = None

    def __init__(
        self, tag: str, element: Element, parent: "Box | None", first_text: int, first_image: int
    ) -> None:
        self.tag = tag
        self.element = element
        self.parent = parent
        self.children: list[Box | TextBlock | PageImage] = []
        self.first_text = first_text
        self.first_image = first_image

    @property
    def attributes(self) -> Mapping[str, str | None]:
        """Attributes of its element. The parser builds a new mapping at each access."""
        if self._attributes is None:
            self._attributes = self.element.attributes
        return self._attributes

    @property
    def classes(self) -> str:
        """Values of `class` and `id`, with a space between them."""
        if self._classes is None:
            attributes = self.attributes
            self._classes = f"{attributes.get('class') or ''} {attributes.get('id') or ''}"
        return self._classes

    @property
    def number_among_alike(self) -> int:
        """Number of boxes of its shape before it in the box around it."""
        if self._number_among_alike < 0:
            # All at once: counting the boxes before each one takes quadratic time.
            counts: dict[str, int] = {}
            for child in self.parent.children if self.parent is not None else ():
                if isinstance(child, Box):
                    child._number_among_alike = counts.get(shape(child), 0)
                    counts[shape(child)] = child._number_among_alike + 1
        return max(0, self._number_among_alike)

    @property
    def image_shapes(self) -> Mapping[str, int]:
        """Number of the boxes directly in it that hold images, content or not, by their shape."""
        if self._image_shapes is None:
            # Once for all of them, as above.
            counts: dict[str, int] = {}
            for child in self.children:
                if isinstance(child, Box) and child.last_image > child.first_image:
                    counts[shape(child)] = counts.get(shape(child), 0) + 1
            self._image_shapes = counts
        return self._image_shapes

    @property
    def image_count(self) -> int:
        """Number of content images."""
        return self.last_content - self.first_content

    @property
    def text_count(self) -> int:
        """Number of blocks of text."""
        return self.last_text - self.first_text


class TextBlock:
    """A run of text without a border inside. Its properties are computed when they are read, since
    most blocks of a page are never near an image."""

    heading = 0
    blank_before = False
    """Whether an empty line comes before it."""
    begins_line = True
    ends_line = True
    """False where it continues on the other side of an image without a line break."""
    _text: str | None = None
    _han = -1
    _links: tuple[Element, ...] | None = None

    def __init__(
        self, raw: str, pieces: "Sequence[_Piece]", link_characters: int, parent: "Box", number: int
    ) -> None:
        self.raw = raw
        """Its characters as the page has them."""
        self.link_characters = link_characters
        """Number of its characters inside links."""
        self.parent = parent
        self.number = number
        self._pieces = pieces

    @property
    def text(self) -> str:
        """Its characters on one line, without edit links."""
        if self._text is None:
            raw = self.raw
            has_bracket = "[" in raw or "［" in raw or "〔" in raw
            self._text = single_line(_EDIT_LINK.sub("", raw) if has_bracket else raw)
        return self._text

    @property
    def han(self) -> int:
        """Number of Han characters."""
        if self._han < 0:
            self._han = count_han(self.raw)
        return self._han

    @property
    def wrappers(self) -> tuple[Element, ...]:
        """Inline elements around the whole run, from the outside in."""
        if len(self._pieces) == 1:
            return self._pieces[0][1]
        worded = [inline for text, inline, _ in self._pieces if not text.isspace()]
        common = worded[0]
        for inline in worded[1:]:
            common = _common_prefix(common, inline)
        return common

    @property
    def classes(self) -> str:
        """Class names of the innermost element around its beginning."""
        inline = self._pieces[0][1]
        return attribute(inline[-1], "class") if inline else self.parent.classes

    @property
    def links(self) -> tuple[Element, ...]:
        """Links that hold a part of it, or in which it stands."""
        if self._links is None:
            links: dict[int, Element] = {}
            if self.link_characters:
                links = {one.mem_id: one for one in _link_boxes(self.parent)}
                for _, inline, _ in self._pieces:
                    links.update((one.mem_id, one) for one in inline if one.tag == "a")
            self._links = tuple(links.values())
        return self._links


@dataclass(slots=True, eq=False)
class PageImage:
    """An image of a page. `reason` states why it is no content; None for a content image."""

    element: Element
    parent: Box
    addresses: tuple[str, ...]
    """URLs as written, the largest copy first; one at least."""
    text_number: int
    """Number of blocks of text before it."""
    attributes: Mapping[str, str | None]
    number: int = -1
    """Place among the content images; -1 for another image."""
    reason: Drop | None = None
    is_symbol: bool = False
    """Whether it stands in a line of text, like an emoticon."""
    is_apart: bool = False
    """Whether it stands in an element whose text is none of the page, such as a listing."""
    blank_before: bool = False
    """Whether an empty line comes before it."""
    copies: list[Element] = field(default_factory=list)
    """Elements beside it with the same address, as in `<noscript>`."""

    @property
    def address(self) -> str:
        """URL of the largest copy."""
        return self.addresses[0]


class PageTree:
    """A page: its boxes from the outside in, its blocks of text and its images."""

    def __init__(
        self,
        root: Box,
        texts: list[TextBlock],
        images: list[PageImage],
        boxes: list[Box],
        title: str,
        *,
        hidden_images: list[PageImage],
        left_out: str,
    ) -> None:
        self.root = root
        self.title = title
        self.texts = texts
        self.images = images
        """All images in document order, content or not, without hidden ones."""
        self.hidden_images = hidden_images
        """Images of menus that appear over the page. They stand in no box."""
        self.left_out = left_out
        """Which images were left out, such as `more than 2,000 images: the rest is left out`; empty
        for none."""
        self._boxes = boxes
        self._boxes_by_tag: dict[str, list[Box]] = {}
        self._shapes: dict[str, Counter[str]] = {}
        self._han: list[int] = []
        self._linked_han: list[int] = []
        self._running_han: dict[int, dict[str, int]] = {}

    def han(self, box: Box) -> int:
        """Number of Han characters in a box."""
        if not self._han:
            self._count_han()
        return self._han[box.last_text] - self._han[box.first_text]

    def linked_han(self, box: Box) -> int:
        """Number of Han characters in a box in texts that consist of links."""
        if not self._han:
            self._count_han()
        return self._linked_han[box.last_text] - self._linked_han[box.first_text]

    def running_han(self, box: Box) -> int:
        """Number of Han characters in a box in texts that are no links."""
        return self.han(box) - self.linked_han(box)

    def running_han_alike(self, box: Box) -> int:
        """Number of Han characters in texts that are no links, in a box and those of its shape
        beside it."""
        if box.parent is None:
            return self.running_han(box)
        counts = self._running_han.get(id(box.parent))
        if counts is None:
            counts = self._running_han[id(box.parent)] = {}
            for one in box.parent.children:
                if isinstance(one, Box):
                    counts[shape(one)] = counts.get(shape(one), 0) + self.running_han(one)
        return counts[shape(box)]

    def count_alike(self, box: Box) -> int:
        """Number of boxes of the page with the shape of this one, itself included."""
        if not self._boxes_by_tag:
            for one in self._boxes:
                self._boxes_by_tag.setdefault(one.tag, []).append(one)
        # Most callers pass the only `header` or `footer` of the page: only the boxes with
        # the same tag are counted.
        counts = self._shapes.get(box.tag)
        if counts is None:
            counts = Counter([shape(one) for one in self._boxes_by_tag[box.tag]])
            self._shapes[box.tag] = counts
        return counts[shape(box)]

    def texts_of(self, box: Box) -> list[TextBlock]:
        """The blocks of text of a box."""
        return self.texts[box.first_text : box.last_text]

    def number_images(self) -> None:
        """Numbers the images without a `reason` that may have a text, and counts those of each box."""
        before = [0]
        for image in self.images:
            is_content = not (image.reason or image.is_symbol or image.is_apart)
            is_content = is_content and before[-1] < MAX_CONTENT_IMAGES
            image.number = before[-1] if is_content else -1
            before.append(before[-1] + (image.number >= 0))
        for box in self._boxes:
            if box.last_image > box.first_image:
                box.first_content = before[box.first_image]
                box.last_content = before[box.last_image]

    def close(self) -> None:
        """Frees its memory at once: boxes and their children refer to each other, so that it would
        stay until a run of the garbage collector. The tree cannot be used afterwards."""
        for box in self._boxes:
            box.children.clear()

    def _count_han(self) -> None:
        # Sums before each block, so that the number of any box is one subtraction.
        han = linked = 0
        self._han.append(0)
        self._linked_han.append(0)
        for block in self.texts:
            han += block.han
            linked += block.han if 2 * block.link_characters > len(block.raw) else 0
            self._han.append(han)
            self._linked_han.append(linked)


def count_han(text: str) -> int:
    """Returns the number of Han characters of a text."""
    return len("".join(_HAN_RUN.findall(text)))


def shape(box: Box) -> str:
    """Returns the tag and the first class of a box, which the items of a list share."""
    if box.known_shape is None:
        box.known_shape = f"{box.tag}.{(box.attributes.get('class') or '').split(' ', 1)[0]}"
    return box.known_shape


def page_tree(page: Page) -> PageTree:
    """Builds the tree of a page. Call `number_images` once the reasons of its images are set."""
    return _Builder(page).build()


_Piece = tuple[str, tuple[Element, ...], bool]
"""Text, inline elements around it, whether it is in a link."""
_Frame = tuple[int, Box, tuple[Element, ...], int, bool, bool]
_BREAK: _Piece = ("\n", (), False)


class _Builder:
    def __init__(self, page: Page) -> None:
        self._page = page
        self._texts: list[TextBlock] = []
        self._images: list[PageImage] = []
        self._pending: list[_Piece] = []
        self._boxes: list[Box] = []
        self._after_image = False
        self._blank = False
        self._breaks = 0
        """Line breaks since the last text or image."""
        self._hidden: list[PageImage] = []
        self._left_out = ""
        self._seen = 0
        """Number of images, and elements with a background image, that the walk has reached."""
        found = page.css("img, amp-img")
        images = found[:MAX_IMAGE_ELEMENTS]
        if len(found) > len(images):
            self._leave_out(MAX_IMAGE_ELEMENTS, "images")
        self._attributes = {image.mem_id: image.attributes for image in images}
        in_small_boxes = _in_small_boxes(images, self._attributes)
        self._symbols = {
            one: one in in_small_boxes or _is_symbol(values)
            for one, values in self._attributes.items()
        }
        # A search in the source takes a fifth of the time of a selector.
        source = page.raw_html.lower()
        has_background = any(word in source for word in _BACKGROUND_WORDS)
        tiles = _background_tiles(page, images) if has_background else []
        content = [image for image in images if not self._symbols[image.mem_id]]
        if len(content) + len(tiles) > MAX_IMAGES:
            self._leave_out(MAX_IMAGES, "images")
            content, tiles = content[:MAX_IMAGES], tiles[: max(0, MAX_IMAGES - len(content))]
        symbols = [image for image in images if self._symbols[image.mem_id]]
        self._addresses = _addresses([*content, *symbols])
        self._backgrounds = {node.mem_id: addresses for node, addresses in tiles}
        self._popups: set[int] = set()
        self._lined: set[int] = set()
        """Boxes in which empty lines of the source part texts."""
        if b"position" in source:
            self._popups = {one.mem_id for one in page.css(_HIDDEN_SELECTOR) if _is_popup(one)}
        self._with_image = _ids_around_images([*content, *(node for node, _ in tiles)])

    def build(self) -> PageTree:
        page_root = self._page.root
        assert page_root is not None
        root = Box("html", page_root, None, 0, 0)
        if self._symbols or self._backgrounds:
            body = self._page.body
            # The head has no text that is shown. Without a body, the walk begins after the root.
            nodes: Iterator[Element] = (page_root if body is None else body).traverse(
                include_text=True
            )
            nodes = nodes if body is not None else islice(nodes, 1, None)
            self._read(islice(nodes, MAX_NODES), root)
            is_missed = self._seen < len(self._addresses) + len(self._backgrounds)
            if is_missed and next(nodes, None) is not None:
                self._leave_out(MAX_NODES, "elements")
        title = self._page.css_first("title") if len(self._images) > 1 else None
        words = title.text() if title is not None else ""
        return PageTree(
            root,
            self._texts,
            self._images,
            self._boxes,
            words,
            hidden_images=self._hidden,
            left_out=self._left_out,
        )

    def _leave_out(self, limit: int, what: str) -> None:
        self._left_out = self._left_out or f"more than {limit:,} {what}: the rest is left out"

    def _read(self, nodes: Iterator[Element], root: Box) -> None:
        # Of each open element: its id; the box that takes its text; inline elements between box and
        # text; whether text counts, only images do, or nothing does; whether it is in a link; whether
        # the box is its own.
        frame: _Frame = (root.element.mem_id, root, (), _READ, False, True)
        stack = [frame]
        pending = self._pending
        for node in nodes:
            tag = node.tag or ""
            text = ""
            if tag == "-text":
                text = node.text_content or ""
                # White space matters between words alone. Four of ten nodes are white space between
                # blocks: the elements that end before it are closed at the next node.
                if not text or (not pending and text.isspace()):
                    continue
            parent = node.parent
            parent_id = parent.mem_id if parent is not None else 0
            while frame[0] != parent_id and len(stack) > 1:
                if frame[5]:
                    self._close(frame[1])
                stack.pop()
                frame = stack[-1]
            if text:
                if frame[3] == _READ and (pending or not text.isspace()):
                    self._add_characters(text, frame)
                continue
            frame = self._open(node, tag, frame)
            stack.append(frame)
        for frame in reversed(stack):
            if frame[5]:
                self._close(frame[1])

    def _open(self, node: Element, tag: str, outer: _Frame) -> _Frame:
        """Adds what an element is to the tree; returns its frame."""
        _, box, inline, level, is_linked, _ = outer
        node_id = node.mem_id
        if level == _SKIP or node_id in self._popups:
            self._add_apart(node, tag, box, self._hidden)
            return (node_id, box, inline, _SKIP, is_linked, False)
        kind = _KINDS.get(tag, _INLINE_ELEMENT)
        if level == _APART or kind == _SKIPPED_ELEMENT:
            self._add_apart(node, tag, box, self._images)
            return (node_id, box, inline, _APART, is_linked, False)
        if kind == _EMPTY_ELEMENT:
            self._add_empty(node, tag, box)
            return (node_id, box, inline, _SKIP, is_linked, False)
        if tag in _MUTE:
            level = _MUTED
        is_linked = is_linked or tag == "a"
        if kind == _BLOCK_ELEMENT or node_id in self._with_image:
            inner = self._add_box(node, tag, box)
            return (node_id, inner, (), level, is_linked, inner is not box)
        if len(inline) < MAX_INLINE_DEPTH:
            inline = (*inline, node)
        elif tag == "a":
            # `TextBlock.links` needs the innermost link.
            inline = (*inline[:-1], node)
        return (node_id, box, inline, level, is_linked, False)

    def _has_empty_lines(self, text: str, frame: _Frame) -> bool:
        """Whether empty lines part texts, as in the posts of a BBS: in bare text beside images that
        has some inside, and in the text that follows in the same box."""
        box_id = frame[1].element.mem_id
        if frame[2] or box_id not in self._with_image:
            return False
        if box_id not in self._lined and _EMPTY_LINE.search(text.strip()):
            self._lined.add(box_id)
        return box_id in self._lined

    def _add_characters(self, text: str, frame: _Frame) -> None:
        if "\n" not in text or not self._has_empty_lines(text, frame):
            self._add_piece(text, frame[2], frame[4])
            return
        for number, part in enumerate(_EMPTY_LINE.split(text)):
            if number:
                self._add_break()
                self._add_break()
            if part and not part.isspace():
                self._add_piece(part, (), frame[4])

    def _add_break(self) -> None:
        self._after_image = False
        self._breaks += 1
        if self._pending:
            self._pending.append(_BREAK)

    def _add_piece(self, text: str, inline: tuple[Element, ...], is_linked: bool) -> None:
        if not self._pending:
            self._blank, self._breaks = self._breaks > 1, 0
        elif not text.isspace():
            self._breaks = 0
        self._pending.append((text, inline, is_linked))

    def _add_empty(self, node: Element, tag: str, box: Box) -> None:
        if tag == "br":
            self._add_break()
        elif tag == "hr":
            rule = self._add_box(node, tag, box)
            if rule is not box:
                self._close(rule)
        else:
            self._add_image(node, box)

    def _add_box(self, node: Element, tag: str, outer: Box) -> Box:
        """Adds the box of an element; returns the one around it if that is too deep."""
        if self._pending:
            self._flush(outer)
        box = outer
        if outer.depth < MAX_BOX_DEPTH:
            box = Box(tag, node, outer, len(self._texts), len(self._images))
            box.depth = outer.depth + 1
            if outer.heading or tag in HEADINGS:
                box.heading = HEADINGS.get(tag) or outer.heading
            outer.children.append(box)
        if self._backgrounds and node.mem_id in self._backgrounds:
            self._seen += 1
            self._place(PageImage(node, box, self._backgrounds[node.mem_id], 0, {}), box)
        return box

    def _close(self, box: Box) -> None:
        if self._pending:
            self._flush(box)
        box.last_text, box.last_image = len(self._texts), len(self._images)
        self._boxes.append(box)

    def _add_image(self, node: Element, box: Box) -> None:
        image = self._image(node, box)
        if image is None:
            return
        if image.is_symbol:
            self._images.append(image)
        else:
            self._place(image, box)

    def _add_apart(self, node: Element, tag: str, box: Box, images: list[PageImage]) -> None:
        """Adds an image that stands in no box."""
        if tag in _IMAGE_TAGS:
            image = self._image(node, box)
        elif addresses := self._backgrounds.get(node.mem_id):
            self._seen += 1
            image = PageImage(node, box, addresses, len(self._texts), {})
            if tag == "svg" and images is self._images and next(node.iter(), None) is None:
                # Articles of WeChat show images as backgrounds of empty drawings.
                self._place(image, box)
                return
        else:
            return
        if image is not None:
            image.is_apart = True
            images.append(image)

    def _image(self, node: Element, box: Box) -> PageImage | None:
        """The image of an element; None for one without an address, or left out."""
        addresses = self._addresses.get(node.mem_id)
        self._seen += addresses is not None
        if not addresses or (is_data_uri(addresses[0]) and is_small_data_uri(addresses[0])):
            return None
        return PageImage(
            node,
            box,
            addresses,
            len(self._texts),
            self._attributes[node.mem_id],
            is_symbol=self._symbols[node.mem_id],
        )

    def _place(self, image: PageImage, box: Box) -> None:
        if self._pending:
            ends_line = self._pending[-1] is _BREAK
            self._flush(box)
            if self._texts and box.children and box.children[-1] is self._texts[-1]:
                self._texts[-1].ends_line = ends_line
        image.text_number = len(self._texts)
        image.blank_before, self._breaks = self._breaks > 1, 0
        last = self._images[-1] if self._images else None
        if last and last.text_number == image.text_number and _is_copy(image, last):
            last.copies.append(image.element)
            return
        self._images.append(image)
        box.children.append(image)
        self._after_image = True

    def _flush(self, box: Box) -> None:
        pieces = self._pending.copy()
        self._pending.clear()
        blank, self._blank = self._blank, False
        if len(pieces) == 1:
            self._add_text(pieces, box, blank)
            return
        beside_image = box.element.mem_id in self._with_image
        if not beside_image and not any(piece is _BREAK or piece[2] for piece in pieces):
            # Neither a line break nor a link splits it.
            self._add_text(pieces, box, blank)
            return
        for run, is_blank in _runs(pieces, beside_image):
            self._add_text(run, box, blank or is_blank)
            blank = False

    def _add_text(self, pieces: list[_Piece], box: Box, blank: bool) -> None:
        if len(pieces) > 1 or pieces[0][1]:
            linked = [piece for piece in pieces if piece[2]]
            if linked and any(map(_is_permalink, linked)):
                pieces = _without_permalinks(pieces)
                linked = [piece for piece in pieces if piece[2]]
            raw = "".join([piece[0] for piece in pieces])
            link_characters = sum([len(piece[0]) for piece in linked]) if linked else 0
        else:
            raw, _, is_linked = pieces[0]
            link_characters = len(raw) if is_linked else 0
        if not _WORD.search(raw):
            return
        block = TextBlock(raw, pieces, link_characters, box, len(self._texts))
        if box.heading:
            block.heading = box.heading
        if blank:
            block.blank_before = True
        if self._after_image:
            if box.children and isinstance(box.children[-1], PageImage):
                block.begins_line = False
            self._after_image = False
        self._texts.append(block)
        box.children.append(block)


def _link_boxes(box: Box) -> Iterator[Element]:
    """The link that a box is, or stands in."""
    one: Box | None = box
    for _ in range(6):
        if one is None:
            return
        if one.tag == "a":
            yield one.element
            return
        one = one.parent


def _addresses(images: Sequence[Element]) -> dict[int, tuple[str, ...]]:
    """The addresses of each image, by its id.

    An address that several images name first, and that have others, is that of their placeholder.
    """
    found = {image.mem_id: image_addresses(image) for image in images}
    counts = Counter(addresses[0] for addresses in found.values() if len(addresses) > 1)
    shared = {address for address, count in counts.items() if count >= MIN_SHARED}
    if shared:
        for one, addresses in found.items():
            kept = tuple(address for address in addresses if address not in shared)
            found[one] = kept or addresses
    return found


def _is_copy(image: PageImage, last: PageImage) -> bool:
    """Whether an image is the one before it again: the copy in `<noscript>` of an image that a
    script loads, or one in the same block."""
    if image.address not in last.addresses:
        return False
    for one, other in ((image, last), (last, image)):
        place = _place_of_noscript(one)
        if place is not None:
            return _holds(place, other.parent)
    return _block_around(image.parent) is _block_around(last.parent)


def _place_of_noscript(image: PageImage) -> Box | None:
    """The box around the `<noscript>` in which an image stands; None if it stands in none."""
    box: Box | None = image.parent
    for _ in range(MAX_NOSCRIPT_LEVELS):
        if box is None or box.tag == "noscript":
            return box.parent if box is not None else None
        box = box.parent
    return None


def _holds(outer: Box, box: Box) -> bool:
    one: Box | None = box
    while one is not None and one.depth > outer.depth:
        one = one.parent
    return one is outer


def _block_around(box: Box) -> Box:
    """The smallest box around an image that is no link or other inline element."""
    while box.parent is not None and box.tag not in _BLOCKS:
        box = box.parent
    return box


def _background_tiles(
    page: Page, images: Sequence[Element]
) -> list[tuple[Element, tuple[str, ...]]]:
    """Elements whose background is an image of a gallery, with its addresses.

    One background decorates the page; elements alike with different backgrounds are a gallery.
    """
    groups: dict[str, list[tuple[Element, tuple[str, ...]]]] = defaultdict(list)
    # A search in each element would take a time that grows with the square of their depth.
    around_images = _ids_around_images(images)
    for node in page.css(_BACKGROUND_SELECTOR)[:MAX_IMAGE_ELEMENTS]:
        tag = node.tag or ""
        if tag in {"body", "html", "img", "amp-img", "source", "picture"}:
            continue
        if (addresses := background_addresses(node)) and node.mem_id not in around_images:
            groups[f"{tag}.{attribute(node, 'class').split(' ', 1)[0]}"].append((node, addresses))
    return [
        one
        for group in groups.values()
        if len({addresses[0] for _, addresses in group}) > 1
        for one in group
    ]


def _ids_around_images(images: Sequence[Element]) -> set[int]:
    """Ids of the elements around images, and of those that have one as a background."""
    found: set[int] = set()
    for image in images:
        found.add(image.mem_id)
        for node in ancestors(image):
            if node.mem_id in found:
                break
            found.add(node.mem_id)
    return found


def _is_popup(node: Element) -> bool:
    """Whether an element is a menu that appears over the page, as those over images of forums. A
    hidden element in the page itself may be the next slide."""
    style = "".join((node.attributes.get("style") or "").lower().split())
    return "display:none" in style and ("position:absolute" in style or "position:fixed" in style)


def _is_symbol(attributes: Mapping[str, str | None]) -> bool:
    """Whether an image stands in a line of text as a character would: an emoticon, a small icon."""
    sides = [_pixels(attributes.get(name)) for name in ("width", "height")]
    known = [side for side in sides if side is not None]
    if known and max(known) <= MAX_SYMBOL_PX:
        return True
    if known and min(known) >= MAX_EMOTICON_PX:
        return False
    if _EMOTICON_NAME.search((attributes.get("class") or "")[:MAX_NAMES_CHARACTERS]):
        return True
    if any(map(_EMOTICON_ATTRIBUTE.search, attributes)):
        return True
    return any(_is_emoticon(attributes.get(name) or "") for name in ("alt", "title"))


def _in_small_boxes(
    images: Sequence[Element], attributes: Mapping[int, Mapping[str, str | None]]
) -> set[int]:
    """Ids of images without a size of their own in an element that is as wide as a symbol by its
    style. A cell of a table is as wide as what it holds, at least."""
    small: dict[int, bool] = {}
    found: set[int] = set()
    for image in images:
        box = image.parent
        own = attributes[image.mem_id]
        if box is None or box.tag in {"td", "th"} or own.get("width") or own.get("height"):
            continue
        if (is_small := small.get(box.mem_id)) is None:
            width = _STYLE_WIDTH.search(attribute(box, "style")[:MAX_STYLE_CHARACTERS])
            is_small = width is not None and 0 < float(width[1]) <= MAX_SYMBOL_PX
            small[box.mem_id] = is_small
        if is_small:
            found.add(image.mem_id)
    return found


def _is_emoticon(words: str) -> bool:
    """Whether an `alt` or `title` is the name of an emoticon, as social sites write it."""
    words = words.strip()
    if len(words) > MAX_EMOTICON_CHARACTERS:
        return False
    if _SHORTCODE.match(words):
        return True
    match = _EMOTICON_ALT.match(words)
    if match is None:
        return False
    name = match["name"] or match["slash"]
    return name in _ADMONITIONS or not without_emoticons(f"[{name}]").strip()


@lru_cache(maxsize=1024)
def _pixels(value: str | None) -> int | None:
    match = re.match(r"\s*(\d{1,5})\s*(?:px)?\s*\Z", value or "")
    return int(match[1]) if match else None


def _runs(pieces: list[_Piece], beside_image: bool) -> Iterator[tuple[list[_Piece], bool]]:
    """Splits the text between two borders into blocks, each with whether an empty line comes before
    it.

    Beside an image a line break ends a block, elsewhere an empty line does.
    """
    run: list[_Piece] = []
    breaks, blank = 0, False
    for piece in pieces:
        if piece is _BREAK:
            breaks += 1
            continue
        if piece[0].isspace():
            run.append(piece)
            continue
        if breaks and run and (beside_image or breaks > 1):
            for part in _spans(run, beside_image):
                yield part, blank
                blank = False
            run, blank = [], breaks > 1
        elif breaks:
            run.append((" ", (), False))
        breaks = 0
        run.append(piece)
    for part in _spans(run, beside_image) if run else ():
        yield part, blank
        blank = False


def _spans(run: list[_Piece], beside_image: bool) -> Iterator[list[_Piece]]:
    """Splits a run into its elements where it consists of elements with different classes alone.

    The date and the name under an image are often two `span`s that CSS puts on lines of their own.
    """
    worded = [inline for text, inline, _ in run if not text.isspace()]
    tops = [inline[0] for inline in worded if inline]
    if (
        len(tops) < len(worded)
        or len({one.mem_id for one in tops}) < 2
        or not (beside_image or any(one.tag == "a" for inline in worded for one in inline))
        or not all(attribute(one, "class") for one in {one.mem_id: one for one in tops}.values())
    ):
        yield run
        return
    part: list[_Piece] = []
    current = 0
    for text, inline, is_linked in run:
        top = inline[0].mem_id if inline else current
        if part and top != current and text.strip():
            yield part
            part = []
        current = top
        part.append((text, inline, is_linked))
    if part:
        yield part


def _without_permalinks(pieces: list[_Piece]) -> list[_Piece]:
    kept: list[_Piece] = []
    for piece in pieces:
        # One in brackets stays until `TextBlock.text` removes it with the brackets.
        is_bracketed = bool(kept) and kept[-1][0].rstrip().endswith(("[", "［", "〔"))
        if is_bracketed or not _is_permalink(piece):
            kept.append(piece)
    return kept


def _is_permalink(piece: _Piece) -> bool:
    text, inline, _ = piece
    return bool(inline) and inline[-1].tag == "a" and text.strip(_LINK_SPACE) in _LINK_SIGNS


def _common_prefix(one: tuple[Element, ...], other: tuple[Element, ...]) -> tuple[Element, ...]:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left.mem_id != right.mem_id:
            break
        length += 1
    return one[:length]
