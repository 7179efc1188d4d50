"""Extracts links: of a page, and of a sitemap or a feed."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import unescape

from wenlan_data.extract.html import Element, Page, attribute, base_url, parse_html
from wenlan_data.extract.page_elements import Attributes
from wenlan_data.records import Drop
from wenlan_data.web.content_encoding import EncodingError, decoder_for
from wenlan_data.web.urls import joined

MAX_LINKS = 1000
"""Of one page."""
MAX_SITEMAP_LINKS = 50_000
"""Of one sitemap: the limit of the sitemap protocol."""
MAX_SITEMAP_BYTES = 50 << 20
MAX_SITEMAP_ELEMENTS = 500_000
"""`loc` and `link` elements that are looked at: 50,000 pages with ten translations each."""
MAX_SITEMAP_CHARACTERS = 8 << 20
"""Of all different URLs of a sitemap together."""
_MAX_URL_CHARACTERS = 4096
"""A longer one is counted as omitted: cut, it would be another URL."""

_LINK_SELECTOR = (
    "a[href], area[href], link[rel~=next][href], iframe[src], frame[src], meta[http-equiv][content]"
)
MAX_REFRESH_CHARACTERS = 4096

# White space is bounded, by the pattern or by the length of the text that is searched: on a page of
# spaces alone, unbounded runs would take quadratic time.
# Content of a meta refresh: 5; url='next.html'
_REFRESH = re.compile(r"[\d.]* ?[;,]? ?(?:url ?=)? ?[\"']?([^\"']{1,2048})", re.IGNORECASE)
_SITEMAP_OR_FEED = re.compile(rb"\s*(?:<!--[^>]{0,500}-->\s*|<\?[^>]{0,200}>\s*)*"
                      rb"<(?:\w{1,20}:)?(urlset|sitemapindex|rss|feed|rdf)\b", re.IGNORECASE)  # fmt: skip
# <loc>http://a.cn/1</loc>, <link><![CDATA[http://a.cn/1]]></link>, <link href="http://a.cn/1"/>
# Each character is matched by at most one of the elements, so that any text takes linear time:
# what follows `loc` or `link` ends at the next angle bracket.
_SITEMAP_ELEMENT = re.compile(r"<(?:\w{1,20}:)?(?:loc|link)\b([^<>]{0,5000})", re.IGNORECASE)
_ELEMENT_TEXT = re.compile(r">\s{0,99}(?:<!\[CDATA\[\s{0,99})?([^<>\s\]]{1,4097})")
_HREF = re.compile(r"\bhref\s*=\s*[\"']([^\"'<>]{1,4097})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Links:
    """Absolute URLs in document order, each once."""

    urls: tuple[str, ...] = ()
    omitted: int = 0
    """Number of links beyond the limit of a page, or marked `nofollow`."""


def page_links(html: str, page_url: str, max_links: int = MAX_LINKS) -> Links:
    """Extracts the links of a page to other pages; none if its robots `<meta>` has `nofollow`."""
    page = parse_html(html)
    if page is None or "nofollow" in robots_directives(page):
        return Links()
    base = base_url(page, page_url)
    found: dict[str, None] = {}
    omitted = 0
    for node in page.css(_LINK_SELECTOR):
        href = _link_target(node)
        if not href or href.startswith("#") or href[:11].lower() == "javascript:":
            continue
        url = _absolute_url(base, href)
        if url is None or not url[:8].lower().startswith(("http://", "https://")):
            continue
        if len(found) >= max_links or "nofollow" in attribute(node, "rel").lower().split():
            omitted += url not in found
        else:
            found[url.partition("#")[0]] = None
    return Links(tuple(found), omitted)


def robots_directives(page: Page, agent: str = "wenlan-data") -> set[str]:
    """Returns the directives of `<meta name=robots>`, lower case; `none` implies `nofollow`."""
    return stated_directives((node.attributes for node in page.css("meta[name][content]")), agent)


def stated_directives(metas: Iterable[Attributes], agent: str = "wenlan-data") -> set[str]:
    """Returns the `robots_directives` in the attributes of `<meta>` elements."""
    directives: set[str] = set()
    for attributes in metas:
        if (attributes.get("name") or "").strip().lower() in {"robots", agent}:
            content = attributes.get("content") or ""
            directives.update(word.strip() for word in content.lower().split(","))
    return directives | ({"nofollow"} if "none" in directives else set())


def is_sitemap_or_feed(payload: bytes) -> bool:
    """Whether the bytes begin like a sitemap or a feed, gzipped or not."""
    return bool(_SITEMAP_OR_FEED.match(_decompressed(payload, 2048)[:2048].lstrip(b"\xef\xbb\xbf")))


def sitemap_or_feed_links(payload: bytes, url: str) -> Links:
    """Extracts the links of a sitemap, a sitemap index or a feed (RSS, Atom).

    The markup is searched and not parsed: no depth of elements costs memory, and entities of its
    own are not expanded.
    """
    text = _decompressed(payload, MAX_SITEMAP_BYTES).decode("utf-8", "replace")
    found: dict[str, None] = {}
    known = set[str]()
    characters = omitted = 0
    for link in _sitemap_urls(text):
        if link in known:
            continue
        characters += len(link)
        if (
            len(link) > _MAX_URL_CHARACTERS
            or len(found) >= MAX_SITEMAP_LINKS
            or characters > MAX_SITEMAP_CHARACTERS
        ):
            omitted += 1
            continue
        known.add(link)
        if target := _absolute_url(url, unescape(link).strip()):
            found[target] = None
    return Links(tuple(found), omitted)


def _sitemap_urls(text: str) -> Iterator[str]:
    for elements, match in enumerate(_SITEMAP_ELEMENT.finditer(text)):
        if elements >= MAX_SITEMAP_ELEMENTS:
            return
        href = _HREF.search(match[1])
        if stated := href or _ELEMENT_TEXT.match(text, match.end()):
            yield stated[1]


def _link_target(node: Element) -> str:
    name = node.tag or ""
    if name in {"iframe", "frame"}:
        return attribute(node, "src").strip()
    if name != "meta":
        return attribute(node, "href").strip()
    if attribute(node, "http-equiv").strip().lower() != "refresh":
        return ""
    match = _REFRESH.match(" ".join(attribute(node, "content")[:MAX_REFRESH_CHARACTERS].split()))
    return match[1].strip() if match else ""


def _decompressed(payload: bytes, max_bytes: int) -> bytes:
    if not payload.startswith(b"\x1f\x8b"):
        return payload[:max_bytes]
    decoder = decoder_for("gzip")
    assert decoder is not None
    assert not isinstance(decoder, Drop)
    try:
        return decoder.feed(payload, max_bytes)
    except EncodingError:
        return b""


def _absolute_url(base: str, href: str) -> str | None:
    try:
        return joined(base, href)
    except ValueError:
        return None
