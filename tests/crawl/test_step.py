import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq

from wenlan_data.crawl.frontier import read_frontier, write_frontier
from wenlan_data.crawl.receipts import CrawlDetails
from wenlan_data.crawl.scope import Scope
from wenlan_data.crawl.step import CrawlPart
from wenlan_data.protocols import Receipt
from wenlan_data.testing import CannedResponse, Site
from wenlan_data.web.limits import HostLimits, Limits
from wenlan_data.web.politeness import Politeness
from wenlan_data.web.tracking_params import page_key
from wenlan_data.web.warc import records

HTML = {"Content-Type": "text/html"}


def _crawl(
    folder: Path, site: Site, paths: list[str], **changes: object
) -> tuple[Receipt[CrawlDetails], list[dict[str, object]]]:
    """The receipt and the rows of `pages.parquet`."""
    urls = [site.url(path) for path in paths]
    write_frontier(
        folder / "fetch-list.parquet", [(url, page_key(url), site.host, 1, 0) for url in urls]
    )
    (folder / "states.json").write_text("{}")
    part = CrawlPart(
        fetch_list=str(folder / "fetch-list.parquet"),
        earlier_states=str(folder / "states.json"),
        scope=Scope(hosts=(site.host,)),
        politeness=Politeness(
            allow=(site.host,),
            hosts={site.host: HostLimits(min_gap_s=0)},
            limits=Limits(backoff_s=0.01, tdmrep=False),
        ),
        **changes,  # type: ignore[arg-type]
    )
    out = folder / "out"
    out.mkdir()
    receipt = part(out)
    return receipt, pq.read_table(out / "pages.parquet").to_pylist()


def _links(folder: Path, site: Site) -> list[tuple[str, int, int]]:
    """Path, depth and redirects of each link that was found."""
    rows = read_frontier(folder / "out/links.parquet")
    return [(row[0].removeprefix(site.url("")), row[3], row[4]) for row in rows]


def test_each_answer_has_its_outcome_and_pages_are_recorded(tmp_path: Path, site: Site) -> None:
    site.responses |= {
        "/a.html": CannedResponse(b"<html><a href=b.html>b</a><a href=http://c.cn/>c</a>", headers=HTML),
        "/old": CannedResponse(b"", 302, {"Location": "/new?utm_source=x"}),
        "/bad": CannedResponse(b"", 302, {"Location": "ftp://a.cn/"}),
        "/doc": CannedResponse(b"%PDF-1.4", headers={"Content-Type": "application/pdf"}),
        "/x": CannedResponse(
            b'<?xml version="1.0"?><html><a href="c.html"/></html>',
            headers={"Content-Type": "text/xml"},
        ),
        "/robots.txt": CannedResponse(b"User-agent: *\nDisallow: /no", headers={"Content-Type": "text/plain"}),
    }  # fmt: skip
    receipt, rows = _crawl(
        tmp_path, site, ["/a.html", "/old", "/bad", "/doc", "/gone", "/no/1", "/x"]
    )
    assert [row["reason"] for row in rows] == [
        "",
        "redirect",
        "scheme",
        "not_html",
        "http_status",
        "robots",
        "",
    ]
    assert (receipt.rows_in, receipt.rows_out) == (7, 2)
    assert receipt.details.left_links == {"page_limit_or_nofollow": 0, "scope": 1}
    assert sorted(record.url for record in records(tmp_path / "out/pages.warc")) == [
        site.url("/a.html"),
        site.url("/x"),
    ]
    assert _links(tmp_path, site) == [("/b.html", 2, 0), ("/new", 1, 1), ("/c.html", 2, 0)]
    assert json.loads((tmp_path / "out/hosts.json").read_text())[site.host]["robots"].startswith(
        "User-agent"
    )
    assert sorted(site.log) == sorted(
        ["/robots.txt", "/a.html", "/old", "/bad", "/doc", "/gone", "/x"]
    )


def test_sitemaps_of_robots_txt_are_links_as_deep_as_seeds_and_what_they_list_is_one_deeper(
    tmp_path: Path, site: Site
) -> None:
    listed = f"<urlset><url><loc>{site.url('/1.html')}</loc></url></urlset>".encode()
    site.responses |= {
        "/robots.txt": CannedResponse(
            f"Sitemap: {site.url('/s.xml.gz')}\nsitemap: http://b.cn/s.xml\n".encode()
        ),
        "/list": CannedResponse(
            gzip.compress(listed), headers={"Content-Type": "application/x-gzip"}
        ),
    }
    receipt, rows = _crawl(tmp_path, site, ["/list"])
    assert (rows[0]["reason"], receipt.rows_out) == ("listing", 0)
    assert _links(tmp_path, site) == [("/1.html", 2, 0), ("/s.xml.gz", 0, 0)]


def test_a_chain_of_redirects_ends(tmp_path: Path, site: Site) -> None:
    site.responses["/a"] = CannedResponse(b"", 301, {"Location": "/b"})
    write_frontier(tmp_path / "fetch-list.parquet", [(site.url("/a"), "k", site.host, 1, 5)])
    (tmp_path / "states.json").write_text("{}")
    part = CrawlPart(
        fetch_list=str(tmp_path / "fetch-list.parquet"),
        earlier_states=str(tmp_path / "states.json"),
        scope=Scope(hosts=(site.host,)),
        politeness=Politeness(allow=(site.host,)),
    )
    (tmp_path / "out").mkdir()
    assert part(tmp_path / "out").drops == {"redirect_limit": 1}
    assert read_frontier(tmp_path / "out/links.parquet") == []


def test_a_host_cannot_name_sitemaps_for_ever(tmp_path: Path, site: Site) -> None:
    site.responses["/a.html"] = CannedResponse(b"<html></html>", headers=HTML)
    states: dict[str, dict[str, object]] = {}
    for number in range(3):
        # Too long for the states of hosts, so that each fetch list requests it again.
        text = f"Sitemap: {site.url(f'/{number}.xml')}\n" + "#" * 9000
        site.responses["/robots.txt"] = CannedResponse(text.encode())
        (tmp_path / str(number)).mkdir()
        receipt, _ = _crawl(tmp_path / str(number), site, ["/a.html"], host_states=states)
        states = receipt.details.hosts
        found = [("/0.xml", 0, 0)] if number == 0 else []
        assert _links(tmp_path / str(number), site) == found
    assert site.log.count("/robots.txt") == 3
    # One that is missing counts like one that is read.
    (tmp_path / "missing").mkdir()
    receipt, _ = _crawl(tmp_path / "missing", site, ["/0.xml", "/1.xml"], host_states=states)
    assert receipt.details.hosts[site.host]["listings"] == 2


def test_of_a_long_list_of_sitemaps_some_are_left(tmp_path: Path, site: Site) -> None:
    lines = "".join(f"Sitemap: {site.url(f'/{number}.xml')}\n" for number in range(1005))
    site.responses |= {
        "/robots.txt": CannedResponse(lines.encode()),
        "/a.html": CannedResponse(b"<html></html>", headers=HTML),
    }
    receipt, _ = _crawl(tmp_path, site, ["/a.html"])
    assert len(_links(tmp_path, site)) == 1000
    assert receipt.details.left_links["max_listings"] == 5


def test_pages_of_a_host_that_spent_its_decoding_time_are_not_read(
    tmp_path: Path, site: Site
) -> None:
    site.responses["/a.html"] = CannedResponse(b"<html><a href=b.html>b</a></html>", headers=HTML)
    spent: dict[str, dict[str, object]] = {site.host: {"slow_decoding_s": 600.0}}
    receipt, [row] = _crawl(tmp_path, site, ["/a.html"], host_states=spent)
    assert row["reason"] == "decoding_budget"
    assert _links(tmp_path, site) == []
    # It was received: it does not count as a failed request.
    assert receipt.details.retryable_failed == 0
    assert receipt.details.hosts[site.host]["slow_decoding_s"] == 600.0
