import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.markup import Markup
from wenlan_data.records import Drop


def test_markup_is_a_rule() -> None:
    check_rule(Markup())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('<span style="color:red">红嘴蓝鹊</span>站在枝头', "红嘴蓝鹊站在枝头"),
        ("<p>蒙古包</p><p>马头琴</p>", "蒙古包 马头琴"),
        ("故宫<!-- 广告 --><script>var a=1;</script>角楼", "故宫 角楼"),
        ("长城<img src='a.jpg' alt=", "长城"),
        ("## 晋祠圣母殿", "晋祠圣母殿"),
        ("**潮汕**__牛肉丸__", "潮汕牛肉丸"),
        ("![故宫角楼](images/1.png)", "故宫角楼"),
        ("[b]栈桥的海鸥[/b]", "栈桥的海鸥"),
        ("插秧的农民 www.example.com", "插秧的农民"),
        ("梯田（https://example.com/a?b=1）全景", "梯田 全景"),
        ("香山红叶 @北京发布", "香山红叶"),
        ("#秋天的第一杯奶茶# 抹茶拿铁", "抹茶拿铁"),
        ("#洱海日落#", "洱海日落"),
        ("若 x<y 且 z>0 的区域", "若 x<y 且 z>0 的区域"),
        ("C#程序 [图1] 价格$5", "C#程序 [图1] 价格$5"),
        ("旧玻璃 图源：@市集日记", "旧玻璃 图源：@市集日记"),
        ("旧玻璃 摄影: @市集日记", "旧玻璃 摄影: @市集日记"),
        ("写信给 hr@example.com", "写信给 hr@example.com"),
    ],
)
def test_words_stay_and_markup_goes(text: str, clean: str) -> None:
    assert Markup()(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        "<br/><br/>",
        "<!-- 广告位开始 -->",
        "${product.name}",
        "{{ item.title }}",
        "<%= image.alt %>",
        "![](images/001.png)",
        "[img]http://example.com/a.jpg[/img]",
        "| --- | :-: |",
        "http://www.example.cn/tag/%E7%BE%8E",
        "www.example.com/p/1001",
        "var _hmt = _hmt || [];",
        'window.adShow && document.write("加载中");',
        '.nav li{float:left;font-family:"微软雅黑"}',
        '{"title":"","width":300}',
    ],
)
def test_text_of_markup_alone_is_rejected(text: str) -> None:
    assert Markup()(text) == Drop("markup")


def test_reposts_lose_whom_they_repeat() -> None:
    assert Markup()("//@张三: 海边的灯塔") == "海边的灯塔"
    assert Markup()("回复@李四:海边的灯塔") == "海边的灯塔"


def test_a_tag_that_another_one_breaks_off_is_a_tag() -> None:
    assert Markup()("<p/<p/") == Drop("markup")
