"""An address that is no Ray cluster ends in one line, soon."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from wenlan_data.errors import UsageError
from wenlan_data.run.executors import cluster_address
from wenlan_data.run.executors.cluster_address import check_cluster
from wenlan_data.testing import Site


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def _serve(server: socket.socket, banner: bytes) -> None:
    def accept() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(banner)
            connection.recv(100)
            # Silent, but open.
            time.sleep(0 if banner else 5)

    threading.Thread(target=accept, daemon=True).start()


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "10.0.0.1:",
        ":6379",
        "ray://10.0.0.1",
        "10.0.0.1:0",
        "10.0.0.1:99999",
        "a:b:c",
        "",
    ],
)
def test_an_address_is_host_and_port(address: str) -> None:
    with pytest.raises(UsageError, match="host:port"):
        check_cluster(address)


@pytest.mark.parametrize(
    ("banner", "message"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "not the head of a Ray cluster"),
        (b"\x00", "not the head of a Ray cluster"),
        (b"", "nothing responded there for 0.5 s"),
    ],
)
def test_another_server_is_recognised(
    listener: socket.socket, banner: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_address, "CONNECT_TIMEOUT_S", 0.5)
    _serve(listener, banner)
    began = time.monotonic()
    with pytest.raises(UsageError, match=message):
        check_cluster(f"127.0.0.1:{listener.getsockname()[1]}")
    assert time.monotonic() - began < 20


def test_a_web_server_is_recognised(site: Site) -> None:
    with pytest.raises(UsageError, match="not the head of a Ray cluster"):
        check_cluster(site.host)


@pytest.mark.parametrize("host", ["127.0.0.1:9", "no-such-host.invalid:6379", "a..b:6379"])
def test_an_address_without_a_listener_is_named(host: str) -> None:
    with pytest.raises(UsageError, match=f"--ray {host}: no cluster responds there"):
        check_cluster(host)


def test_an_http2_server_that_is_not_ray_has_limited_time(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_address, "HEALTH_TIMEOUT_S", 4.0)
    _serve(listener, bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    with pytest.raises(UsageError, match="did not respond within 4 s"):
        check_cluster(f"127.0.0.1:{listener.getsockname()[1]}")
