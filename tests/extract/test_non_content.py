"""Images that are no content of their page, by reason, and the images that only look like them."""

import pytest

from tests.extract.page_texts import candidates, reasons
from wenlan_data.extract.pairs import page_pairs
from wenlan_data.records import Candidate

A = "湖边停着一条很久没有人用的旧木船。"
INTRO = "这一天我们从城里出发，沿着江边的小路走了很久，路上遇到的人都很热情。"
BODY = "".join(f"<p>第{n}段。{INTRO}</p>" for n in "一二三四五六")


def _reason(markup: str, around: str = "{}") -> str:
    """The reason of image 1 in an article."""
    html = f"<main><h1>江边的一天</h1>{BODY}{markup}<p><img src=9.jpg></p><p>{A}</p></main>"
    found = reasons(around.format(html))
    assert found.pop("9") == ""
    return found["1"]


@pytest.mark.parametrize(
    ("markup", "reason"),
    [
        ("<div class=avatar><img src=1.jpg></div>", "avatar"),
        ("<img class=user_face src=1.jpg>", "avatar"),
        ("<img src=/avatar/1.jpg>", "avatar"),
        ("<img src=/img/touxiang_big/1.jpg>", "avatar"),
        ("<img src=1.jpg alt=小城旅人的头像>", "avatar"),
        ("<img src=1.jpg title=用户頭像>", "avatar"),
        ("<div class=author><img src=1.jpg><span>小城旅人</span></div>", "avatar"),
        ("<div><img src=1.jpg><b>小城旅人</b> 3小时前</div>", "avatar"),
        ("<div><img src=1.jpg width=48><p>小城旅人 5月3日</p></div>", "avatar"),
        ("<div><img src=1.jpg><strong class=nickname>小城旅人</strong></div>", "avatar"),
        ("<div><img src=1.jpg><div class=user_name>小城旅人</div><p>江西</p></div>", "avatar"),
        ("<div class=author-card><img src=1.jpg><b>阿木</b><img src=2.jpg></div>", "avatar"),
        ("<figure class=avatar><img src=1.jpg></figure>", "avatar"),
        ("<a href=http://b.com/><img src=1.jpg width=728 height=90 alt=买好茶就到江边老茶馆></a>",
         "advertisement"),
        ("<div><img src=1.jpg><p>小城旅人 2024-05-01 10:30</p></div>", "avatar"),
        ("<div class=qrcode><img src=1.jpg></div>", "qr_code"),
        ("<img src=/qrcode/1.png>", "qr_code"),
        ("<img src=1.jpg alt=江边日报微信公众号>", "qr_code"),
        ("<div><img src=1.jpg><p>扫一扫，关注我们</p></div>", "qr_code"),
        ("<div><img src=1.jpg><p>長按識別二維碼</p></div>", "qr_code"),
        ("<div class=ad><img src=1.jpg></div>", "advertisement"),
        ("<div id=guanggao><img src=1.jpg></div>", "advertisement"),
        ("<img src=1.jpg alt=广告位3>", "advertisement"),
        ("<a href=http://b.com/><img src=1.jpg></a>", "advertisement"),
        ("<a href=http://b.com/x.html><img src=1.jpg width=728 height=90 alt=买好茶></a>", "advertisement"),
        ("<div class=site-logo><img src=1.jpg></div>", "logo"),
        ("<a href=/><img src=1.jpg></a>", "logo"),
        ("<img src=1.jpg alt=江边日报logo>", "logo"),
        ("<div class=share><img src=1.jpg></div>", "share_button"),
        ("<img src=1.jpg alt=分享到微博>", "share_button"),
        ("<i class=icon><img src=1.jpg></i>", "icon"),
        ("<img src=/icons/1.png>", "icon"),
        ("<img src=1.jpg width=24 height=24>", "emoticon"),
        ("<img src=1.jpg alt=[微笑]>", "emoticon"),
        ("<img class=emoji src=1.jpg>", "emoticon"),
        ("<nav><img src=1.jpg><a href=/a>首页</a></nav>", "navigation"),
        ("<div class=sidebar><img src=1.jpg></div>", "navigation"),
        ("<div class=footer><img src=1.jpg>版权所有</div>", "navigation"),
        ("<img src=1.jpg alt=下载客户端>", "navigation"),
        ("<a href=/x/q.html><img src=1.jpg><p>山里的另一个故事</p></a>", "recommendation"),
        ("<a href=/y/q.html><img src=1.jpg>延伸阅读：山里的故事</a>", "recommendation"),
        ("<h3>相关阅读</h3><ul><li><a href=/y/2/><img src=1.jpg></a></ul>", "recommendation"),
    ],
)  # fmt: skip
def test_an_image_that_is_no_content_has_a_reason(markup: str, reason: str) -> None:
    assert _reason(markup) == reason


@pytest.mark.parametrize(
    "markup",
    [
        "<div class=needInitShare><img src=1.jpg></div>",
        "<div class=gallery-icon><img src=1.jpg></div>",
        "<div class=sharepoint><img src=1.jpg></div>",
        "<div class=adventure><img src=1.jpg></div>",
        "<div class=surface><img src=1.jpg></div>",
        "<div class=download><img src=1.jpg></div>",
        "<div class=shadow><img src=1.jpg></div>",
        "<img src=/photos/1.jpg class=lazyload>",
        "<img src=/uploads/headlines/1.jpg>",
        "<img src=/iconic-bridges/1.jpg>",
        "<img src=1.jpg alt=中国邮政发行的头像邮票>",
        "<img src=1.jpg alt=街边的广告牌上写着三个大字>",
        "<img src=1.jpg alt=老人在湖边分享自己的故事>",
        "<img src=1.jpg alt=一座桥的标志>",
        "<img src=1.jpg width=600 height=400>",
        "<img src=1.jpg width=600 height=40>",
        "<a href=1.jpg><img src=small.jpg></a>",
        "<a href=http://b.com/1.jpg><img src=1.jpg></a>",
        "<a href='#top'><img src=1.jpg></a>",
        "<a href='javascript:void(0)'><img src=1.jpg></a>",
        "<a href=/x/p.html><img src=1.jpg></a>",
        "<figure><img src=1.jpg><figcaption>2024年5月1日，湖边的旧木船。</figcaption></figure>",
        "<div><img src=1.jpg><p>2024年5月1日拍摄的一条旧木船停在湖边</p></div>",
        "<div><img src=1.jpg><p>小城旅人，3小时前在湖边拍到的船。</p></div>",
        f"<div class=author-story><img src=1.jpg><p>{INTRO}</p></div>",
        "<div><img src=1.jpg><p>工人正在扫地，江边很快干净了，游客越来越多，大家都说好看</p></div>",
        "<figure><img src=1.jpg><figcaption>西湖雪景 2019年1月5日</figcaption></figure>",
        "<figure><img src=1.jpg><figcaption>市民扫一扫二维码</figcaption></figure>",
        "<figure><img src=1.jpg><figcaption>微信公众号</figcaption></figure>",
        "<div><img src=1.jpg><p>西湖雪景 2019年1月5日</p></div>",
        "<div><img src=1.jpg><p>新车发布现场</p></div>",
        "<figure><a href=http://b.com/x><img src=1.jpg></a><figcaption>旧木船</figcaption></figure>",
        "<div><img src=1.jpg><p class=wp-caption-text>微信公众号</p></div>",
        "<a href=http://b.com/x.html><img src=1.jpg alt=湖边的船></a>",
        "<a href=http://b.com/x.html><img src=1.jpg width=300 height=250 alt=湖边停着很久没有人用的船></a>",
        "<a href='/?p=12'><img src=1.jpg></a>",
        "<a href='/index.php?m=content&id=33'><img src=1.jpg></a>",
        "<img src=/logo/2022/1.jpg alt=小城运动会的会徽设计手稿>",
        "<figure><img src=/logo/2022/1.jpg><figcaption>会徽设计手稿</figcaption></figure>",
        "<figure><img src=/uploads/avatar/2023/1.jpg><figcaption>剧照</figcaption></figure>",
        "<div><img src=/uploads/avatar/2023/1.jpg><p>纳威人骑着飞龙越过了悬浮在空中的山。</p></div>",
        "<img src=/uploads/avatar/1.jpg width=800 height=600>",
        "<div class=user><img src=1.jpg><p>这是读者提供的一张老照片，拍摄于多年以前。</p></div>",
        "<div><img src=1.jpg width=120 height=90><p>旧木船 5月3日</p></div>",
        "<div class=author><img src=1.jpg alt=作家在书房里翻看三十年前的手稿></div>",
        "<section id=history><img src=1.jpg><p>老街的旧貌</p></section>",
        "<div class=reward><img src=1.jpg><p>一等奖的奖杯</p></div>",
        "<div class=photo-share><img src=1.jpg><p>老街的旧貌</p></div>",
        "<img class='img portrait' src=1.jpg>",
        "<aside class=infobox><img src=1.jpg><p>白塔，建于一百年前，高三十米。</p></aside>",
    ],
)
def test_an_image_that_only_looks_like_it_is_content(markup: str) -> None:
    assert _reason(markup) == ""


@pytest.mark.parametrize(
    "html",
    [
        f"<article><header><h1>江边的一天</h1><img src=1.jpg></header>{BODY}</article>",
        f"<main><header class=entry-header><img src=1.jpg><h2>江边的一天</h2></header>{BODY}</main>",
        f"<div class=hot><h1>江边的一天</h1><p><img src=1.jpg></p>{BODY}</div>",
        f"<div id=share><h1>江边的一天</h1><p><img src=1.jpg></p>{BODY}</div>",
        f"<div class=top><h1>江边的一天</h1><p><img src=1.jpg></p>{BODY}</div>",
    ],
)
def test_the_header_of_an_article_and_the_box_of_all_its_text_are_no_navigation(
    html: str,
) -> None:
    assert reasons(html) == {"1": ""}


@pytest.mark.parametrize(
    "html",
    [
        f"<header class=site><a href=/><img src=1.jpg></a><h2>江边日报</h2></header><main>{BODY}</main>",
        f"<div class=header><img src=1.jpg><a href=/a>首页</a></div><main>{BODY}</main>",
        f"<div role=banner><img src=1.jpg></div><main>{BODY}</main>",
        f"<main>{BODY}</main><div role=contentinfo><img src=1.jpg></div>",
        f"<main>{BODY}</main><div><p>版权所有 江边日报 京ICP备12345678号</p><img src=1.jpg></div>",
        f"<main>{BODY}</main><div><h3>全部评论</h3><p>真好看</p><img src=1.jpg></div>",
    ],
)
def test_the_header_and_the_footer_of_the_site_are_no_content(html: str) -> None:
    assert reasons(html)["1"]


def test_a_list_page_whose_tiles_lead_to_other_pages_is_content() -> None:
    tile = "<li><a href=/x/{0}.html><img src={0}.jpg><p>第{0}号小船停在江边</p></a></li>".format
    assert set(
        reasons(f"<h1>江边的船</h1><ul>{''.join(map(tile, range(1, 9)))}</ul>").values()
    ) == {""}


def test_a_tile_that_leads_elsewhere_in_an_article_is_a_recommendation() -> None:
    tile = "<li><a href=/x/{0}.html><img src={0}.jpg><p>第{0}号小船停在江边</p></a></li>".format
    html = f"<main><h1>江边</h1>{BODY}<p><img src=9.jpg></p></main><ul>{tile(1)}{tile(2)}</ul>"
    assert reasons(html) == {"9": "", "1": "recommendation", "2": "recommendation"}


def test_names_that_three_items_have_are_those_of_parts_of_items() -> None:
    item = "<li><div class=footer><img src={0}.jpg><p>第{0}条小船停在江边</p></div></li>".format
    assert reasons(f"<ul>{''.join(map(item, range(1, 5)))}</ul>{BODY}")["1"] == ""
    assert reasons(f"<ul>{item(1)}</ul>{BODY}")["1"] == "navigation"


def test_the_heading_of_a_sidebar_announces_its_own_list_alone() -> None:
    tile = "<li><a href=/z/{0}><img src={0}.jpg><p>第{0}号小船停在江边</p></a></li>".format
    side = "<aside><h3>热门文章</h3><ul><li><a href=/a/8.html><img src=8.jpg></a></ul></aside>"
    found = reasons(f"{side}<ul>{''.join(map(tile, (1, 2, 3)))}</ul>")
    assert {found[n] for n in "123"} == {""}
    announced = reasons(f"<h3>热门文章</h3><a href=/more>更多</a><ul>{tile(1)}</ul>{BODY}")
    assert announced["1"] == "recommendation"


POST = """<li class=post><div class=h><img src=u{0}.jpg><b>{1}</b><i>5月{0}日</i></div>
<p>{2}</p><div class=pics><img src=p{0}.jpg></div></li>"""


def test_in_a_list_of_posts_the_images_beside_names_are_avatars() -> None:
    posts = [("1", "阿木", A), ("2", "南山客", INTRO), ("3", "慢慢走", "今天的湖边没有什么人。")]
    found = reasons("<ul>" + "".join(POST.format(*post) for post in posts) + "</ul>")
    assert {found[f"u{n}"] for n in "123"} == {"avatar"}
    assert {found[f"p{n}"] for n in "123"} == {""}


def test_a_list_of_names_with_one_image_each_has_no_avatars() -> None:
    card = "<li><img src={0}.jpg><p>{1}</p></li>".format
    html = "<ul>" + card(1, "旧木船") + card(2, "白塔") + card(3, "大榕树") + "</ul>"
    assert set(reasons(html).values()) == {""}


def test_of_two_images_beside_names_in_a_card_the_one_with_the_longer_name_is_content() -> None:
    card = """<li><div class=w><img src=w{0}.jpg><p>{1}</p></div>
    <div class=u><img src=u{0}.jpg><span>{2}</span></div></li>"""
    names = [("江边的旧木船", "阿木"), ("山顶的白塔", "半夏"), ("镇口的大榕树", "青禾")]
    found = reasons("<ul>" + "".join(card.format(n, *two) for n, two in enumerate(names)) + "</ul>")
    assert {found[f"w{n}"] for n in range(3)} == {""}
    assert {found[f"u{n}"] for n in range(3)} == {"avatar"}


def test_in_rows_of_two_things_of_one_kind_both_are_content() -> None:
    row = "<li><div class=l><img src=l{0}.jpg><p>{1}</p></div><div class=r><img src=r{0}.jpg><p>{2}</p></div></li>"
    dishes = [("宫保鸡丁", "夫妻肺片"), ("麻婆豆腐", "回锅肉片"), ("水煮活鱼", "鱼香肉丝")]
    html = "<ul>" + "".join(row.format(n, *two) for n, two in enumerate(dishes)) + "</ul>"
    assert set(reasons(html).values()) == {""}


def test_the_figure_in_a_box_beside_an_article_is_content() -> None:
    article = "<h1>湖边</h1><p>" + "湖边的小船停在岸边。" * 40 + "</p>"
    figure = "<figure><img src=1.jpg><figcaption>青铜鼎侧面的纹饰</figcaption></figure>"
    assert reasons(f"{article}<div class=side-box>{figure}</div>") == {"1": ""}
    linked = f"{article}<div class=side-box>{figure}<a href=/2.html>别的青铜器</a></div>"
    assert reasons(linked) == {"1": "navigation"}


@pytest.mark.parametrize(
    "line",
    ["刚刚出生的小熊猫", "今天的外滩", "5000年前的陶罐", "布艺 沙发", "新品 发布", "LV 手袋"],
)
def test_a_caption_with_words_of_bylines_is_none(line: str) -> None:
    assert reasons(f"<div class=pic><img src=1.jpg><p>{line}</p></div>") == {"1": ""}


@pytest.mark.parametrize(
    "item",
    [
        "<div class=poster-img><img src={0}.jpg alt=战狼></div><p>战狼</p>",
        "<div class=uppic><img src={0}.jpg></div><p>湖边的小船</p>",
        "<div class=up-img><img src={0}.jpg></div><p>湖边的小船</p>",
        "<img src={0}.jpg width=100 height=100><p>青花瓷瓶</p><p>2019-05-01</p>",
        "<p class=plant-nickname>奥利奥</p><img src={0}.jpg>",
        "<a class=username>老猫</a><img src={0}.jpg width=600 height=400><p>傍晚在江边看到的火烧云</p>",
    ],
)
def test_items_with_other_meanings_of_such_words_are_content(item: str) -> None:
    html = "<ul>" + "".join(f"<li>{item.format(n)}</li>" for n in range(3)) + "</ul>"
    assert set(reasons(html).values()) == {""}


def test_an_image_that_occurs_once_as_content_is_content() -> None:
    html = f"<div class=sidebar><img src=1.jpg></div><main>{BODY}<p><img src=1.jpg></p></main>"
    assert reasons(html) == {"1": ""}


def _list(tag: str, items: list[str]) -> str:
    return "".join(f"<{tag}>{item}</{tag}>" for item in items)


def test_works_with_dates_in_a_list_are_no_avatars() -> None:
    works = [
        ("千里江山图", "2023-01-07"),
        ("富春山居图", "2023-02-11"),
        ("江行初雪图", "2023-03-02"),
    ]
    items = [f"<img src={n}.jpg><p>{a}</p><p>{b}</p>" for n, (a, b) in enumerate(works)]
    assert set(reasons(f"<ul>{_list('li', items)}</ul>{BODY}").values()) == {""}
    rows = "".join(f"<ul class=row>{_list('li', part)}</ul>" for part in (items[:2], items[1:]))
    assert reasons(f"<div>{rows}</div>{BODY}")["0"] == ""


def test_the_length_of_a_video_makes_no_avatar() -> None:
    items = [f"<a href=/v/{n}><img src={n}.jpg></a><i>03:2{n}</i><p>{A}</p>" for n in range(4)]
    assert set(reasons(_list("div", items)).values()) == {""}


def test_a_time_beside_the_small_image_of_a_card_makes_it_the_avatar() -> None:
    card = """<a href=/o/{0}.jpg><img src={0}.jpg></a><div>斑头雁<p>雨后在台阶上发现的一对</p></div>
    <div><a class=u href=/u><img src=u{0}.jpg></a><span>{0} 天前</span><img src=b{0}.jpg></div>"""
    found = reasons(_list("li", [card.format(n) for n in range(1, 5)]))
    assert {found[f"u{n}"] for n in range(1, 5)} == {"avatar"}
    assert {found[f"{n}"] for n in range(1, 5)} == {""}


def test_in_a_list_of_persons_the_images_are_content() -> None:
    item = "<li class=user><img src={0}.jpg><b>{1}</b><p>主任律师</p></li>".format
    html = f"<ul>{item(1, '张三')}{item(2, '李四')}{item(3, '王五')}</ul>{BODY}"
    assert set(reasons(html).values()) == {""}


@pytest.mark.parametrize("page", ["http://a.cn/view.php?id=1", "http://a.cn/?p=11"])
def test_a_page_of_another_query_is_recommended(page: str) -> None:
    link = page[11:-1] + "2"
    tile = f"<p><a href='{link}'><img src=2.jpg></a></p>"
    rows = page_pairs(f"<h1>江边</h1>{BODY}<p><img src=1.jpg></p><p>{A}</p>{tile}", page)
    found = {row.url[-5]: row.no_content for row in rows if isinstance(row, Candidate)}
    assert found["1"] is None
    assert found["2"] is not None
    assert found["2"].reason == "recommendation"


def test_a_heading_of_recommendations_on_a_list_page_announces_its_content() -> None:
    items = [f"<a href=/z/{n}><img src={n}.jpg></a>" for n in range(3)]
    html = f"<h2>热门推荐</h2><ul>{_list('li', items)}</ul>"
    assert set(reasons(html).values()) == {""}
    assert set(reasons(f"<h1>江边</h1>{BODY}{html}").values()) == {"recommendation"}


def test_slides_that_a_carousel_repeats_are_content() -> None:
    slide = "<div class='slide {1}'><img src={0}.jpg></div>".format
    slides = [
        slide(3, "slick-cloned"),
        *(slide(n, "") for n in (1, 2, 3)),
        slide(1, "slick-cloned"),
    ]
    thumbs = [f"<img src={n}.jpg>" for n in (1, 2, 3)]
    html = f"<h1>江边</h1><div>{''.join(slides)}</div><ul>{_list('li', thumbs)}</ul>{BODY}"
    assert set(reasons(html).values()) == {""}
    named = [f"<img src={n}.jpg alt='湖边停着的旧木船{n}号'>" for n in (3, 1, 2, 3, 1, 1, 2, 3)]
    assert set(reasons(f"<h1>江边</h1><ul>{_list('li', named)}</ul>{BODY}").values()) == {""}


@pytest.mark.parametrize("image", ["<img src=1.png>", "<img src=1.png alt=会员>",
                                   "<img src=1.png width=60 alt=今天也是认真学习的会员>"])  # fmt: skip
def test_a_badge_and_a_missing_image_are_icons(image: str) -> None:
    items = [f"<p>第{n}条小船停在江边</p>{image}" for n in range(1, 5)]
    assert reasons(f"<ul>{_list('li', items)}</ul>{BODY}") == {"1": "icon"}
    large = ["<img src=1.png width=400 height=300>" for _ in range(4)]
    assert reasons(f"<ul>{_list('li', large)}</ul>{BODY}") == {"1": ""}
    missing = [f"<img src=1.png alt=第{n}号颚式破碎机><p>{n}号机</p>" for n in "一二三四"]
    assert reasons(f"<ul>{_list('li', missing)}</ul>{BODY}") == {"1": "icon"}


def test_the_cards_of_a_list_page_with_an_introduction_are_content() -> None:
    cards = [
        f"<a href=/product/5{n}.html><img src={n}.jpg><p>第{n}号破碎机</p></a>" for n in range(3)
    ]
    html = f"<h1>产品</h1><p>{INTRO}</p><p>{INTRO}</p><ul>{_list('li', cards)}</ul>"
    for address, expected in (
        ("product/index_3.html", {None}),
        ("news/3.html", {"recommendation"}),
    ):
        rows = page_pairs(html, f"http://a.cn/{address}")
        drops = [row.no_content for row in rows if isinstance(row, Candidate)]
        assert {drop and drop.reason for drop in drops} == expected


def test_a_teaser_with_a_text_of_its_own_is_content_on_a_page_without_an_article() -> None:
    cards = [
        f"<h2><a href=/{n}>第{n}次野餐</a></h2><a href=/{n}><img src={n}.jpg></a><p>{A}</p>"
        for n in (1, 2)
    ]
    html = f"<h1>活动</h1><p>{INTRO}</p><p>{INTRO}</p><div>{_list('div', cards)}</div>"
    assert set(reasons(html).values()) == {""}
    assert set(reasons(f"{html}{BODY}").values()) == {"recommendation"}


def test_the_detail_of_navigation_is_what_named_the_region() -> None:
    page = f"<h1>江边</h1>{BODY}"
    for region, detail in (
        ("<nav>{}</nav>", "nav"),
        ("<div role=complementary>{}</div>", "complementary"),
        ("<div class=right-sidebar><div>{}</div></div>", "right-sidebar"),
        ("<div><h3>网友评论</h3><p>真好看</p>{}</div>", "网友评论"),
        ("<div><p>版权所有</p>{}</div>", "copyright line"),
    ):
        drop = candidates(page + region.format("<img src=1.jpg>"))["1"].no_content
        assert drop is not None
        assert (drop.reason, drop.detail) == ("navigation", detail)


@pytest.mark.parametrize("heading", ["更多相关内容", "相关报道", "其他相册"])
def test_under_a_heading_of_links_a_linked_text_condemns_the_image_beside_it(heading: str) -> None:
    article = "<h1>湖边</h1><div>" + "<p>" + "湖边的小船停在岸边。" * 40 + "</p></div>"
    item = "<li><div><img src={0}.jpg></div><h3><a href=/{0}.html>{1}</a></h3></li>"
    items = item.format(1, "寄往远方的信") + item.format(2, "书店的告别")
    html = article + f"<h2>{heading}</h2><ul>{items}</ul>"
    assert reasons(html) == {"1": "recommendation", "2": "recommendation"}
    assert reasons(html.replace("<a ", "<b ").replace("</a>", "</b>")) == {"1": "", "2": ""}
