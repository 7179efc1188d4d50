import asyncio
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.web.raw_server import RawServer, ok, response
from wenlan_data.errors import UsageError
from wenlan_data.fetch.results import EPOCH
from wenlan_data.records import Drop
from wenlan_data.web.address_policy import AddressPolicy
from wenlan_data.web.client import Client
from wenlan_data.web.limits import BodyLimits, Limits
from wenlan_data.web.response import Response, redirect_target, retry_after_s


class _Loopback(AbstractResolver):
    """Says that every name is at 127.0.0.1, as a name may that was public when it was looked at."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        pass


def _get(
    policy: AddressPolicy, *urls: str, resolver: AbstractResolver | None = None
) -> list[Response | Drop]:
    async def run() -> list[Response | Drop]:
        async with Client(policy=policy, resolver=resolver) as client:
            return [await client.get(url, BodyLimits(1 << 20, 1 << 20)) for url in urls]

    return asyncio.run(run())


def test_a_name_that_resolves_to_loopback_is_not_dialled() -> None:
    with RawServer({}) as canary:
        port = canary.host.rpartition(":")[2]
        [on_web_port, on_its_port] = _get(
            AddressPolicy(allow=(f"127.0.0.1:{port}",)),
            "http://evil.cn:8080/",
            f"http://evil.cn:{port}/",
            resolver=_Loopback(),
        )
    assert on_web_port == Drop("address", "not public")
    assert on_its_port == Drop("port", port)
    assert canary.connections == 0


def test_a_name_that_the_operator_opened_is_dialled() -> None:
    with RawServer({"/": [ok(b"x")]}) as server:
        host = f"intranet.cn:{server.host.rpartition(':')[2]}"
        [result] = _get(AddressPolicy(allow=(host,)), f"http://{host}/", resolver=_Loopback())
    assert isinstance(result, Response)
    assert (result.body, result.ip) == (b"x", "127.0.0.1")


def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer({}) as proxy, RawServer({"/": [ok(b"x")]}) as server:
        monkeypatch.setenv("http_proxy", f"http://{proxy.host}")
        [result] = _get(AddressPolicy(allow=(server.host, proxy.host)), server.url("/"))
    assert isinstance(result, Response)
    assert proxy.connections == 0


def test_too_many_header_bytes_are_refused() -> None:
    headers = [f"X-{number}: {'y' * 7000}" for number in range(6)]
    with RawServer({"/": [ok(b"x", *headers)]}) as server:
        assert _get(AddressPolicy(allow=(server.host,)), server.url("/")) == [Drop("header_limit")]


def test_a_redirect_is_not_followed() -> None:
    with RawServer({"/0": [response("302 Found", b"", "Location: 1")]}) as server:
        [result] = _get(AddressPolicy(allow=(server.host,)), server.url("/0"))
    assert isinstance(result, Response)
    assert (result.status, result.redirects, result.final_url) == (302, 0, server.url("/0"))


def _redirect(**headers: str) -> Response:
    listed = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Response(
        status=302,
        reason="",
        headers=listed,
        body=b"",
        final_url="http://a.cn/x/y",
        ip="",
        received_at=EPOCH,
    )


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b.jpg", "http://a.cn/b.jpg"),
        ("//b.cn/c", "http://b.cn/c"),
        ("z?q=\udcd6\udcd0", "http://a.cn/x/z?q=%D6%D0"),
        ("", Drop("bad_location")),
        ("http://b.cn/\r\nX: y", Drop("bad_location")),
        ("file:///etc/passwd", Drop("scheme", "file")),
        ("http://[::1", Drop("bad_location")),
    ],
)
def test_a_location_becomes_a_url_or_a_reason(location: str, target: str | Drop) -> None:
    assert redirect_target(_redirect(Location=location)) == target


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after_s(_redirect(Retry_After=value), now_s=10.0) == seconds


def test_a_limit_that_is_not_positive_is_an_error() -> None:
    with pytest.raises(UsageError, match="total_s must be above 0"):
        Limits(total_s=0)
