"""Pages in the decoding process: what is asked of it and what it answers, as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from wenlan_data.extract.data_uris import data_uri_images
from wenlan_data.extract.encoding import ENCODINGS, decode_page
from wenlan_data.extract.links import Links, page_links
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.extract.soft_404 import soft_error_reason
from wenlan_data.records import Candidate, Drop, Origin, Text

MAX_BROKEN_SHARE = 0.01
"""Of a page's characters that no encoding fits; a page with more is not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLinks:
    """Where a page leads."""

    links: Links
    soft: str = ""
    """`soft_404` or `captcha` for what is no page of the site."""


def extract_pairs(options: bytes, payload: bytes) -> bytes:
    """The candidates and drops of a page."""
    ask = json.loads(options)
    html = decode_page(payload, ask["content_type"])
    if html.count("\ufffd") > 3 + MAX_BROKEN_SHARE * len(html):
        return json.dumps([asdict(Drop("bad_encoding", ask["url"][:200]))]).encode()
    at = Origin(**ask["page_at"]) if ask["page_at"] else None
    rows = page_pairs(html, ask["url"], ask["source"], signals=tuple(ask["signals"]), page_at=at)
    return json.dumps([asdict(row) for row in rows]).encode()


def parse_pairs(answer: bytes) -> list[Candidate | Drop]:
    """What `pairs_frame` found."""
    return [_row(value) for value in json.loads(answer)]


def extract_links(options: bytes, payload: bytes) -> bytes:
    """The links of a page."""
    ask = json.loads(options)
    html = decode_page(payload, ask["content_type"])
    soft = soft_error_reason(html)
    links = Links() if soft else page_links(html, ask["url"], ask["max_links"])
    return json.dumps({"urls": links.urls, "left": links.left, "soft": soft}).encode()


def parse_links(answer: bytes) -> PageLinks:
    """What `links_frame` found."""
    value = json.loads(answer)
    return PageLinks(links=Links(tuple(value["urls"]), value["left"]), soft=value["soft"])


def extract_inline_image(options: bytes, payload: bytes) -> bytes | None:
    """The bytes of one picture inside a page; None where the page holds none of that name."""
    ask = json.loads(options)
    pictures = data_uri_images(decode_page(payload, ask["content_type"]))
    return next((one.data for one in pictures if one.name == ask["name"]), None)


def warm_up() -> None:
    """Load what the parsers load lazily, before files can no longer be opened."""
    ask: dict[str, object] = {
        "content_type": "",
        "url": "http://a.cn/",
        "source": "",
        "signals": [],
        "page_at": None,
    }
    ask["max_links"] = 9
    options = json.dumps(ask).encode()
    for encoding in ENCODINGS:
        page = "<html><title>t</title><base href=/><a href=/b>b</a><img src=1.jpg alt=x>".encode(
            encoding
        )
        extract_pairs(options, page)
        extract_links(options, page + b"\xb5\xc4\xd2\xbb" * 20)


def _row(value: dict[str, Any]) -> Candidate | Drop:
    if "reason" in value:
        return Drop(**value)
    lists = {name: tuple(value[name]) for name in ("opt_out", "boxes")}
    texts = tuple(Text(**one) for one in value["texts"])
    origin = Origin(**value["origin"]) if value["origin"] else None
    return Candidate(**{**value, **lists, "texts": texts, "origin": origin})
