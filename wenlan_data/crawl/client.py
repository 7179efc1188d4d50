"""The one bounded HTTP client: every limit in one value, the address that is dialled checked at its socket."""

import asyncio
import socket
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from wenlan_data import __version__
from wenlan_data.crawl.address import AddressPolicy
from wenlan_data.crawl.reply import REDIRECTS, Reply, drop_of, redirect_target
from wenlan_data.crawl.urls import host_of, sendable, usable
from wenlan_data.errors import UsageError
from wenlan_data.records import Drop

# An error page this small is read, so that its connection can be used again; a larger one is hung up on.
SMALL_BODY_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one exchange may cost. Raises `UsageError` for a limit that is not positive."""

    connect_s: float = 10.0
    tls_s: float = 10.0
    first_byte_s: float = 15.0
    total_s: float = 60.0
    min_rate_bytes_per_s: int = 1024
    rate_window_s: float = 10.0
    max_redirects: int = 5
    max_image_bytes: int = 20 << 20
    max_robots_bytes: int = 512 << 10
    max_line_bytes: int = 8190
    max_headers: int = 100
    max_header_bytes: int = 32 << 10

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise UsageError(f"limits: {field.name} must be above 0")


class _Transfer:
    """One exchange under way: what the watchdog looks at."""

    __slots__ = (
        "content",
        "host",
        "ip",
        "marked_at",
        "marked_bytes",
        "refusal",
        "started",
        "task",
        "verdict",
    )

    def __init__(self, host: str, started: float, task: "asyncio.Task[object] | None") -> None:
        self.host = host
        self.started = started
        self.task = task
        self.content: aiohttp.StreamReader | None = None
        self.marked_at = started
        self.marked_bytes = 0
        self.refusal: Drop | None = None
        self.verdict: Drop | None = None
        self.ip = ""


# The socket factory is told only an address; this says for whose URL, in tasks that aiohttp starts as well.
_transfer: ContextVar[_Transfer] = ContextVar("transfer")


def user_agent(contact: str) -> str:
    """Who we say we are."""
    return f"wenlan-data/{__version__}" + (f" (+{contact})" if contact else "")


class Client:
    """Asks for one URL at a time a caller; owns its connections.

    An async context manager. `resolver` is aiohttp's role; the system's where none is given.
    """

    def __init__(
        self,
        *,
        policy: AddressPolicy,
        limits: Limits | None = None,
        contact: str = "",
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._policy = policy
        self._headers = {"User-Agent": user_agent(contact), "Accept": "*/*", "Accept-Encoding": "identity"}
        self._resolver = resolver
        self._active: set[_Transfer] = set()
        self._addresses: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        limits = self.limits
        connector = aiohttp.TCPConnector(
            limit=0, ttl_dns_cache=60, resolver=self._resolver, socket_factory=self._make_socket
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            auto_decompress=False,
            trust_env=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=limits.connect_s + limits.tls_s,
                sock_connect=limits.connect_s,
                sock_read=limits.first_byte_s,
            ),
            max_line_size=limits.max_line_bytes,
            max_field_size=limits.max_line_bytes,
            max_headers=limits.max_headers,
        )
        self._watchdog = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        await self._session.close()

    async def fetch(self, url: str, max_bytes: int, *, cut: bool = False) -> Reply | Drop:
        """The reply at the end of at most `max_redirects` checked redirects, or why there is none."""
        for redirects in range(self.limits.max_redirects + 1):
            reply = await self.get(url, max_bytes, cut=cut)
            if isinstance(reply, Drop) or reply.status not in REDIRECTS:
                return reply if isinstance(reply, Drop) or not redirects else replace(reply, redirects=redirects)
            target = redirect_target(reply)
            if isinstance(target, Drop):
                return target
            url = target
        return Drop("redirect_limit", f"more than {self.limits.max_redirects}")

    async def get(self, url: str, max_bytes: int, *, cut: bool = False) -> Reply | Drop:
        """One exchange, redirects not followed; a status that is no success is a `Reply` too.

        A body above `max_bytes` is `too_large`, or with `cut` ends there.
        """
        if drop := usable(url):
            return drop
        try:
            target = URL(sendable(url), encoded=True)
        except (ValueError, UnicodeError):
            return Drop("bad_url")
        transfer = _Transfer(host_of(url), asyncio.get_running_loop().time(), asyncio.current_task())
        _transfer.set(transfer)
        self._active.add(transfer)
        try:
            return await self._exchange(url, target, transfer, max_bytes, cut)
        except asyncio.CancelledError:
            if transfer.verdict is None or transfer.task is None or transfer.task.uncancel():
                raise
            return transfer.verdict
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return transfer.refusal or drop_of(error)
        finally:
            self._active.discard(transfer)

    async def _exchange(self, url: str, target: URL, transfer: _Transfer, max_bytes: int, cut: bool) -> Reply | Drop:
        response = await self._session.get(target, allow_redirects=False)
        try:
            if not 200 <= response.status <= 599:
                return Drop("protocol", f"status {response.status}")
            if sum(len(name) + len(value) for name, value in response.raw_headers) > self.limits.max_header_bytes:
                return Drop("header_limit")
            ip = self._address(response, transfer)
            body = await self._read(response, transfer, max_bytes, cut)
            if isinstance(body, Drop):
                return body
            return Reply(
                status=response.status,
                reason=response.reason or "",
                headers=tuple(response.headers.items()),
                body=body,
                final_url=url,
                ip=ip,
            )
        finally:
            # Does nothing to a connection whose body was read to its end: that one is pooled already.
            response.close()

    async def _read(
        self, response: aiohttp.ClientResponse, transfer: _Transfer, max_bytes: int, cut: bool
    ) -> bytes | Drop:
        transfer.content = response.content
        transfer.marked_at = asyncio.get_running_loop().time()
        chunked = "Transfer-Encoding" in response.headers
        length = None if chunked else response.content_length
        if chunked and "Content-Length" in response.headers:
            return Drop("protocol", "both a length and chunks")
        if response.status != 200:
            return await response.read() if length is not None and length <= SMALL_BODY_BYTES else b""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            return Drop("encoding", response.headers["Content-Encoding"][:40])
        if length is None or (cut and length > max_bytes):
            return await _read_up_to(response.content, max_bytes, cut)
        return await response.read() if length <= max_bytes else Drop("too_large", f"{length} bytes")

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
        return socket.socket(family, kind, protocol)

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
            late = now - transfer.started > limits.connect_s + limits.tls_s + limits.first_byte_s
            return Drop("timeout", "headers", retryable=True) if late else None
        if now - transfer.marked_at < limits.rate_window_s:
            return None
        received = transfer.content.total_bytes
        slow = received - transfer.marked_bytes < limits.min_rate_bytes_per_s * limits.rate_window_s
        transfer.marked_at, transfer.marked_bytes = now, received
        return Drop("min_rate", retryable=True) if slow else None


async def _read_up_to(content: aiohttp.StreamReader, max_bytes: int, cut: bool) -> bytes | Drop:
    chunks, size = [], 0
    while chunk := await content.readany():
        size += len(chunk)
        chunks.append(chunk)
        if size > max_bytes:
            return b"".join(chunks)[:max_bytes] if cut else Drop("too_large", f"more than {max_bytes} bytes")
    return b"".join(chunks)
