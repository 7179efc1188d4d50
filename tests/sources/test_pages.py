import base64
from collections import Counter
from pathlib import Path

import pytest
import yaml

from tests.builds.corpus_runs import captions, content, drops
from wenlan_data.crawl.scope import Scope
from wenlan_data.errors import FailureBudgetError, RecipeError, UsageError
from wenlan_data.run.estimate import estimate
from wenlan_data.run.gc import collect
from wenlan_data.run.options import BuildOptions
from wenlan_data.run.preflight import prepare
from wenlan_data.run.runner import BuildResult
from wenlan_data.run.runner import build as run_build
from wenlan_data.source_config import load_sources
from wenlan_data.sources.pages import Pages
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

OWN = ("www.a.com.cn:80", "www.a.com.cn:443", "a.com.cn:80", "a.com.cn:443")
HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Pages(), "no seed is given"),
        (Pages(seeds=("a.cn",)), "'a.cn' is not a URL to start from"),
        (Pages(path="ftp://a.cn/"), "not a URL to start from"),
        (Pages(path="http://a.cn/", max_pages=0), "max_pages"),
    ],
)
def test_a_source_that_cannot_be_crawled_is_refused(source: Pages, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        source.parts(source=0, max_rows=10)


@pytest.mark.parametrize(
    ("follow", "scope"),
    [
        ("hosts", Scope(hosts=OWN)),
        ("domains", Scope(hosts=OWN, domains=("a.com.cn",))),
        (("b.cn", "127.0.0.1:8085"), Scope(hosts=(*OWN, "127.0.0.1:8085"), domains=("b.cn",))),
    ],
)
def test_links_lead_where_the_operator_says(follow: object, scope: Scope) -> None:
    assert Pages(path="http://www.a.com.cn/x", follow=follow).scope() == scope  # type: ignore[arg-type]


def test_the_command_line_takes_a_seed_with_a_question_mark() -> None:
    [spec] = load_sources(["pages:http://a.cn/?id=1"]).sources
    assert spec.load() == Pages(path="http://a.cn/?id=1")


def test_a_wrong_parameter_is_named(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("sources: [{kind: pages, seeds: [http://a.cn/], depth: 2}]")
    with pytest.raises(RecipeError, match="depth: pages has no such parameter"):
        load_sources([str(tmp_path / "s.yaml")])


def _page(site: Site, path: str, body: str, **headers: str) -> None:
    site.responses[path] = CannedResponse(body.encode(), headers={**HTML, **headers})


def _image(site: Site, number: int) -> str:
    site.responses[f"/{number}.jpg"] = CannedResponse(make_image(number))
    return f'<p><img src="/{number}.jpg" alt="{make_caption(number)}"></p>'


def _sources(folder: Path, site: Site, **more: object) -> Path:
    value = {
        "network": {"allow": [site.host]},
        "hosts": {site.host: {"min_gap_s": 0}},
        "sources": [{"kind": "pages", "seeds": [site.url("/")], **more}],
    }
    path = folder / "sources.yaml"
    path.write_text(yaml.safe_dump(value), "utf-8")
    return path


def _build(
    folder: Path, sources: Path | None, out: str = "corpus", **options: object
) -> BuildResult:
    """What `wenlan-data build` does, in this process."""
    chosen = BuildOptions(out=folder / out, workers=1, executor="local", **options)  # type: ignore[arg-type]
    return run_build(prepare(chosen, [str(sources)] if sources else [], None, (), ""))


def test_crawl_and_build_are_one_command_that_goes_on_and_grows(tmp_path: Path, site: Site) -> None:
    for number in range(6):
        body = f"<a href='/{number + 1}'>下一页</a>{_image(site, number)}"
        _page(
            site,
            f"/{number}" if number else "/",
            f"<a href='/1'>下一页</a>{_image(site, 0)}" if not number else body,
        )
    first = _build(tmp_path, _sources(tmp_path, site, max_pages=3))
    assert (first.pages, first.samples) == ({"read": 3}, 3)
    more = _build(tmp_path, _sources(tmp_path, site, max_pages=5))
    assert (more.pages, more.samples) == ({"read": 2}, 5)
    rest = _build(tmp_path, _sources(tmp_path, site))
    assert (rest.pages, rest.samples) == ({"http_status": 1, "read": 1}, 6)
    requests = len(site.log)
    again = _build(tmp_path, _sources(tmp_path, site))
    assert (again.pages, again.generations, len(site.log)) == ({}, (), requests)
    assert max(Counter(path for path in site.log if path != "/robots.txt").values()) == 1


def test_opted_out_pages_give_drops_and_their_images_are_not_requested(
    tmp_path: Path, site: Site
) -> None:
    _page(site, "/", f"<a href=/a>一</a><a href=/b>二</a>{_image(site, 0)}")
    _page(site, "/a", _image(site, 1), **{"X-Robots-Tag": "noai"})
    _page(site, "/b", f"<meta name=robots content=noimageindex>{_image(site, 2)}")
    _build(tmp_path, _sources(tmp_path, site))
    assert set(captions(tmp_path / "corpus")) == {make_caption(0)}
    assert sorted(
        (row["step"], row["reason"], row["detail"]) for row in drops(tmp_path / "corpus")
    ) == [
        ("extract", "opt_out", "X-Robots-Tag: noai"),
        ("extract", "opt_out", "meta robots: noimageindex"),
    ]
    assert "/1.jpg" not in site.log
    assert "/2.jpg" not in site.log


def test_pages_that_failed_for_now_are_asked_again_on_request_only(
    tmp_path: Path, site: Site
) -> None:
    _page(site, "/", f"<a href=/a>一</a>{_image(site, 0)}")
    site.responses["/a"] = CannedResponse(status=500)
    sources = _sources(tmp_path, site)
    assert _build(tmp_path, sources, max_failed_share=1).pages == {"read": 1, "status_5xx": 1}
    _page(site, "/a", _image(site, 1))
    assert _build(tmp_path, sources).pages == {}
    retried = _build(tmp_path, sources, retry_failed=True)
    assert (retried.pages, retried.samples) == ({"read": 1}, 2)
    assert _build(tmp_path, sources, retry_failed=True).generations == ()


def test_too_many_failing_pages_end_the_build_once_what_is_finished_is_published(
    tmp_path: Path, site: Site
) -> None:
    _page(site, "/", f"<a href=/a>一</a>{_image(site, 0)}")
    site.responses["/a"] = CannedResponse(status=500)
    with pytest.raises(
        FailureBudgetError, match=r"1 of 2 pages failed .* run again with --retry-failed"
    ):
        _build(tmp_path, _sources(tmp_path, site))
    assert set(captions(tmp_path / "corpus")) == {make_caption(0)}


def test_a_host_is_not_asked_without_a_contact(tmp_path: Path, site: Site) -> None:
    _page(site, "/", "<a href='http://example.org/'>elsewhere</a>")
    sources = _sources(tmp_path, site, follow=["example.org"])
    with pytest.raises(UsageError, match=r"example\.org:80 would be requested without a contact"):
        _build(tmp_path, sources)


def test_a_dry_run_asks_nothing_and_says_how_far_the_crawl_goes(tmp_path: Path, site: Site) -> None:
    options = BuildOptions(out=tmp_path / "corpus")
    found = estimate(prepare(options, [str(_sources(tmp_path, site))], None, (), ""))
    assert found.sources[0].note == "1 seeds, links to hosts, depth 20, no limit of pages"
    assert (found.rows, found.urls, site.log) == (None, None, [])


def test_a_rebuild_from_the_recorded_corpus_asks_nothing(tmp_path: Path, site: Site) -> None:
    _page(site, "/", _image(site, 0) + _image(site, 1))
    _build(tmp_path, _sources(tmp_path, site))
    requests = len(site.log)
    _build(tmp_path, None, "again", from_corpus=tmp_path / "corpus")
    assert len(site.log) == requests
    assert (
        content(tmp_path / "again")["wenlan-000000.tar"]
        == content(tmp_path / "corpus")["wenlan-000000.tar"]
    )


def test_a_corpus_whose_recorded_pages_are_gone_goes_on_with_its_crawl(
    tmp_path: Path, site: Site
) -> None:
    _page(site, "/", f"<a href=/a>一</a>{_image(site, 0)}")
    _page(site, "/a", _image(site, 1))
    _build(tmp_path, _sources(tmp_path, site, max_pages=1))
    corpus = tmp_path / "corpus"
    assert collect(corpus, corpus / ".work", warcs=True, dry_run=False).files > 1
    assert list(corpus.glob(".work/crawls/*/*/*/*/pages.warc")) == []
    assert _build(tmp_path, _sources(tmp_path, site)).samples == 2


def test_two_builds_on_any_number_of_workers_are_the_same(tmp_path: Path, site: Site) -> None:
    for number in range(12):
        links = "".join(
            f"<a href='/{child}'>下</a>" for child in (2 * number + 1, 2 * number + 2) if child < 12
        )
        _page(site, f"/{number}" if number else "/", links + _image(site, number))
    sources = _sources(tmp_path, site)
    _build(tmp_path, sources)
    options = BuildOptions(out=tmp_path / "three", workers=3, executor="local", generation_rows=30)
    run_build(prepare(options, [str(sources)], None, (), ""))
    assert captions(tmp_path / "three") == captions(tmp_path / "corpus")
    options = BuildOptions(out=tmp_path / "two", workers=2, executor="local")
    run_build(prepare(options, [str(sources)], None, (), ""))
    assert content(tmp_path / "two") == content(tmp_path / "corpus")


def test_an_image_inside_a_page_becomes_a_sample(tmp_path: Path, site: Site) -> None:
    inside = base64.b64encode(make_image(7)).decode()
    _page(
        site,
        "/",
        f'<p><img src="data:image/jpeg;base64,{inside}" alt="{make_caption(7)}"></p>{_image(site, 8)}',
    )
    assert _build(tmp_path, _sources(tmp_path, site)).samples == 2
    assert captions(tmp_path / "corpus")[make_caption(7)].startswith("data:image/jpeg;sha256=")
    _build(tmp_path, None, "again", from_corpus=tmp_path / "corpus")
    assert captions(tmp_path / "again") == captions(tmp_path / "corpus")


def test_sitemaps_lead_to_pages_that_nothing_links(tmp_path: Path, site: Site) -> None:
    _page(site, "/", _image(site, 0))
    _page(site, "/hidden", _image(site, 1))
    site.responses["/robots.txt"] = CannedResponse(f"Sitemap: {site.url('/map.xml')}".encode())
    listed = f"<urlset><url><loc>{site.url('/hidden')}</loc></url></urlset>"
    site.responses["/map.xml"] = CannedResponse(
        listed.encode(), headers={"Content-Type": "application/xml"}
    )
    assert _build(tmp_path, _sources(tmp_path, site)).pages == {"listing": 1, "read": 2}
    assert set(captions(tmp_path / "corpus")) == {make_caption(0), make_caption(1)}
    without = _sources(tmp_path, site, sitemaps=False)
    assert _build(tmp_path, without, "without").pages == {"read": 1}


def test_a_crawl_from_more_seeds_takes_what_is_recorded_and_asks_only_for_the_rest(
    tmp_path: Path, site: Site
) -> None:
    _page(site, "/", f"<a href=/a>一</a>{_image(site, 0)}")
    _page(site, "/a", _image(site, 1))
    _page(site, "/b", f"<a href=/a>一</a>{_image(site, 2)}")
    assert _build(tmp_path, _sources(tmp_path, site)).samples == 2
    seeds = [site.url("/"), site.url("/b")]
    more = _build(tmp_path, _sources(tmp_path, site, seeds=seeds))
    assert (more.pages, more.samples) == ({"read": 3}, 3)
    assert {path: site.log.count(path) for path in ("/", "/a", "/b")} == {"/": 1, "/a": 1, "/b": 1}


def test_a_seed_that_needs_a_contact_is_refused_before_anything_is_created(tmp_path: Path) -> None:
    options = BuildOptions(out=tmp_path / "corpus")
    with pytest.raises(UsageError, match=r"example\.org:443 would be requested without a contact"):
        prepare(options, ["pages:https://example.org/"], None, (), "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", ["max_pages_a_domain", "max_pages_a_shape"])
def test_budgets_of_the_sources_file_hold_in_a_crawl(
    tmp_path: Path, site: Site, limit: str
) -> None:
    with Site() as beside:
        links = "".join(f"<a href='{beside.url(f'/p?id={n}')}'>页</a>" for n in range(8))
        _page(site, "/", links)
        beside.responses |= {
            f"/p?id={n}": CannedResponse(f"<title>{n}</title>".encode(), headers=HTML)
            for n in range(8)
        }
        value = {
            "network": {"allow": [site.host, beside.host]},
            "hosts": {one.host: {"min_gap_s": 0} for one in (site, beside)},
            "limits": {limit: 3},
            "sources": [{"kind": "pages", "seeds": [site.url("/")], "follow": [beside.host]}],
        }
        (tmp_path / "s.yaml").write_text(yaml.safe_dump(value), "utf-8")
        assert _build(tmp_path, tmp_path / "s.yaml").pages["read"] == 1 + 3
        assert sum(path.startswith("/p") for path in beside.log) == 3


def test_of_one_page_as_many_links_count_as_the_sources_file_says(
    tmp_path: Path, site: Site
) -> None:
    _page(site, "/", "".join(f"<a href='/{name}.html'>页</a>" for name in "abcdefgh"))
    for name in "abcdefgh":
        _page(site, f"/{name}.html", f"<title>{name}</title>")
    sources = _sources(tmp_path, site)
    sources.write_text(sources.read_text("utf-8") + "limits: {max_links_a_page: 3}\n", "utf-8")
    assert _build(tmp_path, sources).pages["read"] == 1 + 3
