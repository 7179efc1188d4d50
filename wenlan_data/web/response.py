"""What a server answered, and what that means: a success, a redirect, or one of the named failures."""

import ssl
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import aiohttp

from wenlan_data.records import Drop
from wenlan_data.web.connector import HEADER_LIMIT
from wenlan_data.web.urls import usable

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a server answered, its body whole."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    """Empty for an error page that was not worth reading."""
    final_url: str
    ip: str
    redirects: int = 0

    def header(self, name: str) -> str:
        """The first header of that name (lower case), or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def failure_of(status: int) -> Drop | None:
    """The drop of a status that is no success; `status_5xx` and `status_429` may be asked again."""
    if status == 200:
        return None
    if status == 429:
        return Drop("status_429", "429", retryable=True)
    if 500 <= status <= 599:
        return Drop("status_5xx", str(status), retryable=True)
    return Drop("http_status", str(status))


def redirect_target(reply: Response) -> str | Drop:
    """The absolute URL that a redirect names, or why it is not followed."""
    location = reply.header("location").strip()
    if not location or any(ord(character) < 32 for character in location):
        return Drop("bad_location")
    # Raw bytes of a header arrive as surrogates; they were most likely UTF-8 or GBK and go on as escapes.
    location = "".join(
        c if ord(c) < 0xDC80 or ord(c) > 0xDCFF else f"%{ord(c) - 0xDC00:02X}" for c in location
    )
    try:
        target = urljoin(reply.final_url, location)
    except ValueError:
        return Drop("bad_location")
    return usable(target) or target


def retry_after_s(reply: Response, now_s: float) -> float | None:
    """Seconds that `Retry-After` asks to wait, as a number or a date (`now_s`: since 1970); None without it."""
    value = reply.header("retry-after").strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s) if value else None
    except (ValueError, OverflowError):
        return None


def drop_of(error: BaseException) -> Drop:
    """The drop for what aiohttp raised; its words are left out, since they name addresses."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Drop("dns", retryable=True)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Drop("tls")
        case aiohttp.ClientResponseError() | aiohttp.http_exceptions.HttpProcessingError():
            return _head_drop(error)
        case aiohttp.ConnectionTimeoutError():
            return Drop("connect", "timeout", retryable=True)
        case TimeoutError():
            return Drop("timeout", "no byte", retryable=True)
        case aiohttp.ClientConnectorError():
            return _connect_drop(error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return Drop("disconnected", retryable=True)
        case aiohttp.ClientPayloadError():
            return _payload_drop(error)
        case aiohttp.InvalidURL() | ValueError():
            return Drop("bad_url")
        case _:
            return Drop("protocol")


def _connect_drop(error: aiohttp.ClientConnectorError) -> Drop:
    """Who refuses to talk refuses at once; who hangs up later did not like our handshake."""
    hung_up = isinstance(error.os_error, ConnectionResetError | ConnectionAbortedError)
    return (
        Drop("tls", "handshake", retryable=True)
        if hung_up
        else Drop("connect", "refused", retryable=True)
    )


def _head_drop(error: BaseException) -> Drop:
    """What was wrong with status line, headers or trailers: too much of them, or no HTTP."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = str(error)
    too_much = isinstance(error, aiohttp.http_exceptions.LineTooLong) or HEADER_LIMIT in words
    return Drop(HEADER_LIMIT) if too_much or "Too many headers" in words else Drop("protocol")


def _payload_drop(error: aiohttp.ClientPayloadError) -> Drop:
    cause = error.__cause__
    if isinstance(cause, aiohttp.http_exceptions.ContentLengthError):
        return Drop("short_body", retryable=True)
    broken_chunks = isinstance(cause, aiohttp.http_exceptions.TransferEncodingError)
    return Drop("protocol", "chunks") if broken_chunks else Drop("short_body", retryable=True)
