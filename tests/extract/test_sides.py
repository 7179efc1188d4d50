"""On which side of its image a text stands, where images and texts alternate in one box."""

import pytest

from tests.extract.page_texts import captions, texts

A, B, C = "湖边停着一条旧木船", "山上有一座白色的塔", "镇口长着一棵大榕树"
INTRO = "这一天我们从城里出发，沿着江边的小路走了很久，路上遇到的人都很热情。"
OUTRO = "天黑以前我们回到了旅馆，把照片整理好，又和老板聊了很久才去休息。"
OWN = {"1": A, "2": B, "3": C}


def _image(number: int) -> str:
    return f"<p><img src={number}.jpg></p>"


def _p(text: str, attributes: str = "") -> str:
    return f"<p {attributes}>{text}</p>"


def _below() -> str:
    return _image(1) + _p(A) + _image(2) + _p(B) + _image(3) + _p(C)


def _above() -> str:
    return _p(A) + _image(1) + _p(B) + _image(2) + _p(C) + _image(3)


@pytest.mark.parametrize("around", ["{}", "<div>{}</div>", "<article><div>{}</div></article>"])
def test_a_run_from_an_image_to_a_text_has_its_texts_below(around: str) -> None:
    assert captions(around.format(_below())) == OWN


@pytest.mark.parametrize("around", ["{}", "<div>{}</div>", "<article><div>{}</div></article>"])
def test_a_run_from_a_text_to_an_image_has_its_texts_above(around: str) -> None:
    assert captions(around.format(_above())) == OWN


@pytest.mark.parametrize(
    ("before", "after"), [(_p(INTRO), ""), (_p(INTRO), _p(OUTRO)), (_p(INTRO) + _p(OUTRO), "")]
)
def test_an_introduction_and_an_end_do_not_turn_the_side(before: str, after: str) -> None:
    assert captions(before + _below() + after) == OWN


@pytest.mark.parametrize("after", [_p(OUTRO), _p(INTRO) + _p(OUTRO)])
def test_an_end_after_the_last_image_does_not_turn_the_side(after: str) -> None:
    assert captions(_above() + after) == OWN


@pytest.mark.parametrize(
    "attributes",
    ["style='text-align:center'", "align=center", "class=tu", "style='color:#888;font-size:12px'"],
)
def test_captions_are_told_from_paragraphs_by_their_formatting(attributes: str) -> None:
    html = _p(INTRO) + _image(1) + _p(A, attributes) + _p(OUTRO) + _image(2) + _p(B, attributes)
    assert captions(html) == {"1": A, "2": B}
    assert [text.type for text in texts(html)][:1] == ["figcaption"]
    above = _p(A, attributes) + _image(1) + _p(INTRO) + _p(B, attributes) + _image(2) + _p(OUTRO)
    assert captions(above) == {"1": A, "2": B}


@pytest.mark.parametrize("tag", ["strong", "em", "span style='color:gray'", "font color=gray"])
def test_captions_are_told_from_paragraphs_by_the_element_around_their_whole_text(
    tag: str,
) -> None:
    html = "".join(
        _p(body) + _image(number) + _p(f"<{tag}>{text}</{tag.split()[0]}>")
        for number, text, body in ((1, A, INTRO), (2, B, OUTRO))
    )
    assert captions(html) == {"1": A, "2": B}


def test_an_emphasis_inside_a_paragraph_makes_it_no_caption() -> None:
    html = _image(1) + _p(f"{A}，<em>很旧</em>") + _image(2) + _p(B) + _image(3) + _p(C)
    assert "figcaption" not in {text.type for text in texts(html)}


def test_an_image_without_a_caption_has_the_paragraph_before_it_with_low_confidence() -> None:
    rain = "第二天下起了小雨，我们在屋里坐了一个上午。"
    html = _p(INTRO) + _image(1) + _p(A, "class=tu") + _p(OUTRO) + _image(2) + _p(B, "class=tu")
    html += _p(rain) + _image(3) + _p("下午雨停了，天边出现了彩虹。")
    assert captions(html) == {"1": A, "2": B, "3": rain}
    [text] = [text for text in texts(html, "3") if text.type != "heading"]
    assert (text.type, text.relation, text.confidence) == ("surrounding", "above", 0.6)
    # The caption of another image is no such paragraph, and neither is a word to the reader.
    html = _image(1) + _p(A, "class=tu") + _image(2) + _p(B, "class=tu") + _image(3) + _p(INTRO)
    assert captions(html)["3"] == ""
    html = _image(1) + _p(A, "class=tu") + _image(2) + _p(B, "class=tu")
    assert captions(html + _p("以上就是全部照片，谢谢观看。") + _image(3))["3"] == ""


def test_a_word_to_the_reader_at_the_end_does_not_turn_the_side() -> None:
    html = _image(0) + _above() + _p("以上就是三天的行程，希望对大家有帮助。")
    assert all(text.confidence < 0.5 for text in texts(html, "1") if text.type == "surrounding")


@pytest.mark.parametrize("name", ["第一天", "第一站：", "Day 1 "])
def test_days_and_stations_are_items(name: str) -> None:
    numbers = [
        name,
        name.replace("一", "二").replace("1", "2"),
        name.replace("一", "三").replace("1", "3"),
    ]
    html = _image(0)
    for number, text, start in zip((1, 2, 3), (A, B, C), numbers, strict=True):
        html += _p(f"{start}{text}") + _image(number)
    html += _p("以上就是三天的行程，希望对大家有帮助。")
    found = captions(html)
    assert all(found[str(n)].endswith(text) for n, text in ((1, A), (2, B), (3, C)))
    assert found["0"] == ""


def test_figures_with_captions_do_not_decide_for_images_without() -> None:
    figure = "<figure><img src={}.jpg><figcaption>{}</figcaption></figure>"
    html = figure.format(1, A) + _p(B) + _image(2) + figure.format(3, C)
    assert captions(html) == {"1": A, "2": B, "3": C}


def test_a_credit_under_a_caption_belongs_to_the_image_and_is_not_its_caption() -> None:
    html = _image(1) + _p(A) + _p("记者 李明 摄") + _p(INTRO) + _image(2) + _p(B) + _p("王芳 摄")
    html += _p(OUTRO)
    assert captions(html) == {"1": A, "2": B}
    assert [text.text for text in texts(html)] == [A, "记者 李明 摄"]


def test_a_credit_between_an_image_and_its_caption_does_not_part_them() -> None:
    html = "".join(_image(n) + _p("新华社记者 王芳 摄") + _p(OWN[str(n)]) for n in (1, 2, 3))
    assert captions(html) == OWN


def test_a_figure_number_decides_for_its_image() -> None:
    below = _image(1) + _p(f"图1 {A}") + _p(INTRO) + _image(2) + _p(f"图2 {B}") + _p(OUTRO)
    assert captions(below) == {"1": f"图1 {A}", "2": f"图2 {B}"}
    above = _p(f"图1 {A}") + _image(1) + _p(INTRO) + _p(f"图2 {B}") + _image(2) + _p(OUTRO)
    assert captions(above) == {"1": f"图1 {A}", "2": f"图2 {B}"}


def test_the_text_of_a_bare_figure_number_is_taken_from_where_the_page_has_it() -> None:
    html = _p(INTRO) + _image(1) + _p("图1") + _p(OUTRO) + _image(2) + _p("图2")
    html += f"<div>图1：{A}</div><div>图2：{B}</div>"
    assert captions(html) == {"1": A, "2": B}


def test_a_bare_figure_number_that_two_texts_explain_says_nothing() -> None:
    html = _p(INTRO) + _image(1) + _p("图1") + _p(OUTRO) + f"<div>图1：{A}</div><div>图1：{B}</div>"
    assert A not in captions(html)["1"]
    assert B not in captions(html)["1"]


@pytest.mark.parametrize("mark", ["▲", "△ ", "↑", "图为", "上图："])
def test_a_mark_that_points_up_decides_for_its_image(mark: str) -> None:
    html = _image(1) + _p(mark + A) + _p(INTRO) + _image(2) + _p(mark + B) + _p(OUTRO)
    assert [text.removeprefix("上图：") for text in captions(html).values()] == [A, B]


@pytest.mark.parametrize("mark", ["▼", "▽ ", "↓"])
def test_a_mark_that_points_down_decides_for_its_image(mark: str) -> None:
    html = _p(mark + A) + _image(1) + _p(INTRO) + _p(mark + B) + _image(2) + _p(OUTRO)
    assert captions(html) == {"1": A, "2": B}


def test_marks_of_both_directions_on_one_page_are_each_followed() -> None:
    html = _image(1) + _p("▲" + A) + _p(INTRO) + _p("▼" + B) + _image(2) + _p(OUTRO)
    assert captions(html) == {"1": A, "2": B}


def test_a_sentence_that_ends_in_as_shown_introduces_the_image_below_it() -> None:
    html = _p("停在湖边的船如图：") + _image(1) + _p(INTRO) + _p("山上的塔如下图所示。") + _image(2)
    assert captions(html + _p(OUTRO)) == {"1": "停在湖边的船如图：", "2": "山上的塔如下图所示。"}


@pytest.mark.parametrize(
    "html",
    [
        f"<div><img src=1.jpg><br>{A}<br><br><img src=2.jpg><br>{B}<br><br><img src=3.jpg><br>{C}</div>",
        f"<div>{INTRO}<br><br><img src=1.jpg><br>{A}<br><br><img src=2.jpg><br>{B}<br><br>"
        f"<img src=3.jpg><br>{C}<br><br>{OUTRO}</div>",
        _image(1) + _p(A) + "<p></p>" + _image(2) + _p(B) + "<p>&nbsp;</p>" + _image(3) + _p(C),
        f"<div>{INTRO}<br><br><img src=1.jpg><br>{A}<br><br><img src=2.jpg><br>{B}<br><br>"
        f"<img src=3.jpg><br>{C}</div>",
    ],
)
def test_an_empty_line_separates_a_text_from_the_image_after_it(html: str) -> None:
    assert captions(html) == OWN


@pytest.mark.parametrize(
    "html",
    [
        f"<div>{A}<br><img src=1.jpg><br><br>{B}<br><img src=2.jpg><br><br>{C}<br><img src=3.jpg></div>",
        f"<div>{A}<br><img src=1.jpg><br><br>{B}<br><img src=2.jpg><br><br>{C}<br><img src=3.jpg>"
        f"<br><br>{OUTRO}</div>",
        _p(A) + _image(1) + "<p></p>" + _p(B) + _image(2) + "<p><br></p>" + _p(C) + _image(3),
    ],
)
def test_an_empty_line_separates_a_text_from_the_image_before_it(html: str) -> None:
    assert captions(html) == OWN


def test_a_rule_separates_a_text_from_the_image_on_its_other_side() -> None:
    assert (
        captions(_p(A) + _image(1) + "<hr>" + _p(B) + _image(2) + "<hr>" + _p(C) + _image(3)) == OWN
    )
    html = _image(1) + _p(A) + "<hr>" + _image(2) + _p(B)
    assert [text.text for text in texts(html, "1")] == [A]
    assert [text.text for text in texts(html, "2")] == [B]


@pytest.mark.parametrize(
    "html",
    [
        _p(A) + _image(1) + _p(B) + _image(2) + _p(C),
        _p(INTRO) + _image(1) + _p(OUTRO) + _image(2) + _p("第二天下起了小雨，我们没有出门。"),
        _p(A) + _image(1) + "<hr>" + _image(2) + _p(B),
    ],
)
def test_where_nothing_tells_the_side_the_text_is_doubtful_and_no_caption(html: str) -> None:
    assert captions(html) == {"1": "", "2": ""}
    for name in ("1", "2"):
        (text,) = texts(html, name)
        assert (text.type, text.confidence) == ("surrounding", 0.4)


def test_a_list_beside_an_image_is_not_its_caption() -> None:
    html = "".join(
        _p(text) + _image(number) + "<ul><li>准备好一只小锅<li>倒进两碗清水<li>慢慢地煮开</ul>"
        for number, text in ((1, A), (2, B))
    )
    assert captions(html) == {"1": A, "2": B}


def test_images_of_different_sections_do_not_share_texts() -> None:
    html = (
        f"<h2>旧码头</h2>{_image(1)}<h2>白塔</h2>{_p(B)}{_image(2)}<h2>榕树</h2>{_image(3)}{_p(C)}"
    )
    assert {text.text for text in texts(html, "1")} == {"旧码头"}
    assert [text.text for text in texts(html, "2")] == [B, "白塔"]
    assert [text.text for text in texts(html, "3")] == [C, "榕树"]


def test_all_texts_of_a_section_with_one_image_are_about_it() -> None:
    html = f"<h2>码头</h2>{_p(A)}{_image(1)}<h2>白塔</h2>{_image(2)}{_p(B)}<h2>其他</h2>{_p(OUTRO)}"
    assert captions(html) == {"1": A, "2": B}


def test_headings_under_images_are_their_titles() -> None:
    html = f"{_image(1)}<h4>{A}</h4>{_image(2)}<h4>{B}</h4>{_image(3)}<h4>{C}</h4>"
    assert captions(html) == OWN


def test_a_card_whose_image_is_missing_gives_its_text_to_no_other() -> None:
    card = "<div class=card>{}<p>{}</p></div>".format
    html = card("<img src=1.jpg>", A) + card("", B) + card("<img src=3.jpg>", C)
    assert captions(html) == {"1": A, "3": C}
    assert [[text.text for text in texts(html, name)] for name in ("1", "3")] == [[A], [C]]


def test_a_card_that_leads_to_another_page_between_images_gives_them_no_text() -> None:
    card = (
        "<div class=card><a href=/y/{}.html><img src=t{}.jpg></a>"
        "<a href=/y/{}.html>老街上的另一个故事</a></div>"
    )
    html = _p(INTRO) + _image(1) + _p(A) + card.format(7, 7, 7) + _image(2) + _p(B) + _p(OUTRO)
    for name in ("1", "2"):
        (text,) = texts(html, name)
        assert text.text in {INTRO, A, B, OUTRO}
    assert texts(html, "t7") == []


def test_a_line_of_links_is_the_text_of_no_image() -> None:
    links = "<p><a href=/a.html>上一篇文章</a> <a href=/b.html>下一篇文章</a></p>"
    html = _p(INTRO) + _image(1) + links + _p(OUTRO) + _image(2) + links
    assert [text.text for text in texts(html, "1")] == [INTRO]
    assert [text.text for text in texts(html, "2")] == [OUTRO]


def test_a_numbered_paragraph_begins_an_item_to_which_the_next_images_belong() -> None:
    html = (
        _p(INTRO) + _p("1、" + A) + _image(1) + _p(OUTRO) + _p("2、出发前要检查天气和车况")
        + _p("3、" + B) + _p(INTRO) + _image(2) + _p("4、" + C) + _image(3) + _p(OUTRO)
    )  # fmt: skip
    found = {name: texts(html, name)[0].text for name in "123"}
    assert found == {"1": "1、" + A, "2": INTRO, "3": "4、" + C}


def test_numbered_lines_under_images_are_their_captions() -> None:
    html = _image(1) + _p("1、" + A) + _image(2) + _p("2、" + B) + _image(3) + _p("3、" + C)
    assert captions(html) == {"1": "1、" + A, "2": "2、" + B, "3": "3、" + C}


def test_an_item_that_says_little_ends_the_texts_of_the_item_before() -> None:
    html = (
        _p("1、" + A) + _image(1) + _p("2、<a href=/x>微软</a>、<a href=/y>谷歌</a>、<a href=/z>苹果</a>") + _image(2)
        + _p(B)
    )  # fmt: skip
    assert captions(html) == {"1": "1、" + A, "2": B}


def test_captions_may_be_longer_than_all_other_text() -> None:
    start = _p("大潮。")
    html = start + "".join(_image(n) + _p(text, "class=tu") for n, text in ((1, A), (2, B), (3, C)))
    html += _p("回家了。") + "<div class=card><img src=4.jpg><h4>潮汐表的封面</h4></div>"
    assert {name: text for name, text in captions(html).items() if name != "4"} == OWN


def test_paragraphs_around_captioned_images_belong_to_those_whose_words_they_share() -> None:
    paragraphs = [
        f"第{n}段讲的是这一天里发生的另外一件事情，和图片没有什么关系。" for n in "一二三"
    ]

    def page(about: list[str]) -> str:
        parts = [
            _image(n) + _p(caption, "align=center") + _p(text)
            for n, caption, text in zip((1, 2, 3), (A, B, C), about, strict=True)
        ]
        return _p(INTRO) + "".join(parts)

    def paragraphs_of(html: str) -> dict[str, str]:
        return {
            name: text.text
            for name in OWN
            for text in texts(html, name)
            if text.type == "surrounding"
        }

    # Before the first image, and after the last caption: whose they are, nothing says.
    assert paragraphs_of(page(paragraphs)) == {}
    own = [f"{INTRO}{caption}，大家都停下来看。" for caption in (A, B, C)]
    assert paragraphs_of(page(own)) == {}
    # Those over the images have the words of the captions under these.
    moved = [*own[1:], OUTRO]
    html = page(moved).replace(_p(INTRO), _p(own[0]))
    assert paragraphs_of(html) == dict(zip(OWN, own, strict=True))


def test_empty_lines_in_bare_text_part_its_texts() -> None:
    image = "<div><img src={}.jpg></div>"
    html = f"地点：镇口\n\n{INTRO}\n\n{A}\n" + image.format(1)
    html += f"\n\n{B}\n" + image.format(2) + f"\n\n{C}\n" + image.format(3) + f"\n\n{OUTRO}\n"
    assert captions(f"<div>{html}</div>") == OWN
    # A line feed alone is a space.
    wrapped = A[:4] + "\n" + A[4:]
    assert captions(f"<div>{image.format(1)}{wrapped}</div>")["1"].replace(" ", "") == A
    more = captions(f"<div>{image.format(1)}\n{wrapped}\n\n{OUTRO}\n</div>")["1"]
    assert more.replace(" ", "") == A
