"""The bounded HTTP client: every exchange under `Limits`, every address checked when its socket is
made."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from wenlan_data import __version__
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.address_gate import AddressGate
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.body_memory import BodyMemory, BodyRoom
from wenlan_data.web.connector import count_overhead
from wenlan_data.web.content_encoding import ACCEPTED, Decoder, EncodingError, decoder_for
from wenlan_data.web.limits import DEFAULTS, BodyLimits, HostLimits, Limits
from wenlan_data.web.lookups import Lookups
from wenlan_data.web.response import Response, drop_of
from wenlan_data.web.urls import host_of, sendable, url_problem

# An error page this small is read, so that its connection can be used again; for a larger one it is
# closed.
SMALL_ERROR_BYTES = 64 << 10
TRAILING = "bytes after the end of its encoding"
MIN_LARGE_RATE = 64 << 10
"""Bytes per second of a body that holds memory for large bodies, while another one waits for it."""
MAX_ADDRESSES = 3
"""Addresses of a host to which a connection is tried, one after the other."""


class _Transfer:
    """State of one exchange, as the watchdog needs it."""

    __slots__ = (
        "address",
        "connecting_at",
        "content",
        "expired",
        "host",
        "marked_at",
        "marked_bytes",
        "ready_at",
        "refused",
        "room",
        "sockets",
        "started",
        "task",
        "trailing",
        "waits",
    )

    def __init__(self, host: str, address: str, started: float) -> None:
        self.host = host
        self.address = address
        """The only one that it connects to."""
        self.started = started
        """Its beginning, moved by the time in which it waited for us and not for the server."""
        self.task = asyncio.current_task()
        self.content: aiohttp.StreamReader | None = None
        self.sockets: list[socket.socket] = []
        self.connecting_at = self.ready_at = 0.0
        self.marked_at = started
        self.marked_bytes = 0
        self.waits = False
        """Whether it waits for room for a large body: our own doing, not the server's."""
        self.room: BodyRoom | None = None
        """Memory that its body holds, once it is large."""
        self.trailing = False
        """Whether bytes followed the end of the content encoding."""
        self.refused: Drop | None = None
        """Set by the address policy."""
        self.expired: Drop | None = None
        """Set by the watchdog, which then cancels the task."""

    def is_connected(self) -> bool:
        """Whether one of its sockets is connected."""
        return any(map(_has_peer, self.sockets))


# aiohttp passes only an address to the socket factory. The variable adds for which URL the socket
# is, also in tasks that aiohttp starts, since they inherit the context.
_transfer: ContextVar[_Transfer] = ContextVar("transfer")


def user_agent(contact: str) -> str:
    """The `User-Agent` header; `contact` is the operator's."""
    return f"wenlan-data/{__version__}" + (f" (+{contact})" if contact else "")


@cache
def tls_context() -> ssl.SSLContext:
    """Settings of TLS connections: the system's certificate authorities, TLS 1.2 or newer, HTTP/1.1
    only."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # aiohttp speaks no HTTP/2; a server that is offered both may choose it.
    context.set_alpn_protocols(["http/1.1"])
    return context


class _ChosenAddress(AbstractResolver):
    """Gives aiohttp the one address that was chosen, and that the gate let pass, for the current
    exchange."""

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - of the role
    ) -> list[ResolveResult]:
        """Returns that address."""
        address = _transfer.get().address
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
        ]

    async def close(self) -> None:
        """Does nothing."""


class Client:
    """Fetches one URL per call; owns its connections. An async context manager.

    `gate` bounds connections and requests by address; `resolver` and `tls` default to the system's
    resolver and certificate authorities.
    """

    def __init__(
        self,
        *,
        policy: AddressPolicy,
        limits: Limits = DEFAULTS,
        contact: str = "",
        gate: AddressGate | None = None,
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.limits = limits
        self._policy = policy
        self._headers = {"User-Agent": user_agent(contact), "Accept": "*/*"}
        self._gate = gate or AddressGate(limits, lambda _: HostLimits())
        self._resolver = resolver
        self._tls = tls or tls_context()
        self._active: set[_Transfer] = set()
        self._addresses: dict[str, str] = {}
        """Host to the address that it was last connected to."""
        self._refusals: dict[str, Drop | None] = {}
        """Host to the refusal of its name by the address policy; None if it is allowed."""

    async def __aenter__(self) -> Self:
        limits = self.limits
        self._lookups = Lookups(limits, self._resolver)
        # Over all hosts. A host's own bound is `HostState.slots`, that of an address the gate's.
        self._connections = asyncio.Semaphore(limits.max_connections)
        self._body_memory = BodyMemory(limits.large_bodies_bytes)
        connector = aiohttp.TCPConnector(
            # Bounded by `_connections`.
            limit=0,
            use_dns_cache=False,
            resolver=_ChosenAddress(),
            socket_factory=self._make_socket,
            ssl=self._tls,
        )
        self._session = aiohttp.ClientSession(
            connector=count_overhead(connector, limits, self._gate),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            # Bodies are decoded here, piece by piece, so that decoding stops at the limit.
            auto_decompress=False,
            # A proxy would connect in our place, to addresses that the policy never sees.
            trust_env=False,
            # The watchdog's limits are finer; these also hold in tasks that it does not watch.
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=limits.total_s, sock_read=limits.first_byte_s
            ),
            max_line_size=limits.max_line_bytes,
            max_field_size=limits.max_line_bytes,
            max_headers=limits.max_headers,
            trace_configs=[_phases()],
        )
        self._watchdog = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._watchdog.cancel()
        await self._session.close()

    async def get(self, url: str, body_limits: BodyLimits) -> Response | Drop:
        """Makes one request and follows no redirect.

        A response with an error status is a `Response` too. The time of the look-up counts; the
        time for which the request waits at the gate, or for a connection, does not.
        """
        if drop := url_problem(url, self.limits.max_url_characters):
            return drop
        try:
            target = URL(sendable(url), encoded=True)
        except (ValueError, UnicodeError):
            return Drop(Reason.BAD_URL)
        host = host_of(url)
        if host not in self._refusals:
            self._refusals[host] = self._policy.refuses_by_name(host)
        if refused := self._refusals[host]:
            return refused
        name, _, port = host.rpartition(":")
        resolved = await self._lookups.resolve(name, int(port))
        if isinstance(resolved, Drop):
            return resolved
        refusals = [self._policy.refuses(host, one, int(port)) for one in resolved.addresses]
        allowed = [
            one for one, drop in zip(resolved.addresses, refusals, strict=True) if drop is None
        ]
        if not allowed:
            return next(drop for drop in refusals if drop)
        spent_s = resolved.seconds
        for address in self._to_dial(host, allowed):
            result, spent_s = await self._get_from(address, url, target, body_limits, spent_s)
            if not isinstance(result, Drop) or result.reason != Reason.CONNECT:
                return result
            self._addresses.pop(host, None)
        self._lookups.forget(name)
        return result

    def _to_dial(self, host: str, addresses: list[str]) -> list[str]:
        """Addresses in the order in which they are tried: first the one that was reached before,
        to which a connection may be open."""
        known = self._addresses.get(host)
        first = [known] if known in addresses else []
        return [*first, *(one for one in addresses if one != known)][:MAX_ADDRESSES]

    async def _get_from(
        self, address: str, url: str, target: URL, body_limits: BodyLimits, spent_s: float
    ) -> tuple[Response | Drop, float]:
        """The result of a request to one address, and the seconds that this and earlier attempts
        took."""
        loop = asyncio.get_running_loop()
        host = host_of(url)
        async with self._gate.enter(address, host), self._connections:
            transfer = _Transfer(host, address, loop.time() - spent_s)
            _transfer.set(transfer)
            self._active.add(transfer)
            try:
                result = await self._exchange(url, target, transfer, body_limits)
            except asyncio.CancelledError:
                # The watchdog's cancellation becomes a drop. One that remains after `uncancel` is
                # the caller's.
                if transfer.expired is None or transfer.task is None or transfer.task.uncancel():
                    raise
                result = transfer.expired
            except (
                aiohttp.ClientError,
                aiohttp.http_exceptions.HttpProcessingError,
                OSError,
                ValueError,
            ) as error:
                result = transfer.refused or drop_of(error)
            finally:
                self._active.discard(transfer)
                self._gate.ended(host)
            return result, loop.time() - transfer.started

    async def _exchange(
        self, url: str, target: URL, transfer: _Transfer, body_limits: BodyLimits
    ) -> Response | Drop:
        response = await self._session.get(
            target,
            allow_redirects=False,
            headers={"Accept-Encoding": ACCEPTED if body_limits.decodes else "identity"},
            trace_request_ctx=transfer,
        )
        try:
            if not 200 <= response.status <= 599:
                return Drop(Reason.PROTOCOL, f"status {response.status}")
            if (
                sum(len(name) + len(value) for name, value in response.raw_headers)
                > self.limits.max_header_bytes
            ):
                return Drop(Reason.HEADER_LIMIT)
            ip = self._address(response, transfer)
            body = await self._read(response, transfer, body_limits)
            if isinstance(body, Drop):
                return body
            headers = (
                _recorded_headers(response, trailing=transfer.trailing)
                if body_limits.decodes
                else tuple(response.headers.items())
            )
            return Response(
                status=response.status,
                reason=response.reason or "",
                headers=headers,
                body=body,
                final_url=url,
                ip=ip,
                received_at=datetime.now(UTC),
            )
        finally:
            # Does nothing to a connection whose body was read to its end: that one is pooled
            # already.
            response.close()

    async def _read(
        self, response: aiohttp.ClientResponse, transfer: _Transfer, body_limits: BodyLimits
    ) -> bytes | Drop:
        transfer.content = response.content
        transfer.marked_at = asyncio.get_running_loop().time()
        chunked = "Transfer-Encoding" in response.headers
        length = None if chunked else response.content_length
        # Two different ends of one body: where it really ends is a matter of opinion (request
        # smuggling).
        if chunked and "Content-Length" in response.headers:
            return Drop(Reason.PROTOCOL, "both a length and chunks")
        if response.status != 200:
            return (
                await response.read() if length is not None and length <= SMALL_ERROR_BYTES else b""
            )
        label = ",".join(response.headers.getall("Content-Encoding", ()))
        decoder = decoder_for(label)
        if isinstance(decoder, Drop) or (decoder and not body_limits.decodes):
            return Drop(Reason.ENCODING, label[:40])
        if length is not None and length > body_limits.max_wire_bytes and not body_limits.truncates:
            return Drop(Reason.TOO_LARGE, f"{length} bytes")
        # Most bodies: short, plain, of known length. Reading them at once costs less than piece by
        # piece.
        if (
            decoder is None
            and length is not None
            and length <= min(self.limits.small_body_bytes, body_limits.max_bytes)
        ):
            return await response.read()
        return await self._read_up_to(transfer, body_limits, decoder)

    async def _read_up_to(
        self, transfer: _Transfer, body_limits: BodyLimits, decoder: Decoder | None
    ) -> bytes | Drop:
        room = transfer.room = self._body_memory.room()
        try:
            return await self._read_into(room, transfer, body_limits, decoder)
        finally:
            room.release()

    async def _read_into(
        self,
        room: BodyRoom,
        transfer: _Transfer,
        body_limits: BodyLimits,
        decoder: Decoder | None,
    ) -> bytes | Drop:
        body, max_bytes, content = bytearray(), body_limits.max_bytes, transfer.content
        while content is not None and (chunk := await content.readany()):
            try:
                # One byte above the limit is enough to know that the body is too large.
                body += decoder.feed(chunk, max_bytes + 1 - len(body)) if decoder else chunk
            except EncodingError as error:
                return Drop(Reason.ENCODING, str(error)[:40])
            if len(body) > max_bytes or content.total_bytes > body_limits.max_wire_bytes:
                return (
                    bytes(body[:max_bytes])
                    if body_limits.truncates
                    else Drop(Reason.TOO_LARGE, f"more than {max_bytes} bytes")
                )
            # Waits before more is read, so that bodies in memory stay within the bound.
            if len(body) > self.limits.small_body_bytes and not room.fits(len(body)):
                async with self._untimed(transfer):
                    await room.extend(len(body))
        # A body without a single byte is empty, not cut short.
        if decoder and not decoder.finished and content is not None and content.total_bytes:
            return Drop(Reason.SHORT_BODY, "its encoding has no end")
        if decoder and decoder.trailing:
            transfer.trailing = True
        return bytes(body)

    def _address(self, response: aiohttp.ClientResponse, transfer: _Transfer) -> str:
        # The connection of a short body is back in the pool already: then the last address of the
        # host is used.
        connection = response.connection
        if connection is not None and connection.transport is not None:
            peer = connection.transport.get_extra_info("peername")
            if peer:
                self._addresses[transfer.host] = str(peer[0])
        return self._addresses.get(transfer.host, "")

    def _make_socket(self, info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
        family, kind, protocol, _, address = info
        transfer = _transfer.get()
        drop = self._policy.refuses(transfer.host, str(address[0]), int(str(address[1])))
        if drop:
            transfer.refused = drop
            raise OSError("refused by the address policy")
        self._addresses[transfer.host] = str(address[0])
        made = socket.socket(family, kind, protocol)
        transfer.connecting_at = transfer.connecting_at or asyncio.get_running_loop().time()
        transfer.sockets.append(made)
        return made

    async def _watch(self) -> None:
        limits = self.limits
        # Every limit of time is overrun by an eighth of it at most.
        tick_s = min(1.0, limits.total_s / 8, limits.rate_window_s / 8, limits.first_byte_s / 8)
        while True:
            await asyncio.sleep(tick_s)
            now = asyncio.get_running_loop().time()
            for transfer in tuple(self._active):
                if transfer.expired is None and (expired := self._check_limits(transfer, now)):
                    transfer.expired = expired
                    if transfer.task:
                        transfer.task.cancel()

    def _check_limits(self, transfer: _Transfer, now: float) -> Drop | None:
        limits = self.limits
        if transfer.waits:
            return None
        if now - transfer.started > limits.total_s:
            return Drop(Reason.TIMEOUT, "total")
        # Headers are not read yet: connection, TLS and first byte have limits of their own.
        if transfer.content is None:
            return self._check_start(transfer, now)
        if now - transfer.marked_at < limits.rate_window_s:
            return None
        received = transfer.content.total_bytes
        rate = limits.min_rate_bytes_per_s
        # A large body that drips must not keep memory from others.
        if transfer.room and transfer.room.size_bytes and self._body_memory.is_short:
            rate = max(rate, MIN_LARGE_RATE)
        slow = received - transfer.marked_bytes < rate * limits.rate_window_s
        transfer.marked_at, transfer.marked_bytes = now, received
        return Drop(Reason.MIN_RATE) if slow else None

    def _check_start(self, transfer: _Transfer, now: float) -> Drop | None:
        limits = self.limits
        if transfer.ready_at:
            late = now - transfer.ready_at > limits.first_byte_s
            return Drop(Reason.TIMEOUT, "headers") if late else None
        if not transfer.connecting_at:
            return None
        if not transfer.is_connected():
            late = now - transfer.connecting_at > limits.connect_s
            return Drop(Reason.CONNECT, "timeout") if late else None
        late = now - transfer.connecting_at > limits.connect_s + limits.tls_s
        return Drop(Reason.TLS, "timeout", retryable=True) if late else None

    @asynccontextmanager
    async def _untimed(self, transfer: _Transfer) -> AsyncIterator[None]:
        """Stops the clocks of an exchange while it waits for us and not for its server."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        transfer.waits = True
        try:
            yield
        finally:
            transfer.waits = False
            now = loop.time()
            transfer.started += now - began
            # The window of the minimum rate starts again: nothing was read meanwhile.
            transfer.marked_at = now
            transfer.marked_bytes = transfer.content.total_bytes if transfer.content else 0


def _has_peer(one: socket.socket) -> bool:
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def _phases() -> aiohttp.TraceConfig:
    """Sets `ready_at` of a transfer when its connection, TLS included, is ready: the time to first
    byte begins."""

    async def ready(
        _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
    ) -> None:
        context.trace_request_ctx.ready_at = asyncio.get_running_loop().time()

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(ready)
    config.on_connection_reuseconn.append(ready)
    return config


def _recorded_headers(
    response: aiohttp.ClientResponse, *, trailing: bool
) -> tuple[tuple[str, str], ...]:
    """The headers of a decoded body: those that describe its encoding are renamed to
    `X-Crawler-...`."""
    headers = tuple(response.headers.items())
    if "Content-Encoding" not in response.headers:
        return headers
    renamed = {"content-encoding", "content-length"}
    kept = tuple(
        (f"X-Crawler-{name}" if name.lower() in renamed else name, value) for name, value in headers
    )
    return (*kept, ("X-Crawler-Note", TRAILING)) if trailing else kept
