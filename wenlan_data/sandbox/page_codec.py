"""Pages in the sandbox process: the work on each, and its results as JSON."""

import json
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from wenlan_data.extract.data_uris import data_uri_images
from wenlan_data.extract.encoding import decode_page
from wenlan_data.extract.explain import PageExplanation, explain_page
from wenlan_data.extract.links import Links, page_links, sitemap_or_feed_links
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.extract.soft_404 import soft_error_reason
from wenlan_data.reasons import Reason
from wenlan_data.records import Candidate, Drop, Origin, Text
from wenlan_data.sandbox.protocol import check_reason

MAX_BROKEN_SHARE = 0.01
"""Share of a page's characters that may be undecodable; a page with more is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageLinks:
    """The links of a page."""

    links: Links
    soft: str = ""
    """`soft_404` or `captcha` for an error page that was served with status 200; it has no
    links."""


def extract_pairs(options: bytes, payload: bytes) -> bytes:
    """The candidates and drops of a page, for `parse_pairs`."""
    request = json.loads(options)
    html = decode_page(payload, request["content_type"])
    if _is_broken(html):
        return json.dumps([asdict(Drop(Reason.BAD_ENCODING, request["url"][:200]))]).encode()
    rows = page_pairs(
        html,
        request["url"],
        request["source"],
        signals=tuple(request["signals"]),
        page_origin=Origin(**request["page_origin"]) if request["page_origin"] else None,
    )
    return json.dumps(list(rows), default=_members).encode()


def _members(record: Candidate | Drop | Text | Origin) -> dict[str, object]:
    """The fields of a record; `asdict`, which copies every value, takes three times as long."""
    return {name: getattr(record, name) for name in record.__slots__}


def _is_broken(html: str) -> bool:
    return html.count("\ufffd") > 3 + MAX_BROKEN_SHARE * len(html)


def parse_pairs(response: bytes) -> list[Candidate | Drop]:
    """The candidates and drops of `extract_pairs`, in the client. Raises `ValueError` if they are
    none."""
    found = _ROWS.validate_json(response)
    for row in found:
        drop = row if isinstance(row, Drop) else row.no_content
        if drop:
            check_reason(drop.reason)
    return found


def extract_links(options: bytes, payload: bytes) -> bytes:
    """The links of a page, for `parse_links`."""
    request = json.loads(options)
    html = decode_page(payload, request["content_type"])
    soft = soft_error_reason(html)
    links = Links() if soft else page_links(html, request["url"], request["max_links"])
    return json.dumps(asdict(PageLinks(links=links, soft=soft))).encode()


def parse_links(response: bytes) -> PageLinks:
    """The links of `extract_links`, in the client. Raises `ValueError` if they are none."""
    found = _PAGE_LINKS.validate_json(response)
    if found.soft:
        check_reason(found.soft)
    return found


def extract_explanation(options: bytes, payload: bytes) -> bytes:
    """The explanation of a page, for `parse_explanation`."""
    request = json.loads(options)
    html = decode_page(payload, request["content_type"])
    if _is_broken(html):
        return json.dumps(asdict(Drop(Reason.BAD_ENCODING, request["url"][:200]))).encode()
    explanation = explain_page(
        html,
        request["url"],
        fallback_url=request["fallback_url"],
        signals=tuple(request["signals"]),
        page_origin=Origin(**request["page_origin"]) if request["page_origin"] else None,
    )
    return json.dumps(asdict(explanation)).encode()


def parse_explanation(response: bytes) -> PageExplanation | Drop:
    """The explanation of `extract_explanation`, in the client. Raises `ValueError` if it is
    none."""
    found = _EXPLANATION.validate_json(response)
    for drop in (found,) if isinstance(found, Drop) else found.drops:
        check_reason(drop.reason)
    return found


def extract_listing(options: bytes, payload: bytes) -> bytes:
    """The links of a sitemap or feed, for `parse_listing`."""
    links = sitemap_or_feed_links(payload, json.loads(options)["url"])
    return json.dumps(asdict(PageLinks(links=links))).encode()


def parse_listing(response: bytes) -> Links:
    """The links of `extract_listing`, in the client. Raises `ValueError` if they are none."""
    return parse_links(response).links


def extract_inline_images(options: bytes, payload: bytes) -> list[bytes]:
    """The bytes of the `data:` URI images of these names in a page, in the order of the names;
    empty for one that the page does not have."""
    request = json.loads(options)
    wanted: dict[str, bytes] = dict.fromkeys(request["names"], b"")
    missing = len(wanted)
    for image in data_uri_images(decode_page(payload, request["content_type"])):
        if wanted.get(image.name) == b"":
            wanted[image.name] = image.data
            missing -= 1
        if not missing:
            break
    return [wanted[name] for name in request["names"]]


# A parser that was taken over may respond with anything: each value is checked against its type.
_ROWS: TypeAdapter[list[Candidate | Drop]] = TypeAdapter(list[Candidate | Drop])
_PAGE_LINKS = TypeAdapter(PageLinks)
_EXPLANATION: TypeAdapter[PageExplanation | Drop] = TypeAdapter(PageExplanation | Drop)
