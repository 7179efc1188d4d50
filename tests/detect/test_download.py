"""Downloads from servers that are slow, endless, wrong, or want to know who asks."""

import hashlib
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from wenlan_data.detect import download as module
from wenlan_data.detect.download import CA_VARIABLE, download
from wenlan_data.errors import DiskError, UsageError, WenlanError

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
LIMIT = len(CONTENT) + 1000
HALF = len(CONTENT) // 2
Respond = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Calls the function of the server; keeps the requests."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        self.close_connection = True
        with suppress(OSError):
            self.server.respond(self)

    def start(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def whole(self, content: bytes = CONTENT) -> None:
        self.start(200, Content_Length=len(content))
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    requests: list[tuple[str, dict[str, str]]]
    respond: Respond


@contextmanager
def server(respond: Respond, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    served = Server(("127.0.0.1", 0), Handler)
    served.requests, served.respond = [], respond
    if context:
        served.socket = context.wrap_socket(served.socket, server_side=True)
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield served
    finally:
        served.shutdown()
        served.server_close()


def fetch(served: Server, target: Path, *, scheme: str = "http", max_bytes: int = LIMIT) -> None:
    url = f"{scheme}://localhost:{served.server_address[1]}/w.onnx"
    download(url, target, SHA256, max_bytes, lambda _: None)


def ranged(handler: Handler) -> None:
    """A server that can resume."""
    start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
    if start >= len(CONTENT):
        handler.start(416, Content_Length=0)
    elif start:
        handler.start(
            206,
            Content_Length=len(CONTENT) - start,
            Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}",
        )
        handler.wfile.write(CONTENT[start:])
    else:
        handler.whole()


def cut(handler: Handler) -> None:
    """Half of the file, and then the end of the connection."""
    handler.start(200, Content_Length=len(CONTENT))
    handler.wfile.write(CONTENT[:HALF])


def wrong_range(handler: Handler) -> None:
    if "Range" not in handler.headers:
        return handler.whole()
    return handler.start(206, Content_Length=0, Content_Range="bytes 0-9/10")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "w.onnx"


def left(target: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in target.parent.iterdir()}


def test_a_download_that_was_cut_is_resumed_where_it_ended(target: Path) -> None:
    with (
        server(cut) as served,
        pytest.raises(WenlanError, match="run the same command to resume") as raised,
    ):
        fetch(served, target)
    assert raised.value.exit_code == 1
    assert left(target) == {".w.onnx.partial": HALF}
    with server(ranged) as served:
        fetch(served, target)
    assert served.requests[0][1]["Range"] == f"bytes={HALF}-"
    assert target.read_bytes() == CONTENT
    assert left(target) == {"w.onnx": len(CONTENT)}


@pytest.mark.parametrize(
    ("partial", "respond"),
    [
        (CONTENT[:HALF], Handler.whole),  # ignores Range
        (CONTENT[:HALF], wrong_range),
        (CONTENT + b"more", ranged),  # 416
    ],
)
def test_a_server_that_cannot_resume_sends_the_whole_file(
    partial: bytes, respond: Respond, target: Path
) -> None:
    target.with_name(".w.onnx.partial").write_bytes(partial)
    with server(respond) as served:
        fetch(served, target)
    assert left(target) == {"w.onnx": len(CONTENT)}


def test_bytes_of_another_file_are_noticed_at_the_end_and_not_kept(target: Path) -> None:
    target.with_name(".w.onnx.partial").write_bytes(b"x" * HALF)
    with server(ranged) as served:
        with pytest.raises(WenlanError, match="was deleted: try again"):
            fetch(served, target)
        assert left(target) == {}
        fetch(served, target)
    assert target.read_bytes() == CONTENT


def endless(handler: Handler) -> None:
    handler.start(200)
    while True:
        handler.wfile.write(bytes(1 << 16))


def endless_chunks(handler: Handler) -> None:
    handler.start(200, Transfer_Encoding="chunked")
    while True:
        handler.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def to_itself(handler: Handler) -> None:
    handler.start(302, Location=handler.path, Content_Length=0)


def too_short(handler: Handler) -> None:
    handler.whole(CONTENT[:-1])


def another(handler: Handler) -> None:
    handler.whole(b"x" * len(CONTENT))


def bomb(handler: Handler) -> None:
    import gzip

    body = gzip.compress(bytes(50_000_000))
    handler.start(200, Content_Length=len(body), Content_Encoding="gzip")
    handler.wfile.write(body)


def status(code: int) -> Respond:
    return lambda handler: handler.start(code, Content_Length=0)


def redirect(place: str) -> Respond:
    return lambda handler: handler.start(302, Location=place, Content_Length=0)


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        (endless, "sends more than"),
        (endless_chunks, "sends more than"),
        (too_short, "was deleted"),
        (another, "was deleted"),
        (bomb, "was deleted"),
        (to_itself, "more than 5 redirects"),
        (status(403), "HTTP status 403"),
        (status(204), "HTTP status 204"),
        (status(206), "HTTP status 206"),
        (status(500), "HTTP status 500"),
        (redirect("ftp://localhost/w"), "redirects to a URL that is not plain https"),
        (redirect("file:///etc/passwd"), "redirects to a URL that is not plain https"),
        (redirect("https://user:secret@localhost/w"), "redirects to a URL that is not plain https"),
        (redirect("https://localhost:1/w"), "cannot be downloaded"),
        (redirect("http://[::1/w"), "cannot be downloaded"),
        (lambda handler: handler.wfile.write(b"\xff" * 100_000), "cannot be downloaded"),
        (lambda _: None, "cannot be downloaded"),
    ],
)
def test_a_wrong_response_is_one_error_and_leaves_no_file(
    respond: Respond, message: str, target: Path
) -> None:
    with server(respond) as served, pytest.raises(WenlanError, match=message) as raised:
        fetch(served, target)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert left(target) == {}


def drip_body(handler: Handler) -> None:
    handler.start(200, Content_Length=len(CONTENT))
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


def drip_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X")
        time.sleep(0.02)


def silent(handler: Handler) -> None:
    time.sleep(5)


@pytest.mark.parametrize("respond", [drip_body, drip_headers, silent])
def test_a_server_that_takes_for_ever_is_left(
    respond: Respond, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 1.0)
    monkeypatch.setattr(module, "HEADERS_S", 2.0)
    monkeypatch.setattr(module, "SLOW_AFTER_S", 1.0)
    with server(respond) as served, pytest.raises(WenlanError, match="run the same command"):
        fetch(served, target)
    assert not target.exists()


def test_neither_netrc_nor_proxies_of_the_environment_are_used(
    target: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("machine localhost login me password secret\n")
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("NETRC", str(home / ".netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with server(Handler.whole) as served:
        fetch(served, target)
    assert "Authorization" not in served.requests[0][1]


def test_https_is_checked_and_never_left(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    bundle = target.with_name("ca.pem")
    authority.cert_pem.write_to_path(bundle)
    with server(Handler.whole, context) as served:
        with pytest.raises(WenlanError, match="SSLError"):
            fetch(served, target, scheme="https")
        monkeypatch.setenv(CA_VARIABLE, str(bundle))
        fetch(served, target, scheme="https")
        assert target.read_bytes() == CONTENT
        target.unlink()
        served.respond = redirect(f"http://localhost:{served.server_address[1]}/w")
        with pytest.raises(WenlanError, match="not plain https"):
            fetch(served, target, scheme="https")


def test_processes_that_want_the_same_file_take_turns(target: Path) -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.3)
        handler.whole()

    with server(slowly) as served:
        threads = [threading.Thread(target=fetch, args=(served, target)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(served.requests) == 1
    assert left(target) == {"w.onnx": len(CONTENT)}


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "pipe", "folder"])
def test_a_download_is_not_written_through_what_waits_in_its_place(
    kind: str, target: Path, tmp_path: Path
) -> None:
    victim, partial = tmp_path / "victim", target.with_name(".w.onnx.partial")
    victim.write_bytes(b"mine")
    make: dict[str, Callable[[], object]] = {
        "link": lambda: partial.symlink_to(victim),
        "dangling link": lambda: partial.symlink_to(tmp_path / "nothing"),
        "hard link": lambda: partial.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(partial),
        "folder": partial.mkdir,
    }
    make[kind]()
    with server(Handler.whole) as served, pytest.raises(UsageError, match="remove it"):
        fetch(served, target)
    assert victim.read_bytes() == b"mine"
    assert not (tmp_path / "nothing").exists()
    assert not target.exists()


def test_a_full_disk_is_exit_3(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    from wenlan_data.detect import weights

    with server(Handler.whole) as served:
        named = weights.NamedWeights(
            url=f"http://localhost:{served.server_address[1]}/w",
            sha256=SHA256,
            licence="CC0",
            bytes=len(CONTENT),
            suffix=".onnx",
        )
        monkeypatch.setitem(weights.NAMED_WEIGHTS, "w", named)
        monkeypatch.setenv(weights.CACHE_VARIABLE, str(target.parent))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python would cut compiled modules too, and keep them.
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        try:
            with pytest.raises(DiskError, match="no room to write"):
                weights.weights_file("w")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
