"""The servers of the hostile web: one host on loopback per case, which sends exactly the bytes of
the case."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import TracebackType
from typing import Self

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Behaviour
"""The raw bytes of a response, or a coroutine that uses the connection, closed afterwards."""
Answers = Mapping[str, "Answer | list[Answer]"]
"""Path to its response, or to its responses in order, of which the last is repeated."""


def response(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Returns a response with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def ok(body: bytes, *headers: str) -> bytes:
    """Returns a response with status 200."""
    return response("200 OK", body, *headers)


def html(text: str | bytes, *headers: str) -> bytes:
    """Returns a page."""
    body = text.encode() if isinstance(text, str) else text
    return ok(body, *(headers or ("Content-Type: text/html",)))


def to(location: str, status: str = "302 Found") -> bytes:
    """Returns a redirect; surrogates are bytes that are not text."""
    return response(status, b"", f"Location: {location}")


@dataclass(slots=True)
class LoggedRequest:
    """One request as the server received it; times are seconds of the monotonic clock."""

    path: str
    head: bytes
    began: float
    ended: float = 0.0


@dataclass(slots=True)
class Host:
    """One listener, `127.0.0.1:port`, its responses and its log."""

    answers: dict[str, list[Answer]]
    otherwise: Callable[[str], Answer] | None = None
    name: str = ""
    log: list[LoggedRequest] = field(default_factory=list)
    connections: int = 0
    sent_bytes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    protocols: list[str | None] = field(default_factory=list)
    """The protocol that TLS negotiated on each connection."""

    def url(self, path: str) -> str:
        """Returns the URL of a path."""
        return f"http://{self.name}{path}"

    @property
    def paths(self) -> list[str]:
        """The requested paths in order, without robots.txt and tdmrep.json."""
        return [
            one.path
            for one in self.log
            if one.path not in {"/robots.txt", "/.well-known/tdmrep.json"}
        ]


class Web:
    """All hosts, served by one event loop in a thread of its own. A context manager.

    With `own_addresses`, each host has a loopback address of its own, as hosts of the web mostly
    do; otherwise all are at 127.0.0.1, where few connections are open at once.
    """

    def __init__(self, *, own_addresses: bool = False) -> None:
        self._own_addresses = own_addresses
        self.hosts: list[Host] = []
        self.loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async def close() -> None:
            for server in self._servers:
                server.close()
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(close(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(20)
        self.loop.close()

    def host(
        self,
        answers: Answers,
        otherwise: Callable[[str], Answer] | None = None,
        *,
        address: str = "",
        port: int = 0,
        tls: object = None,
        raw: Behaviour | None = None,
    ) -> Host:
        """Starts a new host. `otherwise` responds to paths that `answers` lacks (default: 404);
        `raw` takes over every connection."""
        listed = {
            path: list(one) if isinstance(one, list) else [one] for path, one in answers.items()
        }
        host = Host(listed, otherwise)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if tls is not None:
                host.protocols.append(writer.get_extra_info("ssl_object").selected_alpn_protocol())
            # Connections that still stall when the web closes are cancelled.
            with suppress(asyncio.CancelledError):
                if raw is None:
                    await self._serve(host, reader, writer)
                else:
                    host.connections += 1
                    await raw(reader, writer)

        if not address:
            number = len(self.hosts) + 1 if self._own_addresses else 0
            address = f"127.77.{number >> 8}.{number & 255}" if number else "127.0.0.1"
        starting = asyncio.start_server(serve, address, port, ssl=tls, limit=1 << 20)
        server = asyncio.run_coroutine_threadsafe(starting, self.loop).result(20)
        self._servers.append(server)
        bound = server.sockets[0].getsockname()[1]
        host.name = f"[{address}]:{bound}" if ":" in address else f"{address}:{bound}"
        self.hosts.append(host)
        return host

    async def _serve(
        self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host.connections += 1
        try:
            while await self._one(host, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _one(
        self, host: Host, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode("latin-1")
        request = LoggedRequest(path, head, time.monotonic())
        host.log.append(request)
        host.in_flight += 1
        host.most_in_flight = max(host.most_in_flight, host.in_flight)
        listed = host.answers.get(path) or [
            host.otherwise(path) if host.otherwise else response("404 Not Found")
        ]
        answer = listed.pop(0) if len(listed) > 1 else listed[0]
        try:
            if callable(answer):
                await answer(reader, writer)
                return False
            # Set before sending: a busy machine may read its clock long after the client has read
            # the response.
            request.ended = time.monotonic()
            writer.write(answer)
            await writer.drain()
            host.sent_bytes += len(answer)
            return True
        finally:
            host.in_flight -= 1
            request.ended = request.ended or time.monotonic()


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends nothing."""
    await asyncio.sleep(600)


def sends(*pieces: bytes, then: Behaviour | None = None) -> Behaviour:
    """Returns a behaviour that sends pieces, then continues with `then`, or closes."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then:
            await then(reader, writer)

    return behave


def drips(start: bytes, piece: bytes, every_s: float) -> Behaviour:
    """Returns a behaviour that sends `start`, then `piece` repeatedly until the client closes."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while not writer.is_closing():
            await writer.drain()
            await asyncio.sleep(every_s)
            writer.write(piece)

    return behave


def resets(start: bytes) -> Behaviour:
    """Returns a behaviour that sends `start`, then resets the connection."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    return behave


def gaps_s(requests: Iterable[LoggedRequest]) -> list[float]:
    """Returns the seconds between the end of each request and the beginning of the next."""
    return [later.began - sooner.ended for sooner, later in pairwise(requests)]
