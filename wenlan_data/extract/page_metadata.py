"""Page metadata: title, keywords, licence, author, opt-outs, and the images in head and JSON-LD."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from wenlan_data.extract.html import Element, ancestors, attribute
from wenlan_data.extract.json_ld import (
    MAX_METADATA_CHARACTERS,
    OWN_CONFIDENCE,
    MetadataImage,
    json_ld_images,
    typed_texts,
)
from wenlan_data.extract.links import stated_directives
from wenlan_data.extract.page_elements import Attributes, PageElements
from wenlan_data.extract.single_line import single_line
from wenlan_data.records import Text
from wenlan_data.web.opt_out import OPT_OUT_WORDS

PAGE_TITLE_CONFIDENCE, KEYWORDS_CONFIDENCE = 0.5, 0.3
"""For texts that are about the page: its title, also where it is that of `og:image`; keywords."""

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


def extract_metadata(elements: PageElements) -> PageMetadata:
    """Extracts title, keywords, licence, author, and the opt-outs in `<meta>`."""
    metas = _meta_tags(elements)
    title = single_line(_title(elements)) or single_line(metas.get("og:title", ""))
    keywords = single_line(metas.get("keywords", ""))
    stated = (
        ("page_title", title, PAGE_TITLE_CONFIDENCE),
        ("keywords", keywords, KEYWORDS_CONFIDENCE),
    )
    directives = stated_directives(attributes for _, attributes in elements.metas)
    signals = sorted(f"meta robots: {word}" for word in directives & OPT_OUT_WORDS)
    signals += (
        ["meta tdm-reservation: 1"] if metas.get("tdm-reservation", "").strip() == "1" else []
    )
    return PageMetadata(
        texts=tuple(
            Text(kind, words[:MAX_METADATA_CHARACTERS], "page", confidence)
            for kind, words, confidence in stated
            if words
        ),
        licence=_page_licence(elements),
        author=_author(elements, metas),
        opt_out=tuple(signals),
    )


class FigureLicences:
    """The licences that figures link to, as in galleries of several authors.

    A figure may hold any number of images and figures: each link is read once.
    """

    def __init__(self, elements: PageElements) -> None:
        self._figures = _Figures()
        self._first: dict[int, str] = {}
        """Id of an element to the first licence that a link in it leads to."""
        for link, attributes in elements.links:
            licence = _link_licence(attributes)
            for node in ancestors(link) if licence else ():
                if node.mem_id in self._first:
                    break
                self._first[node.mem_id] = licence

    def of(self, image: Element) -> str:
        """Returns the licence of an image's figure; empty for none."""
        return self._first.get(self._figures.around(image), "") if self._first else ""


class _Figures:
    """The figures around elements; each element is looked at once."""

    def __init__(self) -> None:
        self._around: dict[int, int] = {}

    def around(self, element: Element) -> int:
        """Id of the nearest figure around an element; 0 for none."""
        path: list[int] = []
        figure = 0
        for node in ancestors(element):
            if node.mem_id in self._around:
                figure = self._around[node.mem_id]
                break
            path.append(node.mem_id)
            if _is_figure(node):
                figure = node.mem_id
                break
        self._around.update(dict.fromkeys(path, figure))
        return figure


def metadata_images(elements: PageElements) -> Iterator[MetadataImage]:
    """Yields the images of `og:image`, `twitter:image`, `link rel=image_src` and JSON-LD."""
    metas = _meta_tags(elements)
    alt = metas.get("og:image:alt", "") or metas.get("twitter:image:alt", "")
    titles = typed_texts(title=metas.get("og:title"), confidence=PAGE_TITLE_CONFIDENCE)
    texts = (
        *typed_texts(alt=alt, confidence=OWN_CONFIDENCE),
        *(replace(title, relation="page") for title in titles),
    )
    for name in _IMAGE_PROPERTIES:
        if url := metas.get(name, "").strip():
            yield MetadataImage(url=url, texts=texts)
            break
    for _, attributes in elements.head_links:
        if (attributes.get("rel") or "").lower() == "image_src" and "href" in attributes:
            yield MetadataImage(url=(attributes["href"] or "").strip())
            break
    yield from json_ld_images(
        node.text()
        for node, attributes in elements.scripts
        if (attributes.get("type") or "").lower() == "application/ld+json"
    )


def _title(elements: PageElements) -> str:
    return elements.titles[0][0].text() if elements.titles else ""


def _is_figure(node: Element) -> bool:
    words = attribute(node, "class").split()
    return node.tag == "figure" or "figure" in words or "thumb" in words


def _meta_tags(elements: PageElements) -> dict[str, str]:
    tags: dict[str, str] = {}
    for _, attributes in elements.metas:
        if "content" in attributes:
            name = attributes.get("property") or attributes.get("name") or ""
            tags.setdefault(name.strip().lower(), attributes["content"] or "")
    return tags


def _rel_names(elements: PageElements, word: str) -> bool:
    """Whether the `rel` of a link may hold a word. A selector, which walks over the whole page, is
    needed on few pages."""
    return any(
        word in (attributes.get("rel") or "").lower()
        for _, attributes in (*elements.head_links, *elements.links)
    )


def _page_licence(elements: PageElements) -> str:
    stated = ""
    if _rel_names(elements, "license"):
        nodes = elements.page.css("link[rel~=license][href], a[rel~=license][href]")
        stated = next((href for node in nodes if (href := attribute(node, "href").strip())), "")
    if not stated:
        # A licence inside a figure is that of the figure, not of the page.
        figures = _Figures()
        found = (
            attributes
            for node, attributes in elements.links
            if "creativecommons.org" in (attributes.get("href") or "") and not figures.around(node)
        )
        stated = next((href for one in found if (href := _link_licence(one))), "")
    return stated[:MAX_METADATA_CHARACTERS]


def _link_licence(link: Attributes) -> str:
    href = (link.get("href") or "").strip()
    if "license" in (link.get("rel") or "").lower().split() or _CREATIVE_COMMONS.match(href):
        return href[:MAX_METADATA_CHARACTERS]
    return ""


def _author(elements: PageElements, metas: dict[str, str]) -> str:
    stated = single_line(metas.get("author", "") or metas.get("article:author", ""))
    page = elements.page
    # A search in the source takes a tenth of the walk of a selector.
    if not stated and (b"itemprop" in page.raw_html.lower() or _rel_names(elements, "author")):
        node = page.css_first("a[rel~=author], [itemprop=author]")
        stated = single_line(node.text()) if node is not None else ""
    return "" if stated.startswith(("http://", "https://")) else stated[:MAX_METADATA_CHARACTERS]
