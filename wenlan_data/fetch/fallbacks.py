"""Fallback URLs: other copies of an image, requested where its own URL gives none."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from wenlan_data.fetch.results import FetchRequest, FetchResult
from wenlan_data.reasons import Reason
from wenlan_data.records import MAX_FALLBACK_URLS, Drop
from wenlan_data.web.urls import url_key

FALLBACK_REASONS = frozenset({
    Reason.HTTP_STATUS, Reason.ROBOTS, Reason.REDIRECT_LIMIT, Reason.BAD_LOCATION, Reason.SCHEME,
    Reason.BAD_URL, Reason.URL_TOO_LONG, Reason.PROTOCOL, Reason.HEADER_LIMIT, Reason.ENCODING,
    Reason.EMPTY_BODY, Reason.NOT_IMAGE, Reason.FORMAT, Reason.EMPTY, Reason.TRUNCATED,
    Reason.UNDECODABLE, Reason.TOO_LARGE,
})  # fmt: skip
"""Reasons after which the next copy is requested: the URL gives no image that can be decoded.

Not among them: transient reasons, for the same URL is requested again; opt-outs and blocklists,
which are meant for the image and not for one copy of it; and rules about size and content, which a
smaller copy of the same image meets no better.
"""
_LEGAL_REASONS = "451"
"""Status of an image that was removed for legal reasons."""

Request = Callable[[Sequence[str]], Awaitable[list[FetchResult | None]]]
"""Requests URLs and returns the result of each, in order."""


async def fetch_with_fallbacks(
    rows: Sequence[FetchRequest], request: Request
) -> list[FetchResult | None]:
    """Returns the result of each row: of its URL or, where that gives no image, of the first of its
    fallback URLs that does.

    If none gives an image, it is the result of the row's own URL; that is retryable where a
    fallback URL failed transiently. All URLs of the rows are requested before any fallback URL, and
    no URL twice: so the results are a function of the responses, in whatever order they arrive.
    """
    known = dict[str, FetchResult | None]()
    await _request_new({row.url_key: row.url for row in rows}, known, request)
    own = [known[row.url_key] for row in rows]
    last = list(own)
    urls = [""] * len(rows)
    for number in range(MAX_FALLBACK_URLS):
        again = [
            index
            for index, row in enumerate(rows)
            if number < len(row.fallback_urls) and _gives_no_image(last[index])
        ]
        for index in again:
            urls[index] = rows[index].fallback_urls[number]
        await _request_new({url_key(urls[index]): urls[index] for index in again}, known, request)
        for index in again:
            last[index] = known[url_key(urls[index])]
    return [_result(*one) for one in zip(own, last, urls, strict=True)]


async def _request_new(
    wanted: dict[str, str], known: dict[str, FetchResult | None], request: Request
) -> None:
    """Adds the results of the wanted URLs that are not known yet, by key."""
    new = {key: url for key, url in wanted.items() if key not in known}
    if new:
        known.update(zip(new, await request(list(new.values())), strict=True))


def _gives_no_image(result: FetchResult | None) -> bool:
    found = result.found if result else None
    return (
        isinstance(found, Drop)
        and not found.retryable
        and found.reason in FALLBACK_REASONS
        and not (found.reason == Reason.HTTP_STATUS and found.detail == _LEGAL_REASONS)
    )


def _result(own: FetchResult | None, last: FetchResult | None, url: str) -> FetchResult | None:
    if own is None or last is None or not url:
        return own
    if not isinstance(last.found, Drop):
        return replace(last, fetched_url=url)
    if isinstance(own.found, Drop) and last.found.retryable:
        return replace(own, found=Drop(own.found.reason, own.found.detail, retryable=True))
    return own
