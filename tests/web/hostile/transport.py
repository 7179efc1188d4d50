"""Cases 1 to 31: servers that stall, declare wrong lengths, flood headers, or lack a valid
certificate."""

import ssl
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import trustme

from tests.web.hostile.cases import Case, Run
from tests.web.hostile.names import authority, request_named, server_tls
from tests.web.hostile.web import drips, ok, resets, response, sends, stall
from wenlan_data.testing import make_image

IMAGE = make_image(1)
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(IMAGE)


def _requested(times: int) -> "partial[None]":
    return partial(_was_requested, times)


def _was_requested(times: int, run: Run) -> None:
    assert len(run.host.paths) == times, run.host.paths


def _closed_after(run: Run) -> None:
    assert run.host.paths == ["/a.jpg", "/b.jpg"]
    assert run.host.connections >= 2


def _tls_case(number: int, does: str, make: "partial[ssl.SSLContext]") -> Case:
    def own(folder: Path) -> str:
        return request_named(folder, {"/a.jpg": ok(IMAGE)}, tls=make()).outcomes[0]

    return Case(number=number, does=does, outcome="tls", own=own)


def _self_signed() -> ssl.SSLContext:
    return server_tls(trustme.CA(), "a.test")


def _expired() -> ssl.SSLContext:
    past = datetime.now(UTC) - timedelta(days=3)
    return server_tls(authority(), "a.test", not_after=past)


def _old_version() -> ssl.SSLContext:
    context = server_tls(authority(), "a.test")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    return context


def _endless_handshake(folder: Path) -> str:
    return request_named(folder, {}, scheme="https", raw=stall).outcomes[0]


def _no_http2(folder: Path) -> str:
    context = server_tls(authority(), "a.test")
    context.set_alpn_protocols(["h2", "http/1.1"])
    run = request_named(folder, {"/a.jpg": ok(IMAGE)}, tls=context)
    assert set(run.host.protocols) == {"http/1.1"}
    return run.outcomes[0]


def _smuggled(run: Run) -> None:
    assert [row["sha256"] for row in run.rows] == [run.rows[0]["sha256"]] * 2
    assert run.host.paths == ["/a.jpg", "/b.jpg"]


def _ipv6_only(folder: Path) -> str:
    return request_named(
        folder, {"/a.jpg": ok(IMAGE)}, address="::1", resolves_to=["::1"]
    ).outcomes[0]


def _first_address_dead(folder: Path) -> str:
    return request_named(
        folder, {"/a.jpg": ok(IMAGE)}, resolves_to=["127.0.0.77", "127.0.0.1"]
    ).outcomes[0]


CASES = [
    Case(number=1, does="accepts, then is silent", outcome="timeout", answers={"/a.jpg": stall}),
    Case(
        number=2,
        does="sends a header byte by byte",
        outcome="timeout",
        answers={"/a.jpg": drips(OK + b"X-A: ", b"x", 0.1)},
    ),
    Case(
        number=3,
        does="sends 100 bytes a second of a body, for ever",
        outcome="min_rate",
        answers={"/a.jpg": drips(OK + b"Content-Length: 1000000\r\n\r\n", bytes(10), 0.1)},
    ),
    Case(
        number=4,
        does="sends chunks without end",
        outcome="too_large",
        answers={"/a.jpg": drips(CHUNKED, (b"10000\r\n" + bytes(65536) + b"\r\n") * 16, 0)},
    ),
    Case(
        number=5,
        does="states no length and never closes",
        outcome="timeout",
        answers={"/a.jpg": drips(OK + b"\r\n", bytes(2000), 0.25)},
        limits={"total_s": 3.0},
    ),
    Case(
        number=6,
        does="states a length that is larger than its body",
        outcome="short_body",
        answers={"/a.jpg": sends(OK + b"Content-Length: 99999\r\n\r\n" + IMAGE[:500])},
        check=_requested(2),
    ),
    Case(
        number=7,
        does="states a length that is smaller than its body",
        outcome="ok",
        paths=("/a.jpg", "/b.jpg"),
        answers={"/a.jpg": ok(IMAGE) + b"more of it", "/b.jpg": ok(make_image(2))},
        check=_closed_after,
    ),
    Case(
        number=8,
        does="states two lengths",
        outcome="protocol",
        answers={"/a.jpg": OK + b"Content-Length: 5\r\n" + LENGTH + b"\r\n" + IMAGE},
    ),
    Case(
        number=9,
        does="states a length and sends chunks",
        outcome="protocol",
        answers={
            "/a.jpg": OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        },
    ),
    Case(
        number=10,
        does="states a length that is not a number",
        outcome="protocol",
        paths=("/a.jpg", "/b.jpg"),
        answers={
            "/a.jpg": OK + b"Content-Length: -5\r\n\r\n" + IMAGE,
            "/b.jpg": OK + b"Content-Length: many\r\n\r\n" + IMAGE,
        },
    ),
    Case(
        number=11,
        does="sends a chunk whose size is not a number",
        outcome="protocol",
        answers={"/a.jpg": sends(CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n")},
    ),
    Case(
        number=12,
        does="sends 1 MB of chunk extensions",
        outcome="header_limit",
        answers={"/a.jpg": sends(CHUNKED + b"5;" + b"x=y;" * 250_000 + b"\r\nhello\r\n0\r\n\r\n")},
    ),
    Case(
        number=13,
        does="sends 10,000 trailers",
        outcome="header_limit",
        answers={
            "/a.jpg": sends(
                CHUNKED
                + b"5\r\nhello\r\n0\r\n"
                + b"".join(b"T-%d: x\r\n" % n for n in range(10_000))
                + b"\r\n"
            )
        },
    ),
    Case(
        number=14,
        does="sends 10,000 headers",
        outcome="header_limit",
        answers={
            "/a.jpg": sends(OK + b"".join(b"X-%d: x\r\n" % n for n in range(10_000)) + b"\r\n")
        },
    ),
    Case(
        number=15,
        does="sends a header of 1 MB",
        outcome="header_limit",
        answers={"/a.jpg": sends(OK + b"X: " + b"x" * 1_000_000 + b"\r\n\r\n")},
    ),
    Case(
        number=16,
        does="sends a header with NUL, and one that ends in a bare LF",
        outcome="protocol",
        paths=("/a.jpg", "/b.jpg"),
        answers={
            "/a.jpg": OK + b"X: a\0b\r\n" + LENGTH + b"\r\n" + IMAGE,
            "/b.jpg": OK + b"X: a\nX\r\n\r\n",
        },
    ),
    Case(
        number=17,
        does="sends no status line",
        outcome="protocol",
        answers={"/a.jpg": b"Server: x\r\n\r\n" + IMAGE},
    ),
    Case(
        number=18,
        does="answers with status 999",
        outcome="protocol",
        answers={"/a.jpg": response("999 Odd", IMAGE)},
    ),
    Case(
        number=19,
        does="speaks HTTP/0.9",
        outcome="protocol",
        answers={"/a.jpg": sends(b"<html>" + IMAGE)},
    ),
    Case(
        number=20,
        does="resets the connection inside the body",
        outcome="short_body",
        answers={"/a.jpg": resets(OK + LENGTH + b"\r\n" + IMAGE[:500])},
        check=_requested(2),
    ),
    Case(
        number=21,
        does="sends 1,000 interim responses (100, 103)",
        outcome="header_limit",
        paths=("/a.jpg", "/b.jpg"),
        answers={
            "/a.jpg": b"HTTP/1.1 100 Continue\r\n\r\n" * 1000 + ok(IMAGE),
            "/b.jpg": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000 + ok(IMAGE),
        },
    ),
    Case(
        number=22,
        does="sends 204 and 304 with a body, and 206 without a range",
        outcome="http_status",
        paths=("/a.jpg", "/b.jpg", "/c.jpg"),
        answers={
            "/a.jpg": response("204 No Content", IMAGE),
            "/b.jpg": response("304 Not Modified", IMAGE),
            "/c.jpg": response("206 Partial Content", IMAGE),
        },
    ),
    Case(number=23, does="prefers HTTP/2", outcome="ok", own=_no_http2),
    _tls_case(24, "has a certificate of its own making", partial(_self_signed)),
    _tls_case(25, "has a certificate that expired", partial(_expired)),
    _tls_case(26, "has a certificate for another name", partial(server_tls, authority(), "b.test")),
    _tls_case(27, "speaks TLS 1.0 only", partial(_old_version)),
    Case(number=28, does="never ends the handshake", outcome="tls", own=_endless_handshake),
    Case(
        number=29,
        does="sends a response to a request that was not made yet",
        outcome="ok",
        paths=("/a.jpg", "/b.jpg"),
        answers={"/a.jpg": ok(IMAGE) + ok(make_image(3)), "/b.jpg": ok(IMAGE)},
        check=_smuggled,
    ),
    Case(number=30, does="has an IPv6 address only", outcome="ok", own=_ipv6_only),
    Case(
        number=31,
        does="has two addresses, the first of them dead",
        outcome="ok",
        own=_first_address_dead,
    ),
]
