"""Cases 81 to 94: sites without end, one page under many URLs, and links of every kind."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.web.hostile.cases import QUICK, Case, Run
from tests.web.hostile.web import Answer, Web, html, response
from wenlan_data.crawl.budget import CrawlLimits
from wenlan_data.crawl.frontier import FrontierPart, read_frontier
from wenlan_data.crawl.receipts import FrontierList
from wenlan_data.crawl.scope import Scope
from wenlan_data.crawl.step import CrawlPart
from wenlan_data.layout import REQUESTED_URLS
from wenlan_data.records import Candidate
from wenlan_data.testing import make_image
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.tracking_params import page_key, page_url
from wenlan_data.web.urls import host_of

HONEST = {f"/honest/{n}.html": html(f"<html><a href=/honest/{n + 1}.html>x</a>") for n in range(20)}
FEW = CrawlLimits(max_depth=8, max_pages_a_host=40, max_pages_a_domain=60, max_pages_a_shape=30)


def crawl(
    folder: Path,
    seeds: Sequence[str],
    scope: Scope,
    allow: Sequence[str],
    limits: CrawlLimits,
    exchange: Limits = QUICK,
) -> list[str]:
    """Crawls in rounds until no URL is left. Returns the pages in the order of their fetch
    lists."""
    rows = tuple((url, page_key(url), host_of(url), 0, 0) for url in map(page_url, seeds))
    hosts = {name: HostLimits(min_gap_s=0) for name in allow}
    before = ""
    crawled: tuple[str, ...] = ()
    requested: list[str] = []
    pages: list[str] = []
    for number in range(100):
        frontier = folder / str(number)
        frontier.mkdir(parents=True)
        part = FrontierPart(
            seeds=() if before else rows,
            before=before,
            crawled=crawled,
            requested=tuple(requested),
            limits=limits,
            hosts=hosts,
        )
        fetch_lists = part(frontier).details.fetch_lists
        if not fetch_lists:
            return pages
        done = []
        for one in fetch_lists:
            pages += [row[0] for row in read_frontier(frontier / one.name)]
            politeness = Politeness(allow=tuple(allow), hosts=hosts, limits=exchange)
            done.append(_crawl_list(frontier, one, scope, politeness))
        before, crawled = str(frontier), tuple(done)
        requested.append(str(frontier / REQUESTED_URLS))
    raise AssertionError("a trap has no end")


def _crawl_list(frontier: Path, one: FrontierList, scope: Scope, politeness: Politeness) -> str:
    out = frontier / f"out-{one.name}"
    out.mkdir()
    CrawlPart(
        fetch_list=str(frontier / one.name),
        earlier_states=str(frontier / one.states),
        scope=scope,
        politeness=politeness,
        own_hosts=one.own_hosts,
    )(out)
    return str(out)


def trap(number: int, does: str, links: Callable[[str], str], most: int) -> Case:
    """Returns a case with an endless part of a site, beside an honest one of 20 pages."""

    def own(folder: Path) -> str:
        def otherwise(path: str) -> Answer:
            return html(f"<html>{links(path)}") if "/trap" in path else response("404 Not Found")

        with Web() as web:
            host = web.host(
                HONEST | {"/": html("<html><a href=/honest/0.html>x</a><a href=/trap/>x</a>")},
                otherwise,
            )
            limits = CrawlLimits(max_depth=25, max_pages_a_shape=30, own_hosts=(host.name,))
            crawl(folder, [host.url("/")], Scope(hosts=(host.name,)), [host.name], limits)
            assert set(HONEST) <= set(host.paths)
            assert len(host.paths) == len(set(host.paths))
            in_trap = [path for path in host.paths if "/trap" in path]
            assert len(in_trap) <= most, len(in_trap)
            return "ok"

    return Case(number=number, does=does, outcome="ok", own=own)


def _day(path: str) -> str:
    month = int(path.rpartition("/")[2] or 0)
    return "".join(f"<a href=/trap/2024/{month + n}>x</a>" for n in range(1, 40))


def _deeper(path: str) -> str:
    return (
        f"<a href={path.rstrip('/')}/a{path.count('/')}>x</a><a href={path.rstrip('/')}/b/c>x</a>"
    )


def _session(path: str) -> str:
    number = int(path.rpartition("=")[2]) if "=" in path else 0
    return "".join(
        f"<a href='/trap/?sid={number * 7 + n}'>x</a><a href='/trap/x;jsessionid={n}'>x</a>"
        for n in range(20)
    )


def _filters(path: str) -> str:
    return "".join(
        f"<a href='/trap/list?sort={a}&amp;filter={b}&amp;page={n}'>x</a>"
        for n in range(9)
        for a in "abc"
        for b in "xyz"
    )


def _wildcard(folder: Path) -> str:
    """Checks the limit of pages per registrable domain: names cost nothing, so every page may link
    to new hosts.
    """
    from wenlan_data.arrow import table_of_rows
    from wenlan_data.crawl.budget import Budget
    from wenlan_data.tables import FRONTIER

    budget = Budget(FEW, {}, 0)
    rows = [
        (f"http://h{n}.trap.com.cn/", f"http://h{n}.trap.com.cn/", f"h{n}.trap.com.cn:80", 1, 0)
        for n in range(500)
    ]
    honest = [
        (f"http://good{n}.cn/", f"http://good{n}.cn/", f"good{n}.cn:80", 1, 0) for n in range(50)
    ]
    mask = budget.choose(table_of_rows([*rows, *honest], FRONTIER))
    assert mask[: len(rows)].sum() == FEW.max_pages_a_domain
    assert mask[len(rows) :].all()
    assert budget.refused["max_pages_a_domain"] == 440
    return "ok"


SAME = [
    *(
        "/p?id=1",
        "/p?id=1#part",
        "/p?utm_source=x&id=1",
        "/p?id=1&gclid=2",
        "/p?spm=a.b&id=1&from=timeline",
        "/./p?id=1",
    ),
    *("/x/../p?id=1", "/%70?id=1", "/p?id=1&UTM_Medium=y"),
]


def _one_fetch(folder: Path) -> str:
    with Web() as web:
        host = web.host({}, lambda _: html("<html>"))
        port = host.name.rpartition(":")[2]
        seeds = [*(host.url(path) for path in SAME), f"HTTP://127.0.0.1:{port}/p?id=1"]
        requested = crawl(
            folder,
            seeds,
            Scope(hosts=(host.name,)),
            [host.name],
            CrawlLimits(own_hosts=(host.name,)),
        )
        assert len(requested) == 1
        assert host.paths == ["/p?id=1"]
        return "ok"


def _two_fetches(run: Run) -> None:
    assert sorted(run.host.paths) == ["/q?id=%D6%D0", "/q?id=%E4%B8%AD"]
    assert len({str(row["url_key"]) for row in run.rows}) == 2


def _keys(pairs: Sequence[tuple[str, str]]) -> Callable[[Path], str]:
    def own(folder: Path) -> str:
        assert all(page_key(one) == page_key(two) for one, two in pairs), pairs
        assert all(host_of(one) == host_of(two) for one, two in pairs), pairs
        return "ok"

    return own


INLINE = "data:image/jpeg;base64," + base64.b64encode(make_image(1)).decode()
EVERY_LINK = f"""<html><head><base href="/base/"><meta property="og:image" content="/og.jpg">
<script type="application/ld+json">{{"@type": "ImageObject", "contentUrl": "/ld.jpg", "name": "桥"}}</script></head>
<img src="1.jpg" alt="桥"><img src="//127.0.0.1/2.jpg" alt="桥">
<img src="s.jpg" srcset="3-s.jpg 100w, 3-l.jpg 900w" alt="桥">
<picture><source srcset="4.webp 1x, 4-2x.webp 2x"><img src="4.jpg" alt="桥"></picture>
<img src="blank.gif" data-src="5.jpg" alt="桥"><img data-original="6.jpg" alt="桥">
<noscript><img src="7.jpg" alt="桥"></noscript><div style="background: url(8.jpg)">桥</div>
<a href="9.jpg">大桥</a><img src="{INLINE}" alt="桥"></body></html>"""


def _exact_list(run: Run) -> None:
    found = [one.url for one in run.candidates() if isinstance(one, Candidate)]
    names = sorted(url.removeprefix(run.host.url("")).partition(";")[0] for url in found)
    base = ["1", "3-l", "5", "6", "7", "9"]
    expected = [
        *(f"/base/{name}.jpg" for name in base),
        "/base/4-2x.webp",
        "/ld.jpg",
        "/og.jpg",
        "http://127.0.0.1/2.jpg",
    ]
    assert [name for name in names if not name.startswith("data:")] == sorted(expected)


def _inline_is_kept(run: Run) -> None:
    [one] = [one for one in run.candidates() if isinstance(one, Candidate)]
    assert one.url.startswith("data:image/jpeg")
    assert one.origin is not None


MANY = (
    "<html>"
    + "".join(f"<a href=/l{n}>x</a>" for n in range(10_000))
    + "".join(f"<img src=/i{n}.jpg alt=桥>" for n in range(5_000))
)


def _capped(run: Run) -> None:
    assert len(run.links) == 1000
    left = run.receipt.details.left_links
    assert left["page_limit_or_nofollow"] == 9000
    rows = run.candidates()
    assert len([one for one in rows if isinstance(one, Candidate)]) == 200
    assert getattr(rows[-1], "reason", "") == "page_too_large"


def _nofollow(run: Run) -> None:
    assert run.links == ["/followed"]


CASES = [
    trap(81, "has a calendar without end", _day, 31),
    trap(82, "has paths without end", _deeper, 2000),
    Case(number=83, does="has hosts without end", outcome="ok", own=_wildcard),
    trap(84, "gives every visit a session", _session, 33),
    trap(85, "sorts and filters its list in every way", _filters, 31),
    Case(number=86, does="has one page under ten URLs", outcome="ok", own=_one_fetch),
    Case(
        number=87,
        does="has a query in UTF-8 and one in GBK",
        outcome="ok",
        answers={"/q?id=%D6%D0": html("<html>GBK"), "/q?id=%E4%B8%AD": html("<html>UTF-8")},
        paths=("/q?id=中", "/q?id=%D6%D0"),
        pages=True,
        check=_two_fetches,
    ),
    Case(
        number=88,
        does="writes a Chinese path raw and escaped",
        outcome="ok",
        own=_keys(
            [
                ("http://a.cn/图片/1", "http://a.cn/%E5%9B%BE%E7%89%87/1"),
                ("http://a.cn/a%2Fb", "http://a.cn/a%2fb"),
            ]
        ),
    ),
    Case(
        number=89,
        does="writes a Chinese host in three ways",
        outcome="ok",
        own=_keys(
            [
                ("http://例子.测试/", "http://xn--fsqu00a.xn--0zwm56d/"),
                ("http://例子。测试/", "http://例子.测试/"),
                ("http://A．cn./x", "http://a.cn/x"),
            ]
        ),
    ),
    Case(
        number=90,
        does="has images in every place that a page can have one",
        outcome="ok",
        answers={"/": html(EVERY_LINK)},
        paths=("/",),
        pages=True,
        check=_exact_list,
    ),
    Case(
        number=91,
        does="has an image inside the page",
        outcome="ok",
        answers={
            "/": html(
                f"<html><img alt=桥 src='{INLINE}'><img src='data:text/html,x'><img src='data:image/png;base64,!!'>"
            )
        },
        paths=("/",),
        pages=True,
        check=_inline_is_kept,
    ),
    Case(
        number=92,
        does="has 10,000 links and 5,000 images",
        outcome="ok",
        answers={"/": html(MANY)},
        paths=("/",),
        pages=True,
        check=_capped,
    ),
    Case(
        number=93,
        does="has a URL of 100 KB",
        outcome="url_too_long",
        paths=("/" + "x" * 100_000,),
    ),
    Case(
        number=94,
        does="marks links as nofollow",
        outcome="ok",
        answers={
            "/": html("<html><a rel='external nofollow' href=/no>x</a><a href=/followed>x</a>"),
            "/none": html("<html><meta name=robots content=nofollow><a href=/no2>x</a>"),
        },
        paths=("/", "/none"),
        pages=True,
        check=_nofollow,
    ),
]
