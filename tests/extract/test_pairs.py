import base64
from collections.abc import Sequence

import pytest

from wenlan_data.extract.data_uris import data_uri_images
from wenlan_data.extract.explain import explain_page
from wenlan_data.extract.page_tree import MAX_IMAGE_ELEMENTS, MAX_IMAGES, MAX_NODES
from wenlan_data.extract.pairs import MAX_IMAGE_TEXTS, MAX_PAGE_IMAGES, page_pairs
from wenlan_data.extract.surrounding_text import MAX_TEXT_CHARACTERS
from wenlan_data.records import Candidate, Drop, Origin, Text
from wenlan_data.testing import make_image

PAGE = "http://a.cn/x/p.html"
LD = '<script type="application/ld+json">'
CC = "https://creativecommons.org/licenses/"
AT = Origin(kind="inline", path="/pages.warc", offset=7)


def _candidates(html: str, page_url: str = PAGE) -> list[Candidate]:
    return [
        row
        for row in page_pairs(html, page_url, "pages:a", page_origin=AT)
        if isinstance(row, Candidate)
    ]


def _urls(html: str) -> list[str]:
    return [one.url for one in _candidates(html)]


def _texts(html: str, number: int = 0) -> list[tuple[str, str]]:
    return [(text.type, text.text) for text in _candidates(html)[number].texts]


@pytest.mark.parametrize(
    ("src", "url"),
    [
        ("1.jpg", "http://a.cn/x/1.jpg"),
        ("/1.jpg?a=1&amp;b=2#top", "http://a.cn/1.jpg?a=1&b=2"),
        (" //b.cn/1.jpg\n", "http://b.cn/1.jpg"),
        ("https://b.cn/图.jpg", "https://b.cn/图.jpg"),
    ],
)
def test_urls_become_absolute(src: str, url: str) -> None:
    assert _urls(f'<img src="{src}" alt=" 石桥 ">') == [url]


def test_the_base_of_the_page_is_used() -> None:
    assert _urls('<base href="/img/"><img src=1.jpg alt=桥>') == ["http://a.cn/img/1.jpg"]
    assert _urls('<base href="http://[x/"><img src=1.jpg alt=桥>') == ["http://a.cn/x/1.jpg"]


@pytest.mark.parametrize(
    ("html", "name"),
    [
        ('<img src=s.jpg srcset="s.jpg 480w, l.jpg 1706w, m.jpg 800w">', "l"),
        ('<img src=s.jpg srcset="s.jpg, l.jpg 2x">', "l"),
        ('<img src=s.jpg srcset="a,b.jpg 1x,l.jpg 2x">', "l"),
        ('<img src=l.jpg srcset="l.jpg 1x">', "l"),
        (
            '<picture><source srcset="x.avif 9w" type=image/avif><source srcset="l.webp 9w"><img src=s></picture>',
            "l",
        ),
        ("<img src=blank.gif data-src=l.jpg>", "l"),
        ('<img src="data:image/gif;base64,R0lG" data-original="/x/l.jpg?w=1">', "l"),
        ('<img src=blank.gif data-srcset="s.jpg 300w, l.jpg 900w">', "l"),
        ("<img src=s.jpg zoomfile=l.jpg file=m.jpg>", "l"),
        ("<a href=l.jpg><span><img src=s.jpg></span></a>", "l"),
        ('<a href="/wiki/File:x.jpg"><img src=l.jpg></a>', "l"),
        ('<a href="next.html"><img src=l.jpg></a>', "l"),
        ('<img src=l.jpg data-src="true">', "l"),
        ("<noscript><img src=l.jpg></noscript>", "l"),
        ('<img src="data:image/gif;base64,R0lG"><noscript><img src=l.jpg></noscript>', "l"),
        (
            '<img src=i.svg><img src=l.jpg><img src="ftp://a/1.jpg"><img src="javascript:1"><img src="">',
            "l",
        ),
        ('<meta property="og:image" content="l.jpg">', "l"),
        ('<link rel="image_src" href="l.jpg">', "l"),
        (LD + '{"@graph": [{"@type": "ImageObject", "contentUrl": "l.jpg"}]}</script>', "l"),
        (LD + '[{"@type": "Recipe", "image": ["l.jpg"]}, {"x": 1</script><img src=l.jpg>', "l"),
        ('<a href="l.jpg">江南的石桥</a>', "l"),
    ],
)
def test_of_several_sizes_the_largest_is_taken(html: str, name: str) -> None:
    assert [url.rpartition("/")[2].partition(".")[0] for url in _urls(html)] == [name]


def test_an_image_that_occurs_twice_is_one_candidate_with_all_its_texts() -> None:
    html = "<p>前文<img src=1.jpg alt=桥></p><noscript><img src=1.jpg alt=石桥></noscript>"
    html += "<meta property=og:image content=1.jpg>"
    [one] = _candidates(html)
    assert [text for text in one.texts if text.type == "alt"] == [
        Text("alt", "桥"),
        Text("alt", "石桥"),
    ]


def test_every_text_has_the_type_of_its_place() -> None:
    html = """<title>水乡游记</title><meta name=keywords content="水乡,石桥"><h1>第一天</h1><p>早上我们出发。</p>
    <figure><img src=1.jpg alt=石桥 title=一座桥><figcaption>清晨的
    石桥</figcaption></figure><p>然后去了茶馆。</p>"""
    assert _texts(html) == [
        ("alt", "石桥"),
        ("title", "一座桥"),
        ("figcaption", "清晨的石桥"),
        ("surrounding", "早上我们出发。"),
        ("heading", "第一天"),
        ("page_title", "水乡游记"),
        ("keywords", "水乡,石桥"),
    ]


@pytest.mark.parametrize(
    "src", ["//", "/", "///", "?", "http://b.cn", "http://b.cn/", "https://b.cn//#a", "p.html"]
)
def test_the_address_of_a_page_is_no_image(src: str) -> None:
    assert _urls(f"<p>石桥</p><img src='{src}'>") == []
    assert _candidates(f"<p>石桥</p><img src='{src}' srcset='1.jpg 900w'>")[0].fallback_urls == ()
    assert _urls(f"<meta property=og:image content='{src}'>") == []


@pytest.mark.parametrize("src", ["http://b.cn/?id=3", "http://b.cn?id=3", "?id=3", "//b.cn/1", "p"])
def test_an_address_with_a_path_or_a_query_may_be_one(src: str) -> None:
    assert len(_urls(f"<p>石桥</p><img src='{src}'>")) == 1


@pytest.mark.parametrize(
    ("html", "text", "confidence"),
    [
        ("<title>水乡游记</title><img src=1.jpg>", Text("page_title", "水乡游记", "page"), 0.5),
        (
            '<meta property="og:title" content="水乡游记"><img src=1.jpg>',
            Text("page_title", "水乡游记", "page"),
            0.5,
        ),
        (
            "<meta name=keywords content='水乡,石桥'><img src=1.jpg>",
            Text("keywords", "水乡,石桥", "page"),
            0.3,
        ),
        ("<a href=1.jpg>清晨的石桥</a>", Text("title", "清晨的石桥", "attribute"), 0.8),
        ("<img src=1.jpg alt=石桥>", Text("alt", "石桥", "attribute"), 0.9),
        ("<img src=1.jpg title=一座石桥>", Text("title", "一座石桥", "attribute"), 0.8),
        (
            "<img src=1.jpg class=site-logo alt=水乡旅游网>",
            Text("alt", "水乡旅游网", "attribute"),
            0.9,
        ),
        (
            f'{LD}{{"@type": "ImageObject", "url": "/1.jpg", "name": "石桥"}}</script>',
            Text("title", "石桥", "attribute"),
            0.8,
        ),
        (
            f'{LD}{{"@type": "ImageObject", "url": "/1.jpg", "caption": "石桥"}}</script>',
            Text("figcaption", "石桥", "attribute"),
            0.9,
        ),
        (
            '<script>window.a = {"image": "/1.jpg", "desc": "湖边的石桥"}</script>',
            Text("figcaption", "湖边的石桥", "container"),
            0.8,
        ),
    ],
)
def test_relation_and_confidence_are_those_of_the_documentation(
    html: str, text: Text, confidence: float
) -> None:
    found = {one: (one.relation, one.confidence) for one in _candidates(html)[0].texts}
    assert found[text] == (text.relation, confidence)


def test_no_text_of_a_page_is_given() -> None:
    html = f"""<title>水乡游记</title><meta name=keywords content="水乡,石桥">
    <meta property=og:image content=/0.jpg><img src=logo.png class=site-logo alt=水乡旅游网>
    <h1>第一天</h1><p>早上我们出发。</p><figure><img src=1.jpg alt=石桥 title=一座桥>
    <figcaption>清晨的石桥</figcaption></figure><p>然后去了茶馆。</p><a href=2.jpg>茶馆的照片</a>
    <script>window.a = {{"image": "/3.jpg", "title": "湖边的小船"}}</script>
    {LD}{{"@type": "ImageObject", "url": "/4.jpg", "name": "山上的小路"}}</script>"""
    texts = [text for one in _candidates(html) for text in one.texts]
    assert {text.type for text in texts} >= {"alt", "title", "figcaption", "page_title", "keywords"}
    assert "given" not in {text.relation for text in texts}
    assert 1.0 not in {text.confidence for text in texts}


@pytest.mark.parametrize(
    ("html", "caption"),
    [
        (
            '<div class="figure"><p class="title">图 1.1. 界面</p><div><img src=1.png></div></div>',
            "图 1.1. 界面",
        ),
        (
            '<div class="wp-caption"><img src=1.jpg><p class="wp-caption-text">湖边</p></div>',
            "湖边",
        ),
        (
            '<li class="gallerybox"><div><img src=1.jpg></div><div class="gallerytext"><p>湖边</p></div>',
            "湖边",
        ),
        ('<div class="pic-box"><img src=1.jpg><span class="pic_desc">湖边</span></div>', "湖边"),
        ("<p><img src=1.jpg></p><p>▲湖边的小船</p>", "湖边的小船"),
        ("<p><img src=1.jpg></p><p>图为湖边的小船。</p>", "湖边的小船。"),
        ("<p><img src=1.jpg></p><p><img src=2.jpg></p><p>图为湖边的小船。</p>", "湖边的小船。"),
        ("<p><img src=1.jpg></p><p>湖边的小船。</p>", ""),
    ],
)
def test_a_text_marked_as_a_caption_is_a_figcaption(html: str, caption: str) -> None:
    assert [text for kind, text in _texts(html) if kind == "figcaption"] == (
        [caption] if caption else []
    )


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>左边是桥<img src=1.jpg>右边是船</p><p>后文</p>", "左边是桥右边是船"),
        ("<h2>节</h2><p>前文</p><p><img src=0.jpg></p><p><img src=1.jpg></p><p>后文</p>", "前文"),
        ("<p>上一节</p><h2>节</h2><p><img src=1.jpg></p><p>后文</p><h2>下一节</h2>", "后文"),
        ("<p>上一节</p><h2>节</h2><p><img src=1.jpg></p><h2>下一节</h2><p>后文</p>", ""),
        ("<nav><ul><li>首页</ul></nav><p><img src=1.jpg></p>", ""),
        (
            "<div>前一段<p>x</p>左边<b>是桥</b><img src=1.jpg><br>右边<div>别的</div></div>",
            "左边是桥",
        ),
        ("<p>" + "这是一句很长的话。" * 80 + "<img src=1.jpg></p>", "这是一句很长的话。" * 55),
    ],
)
def test_the_surrounding_text_is_the_paragraph_of_the_image_or_the_one_beside_it(
    html: str, text: str
) -> None:
    found = [one.texts for one in _candidates(html) if one.url.endswith("1.jpg")]
    assert [one.text for one in found[0] if one.type == "surrounding"] == ([text] if text else [])


@pytest.mark.parametrize(
    ("html", "licence", "author"),
    [
        (
            f'<link rel=license href="{CC}by/4.0/"><meta name=author content=李明>',
            f"{CC}by/4.0/",
            "李明",
        ),
        (
            f'<footer><a href="{CC}by/3.0/">CC</a></footer><a rel=author href=x>王芳</a>',
            f"{CC}by/3.0/",
            "王芳",
        ),
        ('<a rel="license noopener" href="/licence.html">L</a>', "/licence.html", ""),
        (
            LD
            + '{"@type": ["ImageObject"], "contentUrl": "1.jpg", "license": "/l", "creditText": "赵强"}</script>',
            "/l",
            "赵强",
        ),
        ("", "", ""),
    ],
)
def test_licence_and_author_are_those_that_the_page_states(
    html: str, licence: str, author: str
) -> None:
    [one] = _candidates(f"{html}<p><img src=1.jpg alt=桥></p>")
    assert (one.licence, one.author) == (licence, author)


def test_a_licence_in_a_figure_is_that_figures_alone() -> None:
    cc = f'<a href="{CC}by/2.0/">CC</a>'
    found = _candidates(f"<figure><img src=1.jpg>{cc}</figure><img src=2.jpg>")
    assert [one.licence for one in found] == [f"{CC}by/2.0/", ""]


@pytest.mark.parametrize(
    ("html", "signals"),
    [
        (
            "<meta name=robots content='NoAI, noindex'>",
            ("X", "meta robots: noai", "meta robots: noindex"),
        ),
        ("<meta name=wenlan-data content=noimageai>", ("X", "meta robots: noimageai")),
        ("<meta name=robots content=none>", ("X", "meta robots: none")),
        ("<meta name=tdm-reservation content=1>", ("X", "meta tdm-reservation: 1")),
        ("<meta name=otherbot content=noai><meta name=robots content=index>", ("X",)),
    ],
)
def test_opt_outs_of_headers_and_page_are_recorded_with_every_image(
    html: str, signals: Sequence[str]
) -> None:
    [one] = list(page_pairs(f"{html}<img src=1.jpg>", PAGE, signals=("X",)))
    assert isinstance(one, Candidate)
    assert one.opt_out == signals


def test_an_image_inside_the_page_is_named_by_its_digest_and_found_again() -> None:
    data = make_image(1)
    html = f'<img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt=桥>'
    [one] = _candidates(html)
    assert one.url.startswith("data:image/jpeg;sha256=")
    assert one.origin == AT
    assert [(inside.name, inside.data) for inside in data_uri_images(html)] == [(one.url, data)]
    assert [row for row in page_pairs(html, PAGE) if isinstance(row, Candidate)] == []


@pytest.mark.parametrize(("size", "count"), [(999, 0), (1_000, 1), (1_100, 1), (1_500, 1)])
def test_an_image_inside_the_page_of_1000_bytes_is_a_candidate(size: int, count: int) -> None:
    data = (make_image(1) * 9)[:size]
    html = f'<img src="data:image/jpeg;base64,{base64.b64encode(data).decode()}" alt=桥>'
    assert len(_candidates(html)) == len(list(data_uri_images(html))) == count


def test_an_address_that_cannot_be_read_is_a_drop() -> None:
    assert list(page_pairs('<img src="http://[x/1.jpg" alt=桥>', "http://a.cn/")) == [
        Drop("bad_url", "'http://[x/1.jpg'")
    ]


@pytest.mark.parametrize("page_url", ["http://[bad/", "http://℀.cn/", "", "a.cn", "javascript:1"])
def test_a_page_whose_url_cannot_be_read_is_read(page_url: str) -> None:
    html = '<p>湖边的小船</p><a href="/2.html"><img src="/1.jpg"><b>山上的白塔</b></a>'
    rows = list(page_pairs(html, page_url))
    assert rows == ([Drop("bad_url", "'/1.jpg'")] if page_url.startswith("http") else [])
    explain_page(html, page_url)


@pytest.mark.parametrize("depth", [5_000, 200_000])
def test_deep_pages_are_read_to_their_end(depth: int) -> None:
    [one] = _candidates("<div>" * depth + '<img src="1.jpg" alt="桥\0&#xD800;&#0;">')
    assert one.url == "http://a.cn/x/1.jpg"
    assert one.texts[0].text.encode().decode().startswith("桥")


def test_a_page_with_too_many_images_is_read_in_part_with_a_drop() -> None:
    rows = list(
        page_pairs("".join(f"<img src={n}.jpg alt=桥>" for n in range(MAX_PAGE_IMAGES + 5)), PAGE)
    )
    assert rows[-1] == Drop(
        "page_too_large", f"more than {MAX_PAGE_IMAGES} images: the rest is left out"
    )
    assert len(rows) == MAX_PAGE_IMAGES + 1


@pytest.mark.parametrize(
    "html",
    [
        "<pre>代码<img src=1.jpg alt=湖边></pre>",
        "<object><img src=1.jpg alt=湖边></object>",
        "<object><object><p><img src=1.jpg alt=湖边></p></object></object>",
        "<svg><foreignObject><div><img src=1.jpg alt=湖边></div></foreignObject></svg>",
        "<map name=m><img src=1.jpg alt=湖边></map>",
        "<video><img src=1.jpg alt=湖边></video>",
        "<canvas><img src=1.jpg alt=湖边></canvas>",
    ],
)
def test_an_image_in_an_element_without_text_has_its_alt_alone(html: str) -> None:
    around = "<p>山上的白塔</p>"
    [one] = _candidates(around + html + around)
    assert (one.url, one.no_content) == ("http://a.cn/x/1.jpg", None)
    assert [text.text for text in one.texts] == ["湖边"]


def test_an_image_in_a_menu_over_the_page_is_navigation() -> None:
    menu = '<div style="position: absolute; display: none">保存{}</div>'
    html = "<p>湖边的小船</p><img src=1.jpg>" + menu.format("<img src=2.jpg><img src=1.jpg>")
    html += menu.format(
        "<b style='background:url(3.jpg)'></b><b style='background:url(4.jpg)'></b>"
    )
    reasons = {one.url[-5]: one.no_content and one.no_content.reason for one in _candidates(html)}
    assert reasons == {"1": None, "2": "navigation", "3": "navigation", "4": "navigation"}


@pytest.mark.parametrize(
    ("html", "detail"),
    [
        ("<p>x</p>" * (MAX_NODES // 2) + "{}", "200,000 elements"),
        ("<img src=s.gif width=10>" * MAX_IMAGE_ELEMENTS + "{}", "20,000 images"),
        ("<p><img src=s.jpg></p>" * MAX_IMAGES + "{}", "2,000 images"),
    ],
)
def test_images_beyond_a_limit_of_the_page_are_no_content(html: str, detail: str) -> None:
    avatar = "<div class=avatar><img src=u.jpg alt=小城旅人></div>"
    rows = list(page_pairs("<img src=1.jpg>" + html.format(avatar), PAGE))
    assert rows[-1] == Drop("page_too_large", f"more than {detail}: the rest is left out")
    content = [row.url for row in rows if isinstance(row, Candidate) and row.no_content is None]
    assert content == ["http://a.cn/x/1.jpg"]


def test_the_texts_of_an_image_are_bounded_in_number_and_length() -> None:
    html = "".join(
        f"<a href=1.jpg>{n}{'湖边的小船。' * 200}</a>" for n in range(2 * MAX_IMAGE_TEXTS)
    )
    [one] = _candidates(html)
    assert len(one.texts) == MAX_IMAGE_TEXTS
    assert all(len(text.text) <= MAX_TEXT_CHARACTERS for text in one.texts)


def test_emoticons_do_not_count_among_the_images_of_a_page() -> None:
    html = "<img src=s.gif width=10>" * (MAX_IMAGES + 9) + "<p>湖边</p><img src=1.jpg>"
    assert _urls(html)[-1] == "http://a.cn/x/1.jpg"


def test_an_empty_page_has_nothing() -> None:
    assert list(page_pairs(" \n\0", PAGE)) == []


def test_pages_of_two_owners_under_one_private_suffix_are_two_sites() -> None:
    html = "<p>石桥</p><a href=http://b.github.io/x/1.html><img src=1.jpg></a>"
    (other,) = _candidates(html, "http://a.github.io/x/p.html")
    assert other.no_content is not None
    assert other.no_content.reason == "advertisement"
    (own,) = _candidates(html, "http://b.github.io/y/p.html")
    assert own.no_content is None
    (own,) = _candidates(html.replace("b.github.io", "b.a.cn"), "http://c.a.cn/p.html")
    assert own.no_content is None


def test_slides_in_an_attribute_are_images() -> None:
    slides = (
        '[{"src": "/1.jpg", "caption": "湖边的小船"}, {"src": "/2.jpg", "caption": "山上的白塔"}]'
    )
    escaped = slides.replace('"', "&quot;")
    expected = [("http://a.cn/1.jpg", "湖边的小船"), ("http://a.cn/2.jpg", "山上的白塔")]
    for attribute in (f"data-slides='{slides}'", f'data-x-y="{escaped}"', f"DATA-S=' {slides}'"):
        rows = _candidates(f"<div {attribute}></div>")
        assert [(row.url, row.texts[0].text) for row in rows] == expected, attribute


LIST = "<li><a href=/{0}.html><img src=/{0}.jpg><p>{1}</p></a></li>"
ITEMS = LIST.format(1, "湖边停着小船") + LIST.format(2, "山上有座白塔")


@pytest.mark.parametrize(
    "markup",
    [
        "<script type=text/xml><record><![CDATA[{}]]></record></script>",
        "<script type=text/template>{}</script>",
        '<textarea style="display: none">{}</textarea>',
        "<textarea hidden>{}</textarea>",
        "<textarea class=ks-datalazyload>{}</textarea>",
    ],
)
def test_html_that_a_script_shows_is_read_on_a_page_without_an_article(markup: str) -> None:
    def found(html: str) -> list[tuple[str, str]]:
        rows = _candidates(html)
        return [(row.url, row.texts[0].text) for row in rows]

    expected = [("http://a.cn/1.jpg", "湖边停着小船"), ("http://a.cn/2.jpg", "山上有座白塔")]
    assert found("<ul>" + markup.format(ITEMS) + "</ul>") == expected
    # Beside an article, it holds recommendations.
    assert found("<p>" + "湖边的小船停在岸边。" * 40 + "</p>" + markup.format(ITEMS)) == []
    # A form that a script fills in.
    assert found(markup.format("<img src='{{url}}'><p>{{title}}</p>")) == []


def test_code_to_copy_is_no_html_of_the_page() -> None:
    assert list(page_pairs(f"<textarea>{ITEMS}</textarea>", PAGE)) == []


def test_the_html_of_a_light_box_is_one_caption() -> None:
    link = "<a href=/1.jpg data-sub-html='<h2>湖边的小船</h2><p>{}</p>'><img src=/s.jpg></a>"
    assert _texts(link.format("湖边的小船"))[0] == ("figcaption", "湖边的小船")
    assert _texts(link.format("雨后拍摄"))[0] == ("figcaption", "湖边的小船 雨后拍摄")


def test_the_caption_in_an_attribute_of_a_link_to_an_image_is_read() -> None:
    link = "<a href=/1.jpg data-elementor-lightbox-title=坐拖拉机去摘桃><div role=img></div></a>"
    assert _texts(link) == [("figcaption", "坐拖拉机去摘桃")]
