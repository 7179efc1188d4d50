"""Parses pages in the sandbox: a page that kills a parser, or takes too long, is a drop and nothing
else."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from wenlan_data.extract.explain import PageExplanation
from wenlan_data.extract.links import Links
from wenlan_data.reasons import Reason
from wenlan_data.records import Candidate, Drop, Origin
from wenlan_data.sandbox.client import parsed, request
from wenlan_data.sandbox.page_codec import (
    PageLinks,
    parse_explanation,
    parse_links,
    parse_listing,
    parse_pairs,
)
from wenlan_data.sandbox.protocol import (
    EXPLAIN,
    INLINE_IMAGES,
    LINKS,
    LISTING,
    PAIRS,
    RESULT,
    GarbledResponseError,
    unpack_batch,
)
from wenlan_data.web.opt_out import header_signals
from wenlan_data.web.urls import without_user_information
from wenlan_data.web.warc import WarcPayload

INLINE = "inline"
"""The `Origin.kind` of a `data:` URI image: `path` and `offset` are those of its page's WARC
record."""


def read_candidates(
    payload: bytes,
    *,
    content_type: str,
    url: str,
    source: str,
    signals: tuple[str, ...],
    page_origin: Origin,
) -> list[Candidate | Drop]:
    """Returns the candidates of a page, and a `Drop` for what was not read of it.

    Reasons: `bad_encoding` if its bytes are no text; `page_too_large` for what is beyond the limits
    of a page; `decoder_crash` and `decoder_timeout` if it killed the sandbox.
    """
    options = {
        "content_type": content_type,
        "url": url,
        "source": source,
        "signals": signals,
        "page_origin": {
            "kind": page_origin.kind,
            "path": page_origin.path,
            "offset": page_origin.offset,
        },
    }
    frame = request(PAIRS, json.dumps(options).encode(), payload)
    found = parsed(frame, RESULT, parse_pairs, frame[1])
    rows = [found] if isinstance(found, Drop) else found
    return [replace(row, page_url=url) if isinstance(row, Drop) else row for row in rows]


def read_explanation(
    payload: bytes, *, content_type: str, url: str, fallback_url: str, signals: tuple[str, ...]
) -> PageExplanation | Drop:
    """Returns what is extracted from a page and why (`extract.explain`), or why it cannot be read.

    An empty `url` is replaced by the one that the page states, else by `fallback_url`.
    """
    options = {
        "content_type": content_type,
        "url": url,
        "fallback_url": fallback_url,
        "signals": signals,
        "page_origin": {"kind": INLINE, "path": "", "offset": 0},
    }
    frame = request(EXPLAIN, json.dumps(options).encode(), payload)
    return parsed(frame, RESULT, parse_explanation, frame[1])


def read_links(payload: bytes, *, content_type: str, url: str, max_links: int) -> PageLinks | Drop:
    """Returns the links of a page, or why it cannot be read."""
    options = {"content_type": content_type, "url": url, "max_links": max_links}
    frame = request(LINKS, json.dumps(options).encode(), payload)
    return parsed(frame, RESULT, parse_links, frame[1])


def read_listing(payload: bytes, *, url: str) -> Links | Drop:
    """Returns the links of a sitemap or feed, or why it cannot be read."""
    frame = request(LISTING, json.dumps({"url": url}).encode(), payload)
    return parsed(frame, RESULT, parse_listing, frame[1])


def read_inline_images(
    payload: bytes, *, content_type: str, names: Sequence[str]
) -> list[bytes | Drop]:
    """Returns the `data:` URI images of these names in a page, each or why there is none; the page
    is read once."""
    options = json.dumps({"content_type": content_type, "names": names}).encode()
    frame = request(INLINE_IMAGES, options, payload)
    found = parsed(frame, RESULT, _unpack_images, frame[2], names)
    if isinstance(found, Drop):
        return [found] * len(names)
    # The recorded page does not change, so another attempt would find no more.
    missing = Drop(Reason.MISSING_FILE, "not inside its page any more", retryable=False)
    return [image or missing for image in found]


def _unpack_images(data: bytes, names: Sequence[str]) -> list[bytes]:
    images = unpack_batch(data)
    if len(images) != len(names):
        raise GarbledResponseError(f"{len(images)} images for {len(names)} names")
    return images


def read_page(record: WarcPayload, path: str, source: str) -> Iterator[Candidate | Drop]:
    """Yields the candidates of a page in the WARC `path`; a page that cannot be read is a
    `Drop`."""
    yield from read_candidates(
        record.payload,
        content_type=record.content_type,
        url=without_user_information(record.url),
        source=source,
        signals=header_signals(record.headers),
        page_origin=Origin(kind=INLINE, path=path, offset=record.offset),
    )
