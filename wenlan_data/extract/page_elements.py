"""Elements of a page that are read for their attributes: metadata, links, scripts."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wenlan_data.extract.html import Element, Page

Attributes = Mapping[str, str | None]
Elements = list[tuple[Element, Attributes]]
"""Elements with their attributes, in document order."""


@dataclass(frozen=True, slots=True)
class PageElements:
    """Elements of one page by their tags."""

    page: Page
    links: Elements = field(default_factory=list)
    """The `<a>`."""
    head_links: Elements = field(default_factory=list)
    """The `<link>`."""
    bases: Elements = field(default_factory=list)
    metas: Elements = field(default_factory=list)
    scripts: Elements = field(default_factory=list)
    titles: Elements = field(default_factory=list)
    text_areas: Elements = field(default_factory=list)


def page_elements(page: Page) -> PageElements:
    """Finds the elements in one walk over the page; each selector of its own would be another
    (measured on manuals: 0.05 ms instead of 0.27 ms).

    >>> from wenlan_data.extract.html import parse_html
    >>> found = page_elements(parse_html("<title>湖</title><a href=/1.jpg>桥</a>"))
    >>> [attributes["href"] for _, attributes in found.links]
    ['/1.jpg']
    """
    found = PageElements(page)
    lists = {
        "a": found.links,
        "link": found.head_links,
        "base": found.bases,
        "meta": found.metas,
        "script": found.scripts,
        "title": found.titles,
        "textarea": found.text_areas,
    }
    for node in page.css("a, link, base, meta, script, title, textarea"):
        elements = lists.get(node.tag or "")
        if elements is not None:
            elements.append((node, node.attributes))
    return found
