"""What a page states of itself: title, keywords, licence, author, opt-outs, and the pictures that its head names."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from wenlan_data.extract.html import Element, Page, attribute, parents
from wenlan_data.extract.links import robots_words
from wenlan_data.extract.surrounding_text import plain
from wenlan_data.records import Text
from wenlan_data.web.opt_out import OPT_OUT_WORDS

MAX_JSON_CHARACTERS = 1 << 20
MAX_JSON_NODES = 5_000
MAX_STATED_CHARACTERS = 300

_CREATIVE_COMMONS = re.compile(
    r"https?://creativecommons\.org/(?:licenses|publicdomain)/[\w./-]{1,60}", re.IGNORECASE
)
_IMAGE_NAMES = (
    "og:image",
    "og:image:url",
    "og:image:secure_url",
    "twitter:image",
    "twitter:image:src",
)
_IMAGE_TYPES = frozenset({"ImageObject", "Photograph"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedPicture:
    """A picture that the head or the JSON-LD of a page names."""

    address: str
    """As written."""
    texts: tuple[Text, ...] = ()
    licence: str = ""
    author: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What holds for every picture of a page."""

    texts: tuple[Text, ...] = ()
    licence: str = ""
    author: str = ""
    opt_out: tuple[str, ...] = ()


def page_facts(page: Page) -> PageFacts:
    """Title, keywords, licence, author and the opt-outs of its `<meta>`."""
    metas = _metas(page)
    title = plain(_title(page)) or plain(metas.get("og:title", ""))
    keywords = plain(metas.get("keywords", ""))
    texts = [Text("page_title", title)] if title else []
    texts += [Text("keywords", keywords)] if keywords else []
    signals = sorted(f"meta robots: {word}" for word in robots_words(page) & OPT_OUT_WORDS)
    signals += (
        ["meta tdm-reservation: 1"] if metas.get("tdm-reservation", "").strip() == "1" else []
    )
    return PageFacts(
        texts=tuple(Text(one.type, one.text[:MAX_STATED_CHARACTERS]) for one in texts),
        licence=_page_licence(page),
        author=_author(page, metas),
        opt_out=tuple(signals),
    )


def licence_beside(image: Element) -> str:
    """The licence that the picture's own figure links, as galleries of several authors have it."""
    figure = next((node for node in parents(image) if _is_figure(node)), None)
    if figure is None:
        return ""
    return next((href for node in figure.css("a[href]") if (href := _licence_of(node))), "")


def stated_pictures(page: Page) -> Iterator[StatedPicture]:
    """The pictures of `og:image` and its like, and of JSON-LD."""
    metas = _metas(page)
    texts = _texts(
        alt=metas.get("og:image:alt", "") or metas.get("twitter:image:alt", ""),
        title=metas.get("og:title"),
    )
    for name in _IMAGE_NAMES:
        if address := metas.get(name, "").strip():
            yield StatedPicture(address=address, texts=texts)
            break
    link = page.css_first("link[rel=image_src][href]")
    if link is not None:
        yield StatedPicture(address=attribute(link, "href").strip())
    for node in page.css('script[type="application/ld+json"]'):
        yield from _json_pictures(node.text())


def _title(page: Page) -> str:
    node = page.css_first("title")
    return node.text() if node is not None else ""


def _is_figure(node: Element) -> bool:
    words = attribute(node, "class").split()
    return node.tag == "figure" or "figure" in words or "thumb" in words


def _metas(page: Page) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in page.css("meta[content]"):
        name = (attribute(node, "property") or attribute(node, "name")).strip().lower()
        found.setdefault(name, attribute(node, "content"))
    return found


def _page_licence(page: Page) -> str:
    nodes = page.css("link[rel~=license][href], a[rel~=license][href]")
    stated = next((href for node in nodes if (href := attribute(node, "href").strip())), "")
    if not stated:
        # A licence in a figure is that figure's.
        found = (
            node
            for node in page.css('a[href*="creativecommons.org"]')
            if not any(map(_is_figure, parents(node)))
        )
        stated = next((href for node in found if (href := _licence_of(node))), "")
    return stated[:MAX_STATED_CHARACTERS]


def _licence_of(node: Element) -> str:
    href = attribute(node, "href").strip()
    if "license" in attribute(node, "rel").lower().split() or _CREATIVE_COMMONS.match(href):
        return href[:MAX_STATED_CHARACTERS]
    return ""


def _author(page: Page, metas: dict[str, str]) -> str:
    stated = plain(metas.get("author", "") or metas.get("article:author", ""))
    if not stated:
        node = page.css_first("a[rel~=author], [itemprop=author]")
        stated = plain(node.text()) if node is not None else ""
    return "" if stated.startswith(("http://", "https://")) else stated[:MAX_STATED_CHARACTERS]


def _texts(*, alt: object = "", title: object = "", caption: object = "") -> tuple[Text, ...]:
    typed = (("figcaption", caption), ("alt", alt), ("title", title))
    words = ((kind, plain(value)) for kind, value in typed if isinstance(value, str))
    return tuple(Text(kind, word[:MAX_STATED_CHARACTERS]) for kind, word in words if word)


def _json_pictures(text: str) -> Iterator[StatedPicture]:
    if len(text) > MAX_JSON_CHARACTERS:
        return
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return
    waiting, seen = [value], 0
    while waiting and seen < MAX_JSON_NODES:
        seen += 1
        one = waiting.pop(0)
        if isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, dict):
            yield from _pictures_of(cast("dict[str, object]", one))
            waiting.extend(inner for inner in one.values() if isinstance(inner, dict | list))


def _pictures_of(item: dict[str, object]) -> Iterator[StatedPicture]:
    types = item.get("@type")
    licence = _word(item.get("license"))
    author = _name(item.get("creditText") or item.get("author") or item.get("creator"))
    if _IMAGE_TYPES & set(types if isinstance(types, list) else [types]):
        address = _word(item.get("contentUrl")) or _word(item.get("url"))
        texts = _texts(
            caption=item.get("caption"), alt=item.get("description"), title=item.get("name")
        )
        if address:
            yield StatedPicture(address=address, texts=texts, licence=licence, author=author)
    elif "image" in item:
        images = item["image"] if isinstance(item["image"], list) else [item["image"]]
        texts = _texts(title=item.get("headline") or item.get("name"))
        for address in (one for one in images if isinstance(one, str) and one.strip()):
            yield StatedPicture(
                address=address.strip(), texts=texts, licence=licence, author=author
            )


def _word(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("@id") or value.get("url")
    return value.strip()[:2048] if isinstance(value, str) else ""


def _name(value: object) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    if isinstance(value, dict):
        value = value.get("name")
    return plain(value)[:MAX_STATED_CHARACTERS] if isinstance(value, str) else ""
