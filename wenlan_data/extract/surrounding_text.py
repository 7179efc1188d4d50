"""The texts that stand by a picture: its caption, its paragraph, the paragraphs and the heading before it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from wenlan_data.extract.html import Element, attribute, parents
from wenlan_data.records import Text

MAX_TEXT_CHARACTERS = 500
"""Of a text that surrounds a picture; it ends at a sentence's end before that, where there is one."""
MAX_CAPTION_CHARACTERS = 300
MAX_BLOCKS_BACK = 12
"""How many blocks before and after a picture are looked at."""

_NO_FIGURES = frozenset({"body", "html", "main", "article", "table", "ul", "ol"})
_NAVIGATION = frozenset({"nav", "footer", "aside"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
PARAGRAPHS = frozenset(
    {"p", "li", "dd", "dt", "td", "th", "blockquote", "pre", "figcaption", "address"}
)
_INLINE = frozenset(
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

_FIGURE = re.compile(
    r"(?:^|[-_ ])(?:figure|informalfigure|mediaobject|screenshot|wp-caption|thumb|thumbinner|gallery-?(?:item|box)|"
    r"img|image|photo|pic|picture)(?:$|[-_ ]|box|wrap|con|item|area|list|-?block)",
    re.IGNORECASE,
)
_CAPTION = (
    "figcaption, [class*=caption i], [class*=gallerytext i], [class*=figcap i], [class*=img-desc i], "
    "[class*=imgdesc i], [class*=img_desc i], [class*=pic-desc i], [class*=picdesc i], [class*=pic_desc i], "
    "[class*=photo-desc i], [class*=photo_desc i], [class*=pictext i], [class*=pic-text i], [class*=img-text i], "
    "[class*=imgtext i], [class*=img_txt i], [class*=imgtitle i], [class*=img-title i], [class*=pic-title i], "
    "[class*=picintro i], [class*=pic-info i], [class*=img-info i], [class*=tuzhu i], [class*=tushuo i]"
)
_FIGURE_TITLE = "p.title, div.title, .figure-title"
_MARKED = re.compile(
    r"\s*(?:[▲△▼▽↑↓◎●■]\s*|[（(【\[]?(?:图为|图中为|上图|下图|左图|右图|图注|图说|图片说明|图\s?[\d一二三四五六七八九十]{1,3})"
    r"[:：.、\s）)】\]]?)"
)
_POINTER = re.compile(r"\s*(?:[▲△▼▽↑↓◎●■]\s*|图为[:：]?)")
_HAN = "⺀-⿿々〇㐀-鿿豈-﫿"
_BROKEN_LINE = re.compile(rf"(?<=[{_HAN}，。、；：！？”」』）])[ \t\r]*\n\s*(?=[{_HAN}“「『（])")
_SENTENCE_END = re.compile(r"[。！？!?；;…]")
_WORD = re.compile(r"[^\W_]")


@dataclass(frozen=True, slots=True)
class Place:
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
class Outline:
    """The blocks of a page in its order, each with its section, and the pictures among them."""

    blocks: list[tuple[int, Element]]
    places: list[Place]


def texts_by(place: Place, outline: Outline) -> Iterator[Text]:
    """The typed texts of one picture, the best of each type first; its own attributes come before all others."""
    image = place.image
    around = {node.mem_id for node in parents(image)}
    yield from _typed("alt", attribute(image, "alt"), MAX_TEXT_CHARACTERS)
    yield from _typed("title", attribute(image, "title"), MAX_TEXT_CHARACTERS)
    for caption in _captions(image, around):
        yield from _typed("figcaption", caption, MAX_CAPTION_CHARACTERS)
    after, after_at = _after(place, outline, around)
    if (
        after_at < place.next_block
        and len(after) <= MAX_CAPTION_CHARACTERS
        and (marked := _marked(after))
    ):
        yield Text("figcaption", marked)
    surrounding = _own_paragraph(image) or _before(place, outline, around) or after
    yield from _typed("surrounding", surrounding, MAX_TEXT_CHARACTERS)
    if place.heading is not None:
        yield from _typed("heading", place.heading.text(), MAX_CAPTION_CHARACTERS)


def plain(text: str) -> str:
    """A text of the page on one line; no space is left where a line broke between two Han characters."""
    if "\n" in text:
        text = _BROKEN_LINE.sub("", text.strip())
    return " ".join(text.split())


def cut(text: str, max_characters: int) -> str:
    """At most so many characters, up to the end of a sentence where one ends in the second half."""
    if len(text) <= max_characters:
        return text
    ends = [
        match.end() for match in _SENTENCE_END.finditer(text, max_characters // 2, max_characters)
    ]
    return text[: ends[-1]] if ends else text[:max_characters]


def _typed(kind: str, text: str, max_characters: int) -> Iterator[Text]:
    text = plain(text)
    if text:
        yield Text(kind, cut(text, max_characters))


def _captions(image: Element, around: set[int]) -> Iterator[str]:
    """What is marked as the picture's caption: `figcaption`, or by class inside what is marked as a figure."""
    for node in islice(parents(image), 5):
        if node.tag in _NO_FIGURES:
            return
        is_figure, words = node.tag == "figure", attribute(node, "class")
        if is_figure or (words and _FIGURE.search(words)):
            found = _caption_of(node, around, titles=is_figure or "figure" in words.split())
            if found:
                yield found
                return
        if is_figure:
            return


def _caption_of(figure: Element, around: set[int], *, titles: bool) -> str:
    for selector in (_CAPTION, _FIGURE_TITLE) if titles else (_CAPTION,):
        for one in figure.css(selector):
            if one.mem_id not in around and _WORD.search(text := one.text()):
                return text
    return ""


def _own_paragraph(image: Element) -> str:
    """The text of the paragraph that the picture stands in; beside it, where it stands in a bare `div`."""
    node = image
    parent = node.parent
    while parent is not None and parent.tag in _INLINE:
        node, parent = parent, parent.parent
    if parent is None:
        return ""
    if parent.tag in PARAGRAPHS:
        text = parent.text()
        return text if _WORD.search(text) and not _is_navigation(parent) else ""
    run = [*reversed(list(_inline_run(node, forward=False))), *_inline_run(node, forward=True)]
    text = "".join(run)
    return text if _WORD.search(text) else ""


def _inline_run(node: Element, *, forward: bool) -> Iterator[str]:
    for _ in range(20):
        beside = node.next if forward else node.prev
        if beside is None or (beside.tag not in _INLINE and beside.tag not in {"-text", "br"}):
            return
        yield " " if beside.tag == "br" else beside.text()
        node = beside


def _before(place: Place, outline: Outline, around: set[int]) -> str:
    for number in range(place.block - 1, max(-1, place.block - 1 - MAX_BLOCKS_BACK), -1):
        section, block = outline.blocks[number]
        if section != place.section:
            break
        if text := _block_text(block, around):
            return text
    return ""


def _after(place: Place, outline: Outline, around: set[int]) -> tuple[str, int]:
    for number, (section, block) in enumerate(
        outline.blocks[place.block : place.block + MAX_BLOCKS_BACK], place.block
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
    return text if _WORD.search(text) and not _is_navigation(block) else ""


def _marked(text: str) -> str:
    text = plain(text)
    match = _MARKED.match(text)
    if not match:
        return ""
    # A sign that points at the picture, and 图为 (this shows), say nothing of it.
    return _POINTER.sub("", text, count=1)


def _is_navigation(node: Element) -> bool:
    return any(
        one.tag in _NAVIGATION or attribute(one, "role") == "navigation" for one in parents(node)
    )
