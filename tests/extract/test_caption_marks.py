"""Marks by which a text names its image, and their counter-examples."""

import pytest

from wenlan_data.extract.caption_marks import (
    figure_number,
    is_numbered,
    numbered_rest,
    ordinal,
    pointed_side,
    split_caption,
    without_marks,
)


@pytest.mark.parametrize(
    "text",
    [
        "▲ 湖边的小船",
        "△湖边的小船",
        "↑湖边的小船",
        "　　▲湖边的小船",
        "\u200b▲湖边的小船",
        "湖边的小船▲",
        "图为湖边的小船。",
        "（图为湖边的小船）",
        "上图：湖边的小船",
        "上圖為湖邊的小船",
        "湖边停着几条小船（上图）。",
        "图注：湖边的小船",
        "（题图：世博公园，上海）",
    ],
)
def test_a_text_that_points_up_stands_below_its_image(text: str) -> None:
    assert pointed_side(text) == "below"


@pytest.mark.parametrize(
    "text",
    [
        "▼ 湖边的小船",
        "↓湖边的小船",
        "湖边的小船▼",
        "湖边的小船如图：",
        "点开以后如下图所示：",
        "结果见下图。",
        "下图是湖边的小船",
        "以下图片都是在湖边拍的",
        "打开菜单，选择保存：",
    ],
)
def test_a_text_that_points_down_stands_above_its_image(text: str) -> None:
    assert pointed_side(text) == "above"


@pytest.mark.parametrize(
    "text",
    [
        "湖边的小船",
        "上图书馆借了三本关于船的书",
        "下图书馆前的台阶，湖就在右边",
        "如图书目录里写的那样，船是木头做的",
        "船上有一张地图",
        "湖边：一条旧木船",
        "气温下降，湖面结了冰",
        "",
    ],
)
def test_a_text_that_only_looks_like_pointing_has_no_side(text: str) -> None:
    assert pointed_side(text) is None


@pytest.mark.parametrize(
    "text", ["图3 小船", "图 3：小船", "图4.1 小船", "图4-1", "（图二）小船", "图①小船", "圖3 小船",
             "图片1：小船", "Fig. 2 boat", "Figure 2 boat", "照片3 小船", "图１２　小船"]
)  # fmt: skip
def test_a_text_may_begin_with_the_number_of_its_figure(text: str) -> None:
    assert is_numbered(text)


@pytest.mark.parametrize(
    "text", ["图书3本", "小船见图3", "3 小船", "地图3", "第3张图", "figurine 2", "图中有3条船"]
)
def test_a_number_elsewhere_is_not_that_of_a_figure(text: str) -> None:
    assert not is_numbered(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("图3", "图3"), ("图 3：", "图3"), ("（图3）", "图3"), ("图4.1", "图4.1"), ("图3 小船", ""),
     ("3", ""), ("图", ""), ("图3" + "。" * 20, "")],
)  # fmt: skip
def test_a_figure_number_alone_is_recognised(text: str, number: str) -> None:
    assert figure_number(text) == number


def test_the_text_after_a_figure_number_is_found_by_the_number() -> None:
    assert numbered_rest("图 3：湖边的小船。") == ("图3", "湖边的小船")
    assert numbered_rest("湖边的小船，见图3") == ("", "")


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("▲ 湖边的小船", "湖边的小船"),
        ("▲▲湖边的小船 ▲", "湖边的小船"),
        ("图为：湖边的小船。", "湖边的小船。"),
        ("左图：湖边的小船", "左图：湖边的小船"),
        ("图2 湖边的小船", "图2 湖边的小船"),
        ("湖边的小船（▲号是码头）", "湖边的小船（▲号是码头）"),
        ("湖边的小船 ▲ ▲", "湖边的小船"),
        ("▲", ""),
    ],
)
def test_marks_that_only_point_are_removed_and_those_that_say_something_stay(
    text: str, left: str
) -> None:
    assert without_marks(text) == left


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("①湖边的小船；②山上的小路", ["湖边的小船", "山上的小路"]),
        ("图①：湖边的小船。图②：山上的小路。", ["湖边的小船", "山上的小路"]),
        ("图1：湖边的小船 图2：山上的小路", ["湖边的小船", "山上的小路"]),
        ("图一为湖边的小船，图二为山上的小路", ["湖边的小船", "山上的小路"]),
        ("左图：湖边的小船；右图：山上的小路", ["湖边的小船", "山上的小路"]),
        ("上圖為湖邊的小船，下圖為山上的小路", ["湖邊的小船", "山上的小路"]),
        ("（左）湖边的小船（右）山上的小路", ["湖边的小船", "山上的小路"]),
        ("湖边的小船（左）、山上的小路（右）", ["湖边的小船", "山上的小路"]),
        ("湖边的小船（左图）和山上的小路（右图）", ["湖边的小船", "山上的小路"]),
        ("湖边的小船（左）与山上的小路（右）", ["湖边的小船", "山上的小路"]),
        ("湖边的小船（左）以及和尚（右）", ["湖边的小船", "和尚"]),
        ("左：湖边的小船；右：山上的小路", ["湖边的小船", "山上的小路"]),
        ("【左】湖边的小船【中】山上的小路【右】镇口的榕树", ["湖边的小船", "山上的小路", "镇口的榕树"]),
    ],
)  # fmt: skip
def test_a_shared_caption_is_split_by_its_marks(text: str, parts: list[str]) -> None:
    assert split_caption(text, len(parts)) == parts


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("湖边的小船和山上的小路", 2),
        ("①湖边的小船；②山上的小路", 3),
        ("②湖边的小船；①山上的小路", 2),
        ("①湖边的小船；③山上的小路", 2),
        ("①湖边的小船；①山上的小路", 2),
        ("左图：湖边的小船；下图：山上的小路", 2),
        ("右图：湖边的小船；左图：山上的小路", 2),
        ("①；②", 2),
        ("①湖边的小船", 1),
        ("向左走是湖边的小船，向右走是山上的小路", 2),
        ("从上往下看，整个村子像一片叶子", 2),
        ("从左到右都是老街，远处是钟楼", 2),
    ],
)
def test_a_caption_whose_marks_do_not_fit_the_images_is_not_split(text: str, count: int) -> None:
    assert split_caption(text, count) is None


@pytest.mark.parametrize(
    "row", ["▲", "▲ ", " ", "\u200b", "图", "图1", ".1", "左图", "（", "①", "如"]
)
def test_a_long_row_of_marks_is_read_in_linear_time(row: str) -> None:
    marks, numbered = row * 100_000, f"图1{row * 100_000}桥"
    assert pointed_side(marks) == ("below" if "▲" in row else None)
    assert pointed_side(numbered) is None
    assert (is_numbered(marks), is_numbered(numbered)) == (row == "图1", True)
    # A text of this length is no caption, so it has no number.
    assert (figure_number(marks), figure_number(numbered)) == ("", "")
    assert without_marks(numbered) == numbered
    assert without_marks(marks) == ("" if row.strip() in {"", "▲"} and row != "\u200b" else marks)
    assert numbered_rest(marks)[0] == ("图1" if row == "图1" else "")
    assert numbered_rest(numbered)[0].startswith("图1")
    assert numbered_rest(numbered)[1].endswith("桥")
    assert (split_caption(marks, 2), split_caption(numbered, 2)) == (None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3、把土豆切成丝", "3"),
        ("（三）湖边的小船", "三"),
        ("12. 打开窗口", "12"),
        ("第二步：打开窗口", "二"),
        ("第3天 去湖边", "3"),
        ("Step 4 打开窗口", "4"),
        ("1.5 米高的石狮", ""),
        ("2024 年的湖边", ""),
        ("第三天的湖边", ""),
        ("一条小船", ""),
        ("图3、湖边的小船", ""),
        ("①湖边的小船", ""),
    ],
)
def test_ordinals_of_items(text: str, expected: str) -> None:
    assert ordinal(text) == expected
