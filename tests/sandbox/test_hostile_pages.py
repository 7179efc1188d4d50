"""Pages made to block a worker: each is parsed to its end, and its image is found."""

import pytest

from wenlan_data.extract.encoding import decode_page
from wenlan_data.extract.explain import explain_page
from wenlan_data.extract.links import is_sitemap_or_feed, page_links, sitemap_or_feed_links
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.records import Candidate, Drop, Origin
from wenlan_data.sandbox.pages import INLINE, read_candidates, read_explanation

# A quadratic pattern would take hours; each of these takes a second or two.
pytestmark = pytest.mark.timeout(120)

LICENCE = "<a href=http://creativecommons.org/licenses/by/4.0/>x</a>"
ATTRIBUTES = " ".join(f"a{n}=1" for n in range(20_000))
HOSTILE = {
    "spaces in srcset": '<img srcset="' + " ," * 100_000 + '" src=1.jpg>',
    "spaces in refresh": '<meta http-equiv=refresh content="'
    + " " * 200_000
    + '&quot;"><img src=1.jpg>',
    "nested elements": "<div>" * 150_000 + "<img src=1.jpg>",
    "attributes": "<img src=1.jpg " + " ".join(f"a{n}=1" for n in range(20_000)) + ">",
    "an open comment": "<img src=1.jpg><!--" + "-" * 1_000_000,
    "open tags": "<img src=1.jpg>" + "<" * 1_000_000,
    "line breaks": "<p>桥" + "\n" * 500_000 + "<img src=1.jpg></p>",
    "pointers": "<img src=1.jpg><p>" + "▲" * 200_000 + "</p>",
    "a deep JSON": '<script type="application/ld+json">'
    + '[{"a":' * 50_000
    + "</script><img src=1.jpg>",
    "blocks and images": "<p>桥</p><img src=1.jpg>" * 20_000,
    "texts and images": "".join(f"<p>桥{n}</p><img src={n}.jpg>" for n in range(1, 10_000)),
    "cards with and without image": "".join(
        f"<div class=a>{f'<img src={n}.jpg>' if n % 2 else ''}<p>桥{n}</p><p>船{n}</p></div>"
        for n in range(1, 5_000)
    ),
    "a caption of many images": "".join(f"<img src={n}.jpg>" for n in range(1, 3_000))
    + "".join(f"图{n}：桥" for n in range(1, 3_000)),
    "pointers in the middle": "<p><img src=1.jpg></p><p>桥" + "▲" * 200_000 + "桥</p>",
    "figures in figures": '<div class="figure">' * 4_000
    + "<img src=1.jpg>"
    + '<p class="title">桥</p>' * 4_000,
    "licences of nested figures": LICENCE
    + "".join(f"<div class=figure><img src={n}.jpg>" for n in range(1, 4_000))
    + "<a href=x>y</a>" * 4_000,
    "licences in a deep figure": "<figure>"
    + "<div>" * 4_000
    + "<img src=1.jpg>"
    + LICENCE * 40_000,
    "links to other pages among many texts": "<p>"
    + "湖边的小船停在岸边。" * 20
    + "</p><div><img src=1.jpg>"
    + "".join(
        f"<a class=c{n} href=/{n}.html><img src={n}.png><p>湖边的小船</p></a>" for n in range(2_000)
    )
    + "<p>1</p>" * 40_000,
    "attributes of a box of images": f"<div style='width:99px' {ATTRIBUTES}>"
    + "".join(f"<img src={n}.jpg>" for n in range(1, 20_000)),
    "attributes of a link around texts": f"<img src=1.jpg><a href=/x {ATTRIBUTES}>"
    + "<p>湖边的船</p>" * 20_000,
    "attributes of elements in a line": f"<p><img src=1.jpg></p><p><span class=a {ATTRIBUTES}>"
    + "<b>船</b>" * 20_000
    + "</span><span class=b>x</span></p>",
    "strings of JSON that do not end": "<img src=1.jpg><script>图"
    + "JSON.parse('[" * 100_000
    + "</script>",
    "a table of many columns": "<table><tr>"
    + "<td>桥</td>" * 10_000
    + "</tr><tr>"
    + "".join(f"<td><img src={n}.jpg></td>" for n in range(1, 10_000))
    + "</tr></table>",
    "inline elements around texts": "<img src=1.jpg>" + "<span>" * 4_800 + "<b>x</b>" * 20_000,
    "links in deep boxes": "<p>"
    + "湖边的小船停在岸边。" * 20
    + "</p>"
    + "<div>" * 4_000
    + "".join(
        f"<a class=c{n} href=/{n}.html><img src={n}.jpg><p>湖边的小船</p></a>"
        for n in range(1, 2_000)
    ),
    "a figure among texts that are no captions": "<div>" * 505
    + "<figure><img src=1.jpg><figcaption>湖边的小船</figcaption></figure>"
    + "<p>1</p>" * 60_000,
    "images and headings in deep boxes": "<div>" * 505
    + "<div><img src=1.jpg><img src=2.jpg></div>"
    + "".join(f"<h2>湖边的小船{n}</h2>" for n in range(60_000)),
    "cards beside texts": "".join(
        f"<div class=c><img src={n}.jpg><p>湖边的小船{n}</p></div>" for n in range(1, 400)
    )
    + "<p class=d>1</p>" * 60_000,
    "many texts deep in a card": "<div><div><img src=1.jpg>"
    + "<div>" * 400
    + "".join(f"<p>湖边的小船{n}</p>" for n in range(60_000))
    + "</div>" * 401
    + "<div><img src=2.jpg><p>湖边</p></div>",
    "images alone": "<img src=1.jpg>" + "<img src=2.jpg><b>x</b>" * 300_000,
    "nested backgrounds": "<img src=1.jpg>"
    + "".join(f'<div style="background:url({n}.png)">' for n in range(4_900))
    + "<p>x</p>" * 60_000,
    "nested links to an image": "<img src=1.jpg>"
    + "<a href=2.jpg><table><tr><td>" * 1_200
    + "<p>湖边的小船</p>" * 60_000,
    "data": "<img src=1.jpg>" + "data:image/png;base64," * 50_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_is_read_and_its_image_found(name: str) -> None:
    payload = HOSTILE[name].encode()
    html = decode_page(payload)
    rows = list(page_pairs(html, "http://a.cn/"))
    assert getattr(rows[0], "url", "") == "http://a.cn/1.jpg"
    page_links(html, "http://a.cn/")
    assert not is_sitemap_or_feed(payload)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_is_explained(name: str) -> None:
    page = explain_page(HOSTILE[name], "http://a.cn/")
    assert page.images[0].candidate.url == "http://a.cn/1.jpg"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_page_stays_within_the_limits_of_the_sandbox(name: str) -> None:
    rows = read_candidates(
        HOSTILE[name].encode(),
        content_type="text/html; charset=utf-8",
        url="http://a.cn/",
        source="",
        signals=(),
        page_origin=Origin(kind=INLINE, path=""),
    )
    assert isinstance(rows[0], Candidate)
    assert rows[0].url == "http://a.cn/1.jpg"


def test_the_sandbox_explains_a_page() -> None:
    payload = "<p>湖边的小船</p><img src=/1.jpg><p>版权所有</p>".encode("gbk")
    found = read_explanation(
        payload, content_type="", url="", fallback_url="http://a.cn/", signals=("x",)
    )
    assert found == explain_page(
        payload.decode("gbk"),
        "http://a.cn/",
        signals=("x",),
        page_origin=Origin(kind=INLINE, path=""),
    )
    broken = read_explanation(
        bytes(range(128, 256)) * 99, content_type="", url="", fallback_url="", signals=()
    )
    assert isinstance(broken, Drop)
    assert broken.reason == "bad_encoding"


@pytest.mark.parametrize(
    "payload", [b"<?xml ?>" * 250, b" " * 2_000_000, b"<urlset>" + b"<loc>" + b" " * 1_000_000]
)
def test_a_hostile_listing_is_read(payload: bytes) -> None:
    is_sitemap_or_feed(payload)
    assert sitemap_or_feed_links(payload, "http://a.cn/").urls == ()
