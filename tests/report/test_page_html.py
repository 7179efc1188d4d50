"""The HTML page of `wenlan-data extract`: what it shows, and that nothing of a page acts in it."""

import base64
import re
from pathlib import Path

import pytest
from selectolax.lexbor import LexborHTMLParser

from tests.report.browser import open_page
from tests.report.payloads import HOST, MARK, PAYLOADS
from tests.report.test_payloads import needs_chromium
from wenlan_data.errors import UsageError
from wenlan_data.extract.explain import explain_page
from wenlan_data.recipe import load_recipe
from wenlan_data.records import Origin
from wenlan_data.report.page_captions import choose_captions
from wenlan_data.report.page_html import MAX_LINES, render_page, write_html
from wenlan_data.report.page_images import local_image, page_thumbnails
from wenlan_data.testing import make_image

URL = "http://site.example/a/1.html"
RUN = "<h1>小城的春天来了</h1>" + "".join(
    f"<p>今天的天气很好，大家都到公园里去散步，第{number}段。</p>"
    f"<p><img src={number}.jpg></p><p align=center class=note>{name}</p>"
    for number, name in enumerate(("湖边的小船", "山上的小路", "雨后的荷花", "老街的灯笼"), 1)
)
_CSP = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
_STYLE = re.compile(
    r"(?:--c:[\d.]+|--tracks:\d+|grid-row:\d+(?:/\d+;grid-column:\d+/\d+;opacity:[\d.]+)?)"
)
_ELEMENTS = {
    "-text", "a", "article", "b", "bdi", "body", "br", "code", "dd", "details", "div", "dl", "dt", "footer", "h1", "h2",
    "head", "header", "html", "i", "img", "li", "main", "meta", "nav", "p", "section", "span", "style", "summary",
    "title", "ul",
}  # fmt: skip


def _page(html: str, thumbnails: dict[int, str] | None = None) -> str:
    explained = explain_page(html, URL, page_origin=Origin(kind="inline", path=""))
    outcomes = choose_captions(explained, load_recipe("wenlan").text)
    return render_page(explained, outcomes, thumbnails or {}, recipe="wenlan", is_site_known=True)


def _texts(document: LexborHTMLParser, selector: str) -> list[str]:
    return [" ".join(node.text().split()) for node in document.css(selector)]


def _hostile_page() -> str:
    """A page with each payload in a text, an alt, a title and an address."""

    def quoted(text: str) -> str:
        return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")

    cards = "".join(
        f'<div class=card><img src="{number}.jpg?{quoted(text)}" alt="{quoted(text)}" title="{quoted(text)}">'
        f"<p>湖边的小船{quoted(text)}</p></div>"
        for number, text in enumerate(PAYLOADS)
    )
    addresses = "".join(f'<p>灯笼</p><img src="{quoted(text)}">' for text in PAYLOADS)
    return f"<title>{quoted(PAYLOADS[3])}</title>{cards}{addresses}"


def _foreign(document: LexborHTMLParser) -> set[str]:
    """Elements, attributes and URLs that the template never writes."""
    found: set[str] = set()
    root = document.root
    for node in root.traverse(include_text=False) if root else ():
        attributes = {name: value or "" for name, value in node.attributes.items()}
        if node.tag not in _ELEMENTS:
            found.add(str(node.tag))
        found |= {name for name in attributes if name.startswith("on") or name == "srcset"}
        if not attributes.get("href", "#").startswith(("#", "http://", "https://")):
            found.add(attributes["href"])
        if not attributes.get("src", "data:image/jpeg;").startswith("data:image/jpeg;"):
            found.add(attributes["src"])
        if not _STYLE.fullmatch(attributes.get("style", "--c:1")):
            found.add(attributes["style"])
    return found


def test_images_and_blocks_stand_in_document_order() -> None:
    document = LexborHTMLParser(_page(RUN))
    rows = [str(node.attributes["id"]) for node in document.css(".flow .row")]
    expected = ["block-1"]
    for number in range(4):
        expected += [f"block-{2 * number + 2}"]
        expected += [f"image-{number + 1}", f"block-{2 * number + 3}"]
    assert rows == expected
    assert _texts(document, ".tiles dd") == ["4", "4", "9", "wenlan"]


def test_a_block_names_its_image_and_an_unused_one_its_reason() -> None:
    document = LexborHTMLParser(_page(RUN))
    used = document.css_first("#block-3")
    unused = LexborHTMLParser(_page(f"{RUN}<p>第二天又下起了大雨。</p>")).css_first("#block-10")
    assert used is not None
    assert unused is not None
    (chip,) = used.css(".chip")
    assert chip.text().startswith("image 1 · figcaption · below 0.")
    assert chip.text().endswith("· caption")
    assert chip.attributes["href"] == "#image-1"
    assert "not image 4: not next to the image" in " ".join(unused.text().split())
    assert _texts(document, "#image-1 .shot .caption") == ["湖边的小船"]


def test_lines_lead_from_each_image_to_its_text() -> None:
    document = LexborHTMLParser(_page(RUN))
    styles = [str(node.attributes["style"]) for node in document.css(".line")]
    rows = [str(node.attributes["id"]) for node in document.css(".flow .row")]
    pairs = {
        tuple(rows[int(row) - 1] for row in re.findall(r"\d+", style.partition(";")[0]))
        for style in styles
    }
    below = {(f"image-{number}", f"block-{2 * number + 1}") for number in range(1, 5)}
    assert (
        below
        <= pairs
        <= below | {(f"block-{2 * number}", f"image-{number}") for number in range(1, 5)}
    )


def test_the_legend_holds_the_relations_of_all_texts() -> None:
    html = f"<title>小城</title>{RUN}<img src=9.jpg alt=远处的灯塔>"
    document = LexborHTMLParser(_page(html))
    chips = {str(node.attributes["class"]).split()[1] for node in document.css(".chip")}
    assert {"below", "attribute", "page"} <= chips
    assert chips <= set(_texts(document, ".legend span"))


def test_lines_side_by_side_are_limited() -> None:
    images = "".join(f"<img src={number}.jpg>" for number in range(30))
    document = LexborHTMLParser(_page(f"<p>{images}</p><p>▲ 湖边停着的三十只小船</p>"))
    columns = [
        int(re.findall(r"grid-column:(\d+)", str(node.attributes["style"]))[0])
        for node in document.css(".line")
    ]
    assert len(columns) == len(set(columns)) == MAX_LINES
    assert "and 25 more" in _texts(document, ".tags")[0]


def test_blocks_far_from_images_are_folded() -> None:
    paragraphs = "".join(f"<p>第{number}段说的是小城里的事情。</p>" for number in range(30))
    document = LexborHTMLParser(_page(f"{paragraphs}<p><img src=1.jpg></p>{paragraphs}"))
    assert _texts(document, ".flow summary") == [
        "blocks 1 to 27, far from all images",
        "blocks 34 to 60, far from all images",
    ]


def test_an_image_that_is_no_content_has_its_reason() -> None:
    document = LexborHTMLParser(_page('<img src=logo.png class="site-logo" alt=湖边的小城>'))
    assert _texts(document, ".shot.dropped .name .reason") == ["logo"]


def test_a_page_without_images_states_it() -> None:
    assert "This page has no images." in _page("<p>湖边的小船</p>")


def test_the_page_needs_neither_script_nor_network() -> None:
    page = _page(RUN)
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "url(" not in page
    assert _foreign(LexborHTMLParser(page)) == set()


def test_the_source_holds_no_element_or_attribute_of_a_payload() -> None:
    assert _foreign(LexborHTMLParser(_page(_hostile_page()))) == set()


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("guarded", [True, False], ids=["with its policy", "without its policy"])
def test_no_payload_runs_or_sends_a_request(guarded: bool, tmp_path: Path) -> None:
    page = _page(_hostile_page())
    file = tmp_path / "page.html"
    write_html(file, page if guarded else _CSP.sub("", page))
    opened = open_page(file, tmp_path / "profile")
    document = LexborHTMLParser(opened.dom)
    html = document.css_first("html")
    assert html is not None
    assert MARK not in html.attributes
    assert [one for one in opened.requested if MARK in one or HOST in one] == []
    assert _foreign(document) == set()
    shown = " ".join(document.body.text().split()) if document.body else ""
    assert f"湖边的小船{PAYLOADS[0]}" in shown


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width_px", [500, 1200])
def test_the_page_does_not_scroll_sideways(width_px: int, tmp_path: Path) -> None:
    long = "<p>" + "湖" * 3_000 + "a" * 3_000 + "</p>"
    page = _page(f"{RUN}<p><img src={'x' * 1_500}.jpg></p>{long}{_hostile_page()}")
    measure = (
        "<script>const e=document.documentElement;"
        "e.setAttribute('widths',e.scrollWidth+' '+e.clientWidth)</script></body>"
    )
    file = tmp_path / "page.html"
    file.write_text(
        _CSP.sub("", page).replace("</body>", measure).replace("<details", "<details open"),
        encoding="utf-8",
        errors="replace",
    )
    html = LexborHTMLParser(open_page(file, tmp_path / "profile", width_px).dom).css_first("html")
    assert html is not None
    scrolled, visible = map(int, str(html.attributes["widths"]).split())
    assert scrolled <= visible <= width_px


def test_only_a_page_of_this_command_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    write_html(file, _page(RUN))
    write_html(file, _page(""))
    file.write_text(RUN, "utf-8")
    with pytest.raises(UsageError, match="this command did not write it"):
        write_html(file, _page(RUN))
    with pytest.raises(UsageError, match="this command did not write it"):
        write_html(tmp_path, _page(RUN))
    assert file.read_text("utf-8") == RUN


def test_images_beside_the_page_and_inside_it_become_thumbnails(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "猫.jpg").write_bytes(make_image(1))
    (tmp_path / "a" / "2.jpg").write_bytes(make_image(2))
    (tmp_path / "a" / "3.jpg").write_bytes(b"<script>")
    inline = "data:image/png;base64," + base64.b64encode(make_image(4, kind="PNG")).decode()
    html = (
        "<p>湖边的小船</p><img src=/images/%E7%8C%AB.jpg><p>山上的小路</p><img src=2.jpg>"
        f"<p>荷花</p><img src=3.jpg><p>灯笼</p><img src={inline}><img src=http://b.example/2.jpg>"
    )
    file = tmp_path / "a" / "1.html"
    file.write_text(html, "utf-8")
    explained = explain_page(html, URL, page_origin=Origin(kind="inline", path=""))
    found = page_thumbnails(explained, html.encode(), "", file)
    assert sorted(found) == [0, 1, 3]
    assert all(one.startswith("data:image/jpeg;base64,") for one in found.values())
    outcomes = choose_captions(explained, load_recipe("wenlan").text)
    page = render_page(explained, outcomes, found, recipe="wenlan", is_site_known=True)
    assert len(LexborHTMLParser(page).css(".shot img")) == 3


def test_a_page_names_no_file_outside_of_its_site(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "a" / "b").mkdir(parents=True)
    for place in (tmp_path / "x.jpg", site / "x.jpg", site / "a" / "b" / "x.jpg"):
        place.write_bytes(b"")
    (site / "link.jpg").symlink_to(tmp_path / "x.jpg")
    page, file = "http://a.example/a/b/1.html", site / "a" / "b" / "1.html"
    assert local_image("http://a.example/a/b/x.jpg", page, file) == site / "a" / "b" / "x.jpg"
    assert local_image("http://a.example/x.jpg?v=1", page, file) == site / "x.jpg"
    for address in (
        "http://a.example/%2e%2e/x.jpg",
        "http://a.example/a/../../../x.jpg",
        f"http://a.example/{tmp_path}/x.jpg",
        "http://a.example/link.jpg",
        "http://b.example/x.jpg",
        "https://a.example/x.jpg",
        "http://a.example/a",
        "http://a.example/%00",
    ):
        assert local_image(address, page, file) is None, address
    # The folder is not that of the URL: only files below it may be meant.
    other = "http://a.example/news/1.html"
    assert local_image("http://a.example/news/x.jpg", other, file) == site / "a" / "b" / "x.jpg"
    assert local_image("http://a.example/x.jpg", other, file) is None
