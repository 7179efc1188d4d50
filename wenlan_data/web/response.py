"""Responses of servers and the drops of failed requests."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

import aiohttp

from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.connector import HEADER_LIMIT
from wenlan_data.web.urls import joined, url_problem, without_user_information
from wenlan_data.web.warc import WarcPayload

REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A complete HTTP response."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    """Empty for an error page that was not read."""
    final_url: str
    ip: str
    received_at: datetime
    """Time at which reading ended; for a recorded response, the date of the record."""
    redirects: int = 0

    def header(self, name: str) -> str:
        """The first header of that name (lower case), or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def recorded_response(record: WarcPayload) -> Response:
    """The response that a WARC record holds; a resource record is one with its content type."""
    return Response(
        status=record.status,
        reason="OK",
        headers=record.headers or (("Content-Type", record.content_type),),
        body=record.payload,
        final_url=without_user_information(record.url),
        ip=record.ip,
        received_at=record.date,
    )


def failure_of(status: int) -> Drop | None:
    """The drop of a status other than 200, else None; `status_5xx` and `status_429` are
    transient."""
    # 200 only: a 206 is a piece of what was requested, a 204 is nothing.
    if status == 200:
        return None
    if status == 429:
        return Drop(Reason.STATUS_429, "429")
    if 500 <= status <= 599:
        return Drop(Reason.STATUS_5XX, str(status))
    return Drop(Reason.HTTP_STATUS, str(status))


def redirect_target(response: Response) -> str | Drop:
    """The absolute URL of a redirect's target, or why it is not followed."""
    location = response.header("location").strip()
    # Control characters are part of no URL; a server may hope that they split our next request.
    if not location or any(ord(character) < 32 for character in location):
        return Drop(Reason.BAD_LOCATION)
    # Raw bytes of a header arrive as surrogates. They are most likely UTF-8 or GBK text and are
    # sent back escaped.
    location = "".join(
        c if ord(c) < 0xDC80 or ord(c) > 0xDCFF else f"%{ord(c) - 0xDC00:02X}" for c in location
    )
    try:
        target = joined(response.final_url, location)
    except ValueError:
        return Drop(Reason.BAD_LOCATION)
    return url_problem(target) or target


def retry_after_s(response: Response, now_s: float) -> float | None:
    """Seconds to wait by `Retry-After`, a number or a date; None without it.

    `now_s` is in seconds since 1970.
    """
    value = response.header("retry-after").strip()
    if value.isascii() and value.isdigit():
        # Cut, since a header of 8 KiB of digits is infinite as a float.
        return float(value[:12])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now_s) if value else None
    except (ValueError, OverflowError):
        return None


def drop_of(error: BaseException) -> Drop:
    """The drop of an error that aiohttp raised, without its message, which would name addresses."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return Drop(Reason.DNS)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return Drop(Reason.TLS)
        case aiohttp.ClientResponseError() | aiohttp.http_exceptions.HttpProcessingError():
            return _head_drop(error)
        case aiohttp.ConnectionTimeoutError():
            return Drop(Reason.CONNECT, "timeout")
        case TimeoutError():
            return Drop(Reason.TIMEOUT, "no byte")
        case aiohttp.ClientConnectorError():
            return _connect_drop(error)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return Drop(Reason.DISCONNECTED)
        case aiohttp.ClientPayloadError():
            return _payload_drop(error)
        case aiohttp.InvalidURL() | ValueError():
            return Drop(Reason.BAD_URL)
        case _:
            return Drop(Reason.PROTOCOL)


def _connect_drop(error: aiohttp.ClientConnectorError) -> Drop:
    """The drop of a failed connection: refused at once, or closed later, during the TLS
    handshake."""
    # A peer that resets after the connection was made rejects the TLS handshake.
    hung_up = isinstance(error.os_error, ConnectionResetError | ConnectionAbortedError)
    return (
        Drop(Reason.TLS, "handshake", retryable=True)
        if hung_up
        else Drop(Reason.CONNECT, "refused")
    )


def _head_drop(error: BaseException) -> Drop:
    """The drop of a status line, headers or trailers that are too long or no HTTP."""
    # aiohttp wraps its parser's error; only the innermost one states what was too long.
    while error.__cause__ is not None:
        error = error.__cause__
    message = str(error)
    too_long = isinstance(error, aiohttp.http_exceptions.LineTooLong) or HEADER_LIMIT in message
    return (
        Drop(HEADER_LIMIT) if too_long or "Too many headers" in message else Drop(Reason.PROTOCOL)
    )


def _payload_drop(error: aiohttp.ClientPayloadError) -> Drop:
    cause = error.__cause__
    if isinstance(cause, aiohttp.http_exceptions.ContentLengthError):
        return Drop(Reason.SHORT_BODY)
    broken_chunks = isinstance(cause, aiohttp.http_exceptions.TransferEncodingError)
    return Drop(Reason.PROTOCOL, "chunks") if broken_chunks else Drop(Reason.SHORT_BODY)
