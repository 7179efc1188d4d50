"""A crawled site whose pages share a logo and an author's photograph."""

from pathlib import Path

from tests.builds.corpus_runs import build, captions, content, drops, sources_file
from wenlan_data.testing import CannedResponse, Site, make_caption, make_image

HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGES = 8


def _site(site: Site) -> None:
    """Pages in a row; the alt text of the logo is empty on all but the first."""
    site.responses |= {
        "/sign.jpg": CannedResponse(make_image(900)),
        "/author.jpg": CannedResponse(make_image(901)),
    }
    for number in range(PAGES):
        logo = "青山摄影的标志" if number == 0 else ""
        author = '<img src="/author.jpg" alt="摄影师在山顶">' if number < 5 else ""
        body = (
            f'<title>{make_caption(number)}</title><img src="/sign.jpg" alt="{logo}">{author}'
            f'<img src="/{number}.jpg" alt="{make_caption(number)}">'
            f'<a href="/{number + 1}.html">下一页</a>'
        )
        site.responses[f"/{number}.html"] = CannedResponse(body.encode(), headers=HTML)
        site.responses[f"/{number}.jpg"] = CannedResponse(make_image(number))


def test_a_logo_of_all_pages_is_dropped_for_any_number_of_workers(
    tmp_path: Path, site: Site
) -> None:
    _site(site)
    pages = [{"kind": "pages", "seeds": [site.url("/0.html")], "max_depth": 50}]
    sources = sources_file(tmp_path / "s.yaml", site, pages)
    for workers in (1, 2):
        out = tmp_path / str(workers)
        build("--sources", sources, "--out", out, "--executor", "local", "--workers", workers)
    assert content(tmp_path / "1") == content(tmp_path / "2")
    # The author's photograph is on five pages only.
    expected = {site.url(f"/{number}.jpg") for number in range(PAGES)} | {site.url("/author.jpg")}
    assert set(captions(tmp_path / "1").values()) == expected
    logo = {
        (row["reason"], row["detail"])
        for row in drops(tmp_path / "1")
        if row["url"] == site.url("/sign.jpg") and row["step"] == "dedupe"
    }
    assert logo == {("furniture", f"on {PAGES} of {PAGES} pages of {site.host}")}
    report = (tmp_path / "1" / "report" / "index.html").read_text("utf-8")
    _, _, panel = report.partition('id="drop-dedupe-furniture"')
    assert '<img src="data:image/' in panel.partition('class="panel drop"')[0]


def test_without_a_limit_the_logo_is_a_sample(tmp_path: Path, site: Site) -> None:
    _site(site)
    pages = [{"kind": "pages", "seeds": [site.url("/0.html")], "max_depth": 50}]
    sources = sources_file(tmp_path / "s.yaml", site, pages)
    out = tmp_path / "corpus"
    build(
        *("--sources", sources, "--out", out, "--executor", "local"),
        *("--set", "dedupe.max_site_pages=0"),
    )
    assert site.url("/sign.jpg") in captions(out).values()
