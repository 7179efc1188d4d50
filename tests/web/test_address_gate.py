"""The gate of addresses: one machine under many names, and the sum over several workers."""

import asyncio
import socket
import threading
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.builds.corpus_runs import table
from tests.web.hostile.names import Names
from tests.web.hostile.web import Web, ok, response
from wenlan_data.records import Drop
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import build
from wenlan_data.testing import make_caption, make_image
from wenlan_data.web.address_gate import AddressGate
from wenlan_data.web.connector import CountingHandler
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.polite_client import PoliteClient
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.response import Response

NAMES = 60
BODY = ok(b"x")


def _politeness(port: str, limits: Limits, host_limits: HostLimits, workers: int = 1) -> Politeness:
    names = [f"h{n}.test:{port}" for n in range(NAMES)]
    return Politeness(
        allow=tuple(names),
        hosts=dict.fromkeys(names, host_limits),
        limits=replace(limits, tdmrep=False),
        workers=workers,
    )


def _fetch(politeness: Politeness, names: int, each: int = 1) -> list[Response | Drop]:
    async def run() -> list[Response | Drop]:
        client = PoliteClient(
            politeness,
            {},
            body=politeness.limits.image,
            follow_redirects=True,
            drop_opted_out=True,
            resolver=Names(["127.0.0.1"]),
        )
        urls = [f"http://{name}/{n}" for n in range(each) for name in politeness.allow[:names]]
        return [result async for _, result in client.fetch(urls)]

    return asyncio.run(run())


class _OpenConnections:
    """Counts open connections where they are made: a server learns late of those that ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = self.now = 0
        self._lock = threading.Lock()
        made, lost = CountingHandler.connection_made, CountingHandler.connection_lost

        def connection_made(handler: CountingHandler, transport: asyncio.BaseTransport) -> None:
            self._add(1)
            made(handler, transport)

        def connection_lost(handler: CountingHandler, exc: BaseException | None) -> None:
            self._add(-1)
            lost(handler, exc)

        monkeypatch.setattr(CountingHandler, "connection_made", connection_made)
        monkeypatch.setattr(CountingHandler, "connection_lost", connection_lost)

    def _add(self, number: int) -> None:
        with self._lock:
            self.now += number
            self.most = max(self.most, self.now)


@pytest.mark.parametrize(
    ("limits", "host_limits", "workers", "most"),
    [
        (Limits(), HostLimits(min_gap_s=0), 1, 8),
        (Limits(max_connections_an_address=3), HostLimits(min_gap_s=0), 1, 3),
        (Limits(), HostLimits(min_gap_s=0), 4, 2),
        (Limits(), HostLimits(min_gap_s=0), 100, 1),
        (Limits(), HostLimits(min_gap_s=0, max_connections=12), 4, 12),
    ],
)
def test_hostile_names_of_one_machine_share_its_connections(
    monkeypatch: pytest.MonkeyPatch,
    limits: Limits,
    host_limits: HostLimits,
    workers: int,
    most: int,
) -> None:
    connections = _OpenConnections(monkeypatch)

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(BODY)
        await writer.drain()

    with Web() as web:
        host = web.host({"/robots.txt": response("404 Not Found")}, lambda _: slow)
        port = host.name.rpartition(":")[2]
        found = _fetch(_politeness(port, limits, host_limits, workers), 40, each=2)
    assert all(isinstance(one, Response) for one in found)
    assert len(found) == 80
    assert most // 2 < host.most_in_flight <= most
    # Idle connections count: the next name gets the place of the one that is not used.
    assert connections.most <= most


def test_hostile_names_of_one_machine_share_its_gap() -> None:
    with Web() as web:
        host = web.host({}, lambda _: BODY)
        limits = Limits(min_gap_an_address_s=0.05)
        port = host.name.rpartition(":")[2]
        _fetch(_politeness(port, limits, HostLimits(min_gap_s=0.5)), 20)
        began = sorted(one.began for one in host.log)
    assert len(began) == 40
    # A single gap may shrink on the way to the server; eight of them may not.
    assert min(later - sooner for sooner, later in zip(began, began[8:], strict=False)) > 0.3


def test_a_smaller_gap_of_a_host_is_the_operators_choice() -> None:
    with Web() as web:
        host = web.host({}, lambda _: BODY)
        limits = Limits(min_gap_an_address_s=5)
        found = _fetch(
            _politeness(host.name.rpartition(":")[2], limits, HostLimits(min_gap_s=0)), 20
        )
        began = sorted(one.began for one in host.log)
    assert len(found) == 20
    assert sum(later - sooner for sooner, later in pairwise(began)) < 5


@pytest.mark.parametrize(
    ("addresses", "entered"),
    [
        (["192.0.2.1"] * 4, 2),
        (["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"], 4),
        (["2400::1", "2400::2", "2400::ffff:3", "2400:0:0:0:4::"], 2),
        (["2400::1", "2400:0:0:1::1", "2400:0:0:2::1", "2400:0:0:3::1"], 4),
        (["::ffff:192.0.2.1", "192.0.2.1", "::ffff:c000:201", "192.0.2.1"], 2),
    ],
)
def test_hostile_addresses_of_one_network_are_one_machine(
    addresses: list[str], entered: int
) -> None:
    async def run() -> int:
        limits = Limits(max_connections_an_address=2, min_gap_an_address_s=0)
        gate = AddressGate(limits, lambda _: HostLimits())
        count = 0
        async with AsyncExitStack() as stack:
            for n, address in enumerate(addresses):
                try:
                    async with asyncio.timeout(0.05):
                        await stack.enter_async_context(gate.enter(address, f"h{n}.cn:80"))
                        count += 1
                except TimeoutError:
                    pass
        # Those that gave up waiting hold nothing.
        async with gate.enter(addresses[0], "h.cn:80"), asyncio.timeout(5):
            return count

    assert asyncio.run(run()) == entered


def test_a_request_that_gives_up_waiting_blocks_nobody() -> None:
    async def run() -> None:
        limits = Limits(max_connections_an_address=1, min_gap_an_address_s=0)
        gate = AddressGate(limits, lambda _: HostLimits())

        async def enter() -> None:
            async with gate.enter("192.0.2.1", "a.cn:80"):
                await asyncio.sleep(0)

        for late in (False, True):
            async with gate.enter("192.0.2.1", "a.cn:80"):
                tasks = [asyncio.create_task(enter()) for _ in range(4)]
                await asyncio.sleep(0)
                if not late:
                    tasks[0].cancel()
                    tasks[2].cancel()
            if late:
                # Woken already, but not run.
                tasks[0].cancel()
            async with asyncio.timeout(5):
                await asyncio.gather(*tasks, return_exceptions=True)
                await enter()

    asyncio.run(run())


class _Dns:
    """The system's resolver for names below `.test`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: str, *words: object, **named: object) -> object:
        name = "127.0.5.1" if str(host).endswith(".test") else host
        return self._real(name, *words, **named)  # type: ignore[arg-type]


def test_hostile_names_of_one_machine_share_its_connections_over_four_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _Dns(monkeypatch)
    connections = _OpenConnections(monkeypatch)
    monkeypatch.setattr("wenlan_data.fetch.fetch_lists.MAX_HOSTS", 20)
    image = ok(make_image(1))

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(image)
        await writer.drain()

    with Web() as web:
        missing = response("404 Not Found")
        answers = {"/robots.txt": missing, "/.well-known/tdmrep.json": missing}
        host = web.host(answers, lambda _: slow, address="127.0.5.1")
        names = [f"h{n}.test:{host.name.rpartition(':')[2]}" for n in range(80)]
        table(
            tmp_path / "a.parquet",
            [(f"http://{name}/{n}.jpg", make_caption(n)) for n, name in enumerate(names)],
        )
        allow = ", ".join(f'"{name}"' for name in names)
        gaps = ", ".join(f'"{name}": {{min_gap_s: 0}}' for name in names)
        (tmp_path / "s.yaml").write_text(
            f"network: {{allow: [{allow}]}}\nhosts: {{{gaps}}}\n"
            "sources: [{kind: table, path: a.parquet}]\n"
        )
        options = BuildOptions(out=tmp_path / "corpus", workers=4, executor="local")
        build(prepare(options, [str(tmp_path / "s.yaml")], None, (), ""))
    lists = (tmp_path / "corpus/.work/generations/000000/slice/00000").glob("slice-*")
    assert sorted(pq.read_metadata(path).num_rows for path in lists) == [20] * 4
    assert len(host.paths) == 80
    assert 2 < host.most_in_flight <= 8
    assert connections.most <= 8
