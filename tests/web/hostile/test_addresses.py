"""No connection is made to a forbidden address, however it is spelled, nor by a name that changes
its address."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.web.hostile.cases import QUICK, Run, crawl_part, fetch_part, request_urls
from tests.web.hostile.names import Names, fetch_with
from tests.web.hostile.web import Host, Web, ok, to
from wenlan_data.crawl.frontier import read_frontier
from wenlan_data.crawl.scope import Scope
from wenlan_data.web.client import Client
from wenlan_data.web.limits import HostLimits
from wenlan_data.web.urls import host_of

SPELLINGS = [
    # Loopback.
    *(
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "017700000001",
    ),
    *(
        "127.255.255.254",
        "localhost",
        "LOCALHOST.",
        "①②⑦.⓪.⓪.①",
        "１２７.０.０.１",
        "127。0。0。1",
        "127%2E0%2E0%2E1",
    ),
    *("0", "0.0.0.0", "0x0", "000.000.000.000"),
    *(
        "[::1]",
        "[0:0:0:0:0:0:0:1]",
        "[::]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0::ffff:7f00:0001]",
    ),
    *(
        "[::ffff:0:7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[::1%25lo]",
    ),
    # Metadata servers.
    *(
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "[::ffff:a9fe:a9fe]",
    ),
    *(
        "[fd00:ec2::254]",
        "100.100.100.200",
        "192.0.0.192",
        "[64:ff9b::a9fe:a9fe]",
        "[2002:a9fe:a9fe::]",
        "[fe80::a9fe:a9fe]",
    ),
    # Private, shared, reserved, multicast.
    *(
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.88.99.1",
        "192.0.2.1",
    ),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "240.0.0.1"),
    *(
        "[fc00::1]",
        "[fd12::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[100::1]",
        "user@127.0.0.1",
        "8.8.8.8@127.0.0.1",
    ),
]

Connected = list[tuple[str, int]]


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Connected:
    """Addresses for which the client made a socket.

    Public ones are recorded and not connected to: a test contacts nobody.
    """
    seen: Connected = []
    make = Client._make_socket

    def recorded(
        client: Client, info: tuple[int, int, int, str, tuple[object, ...]]
    ) -> socket.socket:
        made = make(client, info)
        seen.append((str(info[4][0]), int(str(info[4][1]))))
        if not str(info[4][0]).startswith(("127.", "::1")):
            made.close()
            raise OSError("no packet leaves a test")
        return made

    monkeypatch.setattr(Client, "_make_socket", recorded)
    return seen


@pytest.fixture
def canaries() -> Iterator[list[Host]]:
    """Listeners on those ports of the web that are free, on both loopback addresses."""
    with Web() as web:
        found = []
        for address in ("127.0.0.1", "::1"):
            for port in (80, 443, 8080, 8443):
                try:
                    found.append(web.host({}, lambda _: ok(b"secret"), address=address, port=port))
                except OSError:
                    continue
        yield found


def _urls(path: str) -> list[str]:
    return [f"http://{name}:{port}{path}" for name in SPELLINGS for port in (80, 8080)]


def _as_images(folder: Path, web: Web) -> Run:
    run = Run(web.host({}), web)
    return request_urls(run, _urls("/a.jpg"), folder, QUICK, pages=False)


def _as_pages(folder: Path, web: Web) -> Run:
    run = Run(web.host({}), web)
    return request_urls(run, _urls("/"), folder, QUICK, pages=True)


def _by_redirect(folder: Path, web: Web) -> Run:
    urls = _urls("/x")
    run = Run(web.host({f"/{n}.jpg": to(url) for n, url in enumerate(urls)}), web)
    return request_urls(
        run, [run.host.url(f"/{n}.jpg") for n in range(len(urls))], folder, QUICK, pages=False
    )


def _by_robots(folder: Path, web: Web) -> Run:
    """Requests one host per URL, whose robots.txt redirects to that URL."""
    hosts = [web.host({"/robots.txt": to(url)}) for url in _urls("/robots.txt")]
    run = Run(hosts[0], web, out=folder / "out")
    run.out.mkdir(parents=True)
    limits = {host.name: HostLimits(min_gap_s=0) for host in hosts}
    fetch_part(folder, [host.url("/a.jpg") for host in hosts], limits, QUICK)(run.out)
    run.rows = pq.read_table(run.out / "facts.parquet").to_pylist()
    return run


def _by_sitemap(folder: Path, web: Web) -> Run:
    """Lists the URLs in a sitemap, and permits the crawl to follow their hosts."""
    urls = _urls("/page")
    listed = "".join(f"<url><loc>{url}</loc></url>" for url in urls)
    run = Run(
        web.host({"/s.xml": ok(f"<urlset>{listed}</urlset>".encode(), "Content-Type: text/xml")}),
        web,
    )
    first = folder / "first"
    (first / "out").mkdir(parents=True)
    part = crawl_part(
        first, [run.host.url("/s.xml")], {run.host.name: HostLimits(min_gap_s=0)}, QUICK
    )
    scope = Scope(hosts=(run.host.name, *filter(None, map(host_of, urls))))
    replace(part, scope=scope)(first / "out")
    found = [row[0] for row in read_frontier(first / "out/links.parquet")]
    # Spellings of one address are one page.
    assert len(found) >= 40
    return request_urls(run, found, folder / "second", QUICK, pages=True)


@pytest.mark.parametrize("door", [_as_images, _as_pages, _by_redirect, _by_robots, _by_sitemap])
def test_hostile_spellings_of_forbidden_addresses_are_never_connected_to(
    door: Callable[[Path, Web], Run], tmp_path: Path, connected: Connected, canaries: list[Host]
) -> None:
    assert len(SPELLINGS) >= 60
    with Web() as web:
        run = door(tmp_path, web)
        ours = {("127.0.0.1", int(host.name.rpartition(":")[2])) for host in web.hosts}
        assert set(connected) <= ours
    assert all(host.connections == 0 for host in canaries)
    assert run.rows
    allowed = {"address", "port", "bad_url", "scheme", "robots_unavailable"}
    assert {row["reason"] for row in run.rows} <= allowed


def test_hostile_names_that_change_their_address_are_never_connected_to_inside(
    tmp_path: Path, connected: Connected, canaries: list[Host]
) -> None:
    addresses = [["1.1.1.1"] if n % 2 == 0 else ["127.0.0.1"] for n in range(2000)] + [
        ["127.0.0.1"]
    ]
    urls = [
        f"http://evil{n}.test:{port}/a.jpg"
        for n, port in zip(range(1000), [80, 8080] * 500, strict=True)
    ]
    names = Names(*addresses)
    with Web() as web:
        run = Run(web.host({}), web)
        fetch_with(run, tmp_path, urls, (), names, replace(QUICK, max_robots_tries=2))
    assert names.lookups >= 1000
    assert {address for address, _ in connected} == {"1.1.1.1"}
    assert all(host.connections == 0 for host in canaries)
