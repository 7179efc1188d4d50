"""Which addresses an image has, and in which order."""

import time
from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlan_data.extract.html import Element, parse_html
from wenlan_data.extract.image_urls import (
    MAX_STYLE_CHARACTERS,
    background_addresses,
    background_image_urls,
    has_image_extension,
    image_addresses,
    is_placeholder,
)


def _first(html: str, selector: str) -> Element:
    page = parse_html(html)
    assert page is not None
    node = page.css_first(selector)
    assert node is not None
    return node


def _addresses(html: str) -> tuple[str, ...]:
    return image_addresses(_first(html, "img"))


@pytest.mark.parametrize(
    "attribute",
    [
        "data-src", "data-original", "file", "zoomfile", "_src", "data-lazy-src", "data-lazy-img",
        "data-lazyload", "data-lazy", "data-original-src", "data-img", "data-actualsrc", "original",
        "data-imgurl", "data-bigimg", "data-full-url", "data-raw", "hd-src", "data-picurl",
        "data-photo", "data-echo", "data-lazy-load-image", "ng-src", "data-url", "data-pic",
        "data-gallery-src", "data-from", "data-x", "loadsrc", "picsrc", "original-src",
    ],
)  # fmt: skip
@pytest.mark.parametrize("src", ["", "none.gif", "/img/loading.gif", "data:image/gif;base64,R0lG"])
def test_a_lazy_attribute_of_any_name_is_read(attribute: str, src: str) -> None:
    written = f'src="{src}"' if src else ""
    assert _addresses(f'<img {written} {attribute}="/a/1.jpg">') == ("/a/1.jpg",)


@pytest.mark.parametrize(
    "value",
    [
        "/a/1.jpg!large", "//b.cn/1.jpg!/fw/300", "https://b.cn/1.jpg@300w.webp", "a/1.JPG?x=1#y",
        "/a/1.jpg_640x640.jpg", "http://b.cn/1~tplv-obj.image", "/a/图.png", "/a/(1).jpg",
    ],
)  # fmt: skip
def test_addresses_of_image_services_are_read(value: str) -> None:
    assert _addresses(f'<img src=none.gif data-anything="{value}">') == (value,)


@pytest.mark.parametrize(
    "written",
    [
        'data-src="true"', 'data-src="1"', 'data-original="300x200"', 'data-lazy="16/9"',
        'data-image-type="image/jpeg"', 'data-photo-date="2012/03/04"', 'data-img="{&quot;a&quot;:1}"',
        'data-src="//b.cn/1_{width}x.jpg"', 'data-image-link="/p/1.html"', 'alt="IMG_2012.jpg"',
        'title="/a/2.jpg"', 'data-filename="/a/IMG_2012.jpg"', 'data-x="IMG_2012.jpg"',
        "style=\"background:url('/a/2.jpg')\"", 'onerror="this.src=/a/none.jpg"',
        'data-error="/a/missing.jpg"', 'data-default-img="/a/default.jpg"',
        'data-placeholder="/a/wait.png"', 'data-avatar="/u/1.jpg"', 'data-qrcode="/q/1.png"',
        'data-share-pic="/s/1.jpg"', 'data-next="/a/2.jpg"', 'data-hover-src="/a/2.jpg"',
        'data-imgs="/a/2.jpg,/a/3.jpg"', 'data-topic="/t/2.jpg/x y"', 'data-src="#"', ':src="item.img"',
        ":src=\"require('/a/2.png')\"", 'data-src="javascript:void(0)"', 'data-src="about:blank"',
        'data-src="/v/1.mp4"', 'data-src="/a/2.svg"', 'data-profile="/user/7"', "data-full",
        'data-img-id="12/34"', 'class="/a/2.jpg"', 'usemap="#m.jpg"', 'data-caption="/a/2.jpg"',
    ],
)  # fmt: skip
def test_flags_numbers_names_and_other_images_are_no_addresses(written: str) -> None:
    assert _addresses(f'<img src="/a/1.jpg" {written}>') == ("/a/1.jpg",)


@pytest.mark.parametrize(
    ("html", "addresses"),
    [
        (
            '<a href="link.jpg"><img src="src.jpg" data-original="o.jpg" data-large="full.jpg" '
            'srcset="s.jpg 300w, l.jpg 900w, m.jpg 600w" data-thumb="thumb.jpg"></a>',
            ["link.jpg", "full.jpg", "l.jpg", "m.jpg", "s.jpg", "o.jpg", "src.jpg", "thumb.jpg"],
        ),
        (
            '<a href="missing.jpg"><img src="s.jpg" srcset="m.jpg 600w, l.jpg 2000w"></a>',
            ["missing.jpg", "l.jpg", "m.jpg", "s.jpg"],
        ),
        # The width of src is stated: among the others, but not before the largest.
        (
            '<img src="x.jpg" width=500 srcset="s.jpg 300w, l.jpg 900w">',
            ["l.jpg", "x.jpg", "s.jpg"],
        ),
        (
            '<img src="x.jpg" width="200" srcset="s.jpg 300w, l.jpg 900w">',
            ["l.jpg", "s.jpg", "x.jpg"],
        ),
        (
            '<img src="x.jpg" width=1200 srcset="s.jpg 300w, l.jpg 900w">',
            ["l.jpg", "x.jpg", "s.jpg"],
        ),
        (
            '<img src="x.jpg" width="100%" srcset="s.jpg 50w, l.jpg 900w">',
            ["l.jpg", "s.jpg", "x.jpg"],
        ),
        ('<img src="x.jpg" width=500 srcset="m.jpg 1.5x, l.jpg 2x">', ["l.jpg", "m.jpg", "x.jpg"]),
        # src is an entry itself: its own size counts.
        ('<img src="s.jpg" width=700 srcset="s.jpg 300w, m.jpg 600w">', ["m.jpg", "s.jpg"]),
        (
            '<img src="s.jpg" width=700 srcset="s.jpg 300w, m.jpg 600w, l.jpg 900w">',
            ["l.jpg", "m.jpg", "s.jpg"],
        ),
        # A placeholder with a width.
        ('<img src="none.gif" width=1200 srcset="s.jpg 300w, l.jpg 900w">', ["l.jpg", "s.jpg"]),
        (
            '<img src="static/none.gif" zoomfile="a/1.jpg" file="a/1.jpg.thumb.jpg">',
            ["a/1.jpg", "a/1.jpg.thumb.jpg"],
        ),
        # As Zhihu writes it.
        (
            '<img src="data:image/svg+xml,x" data-rawwidth="1080" data-original="/v_r.jpg" '
            'data-actualsrc="/v_b.jpg">',
            ["/v_r.jpg", "/v_b.jpg"],
        ),
        # WordPress with Jetpack.
        (
            '<img src="i-300.jpg" data-permalink="/p/?attachment_id=5" data-orig-file="i.jpg" '
            'data-orig-size="800,600" data-image-meta="{&quot;a&quot;:&quot;/x.jpg&quot;}" '
            'data-image-title="i.jpg" data-medium-file="i-300.jpg" data-large-file="i-640.jpg">',
            ["i.jpg", "i-640.jpg", "i-300.jpg"],
        ),
        (
            '<picture><source srcset="x.avif 9w" type="image/avif"><source data-srcset="l.webp 9w">'
            '<source srcset="blank.gif 1w"><img src="s.jpg"></picture>',
            ["l.webp", "s.jpg"],
        ),
        ('<img src="1.jpg" data-src="1.jpg" srcset="1.jpg 1x">', ["1.jpg"]),
        ('<img src="1.jpg" data-u="/2.jpg">', ["1.jpg", "/2.jpg"]),
        ('<img src="1.gif" data-u="/2.jpg">', ["/2.jpg", "1.gif"]),
        ('<img src="1.jpg" data-image-path="a/b/c">', ["1.jpg", "a/b/c"]),
        ('<img src="1.jpg" data-img="//b.cn/show?id=3">', ["//b.cn/show?id=3", "1.jpg"]),
        (
            '<img srcset="data:image/gif;base64,R0 1w" data-srcset="s.jpg 1x, l.jpg 2x">',
            ["l.jpg", "s.jpg"],
        ),
        # A light box.
        ('<a href="javascript:;" data-src="l.jpg"><img src="s.jpg"></a>', ["l.jpg", "s.jpg"]),
        ('<a href="l.jpg"><span><b><img src="s.jpg"></b></span></a>', ["l.jpg", "s.jpg"]),
        ('<a href="/p/1.html"><img src="s.jpg"></a>', ["s.jpg"]),
        ('<a href="/wiki/File:1.jpg"><img src="s.jpg"></a>', ["s.jpg"]),
        ('<img src=" 1.jpg\n">', ["1.jpg"]),
        ('<img src="/图 1.jpg">', ["/图 1.jpg"]),
        ('<img src="1.jpg" data-original="none.gif">', ["1.jpg"]),
        # A placeholder is returned where there is nothing else.
        ('<img src="none.gif">', ["none.gif"]),
        ('<img src="data:image/gif;base64,R0">', ["data:image/gif;base64,R0"]),
        ('<img src="none.gif" data-src="data:image/gif;base64,R0">', ["data:image/gif;base64,R0"]),
        ("<img alt=x>", []),
        ('<img src="1.svg">', []),
        ('<img src="ftp://b.cn/1.jpg">', []),
    ],
)
def test_the_largest_copy_comes_first(html: str, addresses: list[str]) -> None:
    assert list(_addresses(html)) == addresses


@pytest.mark.parametrize(
    ("html", "linked"),
    [
        ("<a href=l.jpg><img id=x src=1.jpg><img src=zoom.png></a>", True),
        ("<a href=l.jpg><img src=1.jpg><img id=x src=zoom.png></a>", False),
        ("<a href=l.jpg><div><img src=1.jpg></div><div><img id=x src=zoom.png></div></a>", False),
        ("<a href=l.jpg><b>放大</b><img id=x src=1.jpg></a>", True),
        ("<a href=l.jpg><img src=none.gif><noscript><img id=x src=1.jpg></noscript></a>", True),
        ("<a href=l.jpg><noscript><img src=1.jpg></noscript><img id=x src=none.gif></a>", True),
        ("<a href=l.jpg><i><i><i><img id=x src=1.jpg></i></i></i></a>", False),
    ],
)
def test_a_link_is_that_of_its_first_image(html: str, linked: bool) -> None:
    addresses = image_addresses(_first(html, "#x"))
    assert (addresses[0] == "l.jpg") == linked
    assert ("l.jpg" in addresses) == linked


@pytest.mark.parametrize(
    "name",
    [
        "none.gif", "blank.gif", "/a/spacer.gif", "grey.gif", "gray.png", "loading.gif?v=1",
        "1x1.png", "loading_2.gif", "no-image.png", "nopic.jpg", "img-loading.gif", "LazyLoad.png",
        "t.gif", "sp.gif", "placeholder.webp", "data:image/png;base64,iVBO", "transparent.png",
    ],
)  # fmt: skip
def test_a_placeholder_is_known_by_its_name(name: str) -> None:
    assert is_placeholder(name)


@pytest.mark.parametrize(
    "name",
    [
        "1.jpg", "12.gif", "loading-dock.jpg", "white-swan.jpg", "a/none/1.jpg", "image.jpg",
        "space-station.png", "photo.png", "t.jpg", "none", "/none.gif/1.jpg", "", "icon-1.png",
    ],
)  # fmt: skip
def test_a_name_that_says_more_is_that_of_an_image(name: str) -> None:
    assert not is_placeholder(name)


@pytest.mark.parametrize(
    ("style", "urls"),
    [
        ("background-image: url('/a/1.jpg')", ["/a/1.jpg"]),
        ("background:url(/a/1.jpg) no-repeat", ["/a/1.jpg"]),
        ('color:red; BACKGROUND : #fff URL( "/a/(1;2).jpg" ) 0 0;', ["/a/(1;2).jpg"]),
        ("background: linear-gradient(rgba(0,0,0,.5),#fff), url(1.jpg)", ["1.jpg"]),
        ("background: url(1.jpg), url(2.jpg); background-image: url(1.jpg)", ["1.jpg", "2.jpg"]),
        ("background:url(data:image/png;base64,x) ; background-image:url(1.jpg)", ["1.jpg"]),
        (r"background:url(1\(2\).jpg)", ["1(2).jpg"]),
        (r"background:url(\56FE.jpg)", ["图.jpg"]),
        ("list-style-image: url(1.jpg); cursor: url(2.png)", []),
        ("background:red; mask-image: url(1.png)", []),
        ("background: url(1.svg)", []),
        ("background: url(", []),
        ("background: url('1.jpg)", []),
        ("background: url()", []),
        ("", []),
    ],
)
def test_backgrounds_of_a_style(style: str, urls: list[str]) -> None:
    assert list(background_image_urls(style)) == urls


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ("<div style=\"background-image:url('1.jpg')\">", ["1.jpg"]),
        ('<div data-bg="1.jpg">', ["1.jpg"]),
        ('<div data-bg="url(1.jpg)">', ["1.jpg"]),
        ('<div data-background="/a/1.jpg">', ["/a/1.jpg"]),
        ('<div data-background-image="/a/1?x=1">', ["/a/1?x=1"]),
        ('<div data-original="/a/1.jpg">', ["/a/1.jpg"]),
        ('<div data-original="/a/1">', []),
        ('<div data-src="/a/1.js">', []),
        ('<div data-bg="#fff" data-background="true">', []),
        ('<div data-bg="blank.gif">', []),
        ('<div class="/a/1.jpg">', []),
    ],
)
def test_backgrounds_of_an_element(html: str, urls: list[str]) -> None:
    assert list(background_addresses(_first(html, "div"))) == urls


@pytest.mark.parametrize(
    ("url", "is_image"),
    [
        ("/a/1.jpg", True), ("/a/1.JPEG?x=1#y", True), ("/a/1.png!small", True),
        ("/a/1.jpg!/fw/300", True), ("/a/1.html", False), ("/p.html?u=1.jpg", False),
        ("/File:1.jpg", False), ("/File%3a1.jpg", False), ("/jpg", False), ("mail@a.jpg", True),
    ],
)  # fmt: skip
def test_links_to_images_are_known_by_their_extension(url: str, is_image: bool) -> None:
    assert has_image_extension(url) == is_image


@given(st.dictionaries(st.text(max_size=50), st.none() | st.text(max_size=80), max_size=6))
def test_any_attributes_give_addresses_that_they_hold(values: dict[str, str | None]) -> None:
    written = " ".join(f'{name}="{escape(value or "")}"' for name, value in values.items())
    node = parse_html(f"<img {written}>")
    assert node is not None
    for image in node.css("img"):
        addresses = image_addresses(image)
        assert len(set(addresses)) == len(addresses)
        held = [(value or "") for value in image.attributes.values()]
        assert all(any(url in value for value in held) for url in addresses)


@given(st.text(alphabet="url(background:;-image)'\" \\a1.jpg,", max_size=200))
def test_any_style_is_read(style: str) -> None:
    for url in background_image_urls(style):
        assert url == url.strip()
        assert url


_N = 100_000


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "html",
    [
        "<img " + " ".join(f"data-{number}=/a/{number}.jpg" for number in range(_N // 4)) + ">",
        f'<img data-src="{"/" * _N}" data-x="{"1/" * _N}">',
        f'<img srcset="{"a " * _N}">',
        f'<img src="{"a.jpg," * _N}" data-large="{"." * _N}jpg">',
        "<picture>" + "<source srcset='a 9w'>" * 5_000 + "<img src=1.jpg>" * 5_000 + "</picture>",
        "<a href=1.jpg>" + "<b>x</b>" * 10_000 + "<img src=1.jpg>" * 10_000 + "</a>",
        "<a href=1.jpg><div>" + "<b>x</b>" * 5_000 + "</div>" + "<img src=1.jpg>" * 5_000 + "</a>",
    ],
    ids=["attributes", "slashes", "srcset", "dots", "sources", "link", "nested"],
)
def test_no_page_takes_long(html: str) -> None:
    page = parse_html(html)
    assert page is not None
    started = time.process_time()
    for image in page.css("img"):
        image_addresses(image)
    assert time.process_time() - started < 5


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["url(", "url('", "background:url(\\", "url( ", ";:", "\\"])
def test_no_style_takes_long(piece: str) -> None:
    started = time.process_time()
    background_image_urls(piece * (MAX_STYLE_CHARACTERS // len(piece)))
    assert time.process_time() - started < 2
