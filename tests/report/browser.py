"""Opens a page in headless Chromium, behind a proxy that records every request of the page."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)


@dataclass(frozen=True, slots=True)
class OpenedPage:
    """The document after all scripts ran, and the URLs that were requested."""

    dom: str
    requested: tuple[str, ...]


def open_page(page: Path, profile: Path, width_px: int = 800) -> OpenedPage:
    """Opens the page as a file for 3 s of virtual time, in a window of that width. Chromium's own
    requests are recorded too."""
    with _proxy() as (address, requested):
        done = subprocess.run(
            [
                str(CHROMIUM),
                "--headless",
                *(["--no-sandbox"] if os.geteuid() == 0 else []),
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                f"--window-size={width_px},900",
                f"--user-data-dir={profile}",
                f"--proxy-server={address}",
                "--proxy-bypass-list=<-loopback>",
                "--virtual-time-budget=3000",
                "--dump-dom",
                page.resolve().as_uri(),
            ],
            capture_output=True,
            check=True,
            timeout=120,
        )
        return OpenedPage(done.stdout.decode("utf-8", "replace"), tuple(requested))


@contextmanager
def _proxy() -> Iterator[tuple[str, list[str]]]:
    requested: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _record(self) -> None:
            requested.append(self.path)
            self.send_error(404)

        do_GET = do_POST = do_CONNECT = do_HEAD = _record

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", requested
    finally:
        server.shutdown()
        server.server_close()
