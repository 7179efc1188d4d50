from tests.conformance import check_rule
from wenlan_data.clean.rules.han_ratio import HanRatio
from wenlan_data.records import Drop


def test_han_ratio_is_a_rule() -> None:
    check_rule(HanRatio())


def test_text_without_a_han_character_is_no_han() -> None:
    assert HanRatio()("Sunday Brunch 12:45 😂") == Drop("no_han")


def test_too_small_a_share_is_another_language() -> None:
    assert HanRatio(min=0.3)("Kung Pao Chicken 鸡 with rice") == Drop("language", "0.04 Han")


def test_spaces_do_not_count() -> None:
    assert HanRatio(min=0.5)("猫 a   ") == "猫 a   "


def test_rare_characters_and_zero_count_as_han() -> None:
    assert HanRatio(min=1.0)("二〇𠮷") == "二〇𠮷"


def test_digits_signs_and_one_long_name_are_no_other_language() -> None:
    for text in ("2023年，G20峰会！", "《1984》封面", "12.5.3 选项（1/2）", "iPhone 15 手机壳"):
        assert HanRatio(min=0.5)(text) == text
    assert HanRatio(min=0.3)("LibreOffice Math 示例") == Drop("language", "0.12 Han")
