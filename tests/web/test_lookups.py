"""Look-ups of host names that nobody answers, and the honest names beside them."""

import asyncio
import socket
import time
from dataclasses import replace

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.web.hostile.web import Web, ok, response
from wenlan_data.records import Drop
from wenlan_data.testing import make_image
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.client import Client
from wenlan_data.web.limits import BodyLimits, HostLimits, Limits
from wenlan_data.web.lookups import Lookups, Resolved, lookup_domain
from wenlan_data.web.polite_client import PoliteClient
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.response import Response

IMAGE = ok(make_image(1))


class _Resolver(AbstractResolver):
    """Answers honest names after `slow_s`, and names with `silent` in them never."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.slow_s = slow_s
        self.now = self.most = self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(600 if "silent" in host else self.slow_s)
        finally:
            self.now -= 1
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


def _resolve(limits: Limits, resolver: AbstractResolver, names: list[str]) -> list[Resolved | Drop]:
    async def run() -> list[Resolved | Drop]:
        lookups = Lookups(limits, resolver)
        return await asyncio.gather(*(lookups.resolve(name, 80) for name in names))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("limits", "names", "most"),
    [
        (Limits(max_lookups=5), [f"a{n}.cn" for n in range(40)], 5),
        (Limits(max_lookups_a_domain=2), [f"a{n}.b.com.cn" for n in range(20)], 2),
        (Limits(max_lookups_a_domain=3), [f"a{n}.silent.test" for n in range(20)], 3),
        (Limits(max_lookups_a_domain=2), [f"a{n}.github.io" for n in range(20)], 2),
        (Limits(max_lookups_a_domain=2), [f"a{n}.{m}.cn" for n in range(4) for m in "xyz"], 6),
    ],
)
def test_look_ups_are_few_at_once_and_fewer_of_one_domain(
    limits: Limits, names: list[str], most: int
) -> None:
    resolver = _Resolver(0.02)
    _resolve(replace(limits, connect_s=0.1), resolver, names)
    assert resolver.most == most


def test_hostile_domain_that_never_answers_fails_fast() -> None:
    resolver = _Resolver()
    limits = Limits(connect_s=0.1, max_lookups_a_domain=1)
    found = _resolve(limits, resolver, [f"a{n}.silent.com" for n in range(50)])
    assert found == [Drop("dns", "timeout")] * 50
    assert resolver.asked == limits.max_timeouts


def test_several_requests_share_one_look_up_and_its_answer_is_kept() -> None:
    async def run() -> None:
        resolver = _Resolver(0.01)
        lookups = Lookups(Limits(), resolver)
        await asyncio.gather(*(lookups.resolve("a.cn", 80) for _ in range(5)))
        await lookups.resolve("a.cn", 80)
        assert resolver.asked == 1
        lookups.forget("a.cn")
        await lookups.resolve("a.cn", 80)
        assert resolver.asked == 2
        # One that gives up does not end the look-up of the others.
        slow = asyncio.create_task(lookups.resolve("b.cn", 80))
        other = asyncio.create_task(lookups.resolve("b.cn", 80))
        await asyncio.sleep(0)
        slow.cancel()
        assert isinstance(await other, Resolved)

    asyncio.run(run())


def test_addresses_and_names_that_are_none_are_not_looked_up() -> None:
    resolver = _Resolver()
    found = _resolve(Limits(), resolver, ["192.0.2.1", "[2400::1]"])
    assert [one.addresses for one in found if isinstance(one, Resolved)] == [
        ("192.0.2.1",),
        ("2400::1",),
    ]
    assert resolver.asked == 0
    (drop,) = _resolve(Limits(), None, ["x" * 64 + ".cn"])  # type: ignore[arg-type]
    assert drop == Drop("bad_url")


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("a.b.example.com.cn", "example.com.cn"),
        ("a.github.io", "github.io"),
        ("x1.silent.test", "silent.test"),
        ("localhost", "localhost"),
    ],
)
def test_the_domain_is_that_of_the_name_servers(name: str, domain: str) -> None:
    assert lookup_domain(name) == domain


def test_the_time_of_a_look_up_counts_and_the_wait_for_one_does_not() -> None:
    async def run(port: str, slow_s: float) -> list[Response | Drop]:
        hosts = tuple(f"h{n}.test:{port}" for n in range(6))
        # One look-up at a time: the last name waits for 5 others.
        limits = Limits(total_s=2.0, connect_s=1.8, max_lookups=1)
        policy, resolver = AddressPolicy(hosts), _Resolver(slow_s)
        async with Client(policy=policy, limits=limits, resolver=resolver) as client:
            body = BodyLimits(1 << 20, 1 << 20)
            return await asyncio.gather(*(client.get(f"http://{host}/", body) for host in hosts))

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.4)
        writer.write(ok(b"x"))

    with Web() as web:
        quick = web.host({"/": ok(b"x")})
        found = asyncio.run(run(quick.name.rpartition(":")[2], 0.5))
        assert all(isinstance(one, Response) for one in found)
        slow = web.host({"/": late})
        found = asyncio.run(run(slow.name.rpartition(":")[2], 1.2))
        assert set(found) == {Drop("timeout", "total")}


def test_hostile_150_silent_names_hold_up_no_honest_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's resolver, whose look-ups cannot be cancelled."""
    real = socket.getaddrinfo

    def resolve(host: str, *words: object, **named: object) -> object:
        if "silent" in str(host):
            time.sleep(30)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        name = "127.0.0.1" if str(host).endswith(".test") else host
        return real(name, *words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    async def run(politeness: Politeness, urls: list[str]) -> dict[str, Response | Drop]:
        client = PoliteClient(
            politeness, {}, body=politeness.limits.image, follow_redirects=True, drop_opted_out=True
        )
        return {urls[index]: result async for index, result in client.fetch(urls)}

    with Web() as web:
        host = web.host({"/robots.txt": response("404 Not Found"), "/a.jpg": IMAGE})
        port = host.name.rpartition(":")[2]
        silent = [f"s{n}.silent.test:{port}" for n in range(150)]
        honest = [f"h{n}.honest{n}.test:{port}" for n in range(20)]
        names = (*silent, *honest)
        politeness = Politeness(
            allow=names,
            hosts=dict.fromkeys(names, HostLimits(min_gap_s=0)),
            limits=Limits(connect_s=2, backoff_s=0.01, tdmrep=False),
        )
        started = time.monotonic()
        found = asyncio.run(run(politeness, [f"http://{name}/a.jpg" for name in names]))
        seconds = time.monotonic() - started
    results = list(found.items())
    assert all(isinstance(result, Response) for url, result in results if "honest" in url)
    assert {
        (result.reason, result.detail)
        for url, result in results
        if "silent" in url and isinstance(result, Drop)
    } == {("robots_unavailable", "dns")}
    # Not 30 s: neither the hosts nor the end of the event loop wait for the threads.
    assert seconds < 25


def test_owners_below_a_private_suffix_do_not_share_failures() -> None:
    limits = Limits(connect_s=0.05, max_timeouts=3)
    names = [*(f"a{n}.evil.eu.org" for n in range(9)), *(f"www.honest{n}.eu.org" for n in range(9))]
    silent = [name.replace("evil", "silent-evil") for name in names]
    found = _resolve(limits, _Resolver(), silent)
    assert [isinstance(one, Resolved) for one in found] == [False] * 9 + [True] * 9
