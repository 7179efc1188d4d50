"""Debian's nginx on loopback, with a configuration of its own: one worker, no access log."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CONFIGURATION = """\
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  types {{ image/jpeg jpg; }}
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; root {root}; }}
}}
"""
START_TIMEOUT_S = 10


@contextmanager
def serve(root: Path, folder: Path) -> Iterator[str]:
    """Serves `root` while the body runs; yields `host:port`.

    Writes the configuration to `folder`.
    """
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        raise SystemExit("nginx is not installed: apt-get install nginx-light")
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    text = _CONFIGURATION.format(folder=folder.resolve(), root=root.resolve(), port=port)
    (folder / "nginx.conf").write_text(text)
    command = [
        binary,
        "-c",
        str(folder.resolve() / "nginx.conf"),
        "-e",
        str(folder.resolve() / "error.log"),
    ]
    server = subprocess.Popen(command)
    try:
        _wait_until_open(server, port)
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_open(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("nginx did not start: see error.log in bench-out/nginx")
