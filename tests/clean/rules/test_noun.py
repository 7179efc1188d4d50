import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.noun import Noun
from wenlan_data.records import Drop


def test_noun_is_a_rule() -> None:
    check_rule(Noun())


@pytest.mark.parametrize(
    "text",
    [
        "慢慢来吧",
        "就这样吧",
        "越来越好了",
        "还是很喜欢",
        "已经非常漂亮了",
        "现在",
        "知道了",
        "好嘞哎哟",
    ],
)
def test_text_that_names_nothing_is_rejected(text: str) -> None:
    assert Noun()(text) == Drop("no_noun")


@pytest.mark.parametrize(
    "text",
    [
        "荷花",
        "用筷子挑起的热干面",
        "稻城亚丁",
        "郁郁葱葱的山林",
        "徐悲鸿《奔马图》",
        "黄昏",
        "日出",
        "知了",
        "蠼螋",
        "一对鹡鸰",
        "䴙䴘",
        "带鱼",
        "剔红",
        "拔河",
        "打铁花",
    ],
)
def test_text_that_names_something_stays(text: str) -> None:
    assert Noun()(text) == text


def test_a_text_of_many_words_names_something() -> None:
    text = "已经非常漂亮了，还可以继续努力"
    assert Noun()(text) == text
    assert Noun(many=9)(text) == Drop("no_noun")
