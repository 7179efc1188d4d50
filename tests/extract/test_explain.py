"""The explanation of a page names the block of each text, and why the other blocks lost."""

import pytest

from wenlan_data.extract.explain import (
    MAX_IGNORED,
    MAX_OCCURRENCES,
    NEARBY_BLOCKS,
    NO_TEXT_NEARBY,
    ONLY_HEADING,
    ExplainedImage,
    PageExplanation,
    explain_page,
)
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.records import Candidate

URL = "http://site.example/a/1.html"
RUN = "".join(
    f"<p>今天的天气很好，大家都到公园里去散步，第{number}段。</p>"
    f"<p><img src={number}.jpg></p><p align=center class=note>{name}</p>"
    for number, name in enumerate(("湖边的小船", "山上的小路", "雨后的荷花", "老街的灯笼"), 1)
)


def _reasons(page: PageExplanation, image: ExplainedImage) -> dict[str, str]:
    return {page.blocks[one.block].text: one.reason for one in image.nearby}


def _blocks(page: PageExplanation, image: ExplainedImage) -> dict[str, str]:
    """The block of each text that has one, by the text."""
    return {
        text.text: page.blocks[block].text
        for text, block in zip(image.candidate.texts, image.blocks, strict=True)
        if block >= 0
    }


def test_the_candidates_are_those_of_a_build() -> None:
    html = f"<title>小城</title>{RUN}<img src=http:// alt=x><a href=5.jpg>远处的灯塔</a>"
    page = explain_page(html, URL, signals=("X-Robots-Tag: noai",))
    rows = list(page_pairs(html, URL, signals=("X-Robots-Tag: noai",)))
    assert [one.candidate for one in page.images] == [
        row for row in rows if isinstance(row, Candidate)
    ]
    assert list(page.drops) == [row for row in rows if not isinstance(row, Candidate)]


def test_the_vote_of_a_run_is_stated_with_its_counts() -> None:
    page = explain_page(RUN, URL)
    assert {image.basis for image in page.images} == {
        "texts in one format stand below: 4 of 4 images have one below, 0 of 4 above"
    }
    second = page.images[1]
    assert _blocks(page, second)["山上的小路"] == "山上的小路"
    reasons = _reasons(page, second)
    assert reasons["湖边的小船"] == "belongs to image 1"
    assert reasons["雨后的荷花"] == "belongs to image 3"


A, B, C = "湖边停着一条旧木船", "山上有一座白色的塔", "镇口长着一棵大榕树"


@pytest.mark.parametrize(
    ("html", "basis"),
    [
        ("<p><img src=1.jpg alt=湖边的石桥></p>", NO_TEXT_NEARBY),
        ("<p><img src=1.jpg></p>", NO_TEXT_NEARBY),
        (f"<h2>石桥</h2><p><img src=1.jpg></p><h2>其他</h2><p>{A}</p>", ONLY_HEADING),
        (f"<p><img src=1.jpg></p><p>▲{A}</p><p>{B}</p>", "the text below it points at it"),
        (
            f"<p><img src=1.jpg><img src=2.jpg></p><p>左图：{A}；右图：{B}</p>",
            "the text below it has a part for each of its 2 images",
        ),
        (
            f"<table><tr><td><img src=1.jpg><td><img src=2.jpg><tr><td>{A}<td>{B}</table>",
            "its table has texts in the columns of its 2 images",
        ),
        (
            f"<p><img src=1.jpg><img src=2.jpg></p><div><p>{A}</p><p>{B}</p></div>",
            "the row below it holds one text for each of its 2 images",
        ),
        (
            f"<p>{A}</p><p><img src=1.jpg></p><p>{B}</p><p><img src=2.jpg></p><p>{C}</p>",
            "texts stand above or below, which is not certain: 2 of 2 images have one below,"
            " 2 of 2 above",
        ),
        (
            f"<p><img src=1.jpg></p><p>{A}</p><p><img src=2.jpg></p><p>{B}</p><p><img src=3.jpg>"
            f"</p><p>{C}</p>",
            "texts in one format stand below: 3 of 3 images have one below, 2 of 3 above",
        ),
        (
            '<script>window.a = {"image": "/1.jpg", "desc": "湖边的石桥"}</script>',
            "stated with it in the data of the page",
        ),
        (
            "<a href=1.jpg>湖边的石桥</a>",
            "stated with it in a link, in the head or in the data of the page",
        ),
        (
            "<meta property=og:image content=/1.jpg>",
            "named in a link, in the head or in the data of the page, without a text of its own",
        ),
    ],
)
def test_the_basis_of_the_texts_is_stated_in_words(html: str, basis: str) -> None:
    assert explain_page(html, URL).images[0].basis == basis


def test_a_heading_that_is_not_that_of_an_image_is_explained() -> None:
    html = f"<h1>小城</h1><h2>石桥</h2><p><img src=1.jpg></p><p>{A}</p><h2>其他</h2><p>{B}</p>"
    page = explain_page(html, URL)
    reasons = _reasons(page, page.images[0])
    assert reasons["小城"] == "another heading is nearer"
    assert reasons["其他"] == "a heading of what follows it"


def test_the_text_on_the_other_side_of_an_undecided_run_is_explained() -> None:
    html = f"<p>{A}</p><p><img src=1.jpg></p><p>{B}</p><p><img src=2.jpg></p><p>{C}</p>"
    page = explain_page(html, URL)
    reasons = _reasons(page, page.images[1])
    assert reasons[C] == "the text above the image was taken, which is not certain"


def test_a_text_that_is_cleaned_of_its_mark_is_found_in_its_block() -> None:
    page = explain_page(
        "<p><img src=1.jpg></p><p>▲ 湖边的小船</p><p>另一段说的是别的事情。</p>", URL
    )
    (image,) = page.images
    assert _blocks(page, image) == {"湖边的小船": "▲ 湖边的小船"}
    assert image.basis == "the text below it points at it"


def test_a_text_of_two_blocks_is_found_in_one_of_them() -> None:
    page = explain_page("<div><p>左边是桥<img src=1.jpg>右边是船</p></div>", URL)
    (image,) = page.images
    assert set(_blocks(page, image).values()) <= {"左边是桥", "右边是船"}
    assert _blocks(page, image)


def test_the_nearer_of_two_equal_blocks_is_named() -> None:
    html = "<p>湖边的小船</p><ul><li>别的文字在这里</ul><p>湖边的小船<p><img src=1.jpg></p>"
    page = explain_page(html, URL)
    assert page.images[0].blocks == (2,)


def test_blocks_that_cannot_belong_to_an_image_have_a_problem() -> None:
    html = (
        "<nav><a href=/>首页</a><a href=/b>天下大事</a></nav><p>湖边的小船</p><img src=1.jpg>"
        "<p>版权所有</p><p>本社记者 李四 摄</p>"
    )
    page = explain_page(html, URL)
    problems = {block.text: block.problem for block in page.blocks}
    assert problems["湖边的小船"] == ""
    assert problems["版权所有"] == "boilerplate"
    assert problems["本社记者 李四 摄"] == "a credit"
    assert _reasons(page, page.images[0])["版权所有"] == "boilerplate"


def test_a_text_outside_the_container_is_explained_by_it() -> None:
    cards = "".join(
        f"<div class=card><img src={number}.jpg><h3>{name}</h3><p>{name}的做法很简单。</p></div>"
        for number, name in enumerate(("年糕", "鱼丸", "牡丹饼"))
    )
    page = explain_page(f"{cards}<p>以上是今天的菜单，欢迎大家来品尝。</p>", URL)
    image = page.images[2]
    assert image.basis == "the div element around it holds no other image"
    assert (
        _reasons(page, image)["以上是今天的菜单，欢迎大家来品尝。"]
        == "outside the container that holds the image and its text"
    )


def test_at_most_three_blocks_on_each_side_are_explained() -> None:
    paragraphs = "".join(f"<p>第{number}段说的是小城里的事情。</p>" for number in range(20))
    page = explain_page(f"{paragraphs}<p><img src=1.jpg></p>{paragraphs.replace('段', '节')}", URL)
    (image,) = page.images
    assert len(image.nearby) <= 2 * NEARBY_BLOCKS
    assert all(20 - NEARBY_BLOCKS <= one.block < 20 + NEARBY_BLOCKS for one in image.nearby)


def test_an_image_that_is_no_content_has_its_reason_and_nothing_else() -> None:
    page = explain_page('<p>湖边的小船</p><img src=logo.png class="site-logo" alt=小城>', URL)
    (image,) = page.images
    assert image.candidate.no_content is not None
    assert image.candidate.no_content.reason == "logo"
    assert (image.nearby, image.basis) == ((), "")


def test_occurrences_and_images_that_are_no_candidates_are_listed_up_to_a_limit() -> None:
    others = "".join(f"<img src={number}.png><p>湖边</p>" for number in range(500))
    html = "<p>湖边</p>" + "<img src=1.jpg><p>湖边</p>" * 50 + others
    page = explain_page(html, URL)
    assert page.images[0].places == tuple(range(1, MAX_OCCURRENCES + 1))
    assert len(page.ignored) == MAX_IGNORED
    assert page.ignored[0].address == "199.png"
    assert [drop.reason for drop in page.drops] == ["page_too_large"]


@pytest.mark.parametrize("src", ["http://[/1.jpg", "//", "data:image/svg+xml," + "a" * 2_500])
def test_an_image_with_an_address_that_is_no_candidate_is_listed(src: str) -> None:
    page = explain_page(f"<p>湖边的小船</p><img src='{src}'>", URL)
    assert page.images == ()
    assert [one.address for one in page.ignored] == [src[:500]]


@pytest.mark.parametrize(
    "src",
    ["1.svg", "1.ico", "javascript:;", "", "#", "ftp://a.cn/1.jpg", "data:image/png;base64,A"],
)
def test_an_image_without_a_usable_address_is_not_listed(src: str) -> None:
    page = explain_page(f"<p>湖边的小船</p><img src='{src}'>", URL)
    assert (page.images, page.ignored) == ((), ())


def test_an_image_of_the_head_has_no_place() -> None:
    page = explain_page('<meta property="og:image" content=/1.jpg><p>湖边的小船</p>', URL)
    assert page.images[0].places == ()


def test_the_url_is_the_given_one_or_the_stated_one_or_the_fallback() -> None:
    stated = '<link rel=canonical href=http://own.example/a/><img src=1.jpg alt="湖边的小船">'
    graph = '<meta property="og:url" content=http://graph.example/><img src=1.jpg>'
    relative = "<link rel=canonical href=/a/><img src=1.jpg>"
    fallback = "http://page.invalid/1.html"
    assert explain_page(stated, URL).images[0].candidate.url == "http://site.example/a/1.jpg"
    assert explain_page(stated).images[0].candidate.url == "http://own.example/a/1.jpg"
    assert explain_page(graph).url == "http://graph.example/"
    assert explain_page(relative, fallback_url=fallback).url == fallback


def test_an_empty_page_and_one_without_images_have_none() -> None:
    for html in ("", "  ", "<p>湖边的小船</p>"):
        page = explain_page(html, URL)
        assert (page.images, page.blocks) == ((), ())


def test_an_error_page_is_named() -> None:
    html = "<title>404 - 页面不存在</title><p>您访问的页面不存在</p><img src=1.jpg>"
    assert explain_page(html, URL).soft_error == "soft_404"
