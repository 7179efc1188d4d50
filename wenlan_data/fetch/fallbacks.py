"""Fallback URLs: other copies of an image, requested where its own URL gives none."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from wenlan_data.fetch.results import FetchRequest, FetchResult, Redirected
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.urls import host_of, url_key

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

MAX_PASSES = 12
"""Passes over the fetch lists in which one image is requested; 5 redirects need 6 of them."""

Request = Callable[[Sequence[tuple[str, int]]], Awaitable[list[FetchResult | Redirected]]]
"""Requests URLs, each with the number of redirects that led to it, and returns the result of each,
in order."""


async def fetch_with_fallbacks(
    rows: Sequence[FetchRequest], request: Request, is_own: Callable[[str], bool]
) -> list[FetchResult | FetchRequest]:
    """Returns the result of each row: of its URL or, where that gives no image, of the first of its
    fallback URLs that does; or the request with which a later pass goes on, where that is at a host
    (`host:port`) for which `is_own` is false.

    If none gives an image, it is the result of the row's own URL; that is retryable where a
    fallback URL failed transiently. All URLs of the rows are requested before any fallback URL, and
    no URL twice: so the results are a function of the responses, in whatever order they arrive.
    """
    known = dict[tuple[str, int], FetchResult | Redirected]()
    outcomes: dict[int, FetchResult | FetchRequest] = {}
    pending = dict(enumerate(rows))
    while pending:
        keys = {index: _key(row) for index, row in pending.items()}
        new = {
            keys[index]: (row.current_url, row.redirects)
            for index, row in pending.items()
            if keys[index] not in known
        }
        if new:
            known.update(zip(new, await request(list(new.values())), strict=True))
        following: dict[int, FetchRequest] = {}
        for index, row in pending.items():
            outcome = _outcome(row, known[keys[index]], is_own)
            if isinstance(outcome, FetchRequest) and outcome.passes == row.passes:
                following[index] = outcome
            else:
                outcomes[index] = outcome
        pending = following
    return [outcomes[index] for index in range(len(rows))]


def _key(row: FetchRequest) -> tuple[str, int]:
    return url_key(row.request_url) if row.request_url else row.url_key, row.redirects


def _outcome(
    row: FetchRequest, result: FetchResult | Redirected, is_own: Callable[[str], bool]
) -> FetchResult | FetchRequest:
    """The result of a row, or its next request: in this pass, or in a later one (`passes`)."""
    if isinstance(result, Redirected):
        return _later(replace(row, request_url=result.url, redirects=result.redirects))
    if not _gives_no_image(result) or row.copy == len(row.fallback_urls):
        return _final(row, result)
    following = replace(
        row,
        request_url=row.fallback_urls[row.copy],
        redirects=0,
        copy=row.copy + 1,
        own_result=row.own_result or result,
    )
    return following if is_own(host_of(following.request_url)) else _later(following)


def _later(row: FetchRequest) -> FetchResult | FetchRequest:
    if row.passes + 1 < MAX_PASSES:
        return replace(row, passes=row.passes + 1)
    limit = Drop(Reason.REDIRECT_LIMIT, f"more than {MAX_PASSES} hosts in turn")
    return _final(row, FetchResult(found=limit))


def _gives_no_image(result: FetchResult) -> bool:
    found = result.found
    return (
        isinstance(found, Drop)
        and not found.retryable
        and found.reason in FALLBACK_REASONS
        and not (found.reason == Reason.HTTP_STATUS and found.detail == _LEGAL_REASONS)
    )


def _final(row: FetchRequest, last: FetchResult) -> FetchResult:
    own = row.own_result
    if own is None:
        return last
    if not isinstance(last.found, Drop):
        return replace(last, fetched_url=row.fallback_urls[row.copy - 1])
    if isinstance(own.found, Drop) and last.found.retryable:
        return replace(own, found=Drop(own.found.reason, own.found.detail, retryable=True))
    return own
