"""Sitemaps and feeds made to block a worker: each is read in the sandbox, in linear time and with
bounded results."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from wenlan_data.extract.links import MAX_SITEMAP_LINKS, is_sitemap_or_feed
from wenlan_data.records import Drop
from wenlan_data.sandbox import client as sandbox
from wenlan_data.sandbox.pages import read_listing

pytestmark = pytest.mark.timeout(120)

MIB = 1 << 20
START = b'<?xml version="1.0"?><urlset xmlns="s">'
ONE = b"<url><loc>http://a.cn/1</loc></url>"


def bomb(piece: bytes, size: int = 50 * MIB) -> bytes:
    """A sitemap of that many bytes, as the 50 kB or so that a server sends."""
    return gzip.compress(START + ONE + piece * (size // len(piece)), 6)


def plain(piece: bytes, size: int = 5 * MIB) -> bytes:
    return START + ONE + piece * (size // len(piece))


LISTINGS: dict[str, Callable[[], bytes]] = {
    "links without an end": lambda: bomb(b"<link "),
    "links that run into each other": lambda: bomb(b"<link" + b" " * 400),
    "locations without text": lambda: bomb(b"<loc>"),
    "prefixes": lambda: bomb(b"<aaaaaaaaaaaaaaaaaaaa:loc "),
    "angle brackets": lambda: bomb(b"<"),
    "attributes without value": lambda: bomb(b"<link href= " + b"href " * 99),
    "one element of attributes": lambda: bomb(b" href"),
    "white space": lambda: bomb(b" "),
    "white space after each element": lambda: bomb(b"<loc>" + b" " * 98),
    "sections": lambda: bomb(b"<loc><![CDATA["),
    "references": lambda: bomb(b"<loc>" + b"&amp;" * 500),
    "nested elements": lambda: bomb(b"<a>"),
    "nested elements of 5 MB": lambda: plain(b"<url>"),
    "entities of entities": lambda: b"<!DOCTYPE x [" + b"".join(
        b'<!ENTITY e%d "%s">' % (number, b"&e%d;" % (number - 1) * 10) for number in range(1, 20)
    ) + b"]>" + START + ONE + b"<loc>&e19;</loc>",
    "a file as an entity": lambda: b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    + START + ONE + b"<loc>&e;</loc>",
    "a comment without an end": lambda: plain(b"<!--"),
    "instructions": lambda: plain(b"<?xml ?>"),
    "a namespace on every element": lambda: plain(b'<a xmlns:b="c" xmlns:d="e">'),
    "20,000 attributes": lambda: plain(
        b"<link " + b" ".join(b"a%d='1'" % number for number in range(20_000))
    ),
    "a million equal pages": lambda: bomb(ONE),
    "relative addresses that climb": lambda: plain(b"<loc>" + b"../" * 600 + b"</loc>"),
    "URLs of 5,000 characters": lambda: plain(b"<loc>http://a.cn/" + b"x" * 5000 + b"</loc>"),
    "no UTF-8": lambda: plain(b"<loc>\xff\xfe\xfd</loc>"),
    "astral characters": lambda: bomb("<a>\U0001f600</a>".encode()),
    "a gzip name of 5 MB": lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * 5 * MIB,
    "250,000 gzip members": lambda: gzip.compress(START + ONE) + gzip.compress(b"") * 250_000,
}  # fmt: skip


@pytest.mark.parametrize("name", LISTINGS)
def test_a_hostile_listing_is_read_within_the_limits_of_the_sandbox(name: str) -> None:
    payload = LISTINGS[name]()
    is_sitemap_or_feed(payload)
    links = read_listing(payload, url="http://a.cn/sitemap.xml")
    assert not isinstance(links, Drop), links
    assert len(links.urls) <= MAX_SITEMAP_LINKS
    if "gzip" not in name:
        assert links.urls[0] == "http://a.cn/1"
    assert all(len(url) <= 4200 for url in links.urls)
    assert not any("root" in url for url in links.urls)


def test_what_is_beyond_the_limits_of_a_listing_is_counted() -> None:
    pages = b"".join(b"<loc>http://a.cn/%d</loc>" % number for number in range(50_010))
    long = b"<loc>http://a.cn/" + b"x" * 5000 + b"</loc>"
    links = read_listing(START + long + pages, url="http://a.cn/sitemap.xml")
    assert not isinstance(links, Drop)
    assert (len(links.urls), links.omitted) == (50_000, 11)
    wide = b"".join(b"<loc>http://a.cn/%d%s</loc>" % (n, b"x" * 4000) for n in range(6000))
    links = read_listing(gzip.compress(START + wide), url="http://a.cn/sitemap.xml")
    assert not isinstance(links, Drop)
    assert sum(map(len, links.urls)) <= 8 * MIB
    assert len(links.urls) + links.omitted == 6000


def test_a_listing_of_50_mib_leaves_the_worker_small() -> None:
    read_listing(START + ONE, url="http://a.cn/")
    before = _peak_kb()
    read_listing(bomb("<loc>/\U0001f600</loc>".encode()), url="http://a.cn/")
    assert _peak_kb() - before < 32 << 10


def _peak_kb() -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def test_a_parser_that_dies_drops_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wenlan_data.sandbox import process

    script = tmp_path / "dying.py"
    script.write_text(
        "import os\nfrom wenlan_data.sandbox import worker\n"
        "worker.HANDLERS[worker.LISTING] = lambda *_: os.abort()\nworker.main()"
    )
    sandbox.close_all()
    monkeypatch.setattr(process, "WORKER_COMMAND", (str(script),))
    assert read_listing(START + ONE, url="http://a.cn/") == Drop("decoder_crash", "SIGABRT")
    sandbox.close_all()
