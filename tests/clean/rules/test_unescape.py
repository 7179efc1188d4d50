import pytest

from tests.conformance import check_rule
from wenlan_data.clean.rules.unescape import Unescape


def test_unescape_is_a_rule() -> None:
    check_rule(Unescape())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("老人&amp;海鸥", "老人&海鸥"),
        ("&amp;amp;lt;b&amp;gt;", "<b>"),
        ("&#31179;&#x5929;", "秋天"),
        ("35&deg;C高温", "35°C高温"),
        ("竹林&mdash;&mdash;熊猫", "竹林——熊猫"),
        ("èŒ¶é©¬å\u008f¤é\u0081“", "茶马古道"),
        ("“引号”，全角：ＡＢＣ", "“引号”，全角：ＡＢＣ"),
        ("A & B", "A & B"),
        ("café 门口", "café 门口"),
    ],
)
def test_entities_and_mojibake_are_restored_and_the_rest_stays(text: str, clean: str) -> None:
    assert Unescape()(text) == clean


def test_a_number_too_long_for_a_character_stays_as_it_is() -> None:
    text = "&#" + "9" * 5000 + ";"
    assert Unescape()(text) == text
