"""The parsed page: linear in size and depth, so that no page can hold a worker up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, cast
from urllib.parse import urljoin

from resiliparse.parse.html import HTMLTree

MAX_CHARACTERS = 10 << 20
"""Of one page; the rest is left."""


class Element(Protocol):
    """What we use of a node of resiliparse: an element, or the whole document."""

    @property
    def tag(self) -> str:
        """Its name in lower case; `#text` for a text."""

    @property
    def text(self) -> str:
        """All text in it."""

    @property
    def attrs(self) -> list[str]:
        """The names of its attributes."""

    @property
    def parent(self) -> Element | None:
        """The node it stands in."""

    @property
    def next(self) -> Element | None:
        """The node after it in its parent."""

    @property
    def prev(self) -> Element | None:
        """The node before it in its parent."""

    def getattr(self, name: str) -> str | None:
        """The value of an attribute."""

    def contains(self, other: Element) -> bool:
        """Whether the other is in it, or is it."""

    def closest(self, selector: str) -> Element | None:
        """The nearest that the selector matches, from it outwards."""

    def query_selector(self, selector: str) -> Element | None:
        """The first in it that the selector matches."""

    def query_selector_all(self, selector: str) -> Iterable[Element]:
        """All in it that the selector matches, in the order of the page."""


def parse_html(html: str) -> Element | None:
    """The document of a page; None for an empty one."""
    # NUL is invisible to a reader; in a tree it ends a text.
    text = html[:MAX_CHARACTERS].replace("\0", "")
    # The text of a tree joins what stood on two lines.
    text = text.replace("<br", " <br").replace("<BR", " <BR")
    return cast("Element | None", HTMLTree.parse(text).document) if text.strip() else None


def attribute(node: Element, name: str) -> str:
    """The attribute's value as it stands; empty where there is none."""
    return node.getattr(name) or ""


def base_of(page: Element, page_url: str) -> str:
    """What the page's relative addresses start from: its `<base href>`, else its own URL."""
    base = page.query_selector("base[href]")
    if base is None:
        return page_url
    try:
        joined = urljoin(page_url, attribute(base, "href").strip())
    except ValueError:
        return page_url
    return joined if joined[:8].lower().startswith(("http://", "https://")) else page_url
