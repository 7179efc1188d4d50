"""HTML that a page holds as text and shows by a script: lists in `<script type="text/xml">`, hidden
text areas."""

import re
from collections.abc import Iterator
from itertools import islice

from wenlan_data.extract.html import Page
from wenlan_data.extract.non_content import MIN_ARTICLE_HAN
from wenlan_data.extract.page_elements import PageElements
from wenlan_data.extract.page_tree import count_han

MAX_FRAGMENTS = 10
MAX_CHARACTERS = 1 << 20
"""Of all fragments of a page; the rest is left out."""

_TYPES = frozenset({"text/xml", "application/xml", "text/html", "text/template", "text/x-template"})
_IMAGE = re.compile(r"<img\b", re.IGNORECASE)
# {{ item.src }}, ${src}, <%= src %>: a form to fill in, not content.
_PLACEHOLDER = re.compile(r"\{\{|\$\{|<%|\{%|\{\$|\[\[")
_CDATA = re.compile(r"<!\[CDATA\[|\]\]>")
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_LAZY = re.compile(r"lazy", re.IGNORECASE)


def inert_html(elements: PageElements) -> Iterator[str]:
    """Yields the HTML with images in scripts and hidden text areas of a page; no templates.

    Beside an article, such HTML holds other things, such as recommendations: it is left out.

    >>> from wenlan_data.extract.html import parse_html
    >>> from wenlan_data.extract.page_elements import page_elements
    >>> page = parse_html("<textarea style='display:none'><img src=/1.jpg>石桥</textarea>")
    >>> list(inert_html(page_elements(page)))
    ['<img src=/1.jpg>石桥']
    """
    left = MAX_CHARACTERS
    fragments = list(islice(_fragments(elements), MAX_FRAGMENTS))
    if not fragments or _has_article(elements.page):
        return
    for text in fragments:
        yield text[:left]
        left -= len(text)
        if left <= 0:
            return


def _fragments(elements: PageElements) -> Iterator[str]:
    for node, attributes in elements.scripts:
        if (attributes.get("type") or "").strip().lower() in _TYPES:
            text = node.text()
            if _is_content(text):
                yield _CDATA.sub(" ", text)
    for node, attributes in elements.text_areas:
        is_hidden = (
            "hidden" in attributes
            or _HIDDEN.search((attributes.get("style") or "")[:500])
            or _LAZY.search((attributes.get("class") or "")[:500])
        )
        # One that is shown has code to copy.
        if is_hidden and _is_content(text := node.text()):
            yield text


def _has_article(page: Page) -> bool:
    """Whether the paragraphs of a page have the text of an article."""
    han = 0
    for paragraph in page.css("p"):
        han += count_han(paragraph.text())
        if han >= MIN_ARTICLE_HAN:
            return True
    return False


def _is_content(text: str) -> bool:
    return bool(_IMAGE.search(text)) and not _PLACEHOLDER.search(text)
