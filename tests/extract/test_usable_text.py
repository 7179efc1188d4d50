"""Which texts of a page may belong to an image."""

import pytest

from tests.extract.page_texts import captions, texts

A, B = "湖边停着一条很久没有人用的旧木船。", "山顶上有一座一百年前建的白色的塔。"
INTRO = "这一天我们从城里出发，沿着江边的小路走了很久，路上遇到的人都很热情。"


@pytest.mark.parametrize(
    "markup",
    [
        "<pre>打印一行湖边的木船</pre>",
        "<pre><code>打印一行湖边的木船</code></pre>",
        "<button>打开湖边的木船</button>",
        "<label>选择湖边的木船</label>",
        "<select><option>湖边的木船</option></select>",
        "<textarea>湖边的木船</textarea>",
        "<script>湖边的木船</script>",
        "<style>/* 湖边的木船 */</style>",
        "<template><p>湖边的木船</p></template>",
        "<svg><text>湖边的木船</text></svg>",
        "<iframe>湖边的木船</iframe>",
        "<video>您的浏览器放不了湖边的木船</video>",
        "<!-- 湖边的木船 -->",
    ],
)
def test_code_controls_and_what_no_reader_sees_are_no_text(markup: str) -> None:
    html = f"<div class=card><img src=1.jpg>{markup}</div><div class=card><img src=2.jpg><p>{B}</p></div>"
    assert [text for text in texts(html) if "木船" in text.text] == []


@pytest.mark.parametrize(
    "line",
    [
        "下载附件",
        "1.jpg",
        "IMG_2031.JPG",
        "图片:1.jpg",
        "附件：1.jpg",
        "点击查看大图",
        "……",
        "★★★★★",
        "12:30",
        "3",
        "x",
    ],
)
def test_a_file_name_a_control_or_a_line_without_words_is_no_text(line: str) -> None:
    html = "".join(
        f"<div class=card><p>{text}</p><img src={n}.jpg><p>{line}</p></div>"
        for n, text in ((1, A), (2, B))
    )
    assert captions(html) == {"1": A, "2": B}
    assert line not in {text.text for text in texts(html)}


@pytest.mark.parametrize(
    "extra",
    [
        '<a href="#1">#</a>',
        '<a href="#1">¶</a>',
        '<a class=headerlink href="#1" title="永久链接"></a>',
        "<sup>[1]</sup>",
        '<sup><a href="#cite">[12]</a></sup>',
        "<span>[<a href=/edit>编辑</a>]</span>",
        "<span>[编辑源代码]</span>",
        "<span><span>[</span><a href=/edit>编辑</a><span>]</span></span>",
        "<small>[<a href=/s>来源</a>]</small>",
        "<a href=/s>来源</a>",
    ],
)
def test_signs_links_and_references_at_the_end_of_a_text_are_not_part_of_it(extra: str) -> None:
    html = f"<figure><img src=1.jpg><figcaption>湖边的旧木船{extra}</figcaption></figure>"
    assert captions(html) == {"1": "湖边的旧木船"}


def test_a_link_in_a_text_is_part_of_it() -> None:
    html = "<figure><img src=1.jpg><figcaption>湖边的<a href=/boat>旧木船</a>和水鸟</figcaption></figure>"
    assert captions(html) == {"1": "湖边的旧木船和水鸟"}


def test_a_text_that_is_one_link_may_belong_to_its_image_and_a_list_of_links_may_not() -> None:
    one = f"<div class=card><img src=1.jpg><p><a href=/z/1>{A}</a></p></div>"
    other = "<div class=card><img src=2.jpg><p><a href=/a>山里的老房子</a> <a href=/b>城里的新房子</a></p></div>"
    assert captions(one + other) == {"1": A, "2": ""}


def test_two_occurrences_of_a_text_are_no_template_and_three_are() -> None:
    card = "<div class=card><img src={}.jpg><p>{}</p></div>"
    twice = "".join(card.format(n, A) for n in (1, 2))
    assert captions(twice) == {"1": A, "2": A}
    assert captions(twice + card.format(3, A)) == {"1": "", "2": "", "3": ""}


def test_navigation_and_comments_give_no_text() -> None:
    html = f"""<nav><a href=/>首页</a><p>本站每天更新湖边的新闻</p></nav><p><img src=1.jpg></p>
    <p class=tu>{A}</p><p>{INTRO}</p><p>{INTRO}后来天晴了。</p>
    <div class=comments><p>全部评论</p><p>这条船我小时候也坐过一次</p></div>"""
    found = " ".join(text.text for text in texts(html))
    assert A in found
    assert "小时候" not in found
    assert "本站" not in found


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("　　湖边的旧木船", "湖边的旧木船"),
        ("\u200b湖边的\u200b旧木船", "湖边的\u200b旧木船"),
        ("&nbsp;&nbsp;湖边的&nbsp;旧木船", "湖边的 旧木船"),
        ("湖边的\n        旧木船", "湖边的旧木船"),
        ("湖边的<br>旧木船", "湖边的 旧木船"),
        ("<b>湖边</b>的<span>旧</span><i>木船</i>", "湖边的旧木船"),
        ("old\n  boat 旧木船", "old boat 旧木船"),
    ],
)
def test_white_space_indents_and_inline_elements_leave_one_line(markup: str, text: str) -> None:
    html = f"<figure><img src=1.jpg><figcaption>{markup}</figcaption></figure>"
    assert [one.text.strip("\u200b") for one in texts(html)] == [text]


def test_a_credit_alone_is_no_caption() -> None:
    html = f"<p>{INTRO}</p><figure><img src=1.jpg><p>新华社记者 李明 摄</p></figure><p>{INTRO}很好。</p>"
    assert captions(html)["1"] != "新华社记者 李明 摄"


def test_a_text_longer_than_the_limit_ends_with_a_sentence() -> None:
    html = f"<div class=post><p>{INTRO * 30}</p><img src=1.jpg></div><div class=post><p>{A}</p><img src=2.jpg></div>"
    [text] = [text.text for text in texts(html) if text.type == "surrounding"]
    assert len(text) <= 500
    assert text.endswith("。")


def test_a_quotation_of_another_post_is_no_text_of_this_one() -> None:
    quoted = (
        "<blockquote><div><cite>老陈 写道：</cite>皮带换了新的，运转很安静。</div></blockquote>"
    )
    html = f"<div class=post>{quoted}刀架换成带刻度的<br><img src=1.jpg></div>"
    assert [text.text for text in texts(html)] == ["刀架换成带刻度的"]
    # A proverb in a quotation may well be about the image.
    html = "<div class=post><blockquote>慢工出细活，薄胎出好碗</blockquote><img src=1.jpg></div>"
    assert [text.text for text in texts(html)] == ["慢工出细活，薄胎出好碗"]


def test_a_text_that_the_page_cuts_off_is_found_whole_in_another() -> None:
    html = "<li><a href=/1 title=西岗墓群考古发掘现场首次向公众开放><img src=1.jpg>西岗墓群考古发掘现场首次…</a>"
    found = {text.text for text in texts(f"<ul>{html}</ul>")}
    assert found == {"西岗墓群考古发掘现场首次向公众开放"}
    assert {text.text for text in texts("<div><img src=1.jpg>湖边的小船…</div>")} == {"湖边的小船…"}
