"""Reads the one page that `wenlan-data extract` explains: a local file, standard input, or a URL
that is fetched politely."""

import asyncio
import json
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from wenlan_data.errors import UsageError, WenlanError, os_errors
from wenlan_data.extract.pages import is_html
from wenlan_data.image.sniff import looks_like, other_image, sniff
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.limits import DEFAULTS, HostLimits, needs_contact
from wenlan_data.web.opt_out import header_signals
from wenlan_data.web.polite_client import PoliteClient
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.response import REDIRECTS, Response, failure_of
from wenlan_data.web.urls import host_of, url_problem, without_user_information

UNKNOWN_SITE = "http://page.invalid/"
"""Stands for the site of a file whose URL is unknown: no host has this name (RFC 2606)."""
STANDARD_INPUT = "-"

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Of an element, a comment or the document type; UTF-16 has a zero in between.
_TAG = re.compile(rb"<\x00?[a-zA-Z/!?]")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageInput:
    """The bytes of a page, and what is known of them."""

    payload: bytes
    content_type: str
    """Of the response; empty for a file."""
    url: str
    """Empty for a file whose URL is not given."""
    fallback_url: str
    """Where neither `url` nor the page tells the URL."""
    signals: tuple[str, ...] = ()
    """Opt-outs of the response's headers, of robots.txt and of tdmrep.json."""
    file: Path | None = None


def is_url(word: str) -> bool:
    """Whether a word of the command line is a URL and not a file."""
    return word.lower().startswith(("http://", "https://"))


def read_page_file(name: str, url: str) -> PageInput:
    """Returns the page of a file. Raises `UsageError` if it cannot be read, is no HTML page, or is
    larger than a page that a build reads."""
    _check_stated_url(url)
    if scheme := _SCHEME.match(name):
        raise UsageError(
            f"{name}: {scheme[0]} is not supported: give an http:// or https:// URL, or the path of"
            " a file"
        )
    path = Path(name)
    if not path.exists():
        raise UsageError(f"{path}: no such file: check the path, or write http:// before a URL")
    if not path.is_file():
        raise UsageError(f"{path}: not a file: name an HTML file or a URL")
    with os_errors(path), path.open("rb") as file:
        payload = _read_page(file, name)
    return PageInput(
        payload=payload,
        content_type="",
        url=url,
        fallback_url=UNKNOWN_SITE + quote(path.name, errors="replace"),
        file=path,
    )


def read_page_stream(stream: BinaryIO, url: str) -> PageInput:
    """Returns the page that standard input holds. Raises `UsageError` as `read_page_file` does."""
    _check_stated_url(url)
    with os_errors("standard input"):
        payload = _read_page(stream, "standard input")
    return PageInput(payload=payload, content_type="", url=url, fallback_url=UNKNOWN_SITE)


def _check_stated_url(url: str) -> None:
    if url and (problem := url_problem(url)):
        shown = without_user_information(url)
        raise UsageError(
            f"--url {shown}: not the URL of a page ({problem.reason}): write http://..."
        )


def _read_page(file: BinaryIO, name: str) -> bytes:
    most = DEFAULTS.max_decoded_page_bytes
    payload = file.read(most + 1)
    if len(payload) > most:
        raise UsageError(f"{name}: larger than {most >> 20} MiB, which is the limit of a page")
    if kind := _other_kind(payload):
        raise UsageError(f"{name}: not an HTML page ({kind})")
    return payload


def _other_kind(payload: bytes) -> str:
    """What a file holds in place of an HTML page; empty for a page, also for a part of one, and for
    an empty file."""
    kind = sniff(payload) or other_image(payload) or looks_like(payload)
    if kind == "svg" and not payload.rstrip().lower().endswith(b"</svg>"):
        # A page may begin with the symbols that it uses.
        return ""
    if kind not in {"html", "unknown"} and (kind != "json" or _is_json(payload)):
        return kind
    return "no elements" if payload.strip() and not _TAG.search(payload) else ""


def _is_json(payload: bytes) -> bool:
    # A page may begin with the brackets of a template: {{ title }}.
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return True


def fetch_page(url: str, *, contact: str, allow: Sequence[str]) -> PageInput:
    """Fetches a page by the rules of a build: robots.txt, address policy, limits of size and time.

    `allow` are `host:port` words exempt from the address policy; they are requested without a gap.
    Without a contact only these are requested, and no redirect is followed. Raises `UsageError` for
    a URL that may not be requested, and `WenlanError` if there is no page.
    """
    allowed = tuple(allow)
    _check_url(url, contact, allowed)
    politeness = Politeness(
        contact=contact, allow=allowed, hosts=dict.fromkeys(allowed, HostLimits(min_gap_s=0))
    )
    client = PoliteClient(
        politeness,
        {},
        body=politeness.limits.page,
        follow_redirects=bool(contact),
        drop_opted_out=False,
        any_host=True,
    )
    response = asyncio.run(_fetch(client, url))
    if isinstance(response, Drop):
        raise WenlanError(f"{url}: the page cannot be fetched: {_in_words(response)}")
    if response.status in REDIRECTS:
        target = without_user_information(response.header("location"))[:500]
        raise UsageError(f"{url}: redirects to {target}: give --contact, or this URL")
    if drop := failure_of(response.status):
        raise WenlanError(f"{url}: the page cannot be fetched: {_in_words(drop)}")
    content_type = response.header("content-type")
    if not is_html(response.body, content_type):
        raise UsageError(f"{url}: not an HTML page ({content_type[:100] or 'no Content-Type'})")
    return PageInput(
        payload=response.body,
        content_type=content_type,
        url=response.final_url,
        fallback_url=response.final_url,
        signals=header_signals(response.headers),
    )


def _check_url(url: str, contact: str, allow: tuple[str, ...]) -> None:
    if problem := url_problem(url):
        shown = without_user_information(url)
        raise UsageError(
            f"{shown}: not the URL of a page ({problem.reason}): write http://host/path"
        )
    host = host_of(url)
    if AddressPolicy(allow).refuses_by_name(host):
        raise UsageError(
            f"{host}: private addresses and unusual ports are blocked by default: "
            f"if the server is yours, add --allow {host}"
        )
    if not contact and needs_contact(host, allow):
        raise UsageError(
            f"{host} would be requested without a contact: give --contact "
            "(it goes into the User-Agent)"
        )


async def _fetch(client: PoliteClient, url: str) -> Response | Drop:
    async with aclosing(client.fetch([url])) as arrivals:
        responses = [response async for _, response in arrivals]
    return responses[0]


def _in_words(drop: Drop) -> str:
    known = {reason.value: reason.meaning for reason in Reason}
    words = ", ".join(filter(None, (known.get(drop.reason, ""), drop.detail)))
    return f"{drop.reason} ({words})" if words else drop.reason
