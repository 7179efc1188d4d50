"""Header, navigation, sidebar, footer and comments of a page."""

import pytest

from wenlan_data.extract.html import parse_html
from wenlan_data.extract.page_regions import class_words, is_list_heading, is_secondary, simplified
from wenlan_data.extract.page_tree import page_tree

INTRO = "这一天我们从城里出发，沿着江边的小路走了很久，路上遇到的人都很热情。"
BODY = "".join(f"<p>第{n}段。{INTRO}</p>" for n in "一二三四五六")


def _is_secondary(region: str, page: str = "<main><h1>江边</h1>{body}</main>{region}") -> bool:
    """Whether the image of a region stands beside the content of its page."""
    page_read = parse_html(page.format(body=BODY, region=region))
    assert page_read is not None
    tree = page_tree(page_read)
    tree.number_images()
    return is_secondary(tree, tree.images[0].parent)


@pytest.mark.parametrize("text", ["相关阅读", "热门推荐", "猜你喜欢", "最新文章", "點擊排行", "相關閱讀",
                                  "为您推荐", "延伸阅读", "人气达人", "最近访客", "看了本房源的人还看了",
                                  "作者的其他作品", "你可能还想看", "看了又看的文章", "今日热榜", "推荐"])  # fmt: skip
def test_a_heading_of_links_to_other_pages_is_recognised(text: str) -> None:
    assert is_list_heading(text)


@pytest.mark.parametrize(
    "text",
    ["他的其他成就和后来的生活", "作者的生平", "贡献者大会",
     "相关的历史背景", "热门的旅游城市", "历史", "最新的考古发现", "江边的船", "阅读",
     "今日的江边下了一场很大的雨推荐大家都来看看"],
)  # fmt: skip
def test_a_heading_of_the_article_itself_is_not(text: str) -> None:
    assert not is_list_heading(text)


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ("topNav", {"top", "nav", "topnav"}),
        ("site-footer right_side", {"site", "footer", "right", "side", "sitefooter", "rightside"}),
        ("img2", {"img", "2", "img2"}),
        ("", set()),
        ("A  B", {"a", "b"}),
    ],
)
def test_class_names_are_split_into_words(classes: str, words: set[str]) -> None:
    assert class_words(classes) == words


def test_words_are_compared_in_simplified_characters() -> None:
    assert simplified("關於我們") == "关于我们"


@pytest.mark.parametrize(
    "region",
    [
        "<nav><img src=1.jpg></nav>",
        "<aside><a href=/a>山里</a><img src=1.jpg></aside>",
        "<div class=left_sidebar><img src=1.jpg></div>",
        "<div class=topNav><img src=1.jpg></div>",
        "<div id=footer><img src=1.jpg></div>",
        "<div class=tuijian><img src=1.jpg></div>",
        "<div role=complementary><img src=1.jpg></div>",
        "<div class=x1><h3>相关阅读</h3><p>山里的故事</p><img src=1.jpg></div>",
        "<div class=x1><h3>网友评论（12条）</h3><p>真好看</p><img src=1.jpg></div>",
        "<div class=x1><p>版权所有 江边日报</p><img src=1.jpg></div>",
        "<div class=x1><div><img src=1.jpg></div><p>粤ICP备12345678号</p></div>",
        "<div id=sidebar><img src=1.jpg></div><div>1</div><div>2</div><div>3</div>",
        "<div class=share-box><img src=1.jpg></div>",
        "<div class=hot><img src=1.jpg></div>",
        "<div class=ad-728><img src=1.jpg></div>",
        "<div class=ad_in><img src=1.jpg></div>",
        "<div class=history-list><img src=1.jpg></div>",
        "<div class=Frame_side><img src=1.jpg></div>",
        "<div class=x1><h3>作者的其他作品</h3><img src=1.jpg><img src=2.jpg></div>",
        "<div><div><nav><div><img src=1.jpg></div></nav></div></div>",
    ],
)
def test_a_region_beside_the_content_is_recognised(region: str) -> None:
    assert _is_secondary(region)


@pytest.mark.parametrize(
    "region",
    [
        "<div class=x1><img src=1.jpg></div>",
        "<div class=navy><img src=1.jpg></div>",
        "<div class=hotel><img src=1.jpg></div>",
        "<section id=history><img src=1.jpg></section>",
        "<div class=reward><img src=1.jpg></div>",
        "<div class=photo-share><img src=1.jpg></div>",
        "<div class=rank-1><img src=1.jpg></div>",
        "<div class=hot-spring><img src=1.jpg></div>",
        "<div class=photo_ad><img src=1.jpg></div>",
        "<div class=side-content><img src=1.jpg></div>",
        "<div class=commentary><img src=1.jpg></div>",
        "<div class='gallery ajax-pagination-none'><img src=1.jpg></div>",
        "<div class=no-sidebar><img src=1.jpg></div>",
        "<div class=x1><h3>相关的历史背景</h3><p>山里的故事</p><img src=1.jpg></div>",
        "<section><h2>江边的人</h2><img src=1.jpg></section>",
        "<ul><li class=hot><img src=1.jpg><li class=hot><img src=2.jpg><li class=hot><img src=3.jpg></ul>",
    ],
)
def test_a_part_of_the_content_is_not(region: str) -> None:
    assert not _is_secondary(region)


@pytest.mark.parametrize(
    "page",
    [
        "<div class=hot><h1>江边</h1>{region}{body}</div>",
        "<div class=related>{body}{region}</div>",
        "<article><header><h1>江边</h1>{region}</header>{body}</article>",
        "<main><header>{region}</header>{body}</main>",
        "<main><aside><p>白塔高三十米。</p>{region}</aside>{body}</main>",
    ],
)
def test_a_region_that_holds_the_main_text_or_stands_in_the_article_is_content(page: str) -> None:
    assert not _is_secondary("<img src=1.jpg>", page)


@pytest.mark.parametrize(
    "page",
    [
        "<header><a href=/a>首页</a>{region}</header><main><h1>江边</h1>{body}</main>",
        "<div class=header>{region}</div><main><h1>江边</h1>{body}</main>",
        "<main><h1>江边</h1>{body}<aside><a href=/a>山里的故事</a>{region}</aside></main>",
        "<main><article><h1>江边</h1>{body}</article><aside><p>白塔高三十米。</p>{region}</aside></main>",
        "<main><h1>江边</h1>{body}<aside class=sidebar><p>白塔高三十米。</p>{region}</aside></main>",
    ],
)
def test_the_header_of_the_site_and_an_aside_of_links_are_not(page: str) -> None:
    assert _is_secondary("<img src=1.jpg>", page)


def test_on_a_page_of_lists_alone_the_lists_are_the_content() -> None:
    region = "<div><h3>热门推荐</h3><ul><li><a href=/a>山里</a><img src=1.jpg></ul></div>"
    assert _is_secondary(region)
    assert not _is_secondary(region, "<div><h3>江边</h3><a href=/b>船</a></div>{region}")


def test_comments_that_are_most_of_the_text_are_the_content() -> None:
    posts = "".join(
        f"<div class=comment><p>第{n}条小船停在江边。</p></div>" for n in "一二三四五六"
    )
    page = "<p>江边的船停在哪里？</p><div class=comments>" + posts + "{region}</div>"
    assert not _is_secondary("<img src=1.jpg>", page)
    assert _is_secondary("<img src=1.jpg>", "{body}" + page)
