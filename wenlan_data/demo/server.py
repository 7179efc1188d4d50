"""Serves the site of the demo on loopback, with peculiarities of real hosts: redirects, `noai`."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

_SOURCES = """\
# Written by `wenlan-data demo`: the sources of the corpus, and the rate limit of the host.
contact: demo@example.org
network: {{allow: ["{host}"]}}
hosts: {{"{host}": {{max_connections: 8, min_gap_s: 0}}}}
sources:
  - {{kind: pages, seeds: ["http://{host}/index.html"]}}
  - {{kind: folder, path: photos/}}
"""


class _SiteHandler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A response is two small writes, and Nagle's algorithm would hold the second back for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Sends the file, or a redirect to its new path."""
        target = "/about.html" if self.path == "/about.htm" else self.path.removeprefix("/moved")
        if target != self.path:
            self.send_response(301)
            self.send_header("Location", target)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            super().do_GET()

    def end_headers(self) -> None:
        """Adds the opt-out header below `/noai`."""
        if self.path.startswith("/noai"):
            self.send_header("X-Robots-Tag", "noai")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing: the build has its own log."""


@contextmanager
def serve(root: Path, port: int = 0) -> Iterator[str]:
    """Serves `root` on 127.0.0.1 while the body runs, on a free port if `port` is 0.

    Yields `host:port`.
    """
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_SiteHandler, directory=str(root)))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, name="demo-site", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sources_text(host: str) -> str:
    """Returns the sources file of the demo: the pages of `host` (host:port), and the folder."""
    return _SOURCES.format(host=host)
