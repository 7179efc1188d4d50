"""Texts of several images: in parts, one for each, or one for all."""

from collections.abc import Iterable

import pytest

from tests.extract.page_texts import captions, texts

A, B, C = "湖边停着一条旧木船", "山上有一座白色的塔", "镇口长着一棵大榕树"
INTRO = "这一天我们从城里出发，沿着江边的小路走了很久，路上遇到的人都很热情。"
PAIR = "<img src=1.jpg><img src=2.jpg>"


@pytest.mark.parametrize(
    "line",
    [
        f"①{A}；②{B}",
        f"图①：{A}。图②：{B}。",
        f"左图：{A}；右图：{B}。",
        f"上图为{A}，下图为{B}。",
        f"（左）{A}（右）{B}",
        f"{A}（左）、{B}（右）",
    ],
)
@pytest.mark.parametrize(
    "page",
    [
        f"<p>{INTRO}</p><p>{PAIR}</p><p>{{}}</p>",
        f"<p>{INTRO}</p><p><img src=1.jpg></p><p><img src=2.jpg></p><p>{{}}</p>",
        f"<figure>{PAIR}<figcaption>{{}}</figcaption></figure>",
    ],
)
def test_each_image_gets_its_part_of_a_caption_in_parts(line: str, page: str) -> None:
    assert captions(page.format(line)) == {"1": A, "2": B}


@pytest.mark.parametrize(
    "line", [f"①{A}；②{B}；③{C}", f"右图：{A}；左图：{B}", f"左边停着船，右边是{B}"]
)
def test_a_caption_whose_parts_do_not_fit_is_shared_as_a_whole(line: str) -> None:
    html = f"<figure>{PAIR}<figcaption>{line}</figcaption></figure>"
    assert captions(html) == {"1": line, "2": line}
    assert {text.relation for name in ("1", "2") for text in texts(html, name)} == {"shared"}


def test_a_caption_of_a_row_of_images_is_less_certain_than_that_of_one() -> None:
    row, alone = (
        texts(f"<figure>{images}<figcaption>{A}</figcaption></figure>")
        for images in (PAIR, "<img src=1.jpg>")
    )
    assert [text.text for text in row] == [text.text for text in alone] == [A]
    assert 0.5 <= row[0].confidence < alone[0].confidence


@pytest.mark.parametrize(
    "page",
    [
        f"<div>{PAIR}<img src=3.jpg></div><div><p>{A}</p><p>{B}</p><p>{C}</p></div>",
        f"<table><tr><td><img src=1.jpg><td><img src=2.jpg><td><img src=3.jpg>"
        f"<tr><td>{A}<td>{B}<td>{C}</table>",
        f"<table><tr><td>{A}<td>{B}<td>{C}<tr><td><img src=1.jpg><td><img src=2.jpg>"
        f"<td><img src=3.jpg></table>",
        f"<div class=slider><ul><li><img src=1.jpg><li><img src=2.jpg><li><img src=3.jpg></ul>"
        f"<ol><li>{A}<li>{B}<li>{C}</ol></div>",
    ],
)
def test_a_row_of_as_many_texts_gives_each_image_the_text_in_its_place(page: str) -> None:
    found = captions(page)
    assert found == {"1": A, "2": B, "3": C}


@pytest.mark.parametrize(
    "page",
    [
        f"<div>{PAIR}</div><div><p>{A}</p><p>{B}</p><p>{C}</p></div>",
        f"<div>{PAIR}<img src=3.jpg></div><div><p>{A}</p><p>{B}</p></div>",
        f"<table><tr><td><img src=1.jpg><td><img src=2.jpg><tr><td>{A}<td>{B}<td>{C}</table>",
    ],
)
def test_a_row_with_more_or_fewer_texts_is_not_dealt_out(page: str) -> None:
    found = captions(page)
    assert len(found) >= 2
    # At most one text for all images.
    assert len(set(found.values())) == 1
    every = [text for name in found for text in texts(page, name)]
    assert {text.relation for text in every} <= {"shared"}


@pytest.mark.parametrize("count", [2, 3])
def test_a_table_may_have_several_rows_of_images_over_rows_of_texts(count: int) -> None:
    rows = ""
    own: dict[str, str] = {}
    for row in range(count):
        names = [
            f"第{'一二三'[row]}排的{thing}{verb}"
            for thing, verb in (("木船", "停在湖边"), ("白塔", "立在山上"))
        ]
        rows += "<tr>" + "".join(f"<td><img src={row}{n}.jpg></td>" for n in (0, 1)) + "</tr>"
        rows += "<tr>" + "".join(f"<td>{name}</td>" for name in names) + "</tr>"
        own |= {f"{row}{n}": name for n, name in enumerate(names)}
    assert captions(f"<table>{rows}</table>") == own


def test_a_text_in_the_first_row_of_a_table_is_not_that_of_the_images_below() -> None:
    html = (
        f"<table><tr><th colspan=2>两处风景</th></tr><tr><td><img src=1.jpg></td><td>{A}</td></tr>"
    )
    html += f"<tr><td><img src=2.jpg></td><td>{B}</td></tr></table>"
    assert captions(html) == {"1": A, "2": B}


def test_a_text_beside_a_row_of_images_is_shared_by_them_and_by_no_other() -> None:
    body = f"<p>{INTRO}天黑以前我们回到了旅馆。</p>"
    html = f"<p>{PAIR}</p><p class=tu>{A}</p>{body}<p><img src=3.jpg></p><p class=tu>{C}</p>"
    assert captions(html) == {"1": A, "2": A, "3": C}


@pytest.mark.parametrize(
    ("alts", "expected"),
    [
        ((B, ""), (B, A)),
        ((B, "图片"), (B, A)),
        ((B, "IMG_2034.jpg"), (B, A)),
        # The title, and numbered alts, tell no image from the others.
        (("江边的一天", ""), (A, A)),
        (("旧木船1", "旧木船2"), (A, A)),
        ((B, C), (A, A)),
    ],
)
def test_a_shared_caption_is_of_the_images_that_have_no_description(
    alts: tuple[str, str], expected: tuple[str, str]
) -> None:
    images = "".join(f"<p><img src={n}.jpg alt={alt!r}></p>" for n, alt in enumerate(alts, 1))
    html = f"<title>江边的一天 - 某某网</title><p>{INTRO}</p>{images}<p>图为{A}</p><p>{INTRO}然后回家。</p>"
    assert tuple(captions(html).values()) == expected


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_the_last_row_of_a_table_may_have_fewer_columns(columns: int) -> None:
    cards = [
        ("小船", "湖边停着一条旧木船"),
        ("石桥", "河上有一座古老的石桥"),
        ("白塔", "山上有一座白色的塔"),
        ("榕树", "镇口长着一棵大榕树"),
        ("松鼠", "树上坐着一只松鼠"),
        ("渔船", "港口里停满了渔船"),
    ][: 3 + columns]
    html = "<h1>风光</h1><table>"
    for part in (cards[:3], cards[3:]):
        html += "<tr>" + "".join(f"<th>{name}</th>" for name, _ in part) + "</tr><tr>"
        html += (
            "".join(f"<td><img src={cards.index(card)}.jpg></td>" for card in part) + "</tr><tr>"
        )
        html += "".join(f"<td>{text}</td>" for _, text in part) + "</tr>"
    found = {
        number: {
            text.text for text in texts(html + "</table>", str(number)) if text.type != "heading"
        }
        for number in range(3 + columns)
    }
    assert found == {number: set(card) for number, card in enumerate(cards)}


def test_the_parts_of_a_post_are_no_row_and_its_longest_text_is_shared() -> None:
    images = "".join(f"<div class=slide><img src={n}.jpg></div>" for n in (1, 2, 3, 4))
    text = "晒秋的第一周，屋顶上的辣椒、玉米和南瓜片铺成了调色盘。早上七点上去，人最少。"
    post = f"<b>乡野慢邮</b><h1>晒秋的季节又到了</h1><p class=text>{text}</p><span>江西</span>"
    html = f"<div><div>{images}</div><div>{post}</div></div>"
    assert captions(html) == dict.fromkeys("1234", text)


def _table(*rows: str) -> str:
    return "<p>说明</p><table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"


def _cells(texts: Iterable[str], tag: str = "td") -> str:
    return "".join(f"<{tag}>{text}</{tag}>" for text in texts)


def test_the_texts_in_the_column_of_an_image_are_its_own() -> None:
    images = _cells(f"<img src={n}.jpg>" for n in (1, 2, 3))
    names, prizes = ("晒谷场的黄昏", "龙灯进村", "采菱"), ("一等奖", "二等奖", "三等奖")
    under = _table(_cells(prizes, "th"), images, _cells(names), _cells(("罗秀", "钟福", "汪梅")))
    assert captions(under) == dict(zip("123", names, strict=True))
    over = _table(_cells(names), images)
    assert captions(over) == dict(zip("123", names, strict=True))


def test_in_a_table_with_labels_the_first_row_has_the_names() -> None:
    names, notes = ("板胡", "坠胡", "京胡"), ("面板用薄桐木", "靠滑音模仿唱腔", "音色高亢")
    html = _table(
        _cells(("名称", *names), "th"),
        _cells(["图像"], "th") + _cells(f"<img src={n}.jpg>" for n in (1, 2, 3)),
        _cells(["特点"], "th") + _cells(notes),
    )
    assert captions(html) == dict(zip("123", names, strict=True))
    found = [[one.text for one in texts(html, n) if one.type == "surrounding"] for n in "123"]
    assert found == [list(pair) for pair in zip(names, notes, strict=True)]
