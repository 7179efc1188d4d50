"""The texts that stand by a picture: its caption, its paragraph, the paragraphs and the heading before it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from wenlan_data.extract.html import Element, ancestors, attribute
from wenlan_data.records import Text

MAX_TEXT_CHARACTERS = 500
"""Of a text that surrounds a picture; it ends at a sentence's end before that, where there is one."""
MAX_CAPTION_CHARACTERS = 300
MAX_BLOCKS_AWAY = 12
"""How many blocks before and after a picture are looked at."""

_PAGE_CONTAINERS = frozenset({"body", "html", "main", "article", "table", "ul", "ol"})
_NAVIGATION_TAGS = frozenset({"nav", "footer", "aside"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
PARAGRAPHS = frozenset(
    {"p", "li", "dd", "dt", "td", "th", "blockquote", "pre", "figcaption", "address"}
)
_INLINE_TAGS = frozenset(
    {
        *(
            "a",
            "abbr",
            "b",
            "big",
            "center",
            "cite",
            "code",
            "em",
            "font",
            "i",
            "ins",
            "label",
            "mark",
            "picture",
            "q",
        ),
        *("s", "small", "span", "strong", "sub", "sup", "tt", "u", "amp-img"),
    }
)

_FIGURE_CLASS = re.compile(
    r"(?:^|[-_ ])(?:figure|informalfigure|mediaobject|screenshot|wp-caption|thumb|thumbinner|gallery-?(?:item|box)|"
    r"img|image|photo|pic|picture)(?:$|[-_ ]|box|wrap|con|item|area|list|-?block)",
    re.IGNORECASE,
)
_CAPTION_SELECTOR = (
    "figcaption, [class*=caption i], [class*=gallerytext i], [class*=figcap i], [class*=img-desc i], "
    "[class*=imgdesc i], [class*=img_desc i], [class*=pic-desc i], [class*=picdesc i], [class*=pic_desc i], "
    "[class*=photo-desc i], [class*=photo_desc i], [class*=pictext i], [class*=pic-text i], [class*=img-text i], "
    "[class*=imgtext i], [class*=img_txt i], [class*=imgtitle i], [class*=img-title i], [class*=pic-title i], "
    "[class*=picintro i], [class*=pic-info i], [class*=img-info i], [class*=tuzhu i], [class*=tushuo i]"
)
_FIGURE_TITLE_SELECTOR = "p.title, div.title, .figure-title"
_CAPTION_MARKER = re.compile(
    r"\s*(?:[▲△▼▽↑↓◎●■]\s*|[（(【\[]?(?:图为|图中为|上图|下图|左图|右图|图注|图说|图片说明|图\s?[\d一二三四五六七八九十]{1,3})"
    r"[:：.、\s）)】\]]?)"
)
_POINTING_SIGN = re.compile(r"\s*(?:[▲△▼▽↑↓◎●■]\s*|图为[:：]?)")
_HAN = "⺀-⿿々〇㐀-鿿豈-﫿"
_LINE_BREAK_IN_HAN = re.compile(
    rf"(?<=[{_HAN}，。、；：！？”」』）])[ \t\r]*\n\s*(?=[{_HAN}“「『（])"
)
_SENTENCE_END = re.compile(r"[。！？!?；;…]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class ImagePosition:
    """Where a picture stands among the blocks of its page."""

    image: Element
    block: int
    """How many blocks begin before it."""
    section: int
    """How many headings begin before it."""
    heading: Element | None
    next_block: int = 1 << 30
    """How many blocks begin before the next picture."""


@dataclass(slots=True)
class PageOutline:
    """The blocks of a page in its order, each with its section, and the pictures among them."""

    blocks: list[tuple[int, Element]]
    places: list[ImagePosition]


def image_texts(place: ImagePosition, outline: PageOutline) -> Iterator[Text]:
    """The typed texts of one picture, the best of each type first; its own attributes come before all others."""
    image = place.image
    around = {node.mem_id for node in ancestors(image)}
    yield from _typed_text("alt", attribute(image, "alt"), MAX_TEXT_CHARACTERS)
    yield from _typed_text("title", attribute(image, "title"), MAX_TEXT_CHARACTERS)
    for caption in _figure_captions(image, around):
        yield from _typed_text("figcaption", caption, MAX_CAPTION_CHARACTERS)
    after, after_at = _text_after(place, outline, around)
    if (
        after_at < place.next_block
        and len(after) <= MAX_CAPTION_CHARACTERS
        and (marked := _marked_caption(after))
    ):
        yield Text("figcaption", marked)
    surrounding = _enclosing_paragraph(image) or _text_before(place, outline, around) or after
    yield from _typed_text("surrounding", surrounding, MAX_TEXT_CHARACTERS)
    if place.heading is not None:
        yield from _typed_text("heading", place.heading.text(), MAX_CAPTION_CHARACTERS)


def single_line(text: str) -> str:
    """A text of the page on one line; no space is left where a line broke between two Han characters."""
    if "\n" in text:
        text = _LINE_BREAK_IN_HAN.sub("", text.strip())
    return " ".join(text.split())


def truncate(text: str, max_characters: int) -> str:
    """At most so many characters, up to the end of a sentence where one ends in the second half."""
    if len(text) <= max_characters:
        return text
    ends = [
        match.end() for match in _SENTENCE_END.finditer(text, max_characters // 2, max_characters)
    ]
    return text[: ends[-1]] if ends else text[:max_characters]


def _typed_text(kind: str, text: str, max_characters: int) -> Iterator[Text]:
    text = single_line(text)
    if text:
        yield Text(kind, truncate(text, max_characters))


def _figure_captions(image: Element, around: set[int]) -> Iterator[str]:
    """What is marked as the picture's caption: `figcaption`, or by class inside what is marked as a figure."""
    for node in islice(ancestors(image), 5):
        if node.tag in _PAGE_CONTAINERS:
            return
        is_figure, words = node.tag == "figure", attribute(node, "class")
        if is_figure or (words and _FIGURE_CLASS.search(words)):
            found = _caption_in(node, around, titles=is_figure or "figure" in words.split())
            if found:
                yield found
                return
        if is_figure:
            return


def _caption_in(figure: Element, around: set[int], *, titles: bool) -> str:
    for selector in (_CAPTION_SELECTOR, _FIGURE_TITLE_SELECTOR) if titles else (_CAPTION_SELECTOR,):
        for one in figure.css(selector):
            if one.mem_id not in around and _LETTER_OR_DIGIT.search(text := one.text()):
                return text
    return ""


def _enclosing_paragraph(image: Element) -> str:
    """The text of the paragraph that the picture stands in; beside it, where it stands in a bare `div`."""
    node = image
    parent = node.parent
    while parent is not None and parent.tag in _INLINE_TAGS:
        node, parent = parent, parent.parent
    if parent is None:
        return ""
    if parent.tag in PARAGRAPHS:
        text = parent.text()
        return text if _LETTER_OR_DIGIT.search(text) and not _is_navigation(parent) else ""
    run = [
        *reversed(list(_inline_siblings(node, forward=False))),
        *_inline_siblings(node, forward=True),
    ]
    text = "".join(run)
    return text if _LETTER_OR_DIGIT.search(text) else ""


def _inline_siblings(node: Element, *, forward: bool) -> Iterator[str]:
    for _ in range(20):
        beside = node.next if forward else node.prev
        if beside is None or (beside.tag not in _INLINE_TAGS and beside.tag not in {"-text", "br"}):
            return
        yield " " if beside.tag == "br" else beside.text()
        node = beside


def _text_before(place: ImagePosition, outline: PageOutline, around: set[int]) -> str:
    for number in range(place.block - 1, max(-1, place.block - 1 - MAX_BLOCKS_AWAY), -1):
        section, block = outline.blocks[number]
        if section != place.section:
            break
        if text := _block_text(block, around):
            return text
    return ""


def _text_after(place: ImagePosition, outline: PageOutline, around: set[int]) -> tuple[str, int]:
    for number, (section, block) in enumerate(
        outline.blocks[place.block : place.block + MAX_BLOCKS_AWAY], place.block
    ):
        if section != place.section:
            break
        if text := _block_text(block, around):
            return text, number
    return "", 0


def _block_text(block: Element, around: set[int]) -> str:
    if block.mem_id in around:
        return ""
    text = block.text()
    return text if _LETTER_OR_DIGIT.search(text) and not _is_navigation(block) else ""


def _marked_caption(text: str) -> str:
    text = single_line(text)
    match = _CAPTION_MARKER.match(text)
    if not match:
        return ""
    # A sign that points at the picture, and 图为 (this shows), say nothing of it.
    return _POINTING_SIGN.sub("", text, count=1)


def _is_navigation(node: Element) -> bool:
    return any(
        one.tag in _NAVIGATION_TAGS or attribute(one, "role") == "navigation"
        for one in ancestors(node)
    )
