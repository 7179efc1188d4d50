import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.repetition import Repetition
from wenlan_data.records import Drop


def test_repetition_is_a_rule() -> None:
    check_rule(Repetition())


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        ("哈哈哈哈哈哈哈哈", "哈"),
        ("红烧肉红烧肉红烧肉红烧肉", "红烧肉"),
        ("图书馆 图书馆 图书馆", "图书馆"),
        ("大熊猫，大熊猫，大熊猫！", "大熊猫"),
        ("手机壳苹果手机壳华为手机壳小米手机壳防摔手机壳", "手机壳"),
        ("空调维修，空调维修电话，空调维修价格，空调维修公司", "空调维修"),
    ],
)
def test_the_same_again_and_again_is_rejected(text: str, piece: str) -> None:
    assert Repetition()(text) == Drop("repetition", piece)


@pytest.mark.parametrize(
    "text",
    [
        "层层叠叠的梯田",
        "寻寻觅觅，冷冷清清，凄凄惨惨戚戚",
        "1号线、2号线、3号线、4号线换乘站",
        "啦啦啦队员",
        "红茶、绿茶、白茶、黑茶",
        "三只小猪只有一只盖了砖房",
    ],
)
def test_reduplication_and_lists_stay(text: str) -> None:
    assert Repetition()(text) == text
