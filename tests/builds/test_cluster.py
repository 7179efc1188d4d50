"""A build on a running Ray cluster gives the bytes of a local one."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builds.corpus_runs import build, command, content
from tests.other_packages import SHOUTING, write_module
from wenlan_data.testing import make_caption, make_image

RAY = [sys.executable, "-m", "ray.scripts.scripts"]


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    # Operators of a cluster set a token; without it nobody can run tasks.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = [*RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}", "--num-cpus=2",
             "--include-dashboard=false", "--disable-usage-stats"]  # fmt: skip
    # With --block the cluster belongs to this process group; other Ray clusters are not affected.
    with subprocess.Popen(
        start, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as head:
        _wait_for(port)
        yield f"127.0.0.1:{port}"
        os.killpg(head.pid, signal.SIGKILL)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(5)
                return
        time.sleep(0.2)
    raise TimeoutError("the Ray head did not start")


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only the driver can import it: it is sent to the workers.
    write_module(tmp_path / "code", "mine.loud", SHOUTING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(12):
        (photos / f"{number}.jpg").write_bytes(make_image(number))
        (photos / f"{number}.txt").write_text(make_caption(number), "utf-8")
    words = ["--sources", f"folder:{photos}", "--set", "shard.max_samples=5"]
    words += ["--plugins", "mine.loud", "--set", "text.rules=[{rule: shouting}]", "--out"]
    build(*words, tmp_path / "local", "--executor", "local")
    build(*words, tmp_path / "cluster", "--ray", address)
    assert content(tmp_path / "cluster") == content(tmp_path / "local")


def test_a_cluster_that_does_not_respond_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(make_image(1))
    (tmp_path / "1.txt").write_text(make_caption(1), "utf-8")
    done = command(
        "build", "--sources", f"folder:{tmp_path}", "--out", tmp_path / "c", "--ray", "127.0.0.1:9"
    )
    assert done.returncode == 2, done.stderr
    assert "--ray 127.0.0.1:9" in done.stderr.splitlines()[-1]
