"""Requests for cases that need names, addresses or certificates, with a resolver and a certificate
authority of the tests."""

import socket
import ssl
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from tests.web.hostile.cases import QUICK, Run, fetch_part
from tests.web.hostile.web import Answers, Behaviour, Web
from wenlan_data.web.client import tls_context
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.polite_client import PoliteClient


class Names(AbstractResolver):
    """Resolves every name to the given addresses: one list per look-up, the last one again and
    again."""

    def __init__(self, *addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self.lookups = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Returns the next addresses. Raises `OSError` if there are none."""
        self.lookups += 1
        found = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        if not found:
            raise OSError("no such name")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        """Does nothing."""


@cache
def authority() -> trustme.CA:
    """Returns the authority that clients of the tests trust."""
    return trustme.CA()


def client_tls() -> ssl.SSLContext:
    """Returns the TLS context of the client, with one more authority."""
    tls_context.cache_clear()
    context = tls_context()
    tls_context.cache_clear()
    authority().configure_trust(context)
    return context


def server_tls(issuer: trustme.CA, name: str, not_after: datetime | None = None) -> ssl.SSLContext:
    """Returns a server's TLS context with a certificate for a name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.issue_cert(name, not_after=not_after).configure_cert(context)
    return context


def request_named(
    folder: Path,
    answers: Answers,
    *,
    tls: ssl.SSLContext | None = None,
    scheme: str = "",
    raw: Behaviour | None = None,
    address: str = "127.0.0.1",
    resolves_to: Sequence[str] = ("127.0.0.1",),
    limits: Limits = QUICK,
) -> Run:
    """Requests `/a.jpg` of `a.test`, which the operator permits on the server's port."""
    with Web() as web:
        host = web.host(answers, address=address, tls=tls, raw=raw)
        port = host.name.rpartition(":")[2]
        name = f"a.test:{port}"
        url = f"{scheme or ('https' if tls else 'http')}://{name}/a.jpg"
        run = Run(host, web)
        fetch_with(run, folder, [url], (name,), Names(list(resolves_to)), limits)
        return run


def fetch_with(
    run: Run,
    folder: Path,
    urls: list[str],
    allow: tuple[str, ...],
    resolver: AbstractResolver,
    limits: Limits = QUICK,
) -> None:
    """Fetches images with the resolver and the authority of the tests."""
    run.out = folder / "out"
    run.out.mkdir(parents=True)
    part = fetch_part(folder, urls, {name: HostLimits(min_gap_s=0) for name in allow}, limits)
    client = PoliteClient(
        part.politeness,
        {},
        body=limits.image,
        follow_redirects=True,
        drop_opted_out=True,
        resolver=resolver,
        tls=client_tls(),
    )
    run.receipt = part.run(run.out, client)
    run.rows = pq.read_table(run.out / "facts.parquet").to_pylist()
