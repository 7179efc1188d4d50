"""The text of a container that holds one image: card, table row, post, section, figure, list item."""

import pytest

from tests.extract.page_texts import captions, texts

A, B, C = (
    "湖边停着一条很久没有人用的旧木船。",
    "山顶上有一座一百年前建的白色的塔。",
    "镇口长着一棵要三个人才能抱住的榕树。",
)
OWN = {"1": A, "2": B, "3": C}
NAMES = {"1": "旧木船", "2": "白色的塔", "3": "大榕树"}
INTRO = "这一天我们从城里出发，沿着江边的小路走了很久，路上遇到的人都很热情。"


def _cards(card: str, around: str = "<div>{}</div>") -> str:
    cards = [card.format(image=f"<img src={n}.jpg>", name=NAMES[n], text=OWN[n], n=n) for n in OWN]
    return around.format("".join(cards))


@pytest.mark.parametrize(
    ("card", "around"),
    [
        ("<div class=card>{image}<p>{text}</p></div>", "<div>{}</div>"),
        ("<div class=card><p>{text}</p>{image}</div>", "<div>{}</div>"),
        ("<div>{image}<p>{text}</p></div>", "<div>{}</div>"),
        ("<li>{text}{image}</li>", "<ul>{}</ul>"),
        ("<li><div><p>{text}</p></div><div>{image}</div></li>", "<ol>{}</ol>"),
        ("<tr><td>{image}<td>{text}", "<table>{}</table>"),
        ("<tr><td>{text}<td>{image}", "<table>{}</table>"),
        ("<article><h3>{name}</h3><p>{text}</p>{image}</article>", "<main>{}</main>"),
        ("<dl><dt>{name}<dd>{image}<dd>{text}</dl>", "<div>{}</div>"),
        ("<figure>{image}<figcaption>{text}</figcaption></figure>", "<div>{}</div>"),
        ("<a href=/z/{n}>{image}<span>{text}</span></a>", "<div>{}</div>"),
    ],
)
@pytest.mark.parametrize("before", ["", f"<h1>三处风景</h1><p>{INTRO}</p>"])
def test_an_image_has_the_text_of_its_own_container(card: str, around: str, before: str) -> None:
    assert captions(before + _cards(card, around)) == OWN


def test_a_text_that_repeats_in_every_container_is_of_the_template() -> None:
    html = _cards("<li><b>小城自营</b>{image}<p>{text}</p><i>立即购买</i></li>")
    assert captions(html) == OWN
    assert not {"小城自营", "立即购买"} & {text.text for text in texts(html)}


def test_a_badge_nearer_to_the_image_says_less_than_the_description() -> None:
    html = "".join(
        f"<li><div><img src={n}.jpg><i>{badge}</i></div><div><b>{NAMES[n]}</b><p>{OWN[n]}</p></div></li>"
        for n, badge in zip(OWN, ("新品", "热卖", "精选"), strict=True)
    )
    assert captions(f"<ul>{html}</ul>") == OWN


def test_labelled_values_say_less_than_names() -> None:
    card = "<li>{image}<h3>{name}</h3><p>材质：樟木</p><p>编号：{n}</p><p>年代：清代</p></li>"
    html = _cards(card, "<ul>{}</ul>")
    found = [[text.text for text in texts(html, n) if text.type == "surrounding"] for n in OWN]
    assert [one[0] for one in found] == list(NAMES.values())


def test_a_label_of_a_description_is_no_reason_against_it() -> None:
    html = _cards("<li>{image}<p>编号：第{n}号</p><p>说明：{text}</p></li>", "<ul>{}</ul>")
    assert captions(html) == {n: f"说明：{text}" for n, text in OWN.items()}


def test_a_name_in_a_heading_is_a_heading_and_the_description_the_text() -> None:
    html = _cards("<div class=card>{image}<h3>{name}</h3><p>{text}</p></div>")
    assert [(text.type, text.text, text.relation) for text in texts(html)] == [
        ("surrounding", A, "container"),
        ("heading", NAMES["1"], "container"),
    ]


def test_a_heading_over_a_list_is_shared_and_less_certain_than_the_own_text() -> None:
    html = "<h2>三处风景</h2>" + _cards("<div class=card>{image}<p>{text}</p></div>")
    [own, heading] = texts(html)
    assert (own.text, heading.text, heading.relation) == (A, "三处风景", "shared")
    assert heading.confidence < own.confidence


@pytest.mark.parametrize(
    "caption",
    [
        "<figcaption>{}</figcaption>",
        "<p class=wp-caption-text>{}</p>",
        "<span class=pic_caption>{}</span>",
        "<div class=tuzhu><span>{}</span></div>",
    ],
)
def test_a_marked_caption_comes_before_a_longer_text_of_the_container(caption: str) -> None:
    html = f"<div class=box><div><img src=1.jpg>{caption.format('湖边的旧木船')}</div><p>{INTRO}</p></div>"
    assert captions(f"<div>{html}<p>{INTRO}后来又下了雨。</p></div>") == {"1": "湖边的旧木船"}


def test_a_class_of_descriptions_is_no_mark_of_a_caption() -> None:
    html = _cards("<div class=card>{image}<p class=desc>{text}</p></div>")
    assert {text.type for text in texts(html)} == {"surrounding"}


def test_a_box_with_one_short_line_under_its_image_is_a_figure() -> None:
    box = "<div class=pic><img src={}.jpg><p>{}</p></div>"
    html = f"<div><p>{INTRO}</p>{box.format(1, '湖边的旧木船')}<p>{INTRO}很好。</p></div>"
    assert captions(html) == {"1": "湖边的旧木船"}


def test_an_article_is_no_card_and_its_only_image_has_the_text_beside_it() -> None:
    paragraphs = [f"第{n}天{INTRO}" for n in "一二三四五六七八九十百千万"]
    paragraphs.append(f"最后一天{INTRO}" * 4)
    body = "".join(f"<p>{one}</p>" for one in paragraphs[:5])
    body += f"<p><img src=1.jpg></p><p>{A}</p>" + "".join(f"<p>{one}</p>" for one in paragraphs[5:])
    (found,) = texts(f"<article>{body}</article>")
    assert found.text in {paragraphs[4], A}


def test_a_list_of_which_one_item_has_an_image_gives_it_no_text_of_the_others() -> None:
    html = f"<ul><li><p>{A}</p><li><img src=1.jpg><p>{B}</p><li><p>{C}</p></ul>"
    assert [text.text for text in texts(html)] == [B]
    html = f"<table><tr><td>{A}<td>甲<tr><td>{B}<td><img src=1.jpg><tr><td>{C}<td>乙</table>"
    assert [text.text for text in texts(html)] == [B]
    html = "".join(
        f"<div class=part><h3>{name}</h3><p>{text}</p>{image}</div>"
        for name, text, image in (("一", A, ""), ("二", B, "<img src=1.jpg>"), ("三", C, ""))
    )
    assert [(text.type, text.text) for text in texts(html)] == [
        ("surrounding", B),
        ("heading", "二"),
    ]


def test_an_infobox_of_one_image_and_rows_of_values_is_its_container() -> None:
    html = f"""<table class=infobox><tr><th colspan=2>白塔</th></tr><tr><td colspan=2><img src=1.jpg></td></tr>
    <tr><td colspan=2>从湖边看到的白塔</td></tr><tr><th>高度<td>三十米</tr></table><p>{INTRO}</p>"""
    assert captions(html)["1"] in {"从湖边看到的白塔", "白塔"}


@pytest.mark.parametrize("tag", ["th", "td"])
def test_a_label_beside_an_image_in_a_table_of_values_is_not_its_text(tag: str) -> None:
    rows = [("外观", "<img src=1.jpg>"), ("名称", "白塔"), ("介绍", f"{B}{INTRO}")]
    html = "".join(f"<tr><{tag}>{label}</{tag}><td>{value}</td></tr>" for label, value in rows)
    assert captions(f"<table>{html}</table>") == {"1": f"{B}{INTRO}"}


def test_two_images_of_one_post_share_its_text_and_no_other_post_has_it() -> None:
    post = "<div class=post><p>{}</p><div>{}</div></div>".format
    html = post(A, "<img src=1.jpg><img src=2.jpg>") + post(B, "<img src=3.jpg>")
    assert captions(html) == {"1": A, "2": A, "3": B}


def test_the_columns_of_a_table_are_told_from_its_rows() -> None:
    rows = "".join(f"<tr><td>{NAMES[n]}<td><img src={n}.jpg><td>{OWN[n]}" for n in OWN)
    assert captions(f"<table><tr><th>名称<th>图片<th>介绍{rows}</table>") == OWN
    columns = "<tr>" + "".join(f"<td><img src={n}.jpg>" for n in OWN)
    columns += "<tr>" + "".join(f"<td>{OWN[n]}" for n in OWN)
    assert captions(f"<table>{columns}</table>") == OWN


def test_the_text_of_a_cell_flows_around_its_image() -> None:
    assert captions("<p>左边是桥<img src=1.jpg>右边是船</p><p>后面还有一条小路</p>") == {
        "1": "左边是桥右边是船"
    }
    html = "<td>左边是一座桥<br><img src=1.jpg><br>右边是一条船</td>"
    assert "左边是一座桥右边是一条船" not in {text.text for text in texts(f"<table>{html}</table>")}


def test_an_emoticon_in_a_text_neither_ends_it_nor_is_an_image_of_its_own() -> None:
    emoticon = '<img src=e.gif alt="[微笑]" width=20 height=20>'
    html = _cards("<li>{image}<p>看到了！" + emoticon + "{text}</p></li>", "<ul>{}</ul>")
    assert {n: one for n, one in captions(html).items() if n in OWN} == {
        n: f"看到了！{text}" for n, text in OWN.items()
    }
