"""The pictures of a page with the texts that stand by them. So far: `img` with `alt`."""

from collections.abc import Iterator
from urllib.parse import urljoin

from selectolax.lexbor import LexborHTMLParser

from wenlan_data.records import Candidate, Drop, Text

MAX_TAGS = 50_000
"""Of one page; the rest is left. Parsing takes time with the square of the depth (measured: 0.4 s for 20,000
nested elements, 12 s for 100,000), and pages have some thousand tags."""


def page_pairs(html: str, page_url: str, source: str = "") -> Iterator[Candidate | Drop]:
    """Each `img` that has both `src` and `alt`, in page order; its URL absolute, by the page's `base` if any.

    Pictures inside the page (`data:`) and schemes but http and https are left; a URL that cannot be read
    is a `Drop`.
    """
    pieces = html.split("<", MAX_TAGS + 1)
    if len(pieces) > MAX_TAGS + 1:
        yield Drop("page_too_large", f"more than {MAX_TAGS} tags: the rest is left")
    # NUL is invisible to a reader, and a trap for the parser's C strings.
    tree = LexborHTMLParser("<".join(pieces[: MAX_TAGS + 1]).replace("\0", ""))
    base = tree.css_first("base[href]")
    start = _join(page_url, base.attributes.get("href") or "") if base is not None else page_url
    for image in tree.css("img[src][alt]"):
        src, alt = _clean(image.attributes.get("src")), _clean(image.attributes.get("alt"))
        if not src or not alt or src[:5].lower() == "data:":
            continue
        url = _join(start or page_url, src)
        if url is None:
            yield Drop("bad_url", ascii(src[:200]))
        elif url[:8].lower().startswith(("http://", "https://")):
            yield Candidate(url=url, texts=(Text("alt", alt),), page_url=page_url, source=source)


def _clean(value: str | None) -> str:
    return (value or "").strip()


def _join(base: str, href: str) -> str | None:
    try:
        return urljoin(base, href.strip())
    except ValueError:
        return None
