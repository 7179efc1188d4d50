"""The limits of one exchange in time, and of what is open at once: each holds where it is set."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.fetch.fetch_list_rows import run
from tests.web.hostile.cases import QUICK, Case, fetch_part, run_case
from tests.web.hostile.web import Answer, Behaviour, Web, drips, ok, response, stall, to
from wenlan_data.records import Drop
from wenlan_data.testing import make_image
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.client import Client
from wenlan_data.web.limits import BodyLimits, HostLimits, Limits
from wenlan_data.web.response import Response

IMAGE = make_image(1)
SMALL = ok(IMAGE)
ROBOTS = ok(b"User-agent: *\nDisallow: /a.jpg")
ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"64\r\n" + b"x" * 100 + b"\r\n"


class _Silent(AbstractResolver):
    """Never answers."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.sleep(600)
        return []

    async def close(self) -> None:
        pass


def _get(
    url: str, allow: str, limits: Limits, resolver: AbstractResolver | None = None
) -> Response | Drop:
    async def ask() -> Response | Drop:
        async with Client(
            policy=AddressPolicy((allow,)), limits=limits, resolver=resolver
        ) as client:
            return await client.get(url, BodyLimits(1 << 20, 1 << 20))

    return asyncio.run(ask())


@contextmanager
def _full_queue() -> Iterator[str]:
    """A port whose queue of connections is full: further ones are never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


def test_a_name_that_nobody_resolves_is_given_up_after_connect_s() -> None:
    found = _get("http://a.test:8085/", "a.test:8085", Limits(connect_s=0.2), _Silent())
    assert found == Drop("dns", "timeout", retryable=True)


def test_a_host_that_takes_no_connection_is_given_up_after_connect_s() -> None:
    with _full_queue() as host:
        found = _get(f"http://{host}/", host, Limits(connect_s=0.2))
    assert found == Drop("connect", "timeout", retryable=True)


def test_a_handshake_without_end_is_given_up_after_tls_s() -> None:
    with Web() as web:
        host = web.host({}, raw=stall)
        found = _get(f"https://{host.name}/", host.name, Limits(connect_s=0.5, tls_s=0.2))
    assert found == Drop("tls", "timeout", retryable=True)


@pytest.mark.parametrize(
    ("limits", "behaviour", "outcome"),
    [
        ({"first_byte_s": 0.4}, stall, "timeout"),
        ({"total_s": 1.5}, drips(ENDLESS, CHUNK * 100, 0.05), "timeout"),
        (
            {"min_rate_bytes_per_s": 1 << 20, "rate_window_s": 0.5},
            drips(ENDLESS, CHUNK, 0.05),
            "min_rate",
        ),
        # The same server is fast enough for a limit that is lower: only the time for all ends it.
        (
            {"min_rate_bytes_per_s": 1, "rate_window_s": 1, "total_s": 4},
            drips(ENDLESS, CHUNK, 0.05),
            "timeout",
        ),
    ],
)
def test_a_slow_answer_is_given_up_where_its_limit_is_set(
    limits: dict[str, float], behaviour: Behaviour, outcome: str
) -> None:
    with Web() as web:
        host = web.host({"/": behaviour})
        found = _get(host.url("/"), host.name, Limits(**limits))  # type: ignore[arg-type]
    assert isinstance(found, Drop)
    # Our watchdog and aiohttp both look at the clock; whichever is first sets the detail.
    assert found.reason == outcome


@pytest.mark.parametrize(("most", "outcome"), [(1, "ok"), (2, "robots")])
def test_redirects_of_robots_are_followed_up_to_their_own_limit(
    tmp_path: Path, most: int, outcome: str
) -> None:
    answers: dict[str, Answer] = {
        "/robots.txt": to("/r1"),
        "/r1": to("/r2"),
        "/r2": ROBOTS,
        "/a.jpg": SMALL,
    }
    with Web() as web:
        case = Case(
            number=0, does="", outcome="", answers=answers, limits={"max_robots_redirects": most}
        )
        assert run_case(case, web, tmp_path).outcomes == [outcome]


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_robots_are_requested_as_often_as_is_set(tmp_path: Path, tries: int) -> None:
    answers = {"/robots.txt": response("503 Busy")}
    with Web() as web:
        case = Case(
            number=0, does="", outcome="", answers=answers, limits={"max_robots_tries": tries}
        )
        found = run_case(case, web, tmp_path)
    assert [one.path for one in found.host.log] == ["/robots.txt"] * tries
    assert found.outcomes == ["robots_unavailable"]


class _Together:
    """Answers only once `wanted` requests, over all hosts, are in flight."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.now = self.most = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        while self.most < self.wanted:
            await asyncio.sleep(0.005)
        # Whoever is let in beside us would come now.
        await asyncio.sleep(0.05)
        self.now -= 1
        writer.write(SMALL)
        await writer.drain()


@pytest.mark.parametrize("most", [2, 6])
def test_a_worker_has_no_more_connections_open_than_are_allowed(tmp_path: Path, most: int) -> None:
    together = _Together(most)
    with Web() as web:
        hosts = [web.host({"/a.jpg": together}) for _ in range(6)]
        limits = {host.name: HostLimits(min_gap_s=0) for host in hosts}
        asking = Limits(max_connections=most, tdmrep=False, backoff_s=QUICK.backoff_s)
        rows, _ = run(
            fetch_part(tmp_path, [host.url("/a.jpg") for host in hosts], limits, asking), tmp_path
        )
    assert [row["reason"] for row in rows] == [""] * 6
    assert together.most == most
