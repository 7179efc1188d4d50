"""Parses a page, bounded in size and depth, so that no page can block a worker."""

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from wenlan_data.web.urls import joined

Page = LexborHTMLParser
Element = LexborNode

MAX_PAGE_CHARACTERS = 10 << 20
"""Of one page; the rest is cut off."""
MAX_DEPTH = 5_000
"""Parsing time grows with the square of the depth (measured: 23 ms for 5,000 nested elements, 0.4 s
for 20,000, 2.6 s for 50,000, 12 s for 100,000)."""
MAX_TAGS = 50_000
"""Tags that are read of a page that is nested deeper, once its containers are removed."""

_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_CONTAINER = re.compile(
    r"</?(?:div|span|font|[abiu]|em|strong|section|article|ul|ol|li|table|tbody|tr|td|dl|dd|center)\b[^<>]*>",
    re.I,
)


def parse_html(html: str) -> Page | None:
    """Parses a page; returns None for an empty one.

    A page nested deeper than `MAX_DEPTH` loses its containers.
    """
    # NUL is invisible, and ends the parser's C strings.
    text = html[:MAX_PAGE_CHARACTERS].replace("\0", "")
    if not text.strip():
        return None
    if text.count("<") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        text = "<".join(_CONTAINER.sub(" ", text).split("<", MAX_TAGS + 1)[: MAX_TAGS + 1])
    # Without the space, the text of a node would join two lines to one word.
    return LexborHTMLParser(text.replace("<br", " <br").replace("<BR", " <BR"))


def attribute(node: Element, name: str) -> str:
    """Returns the value of an attribute as written; empty if there is none, and for a document."""
    # `node.attributes` would build a mapping of all of them.
    return (node.attrs.get(name) or "") if node.is_element_node else ""


def ancestors(node: Element) -> Iterator[Element]:
    """Yields the ancestors of an element, from the inside out."""
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def base_url(page: Page, page_url: str) -> str:
    """Returns the base of the page's relative URLs: its `<base href>`, else its own URL."""
    base = page.css_first("base[href]")
    return page_url if base is None else joined_base(page_url, attribute(base, "href"))


def joined_base(page_url: str, href: str) -> str:
    """Returns the absolute URL of a `<base href>`; the page's own if it is none of HTTP."""
    try:
        base = joined(page_url, href.strip())
    except ValueError:
        return page_url
    return base if base[:8].lower().startswith(("http://", "https://")) else page_url


def _depth(html: str) -> int:
    """Approximate nesting depth of a page, without void elements."""
    depth = deepest = 0
    for match in _TAG.finditer(html):
        if match[1]:
            depth = max(0, depth - 1)
        elif match[2].lower() not in _VOID:
            depth += 1
            deepest = max(deepest, depth)
    return deepest
