"""Cases 32 to 49: redirects without end, to forbidden addresses, or to invalid URLs."""

import gzip
from pathlib import Path

from tests.web.hostile.cases import Case, Run
from tests.web.hostile.names import Names, authority, fetch_with, server_tls
from tests.web.hostile.web import Answers, Web, drips, html, ok, response, sends, to
from wenlan_data.testing import make_image

IMAGE = make_image(1)
HTTP = "http://"


def _few_hits(run: Run) -> None:
    assert len(run.host.paths) <= 6, run.host.paths


def _chain(length: int) -> dict[str, bytes]:
    return {f"/{length}-{n}": to(f"/{length}-{n + 1}") for n in range(length)} | {
        f"/{length}-{length}": ok(IMAGE)
    }


def _five_are_followed(run: Run) -> None:
    assert len(run.host.paths) == 6


def _targets(*targets: str) -> dict[str, bytes]:
    return {f"/{n}.jpg": to(target) for n, target in enumerate(targets)}


def _leads(number: int, does: str, outcome: str, *targets: str) -> Case:
    answers = _targets(*targets)
    return Case(number=number, does=does, outcome=outcome, answers=answers, paths=tuple(answers))


def _to_canary(web: Web) -> Answers:
    """Returns redirects to loopback, on ports of the web."""
    targets = ("127.0.0.1:8080", "localhost:8080", "[::1]:8080", "127.9.9.9:80")
    return _targets(*(f"{HTTP}{target}/" for target in targets))


def _canary_port(web: Web) -> Answers:
    port = web.hosts[0].name.rpartition(":")[2]
    return _targets(
        f"{HTTP}127.0.0.1:22/",
        f"{HTTP}8.8.8.8:6379/",
        f"{HTTP}127.0.0.1:{port}/",
        f"{HTTP}8.8.8.8:25/",
    )


def _rebinding(folder: Path) -> str:
    """Checks that a public name that resolves to loopback is never connected to."""
    with Web() as web:
        canary = web.host({})
        port = canary.name.rpartition(":")[2]
        run = Run(canary, web)
        fetch_with(
            run,
            folder,
            ["http://evil.test:8080/a.jpg", f"http://evil.test:{port}/a.jpg"],
            (),
            Names(["127.0.0.1"]),
        )
        assert canary.connections == 0
        assert run.outcomes[1] == "port"
        return run.outcomes[0]


def _downgrade(folder: Path) -> str:
    with Web() as web:
        plain = web.host({"/b.jpg": ok(IMAGE)})
        plain_name = f"a.test:{plain.name.rpartition(':')[2]}"
        secure = web.host(
            {"/a.jpg": to(f"http://{plain_name}/b.jpg")}, tls=server_tls(authority(), "a.test")
        )
        secure_name = f"a.test:{secure.name.rpartition(':')[2]}"
        run = Run(secure, web)
        fetch_with(
            run,
            folder,
            # Both hosts are in one fetch list, so that the redirect is followed at once.
            [f"https://{secure_name}/a.jpg", f"http://{plain_name}/b.jpg"],
            (plain_name, secure_name),
            Names(["127.0.0.1"]),
        )
        assert run.rows[0]["final_url"] == f"http://{plain_name}/b.jpg"
        return run.outcomes[0]


def _bytes_are_kept(run: Run) -> None:
    assert set(run.host.paths) >= {"/x?q=%D6%D0", "/with%20space.jpg", "/relative.jpg"}


def _bomb_is_not_read(run: Run) -> None:
    assert run.host.paths == ["/a.jpg", "/b.jpg"]


def _refresh_ends(run: Run) -> None:
    assert run.host.paths == ["/a", "/b"]
    assert run.links == ["/b", "/a"]


CASES = [
    Case(
        number=32,
        does="redirects in a loop of two",
        outcome="redirect_limit",
        answers={"/a.jpg": to("/b.jpg"), "/b.jpg": to("/a.jpg")},
        check=_few_hits,
    ),
    Case(
        number=33,
        does="redirects six times (five times: the image, see the check)",
        outcome="redirect_limit",
        answers=_chain(6),
        paths=("/6-0",),
        check=_few_hits,
    ),
    Case(
        number=33,
        does="redirects five times",
        outcome="ok",
        answers=_chain(5),
        paths=("/5-0",),
        check=_five_are_followed,
    ),
    _leads(
        34,
        "redirects to the metadata server of clouds",
        "address",
        "http://169.254.169.254/latest/meta-data/",
    ),
    _leads(
        35,
        "redirects to Alibaba's metadata server",
        "address",
        "http://100.100.100.200/latest/meta-data/",
    ),
    Case(
        number=36,
        does="redirects to loopback",
        outcome="address",
        answers=_to_canary,
        paths=("/0.jpg", "/1.jpg", "/2.jpg", "/3.jpg"),
    ),
    _leads(
        37, "redirects into 10/8", "address", "http://10.0.0.1/", "http://10.255.255.254:8080/x"
    ),
    _leads(
        38,
        "redirects to a mapped metadata address",
        "address",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
    ),
    _leads(
        39,
        "redirects to it through NAT64",
        "address",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[64:ff9b:1::a9fe:a9fe]/",
    ),
    _leads(
        40,
        "redirects to addresses in decimal, octal and short forms",
        "address",
        *(
            "http://2852039166/",
            "http://0251.0376.0251.0376/",
            "http://127.1/",
            "http://169.16689662/",
        ),
    ),
    _leads(
        40,
        "redirects to addresses in hex, full width and circled digits",
        "address",
        *(
            "http://0xa9.0xfe.0xa9.0xfe/",
            "http://0xa9fea9fe/",
            "http://１６９.２５４.１６９.２５４/",
            "http://①②⑦.0.0.1/",
        ),
        "http://169。254。169。254/",
    ),
    _leads(
        41,
        "redirects to other schemes",
        "scheme",
        *(
            "file:///etc/passwd",
            "ftp://a.cn/a.jpg",
            "data:image/png;base64,AAAA",
            "javascript:alert(1)",
        ),
        *("gopher://a.cn:70/1", "ws://a.cn/", "jar:http://a.cn!/"),
    ),
    Case(
        number=42,
        does="redirects to ports that are not the web's",
        outcome="port",
        answers=_canary_port,
        paths=("/0.jpg", "/1.jpg", "/2.jpg", "/3.jpg"),
    ),
    Case(
        number=43,
        does="has a name that is loopback when it is connected to",
        outcome="address",
        own=_rebinding,
    ),
    Case(number=44, does="redirects from https to http", outcome="ok", own=_downgrade),
    Case(
        number=45,
        does="redirects to invalid URLs",
        outcome="bad_location",
        answers={
            "/0.jpg": response("302 Found"),
            "/1.jpg": to(""),
            "/2.jpg": to("http://[::1"),
            "/3.jpg": to("http://a.cn/\x01b"),
            "/4.jpg": to("//["),
        },
        paths=("/0.jpg", "/1.jpg", "/2.jpg", "/3.jpg", "/4.jpg"),
    ),
    Case(
        number=45,
        does="redirects to GBK bytes, spaces, relative paths",
        outcome="ok",
        answers={
            "/0.jpg": to("/x?q=\udcd6\udcd0"),
            "/1.jpg": to("/with space.jpg"),
            "/2.jpg": to("relative.jpg"),
            "/x?q=%D6%D0": ok(IMAGE),
            "/with%20space.jpg": ok(IMAGE),
            "/relative.jpg": ok(IMAGE),
        },
        paths=("/0.jpg", "/1.jpg", "/2.jpg"),
        check=_bytes_are_kept,
    ),
    Case(
        number=46,
        does="sends a bomb, and no end of bytes, as the body of a redirect",
        outcome="ok",
        answers={
            "/a.jpg": sends(
                b"HTTP/1.1 302 Found\r\nLocation: /b.jpg\r\nContent-Encoding: gzip\r\n\r\n"
                + gzip.compress(bytes(1 << 24)),
                then=drips(b"", bytes(1 << 16), 0.01),
            ),
            "/b.jpg": ok(IMAGE),
        },
        check=_bomb_is_not_read,
    ),
    Case(
        number=47,
        does="refreshes from page to page by meta, in a loop",
        outcome="ok",
        answers={
            "/a": html("<html><meta http-equiv=refresh content='0; url=/b'>"),
            "/b": html("<html><meta http-equiv=refresh content='0; url=/a'>"),
        },
        paths=("/a", "/b"),
        pages=True,
        check=_refresh_ends,
    ),
    _leads(
        48,
        "redirects to an address with a password",
        "bad_url",
        "http://a@b.cn/",
        "http://a:b@169.254.169.254/",
    ),
    Case(
        number=49,
        does="redirects an image to a login page",
        outcome="not_image",
        answers={
            "/a.jpg": to("/login"),
            "/login": html("<!doctype html><title>登录</title>" + "请先登录" * 500),
        },
    ),
]
