"""A loopback server that sends exactly the given bytes, and logs what is requested and when."""

import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

Answer = bytes | Callable[[socket.socket], None]
"""The raw bytes of a response, or what is done with the connection."""


def ok(body: bytes, *headers: str) -> bytes:
    """A response with status 200."""
    return response("200 OK", body, *headers)


def response(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A response with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class RawServer:
    """Answers each path with the next of its answers, the last one for ever; 404 for other
    paths."""

    def __init__(self, answers: dict[str, list[Answer]]) -> None:
        self.answers = {path: list(listed) for path, listed in answers.items()}
        self.paths: list[str] = []
        self.times: list[float] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.most_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def url(self, path: str) -> str:
        """The URL of a path of this server."""
        return f"http://{self.host}{path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        # Wakes the thread that waits in accept(), which would keep the port open.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def stall(self, connection: socket.socket) -> None:
        """Say nothing until the server is closed."""
        self._stop.wait(30)

    def drip(self, connection: socket.socket) -> None:
        """Promise a body and send a byte of it now and then."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not self._stop.wait(0.05):
            connection.sendall(b"x")

    def endless(self, connection: socket.socket) -> None:
        """Send chunks for ever."""
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not self._stop.is_set():
            connection.sendall(b"10000\r\n" + bytes(65536) + b"\r\n")

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while head := self._head(connection):
                    self._answer(connection, head)
            except OSError:
                return

    def _head(self, connection: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            part = connection.recv(65536)
            if not part:
                return b""
            head += part
        return head

    def _answer(self, connection: socket.socket, head: bytes) -> None:
        path = head.split(b" ")[1].decode()
        with self._lock:
            self.paths.append(path)
            self.times.append(time.monotonic())
            self.requests.append(head)
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            listed = self.answers.get(path, [response("404 Not Found")])
            answer = listed.pop(0) if len(listed) > 1 else listed[0]
        try:
            if callable(answer):
                answer(connection)
                connection.close()
            else:
                connection.sendall(answer)
        finally:
            with self._lock:
                self._in_flight -= 1
