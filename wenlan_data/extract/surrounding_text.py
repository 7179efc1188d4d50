"""The texts around an image: its attributes, caption, paragraph, neighbours and heading."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from wenlan_data.extract.html import Element, ancestors, attribute
from wenlan_data.records import Text

MAX_TEXT_CHARACTERS = 500
"""Of the text around an image. It is cut at the end of a sentence if one ends in the second
half."""
MAX_CAPTION_CHARACTERS = 300
MAX_BLOCKS_AWAY = 12
"""How many blocks before and after an image are searched."""

# The search for a figure around an image ends at these.
_PAGE_CONTAINERS = frozenset({"body", "html", "main", "article", "table", "ul", "ol"})
_NAVIGATION_TAGS = frozenset({"nav", "footer", "aside"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
PARAGRAPHS = frozenset(
    {"p", "li", "dd", "dt", "td", "th", "blockquote", "pre", "figcaption", "address"}
)
_INLINE_TAGS = frozenset({
    "a", "abbr", "amp-img", "b", "big", "center", "cite", "code", "em", "font", "i", "ins",
    "label", "mark", "picture", "q", "s", "small", "span", "strong", "sub", "sup", "tt", "u",
})  # fmt: skip

# Classes of a figure: wp-caption, thumb, gallery-item, pic-box, img_wrap.
_FIGURE_CLASS = re.compile(
    r"(?:^|[-_ ])(?:figure|informalfigure|mediaobject|screenshot|wp-caption|thumb|thumbinner|gallery-?(?:item|box)|"
    r"img|image|photo|pic|picture)(?:$|[-_ ]|box|wrap|con|item|area|list|-?block)",
    re.IGNORECASE,
)
# Classes of a caption: wp-caption-text, gallerytext, pic_desc, tuzhu (图注), tushuo (图说).
_CAPTION_SELECTOR = (
    "figcaption, [class*=caption i], [class*=gallerytext i], [class*=figcap i], [class*=img-desc i], "
    "[class*=imgdesc i], [class*=img_desc i], [class*=pic-desc i], [class*=picdesc i], [class*=pic_desc i], "
    "[class*=photo-desc i], [class*=photo_desc i], [class*=pictext i], [class*=pic-text i], [class*=img-text i], "
    "[class*=imgtext i], [class*=img_txt i], [class*=imgtitle i], [class*=img-title i], [class*=pic-title i], "
    "[class*=picintro i], [class*=pic-info i], [class*=img-info i], [class*=tuzhu i], [class*=tushuo i]"
)
# The title that DocBook's figures have, as in manuals.
_FIGURE_TITLE_SELECTOR = "p.title, div.title, .figure-title"
# The beginning of a paragraph that is a caption: ▲湖边的小船, 图为湖边的小船, （图2）湖边的小船.
_CAPTION_MARKER = re.compile(
    r"\s*(?:[▲△▼▽↑↓◎●■]\s*|[（(【\[]?(?:图为|图中为|上图|下图|左图|右图|图注|图说|图片说明|图\s?[\d一二三四五六七八九十]{1,3})"
    r"[:：.、\s）)】\]]?)"
)
_POINTING_SIGN = re.compile(r"\s*(?:[▲△▼▽↑↓◎●■]\s*|图为[:：]?)")
_HAN = "⺀-⿿々〇㐀-鿿豈-﫿"
# A line break between two Han characters or full-width signs, where Chinese has no space.
_LINE_BREAK_IN_HAN = re.compile(
    rf"(?<=[{_HAN}，。、；：！？”」』）])[ \t\r]*\n\s*(?=[{_HAN}“「『（])"
)
_SENTENCE_END = re.compile(r"[。！？!?；;…]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class ImagePosition:
    """The position of an image among the blocks of its page."""

    image: Element
    block: int
    """Number of blocks that begin before it."""
    section: int
    """Number of headings that begin before it."""
    heading: Element | None
    next_block: int = 1 << 30
    """Number of blocks that begin before the next image."""


@dataclass(slots=True)
class PageOutline:
    """The blocks of a page in document order, each with its section number, and its images."""

    blocks: list[tuple[int, Element]]
    images: list[ImagePosition]


def image_texts(position: ImagePosition, outline: PageOutline) -> Iterator[Text]:
    """Yields the texts of an image: its attributes, then those around it, the best of a type
    first."""
    image = position.image
    ancestor_ids = {node.mem_id for node in ancestors(image)}
    yield from _typed_text("alt", attribute(image, "alt"), MAX_TEXT_CHARACTERS)
    yield from _typed_text("title", attribute(image, "title"), MAX_TEXT_CHARACTERS)
    for caption in _figure_captions(image, ancestor_ids):
        yield from _typed_text("figcaption", caption, MAX_CAPTION_CHARACTERS)
    after, after_block = _text_after(position, outline, ancestor_ids)
    if (
        after_block < position.next_block
        and len(after) <= MAX_CAPTION_CHARACTERS
        and (marked := _marked_caption(after))
    ):
        yield Text("figcaption", marked)
    surrounding = (
        _enclosing_paragraph(image) or _text_before(position, outline, ancestor_ids) or after
    )
    yield from _typed_text("surrounding", surrounding, MAX_TEXT_CHARACTERS)
    if position.heading is not None:
        yield from _typed_text("heading", position.heading.text(), MAX_CAPTION_CHARACTERS)


def single_line(text: str) -> str:
    """Joins lines and collapses white space; a line break between two Han characters leaves
    none."""
    if "\n" in text:
        text = _LINE_BREAK_IN_HAN.sub("", text.strip())
    return " ".join(text.split())


def truncate(text: str, max_characters: int) -> str:
    """Truncates a text to `max_characters`, at the end of a sentence if one ends in their second
    half.
    """
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


def _figure_captions(image: Element, ancestor_ids: set[int]) -> Iterator[str]:
    """Captions in the figure around an image; `figcaption`, figures and captions marked by
    class."""
    for node in islice(ancestors(image), 5):
        if node.tag in _PAGE_CONTAINERS:
            return
        is_figure, classes = node.tag == "figure", attribute(node, "class")
        if is_figure or (classes and _FIGURE_CLASS.search(classes)):
            found = _caption_in(
                node, ancestor_ids, with_title=is_figure or "figure" in classes.split()
            )
            if found:
                yield found
                return
        if is_figure:
            return


def _caption_in(figure: Element, ancestor_ids: set[int], *, with_title: bool) -> str:
    for selector in (
        (_CAPTION_SELECTOR, _FIGURE_TITLE_SELECTOR) if with_title else (_CAPTION_SELECTOR,)
    ):
        for one in figure.css(selector):
            if one.mem_id not in ancestor_ids and _LETTER_OR_DIGIT.search(text := one.text()):
                return text
    return ""


def _enclosing_paragraph(image: Element) -> str:
    """The text of the paragraph around an image; in a bare `div`, the inline text beside the
    image."""
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


def _text_before(position: ImagePosition, outline: PageOutline, ancestor_ids: set[int]) -> str:
    for number in range(position.block - 1, max(-1, position.block - 1 - MAX_BLOCKS_AWAY), -1):
        section, block = outline.blocks[number]
        if section != position.section:
            break
        if text := _block_text(block, ancestor_ids):
            return text
    return ""


def _text_after(
    position: ImagePosition, outline: PageOutline, ancestor_ids: set[int]
) -> tuple[str, int]:
    for number, (section, block) in enumerate(
        outline.blocks[position.block : position.block + MAX_BLOCKS_AWAY], position.block
    ):
        if section != position.section:
            break
        if text := _block_text(block, ancestor_ids):
            return text, number
    return "", 0


def _block_text(block: Element, ancestor_ids: set[int]) -> str:
    if block.mem_id in ancestor_ids:
        return ""
    text = block.text()
    return text if _LETTER_OR_DIGIT.search(text) and not _is_navigation(block) else ""


def _marked_caption(text: str) -> str:
    text = single_line(text)
    match = _CAPTION_MARKER.match(text)
    if not match:
        return ""
    # ▲ and 图为 ("this shows") only point at the image. 左图 and 图2 stay.
    return _POINTING_SIGN.sub("", text, count=1)


def _is_navigation(node: Element) -> bool:
    return any(
        one.tag in _NAVIGATION_TAGS or attribute(one, "role") == "navigation"
        for one in ancestors(node)
    )
