"""aiohttp's connection with limits on what is no body: headers, interim responses, chunk frames,
trailers."""

import asyncio
from functools import partial

from aiohttp import TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import EMPTY_BODY_STATUS_CODES
from aiohttp.http_exceptions import HttpProcessingError

from wenlan_data.web.address_gate import AddressGate
from wenlan_data.web.limits import Limits

HEADER_LIMIT = "header_limit"
_HEAD_END = b"\r\n\r\n"
_FRAMES_A_BODY_BYTE = 8
"""Allowed per body byte: a chunk of a single byte has six bytes of framing around it."""


class CountingHandler(ResponseHandler):
    """Ends an exchange whose overhead is above `max_header_bytes`, or that sends interim responses
    without end.

    aiohttp bounds each line and the number of headers; it reads interim responses, chunk extensions
    and trailers as long as they come.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, limits: Limits, gate: AddressGate
    ) -> None:
        super().__init__(loop=loop)
        self._limits = limits
        self._gate = gate
        self._address = ""
        self._wire_bytes = self._interim = 0
        self._left: int | None = None
        """Bytes of the body that are still to come; None before the head, or where it has no
        length."""
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remembers the address that was dialled."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if peer else ""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tells the gate that the address has one connection less."""
        self._gate.lost(self, self._address)
        super().connection_lost(exc)

    def set_response_params(self, **params: object) -> None:
        """Resets the counts: a new exchange begins on the connection."""
        self._gate.began(self, self._address)
        self._wire_bytes = self._interim = 0
        self._left = None
        super().set_response_params(**params)  # type: ignore[arg-type]

    def is_connected(self) -> bool:
        """Whether the connection may be used again: not after a response that nobody requested."""
        return super().is_connected() and not self._buffer

    def data_received(self, data: bytes) -> None:
        """Counts, parses head and body separately, and checks; bytes after the end of a body are
        discarded."""
        if not data:
            # aiohttp goes on with bytes that its parser holds since the reader had enough of them.
            # Without this call a body whose last bytes are held never ends.
            super().data_received(data)
            self._check_overhead()
            return
        self._wire_bytes += len(data)
        # Head by head, so that `feed_data` has set `_left` before the first byte of the body is
        # passed on.
        while data and self._left is None and (end := data.find(_HEAD_END)) >= 0:
            head, data = data[: end + len(_HEAD_END)], data[end + len(_HEAD_END) :]
            super().data_received(head)
            if self._payload is not None and self._left is None:
                break
        if self._left is not None:
            # aiohttp would drop a whole body for the bytes that follow it, or take them for the
            # next response.
            self._should_close = self._should_close or len(data) > self._left
            data = data[: self._left]
            self._left -= len(data)
        if data:
            super().data_received(data)
        error, payload = self.exception(), self._payload
        if (
            error is not None
            and payload is not None
            and not payload.is_eof()
            and payload.exception() is None
        ):
            # Otherwise the reader of the body waits until a limit of time.
            payload.set_exception(error)
        self._check_overhead()

    def feed_data(self, data: object, size: int = 0) -> None:
        """Checks the head of a response on its way to the reader."""
        # aiohttp passes heads as tuples; what follows a refused head is not parsed further.
        if self._refused or not isinstance(data, tuple):
            return
        message = data[0]
        if 100 <= message.code <= 199:
            self._interim += 1
            if self._interim > self._limits.max_interim_responses:
                self._refuse()
                return
        elif not message.chunked:
            length = message.headers.get("Content-Length", "")
            empty = message.code in EMPTY_BODY_STATUS_CODES
            self._left = 0 if empty else int(length) if length.isdecimal() else None
        super().feed_data(data, size)

    def _check_overhead(self) -> None:
        payload = self._payload
        body_bytes = payload.total_bytes if payload is not None else 0
        # Framing grows with the body, so its share is bounded and not its sum.
        allowed = self._limits.max_header_bytes + _FRAMES_A_BODY_BYTE * body_bytes
        if (
            self._left is None
            and self._wire_bytes - body_bytes > allowed
            and self.transport is not None
        ):
            self._refuse()

    def _refuse(self) -> None:
        transport, payload = self.transport, self._payload
        self._refused = True
        error = HttpProcessingError(message=HEADER_LIMIT)
        if payload is not None and not payload.is_eof():
            payload.set_exception(error)
        self.set_exception(error)
        # Aborted, not closed: closing would flush and shut TLS down in order.
        if transport is not None:
            transport.abort()


def count_overhead(connector: TCPConnector, limits: Limits, gate: AddressGate) -> TCPConnector:
    """Makes the connections of `connector` count, and known to the gate; returns it."""
    # aiohttp has no public way to use another protocol class.
    connector._factory = partial(  # type: ignore[assignment]
        CountingHandler, asyncio.get_running_loop(), limits=limits, gate=gate
    )
    return connector
