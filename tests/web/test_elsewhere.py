"""What leads from one host to another: redirects of images, pages and robots.txt, chains of
sitemaps. Each host is treated as if it had been requested for itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fetch.fetch_list_rows import Row, part_for
from tests.web.hostile.cases import QUICK, crawl_part, fetch_part
from tests.web.hostile.traps import crawl
from tests.web.hostile.web import Answer, Host, Web, gaps_s, html, ok, response, stall, to
from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.frontier import read_frontier
from wenlan_data.crawl.scope import Scope
from wenlan_data.fetch.step import FetchPart
from wenlan_data.testing import make_image
from wenlan_data.web.blocklists import Blocklists
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.robots import RobotsRules, parse_robots

IMAGE = ok(make_image(1))
ROBOTS = "/robots.txt"
FORBID = ok(b"User-agent: *\nDisallow: /a.jpg\n")
OTHER = "127.0.0.2"


def _hosts(web: Web, one: Mapping[str, Answer], other: Mapping[str, Answer]) -> tuple[Host, Host]:
    """Starts two hosts; `{other}` in the answers of the first is the second one."""
    second = web.host({"/own.jpg": ok(make_image(2)), **other}, address=OTHER)
    answers = {
        path: answer.replace(b"{other}", second.name.encode())
        if isinstance(answer, bytes)
        else answer
        for path, answer in one.items()
    }
    return web.host(answers), second


def _part(folder: Path, urls: Sequence[str], hosts: Sequence[Host], gap_s: float = 0) -> FetchPart:
    folder.mkdir(parents=True, exist_ok=True)
    limits = {host.name: HostLimits(min_gap_s=gap_s) for host in hosts}
    return fetch_part(folder, list(urls), limits, QUICK)


def _run(part: FetchPart, folder: Path) -> list[str]:
    (folder / "out").mkdir()
    part(folder / "out")
    rows = pq.read_table(folder / "out/facts.parquet").to_pylist()
    return [str(row["reason"]) or "ok" for row in rows]


def _excluding(part: FetchPart, folder: Path, word: str = OTHER) -> FetchPart:
    (folder / "domains.txt").write_text(f"{word}\n")
    lists = Blocklists(domains=str(folder / "domains.txt"))
    return replace(part, politeness=replace(part.politeness, blocklists=lists))


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ({ROBOTS: to("http://{other}/r")}, {"/r": FORBID}, "robots"),
        ({ROBOTS: to("http://{other}/r")}, {"/r": response("404 Gone")}, "ok"),
        ({ROBOTS: to("http://{other}/r")}, {"/r": response("500 Broken")}, "robots_unavailable"),
        ({ROBOTS: to("http://{other}/r")}, {"/r": to("/r")}, "ok"),
        ({ROBOTS: to("http://{other}/r")}, {"/r": to("/s"), "/s": FORBID}, "robots"),
        ({ROBOTS: to("http://{other}/r")}, {"/r": stall}, "robots_unavailable"),
        ({ROBOTS: to("http://169.254.169.254/r")}, {}, "address"),
        ({ROBOTS: to("http://2852039166/r")}, {}, "address"),
        ({ROBOTS: to("http://8.8.8.8:22/r")}, {}, "port"),
        ({ROBOTS: to("ftp://{other}/r")}, {}, "scheme"),
        ({ROBOTS: to("http://me:secret@{other}/r")}, {}, "bad_url"),
        ({ROBOTS: response("302 Found")}, {}, "ok"),
    ],
)
def test_hostile_redirects_of_robots_are_followed_at_the_target_or_refused(
    tmp_path: Path, one: dict[str, Answer], other: dict[str, Answer], outcome: str
) -> None:
    with Web() as web:
        first, second = _hosts(web, {"/a.jpg": IMAGE, **one}, other)
        part = _part(
            tmp_path, [first.url("/a.jpg"), second.url("/own.jpg")], [first, second], gap_s=0.05
        )
        assert _run(part, tmp_path)[0] == outcome
        for host in (first, second):
            # A server that stalls does not notice that we have hung up.
            assert host.most_in_flight <= 1 or other.get("/r") is stall
            assert min(gaps_s(host.log), default=1) >= 0.045


def test_a_robots_redirect_waits_for_the_back_off_of_its_target(tmp_path: Path) -> None:
    busy = response("429 Slow", b"", "Retry-After: 2")
    with Web() as web:
        first, second = _hosts(
            web,
            {ROBOTS: to("http://{other}/r"), "/a.jpg": IMAGE},
            {"/r": [busy, FORBID]},  # type: ignore[dict-item]
        )
        part = _part(tmp_path, [first.url("/a.jpg"), second.url("/own.jpg")], [first, second])
        assert _run(part, tmp_path) == ["robots", "ok"]
        times = [one for one in second.log if one.path == "/r"]
        assert gaps_s(times)[0] >= 1.95


def test_hosts_whose_robots_are_at_each_other_do_not_wait_for_ever(tmp_path: Path) -> None:
    with Web() as web:
        second = web.host({"/own.jpg": IMAGE, "/r": FORBID}, address=OTHER)
        first = web.host({"/a.jpg": IMAGE, ROBOTS: to(second.url("/r")), "/r": FORBID})
        second.answers[ROBOTS] = [to(first.url("/r"))]
        part = _part(tmp_path, [first.url("/a.jpg"), second.url("/own.jpg")], [first, second])
        assert _run(part, tmp_path) == ["robots", "ok"]


@pytest.mark.parametrize("path", ["image", "robots", "redirect"])
def test_hostile_ways_to_an_excluded_host_end_before_a_connection(
    tmp_path: Path, path: str
) -> None:
    with Web() as web:
        first, second = _hosts(
            web,
            {
                ROBOTS: to("http://{other}/r") if path == "robots" else response("404 Not Found"),
                "/a.jpg": to("http://{other}/own.jpg") if path == "redirect" else IMAGE,
            },
            {"/r": ok(b"")},
        )
        url = second.url("/own.jpg") if path == "image" else first.url("/a.jpg")
        part = _excluding(_part(tmp_path, [url], [first, second]), tmp_path)
        assert _run(part, tmp_path) == ["excluded"]
        assert second.connections == 0


def test_hostile_copies_at_an_excluded_host_are_not_requested_in_any_pass(tmp_path: Path) -> None:
    with Web() as web:
        first, second = _hosts(web, {"/a.jpg": response("404 Gone")}, {})
        limits = {host.name: HostLimits(min_gap_s=0) for host in (first, second)}
        row: Row = {"url": first.url("/a.jpg"), "fallback_urls": [second.url("/own.jpg")]}
        part = _excluding(part_for(tmp_path, [row], limits), tmp_path)
        assert _run(part, tmp_path) == []
        later = tmp_path / "later"
        later.mkdir()
        part = replace(part, fetch_list=str(tmp_path / "out/later.parquet"))
        # The reason of the image's own URL, whose result was kept between the passes.
        assert _run(part, later) == ["http_status"]
        assert second.connections == 0
        assert first.paths == ["/a.jpg"]


@pytest.mark.parametrize("hops", [1, 2])
def test_pages_of_a_host_whose_robots_are_elsewhere_wait_for_them(
    tmp_path: Path, hops: int
) -> None:
    with Web() as web:
        third = web.host({"/r": ok(b"User-agent: *\nDisallow: /no\n")}, address="127.0.0.3")
        second = web.host({"/r": to(third.url("/r"))}, address=OTHER)
        at = third if hops == 1 else second
        host = web.host(
            {
                ROBOTS: to(at.url("/r")),
                "/": html("<a href=/no/1>x</a><a href=/yes>x</a>"),
                "/yes": html("<title>x</title>"),
            }
        )
        pages = crawl(
            tmp_path,
            [host.url("/")],
            Scope(hosts=(host.name,)),
            [host.name, second.name, third.name],
            CrawlLimits(own_hosts=(host.name,)),
        )
        assert host.paths == ["/", "/yes"]
        assert third.paths == ["/r"]
        # Its robots.txt again, in a fetch list to which its holder belongs too.
        assert pages.count(host.url("/")) == 1 + hops


def test_hostile_robots_at_another_host_each_time_are_given_up(tmp_path: Path) -> None:
    with Web() as web:
        others = [web.host({}, address=f"127.0.4.{n + 1}") for n in range(9)]
        answers = [to(other.url("/r")) for other in others]
        host = web.host({ROBOTS: answers, "/": html("<title>x</title>")})  # type: ignore[dict-item]
        names = [one.name for one in (host, *others)]
        limits = CrawlLimits(own_hosts=(host.name,))
        pages = crawl(tmp_path, [host.url("/")], Scope(hosts=(host.name,)), names, limits)
        assert host.paths == ["/"]
        assert len(pages) <= 7
        assert len(host.log) <= 1 + 7 + 1


def test_hostile_ways_of_pages_to_an_excluded_host_end_before_a_connection(tmp_path: Path) -> None:
    with Web() as web:
        canary = web.host({}, address=OTHER)
        listed = "".join(f"<url><loc>{canary.url(f'/{n}')}</loc></url>" for n in range(9))
        host = web.host(
            {
                ROBOTS: ok(f"Sitemap: {canary.url('/s.xml')}\nSitemap: /own.xml\n".encode()),
                "/": html(f"<a href={canary.url('/p')}>x</a><a href=/moved>x</a>"),
                "/moved": to(canary.url("/q")),
                "/s.xml": ok(f"<urlset>{listed}</urlset>".encode(), "Content-Type: text/xml"),
            }
        )
        hosts = {one.name: HostLimits(min_gap_s=0) for one in (host, canary)}
        urls = [host.url(path) for path in ("/", "/moved", "/s.xml")] + [canary.url("/seed")]
        part = crawl_part(tmp_path, urls, hosts, QUICK)
        (tmp_path / "domains.txt").write_text("0x7f.2\n")
        lists = Blocklists(domains=str(tmp_path / "domains.txt"))
        (tmp_path / "out").mkdir()
        part = replace(part, politeness=replace(part.politeness, blocklists=lists))
        receipt = part(tmp_path / "out")
        assert canary.connections == 0
        assert all(OTHER not in row[0] for row in read_frontier(tmp_path / "out/links.parquet"))
        assert receipt.details.left_links["excluded"] >= 11


@pytest.mark.parametrize(
    "header", ["X-Robots-Tag: noai", "X-Robots-Tag: wenlan-data/1: noindex", "TDM-Reservation: 1"]
)
def test_hostile_opt_outs_on_a_redirect_count(tmp_path: Path, header: str) -> None:
    moved = response("302 Found", b"", "Location: /b", header)
    with Web() as web:
        host = web.host({"/a.jpg": moved, "/a": moved, "/b": IMAGE})
        assert _run(_part(tmp_path / "i", [host.url("/a.jpg")], [host]), tmp_path / "i") == [
            "opt_out"
        ]
        (tmp_path / "p/out").mkdir(parents=True)
        hosts = {host.name: HostLimits(min_gap_s=0)}
        crawl_part(tmp_path / "p", [host.url("/a")], hosts, QUICK)(tmp_path / "p/out")
        [row] = pq.read_table(tmp_path / "p/out/pages.parquet").to_pylist()
        assert row["reason"] == "opt_out"
        assert read_frontier(tmp_path / "p/out/links.parquet") == []
        assert "/b" not in host.paths


TOKENS = [
    ("wenlan-data", False),
    ("Wenlan-Data", False),
    ("wenlan-data/0.1", False),
    ("WENLAN-DATA/2.0 (+https://a.cn)", False),
    ("wenlan-data (a crawler)", False),
    ("wenlan-data;x", False),
    ("  wenlan-data  # ours", False),
    ("*", False),
    ("* # all", False),
    ("wenlan", True),
    ("wenlan-data-fork", True),
    ("wenlan-database", True),
    ("Mozilla/5.0 (compatible; wenlan-data/0.1)", True),
    ("otherbot", True),
    ("data", True),
    ("0wenlan-data", True),
]


@pytest.mark.parametrize(("agent", "allowed"), TOKENS)
def test_hostile_names_of_agents_are_compared_by_product_token(agent: str, allowed: bool) -> None:
    rules = parse_robots(f"User-agent: {agent}\nDisallow: /")
    assert isinstance(rules, RobotsRules)
    assert (rules.refuses("http://a.cn/x") is None) == allowed


def test_a_name_that_only_begins_like_ours_lifts_no_rule() -> None:
    rules = parse_robots("User-agent: *\nDisallow: /\n\nUser-agent: wenlan\nAllow: /\n")
    assert isinstance(rules, RobotsRules)
    assert rules.refuses("http://a.cn/x") is not None
    own = parse_robots("User-agent: *\nDisallow: /\n\nUser-agent: wenlan-data/9\nAllow: /\n")
    assert isinstance(own, RobotsRules)
    assert own.refuses("http://a.cn/x") is None


def _sitemap(*urls: str) -> bytes:
    listed = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return ok(f"<sitemapindex>{listed}</sitemapindex>".encode(), "Content-Type: text/xml")


def _number(path: str) -> int:
    digits = "".join(character for character in path if character.isdigit())
    return int(digits or 0)


@pytest.mark.parametrize(
    ("does", "most"),
    [
        ("lists itself", 1),
        ("lists the next one, without end", 6),
        ("redirects to the next one, without end", 6),
        # 1, 9 and 81: what a round requests is counted when the next one is cut.
        ("lists nine new ones each, without end", 91),
        ("lists nine new ones each, in the form of pages", 20 * 3 + 600),
        ("is named by robots.txt, and lists the next one", 12),
    ],
)
def test_hostile_chains_of_sitemaps_end(tmp_path: Path, does: str, most: int) -> None:
    limits = replace(QUICK, max_listings_a_site=20)
    with Web() as web:

        def answer(path: str) -> Answer:
            n = _number(path)
            if does == "lists itself":
                return _sitemap(f"/s{n}.xml", "/s0.xml", "/s0.xml#x")
            if does.startswith("redirects"):
                return to(f"/s{n + 1}.xml") if n % 2 == 0 else _sitemap(f"/s{n + 1}.xml")
            if does.startswith("lists nine"):
                name = ".xml" if "pages" not in does else "/feed"
                return _sitemap(*(f"/s{n * 9 + k + 1}{name}" for k in range(9)))
            return _sitemap(f"/s{n + 1}.xml")

        robots = b"Sitemap: http://HOST/s5.xml\n" if "robots" in does else b""
        host = web.host({}, lambda path: answer(path))
        host.answers[ROBOTS] = [ok(robots.replace(b"HOST", host.name.encode()))]
        crawl(
            tmp_path,
            [host.url("/s0.xml")],
            Scope(hosts=(host.name,)),
            [host.name],
            CrawlLimits(max_depth=3, own_hosts=(host.name,), max_listings_a_site=20),
            limits,
        )
    assert 1 <= len(host.paths) <= most
    assert len(host.paths) == len(set(host.paths))


@pytest.mark.parametrize(("name", "value"), [("max_listings_a_site", 2), ("max_redirects", 0)])
def test_a_cut_of_listings_is_counted(tmp_path: Path, name: str, value: int) -> None:
    limits: Limits = replace(QUICK, **{name: value})  # type: ignore[arg-type]
    with Web() as web:
        host = web.host({f"/s{n}.xml": _sitemap(f"/t{n}.xml") for n in range(5)})
        hosts = {host.name: HostLimits(min_gap_s=0)}
        part = crawl_part(tmp_path, [host.url(f"/s{n}.xml") for n in range(5)], hosts, limits)
        (tmp_path / "out").mkdir()
        receipt = part(tmp_path / "out")
    reason = "max_listings" if value else "listing_chain"
    assert receipt.details.left_links[reason] == (3 if value else 5)
    assert receipt.details.hosts[host.name]["listings"] == 5
