import asyncio
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.web.raw_server import RawServer, ok
from wenlan_data.reasons import Reason
from wenlan_data.records import Drop
from wenlan_data.web.blocklists import Blocklists
from wenlan_data.web.client import Client
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.opt_out import OPT_OUT_HEADER, RESERVED
from wenlan_data.web.polite_client import (
    MAX_BUFFERED_BYTES,
    Arrival,
    PoliteClient,
    _ArrivalBuffer,
)
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.response import Response

BODY = bytes(MAX_BUFFERED_BYTES // 4)
TDMREP = ok(b'[{"location": "/reserved", "tdm-reservation": 1}]')


def _client(
    *hosts: str, connections: int = 1, drop_opted_out: bool = True, tdmrep: bool = True
) -> PoliteClient:
    host_limits = HostLimits(min_gap_s=0, max_connections=connections)
    politeness = Politeness(
        allow=hosts, hosts=dict.fromkeys(hosts, host_limits), limits=Limits(tdmrep=tdmrep)
    )
    return PoliteClient(
        politeness,
        {},
        body=politeness.limits.image,
        follow_redirects=True,
        drop_opted_out=drop_opted_out,
    )


async def _fetch_all(client: PoliteClient, urls: list[str]) -> list[Arrival]:
    return [arrival async for arrival in client.fetch(urls)]


def test_results_arrive_with_their_index_and_in_the_order_of_their_host() -> None:
    with RawServer({f"/{n}": [ok(b"%d" % n)] for n in range(5)}) as server:
        urls = [server.url(f"/{n}") for n in (3, 1, 4, 0, 2)]
        arrivals = asyncio.run(_fetch_all(_client(server.host, tdmrep=False), urls))
    assert [index for index, _ in arrivals] == [0, 1, 2, 3, 4]
    bodies = [result.body for _, result in arrivals if isinstance(result, Response)]
    assert bodies == [b"3", b"1", b"4", b"0", b"2"]


def test_no_url_gives_no_result_and_no_request() -> None:
    assert asyncio.run(_fetch_all(_client(), [])) == []


@pytest.mark.parametrize("connections", [1, 4])
def test_a_slow_caller_stops_the_requests(connections: int) -> None:
    async def run(client: PoliteClient, urls: list[str], server: RawServer) -> int:
        async with aclosing(client.fetch(urls)) as arrivals:
            await anext(arrivals)
            await asyncio.sleep(0.5)
            requested = len(server.paths)
            rest = [arrival async for arrival in arrivals]
        assert len(rest) == len(urls) - 1
        return requested

    with RawServer({f"/{n}": [ok(BODY)] for n in range(40)}) as server:
        client = _client(server.host, connections=connections, tdmrep=False)
        urls = [server.url(f"/{n}") for n in range(40)]
        requested = asyncio.run(run(client, urls, server))
        assert len(server.paths) == 41
    # Robots.txt, the body that was taken, 1 MiB and one body that wait, and one of each connection.
    assert requested <= 1 + 1 + 5 + connections


def test_a_caller_that_leaves_early_ends_the_requests() -> None:
    async def run(client: PoliteClient, urls: list[str]) -> None:
        async with aclosing(client.fetch(urls)) as arrivals:
            async for _ in arrivals:
                break

    with RawServer({f"/{n}": [ok(BODY)] for n in range(40)}) as server:
        urls = [server.url(f"/{n}") for n in range(40)]
        asyncio.run(run(_client(server.host, tdmrep=False), urls))
        assert len(server.paths) < 12


def test_an_error_of_the_caller_is_raised_as_it_is() -> None:
    async def run(client: PoliteClient, urls: list[str]) -> None:
        async with aclosing(client.fetch(urls)) as arrivals:
            async for _ in arrivals:
                raise ValueError("of the caller")

    with RawServer({}) as server, pytest.raises(ValueError, match="of the caller"):
        asyncio.run(run(_client(server.host), [server.url(f"/{n}") for n in range(9)]))


def test_an_error_of_a_request_is_raised_without_the_group_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> Response | Drop:
        raise KeyError("an error of ours")

    monkeypatch.setattr(Client, "get", fail)
    with RawServer({}) as server, pytest.raises(KeyError, match="an error of ours"):
        asyncio.run(_fetch_all(_client(server.host), [server.url("/a")]))


@pytest.mark.parametrize("drop_opted_out", [True, False])
def test_an_opt_out_drops_the_url_or_travels_with_the_response(drop_opted_out: bool) -> None:
    answers = {"/.well-known/tdmrep.json": [TDMREP], "/reserved": [ok(b"x")], "/free": [ok(b"y")]}
    with RawServer(answers) as server:  # type: ignore[arg-type]
        urls = [server.url("/reserved"), server.url("/free")]
        client = _client(server.host, drop_opted_out=drop_opted_out)
        (_, reserved), (_, free) = asyncio.run(_fetch_all(client, urls))
        assert ("/reserved" in server.paths) != drop_opted_out
    assert isinstance(free, Response)
    assert not free.header(OPT_OUT_HEADER.lower())
    if drop_opted_out:
        assert reserved == Drop("opt_out", RESERVED)
    else:
        assert isinstance(reserved, Response)
        assert reserved.header(OPT_OUT_HEADER.lower()) == RESERVED


def test_a_url_of_the_blocklists_is_not_requested(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("http://a.cn/*\n")
    politeness = Politeness(blocklists=Blocklists(urls=str(tmp_path / "urls.txt")))
    client = PoliteClient(
        politeness, {}, body=politeness.limits.image, follow_redirects=True, drop_opted_out=True
    )
    arrivals = asyncio.run(_fetch_all(client, ["http://a.cn/x"]))
    assert arrivals == [(0, Drop("excluded", "url"))]
    assert client.requests == 0


def test_a_drop_does_not_wait_for_a_caller_that_is_slow() -> None:
    """It holds no bytes, so its host can go on; only what holds a body waits for room."""

    async def run() -> list[Arrival]:
        buffer = _ArrivalBuffer()
        await buffer.put(0, _response(bytes(MAX_BUFFERED_BYTES + 1)))
        waiting = asyncio.create_task(buffer.put(1, _response(b"x")))
        await asyncio.sleep(0)
        for index in range(2, 100):
            await asyncio.wait_for(buffer.put(index, Drop(Reason.TIMEOUT)), timeout=10)
        assert not waiting.done()
        found = []
        async for arrival in buffer:
            found.append(arrival)
            await asyncio.sleep(0)
            if waiting.done():
                buffer.close()
        return found

    indexes = [index for index, _ in asyncio.run(run())]
    assert indexes == [0, *range(2, 100), 1]


def _response(body: bytes) -> Response:
    return Response(
        status=200,
        reason="OK",
        headers=(),
        body=body,
        final_url="http://a.cn/",
        ip="127.0.0.1",
        received_at=datetime.now(UTC),
    )
