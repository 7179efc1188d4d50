"""The one bounded HTTP client: every limit in one value, the address that is dialled checked at its socket."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from wenlan_data import __version__
from wenlan_data.records import Drop
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.connector import counted
from wenlan_data.web.content_encoding import ACCEPTED, Decoder, EncodingError, decoder_for
from wenlan_data.web.limits import DEFAULTS, Allowance, Limits
from wenlan_data.web.response import REDIRECTS, Response, drop_of, redirect_target
from wenlan_data.web.urls import host_of, sendable, usable

# An error page this small is read, so that its connection can be used again; a larger one is hung up on.
SMALL_ERROR_BYTES = 64 << 10
TRAILING = "bytes after the end of its encoding"


class _Transfer:
    """One exchange under way: what the watchdog looks at."""

    __slots__ = (
        "content",
        "dialled_at",
        "host",
        "ip",
        "marked_at",
        "marked_bytes",
        "note",
        "ready_at",
        "refusal",
        "sockets",
        "started",
        "task",
        "verdict",
        "waits",
    )

    def __init__(self, host: str, started: float, task: "asyncio.Task[object] | None") -> None:
        self.host = host
        self.started = started
        self.task = task
        self.content: aiohttp.StreamReader | None = None
        self.sockets: list[socket.socket] = []
        self.dialled_at = self.ready_at = 0.0
        self.marked_at = started
        self.marked_bytes = 0
        self.waits = False
        self.note = ""
        self.refusal: Drop | None = None
        self.verdict: Drop | None = None
        self.ip = ""

    def is_connected(self) -> bool:
        """Whether one of its sockets reached a peer."""
        return any(map(_has_peer, self.sockets))


# The socket factory is told only an address; this says for whose URL, in tasks that aiohttp starts as well.
_transfer: ContextVar[_Transfer] = ContextVar("transfer")


def user_agent(contact: str) -> str:
    """Who we say we are."""
    return f"wenlan-data/{__version__}" + (f" (+{contact})" if contact else "")


@cache
def tls_context() -> ssl.SSLContext:
    """What a server's certificate is checked with: the system's authorities, TLS 1.2 or newer, HTTP/1.1 only."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Client:
    """Asks for one URL at a time a caller; owns its connections.

    An async context manager. `resolver` is aiohttp's role; the system's where none is given, as with `tls`.
    """

    def __init__(
        self,
        *,
        policy: AddressPolicy,
        limits: Limits = DEFAULTS,
        contact: str = "",
        resolver: AbstractResolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.limits = limits
        self._policy = policy
        self._headers = {"User-Agent": user_agent(contact), "Accept": "*/*"}
        self._resolver = resolver
        self._tls = tls or tls_context()
        self._active: set[_Transfer] = set()
        self._addresses: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        limits = self.limits
        self._large_bodies = asyncio.Semaphore(limits.max_large_bodies)
        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=60,
            resolver=self._resolver,
            socket_factory=self._make_socket,
            ssl=self._tls,
        )
        self._session = aiohttp.ClientSession(
            connector=counted(connector, limits),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            auto_decompress=False,
            trust_env=False,
            # The watchdog's limits are finer; this one holds where a transfer is none of its tasks.
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

    async def fetch(self, url: str, allowance: Allowance, max_redirects: int) -> Response | Drop:
        """The reply at the end of at most `max_redirects` checked redirects, or why there is none."""
        for redirects in range(max_redirects + 1):
            reply = await self.get(url, allowance)
            if isinstance(reply, Drop) or reply.status not in REDIRECTS:
                return (
                    reply
                    if isinstance(reply, Drop) or not redirects
                    else replace(reply, redirects=redirects)
                )
            target = redirect_target(reply)
            if isinstance(target, Drop):
                return target
            url = target
        return Drop("redirect_limit", f"more than {max_redirects}")

    async def get(self, url: str, allowance: Allowance) -> Response | Drop:
        """One exchange, redirects not followed; a status that is no success is a `Response` too."""
        if drop := usable(url, self.limits.max_url_characters):
            return drop
        try:
            target = URL(sendable(url), encoded=True)
        except (ValueError, UnicodeError):
            return Drop("bad_url")
        transfer = _Transfer(
            host_of(url), asyncio.get_running_loop().time(), asyncio.current_task()
        )
        _transfer.set(transfer)
        self._active.add(transfer)
        try:
            return await self._exchange(url, target, transfer, allowance)
        except asyncio.CancelledError:
            if transfer.verdict is None or transfer.task is None or transfer.task.uncancel():
                raise
            return transfer.verdict
        except (
            aiohttp.ClientError,
            aiohttp.http_exceptions.HttpProcessingError,
            OSError,
            ValueError,
        ) as error:
            return transfer.refusal or drop_of(error)
        finally:
            self._active.discard(transfer)

    async def _exchange(
        self, url: str, target: URL, transfer: _Transfer, allowance: Allowance
    ) -> Response | Drop:
        response = await self._session.get(
            target,
            allow_redirects=False,
            headers={"Accept-Encoding": ACCEPTED if allowance.decodes else "identity"},
            trace_request_ctx=transfer,
        )
        try:
            if not 200 <= response.status <= 599:
                return Drop("protocol", f"status {response.status}")
            if (
                sum(len(name) + len(value) for name, value in response.raw_headers)
                > self.limits.max_header_bytes
            ):
                return Drop("header_limit")
            ip = self._address(response, transfer)
            body, note = await self._read(response, transfer, allowance), transfer.note
            if isinstance(body, Drop):
                return body
            stored = (
                _stored_headers(response, note)
                if allowance.decodes
                else tuple(response.headers.items())
            )
            return Response(
                status=response.status,
                reason=response.reason or "",
                headers=stored,
                body=body,
                final_url=url,
                ip=ip,
            )
        finally:
            # Does nothing to a connection whose body was read to its end: that one is pooled already.
            response.close()

    async def _read(
        self, response: aiohttp.ClientResponse, transfer: _Transfer, allowance: Allowance
    ) -> bytes | Drop:
        transfer.content = response.content
        transfer.marked_at = asyncio.get_running_loop().time()
        chunked = "Transfer-Encoding" in response.headers
        length = None if chunked else response.content_length
        if chunked and "Content-Length" in response.headers:
            return Drop("protocol", "both a length and chunks")
        if response.status != 200:
            return (
                await response.read() if length is not None and length <= SMALL_ERROR_BYTES else b""
            )
        label = ",".join(response.headers.getall("Content-Encoding", ()))
        decoder = decoder_for(label)
        if isinstance(decoder, Drop) or (decoder and not allowance.decodes):
            return Drop("encoding", label[:40])
        if length is not None and length > allowance.max_wire_bytes and not allowance.cut:
            return Drop("too_large", f"{length} bytes")
        if (
            decoder is None
            and length is not None
            and length <= min(self.limits.small_body_bytes, allowance.max_bytes)
        ):
            return await response.read()
        return await self._read_up_to(transfer, allowance, decoder)

    async def _read_up_to(
        self, transfer: _Transfer, allowance: Allowance, decoder: Decoder | None
    ) -> bytes | Drop:
        body, most, content = bytearray(), allowance.max_bytes, transfer.content
        async with AsyncExitStack() as room:
            is_small = True
            while content is not None and (chunk := await content.readany()):
                try:
                    body += decoder.feed(chunk, most + 1 - len(body)) if decoder else chunk
                except EncodingError as error:
                    return Drop("encoding", str(error)[:40])
                if len(body) > most or content.total_bytes > allowance.max_wire_bytes:
                    return (
                        bytes(body[:most])
                        if allowance.cut
                        else Drop("too_large", f"more than {most} bytes")
                    )
                if is_small and len(body) > self.limits.small_body_bytes:
                    is_small = False
                    await room.enter_async_context(self._room(transfer))
            if decoder and not decoder.finished and content is not None and content.total_bytes:
                return Drop("short_body", "its encoding has no end", retryable=True)
            if decoder and decoder.trailing:
                transfer.note = TRAILING
            return bytes(body)

    def _address(self, response: aiohttp.ClientResponse, transfer: _Transfer) -> str:
        # A short body ends before we look, its connection back in the pool: then the host's last address.
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
            transfer.refusal = drop
            raise OSError("refused by the address policy")
        self._addresses[transfer.host] = str(address[0])
        made = socket.socket(family, kind, protocol)
        transfer.dialled_at = transfer.dialled_at or asyncio.get_running_loop().time()
        transfer.sockets.append(made)
        return made

    async def _watch(self) -> None:
        limits = self.limits
        tick_s = min(1.0, limits.total_s / 8, limits.rate_window_s / 8, limits.first_byte_s / 8)
        while True:
            await asyncio.sleep(tick_s)
            now = asyncio.get_running_loop().time()
            for transfer in tuple(self._active):
                if transfer.verdict is None and (verdict := self._judge(transfer, now)):
                    transfer.verdict = verdict
                    if transfer.task:
                        transfer.task.cancel()

    def _judge(self, transfer: _Transfer, now: float) -> Drop | None:
        limits = self.limits
        if now - transfer.started > limits.total_s:
            return Drop("timeout", "total", retryable=True)
        if transfer.content is None:
            return self._judge_start(transfer, now)
        if transfer.waits or now - transfer.marked_at < limits.rate_window_s:
            return None
        received = transfer.content.total_bytes
        slow = received - transfer.marked_bytes < limits.min_rate_bytes_per_s * limits.rate_window_s
        transfer.marked_at, transfer.marked_bytes = now, received
        return Drop("min_rate", retryable=True) if slow else None

    def _judge_start(self, transfer: _Transfer, now: float) -> Drop | None:
        limits = self.limits
        if transfer.ready_at:
            late = now - transfer.ready_at > limits.first_byte_s
            return Drop("timeout", "headers", retryable=True) if late else None
        if not transfer.dialled_at:
            late = now - transfer.started > limits.connect_s
            return Drop("dns", "timeout", retryable=True) if late else None
        if not transfer.is_connected():
            late = now - transfer.dialled_at > limits.connect_s
            return Drop("connect", "timeout", retryable=True) if late else None
        late = now - transfer.dialled_at > limits.connect_s + limits.tls_s
        return Drop("tls", "timeout", retryable=True) if late else None

    @asynccontextmanager
    async def _room(self, transfer: _Transfer) -> AsyncIterator[None]:
        """The right to hold a large body. While it is waited for, the server is not too slow: we are."""
        transfer.waits = True
        async with self._large_bodies:
            transfer.waits = False
            transfer.marked_at = asyncio.get_running_loop().time()
            transfer.marked_bytes = transfer.content.total_bytes if transfer.content else 0
            yield


def _has_peer(one: socket.socket) -> bool:
    try:
        one.getpeername()
    except OSError:
        return False
    return True


def _phases() -> aiohttp.TraceConfig:
    """Tells a transfer when its connection, TLS included, is ready: the server's time to answer begins."""

    async def ready(
        _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
    ) -> None:
        context.trace_request_ctx.ready_at = asyncio.get_running_loop().time()

    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(ready)
    config.on_connection_reuseconn.append(ready)
    return config


def _stored_headers(response: aiohttp.ClientResponse, note: str) -> tuple[tuple[str, str], ...]:
    """The headers of a body that lost its encoding, which they must not claim any more."""
    headers = tuple(response.headers.items())
    if "Content-Encoding" not in response.headers:
        return headers
    gone = {"content-encoding", "content-length"}
    kept = tuple(
        (f"X-Crawler-{name}" if name.lower() in gone else name, value) for name, value in headers
    )
    return (*kept, ("X-Crawler-Note", note)) if note else kept
