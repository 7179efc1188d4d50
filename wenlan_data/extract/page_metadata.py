"""Page metadata: title, keywords, licence, author, opt-outs, and the images in head and JSON-LD."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wenlan_data.extract.html import Element, Page, ancestors, attribute
from wenlan_data.extract.json_ld import (
    MAX_METADATA_CHARACTERS,
    OWN_CONFIDENCE,
    MetadataImage,
    json_ld_images,
    typed_texts,
)
from wenlan_data.extract.links import robots_directives
from wenlan_data.extract.single_line import single_line
from wenlan_data.records import Text
from wenlan_data.web.opt_out import OPT_OUT_WORDS

OPEN_GRAPH_CONFIDENCE = 0.5
"""For the title of `og:image`, which is that of the page."""

# https://creativecommons.org/licenses/by/4.0/
_CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(?:licenses|publicdomain)/[\w./-]{1,60}", re.IGNORECASE
)
_IMAGE_PROPERTIES = (
    "og:image",
    "og:image:url",
    "og:image:secure_url",
    "twitter:image",
    "twitter:image:src",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageMetadata:
    """Texts, rights and opt-outs of a page, which apply to all its images."""

    texts: tuple[Text, ...] = ()
    licence: str = ""
    author: str = ""
    opt_out: tuple[str, ...] = ()


def extract_metadata(page: Page) -> PageMetadata:
    """Extracts title, keywords, licence, author, and the opt-outs in `<meta>`."""
    metas = _meta_tags(page)
    title = single_line(_title(page)) or single_line(metas.get("og:title", ""))
    keywords = single_line(metas.get("keywords", ""))
    texts = [Text("page_title", title)] if title else []
    texts += [Text("keywords", keywords)] if keywords else []
    signals = sorted(f"meta robots: {word}" for word in robots_directives(page) & OPT_OUT_WORDS)
    signals += (
        ["meta tdm-reservation: 1"] if metas.get("tdm-reservation", "").strip() == "1" else []
    )
    return PageMetadata(
        texts=tuple(Text(one.type, one.text[:MAX_METADATA_CHARACTERS]) for one in texts),
        licence=_page_licence(page),
        author=_author(page, metas),
        opt_out=tuple(signals),
    )


def figure_licence(image: Element) -> str:
    """Returns the licence that an image's figure links to, as in galleries of several authors."""
    figure = next((node for node in ancestors(image) if _is_figure(node)), None)
    if figure is None:
        return ""
    return next((href for node in figure.css("a[href]") if (href := _link_licence(node))), "")


def metadata_images(page: Page) -> Iterator[MetadataImage]:
    """Yields the images of `og:image`, `twitter:image`, `link rel=image_src` and JSON-LD."""
    metas = _meta_tags(page)
    alt = metas.get("og:image:alt", "") or metas.get("twitter:image:alt", "")
    titles = typed_texts(title=metas.get("og:title"), confidence=OPEN_GRAPH_CONFIDENCE)
    texts = (
        *typed_texts(alt=alt, confidence=OWN_CONFIDENCE),
        *(replace(title, relation="page") for title in titles),
    )
    for name in _IMAGE_PROPERTIES:
        if url := metas.get(name, "").strip():
            yield MetadataImage(url=url, texts=texts)
            break
    link = page.css_first("link[rel=image_src][href]")
    if link is not None:
        yield MetadataImage(url=attribute(link, "href").strip())
    scripts = page.css('script[type="application/ld+json" i]')
    yield from json_ld_images(node.text() for node in scripts)


def _title(page: Page) -> str:
    node = page.css_first("title")
    return node.text() if node is not None else ""


def _is_figure(node: Element) -> bool:
    words = attribute(node, "class").split()
    return node.tag == "figure" or "figure" in words or "thumb" in words


def _meta_tags(page: Page) -> dict[str, str]:
    tags: dict[str, str] = {}
    for node in page.css("meta[content]"):
        name = (attribute(node, "property") or attribute(node, "name")).strip().lower()
        tags.setdefault(name, attribute(node, "content"))
    return tags


def _page_licence(page: Page) -> str:
    nodes = page.css("link[rel~=license][href], a[rel~=license][href]")
    stated = next((href for node in nodes if (href := attribute(node, "href").strip())), "")
    if not stated:
        # A licence inside a figure is that of the figure, not of the page.
        found = (
            node
            for node in page.css('a[href*="creativecommons.org"]')
            if not any(map(_is_figure, ancestors(node)))
        )
        stated = next((href for node in found if (href := _link_licence(node))), "")
    return stated[:MAX_METADATA_CHARACTERS]


def _link_licence(node: Element) -> str:
    href = attribute(node, "href").strip()
    if "license" in attribute(node, "rel").lower().split() or _CREATIVE_COMMONS.match(href):
        return href[:MAX_METADATA_CHARACTERS]
    return ""


def _author(page: Page, metas: dict[str, str]) -> str:
    stated = single_line(metas.get("author", "") or metas.get("article:author", ""))
    if not stated:
        node = page.css_first("a[rel~=author], [itemprop=author]")
        stated = single_line(node.text()) if node is not None else ""
    return "" if stated.startswith(("http://", "https://")) else stated[:MAX_METADATA_CHARACTERS]
