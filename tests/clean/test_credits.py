"""The author that a photo credit names."""

import pytest

from wenlan_data.clean.credits import author_of, is_credit
from wenlan_data.clean.rules.boilerplate import Boilerplate
from wenlan_data.records import Drop, Remark


@pytest.mark.parametrize(
    ("credit", "author"),
    [
        ("图/视觉中国", "视觉中国"),
        ("新华社记者 李明 摄", "新华社记者 李明"),
        ("图片来源：视觉中国", "视觉中国"),
        ("摄影：张三", "张三"),
        ("李明 摄", "李明"),
        ("（图片来源：新华社）", "新华社"),
        ("照片由李雷提供", "李雷"),
        ("文/图 李四", "李四"),
        ("转自@新华社", "新华社"),
        ("图片来自豆瓣", "豆瓣"),
        ("交汇点记者 江流 摄", "交汇点记者 江流"),
        ("图源：@市集日记", "市集日记"),
        ("图像来源，Reuters", "Reuters"),
        ("图源：", ""),
        ("摄影：", ""),
        ("条目作者 钟声", ""),
        ("合著者：瀚墨员工", ""),
        ("图源网络", ""),
        ("照片由受访者提供", ""),
        ("责任编辑：王芳", ""),
        ("资料图片", ""),
    ],
)
def test_credits_name_a_person_an_agency_or_nobody(credit: str, author: str) -> None:
    assert is_credit(credit)
    assert author_of(credit) == author


@pytest.mark.parametrize(
    "caption",
    [
        "记者在灾区采访",
        "采访现场的记者 李明 摄",
        "摄影展上的老人",
        "作者在书房里",
        "作者 在书房里写作",
        "图书馆的书架",
        "摘自己种的菜",
        "分享自己的故事",
        "转自行车的人",
        "",
    ],
)
def test_captions_are_no_credits(caption: str) -> None:
    assert not is_credit(caption)
    assert author_of(caption) == ""


def test_the_rule_that_cuts_a_credit_off_tells_the_author() -> None:
    rule = Boilerplate()
    text = "雨后的黄山云海。新华社记者 李明 摄"
    assert rule.remarks(text, rule(text)) == (Remark("author", "新华社记者 李明"),)
    assert rule("剪纸的姑娘。交汇点记者 江流 摄") == "剪纸的姑娘。"
    assert rule("看花灯的人群。大江在线发（陈远 摄）") == "看花灯的人群。"
    assert rule("雨后，队伍整装待发（陈远 摄）") == "雨后，队伍整装待发"
    assert rule("猎户座大星云影像提供与版权: 观星者") == "猎户座大星云"
    assert rule("旧玻璃在灯下发光 图源：") == "旧玻璃在灯下发光"
    assert rule("旧玻璃在灯下发光 图源：@市集日记") == "旧玻璃在灯下发光"
    assert rule.remarks("李明 摄", rule("李明 摄")) == (Remark("author", "李明"),)
    assert rule("李明 摄") == Drop("boilerplate")
    assert rule.remarks("雨后的黄山云海", "雨后的黄山云海") == ()
